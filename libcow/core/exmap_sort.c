/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * exmap_sort.c - sorting packed runs in place, in linear time, and still by
 * the rule "what was added first wins".
 *
 * An in-place radix sort is not stable, so the place of a run in the array is
 * packed into the run itself while it is sorted: 54 + 54 + 20 bits are the
 * worst case, and with the largest numbers that really occur there is room
 * for it (a 16 TiB origin and COW image in 4 KiB chunks leave 44 bits). The
 * order then is (old, place), every key occurs once, and after sorting an
 * overlap is seen with its winner. Only where an overlap was
 * seen is a second array built. Where the numbers are so large that the place
 * does not fit, it is kept beside the run, and qsort() does the work.
 *
 * The radix sort: up to 10 bits at a time from the top, each run swapped
 * straight to its bucket ("American flag"), small buckets by insertion.
 */
#include "libcow/core/exmap_sort.h"

#include <inttypes.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"

#define DIGIT_BITS_MAX 10
#define INSERTION_RUNS_MAX 24

/*
 * How a run is packed while it is sorted: old at the top of high, its place
 * below it; what does not fit there goes on at the top of low, then new and
 * length - 1 at the bottom.
 */
struct sort_layout {
	unsigned int old_shift;	     /* in high */
	unsigned int place_low_bits; /* how much of the place is in low */
	unsigned int new_shift;	     /* in low */
	uint64_t place_mask, new_mask, more_mask;
	bool has_place;
};

/* Counters of one pass of the radix sort. */
struct radix_scratch {
	size_t next[1 << DIGIT_BITS_MAX], end[1 << DIGIT_BITS_MAX];
};

/* A run and its place in the order of adding. */
struct placed_run {
	struct exmap_run run;
	uint64_t place;
};

int cow_packed_grow(struct packed_runs *runs, size_t nr_more, struct cow_err *err)
{
	size_t capacity = runs->nr + nr_more;
	struct packed_run *grown;

	capacity += capacity / 4 + 16;
	grown = reallocarray(runs->runs, capacity, sizeof(*grown));
	if (!grown)
		return cow_fail(err, -ENOMEM, "no memory for %zu runs of exceptions", capacity);
	runs->runs = grown;
	runs->capacity = capacity;
	return 0;
}

void cow_packed_shrink(struct packed_runs *runs)
{
	struct packed_run *shrunk;

	if (!runs->nr || runs->nr == runs->capacity)
		return;
	shrunk = reallocarray(runs->runs, runs->nr, sizeof(*shrunk));
	if (!shrunk)
		return;
	runs->runs = shrunk;
	runs->capacity = runs->nr;
}

bool cow_packed_join(struct packed_run *packed, const struct exmap_run *next)
{
	struct exmap_run run;

	packed_to(packed, &run);
	if (run.old_chunk + run.nr_chunks != next->old_chunk ||
	    run.new_chunk + run.nr_chunks != next->new_chunk ||
	    run.nr_chunks + next->nr_chunks > COW_EXMAP_RUN_CHUNKS_MAX)
		return false;
	run.nr_chunks += next->nr_chunks;
	*packed = packed_from(&run);
	return true;
}

/* Joins all neighbours of a sorted array. */
static void join_neighbours(struct packed_runs *runs)
{
	struct exmap_run next;
	size_t to = 0;

	for (size_t i = 1; i < runs->nr; i++) {
		packed_to(&runs->runs[i], &next);
		if (!cow_packed_join(&runs->runs[to], &next))
			runs->runs[++to] = runs->runs[i];
	}
	if (runs->nr)
		runs->nr = to + 1;
}

static unsigned int bits_of(uint64_t value)
{
	return value ? 64 - (unsigned int)__builtin_clzll(value) : 0;
}

static struct sort_layout layout_choose(size_t nr, uint64_t old_max, uint64_t new_max,
					uint64_t more_max)
{
	/* at least one bit, so that no shift reaches 64 */
	unsigned int old_bits = bits_of(old_max | 1), new_bits = bits_of(new_max | 1);
	unsigned int place_bits = bits_of(nr), more_bits = bits_of(more_max);
	struct sort_layout layout = {
		.old_shift = 64 - old_bits,
		.new_shift = more_bits,
		.place_mask = (UINT64_C(1) << (64 - old_bits)) - 1,
		.new_mask = (UINT64_C(1) << new_bits) - 1,
		.more_mask = (UINT64_C(1) << more_bits) - 1,
	};

	if (old_bits + place_bits > 64)
		layout.place_low_bits = old_bits + place_bits - 64;
	layout.has_place = layout.place_low_bits + new_bits + more_bits <= 64;
	return layout;
}

