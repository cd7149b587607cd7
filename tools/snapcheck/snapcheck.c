/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snapcheck.c - main() of snapcheck: options, check, repair, summary.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/images/servers.h"
#include "tools/snapcheck/check.h"
#include "tools/snapcheck/check_empty.h"
#include "tools/snapcheck/check_list.h"
#include "tools/snapcheck/check_open.h"
#include "tools/snapcheck/check_origin.h"
#include "tools/snapcheck/check_pool.h"
#include "tools/snapcheck/check_repair.h"
#include "tools/snapcheck/check_verify.h"
#include "tools/common/ask.h"
#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/images/container.h"
#include "tools/images/volumes.h"
#include "tools/common/opts.h"
#include "tools/common/progress.h"
#include "tools/common/sandbox.h"

static struct check_options options;

static const struct opt option_table[] = {
	{ 0, "origin", "ORIGIN", "the same as the first operand", OPT_TEXT, &options.origin, NULL },
	{ 'p', "preen", NULL, "repair what is safe, without asking", OPT_FLAG, &options.preen,
	  NULL },
	{ 'o', "output", "NEW", "write the repaired store to NEW, leave COW alone", OPT_TEXT,
	  &options.output, NULL },
	{ 0, "save-undo", "FILE", "first save in FILE what will be overwritten", OPT_TEXT,
	  &options.save_undo, NULL },
	{ 0, "gap", "append|leave|fill",
	  "what -o does with exceptions behind a gap in the list (default: append)", OPT_CHOICE,
	  &options.gap, NULL },
	{ 0, "revalidate", NULL, "make a store valid that is marked invalid", OPT_FLAG,
	  &options.revalidate, NULL },
	{ 'c', "chunk-size", "SIZE", "what it is, where the header is lost; else it must be this",
	  OPT_SIZE, &options.chunk_bytes, NULL },
	OPT_TABLE(&options.table),
	{ 0, "verify", "MANIFEST",
	  "compare the view with the digests in a manifest, or in the tar that ends with it",
	  OPT_TEXT, &options.verify, NULL },
	{ 0, "header-only", NULL, "look at the header alone", OPT_FLAG, &options.header_only,
	  NULL },
	{ 0, "is-empty", NULL, "only say whether anything would be lost with COW: exit 0 or 4",
	  OPT_FLAG, &options.is_empty, NULL },
	{ 0, "list", NULL, "list what is in the images: partitions, LVM volumes, snapshots",
	  OPT_FLAG, &options.is_list, NULL },
	OPT_SKIP_UNREADABLE(&options.bad),
	OPT_BAD_BLOCKS(&options.bad),
	{ 0, "max-findings", "N", "list so many places of each kind (default: what fits)",
	  OPT_COUNT, &options.max_findings, NULL },
	OPTS_COMMON(&options.common),
};

static const struct opts_spec spec = {
	.tool = "snapcheck",
	.operands = "[ORIGIN] COW | --list IMAGE...",
	.summary = "Checks the snapshot COW, explains each fault, repairs it on request: will the\n"
		   "kernel load it, is its data complete, is a merge safe. Nothing is written\n"
		   "without -p, -y, -o or an answer.",
	.notes = "ORIGIN adds the checks that need it. -p repairs what is safe, -y all that can\n"
		 "be, -n with one of them shows what would be left.",
	.force_ids = "busy,content,doubtful,grow,lost,origin,overwrite,uuid,volatile",
	.options = option_table,
	.common = &options.common,
	.min_operands = 0, /* --table names a store, too */
	.max_operands = 0,
	.connect = servers_connect,
};

static int on_progress(void *user, const struct cow_progress *now)
{
	struct check *check = user;

	return progress_update(&check->progress, now);
}

