/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * volumes.c - asks LVM's metadata about operands: the origin of a snapshot, and the
 * length that it had when the snapshot was taken.
 *
 * An origin that grew afterwards becomes a window of it in the command line: what
 * lies behind is neither shown nor written.
 */
#include "tools/images/volumes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/images/operands.h"

bool volumes_is_lv(const char *spec)
{
	return !strncmp(spec, "lvm:", 4) || !strncmp(spec, "image:", 6);
}

static void snapshot_clear(struct volumes_snapshot *item)
{
	free(item->spec);
	free(item->origin_spec);
	free(item->id);
	free(item->origin_id);
}

void volumes_list_clear(struct volumes_list *list)
{
	for (size_t i = 0; i < list->nr_items; i++)
		snapshot_clear(&list->items[i]);
	free(list->items);
	memset(list, 0, sizeof(*list));
}

static int on_snapshot(void *user, const struct cow_volume_snapshot *snapshot)
{
	struct volumes_list *list = user;
	struct volumes_snapshot *items =
		cow_array_grow(list->items, list->nr_items, &list->capacity, sizeof(*items));
	struct volumes_snapshot *item;

	if (!items)
		return -ENOMEM;
	list->items = items;
	item = &items[list->nr_items++];
	*item = (struct volumes_snapshot){
		.spec = strdup(snapshot->spec),
		.origin_spec = strdup(snapshot->origin_spec),
		.id = strdup(snapshot->id),
		.origin_id = strdup(snapshot->origin_id),
		.view_bytes = snapshot->view_bytes,
		.is_this = snapshot->is_this,
		.is_merging = snapshot->is_merging,
	};
	return item->spec && item->origin_spec && item->id && item->origin_id ? 0 : -ENOMEM;
}

int volumes_list_read(struct cow_imageset *set, const char *spec, struct volumes_list *list,
		      struct cow_err *err)
{
	return volumes_is_lv(spec) ? cow_volume_snapshots(set, spec, on_snapshot, list, err) : 0;
}

const struct volumes_snapshot *volumes_this(const struct volumes_list *list)
{
	for (size_t i = 0; i < list->nr_items; i++)
		if (list->items[i].is_this)
			return &list->items[i];
	return NULL;
}

static const struct volumes_snapshot *merging_in(const struct volumes_list *list)
{
	for (size_t i = 0; i < list->nr_items; i++)
		if (list->items[i].is_merging)
			return &list->items[i];
	return NULL;
}

/* How long the origin is now. */
static int origin_size(struct cow_imageset *set, const char *spec, uint64_t *ret_bytes,
		       struct cow_err *err)
{
	struct cow_image *origin = NULL;
	int ret = cow_imageset_open(set, spec, COW_OPEN_BUSY, &origin, err);

	if (!ret)
		*ret_bytes = cow_image_size(origin);
	cow_image_close(origin);
	return ret;
}

/* The origin as the snapshot had it. The caller's. */
static int origin_word(struct cow_imageset *set, const struct volumes_snapshot *snapshot,
		       const char *spec, char **ret_word, struct cow_err *err)
{
	uint64_t size_bytes = 0;
	int ret = origin_size(set, spec, &size_bytes, err);

	if (ret)
		return ret;
	if (size_bytes <= snapshot->view_bytes || !snapshot->view_bytes) {
		*ret_word = strdup(spec);
	} else if (asprintf(ret_word, "window:0+%" PRIu64 ":%s", snapshot->view_bytes, spec) < 0) {
		*ret_word = NULL;
	} else {
		cli_note("%s grew to %" PRIu64 " bytes after %s was taken, which shows the first "
			 "%" PRIu64 "; what lies behind is left alone",
			 spec, size_bytes, snapshot->spec, snapshot->view_bytes);
	}
	return *ret_word ? 0 : cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
}

