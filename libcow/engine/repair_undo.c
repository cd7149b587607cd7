/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * repair_undo.c - a repair that can be taken back, and that was perhaps cut
 * off. The undo file is a store whose origin is the image that is repaired;
 * its label says whether the repair is through, and which image it was: the
 * digest of pieces of it, as they were before the first write. Through the
 * undo file they are still so, whatever the repair has come to.
 *
 *	empty ----> under way ----> done
 *
 * under way	cow_repair_undo_new() without a flag: begin(), label MOVE. Each
 *		write of the repair goes through copyout_image.c, which saves
 *		first. A kill leaves this state: COW_REPAIR_UNDO_CONTINUE, go_on()
 * done		cow_repair_undo_end(), label DONE: it can be taken back
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
		return cow_fail(err, -ENOENT, "%s is of no repair that was cut off",
				undo->metadata->name);
	if (!ret && label.target_bytes == cow_image_size(cow))
		ret = identity(cow, undo, digest, err);
	if (ret)
		return ret;
	if (label.target_bytes == cow_image_size(cow) &&
	    !memcmp(digest, label.target_head, sizeof(digest)))
		return 0;
	return cow_refuse(err, -EPERM, "other-image", NULL,
			  "%s holds what the repair of another image has saved, or %s was written "
			  "to since that was cut off",
			  undo->metadata->name, cow_image_name(cow));
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
		return cow_fail(err, -EINVAL, "%s is of no repair under way", undo->metadata->name);
	if (ret)
		return ret;
	label.phase = LABEL_PHASE_DONE;
	return cow_job_label_write(undo, &label, err);
}
