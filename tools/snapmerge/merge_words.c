/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_words.c - what snapmerge says before, after and instead of a merge.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/common/json.h"
#include "tools/snapmerge/snapmerge.h"
#include "tools/common/size_text.h"
#include "tools/common/text.h"

const char *merge_target_name(const struct merge_job *job)
{
	return cow_image_name(merge_finishes(job)
				      ? roles_image(&job->operands.roles, COW_ROLE_DESTINATION)
				      : job->operands.origin);
}

static const char *origin_name(const struct merge_job *job)
{
	return merge_target_name(job);
}

static const char *cow_name(const struct merge_job *job)
{
	return merge_rolls_back(job) ? roles_name(&job->operands.roles)
				     : cow_image_name(job->operands.layers[0].cow);
}

static void put_names(struct json_object *at, const char *key, const struct merge_siblings *list)
{
	struct json_object *names = json_put_array(at, key);

	for (size_t i = 0; i < list->nr_stores; i++)
		json_put_text(names, NULL, merge_siblings_name(list, i));
}

static void put_plan(const struct merge_job *job)
{
	struct json_object *at = json_put_object(json_root(), "plan");

	json_put_text(at, "origin", origin_name(job));
	json_put_text(at, "cow", cow_name(job));
	json_put_u64(at, "chunk_bytes", job->info.chunk_bytes);
	json_put_u64(at, "chunks", job->info.nr_exceptions);
	json_put_u64(at, "begun_chunks", job->planned.nr_begun);
	json_put_u64(at, "legs", cow_image_nr_copies(job->operands.origin));
	put_names(at, "siblings", &job->kept);
	put_names(at, "dropped", &job->dropped);
	json_put_text(at, "undo", job->undo.path);
}

static void say_siblings(const struct merge_job *job)
{
	char names[1024] = "";
	size_t used = 0;

	for (size_t i = 0; i < job->kept.nr_stores && used < sizeof(names) - 1; i++) {
		int len = snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
				   merge_siblings_name(&job->kept, i));

		used += (size_t)len;
	}
	if (job->knows_siblings && job->kept.nr_stores)
		cli_note("siblings: %s: kept true; LVM knows no other one that is not given up",
			 names);
	else if (job->knows_siblings)
		cli_note("siblings: LVM knows no other snapshot of this origin%s",
			 job->dropped.nr_stores ? " but those that are given up" : "");
	else if (job->kept.nr_stores)
		cli_note("siblings: %s: kept true; this merge corrupts every other snapshot of %s",
			 names, origin_name(job));
	else
		cli_note("warning: this merge corrupts every other snapshot of %s; name each with "
			 "--sibling%s",
			 origin_name(job),
			 cow_image_is_block_device(job->operands.origin)
				 ? " (no active one stands on it; others are not looked for)"
				 : "");
	for (size_t i = 0; i < job->dropped.nr_stores; i++)
		cli_note("given up: %s is marked invalid first",
			 cow_image_name(job->dropped.images[i]));
}

static void say_legs(const struct merge_job *job)
{
	uint32_t nr_legs = cow_image_nr_copies(job->operands.origin);

	if (nr_legs == 1 || !job->info.nr_exceptions)
		return;
	cli_note("%s is a raid1: all %" PRIu32 " legs are written alike; elsewhere they %s",
		 origin_name(job), nr_legs,
		 cli_forced("legs") ? "were not compared" : "hold the same bytes");
}

void merge_say_plan(const struct merge_job *job)
{
	uint64_t bytes = job->info.nr_exceptions * job->info.chunk_bytes;
	char size[SIZE_TEXT_BYTES], total[SIZE_TEXT_BYTES];

	put_plan(job);
	cli_note("plan: write %" PRIu64 " chunks (%s) from %s into %s (%s), then %s %s",
		 job->info.nr_exceptions, size_round(bytes, size), cow_name(job), origin_name(job),
		 size_text(cow_image_size(job->operands.origin), total),
		 job->options->keep ? "leave them in" : "empty", cow_name(job));
	if (job->options->take_back)
		cli_note("this takes a merge back: %s becomes what it was before",
			 origin_name(job));
	if (job->planned.nr_begun)
		cli_note("continuing: %" PRIu64 " of %" PRIu64 " chunks left",
			 job->info.nr_exceptions, job->planned.nr_begun);
	if (job->options->bad.skips)
		cli_note(
			"where %s cannot be read, %s keeps its bytes; until all else is safe %s is "
			"only read, so a run that is cut off begins again",
			cow_name(job), origin_name(job), cow_name(job));
	say_legs(job);
	say_siblings(job);
	if (job->undo.store)
		cli_note("undo: %s is complete already", job->undo.path);
	else if (job->undo.path)
		cli_note("undo: what will be overwritten is saved in %s (%s) first", job->undo.path,
			 size_text(job->undo.size_bytes, size));
}

void merge_say_mixture(const struct merge_job *job)
{
	cli_note("%s is inconsistent until the merge finishes; do not mount it", origin_name(job));
}

