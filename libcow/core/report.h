/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * report.h - collects findings: counts all of them by id and class, hands the
 * first max_findings of each id to the user's callback. Progress and cancel
 * go the same way.
 */
#ifndef COW_CORE_REPORT_H
#define COW_CORE_REPORT_H

#include "libcow.h"
#include "libcow/base/cleanup.h"

COW_DEFINE_AUTO(report, struct cow_report *, cow_report_free);

/* Adds a finding, of a table that cow_problem_get() lists (assert). place may
 * have image NULL and offsets COW_OFFSET_NONE; report NULL is allowed. */
struct finding_place {
	const struct cow_image *image;
	uint64_t offset_bytes;
	uint64_t len_bytes;
	uint64_t chunk_bytes; /* to say the offset in chunks too; 0: don't */
	/* As in struct cow_finding. */
	const char *unit, *whole;
	uint64_t unit_number, whole_number, view_bytes;
};
__attribute__((format(printf, 4, 5))) void cow_report_add(struct cow_report *report,
							  const struct cow_problem *problem,
							  const struct finding_place *place,
							  const char *format, ...);

/* Tells the user how far the job is; callbacks may be NULL. Returns
 * -ECANCELED if the callback said stop. */
int cow_callbacks_progress(const struct cow_callbacks *callbacks, const char *phase,
			   uint64_t done_bytes, uint64_t total_bytes, struct cow_err *err);

/* Checks the size member that starts every structure of parameters and that
 * flags holds known bits only. Errors: -EINVAL. */
int cow_params_check(size_t size, size_t known_size, uint32_t flags, uint32_t known_flags,
		     const char *what, struct cow_err *err);

#endif
