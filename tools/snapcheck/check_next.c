/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_next.c - chooses the command that snapcheck names as the next step.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/common/cli.h"
#include "tools/snapcheck/check.h"

/* No header, but is there a list where some chunk size would put it? */
void check_next_kind(struct cow_store_args args, const struct cow_image *origin,
		     const struct cow_image *cow)
{
	const char *first = cow_image_name(origin ? origin : cow);
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;

	args.kind = cow_store_kind(0);
	params.flags = COW_CHECK_HEADER_ONLY;
	if (!cow_check(&args, &params, NULL, &verdict, NULL))
		cli_next("snapcheck", "-t", args.kind, first, origin ? cow_image_name(cow) : NULL,
			 NULL);
}

/* A repaired copy, without what cannot be read. */
static void next_copy(const struct check *check, const struct check_next *next, const char *cow)
{
	const char *origin = check->origin ? cow_image_name(check->origin) : NULL;
	char *map = NULL;

	if (next->bad_map && asprintf(&map, "--bad-blocks=%s", next->bad_map) < 0)
		return;
	if (map)
		cli_next("snapcheck", "-y", "--skip-unreadable", map, "-o", "repaired.img",
			 origin ? origin : cow, origin ? cow : NULL, NULL);
	else
		cli_next("snapcheck", "-y", "--skip-unreadable", "-o", "repaired.img",
			 origin ? origin : cow, origin ? cow : NULL, NULL);
	free(map);
}

/* The same check or a repair, with every operand that was given, and with what tells a
 * store that has lost its header. */
static void next_check(const struct check *check, const struct check_next *next, bool repairs,
		       const char *cow)
{
	const char *words[9] = { NULL };
	char chunk[48];
	size_t nr = 0;

	if (repairs) {
		words[nr++] = "-y";
		words[nr++] = "-o";
		words[nr++] = "repaired.img";
	}
	if (next->type) {
		words[nr++] = "-t";
		words[nr++] = next->type;
	}
	if (next->chunk_bytes) {
		snprintf(chunk, sizeof(chunk), "--chunk-size=%" PRIu64, next->chunk_bytes);
		words[nr++] = chunk;
	}
	if (check->origin)
		words[nr++] = cow_image_name(check->origin);
	words[nr] = cow;
	/* the first NULL ends it */
	cli_next("snapcheck", words[0], words[1], words[2], words[3], words[4], words[5], words[6],
		 words[7], words[8], NULL);
}

bool check_is_repairable(const struct check *check)
{
	const struct cow_problem *problem;

	for (size_t i = 0; (problem = cow_problem_get(i)); i++)
		if (problem->flags & COW_PROBLEM_FIXABLE &&
		    cow_report_count_id(check->report, problem->id))
			return true;
	return false;
}

void check_next_choose(const struct check *check, const struct check_next *next, bool is_damaged)
{
	const char *origin = check->origin ? cow_image_name(check->origin) : "ORIGIN";
	/* a metadata pack cannot be repaired: the image that it was made of can */
	const char *cow = check->is_pack ? "COW" : cow_image_name(check->cow);

	/* the name of one image is not enough for a store of several */
	if (roles_are_given(&check->roles)) {
		check_roles_next(check, next, is_damaged);
		return;
	}
	if (check->verdict.needs_target && check->judged)
		cli_next("snapcheck", check->judged, NULL);
	else if (check->verdict.needs_target && check->verdict.known && is_damaged &&
		 !next->repairs && check_is_repairable(check))
		cli_next("snapcheck", "-y", "-o", "repaired.img", cow, NULL);
	if (check->verdict.info.view_bytes || check->verdict.info.units)
		return;
	if (check->verdict.doubts_origin)
		cli_next("snapcheck", "ORIGIN", cow, NULL);
	else if (check->verdict.needs_chunk_bytes)
		cli_next("snapcheck", "--chunk-size=SIZE", check->origin ? origin : cow,
			 check->origin ? cow : NULL, NULL);
	else if (next->header_only)
		next_check(check, next, false, cow);
	else if (check->verdict.needed_bytes && !next->output)
		/* NOLINTNEXTLINE(bugprone-branch-clone): in the order of what matters more */
		next_check(check, next, true, cow);
	else if (check_lost_is_doubtful(&check->repaired)) /* sound, but perhaps not complete */
		cli_next("snapdump", "--tar", "-o", "rescue.tar", origin,
			 next->output && !next->is_dry_run ? next->output : cow, NULL);
	else if (check->has_repaired && !next->is_dry_run && next->output)
		cli_next("snapcheck", check->origin ? origin : next->output,
			 check->origin ? next->output : NULL, NULL);
	else if (check->verdict.known && !check->verdict.valid)
		cli_next("snapdump", "--tar", "--force=invalid", "-o", "rescue.tar", origin, cow,
			 NULL);
	else if (is_damaged && next->has_bad_options && !next->repairs)
		next_copy(check, next, cow);
	else if (is_damaged && !check->verdict.known)
		/* it can be neither repaired nor exported: pack the metadata for a bug report */
		cli_next("snapdump", "--metadata", "-o", "report.tar.zst", cow, NULL);
	else if (is_damaged && !next->repairs)
		next_check(check, next, true, cow);
	else if (is_damaged)
		cli_next("snapdump", "--tar", "--force=damaged", "-o", "rescue.tar", origin, cow,
			 NULL);
	else if (!check->origin)
		cli_next("snapcheck", origin, cow, NULL);
	else if (check->verdict.info.nr_exceptions && !check->verdict.merge_right)
		cli_next("snapmerge", "-o", "merged.img", origin, cow, NULL);
	else if (check->verdict.info.nr_exceptions)
		cli_next("snapmerge", "--dry-run", origin, cow, NULL);
}
