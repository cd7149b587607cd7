/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * copyout.c - saves origin data into the stores that lack it. Order: data of
 * all stores, records of all stores, each durable, then the origin (I4).
 */
#include "libcow/snapshot/copyout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

#define BUFFER_BYTES_DEFAULT (UINT64_C(64) << 20)
#define PUBLISH_BYTES_DEFAULT (UINT64_C(1) << 30)

/* A walk over what one store still lacks. */
struct walk {
	const struct cow_store *store;
	const struct copyout_ranges *ranges;
	uint64_t origin_bytes;
	uint64_t from_bytes; /* everything below has been seen */
};

bool cow_copyout_next_of_store(void *user, uint64_t from_bytes, uint64_t *ret_offset_bytes,
			       uint64_t *ret_len_bytes)
{
	struct cow_extent extent;

	if (!cow_store_next_extent(user, from_bytes, &extent))
		return false;
	*ret_offset_bytes = extent.old_bytes;
	*ret_len_bytes = extent.len_bytes;
	return true;
}

/* Rounds up to whole chunks, but not beyond the end of the origin (I11). */
static uint64_t chunk_end(const struct walk *walk, uint64_t end_bytes)
{
	uint64_t rounded;

	if (align_up_overflows(end_bytes, walk->store->chunk_bytes, &rounded))
		return walk->origin_bytes;
	return min_u64(rounded, walk->origin_bytes);
}

/*
 * Finds the next stretch of whole chunks that ranges touch and that has no
 * exception. The exceptions are walked as runs, so neither a large range nor a
 * large run costs more than one step.
 */
static bool walk_next(struct walk *walk, uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes)
{
	uint64_t chunk_bytes = walk->store->chunk_bytes;
	uint64_t offset, len, start, end;
	struct cow_extent saved;

	while (walk->from_bytes < walk->origin_bytes &&
	       walk->ranges->next(walk->ranges->user, walk->from_bytes, &offset, &len) &&
	       offset < walk->origin_bytes) {
		start = max_u64(floor_to(offset, chunk_bytes), walk->from_bytes);
		end = chunk_end(walk, len > walk->origin_bytes - offset ? walk->origin_bytes
									: offset + len);
		if (cow_store_next_extent(walk->store, start, &saved)) {
			if (saved.old_bytes <= start) {
				walk->from_bytes = chunk_end(walk, start + saved.len_bytes);
				continue;
			}
			end = min_u64(end, saved.old_bytes);
		}
		walk->from_bytes = end;
		*ret_offset_bytes = start;
		*ret_len_bytes = end - start;
		return true;
	}
	return false;
}

uint64_t cow_copyout_count(const struct cow_store *store, uint64_t origin_bytes,
			   const struct copyout_ranges *ranges)
{
	struct walk walk = { .store = store, .ranges = ranges, .origin_bytes = origin_bytes };
	uint64_t offset, len, nr_chunks = 0;

	while (walk_next(&walk, &offset, &len))
		nr_chunks += div_ceil(len, store->chunk_bytes);
	return nr_chunks;
}

struct saving {
	struct cow_image *origin;
	struct cow_store *store;
	const struct copyout_params *params;
	struct copyout_stats *stats;
	uint8_t *buffer;
	uint64_t buffer_bytes;
	uint64_t unpublished_bytes;
	uint64_t done_bytes, total_bytes;
};

static int publish(struct saving *saving, struct cow_err *err)
{
	saving->unpublished_bytes = 0;
	return cow_store_publish(saving->store, err);
}

/* Copies a stretch of whole chunks out, a buffer at a time. */
static int save_stretch(struct saving *saving, uint64_t offset, uint64_t len, struct cow_err *err)
{
	uint64_t chunk_bytes = saving->store->chunk_bytes;
	uint64_t publish_bytes = saving->params->publish_bytes;
	uint64_t done, piece;
	int ret;

	for (done = 0; done < len; done += piece) {
		piece = min_u64(saving->buffer_bytes, len - done);
		ret = cow_image_pread(saving->origin, saving->buffer, piece, offset + done, err);
		if (!ret)
			ret = cow_store_append(saving->store, offset + done, saving->buffer, piece,
					       err);
		if (ret)
			return ret;
		saving->done_bytes += piece;
		saving->unpublished_bytes += piece;
		saving->stats->bytes += piece;
		ret = cow_callbacks_progress(saving->params->callbacks, "preserve",
					     saving->done_bytes, saving->total_bytes, err);
		if (ret)
			return ret;
		if (saving->unpublished_bytes >= publish_bytes &&
		    (done + piece) % chunk_bytes == 0) {
			ret = publish(saving, err);
			if (ret)
				return ret;
		}
	}
	saving->stats->nr_chunks += div_ceil(len, chunk_bytes);
	return 0;
}

