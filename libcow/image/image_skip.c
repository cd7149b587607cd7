/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_skip.c - an image that goes on where another cannot be read: there it
 * shows the same bytes of a second image (of a snapshot's view: those of the
 * origin), or zeros, and remembers the range. What failed once is not tried
 * again: two passes over the image see the same bytes, unless it goes on
 * dying between them, and that the list tells. For reading only.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "libcow/image/salvage.h"

struct image_skip {
	struct cow_image image;
	struct cow_image *lower;
	struct cow_image *fill; /* NULL: zeros */
	struct cow_ranges bad;
	struct salvage salvage;
};

/* salvage has left zeros. */
static int fill_in(const struct image_skip *self, uint8_t *buf, uint64_t len_bytes,
		   uint64_t offset_bytes, struct cow_err *err)
{
	uint64_t end = offset_bytes + len_bytes, at = offset_bytes;
	struct cow_segment bad;
	int ret = 0;

	while (self->fill && !ret && at < end && cow_ranges_next(&self->bad, at, &bad) &&
	       bad.offset_bytes < end) {
		uint64_t len = min_u64(bad.len_bytes, end - bad.offset_bytes);

		ret = cow_image_pread(self->fill, buf + (bad.offset_bytes - offset_bytes), len,
				      bad.offset_bytes, err);
		at = bad.offset_bytes + len;
	}
	return ret;
}

static int skip_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err)
{
	const struct image_skip *self = (const struct image_skip *)image;
	int ret = cow_salvage_read(self->lower, (uint8_t *)buf, len_bytes, offset_bytes,
				   &self->salvage, err);

	return ret ? ret : fill_in(self, (uint8_t *)buf, len_bytes, offset_bytes, err);
}

/* A range that fails is data below, and stays data. */
static int skip_next_data(struct cow_image *image, uint64_t offset_bytes,
			  uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err)
{
	return cow_image_next_data(((struct image_skip *)image)->lower, offset_bytes,
				   ret_offset_bytes, ret_len_bytes, err);
}

/* What failed so far, and what is known below. */
static bool skip_next_bad(struct cow_image *image, uint64_t offset_bytes,
			  struct cow_segment *ret_range)
{
	struct image_skip *self = (struct image_skip *)image;
	bool is_found = cow_ranges_next(&self->bad, offset_bytes, ret_range);
	struct cow_segment known;

	if (!cow_image_next_bad(self->lower, offset_bytes, &known) ||
	    (is_found && ret_range->offset_bytes <= known.offset_bytes))
		return is_found;
	*ret_range = known;
	return true;
}

static void skip_close(struct cow_image *image)
{
	cow_ranges_clear(&((struct image_skip *)image)->bad);
}

static struct cow_image *skip_resolve(struct cow_image *image, uint64_t offset_bytes,
				      uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	(void)len_bytes;
	*ret_offset_bytes = offset_bytes;
	return ((struct image_skip *)image)->lower;
}

static const struct image_ops skip_ops = {
	.name = "skip",
	.pread = skip_pread,
	.next_data = skip_next_data,
	.next_bad = skip_next_bad,
	.resolve = skip_resolve,
	.shares_nothing = true, /* what is shared is not read, the bad sectors neither */
	.close = skip_close,
};

int cow_image_skip_new(struct cow_image *lower, struct cow_image *fill,
		       const struct cow_callbacks *callbacks, struct cow_image **ret_image,
		       struct cow_err *err)
{
	struct image_skip *self;
	int ret;

	if (fill && fill->size_bytes < lower->size_bytes)
		return cow_fail(err, -EINVAL,
				"%s has %" PRIu64 " bytes, too few to stand in for %s", fill->name,
				fill->size_bytes, lower->name);
	self = (struct image_skip *)calloc(1, sizeof(*self));
	if (!self)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_image_init(&self->image, &skip_ops, lower->name, lower->size_bytes, err);
	if (ret) {
		free(self);
		return ret;
	}
	self->image.logical_block_bytes = lower->logical_block_bytes;
	self->image.is_block_device = lower->is_block_device;
	self->lower = lower;
	self->fill = fill;
	self->salvage = (struct salvage){ .bad = &self->bad, .callbacks = callbacks };
	*ret_image = &self->image;
	return 0;
}

bool cow_image_skip_next(const struct cow_image *image, uint64_t offset_bytes,
			 struct cow_segment *ret_range)
{
	return image->ops == &skip_ops &&
	       cow_ranges_next(&((const struct image_skip *)image)->bad, offset_bytes, ret_range);
}
