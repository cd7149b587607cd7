/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_lvm.c - a merge between logical volumes: LVM's metadata name all snapshots
 * of the origin, so none of them is ruined because nobody thought of it; and they
 * say what LVM will do next.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/json.h"
#include "tools/images/volumes.h"
#include "tools/snapmerge/snapmerge.h"

/* What the command line says of the snapshots of one origin. */
struct search {
	struct merge_job *job;
	const struct volumes_snapshot *cow; /* NULL: LVM does not know COW */
	char **kept, **dropped;		    /* ids of those that are named */
	char *missing;			    /* specifications of those that are not */
};

static void ids_free(char **ids, size_t nr_ids)
{
	for (size_t i = 0; ids && i < nr_ids; i++)
		free(ids[i]);
	free(ids);
}

/* The snapshot of each word, however it is spelt; NULL: LVM does not know it. */
static int ids_read(struct cow_imageset *set, const struct opt_list *words, char ***ret_ids,
		    struct cow_err *err)
{
	/* bounded: by argc */
	char **ids = calloc(words->nr_words + 1, sizeof(*ids));
	int ret = ids ? 0 : cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for siblings");

	for (size_t i = 0; !ret && i < words->nr_words; i++) {
		struct volumes_list list = { .nr_items = 0 };
		const struct volumes_snapshot *item;

		ret = volumes_list_read(set, words->words[i], &list, err);
		item = volumes_this(&list);
		if (!ret && item)
			ids[i] = strdup(item->id);
		volumes_list_clear(&list);
	}
	*ret_ids = ids;
	return ret;
}

static bool is_named(char **ids, const struct opt_list *words, const char *id)
{
	for (size_t i = 0; i < words->nr_words; i++)
		if (ids[i] && !strcmp(ids[i], id))
			return true;
	return false;
}

/* Nothing of it can be kept any more. */
static bool is_invalid(struct cow_imageset *set, const char *spec)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[2];
	struct cow_err why = COW_ERR_INIT;
	struct cow_image *cow = NULL;
	struct cow_store *store = NULL;
	int ret = cow_imageset_open(set, spec, COW_OPEN_BUSY, &cow, &why);

	cow_store_args_pair(&args, roles, cow, NULL);
	if (!ret)
		ret = cow_store_open(&args, &store, &why);
	cow_store_close(store);
	cow_image_close(cow);
	return ret && !strcmp(why.id, "invalid");
}

static void keep(struct merge_job *job, const char *spec)
{
	if (is_invalid(job->operands.set, spec))
		cli_note("%s is marked invalid already: nothing of it can be kept", spec);
	else
		job->siblings.words[job->siblings.nr_words++] = spec;
}

static int miss(struct search *search, const char *spec, struct cow_err *err)
{
	char *more;

	if (asprintf(&more, "%s%s%s", search->missing ? search->missing : "",
		     search->missing ? " " : "", spec) < 0)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for siblings");
	free(search->missing);
	search->missing = more;
	return 0;
}

/* A kept sibling takes what the merge overwrites, and must show as much of the
 * origin as the snapshot does. */
static int check_length(const struct search *search, const struct volumes_snapshot *item,
			struct cow_err *err)
{
	if (!search->cow || item->view_bytes == search->cow->view_bytes)
		return 0;
	return cli_refuse(err, -EPERM, "siblings", NULL,
			  "%s shows %" PRIu64 " bytes of the origin, %s shows %" PRIu64
			  ": the origin grew in between, and the one cannot be kept while the "
			  "other is merged; export it first (snapdump), then --drop-sibling",
			  item->spec, item->view_bytes, search->cow->spec, search->cow->view_bytes);
}

/* Another snapshot of the origin. */
static int look_at(struct search *search, const struct volumes_snapshot *item, struct cow_err *err)
{
	const struct merge_options *options = search->job->options;

	if (item->is_merging)
		return cli_refuse(
			err, -EPERM, "merging", NULL,
			"LVM merges another snapshot, %s, into this origin when the volume "
			"group is activated, and may have begun: let it finish, or merge "
			"that one first",
			item->spec);
	if (is_named(search->dropped, &options->dropped, item->id))
		return 0;
	if (!is_named(search->kept, &options->siblings, item->id)) {
		if (!options->all_siblings)
			return miss(search, item->spec, err);
		keep(search->job, item->spec);
	}
	return check_length(search, item, err);
}

