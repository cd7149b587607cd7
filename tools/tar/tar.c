/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * tar.c - compresses the archive that pax.c writes, through libarchive, and cuts
 * it where writing fails. To libarchive it is the one member of a "raw" archive.
 */
#include "tools/tar/tar.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "tools/common/cli.h"
#include "tools/tar/pax.h"

#define TAR_MODE 0600

struct compression {
	const char *name;
	const char *suffixes; /* each with a dot before and after it */
	int filter;
	const char *magic; /* how a stream begins, to be cut behind */
	size_t magic_bytes;
};

static const struct compression compressions[] = {
	{ "none", ".tar.", ARCHIVE_FILTER_NONE, "", 0 },
	{ "gzip", ".gz.tgz.", ARCHIVE_FILTER_GZIP, "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10 },
	{ "xz", ".xz.txz.", ARCHIVE_FILTER_XZ, "\xfd\x37\x7a\x58\x5a\0", 6 },
	{ "zstd", ".zst.tzst.", ARCHIVE_FILTER_ZSTD, "\x28\xb5\x2f\xfd", 4 },
	{ "lz4", ".lz4.tlz4.", ARCHIVE_FILTER_LZ4, "\x04\x22\x4d\x18", 4 },
};
#define NR_COMPRESSIONS (sizeof(compressions) / sizeof(compressions[0]))

struct tar {
	struct tar_params params;
	const struct compression *compression;
	struct archive *archive;
	struct pax_writer *pax;
	uint64_t nr_written_bytes;
	struct cow_err write_err; /* what params.write said */
	bool is_ended;
};

static const struct compression *by_suffix(const char *file_name)
{
	const char *dot = file_name ? strrchr(file_name, '.') : NULL;
	char wanted[16];

	if (!dot || snprintf(wanted, sizeof(wanted), "%s.", dot) >= (int)sizeof(wanted))
		return NULL;
	for (size_t i = 0; i < NR_COMPRESSIONS; i++)
		if (strstr(compressions[i].suffixes, wanted))
			return &compressions[i];
	return NULL;
}

bool tar_is_name(const char *file_name)
{
	const struct compression *compression = by_suffix(file_name);
	const char *dot;
	size_t stem;

	if (!compression)
		return false;
	dot = strrchr(file_name, '.');
	if (dot[1] == 't')
		return true;
	stem = (size_t)(dot - file_name);
	return stem >= 4 && !strncmp(dot - 4, ".tar", 4);
}

static int choose_compression(struct tar *tar, const char **ret_level, struct cow_err *err)
{
	const char *wanted = tar->params.compress;
	size_t len;

	*ret_level = NULL;
	if (!wanted) {
		const struct compression *found = by_suffix(tar->params.file_name);

		tar->compression = found ? found : &compressions[0];
		return 0;
	}
	len = strcspn(wanted, ":");
	for (size_t i = 0; i < NR_COMPRESSIONS; i++)
		if (strlen(compressions[i].name) == len &&
		    !strncmp(wanted, compressions[i].name, len))
			tar->compression = &compressions[i];
	if (!tar->compression)
		return cli_refuse(err, -EINVAL, "usage", NULL,
				  "--compress=%s: not one of none, gzip, xz, zstd, lz4", wanted);
	if (wanted[len])
		*ret_level = wanted + len + 1;
	return 0;
}

static int fail(struct tar *tar, struct cow_err *err)
{
	const char *reason = archive_error_string(tar->archive);

	if (tar->write_err.code) {
		*err = tar->write_err;
		return err->code;
	}
	if (archive_errno(tar->archive) == ENOMEM)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory to write the tar%s%s",
				  reason ? ": " : "", reason ? reason : "");
	if (!reason)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL,
				  "cannot write the tar: libarchive gives no reason, as when it "
				  "finds no memory");
	return cli_refuse(err, -EIO, "tar", NULL, "cannot write the tar: %s", reason);
}

static la_ssize_t on_write(struct archive *archive, void *user, const void *buf, size_t len_bytes)
{
	struct tar *tar = user;

	if (tar->params.write(tar->params.user, buf, len_bytes, &tar->write_err)) {
		archive_set_error(archive, -tar->write_err.code, "%s", tar->write_err.message);
		return -1;
	}
	tar->nr_written_bytes += len_bytes;
	return (la_ssize_t)len_bytes;
}

static sigjmp_buf no_memory;

static void on_fault(int number)
{
	(void)number;
	siglongjmp(no_memory,
		   1); /* NOLINT(bugprone-signal-handler,cert-sig30-c): out of one call */
}

/*
 * archive_write_add_filter(), in which libarchive 3.6 writes to the filter that it
 * has just allocated without looking whether it got one. The call sees no byte of
 * any image and is the first to use the filter, so a fault in it is just this.
 */
static int add_filter(struct tar *tar, struct cow_err *err)
{
	struct sigaction caught = { .sa_handler = on_fault }, before;
	int ret;

	if (sigaction(SIGSEGV, &caught, &before))
		return cli_refuse(err, -errno, "io", NULL, "sigaction: %s", strerror(errno));
	if (sigsetjmp(no_memory, 1))
		ret = cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the tar");
	else if (archive_write_add_filter(tar->archive, tar->compression->filter) == ARCHIVE_OK)
		ret = 0;
	else
		ret = fail(tar, err);
	sigaction(SIGSEGV, &before, NULL);
	return ret;
}

