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

/* The disk as a whole. One that cannot be opened, or that this store does not fit
 * into, is none. */
struct disk {
	struct cow_imageset *set;
	struct cow_image *image;
	struct cow_store *store; /* NULL: see above */
};

static int disk_open(struct disk *disk, const char *path, struct cow_image *cow,
		     struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[2];
	char *spec = NULL;
	int ret = cow_imageset_new(&disk->set, err);

	if (ret)
		return ret;
	if (asprintf(&spec, "file:%s", path) < 0)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	if (!cow_imageset_open(disk->set, spec, COW_OPEN_BUSY, &disk->image, NULL)) {
		cow_store_args_pair(&args, roles, cow, disk->image);
		args.flags = COW_STORE_DAMAGED | COW_STORE_INVALID;
		(void)cow_store_open(&args, &disk->store, NULL);
	}
	free(spec);
	return 0;
}

static void disk_close(struct disk *disk)
{
	cow_store_close(disk->store);
	cow_image_close(disk->image);
	cow_imageset_free(disk->set);
}

static bool is_same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* Only the disk has room for all exceptions. */
static bool reaches_beyond(const struct cow_store *store, uint64_t window_bytes,
			   uint64_t disk_bytes)
{
	struct cow_extent extent;

	return cow_store_next_extent(store, window_bytes, &extent) &&
	       !cow_store_next_extent(store, disk_bytes, &extent);
}

/* Does the window begin with what it should in the reading of the disk alone? */
static bool begins_on_disk(const char *content, const struct reading *window,
			   const struct reading *disk)
{
	if (!disk->content)
		return false;
	if (disk->is_touched && !window->is_touched)
		return true;
	return !window->content || (window->is_touched && is_same(disk->content, content) &&
				    !is_same(window->content, content));
}

static int compare(struct disk *disk, const struct cow_image_place *place, struct cow_image *origin,
		   struct cow_store *store, bool *ret_is_of_disk, struct cow_err *err)
{
	struct reading in_window = { false, NULL }, on_disk = { false, NULL };
	uint64_t len = place->len_bytes;
	int ret;

	*ret_is_of_disk = reaches_beyond(disk->store, cow_image_size(origin), place->size_bytes);
	if (*ret_is_of_disk || !store || !place->offset_bytes)
		return 0;
	ret = read_window(origin, store, 0, len, &in_window, err);
	if (!ret)
		ret = read_window(disk->image, disk->store, place->offset_bytes, len, &on_disk,
				  err);
	*ret_is_of_disk = !ret && begins_on_disk(cow_image_content(origin), &in_window, &on_disk);
	return ret;
}

bool window_is_part(struct cow_image *origin)
{
	struct cow_image_place place = COW_IMAGE_PLACE_INIT;

	return !cow_image_get_place(origin, 0, &place) && place.size_bytes > cow_image_size(origin);
}

int window_check(struct cow_image *origin, struct cow_image *cow, struct cow_store *store,
		 struct cow_err *err)
{
	struct cow_image_place place = COW_IMAGE_PLACE_INIT;
	struct disk disk = { NULL, NULL, NULL };
	bool is_of_disk = false;
	int ret;

	if (cli_forced("origin") || !window_is_part(origin) ||
	    cow_image_get_place(origin, 0, &place))
		return 0;
	ret = disk_open(&disk, place.name, cow, err);
	if (!ret && disk.store)
		ret = compare(&disk, &place, origin, store, &is_of_disk, err);
	disk_close(&disk);
	if (!is_of_disk)
		return ret;
	return cli_refuse(
		err, -EPERM, "origin", "origin",
		"%s seems to be the snapshot of %s as a whole, not of the part %s: name "
		"the whole as the origin; snapdump --partition=N takes a part of the view",
		cow_image_name(cow), place.name, cow_image_name(origin));
}
