/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_rules.c - the rules for one record, and the evidence that bytes are a
 * list of records.
 */
#include "libcow/store/persistent/snap_rules.h"

#include <inttypes.h>
#include <stdio.h>

#include "libcow/base/bytes.h"

/* How far a new chunk may be behind the one before it in a list that is to be
 * believed: old kernels leaked a chunk here and there. */
#define EVIDENCE_GAP_CHUNKS 16

void cow_snap_bounds_init(struct snap_bounds *bounds, const struct snap_layout *layout,
			  const struct cow_image *origin)
{
	uint64_t origin_bytes = origin ? cow_image_size(origin) : COW_IMAGE_BYTES_MAX;

	bounds->layout = layout;
	bounds->nr_origin_chunks = div_ceil(origin_bytes, layout->chunk_bytes);
	bounds->is_origin_known = origin;
}

enum snap_problem cow_snap_record_problem(const struct snap_bounds *bounds,
					  const struct snap_record *record)
{
	uint64_t chunk = record->new_chunk & SNAP_NEW_CHUNK_MASK;

	if (!chunk)
		return SNAP_NEW_CHUNK_HEADER;
	if (record->new_chunk != chunk)
		return SNAP_NEW_CHUNK_TOP_BYTE;
	if (chunk >= bounds->layout->nr_chunks)
		return SNAP_NEW_CHUNK_BEYOND_END;
	if (cow_snap_is_area(bounds->layout, chunk))
		return SNAP_NEW_CHUNK_METADATA;
	if (record->old_chunk >= bounds->nr_origin_chunks)
		return SNAP_OLD_CHUNK_BEYOND_ORIGIN;
	return SNAP_SOUND;
}

void cow_snap_record_sentence(const struct snap_bounds *bounds, const struct snap_record *record,
			      uint64_t index, enum snap_problem problem,
			      char ret_text[SNAP_SENTENCE_BYTES])
{
	uint64_t per_area = bounds->layout->records_per_area;
	int used;

	used = snprintf(ret_text, SNAP_SENTENCE_BYTES,
			"record %" PRIu64 " of area %" PRIu64 " maps chunk %" PRIu64
			" of the origin to chunk %" PRIu64 " of the COW image: ",
			index % per_area, index / per_area, record->old_chunk, record->new_chunk);
	ret_text += used;
	if (problem == SNAP_OLD_CHUNK_BEYOND_ORIGIN)
		snprintf(ret_text, SNAP_SENTENCE_BYTES - used, "the origin %s %" PRIu64 " chunks",
			 bounds->is_origin_known ? "has" : "cannot have more than",
			 bounds->nr_origin_chunks);
	else if (problem == SNAP_NEW_CHUNK_BEYOND_END)
		snprintf(ret_text, SNAP_SENTENCE_BYTES - used,
			 "the COW image has %" PRIu64 " chunks", bounds->layout->nr_chunks);
	else
		snprintf(ret_text, SNAP_SENTENCE_BYTES - used, "%s",
			 cow_snap_problem_row(problem)->problem.summary);
}

uint64_t cow_snap_position_chunk(const struct snap_layout *layout, uint64_t index)
{
	return SNAP_FIRST_DATA_CHUNK + index + index / layout->records_per_area;
}

uint64_t cow_snap_hole_count(const struct snap_bounds *bounds,
			     const uint8_t sector[COW_SECTOR_BYTES], uint64_t index,
			     uint64_t *ret_first_index)
{
	uint64_t in_sector = index % SNAP_RECORDS_PER_SECTOR, nr = 0;
	struct snap_record record;

	for (uint64_t i = in_sector + 1; i < SNAP_RECORDS_PER_SECTOR; i++) {
		cow_snap_record_decode(sector + i * SNAP_RECORD_BYTES, &record);
		if (!record.new_chunk || cow_snap_record_problem(bounds, &record) ||
		    record.new_chunk <
			    cow_snap_position_chunk(bounds->layout, index - in_sector + i))
			continue;
		if (!nr++)
			*ret_first_index = index - in_sector + i;
	}
	return nr;
}

bool cow_snap_is_record(const struct snap_bounds *bounds, const struct snap_record *record,
			uint64_t index)
{
	enum snap_problem problem = cow_snap_record_problem(bounds, record);
	uint64_t position = cow_snap_position_chunk(bounds->layout, index);

	if (!problem)
		return true;
	if (record->new_chunk >= position + SNAP_NEAR_CHUNKS ||
	    record->old_chunk >= div_ceil(COW_IMAGE_BYTES_MAX, bounds->layout->chunk_bytes))
		return false;
	return problem == SNAP_OLD_CHUNK_BEYOND_ORIGIN ||
	       (problem == SNAP_NEW_CHUNK_BEYOND_END &&
		record->old_chunk < bounds->nr_origin_chunks);
}

bool cow_snap_is_rubbish(const struct snap_bounds *bounds, const uint8_t *sector, uint64_t index,
			 unsigned int nr)
{
	struct snap_record record;
	unsigned int nr_bad = 0;

	for (unsigned int i = 0; i < nr; i++) {
		cow_snap_record_decode(sector + i * SNAP_RECORD_BYTES, &record);
		nr_bad += !cow_snap_is_record(bounds, &record, index + i);
	}
	return nr_bad > 1 && nr_bad * 2 > nr;
}

int cow_snap_evidence(struct cow_image *cow, const struct cow_image *origin, uint64_t chunk_bytes,
		      uint64_t *ret_nr_records, struct cow_err *err)
{
	uint8_t raw[COW_SECTOR_BYTES];
	struct snap_layout layout;
	struct snap_bounds bounds;
	struct snap_record record;
	uint64_t last = 1, nr;
	int ret;

	*ret_nr_records = 0;
	cow_snap_layout_init(&layout, chunk_bytes, cow_image_size(cow));
	if (layout.nr_chunks < 3)
		return 0;
	cow_snap_bounds_init(&bounds, &layout, origin);
	ret = cow_image_pread(cow, raw, sizeof(raw), cow_snap_record_offset(&layout, 0), err);
	if (ret)
		return ret;
	for (nr = 0; nr < SNAP_RECORDS_PER_SECTOR; nr++) {
		cow_snap_record_decode(raw + nr * SNAP_RECORD_BYTES, &record);
		if (!record.new_chunk)
			break;
		if (cow_snap_record_problem(&bounds, &record) || record.new_chunk <= last ||
		    record.new_chunk > last + EVIDENCE_GAP_CHUNKS)
			return 0;
		last = record.new_chunk;
	}
	if (is_all_zero(raw + nr * SNAP_RECORD_BYTES, sizeof(raw) - nr * SNAP_RECORD_BYTES))
		*ret_nr_records = nr;
	return 0;
}
