/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * tar_read.c - reads a tar through libarchive, member after member.
 *
 * libarchive 3.6 uses some of what it allocates without a look: the entry in
 * archive_read_next_header(3), and what archive_read_open(3) and
 * archive_read_open_memory(3) note down. So the entry is ours, and the callback is
 * set in steps that say when they failed.
 */
#include "tools/tar/tar_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "tools/common/byte_source.h"
#include "tools/common/cli.h"

#define READ_BYTES (256 * 1024)
/* Enough to tell a compression. */
#define HEAD_BYTES 8

struct tar_reader {
	struct archive *archive;
	struct archive_entry *entry;
	const char *name;
	int fd;
	int read_code;	       /* errno of a read that failed */
	uint64_t read_bytes;   /* of the file */
	bool is_begun;	       /* a first header was understood */
	uint64_t entry_bytes;  /* of this member */
	uint64_t offset_bytes; /* of the end of the block before */
	const char *rest;      /* of a block that a text did not take */
	size_t rest_bytes;
	const void *memory; /* the tar lies there, not in a file */
	bool has_head;	    /* the file begins with what is in buf; the memory is to come */
	size_t head_bytes;  /* of the memory: all */
	char buf[READ_BYTES];
};

static la_ssize_t on_read(struct archive *archive, void *user, const void **ret_buf)
{
	struct tar_reader *reader = user;
	struct cow_err err = COW_ERR_INIT;
	size_t got = reader->head_bytes;

	*ret_buf = reader->memory ? reader->memory : reader->buf;
	if (reader->has_head) {
		reader->has_head = false;
		return (la_ssize_t)got;
	}
	if (reader->memory)
		return 0;
	if (byte_source_read_fd(reader->fd, reader->name, "io", reader->buf, sizeof(reader->buf),
				&got, &err)) {
		reader->read_code = -err.code;
		archive_set_error(archive, -err.code, "%s", strerror(-err.code));
		return -1;
	}
	reader->read_bytes += (uint64_t)got;
	return (la_ssize_t)got;
}

/* libarchive could not go on: the system's reason, else the tar's. */
static int fail(struct tar_reader *reader, struct cow_err *err)
{
	int code = reader->is_begun ? -EIO : -EMEDIUMTYPE;
	const char *id = reader->is_begun ? "tar" : "not-a-tar";
	const char *what = reader->is_begun ? "the tar is damaged or was cut" : "not a tar";
	const char *reason = archive_error_string(reader->archive);

	if (cli_interrupted())
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	if (archive_errno(reader->archive) == ENOMEM)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory to read a tar");
	if (reader->read_code)
		return cli_refuse(err, -EIO, "io", NULL, "%s: cannot read at byte %" PRIu64 ": %s",
				  reader->name, reader->read_bytes, strerror(reader->read_code));
	/* It has words for all that can be wrong with a tar. */
	if (!reason)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL,
				  "%s: libarchive cannot go on and gives no reason, as when it "
				  "finds no memory",
				  reader->name);
	return cli_refuse(err, code, id, NULL, "%s: %s: %s", reader->name, what, reason);
}

/* Compressions by how they begin. */
static const struct magic {
	size_t len;
	const char *bytes;
	int filter;
} magics[] = {
	{ 2, "\x1f\x8b", ARCHIVE_FILTER_GZIP },
	{ 3, "BZh", ARCHIVE_FILTER_BZIP2 },
	{ 6, "\3757zXZ", ARCHIVE_FILTER_XZ },
	{ 4, "\x28\xb5\x2f\xfd", ARCHIVE_FILTER_ZSTD },
	{ 4, "\x04\x22\x4d\x18", ARCHIVE_FILTER_LZ4 },
};

/*
 * One compression at most, the one that the first bytes name: libarchive by itself
 * would look for 25 inside each other, each with a window of its own, and start
 * programs for some.
 */
static int filter_choose(struct archive *archive, const char *head, size_t len_bytes)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (len_bytes >= magics[i].len && !memcmp(head, magics[i].bytes, magics[i].len))
			return archive_read_append_filter(archive, magics[i].filter);
	return ARCHIVE_OK;
}

static int set_up(struct tar_reader *reader)
{
	reader->archive = archive_read_new();
	reader->entry = archive_entry_new();
	if (!reader->archive || !reader->entry ||
	    archive_read_support_format_tar(reader->archive) != ARCHIVE_OK)
		return -ENOMEM;
	return 0;
}

/* head: how the file begins. */
static int begin(struct tar_reader *reader, const void *head, size_t len_bytes, struct cow_err *err)
{
	struct archive *archive = reader->archive;

	if (filter_choose(archive, head, len_bytes) >= ARCHIVE_WARN &&
	    archive_read_set_read_callback(archive, on_read) == ARCHIVE_OK &&
	    archive_read_set_callback_data(archive, reader) == ARCHIVE_OK &&
	    archive_read_open1(archive) == ARCHIVE_OK)
		return 0;
	return fail(reader, err);
}

/* The first bytes of a file, which may come in pieces. */
static int head_read(struct tar_reader *reader, struct cow_err *err)
{
	size_t got = 1;
	int ret = 0;

	while (!ret && got && reader->head_bytes < HEAD_BYTES) {
		ret = byte_source_read_fd(reader->fd, reader->name, "io",
					  reader->buf + reader->head_bytes,
					  sizeof(reader->buf) - reader->head_bytes, &got, err);
		if (!ret)
			reader->head_bytes += got;
	}
	if (ret && ret != -ECANCELED)
		ret = cli_refuse(err, ret, "io", NULL, "%s: cannot read at byte %zu: %s",
				 reader->name, reader->head_bytes, strerror(-ret));
	reader->read_bytes = reader->head_bytes;
	reader->has_head = reader->head_bytes;
	return ret;
}

