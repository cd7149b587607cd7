/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_check_bad.c - findings about what cannot be read, as far as the
 * image below knows without reading (a map of ddrescue), or has found out by
 * now (cow_image_skip_new()). In a place of the list that cannot be read there
 * may have been any record, or none: the check goes on behind it.
 */
#include <inttypes.h>

#include "libcow/store/persistent/check/snap_check.h"

static bool next_bad_before(const struct snap_check *check, uint64_t offset_bytes,
			    uint64_t end_bytes, struct cow_segment *ret_bad)
{
	if (offset_bytes >= end_bytes || !cow_image_next_bad(check->cow, offset_bytes, ret_bad) ||
	    ret_bad->offset_bytes >= end_bytes)
		return false;
	ret_bad->len_bytes = min_u64(ret_bad->len_bytes, end_bytes - ret_bad->offset_bytes);
	return true;
}

bool cow_snap_check_is_bad(const struct snap_check *check, uint64_t offset_bytes,
			   uint64_t len_bytes)
{
	struct cow_segment bad;

	return next_bad_before(check, offset_bytes, offset_bytes + len_bytes, &bad);
}

void cow_snap_check_header_bad(struct snap_check *check)
{
	check->kernel_refuses = true;
	check->header.valid = 1; /* nobody knows */
	cow_snap_check_add(check, SNAP_HEADER_UNREADABLE, 0, SNAP_HEADER_BYTES,
			   "the header, the first %d bytes, cannot be read", SNAP_HEADER_BYTES);
}

void cow_snap_check_data_bad(struct snap_check *check, const struct snap_record *record,
			     uint64_t index)
{
	const struct snap_layout *layout = &check->layout;
	uint64_t start = record->new_chunk << layout->chunk_shift, len = layout->chunk_bytes;
	uint64_t old = record->old_chunk << layout->chunk_shift, at, bytes = 0, first = 0;
	struct cow_segment bad;

	/* I11 */
	if (check->origin)
		len = min_u64(len, check->origin->size_bytes - old);
	for (at = start; next_bad_before(check, at, start + len, &bad);
	     at = bad.offset_bytes + bad.len_bytes) {
		if (!bytes)
			first = bad.offset_bytes;
		bytes += bad.len_bytes;
	}
	if (!bytes)
		return;
	cow_snap_check_add(check, SNAP_DATA_UNREADABLE, cow_snap_record_offset(layout, index),
			   SNAP_RECORD_BYTES,
			   "record %" PRIu64 " of area %" PRIu64 ": %" PRIu64
			   " bytes of the data of chunk %" PRIu64
			   " of the origin cannot be read, the first at byte %" PRIu64
			   " of the COW image",
			   index % layout->records_per_area, index / layout->records_per_area,
			   bytes, record->old_chunk, first);
}

static void area_bad(struct snap_check *check, uint64_t area)
{
	const struct snap_layout *layout = &check->layout;
	uint64_t start = cow_snap_area_chunk(layout, area) << layout->chunk_shift, at = start;
	uint64_t nr_live = min_u64(check->nr_records - area * layout->records_per_area,
				   layout->records_per_area);
	uint64_t live_end = start + nr_live * SNAP_RECORD_BYTES;
	struct cow_segment bad;

	while (next_bad_before(check, at, start + layout->chunk_bytes, &bad)) {
		at = bad.offset_bytes + bad.len_bytes;
		/* what stands in for it is zeros, as it should be there */
		if (check->cow->is_patched && bad.offset_bytes >= live_end)
			return;
		check->kernel_refuses = check->kernel_refuses || !check->cow->is_patched;
		if (bad.offset_bytes >= live_end)
			cow_snap_check_add(check, SNAP_METADATA_UNREADABLE, bad.offset_bytes,
					   bad.len_bytes,
					   "%" PRIu64 " bytes of area %" PRIu64
					   " cannot be read; they lie behind the end of the list",
					   bad.len_bytes, area);
		else
			cow_snap_check_add(
				check, SNAP_METADATA_UNREADABLE, bad.offset_bytes, bad.len_bytes,
				"%" PRIu64 " bytes of area %" PRIu64
				" cannot be read: up to %" PRIu64
				" exceptions were recorded there, and it is not known which",
				bad.len_bytes, area,
				(min_u64(at, live_end) - bad.offset_bytes) / SNAP_RECORD_BYTES);
	}
}

void cow_snap_check_areas_bad(struct snap_check *check)
{
	uint64_t last = check->nr_records / check->layout.records_per_area;
	struct cow_segment bad;

	if (!cow_image_next_bad(check->cow, 0, &bad))
		return;
	for (uint64_t area = 0; area <= last && area < check->layout.nr_areas; area++)
		area_bad(check, area);
}
