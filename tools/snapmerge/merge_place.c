/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_place.c - merges in place: checks, asks, preserves, moves, reports.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/snapmerge/snapmerge.h"
#include "tools/images/images_json.h"
#include "tools/common/ask.h"
#include "tools/common/progress.h"
#include "tools/common/sandbox.h"
#include "tools/images/container.h"
#include "tools/images/fit.h"
#include "tools/images/uuid_check.h"

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int undo_is_complete(void *user, struct cow_err *err)
{
	struct merge_job *job = user;
	int ret = merge_undo_publish(&job->undo, err);

	if (!ret)
		merge_say_mixture(job);
	return ret;
}

static int run_library(struct merge_job *job, uint32_t flags, struct cow_merge_result *result,
		       struct cow_err *err)
{
	const struct merge_options *options = job->options;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_store *store = job->operands.layers[0].store;
	struct cow_callbacks callbacks;
	struct progress progress;
	int ret;

	progress_start(&progress, options->common.progress, options->common.quiet);
	callbacks = progress_callbacks(&progress);
	params.callbacks = &callbacks;
	params.batch_bytes = options->batch_bytes;
	params.flags = flags | (options->keep ? COW_MERGE_KEEP : 0) |
		       (options->sparse ? COW_MERGE_SPARSE : 0) |
		       (options->discard ? COW_MERGE_DISCARD : 0) |
		       (options->scrub ? COW_MERGE_SCRUB : 0) |
		       (options->bad.skips ? COW_MERGE_SKIP_UNREADABLE : 0) |
		       (job->undo.existed ? COW_MERGE_UNDO_EXISTED : 0) |
		       (cli_forced("changed") ? COW_MERGE_CHANGED : 0);
	/* the dry run before it has compared them */
	if (!(flags & COW_MERGE_DRY_RUN) || cli_forced("legs"))
		params.flags |= COW_MERGE_COPIES_MAY_DIFFER;
	params.reflink = merge_reflink(options);
	params.siblings = job->kept.stores;
	params.nr_siblings = job->kept.nr_stores;
	params.nr_dropped = job->dropped.nr_stores;
	params.undo = job->undo.store;
	params.user = job;
	params.preserved = undo_is_complete;
	params.skipped = merge_on_skipped;
	if (options->take_back)
		ret = cow_take_back(store, cli_forced("changed") ? COW_TAKE_BACK_CHANGED : 0,
				    &params, result, err);
	else
		ret = cow_merge(store, &params, result, err);
	cli_status_line(NULL);
	return ret;
}

/* Everything that must be there before the first write to the origin. */
static int make_ready(struct merge_job *job, struct cow_err *err)
{
	int ret = 0;

	if (job->undo.path && !job->undo.store)
		ret = merge_undo_create(&job->undo, &job->operands, job->info.chunk_bytes, err);
	return ret ? ret : merge_siblings_drop(&job->dropped, err);
}

/* Is anything left to be moved? */
static bool merge_is_due(const struct merge_job *job)
{
	return merge_finishes(job) ? job->planned.nr_left : job->info.nr_exceptions;
}

static int merge_now(struct merge_job *job)
{
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_err err = COW_ERR_INIT;
	double start = seconds_now();
	int ret;

	ret = make_ready(job, &err);
	if (ret)
		return cli_fail(&err);
	/* With siblings or undo this is said when the origin is touched. */
	if (job->planned.nr_begun || (merge_is_due(job) && !job->kept.nr_stores && !job->undo.path))
		merge_say_mixture(job);
	ret = run_library(job, 0, &result, &err);
	merge_report(job->options, &result, seconds_now() - start);
	if (ret)
		return merge_say_failure(job, &result, &err);
	if (merge_finishes(job))
		merge_finish_say_success(job, &result);
	else
		merge_say_success(job, &result);
	cli_wrote();
	if (job->options->bad.list && bad_list_publish(&job->bad_list, &err))
		return cli_fail(&err) | (result.nr_bad ? CLI_DAMAGE : CLI_DONE);
	return result.nr_bad || job->operands.is_doubtful ? CLI_DAMAGE : CLI_DONE;
}

/* I7: a dry run finds whatever the library would refuse. */
static int look_first(struct merge_job *job, struct cow_err *err)
{
	int ret;

	ret = run_library(job, COW_MERGE_DRY_RUN, &job->planned, err);
	if (ret == -ENOSPC)
		err->code = -EPERM; /* nothing was written: a refusal */
	if (merge_finishes(job))
		return ret ? ret : merge_finish_check(job, err);
	if (!ret)
		ret = merge_check_skip(job, err);
	if (!ret)
		ret = merge_room_check(job, err);
	/* A mixture may hold half of each, and the undo knows its origin. */
	if (!ret && job->info.nr_exceptions && !job->planned.nr_begun && !job->options->take_back)
		ret = container_check(job->operands.origin, job->operands.layers[0].store, err);
	if (!ret && !job->planned.nr_begun && !job->options->take_back)
		ret = fit_check(job->operands.origin, job->operands.layers[0].store, false, err);
	if (!ret && !job->planned.nr_begun && !job->options->take_back)
		ret = uuid_check(job->operands.origin, job->operands.layers[0].cow,
				 job->operands.layers[0].store, job->options->bad.skips, err);
	if (ret || !job->planned.nr_begun || !job->undo.path || job->undo.store)
		return ret;
	return cli_refuse(err, -EPERM, "other-job", NULL,
			  "the merge that is being continued has begun to write: a new undo file "
			  "would miss that; name the file of the first run, or none");
}

