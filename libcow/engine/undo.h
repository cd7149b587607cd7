/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * undo.h - the undo file of a merge: a sibling store, made for the job, that
 * holds what the merge overwrites, and an outcome: the digest of each range as
 * the merge leaves it. It is an ordinary COW image, so the kernel's snapshot of
 * the merged origin over it shows the old origin.
 *
 * The outcome lies behind the chunks that the store uses; the label says where
 * (outcome_bytes, outcome_len_bytes) and has its digest:
 *	offset size
 *	     0    8	offset of the range on the origin
 *	     8    8	its length, at most 1 MiB
 *	    16   16	digest
 * one entry after the other, ascending, all little-endian.
 */
#ifndef COW_ENGINE_UNDO_H
#define COW_ENGINE_UNDO_H

#include "libcow/core/label.h"
#include "libcow/store/store.h"

/*
 * Writes the outcome of a job into undo and flushes it: the digest of each range
 * that undo saved, as left shows it. Fills the outcome fields of label, which the
 * caller writes. Errors: -ENOSPC no room behind the chunks, -EIO, -ENOMEM,
 * -ECANCELED.
 */
int cow_undo_outcome_write(struct cow_store *undo, struct cow_image *left, struct cow_label *label,
			   const struct cow_callbacks *callbacks, struct cow_err *err);

/*
 * Writes the outcome of merging store into undo, and undo's label, durably.
 * undo holds a copy of everything that the merge will overwrite. job: the
 * label of the merge. Errors: -ENOSPC, -EIO, -ENOMEM, -ECANCELED.
 */
int cow_undo_finish(struct cow_store *undo, struct cow_store *store, const struct cow_label *job,
		    const struct cow_callbacks *callbacks, struct cow_err *err);

/*
 * Tells whether a complete undo is right for a merge of store that has not
 * begun to move: what it saved is on the origin, and what the merge will leave
 * is its outcome. is_repeated: the merge was through and is to be done again, so
 * that the outcome is on the origin already. Errors: -EPERM (id "other-job") it is not; -EIO,
 * -ENOMEM.
 */
int cow_undo_check_fresh(struct cow_store *undo, const struct cow_label *label,
			 struct cow_store *store, bool is_repeated,
			 const struct cow_callbacks *callbacks, struct cow_err *err);

/*
 * Tells whether every range of the outcome is on the origin as the merge left
 * it, or as it was before (it never got there). Errors: -EPERM
 * (id "changed") it is not; -EBADMSG the outcome is damaged; -EIO, -ENOMEM.
 */
int cow_undo_verify(struct cow_store *undo, const struct cow_label *label,
		    const struct cow_callbacks *callbacks, struct cow_err *err);

/*
 * Before undo is merged: where its label says that a repair filled it, tells whether
 * its target is the image of that repair, and still as the repair left it (every
 * range that undo would write; after a repair that was cut off: pieces of it).
 * may_be_changed: compares the size alone. Errors: -EPERM it is not (id "other-image",
 * or "changed" with force "changed"); -EBADMSG the outcome is damaged; -EIO, -ENOMEM.
 */
int cow_repair_undo_verify(struct cow_store *undo, bool may_be_changed,
			   const struct cow_callbacks *callbacks, struct cow_err *err);

#endif
