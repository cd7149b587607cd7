/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/json.h"
#include "tools/operands.h"
#include "tools/opts.h"
#include "tools/progress.h"
#include "tools/size.h"
#include "tools/text.h"

static struct options {
	struct cli_common common;
	const char *origin;
	uint64_t chunk_bytes, max_findings;
	bool header_only;
} options;

static const struct opt option_table[] = {
	{ 0, "origin", "ORIGIN", "the same as the first operand", OPT_TEXT, &options.origin, NULL },
	{ 'c', "chunk-size", "SIZE", "it must be this, or it is damage", OPT_SIZE,
	  &options.chunk_bytes, NULL },
	{ 0, "header-only", NULL, "look at the header alone", OPT_FLAG, &options.header_only,
	  NULL },
	{ 0, "max-findings", "N", "list so many of each kind (default: 1000)", OPT_COUNT,
	  &options.max_findings, NULL },
	OPTS_COMMON(&options.common),
};

static const struct opts_spec spec = {
	.tool = "snapcheck",
	.operands = "[ORIGIN] COW",
	.summary =
		"Says what is wrong with the snapshot COW, in words: will the kernel load it, is\n"
		"its view right, would a merge be right. Nothing is written.",
	.notes = "ORIGIN adds the checks that need it.",
	.force_ids = "busy",
	.options = option_table,
	.common = &options.common,
	.min_operands = 1,
	.max_operands = 2,
};

static const char *const class_names[] = { "info", "note", "damage", "lost" };
#define NR_CLASSES 4

struct check {
	struct cow_imageset *set;
	struct cow_image *origin; /* NULL: not given */
	struct cow_image *cow;
	struct cow_report *report;
	struct cow_verdict verdict;
	struct progress progress;
	FILE *text; /* the report, printed as a whole */
	struct json_object *findings;
};

static int on_progress(void *user, const struct cow_progress *now)
{
	struct check *check = user;

	return progress_update(&check->progress, now);
}

static void put_place(struct json_object *at, const char *key, uint64_t value)
{
	if (value == COW_OFFSET_NONE)
		json_put_null(at, key);
	else
		json_put_u64(at, key, value);
}

static void print_finding(FILE *text, const struct cow_finding *finding)
{
	char *sentence = text_escape(finding->sentence);

	fprintf(text, "%s: %s", class_names[finding->problem->klass], finding->problem->id);
	if (finding->offset_bytes != COW_OFFSET_NONE)
		fprintf(text, ", byte %" PRIu64, finding->offset_bytes);
	if (finding->chunk != COW_OFFSET_NONE)
		fprintf(text, " (chunk %" PRIu64 ")", finding->chunk);
	fprintf(text, ": %s\n", sentence ? sentence : finding->sentence);
	if (finding->problem->klass > COW_CLASS_INFO) {
		fprintf(text, "  kernel: %s\n", finding->problem->kernel);
		fprintf(text, "  next: %s\n", finding->problem->fix);
	}
	free(sentence);
}

static void on_finding(void *user, const struct cow_finding *finding)
{
	struct check *check = user;
	struct json_object *at = json_put_object(check->findings, NULL);

	json_put_text(at, "id", finding->problem->id);
	json_put_text(at, "class", class_names[finding->problem->klass]);
	json_put_text(at, "path", finding->image);
	put_place(at, "offset", finding->offset_bytes);
	put_place(at, "length", finding->len_bytes);
	put_place(at, "chunk", finding->chunk);
	json_put_text(at, "sentence", finding->sentence);
	json_put_text(at, "kernel", finding->problem->kernel);
	json_put_text(at, "fix", finding->problem->fix);
	print_finding(check->text, finding);
}

static bool is_full(const struct cow_store_info *info)
{
	return info->allocated_sectors + info->chunk_bytes / 512 > info->total_sectors;
}

static void print_numbers(FILE *text, const char *name, const struct cow_store_info *info)
{
	char size[SIZE_TEXT_BYTES];

	fprintf(text, "%s: %s store, chunks of %s, %" PRIu64 " exceptions\n", name, info->kind,
		size_round(info->chunk_bytes, size), info->nr_exceptions);
	fprintf(text, "%s: used/total metadata in sectors: %" PRIu64 "/%" PRIu64 " %" PRIu64 "\n",
		name, info->allocated_sectors, info->total_sectors, info->metadata_sectors);
	if (is_full(info))
		fprintf(text,
			"%s: full: the next write that needs a chunk invalidates it; merge it, or "
			"make the image larger (truncate -s +SIZE, lvextend) first\n",
			name);
}

static const char *yes_no(bool is_so)
{
	return is_so ? "yes" : "no";
}

static void print_summary(struct check *check)
{
	const struct cow_verdict *verdict = &check->verdict;
	char *name = text_escape(cow_image_name(check->cow));

	fprintf(check->text, "findings:");
	for (int klass = NR_CLASSES - 1; klass >= 0; klass--)
		fprintf(check->text, " %" PRIu64 " %s%s", cow_report_count(check->report, klass),
			class_names[klass], klass ? "," : "\n");
	if (verdict->known)
		print_numbers(check->text, name ? name : "COW", &verdict->info);
	fprintf(check->text, "will the kernel load this store: %s\n",
		verdict->known && !verdict->valid ? "only as invalid: every read fails"
						  : yes_no(verdict->kernel_loads));
	fprintf(check->text, "is its view trustworthy: %s\n", yes_no(verdict->view_right));
	fprintf(check->text, "would a merge be right: %s\n", yes_no(verdict->merge_right));
	free(name);
}