static int look(struct check *check, struct cow_image *cow, struct cow_err *err)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_role_image roles[2];
	struct cow_store_args args = check_args(check, roles, cow);
	int ret;

	callbacks.user = check;
	callbacks.progress = on_progress;
	callbacks.finding = check_on_finding;
	cow_report_free(check->report);
	check->report = NULL;
	check->verdict = (struct cow_verdict)COW_VERDICT_INIT;
	ret = cow_report_new(&callbacks, UINT64_MAX, &check->report, err);
	if (ret)
		return ret;
	params.flags = (options.header_only ? COW_CHECK_HEADER_ONLY : 0) |
		       (options.is_empty ? COW_CHECK_EMPTY : 0);
	params.callbacks = &callbacks;
	params.snapshot = check_pool_take;
	check->nr_snapshots = 0;
	ret = cow_check(&args, &params, check->report, &check->verdict, err);
	if (ret == -EMEDIUMTYPE && !args.kind)
		check_next_kind(args, check->origin, cow);
	if (check->container || check->is_foreign) {
		check->verdict.doubts_origin = true;
		check->verdict.view_right = check->verdict.merge_right = false;
	}
	/* of a pair it was done with the origin, but a repair changes what it shows */
	if (!ret && !params.flags && !check->is_pack && !check->container &&
	    (roles_are_given(&check->roles) || (check->has_repair && check->origin)))
		check_fs_look_args(check, &args);
	return ret || !check->verify ? ret : check_verify_run(check, &args, &callbacks, err);
}

/* Is it the right one? A metadata pack has no data to compare. */
static int look_at_origin(struct check *check, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args;

	if (!check->origin || check->container || check->is_pack || options.header_only)
		return 0;
	args = check_args(check, roles, check->cow);
	return check_origin_look(check, &args, err);
}

/* What was done; what is found from now on is what is left. */
static void tell_repair(struct check *check)
{
	const char *where = options.output ? options.output : check_name(check);

	check->has_repair = true;
	check->is_rehearsal = options.common.dry_run;
	if (options.output && !options.common.dry_run)
		check->judged = options.output;
	check_put_repair(check, where);
	check_print_repair(check, where, options.revalidate);
}

/* Repairs, then looks again at what came out. */
static int repair_and_look(struct check *check, struct check_repair *repair, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args;
	struct cow_image *target;
	int ret;

	repair->needed_bytes = check->verdict.needed_bytes;
	ret = check_repair_open(repair, check->cow, err);
	if (!ret && repair->is_dry_run && roles_have_logs(&check->roles))
		ret = roles_overlay(&check->roles, err);
	if (ret)
		return ret;
	target = repair->patched ? repair->patched : repair->target;
	args = check_args(check, roles, target);
	check->lost.ranges = json_put_array(json_root(), "lost");
	repair->lost = &check->lost;
	repair->found = &check->found;
	ret = check_repair_run(repair, &args, &check->repaired, err);
	cli_status_line(NULL);
	if (ret)
		return ret;
	check->has_repaired = check->repaired.nr_mended || repair->is_grown;
	check->has_grown = repair->is_grown;
	if (check->has_repaired && !options.output && !options.common.dry_run)
		cli_wrote();
	tell_repair(check);
	if (repair->is_grown)
		fprintf(check->text,
			"enlarged with zeros to %" PRIu64 " bytes: the list has an end; exceptions "
			"that stood behind the old end are lost, if there were any\n",
			repair->needed_bytes);
	else if (repair->needed_bytes && !options.preen)
		cli_note("--force=grow enlarges %s in place, -o NEW makes a larger one",
			 cow_image_name(check->cow));
	check->findings = json_put_array(json_root(), "findings_left");
	ret = look(check, target, err);
	/* the store is sound now, but its data is not complete */
	if (check_lost_is_doubtful(&check->repaired) || check->has_grown)
		check->verdict.view_right = check->verdict.merge_right = false;
	if (!ret && repair->is_stopped)
		cli_note("stopped: what was answered with yes is repaired");
	return ret ? ret : check_repair_publish(repair, err);
}

/* What is written as a whole: its own images are only read. */
static int rebuild_and_look(struct check *check, struct check_repair *repair, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = check_args(check, roles, check->cow);
	int ret;

	repair->target_bytes = check->verdict.target_bytes;
	ret = check_rebuild_open(repair, check->cow, err);
	if (ret)
		return ret;
	check->doubtful.ranges = json_put_array(json_root(), "in_doubt");
	repair->doubtful = &check->doubtful;
	check->lost.ranges =
		check_pool_is(&check->verdict) ? json_put_array(json_root(), "lost") : NULL;
	repair->lost = &check->lost;
	repair->regained = &check->regained;
	ret = check_rebuild_run(repair, &args, &check->repaired, err);
	cli_status_line(NULL);
	if (ret || repair->is_refused)
		return ret;
	check->has_repaired = check->repaired.nr_mended;
	tell_repair(check);
	check->findings = json_put_array(json_root(), "findings_left");
	ret = look(check, repair->target, err);
	/* what was looked at is not there for long */
	roles_put(&check->roles, COW_ROLE_METADATA, check->cow);
	/* sound now, but nobody knows whether it is right */
	if (check_lost_is_doubtful(&check->repaired))
		check->verdict.view_right = check->verdict.merge_right = false;
	return ret ? ret : check_repair_publish(repair, err);
}

