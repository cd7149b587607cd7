/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_candidates.c - which chunk size had a store whose header is lost?
 * Each power of two is tried: is there a list of exceptions where it puts the
 * first area? Its first sector must hold sound records in the order of
 * allocation and nothing else; then the list is followed.
 *
 * Of several candidates the smallest is the only one that can be told from the
 * others: its list lies in the header chunk of the larger ones, which whoever
 * makes a store (the kernel, or we) fills with zeros. What looks like a list
 * for larger chunks lies among its data, or is what an older store left: it is
 * believed against the smallest where that is much shorter, unless an exception
 * of the smallest covers the place. A single record is never enough; nor is any
 * number where the header chunk has records, instead of zeros: they are of a
 * list for smaller chunks, whose beginning is lost with the header.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/store/persistent/snap_rules.h"

/* A list is followed no further: more would not say more. */
#define RECORDS_MAX 65536
/* So many records stand against other candidates, and without any. */
#define RECORDS_AGAINST_OTHERS 4
#define RECORDS_ALONE 2

/* From the end of the list to the end of its sector: zeros, or records that a
 * torn write left. */
static bool tail_is_sound(const struct snap_bounds *bounds, const uint8_t *sector, uint64_t within)
{
	struct snap_record record;

	for (uint64_t i = within; i < SNAP_RECORDS_PER_SECTOR; i++) {
		cow_snap_record_decode(sector + i * SNAP_RECORD_BYTES, &record);
		if ((record.old_chunk || record.new_chunk) &&
		    cow_snap_record_problem(bounds, &record))
			return false;
	}
	return true;
}

/* Follows one record; false: the list ends here. */
static bool record_follow(const struct snap_bounds *bounds, const struct snap_record *record,
			  const uint8_t *sector, struct snap_candidate *candidate)
{
	uint64_t index = candidate->nr_records;

	if (!record->new_chunk) {
		candidate->has_end = tail_is_sound(bounds, sector, index % SNAP_RECORDS_PER_SECTOR);
		return false;
	}
	if (cow_snap_record_problem(bounds, record) || record->new_chunk <= candidate->last_new ||
	    record->new_chunk > candidate->last_new + SNAP_NEAR_CHUNKS)
		return false;
	candidate->nr_exact += record->new_chunk == cow_snap_position_chunk(bounds->layout, index);
	candidate->nr_records++;
	candidate->last_new = record->new_chunk;
	return true;
}

static int list_follow(struct cow_image *cow, const struct cow_image *origin,
		       struct snap_candidate *candidate, struct cow_err *err)
{
	struct snap_layout layout;
	struct snap_bounds bounds;
	struct snap_record record;
	struct snap_list list;
	uint64_t index;

	cow_snap_layout_init(&layout, candidate->chunk_bytes, cow_image_size(cow));
	cow_snap_bounds_init(&bounds, &layout, origin);
	if (!cow_snap_list_open(&list, cow, &layout, 0, err))
		while (cow_snap_list_next(&list, &record, &index)) {
			bool is_enough = candidate->nr_records >= RECORDS_MAX &&
					 cow_snap_list_is_first(&list, index);

			if (is_enough || !record_follow(&bounds, &record,
							cow_snap_list_sector(&list), candidate))
				break;
		}
	return cow_snap_list_close(&list, 0);
}

bool cow_snap_is_plausible(uint64_t image_bytes, const struct snap_record *record)
{
	return record->new_chunk >= SNAP_FIRST_DATA_CHUNK &&
	       record->new_chunk < bytes_to_sectors(image_bytes) &&
	       record->old_chunk < bytes_to_sectors(COW_IMAGE_BYTES_MAX);
}

static bool is_rival(const struct cow_image *cow, const uint8_t *sector)
{
	struct snap_record record;

	for (unsigned int i = 0; i < SNAP_RIVAL_RECORDS; i++) {
		cow_snap_record_decode(sector + i * SNAP_RECORD_BYTES, &record);
		if (!cow_snap_is_plausible(cow->size_bytes, &record))
			return false;
	}
	return true;
}

