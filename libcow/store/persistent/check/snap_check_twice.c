/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_check_twice.c - chunks that occur twice. Old chunks are in a set
 * already; new chunks can repeat only where they do not ascend. A set does not
 * know which records these are, so the list is read once more, where there is
 * something to name. Which of two records the kernel reads is asked
 * of the store as the kernel would have loaded it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/check/snap_check.h"

#define INDEX_NONE UINT64_MAX

/* A chunk that occurs more than once, and the first record that names it. */
struct twice {
	uint64_t chunk;
	uint64_t index;
	uint64_t other_chunk;
};

struct twice_table {
	struct twice *rows; /* ascending, each chunk once */
	size_t nr, capacity;
};

struct twice_check {
	struct snap_check *check;
	/* Of one sector of the list: records that stand in an earlier place, too. */
	size_t nr_same;
	struct same_record {
		struct snap_record record;
		uint64_t index, first_index;
	} same[SNAP_RECORDS_PER_SECTOR];
	struct twice_table olds, news;
	struct cow_store *store; /* as the kernel loads it, or NULL */
	struct cow_err *err;
};

/* Chunks arrive in ascending order. */
static int table_add(struct twice_table *table, uint64_t chunk, struct cow_err *err)
{
	struct twice *rows;

	if (table->nr && table->rows[table->nr - 1].chunk == chunk)
		return 0;
	rows = cow_array_grow(table->rows, table->nr, &table->capacity, sizeof(*rows));
	if (!rows)
		return cow_fail(err, -ENOMEM, "no memory for more than %zu chunks that occur twice",
				table->nr);
	table->rows = rows;
	table->rows[table->nr++] = (struct twice){ chunk, INDEX_NONE, 0 };
	return 0;
}

static struct twice *table_find(const struct twice_table *table, uint64_t chunk)
{
	size_t low = 0, high = table->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->rows[middle].chunk == chunk)
			return &table->rows[middle];
		if (table->rows[middle].chunk < chunk)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Seals a set and puts what occurs twice in it into a table. */
static int table_fill(struct twice_table *table, struct cow_chunkset *set, struct cow_err *err)
{
	uint64_t chunk = 0;
	int ret;

	ret = cow_chunkset_seal(set, err);
	for (; !ret && cow_chunkset_next_duplicate(set, chunk, &chunk); chunk++)
		ret = table_add(table, chunk, err);
	return ret;
}

/* Calls back for each record of the list that is none of the garbage. */
static int records_each(struct twice_check *twice,
			int (*fn)(struct twice_check *twice, const struct snap_record *record,
				  uint64_t index, void *user),
			void *user)
{
	struct snap_check *check = twice->check;
	uint64_t end = min_u64(check->nr_records, check->garbage_index), index;
	struct snap_record record;
	struct snap_list list;
	int ret;

	ret = cow_snap_list_open(&list, check->cow, &check->layout, 0, twice->err);
	list.callbacks = check->callbacks;
	list.phase = "check again";
	list.total_bytes = end * SNAP_RECORD_BYTES;
	while (!ret && list.index < end && cow_snap_list_next(&list, &record, &index))
		ret = fn(twice, &record, index, user);
	return cow_snap_list_close(&list, ret);
}

static int new_chunk_note(struct twice_check *twice, const struct snap_record *record,
			  uint64_t index, void *user)
{
	(void)index;
	if (cow_snap_record_problem(&twice->check->bounds, record))
		return 0;
	return cow_chunkset_add(user, record->new_chunk, twice->err);
}

static int new_chunks_find(struct twice_check *twice)
{
	AUTO_HANDLE(chunkset) struct cow_chunkset *set = NULL;
	const struct snap_check *check = twice->check;
	int ret;

	if (check->is_ascending)
		return 0;
	ret = cow_chunkset_new(&set, twice->err);
	if (!ret)
		ret = records_each(twice, new_chunk_note, set);
	return ret ? ret : table_fill(&twice->news, set, twice->err);
}

/* Which chunk the kernel reads, as far as it can be asked. */
static void old_chunk_add(struct twice_check *twice, const struct snap_record *record,
			  uint64_t index, const struct twice *first)
{
	struct snap_check *check = twice->check;
	uint64_t per_area = check->layout.records_per_area;
	char reads[128] = "";
	struct exmap_run run;

	if (twice->store && cow_exmap_lookup(twice->store->map, record->old_chunk, &run)) {
		if (run.new_chunk == first->other_chunk)
			snprintf(reads, sizeof(reads),
				 "; the kernel reads chunk %" PRIu64 " and merges it",
				 run.new_chunk);
		else
			snprintf(reads, sizeof(reads),
				 "; the kernel reads chunk %" PRIu64 ", but a merge leaves chunk "
				 "%" PRIu64,
				 run.new_chunk, first->other_chunk);
	}
	cow_snap_check_add(check, SNAP_DUPLICATE_OLD_CHUNK,
			   cow_snap_record_offset(&check->layout, index), SNAP_RECORD_BYTES,
			   "record %" PRIu64 " of area %" PRIu64 " maps chunk %" PRIu64
			   " of the origin to chunk %" PRIu64 ", but record %" PRIu64
			   " of area %" PRIu64 " maps it to chunk %" PRIu64 "%s",
			   index % per_area, index / per_area, record->old_chunk, record->new_chunk,
			   first->index % per_area, first->index / per_area, first->other_chunk,
			   reads);
}

