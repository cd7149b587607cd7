/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_kernel.c - models how the kernel inserts and looks up exceptions of a
 * list that is not sound.
 */
#include "libcow/store/persistent/snap_kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"

/* Source: DM_CHUNK_CONSECUTIVE_BITS, dm-exception-store.h. */
#define GROUP_SHIFT 8
#define GROUP_CHUNKS (UINT64_C(1) << GROUP_SHIFT)
/* The kernel's insertion is quadratic in the entries of a group. A sound group
 * has 256; one with more than this is decided by the lowest index alone. */
#define GROUP_ENTRIES_MAX 4096

struct odd_record {
	uint64_t old_chunk, new_chunk, index;
};

struct snap_odd {
	const struct snap_layout *layout;
	bool is_second_pass, is_damaged;
	uint64_t *groups; /* sorted in the second pass */
	size_t nr_groups, groups_capacity;
	struct odd_record *records;
	size_t nr_records, records_capacity;
};

/* An entry of the kernel's list: old..old+more maps to new..new+more. */
struct entry {
	uint64_t old_chunk, new_chunk, more;
};

struct group {
	struct entry entries[GROUP_ENTRIES_MAX];
	size_t nr;
};

int cow_snap_odd_new(const struct snap_layout *layout, struct snap_odd **ret_odd,
		     struct cow_err *err)
{
	struct snap_odd *odd = calloc(1, sizeof(*odd));

	if (!odd)
		return cow_fail(err, -ENOMEM, "no memory to read a store");
	odd->layout = layout;
	*ret_odd = odd;
	return 0;
}

void cow_snap_odd_free(struct snap_odd *odd)
{
	if (!odd)
		return;
	free(odd->groups);
	free(odd->records);
	free(odd);
}

static int groups_add(struct snap_odd *odd, uint64_t group, struct cow_err *err)
{
	uint64_t *groups;

	odd->is_damaged = true;
	if (odd->nr_groups && odd->groups[odd->nr_groups - 1] == group)
		return 0;
	groups =
		cow_array_grow(odd->groups, odd->nr_groups, &odd->groups_capacity, sizeof(*groups));
	if (!groups)
		return cow_fail(err, -ENOMEM, "no memory to read a store");
	odd->groups = groups;
	groups[odd->nr_groups++] = group;
	return 0;
}

