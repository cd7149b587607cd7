/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* sound.c - a check that must find nothing. */
#include "tests/aids/sound.h"

#include "libcow/core/report.h"
#include "tests/aids/test.h"

void sound_check(const struct cow_store_args *args)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;

	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(args, &params, report, &verdict, err));
	for (int klass = COW_CLASS_INFO; klass <= COW_CLASS_LOST; klass++)
		CHECK_EQ(cow_report_count(report, klass), 0);
	CHECK(verdict.known && verdict.kernel_loads && verdict.view_right && verdict.merge_right);
	cow_report_free(report);
}
