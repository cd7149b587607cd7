/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_list.c - reads the list of records in bounded pieces, without a judgement
 * on what they say, and writes records in whole sectors (I9).
 */
#include "libcow/store/persistent/snap_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"

#define PIECE_RECORDS (COW_PIECE_BYTES / SNAP_RECORD_BYTES)

static uint64_t sector_begin(uint64_t index)
{
	return floor_to(index, SNAP_RECORDS_PER_SECTOR);
}

static uint64_t sector_end(uint64_t index)
{
	return ceil_to(index, SNAP_RECORDS_PER_SECTOR);
}

/* ------------------------------------------------------------------- read */

int cow_snap_list_open(struct snap_list *list, struct cow_image *image,
		       const struct snap_layout *layout, uint64_t from_index, struct cow_err *err)
{
	*list = (struct snap_list){
		.image = image,
		.layout = layout,
		.buf_bytes = min_u64(layout->chunk_bytes, COW_PIECE_BYTES),
		.index = from_index,
		.piece_index = from_index,
		.piece_end = from_index,
		.err = err,
	};
	/* bounded: a piece, COW_PIECE_BYTES at most */
	list->buf = malloc(list->buf_bytes);
	if (!list->buf)
		list->error = cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	return list->error;
}

int cow_snap_list_close(struct snap_list *list, int ret)
{
	free(list->buf);
	list->buf = NULL;
	return ret ? ret : list->error;
}

/* Reads records [begin, end) of one area. */
static int piece_read(struct snap_list *list, uint64_t begin, uint64_t end, struct cow_err *err)
{
	int ret;

	list->piece_end = list->piece_index; /* holds nothing until it is read */
	ret = cow_image_pread(list->image, list->buf, (end - begin) * SNAP_RECORD_BYTES,
			      cow_snap_record_offset(list->layout, begin), err);
	if (ret)
		return ret;
	list->piece_index = begin;
	list->piece_end = end;
	return 0;
}

bool cow_snap_list_load(struct snap_list *list)
{
	uint64_t per_area = list->layout->records_per_area, index = list->index;
	uint64_t begin = sector_begin(index), end;

	if (!list->error && list->piece_end != list->piece_index)
		list->error = cow_callbacks_progress(list->callbacks, list->phase,
						     index * SNAP_RECORD_BYTES, list->total_bytes,
						     list->err);
	if (list->error || index / per_area >= list->layout->nr_areas)
		return false;
	end = begin + min_u64(list->buf_bytes / SNAP_RECORD_BYTES, per_area - begin % per_area);
	if (list->image->is_writable)
		list->error = cow_image_drop_cache(list->image,
						   cow_snap_record_offset(list->layout, begin),
						   (end - begin) * SNAP_RECORD_BYTES, list->err);
	if (!list->error)
		list->error = piece_read(list, begin, end, list->err);
	if (list->error)
		list->piece_index = list->piece_end = index;
	return !list->error;
}

const uint8_t *cow_snap_list_sector(const struct snap_list *list)
{
	return list->buf + (sector_begin(list->index - 1) - list->piece_index) * SNAP_RECORD_BYTES;
}

void cow_snap_list_skip_sector(struct snap_list *list)
{
	list->index = sector_end(list->index);
}

int cow_snap_list_at(struct snap_list *list, uint64_t index, struct snap_record *ret_record,
		     struct cow_err *err)
{
	uint64_t begin = floor_to(index, list->buf_bytes / SNAP_RECORD_BYTES);
	int ret;

	if (index < list->piece_index || index >= list->piece_end) {
		ret = piece_read(list, begin, index + 1, err);
		if (ret)
			return ret;
	}
	cow_snap_record_decode(list->buf + (index - list->piece_index) * SNAP_RECORD_BYTES,
			       ret_record);
	return 0;
}

void cow_snap_list_forget(struct snap_list *list)
{
	list->piece_end = list->piece_index;
}

int cow_snap_record_read(struct cow_image *image, const struct snap_layout *layout, uint64_t index,
			 struct snap_record *ret_record, struct cow_err *err)
{
	uint8_t raw[SNAP_RECORD_BYTES];
	int ret = cow_image_pread(image, raw, sizeof(raw), cow_snap_record_offset(layout, index),
				  err);

