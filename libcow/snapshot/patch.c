/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * patch.c - writing to the snapshot, in ascending order. A chunk without an
 * exception gets one; the part that is not written comes from the origin. A chunk
 * that has one is overwritten where it lies. Whole chunks are written as they
 * come; a chunk that is written in part needs 1 MiB of memory at most, whatever
 * its size.
 *
 * I3: a record becomes visible after its data is durable; the store's publish
 * sees to that. NOTE: overwriting in place is not atomic, so a patch belongs on
 * a store that is not visible yet, or whose loss is accepted.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/store.h"

/* Data and records between two publications: bounds what the store keeps. */
#define PUBLISH_CHUNKS (UINT64_C(1) << 18)
#define PUBLISH_BYTES (UINT64_C(1) << 30)

struct cow_patch {
	struct cow_store *store;
	struct cow_image *origin;
	uint64_t chunk_bytes, size_bytes;
	uint64_t next_bytes; /* everything below was written or passed */
	/* The chunk that is written in part: filled from its start up to
	 * at_bytes. at_bytes == end_bytes: there is none. */
	uint64_t at_bytes, end_bytes;
	uint64_t nr_unpublished, unpublished_bytes;
	bool is_overwritten; /* data in place, not flushed yet */
	uint8_t *buf;	     /* one piece, on demand */
	struct cow_patch_stats stats;
};

int cow_patch_new(struct cow_store *store, struct cow_image *origin, struct cow_patch **ret_patch,
		  struct cow_err *err)
{
	struct cow_patch *patch = (struct cow_patch *)calloc(1, sizeof(*patch));

	if (!patch)
		return cow_fail(err, -ENOMEM, "no memory for a patch");
	patch->store = store;
	patch->origin = origin;
	patch->chunk_bytes = store->chunk_bytes;
	patch->size_bytes = cow_store_view_bytes(store, origin);
	patch->stats = (struct cow_patch_stats)COW_PATCH_STATS_INIT;
	*ret_patch = patch;
	return 0;
}

void cow_patch_free(struct cow_patch *patch)
{
	if (!patch)
		return;
	free(patch->buf);
	free(patch);
}

static int patch_publish(struct cow_patch *patch, struct cow_err *err)
{
	patch->nr_unpublished = 0;
	patch->unpublished_bytes = 0;
	return cow_store_publish(patch->store, err);
}

/* Appends, as a hole where it can. The caller keeps to chunks. */
static int patch_append(struct cow_patch *patch, uint64_t offset_bytes, const uint8_t *buf,
			uint64_t len_bytes, struct cow_err *err)
{
	int ret = cow_store_append(patch->store, offset_bytes, buf, (size_t)len_bytes, err);

	if (ret)
		return ret;
	if (buf) {
		patch->stats.data_bytes += len_bytes;
		patch->unpublished_bytes += len_bytes;
	} else {
		patch->stats.zero_bytes += len_bytes;
	}
	return 0;
}

/* nr_chunks have become complete; none is open. */
static int patch_completed(struct cow_patch *patch, uint64_t nr_chunks, struct cow_err *err)
{
	patch->stats.nr_chunks += nr_chunks;
	patch->nr_unpublished += nr_chunks;
	if (patch->nr_unpublished < PUBLISH_CHUNKS && patch->unpublished_bytes < PUBLISH_BYTES)
		return 0;
	return patch_publish(patch, err);
}

/* Gives the open chunk one more part; buf NULL: zeros. */
static int chunk_extend(struct cow_patch *patch, const uint8_t *buf, uint64_t len_bytes,
			struct cow_err *err)
{
	int ret = patch_append(patch, patch->at_bytes, buf, len_bytes, err);

	if (ret)
		return ret;
	patch->at_bytes += len_bytes;
	return patch->at_bytes == patch->end_bytes ? patch_completed(patch, 1, err) : 0;
}

/* The origin's next bytes for the open chunk, at most a piece of them. Behind its
 * end, or without one, they are zeros. */
