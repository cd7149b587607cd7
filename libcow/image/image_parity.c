/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_parity.c - the data of a raid4 or raid5 whose legs are all there: as stripes,
 * but in each row one leg has the parity of the others, which is passed over. It is
 * read only: a write would have to change the parity with the data, in one step.
 *
 * Source: drivers/md/raid5.c, raid5_compute_sector().
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/image/pieces.h"

struct image_parity {
	struct cow_image image;
	enum image_parity_layout layout;
	size_t nr_legs;
	struct cow_image **legs;
	uint64_t unit_bytes, row_bytes; /* of the data of a row */
};

/* Which leg has the parity of a row. */
static size_t parity_leg(const struct image_parity *parity, uint64_t row)
{
	switch (parity->layout) {
	case IMAGE_PARITY_LEFT_ASYMMETRIC:
	case IMAGE_PARITY_LEFT_SYMMETRIC:
		return parity->nr_legs - 1 - row % parity->nr_legs;
	case IMAGE_PARITY_RIGHT_ASYMMETRIC:
	case IMAGE_PARITY_RIGHT_SYMMETRIC:
		return row % parity->nr_legs;
	case IMAGE_PARITY_FIRST:
		return 0;
	case IMAGE_PARITY_LAST:
		break;
	}
	return parity->nr_legs - 1;
}

/* Which leg has a data unit of a row: round from the parity on, or passing over it. */
static size_t data_leg(const struct image_parity *parity, uint64_t row, size_t in_row)
{
	size_t p = parity_leg(parity, row);

	if (parity->layout == IMAGE_PARITY_LEFT_SYMMETRIC ||
	    parity->layout == IMAGE_PARITY_RIGHT_SYMMETRIC)
		return (p + 1 + in_row) % parity->nr_legs;
	return in_row < p ? in_row : in_row + 1;
}

static struct cow_image *parity_resolve(struct cow_image *image, uint64_t offset_bytes,
					uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	struct image_parity *parity = (struct image_parity *)image;
	uint64_t row = offset_bytes / parity->row_bytes;
	uint64_t in_row = offset_bytes % parity->row_bytes;
	uint64_t in_unit = in_row % parity->unit_bytes;

	*ret_offset_bytes = row * parity->unit_bytes + in_unit;
	*len_bytes = min_u64(*len_bytes, parity->unit_bytes - in_unit);
	return parity->legs[data_leg(parity, row, in_row / parity->unit_bytes)];
}

/* Where a row begins in the whole; its end, behind the last. */
static uint64_t row_offset(const struct image_parity *parity, uint64_t row)
{
	return min_u64(row * parity->row_bytes, parity->image.size_bytes);
}

/* Rows in which no leg has data, its parity included, have none. Of others all counts as
 * data as far as the longest run of a leg goes that begins in the first of them. */
static int parity_next_data(struct cow_image *image, uint64_t offset_bytes,
			    uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			    struct cow_err *err)
{
	struct image_parity *parity = (struct image_parity *)image;
	uint64_t first = offset_bytes / parity->row_bytes, start = UINT64_MAX, end = 0;

	for (size_t leg = 0; leg < parity->nr_legs; leg++) {
		uint64_t at, len, row;
		int ret = cow_image_next_data(parity->legs[leg], first * parity->unit_bytes, &at,
					      &len, err);

		if (ret)
			return ret;
		row = at / parity->unit_bytes;
		if (!len || row > start)
			continue;
		if (row < start)
			end = 0;
		start = row;
		end = max_u64(end, div_ceil(at + len, parity->unit_bytes));
	}
	if (start == UINT64_MAX)
		start = end = parity->legs[0]->size_bytes / parity->unit_bytes;
	*ret_offset_bytes = max_u64(offset_bytes, row_offset(parity, start));
	*ret_len_bytes = row_offset(parity, end) - *ret_offset_bytes;
	return 0;
}

/* Whole rows of each leg: what is read, and the parity that belongs to it. */
static int parity_footprint(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    cow_image_range_fn *call, void *user, struct cow_err *err)
{
	struct image_parity *parity = (struct image_parity *)image;
	uint64_t start = offset_bytes / parity->row_bytes * parity->unit_bytes;
	uint64_t end = div_ceil(offset_bytes + len_bytes, parity->row_bytes) * parity->unit_bytes;
	int ret = 0;

	for (size_t leg = 0; leg < parity->nr_legs && !ret && end > start; leg++)
		ret = cow_image_footprint(parity->legs[leg], start, end - start, call, user, err);
	return ret;
}

static void parity_close(struct cow_image *image)
{
	free(((struct image_parity *)image)->legs);
}

static const struct image_ops parity_ops = {
	.name = "stripes with parity",
	.pread = cow_pieces_pread,
	.next_data = parity_next_data,
	.drop_cache = cow_pieces_drop_cache,
	.resolve = parity_resolve,
	.footprint = parity_footprint,
	.close = parity_close,
};

static int parity_check(struct cow_image *const *legs, size_t nr_legs, uint64_t unit_bytes,
			uint64_t *ret_size_bytes, struct cow_err *err)
{
	if (nr_legs < 2 || !unit_bytes || unit_bytes % COW_SECTOR_BYTES)
		return cow_fail(err, -EINVAL,
				"%zu legs with units of %" PRIu64 " bytes: no raid with parity",
				nr_legs, unit_bytes);
	for (size_t i = 0; i < nr_legs; i++)
		if (legs[i]->size_bytes != legs[0]->size_bytes || legs[i]->size_bytes % unit_bytes)
			return cow_fail(err, -EINVAL,
					"\"%s\" has %" PRIu64
					" bytes: the legs must be of one size, a multiple of "
					"%" PRIu64 " bytes",
					legs[i]->name, legs[i]->size_bytes, unit_bytes);
	if (mul_overflows(legs[0]->size_bytes, nr_legs - 1, ret_size_bytes))
		return cow_fail(err, -ERANGE, "the legs add up to more than 2^64 bytes");
	return 0;
}

int cow_image_parity_new(struct cow_image *const *images, size_t nr_images, uint64_t unit_bytes,
			 enum image_parity_layout layout, struct cow_image **ret_image,
			 struct cow_err *err)
{
	AUTO_FREE struct image_parity *parity = (struct image_parity *)calloc(1, sizeof(*parity));
	AUTO_FREE struct cow_image **legs = NULL;
	uint64_t size_bytes = 0;
	int ret;

	if (!parity)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_pieces_adopt(images, nr_images, &legs, err);
	if (!ret)
		ret = parity_check(legs, nr_images, unit_bytes, &size_bytes, err);
	if (!ret)
		ret = cow_image_init(&parity->image, &parity_ops, legs[0]->name, size_bytes, err);
	if (ret)
		return ret;
	cow_pieces_inherit(&parity->image, legs, nr_images);
	parity->image.is_writable = false;
	parity->layout = layout;
	parity->nr_legs = nr_images;
	parity->unit_bytes = unit_bytes;
	parity->row_bytes = unit_bytes * (nr_images - 1); /* at most the size */
	parity->legs = take_ptr(legs);
	*ret_image = &take_ptr(parity)->image;
	return 0;
}