static int rebuild(struct check *check, struct check_repair *repair, struct cow_err *err)
{
	if (options.output || options.common.dry_run)
		return rebuild_and_look(check, repair, err);
	if (check_repair_is_due(repair, check->report, &check->verdict))
		cli_note("%s is repaired into a new image only: add -o NEW", check_name(check));
	return 0;
}

/* Opens what a repair would write to, if there may be one. */
static int prepare(struct check *check, struct check_repair *job, struct cow_err *err)
{
	job->is_wanted = check_wants_repair(&options) && !check->only_looks && !options.header_only;
	return job->is_wanted ? check_repair_prepare(job, check->set, check->cow, err) : 0;
}

static int repair(struct check *check, struct check_repair *job, struct cow_err *err)
{
	job->own = (struct cow_callbacks)COW_CALLBACKS_INIT;
	job->own.user = check;
	job->own.progress = on_progress;
	job->callbacks = &job->own;
	if (!job->is_wanted || check->only_looks)
		return 0;
	if (options.output && check->verdict.needs_chunk_bytes) {
		cli_note("%s is not made: nothing can be repaired before the chunk size is known",
			 options.output);
		return 0;
	}
	if (check->verdict.needs_target)
		return rebuild(check, job, err);
	if (options.output || check_repair_is_due(job, check->report, &check->verdict)) {
		if (job->asks)
			check_show_overview(check);
		return repair_and_look(check, job, err);
	}
	if (options.save_undo && !options.common.dry_run)
		return check_repair_settle(job, check->cow, err);
	return 0;
}

static int conclude(struct check *check)
{
	bool is_damaged = check_has_damage(check);
	bool is_doubtful = check_lost_is_doubtful(&check->repaired) || check->has_grown ||
			   check->container || check->is_foreign;
	/* a preview ends as the real run would */
	int done = check->has_repaired ? CLI_REPAIRED : CLI_DONE;
	/* besides what was given up */
	bool has_mended = check->repaired.nr_mended > check->repaired.nr_lossy ||
			  (check->has_grown && !check->repaired.nr_lossy);
	int mended = has_mended ? CLI_REPAIRED : 0;
	const struct check_next next = {
		.output = options.output,
		.bad_map = options.bad.maps.nr_words ? options.bad.maps.words[0] : NULL,
		.table = cli_nr_operands() ? options.table : NULL,
		.type = options.common.type,
		.chunk_bytes = options.chunk_bytes,
		.header_only = options.header_only,
		.has_bad_options = check_has_bad_options(&options),
		.repairs = check_wants_repair(&options),
		.is_dry_run = options.common.dry_run,
	};
	int status = is_damaged || is_doubtful ? CLI_DAMAGE | mended : done;
	check_put_verdict(check);
	check_show(check, options.common.quiet, status == CLI_DONE);
	check_next_choose(check, &next, is_damaged);
	return status;
}