	if (!ret)
		cow_snap_record_decode(raw, ret_record);
	return ret;
}

int cow_snap_sector_read(struct cow_image *image, const struct snap_layout *layout, uint64_t index,
			 uint8_t ret_raw[COW_SECTOR_BYTES], struct cow_err *err)
{
	return cow_image_pread(image, ret_raw, COW_SECTOR_BYTES,
			       cow_snap_record_offset(layout, sector_begin(index)), err);
}

uint64_t cow_snap_record_index(const struct snap_layout *layout, uint64_t offset_bytes)
{
	uint64_t area =
		((offset_bytes >> layout->chunk_shift) - 1) / (layout->records_per_area + 1);

	return area * layout->records_per_area +
	       (offset_bytes & (layout->chunk_bytes - 1)) / SNAP_RECORD_BYTES;
}

/* The first area that does not end in front of a byte of the image. */
static uint64_t area_from(const struct snap_layout *layout, uint64_t offset_bytes)
{
	uint64_t chunk = offset_bytes >> layout->chunk_shift;

	if (!cow_snap_is_area(layout, chunk))
		chunk = cow_snap_area_behind(layout, chunk);
	return (chunk - 1) / (layout->records_per_area + 1);
}

int cow_snap_list_next_data(struct cow_image *image, const struct snap_layout *layout,
			    uint64_t from, uint64_t end, uint64_t *ret_index, struct cow_err *err)
{
	uint64_t per_area = layout->records_per_area, data, len, area_end;
	int ret;

	*ret_index = end;
	while (from < end) {
		area_end = floor_to(from, per_area) + per_area;
		ret = cow_image_next_data(image, cow_snap_record_offset(layout, from), &data, &len,
					  err);
		if (ret || !len)
			return ret;
		if (data < cow_snap_record_offset(layout, area_end - 1) + SNAP_RECORD_BYTES) {
			from = max_u64(from, sector_begin(cow_snap_record_index(layout, data)));
			*ret_index = min_u64(from, end);
			return 0;
		}
		from = max_u64(area_end, area_from(layout, data) * per_area);
	}
	return 0;
}

/* -------------------------------------------------------------------- put */

static uint64_t place_of(const struct snap_rows *rows, uint64_t at)
{
	return rows->places ? rows->places[at] : rows->first + at;
}

/* How many of the rows from first on go into one write. */
static uint64_t group_end(const struct snap_layout *layout, const struct snap_rows *rows,
			  uint64_t first)
{
	uint64_t begin = sector_begin(place_of(rows, first)), at;

	for (at = first + 1; at < rows->nr; at++) {
		uint64_t place = place_of(rows, at), last = place_of(rows, at - 1);

		if (place >= begin + PIECE_RECORDS ||
		    sector_begin(place) > sector_begin(last) + SNAP_RECORDS_PER_SECTOR ||
		    place / layout->records_per_area != last / layout->records_per_area)
			break;
	}
	return at;
}

/* Writes rows [first, end), all of one group. */
static int group_put(struct cow_image *image, const struct snap_layout *layout,
		     const struct snap_rows *rows, uint64_t first, uint64_t end, bool is_tail,
		     uint8_t *buf, struct cow_err *err)
{
	uint64_t begin = sector_begin(place_of(rows, first));
	uint64_t offset = cow_snap_record_offset(layout, begin);
	uint64_t nr = sector_end(place_of(rows, end - 1) + 1) - begin;
	uint64_t kept = is_tail ? place_of(rows, first) - begin : nr;
	int ret;

	if (kept) {
		ret = cow_image_pread(image, buf, kept * SNAP_RECORD_BYTES, offset, err);
		if (ret)
			return ret;
	}
	memset(buf + kept * SNAP_RECORD_BYTES, 0, (nr - kept) * SNAP_RECORD_BYTES);
	for (uint64_t at = first; at < end; at++)
		cow_snap_record_encode(&rows->records[at],
				       buf + (place_of(rows, at) - begin) * SNAP_RECORD_BYTES);
	return cow_image_pwrite(image, buf, nr * SNAP_RECORD_BYTES, offset, err);
}

