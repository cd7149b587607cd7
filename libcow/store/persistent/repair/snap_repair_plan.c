/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_repair_plan.c - what is to be done about findings that concern
 * the list. Of two records of one chunk of the origin the one is kept that
 * the kernel's reads return; the other becomes a second copy of it, which
 * decides nothing, before anything moves. Memory goes with the damage.
 */
#include <errno.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_kernel.h"
#include "libcow/store/persistent/repair/snap_repair.h"

/* A record of which the chunk, old or new, is one of those that repeat. */
struct occurrence {
	uint64_t chunk, index;
	struct snap_record record;
};

struct occurrences {
	struct snap_edits wanted; /* index: the chunk; sorted */
	struct occurrence *rows;
	size_t nr, capacity;
};

struct planner {
	struct snap_plan *plan;
	struct occurrences olds, news;
	bool drops_beyond_end;
	bool has_top_bytes;	/* the kernel reads runs that nobody wrote */
	bool has_lost;		/* the finding that is planned now gives up data */
	uint64_t highest_new;	/* of sound records */
	struct snap_edits used; /* index: each chunk that a sound record names */
	uint64_t next_lower;	/* below this, none is free */
	struct cow_err *err;
};

static int drop(struct planner *planner, uint64_t index)
{
	return cow_snap_edits_add(&planner->plan->drops, index, NULL, planner->err);
}

/* Does the kernel read the chunk from another record, which is sound? */
static bool find_other(const struct snap_plan *plan, const struct snap_record *record,
		       struct snap_record *ret_other)
{
	struct exmap_run run;

	if (!plan->kernel || !cow_exmap_lookup(plan->kernel->map, record->old_chunk, &run) ||
	    run.new_chunk == record->new_chunk)
		return false;
	*ret_other = (struct snap_record){ record->old_chunk, run.new_chunk };
	return !cow_snap_record_problem(&plan->bounds, ret_other);
}

/* If it does it must go on doing so: until this one is gone, it says the same.
 * If not, the chunk shows the origin from now on. */
static int record_drop(struct planner *planner, const struct snap_record *record, uint64_t index,
		       bool is_lossy)
{
	struct snap_record other;
	bool has_other = find_other(planner->plan, record, &other);
	int ret = 0;

	if (has_other)
		ret = cow_snap_edits_add(&planner->plan->sets, index, &other, planner->err);
	/* what the kernel takes for a run is one exception afterwards */
	planner->has_lost |= is_lossy && (!has_other || planner->has_top_bytes);
	return ret ? ret : drop(planner, index);
}

/* ------------------------------------------------------- single findings */

static int record_read(const struct planner *planner, uint64_t index,
		       struct snap_record *ret_record)
{
	return cow_snap_record_read(planner->plan->cow, &planner->plan->layout, index, ret_record,
				    planner->err);
}

static int top_byte_mend(struct planner *planner, uint64_t index)
{
	struct snap_plan *plan = planner->plan;
	struct snap_record record;
	int ret = record_read(planner, index, &record);

	if (!ret)
		ret = cow_snap_edits_add(&planner->plan->runs, record.old_chunk, &record,
					 planner->err);
	if (ret)
		return ret;
	record.new_chunk &= SNAP_NEW_CHUNK_MASK;
	if (cow_snap_record_problem(&plan->bounds, &record))
		return record_drop(planner, &record, index, true);
	return cow_snap_edits_add(&plan->sets, index, &record, planner->err);
}

static int twice_note(struct planner *planner, uint64_t index, bool is_old)
{
	struct snap_record record;
	int ret = record_read(planner, index, &record);

	if (ret)
		return ret;
	return cow_snap_edits_add(is_old ? &planner->olds.wanted : &planner->news.wanted,
				  is_old ? record.old_chunk : record.new_chunk, NULL, planner->err);
}

static int numbered_drop(struct planner *planner, uint64_t index, bool is_lossy)
{
	struct snap_record record;
	int ret = record_read(planner, index, &record);

	return ret ? ret : record_drop(planner, &record, index, is_lossy);
}

