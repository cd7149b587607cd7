/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * job.h - the label of a merge: what an earlier run left in the store, and
 * what this one leaves. It tells a person that the origin is a mixture, tells
 * the next run how much there was, and keeps it from forgetting a sibling that
 * was not complete yet. The records alone decide what is merged.
 *
 * none -> PRESERVE (siblings are being completed; origin untouched)
 *      -> MOVE (origin is a mixture) -> none
 */
#ifndef COW_ENGINE_JOB_H
#define COW_ENGINE_JOB_H

#include "libcow/core/label.h"
#include "libcow/store/store.h"

struct job {
	struct cow_label label;
	bool is_continued;   /* an earlier run has begun to move */
	bool was_finished;   /* an earlier merge emptied the store, and nothing came since */
	bool was_preserving; /* an earlier run was cut off while it completed siblings */
	bool has_label;	     /* prepared, and the kind of store can hold one */
	/* An earlier run has begun to move (label.earlier_id), and the store was
	 * used since: it has nr_grown more exceptions than were left then. */
	bool was_used;
	uint64_t nr_grown;
};

/* Is a part of what the store's list says written to the origin already? */
static inline bool cow_job_has_begun(const struct job *job)
{
	return job->is_continued || job->was_used;
}

/* Reads the label of a store; zeros, which is no job, where there is none. Errors:
 * -EIO, -EOPNOTSUPP the kind of store holds none. */
int cow_job_label_read(struct cow_store *store, struct cow_label *ret_label, struct cow_err *err);
/* Writes it, durably. Errors: the same, -EROFS. */
int cow_job_label_write(struct cow_store *store, const struct cow_label *label,
			struct cow_err *err);

/*
 * Reads the label and prepares the one of this run; writes nothing. A job that
 * had not begun to move goes on under its id, so that it knows its undo file.
 * nr_siblings: stores this run keeps true or gives up. Errors: -EPERM (id "undo-file") the
 * store is the undo of another merge; (id "siblings") an earlier run had not
 * completed its siblings and this one names fewer; -EIO, -ENOMEM.
 */
int cow_job_open(struct cow_store *store, uint64_t nr_exceptions, size_t nr_siblings,
		 struct job *ret_job, struct cow_err *err);

/* Refuses a run that would forget a sibling: the label says that some were not
 * complete yet. Errors: -EPERM (id "siblings"). */
int cow_job_check_siblings(const struct cow_label *label, size_t nr_siblings, struct cow_err *err);

/* Has the job begun to move, and nobody used the store since? Its list can only
 * have become shorter then, by our hands or the kernel's. */
bool cow_job_is_under_way(const struct cow_label *label, uint64_t nr_exceptions);

/* Writes the label with a phase, durably. */
int cow_job_write(struct cow_store *store, struct job *job, enum label_phase phase,
		  struct cow_err *err);

/* Writes down, durably, how many exceptions are left to be moved: with more of
 * them somebody has used the store since. */
int cow_job_settled(struct cow_store *store, struct job *job, uint64_t nr_left,
		    struct cow_err *err);

/* Removes the label, durably, if there is one. */
int cow_job_clear(struct cow_store *store, struct cow_err *err);

#endif
