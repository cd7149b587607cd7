/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * label.h - what a job in progress leaves in a store's label: 496 bytes that
 * the kernel neither reads nor touches while it writes to a snapshot or merges
 * it (cow-persistent(5), "Header"; checked on Linux 6.1). It is advice for the
 * person and the command that come next; no correctness rests on it, and a
 * store without one is ordinary.
 */
#ifndef COW_CORE_LABEL_H
#define COW_CORE_LABEL_H

#include "libcow.h"

#define LABEL_BYTES 496
#define LABEL_JOB_ID_BYTES 16

enum label_job {
	LABEL_JOB_MERGE = 1,  /* on the store that is merged */
	LABEL_JOB_UNDO = 2,   /* on the store that saves what a merge overwrites */
	LABEL_JOB_REPAIR = 3, /* on the store that saves what a repair overwrites */
};

enum label_phase {
	LABEL_PHASE_PRESERVE = 1, /* siblings are being completed; target untouched */
	LABEL_PHASE_MOVE = 2,	  /* the target is a mixture */
	/* undo, repair: the target is as the job left it; merge: the store is empty
	 * because of it, until something is appended */
	LABEL_PHASE_DONE = 3,
	LABEL_PHASE_TAKEN = 4, /* undo: it was taken back, and is empty because of that */
};

struct cow_label {
	uint32_t job;			       /* enum label_job */
	uint32_t phase;			       /* enum label_phase */
	uint8_t job_id[LABEL_JOB_ID_BYTES];    /* random, one for each merge */
	uint64_t target_bytes;		       /* size of the image that is changed */
	uint8_t target_head[COW_DIGEST_BYTES]; /* of its first 64 KiB, at the start; repair:
						* repair_undo.c */
	uint64_t nr_chunks;		       /* exceptions when the job began */
	uint64_t nr_left;		       /* ... and after its last settlement */
	uint32_t nr_siblings;		       /* stores that are kept true, undo included */
	/* Phase PRESERVE: an earlier merge had begun to move, had so many exceptions
	 * left, and the store was used since; 0: none had. And its id. */
	uint64_t nr_earlier;
	uint8_t earlier_id[LABEL_JOB_ID_BYTES];
	/* Where the job wrote what it leaves behind (undo: digests per range). */
	uint64_t outcome_bytes;
	uint64_t outcome_len_bytes;
	uint8_t outcome_digest[COW_DIGEST_BYTES];
	/* Kept by the kind of store, of a merge: tells what the first exception of the
	 * list was when the job began; 0: not known. A merge takes exceptions off the
	 * end of the list, and others may be added there before it is finished. So only
	 * where the first one differs the store was emptied, and used again since. */
	uint64_t first_mark;
};

void cow_label_encode(const struct cow_label *label, uint8_t ret_raw[LABEL_BYTES]);

/* Has a merge begun to write and not finished? One that was cut off while it
 * preserved may go on with what an earlier one had begun. */
static inline bool cow_label_is_mixture(const struct cow_label *label)
{
	return label->job == LABEL_JOB_MERGE &&
	       (label->phase == LABEL_PHASE_MOVE ||
		(label->phase == LABEL_PHASE_PRESERVE && label->nr_earlier));
}

/* Is the store empty because of a job that wrote all that it held to its target? Until
 * something is appended. */
static inline bool cow_label_is_finished(const struct cow_label *label)
{
	return label->job == LABEL_JOB_MERGE
		       ? label->phase == LABEL_PHASE_DONE
		       : label->job == LABEL_JOB_UNDO && label->phase == LABEL_PHASE_TAKEN;
}

/* false: no label, or not one of ours, or torn. */
bool cow_label_decode(const uint8_t raw[LABEL_BYTES], struct cow_label *ret_label);

#endif