/* Places of the list that say nothing. */
static int places_drop(struct planner *planner, uint64_t index, uint64_t nr)
{
	uint64_t end = min_u64(index + nr, planner->plan->nr_records);
	int ret = 0;

	planner->has_lost |= index < end;
	for (; index < end && !ret; index++)
		ret = drop(planner, index);
	return ret;
}

static int mend_plan(struct planner *planner, const struct snap_mend *mend)
{
	enum snap_action action = cow_snap_problem_row(mend->problem)->action;
	struct snap_plan *plan = planner->plan;
	uint64_t index;

	if (!mend->is_wanted) {
		plan->keeps_tail |= action == SNAP_DO_HOLE || action == SNAP_DO_STALE;
		plan->leaves_tail |=
			mend->problem == SNAP_LIST_CUT || mend->problem == SNAP_LIST_DOUBTFUL;
		return 0;
	}
	index = cow_snap_record_index(&plan->layout, mend->offset_bytes);
	switch (action) {
	case SNAP_DO_DROP:
	case SNAP_DO_DROP_MISDIRECTED:
		/* what stood in the place of a copy, nobody knows */
		plan->nr_unknown += mend->problem == SNAP_RECORD_COPIED;
		/* a second copy of a record tells nothing new */
		return numbered_drop(planner, index, mend->problem != SNAP_DUPLICATE_RECORD);
	case SNAP_DO_DROP_PLACES:
		return places_drop(planner, index, mend->len_bytes / SNAP_RECORD_BYTES);
	case SNAP_DO_CLEAR_TOP_BYTE:
		return top_byte_mend(planner, index);
	case SNAP_DO_OLD_TWICE:
	case SNAP_DO_NEW_TWICE:
		return twice_note(planner, index, action == SNAP_DO_OLD_TWICE);
	case SNAP_DO_DROP_BEYOND:
		planner->drops_beyond_end = true;
		return 0;
	case SNAP_DO_GARBAGE:
		/* An area is zeros until records are written to it: some were there. */
		plan->nr_unknown++;
		planner->has_lost = true;
		plan->nr_records = min_u64(plan->nr_records, index);
		plan->cuts_tail = plan->cuts_garbage = true;
		return 0;
	case SNAP_DO_HOLE:
		plan->first_hole = plan->nr_records;
		return 0;
	case SNAP_DO_STALE:
		plan->cuts_tail = true;
		return 0;
	case SNAP_DO_COPIED:
		/* what the area held, nobody knows */
		plan->nr_unknown +=
			min_u64(plan->layout.records_per_area, plan->nr_records - index);
		return places_drop(planner, index, plan->layout.records_per_area);
	case SNAP_DO_SALVAGE:
		planner->has_lost = true;
		return cow_snap_plan_salvage(plan, index, mend->problem == SNAP_LIST_DOUBTFUL,
					     planner->err);
	default:
		return 0; /* of the header */
	}
}

static int mends_plan(struct planner *planner, const struct snap_mends *mends)
{
	int ret = 0;

	for (size_t i = 0; i < mends->nr; i++)
		planner->has_top_bytes |= mends->rows[i].problem == SNAP_NEW_CHUNK_TOP_BYTE;
	for (size_t i = 0; i < mends->nr && !ret; i++) {
		planner->has_lost = false;
		ret = mend_plan(planner, &mends->rows[i]);
		planner->plan->nr_lossy += planner->has_lost;
	}
	planner->has_lost = false;
	return ret;
}

/* ------------------------------------------------------------- duplicates */

static int occurrence_add(struct planner *planner, struct occurrences *to, uint64_t chunk,
			  uint64_t index, const struct snap_record *record)
{
	struct occurrence *rows;

	if (!cow_snap_edits_find(&to->wanted, chunk))
		return 0;
	rows = cow_array_grow(to->rows, to->nr, &to->capacity, sizeof(*rows));
	if (!rows)
		return cow_fail(planner->err, -ENOMEM, "no memory for more than %zu records",
				to->nr);
	to->rows = rows;
	to->rows[to->nr++] = (struct occurrence){ chunk, index, *record };
	return 0;
}

