/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_check_empty.c - is nothing lost when the store is removed? An empty list
 * may have lost its first area, so records in any area count: all of them are
 * looked at, also those that the list does not reach.
 *
 * Records behind an empty list are harmless in two cases. Our label says that
 * a merge of ours has finished, and nothing was appended since: that merge left
 * area 0 and the first sector of area 1 as zeros, and whoever appends fills
 * area 0 first and then area 1 from its first record on. Or the origin holds
 * already what each of them names.
 */
#include <errno.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/check/snap_check.h"
#include "libcow/store/persistent/snap_data.h"

struct empty_check {
	struct snap_check *check;
	const uint8_t *label; /* raw */
	uint8_t *buf;	      /* a piece of metadata */
	uint8_t *old;	      /* two pieces, of the data of both images */
	uint64_t nr_behind;   /* records, of areas that the list does not reach too */
	uint64_t nr_differ;   /* of them: the origin holds other bytes, or is not given */
	bool is_area_0_used;  /* bytes other than zeros */
	bool is_area_1_used;  /* in its first sector */
};

static int record_count(struct empty_check *empty, const uint8_t *raw, uint64_t area,
			struct cow_err *err)
{
	struct snap_data_compare compare = { .is_same = false };
	const struct snap_check *check = empty->check;
	struct snap_record record;
	bool is_sound;
	int ret = 0;

	if (is_all_zero(raw, SNAP_RECORD_BYTES))
		return 0;
	cow_snap_record_decode(raw, &record);
	is_sound = record.new_chunk && !cow_snap_record_problem(&check->bounds, &record);
	/* Anything in area 0 could become a record; further on it is mostly old data. */
	if (!is_sound && area)
		return 0;
	if (is_sound && check->origin)
		ret = cow_snap_data_compare(check->cow, check->origin, &check->layout, &record,
					    empty->old, &compare, err);
	empty->nr_behind++;
	empty->nr_differ += !compare.is_same;
	return ret;
}

/* One piece of an area: nr records from index on. */
static int piece_look(struct empty_check *empty, uint64_t index, uint64_t nr, struct cow_err *err)
{
	uint64_t area = index / empty->check->layout.records_per_area;
	bool is_first = index == empty->check->layout.records_per_area;
	uint64_t len = nr * SNAP_RECORD_BYTES;
	int ret = 0;

	if (is_all_zero(empty->buf, len))
		return 0;
	empty->is_area_0_used |= !area;
	empty->is_area_1_used |= is_first && !is_all_zero(empty->buf, COW_SECTOR_BYTES);
	for (uint64_t i = 0; i < len && !ret; i += SNAP_RECORD_BYTES)
		ret = record_count(empty, empty->buf + i, area, err);
	return ret;
}

static int areas_look(struct empty_check *empty, struct cow_err *err)
{
	const struct snap_layout *layout = &empty->check->layout;
	uint64_t per_area = layout->records_per_area, end = layout->nr_areas * per_area;
	uint64_t index = 0, offset, nr;
	int ret;

	for (; index < end; index += nr) {
		ret = cow_snap_list_next_data(empty->check->cow, layout, index, end, &index, err);
		if (ret || index == end)
			return ret;
		offset = cow_snap_record_offset(layout, index);
		nr = min_u64(per_area - index % per_area, COW_PIECE_BYTES / SNAP_RECORD_BYTES);
		ret = cow_image_pread(empty->check->cow, empty->buf, nr * SNAP_RECORD_BYTES, offset,
				      err);
		if (!ret)
			ret = piece_look(empty, index, nr, err);
		if (!ret)
			ret = cow_callbacks_progress(empty->check->callbacks, "check", offset,
						     cow_image_size(empty->check->cow), err);
		if (ret)
			return ret;
	}
	return 0;
}

static bool has_finished_merge(const struct empty_check *empty)
{
	struct cow_label label;

	return cow_label_decode(empty->label, &label) && cow_label_is_finished(&label) &&
	       !empty->is_area_0_used && !empty->is_area_1_used;
}

static uint32_t answer(const struct empty_check *empty)
{
	const struct snap_check *check = empty->check;

	if (check->is_damaged || check->kernel_refuses || check->kernel_wipes)
		return COW_EMPTY_DAMAGED;
	if (check->nr_records)
		return COW_EMPTY_HOLDS;
	if (check->has_other_size)
		return COW_EMPTY_BEHIND;
	return empty->nr_differ && !has_finished_merge(empty) ? COW_EMPTY_BEHIND : COW_EMPTY_YES;
}

int cow_snap_check_empty(struct snap_check *check, const uint8_t *label,
			 struct cow_verdict *verdict, struct cow_err *err)
{
	AUTO_FREE uint8_t *buf = malloc(COW_PIECE_BYTES);
	AUTO_FREE uint8_t *old = malloc(2 * COW_PIECE_BYTES);
	struct empty_check empty = { .check = check, .label = label, .buf = buf, .old = old };
	int ret = 0;

	if (!buf || !old)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	if (!check->nr_records)
		ret = areas_look(&empty, err);
	if (ret)
		return ret;
	verdict->empty = answer(&empty);
	verdict->nr_behind = empty.nr_behind;
	return 0;
}
