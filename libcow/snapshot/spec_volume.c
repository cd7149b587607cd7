/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_volume.c - "part:" and "lvm:" of a specification, and which snapshots an
 * LV has or is: whoever merges one of them must know the others.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/snapshot/spec_open.h"
#include "libcow/volume/volume.h"

COW_DEFINE_AUTO(lvm, struct cow_lvm *, cow_lvm_close);

int cow_spec_part_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		       struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_image *disk, *image;
	int ret = cow_spec_open_inner(opening, tree->parts[0].image, &disk, err);

	if (!ret)
		ret = cow_volume_open_partition(disk, tree->number, &image, err);
	if (!ret)
		ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}

/* A disk is held by what LVM has activated on it, maybe just now and by itself. */
static void held_explain(const struct cow_spec_tree *tree, struct cow_err *err)
{
	size_t len = err ? strlen(err->message) : 0;

	if (!err || strcmp(err->id, "held"))
		return;
	snprintf(err->message + len, sizeof(err->message) - len,
		 "; where LVM has activated the volume group: vgchange -an %.*s",
		 (int)strcspn(tree->text, "/"), tree->text);
}

/* The volume groups on the images of a specification, and the LV that it names. */
static int lvm_look(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		    struct cow_lvm **ret_lvm, const struct cow_lv **ret_lv, struct cow_err *err)
{
	/* bounded: COW_SPEC_PARTS_MAX */
	AUTO_FREE struct cow_image **disks =
		(struct cow_image **)calloc(tree->nr_parts, sizeof(struct cow_image *));
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = NULL;
	int ret = disks ? 0 : cow_fail(err, -ENOMEM, "no memory for an image");

	for (size_t i = 0; !ret && i < tree->nr_parts; i++)
		ret = cow_spec_open_inner(opening, tree->parts[i].image, &disks[i], err);
	if (ret == -EBUSY)
		held_explain(tree, err);
	if (!ret)
		ret = cow_lvm_open(disks, tree->nr_parts, &lvm, err);
	if (!ret)
		ret = cow_lvm_find(lvm, tree->text, ret_lv, err);
	if (!ret)
		*ret_lvm = take_ptr(lvm);
	return ret;
}

int cow_spec_lvm_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		      struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL;
	struct cow_image *image;
	int ret = lvm_look(opening, tree, &lvm, &lv, err);

	if (!ret)
		ret = cow_lv_open(lv, cow_spec_flags(opening) & COW_OPEN_WRITE, &image, err);
	if (!ret)
		ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}

struct snapshots {
	int (*call)(void *user, const struct cow_volume_snapshot *snapshot);
	void *user;
};

/* The specification of another LV on the same images. The caller's. */
static char *lv_spec(const struct cow_spec_tree *tree, const struct cow_lv *lv)
{
	struct cow_spec_tree other = *tree;
	AUTO_FREE char *name = NULL;
	const char *slash = strchr(tree->text, '/');

	/* The VG as it was named: by its UUID, maybe. */
	if (asprintf(&name, "%.*s%s", (int)(slash - tree->text), tree->text,
		     strchr(cow_lv_name(lv), '/')) < 0) {
		name = NULL;
		return NULL;
	}
	other.text = name;
	return cow_spec_tree_print(&other, false);
}

static int snapshot_call(const struct snapshots *snapshots, const struct cow_spec_tree *tree,
			 const struct cow_lv *lv, bool is_this, struct cow_err *err)
{
	AUTO_FREE char *spec = lv_spec(tree, lv);
	AUTO_FREE char *origin = lv_spec(tree, cow_lv_origin(lv));
	struct cow_volume_snapshot snapshot = {
		.size = sizeof(snapshot),
		.spec = spec,
		.origin_spec = origin,
		.id = cow_lv_id(lv),
		.origin_id = cow_lv_id(cow_lv_origin(lv)),
		.view_bytes = cow_lv_view_bytes(lv),
		.is_this = is_this,
		.is_merging = cow_lv_is_merging(lv, NULL),
	};
	int ret;

	if (!spec || !origin)
		return cow_fail(err, -ENOMEM, "no memory for the name of an image");
	ret = snapshots->call(snapshots->user, &snapshot);
	return ret ? cow_fail(err, ret, "the list was ended") : 0;
}

/* cow_spec_look_fn. */
static int snapshots_look(void *user, struct cow_spec_opening *opening,
			  const struct cow_spec_tree *tree, struct cow_err *err)
{
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL, *origin, *one = NULL;
	int ret;

	if (tree->form != COW_SPEC_LVM)
		return 0;
	ret = lvm_look(opening, tree, &lvm, &lv, err);
	if (ret)
		return ret;
	origin = cow_lv_origin(lv) ? cow_lv_origin(lv) : lv;
	while (!ret && (one = cow_lv_next_snapshot(origin, one)))
		ret = snapshot_call((const struct snapshots *)user, tree, one, one == lv, err);
	return ret;
}

int cow_volume_snapshots(struct cow_imageset *set, const char *spec,
			 int (*call)(void *user, const struct cow_volume_snapshot *snapshot),
			 void *user, struct cow_err *err)
{
	struct snapshots snapshots = { .call = call, .user = user };

	return cow_spec_look(set, spec, snapshots_look, &snapshots, err);
}
