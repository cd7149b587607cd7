/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_volume.c - "part:" and "lvm:" of a specification, and which snapshots an
 * LV has or is: whoever merges one of them must know the others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/snapshot/spec_open.h"
#include "libcow/store/store.h"
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

/* ---------------------------------------------------------------- thin devices */

static char *lv_spec(const struct cow_spec_tree *tree, const struct cow_lv *lv);

static int number_add(struct cow_store_spec *spec, const char *key, uint64_t number,
		      struct cow_err *err)
{
	char *text;

	if (asprintf(&text, "%" PRIu64, number) < 0)
		text = NULL;
	return cow_store_spec_add(spec, key, text, err);
}

/* The ids that LVM has in the pool: "1,2,4". The caller's; NULL: no memory. */
static char *ids_text(const struct cow_lv *pool)
{
	const struct cow_lv *lv = NULL;
	struct cow_lv_thin thin;
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	while ((lv = cow_lv_next_thin(pool, lv)))
		if (cow_lv_thin(lv, &thin))
			fprintf(to, "%" PRIu64 ",", thin.device_id);
	if (ferror(to) | fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

/* Does LVM merge any device of the pool when that is activated? */
static bool pool_merges(const struct cow_lv *pool)
{
	const struct cow_lv *lv = NULL;
	struct cow_lv_thin thin;

	while ((lv = cow_lv_next_thin(pool, lv)))
		if (cow_lv_thin(lv, &thin) && thin.is_merging)
			return true;
	return false;
}

static int device_add(struct cow_store_spec *spec, const struct cow_spec_tree *tree,
		      const struct cow_lv_thin *thin, struct cow_err *err)
{
	int ret = number_add(spec, "id", thin->device_id, err);

	if (!ret)
		ret = number_add(spec, "size", thin->size_bytes, err);
	if (!ret && thin->external_origin)
		ret = cow_store_spec_add(spec, "origin", lv_spec(tree, thin->external_origin), err);
	if (!ret && *thin->origin)
		ret = cow_store_spec_add(spec, "parent", strdup(thin->origin), err);
	return ret;
}

/* What the VG says of a pool. */
#define POOL_KEYS 5
static int pool_add(struct cow_store_spec *spec, const struct cow_lv_thin *thin,
		    struct cow_err *err)
{
	int ret = number_add(spec, "block", thin->block_sectors, err);

	if (!ret)
		ret = number_add(spec, "transaction", thin->transaction_id, err);
	if (!ret)
		ret = cow_store_spec_add(spec, "volumes", ids_text(thin->pool), err);
	if (!ret && thin->has_message)
		ret = cow_store_spec_add(spec, "pending", strdup("yes"), err);
	if (!ret && pool_merges(thin->pool))
		ret = cow_store_spec_add(spec, "merging", strdup("yes"), err);
	return ret;
}

/* The images that a pool or a thin device consists of, and what the VG says of it. */
static int thin_spec(const struct cow_spec_tree *tree, const struct cow_lv_thin *thin,
		     struct cow_store_spec **ret_spec, struct cow_err *err)
{
	struct cow_store_spec *spec = NULL;
	int ret = cow_store_spec_new(cow_store_pool_kind(), 10, &spec, err);

	if (ret)
		return ret;
	ret = cow_store_spec_add(spec, "metadata", lv_spec(tree, thin->metadata), err);
	if (!ret)
		ret = cow_store_spec_add(spec, "data", lv_spec(tree, thin->data), err);
	if (!ret)
		ret = pool_add(spec, thin, err);
	if (!ret && !thin->is_pool)
		ret = device_add(spec, tree, thin, err);
	if (ret)
		cow_store_spec_free(spec);
	else
		*ret_spec = spec;
	return ret;
}

static int thin_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		     const struct cow_lv *lv, const struct cow_lv_thin *thin,
		     struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_store_spec *spec = NULL;
	struct cow_image *image = NULL;
	int ret;

	if (thin->is_pool)
		return cow_refuse(
			err, -EOPNOTSUPP, "lv-type", NULL,
			"%s is a pool of thin devices: name one of them, or check it with "
			"snapcheck",
			cow_lv_name(lv));
	if (cow_spec_flags(opening) & (COW_OPEN_WRITE | COW_OPEN_REHEARSE))
		return cow_refuse(err, -EPERM, "lv-write", NULL,
				  "%s is a thin device: it is read, but not written",
				  cow_lv_name(lv));
	ret = thin_spec(tree, thin, &spec, err);
	if (ret)
		return ret;
	ret = cow_spec_show(opening, spec, cow_lv_name(lv), &image, err);
	cow_store_spec_free(spec);
	if (!ret)
		ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}

/* The metadata that a specification of a pool names, if they are an LV; else NULL. */
static const struct cow_spec_tree *metadata_of(const struct cow_spec_tree *tree)
{
	if (!tree->kind || strcmp(tree->kind->name, cow_store_pool_kind()) != 0)
		return NULL;
	for (size_t i = 0; i < tree->nr_parts; i++) {
		const struct cow_spec_part *part = &tree->parts[i];

		if (part->image && !strcmp(part->key, "metadata"))
			return part->image->form == COW_SPEC_LVM ? part->image : NULL;
	}
	return NULL;
}

/* A pool that is named by its parts: LVM has the same to say of it. */
static int parts_look(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		      struct cow_store_spec **ret_spec, struct cow_err *err)
{
	const struct cow_spec_tree *metadata = metadata_of(tree);
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = NULL;
	struct cow_store_spec *spec = NULL;
	const struct cow_lv *lv = NULL;
	struct cow_lv_thin thin;
	int ret = metadata ? lvm_look(opening, metadata, &lvm, &lv, err) : 0;

	if (ret || !metadata || !cow_lv_pool_of_metadata(lv, &thin))
		return ret;
	ret = cow_store_spec_of_tree(tree, POOL_KEYS, &spec, err);
	if (!ret)
		ret = pool_add(spec, &thin, err);
	if (ret)
		cow_store_spec_free(spec);
	else
		*ret_spec = spec;
	return ret;
}

/* cow_spec_look_fn. */
static int thin_look(void *user, struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		     struct cow_err *err)
{
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL;
	struct cow_lv_thin thin;
	int ret;

	if (tree->form != COW_SPEC_LVM)
		return parts_look(opening, tree, (struct cow_store_spec **)user, err);
	ret = lvm_look(opening, tree, &lvm, &lv, err);
	if (ret || !cow_lv_thin(lv, &thin))
		return ret;
	return thin_spec(tree, &thin, (struct cow_store_spec **)user, err);
}

int cow_store_spec_volume(struct cow_imageset *set, const char *text,
			  struct cow_store_spec **ret_spec, struct cow_err *err)
{
	*ret_spec = NULL;
	return cow_spec_look(set, text, thin_look, ret_spec, err);
}

/* A rehearsal is refused where writing would be. */
static uint32_t lv_flags(uint32_t open_flags)
{
	return (open_flags & (COW_OPEN_WRITE | COW_OPEN_REHEARSE) ? COW_LV_WRITE : 0) |
	       (open_flags & COW_OPEN_COPIES ? COW_LV_COPIES : 0);
}

int cow_spec_lvm_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		      struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv = NULL;
	struct cow_lv_thin thin;
	struct cow_image *image;
	int ret = lvm_look(opening, tree, &lvm, &lv, err);

	if (!ret && cow_lv_thin(lv, &thin))
		return thin_open(opening, tree, lv, &thin, ret_image, err);
	if (!ret)
		ret = cow_lv_open(lv, lv_flags(cow_spec_flags(opening)), &image, err);
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
