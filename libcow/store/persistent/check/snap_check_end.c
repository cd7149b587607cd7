/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_check_end.c - findings about a list that may be cut short, or go on in a
 * copy of another area. snap_end.c has the rule.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/cleanup.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/check/snap_check.h"

int cow_snap_check_copy(struct snap_check *check, const uint8_t *sector, uint64_t index,
			struct cow_err *err)
{
	const struct snap_layout *layout = &check->layout;
	uint64_t of_area;
	bool is_copy;
	int ret;

	/* a merge moves records that it keeps (I13) */
	if (check->is_merging || check->copy_index != UINT64_MAX)
		return 0;
	ret = cow_snap_end_is_copy(check->cow, layout, index / layout->records_per_area, sector,
				   &of_area, &is_copy, err);
	if (!ret && is_copy) {
		check->copy_index = index;
		check->copy_of = of_area;
	}
	return ret;
}

/* Where the list does not reach the other area, its records were moved. */
bool cow_snap_check_is_copy(const struct snap_check *check, uint64_t index)
{
	uint64_t per_area = check->layout.records_per_area;

	return check->copy_index != UINT64_MAX && check->nr_records > check->copy_of * per_area &&
	       index >= check->copy_index && index < check->copy_index + per_area;
}

static void copy_add(struct snap_check *check)
{
	const struct snap_layout *layout = &check->layout;
	uint64_t area = check->copy_index / layout->records_per_area;

	if (!cow_snap_check_is_copy(check, check->copy_index))
		return;
	check->is_doubtful = true;
	cow_snap_check_add(check, SNAP_AREA_COPIED,
			   cow_snap_record_offset(layout, check->copy_index), layout->chunk_bytes,
			   "area %" PRIu64 " holds the same bytes as area %" PRIu64
			   ", where they belong: what area %" PRIu64
			   " held is lost, and the list behind it is not to be trusted",
			   area, check->copy_of, area);
}

static void end_add(struct snap_check *check, enum snap_problem problem, const struct snap_end *end)
{
	uint64_t per_area = check->layout.records_per_area;

	check->has_older |= problem == SNAP_OLDER_RECORDS;
	cow_snap_check_add(
		check, problem, cow_snap_record_offset(&check->layout, end->behind_index),
		SNAP_RECORD_BYTES,
		"the list ends at record %" PRIu64 " of area %" PRIu64 "; %" PRIu64
		" records stand behind it, from record %" PRIu64 " of area %" PRIu64 " on%s%s",
		end->nr_records % per_area, end->nr_records / per_area, end->nr_behind,
		end->behind_index % per_area, end->behind_index / per_area, *end->why ? ": " : "",
		end->why);
}

/* Both readings, and how often each. */
static void doubt_add(struct snap_check *check, const struct snap_end *end)
{
	uint64_t per_area = check->layout.records_per_area, at = end->nr_records % per_area;

	check->is_doubtful = true;
	cow_snap_check_add(
		check, SNAP_LIST_DOUBTFUL,
		cow_snap_record_offset(&check->layout, end->behind_index), SNAP_RECORD_BYTES,
		"the list ends at record %" PRIu64 " of area %" PRIu64 "; %" PRIu64
		" records stand behind it, from record %" PRIu64 " of area %" PRIu64
		" on: either about %" PRIu64 " between are lost, or those behind are an older "
		"store's, merged or never finished, and the list ended exactly there, at %s, as "
		"one in %" PRIu64 " does by chance",
		at, end->nr_records / per_area, end->nr_behind, end->behind_index % per_area,
		end->behind_index / per_area, end->behind_index - end->nr_records,
		at ? "the end of a sector" : "the end of an area",
		at ? SNAP_RECORDS_PER_SECTOR : per_area);
}

