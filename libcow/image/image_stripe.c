/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_stripe.c - images whose units of some size take turns, as the kernel's
 * striped target and raid0 lay them out: unit u of the whole is unit u / N of
 * image u mod N. Nothing is kept for each unit: a striped volume of 1 TiB costs
 * as much as one of 1 MiB.
 *
 * Source: drivers/md/dm-stripe.c, stripe_map_sector().
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/image/pieces.h"

struct image_stripe {
	struct cow_image image;
	size_t nr_legs;
	struct cow_image **legs;
	uint64_t unit_bytes;
};

static struct cow_image *stripe_resolve(struct cow_image *image, uint64_t offset_bytes,
					uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	struct image_stripe *stripe = (struct image_stripe *)image;
	uint64_t unit = offset_bytes / stripe->unit_bytes;
	uint64_t in_unit = offset_bytes % stripe->unit_bytes;

	*ret_offset_bytes = unit / stripe->nr_legs * stripe->unit_bytes + in_unit;
	*len_bytes = min_u64(*len_bytes, stripe->unit_bytes - in_unit);
	return stripe->legs[unit % stripe->nr_legs];
}

/* The first byte of a leg that lies at or behind offset_bytes of the whole. */
static uint64_t leg_offset(const struct image_stripe *stripe, size_t leg, uint64_t offset_bytes)
{
	uint64_t unit = offset_bytes / stripe->unit_bytes, row = unit / stripe->nr_legs;
	size_t owner = unit % stripe->nr_legs;

	if (leg == owner)
		return row * stripe->unit_bytes + offset_bytes % stripe->unit_bytes;
	return (leg > owner ? row : row + 1) * stripe->unit_bytes;
}

/* Where a byte of a leg lies in the whole; its end: the end of the whole. */
static uint64_t whole_offset(const struct image_stripe *stripe, size_t leg, uint64_t leg_bytes)
{
	uint64_t row = leg_bytes / stripe->unit_bytes;

	if (leg_bytes >= stripe->legs[leg]->size_bytes)
		return stripe->image.size_bytes;
	return (row * stripe->nr_legs + leg) * stripe->unit_bytes + leg_bytes % stripe->unit_bytes;
}

/* Where data begins, at or behind offset_bytes, in any leg. */
static int data_begin(struct image_stripe *stripe, uint64_t offset_bytes, uint64_t *ret_start,
		      struct cow_err *err)
{
	uint64_t start = stripe->image.size_bytes;

	for (size_t leg = 0; leg < stripe->nr_legs; leg++) {
		uint64_t from = leg_offset(stripe, leg, offset_bytes), at, len;
		int ret = cow_image_next_data(stripe->legs[leg], from, &at, &len, err);

		if (ret)
			return ret;
		if (len)
			start = min_u64(start, whole_offset(stripe, leg, at));
	}
	*ret_start = start;
	return 0;
}

/* Where a run of data that begins at start ends: where the first leg has none. */
static int data_end(struct image_stripe *stripe, uint64_t start, uint64_t *ret_end,
		    struct cow_err *err)
{
	uint64_t end = stripe->image.size_bytes;

	for (size_t leg = 0; leg < stripe->nr_legs; leg++) {
		uint64_t from = leg_offset(stripe, leg, start), at, len;
		int ret = cow_image_next_data(stripe->legs[leg], from, &at, &len, err);

		if (ret)
			return ret;
		if (!len || at > from)
			len = 0;
		end = min_u64(end, whole_offset(stripe, leg, from + len));
	}
	*ret_end = end;
	return 0;
}

/* Looks twice into each leg, however many units there are. */
static int stripe_next_data(struct cow_image *image, uint64_t offset_bytes,
			    uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			    struct cow_err *err)
{
	struct image_stripe *stripe = (struct image_stripe *)image;
	uint64_t start = 0, end = 0;
	int ret = data_begin(stripe, offset_bytes, &start, err);

	if (!ret)
		ret = data_end(stripe, start, &end, err);
	if (ret)
		return ret;
	*ret_offset_bytes = start;
	*ret_len_bytes = end - start;
	return 0;
}

