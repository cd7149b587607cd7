/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * used.c - which bytes of a COW image say something: what a copy of a dying
 * one must have. Memory: 16 bytes for each run of exceptions.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/store.h"

static int compare(const void *a_, const void *b_)
{
	const struct cow_segment *a = (const struct cow_segment *)a_;
	const struct cow_segment *b = (const struct cow_segment *)b_;

	return a->offset_bytes < b->offset_bytes ? -1 : a->offset_bytes > b->offset_bytes;
}

/* Fills in what there is room for; returns how many there are. */
static size_t collect(const struct cow_store *store, struct cow_segment *segments, size_t room)
{
	struct cow_segment metadata;
	struct cow_extent extent;
	uint64_t at = 0;
	size_t nr = 0;

	for (; cow_store_metadata_range(store, nr, &metadata); nr++)
		if (nr < room)
			segments[nr] = metadata;
	for (; cow_store_next_extent(store, at, &extent); nr++) {
		if (nr < room)
			segments[nr] = (struct cow_segment){ extent.new_bytes, extent.len_bytes };
		at = extent.old_bytes + extent.len_bytes;
	}
	return nr;
}

int cow_store_used(const struct cow_store *store,
		   int (*range)(void *user, uint64_t offset_bytes, uint64_t len_bytes), void *user,
		   struct cow_err *err)
{
	uint64_t start = 0, end = 0, size = store->data->size_bytes;
	size_t nr = collect(store, NULL, 0);
	/* bounded: the runs in memory, and their areas */
	AUTO_FREE struct cow_segment *segments =
		(struct cow_segment *)calloc(nr + 1, sizeof(*segments));
	int ret = 0;

	if (!segments)
		return cow_fail(err, -ENOMEM, "no memory for %zu ranges", nr);
	collect(store, segments, nr);
	qsort(segments, nr, sizeof(*segments), compare);
	for (size_t i = 0; i < nr && ret >= 0 && segments[i].offset_bytes < size; i++) {
		if (segments[i].offset_bytes > end) {
			if (end > start)
				ret = range(user, start, end - start);
			start = segments[i].offset_bytes;
		}
		end = min_u64(size, max_u64(end, segments[i].offset_bytes + segments[i].len_bytes));
	}
	if (ret >= 0 && end > start)
		ret = range(user, start, end - start);
	return ret < 0 ? cow_fail(err, ret, "stopped by the caller") : 0;
}
