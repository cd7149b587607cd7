/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_changes_runs.c - sets of blocks as sorted runs.
 */
#include <errno.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "tools/ext4/fs_changes_priv.h"

int fs_runs_add(struct fs_runs *runs, uint64_t block, uint64_t nr_blocks)
{
	struct fs_run *last = runs->nr ? &runs->runs[runs->nr - 1] : NULL, *grown;

	if (!nr_blocks)
		return 0;
	if (last && last->block + last->nr_blocks == block) {
		last->nr_blocks += nr_blocks;
		return 0;
	}
	grown = cow_array_grow(runs->runs, runs->nr, &runs->room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	runs->runs = grown;
	grown[runs->nr++] = (struct fs_run){ block, nr_blocks };
	return 0;
}

static int by_block(const void *a, const void *b)
{
	const struct fs_run *first = a, *second = b;

	return first->block < second->block ? -1 : first->block > second->block;
}

void fs_runs_sort(struct fs_runs *runs)
{
	size_t kept = 0;

	if (!runs->nr)
		return;
	qsort(runs->runs, runs->nr, sizeof(*runs->runs), by_block);
	for (size_t i = 1; i < runs->nr; i++) {
		struct fs_run *last = &runs->runs[kept];
		const struct fs_run *run = &runs->runs[i];
		uint64_t end = last->block + last->nr_blocks;

		if (run->block > end) {
			runs->runs[++kept] = *run;
			continue;
		}
		if (run->block + run->nr_blocks > end)
			last->nr_blocks = run->block + run->nr_blocks - last->block;
	}
	runs->nr = kept + 1;
}

const struct fs_run *fs_runs_from(const struct fs_runs *runs, uint64_t block)
{
	size_t low = 0, high = runs->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (runs->runs[middle].block + runs->runs[middle].nr_blocks <= block)
			low = middle + 1;
		else
			high = middle;
	}
	return low < runs->nr ? &runs->runs[low] : NULL;
}

bool fs_runs_touch(const struct fs_runs *runs, uint64_t block, uint64_t nr_blocks)
{
	const struct fs_run *run = fs_runs_from(runs, block);

	return run && run->block < block + nr_blocks;
}

int fs_runs_subtract(struct fs_runs *runs, const struct fs_runs *other)
{
	struct fs_runs left = { 0 };
	int ret = 0;

	for (size_t i = 0; !ret && i < runs->nr; i++) {
		uint64_t at = runs->runs[i].block, end = at + runs->runs[i].nr_blocks;

		while (!ret && at < end) {
			const struct fs_run *run = fs_runs_from(other, at);
			uint64_t stop = run && run->block < end ? run->block : end;

			if (stop > at)
				ret = fs_runs_add(&left, at, stop - at);
			at = run && run->block < end ? run->block + run->nr_blocks : end;
		}
	}
	free(runs->runs);
	*runs = left;
	return ret;
}
