/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_repair_apply.c - writes a plan, so that a crash at any point
 * leaves something that the same repair finishes:
 *
 * copies	data for records that get a chunk of their own; no record
 *		names the chunk yet. FLUSH
 * sets		records written over: the loser of two becomes a second copy of
 *		the winner, which reads and merges tolerate (I13). In waves, see
 *		snap_repair.h; FLUSH after each
 * end		where there is a hole: zeros behind the last live record, which
 *		nobody sees yet. FLUSH
 * fills	what is kept of the tail, over what goes further in front. Behind
 *		a hole first (nobody sees it), FLUSH, then up to the hole. FLUSH
 * cut		zeros from the new end of the list on. What goes stands there
 *		twice or was to go. FLUSH
 *
 *	planned -- copies_write() --> copied -- sets_write() --> set
 *		-- cut(), where there is a hole --> ended
 *		-- fills_write() --> filled -- cut() --> repaired
 *
 * A step with nothing to do is left out with its flush. A kill leaves one of
 * these states, and the plan that is made of it is the rest of the steps.
 */
#include <errno.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/store/persistent/repair/snap_repair.h"

static uint64_t sector_of(uint64_t index)
{
	return index / SNAP_RECORDS_PER_SECTOR;
}

static int copies_write(const struct snap_plan *plan, struct cow_err *err)
{
	AUTO_FREE uint8_t *buf = NULL;
	uint64_t piece = min_u64(plan->layout.chunk_bytes, COW_PIECE_BYTES);
	int ret;

	if (!plan->copies.nr)
		return 0;
	/* bounded: COW_PIECE_BYTES at most */
	buf = malloc(piece);
	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a chunk");
	for (size_t i = 0; i < plan->copies.nr; i++) {
		const struct snap_record *copy = &plan->copies.rows[i].record;

		for (uint64_t at = 0; at < plan->layout.chunk_bytes; at += piece) {
			ret = cow_image_pread(plan->cow, buf, piece,
					      (copy->old_chunk << plan->layout.chunk_shift) + at,
					      err);
			if (!ret)
				ret = cow_image_pwrite(
					plan->cow, buf, piece,
					(copy->new_chunk << plan->layout.chunk_shift) + at, err);
			if (ret)
				return ret;
		}
	}
	return cow_image_flush(plan->cow, err);
}

/* Writes sorted rows. */
static int rows_write(const struct snap_plan *plan, const struct snap_edit *edits, size_t nr,
		      struct cow_err *err)
{
	/* bounded: the rows are in memory already */
	AUTO_FREE struct snap_record *records = calloc(nr + 1, sizeof(*records));
	AUTO_FREE uint64_t *places = calloc(nr + 1, sizeof(*places));
	const struct snap_rows rows = { .records = records, .places = places, .nr = nr };

	if (!records || !places)
		return cow_fail(err, -ENOMEM, "no memory for %zu records", nr);
	for (size_t i = 0; i < nr; i++) {
		records[i] = edits[i].record;
		places[i] = edits[i].index;
	}
	return cow_snap_list_put(plan->cow, &plan->layout, &rows, false, err);
}

static int sets_write(const struct snap_plan *plan, struct cow_err *err)
{
	const struct snap_edits *sets = &plan->sets;
	int ret = 0;

	for (size_t i = 0, nr; i < sets->nr && !ret; i += nr) {
		for (nr = 1; i + nr < sets->nr && sets->rows[i + nr].wave == sets->rows[i].wave;)
			nr++;
		ret = rows_write(plan, &sets->rows[i], nr, err);
		if (!ret)
			ret = cow_image_flush(plan->cow, err);
	}
	return ret;
}

static int fills_write(const struct snap_plan *plan, const struct snap_edits *edits,
		       struct cow_err *err)
{
	size_t nr_seen = 0;
	int ret;

	if (!edits->nr)
		return 0;
	while (nr_seen < edits->nr &&
	       (plan->first_hole == UINT64_MAX ||
		sector_of(edits->rows[nr_seen].index) <= sector_of(plan->first_hole)))
		nr_seen++;
	ret = rows_write(plan, edits->rows + nr_seen, edits->nr - nr_seen, err);
	if (!ret && nr_seen < edits->nr)
		ret = cow_image_flush(plan->cow, err);
	if (!ret)
		ret = rows_write(plan, edits->rows, nr_seen, err);
	return ret ? ret : cow_image_flush(plan->cow, err);
}

/* Which kept record of the tail goes where. */
static int fills_find(const struct snap_plan *plan, struct snap_edits *fills, struct cow_err *err)
{
	uint64_t end = plan->nr_records - plan->drops.nr, from = end;
	struct snap_record record;
	int ret;

	for (size_t i = 0; i < plan->drops.nr && plan->drops.rows[i].index < end; i++) {
		while (cow_snap_edits_find(&plan->drops, from))
			from++;
		ret = cow_snap_record_read(plan->cow, &plan->layout, from++, &record, err);
		if (!ret)
			ret = cow_snap_edits_add(fills, plan->drops.rows[i].index, &record, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* From record number end on, up to the end of its area or of the list. */
static int cut(const struct snap_plan *plan, uint64_t end, struct cow_err *err)
{
	uint64_t per_area = plan->layout.records_per_area;
	uint64_t stop = (end / per_area + 1) * per_area;
	int ret;

	if (plan->keeps_tail || (plan->leaves_tail && !plan->cuts_garbage))
		stop = min_u64(stop, plan->nr_records);
	if (end / per_area >= plan->layout.nr_areas || end >= stop)
		return 0;
	ret = cow_snap_list_zero(plan->cow, &plan->layout, end, stop, err);
	return ret ? ret : cow_image_flush(plan->cow, err);
}

int cow_snap_plan_apply(const struct snap_plan *plan, struct cow_err *err)
{
	struct snap_edits fills = { 0 };
	int ret;

	ret = copies_write(plan, err);
	if (!ret)
		ret = sets_write(plan, err);
	if (!ret && plan->first_hole != UINT64_MAX)
		ret = cut(plan, plan->nr_records, err);
	if (!ret)
		ret = fills_find(plan, &fills, err);
	if (!ret)
		ret = fills_write(plan, &fills, err);
	free(fills.rows);
	if (ret || (!plan->drops.nr && !plan->cuts_tail))
		return ret;
	return cut(plan, plan->nr_records - plan->drops.nr, err);
}
