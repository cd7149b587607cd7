/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fill.c - a store made from the difference of two images, and how large it
 * would be. The store is filled through a patch, in whole chunks; chunks above
 * 1 MiB are compared in pieces, and the patch completes them from the base,
 * so that no chunk is ever in memory.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/engine/diff.h"
#include "libcow/store/store.h"

COW_DEFINE_AUTO(patch, struct cow_patch *, cow_patch_free);

static int fill_piece(void *user, enum diff_kind kind, uint64_t offset_bytes, const uint8_t *buf,
		      uint64_t len_bytes, struct cow_err *err)
{
	struct cow_patch *patch = (struct cow_patch *)user;

	return cow_patch_write(patch, offset_bytes, kind == DIFF_ZERO ? NULL : buf, len_bytes, err);
}

/* What is compared at once: a chunk, or a part of one, never parts of two. */
static uint64_t granule_of(uint64_t chunk_bytes)
{
	if (chunk_bytes <= COW_PIECE_BYTES)
		return chunk_bytes;
	return min_u64(chunk_bytes & -chunk_bytes, COW_PIECE_BYTES);
}

int cow_diff_fill_over(struct cow_store *store, struct cow_image *under, struct cow_image *base,
		       struct cow_image *image, const struct cow_callbacks *callbacks,
		       struct cow_patch_stats *ret_stats, struct cow_err *err)
{
	AUTO_HANDLE(patch) struct cow_patch *patch = NULL;
	struct diff_walk_params walk = {
		.phase = "store",
		.granule_bytes = granule_of(store->chunk_bytes),
		.callbacks = callbacks,
		.piece = fill_piece,
	};
	int ret;

	ret = cow_params_check(ret_stats->size, sizeof(*ret_stats), 0, 0, "struct cow_patch_stats",
			       err);
	if (!ret)
		ret = cow_patch_new(store, under, &patch, err);
	if (ret)
		return ret;
	walk.user = patch;
	ret = cow_diff_walk(base, image, &walk, err);
	if (!ret)
		ret = cow_patch_finish(patch, err);
	if (!ret)
		cow_patch_get_stats(patch, ret_stats);
	return ret;
}

int cow_diff_fill(struct cow_store *store, struct cow_image *base, struct cow_image *image,
		  const struct cow_callbacks *callbacks, struct cow_patch_stats *ret_stats,
		  struct cow_err *err)
{
	if (!cow_store_is_empty(store))
		return cow_fail(err, -EINVAL,
				"a store that has exceptions cannot be filled, only an empty one");
	return cow_diff_fill_over(store, base, base, image, callbacks, ret_stats, err);
}

struct measure {
	uint64_t chunk_bytes;
	uint64_t end_bytes; /* of the last chunk that was counted */
	struct cow_diff_size size;
};

/* NOTE: of a chunk above 1 MiB, what the base completes it with counts as
 * data, though the patch may find holes there. */
static int measure_piece(void *user, enum diff_kind kind, uint64_t offset_bytes, const uint8_t *buf,
			 uint64_t len_bytes, struct cow_err *err)
{
	struct measure *measure = (struct measure *)user;
	uint64_t start = max_u64(floor_to(offset_bytes, measure->chunk_bytes), measure->end_bytes);
	uint64_t end = offset_bytes + len_bytes;

	(void)buf;
	(void)err;
	if (measure->chunk_bytes <= COW_PIECE_BYTES && kind == DIFF_DATA)
		measure->size.data_bytes += len_bytes;
	if (end <= start)
		return 0;
	measure->size.nr_chunks += div_ceil(end - start, measure->chunk_bytes);
	measure->end_bytes =
		start + div_ceil(end - start, measure->chunk_bytes) * measure->chunk_bytes;
	if (measure->chunk_bytes > COW_PIECE_BYTES)
		measure->size.data_bytes += measure->end_bytes - start;
	return 0;
}

int cow_diff_measure(struct cow_image *base, struct cow_image *image,
		     const struct cow_create_params *params, const struct cow_callbacks *callbacks,
		     struct cow_diff_size *ret_size, struct cow_err *err)
{
	struct cow_create_params create = *params;
	struct measure measure = { .size = COW_DIFF_SIZE_INIT };
	struct diff_walk_params walk = {
		.phase = "measure",
		.callbacks = callbacks,
		.piece = measure_piece,
		.user = &measure,
	};
	int ret;

	ret = cow_params_check(ret_size->size, sizeof(*ret_size), 0, 0, "struct cow_diff_size",
			       err);
	/* I7: the chunk size is checked before anything is read. */
	create.origin_bytes = 0;
	if (!ret)
		ret = cow_create_size(&create, &measure.size.required_bytes, err);
	if (ret)
		return ret;
	measure.chunk_bytes = params->chunk_bytes ? params->chunk_bytes : COW_CHUNK_BYTES_DEFAULT;
	walk.granule_bytes = min_u64(measure.chunk_bytes, COW_PIECE_BYTES);
	ret = cow_diff_walk(base, image, &walk, err);
	if (ret)
		return ret;
	/* A store without exceptions has room for one all the same. */
	if (mul_overflows(max_u64(measure.size.nr_chunks, 1), measure.chunk_bytes,
			  &create.origin_bytes))
		return cow_fail(err, -ERANGE, "%" PRIu64 " chunks are too many for a COW image",
				measure.size.nr_chunks);
	ret = cow_create_size(&create, &measure.size.required_bytes, err);
	if (!ret)
		*ret_size = measure.size;
	return ret;
}
