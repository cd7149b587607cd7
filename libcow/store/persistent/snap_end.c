/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_end.c - does the list end where its writer ended it?
 *
 * An area or a sector that was overwritten with zeros ends the list early, and
 * the rest of it stands behind the hole. But records of an older store of the
 * same device stand behind a list, too, and so do records that a merge has
 * finished with. What tells them apart, in this order:
 *
 * - A sector is written whole. Behind an end within a sector (its record is
 *   not the first of one) nothing was lost to zeros: what stands in later areas
 *   is older.
 * - The kernel zeroes area k + 1 before it fills area k. So where area k is
 *   used to its end and area k + 1 begins with sound records, zeros within
 *   area k are a hole.
 * - Two stores of one origin may hold the same chunk, one list never does.
 * - Records in a later area whose data does not lie in their order are older, unless
 *   the list has no such order itself: kernels before 3.14 wrote it as copies ended.
 * - A sequential write gives a run of chunks. Where the run goes on behind the
 *   zeros exactly as far as the missing records would take it, they are missing.
 * - Data that the origin holds, too, was merged or never acknowledged.
 *
 * Where none of this decides, the answer is that it cannot be told. Only what
 * stands first behind the end is used: behind the rest of a list that was cut
 * an even older store may follow.
 */
#include "libcow/store/persistent/snap_end.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/cleanup.h"
#include "libcow/base/err.h"
#include "libcow/core/chunkset.h"
#include "libcow/store/persistent/snap_data.h"

struct judge {
	struct cow_image *cow, *origin;
	const struct snap_bounds *bounds;
	const struct snap_layout *layout;
	const struct cow_callbacks *callbacks;
	struct snap_end *end;
	struct snap_record last, first; /* of the list; behind it */
	bool is_sound;			/* what stands behind it could be records of a list, ... */
	bool is_in_order;		/* ... as a kernel since 3.14 writes one */
	bool is_list_shuffled;		/* the list itself is not */
	bool is_next_area_used;		/* sound records begin behind the area of the end */
	bool has_common;		/* a chunk of the list occurs behind it */
	bool has_data;			/* data other than zeros was compared */
	bool is_in_origin;		/* ... and the origin holds all of it */
	struct cow_err *err;
};

static uint64_t area_of(const struct judge *judge, uint64_t index)
{
	return index / judge->layout->records_per_area;
}

static bool is_at_sector(uint64_t index)
{
	return index % SNAP_RECORDS_PER_SECTOR == 0;
}

/* How far behind its place in a list without gaps the record's data lies. */
static bool shift_of(const struct judge *judge, const struct snap_record *record, uint64_t index,
		     uint64_t *ret_shift)
{
	uint64_t position = cow_snap_position_chunk(judge->layout, index);

	*ret_shift = record->new_chunk - position;
	return record->new_chunk >= position;
}

/* Adds records [from, from + nr) to the sets; none breaks off at an end. Sets *is_shuffled
 * where the data of sound ones does not lie in the order of the records. */
static int olds_add(const struct judge *judge, uint64_t from, uint64_t nr, struct cow_chunkset *all,
		    struct cow_chunkset *own, bool *is_shuffled)
{
	uint64_t last = 0;
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	int ret = cow_snap_list_open(&list, judge->cow, judge->layout, from, judge->err);

	list.callbacks = judge->callbacks;
	list.phase = "check";
	while (!ret && list.index < from + nr && cow_snap_list_next(&list, &record, &index)) {
		ret = cow_chunkset_add(all, record.old_chunk, judge->err);
		if (!ret)
			ret = cow_chunkset_add(own, record.old_chunk, judge->err);
		if (cow_snap_record_problem(judge->bounds, &record))
			continue;
		*is_shuffled |= record.new_chunk < last;
		last = record.new_chunk;
	}
	return cow_snap_list_close(&list, ret);
}

