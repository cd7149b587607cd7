/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * exmap_sort.h - packed runs: how 16 bytes hold one, and how an array of them
 * is sorted. For exmap.c only.
 */
#ifndef COW_CORE_EXMAP_SORT_H
#define COW_CORE_EXMAP_SORT_H

#include "libcow/core/exmap.h"

#define COW_EXMAP_RUN_CHUNKS_MAX (UINT64_C(1) << 20)

/* At rest: high = old << 10 | (nr - 1) >> 10, low = new << 10 | (nr - 1) & 1023. */
struct packed_run {
	uint64_t high, low;
};

struct packed_runs {
	struct packed_run *runs;
	size_t nr, capacity;
};

static inline struct packed_run packed_from(const struct exmap_run *run)
{
	uint64_t more = run->nr_chunks - 1;

	return (struct packed_run){ run->old_chunk << 10 | more >> 10,
				    run->new_chunk << 10 | (more & 1023) };
}

static inline uint64_t packed_old(const struct packed_run *packed)
{
	return packed->high >> 10;
}

static inline void packed_to(const struct packed_run *packed, struct exmap_run *ret_run)
{
	ret_run->old_chunk = packed->high >> 10;
	ret_run->new_chunk = packed->low >> 10;
	ret_run->nr_chunks = ((packed->high & 1023) << 10 | (packed->low & 1023)) + 1;
}

static inline uint64_t packed_old_end(const struct packed_run *packed)
{
	return (packed->high >> 10) + ((packed->high & 1023) << 10 | (packed->low & 1023)) + 1;
}

/* What happens to duplicates while sorting. */
struct runs_resolver {
	int (*duplicate)(void *user, const struct exmap_duplicate *duplicate); /* or NULL */
	void *user;
	uint64_t *nr_chunks; /* set to what is left */
};

/* Makes room for nr_more runs and a quarter. Errors: -ENOMEM. */
int cow_packed_grow(struct packed_runs *runs, size_t nr_more, struct cow_err *err);
/* Gives back what is not used. */
void cow_packed_shrink(struct packed_runs *runs);
/* Lengthens a run by one that continues it in both numbers; false: it does
 * not, or the length does not fit. */
bool cow_packed_join(struct packed_run *packed, const struct exmap_run *next);
/* Sorts by old chunk; of what overlaps, the run that stood first in the array
 * stays. old_max and new_max bound the chunk numbers. */
int cow_packed_sort(struct packed_runs *runs, uint64_t old_max, uint64_t new_max,
		    const struct runs_resolver *resolver, struct cow_err *err);

#endif
