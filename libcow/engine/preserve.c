/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * preserve.c - copies what a merge will overwrite to siblings and to the undo
 * store. Keeps I4: data and records of all of them are durable before the
 * first write to the origin.
 */
#include "libcow/engine/preserve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/engine/undo.h"
#include "libcow/snapshot/copyout.h"

/* How many stores a job keeps true. */
static size_t nr_kept(const struct cow_merge_params *params)
{
	return params->nr_siblings + (params->undo != NULL);
}

/* A record that is appended to a list that was cut short is written into the gap. Once
 * siblings are appended to, a crash may leave what looks like that. */
static int check_doubt(struct cow_store *sibling, const struct job *job, struct cow_err *err)
{
	if (cow_job_has_begun(job) || job->was_preserving)
		return 0;
	return cow_store_doubt(sibling, err);
}

static int check_sibling(const struct cow_store *store, struct cow_store *sibling,
			 const struct job *job, bool will_write, struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	int ret;

	if (sibling->origin != store->target || cow_store_get_info(sibling, &info))
		return cow_fail(
			err, -EINVAL,
			"a sibling must be opened with the origin of the store that is merged");
	if (cow_store_is_same(sibling, store))
		return cow_refuse(err, -EPERM, "overlap", NULL,
				  "%s is named as COW image and as its own sibling",
				  store->data->name);
	if (sibling->is_damaged || !info.valid)
		return cow_refuse(err, -EPERM, sibling->is_damaged ? "damaged" : "invalid", NULL,
				  "the sibling %s is %s, so it cannot be kept; leave it out",
				  sibling->data->name,
				  sibling->is_damaged ? "damaged" : "marked invalid");
	if (!will_write || sibling->data->is_writable)
		return check_doubt(sibling, job, err);
	ret = cow_fail(err, -EROFS, "the sibling %s is open for reading only", sibling->data->name);
	cow_err_place(err, sibling->data->name, COW_OFFSET_NONE);
	return ret;
}

/* How many chunks a sibling may lack of what is left of a merge that has begun:
 * of what was there when it began none, of what came since all. */
static uint64_t nr_allowed(const struct cow_store *store, const struct cow_store *sibling,
			   const struct job *job)
{
	uint64_t ours = store->chunk_bytes, theirs = sibling->chunk_bytes, nr;

	if (theirs % ours == 0)
		return job->nr_grown;
	/* where neither is a multiple of the other, both ends may lie within one */
	if (mul_overflows(job->nr_grown, ours % theirs ? ours / theirs + 2 : ours / theirs, &nr))
		return UINT64_MAX;
	return nr;
}

/*
 * In the middle of a merge a sibling lacks nothing, because all of it was
 * saved before the first write; one that does lack something was not part of
 * the job, and parts of what it should show are overwritten already.
 */
static int check_room(struct cow_store *store, struct cow_store *sibling, const struct job *job,
		      struct cow_err *err)
{
	const struct copyout_ranges ranges = { cow_copyout_next_target, store };
	uint64_t nr_chunks = cow_copyout_count(sibling, store->target, &ranges);
	int ret;

	if (cow_job_has_begun(job) && nr_chunks > nr_allowed(store, sibling, job))
		return cow_refuse(err, -EPERM, "siblings", NULL,
				  "%s lacks %" PRIu64
				  " chunks that this merge has begun to overwrite: either it was "
				  "not named when the merge began, and is corrupt now (give it up "
				  "with --drop-sibling), or the kernel has finished that merge and "
				  "%s was used since (make it again with snapcreate --from-view)",
				  sibling->data->name, nr_chunks, store->data->name);
	ret = cow_store_reserve(sibling, nr_chunks, err);
	if (ret == -ENOSPC)
		cow_err_prefix(err, "nothing was written; enlarge the sibling, or give it up with "
				    "--drop-sibling");
	return ret;
}

/* What an undo file is to this job. */
enum undo_state {
	UNDO_NEW,     /* empty */
	UNDO_OURS,    /* complete, of this job */
	UNDO_EARLIER, /* complete, of a job that is over or of another pair */
};