static int record_look(struct planner *planner, const struct snap_record *record, uint64_t index)
{
	enum snap_problem problem = cow_snap_record_problem(&planner->plan->bounds, record);
	int ret;

	if (problem) {
		if (planner->drops_beyond_end && record->new_chunk &&
		    problem == SNAP_NEW_CHUNK_BEYOND_END)
			return record_drop(planner, record, index, true);
		return 0;
	}
	planner->highest_new = max_u64(planner->highest_new, record->new_chunk);
	if (planner->news.wanted.nr) {
		ret = cow_snap_edits_add(&planner->used, record->new_chunk, NULL, planner->err);
		if (ret)
			return ret;
	}
	ret = occurrence_add(planner, &planner->olds, record->old_chunk, index, record);
	return ret ? ret
		   : occurrence_add(planner, &planner->news, record->new_chunk, index, record);
}

static int list_look(struct planner *planner)
{
	const struct snap_plan *plan = planner->plan;
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	int ret;

	ret = cow_snap_list_open(&list, plan->cow, &plan->layout, 0, planner->err);
	list.callbacks = plan->callbacks;
	list.phase = "plan";
	list.total_bytes = plan->nr_records * SNAP_RECORD_BYTES;
	while (!ret && list.index < plan->nr_records && cow_snap_list_next(&list, &record, &index))
		ret = record_look(planner, &record, index);
	return cow_snap_list_close(&list, ret);
}