static void new_chunk_add(struct snap_check *check, const struct snap_record *record,
			  uint64_t index, const struct twice *first)
{
	uint64_t per_area = check->layout.records_per_area;

	cow_snap_check_add(check, SNAP_DUPLICATE_NEW_CHUNK,
			   cow_snap_record_offset(&check->layout, index), SNAP_RECORD_BYTES,
			   "record %" PRIu64 " of area %" PRIu64 " maps chunk %" PRIu64
			   " of the origin to chunk %" PRIu64 ", which record %" PRIu64
			   " of area %" PRIu64 " uses for chunk %" PRIu64,
			   index % per_area, index / per_area, record->old_chunk, record->new_chunk,
			   first->index % per_area, first->index / per_area, first->other_chunk);
}

/* Names what was kept of one sector: records that a repair that was cut off has left
 * twice (I13), or a copy of another sector. */
static int same_name(struct twice_check *twice)
{
	struct snap_check *check = twice->check;
	uint64_t per_area = check->layout.records_per_area, of_index, begin;
	uint8_t sector[COW_SECTOR_BYTES];
	bool is_copied = false;
	int ret = 0;

	if (twice->nr_same == SNAP_RECORDS_PER_SECTOR) {
		begin = twice->same[0].index;
		ret = cow_snap_sector_read(check->cow, &check->layout, begin, sector, twice->err);
		if (!ret)
			ret = cow_snap_end_is_sector_copy(check->cow, &check->layout, begin, sector,
							  &of_index, &is_copied, twice->err);
		check->may_have_lost |= !is_copied;
	}
	for (size_t i = 0; !ret && i < twice->nr_same; i++) {
		const struct same_record *same = &twice->same[i];

		cow_snap_check_add(check, is_copied ? SNAP_RECORD_COPIED : SNAP_DUPLICATE_RECORD,
				   cow_snap_record_offset(&check->layout, same->index),
				   SNAP_RECORD_BYTES,
				   "record %" PRIu64 " of area %" PRIu64 ", from chunk %" PRIu64
				   " of the origin to chunk %" PRIu64
				   ", is the same as record %" PRIu64 " of area %" PRIu64,
				   same->index % per_area, same->index / per_area,
				   same->record.old_chunk, same->record.new_chunk,
				   same->first_index % per_area, same->first_index / per_area);
	}
	twice->nr_same = 0;
	return ret;
}

static int same_keep(struct twice_check *twice, const struct snap_record *record, uint64_t index,
		     const struct twice *first)
{
	int ret = 0;

	if (twice->nr_same &&
	    twice->same[0].index / SNAP_RECORDS_PER_SECTOR != index / SNAP_RECORDS_PER_SECTOR)
		ret = same_name(twice);
	twice->same[twice->nr_same++] = (struct same_record){ *record, index, first->index };
	return ret;
}

static int record_name(struct twice_check *twice, const struct snap_record *record, uint64_t index,
		       void *user)
{
	struct snap_check *check = twice->check;
	enum snap_problem problem = cow_snap_record_problem(&check->bounds, record);
	struct twice *old = table_find(&twice->olds, record->old_chunk);
	struct twice *new = table_find(&twice->news, record->new_chunk);
	char sentence[SNAP_SENTENCE_BYTES];
	int ret = 0;

	(void)user;
	if (problem && !check->is_cut && problem == SNAP_NEW_CHUNK_BEYOND_END) {
		cow_snap_record_sentence(&check->bounds, record, index, problem, sentence);
		cow_snap_check_add(check, problem, cow_snap_record_offset(&check->layout, index),
				   SNAP_RECORD_BYTES, "%s", sentence);
	}
	/* an area that is a copy is named as a whole */
	if (problem || cow_snap_check_is_copy(check, index))
		return 0;
	/* the same record again is legal while one is being moved (I13) */
	if (old && old->index != INDEX_NONE && old->other_chunk == record->new_chunk)
		ret = same_keep(twice, record, index, old);
	else if (old && old->index != INDEX_NONE)
		old_chunk_add(twice, record, index, old);
	else if (old)
		*old = (struct twice){ record->old_chunk, index, record->new_chunk };
	if (new &&new->index != INDEX_NONE &&new->other_chunk != record->old_chunk)
		new_chunk_add(check, record, index, new);
	else if (new &&new->index == INDEX_NONE)
		*new = (struct twice){ record->new_chunk, index, record->old_chunk };
	return ret;
}

int cow_snap_kernel_open(const struct cow_store_args *args, struct cow_store **ret_store,
			 struct cow_err *err)
{
	struct cow_store_args as_kernel = *args;
	struct cow_err why = COW_ERR_INIT;
	int ret;

	as_kernel.kind = cow_store_persistent_ops.name;
	as_kernel.flags = COW_STORE_DAMAGED | COW_STORE_INVALID;
	ret = cow_store_persistent_ops.open(&as_kernel, ret_store, &why);
	if (!ret)
		return 0;
	*ret_store = NULL;
	if (ret != -EIO && ret != -ENOMEM)
		return 0;
	if (err)
		*err = why;
	return ret;
}

static int twice_run(struct twice_check *twice)
{
	struct snap_check *check = twice->check;
	int ret;

	ret = table_fill(&twice->olds, check->olds, twice->err);
	if (!ret)
		ret = new_chunks_find(twice);
	if (ret || (!twice->olds.nr && !twice->news.nr && (check->is_cut || !check->nr_beyond_end)))
		return ret;
	if (twice->olds.nr)
		ret = cow_snap_kernel_open(check->args, &twice->store, twice->err);
	if (!ret)
		ret = records_each(twice, record_name, NULL);
	return ret ? ret : same_name(twice);
}

int cow_snap_check_twice(struct snap_check *check, struct cow_err *err)
{
	struct twice_check twice = { .check = check, .err = err };
	int ret;

	ret = twice_run(&twice);
	cow_store_close(twice.store);
	free(twice.olds.rows);
	free(twice.news.rows);
	return ret;
}
