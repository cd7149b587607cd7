/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snapmerge.c - main() of snapmerge: the options, then a merge in place or to
 * a new image.
 */
#include <string.h>

#include "tools/images/servers.h"
#include "tools/snapmerge/snapmerge.h"

/* What reads only may go on where what writes may not. */
#define FORCE_OUTPUT "overwrite,invalid,damaged,doubtful,busy,origin,content"
#define FORCE_TAKE_BACK "changed,legs,siblings"
#define FORCE_IN_PLACE                                                                             \
	"uuid,volatile,bad-cow,overwrite,origin,content,no-space,legs,"                            \
	"siblings"
/* A clone whose trees contradict each other: only a person can know which is right. */
#define FORCE_CLONE FORCE_IN_PLACE ",doubtful"
/* Devices of a pool, whose sizes are not in it. */
#define FORCE_POOL ",grow"

#define BATCH_BYTES_MIN (UINT64_C(1) << 20)

static struct merge_options options;

static const struct opt option_table[] = {
	{ 'o', "output", "NEW", "write the merged image to NEW, leave ORIGIN alone", OPT_TEXT,
	  &options.output, NULL },
	{ 0, "sibling", "COW2", "keep this other snapshot of ORIGIN true (repeatable)", OPT_LIST,
	  &options.siblings, NULL },
	{ 0, "all-siblings", NULL, "the same for all others that LVM knows", OPT_FLAG,
	  &options.all_siblings, NULL },
	{ 0, "drop-sibling", "COW2", "mark this other snapshot invalid first (repeatable)",
	  OPT_LIST, &options.dropped, NULL },
	{ 0, "save-undo", "FILE", "first save what will be overwritten", OPT_TEXT,
	  &options.save_undo, NULL },
	{ 0, "take-back", NULL, "COW is such a FILE: make ORIGIN what it was before", OPT_FLAG,
	  &options.take_back, NULL },
	{ 0, "keep", NULL, "leave the exceptions in COW", OPT_FLAG, &options.keep, NULL },
	{ 0, "reflink", "auto|always|never",
	  "share extents where files can (default: auto, where that is faster)", OPT_CHOICE,
	  &options.reflink, NULL },
	{ 0, "sparse", NULL, "zeros become holes of ORIGIN", OPT_FLAG, &options.sparse, NULL },
	{ 0, "discard", NULL, "in the end, give the space of the merged data back", OPT_FLAG,
	  &options.discard, NULL },
	{ 0, "scrub", NULL, "in the end, overwrite the merged data with zeros", OPT_FLAG,
	  &options.scrub, NULL },
	OPT_TABLE(&options.table),
	OPT_SKIP_UNREADABLE(&options.bad),
	OPT_BAD_BLOCKS(&options.bad),
	{ 0, "bad-list", "FILE", "list in FILE what was skipped, in bytes of COW and ORIGIN",
	  OPT_TEXT, &options.bad.list, NULL },
	{ 0, "batch", "SIZE", "memory for the data on its way (default: 64M)", OPT_SIZE,
	  &options.batch_bytes, NULL },
	OPTS_COMMON(&options.common),
};

static struct opts_spec spec = {
	.tool = "snapmerge",
	.operands = "ORIGIN COW... | LV | CLONE | LOGS | DEVICE DEVICE",
	.summary = "Writes what the snapshot COW holds into its ORIGIN and empties COW. It may be\n"
		   "stopped or cut off at any time: the same command continues.",
	.notes =
		"Until it has finished ORIGIN is inconsistent: do not mount it. Several COW\n"
		"images are layers of a stack, lowest first, and go with -o only.\n"
		"LV is lvm:IMAGE,...:VG/SNAP. CLONE is clone:metadata=M,source=S,destination=D:\n"
		"what is not hydrated is copied from S to D; --table=LINE names it, too. LOGS is\n"
		"snaplog:source=S,log=L,...: S is rolled back. DEVICE is\n"
		"thin:metadata=M,data=D,id=N, twice in one pool: the two exchange what they show,\n"
		"and the same command takes it back.",
	.force_ids = FORCE_OUTPUT ",changed," FORCE_IN_PLACE FORCE_POOL,
	.options = option_table,
	.common = &options.common,
	.min_operands = 0, /* an LV or a clone is one operand; or there is --table */
	.max_operands = 0,
	.connect = servers_connect,
};