static int compare_groups(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool is_odd_group(const struct snap_odd *odd, uint64_t old_chunk)
{
	uint64_t group = old_chunk >> GROUP_SHIFT;

	return bsearch(&group, odd->groups, odd->nr_groups, sizeof(group), compare_groups);
}

static int records_add(struct snap_odd *odd, const struct snap_record *record, struct cow_err *err)
{
	struct odd_record *records;

	records = cow_array_grow(odd->records, odd->nr_records, &odd->records_capacity,
				 sizeof(*records));
	if (!records)
		return cow_fail(err, -ENOMEM, "no memory to read a store");
	odd->records = records;
	records[odd->nr_records] =
		(struct odd_record){ record->old_chunk, record->new_chunk, odd->nr_records };
	odd->nr_records++;
	return 0;
}

/* Reads of a chunk that no image can have fail all the same. */
static uint64_t clamp_new(uint64_t new_chunk)
{
	return min_u64(new_chunk & SNAP_NEW_CHUNK_MASK, EXMAP_CHUNK_LIMIT - GROUP_CHUNKS - 1);
}

int cow_snap_odd_filter(struct snap_odd *odd, const struct snap_record *record,
			uint64_t nr_origin_chunks, struct exmap_run *ret_run, struct cow_err *err)
{
	const struct snap_layout *layout = odd->layout;

	ret_run->nr_chunks = 0;
	if (record->old_chunk >= nr_origin_chunks) {
		odd->is_damaged = true; /* never read */
		return 0;
	}
	if (odd->is_second_pass) {
		if (is_odd_group(odd, record->old_chunk))
			return records_add(odd, record, err);
	} else if (record->new_chunk >> SNAP_RUN_SHIFT) {
		return groups_add(odd, record->old_chunk >> GROUP_SHIFT, err);
	}
	if (record->new_chunk >= layout->nr_chunks || record->new_chunk < SNAP_FIRST_DATA_CHUNK ||
	    cow_snap_is_area(layout, record->new_chunk))
		odd->is_damaged = true;
	ret_run->old_chunk = record->old_chunk;
	ret_run->new_chunk = clamp_new(record->new_chunk);
	ret_run->nr_chunks = 1;
	return 0;
}

int cow_snap_odd_duplicate(void *user, const struct exmap_duplicate *duplicate)
{
	return groups_add(user, duplicate->old_chunk >> GROUP_SHIFT, NULL);
}

bool cow_snap_odd_is_needed(struct snap_odd *odd)
{
	if (!odd->nr_groups)
		return false;
	qsort(odd->groups, odd->nr_groups, sizeof(*odd->groups), compare_groups);
	odd->is_second_pass = true;
	return true;
}

bool cow_snap_odd_is_damaged(const struct snap_odd *odd)
{
	return odd->is_damaged;
}

/* ------------------------------------------- the kernel's list of a group */

static bool entry_join(struct entry *entry, uint64_t old_chunk, uint64_t new_chunk)
{
	if (old_chunk == entry->old_chunk + entry->more + 1 &&
	    new_chunk == entry->new_chunk + entry->more + 1) {
		entry->more++;
		return true;
	}
	if (old_chunk + 1 == entry->old_chunk && new_chunk + 1 == entry->new_chunk) {
		entry->more++;
		entry->old_chunk--;
		entry->new_chunk--;
		return true;
	}
	return false;
}

/* As dm_insert_exception(): the joins compare the whole word of the record,
 * run length included. */
static void group_insert(struct group *group, const struct odd_record *record)
{
	size_t at;

	for (at = 0; at < group->nr; at++) {
		if (entry_join(&group->entries[at], record->old_chunk, record->new_chunk))
			return;
		if (record->old_chunk < group->entries[at].old_chunk)
			break;
	}
	if (group->nr == GROUP_ENTRIES_MAX)
		return;
	memmove(&group->entries[at + 1], &group->entries[at],
		(group->nr - at) * sizeof(group->entries[0]));
	group->entries[at] =
		(struct entry){ record->old_chunk, record->new_chunk & SNAP_NEW_CHUNK_MASK,
				record->new_chunk >> SNAP_RUN_SHIFT };
	group->nr++;
}

/* As dm_lookup_exception(). */
static bool group_lookup(const struct group *group, uint64_t old_chunk, uint64_t *ret_new_chunk)
{
	for (size_t i = 0; i < group->nr; i++) {
		const struct entry *entry = &group->entries[i];

		if (old_chunk >= entry->old_chunk && old_chunk <= entry->old_chunk + entry->more) {
			*ret_new_chunk = entry->new_chunk + (old_chunk - entry->old_chunk);
			return true;
		}
	}
	return false;
}

static int group_add(const struct group *group, uint64_t number, struct cow_exmap *map,
		     struct cow_err *err)
{
	struct exmap_run run = { .nr_chunks = 1 };
	uint64_t first = number << GROUP_SHIFT;
	int ret;

	for (uint64_t old_chunk = first; old_chunk < first + GROUP_CHUNKS; old_chunk++) {
		if (!group_lookup(group, old_chunk, &run.new_chunk))
			continue;
		run.old_chunk = old_chunk;
		run.new_chunk = clamp_new(run.new_chunk);
		ret = cow_exmap_add(map, &run, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int compare_records(const void *a, const void *b)
{
	const struct odd_record *x = a, *y = b;
	uint64_t gx = x->old_chunk >> GROUP_SHIFT, gy = y->old_chunk >> GROUP_SHIFT;

	if (gx != gy)
		return gx < gy ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

int cow_snap_odd_resolve(struct snap_odd *odd, struct cow_exmap *map, struct cow_err *err)
{
	AUTO_FREE struct group *group = malloc(sizeof(*group));
	size_t i = 0;

	if (!group)
		return cow_fail(err, -ENOMEM, "no memory to read a store");
	if (odd->nr_records)
		qsort(odd->records, odd->nr_records, sizeof(*odd->records), compare_records);
	while (i < odd->nr_records) {
		uint64_t number = odd->records[i].old_chunk >> GROUP_SHIFT;
		int ret;

		group->nr = 0;
		for (; i < odd->nr_records && odd->records[i].old_chunk >> GROUP_SHIFT == number;
		     i++)
			group_insert(group, &odd->records[i]);
		ret = group_add(group, number, map, err);
		if (ret)
			return ret;
	}
	return 0;
}
