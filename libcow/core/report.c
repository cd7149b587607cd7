/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * report.c - counts findings by id and class and passes the first ones of each
 * id to the callback.
 */
#include "libcow/core/report.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"

#define NR_CLASSES (COW_CLASS_LOST + 1)
#define MAX_FINDINGS_USUAL 1000

struct cow_report {
	const struct cow_callbacks *callbacks;
	uint64_t max_findings;
	uint64_t nr_of_class[NR_CLASSES];
	size_t nr_problems;
	uint64_t nr_of_problem[]; /* by index of cow_problem_get() */
};

static size_t problem_count(void)
{
	size_t nr = 0;

	while (cow_problem_get(nr))
		nr++;
	return nr;
}

/* The tables lie in different places: found by id, which sorts them all. */
static size_t problem_index(const struct cow_report *report, const char *id)
{
	size_t low = 0, high = report->nr_problems;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(cow_problem_get(middle)->id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int cow_report_new(const struct cow_callbacks *callbacks, uint64_t max_findings,
		   struct cow_report **ret_report, struct cow_err *err)
{
	size_t nr_problems = problem_count();
	struct cow_report *report;

	/* bounded: a table of ours */
	report = calloc(1, sizeof(*report) + nr_problems * sizeof(report->nr_of_problem[0]));
	if (!report)
		return cow_fail(err, -ENOMEM, "no memory for a report");
	report->nr_problems = nr_problems;
	report->callbacks = callbacks;
	report->max_findings = max_findings ? max_findings : MAX_FINDINGS_USUAL;
	*ret_report = report;
	return 0;
}

void cow_report_free(struct cow_report *report)
{
	free(report);
}

uint64_t cow_report_count(const struct cow_report *report, int klass)
{
	return klass >= 0 && klass < NR_CLASSES ? report->nr_of_class[klass] : 0;
}

uint64_t cow_report_count_id(const struct cow_report *report, const char *id)
{
	const struct cow_problem *problem = cow_problem_find(id);

	return problem ? report->nr_of_problem[problem_index(report, id)] : 0;
}

void cow_report_add(struct cow_report *report, const struct cow_problem *problem,
		    const struct finding_place *place, const char *format, ...)
{
	struct cow_finding finding = { .size = sizeof(finding), .problem = problem };
	char sentence[COW_ERR_MESSAGE_BYTES];
	va_list args;

	assert(cow_problem_find(problem->id) == problem);
	if (!report)
		return;
	report->nr_of_class[problem->klass]++;
	if (report->nr_of_problem[problem_index(report, problem->id)]++ >= report->max_findings)
		return;
	if (!report->callbacks || !report->callbacks->finding)
		return;
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	finding.image = place->image ? cow_image_name(place->image) : "";
	finding.offset_bytes = place->offset_bytes;
	finding.len_bytes = place->len_bytes;
	finding.chunk = COW_OFFSET_NONE;
	if (place->chunk_bytes && place->offset_bytes != COW_OFFSET_NONE)
		finding.chunk = place->offset_bytes / place->chunk_bytes;
	finding.sentence = sentence;
	finding.unit = place->unit;
	finding.whole = place->whole;
	finding.unit_number = place->unit_number;
	finding.whole_number = place->whole_number;
	finding.view_bytes = place->view_bytes;
	report->callbacks->finding(report->callbacks->user, &finding);
}

int cow_callbacks_progress(const struct cow_callbacks *callbacks, const char *phase,
			   uint64_t done_bytes, uint64_t total_bytes, struct cow_err *err)
{
	const struct cow_progress progress = {
		.size = sizeof(progress),
		.phase = phase,
		.done_bytes = done_bytes,
		.total_bytes = total_bytes,
	};

	if (!callbacks || !callbacks->progress)
		return 0;
	if (!callbacks->progress(callbacks->user, &progress))
		return 0;
	return cow_fail(err, -ECANCELED, "stopped on request while doing \"%s\"", phase);
}

int cow_params_check(size_t size, size_t known_size, uint32_t flags, uint32_t known_flags,
		     const char *what, struct cow_err *err)
{
	if (size != known_size)
		return cow_fail(err, -EINVAL,
				"%s: a structure of %zu bytes, this library knows %zu; was it "
				"initialised with its COW_..._INIT macro?",
				what, size, known_size);
	if (flags & ~known_flags)
		return cow_fail(err, -EINVAL, "%s: unknown flags 0x%" PRIx32, what,
				flags & ~known_flags);
	return 0;
}