/* Looks for records in what would be the header chunk of the smallest. */
static int rival_find(struct cow_image *cow, struct snap_candidates *candidates,
		      struct cow_err *err)
{
	uint64_t end = min_u64(candidates->rows[0].chunk_bytes, COW_PIECE_BYTES);
	uint8_t sector[COW_SECTOR_BYTES];
	int ret = 0;

	for (uint64_t at = COW_SECTOR_BYTES; !ret && !candidates->rival_bytes && at < end;
	     at += COW_SECTOR_BYTES) {
		ret = cow_image_pread(cow, sector, sizeof(sector), at, err);
		if (!ret && is_rival(cow, sector))
			candidates->rival_bytes = at;
	}
	return ret;
}

int cow_snap_candidates(struct cow_image *cow, const struct cow_image *origin, uint64_t not_bytes,
			struct snap_candidates *ret_candidates, struct cow_err *err)
{
	int ret = 0;

	ret_candidates->nr = 0;
	ret_candidates->rival_bytes = 0;
	for (uint64_t sectors = 1; !ret && sectors <= SNAP_CHUNK_SECTORS_MAX; sectors *= 2) {
		struct snap_candidate *candidate = &ret_candidates->rows[ret_candidates->nr];
		uint64_t nr;

		*candidate = (struct snap_candidate){
			.chunk_bytes = sectors_to_bytes(sectors),
			.last_new = SNAP_FIRST_DATA_CHUNK - 1,
		};
		if (candidate->chunk_bytes == not_bytes)
			continue;
		ret = cow_snap_evidence(cow, origin, candidate->chunk_bytes, &nr, err);
		if (ret || !nr)
			continue;
		ret = list_follow(cow, origin, candidate, err);
		ret_candidates->nr++;
	}
	return ret || !ret_candidates->nr ? ret : rival_find(cow, ret_candidates, err);
}

const struct snap_candidate *cow_snap_candidates_guess(const struct snap_candidates *candidates)
{
	const struct snap_candidate *first = &candidates->rows[0];

	if (!candidates->nr || candidates->rival_bytes)
		return NULL;
	for (size_t i = 1; i < candidates->nr; i++) {
		const struct snap_candidate *other = &candidates->rows[i];
		uint64_t chunk = other->chunk_bytes / first->chunk_bytes;

		if (chunk > first->last_new && other->nr_records * 2 > first->nr_records)
			return NULL;
	}
	if (candidates->nr > 1)
		return first->nr_records >= RECORDS_AGAINST_OTHERS ? first : NULL;
	return first->nr_records >= RECORDS_ALONE ? first : NULL;
}

void cow_snap_candidate_sentence(const struct snap_candidate *candidate,
				 char ret_text[SNAP_SENTENCE_BYTES])
{
	snprintf(ret_text, SNAP_SENTENCE_BYTES,
		 "with chunks of %" PRIu64 " bytes there is a list of %" PRIu64
		 "%s exceptions at byte %" PRIu64 ", %" PRIu64
		 " of them just where they were allocated; %s",
		 candidate->chunk_bytes, candidate->nr_records,
		 candidate->nr_records >= RECORDS_MAX ? " or more" : "", candidate->chunk_bytes,
		 candidate->nr_exact,
		 candidate->has_end			? "it ends as lists end"
		 : candidate->nr_records >= RECORDS_MAX ? "its end was not looked for"
							: "it ends in something else");
}

int cow_snap_evidence_best(struct cow_image *cow, const struct cow_image *origin,
			   uint64_t not_bytes, uint64_t *ret_bytes, uint64_t *ret_nr_records,
			   struct cow_err *err)
{
	struct snap_candidates candidates;
	const struct snap_candidate *guess;
	int ret = cow_snap_candidates(cow, origin, not_bytes, &candidates, err);

	if (ret)
		return ret;
	guess = cow_snap_candidates_guess(&candidates);
	*ret_bytes = guess ? guess->chunk_bytes : 0;
	*ret_nr_records = guess ? guess->nr_records : 0;
	return 0;
}
