/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * skip.c - merges past sectors that cannot be read: finds the exceptions that
 * they touch, and leaves exactly these in the store.
 */
#include "libcow/engine/skip.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"

/* How many bytes of a run of exceptions belong to the target (I11). */
static uint64_t run_bytes(const struct cow_store *store, const struct exmap_run *run)
{
	uint64_t start = chunk_to_bytes(run->old_chunk, store->chunk_bytes);

	return min_u64(chunk_to_bytes(run->nr_chunks, store->chunk_bytes),
		       store->target->size_bytes - start);
}

/* Counts the chunks of a run in which bad bytes lie. */
static uint64_t run_count(const struct cow_store *store, const struct exmap_run *run,
			  uint64_t *ret_bytes)
{
	uint64_t chunk_bytes = store->chunk_bytes;
	uint64_t start = chunk_to_bytes(run->new_chunk, chunk_bytes);
	uint64_t end = start + run_bytes(store, run), at = start, nr = 0, last;
	struct cow_segment bad;

	while (at < end && cow_image_next_bad(store->data, at, &bad) && bad.offset_bytes < end) {
		if (!nr)
			*ret_bytes = bad.offset_bytes;
		last = min_u64(bad.offset_bytes + bad.len_bytes, end) - 1;
		nr += chunk_of(last, chunk_bytes) - chunk_of(bad.offset_bytes, chunk_bytes) + 1;
		/* on with the next chunk: this one is counted */
		at = chunk_to_bytes(chunk_of(last, chunk_bytes) + 1, chunk_bytes);
	}
	return nr;
}

static uint64_t count_known(const struct cow_store *store, uint64_t *ret_bytes)
{
	struct cow_segment bad;
	struct exmap_run run;
	uint64_t nr = 0, from = 0, ignored;

	if (!cow_image_next_bad(store->data, 0, &bad))
		return 0;
	for (; cow_store_map_next(store, from, &run); from = run.old_chunk + run.nr_chunks)
		nr += run_count(store, &run, nr ? &ignored : ret_bytes);
	return nr;
}

int cow_skip_check(const struct cow_store *store, bool skips, uint64_t *ret_nr_bad,
		   struct cow_err *err)
{
	uint64_t bytes = 0;
	int ret;

	*ret_nr_bad = 0;
	/* Known where what is moved lies, only by kinds that can go past it. */
	if (cow_store_allows(store, STORE_JOB_SKIP, NULL))
		return 0;
	*ret_nr_bad = count_known(store, &bytes);
	if (!*ret_nr_bad || skips)
		return 0;
	ret = cow_refuse(err, -EPERM, "bad-cow", NULL,
			 "%" PRIu64 " exceptions have data that counts as unreadable, the first at "
			 "byte %" PRIu64 " of %s: a merge would stop there half-way; "
			 "--skip-unreadable goes on",
			 *ret_nr_bad, bytes, store->data->name);
	cow_err_place(err, store->data->name, bytes);
	return ret;
}

/* The chunks that ranges touch; how many there are, and as many as there is
 * room for. */
static uint64_t chunks_of(const struct cow_store *store, const struct cow_ranges *ranges,
			  uint64_t *chunks, uint64_t room)
{
	uint64_t nr = 0, next = 0, end = 0;
	struct cow_segment range;

	while (cow_ranges_next(ranges, end, &range)) {
		uint64_t chunk = max_u64(chunk_of(range.offset_bytes, store->chunk_bytes), next);

		end = range.offset_bytes + range.len_bytes;
		next = chunk_of(end - 1, store->chunk_bytes) + 1;
		for (; chunk < next; chunk++, nr++)
			if (nr < room)
				chunks[nr] = chunk;
	}
	return nr;
}

static int tell(const struct cow_ranges *untouched, const struct cow_merge_params *params,
		struct cow_err *err)
{
	struct cow_segment range;
	uint64_t at = 0;
	int ret = 0;

	while (params->skipped && !ret && cow_ranges_next(untouched, at, &range)) {
		at = range.offset_bytes + range.len_bytes;
		ret = params->skipped(params->user, range.offset_bytes, range.len_bytes, err);
	}
	return ret;
}

int cow_skip_forget(struct cow_store *store, const struct cow_ranges *untouched,
		    const struct cow_merge_params *params, uint64_t *ret_nr_bad,
		    struct cow_err *err)
{
	uint64_t nr = chunks_of(store, untouched, NULL, 0);
	AUTO_FREE uint64_t *chunks = NULL;
	size_t bytes;
	int ret;

	/* a few runs may be more chunks than 32 bits count */
	if (!memory_overflows(nr, sizeof(*chunks), sizeof(*chunks), &bytes))
		chunks = (uint64_t *)malloc(bytes);
	if (!chunks)
		return cow_fail(err, -ENOMEM, "no memory for %" PRIu64 " chunks", nr);
	chunks_of(store, untouched, chunks, nr);
	*ret_nr_bad = nr;
	ret = tell(untouched, params, err);
	if (ret || params->flags & COW_MERGE_KEEP)
		return ret;
	return nr ? cow_store_keep(store, chunks, nr, err) : cow_store_settle(store, 0, err);
}