static void layout_pack(const struct sort_layout *layout, struct packed_runs *runs)
{
	unsigned int low_bits = layout->place_low_bits;
	struct exmap_run run;

	for (size_t i = 0; i < runs->nr; i++) {
		struct packed_run *packed = &runs->runs[i];

		packed_to(packed, &run);
		packed->high = run.old_chunk << layout->old_shift | (uint64_t)i >> low_bits;
		packed->low = run.new_chunk << layout->new_shift | (run.nr_chunks - 1);
		if (low_bits)
			packed->low |= (uint64_t)i << (64 - low_bits);
	}
}

static inline void layout_unpack(const struct sort_layout *layout, const struct packed_run *packed,
				 struct placed_run *ret_run)
{
	unsigned int low_bits = layout->place_low_bits;

	ret_run->run.old_chunk = packed->high >> layout->old_shift;
	ret_run->run.new_chunk = packed->low >> layout->new_shift & layout->new_mask;
	ret_run->run.nr_chunks = (packed->low & layout->more_mask) + 1;
	ret_run->place = (packed->high & layout->place_mask) << low_bits;
	if (low_bits)
		ret_run->place |= packed->low >> (64 - low_bits);
}

static bool key_less(const struct packed_run *a, const struct packed_run *b)
{
	return a->high < b->high || (a->high == b->high && a->low < b->low);
}

static void insertion_sort(struct packed_run *runs, size_t nr)
{
	for (size_t i = 1; i < nr; i++) {
		struct packed_run run = runs[i];
		size_t j = i;

		for (; j && key_less(&run, &runs[j - 1]); j--)
			runs[j] = runs[j - 1];
		runs[j] = run;
	}
}

static inline size_t digit_of(const struct packed_run *run, unsigned int shift, size_t mask)
{
	if (shift >= 64)
		return run->high >> (shift - 64) & mask;
	return (run->low >> shift | (shift ? run->high << (64 - shift) : 0)) & mask;
}

/* Swaps each run to the bucket of its digit. One swap does not wait for the
 * one before, so that several cache misses are under way at a time. */
static void radix_permute(struct radix_scratch *scratch, struct packed_run *runs,
			  unsigned int shift, size_t mask)
{
	size_t *next = scratch->next, *end = scratch->end, at = 0;
	bool is_done = false;

	for (size_t d = 0; d <= mask; d++) {
		next[d] = at;
		at += end[d];
		end[d] = at;
	}
	while (!is_done) {
		is_done = true;
		for (size_t d = 0; d <= mask; d++) {
			size_t stop = end[d];

			for (size_t i = next[d]; i < stop; i++) {
				struct packed_run run = runs[i];
				size_t home = next[digit_of(&run, shift, mask)]++;

				runs[i] = runs[home];
				runs[home] = run;
			}
			is_done = is_done && next[d] == stop;
		}
	}
}

/*
 * Sorts by the lower nr_bits bits of the keys; those above are equal. The
 * digit is about as wide as buckets of a few runs need. Recursion: at most
 * nr_bits / 4 deep, and a frame is small, as the counters are shared.
 */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void radix_sort(struct radix_scratch *scratch, struct packed_run *runs, size_t nr,
		       unsigned int nr_bits)
{
	while (nr > INSERTION_RUNS_MAX && nr_bits) {
		unsigned int width = min_u64(min_u64(bits_of(nr) - 3, DIGIT_BITS_MAX), nr_bits);
		unsigned int shift = nr_bits - width;
		size_t mask = ((size_t)1 << width) - 1, from = 0;

		memset(scratch->end, 0, (mask + 1) * sizeof(scratch->end[0]));
		for (size_t i = 0; i < nr; i++)
			scratch->end[digit_of(&runs[i], shift, mask)]++;
		nr_bits -= width;
		if (scratch->end[digit_of(&runs[0], shift, mask)] == nr)
			continue;
		radix_permute(scratch, runs, shift, mask);
		for (size_t i = 1; i <= nr; i++) {
			if (i < nr &&
			    digit_of(&runs[i], shift, mask) == digit_of(&runs[from], shift, mask))
				continue;
			if (i - from > 1)
				radix_sort(scratch, runs + from, i - from, nr_bits);
			from = i;
		}
		return;
	}
	insertion_sort(runs, nr);
}