void merge_report(const struct merge_options *options, const struct cow_merge_result *result,
		  double seconds)
{
	struct json_object *at =
		json_put_object(json_root(), options->take_back ? "take_back" : "merge");

	json_put_u64(at, "chunks", result->nr_chunks);
	json_put_u64(at, "chunks_left", result->nr_left);
	json_put_u64(at, "preserved_bytes", result->preserved_bytes);
	json_put_u64(at, "written_bytes", result->bytes);
	json_put_u64(at, "cloned_bytes", result->cloned_bytes);
	json_put_u64(at, "zeroed_bytes", result->zeroed_bytes);
	json_put_u64(at, "unused_bytes", result->unused_bytes);
	json_put_u64(at, "skipped_bytes", result->skipped_bytes);
	json_put_u64(at, "bad_chunks", result->nr_bad);
	json_put_u64(at, "runs", result->nr_runs);
	json_put_u64(at, "epochs", result->nr_epochs);
	json_put_u64(at, "flushes", result->nr_flushes);
	json_put_u64(at, "milliseconds", (uint64_t)(seconds * 1000));
	cli_detail("%" PRIu64 " writes in %" PRIu64 " epochs, %" PRIu64 " flushes, %.1f s",
		   result->nr_runs, result->nr_epochs, result->nr_flushes, seconds);
}

static void say_way_back(const struct merge_job *job)
{
	const char *words[] = { cli_tool(), "--take-back", origin_name(job), job->undo.path, NULL };
	char *line = text_quote_words(words);

	cli_note("to take it back: %s%s", line ? line : "",
		 job->options->keep ? "" : " (the snapshot's own changes are gone then)");
	free(line);
}

static void say_treated(const struct merge_job *job, const struct cow_merge_result *result)
{
	const struct merge_options *options = job->options;
	char size[SIZE_TEXT_BYTES];

	if (result->unused_bytes)
		cli_note("%s: %s %s%s%s", cow_name(job), size_round(result->unused_bytes, size),
			 options->scrub ? "overwritten with zeros" : "",
			 options->scrub && options->discard ? ", then " : "",
			 options->discard ? "discarded" : "");
}

/* Only the readable exceptions are merged; the others are still in COW. */
static void say_skipped(const struct merge_job *job, const struct cow_merge_result *result)
{
	const char *origin = origin_name(job), *cow = cow_name(job);
	char merged[SIZE_TEXT_BYTES], skipped[SIZE_TEXT_BYTES];

	cli_warn(
		"merged %s: %s now is what the snapshot showed, but for %s that could not be read: "
		"there it is what it was; %" PRIu64 " of %" PRIu64 " exceptions are left in %s",
		size_round(result->bytes, merged), origin,
		size_text(result->skipped_bytes, skipped), result->nr_left, job->info.nr_exceptions,
		cow);
	if (!job->options->keep)
		cli_next("snapdump", "--map=ddrescue", "-o", "domain.map", origin, cow, NULL);
}

void merge_say_success(const struct merge_job *job, const struct cow_merge_result *result)
{
	const char *origin = origin_name(job), *cow = cow_name(job);
	char size[SIZE_TEXT_BYTES];

	say_treated(job, result);
	if (result->nr_bad) {
		say_skipped(job, result);
		return;
	}
	if (!result->nr_chunks) {
		cli_note(job->options->take_back
				 ? "nothing to take back: what %s held was taken "
				   "back already, and it can be removed"
				 : "nothing to merge: %s is empty; it can be removed",
			 cow);
		return;
	}
	if (job->options->take_back)
		cli_note("took back %" PRIu64 " chunks (%s): %s now is what it was before the "
			 "merge; %s is empty and can be removed",
			 result->nr_chunks, size_round(result->bytes, size), origin, cow);
	else
		cli_note("merged %" PRIu64
			 " chunks (%s): %s now is what the snapshot showed; %s %s",
			 result->nr_chunks, size_round(result->bytes, size), origin, cow,
			 job->options->keep ? "still holds them; once the origin is written to, "
					      "merging it again would undo that"
					    : "is empty and can be removed");
	if (job->undo.path)
		say_way_back(job);
}

int merge_say_failure(const struct merge_job *job, const struct cow_merge_result *result,
		      const struct cow_err *err)
{
	/* logs have no label that knows it */
	bool has_begun = result->nr_begun || (merge_rolls_back(job) && result->bytes);
	bool has_written = has_begun || result->preserved_bytes;
	uint64_t nr_begun = result->nr_begun ? result->nr_begun : job->planned.nr_left;
	int status = cli_fail(err);

	if (has_begun && !result->nr_left)
		cli_warn("%s is complete; what is left to do is on %s", origin_name(job),
			 cow_name(job));
	else if (has_begun)
		cli_warn("%" PRIu64 " of %" PRIu64 " chunks are left; %s is inconsistent until the "
			 "merge finishes; do not mount it",
			 result->nr_left, nr_begun, origin_name(job));
	if (has_begun || err->code == -ECANCELED)
		cli_next_again();
	/* "refused" promises that nothing was written. */
	return status == CLI_REFUSED && has_written ? CLI_FAILED : status;
}