static int compare_occurrences(const void *a, const void *b)
{
	const struct occurrence *x = a, *y = b;

	if (x->chunk != y->chunk)
		return x->chunk < y->chunk ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Of the records of one old chunk: the first that the kernel's reads follow;
 * where they follow none of these, the first. */
static size_t winner_find(const struct snap_plan *plan, const struct occurrence *rows, size_t nr)
{
	struct exmap_run run;

	if (!plan->kernel || !cow_exmap_lookup(plan->kernel->map, rows[0].chunk, &run))
		return 0;
	for (size_t i = 0; i < nr; i++)
		if (rows[i].record.new_chunk == run.new_chunk)
			return i;
	return 0;
}

static int olds_plan(struct planner *planner, const struct occurrence *rows, size_t nr)
{
	size_t winner = winner_find(planner->plan, rows, nr);
	int ret = 0;

	for (size_t i = 0; i < nr && !ret; i++) {
		if (i == winner)
			continue;
		if (rows[i].record.new_chunk != rows[winner].record.new_chunk)
			ret = cow_snap_edits_add(&planner->plan->sets, rows[i].index,
						 &rows[winner].record, planner->err);
		if (!ret)
			ret = drop(planner, rows[i].index);
	}
	return ret;
}

/* Behind all that are used, as the kernel would; then one that was leaked. */
static bool fresh_find(struct planner *planner, uint64_t *ret_chunk)
{
	const struct snap_layout *layout = &planner->plan->layout;
	uint64_t chunk = cow_snap_skip_area(layout, planner->highest_new + 1);

	if (chunk < layout->nr_chunks) {
		*ret_chunk = planner->highest_new = chunk;
		return true;
	}
	chunk = max_u64(planner->next_lower, SNAP_FIRST_DATA_CHUNK);
	while (chunk < layout->nr_chunks &&
	       (cow_snap_is_area(layout, chunk) || cow_snap_edits_find(&planner->used, chunk)))
		chunk++;
	planner->next_lower = chunk + 1;
	*ret_chunk = chunk;
	return chunk < layout->nr_chunks;
}

/* All but the first that stays get a chunk of their own. */
static int news_plan(struct planner *planner, const struct occurrence *rows, size_t nr)
{
	struct snap_plan *plan = planner->plan;
	const struct occurrence *owner = NULL;
	int ret = 0;

	for (size_t i = 0; i < nr && !ret; i++) {
		struct snap_record record = rows[i].record, copy = { rows[i].chunk, 0 };

		if (cow_snap_edits_find(&plan->drops, rows[i].index))
			continue;
		if (!owner) {
			owner = &rows[i];
			continue;
		}
		if (rows[i].record.old_chunk == owner->record.old_chunk)
			continue;
		if (!fresh_find(planner, &record.new_chunk))
			return 0;
		copy.new_chunk = record.new_chunk;
		ret = cow_snap_edits_add(&plan->copies, rows[i].index, &copy, planner->err);
		if (!ret)
			ret = cow_snap_edits_add(&plan->sets, rows[i].index, &record, planner->err);
	}
	return ret;
}

static int groups_plan(struct planner *planner, struct occurrences *of,
		       int (*plan_one)(struct planner *planner, const struct occurrence *rows,
				       size_t nr))
{
	size_t nr;
	int ret = 0;

	if (of->nr)
		qsort(of->rows, of->nr, sizeof(*of->rows), compare_occurrences);
	for (size_t i = 0; i < of->nr && !ret; i += nr) {
		for (nr = 1; i + nr < of->nr && of->rows[i + nr].chunk == of->rows[i].chunk;)
			nr++;
		ret = plan_one(planner, &of->rows[i], nr);
	}
	cow_snap_edits_sort(&planner->plan->drops);
	return ret;
}

static int twice_plan(struct planner *planner)
{
	int ret = 0;

	cow_snap_edits_sort(&planner->olds.wanted);
	cow_snap_edits_sort(&planner->news.wanted);
	if (planner->olds.wanted.nr || planner->news.wanted.nr || planner->drops_beyond_end)
		ret = list_look(planner);
	/* of the finding that the image was cut */
	planner->plan->nr_lossy += planner->has_lost;
	cow_snap_edits_sort(&planner->plan->drops);
	cow_snap_edits_sort(&planner->used);
	if (!ret)
		ret = groups_plan(planner, &planner->olds, olds_plan);
	/* A record that moves to another chunk leaves its run, and with it may
	 * go what decided between two: that comes first, in a round of its own. */
	if (ret || planner->plan->sets.nr || planner->plan->first_hole != UINT64_MAX)
		return ret;
	return groups_plan(planner, &planner->news, news_plan);
}

/* ------------------------------------------------------------------- plan */

/* What lies behind the new end of the list needs no drop of its own. */
static void drops_clip(struct snap_plan *plan)
{
	struct snap_edits *all[] = { &plan->drops, &plan->sets };

	for (size_t i = 0; i < 2; i++)
		while (all[i]->nr && all[i]->rows[all[i]->nr - 1].index >= plan->nr_records)
			all[i]->nr--;
}

int cow_snap_plan_make(struct snap_plan *plan, const struct snap_mends *mends, struct cow_err *err)
{
	struct planner planner = { .plan = plan, .highest_new = 1, .err = err };
	int ret;

	plan->first_hole = UINT64_MAX;
	ret = mends_plan(&planner, mends);
	cow_snap_edits_sort(&plan->runs);
	if (!ret && plan->first_hole != UINT64_MAX && !plan->is_salvaged)
		ret = cow_snap_plan_hole(plan, err);
	/* all that is behind it stands in front of it, too */
	if (plan->first_hole == plan->nr_records)
		plan->cuts_tail = true;
	if (!ret)
		ret = twice_plan(&planner);
	cow_snap_edits_sort(&plan->sets);
	drops_clip(plan);
	cow_snap_edits_waves(&plan->sets);
	free(planner.olds.wanted.rows);
	free(planner.news.wanted.rows);
	free(planner.olds.rows);
	free(planner.news.rows);
	free(planner.used.rows);
	return ret;
}

void cow_snap_plan_free(struct snap_plan *plan)
{
	free(plan->sets.rows);
	free(plan->drops.rows);
	free(plan->copies.rows);
	free(plan->runs.rows);
}

bool cow_snap_plan_is_empty(const struct snap_plan *plan)
{
	return !plan->sets.nr && !plan->drops.nr && !plan->copies.nr && !plan->cuts_tail;
}