static int refuse_other_undo(const struct cow_store *undo, struct cow_err *err)
{
	return cow_refuse(err, -EPERM, "other-job", NULL,
			  "%s is not the undo file of this merge: name a new file",
			  undo->data->name);
}

static int undo_state(struct cow_store *undo, const struct job *job, enum undo_state *ret_state,
		      struct cow_label *ret_label, struct cow_err *err)
{
	struct cow_label label;
	bool is_ours;
	int ret;

	ret = cow_job_label_read(undo, &label, err);
	if (ret)
		return ret;
	if (!label.job || (label.job == LABEL_JOB_UNDO && cow_label_is_finished(&label))) {
		*ret_state = UNDO_NEW;
		return cow_store_is_empty(undo) ? 0 : refuse_other_undo(undo, err);
	}
	is_ours = !memcmp(label.job_id, job->was_used ? job->label.earlier_id : job->label.job_id,
			  sizeof(label.job_id));
	if (label.job != LABEL_JOB_UNDO || label.phase != LABEL_PHASE_DONE ||
	    label.target_bytes != undo->origin->size_bytes || (!is_ours && cow_job_has_begun(job)))
		return refuse_other_undo(undo, err);
	*ret_state = is_ours ? UNDO_OURS : UNDO_EARLIER;
	*ret_label = label;
	return 0;
}

/*
 * An earlier run had completed it, and either had not begun to move, or keeps the
 * exceptions and was at its end, where only the last flush failed. Since then other
 * programs may have written to origin and store.
 */
static int check_early_undo(struct cow_store *store, struct cow_store *undo, enum undo_state state,
			    const struct cow_label *label, const struct cow_callbacks *callbacks,
			    struct cow_err *err)
{
	const struct copyout_ranges ranges = { cow_copyout_next_target, store };
	uint64_t nr_chunks = cow_copyout_count(undo, store->target, &ranges);

	if (nr_chunks && state == UNDO_EARLIER)
		return cow_refuse(err, -EPERM, "other-job", NULL,
				  "%s is the undo file of another merge, or the snapshot has grown "
				  "since it was made: name a new file",
				  undo->data->name);
	if (nr_chunks)
		return cow_refuse(err, -EPERM, "other-job", NULL,
				  "%s was made by an earlier run, and the snapshot has grown "
				  "since: name a new file",
				  undo->data->name);
	return cow_undo_check_fresh(undo, label, store, state == UNDO_EARLIER, callbacks, err);
}

/* It was complete when the merge began to write; nothing can be added to it, so
 * the snapshot must not have grown since (I4). */
static int check_own_undo(struct cow_store *store, struct cow_store *undo, struct cow_err *err)
{
	const struct copyout_ranges ranges = { cow_copyout_next_target, store };
	uint64_t nr_chunks = cow_copyout_count(undo, store->target, &ranges);

	if (!nr_chunks)
		return 0;
	return cow_refuse(
		err, -EPERM, "other-job", NULL,
		"%s was complete when this merge began, but the snapshot has grown since, "
		"by %" PRIu64 " chunks that it lacks: take back what was merged first "
		"(--take-back, with --sibling=%s), or go on without it",
		undo->data->name, nr_chunks, store->data->name);
}

static int check_undo(struct cow_store *store, const struct cow_merge_params *params,
		      const struct job *job, struct cow_err *err)
{
	bool will_write = !(params->flags & COW_MERGE_DRY_RUN);
	struct cow_store *undo = params->undo;
	enum undo_state state = UNDO_NEW;
	struct cow_label label;
	int ret;

	ret = check_sibling(store, undo, job, will_write, err);
	if (!ret)
		ret = undo_state(undo, job, &state, &label, err);
	if (!ret && state == UNDO_OURS && cow_job_has_begun(job))
		return check_own_undo(store, undo, err);
	if (!ret && state == UNDO_NEW && params->flags & COW_MERGE_UNDO_EXISTED)
		ret = cow_refuse(
			err, -EEXIST, "exists", NULL,
			"%s exists and is not the undo file of this merge: name a new file",
			undo->data->name);
	if (ret)
		return ret;
	if (state != UNDO_NEW)
		return check_early_undo(store, undo, state, &label, params->callbacks, err);
	if (cow_job_has_begun(job))
		return cow_refuse(
			err, -EPERM, "other-job", NULL,
			"the merge that is being continued has begun to write: a new undo "
			"file would miss that; name the file of the first run, or none");
	return check_room(store, undo, job, err);
}

