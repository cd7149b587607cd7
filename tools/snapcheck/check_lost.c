/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_lost.c - lists what a repair gave up. The repaired store does not say
 * it: its list is sound, and where an exception is missing the origin shows.
 */
#include "tools/snapcheck/check_lost.h"

#include <inttypes.h>

#include "tools/common/json.h"
#include "tools/common/size_text.h"

void check_lost_add(struct check_lost *lost, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct json_object *at = json_put_object(lost->ranges, NULL);

	json_put_u64(at, "offset_bytes", offset_bytes);
	json_put_u64(at, "length_bytes", len_bytes);
	if (lost->nr_ranges < CHECK_LOST_SHOWN)
		lost->first[lost->nr_ranges] = (struct cow_segment){ offset_bytes, len_bytes };
	lost->nr_ranges++;
}

/* The end of a line. */
static void print_first(const struct check_lost *lost, FILE *text)
{
	uint64_t nr = lost->nr_ranges < CHECK_LOST_SHOWN ? lost->nr_ranges : CHECK_LOST_SHOWN;

	for (uint64_t i = 0; i < nr; i++)
		fprintf(text, "%s%" PRIu64 "-%" PRIu64, i ? ", " : "", lost->first[i].offset_bytes,
			lost->first[i].offset_bytes + lost->first[i].len_bytes - 1);
	fprintf(text, "%s\n", lost->nr_ranges > nr ? ", ... (--json lists all)" : "");
}

static void print_ranges(const struct check_lost *lost, const struct cow_repair_result *result,
			 FILE *text)
{
	char size[SIZE_TEXT_BYTES];

	fprintf(text, "lost: %s of the snapshot, in %" PRIu64 " %s, now show the origin: bytes ",
		size_text(result->lost_bytes, size), lost->nr_ranges,
		lost->nr_ranges == 1 ? "range" : "ranges");
	print_first(lost, text);
}

void check_lost_print_doubtful(const struct check_lost *doubtful,
			       const struct cow_repair_result *result, FILE *text)
{
	char size[SIZE_TEXT_BYTES];

	if (!result->nr_doubtful || doubtful->text)
		return;
	fprintf(text,
		"in doubt: %" PRIu64 " regions, %s: they may have been written to, and then their "
		"newest data is not where the new metadata read it: bytes ",
		result->nr_doubtful, size_text(result->doubtful_bytes, size));
	print_first(doubtful, text);
}

void check_lost_print(const struct check_lost *lost, const struct cow_repair_result *result,
		      const char *image, FILE *text)
{
	if (lost->nr_ranges && !lost->text)
		print_ranges(lost, result, text);
	if (result->nr_unknown && !lost->text)
		fprintf(text,
			"lost: at least %" PRIu64
			" %sexception%s of %s; nothing tells which parts of the snapshot they "
			"held\n",
			result->nr_unknown, lost->nr_ranges ? "further " : "",
			result->nr_unknown == 1 ? "" : "s", image);
	if (result->nr_appended)
		fprintf(text,
			"in doubt: %" PRIu64
			" exceptions of %s stood behind the gap; if they are an older store's, the "
			"view is wrong where they are (--gap=leave leaves them out)\n",
			result->nr_appended, image);
	if (result->nr_resized)
		fprintf(text,
			"in doubt: %" PRIu64
			" exceptions of %s, found with the larger chunk size; if the header was "
			"right, they are an older store's, and the snapshot was empty\n",
			result->nr_resized, image);
	if (result->nr_guessed)
		fprintf(text,
			"guessed: %" PRIu64
			" exceptions of %s, as the run of chunks across the gap has them\n",
			result->nr_guessed, image);
}

bool check_lost_is_doubtful(const struct cow_repair_result *result)
{
	return result->nr_lost || result->nr_doubtful || result->nr_appended ||
	       result->nr_guessed || result->nr_resized;
}

void check_lost_print_end(const struct cow_repair_result *result, const char *image, FILE *text)
{
	if (result->nr_doubtful)
		fprintf(text,
			"a later check of %s cannot know what is in doubt, so keep this report, "
			"the old metadata and the other images\n",
			image);
	if (!result->nr_lost && (result->nr_appended || result->nr_guessed || result->nr_resized))
		fprintf(text,
			"a later check of %s cannot know what is in doubt, so keep this report\n",
			image);
	if (result->nr_lost)
		fprintf(text,
			"the data of the snapshot is not complete; a later check of %s cannot "
			"know this, so keep this report\n",
			image);
}
