/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_mirror.c - images that hold the same bytes, such as the legs of a raid1. All of
 * them are written and flushed, the first is read.
 *
 * The legs are written one after the other. The first failure ends the write, and a
 * flush is done when each leg has done its own; one that fails is final for all (I8). A
 * cut between two legs leaves them different where the job was writing. So a mirror is
 * only for jobs that write the same bytes again when they are repeated, as a merge does:
 * it forgets no exception before the flush (I1), and until then each run writes it anew.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "libcow/image/pieces.h"

struct image_mirror {
	struct cow_image image;
	struct cow_image **legs;
};

/* Runs call on each leg, "leg"; ends with the first failure. */
#define FOR_LEGS(call)                                                                             \
	({                                                                                         \
		const struct image_mirror *mirror_ = (const struct image_mirror *)image;           \
		int ret_ = 0;                                                                      \
		for (uint32_t i_ = 0; i_ < image->nr_copies && !ret_; i_++) {                      \
			struct cow_image *leg = mirror_->legs[i_];                                 \
			ret_ = (call);                                                             \
		}                                                                                  \
		ret_;                                                                              \
	})

static int mirror_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
			struct cow_err *err)
{
	return cow_image_pread(((struct image_mirror *)image)->legs[0], buf, len_bytes,
			       offset_bytes, err);
}

static int mirror_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
			 uint64_t offset_bytes, struct cow_err *err)
{
	return FOR_LEGS(cow_image_pwrite(leg, buf, len_bytes, offset_bytes, err));
}

static int mirror_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
			  uint64_t offset_bytes, struct cow_err *err)
{
	return FOR_LEGS(cow_image_pwritev(leg, iov, nr_iov, offset_bytes, err));
}

static int mirror_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err)
{
	return FOR_LEGS(cow_image_write_zeroes(leg, offset_bytes, len_bytes, err));
}

static int mirror_clone_check(struct cow_image *image, struct cow_image *source,
			      struct cow_err *err)
{
	(void)source;
	return cow_fail(err, -EOPNOTSUPP, "this kind of image (%s) cannot share extents",
			image->ops->name);
}

static int mirror_next_data(struct cow_image *image, uint64_t offset_bytes,
			    uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			    struct cow_err *err)
{
	return cow_image_next_data(((struct image_mirror *)image)->legs[0], offset_bytes,
				   ret_offset_bytes, ret_len_bytes, err);
}

static int mirror_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err)
{
	return FOR_LEGS(cow_image_discard(leg, offset_bytes, len_bytes, err));
}

static int mirror_flush(struct cow_image *image, struct cow_err *err)
{
	return cow_pieces_flush(((struct image_mirror *)image)->legs, image->nr_copies, err);
}

static int mirror_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			     struct cow_err *err)
{
	return FOR_LEGS(cow_image_drop_cache(leg, offset_bytes, len_bytes, err));
}

static void mirror_read_ahead(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes)
{
	cow_image_read_ahead(((struct image_mirror *)image)->legs[0], offset_bytes, len_bytes);
}

static int mirror_footprint(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    cow_image_range_fn *call, void *user, struct cow_err *err)
{
	return FOR_LEGS(cow_image_footprint(leg, offset_bytes, len_bytes, call, user, err));
}

static void mirror_close(struct cow_image *image)
{
	free(((struct image_mirror *)image)->legs);
}

/* ------------------------------------------------------------- comparing */

/* Where a leg has data, at or behind offset_bytes; the end of the range if not in it. */
static int data_begin(struct cow_image *image, uint64_t offset_bytes, uint64_t end_bytes,
		      uint64_t *ret_start, struct cow_err *err)
{
	const struct image_mirror *mirror = (const struct image_mirror *)image;
	uint64_t at, len;

	*ret_start = end_bytes;
	for (uint32_t i = 0; i < image->nr_copies; i++) {
		int ret = cow_image_next_data(mirror->legs[i], offset_bytes, &at, &len, err);

		if (ret)
			return ret;
		if (len)
			*ret_start = min_u64(*ret_start, at);
	}
	return 0;
}

