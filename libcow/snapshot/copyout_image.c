/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * copyout_image.c - an origin as an image: what is written to it is first
 * saved in its stores (I4). So a job that knows nothing of stores can be taken
 * back: the repair of a COW image, with a store whose origin that image is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/image/image.h"
#include "libcow/snapshot/copyout.h"

struct copyout_image {
	struct cow_image image;
	struct cow_image *origin;
	struct cow_store **stores;
	size_t nr_stores;
};

struct zeroed_range {
	uint64_t from_bytes, end_bytes;
};

static bool zeroed_next(void *user, uint64_t from_bytes, uint64_t *ret_offset_bytes,
			uint64_t *ret_len_bytes)
{
	const struct zeroed_range *range = (const struct zeroed_range *)user;

	if (from_bytes >= range->end_bytes)
		return false;
	if (from_bytes < range->from_bytes)
		from_bytes = range->from_bytes;
	*ret_offset_bytes = from_bytes;
	*ret_len_bytes = range->end_bytes - from_bytes;
	return true;
}

static int copyout_pread(struct cow_image *image, void *buf, size_t len_bytes,
			 uint64_t offset_bytes, struct cow_err *err)
{
	return cow_image_pread(((struct copyout_image *)image)->origin, buf, len_bytes,
			       offset_bytes, err);
}

static int copyout_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
			  uint64_t offset_bytes, struct cow_err *err)
{
	struct copyout_image *copyout = (struct copyout_image *)image;

	return cow_copyout_write(copyout->origin, copyout->stores, copyout->nr_stores, buf,
				 len_bytes, offset_bytes, err);
}

static int copyout_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
				struct cow_err *err)
{
	struct copyout_image *copyout = (struct copyout_image *)image;
	struct zeroed_range range = { offset_bytes, offset_bytes + len_bytes };
	const struct copyout_ranges ranges = { zeroed_next, &range };
	const struct copyout_params params = { 0 };
	struct copyout_stats stats = { 0 };
	int ret;

	ret = cow_copyout_preserve(copyout->origin, copyout->stores, copyout->nr_stores, &ranges,
				   &params, &stats, err);
	if (ret)
		return ret;
	return cow_image_write_zeroes(copyout->origin, offset_bytes, len_bytes, err);
}

static int copyout_next_data(struct cow_image *image, uint64_t offset_bytes,
			     uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			     struct cow_err *err)
{
	return cow_image_next_data(((struct copyout_image *)image)->origin, offset_bytes,
				   ret_offset_bytes, ret_len_bytes, err);
}

static int copyout_flush(struct cow_image *image, struct cow_err *err)
{
	return cow_image_flush(((struct copyout_image *)image)->origin, err);
}

static int copyout_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			      struct cow_err *err)
{
	return cow_image_drop_cache(((struct copyout_image *)image)->origin, offset_bytes,
				    len_bytes, err);
}

static void copyout_close(struct cow_image *image)
{
	free(((struct copyout_image *)image)->stores);
}

static const struct image_ops copyout_ops = {
	.name = "copyout",
	.pread = copyout_pread,
	.pwrite = copyout_pwrite,
	.write_zeroes = copyout_write_zeroes,
	.next_data = copyout_next_data,
	.flush = copyout_flush,
	.drop_cache = copyout_drop_cache,
	.close = copyout_close,
};

int cow_copyout_image_new(struct cow_image *origin, struct cow_store *const *stores,
			  size_t nr_stores, struct cow_image **ret_image, struct cow_err *err)
{
	struct copyout_image *copyout = (struct copyout_image *)calloc(1, sizeof(*copyout));
	int ret;

	if (!copyout)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	/* bounded: the caller has so many */
	copyout->stores = (struct cow_store **)calloc(nr_stores + 1, sizeof(struct cow_store *));
	if (!copyout->stores) {
		free(copyout);
		return cow_fail(err, -ENOMEM, "no memory for an image");
	}
	ret = cow_image_init(&copyout->image, &copyout_ops, origin->name, origin->size_bytes, err);
	if (ret) {
		free(copyout->stores);
		free(copyout);
		return ret;
	}
	for (size_t i = 0; i < nr_stores; i++)
		copyout->stores[i] = stores[i];
	copyout->origin = origin;
	copyout->nr_stores = nr_stores;
	copyout->image.logical_block_bytes = origin->logical_block_bytes;
	copyout->image.is_writable = origin->is_writable;
	*ret_image = &copyout->image;
	return 0;
}