int cow_snap_list_put(struct cow_image *image, const struct snap_layout *layout,
		      const struct snap_rows *rows, bool is_tail, struct cow_err *err)
{
	AUTO_FREE uint8_t *buf = NULL;
	uint64_t first, end;
	int ret = 0;

	if (!rows->nr)
		return 0;
	buf = malloc(COW_PIECE_BYTES);
	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	for (first = 0; !ret && first < rows->nr; first = end) {
		end = group_end(layout, rows, first);
		ret = group_put(image, layout, rows, first, end, is_tail, buf, err);
	}
	return ret;
}

/* ------------------------------------------------------------------- zero */

/* Zeroes [from, end) in the sectors they lie in, of which the first and the
 * last may hold other records. */
static int piece_zero(struct cow_image *image, const struct snap_layout *layout, uint64_t from,
		      uint64_t end, uint8_t *buf, struct cow_err *err)
{
	uint64_t begin = sector_begin(from), nr = sector_end(end) - begin;
	uint64_t offset = cow_snap_record_offset(layout, begin);
	int ret = 0;

	if (begin < from)
		ret = cow_image_pread(image, buf, (from - begin) * SNAP_RECORD_BYTES, offset, err);
	if (!ret && end < begin + nr)
		ret = cow_image_pread(image, buf + (end - begin) * SNAP_RECORD_BYTES,
				      (begin + nr - end) * SNAP_RECORD_BYTES,
				      cow_snap_record_offset(layout, end), err);
	if (ret)
		return ret;
	memset(buf + (from - begin) * SNAP_RECORD_BYTES, 0, (end - from) * SNAP_RECORD_BYTES);
	return cow_image_pwrite(image, buf, nr * SNAP_RECORD_BYTES, offset, err);
}

int cow_snap_list_zero(struct cow_image *image, const struct snap_layout *layout, uint64_t from,
		       uint64_t end, struct cow_err *err)
{
	uint64_t piece_end = sector_begin(from) + PIECE_RECORDS, whole;
	AUTO_FREE uint8_t *buf = NULL;
	int ret = 0;

	if (from >= end)
		return 0;
	buf = malloc(COW_PIECE_BYTES);
	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	if (end <= piece_end)
		return piece_zero(image, layout, from, end, buf, err);
	/* areas of more than a piece, which are mostly holes */
	whole = sector_begin(end);
	if (whole < end)
		ret = piece_zero(image, layout, whole, end, buf, err);
	if (!ret && whole > piece_end)
		ret = cow_image_write_zeroes(image, cow_snap_record_offset(layout, piece_end),
					     (whole - piece_end) * SNAP_RECORD_BYTES, err);
	return ret ? ret : piece_zero(image, layout, from, piece_end, buf, err);
}

/* Zeroes records [from, end), one piece at most, if they are not. */
static int piece_tidy(struct cow_image *image, const struct snap_layout *layout, uint64_t from,
		      uint64_t end, uint8_t *buf, bool *ret_wrote, struct cow_err *err)
{
	uint64_t len = (end - from) * SNAP_RECORD_BYTES;
	int ret = cow_image_pread(image, buf, len, cow_snap_record_offset(layout, from), err);

	if (ret || is_all_zero(buf, len))
		return ret;
	*ret_wrote = true;
	return piece_zero(image, layout, from, end, buf, err);
}

int cow_snap_list_tidy(struct cow_image *image, const struct snap_layout *layout, uint64_t from,
		       uint64_t end, bool *ret_wrote, struct cow_err *err)
{
	AUTO_FREE uint8_t *buf = malloc(COW_PIECE_BYTES);
	uint64_t piece_end;
	int ret = 0;

	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	for (; !ret && from < end; from = piece_end) {
		ret = cow_snap_list_next_data(image, layout, from, end, &from, err);
		if (ret || from == end)
			return ret;
		piece_end = min_u64(end, sector_begin(from) + PIECE_RECORDS);
		ret = piece_tidy(image, layout, from, piece_end, buf, ret_wrote, err);
	}
	return ret;
}