static int save_store(struct saving *saving, const struct copyout_ranges *ranges,
		      struct cow_err *err)
{
	struct walk walk = { .store = saving->store,
			     .ranges = ranges,
			     .origin_bytes = cow_image_size(saving->origin) };
	uint64_t offset, len;
	int ret;

	while (walk_next(&walk, &offset, &len)) {
		ret = save_stretch(saving, offset, len, err);
		if (ret)
			return ret;
	}
	return publish(saving, err);
}

/* A power of two, as chunks are: a piece never ends within a chunk unless the
 * chunk is larger than the buffer. */
static uint64_t buffer_size(uint64_t wanted_bytes)
{
	if (wanted_bytes < COW_SECTOR_BYTES)
		return BUFFER_BYTES_DEFAULT;
	return UINT64_C(1) << (63 - __builtin_clzll(wanted_bytes));
}

int cow_copyout_preserve(struct cow_image *origin, struct cow_store *const *stores,
			 size_t nr_stores, const struct copyout_ranges *ranges,
			 const struct copyout_params *params, struct copyout_stats *stats,
			 struct cow_err *err)
{
	struct copyout_params with_defaults = *params;
	AUTO_FREE uint8_t *buffer = NULL;
	struct saving saving = { .origin = origin, .params = &with_defaults, .stats = stats };
	int ret;

	if (!with_defaults.publish_bytes)
		with_defaults.publish_bytes = PUBLISH_BYTES_DEFAULT;
	saving.buffer_bytes = buffer_size(params->buffer_bytes);
	for (size_t i = 0; i < nr_stores; i++) {
		uint64_t nr_chunks = cow_copyout_count(stores[i], cow_image_size(origin), ranges);

		saving.total_bytes += nr_chunks * stores[i]->chunk_bytes;
		ret = cow_store_reserve(stores[i], nr_chunks, err);
		if (ret)
			return ret;
	}
	if (!saving.total_bytes)
		return 0;
	buffer = aligned_alloc(COW_BUFFER_ALIGN, ceil_to(saving.buffer_bytes, COW_BUFFER_ALIGN));
	if (!buffer)
		return cow_fail(err, -ENOMEM, "no memory for a buffer of %" PRIu64 " bytes",
				saving.buffer_bytes);
	saving.buffer = buffer;
	for (size_t i = 0; i < nr_stores; i++) {
		saving.store = stores[i];
		ret = save_store(&saving, ranges, err);
		if (ret)
			return ret;
	}
	return 0;
}

struct one_range {
	uint64_t offset_bytes, len_bytes;
};

static bool one_range_next(void *user, uint64_t from_bytes, uint64_t *ret_offset_bytes,
			   uint64_t *ret_len_bytes)
{
	const struct one_range *range = user;
	uint64_t end = range->offset_bytes + range->len_bytes;

	if (from_bytes >= end)
		return false;
	*ret_offset_bytes = max_u64(from_bytes, range->offset_bytes);
	*ret_len_bytes = end - *ret_offset_bytes;
	return true;
}

int cow_copyout_write(struct cow_image *origin, struct cow_store *const *stores, size_t nr_stores,
		      const void *buf, size_t len_bytes, uint64_t offset_bytes, struct cow_err *err)
{
	struct one_range range = { offset_bytes, len_bytes };
	const struct copyout_ranges ranges = { one_range_next, &range };
	const struct copyout_params params = { .buffer_bytes = COW_PIECE_BYTES };
	struct copyout_stats stats = { 0 };
	int ret;

	if (!range_fits(offset_bytes, len_bytes, cow_image_size(origin)))
		return cow_fail(err, -ERANGE,
				"%zu bytes at offset %" PRIu64 " lie outside the origin of %" PRIu64
				" bytes",
				len_bytes, offset_bytes, cow_image_size(origin));
	ret = cow_copyout_preserve(origin, stores, nr_stores, &ranges, &params, &stats, err);
	if (ret)
		return ret;
	return cow_image_pwrite(origin, buf, len_bytes, offset_bytes, err);
}