/* Do the list and what stands behind it share a chunk, or that one with itself? */
static int common_find(struct judge *judge)
{
	AUTO_HANDLE(chunkset) struct cow_chunkset *all = NULL;
	AUTO_HANDLE(chunkset) struct cow_chunkset *front = NULL;
	AUTO_HANDLE(chunkset) struct cow_chunkset *behind = NULL;
	const struct snap_end *end = judge->end;
	bool is_behind_shuffled = false;
	int ret = cow_chunkset_new(&all, judge->err);

	if (!ret)
		ret = cow_chunkset_new(&front, judge->err);
	if (!ret)
		ret = cow_chunkset_new(&behind, judge->err);
	if (!ret)
		ret = olds_add(judge, 0, end->nr_records, all, front, &judge->is_list_shuffled);
	if (!ret)
		ret = olds_add(judge, end->behind_index, end->nr_behind, all, behind,
			       &is_behind_shuffled);
	if (!ret)
		ret = cow_chunkset_seal(all, judge->err);
	if (!ret)
		ret = cow_chunkset_seal(front, judge->err);
	if (!ret)
		ret = cow_chunkset_seal(behind, judge->err);
	if (ret)
		return ret;
	judge->has_common = cow_chunkset_nr_distinct(all) <
			    cow_chunkset_nr_distinct(front) + cow_chunkset_nr_distinct(behind);
	if (cow_chunkset_nr_distinct(behind) < end->nr_behind)
		judge->is_sound = false;
	return 0;
}

static bool is_known_bad(const struct judge *judge, uint64_t offset_bytes, uint64_t end_bytes)
{
	struct cow_segment bad;

	return cow_image_next_bad(judge->cow, offset_bytes, &bad) && bad.offset_bytes < end_bytes;
}

/* Behind an empty list: are most records here, from number index on in its sector, none?
 * The device may have been in use before. */
static int rubbish_look(const struct judge *judge, uint64_t index, bool *ret_is_rubbish)
{
	uint64_t in_sector = index % SNAP_RECORDS_PER_SECTOR, nr = 0, nr_bad = 0;
	uint8_t sector[COW_SECTOR_BYTES];
	struct snap_record record;
	int ret;

	*ret_is_rubbish = false;
	if (judge->end->nr_records || index < judge->layout->records_per_area)
		return 0;
	ret = cow_snap_sector_read(judge->cow, judge->layout, index, sector, judge->err);
	for (uint64_t i = in_sector; !ret && i < SNAP_RECORDS_PER_SECTOR; i++, nr++) {
		cow_snap_record_decode(sector + i * SNAP_RECORD_BYTES, &record);
		if (!record.new_chunk)
			break;
		nr_bad += !cow_snap_is_record(judge->bounds, &record, index + nr);
	}
	*ret_is_rubbish = nr_bad * 2 > nr;
	return ret;
}

/* The first record from index on that is no end of a list. */
static int behind_find(const struct judge *judge, uint64_t index, uint64_t *ret_index,
		       bool *ret_found)
{
	const struct snap_layout *layout = judge->layout;
	uint64_t per_area = layout->records_per_area, end = layout->nr_areas * per_area;
	struct snap_record record;
	struct snap_list list;
	bool is_rubbish;
	int ret = 0;

	*ret_found = false;
	while (!ret && !*ret_found && index < end) {
		uint64_t area_end;

		ret = cow_snap_list_next_data(judge->cow, layout, index, end, &index, judge->err);
		if (ret || index == end)
			return ret;
		area_end = floor_to(index, per_area) + per_area;
		/* what nobody can read, and the list does not reach, is no reason to fail */
		if (is_known_bad(judge, cow_snap_record_offset(layout, index),
				 cow_snap_record_offset(layout, area_end - 1) +
					 SNAP_RECORD_BYTES)) {
			index = area_end;
			continue;
		}
		ret = cow_snap_list_open(&list, judge->cow, layout, index, judge->err);
		list.callbacks = judge->callbacks;
		list.phase = "check";
		while (!ret && !*ret_found && list.index < area_end &&
		       cow_snap_list_next(&list, &record, ret_index))
			*ret_found = record.new_chunk;
		ret = cow_snap_list_close(&list, ret);
		if (!ret && *ret_found) {
			ret = rubbish_look(judge, *ret_index, &is_rubbish);
			*ret_found = !is_rubbish;
		}
		index = area_end;
	}
	return ret;
}