static int plan_and_merge(struct merge_job *job)
{
	const struct cli_common *common = &job->options->common;
	struct cow_err err = COW_ERR_INIT;

	if (look_first(job, &err))
		return cli_fail(&err);
	if (merge_finishes(job))
		merge_finish_say_plan(job);
	else
		merge_say_plan(job);
	if (merge_rolls_back(job))
		merge_rollback_say_plan(job);
	if (common->dry_run) {
		if (merge_devices_ask(job, &err))
			return cli_fail(&err);
		merge_report(job->options, &job->planned, 0);
		cli_note("nothing was written");
		return CLI_DONE;
	}
	if (merge_is_due(job) && merge_devices_ask(job, &err))
		return cli_fail(&err);
	if ((merge_is_due(job) || job->dropped.nr_stores) &&
	    ask_confirm(common, &err, "%s %s%s",
			job->options->take_back ? "take the merge into"
			: merge_finishes(job)	? "copy what is missing to"
						: "merge into",
			merge_target_name(job), job->options->take_back ? " back" : ""))
		return cli_fail(&err);
	return merge_now(job);
}

static int open_all(struct merge_job *job, struct cow_err *err)
{
	const struct merge_options *options = job->options;
	bool will_write = !options->common.dry_run;
	struct operands_params params = {
		.specs = cli_operands(),
		.nr_specs = (size_t)cli_nr_operands(),
		.table = options->table,
		.is_writable = will_write,
		.rehearses = !will_write,
		.may_be_mixture = true,
		.kind = options->common.type,
	};
	int ret;

	merge_bad_params(options, &params);
	ret = operands_open(&job->operands, &params, err);
	if (!ret)
		images_json_put(&job->operands);
	if (!ret && !job->operands.nr_layers)
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "ORIGIN and COW expected; a single operand is a snapshot of LVM, "
				 "a clone or logs: lvm:IMAGE,...:VG/LV, clone:..., snaplog:...");
	if (!ret && merge_finishes(job) && !roles_image(&job->operands.roles, COW_ROLE_SOURCE))
		ret = cli_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				 "a single device of a %s pool cannot be merged: give two devices "
				 "of one pool, ORIGIN and SNAP, which then exchange what they "
				 "show, or -o NEW to write what a device shows",
				 roles_kind(&job->operands.roles));
	if (!ret && merge_finishes(job))
		ret = merge_finish_options(options, err);
	if (!ret && merge_rolls_back(job))
		ret = merge_rollback_options(options, err);
	if (ret)
		return ret;
	cow_store_get_info(job->operands.layers[0].store, &job->info);
	if (merge_finishes(job))
		return 0;
	merge_room_look(job);
	ret = merge_lvm_check(job, err);
	if (!ret)
		ret = merge_siblings_open(&job->kept, "sibling", &job->siblings, &job->operands,
					  will_write, err);
	if (!ret)
		ret = merge_siblings_open(&job->dropped, "dropped", &options->dropped,
					  &job->operands, will_write, err);
	/* Nothing will be overwritten: a rerun of what was finished. */
	if (!ret && options->save_undo && job->info.nr_exceptions)
		ret = merge_undo_prepare(&job->undo, options->save_undo, &job->operands, will_write,
					 err);
	if (!ret && options->bad.list)
		ret = bad_list_open(&job->bad_list, options->bad.list, &job->operands, err);
	return ret;
}

int merge_in_place(const struct merge_options *options)
{
	struct merge_job job = { .options = options,
				 .info = COW_STORE_INFO_INIT,
				 .planned = COW_MERGE_RESULT_INIT };
	struct cow_err err = COW_ERR_INIT;
	int status;

	if (open_all(&job, &err)) {
		status = cli_fail(&err);
	} else {
		sandbox_enter();
		status = plan_and_merge(&job);
		if (status == CLI_DONE && !options->common.dry_run)
			merge_lvm_say_next(&job);
	}
	bad_list_close(&job.bad_list);
	merge_undo_close(&job.undo);
	merge_siblings_close(&job.dropped);
	merge_siblings_close(&job.kept);
	merge_lvm_close(&job);
	if (job.operands.set)
		operands_close(&job.operands);
	return status;
}
