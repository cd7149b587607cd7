/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * repair_undo.c - a repair that can be taken back, and that may have been cut
 * off. The undo file is a store whose origin is the image that is repaired.
 * Its label says whether the repair has ended, and which image it was of:
 *
 *	under way: a digest of pieces of the image as it was before the first
 *	write. Read through the undo file they stay the same, however far the
 *	repair has come.
 *	ended: an outcome (undo.h), the digest of each range that the undo file
 *	would write back, as the repair left it.
 *
 *	empty ----> under way ----> done ----> mixture ----> empty
 *	                |                         ^
 *	                +-------------------------+
 *
 * under way	cow_repair_undo_new() without a flag: begin(), label MOVE. Each
 *		write of the repair goes through copyout_image.c, which saves
 *		first. A kill leaves this state; COW_REPAIR_UNDO_CONTINUE: go_on()
 * done		cow_repair_undo_end(): outcome, FLUSH, label DONE
 * mixture	cow_merge() of the undo file: cow_repair_undo_verify() has found the
 *		image as one of the two digests has it, and the merge has written a
 *		label of its own. A kill leaves this state; the same merge goes on
 *		without another look
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/engine/job.h"
#include "libcow/engine/undo.h"
#include "libcow/store/store.h"

COW_DEFINE_AUTO(digest, struct cow_digest *, cow_digest_free);

/* What an image is known by: its beginning, and sectors all over it. */
#define HEAD_BYTES (UINT64_C(1) << 20)
#define NR_SAMPLES 16

/* What cannot be read is known by that. */
static int piece_add(struct cow_image *view, struct cow_digest *digest, uint8_t *buf, size_t len,
		     uint64_t offset_bytes, struct cow_err *err)
{
	int ret = cow_image_pread(view, buf, len, offset_bytes, err);

	if (ret == -EIO)
		memset(buf, 0xff, len);
	if (!ret || ret == -EIO)
		cow_digest_update(digest, buf, len);
	return ret == -EIO ? 0 : ret;
}

/* Of the image as it was before the repair. */
static int identity(struct cow_image *cow, struct cow_store *undo,
		    uint8_t ret_digest[COW_DIGEST_BYTES], struct cow_err *err)
{
	AUTO_HANDLE(image) struct cow_image *view = NULL;
	AUTO_HANDLE(digest) struct cow_digest *digest = NULL;
	AUTO_FREE uint8_t *buf = malloc(HEAD_BYTES);
	uint64_t size = cow_image_size(cow);
	int ret;

	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for the first MiB of %s",
				cow_image_name(cow));
	ret = cow_view_new(cow, undo, &view, err);
	if (!ret)
		ret = cow_digest_new(&digest, err);
	if (!ret)
		ret = piece_add(view, digest, buf, min_u64(HEAD_BYTES, size), 0, err);
	for (uint64_t i = 0; i < NR_SAMPLES && !ret; i++)
		ret = piece_add(view, digest, buf, COW_SECTOR_BYTES,
				sectors_to_bytes(bytes_to_sectors(size) / NR_SAMPLES * i), err);
	if (!ret)
		cow_digest_final(digest, ret_digest);
	return ret;
}

static int begin(struct cow_image *cow, struct cow_store *undo, struct cow_err *err)
{
	struct cow_label label = {
		.job = LABEL_JOB_REPAIR,
		.phase = LABEL_PHASE_MOVE,
		.target_bytes = cow_image_size(cow),
	};
	int ret = identity(cow, undo, label.target_head, err);
	return ret ? ret : cow_job_label_write(undo, &label, err);
}

/* -ENOENT: it is of no repair that is under way. */
static int label_of(struct cow_store *undo, struct cow_label *ret_label, struct cow_err *err)
{
	int ret;

	if (!cow_store_has_label(undo))
		return -ENOENT;
	ret = cow_job_label_read(undo, ret_label, err);
	if (ret)
		return ret;
	return ret_label->job == LABEL_JOB_REPAIR && ret_label->phase == LABEL_PHASE_MOVE ? 0
											  : -ENOENT;
}

static int go_on(struct cow_image *cow, struct cow_store *undo, struct cow_err *err)
{
	uint8_t digest[COW_DIGEST_BYTES];
	struct cow_label label;
	int ret = label_of(undo, &label, err);

	if (ret == -ENOENT)
		return cow_fail(err, -ENOENT,
				"%s is not the undo file of a repair that was cut off",
				undo->metadata->name);
	if (!ret && label.target_bytes == cow_image_size(cow))
		ret = identity(cow, undo, digest, err);
	if (ret)
		return ret;
	if (label.target_bytes == cow_image_size(cow) &&
	    !memcmp(digest, label.target_head, sizeof(digest)))
		return 0;
	return cow_refuse(err, -EPERM, "other-image", NULL,
			  "%s is the undo file of a repair of another image, or %s was written to "
			  "after that repair was cut off",
			  undo->metadata->name, cow_image_name(cow));
}

static int size_check(const struct cow_store *undo, const struct cow_label *label,
		      struct cow_err *err)
{
	const struct cow_image *cow = undo->target;

	if (label->target_bytes == cow->size_bytes)
		return 0;
	return cow_refuse(err, -EPERM, "other-image", NULL,
			  "%s is the undo file of the repair of an image of %" PRIu64
			  " bytes, %s has %" PRIu64,
			  undo->metadata->name, label->target_bytes, cow->name, cow->size_bytes);
}

int cow_repair_undo_verify(struct cow_store *undo, bool may_be_changed,
			   const struct cow_callbacks *callbacks, struct cow_err *err)
{
	struct cow_label label;
	int ret = cow_job_label_read(undo, &label, err);

	if (ret || label.job != LABEL_JOB_REPAIR)
		return ret;
	ret = size_check(undo, &label, err);
	if (ret || may_be_changed)
		return ret;
	if (label.phase == LABEL_PHASE_MOVE)
		return go_on(undo->target, undo, err);
	/* Without an outcome: the file of an earlier version, or one without room for it. */
	return label.outcome_bytes ? cow_undo_verify(undo, &label, callbacks, err) : 0;
}

int cow_repair_undo_new(struct cow_image *cow, struct cow_store *undo, uint32_t flags,
			struct cow_image **ret_guard, struct cow_err *err)
{
	int ret;

	if (flags & ~COW_REPAIR_UNDO_CONTINUE)
		return cow_fail(err, -EINVAL, "unknown flags");
	ret = flags & COW_REPAIR_UNDO_CONTINUE ? go_on(cow, undo, err) : begin(cow, undo, err);
	return ret ? ret : cow_copyout_image_new(cow, &undo, 1, ret_guard, err);
}

int cow_repair_undo_end(struct cow_store *undo, struct cow_err *err)
{
	struct cow_label label;
	int ret = label_of(undo, &label, err);

	if (ret == -ENOENT)
		return cow_fail(err, -EINVAL, "%s is not the undo file of a repair under way",
				undo->metadata->name);
	if (!undo->target)
		return cow_fail(err, -EINVAL, "the undo file was opened without its origin");
	if (!ret)
		ret = cow_undo_outcome_write(undo, undo->target, &label, NULL, err);
	if (ret && ret != -ENOSPC)
		return ret;
	if (ret) { /* the repair has ended all the same */
		label.outcome_bytes = 0;
		label.outcome_len_bytes = 0;
	}
	label.phase = LABEL_PHASE_DONE;
	return cow_job_label_write(undo, &label, err);
}
