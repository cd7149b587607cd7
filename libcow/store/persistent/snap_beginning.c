/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_beginning.c - a store whose beginning is zeros: the header and the first
 * areas of the list, as when the overlay of a live system is reset. The first area
 * that is not zeros still tells the chunk size: its records stand there where one
 * chunk size puts an area, and name just the chunks that were handed out for them.
 */
#include "libcow/base/bytes.h"
#include "libcow/store/persistent/snap_rules.h"

/* So many areas may be zeros. */
#define ZERO_AREAS_MAX 1024

/* Are all records of this sector sound, and where allocation put them? */
static bool is_exact(const struct snap_bounds *bounds, const uint8_t *sector, uint64_t index)
{
	struct snap_record record;

	for (uint64_t i = 0; i < SNAP_RECORDS_PER_SECTOR; i++) {
		cow_snap_record_decode(sector + i * SNAP_RECORD_BYTES, &record);
		if (cow_snap_record_problem(bounds, &record) ||
		    record.new_chunk != cow_snap_position_chunk(bounds->layout, index + i))
			return false;
	}
	return true;
}

/* One chunk size: *ret_index is the first record of such an area, or 0. */
static int size_look(struct cow_image *cow, const struct cow_image *origin, uint64_t chunk_bytes,
		     uint64_t *ret_index, struct cow_err *err)
{
	uint8_t sector[COW_SECTOR_BYTES];
	struct snap_layout layout;
	struct snap_bounds bounds;
	uint64_t index = 0, end;
	int ret = 0;

	*ret_index = 0;
	cow_snap_layout_init(&layout, chunk_bytes, cow_image_size(cow));
	cow_snap_bounds_init(&bounds, &layout, origin);
	end = min_u64(layout.nr_areas, ZERO_AREAS_MAX) * layout.records_per_area;
	for (; !ret && index < end; index += layout.records_per_area) {
		ret = cow_snap_list_next_data(cow, &layout, index, end, &index, err);
		if (ret || index >= end)
			return ret;
		index = floor_to(index, layout.records_per_area);
		ret = cow_snap_sector_read(cow, &layout, index, sector, err);
		if (ret || is_all_zero(sector, sizeof(sector)))
			continue;
		if (index && is_exact(&bounds, sector, index))
			*ret_index = index;
		return 0;
	}
	return ret;
}

int cow_snap_beginning(struct cow_image *cow, const struct cow_image *origin,
		       struct snap_beginning *ret_beginning, struct cow_err *err)
{
	uint8_t raw[SNAP_HEADER_BYTES];
	uint64_t index;
	int ret = cow_snap_header_read(cow, raw, err);

	*ret_beginning = (struct snap_beginning){ 0 };
	if (ret || !is_all_zero(raw, sizeof(raw)))
		return ret;
	for (uint64_t sectors = 1; !ret && sectors <= SNAP_CHUNK_SECTORS_MAX; sectors *= 2) {
		ret = size_look(cow, origin, sectors_to_bytes(sectors), &index, err);
		if (!ret && index && ret_beginning->chunk_bytes) {
			*ret_beginning = (struct snap_beginning){ 0 }; /* it cannot be told */
			return 0;
		}
		if (!ret && index)
			*ret_beginning =
				(struct snap_beginning){ sectors_to_bytes(sectors), index };
	}
	return ret;
}