/* Counts what stands behind the end, and sees whether it can be part of a list. */
static int behind_read(struct judge *judge)
{
	struct snap_end *end = judge->end;
	uint64_t index, shift = 0, last_shift = 0;
	struct snap_record record;
	struct snap_list list;
	int ret =
		cow_snap_list_open(&list, judge->cow, judge->layout, end->behind_index, judge->err);

	list.callbacks = judge->callbacks;
	list.phase = "check";
	judge->is_sound = judge->is_in_order = true;
	while (!ret && cow_snap_list_next(&list, &record, &index) && record.new_chunk) {
		if (!end->nr_behind++)
			judge->first = record;
		if (cow_snap_record_problem(judge->bounds, &record))
			judge->is_sound = false;
		if (!shift_of(judge, &record, index, &shift) || shift < last_shift)
			judge->is_in_order = false;
		last_shift = shift;
	}
	return cow_snap_list_close(&list, ret);
}

/* Is the area of the end full at its last record, and does the next one begin
 * with a record that could be of the list? */
static int next_area_look(struct judge *judge)
{
	uint64_t per_area = judge->layout->records_per_area, shift;
	uint64_t next = (area_of(judge, judge->end->nr_records) + 1) * per_area;
	struct snap_record record;
	int ret;

	if (area_of(judge, next) >= judge->layout->nr_areas)
		return 0;
	ret = cow_snap_record_read(judge->cow, judge->layout, next - 1, &record, judge->err);
	if (ret || !record.new_chunk)
		return ret;
	ret = cow_snap_record_read(judge->cow, judge->layout, next, &record, judge->err);
	if (ret || !record.new_chunk)
		return ret;
	judge->is_next_area_used = !cow_snap_record_problem(judge->bounds, &record) &&
				   shift_of(judge, &record, next, &shift);
	return 0;
}

/* Does the origin hold the data of all that stands behind the end? The records are
 * sound: their chunks are on the images. The first difference is the answer. */
static int data_compare(struct judge *judge)
{
	AUTO_FREE uint8_t *buf = malloc(2 * COW_PIECE_BYTES);
	struct snap_data_compare compare;
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	int ret;

	if (!buf)
		return cow_fail(judge->err, -ENOMEM, "no memory for a piece of a chunk");
	judge->is_in_origin = true;
	ret = cow_snap_list_open(&list, judge->cow, judge->layout, judge->end->behind_index,
				 judge->err);
	list.callbacks = judge->callbacks;
	list.phase = "check";
	while (!ret && judge->is_in_origin && cow_snap_list_next(&list, &record, &index) &&
	       record.new_chunk) {
		ret = cow_snap_data_compare(judge->cow, judge->origin, judge->layout, &record, buf,
					    &compare, judge->err);
		if (ret || compare.is_zero)
			continue;
		judge->has_data = true;
		judge->is_in_origin = compare.is_same;
	}
	judge->is_in_origin = judge->is_in_origin && judge->has_data;
	return cow_snap_list_close(&list, ret);
}

static void decide(struct judge *judge, enum snap_end_outcome outcome, const char *why)
{
	judge->end->outcome = outcome;
	snprintf(judge->end->why, sizeof(judge->end->why), "%s", why);
}

/* What stands behind the end stands in the same area. The kernel zeroes an area before it
 * uses it, so an older store's records are not there, whatever order these have. */
