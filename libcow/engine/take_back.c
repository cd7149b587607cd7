/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * take_back.c - takes a merge back: the merge of its undo store, under the
 * label that the undo store has. undo.c has the states of that store.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/err.h"
#include "libcow/engine/merge.h"
#include "libcow/engine/undo.h"

static int take_back_check(struct cow_store *undo, struct cow_label *ret_label, struct cow_err *err)
{
	int ret;

	if (!undo->target)
		return cow_fail(err, -EINVAL, "the undo file was opened without its origin");
	ret = cow_job_label_read(undo, ret_label, err);
	if (ret)
		return ret;
	if (ret_label->job != LABEL_JOB_UNDO)
		return cow_refuse(
			err, -EPERM, "no-undo", NULL,
			!cow_store_is_empty(undo)
				? "%s is not the undo file of a merge: it has no label that says so"
				: "%s is empty, and nothing says that it was the undo file of a "
				  "merge",
			undo->data->name);
	if (ret_label->target_bytes != undo->target->size_bytes)
		return cow_refuse(err, -EPERM, "other-origin", NULL,
				  "%s undoes a merge into an image of %" PRIu64
				  " bytes, %s has %" PRIu64 "",
				  undo->data->name, ret_label->target_bytes, undo->target->name,
				  undo->target->size_bytes);
	return 0;
}

int cow_take_back(struct cow_store *undo, uint32_t flags, const struct cow_merge_params *params,
		  struct cow_merge_result *ret_result, struct cow_err *err)
{
	struct cow_label label;
	struct store_left left;
	int ret;

	if (flags & ~COW_TAKE_BACK_CHANGED || params->undo)
		return cow_fail(err, -EINVAL, "unknown flags, or an undo of an undo");
	ret = take_back_check(undo, &label, err);
	if (!ret)
		ret = cow_job_check_siblings(&label, params->nr_siblings + params->nr_dropped, err);
	/* Phase MOVE: this was verified when the take-back began, and the origin
	 * is a mixture since. TAKEN: nothing is left to be written. */
	if (!ret && label.phase != LABEL_PHASE_MOVE && !cow_label_is_finished(&label) &&
	    !(flags & COW_TAKE_BACK_CHANGED))
		ret = cow_undo_verify(undo, &label, params->callbacks, err);
	if (ret)
		return ret;
	cow_store_moves_left(undo, &left);
	struct job job = { .label = label,
			   .has_label = true,
			   /* cut off behind its last settlement, it had emptied it, too */
			   .was_finished = !left.nr_chunks && (label.phase == LABEL_PHASE_MOVE ||
							       cow_label_is_finished(&label)),
			   .is_continued = cow_job_is_under_way(&label, left.nr_chunks) };

	if (!job.is_continued)
		job.label.nr_left = left.nr_chunks;
	return cow_merge_with_job(undo, params, &job, ret_result, err);
}