/*
 * Overlaps. The runs arrive in the order (old, place); those that cover the
 * point reached are kept in a list ordered by place, so its first one wins.
 * Each step covers at least one chunk of every run in the list: the work is
 * bounded by the chunks that were added.
 */
struct sweep {
	const struct packed_runs *runs; /* packed by layout, or */
	const struct sort_layout *layout;
	const struct placed_run *placed; /* as they are */
	size_t nr;
	struct placed_run *active;
	size_t nr_active, capacity;
	struct packed_runs out;
	const struct runs_resolver *resolver;
	uint64_t nr_chunks;
};

static int sweep_enter(struct sweep *sweep, const struct placed_run *entering, struct cow_err *err)
{
	struct placed_run *grown;
	size_t i = sweep->nr_active;

	grown = cow_array_grow(sweep->active, sweep->nr_active, &sweep->capacity, sizeof(*grown));
	if (!grown)
		return cow_fail(err, -ENOMEM, "no memory for more than %zu exceptions of one chunk",
				sweep->nr_active);
	sweep->active = grown;
	for (; i && sweep->active[i - 1].place > entering->place; i--)
		sweep->active[i] = sweep->active[i - 1];
	sweep->active[i] = *entering;
	sweep->nr_active++;
	return 0;
}

static void sweep_leave(struct sweep *sweep, uint64_t old_chunk)
{
	size_t to = 0;

	for (size_t i = 0; i < sweep->nr_active; i++) {
		const struct exmap_run *run = &sweep->active[i].run;

		if (run->old_chunk + run->nr_chunks > old_chunk)
			sweep->active[to++] = sweep->active[i];
	}
	sweep->nr_active = to;
}

static int sweep_report(const struct sweep *sweep, uint64_t from, uint64_t to)
{
	const struct exmap_run *kept = &sweep->active[0].run;

	for (size_t i = 1; sweep->resolver->duplicate && i < sweep->nr_active; i++) {
		const struct exmap_run *run = &sweep->active[i].run;
		uint64_t end = min_u64(to, run->old_chunk + run->nr_chunks);

		for (uint64_t chunk = from; chunk < end; chunk++) {
			const struct exmap_duplicate duplicate = {
				.old_chunk = chunk,
				.kept_new_chunk = kept->new_chunk + (chunk - kept->old_chunk),
				.dropped_new_chunk = run->new_chunk + (chunk - run->old_chunk),
			};
			int ret = sweep->resolver->duplicate(sweep->resolver->user, &duplicate);

			if (ret)
				return ret;
		}
	}
	return 0;
}

/* Gives [from, to) to the winner. */
static int sweep_emit(struct sweep *sweep, uint64_t from, uint64_t to, struct cow_err *err)
{
	const struct exmap_run *winner = &sweep->active[0].run;
	struct packed_runs *out = &sweep->out;
	const struct exmap_run run = {
		.old_chunk = from,
		.new_chunk = winner->new_chunk + (from - winner->old_chunk),
		.nr_chunks = to - from,
	};
	int ret;

	ret = sweep_report(sweep, from, to);
	if (ret)
		return err && err->code == ret
			       ? ret
			       : cow_fail(err, ret, "stopped at a duplicate of chunk %" PRIu64,
					  from);
	sweep->nr_chunks += run.nr_chunks;
	if (out->nr && cow_packed_join(&out->runs[out->nr - 1], &run))
		return 0;
	if (out->nr == out->capacity) {
		ret = cow_packed_grow(out, 1, err);
		if (ret)
			return ret;
	}
	out->runs[out->nr++] = packed_from(&run);
	return 0;
}

static void sweep_get(const struct sweep *sweep, size_t i, struct placed_run *ret_run)
{
	if (sweep->placed)
		*ret_run = sweep->placed[i];
	else
		layout_unpack(sweep->layout, &sweep->runs->runs[i], ret_run);
}

