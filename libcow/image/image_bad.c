/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_bad.c - an image in which some ranges count as unreadable. On a copy
 * that ddrescue made they hold zeros, which must not be taken for data. A
 * read that touches one fails with -EIO and names the first such byte. All
 * else goes to the image below; what is written to a bad range gets there and
 * cannot be read back.
 *
 * With COW_BAD_PATCHED it can be read, because something stands in for it: then
 * checks and repairs know that it is not what it was, and a sector that is
 * written is good.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "libcow/image/ranges.h"

struct image_bad {
	struct cow_image image;
	struct cow_image *lower;
	struct cow_ranges bad;
};

static struct cow_image *lower_of(struct cow_image *image)
{
	return ((struct image_bad *)image)->lower;
}

static int bad_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err)
{
	const struct image_bad *self = (const struct image_bad *)image;
	struct cow_segment bad;
	int ret;

	if (image->is_patched || !cow_ranges_next(&self->bad, offset_bytes, &bad) ||
	    bad.offset_bytes - offset_bytes >= len_bytes)
		return cow_image_pread(self->lower, buf, len_bytes, offset_bytes, err);
	ret = cow_fail(err, -EIO,
		       "read failed at byte %" PRIu64 ": %" PRIu64
		       " bytes there count as unreadable",
		       bad.offset_bytes, bad.len_bytes);
	cow_err_place(err, image->name, bad.offset_bytes);
	return ret;
}

/* A whole sector that was written holds data again, and counts as readable. */
static int mend(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		struct cow_err *err)
{
	uint64_t start = ceil_to(offset_bytes, COW_SECTOR_BYTES);
	uint64_t end = floor_to(offset_bytes + len_bytes, COW_SECTOR_BYTES);

	if (!image->is_patched || end <= start)
		return 0;
	return cow_ranges_remove(&((struct image_bad *)image)->bad, start, end - start, err);
}

static int bad_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		      uint64_t offset_bytes, struct cow_err *err)
{
	int ret = cow_image_pwrite(lower_of(image), buf, len_bytes, offset_bytes, err);

	return ret ? ret : mend(image, offset_bytes, len_bytes, err);
}

static int bad_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
		       uint64_t offset_bytes, struct cow_err *err)
{
	int ret = cow_image_pwritev(lower_of(image), iov, nr_iov, offset_bytes, err);
	uint64_t len_bytes = 0;

	for (size_t i = 0; i < nr_iov; i++)
		len_bytes += iov[i].iov_len;
	return ret ? ret : mend(image, offset_bytes, len_bytes, err);
}

static int bad_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    struct cow_err *err)
{
	int ret = cow_image_write_zeroes(lower_of(image), offset_bytes, len_bytes, err);

	return ret ? ret : mend(image, offset_bytes, len_bytes, err);
}

/* A bad range is no hole, whatever is below: it must be met. */
static int bad_next_data(struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			 uint64_t *ret_len_bytes, struct cow_err *err)
{
	const struct image_bad *self = (const struct image_bad *)image;
	struct cow_segment bad;
	int ret;

	ret = cow_image_next_data(self->lower, offset_bytes, ret_offset_bytes, ret_len_bytes, err);
	if (ret || !cow_ranges_next(&self->bad, offset_bytes, &bad) ||
	    (*ret_len_bytes && *ret_offset_bytes <= bad.offset_bytes))
		return ret;
	*ret_offset_bytes = bad.offset_bytes;
	*ret_len_bytes = bad.len_bytes;
	return 0;
}

static bool bad_next_bad(struct cow_image *image, uint64_t offset_bytes,
			 struct cow_segment *ret_range)
{
	return cow_ranges_next(&((struct image_bad *)image)->bad, offset_bytes, ret_range);
}

static int bad_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		       struct cow_err *err)
{
	return cow_image_discard(lower_of(image), offset_bytes, len_bytes, err);
}

static int bad_flush(struct cow_image *image, struct cow_err *err)
{
	return cow_image_flush(lower_of(image), err);
}

static int bad_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err)
{
	return cow_image_drop_cache(lower_of(image), offset_bytes, len_bytes, err);
}

/* A bad range resolves to no image: its extents must not be shared either. */
static struct cow_image *bad_resolve(struct cow_image *image, uint64_t offset_bytes,
				     uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	const struct image_bad *self = (const struct image_bad *)image;
	struct cow_segment bad;

	*ret_offset_bytes = offset_bytes;
	if (!cow_ranges_next(&self->bad, offset_bytes, &bad))
		return self->lower;
	if (bad.offset_bytes > offset_bytes) {
		*len_bytes = min_u64(*len_bytes, bad.offset_bytes - offset_bytes);
		return self->lower;
	}
	*len_bytes = min_u64(*len_bytes, bad.len_bytes);
	return image;
}

static void bad_close(struct cow_image *image)
{
	cow_ranges_clear(&((struct image_bad *)image)->bad);
}

static const struct image_ops bad_ops = {
	.name = "bad",
	.pread = bad_pread,
	.pwrite = bad_pwrite,
	.pwritev = bad_pwritev,
	.write_zeroes = bad_write_zeroes,
	.next_data = bad_next_data,
	.next_bad = bad_next_bad,
	.discard = bad_discard,
	.flush = bad_flush,
	.drop_cache = bad_drop_cache,
	.resolve = bad_resolve,
	.close = bad_close,
};

/* Whole sectors, within the image. */
static int add_range(struct cow_ranges *bad, const struct cow_segment *range, uint64_t size_bytes,
		     struct cow_err *err)
{
	uint64_t start = floor_to(range->offset_bytes, COW_SECTOR_BYTES), end;

	if (add_overflows(range->offset_bytes, range->len_bytes, &end) || end > size_bytes)
		end = size_bytes;
	end = ceil_to(end, COW_SECTOR_BYTES);
	return start < end ? cow_ranges_add(bad, start, end - start, err) : 0;
}

int cow_image_bad_new(struct cow_image *lower, const struct cow_segment *ranges, size_t nr_ranges,
		      uint32_t flags, struct cow_image **ret_image, struct cow_err *err)
{
	struct image_bad *self;
	int ret;

	if (flags & ~COW_BAD_PATCHED)
		return cow_fail(err, -EINVAL, "unknown flags %" PRIx32, flags);
	self = (struct image_bad *)calloc(1, sizeof(*self));
	if (!self)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_image_init(&self->image, &bad_ops, lower->name, lower->size_bytes, err);
	for (size_t i = 0; !ret && i < nr_ranges; i++)
		ret = add_range(&self->bad, &ranges[i], lower->size_bytes, err);
	if (ret) {
		cow_ranges_clear(&self->bad);
		free(self->image.name);
		free(self);
		return ret;
	}
	self->image.logical_block_bytes = lower->logical_block_bytes;
	self->image.is_writable = lower->is_writable;
	self->image.is_block_device = lower->is_block_device;
	self->image.is_patched = flags & COW_BAD_PATCHED;
	self->lower = lower;
	*ret_image = &self->image;
	return 0;
}
