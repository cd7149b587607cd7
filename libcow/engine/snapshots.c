/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snapshots.c - makes, deletes and exchanges snapshots of a store that holds many. Each
 * is one transaction of the store: a crash leaves it before or after (I14).
 */
#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/core/report.h"
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