static int sweep_run(struct sweep *sweep, struct cow_err *err)
{
	struct placed_run next = { 0 };
	uint64_t from = 0, to;
	size_t i = 0;
	int ret;

	while (i < sweep->nr || sweep->nr_active) {
		if (i < sweep->nr)
			sweep_get(sweep, i, &next);
		if (!sweep->nr_active)
			from = next.run.old_chunk;
		if (i < sweep->nr && next.run.old_chunk == from) {
			ret = sweep_enter(sweep, &next, err);
			if (ret)
				return ret;
			i++;
			continue;
		}
		to = sweep->active[0].run.old_chunk + sweep->active[0].run.nr_chunks;
		if (i < sweep->nr)
			to = min_u64(to, next.run.old_chunk);
		ret = sweep_emit(sweep, from, to, err);
		if (ret)
			return ret;
		from = to;
		sweep_leave(sweep, from);
	}
	return 0;
}

/* Replaces runs by what the sweep leaves of them. */
static int runs_resolve(struct packed_runs *runs, struct sweep *sweep, struct cow_err *err)
{
	struct packed_run *old_runs = runs->runs;
	int ret;

	sweep->nr = runs->nr;
	ret = sweep_run(sweep, err);
	free(sweep->active);
	if (ret) {
		free(sweep->out.runs);
		return ret;
	}
	*sweep->resolver->nr_chunks = sweep->nr_chunks;
	*runs = sweep->out;
	free(old_runs);
	return 0;
}

static int placed_compare(const void *left, const void *right)
{
	const struct placed_run *a = left, *b = right;

	if (a->run.old_chunk != b->run.old_chunk)
		return a->run.old_chunk < b->run.old_chunk ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

/* For numbers that leave no room for the place. */
static int sort_beside(struct packed_runs *runs, const struct runs_resolver *resolver,
		       struct cow_err *err)
{
	/* bounded: so many are in memory */
	AUTO_FREE struct placed_run *placed = reallocarray(NULL, runs->nr + 1, sizeof(*placed));
	struct sweep sweep = { .placed = placed, .resolver = resolver };

	if (!placed)
		return cow_fail(err, -ENOMEM, "no memory to sort %zu runs of exceptions", runs->nr);
	for (size_t i = 0; i < runs->nr; i++) {
		packed_to(&runs->runs[i], &placed[i].run);
		placed[i].place = i;
	}
	qsort(placed, runs->nr, sizeof(*placed), placed_compare);
	return runs_resolve(runs, &sweep, err);
}

/* Back to the form at rest, joined; false: a chunk occurs twice, and nothing
 * was changed. */
static bool sorted_unpack(struct packed_runs *runs, const struct sort_layout *layout)
{
	struct placed_run placed;
	uint64_t end = 0;

	for (size_t i = 0; i < runs->nr; i++) {
		layout_unpack(layout, &runs->runs[i], &placed);
		if (placed.run.old_chunk < end)
			return false;
		end = placed.run.old_chunk + placed.run.nr_chunks;
	}
	for (size_t i = 0; i < runs->nr; i++) {
		layout_unpack(layout, &runs->runs[i], &placed);
		runs->runs[i] = packed_from(&placed.run);
	}
	join_neighbours(runs);
	return true;
}

int cow_packed_sort(struct packed_runs *runs, uint64_t old_max, uint64_t new_max,
		    const struct runs_resolver *resolver, struct cow_err *err)
{
	struct sweep sweep = { .runs = runs, .resolver = resolver };
	struct radix_scratch scratch;
	struct sort_layout layout;
	uint64_t more_max = 0;
	struct exmap_run run;

	for (size_t i = 0; i < runs->nr; i++) {
		packed_to(&runs->runs[i], &run);
		more_max = max_u64(more_max, run.nr_chunks - 1);
	}
	layout = layout_choose(runs->nr, old_max, new_max, more_max);
	if (!layout.has_place)
		return sort_beside(runs, resolver, err);
	layout_pack(&layout, runs);
	radix_sort(&scratch, runs->runs, runs->nr, 128);
	if (sorted_unpack(runs, &layout))
		return 0;
	sweep.layout = &layout;
	return runs_resolve(runs, &sweep, err);
}
