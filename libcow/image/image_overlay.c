/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_overlay.c - keeps in memory what is written above another image, in
 * pages that are filled from it first. This is the dry run: nothing else
 * tests a flag for one. Zeroed ranges cost no memory, whatever their size.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "libcow/image/pages.h"

struct image_overlay {
	struct cow_image image;
	struct cow_image *lower;
	struct cow_pages pages;
};

static uint64_t piece_in_page(uint64_t offset_bytes, uint64_t len_bytes)
{
	return min_u64(len_bytes, COW_PAGE_BYTES - offset_bytes % COW_PAGE_BYTES);
}

/* How much from here on no page covers. */
static uint64_t absent_bytes(const struct image_overlay *overlay, uint64_t offset_bytes,
			     uint64_t len_bytes)
{
	uint64_t absent = 0;

	while (absent < len_bytes &&
	       !cow_pages_get(&overlay->pages, (offset_bytes + absent) / COW_PAGE_BYTES))
		absent += piece_in_page(offset_bytes + absent, len_bytes - absent);
	return absent;
}

static int overlay_pread(struct cow_image *image, void *buf, size_t len_bytes,
			 uint64_t offset_bytes, struct cow_err *err)
{
	struct image_overlay *overlay = (struct image_overlay *)image;
	uint8_t *to = (uint8_t *)buf;
	int ret = 0;

	while (len_bytes && !ret) {
		uint64_t piece = absent_bytes(overlay, offset_bytes, len_bytes);

		if (piece) {
			ret = cow_image_pread(overlay->lower, to, piece, offset_bytes, err);
		} else {
			piece = piece_in_page(offset_bytes, len_bytes);
			memcpy(to,
			       cow_pages_get(&overlay->pages, offset_bytes / COW_PAGE_BYTES) +
				       offset_bytes % COW_PAGE_BYTES,
			       piece);
		}
		to += piece;
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return ret;
}

/* The page for writing len_bytes into it; what else it shows comes from lower. */
static int overlay_page(struct image_overlay *overlay, uint64_t page, uint64_t len_bytes,
			uint8_t **ret_bytes, struct cow_err *err)
{
	uint64_t start_bytes = page * COW_PAGE_BYTES;
	uint64_t shown = min_u64(COW_PAGE_BYTES, overlay->image.size_bytes - start_bytes);
	bool is_new = !cow_pages_get(&overlay->pages, page);
	uint8_t filled[COW_PAGE_BYTES] = { 0 };
	uint8_t *bytes;

	/* First what may fail: a page must not appear half filled. */
	if (is_new && len_bytes < shown) {
		int ret = cow_image_pread(overlay->lower, filled, shown, start_bytes, err);

		if (ret)
			return ret;
	}
	bytes = cow_pages_make(&overlay->pages, page);
	if (!bytes)
		return cow_fail(err, -ENOMEM, "no memory to keep what is written at byte %" PRIu64,
				start_bytes);
	if (is_new)
		memcpy(bytes, filled, COW_PAGE_BYTES);
	*ret_bytes = bytes;
	return 0;
}

/* Within one page; buf NULL: zeros. */
static int overlay_put(struct image_overlay *overlay, const void *buf, uint64_t len_bytes,
		       uint64_t offset_bytes, struct cow_err *err)
{
	uint8_t *bytes;
	int ret = overlay_page(overlay, offset_bytes / COW_PAGE_BYTES, len_bytes, &bytes, err);

	if (ret)
		return ret;
	bytes += offset_bytes % COW_PAGE_BYTES;
	if (buf)
		memcpy(bytes, buf, len_bytes);
	else
		memset(bytes, 0, len_bytes);
	return 0;
}

static int overlay_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
			  uint64_t offset_bytes, struct cow_err *err)
{
	const uint8_t *from = (const uint8_t *)buf;
	int ret = 0;

	while (len_bytes && !ret) {
		uint64_t piece = piece_in_page(offset_bytes, len_bytes);

		ret = overlay_put((struct image_overlay *)image, from, piece, offset_bytes, err);
		from += piece;
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return ret;
}

static int overlay_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
				struct cow_err *err)
{
	struct image_overlay *overlay = (struct image_overlay *)image;
	int ret = 0;

