/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_rules.h - which rule a record breaks, and whether bytes look
 * like the list of a store: for checking and for probing.
 */
#ifndef COW_STORE_SNAP_JUDGE_H
#define COW_STORE_SNAP_JUDGE_H

#include "libcow/store/persistent/snap_problems.h"
#include "libcow/store/persistent/snap_store.h"

/* What chunk numbers can be. */
struct snap_bounds {
	const struct snap_layout *layout;
	uint64_t nr_origin_chunks; /* where unknown: of the largest image */
	bool is_origin_known;
};

/* origin: NULL where it is not known. */
void cow_snap_bounds_init(struct snap_bounds *bounds, const struct snap_layout *layout,
			  const struct cow_image *origin);

/* Which rule a record that is not the end of the list breaks, as a finding;
 * SNAP_SOUND: none. */
enum snap_problem cow_snap_record_problem(const struct snap_bounds *bounds,
					  const struct snap_record *record);

/* Writes "record 3 of area 0 maps chunk 7 of the origin to chunk ...". */
#define SNAP_SENTENCE_BYTES 400
void cow_snap_record_sentence(const struct snap_bounds *bounds, const struct snap_record *record,
			      uint64_t index, enum snap_problem problem,
			      char ret_text[SNAP_SENTENCE_BYTES]);

/*
 * Behind the end of the list, record number index, in its own sector: how many
 * records were live? A sector is atomic (I9), so a torn write of a sane writer
 * leaves old records only from a sector boundary on. A record that is sound
 * and where allocation would have put it was live: the list has a hole.
 */
uint64_t cow_snap_hole_count(const struct snap_bounds *bounds,
			     const uint8_t sector[COW_SECTOR_BYTES], uint64_t index,
			     uint64_t *ret_first_index);

/* The chunk of record number index of a list without gaps; no record of a
 * kernel that allocates upwards has a lower one. */
uint64_t cow_snap_position_chunk(const struct snap_layout *layout, uint64_t index);

/* A list that somebody wrote has a record no further behind its place. */
#define SNAP_NEAR_CHUNKS 4096
/* Is record number index sound, or would it be if the COW image had not been
 * cut, or the origin were larger, as far as any can be? Each record is judged
 * alone, by its place. */
bool cow_snap_is_record(const struct snap_bounds *bounds, const struct snap_record *record,
			uint64_t index);
/* Are most of nr records, of one sector and from number index on, none? */
bool cow_snap_is_rubbish(const struct snap_bounds *bounds, const uint8_t *sector, uint64_t index,
			 unsigned int nr);

/*
 * Counts the records that stand where a chunk size would put the list, as far
 * as the first sector goes: sound, in the order of allocation, zeros behind
 * them. 0: nothing that looks like a list. Errors: -EIO.
 */
int cow_snap_evidence(struct cow_image *cow, const struct cow_image *origin, uint64_t chunk_bytes,
		      uint64_t *ret_nr_records, struct cow_err *err);

/* snap_candidates.c: a chunk size that a store without a header may have
 * had, and what speaks for it. */
struct snap_candidate {
	uint64_t chunk_bytes;
	uint64_t nr_records; /* sound and ascending, up to 65536 and a piece */
	uint64_t nr_exact;   /* of them: where an allocation without gaps puts them */
	uint64_t last_new;   /* chunk of the last of them on the COW image */
	bool has_end;	     /* zeros, or torn records, end the list */
};
struct snap_candidates {
	struct snap_candidate rows[22 + 1]; /* ascending; one for each power of two */
	size_t nr;
	uint64_t rival_bytes; /* where records are, and the smallest must have zeros; or 0 */
};
/* Could this be a record of that image, whatever the chunk size? */
bool cow_snap_is_plausible(uint64_t image_bytes, const struct snap_record *record);
/* So many of them, at the beginning of a sector, are a rival. */
#define SNAP_RIVAL_RECORDS 4
/* Finds all, other than not_bytes. Errors: -EIO, -ENOMEM. */
int cow_snap_candidates(struct cow_image *cow, const struct cow_image *origin, uint64_t not_bytes,
			struct snap_candidates *ret_candidates, struct cow_err *err);
/* The one that it must be; NULL: that cannot be told. */
const struct snap_candidate *cow_snap_candidates_guess(const struct snap_candidates *candidates);
void cow_snap_candidate_sentence(const struct snap_candidate *candidate,
				 char ret_text[SNAP_SENTENCE_BYTES]);
/* All of that; *ret_bytes is 0 where it cannot be told. */
int cow_snap_evidence_best(struct cow_image *cow, const struct cow_image *origin,
			   uint64_t not_bytes, uint64_t *ret_bytes, uint64_t *ret_nr_records,
			   struct cow_err *err);

/* The list is empty for chunks of chunk_bytes, and there is one for other_bytes. LVM
 * makes no chunks below 4 KiB: a header that says less may have been altered. */
#define SNAP_LVM_CHUNK_BYTES_MIN 4096
static inline bool cow_snap_size_is_doubtful(uint64_t chunk_bytes, uint64_t other_bytes)
{
	return chunk_bytes < SNAP_LVM_CHUNK_BYTES_MIN && other_bytes >= SNAP_LVM_CHUNK_BYTES_MIN;
}

/* snap_beginning.c: a store that begins with zeros, but for which chunk size an area
 * of the list still stands where it would be; 0: none, or several. */
struct snap_beginning {
	uint64_t chunk_bytes;
	uint64_t index; /* the first record that is there; those in front are lost */
};
/* Errors: -EIO. */
int cow_snap_beginning(struct cow_image *cow, const struct cow_image *origin,
		       struct snap_beginning *ret_beginning, struct cow_err *err);

/* snap_lost.c: tells whether an image without "SnAp" at its beginning still looks like a
 * store: the rest of the header is sound and a list stands behind it, or the
 * magic is in the other byte order. Errors: -EIO. */
int cow_snap_is_lost_store(struct cow_image *cow, const struct cow_image *origin, bool *ret_is_lost,
			   struct cow_err *err);

/*
 * Which chunk size the header says, if it is to be believed: it begins with
 * "SnAp", or is only damaged. *ret_bytes is 0 where another must be found.
 * *ret_is_store: it is, or was, a store beyond doubt. Errors: -EIO.
 */
int cow_snap_header_chunk_bytes(struct cow_image *cow, const struct cow_image *origin,
				const struct snap_header *header, bool *ret_is_store,
				uint64_t *ret_bytes, struct cow_err *err);

#endif
