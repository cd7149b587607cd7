/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_output.c - -o NEW: writes the merged view to a new image. The origin
 * is only read.
 */
#include <string.h>

#include "tools/images/blkid.h"
#include "tools/images/images_json.h"
#include "tools/common/json.h"
#include "tools/snapmerge/snapmerge.h"
#include "tools/common/outputs.h"
#include "tools/common/progress.h"
#include "tools/common/sandbox.h"
#include "tools/common/size_text.h"

int merge_reflink(const struct merge_options *options)
{
	if (!options->reflink || !strcmp(options->reflink, "auto"))
		return COW_REFLINK_AUTO;
	return strcmp(options->reflink, "never") ? COW_REFLINK_ALWAYS : COW_REFLINK_NEVER;
}

static void report(const struct cow_copy_result *result)
{
	struct json_object *at = json_put_object(json_root(), "output");

	json_put_u64(at, "copied_bytes", result->copied_bytes);
	json_put_u64(at, "cloned_bytes", result->cloned_bytes);
	json_put_u64(at, "zero_bytes", result->zero_bytes);
}

/* What the view stands on, or, where that is nothing, all of it. */
static const char *below_name(const struct operands *operands)
{
	return operands->zeros ? roles_name(&operands->roles) : cow_image_name(operands->origin);
}

static int copy(const struct merge_options *options, struct cow_image *view,
		struct cow_output *output, struct cow_copy_result *result, struct cow_err *err)
{
	struct cow_copy_params params = COW_COPY_PARAMS_INIT;
	struct cow_callbacks callbacks;
	struct progress progress;
	int ret;

	progress_start(&progress, options->common.progress, options->common.quiet);
	callbacks = progress_callbacks(&progress);
	params.callbacks = &callbacks;
	params.reflink = merge_reflink(options);
	if (cow_image_is_block_device(cow_output_image(output)))
		cli_wrote();
	else
		params.flags = COW_COPY_HOLES;
	ret = cow_copy(view, cow_output_image(output), &params, result, err);
	if (!ret)
		ret = outputs_publish(output, err);
	cli_status_line(NULL);
	return ret;
}

static void say_plan(const struct merge_options *options, const struct operands *operands)
{
	struct json_object *at = json_put_object(json_root(), "plan");
	struct json_object *cows = json_put_array(at, "cows");
	char size[SIZE_TEXT_BYTES];

	json_put_text(at, "origin", below_name(operands));
	for (size_t i = 0; i < operands->nr_layers; i++)
		json_put_text(cows, NULL, cow_image_name(operands->layers[i].cow));
	json_put_text(at, "output", options->output);
	cli_note("plan: write the merged image to %s (%s); %s and its COW images are not changed",
		 options->output, size_text(cow_image_size(operands->view), size),
		 below_name(operands));
}

/* Says what was skipped, and lists it. */
static int skipped(const struct merge_options *options, struct operands *operands,
		   struct bad_list *list)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_segment range;
	int status = CLI_DONE, ret = 0;

	if (!options->bad.skips)
		return CLI_DONE;
	if (bad_say_skipped(operands))
		status = CLI_DAMAGE;
	if (!options->bad.list || options->common.dry_run)
		return status;
	for (uint64_t at = 0; !ret && cow_image_skip_next(operands->view, at, &range);
	     at = range.offset_bytes + range.len_bytes)
		ret = bad_list_add(list, &range, &err);
	if (!ret)
		ret = bad_list_publish(list, &err);
	return ret ? cli_fail(&err) | status : status;
}

static int write_output(const struct merge_options *options, struct operands *operands,
			struct bad_list *list)
{
	uint32_t flags = cli_forced("overwrite") ? COW_OUTPUT_OVERWRITE : 0;
	struct cow_copy_result result = COW_COPY_RESULT_INIT;
	struct cow_err err = COW_ERR_INIT;
	struct blkid_device device = { NULL, NULL };
	struct cow_output *output = NULL;
	char copied[SIZE_TEXT_BYTES], cloned[SIZE_TEXT_BYTES];
	int ret;

	outputs_note_name(options->output, OUTPUTS_RAW);
	ret = operands_check_size(operands, &err);
	if (!ret)
		ret = outputs_open(operands->set, "output", options->output,
				   cow_image_size(operands->view), flags, &output, &err);
	if (!ret)
		ret = blkid_device_open(&device, output, options->output, &err);
	if (!ret && options->bad.list)
		ret = bad_list_open(list, options->bad.list, operands, &err);
	sandbox_enter();
	if (!ret)
		ret = blkid_device_check(&device, options->output, &err);
	blkid_device_close(&device);
	if (ret) {
		outputs_close(output);
		return cli_fail(&err);
	}
	say_plan(options, operands);
	if (!options->common.dry_run)
		ret = copy(options, operands->view, output, &result, &err);
	outputs_close(output);
	report(&result);
	if (ret) {
		int status = cli_fail(&err);

		/* There is nothing to go on from. */
		if (status == CLI_INTERRUPTED)
			cli_next_again();
		return status;
	}
	if (options->common.dry_run)
		cli_note("nothing was written");
	else
		cli_note("wrote %s: %s copied, %s shared; %s and its COW images are untouched",
			 options->output, size_round(result.copied_bytes, copied),
			 size_round(result.cloned_bytes, cloned), below_name(operands));
	return skipped(options, operands, list) | (operands->is_doubtful ? CLI_DAMAGE : CLI_DONE);
}

int merge_to_output(const struct merge_options *options)
{
	struct operands_params params = {
		.specs = cli_operands(),
		.nr_specs = (size_t)cli_nr_operands(),
		.wants_view = true,
		.kind = options->common.type,
		.table = options->table,
		.skips = options->bad.skips,
	};
	struct cow_err err = COW_ERR_INIT;
	struct bad_list list = { .operands = NULL };
	struct cow_callbacks callbacks;
	struct operands operands;
	struct progress progress;
	int status;

	progress_start(&progress, options->common.progress, options->common.quiet);
	callbacks = progress_callbacks(&progress);
	params.callbacks = &callbacks;
	merge_bad_params(options, &params);
	if (operands_open(&operands, &params, &err))
		return cli_fail(&err);
	images_json_put(&operands);
	status = operands.nr_layers
			 ? write_output(options, &operands, &list)
			 : cli_usage("ORIGIN and COW expected; a single operand is a snapshot of "
				     "LVM or a clone: lvm:IMAGE,...:VG/LV, clone:...");
	bad_list_close(&list);
	operands_close(&operands);
	return status;
}
