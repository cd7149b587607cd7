/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "tools/cli.h"
#include "tools/json.h"
#include "tools/operands.h"
#include "tools/opts.h"
#include "tools/progress.h"
#include "tools/size.h"

#define BATCH_BYTES_MIN (UINT64_C(1) << 20)

static struct options {
	struct cli_common common;
	uint64_t batch_bytes;
} options;

static const struct opt option_table[] = {
	{ 0, "batch", "SIZE", "memory for the data on its way (default: 64M)", OPT_SIZE,
	  &options.batch_bytes, NULL },
	OPTS_COMMON(&options.common),
};

static const struct opts_spec spec = {
	.tool = "snapmerge",
	.operands = "ORIGIN COW",
	.summary = "Writes what the snapshot COW holds into its ORIGIN and empties COW. It may be\n"
		   "stopped or cut off at any time: the same command continues.",
	.notes = "While it runs, and until it has finished, ORIGIN alone is a mixture.",
	.force_ids = "",
	.options = option_table,
	.common = &options.common,
	.min_operands = 2,
	.max_operands = 2,
};

static void say_plan(const struct operands *operands, const struct cow_store_info *info)
{
	uint64_t bytes = info->nr_exceptions * info->chunk_bytes;
	char size[SIZE_TEXT_BYTES], total[SIZE_TEXT_BYTES];

	cli_note("plan: write %" PRIu64 " chunks (%s) from %s into %s (%s), then empty %s",
		 info->nr_exceptions, size_round(bytes, size),
		 cow_image_name(operands->layers[0].cow), cow_image_name(operands->origin),
		 size_text(cow_image_size(operands->origin), total),
		 cow_image_name(operands->layers[0].cow));
	cli_note("siblings: none named; any other snapshot of this origin becomes wrong");
}

static void say_mixture(const struct operands *operands)
{
	cli_note("%s is a mixture until this finishes: do not mount it",
		 cow_image_name(operands->origin));
}

static void report(const struct cow_merge_result *result, double seconds)
{
	struct json_object *at = json_put_object(json_root(), "merge");

	json_put_u64(at, "chunks", result->nr_chunks);
	json_put_u64(at, "chunks_left", result->nr_left);
	json_put_u64(at, "bytes", result->bytes);
	json_put_u64(at, "runs", result->nr_runs);
	json_put_u64(at, "epochs", result->nr_epochs);
	json_put_u64(at, "flushes", result->nr_flushes);
	json_put_u64(at, "milliseconds", (uint64_t)(seconds * 1000));
	cli_detail("%" PRIu64 " writes in %" PRIu64 " epochs, %" PRIu64 " flushes, %.1f s",
		   result->nr_runs, result->nr_epochs, result->nr_flushes, seconds);
}

static void say_success(const struct operands *operands, const struct cow_merge_result *result)
{
	const char *origin = cow_image_name(operands->origin);
	const char *cow = cow_image_name(operands->layers[0].cow);
	char size[SIZE_TEXT_BYTES];

	if (!result->nr_chunks)
		cli_note("nothing to merge: %s is empty; it can be removed", cow);
	else
		cli_note("merged %" PRIu64
			 " chunks (%s): %s now is what the snapshot showed; %s is "
			 "empty and can be removed",
			 result->nr_chunks, size_round(result->bytes, size), origin, cow);
}

/* What stands on disk after a stop or a failure, and what goes on from there. */
static int say_failure(const struct operands *operands, const struct cow_store_info *before,
		       const struct cow_merge_result *result, const struct cow_err *err)
{
	int status;

	/* Nothing of the origin was touched: only the reason. */
	if (!result->bytes)
		return cli_fail(err);
	status = cli_fail(err);
	cli_warn("%" PRIu64 " of %" PRIu64 " chunks are left; %s is a mixture until this "
		 "finishes: do not mount it",
		 result->nr_left, before->nr_exceptions, cow_image_name(operands->origin));
	cli_next_again();
	/* "refused" promises that nothing was written. */
	return status == CLI_REFUSED ? CLI_FAILED : status;
}

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int merge(struct operands *operands, const struct cow_store_info *info)
{
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_err err = COW_ERR_INIT;
	struct cow_callbacks callbacks;
	struct progress progress;
	double start = seconds_now();
	int ret;

	progress_start(&progress, options.common.progress, options.common.quiet);
	callbacks = progress_callbacks(&progress);
	params.callbacks = &callbacks;
	params.batch_bytes = options.batch_bytes;
	params.flags = options.common.dry_run ? COW_MERGE_DRY_RUN : 0;
	if (info->nr_exceptions && !options.common.dry_run)
		say_mixture(operands);
	ret = cow_merge(operands->layers[0].store, &params, &result, &err);
	cli_status_line(NULL);
	report(&result, seconds_now() - start);
	if (ret)
		return say_failure(operands, info, &result, &err);
	if (options.common.dry_run)
		cli_note("nothing was written");
	else
		say_success(operands, &result);
	return CLI_DONE;
}

static int plan_and_merge(struct operands *operands)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct json_object *at;
	char question[COW_ERR_IMAGE_BYTES + 64];

	cow_store_get_info(operands->layers[0].store, &info);
	at = json_put_object(json_root(), "plan");
	json_put_text(at, "origin", cow_image_name(operands->origin));
	json_put_text(at, "cow", cow_image_name(operands->layers[0].cow));
	json_put_u64(at, "chunk_bytes", info.chunk_bytes);
	json_put_u64(at, "chunks", info.nr_exceptions);
	json_put_array(at, "siblings");
	say_plan(operands, &info);
	snprintf(question, sizeof(question), "merge into %s?", cow_image_name(operands->origin));
	if (info.nr_exceptions && !options.common.dry_run && !cli_confirm(question)) {
		cli_note("not merged; nothing was written");
		return CLI_INTERRUPTED;
	}
	return merge(operands, &info);
}

static int run(void)
{
	const struct operands_params params = {
		.specs = cli_operands(),
		.nr_specs = 2,
		.is_writable = !options.common.dry_run,
		.kind = options.common.type,
	};
	struct cow_err err = COW_ERR_INIT;
	struct operands operands;
	int status;

	if (operands_open(&operands, &params, &err))
		return cli_fail(&err);
	status = plan_and_merge(&operands);
	operands_close(&operands);
	return status;
}

int main(int argc, char **argv)
{
	bool is_ended;
	int status;

	options.batch_bytes = UINT64_C(64) << 20;
	status = cli_start(&spec, argc, argv, &is_ended);
	if (is_ended)
		return cli_finish(status);
	if (options.batch_bytes < BATCH_BYTES_MIN)
		status = cli_usage("--batch: at least 1M");
	else
		status = run();
	return cli_finish(status);
}