static int look_at_all(struct search *search, const struct volumes_list *list, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < list->nr_items; i++)
		if (!search->cow || strcmp(list->items[i].id, search->cow->id))
			ret = look_at(search, &list->items[i], err);
	if (ret || !search->missing)
		return ret;
	return cli_refuse(err, -EPERM, "siblings", NULL,
			  "the merge would ruin other snapshots of this origin: %s; name each with "
			  "--sibling to keep it, or with --drop-sibling to give it up; "
			  "--all-siblings keeps all of them",
			  search->missing);
}

static int look(struct search *search, const struct volumes_list *of_cow, struct cow_err *err)
{
	struct merge_job *job = search->job;
	const struct merge_options *options = job->options;
	int ret = ids_read(job->operands.set, &options->siblings, &search->kept, err);

	if (!ret)
		ret = ids_read(job->operands.set, &options->dropped, &search->dropped, err);
	search->cow = volumes_this(of_cow);
	if (search->cow)
		snprintf(job->lvm_name, sizeof(job->lvm_name), "%s",
			 strrchr(search->cow->spec, ':') + 1);
	job->is_lvm_merging = search->cow && search->cow->is_merging;
	if (!ret)
		ret = look_at_all(search, &job->snapshots, err);
	ids_free(search->kept, options->siblings.nr_words);
	ids_free(search->dropped, options->dropped.nr_words);
	free(search->missing);
	return ret;
}

/* Those that are named, with room for all others. */
static int siblings_new(struct merge_job *job, struct cow_err *err)
{
	const struct opt_list *named = &job->options->siblings;
	/* bounded: by argc, and as many as there are items in memory already */
	const char **words = calloc(named->nr_words + job->snapshots.nr_items + 1, sizeof(*words));

	if (!words)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for siblings");
	for (size_t i = 0; i < named->nr_words; i++)
		words[i] = named->words[i];
	job->siblings = (struct opt_list){ words, named->nr_words };
	return 0;
}

int merge_lvm_check(struct merge_job *job, struct cow_err *err)
{
	const char *origin = cli_operands()[0], *cow = cli_operands()[1];
	struct volumes_list of_cow = { .nr_items = 0 };
	struct search search = { .job = job };
	int ret;

	/* There the store is a file, which LVM does not know; nor does it know logs. */
	if (job->options->take_back || merge_rolls_back(job))
		return siblings_new(job, err);
	ret = volumes_list_read(job->operands.set, cow, &of_cow, err);
	/* Of the origin, if it is an LV: these are ruined by writing to it. */
	if (!ret)
		ret = volumes_list_read(job->operands.set, origin, &job->snapshots, err);
	if (!ret && !job->snapshots.nr_items && strncmp(origin, "lvm:", 4))
		ret = volumes_list_read(job->operands.set, cow, &job->snapshots, err);
	job->knows_siblings = !strncmp(origin, "lvm:", 4) || job->snapshots.nr_items;
	if (!ret)
		ret = siblings_new(job, err);
	if (!ret)
		ret = look(&search, &of_cow, err);
	volumes_list_clear(&of_cow);
	return ret;
}

void merge_lvm_close(struct merge_job *job)
{
	free(job->siblings.words);
	volumes_list_clear(&job->snapshots);
}

void merge_lvm_say_next(const struct merge_job *job)
{
	const char *name = job->lvm_name;
	struct json_object *at;

	if (!*name || job->options->keep)
		return;
	at = json_put_object(json_root(), "lvm");
	json_put_text(at, "snapshot", name);
	json_put_bool(at, "merging", job->is_lvm_merging);
	if (job->is_lvm_merging)
		cli_note("LVM removes %s by itself when the volume group is activated", name);
	else
		cli_note("for LVM %s is still a snapshot, an empty one: lvremove %s removes it",
			 name, name);
}
