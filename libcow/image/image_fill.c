/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_fill.c - an image over one of unknown content that is written in
 * ascending order: what is left out is zeroed on the way, and what was not
 * written yet reads as zeros.
 */
#include <errno.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/fill.h"

struct image_fill {
	struct cow_image image;
	struct cow_image *lower;
	uint64_t done_bytes; /* below this lower holds what is meant */
};

static int fill_up_to(struct image_fill *fill, uint64_t end_bytes, struct cow_err *err)
{
	int ret;

	if (end_bytes <= fill->done_bytes)
		return 0;
	ret = cow_image_write_zeroes(fill->lower, fill->done_bytes, end_bytes - fill->done_bytes,
				     err);
	if (!ret)
		fill->done_bytes = end_bytes;
	return ret;
}

static int fill_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err)
{
	struct image_fill *fill = (struct image_fill *)image;
	uint64_t done = max_u64(fill->done_bytes, offset_bytes) - offset_bytes;
	uint64_t piece = min_u64(len_bytes, done);

	memset((uint8_t *)buf + piece, 0, len_bytes - piece);
	return cow_image_pread(fill->lower, buf, piece, offset_bytes, err);
}

static int fill_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		       uint64_t offset_bytes, struct cow_err *err)
{
	struct image_fill *fill = (struct image_fill *)image;
	int ret = fill_up_to(fill, offset_bytes, err);

	if (!ret)
		ret = cow_image_pwrite(fill->lower, buf, len_bytes, offset_bytes, err);
	if (!ret)
		fill->done_bytes = max_u64(fill->done_bytes, offset_bytes + len_bytes);
	return ret;
}

/* Beyond done_bytes zeros are what will be written anyway. */
static int fill_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			     struct cow_err *err)
{
	struct image_fill *fill = (struct image_fill *)image;

	if (offset_bytes >= fill->done_bytes)
		return 0;
	len_bytes = min_u64(len_bytes, fill->done_bytes - offset_bytes);
	return cow_image_write_zeroes(fill->lower, offset_bytes, len_bytes, err);
}

static int fill_next_data(struct cow_image *image, uint64_t offset_bytes,
			  uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err)
{
	struct image_fill *fill = (struct image_fill *)image;

	(void)err;
	*ret_offset_bytes = offset_bytes;
	*ret_len_bytes = max_u64(fill->done_bytes, offset_bytes) - offset_bytes;
	return 0;
}

static int fill_flush(struct cow_image *image, struct cow_err *err)
{
	return cow_image_flush(((struct image_fill *)image)->lower, err);
}

static void fill_close(struct cow_image *image)
{
	cow_image_close(((struct image_fill *)image)->lower);
}

static const struct image_ops fill_ops = {
	.name = "new device",
	.pread = fill_pread,
	.pwrite = fill_pwrite,
	.write_zeroes = fill_write_zeroes,
	.next_data = fill_next_data,
	.flush = fill_flush,
	.close = fill_close,
};

int cow_image_fill_new(struct cow_image *lower, struct cow_image **ret_image, struct cow_err *err)
{
	struct image_fill *fill = (struct image_fill *)calloc(1, sizeof(*fill));
	int ret = -ENOMEM;

	if (fill)
		ret = cow_image_init(&fill->image, &fill_ops, lower->name, lower->size_bytes, err);
	else
		ret = cow_fail(err, -ENOMEM, "no memory for a new image");
	if (ret) {
		free(fill);
		cow_image_close(lower);
		return ret;
	}
	fill->lower = lower;
	fill->image.is_writable = lower->is_writable;
	fill->image.is_block_device = lower->is_block_device;
	fill->image.logical_block_bytes = lower->logical_block_bytes;
	*ret_image = &fill->image;
	return 0;
}

int cow_image_fill_finish(struct cow_image *image, struct cow_err *err)
{
	return fill_up_to((struct image_fill *)image, image->size_bytes, err);
}