/* A range of the whole is one range of each leg. */
static int stripe_footprint(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    cow_image_range_fn *call, void *user, struct cow_err *err)
{
	struct image_stripe *stripe = (struct image_stripe *)image;
	int ret = 0;

	for (size_t leg = 0; leg < stripe->nr_legs && !ret; leg++) {
		uint64_t start = leg_offset(stripe, leg, offset_bytes);
		uint64_t end = leg_offset(stripe, leg, offset_bytes + len_bytes);

		if (end > start)
			ret = cow_image_footprint(stripe->legs[leg], start, end - start, call, user,
						  err);
	}
	return ret;
}

static int stripe_flush(struct cow_image *image, struct cow_err *err)
{
	struct image_stripe *stripe = (struct image_stripe *)image;

	return cow_pieces_flush(stripe->legs, stripe->nr_legs, err);
}

static void stripe_close(struct cow_image *image)
{
	free(((struct image_stripe *)image)->legs);
}

static const struct image_ops stripe_ops = {
	.name = "stripes",
	.pread = cow_pieces_pread,
	.pwrite = cow_pieces_pwrite,
	.pwritev = cow_pieces_pwritev,
	.write_zeroes = cow_pieces_write_zeroes,
	.clone_range = cow_pieces_clone_range,
	.next_data = stripe_next_data,
	.discard = cow_pieces_discard,
	.flush = stripe_flush,
	.drop_cache = cow_pieces_drop_cache,
	.resolve = stripe_resolve,
	.footprint = stripe_footprint,
	.close = stripe_close,
};

static int stripe_check(struct cow_image *const *legs, size_t nr_legs, uint64_t unit_bytes,
			uint64_t *ret_size_bytes, struct cow_err *err)
{
	if (!unit_bytes || unit_bytes % COW_SECTOR_BYTES)
		return cow_fail(err, -EINVAL,
				"stripes of %" PRIu64 " bytes: not a multiple of 512 bytes",
				unit_bytes);
	for (size_t i = 0; i < nr_legs; i++) {
		if (legs[i]->size_bytes != legs[0]->size_bytes)
			return cow_fail(err, -EINVAL,
					"\"%s\" has %" PRIu64 " bytes, \"%s\" has %" PRIu64
					"; images with stripes must be of one size",
					legs[0]->name, legs[0]->size_bytes, legs[i]->name,
					legs[i]->size_bytes);
		if (legs[i]->size_bytes % unit_bytes)
			return cow_fail(err, -EINVAL,
					"\"%s\" has %" PRIu64
					" bytes: not a multiple of the stripe, %" PRIu64 " bytes",
					legs[i]->name, legs[i]->size_bytes, unit_bytes);
	}
	if (mul_overflows(legs[0]->size_bytes, nr_legs, ret_size_bytes))
		return cow_fail(err, -ERANGE, "the stripes add up to more than 2^64 bytes");
	return 0;
}

int cow_image_stripe_new(struct cow_image *const *images, size_t nr_images, uint64_t unit_bytes,
			 struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_FREE struct image_stripe *stripe = (struct image_stripe *)calloc(1, sizeof(*stripe));
	AUTO_FREE struct cow_image **legs = NULL;
	uint64_t size_bytes = 0;
	int ret;

	if (!stripe)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_pieces_adopt(images, nr_images, &legs, err);
	if (!ret)
		ret = stripe_check(legs, nr_images, unit_bytes, &size_bytes, err);
	if (!ret)
		ret = cow_image_init(&stripe->image, &stripe_ops, legs[0]->name, size_bytes, err);
	if (ret)
		return ret;
	cow_pieces_inherit(&stripe->image, legs, nr_images);
	stripe->nr_legs = nr_images;
	stripe->unit_bytes = unit_bytes;
	stripe->legs = take_ptr(legs);
	*ret_image = &take_ptr(stripe)->image;
	return 0;
}
