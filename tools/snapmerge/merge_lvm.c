/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_lvm.c - a merge between logical volumes: LVM's metadata name all snapshots
 * of the origin, so none of them is ruined because nobody thought of it; and they
 * say what LVM will do next.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/snapmerge/snapmerge.h"

#define ID_BYTES 40

/* What one word of the command line names, if it is a logical volume. */
struct found {
	char id[ID_BYTES], origin_id[ID_BYTES];
	char origin_spec[1000];
	bool is_merging;
	size_t nr_snapshots;
};

static int on_found(void *user, const struct cow_volume_snapshot *snapshot)
{
	struct found *found = user;

	found->nr_snapshots++;
	snprintf(found->origin_id, sizeof(found->origin_id), "%s", snapshot->origin_id);
	snprintf(found->origin_spec, sizeof(found->origin_spec), "%s", snapshot->origin_spec);
	if (!snapshot->is_this)
		return 0;
	snprintf(found->id, sizeof(found->id), "%s", snapshot->id);
	found->is_merging = snapshot->is_merging;
	return 0;
}

struct search {
	struct cow_imageset *set;
	const struct merge_options *options;
	const struct found *cow;
	char *missing; /* specifications of siblings that were not named */
	struct cow_err *err;
};

static bool is_lvm(const char *word)
{
	return !strncmp(word, "lvm:", 4);
}

/* Is a snapshot among these words, however they spell it? */
static bool is_named(struct search *search, const struct opt_list *list, const char *id)
{
	for (size_t i = 0; i < list->nr_words; i++) {
		struct found found = { .nr_snapshots = 0 };

		if (is_lvm(list->words[i]) &&
		    !cow_volume_snapshots(search->set, list->words[i], on_found, &found, NULL) &&
		    !strcmp(found.id, id))
			return true;
	}
	return false;
}

static int on_sibling(void *user, const struct cow_volume_snapshot *snapshot)
{
	struct search *search = user;
	char *more;

	if (!strcmp(snapshot->id, search->cow->id) ||
	    is_named(search, &search->options->siblings, snapshot->id) ||
	    is_named(search, &search->options->dropped, snapshot->id))
		return 0;
	if (asprintf(&more, "%s%s%s", search->missing ? search->missing : "",
		     search->missing ? " " : "", snapshot->spec) < 0)
		return -ENOMEM;
	free(search->missing);
	search->missing = more;
	return 0;
}

/* An ORIGIN that the VG does not name as that of COW is the wrong one. */
static int check_origin(const char *origin, const struct found *from_origin,
			const struct found *cow, struct cow_err *err)
{
	if (!cow->id[0] || !is_lvm(origin) ||
	    (from_origin->nr_snapshots && !from_origin->id[0] &&
	     !strcmp(from_origin->origin_id, cow->origin_id)) ||
	    cli_forced("origin"))
		return 0;
	return cli_refuse(err, -EPERM, "origin", "origin",
			  "LVM says that COW is a snapshot of %s, not of %s", cow->origin_spec,
			  origin);
}

int merge_lvm_check(struct merge_job *job, struct cow_err *err)
{
	const char *origin = cli_operands()[0], *cow = cli_operands()[1];
	struct found from_origin = { .nr_snapshots = 0 }, from_cow = { .nr_snapshots = 0 };
	struct search search = { .set = job->operands.set,
				 .options = job->options,
				 .cow = &from_cow };
	int ret = 0;

	if (!is_lvm(origin) && !is_lvm(cow))
		return 0;
	if (is_lvm(origin))
		ret = cow_volume_snapshots(search.set, origin, on_found, &from_origin, err);
	if (!ret && is_lvm(cow))
		ret = cow_volume_snapshots(search.set, cow, on_found, &from_cow, err);
	if (!ret)
		ret = check_origin(origin, &from_origin, &from_cow, err);
	/* Of the origin, if it is an LV: these are ruined by writing to it. */
	if (!ret)
		ret = cow_volume_snapshots(search.set, is_lvm(origin) ? origin : cow, on_sibling,
					   &search, err);
	if (!ret && search.missing)
		ret = cli_refuse(err, -EPERM, "siblings", NULL,
				 "the merge would ruin other snapshots of this origin: %s; name "
				 "each with --sibling to keep it, or with --drop-sibling to give "
				 "it up",
				 search.missing);
	job->knows_siblings = true;
	job->is_lvm_snapshot = from_cow.id[0];
	job->is_lvm_merging = from_cow.is_merging;
	free(search.missing);
	return ret;
}

void merge_lvm_say_next(const struct merge_job *job)
{
	const char *cow = cli_operands()[1], *name = strrchr(cow, ':');

	if (!job->is_lvm_snapshot || job->options->keep || !name)
		return;
	if (job->is_lvm_merging)
		cli_note("LVM removes %s by itself when the volume group is activated", name + 1);
	else
		cli_note("for LVM %s is still a snapshot, an empty one: lvremove %s removes it",
			 name + 1, name + 1);
}