	while (len_bytes && !ret) {
		uint64_t piece = piece_in_page(offset_bytes, len_bytes);

		if (piece < COW_PAGE_BYTES) {
			ret = overlay_put(overlay, NULL, piece, offset_bytes, err);
		} else {
			piece = floor_to(len_bytes, COW_PAGE_BYTES);
			if (!cow_pages_clear(&overlay->pages, offset_bytes / COW_PAGE_BYTES,
					     piece / COW_PAGE_BYTES, true))
				ret = cow_fail(err, -ENOMEM, "no memory to keep zeros");
		}
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return ret;
}

static int overlay_next_data(struct cow_image *image, uint64_t offset_bytes,
			     uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			     struct cow_err *err)
{
	struct image_overlay *overlay = (struct image_overlay *)image;
	uint64_t page, at = image->size_bytes, len = 0;
	int ret = 0;

	if (offset_bytes < overlay->lower->size_bytes)
		ret = cow_image_next_data(overlay->lower, offset_bytes, &at, &len, err);
	if (ret)
		return ret;
	if (!len)
		at = image->size_bytes;
	/* Whichever comes first; what zeros hide below is given as data, too. */
	if (cow_pages_next(&overlay->pages, offset_bytes / COW_PAGE_BYTES, &page) &&
	    max_u64(offset_bytes, page * COW_PAGE_BYTES) < at) {
		at = max_u64(offset_bytes, page * COW_PAGE_BYTES);
		len = (page + 1) * COW_PAGE_BYTES - at;
	}
	*ret_offset_bytes = at;
	*ret_len_bytes = len;
	return 0;
}

/* What reads afterwards is undefined, so nothing need change. */
static int overlay_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			   struct cow_err *err)
{
	(void)image;
	(void)offset_bytes;
	(void)len_bytes;
	(void)err;
	return 0;
}

static int overlay_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			      struct cow_err *err)
{
	struct cow_image *lower = ((struct image_overlay *)image)->lower;

	/* what was added has none */
	if (offset_bytes >= lower->size_bytes)
		return 0;
	return cow_image_drop_cache(lower, offset_bytes,
				    min_u64(len_bytes, lower->size_bytes - offset_bytes), err);
}

/* Before the first write only: the pages are counted anew. */
static int overlay_grow(struct cow_image *image, uint64_t size_bytes, struct cow_err *err)
{
	struct image_overlay *overlay = (struct image_overlay *)image;
	uint64_t old_bytes = image->size_bytes, first;
	uint8_t *bytes;
	int ret = 0;

	if (image->stats.nr_writes || image->stats.zeroed_bytes)
		return cow_fail(err, -EOPNOTSUPP, "an overlay that was written to");
	cow_pages_destroy(&overlay->pages);
	cow_pages_init(&overlay->pages, size_bytes);
	first = div_ceil(old_bytes, COW_PAGE_BYTES);
	if (old_bytes % COW_PAGE_BYTES)
		ret = overlay_page(overlay, old_bytes / COW_PAGE_BYTES, 0, &bytes, err);
	if (!ret && !cow_pages_clear(&overlay->pages, first,
				     div_ceil(size_bytes, COW_PAGE_BYTES) - first, true))
		ret = cow_fail(err, -ENOMEM, "no memory to enlarge an overlay");
	return ret;
}

static void overlay_close(struct cow_image *image)
{
	cow_pages_destroy(&((struct image_overlay *)image)->pages);
}

static const struct image_ops overlay_ops = {
	.name = "overlay",
	.pread = overlay_pread,
	.pwrite = overlay_pwrite,
	.write_zeroes = overlay_write_zeroes,
	.next_data = overlay_next_data,
	.discard = overlay_discard,
	.grow = overlay_grow,
	.drop_cache = overlay_drop_cache,
	.close = overlay_close,
};

int cow_image_overlay_new(struct cow_image *lower, struct cow_image **ret_image,
			  struct cow_err *err)
{
	struct image_overlay *overlay = (struct image_overlay *)calloc(1, sizeof(*overlay));
	int ret;

	if (!overlay)
		return cow_fail(err, -ENOMEM, "no memory for an overlay");
	ret = cow_image_init(&overlay->image, &overlay_ops, lower->name, lower->size_bytes, err);
	if (ret) {
		free(overlay);
		return ret;
	}
	overlay->lower = lower;
	cow_pages_init(&overlay->pages, lower->size_bytes);
	overlay->image.logical_block_bytes = lower->logical_block_bytes;
	overlay->image.is_writable = true;
	overlay->image.is_block_device = lower->is_block_device;
	*ret_image = &overlay->image;
	return 0;
}
