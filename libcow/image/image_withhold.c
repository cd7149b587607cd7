/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_withhold.c - an image whose first block appears last. What is written
 * there stays in memory until everything else is durable; on the image below
 * the block is zeros from the beginning. So a store that is made in place,
 * where no file can be renamed, is absent or complete, never half: its header
 * is in that block.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"

struct image_withhold {
	struct cow_image image;
	struct cow_image *lower;
	uint64_t head_bytes;
	uint8_t *head;
	bool is_released;
};

/* How much of a range lies in the head; the range begins at offset_bytes. */
static size_t in_head(const struct image_withhold *withhold, uint64_t offset_bytes,
		      uint64_t len_bytes)
{
	if (offset_bytes >= withhold->head_bytes)
		return 0;
	return (size_t)min_u64(len_bytes, withhold->head_bytes - offset_bytes);
}

static int withhold_pread(struct cow_image *image, void *buf, size_t len_bytes,
			  uint64_t offset_bytes, struct cow_err *err)
{
	struct image_withhold *withhold = (struct image_withhold *)image;
	size_t head = in_head(withhold, offset_bytes, len_bytes);

	if (head)
		memcpy(buf, withhold->head + offset_bytes, head);
	return cow_image_pread(withhold->lower, (uint8_t *)buf + head, len_bytes - head,
			       offset_bytes + head, err);
}

static int withhold_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
			   uint64_t offset_bytes, struct cow_err *err)
{
	struct image_withhold *withhold = (struct image_withhold *)image;
	size_t head = in_head(withhold, offset_bytes, len_bytes);

	if (head)
		memcpy(withhold->head + offset_bytes, buf, head);
	return cow_image_pwrite(withhold->lower, (const uint8_t *)buf + head, len_bytes - head,
				offset_bytes + head, err);
}

static int withhold_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
				 struct cow_err *err)
{
	struct image_withhold *withhold = (struct image_withhold *)image;
	size_t head = in_head(withhold, offset_bytes, len_bytes);

	if (head)
		memset(withhold->head + offset_bytes, 0, head);
	return cow_image_write_zeroes(withhold->lower, offset_bytes + head, len_bytes - head, err);
}

static int withhold_next_data(struct cow_image *image, uint64_t offset_bytes,
			      uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			      struct cow_err *err)
{
	struct image_withhold *withhold = (struct image_withhold *)image;
	size_t head = in_head(withhold, offset_bytes, withhold->head_bytes);

	if (!head)
		return cow_image_next_data(withhold->lower, offset_bytes, ret_offset_bytes,
					   ret_len_bytes, err);
	*ret_offset_bytes = offset_bytes;
	*ret_len_bytes = head;
	return 0;
}

static int withhold_flush(struct cow_image *image, struct cow_err *err)
{
	return cow_image_flush(((struct image_withhold *)image)->lower, err);
}

static int withhold_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err)
{
	return cow_image_drop_cache(((struct image_withhold *)image)->lower, offset_bytes,
				    len_bytes, err);
}

static struct cow_image *withhold_resolve(struct cow_image *image, uint64_t offset_bytes,
					  uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	struct image_withhold *withhold = (struct image_withhold *)image;
	size_t head = in_head(withhold, offset_bytes, *len_bytes);

	*ret_offset_bytes = offset_bytes;
	if (!head)
		return withhold->lower;
	*len_bytes = head;
	return image;
}

static void withhold_close(struct cow_image *image)
{
	free(((struct image_withhold *)image)->head);
}

static const struct image_ops withhold_ops = {
	.name = "withhold",
	.pread = withhold_pread,
	.pwrite = withhold_pwrite,
	.write_zeroes = withhold_write_zeroes,
	.next_data = withhold_next_data,
	.flush = withhold_flush,
	.drop_cache = withhold_drop_cache,
	.resolve = withhold_resolve,
	.close = withhold_close,
};

int cow_image_withhold_new(struct cow_image *lower, struct cow_image **ret_image,
			   struct cow_err *err)
{
	uint64_t head_bytes = min_u64(lower->logical_block_bytes, lower->size_bytes);
	AUTO_FREE struct image_withhold *withhold =
		(struct image_withhold *)calloc(1, sizeof(*withhold));
	/* bounded: 32 bits, a logical block */
	AUTO_FREE uint8_t *head = (uint8_t *)calloc(1, head_bytes + 1);
	int ret;

	if (!withhold || !head)
		return cow_fail(err, -ENOMEM, "no memory for the first block of an image");
	/* What was there before ends here, durably, before anything follows.
	 * NOTE: written, not punched out: a hole may come and go in pieces. */
	ret = cow_image_pwrite(lower, head, head_bytes, 0, err);
	if (!ret)
		ret = cow_image_flush(lower, err);
	if (!ret)
		ret = cow_image_init(&withhold->image, &withhold_ops, lower->name,
				     lower->size_bytes, err);
	if (ret)
		return ret;
	withhold->image.logical_block_bytes = lower->logical_block_bytes;
	withhold->image.is_writable = lower->is_writable;
	withhold->image.is_block_device = lower->is_block_device;
	withhold->lower = lower;
	withhold->head_bytes = head_bytes;
	withhold->head = take_ptr(head);
	*ret_image = &take_ptr(withhold)->image;
	return 0;
}

int cow_image_withhold_release(struct cow_image *image, struct cow_err *err)
{
	struct image_withhold *withhold = (struct image_withhold *)image;
	int ret;

	if (image->ops != &withhold_ops || withhold->is_released)
		return cow_fail(err, -EINVAL, "this image withholds nothing");
	ret = cow_image_flush(withhold->lower, err);
	if (!ret)
		ret = cow_image_pwrite(withhold->lower, withhold->head, withhold->head_bytes, 0,
				       err);
	if (!ret)
		ret = cow_image_flush(withhold->lower, err);
	withhold->is_released = !ret;
	return ret;
}
