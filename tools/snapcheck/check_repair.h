/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_repair.h - where snapcheck repairs: in place, in place with an undo
 * file, in a new image, or in memory for a preview; and what it asks.
 */
#ifndef TOOLS_CHECK_REPAIR_H
#define TOOLS_CHECK_REPAIR_H

#include <stdbool.h>

#include "libcow.h"
#include "tools/images/blkid.h"
#include "tools/snapcheck/check_found.h"
#include "tools/snapcheck/check_lost.h"

struct check_repair {
	/* set by the caller */
	bool is_wanted, is_safe_only, asks, is_dry_run, revalidates;
	const char *output, *save_undo;
	const char *gap;       /* what -o does about one in the list; NULL: the default */
	uint64_t needed_bytes; /* size of what is repaired, at least; 0: as it is */
	bool is_grown;	       /* it has that size now */
	/* It is written as a whole, so long, to an image of its own: verdict */
	bool needs_target;
	uint64_t target_bytes;
	const struct cow_callbacks *callbacks; /* own, once it runs */
	struct cow_callbacks own;
	struct check_lost *lost, *doubtful, *regained;
	struct check_found *found; /* what was shown: asked about by run */

	struct cow_image *target; /* what is repaired; belongs to one of these */
	struct cow_output *out, *undo;
	struct cow_store *undo_store;
	struct cow_image *preview, *guard;
	bool is_refused;	    /* it cannot be decided what to write: said, nothing written */
	struct cow_image *old_undo; /* of a repair that is continued */
	struct blkid_device device; /* the output or the undo file, if it is one */
	bool is_continued, is_undo_full;
	struct cow_err undo_error; /* told if something is to be repaired */
	/* The target, with what could not be read when it was copied. */
	struct cow_image *patched;
	const struct cow_problem *all[64]; /* answered with "all" */
	size_t nr_all;
	bool has_asked;	 /* the letters were explained */
	bool is_stopped; /* answered with "quit" */
};

/*
 * Opens what the repair writes to, before sandbox_enter() and before the look. cow is
 * NULL if that may be a metadata pack. What is wrong with an undo file is told by
 * check_repair_open(), and so only if something is to be repaired.
 */
int check_repair_prepare(struct check_repair *repair, struct cow_imageset *set,
			 struct cow_image *cow, struct cow_err *err);
/* Would these options mend anything of what was found? */
bool check_repair_is_due(const struct check_repair *repair, const struct cow_report *report,
			 const struct cow_verdict *verdict);
/* Makes the target of what was prepared: copies, or makes the undo file and gives it its
 * name. */
int check_repair_open(struct check_repair *repair, struct cow_image *cow, struct cow_err *err);
/* check_rebuild.c: the same for what is written as a whole; nothing is copied. */
int check_rebuild_open(struct check_repair *repair, const struct cow_image *cow,
		       struct cow_err *err);
/* Runs it: args are of what is damaged. is_refused: the answer is 0. */
int check_rebuild_run(struct check_repair *repair, const struct cow_store_args *args,
		      struct cow_repair_result *ret_result, struct cow_err *err);
/* Gives NEW its size: a device is checked for what it holds. */
int check_repair_output(struct check_repair *repair, uint64_t size, struct cow_err *err);
/* args: of the target. */
int check_repair_run(struct check_repair *repair, const struct cow_store_args *args,
		     struct cow_repair_result *ret_result, struct cow_err *err);
/* Nothing is left to be mended: a repair with this undo file that was cut off had
 * come to its end, and it says so from now on. */
int check_repair_settle(struct check_repair *repair, const struct cow_image *cow,
			struct cow_err *err);
/* Gives the new image its name, or says in the undo file that the repair is
 * through; one that had nothing to save goes again. */
int check_repair_publish(struct check_repair *repair, struct cow_err *err);
void check_repair_close(struct check_repair *repair);

#endif