static void cut_add(struct snap_check *check, const struct snap_end *end)
{
	uint64_t per_area = check->layout.records_per_area;

	char run[120] = "";

	if (end->is_run)
		snprintf(run, sizeof(run),
			 "; a run of chunks spans the gap, %" PRIu64 " in front of it and %" PRIu64
			 " behind it",
			 end->old_before, end->old_behind);
	check->is_doubtful = true;
	cow_snap_check_add(
		check, SNAP_LIST_CUT, cow_snap_record_offset(&check->layout, end->behind_index),
		SNAP_RECORD_BYTES,
		"the list is cut short at record %" PRIu64 " of area %" PRIu64 ": about %" PRIu64
		" records are missing, %" PRIu64 " are intact behind them (%s%s)",
		end->nr_records % per_area, end->nr_records / per_area,
		end->behind_index - end->nr_records, end->nr_behind, end->why, run);
}

/* Data without a record, where a lost sector or area may have had some. Of a list
 * that is damaged all is said. */
static int data_behind_check(struct snap_check *check, struct cow_err *err)
{
	const struct snap_layout *layout = &check->layout;
	struct cow_segment where;
	enum snap_end_loss loss;
	bool is_bad;
	int ret;

	if (check->nr_bad || check->is_doubtful || check->garbage_index != UINT64_MAX)
		return 0;
	ret = cow_snap_end_loss(check->cow, check->origin, layout, check->nr_records,
				check->highest_new, check->callbacks, &where, &loss, err);
	/* What was not looked at is not zeros. */
	is_bad = ret == -EIO || cow_snap_check_is_bad(check, where.offset_bytes, where.len_bytes);
	if (!is_bad && (ret || loss == SNAP_LOSS_NONE))
		return ret;
	is_bad |= loss == SNAP_LOSS_NONE;
	check->is_doubtful = !is_bad && loss == SNAP_LOSS_LIKELY;
	check->may_have_lost = !check->is_doubtful;
	cow_snap_check_add(check, check->is_doubtful ? SNAP_LIST_END_DOUBTFUL : SNAP_DATA_BEHIND,
			   where.offset_bytes, where.len_bytes,
			   "the list ends at record %" PRIu64 " of area %" PRIu64
			   ", at the end of %s, and the chunks behind its last one %s",
			   check->nr_records % layout->records_per_area,
			   check->nr_records / layout->records_per_area,
			   check->nr_records % layout->records_per_area ? "a sector" : "an area",
			   is_bad		? "cannot be read"
			   : check->is_doubtful ? "are not zeros, and those further behind are"
						: "are not zeros");
	return 0;
}

/* A merge of ours that finished zeroed area 0 and the first sector of area 1. */
static bool is_merged(const struct snap_check *check, const struct snap_end *end)
{
	return check->was_merged &&
	       end->behind_index >= check->layout.records_per_area + SNAP_RECORDS_PER_SECTOR;
}

int cow_snap_check_end(struct snap_check *check, bool *ret_is_settled, struct cow_err *err)
{
	struct snap_end end;
	int ret;

	*ret_is_settled = false;
	copy_add(check);
	if (check->is_merging)
		return 0;
	ret = cow_snap_end_judge(check->cow, check->origin, &check->bounds, check->nr_records,
				 check->callbacks, &end, err);
	if (ret)
		return ret;
	switch (end.outcome) {
	case SNAP_END_CLEAN:
		return data_behind_check(check, err);
	case SNAP_END_STALE:
		return 0;
	case SNAP_END_OLDER:
		end_add(check, SNAP_OLDER_RECORDS, &end);
		return 0;
	case SNAP_END_EMPTY:
		if (!is_merged(check, &end)) {
			check->may_have_lost = true;
			end_add(check, SNAP_RECORDS_BEHIND_EMPTY, &end);
		}
		return 0;
	case SNAP_END_TORN:
		end_add(check, SNAP_TORN_COMMIT, &end);
		break;
	case SNAP_END_CUT:
		cut_add(check, &end);
		break;
	case SNAP_END_DOUBTFUL:
		doubt_add(check, &end);
		break;
	}
	*ret_is_settled = true;
	return 0;
}
