/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge.c - writes the view into the origin and forgets the exceptions.
 *
 * First what will be overwritten is preserved for siblings and undo
 * (preserve.c); then the origin becomes a mixture, and the label says so.
 *
 * Work is cut into epochs, off the end of the list (I2). An epoch is moved in
 * batches that fit the buffer (batch.c) and ends with
 *	flush of the target, then settle(): one metadata write, flush;
 * so a record is forgotten only after its data is durable (I1), and flushes
 * grow with bytes and time, not with chunks. Until then every record is
 * still there and every step can be repeated (I6): the view of the pair is
 * right at each instant, whatever a crash leaves.
 *
 * An error never settles anything: what was written since the last flush is
 * not known to be there (I8). Stopping on request does settle the batches
 * that are complete, after the same flush, so that a rerun does not repeat
 * them.
 *
 * The states of a pair, and what leads from one to the next. In each of them the
 * view is right, and a kill leaves one of them:
 *
 *	untouched	merge_preflight() has read all that can be known (I7)
 *	    | cow_preserve(): siblings and undo, then FLUSH of each (I4);
 *	    | label PRESERVE
 *	    | cow_job_write(): label MOVE, FLUSH
 *	    v
 *	mixture	<---------------------------------------------+
 *	    | epoch_batch(), as often as epoch_is_full() says |
 *	    | epoch_settle(): FLUSH of the target (I1),       |
 *	    |	cow_store_settle(), cow_job_settled() --------+ exceptions are left
 *	    v none is left
 *	merged		the list is empty; behind it there may be merged records
 *	    | cow_store_tidy() (I5)
 *	    | cow_job_write(): label DONE
 *	    v
 *	empty		cow_unused_treat(): discard, scrub
 *
 * Where unreadable sectors are skipped, the COW image may be dying: it is only
 * read, without label or settlement, until all that can be read is durable on
 * the origin. Then everything is forgotten at once, but for what is not wholly
 * there (skip.c). A run that was cut off begins at the beginning.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/engine/batch.h"
#include "libcow/engine/copies.h"
#include "libcow/engine/merge.h"
#include "libcow/engine/preserve.h"
#include "libcow/engine/skip.h"
#include "libcow/engine/undo.h"
#include "libcow/engine/unused.h"

#define BATCH_BYTES_DEFAULT (UINT64_C(64) << 20)
#define BATCH_BYTES_MIN UINT64_C(4096)
/* Of data that pass in one batch, for each byte of memory: its moves need much
 * less than they move, and the data wait in the page cache. */
#define BATCH_DATA_PER_BYTE 4
/* ... of which a batch may take this part. */
#define BATCH_MEMORY_PART 8
#define EPOCH_BYTES_DEFAULT (UINT64_C(1) << 30)
#define EPOCH_MS_DEFAULT 5000

struct merge {
	struct cow_store *store;
	struct job *job;
	uint64_t batch_bytes; /* of memory */
	uint64_t pass_bytes;  /* of data in one batch */
	uint64_t epoch_bytes;
	uint32_t epoch_ms;
	bool keeps_records; /* nothing is settled */
	bool skips;	    /* past what cannot be read; settled in the end */
	struct batch batch;
	struct store_moves moves;
	struct cow_merge_result result;
	uint64_t nr_unmoved;  /* exceptions this run has still to move */
	uint64_t total_bytes; /* of the target, that all of them together write */
};

