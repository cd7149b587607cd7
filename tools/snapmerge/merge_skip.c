/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_skip.c - --skip-unreadable: asks what is bad before the merge, and
 * lists what was not written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "tools/snapmerge/snapmerge.h"

void merge_bad_params(const struct merge_options *options, struct operands_params *params)
{
	params->bad_maps = options->bad.maps.words;
	params->nr_bad_maps = options->bad.maps.nr_words;
}

int merge_check_skip(const struct merge_job *job, struct cow_err *err)
{
	char known[80] = "";

	if (!job->options->bad.skips || cli_forced("bad-cow"))
		return 0;
	if (job->planned.nr_bad)
		snprintf(known, sizeof(known), " (%" PRIu64 " exceptions by the map)",
			 job->planned.nr_bad);
	return cli_refuse(err, -EPERM, "bad-cow", "bad-cow",
			  "%s would keep its old bytes wherever %s cannot be read%s; with -o NEW "
			  "it is not changed",
			  cow_image_name(job->operands.origin),
			  cow_image_name(job->operands.layers[0].cow), known);
}

int merge_on_skipped(void *user, uint64_t offset_bytes, uint64_t len_bytes, struct cow_err *err)
{
	struct merge_job *job = user;
	struct cow_segment range = { offset_bytes, len_bytes };
	int ret = 0;

	if (job->options->bad.list)
		ret = bad_list_add(&job->bad_list, &range, err);
	if (!job->skipped.nr_ranges)
		job->skipped = bad_words_begin();
	while (range.len_bytes) {
		const struct bad_range bad = bad_range_cut(&job->operands.layers[0], "", &range);

		bad_words_say(&job->skipped, &bad, "of the origin stays what it was");
	}
	return ret;
}