/* Snapshots of one store share its room. */
static int check_shared_room(struct cow_store *store, const struct cow_merge_params *params,
			     struct cow_err *err)
{
	const struct copyout_ranges ranges = { cow_copyout_next_target, store };
	int ret = cow_copyout_reserve(store->target, params->siblings, params->nr_siblings, &ranges,
				      err);

	if (ret == -ENOSPC)
		cow_err_prefix(err, "nothing was written");
	return ret;
}

int cow_preserve_check(struct cow_store *store, const struct cow_merge_params *params,
		       const struct job *job, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < params->nr_siblings; i++) {
		for (size_t k = 0; k < i; k++)
			if (cow_store_is_same(params->siblings[k], params->siblings[i]))
				return cow_refuse(err, -EPERM, "overlap", NULL,
						  "the sibling %s is named twice",
						  params->siblings[i]->data->name);
		ret = check_sibling(store, params->siblings[i], job,
				    !(params->flags & COW_MERGE_DRY_RUN), err);
		if (!ret)
			ret = check_room(store, params->siblings[i], job, err);
		if (ret)
			return ret;
	}
	if (params->nr_siblings)
		ret = check_shared_room(store, params, err);
	return ret || !params->undo ? ret : check_undo(store, params, job, err);
}

/* Siblings, and an undo file that is new: the origin is read once for all. */
static int preserve_all(struct cow_store *store, const struct cow_merge_params *params,
			bool with_undo, struct copyout_stats *stats, struct cow_err *err)
{
	const struct copyout_params how = { .buffer_bytes = params->batch_bytes,
					    .callbacks = params->callbacks };
	const struct copyout_ranges ranges = { cow_copyout_next_target, store };
	/* bounded: the caller has so many */
	AUTO_FREE struct cow_store **stores =
		(struct cow_store **)calloc(params->nr_siblings + 1, sizeof(struct cow_store *));
	size_t nr = params->nr_siblings;

	if (!stores)
		return cow_fail(err, -ENOMEM, "no memory for %zu siblings", nr);
	for (size_t i = 0; i < nr; i++)
		stores[i] = params->siblings[i];
	if (with_undo)
		stores[nr++] = params->undo;
	return cow_copyout_preserve(store->target, stores, nr, &ranges, &how, stats, err);
}

/* What comes after this run knows an undo file that is complete by its id. */
static int find_undo(struct cow_store *undo, struct job *job, bool *ret_is_new, struct cow_err *err)
{
	enum undo_state state = UNDO_NEW;
	struct cow_label label;
	int ret = undo_state(undo, job, &state, &label, err);

	*ret_is_new = state == UNDO_NEW;
	if (!ret && state != UNDO_NEW)
		memcpy(job->label.job_id, label.job_id, sizeof(label.job_id));
	return ret;
}

int cow_preserve(struct cow_store *store, const struct cow_merge_params *params, struct job *job,
		 uint64_t *ret_bytes, struct cow_err *err)
{
	struct copyout_stats stats = { 0 };
	bool with_undo = false;
	int ret;

	if (!nr_kept(params) || job->is_continued)
		return 0;
	/* An undo file that is not complete has no name yet: only the siblings
	 * are something that a later run must not forget. */
	job->label.nr_siblings = (uint32_t)params->nr_siblings;
	ret = cow_job_write(store, job, LABEL_PHASE_PRESERVE, err);
	if (!ret && params->undo)
		ret = find_undo(params->undo, job, &with_undo, err);
	if (!ret)
		ret = preserve_all(store, params, with_undo, &stats, err);
	if (!ret && with_undo)
		ret = cow_undo_finish(params->undo, store, &job->label, params->callbacks, err);
	*ret_bytes = stats.bytes;
	if (!ret && params->preserved)
		ret = params->preserved(params->user, err);
	return ret;
}
