/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_check_list.c - findings about the records and about what stands
 * behind the end of the list. Reads pieces of 1 MiB; memory is the set of the
 * origin's chunks, 16 bytes a record at most.
 *
 * What stands behind the end is stale, and harmless until the list grows over
 * it; or it was live, and the end is a hole: cow_snap_hole_count().
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/check/snap_check.h"

/* So many, one after the other where allocation puts them, are no accident. */
/* A garbled number names a chunk far beyond any origin; one that is not farther
 * than this many times its size speaks for a larger origin. */
#define ORIGIN_FACTOR 16
#define RECORDS_IN_ORDER 4

/* Looks at the beginning of an area: are these records at all? */
static bool is_garbage(const struct snap_check *check, const uint8_t *raw, uint64_t index)
{
	struct snap_record record;
	unsigned int nr = 0;

	while (nr < SNAP_RECORDS_PER_SECTOR && get_le64(raw + nr * SNAP_RECORD_BYTES + 8))
		nr++;
	cow_snap_record_decode(raw, &record);
	return nr && cow_snap_record_problem(&check->bounds, &record) &&
	       cow_snap_is_rubbish(&check->bounds, raw, index, nr);
}

/* What speaks for records behind a sector that holds none. */
struct behind {
	uint64_t nr, nr_sound;
	uint64_t nr_in_order, last; /* one after the other, as they are allocated */
};

static bool behind_is_list(const struct behind *behind)
{
	return behind->nr_in_order >= RECORDS_IN_ORDER ||
	       (behind->nr_sound >= RECORDS_IN_ORDER && behind->nr_sound * 4 > behind->nr);
}

static void behind_count(const struct snap_check *check, const struct snap_record *record,
			 uint64_t index, struct behind *behind)
{
	uint64_t position = cow_snap_position_chunk(&check->layout, index);
	bool is_sound = cow_snap_is_record(&check->bounds, record, index);

	behind->nr++;
	behind->nr_sound += is_sound;
	if (!is_sound || record->new_chunk < position ||
	    record->new_chunk >= position + SNAP_NEAR_CHUNKS)
		behind->nr_in_order = 0;
	else if (behind->nr_in_order && record->new_chunk > behind->last &&
		 record->new_chunk - behind->last <= 2)
		behind->nr_in_order++;
	else
		behind->nr_in_order = 1;
	behind->last = record->new_chunk;
}

/*
 * An area that holds no records has none in its other sectors either, nor have
 * those that the kernel goes on to. One sector that somebody wrote over costs
 * its own records, not all that follow.
 */
static int list_goes_on(const struct snap_check *check, uint64_t index, bool *ret_goes_on,
			struct cow_err *err)
{
	struct behind behind = { .nr = 0 };
	struct snap_record record;
	struct snap_list list;
	int ret;

	ret = cow_snap_list_open(&list, check->cow, &check->layout, index, err);
	list.callbacks = check->callbacks;
	list.phase = "check";
	while (!ret && behind.nr_in_order < RECORDS_IN_ORDER &&
	       cow_snap_list_next(&list, &record, &index)) {
		if (record.new_chunk)
			behind_count(check, &record, index, &behind);
		else if (!cow_snap_check_is_bad(check,
						cow_snap_record_offset(&check->layout, index),
						SNAP_RECORD_BYTES))
			break;
	}
	*ret_goes_on = behind_is_list(&behind);
	return cow_snap_list_close(&list, ret);
}

/* Is it sound, as most are? Without the division that finds areas. */
static bool is_next(const struct snap_check *check, const struct snap_record *record)
{
	return record->new_chunk > check->last_new && record->new_chunk < check->next_area &&
	       record->new_chunk < check->layout.nr_chunks &&
	       record->old_chunk < check->bounds.nr_origin_chunks;
}

static int record_check(struct snap_check *check, const struct snap_record *record, uint64_t index,
			struct cow_err *err)
{
	enum snap_problem problem;
	char sentence[SNAP_SENTENCE_BYTES];

	check->nr_records++;
	if (check->garbage_index != UINT64_MAX)
		return 0;
	if (record->new_chunk < check->layout.nr_chunks)
		check->highest_new = max_u64(check->highest_new, record->new_chunk);
	if (is_next(check, record)) {
		check->last_new = record->new_chunk;
		return cow_chunkset_add(check->olds, record->old_chunk, err);
	}
	problem = cow_snap_record_problem(&check->bounds, record);
	if (!problem) {
		if (record->new_chunk <= check->last_new)
			check->is_ascending = false;
		check->last_new = record->new_chunk;
		check->next_area = cow_snap_area_behind(&check->layout, record->new_chunk);
		return cow_chunkset_add(check->olds, record->old_chunk, err);
	}
	check->nr_bad++;
	/* whether the image was cut is known at the end of the list */
	if (problem == SNAP_NEW_CHUNK_BEYOND_END) {
		check->nr_beyond_end++;
		return 0;
	}
	if (problem == SNAP_OLD_CHUNK_BEYOND_ORIGIN) {
		check->nr_beyond_origin++;
		check->is_near_origin |=
			record->old_chunk / ORIGIN_FACTOR < check->bounds.nr_origin_chunks;
	}
	cow_snap_record_sentence(&check->bounds, record, index, problem, sentence);
	cow_snap_check_add(check, problem, cow_snap_record_offset(&check->layout, index),
			   SNAP_RECORD_BYTES, "%s", sentence);
	return 0;
}