static void put_verdict(const struct check *check)
{
	struct json_object *counts = json_put_object(json_root(), "counts");
	struct json_object *at = json_put_object(json_root(), "verdict");
	const struct cow_verdict *verdict = &check->verdict;

	for (int klass = 0; klass < NR_CLASSES; klass++)
		json_put_u64(counts, class_names[klass], cow_report_count(check->report, klass));
	json_put_bool(at, "kernel_loads", verdict->kernel_loads);
	json_put_bool(at, "view_trustworthy", verdict->view_right);
	json_put_bool(at, "merge_right", verdict->merge_right);
	json_put_bool(at, "valid", verdict->valid);
	at = verdict->known ? json_put_object(json_root(), "store") : NULL;
	json_put_text(at, "kind", verdict->info.kind);
	json_put_u64(at, "chunk_bytes", verdict->info.chunk_bytes);
	json_put_u64(at, "exceptions", verdict->info.nr_exceptions);
	json_put_u64(at, "allocated_sectors", verdict->info.allocated_sectors);
	json_put_u64(at, "total_sectors", verdict->info.total_sectors);
	json_put_u64(at, "metadata_sectors", verdict->info.metadata_sectors);
}

/* The next safe step; nothing that writes to what was checked. */
static void choose_next(const struct check *check, bool is_damaged)
{
	const char *origin = check->origin ? cow_image_name(check->origin) : "ORIGIN";
	const char *cow = cow_image_name(check->cow);

	if (options.header_only)
		cli_next("snapcheck", cow, NULL);
	else if (check->verdict.known && !check->verdict.valid)
		cli_next("snapdump", "--tar", "--force=invalid", "-o", "rescue.tar", origin, cow,
			 NULL);
	else if (is_damaged)
		cli_next("snapdump", "--tar", "--force=damaged", "-o", "rescue.tar", origin, cow,
			 NULL);
	else if (!check->origin)
		cli_next("snapcheck", origin, cow, NULL);
	else if (check->verdict.info.nr_exceptions)
		cli_next("snapmerge", "--dry-run", origin, cow, NULL);
}

static int look(struct check *check, struct cow_err *err)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	const struct cow_role_image roles[] = {
		{ .role = COW_ROLE_COW, .image = check->cow },
		{ .role = COW_ROLE_ORIGIN, .image = check->origin },
	};
	int ret;

	callbacks.user = check;
	callbacks.progress = on_progress;
	callbacks.finding = on_finding;
	ret = cow_report_new(&callbacks, options.max_findings, &check->report, err);
	if (ret)
		return ret;
	args.kind = options.common.type;
	args.images = roles;
	args.nr_images = check->origin ? 2 : 1;
	args.chunk_bytes = options.chunk_bytes;
	params.flags = options.header_only ? COW_CHECK_HEADER_ONLY : 0;
	params.callbacks = &callbacks;
	return cow_check(&args, &params, check->report, &check->verdict, err);
}

static int open_images(struct check *check, struct cow_err *err)
{
	uint32_t flags = cli_forced("busy") ? COW_OPEN_BUSY : 0;
	const char *origin = cli_nr_operands() == 2 ? cli_operands()[0] : options.origin;
	int ret;

	ret = cow_imageset_new(&check->set, err);
	if (!ret && origin)
		ret = cow_imageset_open(check->set, origin, flags, &check->origin, err);
	if (!ret)
		ret = cow_imageset_open(check->set, cli_operands()[cli_nr_operands() - 1], flags,
					&check->cow, err);
	if (!ret && origin)
		ret = operands_check_order(check->origin, check->cow, err);
	return ret;
}

static int conclude(struct check *check, const char *report)
{
	bool is_damaged = cow_report_count(check->report, COW_CLASS_DAMAGE) ||
			  cow_report_count(check->report, COW_CLASS_LOST);

	put_verdict(check);
	if (!json_is_on_stdout() && (is_damaged || !options.common.quiet))
		fputs(report, stdout);
	choose_next(check, is_damaged);
	return is_damaged ? CLI_DAMAGE : CLI_DONE;
}

static int run(struct check *check)
{
	struct cow_err err = COW_ERR_INIT;
	char *report = NULL;
	size_t len = 0;
	int ret, status;

	check->text = open_memstream(&report, &len);
	if (!check->text)
		return CLI_FAILED; /* no memory, not even for words */
	check->findings = json_put_array(json_root(), "findings");
	progress_start(&check->progress, options.common.progress, options.common.quiet);
	ret = open_images(check, &err);
	if (!ret)
		ret = look(check, &err);
	if (!ret)
		print_summary(check);
	fclose(check->text);
	status = ret ? cli_fail(&err) : conclude(check, report);
	free(report);
	cow_report_free(check->report);
	cow_image_close(check->cow);
	cow_image_close(check->origin);
	cow_imageset_free(check->set);
	return status;
}

int main(int argc, char **argv)
{
	struct check check = { .verdict = COW_VERDICT_INIT };
	bool is_ended;
	int status;

	status = cli_start(&spec, argc, argv, &is_ended);
	if (is_ended)
		return cli_finish(status);
	if (options.origin && cli_nr_operands() == 2)
		status = cli_usage("--origin and two operands: which one is the origin?");
	else if (options.common.yes)
		status = cli_usage("--yes: this version only looks, it repairs nothing");
	else
		status = run(&check);
	return cli_finish(status);
}