/* What was moved since the last settlement. */
struct epoch {
	uint64_t bytes, nr_chunks, token;
	uint64_t start_ms;
	bool is_last;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ------------------------------------------------------------ preflight */

static int merge_check_writable(struct cow_image *image, const char *what, struct cow_err *err)
{
	int ret;

	if (image->is_writable)
		return 0;
	ret = cow_fail(err, -EROFS, "%s is open for reading only, a merge writes to it", what);
	cow_err_place(err, image->name, COW_OFFSET_NONE);
	return ret;
}

static int merge_check_state(const struct cow_store *store, const struct cow_store_info *info,
			     struct cow_err *err)
{
	if (store->is_damaged)
		return cow_refuse(err, -EPERM, "damaged", NULL,
				  "the store is damaged: merging would write wrong data into %s; "
				  "repair the store first",
				  store->target->name);
	if (!info->valid)
		return cow_refuse(err, -EPERM, "invalid", NULL,
				  "the store is marked invalid: data is missing from it, and the "
				  "kernel would not merge it either");
	return 0;
}

/* Every exception must lie within both images, or the numbers belong to
 * other ones. open() has said so too, but the images are the caller's. */
static int merge_check_sizes(const struct cow_store *store, struct cow_err *err)
{
	uint64_t nr_chunks = div_ceil(store->target->size_bytes, store->chunk_bytes);
	struct exmap_run run;

	/* a kind that states the length of the view, or has a map of its own,
	 * has looked */
	if (store->view_bytes || !store->map ||
	    !cow_exmap_prev(store->map, EXMAP_CHUNK_LIMIT, &run) ||
	    run.old_chunk + run.nr_chunks <= nr_chunks)
		return 0;
	return cow_refuse(err, -EPERM, "bounds", NULL,
			  "the store has an exception for chunk %" PRIu64
			  ", but %s ends after %" PRIu64 " chunks of %" PRIu64
			  " bytes: it is not this store's origin, or was cut short",
			  run.old_chunk + run.nr_chunks - 1, store->target->name, nr_chunks,
			  store->chunk_bytes);
}

/* What is half done must be something that the kernel can go on with. */
static int merge_check_blocks(const struct cow_store *store, const struct cow_image *image,
			      struct cow_err *err)
{
	if (store->chunk_bytes % image->logical_block_bytes == 0)
		return 0;
	return cow_refuse(err, -EPERM, "chunk-size", NULL,
			  "chunks of %" PRIu64 " bytes are no multiple of the logical blocks of "
			  "%s, which have %" PRIu32 " bytes: merge into a new image",
			  store->chunk_bytes, image->name, image->logical_block_bytes);
}

/* I7: all that can be known is looked at before the first write. */
static int merge_preflight(struct cow_store *store, const struct cow_store_info *info,
			   bool will_write, struct cow_err *err)
{
	int ret;

	if (!store->target)
		return cow_fail(err, -EINVAL,
				"a merge needs a store that was opened with its origin");
	if (store->target == store->metadata ||
	    (store->target == store->data && !cow_store_is_target_data(store)))
		return cow_refuse(err, -EPERM, "overlap", NULL,
				  "%s is named as origin and as COW image", store->target->name);
	ret = merge_check_state(store, info, err);
	if (!ret)
		ret = merge_check_sizes(store, err);
	if (!ret)
		ret = merge_check_blocks(store, store->target, err);
	if (!ret)
		ret = merge_check_blocks(store, store->metadata, err);
	if (!ret && will_write)
		ret = merge_check_writable(
			store->target,
			store->target == store->origin ? "the origin" : "the destination", err);
	if (!ret && will_write)
		ret = merge_check_writable(store->metadata, "the COW image", err);
	/* Somebody may have got at the store between load and now. */
	if (!ret)
		ret = cow_store_unchanged(store, err);
	return ret ? ret : cow_store_ready(store, err);
}

/* --------------------------------------------------------------- moving */

static uint64_t merge_nr_flushes(const struct merge *merge)
{
	const struct cow_store *store = merge->store;
	uint64_t nr = store->target->stats.nr_flushes + store->metadata->stats.nr_flushes;

	return store->data == store->metadata || store->data == store->target
		       ? nr
		       : nr + store->data->stats.nr_flushes;
}

/* The list is read again from the disk; it must be the one that was loaded. */
static int moves_check(const struct store_moves *moves, uint64_t nr_left, struct cow_err *err)
{
	if (moves->is_last ? moves->nr_chunks == nr_left
			   : moves->nr_chunks && moves->nr_chunks <= nr_left)
		return 0;
	return cow_refuse(err, -EBUSY, "changed", NULL,
			  "the store has %" PRIu64 " exceptions now, but %" PRIu64
			  " are left of those that were read: another program writes to it",
			  moves->nr_chunks, nr_left);
}

/* Takes the next batch off the end of the list and moves it. */
static int epoch_batch(struct merge *merge, struct epoch *epoch, struct cow_err *err)
{
	uint64_t budget = min_u64(merge->pass_bytes, merge->epoch_bytes - epoch->bytes);
	uint64_t before = merge->batch.written_bytes;
	int ret;

	cow_store_moves_clear(&merge->moves);
	ret = cow_store_next_moves(merge->store, budget, &merge->moves, err);
	if (!ret)
		ret = moves_check(&merge->moves, merge->nr_unmoved - epoch->nr_chunks, err);
	if (!ret)
		ret = cow_batch_move(&merge->batch, &merge->moves, err);
	if (ret)
		return ret;
	epoch->bytes += merge->batch.written_bytes - before;
	epoch->nr_chunks += merge->moves.nr_chunks;
	epoch->token = merge->moves.token;
	epoch->is_last = merge->moves.is_last;
	return 0;
}

static bool epoch_is_full(const struct merge *merge, const struct epoch *epoch)
{
	return epoch->is_last || epoch->bytes >= merge->epoch_bytes ||
	       now_ms() - epoch->start_ms >= merge->epoch_ms;
}

/* Makes the data durable, then forgets its exceptions: in this order (I1),
 * and the second only if the first went well (I8). */
static int epoch_settle(struct merge *merge, const struct epoch *epoch, struct cow_err *err)
{
	int ret;

	if (!epoch->nr_chunks)
		return 0;
	ret = cow_image_flush(merge->store->target, err);
	if (!ret && !merge->keeps_records && !merge->skips)
		ret = cow_store_settle(merge->store, epoch->token, err);
	if (ret)
		return ret;
	merge->result.nr_epochs++;
	merge->nr_unmoved -= epoch->nr_chunks;
	if (merge->skips)
		return 0;
	merge->result.nr_chunks += epoch->nr_chunks;
	if (merge->keeps_records)
		return 0;
	merge->result.nr_left -= epoch->nr_chunks;
	return epoch->is_last ? 0
			      : cow_job_settled(merge->store, merge->job, merge->nr_unmoved, err);
}

static int merge_epoch(struct merge *merge, bool *ret_is_last, struct cow_err *err)
{
	struct epoch epoch = { .start_ms = now_ms() };
	int moved, ret;

	do
		moved = epoch_batch(merge, &epoch, err);
	while (!moved && !epoch_is_full(merge, &epoch));
	if (moved && moved != -ECANCELED)
		return moved;
	/* Stopped on request: keep what is complete. The sentence in err is the
	 * stop's own, unless keeping it fails. */
	ret = epoch_settle(merge, &epoch, err);
	*ret_is_last = epoch.is_last;
	return ret ? ret : moved;
}

static int merge_move(struct merge *merge, struct cow_err *err)
{
	bool is_last = !merge->nr_unmoved;
	int ret = 0;

	while (!ret && !is_last)
		ret = merge_epoch(merge, &is_last, err);
	return ret;
}

/* Everything that could be read is durable on the origin. */
static int merge_forget(struct merge *merge, const struct cow_merge_params *params,
			struct cow_err *err)
{
	struct cow_merge_result *result = &merge->result;
	int ret;

