/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_repair_gap.c - a list that was cut short: what stands behind the gap is
 * appended to what stands in front of it. What the gap held is lost; where a run of
 * chunks goes on behind it as far as the missing records would have taken it, they
 * can be made up, on request: it is a guess.
 */
#include "libcow/store/persistent/repair/snap_repair.h"

struct gap {
	struct snap_plan *plan;
	uint64_t begin, end;		  /* records that are missing */
	uint64_t tail_end;		  /* where those behind it end */
	struct snap_record before, first; /* in front of it, behind it */
	struct cow_err *err;
};

static uint64_t shift_of(const struct gap *gap, const struct snap_record *record, uint64_t index)
{
	return record->new_chunk - cow_snap_position_chunk(&gap->plan->layout, index);
}

/* The record that a run through the gap has at index. */
static struct snap_record run_record(const struct gap *gap, uint64_t index)
{
	uint64_t shift = shift_of(gap, &gap->before, gap->begin - 1);

	return (struct snap_record){
		.old_chunk = gap->before.old_chunk + 1 + (index - gap->begin),
		.new_chunk = cow_snap_position_chunk(&gap->plan->layout, index) + shift,
	};
}

static bool is_in_gap(const struct gap *gap, uint64_t old_chunk)
{
	return old_chunk > gap->before.old_chunk && old_chunk < gap->first.old_chunk;
}

/* Does a record in front of the gap name a chunk that the run would name? */
static bool is_named_before(const struct gap *gap)
{
	struct exmap_run run;

	return gap->plan->kernel &&
	       cow_exmap_next(gap->plan->kernel->map, gap->before.old_chunk + 1, &run) &&
	       is_in_gap(gap, run.old_chunk);
}

/* Finds where the records behind the gap end, and whether one of them names such a
 * chunk. */
static int tail_read(struct gap *gap, bool *ret_names)
{
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	int ret = cow_snap_list_open(&list, gap->plan->cow, &gap->plan->layout, gap->end, gap->err);

	*ret_names = false;
	while (!ret && cow_snap_list_next(&list, &record, &index) && record.new_chunk) {
		gap->tail_end = index + 1;
		*ret_names |= is_in_gap(gap, record.old_chunk);
	}
	return cow_snap_list_close(&list, ret);
}

/* Can the records of the gap be made up, each of them sound? */
static bool is_spanned(const struct gap *gap, bool is_named)
{
	struct snap_record last;

	if (!gap->begin || is_named || is_named_before(gap) ||
	    gap->first.old_chunk - gap->before.old_chunk != gap->end - gap->begin + 1 ||
	    shift_of(gap, &gap->before, gap->begin - 1) != shift_of(gap, &gap->first, gap->end))
		return false;
	for (uint64_t at = gap->begin; at < gap->end; at++) {
		last = run_record(gap, at);
		if (cow_snap_record_problem(&gap->plan->bounds, &last))
			return false;
	}
	return true;
}

static int fill(const struct gap *gap)
{
	struct snap_plan *plan = gap->plan;
	int ret = 0;

	for (uint64_t at = gap->begin; !ret && at < gap->end; at++) {
		struct snap_record record = run_record(gap, at);

		ret = cow_snap_edits_add(&plan->sets, at, &record, gap->err);
	}
	plan->nr_guessed += gap->end - gap->begin;
	return ret;
}

static int drop(const struct gap *gap)
{
	int ret = 0;

	for (uint64_t at = gap->begin; !ret && at < gap->end; at++)
		ret = cow_snap_edits_add(&gap->plan->drops, at, NULL, gap->err);
	return ret;
}

int cow_snap_plan_salvage(struct snap_plan *plan, uint64_t index, bool is_doubtful,
			  struct cow_err *err)
{
	struct gap gap = {
		.plan = plan, .begin = plan->nr_records, .end = index, .tail_end = index, .err = err
	};
	bool is_named = false;
	int ret = 0;

	if (gap.begin)
		ret = cow_snap_record_read(plan->cow, &plan->layout, gap.begin - 1, &gap.before,
					   err);
	if (!ret)
		ret = cow_snap_record_read(plan->cow, &plan->layout, index, &gap.first, err);
	if (!ret)
		ret = tail_read(&gap, &is_named);
	if (ret)
		return ret;
	plan->is_salvaged = true;
	plan->first_hole = gap.begin;
	plan->nr_records = gap.tail_end;
	plan->nr_appended += is_doubtful ? gap.tail_end - index : 0;
	return plan->fills_gap && is_spanned(&gap, is_named) ? fill(&gap) : drop(&gap);
}