static int chunk_fill_piece(struct cow_patch *patch, uint64_t end_bytes, struct cow_err *err)
{
	uint64_t size = patch->origin ? patch->origin->size_bytes : 0, at = patch->at_bytes;
	uint64_t data, data_len, piece = end_bytes - at;
	int ret;

	if (at >= size)
		return chunk_extend(patch, NULL, piece, err);
	piece = min_u64(min_u64(COW_PIECE_BYTES, piece), size - at);
	ret = cow_image_next_data(patch->origin, at, &data, &data_len, err);
	if (ret)
		return ret;
	/* Holes are known to the sector at least. */
	data = floor_to(data, COW_SECTOR_BYTES);
	if (!data_len)
		return chunk_extend(patch, NULL, piece, err);
	if (data > at)
		return chunk_extend(patch, NULL, min_u64(piece, data - at), err);
	ret = cow_image_pread(patch->origin, patch->buf, (size_t)piece, at, err);
	if (ret)
		return ret;
	return chunk_extend(patch, is_all_zero(patch->buf, (size_t)piece) ? NULL : patch->buf,
			    piece, err);
}

/* Fills the open chunk with the origin's bytes up to end_bytes. */
static int chunk_fill(struct cow_patch *patch, uint64_t end_bytes, struct cow_err *err)
{
	int ret = 0;

	if (!patch->buf)
		patch->buf = (uint8_t *)malloc(COW_PIECE_BYTES);
	if (!patch->buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of 1 MiB");
	while (!ret && patch->at_bytes < end_bytes)
		ret = chunk_fill_piece(patch, end_bytes, err);
	return ret;
}

static uint64_t chunk_end(const struct cow_patch *patch, uint64_t start_bytes)
{
	return start_bytes + min_u64(patch->chunk_bytes, patch->size_bytes - start_bytes);
}

/* Writes over an exception that is there, once no other snapshot shares it. */
static int patch_overwrite(struct cow_patch *patch, struct cow_extent extent, const uint8_t *buf,
			   uint64_t len_bytes, uint64_t *ret_done_bytes, struct cow_err *err)
{
	struct cow_image *data = patch->store->data;
	int ret;

	if (patch->store->shared) {
		len_bytes = min_u64(len_bytes, PUBLISH_BYTES);
		ret = cow_store_unshare(patch->store, extent.old_bytes, len_bytes, err);
		if (ret)
			return ret;
		cow_store_next_extent(patch->store, extent.old_bytes, &extent);
		patch->nr_unpublished++;
	}
	len_bytes = *ret_done_bytes = min_u64(len_bytes, extent.len_bytes);
	patch->is_overwritten = true;
	patch->stats.overwritten_bytes += len_bytes;
	if (buf)
		return cow_image_pwrite(data, buf, (size_t)len_bytes, extent.new_bytes, err);
	return cow_image_write_zeroes(data, extent.new_bytes, len_bytes, err);
}

/*
 * Writes to chunks that have no exception, at most len_bytes; whole chunks at
 * once, else (a part of) one chunk.
 */
static int patch_add(struct cow_patch *patch, uint64_t offset_bytes, const uint8_t *buf,
		     uint64_t len_bytes, uint64_t *ret_done_bytes, struct cow_err *err)
{
	uint64_t start = floor_to(offset_bytes, patch->chunk_bytes);
	uint64_t whole = floor_to(len_bytes, patch->chunk_bytes);
	int ret;

	if (offset_bytes + len_bytes == patch->size_bytes)
		whole = len_bytes;
	/* Zeros come in any length; the store remembers every chunk of them. */
	whole = min_u64(whole, patch->chunk_bytes * PUBLISH_CHUNKS);
	if (start == offset_bytes && whole) {
		*ret_done_bytes = whole;
		ret = patch_append(patch, offset_bytes, buf, whole, err);
		return ret ? ret : patch_completed(patch, div_ceil(whole, patch->chunk_bytes), err);
	}
	*ret_done_bytes = 0;
	patch->at_bytes = start;
	patch->end_bytes = chunk_end(patch, start);
	ret = chunk_fill(patch, offset_bytes, err);
	if (ret)
		return ret;
	*ret_done_bytes = min_u64(len_bytes, patch->end_bytes - offset_bytes);
	return chunk_extend(patch, buf, *ret_done_bytes, err);
}

/* Writes the first part of a range: what lies in the open chunk, in one run of
 * exceptions, or before the next one. */
static int patch_step(struct cow_patch *patch, uint64_t offset_bytes, const uint8_t *buf,
		      uint64_t len_bytes, uint64_t *ret_done_bytes, struct cow_err *err)
{
	struct cow_extent extent;
	int ret;

	if (patch->at_bytes < patch->end_bytes) {
		*ret_done_bytes = 0;
		ret = chunk_fill(patch, min_u64(offset_bytes, patch->end_bytes), err);
		if (ret || patch->at_bytes == patch->end_bytes)
			return ret;
		*ret_done_bytes = min_u64(len_bytes, patch->end_bytes - offset_bytes);
		return chunk_extend(patch, buf, *ret_done_bytes, err);
	}
	if (cow_store_next_extent(patch->store, offset_bytes, &extent)) {
		if (extent.old_bytes <= offset_bytes)
			return patch_overwrite(patch, extent, buf,
					       min_u64(len_bytes, extent.len_bytes), ret_done_bytes,
					       err);
		len_bytes = min_u64(len_bytes, extent.old_bytes - offset_bytes);
	}
	return patch_add(patch, offset_bytes, buf, len_bytes, ret_done_bytes, err);
}

int cow_patch_write(struct cow_patch *patch, uint64_t offset_bytes, const void *buf,
		    uint64_t len_bytes, struct cow_err *err)
{
	const uint8_t *from = (const uint8_t *)buf;
	uint64_t done = 0;
	int ret = 0;

	if (!range_fits(offset_bytes, len_bytes, patch->size_bytes))
		return cow_fail(err, -ERANGE,
				"bytes %" PRIu64 " to %" PRIu64
				" of the patch lie outside of %s, which has %" PRIu64 " bytes",
				offset_bytes, offset_bytes + len_bytes, patch->origin->name,
				patch->size_bytes);
	if (offset_bytes % COW_SECTOR_BYTES || len_bytes % COW_SECTOR_BYTES ||
	    offset_bytes < patch->next_bytes)
		return cow_fail(err, -EINVAL,
				"%" PRIu64 " bytes at byte %" PRIu64 " of the patch are not whole "
				"sectors at or behind byte %" PRIu64,
				len_bytes, offset_bytes, patch->next_bytes);
	for (; len_bytes && !ret; len_bytes -= done) {
		ret = patch_step(patch, offset_bytes, from, len_bytes, &done, err);
		offset_bytes += done;
		if (from)
			from += done;
	}
	patch->next_bytes = offset_bytes;
	return ret;
}

int cow_patch_finish(struct cow_patch *patch, struct cow_err *err)
{
	int ret = 0;

	if (patch->at_bytes < patch->end_bytes)
		ret = chunk_fill(patch, patch->end_bytes, err);
	if (!ret && patch->nr_unpublished)
		ret = patch_publish(patch, err);
	if (!ret && patch->is_overwritten)
		ret = cow_image_flush(patch->store->data, err);
	if (ret)
		return ret;
	patch->is_overwritten = false;
	patch->next_bytes = 0;
	patch->at_bytes = 0;
	patch->end_bytes = 0;
	return 0;
}

int cow_patch_get_stats(const struct cow_patch *patch, struct cow_patch_stats *ret_stats)
{
	if (ret_stats->size != sizeof(*ret_stats))
		return -EINVAL;
	*ret_stats = patch->stats;
	return 0;
}
