/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_repair_hole.c - what a list has behind its hole. It goes on there
 * sector by sector: into the next one if this one is used to its end and that
 * one holds live records, wherever in it. A sector that is empty at its end may
 * have been the last: what stands behind it may be stale (I9), and is left
 * there.
 */
#include "libcow/store/persistent/snap_kernel.h"
#include "libcow/store/persistent/repair/snap_repair.h"

/* A record behind a hole that goes away: until it does, it becomes a copy of
 * one that decides nothing, because closing the hole makes it visible. */
static int hidden_drop(struct snap_plan *plan, uint64_t index, const struct snap_record *harmless,
		       struct cow_err *err)
{
	int ret = harmless ? cow_snap_edits_add(&plan->sets, index, harmless, err) : 0;

	return ret ? ret : cow_snap_edits_add(&plan->drops, index, NULL, err);
}

/* Does the kernel read this chunk only because of a top byte, which it takes
 * for the length of a run (dm_insert_exception())? */
static bool is_phantom(const struct snap_plan *plan, const struct snap_record *record)
{
	const struct snap_edit *head;

	if (!plan->runs.nr)
		return false;
	for (uint64_t i = 1; i <= SNAP_RUN_MAX && i <= record->old_chunk; i++) {
		head = cow_snap_edits_find(&plan->runs, record->old_chunk - i);
		if (head && record->new_chunk == (head->record.new_chunk & SNAP_NEW_CHUNK_MASK) + i)
			return true;
	}
	return false;
}

/* Is a sound record of this chunk in the visible list? */
static bool is_visible(const struct snap_plan *plan, uint64_t old_chunk,
		       struct snap_record *ret_record)
{
	struct exmap_run run;

	if (!plan->kernel || !cow_exmap_lookup(plan->kernel->map, old_chunk, &run))
		return false;
	*ret_record = (struct snap_record){ old_chunk, run.new_chunk };
	return !cow_snap_record_problem(&plan->bounds, ret_record) && !is_phantom(plan, ret_record);
}

/* Was this record live, and does the visible list not have its chunk? */
static bool is_hidden_live(const struct snap_plan *plan, const struct snap_record *record,
			   uint64_t index)
{
	struct snap_record visible;

	return record->new_chunk && !cow_snap_record_problem(&plan->bounds, record) &&
	       record->new_chunk >= cow_snap_position_chunk(&plan->layout, index) &&
	       !is_visible(plan, record->old_chunk, &visible);
}

/* Does the visible list hold this very record? A repair that was cut off has
 * moved it there; what follows it is no less live for that (I6). */
static bool is_moved(const struct snap_plan *plan, const struct snap_record *record)
{
	struct snap_record visible;

	return record->new_chunk && is_visible(plan, record->old_chunk, &visible) &&
	       visible.new_chunk == record->new_chunk;
}

static int hidden_sector(struct snap_plan *plan, const uint8_t *raw, uint64_t index, uint64_t end,
			 struct snap_record *last, struct cow_err *err)
{
	int ret = 0;

	for (uint64_t at = index; at < end && !ret; at++) {
		struct snap_record record;

		cow_snap_record_decode(raw + at % SNAP_RECORDS_PER_SECTOR * SNAP_RECORD_BYTES,
				       &record);
		if (is_hidden_live(plan, &record, at))
			*last = record;
		else
			ret = hidden_drop(plan, at, record.new_chunk ? last : NULL, err);
	}
	return ret;
}

/* Where the live records of a sector end; from: the first to look at. */
static uint64_t live_end(const struct snap_plan *plan, const uint8_t *raw, uint64_t from)
{
	uint64_t sector_end = floor_to(from, SNAP_RECORDS_PER_SECTOR) + SNAP_RECORDS_PER_SECTOR;
	struct snap_record record;

	for (uint64_t at = sector_end; at > from; at--) {
		cow_snap_record_decode(raw + (at - 1) % SNAP_RECORDS_PER_SECTOR * SNAP_RECORD_BYTES,
				       &record);
		if (is_hidden_live(plan, &record, at - 1))
			return at;
	}
	return from;
}

/* The last live record of a sector, up to end. */
static void last_live(const struct snap_plan *plan, const uint8_t *raw, uint64_t index,
		      uint64_t end, struct snap_record *last)
{
	struct snap_record record;

	for (uint64_t at = end; at > index && !last->new_chunk; at--) {
		cow_snap_record_decode(raw + (at - 1) % SNAP_RECORDS_PER_SECTOR * SNAP_RECORD_BYTES,
				       &record);
		if (is_hidden_live(plan, &record, at - 1))
			*last = record;
	}
}

int cow_snap_plan_hole(struct snap_plan *plan, struct cow_err *err)
{
	uint8_t sectors[2][COW_SECTOR_BYTES], *raw = sectors[0], *before = sectors[1];
	struct snap_record last = { 0, 0 }, first;
	uint64_t index = plan->first_hole, done = index, end, begin;
	int ret;

	for (;; index = begin + SNAP_RECORDS_PER_SECTOR) {
		begin = floor_to(index, SNAP_RECORDS_PER_SECTOR);
		if (begin / plan->layout.records_per_area >= plan->layout.nr_areas)
			return 0;
		ret = cow_snap_sector_read(plan->cow, &plan->layout, begin, raw, err);
		if (ret)
			return ret;
		end = live_end(plan, raw, index);
		cow_snap_record_decode(raw, &first);
		if (end == index && (index == plan->first_hole || !is_moved(plan, &first)))
			return 0;
		last_live(plan, raw, index, end, &last);
		/* what the sector before has behind its last live record */
		ret = hidden_sector(plan, before, done, index, &last, err);
		if (!ret)
			ret = hidden_sector(plan, raw, index, end, &last, err);
		if (ret)
			return ret;
		plan->nr_records = max_u64(plan->nr_records, end);
		done = end;
		cow_snap_record_decode(raw + COW_SECTOR_BYTES - SNAP_RECORD_BYTES, &first);
		if (!first.new_chunk)
			return 0;
		raw = before;
		before = raw == sectors[0] ? sectors[1] : sectors[0];
	}
}