static int run(struct check *check)
{
	struct check_repair job = {
		.is_safe_only = options.preen,
		.asks = check_is_asking(&options),
		.is_dry_run = options.common.dry_run,
		.revalidates = options.revalidate,
		.output = options.output,
		.save_undo = options.save_undo,
		.gap = options.gap,
		.undo_error = COW_ERR_INIT,
	};
	struct cow_err err = COW_ERR_INIT;
	int ret, status;

	if (!check_report_open(check, options.common.verbose, options.max_findings))
		return cli_no_memory("the report");
	check->findings = json_put_array(json_root(), "findings");
	progress_start(&check->progress, options.common.progress, options.common.quiet);
	check->callbacks = progress_callbacks(&check->progress);
	ret = check_open_images(check, &err);
	if (!ret)
		ret = prepare(check, &job, &err);
	sandbox_enter();
	if (!ret && check->may_be_pack)
		ret = check_open_pack(check, &err);
	check_put_images(check);
	if (!ret && check->container)
		cli_warn("%s looks like %s: %s; %s is checked without it, and no exception is "
			 "dropped because of it",
			 cow_image_name(check->origin), check->container,
			 container_advice(check->container), cow_image_name(check->cow));
	if (!ret && options.verify)
		ret = check_verify_read(check, options.verify, &err);
	if (!ret)
		ret = look_at_origin(check, &err);
	if (!ret)
		ret = look(check, check->cow, &err);
	if (!ret)
		check_origin_warn(check);
	if (!ret)
		ret = repair(check, &job, &err);
	if (ret)
		status = cli_fail(&err);
	else /* a report is whole, or there is none */
		status = fflush(check->text) || ferror(check->text) ? cli_no_memory("the report")
			 : options.is_empty ? check_empty_conclude(check, options.common.quiet)
					    : conclude(check);
	check_report_close(check);
	check_repair_close(&job);
	if (check->file)
		check_bad_close(check);
	if (!roles_are_given(&check->roles))
		cow_image_close(check->cow);
	roles_close(&check->roles);
	cow_image_close(check->origin);
	cow_imageset_free(check->set);
	check_verify_close(check);
	return status;
}

/* --list looks at everything, and takes no part in anything else. */
static int list_check(void)
{
	if (options.origin || options.preen || options.common.yes || options.output ||
	    options.save_undo || options.revalidate || options.chunk_bytes || options.verify ||
	    options.header_only || options.is_empty || options.table ||
	    check_has_bad_options(&options))
		return cli_usage("--list cannot be combined with options of a check or a repair");
	return CLI_DONE;
}

static int options_check(void)
{
	if (!cli_nr_operands() && (options.is_list || !options.table))
		return cli_usage("%s expected, 0 given", spec.operands);
	if (options.is_list)
		return list_check();
	if (cli_nr_operands() > 2)
		return cli_usage("one operand too many: %s", cli_operands()[2]);
	if (options.origin && cli_nr_operands() == 2)
		return cli_usage("--origin and two operands: give the origin once");
	if (options.preen && options.common.yes)
		return cli_usage("-p repairs what is safe, -y repairs all: give one of them");
	if (options.gap && (!options.output || options.preen))
		return cli_usage("--gap goes with -o, and not with -p");
	if (options.output && options.save_undo)
		return cli_usage("--save-undo is for a repair in place: -o does not change COW");
	if (options.revalidate && !options.output && !options.save_undo)
		return cli_usage("--revalidate: only with -o or --save-undo");
	if (options.verify && options.header_only)
		return cli_usage("--verify compares the whole view: no --header-only with it");
	if (check_has_bad_options(&options) &&
	    (options.save_undo || ((options.common.yes || options.preen) && !options.output)))
		return cli_usage("--skip-unreadable and --bad-blocks leave COW alone: repair with "
				 "-o NEW");
	if (options.is_empty &&
	    (check_wants_repair(&options) || options.header_only || options.verify ||
	     options.save_undo || check_has_bad_options(&options)))
		return cli_usage("--is-empty answers one question: no repair, --header-only, "
				 "--verify, --skip-unreadable or --bad-blocks with it");
	if (options.save_undo && !check_wants_repair(&options))
		return cli_usage("--save-undo goes with -p or -y");
	return bad_check_usage(&options.bad, 1);
}

int main(int argc, char **argv)
{
	struct check check = { .options = &options,
			       .verdict = COW_VERDICT_INIT,
			       .repaired = COW_REPAIR_RESULT_INIT };
	struct cow_err err = COW_ERR_INIT;
	bool is_ended;
	int status;

	status = cli_start(&spec, argc, argv, &is_ended);
	if (is_ended)
		return cli_finish(status);
	status = options_check();
	if (status == CLI_DONE && !options.is_list &&
	    volumes_complete(&options.origin, VOLUMES_ALONE, &err))
		status = cli_fail(&err);
	if (status == CLI_DONE)
		status = options.is_list ? check_list_run() : run(&check);
	return cli_finish(status);
}
