/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_repair.c - makes new metadata that say what the damaged ones said, on an
 * image of their own: superblock, trees and space map from nothing, with the bits
 * that clone_choose.c finds. The old metadata are only read, so what they hold can
 * be looked at again. Everything is read and decided before the first write (I7);
 * the order of the writes is that of clone_create.c.
 *
 * Regions that may be hydrated, and that the new metadata read from the source, are
 * given to the caller one by one: nothing on the new image tells of them.
 */
#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/core/consent.h"
#include "libcow/core/report.h"
#include "libcow/store/clone/clone_choose.h"
#include "libcow/store/clone/clone_format.h"
#include "libcow/store/clone/clone_problems.h"

struct repair {
	const struct cow_store_args *args;
	const struct cow_repair_params *params;
	struct cow_repair_result *result;
	struct cow_consent consent;
	bool is_old; /* see clone_choose.h */
};

static uint64_t count(const struct cow_report *report, enum clone_problem problem)
{
	return cow_report_count_id(report, cow_clone_problem_row(problem)->problem.id);
}

/* What is there to be mended? All of it is, or nothing. */
static int findings_read(struct repair *repair, struct cow_err *err)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	AUTO_HANDLE(report) struct cow_report *report = NULL;
	int ret;

	callbacks.user = &repair->consent;
	callbacks.finding = cow_consent_finding;
	ret = cow_report_new(&callbacks, UINT64_MAX, &report, err);
	params.callbacks = repair->params->callbacks;
	if (!ret)
		ret = cow_clone_check(repair->args, &params, report, &verdict, err);
	repair->is_old = count(report, CLONE_BLOCK_LEAKED) &&
			 (count(report, CLONE_BLOCK_FREE) || count(report, CLONE_ROOT_FREE));
	return ret;
}

static void doubts_say(struct repair *repair, const struct clone_choice *choice)
{
	uint64_t region_bytes = sectors_to_bytes(choice->region_sectors);
	uint64_t end_bytes = sectors_to_bytes(choice->target_sectors), first, nr;

	repair->result->nr_doubtful = cow_clone_bits_count(&choice->doubtful);
	for (uint64_t from = 0; cow_clone_bits_next(&choice->doubtful, true, from, &first, &nr);
	     from = first + nr) {
		uint64_t at = first * region_bytes;
		uint64_t len = min_u64((first + nr) * region_bytes, end_bytes) - at;

		repair->result->doubtful_bytes += len;
		if (repair->params->doubtful)
			repair->params->doubtful(repair->params->user, at, len);
	}
}

static int rebuild(struct repair *repair, struct cow_err *err)
{
	const struct cow_repair_params *params = repair->params;
	struct clone_choice choice;
	int ret = cow_clone_choose(repair->args, params->flags & COW_REPAIR_DOUBTFUL,
				   repair->is_old, params->callbacks, &choice, err);

	if (ret)
		return ret;
	ret = cow_clone_format(params->target, choice.region_sectors, choice.target_sectors,
			       &choice.bits, err);
	if (!ret)
		doubts_say(repair, &choice);
	cow_clone_choice_destroy(&choice);
	return ret;
}

int cow_clone_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
		     struct cow_repair_result *result, struct cow_err *err)
{
	struct repair repair = { .args = args,
				 .params = params,
				 .result = result,
				 .consent = { .params = params, .result = result } };
	int ret;

	if (!params->target)
		return cow_fail(err, -EINVAL,
				"the metadata of a clone are repaired into an image of their own: "
				"none was given");
	ret = findings_read(&repair, err);
	if (!ret)
		ret = cow_consent_check(&repair.consent, err);
	if (ret)
		return ret;
	ret = rebuild(&repair, err);
	if (ret)
		result->nr_mended = 0;
	if (result->nr_doubtful)
		result->nr_lossy = result->nr_mended;
	return ret;
}
