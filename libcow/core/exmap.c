/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * exmap.c - the exception map as one sorted array of 16-byte runs.
 *
 * A run at rest is packed as 54 bits old, 54 bits new, 20 bits length - 1.
 * Memory: the array grows by a quarter with realloc(), which moves pages
 * (mremap) instead of copying once it is large, and what it has not used yet
 * is not resident; cow_exmap_seal() gives the rest back. Sorting: exmap_sort.c.
 *
 * Insertions into a sealed map go to a second, small sorted array that is
 * merged into the large one when it outgrows a few times its square root:
 * n insertions cost n * sqrt(n) moves of 16 bytes instead of n * n.
 */
#include "libcow/core/exmap.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/exmap_sort.h"

#define SIDE_RUNS_MIN 64

struct cow_exmap {
	struct packed_runs main; /* sorted once sealed */
	struct packed_runs side; /* sorted; shares no chunk with main */
	uint64_t nr_chunks;
	uint64_t old_max, new_max;
	bool is_sorted; /* so far, without overlaps */
	bool is_sealed;
};

int cow_exmap_new(struct cow_exmap **ret_map, struct cow_err *err)
{
	struct cow_exmap *map = calloc(1, sizeof(*map));

	if (!map)
		return cow_fail(err, -ENOMEM, "no memory for an exception map");
	map->is_sorted = true;
	*ret_map = map;
	return 0;
}

void cow_exmap_free(struct cow_exmap *map)
{
	if (!map)
		return;
	free(map->main.runs);
	free(map->side.runs);
	free(map);
}

static int run_check(const struct exmap_run *run, struct cow_err *err)
{
	if (!run->nr_chunks || run->nr_chunks > COW_EXMAP_RUN_CHUNKS_MAX)
		return cow_fail(err, -ERANGE,
				"a run of %" PRIu64 " chunks, 1 to %" PRIu64 " are possible",
				run->nr_chunks, COW_EXMAP_RUN_CHUNKS_MAX);
	if (run->old_chunk > EXMAP_CHUNK_LIMIT - run->nr_chunks ||
	    run->new_chunk > EXMAP_CHUNK_LIMIT - run->nr_chunks)
		return cow_fail(err, -ERANGE,
				"an exception of chunk %" PRIu64 " at chunk %" PRIu64
				" is over the limit of 2^54 chunks",
				run->old_chunk, run->new_chunk);
	return 0;
}

int cow_exmap_add(struct cow_exmap *map, const struct exmap_run *run, struct cow_err *err)
{
	struct packed_runs *runs = &map->main;
	uint64_t old_end = run->old_chunk + run->nr_chunks;
	int ret;

	assert(!map->is_sealed);
	ret = run_check(run, err);
	if (ret)
		return ret;
	if (!runs->nr || !cow_packed_join(&runs->runs[runs->nr - 1], run)) {
		if (runs->nr && run->old_chunk < packed_old_end(&runs->runs[runs->nr - 1]))
			map->is_sorted = false;
		if (runs->nr == runs->capacity) {
			ret = cow_packed_grow(runs, 1, err);
			if (ret)
				return ret;
		}
		runs->runs[runs->nr++] = packed_from(run);
	}
	map->nr_chunks += run->nr_chunks;
	map->old_max = max_u64(map->old_max, old_end - 1);
	map->new_max = max_u64(map->new_max, run->new_chunk + run->nr_chunks - 1);
	return 0;
}

int cow_exmap_seal(struct cow_exmap *map,
		   int (*duplicate)(void *user, const struct exmap_duplicate *duplicate),
		   void *user, struct cow_err *err)
{
	int ret;

	assert(!map->is_sealed);
	if (!map->is_sorted) {
		const struct runs_resolver resolver = { duplicate, user, &map->nr_chunks };

		ret = cow_packed_sort(&map->main, map->old_max, map->new_max, &resolver, err);
		if (ret)
			return ret;
	}
	cow_packed_shrink(&map->main);
	map->is_sealed = true;
	return 0;
}

/* The index of the first run that ends behind old_chunk. */
static size_t packed_find(const struct packed_runs *runs, uint64_t old_chunk)
{
	size_t low = 0, high = runs->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (packed_old(&runs->runs[middle]) > old_chunk)
			high = middle;
		else
			low = middle + 1;
	}
	/* low: the first that begins behind old_chunk; the one before may hold it */
	if (low && packed_old_end(&runs->runs[low - 1]) > old_chunk)
		low--;
	return low;
}

static bool packed_overlaps(const struct packed_runs *runs, const struct exmap_run *run)
{
	size_t i = packed_find(runs, run->old_chunk);

	return i < runs->nr && packed_old(&runs->runs[i]) < run->old_chunk + run->nr_chunks;
}

/* Lengthens the run that ends where run begins, if it continues there. */
static bool packed_extend(struct packed_runs *runs, const struct exmap_run *run)
{
	size_t i = packed_find(runs, run->old_chunk);

	return i && cow_packed_join(&runs->runs[i - 1], run);
}

