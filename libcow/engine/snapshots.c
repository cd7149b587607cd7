/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snapshots.c - makes, fills, deletes and exchanges snapshots of a store that holds many.
 * Each is one transaction of the store: a crash leaves it before or after (I14).
 */
#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/engine/diff.h"
#include "libcow/store/store.h"

#define FLAGS (COW_SNAPSHOT_REHEARSE | COW_SNAPSHOT_MANAGED)
#define FLAGS_SWAP (COW_SNAPSHOT_REHEARSE | COW_SNAPSHOT_UNRELATED)

static int store_open(const struct cow_store_args *args, uint32_t flags, uint32_t known_flags,
		      struct cow_store **ret_store, struct cow_err *err)
{
	int ret = cow_params_check(args->size, sizeof(*args), flags, known_flags,
				   "struct cow_store_args", err);

	if (!ret)
		ret = cow_store_open_shared(args, ret_store, err);
	if (!ret)
		(*ret_store)->shared->is_rehearsal = flags & COW_SNAPSHOT_REHEARSE;
	return ret;
}

/* Whoever has a list of the snapshots gives the next id by that list. */
static int managed_refuse(const struct cow_store *store, uint32_t flags, struct cow_err *err)
{
	if (!store->shared->is_managed || flags & COW_SNAPSHOT_MANAGED)
		return 0;
	return cow_refuse(err, -EPERM, "lvm", "lvm",
			  "LVM manages the pool of %s and would not see the change: it could give "
			  "the same id to a volume of its own",
			  store->metadata->name);
}

int cow_snapshot_create(const struct cow_store_args *args, const struct cow_snapshot_params *params,
			uint64_t *ret_id, struct cow_err *err)
{
	AUTO_HANDLE(store) struct cow_store *store = NULL;
	uint64_t id = params->id;
	int ret = cow_params_check(params->size, sizeof(*params), params->flags, FLAGS,
				   "struct cow_snapshot_params", err);

	if (!ret)
		ret = store_open(args, params->flags, FLAGS, &store, err);
	if (!ret)
		ret = managed_refuse(store, params->flags, err);
	if (!ret)
		ret = cow_store_snapshot_create(store, params->parent_id, params->view_bytes, &id,
						err);
	if (!ret)
		*ret_id = id;
	return ret;
}

/* ---------------------------------------------------------------- filled */

/* The base, as long as the image: cut, or with zeros behind it. */
struct fitted {
	struct cow_image *zeros, *image;
};

static int base_fit(struct cow_image *base, uint64_t size_bytes, struct fitted *fitted,
		    struct cow_err *err)
{
	uint64_t base_bytes = base ? base->size_bytes : 0;
	const struct cow_segment all = { 0, size_bytes };
	struct cow_image *both[2] = { base };
	int ret;

	if (base && base_bytes >= size_bytes)
		return cow_image_window_new(base, &all, 1, &fitted->image, err);
	ret = cow_image_zero_new(size_bytes - base_bytes, &fitted->zeros, err);
	both[1] = fitted->zeros;
	if (ret)
		return ret;
	return cow_image_concat_new(both + !base, base ? 2 : 1, &fitted->image, err);
}

static int made_fill(struct cow_store *made, const struct cow_snapshot_source *source,
		     struct cow_patch_stats *stats, struct cow_err *err)
{
	struct cow_image *image = source->image, *base = source->base;
	struct fitted fitted = { .image = NULL };
	int ret = base_fit(base, image->size_bytes, &fitted, err);

	/* of the last block, what lies behind the end of the image is the base's, too */
	if (!ret)
		ret = cow_diff_fill_over(
			made, base && base->size_bytes > image->size_bytes ? base : fitted.image,
			fitted.image, image, source->callbacks, stats, err);
	cow_image_close(fitted.image);
	cow_image_close(fitted.zeros);
	return ret;
}

static int snapshot_fill(struct cow_store *store, const struct cow_snapshot_params *params,
			 const struct cow_snapshot_source *source, struct cow_patch_stats *stats,
			 uint64_t *ret_id, struct cow_err *err)
{
	AUTO_HANDLE(store) struct cow_store *made = NULL;
	uint64_t id = params->id;
	int ret = cow_store_snapshot_begin(store, params->parent_id, source->image->size_bytes, &id,
					   &made, err);

	if (!ret)
		ret = made_fill(made, source, stats, err);
	if (!ret)
		ret = cow_store_snapshot_end(made, err);
	if (!ret)
		*ret_id = id;
	return ret;
}

int cow_snapshot_fill(const struct cow_store_args *args, const struct cow_snapshot_params *params,
		      const struct cow_snapshot_source *source, struct cow_patch_stats *ret_stats,
		      uint64_t *ret_id, struct cow_err *err)
{
	AUTO_HANDLE(store) struct cow_store *store = NULL;
	int ret = cow_params_check(params->size, sizeof(*params), params->flags, FLAGS,
				   "struct cow_snapshot_params", err);

	if (!ret)
		ret = cow_params_check(source->size, sizeof(*source), 0, 0,
				       "struct cow_snapshot_source", err);
	if (!ret && !source->image->size_bytes)
		ret = cow_fail(err, -EINVAL, "%s is empty: no device is so short",
			       source->image->name);
	if (!ret)
		ret = store_open(args, params->flags, FLAGS, &store, err);
	if (!ret)
		ret = managed_refuse(store, params->flags, err);
	return ret ? ret : snapshot_fill(store, params, source, ret_stats, ret_id, err);
}

int cow_snapshot_delete(const struct cow_store_args *args, uint64_t id, uint32_t flags,
			struct cow_err *err)
{
	AUTO_HANDLE(store) struct cow_store *store = NULL;
	int ret = store_open(args, flags, FLAGS, &store, err);

	if (!ret)
		ret = managed_refuse(store, flags, err);
	return ret ? ret : cow_store_snapshot_delete(store, id, err);
}

/* Ids and counts stay, so nobody's list becomes wrong by it. */
int cow_snapshot_swap(const struct cow_store_args *args, uint64_t a_id, uint64_t b_id,
		      uint32_t flags, struct cow_err *err)
{
	AUTO_HANDLE(store) struct cow_store *store = NULL;
	int ret = store_open(args, flags, FLAGS_SWAP, &store, err);

	return ret ? ret : cow_store_swap(store, a_id, b_id, flags & COW_SNAPSHOT_UNRELATED, err);
}