static int garbage_check(struct snap_check *check, uint64_t index, struct cow_err *err)
{
	int ret = list_goes_on(check, index, &check->is_list_certain, err);

	if (ret || check->is_list_certain)
		return ret;
	check->garbage_index = index;
	cow_snap_check_add(check, SNAP_AREA_GARBAGE, cow_snap_record_offset(&check->layout, index),
			   check->layout.chunk_bytes,
			   "area %" PRIu64 " does not hold records, but the kernel will take its "
			   "bytes for some: the list should end after %" PRIu64 " exceptions",
			   index / check->layout.records_per_area, index);
	return 0;
}

static bool hole_check(struct snap_check *check, const uint8_t *sector)
{
	uint64_t per_area = check->layout.records_per_area, first = 0;
	uint64_t nr = cow_snap_hole_count(&check->bounds, sector, check->nr_records, &first);

	if (!nr)
		return false;
	cow_snap_check_add(
		check, SNAP_HOLE, cow_snap_record_offset(&check->layout, check->nr_records),
		SNAP_RECORD_BYTES,
		"record %" PRIu64 " of area %" PRIu64 " is empty and ends the list, but %" PRIu64
		" live records follow in the same sector, from record %" PRIu64 " on",
		check->nr_records % per_area, check->nr_records / per_area, nr, first % per_area);
	return true;
}

/* The next piece of an area that is not all zeros, from *offset on. */
static int stale_find(struct snap_check *check, uint8_t *buf, uint64_t *offset, uint64_t end,
		      uint64_t *ret_len, struct cow_err *err)
{
	uint64_t data, len;
	int ret;

	for (*ret_len = 0; *offset < end; *offset += len) {
		ret = cow_image_next_data(check->cow, *offset, &data, &len, err);
		if (ret)
			return ret;
		if (!len || data >= end)
			return 0;
		*offset = max_u64(*offset, floor_to(data, SNAP_RECORD_BYTES));
		len = min_u64(end - *offset, COW_PIECE_BYTES);
		ret = cow_image_pread(check->cow, buf, len, *offset, err);
		if (!ret)
			ret = cow_callbacks_progress(check->callbacks, "check", *offset, 0, err);
		if (ret)
			return ret;
		if (is_all_zero(buf, len))
			continue;
		*ret_len = len;
		return 0;
	}
	return 0;
}

/* How many records of a piece are sound and where allocation would have put
 * them: perhaps they were live, and a sector in front of them was lost. */
static uint64_t count_alike(const struct snap_check *check, const uint8_t *raw, uint64_t nr,
			    uint64_t index)
{
	struct snap_record record;
	uint64_t nr_alike = 0;

	for (uint64_t i = 0; i < nr; i++) {
		cow_snap_record_decode(raw + i * SNAP_RECORD_BYTES, &record);
		nr_alike += record.new_chunk && !cow_snap_record_problem(&check->bounds, &record) &&
			    record.new_chunk >= cow_snap_position_chunk(&check->layout, index + i);
	}
	return nr_alike;
}

static void stale_add(struct snap_check *check, const uint8_t *raw, uint64_t offset, uint64_t len,
		      uint64_t end)
{
	uint64_t per_area = check->layout.records_per_area, nr = check->nr_records, skip = 0;
	uint64_t index =
		nr + (offset - cow_snap_record_offset(&check->layout, nr)) / SNAP_RECORD_BYTES;
	uint64_t nr_alike = count_alike(check, raw, len / SNAP_RECORD_BYTES, index);
	char alike[80] = "";

	while (is_all_zero(raw + skip, SNAP_RECORD_BYTES))
		skip += SNAP_RECORD_BYTES;
	if (nr_alike)
		snprintf(alike, sizeof(alike), "; %" PRIu64 " of them look like live exceptions",
			 nr_alike);
	cow_snap_check_add(check, SNAP_STALE_RECORDS, offset + skip, end - offset - skip,
			   "the list ends at record %" PRIu64 " of area %" PRIu64
			   ", but from byte %" PRIu64
			   " on there are bytes that the kernel may take for records later%s",
			   nr % per_area, nr / per_area, offset + skip, alike);
}

/* Everything from the end of the list to the end of its area. */
static int tail_check(struct snap_check *check, struct cow_err *err)
{
	uint64_t within = check->nr_records % check->layout.records_per_area;
	uint64_t offset = cow_snap_record_offset(&check->layout, check->nr_records);
	uint64_t end = offset - within * SNAP_RECORD_BYTES + check->layout.chunk_bytes;
	uint64_t len;
	/* bounded: COW_PIECE_BYTES at most */
	AUTO_FREE uint8_t *buf = malloc(min_u64(check->layout.chunk_bytes, COW_PIECE_BYTES));
	bool is_settled;
	int ret;

	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	ret = cow_snap_sector_read(check->cow, &check->layout, check->nr_records, buf, err);
	if (ret)
		return ret;
	if (hole_check(check, buf))
		return 0;
	ret = cow_snap_check_end(check, &is_settled, err);
	if (ret || is_settled)
		return ret;
	ret = stale_find(check, buf, &offset, end, &len, err);
	if (ret || !len)
		return ret;
	stale_add(check, buf, offset, len, end);
	return 0;
}