	ret = cow_skip_forget(merge->store, &merge->batch.untouched, params, &result->nr_bad, err);
	if (ret)
		return ret;
	result->nr_chunks = result->nr_left - min_u64(result->nr_bad, result->nr_left);
	if (!merge->keeps_records)
		result->nr_left = result->nr_bad;
	return 0;
}

/* Is the store empty because this merge, or one before it, emptied it? Then what
 * stands behind its list is on the origin, and the label goes on to say so. */
static bool is_finished(const struct merge *merge, const struct job *job, bool has_moved)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;

	return (has_moved || job->was_finished) && !cow_store_get_info(merge->store, &info) &&
	       !info.nr_exceptions;
}

static int merge_run(struct merge *merge, const struct cow_merge_params *params, struct job *job,
		     struct cow_err *err)
{
	bool has_moved = merge->nr_unmoved, is_done;
	int ret = 0;

	if (merge->nr_unmoved) {
		ret = cow_preserve(merge->store, params, job, &merge->result.preserved_bytes, err);
		if (!ret && !merge->skips)
			ret = cow_job_write(merge->store, job, LABEL_PHASE_MOVE, err);
		if (!ret)
			merge->result.nr_begun =
				job->has_label ? job->label.nr_chunks : merge->nr_unmoved;
		if (!ret)
			ret = merge_move(merge, err);
		if (!ret && merge->skips)
			ret = merge_forget(merge, params, err);
	}
	is_done = !ret && is_finished(merge, job, has_moved);
	if (!ret && !is_done)
		ret = cow_job_clear(merge->store, err);
	/* Also when there was nothing to merge: an earlier run may have been cut
	 * off in its last settlement (I5). */
	if (!ret)
		ret = cow_store_tidy(merge->store, err);
	if (!ret && is_done && (has_moved || job->is_continued))
		ret = cow_job_write(merge->store, job,
				    job->label.job == LABEL_JOB_UNDO ? LABEL_PHASE_TAKEN
								     : LABEL_PHASE_DONE,
				    err);
	return ret ? ret
		   : cow_unused_treat(merge->store, params->flags, params->callbacks,
				      &merge->result.unused_bytes, err);
}