static void same_area_decide(struct judge *judge)
{
	const struct snap_end *end = judge->end;

	if (!judge->is_sound || judge->has_common || !is_at_sector(end->behind_index) ||
	    (!judge->is_in_order && !is_at_sector(end->nr_records)))
		decide(judge, SNAP_END_STALE, "they are no records of this list");
	else if (!is_at_sector(end->nr_records))
		decide(judge, SNAP_END_TORN, "a commit or a merge was cut off");
	else if (judge->is_in_origin)
		decide(judge, SNAP_END_TORN, "the origin holds their data, too");
	else if (end->nr_records && judge->is_next_area_used)
		decide(judge, SNAP_END_CUT,
		       "the area is used to its end, and the next one is used");
	else if (judge->origin && judge->has_data)
		decide(judge, SNAP_END_CUT, "the origin does not hold their data");
	else
		decide(judge, SNAP_END_DOUBTFUL,
		       "sectors were lost, or a commit or a merge was cut off");
}

/* What stands behind the end stands in a later area. */
static void later_area_decide(struct judge *judge)
{
	const struct snap_end *end = judge->end;
	uint64_t shift = 0, last_shift = 0;

	if (!end->nr_records) {
		decide(judge, SNAP_END_EMPTY, "");
		return;
	}
	shift_of(judge, &judge->first, end->behind_index, &shift);
	shift_of(judge, &judge->last, end->nr_records - 1, &last_shift);
	if (!judge->is_sound || (!judge->is_in_order && !judge->is_list_shuffled))
		decide(judge, SNAP_END_OLDER, "they do not fit where they stand");
	else if (judge->has_common)
		decide(judge, SNAP_END_OLDER, "they name chunks that this list names, too");
	else if (!is_at_sector(end->nr_records))
		decide(judge, SNAP_END_OLDER, "the list ends within a sector");
	else if (shift < last_shift && !judge->is_list_shuffled)
		decide(judge, SNAP_END_OLDER, "their chunks are lower than this list's");
	else if (judge->is_in_origin)
		decide(judge, SNAP_END_OLDER, "the origin holds their data, too");
	else if (end->is_run)
		decide(judge, SNAP_END_CUT,
		       "a run of chunks goes on behind the gap where the missing ones would end");
	else
		decide(judge, SNAP_END_DOUBTFUL,
		       "part of the list was lost, or an older store stood there and this one "
		       "ended exactly at the end of a sector");
}

static void run_note(struct judge *judge)
{
	struct snap_end *end = judge->end;

	end->old_before = judge->last.old_chunk;
	end->old_behind = judge->first.old_chunk;
	end->is_run = end->nr_records &&
		      end->old_behind - end->old_before == end->behind_index - end->nr_records + 1;
}

static int behind_judge(struct judge *judge)
{
	const struct snap_end *end = judge->end;
	bool is_same_area = area_of(judge, end->behind_index) == area_of(judge, end->nr_records);
	int ret;

	ret = behind_read(judge);
	if (!ret && end->nr_records)
		ret = cow_snap_record_read(judge->cow, judge->layout, end->nr_records - 1,
					   &judge->last, judge->err);
	if (!ret)
		run_note(judge);
	if (!ret && is_same_area)
		ret = next_area_look(judge);
	if (!ret && judge->is_sound && is_at_sector(end->nr_records)) {
		ret = common_find(judge);
		if (!ret && judge->origin && judge->is_sound && !judge->has_common)
			ret = data_compare(judge);
	}
	if (ret)
		return ret;
	if (is_same_area)
		same_area_decide(judge);
	else
		later_area_decide(judge);
	return 0;
}

int cow_snap_end_judge(struct cow_image *cow, struct cow_image *origin,
		       const struct snap_bounds *bounds, uint64_t nr_records,
		       const struct cow_callbacks *callbacks, struct snap_end *ret_end,
		       struct cow_err *err)
{
	struct judge judge = {
		.cow = cow,
		.origin = origin,
		.bounds = bounds,
		.layout = bounds->layout,
		.callbacks = callbacks,
		.end = ret_end,
		.err = err,
	};
	bool is_found;
	int ret;

