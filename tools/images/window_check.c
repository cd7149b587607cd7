/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * window_check.c - compares two readings of a COW image: as a snapshot of the window,
 * and as one of the whole disk. A file system that was used since has a new
 * superblock, which lies in the first bytes of the window: the right reading has
 * an exception there, and the file system is still one with it.
 */
#include "tools/images/window_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"

/* Superblocks lie below: that of Btrfs at 64 KiB. */
#define HEAD_BYTES (UINT64_C(128) << 10)

/* The two parts of PATH@OFFSET[+LENGTH]; PATH is the caller's to free. NULL: it is
 * written in another way. */
static char *spec_split(const char *spec, uint64_t *ret_offset_bytes)
{
	const char *at = strrchr(spec, '@');
	char *number;
	bool is_window;

	if (!strncmp(spec, "file:", 5) || !at || strchr(at, ','))
		return NULL;
	number = strndup(at + 1, strcspn(at + 1, "+"));
	is_window = number && !cow_size_parse(number, ret_offset_bytes, NULL) && *ret_offset_bytes;
	free(number);
	return is_window ? strndup(spec, (size_t)(at - spec)) : NULL;
}

/* Is there an exception in the first bytes behind start? */
static bool is_touched(const struct cow_store *store, uint64_t start)
{
	struct cow_extent extent;

	return cow_store_next_extent(store, start, &extent) &&
	       extent.old_bytes < start + HEAD_BYTES;
}

/* What one reading makes of the window. */
struct reading {
	bool is_touched;
	const char *content; /* of the window in it; NULL: nothing known */
};

static int read_window(struct cow_image *below, struct cow_store *store, uint64_t offset_bytes,
		       uint64_t len_bytes, struct reading *ret_reading, struct cow_err *err)
{
	const struct cow_segment segment = { offset_bytes, len_bytes };
	struct cow_image *view = NULL, *window = NULL;
	int ret = cow_view_new(below, store, &view, err);

	if (!ret)
		ret = cow_image_window_new(view, &segment, 1, &window, err);
	if (!ret) {
		ret_reading->is_touched = is_touched(store, offset_bytes);
		ret_reading->content = cow_image_content(window);
	}
	cow_image_close(window);
	cow_image_close(view);
	return ret;
}

/* The disk as a whole, and what the store shows of it. A disk that cannot be
 * opened, or is no origin of this store, is none. */
static int read_disk(const char *path, struct cow_image *cow, uint64_t offset_bytes,
		     uint64_t len_bytes, struct reading *ret_reading, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_imageset *set = NULL;
	struct cow_image *disk = NULL;
	struct cow_store *store = NULL;
	char *spec = NULL;
	int ret = cow_imageset_new(&set, err);

	if (!ret && asprintf(&spec, "file:%s", path) < 0) {
		spec = NULL;
		ret = cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	}
	if (!ret && !cow_imageset_open(set, spec, COW_OPEN_BUSY, &disk, NULL)) {
		cow_store_args_pair(&args, roles, cow, disk);
		args.flags = COW_STORE_DAMAGED | COW_STORE_INVALID;
		if (!cow_store_open(&args, &store, NULL))
			ret = read_window(disk, store, offset_bytes, len_bytes, ret_reading, err);
	}
	cow_store_close(store);
	cow_image_close(disk);
	cow_imageset_free(set);
	free(spec);
	return ret;
}

static bool is_same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

int window_check(const char *spec, struct cow_image *origin, struct cow_image *cow,
		 struct cow_store *store, struct cow_err *err)
{
	struct reading window = { false, NULL }, disk = { false, NULL };
	const char *content = cow_image_content(origin);
	uint64_t offset_bytes;
	char *path;
	int ret;

	if (!content || cli_forced("origin"))
		return 0;
	path = spec_split(spec, &offset_bytes);
	if (!path)
		return 0;
	ret = read_window(origin, store, 0, cow_image_size(origin), &window, err);
	if (!ret)
		ret = read_disk(path, cow, offset_bytes, cow_image_size(origin), &disk, err);
	if (!ret && is_same(disk.content, content) &&
	    ((disk.is_touched && !window.is_touched) ||
	     (window.is_touched && !is_same(window.content, content))))
		ret = cli_refuse(err, -EPERM, "origin", "origin",
				 "%s seems to be the snapshot of %s as a whole, not of the part "
				 "%s: name the whole as the origin; snapdump --partition=N takes "
				 "a part of the view",
				 cow_image_name(cow), path, spec);
	free(path);
	return ret;
}