static void merge_finish(struct merge *merge, struct cow_merge_result *ret_result)
{
	merge->result.bytes = merge->batch.written_bytes;
	merge->result.cloned_bytes = merge->batch.cloned_bytes;
	merge->result.zeroed_bytes = merge->batch.zeroed_bytes;
	merge->result.nr_runs = merge->batch.nr_runs;
	merge->result.skipped_bytes = merge->batch.untouched.total_bytes;
	merge->result.size = ret_result->size;
	*ret_result = merge->result;
	cow_batch_free(&merge->batch);
	cow_store_moves_free(&merge->moves);
}

static int merge_check_params(const struct cow_merge_params *params,
			      const struct cow_merge_result *result, struct cow_err *err)
{
	const uint32_t known = COW_MERGE_DRY_RUN | COW_MERGE_KEEP | COW_MERGE_SPARSE |
			       COW_MERGE_DISCARD | COW_MERGE_SCRUB | COW_MERGE_SKIP_UNREADABLE |
			       COW_MERGE_UNDO_EXISTED | COW_MERGE_CHANGED |
			       COW_MERGE_COPIES_MAY_DIFFER;
	int ret = cow_params_check(params->size, sizeof(*params), params->flags, known,
				   "struct cow_merge_params", err);

	if (!ret && params->flags & COW_MERGE_KEEP &&
	    params->flags & (COW_MERGE_DISCARD | COW_MERGE_SCRUB))
		ret = cow_fail(err, -EINVAL, "what is kept can be neither discarded nor scrubbed");
	/* They write to the COW image first, or read it twice, or share what
	 * cannot be read. */
	if (!ret && params->flags & COW_MERGE_SKIP_UNREADABLE &&
	    (params->flags & (COW_MERGE_DISCARD | COW_MERGE_SCRUB) || params->nr_siblings ||
	     params->undo || params->reflink == COW_REFLINK_ALWAYS))
		ret = cow_fail(err, -EINVAL,
			       "what is unreadable cannot be skipped together with siblings, an "
			       "undo store, discard, scrub or sharing of extents");
	return ret ? ret
		   : cow_params_check(result->size, sizeof(*result), 0, 0,
				      "struct cow_merge_result", err);
}

/* What not every kind of store allows. */
static uint32_t merge_jobs(const struct cow_merge_params *params)
{
	return (params->nr_siblings ? STORE_JOB_SIBLING : 0) | (params->undo ? STORE_JOB_UNDO : 0) |
	       (params->flags & COW_MERGE_KEEP ? STORE_JOB_KEEP : 0) |
	       (params->flags & COW_MERGE_DISCARD ? STORE_JOB_DISCARD : 0) |
	       (params->flags & COW_MERGE_SCRUB ? STORE_JOB_SCRUB : 0) |
	       (params->flags & COW_MERGE_SKIP_UNREADABLE ? STORE_JOB_SKIP : 0);
}

/* How much is moved at once: what is read ahead must not drive itself out of
 * the page cache of a small machine. */
static uint64_t pass_bytes(uint64_t batch_bytes)
{
	struct sysinfo info;
	uint64_t most = UINT64_MAX, bytes;

	if (!sysinfo(&info))
		most = (uint64_t)info.totalram * info.mem_unit / BATCH_MEMORY_PART;
	if (mul_overflows(batch_bytes, BATCH_DATA_PER_BYTE, &bytes))
		bytes = UINT64_MAX;
	return max_u64(min_u64(bytes, most), batch_bytes);
}

