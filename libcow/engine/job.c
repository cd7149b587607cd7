/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * job.c - reads, judges and writes the label of a merge. Every write of a
 * label is durable before the next phase begins.
 */
#include "libcow/engine/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

#define HEAD_BYTES 65536

int cow_job_label_read(struct cow_store *store, struct cow_label *ret_label, struct cow_err *err)
{
	uint8_t raw[LABEL_BYTES];
	int ret = cow_store_label_read(store, raw, err);

	if (!ret && !cow_label_decode(raw, ret_label))
		memset(ret_label, 0, sizeof(*ret_label));
	return ret;
}

int cow_job_label_write(struct cow_store *store, const struct cow_label *label, struct cow_err *err)
{
	uint8_t raw[LABEL_BYTES];

	cow_label_encode(label, raw);
	return cow_store_label_write(store, raw, err);
}

static int head_digest(struct cow_image *target, uint8_t ret_digest[COW_DIGEST_BYTES],
		       struct cow_err *err)
{
	size_t len = min_u64(HEAD_BYTES, target->size_bytes);
	AUTO_FREE uint8_t *buf = malloc(HEAD_BYTES);
	int ret;

	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for the first 64 KiB of the origin");
	ret = cow_image_pread(target, buf, len, 0, err);
	if (!ret)
		cow_digest_of(buf, len, ret_digest);
	return ret;
}

/* label: what an earlier run left, or zeros. */
static int label_new(struct cow_store *store, uint64_t nr_exceptions, struct cow_label *label,
		     struct cow_err *err)
{
	struct cow_label fresh = {
		.job = LABEL_JOB_MERGE,
		.target_bytes = store->target->size_bytes,
		.nr_chunks = nr_exceptions,
		.nr_left = nr_exceptions,
	};

	if (label->job == LABEL_JOB_MERGE) {
		fresh.nr_earlier = label->nr_earlier;
		memcpy(fresh.earlier_id, label->earlier_id, sizeof(fresh.earlier_id));
	}
	if (label->job == LABEL_JOB_MERGE && label->phase == LABEL_PHASE_PRESERVE)
		memcpy(fresh.job_id, label->job_id, sizeof(fresh.job_id));
	else if (getrandom(fresh.job_id, sizeof(fresh.job_id), 0) != (ssize_t)sizeof(fresh.job_id))
		return cow_fail(err, -EIO, "the system gives no random numbers");
	*label = fresh;
	return head_digest(store->target, label->target_head, err);
}

int cow_job_check_siblings(const struct cow_label *label, size_t nr_siblings, struct cow_err *err)
{
	if (label->phase == LABEL_PHASE_PRESERVE && label->nr_siblings > nr_siblings)
		return cow_refuse(err, -EPERM, "siblings", NULL,
				  "an earlier run was cut off while it kept %" PRIu32
				  " siblings, and this one names %zu; name all of them again, or "
				  "give one up with --drop-sibling",
				  label->nr_siblings, nr_siblings);
	return 0;
}

static int label_check(const struct cow_store *store, const struct cow_label *label,
		       size_t nr_siblings, struct cow_err *err)
{
	if (label->job == LABEL_JOB_UNDO && !cow_label_is_finished(label))
		return cow_refuse(err, -EPERM, "undo-file", NULL,
				  "%s is the undo file of a merge: use --take-back, which looks at "
				  "the origin first",
				  store->metadata->name);
	return cow_job_check_siblings(label, nr_siblings, err);
}

/* What an earlier run left, if it had begun. One that was cut off while it
 * preserved hands on what the run before it had left. */
static void earlier_note(struct job *job, uint64_t nr_exceptions)
{
	struct cow_label *label = &job->label;

	if (label->job != LABEL_JOB_MERGE)
		return;
	job->is_continued = cow_job_is_under_way(label, nr_exceptions);
	if (job->is_continued)
		return;
	if (label->phase == LABEL_PHASE_MOVE) {
		label->nr_earlier = label->nr_left;
		memcpy(label->earlier_id, label->job_id, sizeof(label->earlier_id));
	} else if (label->phase != LABEL_PHASE_PRESERVE) {
		label->nr_earlier = 0;
	}
	job->was_used = label->nr_earlier;
	job->nr_grown = nr_exceptions - min_u64(nr_exceptions, label->nr_earlier);
}

bool cow_job_is_under_way(const struct cow_label *label, uint64_t nr_exceptions)
{
	return label->phase == LABEL_PHASE_MOVE && nr_exceptions <= label->nr_left;
}

int cow_job_open(struct cow_store *store, uint64_t nr_exceptions, size_t nr_siblings,
		 struct job *ret_job, struct cow_err *err)
{
	struct job job = { .has_label = cow_store_has_label(store) };
	int ret;

	if (job.has_label) {
		ret = cow_job_label_read(store, &job.label, err);
		if (!ret)
			ret = label_check(store, &job.label, nr_siblings, err);
		if (ret)
			return ret;
		/* cut off behind its last settlement, it had emptied the store, too */
		job.was_finished = job.label.job == LABEL_JOB_MERGE && !nr_exceptions &&
				   (job.label.phase == LABEL_PHASE_DONE ||
				    job.label.phase == LABEL_PHASE_MOVE);
		job.was_preserving =
			job.label.job == LABEL_JOB_MERGE && job.label.phase == LABEL_PHASE_PRESERVE;
		earlier_note(&job, nr_exceptions);
	}
	if (!job.is_continued) {
		ret = label_new(store, nr_exceptions, &job.label, err);
		if (ret)
			return ret;
	}
	*ret_job = job;
	return 0;
}

int cow_job_write(struct cow_store *store, struct job *job, enum label_phase phase,
		  struct cow_err *err)
{
	if (!job->has_label || (job->is_continued && job->label.phase == phase))
		return 0;
	job->label.phase = phase;
	return cow_job_label_write(store, &job->label, err);
}

int cow_job_settled(struct cow_store *store, struct job *job, uint64_t nr_left, struct cow_err *err)
{
	if (!job->has_label)
		return 0;
	job->label.nr_left = nr_left;
	return cow_job_label_write(store, &job->label, err);
}

int cow_job_clear(struct cow_store *store, struct cow_err *err)
{
	uint8_t raw[LABEL_BYTES];
	int ret;

	if (!cow_store_has_label(store))
		return 0;
	ret = cow_store_label_read(store, raw, err);
	if (ret || is_all_zero(raw, sizeof(raw)))
		return ret;
	memset(raw, 0, sizeof(raw));
	return cow_store_label_write(store, raw, err);
}
