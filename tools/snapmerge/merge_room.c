/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_room.c - a sparse origin grows by what is merged into its holes: is there room?
 * Without, the merge would stop half-way, with an origin that is a mixture.
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "tools/snapmerge/snapmerge.h"
#include "tools/common/size_text.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* What shares extents needs no room. */
static bool may_share(const struct merge_job *job, const struct stat *origin, uint32_t type)
{
	int reflink = merge_reflink(job->options);
	struct stat cow;

	if (reflink == COW_REFLINK_NEVER)
		return false;
	return reflink == COW_REFLINK_ALWAYS ||
	       ((type == BTRFS_SUPER_MAGIC || type == XFS_SUPER_MAGIC) &&
		!stat(cow_image_name(job->operands.layers[0].cow), &cow) &&
		cow.st_dev == origin->st_dev);
}

void merge_room_look(struct merge_job *job)
{
	const char *path = cow_image_name(job->operands.origin);
	struct statfs fs;
	struct stat st;

	job->room_bytes = COW_OFFSET_NONE;
	if (job->options->sparse || stat(path, &st) || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size || statfs(path, &fs))
		return;
	if (!may_share(job, &st, (uint32_t)fs.f_type)) /* signed on 32 bit */
		job->room_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
}

/* How much of a range of the origin are holes, as far as its file system tells. */
static int holes_of(struct cow_image *origin, uint64_t at, uint64_t end, uint64_t *ret_bytes,
		    struct cow_err *err)
{
	uint64_t data, len;
	int ret;

	while (at < end) {
		ret = cow_image_next_data(origin, at, &data, &len, err);
		if (ret)
			return ret;
		if (!len || data >= end)
			data = end;
		*ret_bytes += data - at;
		at = data < end ? data + len : end;
	}
	return 0;
}

int merge_room_check(const struct merge_job *job, struct cow_err *err)
{
	struct cow_store *store = job->operands.layers[0].store;
	struct cow_image *origin = job->operands.origin;
	char need[SIZE_TEXT_BYTES], room[SIZE_TEXT_BYTES];
	uint64_t size = cow_image_size(origin), end, bytes = 0;
	struct cow_extent extent;
	int ret = 0;

	if (job->room_bytes == COW_OFFSET_NONE || cli_forced("no-space"))
		return 0;
	for (uint64_t at = 0; !ret && at < size && cow_store_next_extent(store, at, &extent);
	     at = end) {
		end = extent.old_bytes + extent.len_bytes;
		if (extent.old_bytes < size)
			ret = holes_of(origin, extent.old_bytes, end < size ? end : size, &bytes,
				       err);
	}
	if (ret || bytes <= job->room_bytes)
		return ret;
	return cli_refuse(err, -EPERM, "no-space", "no-space",
			  "%s is sparse and would grow by %s, its file system has %s left",
			  cow_image_name(origin), size_text(bytes, need),
			  size_text(job->room_bytes, room));
}