/* Some of this piece, or of the data, cannot be read. */
static int doubtful_record(struct snap_check *check, const struct snap_record *record,
			   uint64_t index, bool *ret_is_end, struct cow_err *err)
{
	uint64_t nr_bad = check->nr_bad;
	int ret;

	if (cow_snap_check_is_bad(check, cow_snap_record_offset(&check->layout, index),
				  SNAP_RECORD_BYTES)) {
		check->nr_records++; /* of what was there, nothing is known */
		return 0;
	}
	*ret_is_end = !record->new_chunk;
	if (*ret_is_end)
		return 0;
	ret = record_check(check, record, index, err);
	if (!ret && check->nr_bad == nr_bad && check->garbage_index == UINT64_MAX)
		cow_snap_check_data_bad(check, record, index);
	return ret;
}

/* What is done once for each piece. */
static int piece_begin(struct snap_check *check, const struct snap_list *list, uint64_t index,
		       bool *ret_is_doubtful, struct cow_err *err)
{
	struct cow_segment bad;
	const uint8_t *sector = cow_snap_list_sector(list);

	int ret;

	*ret_is_doubtful = cow_image_next_bad(check->cow, 0, &bad);
	if (index % check->layout.records_per_area)
		return 0;
	ret = cow_snap_check_copy(check, sector, index, err);
	if (ret)
		return ret;
	if (check->garbage_index != UINT64_MAX || check->is_list_certain ||
	    !is_garbage(check, sector, index))
		return 0;
	return garbage_check(check, index, err);
}

static int records_check(struct snap_check *check, struct cow_err *err)
{
	bool is_doubtful = false;
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	int ret;

	ret = cow_snap_list_open(&list, check->cow, &check->layout, 0, err);
	list.callbacks = check->callbacks;
	list.phase = "check";
	while (!ret && !check->has_end && cow_snap_list_next(&list, &record, &index)) {
		if (cow_snap_list_is_first(&list, index))
			ret = piece_begin(check, &list, index, &is_doubtful, err);
		if (ret)
			break;
		if (is_doubtful)
			ret = doubtful_record(check, &record, index, &check->has_end, err);
		else if (record.new_chunk)
			ret = record_check(check, &record, index, err);
		else
			check->has_end = true;
	}
	return cow_snap_list_close(&list, ret);
}

/* Is the image too short for as many records as it has, or ended it there? */
static void end_check(struct snap_check *check)
{
	const struct snap_layout *layout = &check->layout;
	uint64_t nr = check->nr_records, last_area = layout->nr_areas - 1;

	check->is_cut = nr && check->garbage_index == UINT64_MAX &&
			layout->nr_chunks <= cow_snap_position_chunk(layout, nr - 1);
	if (check->is_cut && check->nr_beyond_end)
		cow_snap_check_add(check, SNAP_IMAGE_CUT_DATA,
				   layout->nr_chunks << layout->chunk_shift, 0,
				   "the COW image ends after %" PRIu64 " chunks, %" PRIu64
				   " of its %" PRIu64 " exceptions have their data behind it",
				   layout->nr_chunks, check->nr_beyond_end, nr);
	if (check->has_end)
		return;
	check->kernel_refuses = true;
	cow_snap_check_add(
		check, check->nr_beyond_end ? SNAP_IMAGE_CUT_NEXT_AREA : SNAP_LIST_WITHOUT_END,
		cow_snap_area_chunk(layout, last_area) << layout->chunk_shift, layout->chunk_bytes,
		"area %" PRIu64 " is full, and the area behind it, at chunk %" PRIu64
		", does not fit on an image of %" PRIu64 " chunks",
		last_area, cow_snap_area_chunk(layout, last_area + 1), layout->nr_chunks);
}

int cow_snap_check_list(struct snap_check *check, struct cow_err *err)
{
	bool was_damaged = check->is_damaged;
	int ret;

	check->is_damaged = false;
	check->is_ascending = true;
	check->garbage_index = check->copy_index = UINT64_MAX;
	check->last_new = check->highest_new = SNAP_FIRST_DATA_CHUNK - 1;
	check->next_area = cow_snap_area_behind(&check->layout, check->last_new);
	ret = cow_chunkset_new(&check->olds, err);
	if (!ret)
		ret = records_check(check, err);
	if (ret)
		return ret;
	end_check(check);
	if (check->has_end)
		ret = tail_check(check, err);
	cow_snap_check_areas_bad(check);
	if (!ret)
		ret = cow_snap_check_twice(check, err);
	check->is_list_damaged = check->is_damaged;
	check->is_damaged = check->is_damaged || was_damaged;
	return ret;
}
