/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_guess.h - in which geometries logs make sense. The driver leaves strong
 * evidence: it hands out data blocks one after the other, so in the right geometry the
 * entries name a range of blocks without a gap, and in a wrong one they hardly
 * ever do.
 */
#ifndef COW_STORE_SNAPLOG_GUESS_H
#define COW_STORE_SNAPLOG_GUESS_H

#include "libcow/store/snaplog/snaplog_load.h"

/* Fewer entries are no evidence; against readings that make some sense, too, it
 * takes more. */
#define SNAPLOG_EVIDENCE_MIN 4
#define SNAPLOG_EVIDENCE_CLEAR 16

/* One geometry, and what the logs hold in it. */
struct snaplog_reading {
	struct snaplog_geometry geometry;
	uint64_t nr_entries, nr_impossible;
	uint64_t nr_missing;		  /* data blocks of holes */
	uint64_t nr_orders;		  /* logs that are used before the one before is full */
	uint8_t digest[COW_DIGEST_BYTES]; /* which bits say what: equal ones are the same snapshot
					   */
};

struct snaplog_readings {
	struct snaplog_reading *readings; /* different snapshots, the best first */
	size_t nr, capacity;
	uint64_t nr_tried, nr_empty, nr_with_bits;
	bool is_empty; /* in no geometry for which the logs are long enough a bit is set */
};

/*
 * Tries what given (bits of enum snaplog_key) leaves open of geometry. logs: its images
 * and source_bytes; the rest of it is overwritten. callbacks: may be NULL. The
 * array is the caller's, free(). Errors: -EIO, -ENOMEM, -ECANCELED.
 */
int cow_snaplog_guess(struct snaplog_logs *logs, const struct snaplog_geometry *geometry,
		      uint32_t given, const struct cow_callbacks *callbacks,
		      struct snaplog_readings *ret_readings, struct cow_err *err);

/* The reading that can be believed: the only one, or one without any fault where all
 * others have several; with evidence. Else NULL: nothing is chosen between close
 * ones. */
const struct snaplog_reading *cow_snaplog_guess_best(const struct snaplog_readings *readings);

#endif