static int check_options(void)
{
	bool treats_cow = options.discard || options.scrub;
	bool has_siblings = options.siblings.nr_words || options.all_siblings;
	bool has_side = has_siblings || options.dropped.nr_words || options.save_undo ||
			options.keep || treats_cow;

	if (!cli_nr_operands() && !options.table)
		return cli_usage("%s expected, 0 given", spec.operands);
	if (options.batch_bytes < BATCH_BYTES_MIN)
		return cli_usage("--batch: at least 1M");
	if (options.output && (has_side || options.take_back))
		return cli_usage("-o leaves everything else alone: no --sibling, --all-siblings, "
				 "--drop-sibling, --save-undo, --take-back, --keep, --discard or "
				 "--scrub with it");
	if (options.keep && treats_cow)
		return cli_usage("--keep: what is kept can be neither discarded nor scrubbed");
	if (options.take_back && (options.save_undo || options.keep))
		return cli_usage("--take-back: no --save-undo or --keep with it");
	if (options.bad.list && (!options.bad.skips || cli_nr_operands() > 2))
		return cli_usage("--bad-list goes with --skip-unreadable and one COW image");
	if (options.take_back && (options.bad.skips || options.bad.maps.nr_words))
		return cli_usage("--take-back: no --skip-unreadable or --bad-blocks with it");
	if (options.bad.skips && (has_siblings || options.save_undo || treats_cow))
		return cli_usage("--skip-unreadable only reads COW until the end: no --sibling, "
				 "--all-siblings, --save-undo, --discard or --scrub with it; -o "
				 "NEW leaves everything as it is");
	if (options.bad.skips && merge_reflink(&options) == COW_REFLINK_ALWAYS)
		return cli_usage("--reflink=always: what is shared is not read, bad sectors "
				 "neither; not with --skip-unreadable");
	if (options.all_siblings && !volumes_is_lv(cli_operands()[0]) &&
	    !volumes_is_lv(cli_operands()[1]))
		return cli_usage(
			"--all-siblings: only LVM knows all snapshots of an origin; name COW "
			"as lvm:IMAGE,...:VG/LV");
	if (!options.output && cli_nr_operands() > 2)
		return cli_usage(
			"several COW images are layers of a stack, which is merged with -o "
			"NEW; another snapshot of ORIGIN is named with --sibling");
	return bad_check_usage(&options.bad, cli_nr_operands() - 1);
}

/* A snapshot of LVM alone stands for its origin, too. */
static int complete_operands(void)
{
	struct cow_err err = COW_ERR_INIT;

	return volumes_complete(NULL, 0, &err) ? cli_fail(&err) : CLI_DONE;
}

/* --long-options lists them all; a run takes those of its job. */
static void set_force_ids(void)
{
	if (options.output)
		spec.force_ids = FORCE_OUTPUT;
	else if (options.take_back)
		spec.force_ids = FORCE_TAKE_BACK;
	else if (merge_names_clone(&options))
		spec.force_ids = FORCE_CLONE;
	else
		spec.force_ids = FORCE_IN_PLACE FORCE_POOL "," FORCE_TAKE_BACK;
}

int main(int argc, char **argv)
{
	bool is_ended;
	int status;

	options.batch_bytes = UINT64_C(64) << 20;
	status = cli_start(&spec, argc, argv, &is_ended);
	if (is_ended)
		return cli_finish(status);
	set_force_ids();
	status = complete_operands();
	if (status == CLI_DONE)
		status = check_options();
	if (status == CLI_DONE && (options.output || !merge_swap(&options, &status)))
		status = options.output ? merge_to_output(&options) : merge_in_place(&options);
	return cli_finish(status);
}
