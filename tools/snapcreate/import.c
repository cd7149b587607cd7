/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * import.c - applies exports to a new store, one after the other, and compares
 * digests after each.
 */
#include "tools/snapcreate/import.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "tools/snapcreate/import_data.h"
#include "tools/tar/tar_read.h"

/* What is told by the export that is read at present. */
struct export
{
	struct import *import;
	struct tar_reader *tar;
	const char *name;
	const char *before;   /* name of the export before; NULL: none */
	struct delta delta;   /* no ranges: a --tar */
	struct manifest said; /* its manifest */
	bool is_delta;
	size_t cursor; /* ranges come to is_changed() in order */
};

static int bad_export(const struct export *export, const char *what, struct cow_err *err)
{
	return cli_refuse(err, -EMEDIUMTYPE, "not-an-export", NULL,
			  "%s: %s: not written by snapdump --tar or --delta", export->name, what);
}

/* The next member must be this one. */
static int next_member(struct export *export, const char *wanted, uint64_t *ret_len_bytes,
		       struct cow_err *err)
{
	const char *name;
	int ret = tar_reader_next(export->tar, &name, ret_len_bytes, err);

	if (ret || (name && !strcmp(name, wanted)))
		return ret;
	if (!name)
		return cli_refuse(err, -EIO, "tar", NULL,
				  "%s: ends where %s should be: the export failed or was cut",
				  export->name, wanted);
	return bad_export(export, "another member where one of ours should be", err);
}

static int check_size(const struct export *export, uint64_t bytes, struct cow_err *err)
{
	uint64_t origin_bytes = cow_image_size(export->import->origin);

	if (bytes == origin_bytes)
		return 0;
	return cli_refuse(err, -EPERM, "size", NULL,
			  "%s is about a view of %" PRIu64 " bytes, but the origin has %" PRIu64
			  "; without an origin: zero:%" PRIu64,
			  export->name, bytes, origin_bytes, bytes);
}

/* Does the delta apply to what there is? */
static int check_parent(struct export *export, struct cow_err *err)
{
	struct import *import = export->import;
	struct manifest_scan scan = { .callbacks = import->callbacks };
	char wanted[MANIFEST_HEX_BYTES], found[MANIFEST_HEX_BYTES];
	int ret;

	if (!import->has_now) {
		ret = manifest_scan(&import->now, import->origin, &scan, err);
		if (ret)
			return ret;
		import->has_now = true;
	}
	if (!memcmp(export->delta.parent, import->now.digest, COW_DIGEST_BYTES))
		return 0;
	manifest_hex(export->delta.parent, wanted);
	manifest_hex(import->now.digest, found);
	if (export->before)
		return cli_refuse(
			err, -EPERM, "gap", NULL,
			"%s continues a view with digest %s, but %s ends with %s: a delta "
			"between the two is missing, or the order is wrong",
			export->name, wanted, export->before, found);
	if (export->delta.is_reverse)
		return cli_refuse(err, -EPERM, "parent", NULL,
				  "%s is a reverse delta: it applies to the old state, an image "
				  "with digest %s, but %s has %s",
				  export->name, wanted, cow_image_name(import->origin), found);
	return cli_refuse(err, -EPERM, "parent", NULL,
			  "%s applies to an image with digest %s, but %s has %s: not what it was "
			  "made from, or changed since, or a delta before it is missing",
			  export->name, wanted, cow_image_name(import->origin), found);
}

static int read_manifest(struct export *export, struct cow_err *err)
{
	struct byte_source source = tar_reader_source(export->tar);
	const struct manifest *said = &export->said;
	uint64_t len;
	const char *name;
	int ret = next_member(export, MANIFEST_MEMBER, &len, err);

	if (!ret)
		ret = manifest_read(&export->said, &source, err);
	if (ret)
		return ret;
	if (said->view_bytes != cow_image_size(export->import->origin) ||
	    said->has_parent != export->is_delta || said->is_reverse != export->delta.is_reverse ||
	    (export->is_delta && (memcmp(said->parent, export->delta.parent, COW_DIGEST_BYTES) ||
				  memcmp(said->digest, export->delta.digest, COW_DIGEST_BYTES))))
		return bad_export(export, "the manifest belongs to another export", err);
	export->import->is_doubtful |= said->is_doubtful;
	/* To the end: a pipe's writer is not to be cut off, and a checksum of the
	 * compression comes last. */
	ret = tar_reader_next(export->tar, &name, &len, err);
	if (!ret && name)
		return bad_export(export, "something follows the manifest", err);
	return ret;
}

/* Is a range of the manifest touched by the delta? Asked in ascending order. */
static bool is_changed(void *user, uint64_t index)
{
	struct export *export = user;
	const struct delta *delta = &export->delta;
	uint64_t start = index * COW_MANIFEST_RANGE_BYTES;

	while (export->cursor < delta->nr_ranges &&
	       delta->ranges[export->cursor].offset_bytes +
			       delta->ranges[export->cursor].len_bytes <=
		       start)
		export->cursor++;
	return export->cursor < delta->nr_ranges &&
	       delta->ranges[export->cursor].offset_bytes < start + COW_MANIFEST_RANGE_BYTES;
}