/* Merges the side array into the main one, from the back, in place. */
static int side_merge(struct cow_exmap *map, struct cow_err *err)
{
	struct packed_runs *main = &map->main, *side = &map->side;
	size_t i, j, to;
	int ret;

	if (main->capacity - main->nr < side->nr) {
		ret = cow_packed_grow(main, side->nr, err);
		if (ret)
			return ret;
	}
	i = main->nr;
	j = side->nr;
	to = i + j;
	while (j) {
		if (i && packed_old(&main->runs[i - 1]) > packed_old(&side->runs[j - 1]))
			main->runs[--to] = main->runs[--i];
		else
			main->runs[--to] = side->runs[--j];
	}
	main->nr += side->nr;
	side->nr = 0;
	return 0;
}

static size_t side_limit(const struct cow_exmap *map)
{
	size_t root = 1;

	while (root * root < map->main.nr)
		root *= 2;
	return SIDE_RUNS_MIN + 4 * root;
}

int cow_exmap_insert(struct cow_exmap *map, const struct exmap_run *run, struct cow_err *err)
{
	struct packed_runs *side = &map->side;
	size_t i;
	int ret;

	assert(map->is_sealed);
	ret = run_check(run, err);
	if (ret)
		return ret;
	if (packed_overlaps(&map->main, run) || packed_overlaps(side, run))
		return cow_fail(err, -EEXIST,
				"chunk %" PRIu64 " of the origin, or one of the %" PRIu64
				" behind it, has an exception already",
				run->old_chunk, run->nr_chunks - 1);
	map->nr_chunks += run->nr_chunks;
	if (packed_extend(side, run) || packed_extend(&map->main, run))
		return 0;
	if (side->nr >= side_limit(map))
		ret = side_merge(map, err);
	if (!ret && side->nr == side->capacity)
		ret = cow_packed_grow(side, 1, err);
	if (ret) {
		map->nr_chunks -= run->nr_chunks;
		return ret;
	}
	i = packed_find(side, run->old_chunk);
	memmove(&side->runs[i + 1], &side->runs[i], (side->nr - i) * sizeof(side->runs[0]));
	side->runs[i] = packed_from(run);
	side->nr++;
	return 0;
}

static bool packed_next(const struct packed_runs *runs, uint64_t old_chunk,
			struct exmap_run *ret_run)
{
	size_t i = packed_find(runs, old_chunk);
	uint64_t skip;

	if (i == runs->nr)
		return false;
	packed_to(&runs->runs[i], ret_run);
	if (ret_run->old_chunk < old_chunk) {
		skip = old_chunk - ret_run->old_chunk;
		ret_run->old_chunk += skip;
		ret_run->new_chunk += skip;
		ret_run->nr_chunks -= skip;
	}
	return true;
}

static bool packed_prev(const struct packed_runs *runs, uint64_t old_chunk,
			struct exmap_run *ret_run)
{
	size_t i;

	if (!old_chunk)
		return false;
	/* the run that holds old_chunk - 1, or else the one in front of it */
	i = packed_find(runs, old_chunk - 1);
	if (i == runs->nr || packed_old(&runs->runs[i]) >= old_chunk) {
		if (!i)
			return false;
		i--;
	}
	packed_to(&runs->runs[i], ret_run);
	ret_run->nr_chunks = min_u64(ret_run->nr_chunks, old_chunk - ret_run->old_chunk);
	return true;
}

bool cow_exmap_next(const struct cow_exmap *map, uint64_t old_chunk, struct exmap_run *ret_run)
{
	struct exmap_run other;

	assert(map->is_sealed);
	if (!packed_next(&map->main, old_chunk, ret_run))
		return packed_next(&map->side, old_chunk, ret_run);
	if (packed_next(&map->side, old_chunk, &other) && other.old_chunk < ret_run->old_chunk)
		*ret_run = other;
	return true;
}

bool cow_exmap_prev(const struct cow_exmap *map, uint64_t old_chunk, struct exmap_run *ret_run)
{
	struct exmap_run other;

	assert(map->is_sealed);
	if (!packed_prev(&map->main, old_chunk, ret_run))
		return packed_prev(&map->side, old_chunk, ret_run);
	if (packed_prev(&map->side, old_chunk, &other) && other.old_chunk > ret_run->old_chunk)
		*ret_run = other;
	return true;
}

bool cow_exmap_lookup(const struct cow_exmap *map, uint64_t old_chunk, struct exmap_run *ret_run)
{
	struct exmap_run run;

	if (!cow_exmap_next(map, old_chunk, &run) || run.old_chunk != old_chunk)
		return false;
	*ret_run = run;
	return true;
}

uint64_t cow_exmap_nr_chunks(const struct cow_exmap *map)
{
	return map->nr_chunks;
}

uint64_t cow_exmap_nr_runs(const struct cow_exmap *map)
{
	return map->main.nr + map->side.nr;
}

uint64_t cow_exmap_memory(const struct cow_exmap *map)
{
	return sizeof(*map) + (map->main.capacity + map->side.capacity) * sizeof(struct packed_run);
}
