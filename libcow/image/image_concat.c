/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_concat.c - several images, one after the other: evidence in pieces, a
 * logical volume over several disks. A window is pieces of one image; this is
 * whole images.
 */
#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/image/pieces.h"

struct image_concat {
	struct cow_image image;
	size_t nr_parts;
	struct cow_image **parts;
	uint64_t *starts_bytes; /* where each part begins */
};

static struct cow_image *concat_resolve(struct cow_image *image, uint64_t offset_bytes,
					uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	struct image_concat *concat = (struct image_concat *)image;
	size_t low = 0, high = concat->nr_parts;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (concat->starts_bytes[middle] <= offset_bytes)
			low = middle;
		else
			high = middle;
	}
	*ret_offset_bytes = offset_bytes - concat->starts_bytes[low];
	*len_bytes = min_u64(*len_bytes, concat->parts[low]->size_bytes - *ret_offset_bytes);
	return concat->parts[low];
}

static int concat_flush(struct cow_image *image, struct cow_err *err)
{
	struct image_concat *concat = (struct image_concat *)image;

	return cow_pieces_flush(concat->parts, concat->nr_parts, err);
}

static void concat_close(struct cow_image *image)
{
	struct image_concat *concat = (struct image_concat *)image;

	free(concat->parts);
	free(concat->starts_bytes);
}

static const struct image_ops concat_ops = {
	.name = "concatenation",
	.pread = cow_pieces_pread,
	.pwrite = cow_pieces_pwrite,
	.pwritev = cow_pieces_pwritev,
	.write_zeroes = cow_pieces_write_zeroes,
	.clone_range = cow_pieces_clone_range,
	.next_data = cow_pieces_next_data,
	.discard = cow_pieces_discard,
	.flush = concat_flush,
	.drop_cache = cow_pieces_drop_cache,
	.resolve = concat_resolve,
	.close = concat_close,
};

/* Where each part begins; the sum is the size of the whole. */
static int starts_new(struct cow_image *const *parts, size_t nr_parts, uint64_t **ret_starts,
		      uint64_t *ret_size_bytes, struct cow_err *err)
{
	AUTO_FREE uint64_t *starts = (uint64_t *)reallocarray(NULL, nr_parts, sizeof(*starts));
	uint64_t size_bytes = 0;

	if (!starts)
		return cow_fail(err, -ENOMEM, "no memory for %zu images", nr_parts);
	for (size_t i = 0; i < nr_parts; i++) {
		starts[i] = size_bytes;
		if (add_overflows(size_bytes, parts[i]->size_bytes, &size_bytes))
			return cow_fail(err, -ERANGE,
					"the sizes of the parts add up to more than 2^64 bytes");
	}
	*ret_starts = take_ptr(starts);
	*ret_size_bytes = size_bytes;
	return 0;
}

int cow_image_concat_new(struct cow_image *const *images, size_t nr_images,
			 struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_FREE struct image_concat *concat = (struct image_concat *)calloc(1, sizeof(*concat));
	AUTO_FREE struct cow_image **parts = NULL;
	AUTO_FREE uint64_t *starts = NULL;
	uint64_t size_bytes = 0;
	int ret;

	if (!concat)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_pieces_adopt(images, nr_images, &parts, err);
	if (!ret)
		ret = starts_new(parts, nr_images, &starts, &size_bytes, err);
	if (!ret)
		ret = cow_image_init(&concat->image, &concat_ops, parts[0]->name, size_bytes, err);
	if (ret)
		return ret;
	cow_pieces_inherit(&concat->image, parts, nr_images);
	concat->nr_parts = nr_images;
	concat->parts = take_ptr(parts);
	concat->starts_bytes = take_ptr(starts);
	*ret_image = &take_ptr(concat)->image;
	return 0;
}