/* Reads the view back and compares it with what the manifest says. */
static int verify(struct export *export, struct cow_err *err)
{
	struct import *import = export->import;
	struct manifest_scan scan = { .callbacks = import->callbacks };
	struct cow_image *view = NULL;
	struct manifest found = { 0 };
	uint64_t index;
	int ret;

	if (export->is_delta) {
		scan.known = &import->now;
		scan.changed = is_changed;
		scan.user = export;
	}
	ret = cow_view_new(import->origin, import->store, &view, err);
	if (!ret)
		ret = manifest_scan(&found, view, &scan, err);
	cow_image_close(view);
	if (!ret && manifest_next_change(&export->said, &found, 0, &index))
		ret = cli_refuse(
			err, -EIO, "digest", NULL,
			"%s: bytes %" PRIu64 " to %" PRIu64
			" of the view are not what its manifest says: the export is damaged",
			export->name, index * COW_MANIFEST_RANGE_BYTES,
			(index + 1) * COW_MANIFEST_RANGE_BYTES - 1);
	manifest_clear(&import->now);
	import->now = found;
	import->has_now = true;
	return ret;
}

static int import_data(struct export *export, uint64_t len_bytes, struct cow_err *err)
{
	struct import *import = export->import;
	struct import_data data = {
		.tar = export->tar,
		.origin = import->origin,
		.store = import->store,
		.delta = export->is_delta ? &export->delta : NULL,
		.chunk_bytes = import->chunk_bytes,
		.callbacks = import->callbacks,
	};
	int ret = check_size(export, len_bytes, err);

	if (!ret)
		ret = import_data_run(&data, err);
	import->nr_chunks += data.nr_chunks;
	import->data_bytes += data.data_bytes;
	return ret;
}

static int import_delta(struct export *export, struct cow_err *err)
{
	struct byte_source source = tar_reader_source(export->tar);
	uint64_t len;
	int ret;

	export->is_delta = true;
	ret = delta_read_head(&export->delta, &source, err);
	if (!ret)
		ret = check_size(export, export->delta.view_bytes, err);
	if (!ret)
		ret = check_parent(export, err);
	if (!ret)
		ret = next_member(export, DELTA_RANGES_MEMBER, &len, err);
	if (!ret)
		ret = delta_read_ranges(&export->delta, &source, err);
	if (!ret)
		ret = next_member(export, DELTA_DATA_MEMBER, &len, err);
	return ret ? ret : import_data(export, len, err);
}

static int import_members(struct export *export, struct cow_err *err)
{
	const char *name;
	uint64_t len;
	int ret = tar_reader_next(export->tar, &name, &len, err);

	if (ret)
		return ret;
	if (!name)
		return bad_export(export, "an empty tar", err);
	if (!strcmp(name, DELTA_HEAD_MEMBER)) {
		ret = import_delta(export, err);
	} else if (strcmp(name, VIEW_MEMBER)) {
		return bad_export(export, "an unknown first member", err);
	} else if (export->before) {
		return cli_refuse(err, -EPERM, "gap", NULL,
				  "%s is a whole view, not a delta: it can only be the first",
				  export->name);
	} else {
		ret = import_data(export, len, err);
	}
	if (!ret)
		ret = read_manifest(export, err);
	if (ret)
		return ret;
	if (export->import->store)
		return verify(export, err);
	/* A dry run takes the manifest's word. */
	manifest_clear(&export->import->now);
	export->import->now = export->said;
	export->import->has_now = true;
	export->said = (struct manifest){ 0 };
	return 0;
}

int import_stream(struct import *import, struct tar_reader *tar, const char *before,
		  struct cow_err *err)
{
	struct export export = {
		.import = import,
		.tar = tar,
		.name = tar_reader_name(tar),
		.before = before,
	};
	int ret = import_members(&export, err);

	delta_clear(&export.delta);
	manifest_clear(&export.said);
	return ret;
}

int import_files_open(struct import_files *files, const char *const *paths, size_t nr_paths,
		      struct cow_err *err)
{
	int ret = 0;

	files->paths = paths;
	files->nr_files = 0;
	/* bounded: by argc */
	files->fds = calloc(nr_paths + 1, sizeof(*files->fds));
	if (!files->fds)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu files",
				  nr_paths);
	for (size_t i = 0; !ret && i < nr_paths; i++) {
		ret = byte_source_open(paths[i], &files->fds[i], err);
		if (!ret)
			files->nr_files++;
	}
	return ret;
}

void import_files_close(struct import_files *files)
{
	for (size_t i = 0; i < files->nr_files; i++)
		if (files->fds[i] > STDIN_FILENO)
			close(files->fds[i]);
	free(files->fds);
	*files = (struct import_files){ 0 };
}

static int import_one(struct import *import, const char *path, int fd, const char *before,
		      struct cow_err *err)
{
	struct tar_reader *tar = NULL;
	int ret = tar_reader_open(path, fd, &tar, err);

	if (!ret)
		ret = import_stream(import, tar, before, err);
	tar_reader_close(tar);
	return ret;
}

int import_run(struct import *import, struct import_files *files, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < files->nr_files; i++) {
		int fd = files->fds[i];

		files->fds[i] = -1; /* the reader closes it */
		ret = import_one(import, files->paths[i], fd, i ? files->paths[i - 1] : NULL, err);
	}
	return ret;
}

void import_clear(struct import *import)
{
	manifest_clear(&import->now);
}