	*ret_end = (struct snap_end){ .outcome = SNAP_END_CLEAN, .nr_records = nr_records };
	ret = behind_find(&judge, nr_records, &ret_end->behind_index, &is_found);
	return ret || !is_found ? ret : behind_judge(&judge);
}

/* Do both areas hold the same bytes, as far as a piece goes? */
static int areas_compare(struct cow_image *cow, const struct snap_layout *layout, uint64_t a,
			 uint64_t b, bool *ret_is_same, struct cow_err *err)
{
	uint64_t len = min_u64(layout->chunk_bytes, COW_PIECE_BYTES);
	AUTO_FREE uint8_t *buf = malloc(2 * len); /* bounded: two pieces */
	int ret;

	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	ret = cow_image_pread(cow, buf, len, cow_snap_area_chunk(layout, a) << layout->chunk_shift,
			      err);
	if (!ret)
		ret = cow_image_pread(cow, buf + len, len,
				      cow_snap_area_chunk(layout, b) << layout->chunk_shift, err);
	*ret_is_same = !ret && !memcmp(buf, buf + len, len);
	return ret;
}

int cow_snap_end_is_copy(struct cow_image *cow, const struct snap_layout *layout, uint64_t area,
			 const uint8_t *sector, uint64_t *ret_of_area, bool *ret_is_copy,
			 struct cow_err *err)
{
	uint64_t stride = layout->records_per_area + 1;
	uint64_t own = cow_snap_position_chunk(layout, area * layout->records_per_area);
	struct snap_record first, second;

	*ret_is_copy = false;
	cow_snap_record_decode(sector, &first);
	cow_snap_record_decode(sector + SNAP_RECORD_BYTES, &second);
	if (first.new_chunk < SNAP_FIRST_DATA_CHUNK || first.new_chunk >= layout->nr_chunks ||
	    first.new_chunk == own || first.new_chunk % stride != own % stride ||
	    second.new_chunk != first.new_chunk + 1)
		return 0;
	*ret_of_area = (first.new_chunk - SNAP_FIRST_DATA_CHUNK) / stride;
	if (*ret_of_area == area || *ret_of_area >= layout->nr_areas)
		return 0;
	return areas_compare(cow, layout, area, *ret_of_area, ret_is_copy, err);
}

/* The place of the list at which the kernel would have handed out this chunk. */
static uint64_t index_of(const struct snap_layout *layout, uint64_t new_chunk)
{
	uint64_t stride = layout->records_per_area + 1;

	return (new_chunk - SNAP_FIRST_DATA_CHUNK) / stride * layout->records_per_area +
	       (new_chunk - SNAP_FIRST_DATA_CHUNK) % stride;
}

int cow_snap_end_is_sector_copy(struct cow_image *cow, const struct snap_layout *layout,
				uint64_t index, const uint8_t *sector, uint64_t *ret_of_index,
				bool *ret_is_copy, struct cow_err *err)
{
	uint8_t there[COW_SECTOR_BYTES];
	struct snap_record record;
	uint64_t of;
	int ret;

	*ret_is_copy = false;
	cow_snap_record_decode(sector, &record);
	if (record.new_chunk < SNAP_FIRST_DATA_CHUNK || record.new_chunk >= layout->nr_chunks ||
	    cow_snap_is_area(layout, record.new_chunk))
		return 0;
	of = *ret_of_index = index_of(layout, record.new_chunk);
	if (of % SNAP_RECORDS_PER_SECTOR || of >= index)
		return 0;
	for (uint64_t i = 1; i < SNAP_RECORDS_PER_SECTOR; i++) {
		cow_snap_record_decode(sector + i * SNAP_RECORD_BYTES, &record);
		if (record.new_chunk != cow_snap_position_chunk(layout, of + i))
			return 0;
	}
	ret = cow_snap_sector_read(cow, layout, of, there, err);
	*ret_is_copy = !ret && !memcmp(sector, there, sizeof(there));
	return ret;
}