static int set_filter(struct tar *tar, const char *level, struct cow_err *err)
{
	const char *name = tar->compression->name;
	int ret = add_filter(tar, err);

	if (ret)
		return ret;
	/* The time of day does not belong into the output. */
	if (tar->compression->filter == ARCHIVE_FILTER_GZIP &&
	    archive_write_set_filter_option(tar->archive, name, "timestamp", NULL) != ARCHIVE_OK)
		return fail(tar, err);
	if (level && archive_write_set_filter_option(tar->archive, name, "compression-level",
						     level) != ARCHIVE_OK)
		return cli_refuse(err, -EINVAL, "usage", NULL, "--compress: no level %s for %s",
				  level, name);
	return 0;
}

static int begin_stream(struct tar *tar, struct cow_err *err)
{
	struct archive_entry *entry = archive_entry_new();
	int ret;

	if (!entry)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the tar");
	archive_entry_set_filetype(entry, AE_IFREG);
	ret = archive_write_header(tar->archive, entry) == ARCHIVE_OK ? 0 : fail(tar, err);
	archive_entry_free(entry);
	return ret;
}

/* Takes what pax.c writes. */
static int compress(void *user, const void *buf, size_t len_bytes, struct cow_err *err)
{
	struct tar *tar = user;
	la_ssize_t done = archive_write_data(tar->archive, buf, len_bytes);

	return done >= 0 && (size_t)done == len_bytes ? 0 : fail(tar, err);
}

static int set_up(struct tar *tar, struct cow_err *err)
{
	const char *level;
	int ret;

	ret = choose_compression(tar, &level, err);
	if (ret)
		return ret;
	ret = pax_new(compress, tar, &tar->pax, err);
	if (!ret && tar->params.is_plain)
		pax_set_plain(tar->pax);
	if (ret)
		return ret;
	tar->archive = archive_write_new();
	if (!tar->archive)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the tar");
	if (archive_write_set_format_raw(tar->archive) != ARCHIVE_OK)
		return fail(tar, err);
	ret = set_filter(tar, level, err);
	if (ret)
		return ret;
	/* Unbuffered: what was given is out, so that a cut is where it failed. */
	archive_write_set_bytes_per_block(tar->archive, 0);
	if (archive_write_open(tar->archive, tar, NULL, on_write, NULL) != ARCHIVE_OK)
		return fail(tar, err);
	return begin_stream(tar, err);
}

int tar_open(const struct tar_params *params, struct tar **ret_tar, struct cow_err *err)
{
	struct tar *tar = calloc(1, sizeof(*tar));
	int ret;

	if (!tar)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the tar");
	tar->params = *params;
	ret = set_up(tar, err);
	if (ret) {
		tar->is_ended = true; /* nothing begun, nothing to cut */
		tar_free(tar);
		return ret;
	}
	*ret_tar = tar;
	return 0;
}

int tar_add(struct tar *tar, const struct file_entry *entry, struct cow_err *err)
{
	return pax_add(tar->pax, entry, err);
}

struct file_entry tar_own_entry(const char *name, uint64_t len_bytes, int64_t mtime_seconds)
{
	return (struct file_entry){
		.type = FILE_REGULAR,
		.path = name,
		.mode = TAR_MODE,
		.mtime = { .seconds = mtime_seconds },
		.size_bytes = len_bytes,
	};
}

static int to_pax(void *user, const void *buf, size_t len_bytes, struct cow_err *err)
{
	struct tar *tar = user;

	return pax_put(tar->pax, buf, len_bytes, err);
}

int tar_put_text(struct tar *tar, const char *name, int64_t mtime_seconds,
		 int (*print)(const void *user, struct printer *printer, struct cow_err *err),
		 const void *user, struct cow_err *err)
{
	struct printer *text = calloc(1, sizeof(*text));
	struct file_entry entry;
	int ret;

	if (!text)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %s", name);
	ret = print(user, text, err);
	entry = tar_own_entry(name, text->len_bytes, mtime_seconds);
	*text = (struct printer){ .write = to_pax, .user = tar };
	if (!ret)
		ret = pax_begin(tar->pax, &entry, err);
	if (!ret)
		ret = print(user, text, err);
	if (!ret)
		ret = pax_end(tar->pax, err);
	free(text);
	return ret;
}

int tar_end(struct tar *tar, struct cow_err *err)
{
	int ret = pax_finish(tar->pax, err);

	if (ret)
		return ret;
	if (archive_write_finish_entry(tar->archive) != ARCHIVE_OK)
		return fail(tar, err);
	if (archive_write_close(tar->archive) != ARCHIVE_OK)
		return fail(tar, err);
	tar->is_ended = true;
	return 0;
}

/*
 * A compressor that is abandoned keeps what it has buffered, so perhaps nothing
 * was written at all, and an empty stream is an empty archive to some readers:
 * then it gets the first bytes of its format, which promise more. Without
 * compression pax_cut() ends it with a header whose data does not follow.
 */
static void cut(struct tar *tar)
{
	struct cow_err ignored = COW_ERR_INIT;

	if (!tar->write_err.code)
		(void)pax_cut(tar->pax, &ignored);
	archive_write_fail(tar->archive);
	if (!tar->nr_written_bytes && tar->compression->magic_bytes)
		tar->params.write(tar->params.user, tar->compression->magic,
				  tar->compression->magic_bytes, &ignored);
}

void tar_free(struct tar *tar)
{
	if (!tar)
		return;
	if (tar->archive && !tar->is_ended)
		cut(tar);
	if (tar->archive)
		archive_write_free(tar->archive);
	pax_free(tar->pax);
	free(tar);
}
