/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_store COW: each finding as "CLASS ID at BYTE: SENTENCE", what the
 * kernel does with it, and the verdict; exit 4 if there is damage.
 *
 * Shows: damage is not an error. cow_check() returns 0 when it could look at
 * everything, and what it found comes through the callback and the report.
 */
#include <inttypes.h>
#include <libcow.h>
#include <stdio.h>

static const char *const class_names[] = { "info", "note", "damage", "lost" };

/* The finding is valid during this call only; its problem is a row of the
 * library's table and stays. */
static void print_finding(void *user, const struct cow_finding *finding)
{
	(void)user;
	printf("%s %s at ", class_names[finding->problem->klass], finding->problem->id);
	if (finding->offset_bytes == COW_OFFSET_NONE)
		printf("no place");
	else
		printf("%" PRIu64, finding->offset_bytes);
	printf(": %s\n\tthe kernel: %s\n", finding->sentence, finding->problem->kernel);
}

static int check(struct cow_image *cow, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;
	uint64_t nr_bad;
	int ret;

	callbacks.finding = print_finding;
	/* Without an origin: then nothing is judged by it. */
	cow_store_args_pair(&args, roles, cow, NULL);
	ret = cow_report_new(&callbacks, 0, &report, err);
	if (ret)
		return ret;
	ret = cow_check(&args, &params, report, &verdict, err);
	nr_bad = cow_report_count(report, COW_CLASS_DAMAGE) +
		 cow_report_count(report, COW_CLASS_LOST);
	cow_report_free(report);
	if (ret)
		return ret;
	printf("kernel loads it: %d, view right: %d, merge right: %d\n", verdict.kernel_loads,
	       verdict.view_right, verdict.merge_right);
	return nr_bad ? 4 : 0;
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_imageset *set = NULL;
	struct cow_image *cow = NULL;
	int ret;

	if (argc != 2)
		return 16;
	ret = cow_imageset_new(&set, &err);
	if (!ret)
		ret = cow_imageset_open(set, argv[1], 0, &cow, &err);
	if (!ret)
		ret = check(cow, &err);
	if (ret < 0)
		fprintf(stderr, "check_store: %s\n", err.message);
	cow_image_close(cow);
	cow_imageset_free(set);
	return ret < 0 ? 8 : ret;
}