static int refuse_difference(const struct image_mirror *mirror, uint32_t leg, uint64_t offset_bytes,
			     struct cow_err *err)
{
	uint64_t len = 1, first_bytes, other_bytes;
	const struct cow_image *first =
		cow_image_resolve(mirror->legs[0], offset_bytes, &len, &first_bytes);
	const struct cow_image *other =
		cow_image_resolve(mirror->legs[leg], offset_bytes, &len, &other_bytes);

	return cow_refuse(
		err, -EPERM, "lv-legs", "legs",
		"two of its legs differ where the merge will not write: %s at byte %" PRIu64
		" and %s at byte %" PRIu64
		"; only one of them can be right, and the kernel reads either",
		first->name, first_bytes, other->name, other_bytes);
}

static int piece_check(const struct image_mirror *mirror, uint8_t *buf, uint64_t offset_bytes,
		       size_t len_bytes, struct cow_err *err)
{
	int ret = cow_image_pread(mirror->legs[0], buf, len_bytes, offset_bytes, err);

	for (uint32_t i = 1; i < mirror->image.nr_copies && !ret; i++) {
		uint8_t *other = buf + COW_PIECE_BYTES;
		size_t at = 0;

		ret = cow_image_pread(mirror->legs[i], other, len_bytes, offset_bytes, err);
		if (ret || !memcmp(buf, other, len_bytes))
			continue;
		while (buf[at] == other[at])
			at++;
		ret = refuse_difference(mirror, i, offset_bytes + at, err);
	}
	return ret;
}

static int mirror_copies_check(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err)
{
	uint64_t end_bytes = offset_bytes + len_bytes, piece;
	/* bounded: two pieces of 1 MiB */
	AUTO_FREE uint8_t *buf = (uint8_t *)malloc(2 * COW_PIECE_BYTES);
	int ret = buf ? 0 : cow_fail(err, -ENOMEM, "no memory to compare the legs of a mirror");

	while (!ret && offset_bytes < end_bytes) {
		ret = data_begin(image, offset_bytes, end_bytes, &offset_bytes, err);
		piece = min_u64(end_bytes - offset_bytes, COW_PIECE_BYTES);
		if (!ret && piece)
			ret = piece_check((const struct image_mirror *)image, buf, offset_bytes,
					  (size_t)piece, err);
		offset_bytes += piece;
	}
	return ret;
}

/* Without resolve: what is below a byte is not one place. */
static const struct image_ops mirror_ops = {
	.name = "mirror",
	.pread = mirror_pread,
	.pwrite = mirror_pwrite,
	.pwritev = mirror_pwritev,
	.write_zeroes = mirror_write_zeroes,
	.clone_check = mirror_clone_check,
	.next_data = mirror_next_data,
	.discard = mirror_discard,
	.flush = mirror_flush,
	.drop_cache = mirror_drop_cache,
	.read_ahead = mirror_read_ahead,
	.footprint = mirror_footprint,
	.copies_check = mirror_copies_check,
	.close = mirror_close,
};

int cow_image_mirror_new(struct cow_image *const *images, size_t nr_images,
			 struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_FREE struct image_mirror *mirror = (struct image_mirror *)calloc(1, sizeof(*mirror));
	AUTO_FREE struct cow_image **legs = NULL;
	int ret;

	if (!mirror)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_pieces_adopt(images, nr_images, &legs, err);
	for (size_t i = 1; i < nr_images && !ret; i++)
		if (legs[i]->size_bytes != legs[0]->size_bytes)
			ret = cow_fail(err, -EINVAL,
				       "the legs of a mirror have %" PRIu64 " and %" PRIu64
				       " bytes: they must be of one size",
				       legs[0]->size_bytes, legs[i]->size_bytes);
	if (!ret)
		ret = cow_image_init(&mirror->image, &mirror_ops, legs[0]->name,
				     legs[0]->size_bytes, err);
	if (ret)
		return ret;
	cow_pieces_inherit(&mirror->image, legs, nr_images);
	mirror->image.nr_copies = (uint32_t)nr_images;
	mirror->legs = take_ptr(legs);
	*ret_image = &take_ptr(mirror)->image;
	return 0;
}
