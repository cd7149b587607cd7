/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include <errno.h>

#include "libcow/core/report.h"
#include "tests/aids/test.h"

static void the_table_is_sorted_and_complete(void)
{
	const struct cow_problem *problem, *before = NULL;

	for (size_t i = 0; (problem = cow_problem_get(i)); i++) {
		CHECK(problem->id && problem->summary && problem->kernel && problem->fix);
		CHECK(!before || strcmp(before->id, problem->id) < 0);
		CHECK_EQ(!problem->question, !(problem->flags & COW_PROBLEM_FIXABLE));
		CHECK(!(problem->flags & COW_PROBLEM_SAFE) || problem->question);
		CHECK(problem->klass >= COW_CLASS_INFO && problem->klass <= COW_CLASS_LOST);
		CHECK(cow_problem_find(problem->id) == problem);
		before = problem;
	}
	CHECK(before);
	CHECK(!cow_problem_find("persistent"));
	CHECK(!cow_problem_find("zzz"));
}

static char seen[4][100];
static unsigned int nr_seen;

static void keep(void *user, const struct cow_finding *finding)
{
	CHECK(user == seen);
	CHECK_EQ(finding->size, sizeof(*finding));
	snprintf(seen[nr_seen++ % 4], sizeof(seen[0]), "%s %" PRIu64 " %" PRIu64 " %s",
		 finding->problem->id, finding->offset_bytes, finding->chunk, finding->sentence);
}

static void all_findings_count_and_the_first_are_passed_on(void)
{
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	AUTO_HANDLE(report) struct cow_report *report = NULL;
	const struct finding_place place = { .offset_bytes = 8192 + 16, .chunk_bytes = 4096 };

	callbacks.user = seen;
	callbacks.finding = keep;
	OK(cow_report_new(&callbacks, 2, &report, err));
	for (int i = 0; i < 5; i++)
		cow_report_add(report, cow_problem_find("persistent.hole"), &place, "a hole of %d",
			       i);
	cow_report_add(report, cow_problem_find("persistent.invalid"), &place, "invalid");
	cow_report_add(NULL, cow_problem_find("persistent.invalid"), &place, "invalid");
	CHECK_EQ(nr_seen, 3);
	CHECK(!strcmp(seen[1], "persistent.hole 8208 2 a hole of 1"));
	CHECK_EQ(cow_report_count(report, COW_CLASS_DAMAGE), 6);
	CHECK_EQ(cow_report_count(report, COW_CLASS_NOTE), 0);
	CHECK_EQ(cow_report_count(report, 99), 0);
	CHECK_EQ(cow_report_count_id(report, "persistent.hole"), 5);
	CHECK_EQ(cow_report_count_id(report, "no such"), 0);
}

static int stop_at_7(void *user, const struct cow_progress *progress)
{
	(void)user;
	CHECK(!strcmp(progress->phase, "load"));
	return progress->done_bytes == 7;
}

static void progress_can_stop_a_job(void)
{
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;

	OK(cow_callbacks_progress(NULL, "load", 7, 9, err));
	OK(cow_callbacks_progress(&callbacks, "load", 7, 9, err));
	callbacks.progress = stop_at_7;
	OK(cow_callbacks_progress(&callbacks, "load", 6, 9, err));
	FAILS(-ECANCELED, cow_callbacks_progress(&callbacks, "load", 7, 9, err));
}

static void parameters_are_checked(void)
{
	OK(cow_params_check(16, 16, 1, 3, "x", err));
	FAILS(-EINVAL, cow_params_check(8, 16, 0, 0, "x", err));
	FAILS(-EINVAL, cow_params_check(16, 16, 4, 3, "x", err));
}

int main(void)
{
	RUN(the_table_is_sorted_and_complete);
	RUN(all_findings_count_and_the_first_are_passed_on);
	RUN(progress_can_stop_a_job);
	RUN(parameters_are_checked);
	return test_end();
}