static int reader_new(const char *name, int fd, struct tar_reader **ret_reader, struct cow_err *err)
{
	struct tar_reader *reader = calloc(1, sizeof(*reader));

	if (reader) {
		reader->fd = fd;
		reader->name = name;
	}
	if (!reader || set_up(reader)) {
		if (!reader && fd > STDIN_FILENO)
			close(fd);
		tar_reader_close(reader);
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory to read a tar");
	}
	*ret_reader = reader;
	return 0;
}

int tar_reader_open(const char *path, int fd, struct tar_reader **ret_reader, struct cow_err *err)
{
	int ret = reader_new(strcmp(path, "-") ? path : "standard input", fd, ret_reader, err);

	if (ret)
		return ret;
	ret = head_read(*ret_reader, err);
	if (!ret)
		ret = begin(*ret_reader, (*ret_reader)->buf, (*ret_reader)->head_bytes, err);
	if (!ret)
		return 0;
	tar_reader_close(*ret_reader);
	*ret_reader = NULL;
	return ret;
}

int tar_reader_open_memory(const void *buf, size_t len_bytes, struct tar_reader **ret_reader,
			   struct cow_err *err)
{
	int ret = reader_new("memory", -1, ret_reader, err);

	if (ret)
		return ret;
	(*ret_reader)->memory = buf;
	(*ret_reader)->head_bytes = len_bytes;
	(*ret_reader)->has_head = len_bytes;
	ret = begin(*ret_reader, buf, len_bytes, err);
	if (!ret)
		return 0;
	tar_reader_close(*ret_reader);
	*ret_reader = NULL;
	return ret;
}

void tar_reader_close(struct tar_reader *reader)
{
	if (!reader)
		return;
	archive_read_free(reader->archive);
	archive_entry_free(reader->entry);
	if (reader->fd > STDIN_FILENO)
		close(reader->fd);
	free(reader);
}

const char *tar_reader_name(const struct tar_reader *reader)
{
	return reader->name;
}

int tar_reader_next(struct tar_reader *reader, const char **ret_name, uint64_t *ret_len_bytes,
		    struct cow_err *err)
{
	int got = archive_read_next_header2(reader->archive, reader->entry);
	const char *name;

	*ret_name = NULL;
	*ret_len_bytes = 0;
	reader->offset_bytes = 0;
	reader->rest_bytes = 0;
	if (got == ARCHIVE_EOF)
		return 0;
	if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
		return fail(reader, err);
	reader->is_begun = true;
	name = archive_entry_pathname(reader->entry);
	if (!name || archive_entry_filetype(reader->entry) != AE_IFREG ||
	    archive_entry_hardlink(reader->entry) || archive_entry_size(reader->entry) < 0)
		name = "";
	reader->entry_bytes = (uint64_t)archive_entry_size(reader->entry);
	*ret_name = strncmp(name, "./", 2) ? name : name + 2;
	*ret_len_bytes = reader->entry_bytes;
	return 0;
}

int tar_reader_block(struct tar_reader *reader, const void **ret_buf, size_t *ret_len_bytes,
		     uint64_t *ret_offset_bytes, struct cow_err *err)
{
	la_int64_t offset;
	size_t len;
	int got;

	do {
		got = archive_read_data_block(reader->archive, ret_buf, &len, &offset);
		if (got == ARCHIVE_EOF) {
			*ret_len_bytes = 0;
			return 0;
		}
		if (got != ARCHIVE_OK)
			return fail(reader, err);
	} while (!len);
	/* The map of a sparse member is the tar's word. */
	if (offset < 0 || (uint64_t)offset < reader->offset_bytes || len > reader->entry_bytes ||
	    (uint64_t)offset > reader->entry_bytes - len)
		return cli_refuse(err, -EIO, "tar", NULL,
				  "%s: a sparse member whose parts do not ascend or do not fit: "
				  "%zu bytes at %" PRId64 " of %" PRIu64,
				  reader->name, len, (int64_t)offset, reader->entry_bytes);
	reader->offset_bytes = (uint64_t)offset + len;
	*ret_len_bytes = len;
	*ret_offset_bytes = (uint64_t)offset;
	return 0;
}

static int source_read(void *user, void *buf, size_t len_bytes, size_t *ret_len_bytes,
		       struct cow_err *err)
{
	struct tar_reader *reader = user;
	const void *block = NULL;
	uint64_t offset;

	if (!reader->rest_bytes) {
		uint64_t at = reader->offset_bytes;
		int ret = tar_reader_block(reader, &block, &reader->rest_bytes, &offset, err);

		if (ret) {
			reader->rest_bytes = 0;
			return ret;
		}
		if (reader->rest_bytes && offset != at)
			return cli_refuse(err, -EIO, "tar", NULL,
					  "%s: a hole in a member that is a text", reader->name);
		reader->rest = block;
	}
	if (len_bytes > reader->rest_bytes)
		len_bytes = reader->rest_bytes;
	if (len_bytes) {
		memcpy(buf, reader->rest, len_bytes);
		reader->rest += len_bytes;
	}
	reader->rest_bytes -= len_bytes;
	*ret_len_bytes = len_bytes;
	return 0;
}

struct byte_source tar_reader_source(struct tar_reader *reader)
{
	return (struct byte_source){ source_read, reader, reader->name };
}
