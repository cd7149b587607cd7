/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_repair.h - what the files snap_repair*.c share: the plan.
 * snap_repair.c asks and mends the header, snap_repair_plan.c
 * turns findings into changes of the list, snap_repair_hole.c follows it
 * behind a hole, snap_repair_gap.c behind a gap, snap_repair_apply.c writes,
 * snap_repair_edits.c has the order of changes.
 */
#ifndef COW_STORE_SNAP_REPAIR_H
#define COW_STORE_SNAP_REPAIR_H

#include "libcow/core/report.h"
#include "libcow/store/persistent/snap_rules.h"

/* A finding that is to be mended, or not. */
struct snap_mend {
	enum snap_problem problem;
	uint64_t offset_bytes, len_bytes, chunk;
	char *sentence;
	bool is_wanted;
};

struct snap_mends {
	struct snap_mend *rows;
	size_t nr, capacity;
};

/* Record number index of the list becomes this. */
struct snap_edit {
	uint64_t index;
	struct snap_record record;
	uint32_t wave; /* sets: those of one are durable before the next */
};

struct snap_edits {
	struct snap_edit *rows;
	size_t nr, capacity;
};

struct snap_plan {
	struct cow_image *cow;
	struct snap_layout layout;
	struct snap_bounds bounds;
	struct cow_store *kernel; /* as the kernel would load it, or NULL */
	const struct cow_callbacks *callbacks;

	/* The list: visible records, those behind a hole that is to be closed
	 * (the empty ones are dropped), none of the garbage. */
	uint64_t nr_records;
	uint64_t first_hole;	  /* UINT64_MAX: none is closed */
	struct snap_edits sets;	  /* written over, by wave, then ascending */
	struct snap_edits drops;  /* go away, ascending; record is not used */
	struct snap_edits copies; /* record: from chunk old to chunk new */
	struct snap_edits runs;	  /* index: old chunk; with a top byte that will go */
	uint64_t nr_unknown;	  /* records were overwritten, at least so many */
	uint64_t nr_lossy;	  /* findings that are mended by giving up data */
	uint64_t nr_appended;	  /* appended, and perhaps an older store's */
	uint64_t nr_guessed;	  /* made up: a run spans the gap */
	bool fills_gap;		  /* where one does */
	bool cuts_tail;		  /* even if nothing is dropped */
	bool is_salvaged;	  /* the hole ends where other records begin, and all stay */
	bool cuts_garbage;	  /* with the area that holds it */
	bool leaves_tail;	  /* what stands behind the list may be of it */
	bool keeps_tail;	  /* what stands behind the list was to be left */
};

/* snap_repair_plan.c: reads the list. Errors: -EIO, -ENOMEM,
 * -ECANCELED. */
int cow_snap_plan_make(struct snap_plan *plan, const struct snap_mends *mends, struct cow_err *err);
void cow_snap_plan_free(struct snap_plan *plan);
bool cow_snap_plan_is_empty(const struct snap_plan *plan);

/* snap_repair_hole.c: adds the live records behind first_hole to the list,
 * and drops what stands between them. Errors: -EIO, -ENOMEM. */
int cow_snap_plan_hole(struct snap_plan *plan, struct cow_err *err);
/* Of a list that was cut short: drops the empty records between its end and the
 * record at index, or fills them, and adds those from there to the next end. They may
 * be an older store's: is_doubtful. snap_repair_gap.c. Errors: -EIO, -ENOMEM. */
int cow_snap_plan_salvage(struct snap_plan *plan, uint64_t index, bool is_doubtful,
			  struct cow_err *err);

/* What the view loses by a repair; snap_repair_lost.c. */
struct snap_losses {
	struct cow_exmap *named; /* chunks that the lists named, before the repair */
	struct snap_layout layout;
	uint64_t nr_unknown; /* exceptions whose chunk nobody knows */
};

/* Errors: -ENOMEM. */
int cow_snap_losses_init(struct snap_losses *losses, struct cow_err *err);
void cow_snap_losses_close(struct snap_losses *losses);
/* Notes what the list of a plan names, before it is applied. Errors: -EIO, -ENOMEM. */
int cow_snap_losses_note(struct snap_losses *losses, const struct snap_plan *plan,
			 struct cow_err *err);
/* Tells what is missing now: nr_lost, nr_unknown, lost_bytes, and each range. now:
 * the map of the repaired store. origin may be NULL. Errors: -ENOMEM. */
int cow_snap_losses_report(struct snap_losses *losses, const struct cow_exmap *now,
			   const struct cow_image *origin, const struct cow_repair_params *params,
			   struct cow_repair_result *result, struct cow_err *err);

/* snap_repair_apply.c: durable when it returns. Errors: -EROFS, -EIO,
 * -ENOMEM. */
int cow_snap_plan_apply(const struct snap_plan *plan, struct cow_err *err);

/* snap_repair_edits.c. Errors: -ENOMEM. */
int cow_snap_edits_add(struct snap_edits *edits, uint64_t index, const struct snap_record *record,
		       struct cow_err *err);
/* Ascending; of two for one index the first stays. */
void cow_snap_edits_sort(struct snap_edits *edits);
/*
 * What the kernel reads for a chunk depends on records of this chunk and of
 * lower ones of its group (dm_insert_exception: a run that covers it begins
 * with lower ones, and the first of two that begin with it is the earlier in
 * the list), never on higher ones. So the chunks of a group are settled from
 * the highest to the lowest: what is settled already is the same in every
 * record, what is not does not depend on this one.
 * Numbers the waves, sorts by wave and index.
 */
void cow_snap_edits_waves(struct snap_edits *edits);
/* The row of index in sorted edits, or NULL. */
const struct snap_edit *cow_snap_edits_find(const struct snap_edits *edits, uint64_t index);

#endif