static void merge_defaults(struct merge *merge, const struct cow_merge_params *params)
{
	uint64_t batch = params->batch_bytes ? params->batch_bytes : BATCH_BYTES_DEFAULT;

	merge->batch_bytes = max_u64(floor_to(batch, COW_SECTOR_BYTES), BATCH_BYTES_MIN);
	merge->pass_bytes = pass_bytes(merge->batch_bytes);
	merge->epoch_bytes = params->epoch_bytes ? params->epoch_bytes : EPOCH_BYTES_DEFAULT;
	merge->epoch_ms = params->epoch_ms ? params->epoch_ms : EPOCH_MS_DEFAULT;
	merge->keeps_records = params->flags & COW_MERGE_KEEP;
	merge->skips = params->flags & COW_MERGE_SKIP_UNREADABLE;
}

static int merge_start(struct merge *merge, const struct cow_merge_params *params, struct job *job,
		       struct cow_err *err)
{
	uint64_t flushes_before = merge_nr_flushes(merge);
	int ret;

	cow_store_rewind(merge->store);
	ret = cow_batch_init(&merge->batch, merge->batch_bytes, merge->total_bytes,
			     merge->skips ? COW_REFLINK_NEVER : params->reflink, params->callbacks,
			     err);
	merge->batch.skips = merge->skips;
	merge->batch.is_sparse = params->flags & COW_MERGE_SPARSE;
	if (!ret)
		ret = merge_run(merge, params, job, err);
	merge->result.nr_flushes = merge_nr_flushes(merge) - flushes_before;
	return ret;
}

/* What an earlier run, or the repair that saved this store, left in its label. */
static int merge_job_open(struct cow_store *store, uint64_t nr_exceptions,
			  const struct cow_merge_params *params, struct job *job,
			  struct cow_err *err)
{
	int ret = cow_repair_undo_verify(store, params->flags & COW_MERGE_CHANGED,
					 params->callbacks, err);

	return ret ? ret
		   : cow_job_open(store, nr_exceptions, params->nr_siblings + params->nr_dropped,
				  job, err);
}

int cow_merge_with_job(struct cow_store *store, const struct cow_merge_params *params,
		       struct job *job, struct cow_merge_result *ret_result, struct cow_err *err)
{
	bool will_write = !(params->flags & COW_MERGE_DRY_RUN);
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct store_left left = { 0 };
	struct merge merge = { .store = store, .job = job };
	int ret;

	ret = merge_check_params(params, ret_result, err);
	if (!ret)
		ret = cow_store_allows(store, merge_jobs(params), err);
	if (!ret && cow_store_get_info(store, &info))
		ret = cow_fail(err, -EINVAL, "the facts of the store cannot be read");
	if (ret)
		return ret;
	merge_defaults(&merge, params);
	cow_store_moves_left(store, &left);
	merge.nr_unmoved = merge.result.nr_left = left.nr_chunks;
	merge.total_bytes = left.bytes;
	ret = merge_preflight(store, &info, will_write, err);
	if (!ret)
		ret = cow_skip_check(store, merge.skips, &merge.result.nr_bad, err);
	if (!ret && !job->has_label && cow_store_has_label(store))
		ret = merge_job_open(store, left.nr_chunks, params, job, err);
	/* Said before the target is a mixture. */
	if (!ret && params->reflink == COW_REFLINK_ALWAYS && merge.nr_unmoved)
		ret = cow_image_clone_check(
			store->target, store->data == store->target ? store->origin : store->data,
			err);
	if (!ret)
		ret = cow_preserve_check(store, params, job, err);
	if (!ret && merge.nr_unmoved)
		ret = cow_copies_check(store, params, err);
	if (job->is_continued)
		merge.result.nr_begun = job->label.nr_chunks;
	if (!ret && will_write)
		ret = merge_start(&merge, params, job, err);
	merge_finish(&merge, ret_result);
	return ret;
}

int cow_merge(struct cow_store *store, const struct cow_merge_params *params,
	      struct cow_merge_result *ret_result, struct cow_err *err)
{
	struct job job = { 0 };

	return cow_merge_with_job(store, params, &job, ret_result, err);
}