/* ORIGIN, COW if it is given, then the operands from that with this number on. */
static int words_set(const char *origin, const char *cow, int first, struct cow_err *err)
{
	int nr = 0, ret;
	/* bounded: by argc */
	const char **words = calloc((size_t)cli_nr_operands() + 2, sizeof(*words));

	if (!words)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the operands");
	words[nr++] = origin;
	if (cow)
		words[nr++] = cow;
	for (int i = first; i < cli_nr_operands(); i++)
		words[nr++] = cli_operands()[i];
	ret = cli_replace_operands(words, nr, err);
	free(words);
	return ret;
}

static int complete_alone(struct cow_imageset *set, unsigned int flags, struct cow_err *err)
{
	const char *spec = cli_operands()[0];
	struct volumes_list list = { .nr_items = 0 };
	const struct volumes_snapshot *snapshot;
	char *origin = NULL;
	int ret = volumes_list_read(set, spec, &list, err);

	snapshot = volumes_this(&list);
	if (!snapshot && flags & VOLUMES_SHOWS)
		snapshot = merging_in(&list);
	if (!ret && snapshot) {
		ret = origin_word(set, snapshot, snapshot->origin_spec, &origin, err);
		if (ret && ret != -ENOMEM && flags & VOLUMES_ALONE) {
			cli_warn("the origin of this snapshot, %s, cannot be used: %s",
				 snapshot->origin_spec, err->message);
			ret = 0;
		} else if (!ret) {
			cli_note(snapshot->is_this ? "LVM: %s is a snapshot of %s"
						   : "LVM merges %s into %s when the volume group "
						     "is activated: this is what it will show",
				 snapshot->spec, snapshot->origin_spec);
			ret = words_set(origin, snapshot->spec, 1, err);
		}
	}
	free(origin);
	volumes_list_clear(&list);
	return ret;
}

/* An origin that the VG does not name as that of the snapshot is the wrong one. */
static int pair_check(const struct volumes_snapshot *snapshot, const char *origin,
		      const struct volumes_list *of_origin, struct cow_err *err)
{
	if (cli_forced("origin") || (of_origin->nr_items && !volumes_this(of_origin) &&
				     !strcmp(of_origin->items[0].origin_id, snapshot->origin_id)))
		return 0;
	return cli_refuse(err, -EPERM, "origin", "origin",
			  "LVM says that %s is a snapshot of %s, not of %s", snapshot->spec,
			  snapshot->origin_spec, origin);
}

/* The word for an origin that was named; NULL: as it is. The caller's. */
static int pair_word(struct cow_imageset *set, const char *origin, const char *cow, char **ret_word,
		     struct cow_err *err)
{
	struct volumes_list of_origin = { .nr_items = 0 }, of_cow = { .nr_items = 0 };
	const struct volumes_snapshot *snapshot = NULL;
	int ret = volumes_list_read(set, cow, &of_cow, err);

	if (!ret)
		snapshot = volumes_this(&of_cow);
	if (snapshot)
		ret = volumes_list_read(set, origin, &of_origin, err);
	if (!ret && snapshot)
		ret = pair_check(snapshot, origin, &of_origin, err);
	if (!ret && snapshot && of_origin.nr_items)
		ret = origin_word(set, snapshot, origin, ret_word, err);
	volumes_list_clear(&of_origin);
	volumes_list_clear(&of_cow);
	return ret;
}

static int complete(struct cow_imageset *set, const char **origin, unsigned int flags,
		    struct cow_err *err)
{
	bool is_option = origin && *origin;
	const char *first = is_option ? *origin : cli_operands()[0];
	char *word = NULL;
	int ret;

	if (!cli_nr_operands()) /* --table names all of it */
		return 0;
	if (cli_nr_operands() + is_option == 1)
		return complete_alone(set, flags, err);
	if (!volumes_is_lv(first))
		return 0;
	ret = pair_word(set, first, cli_operands()[!is_option], &word, err);
	if (!ret && word)
		ret = words_set(word, NULL, !is_option, err);
	if (!ret && word && is_option)
		*origin = NULL;
	free(word);
	return ret;
}

int volumes_complete(const char **origin, unsigned int flags, struct cow_err *err)
{
	struct cow_imageset *set = NULL;
	int ret = operands_set_new(&set, err);

	if (!ret)
		ret = complete(set, origin, flags, err);
	cow_imageset_free(set);
	return ret;
}
