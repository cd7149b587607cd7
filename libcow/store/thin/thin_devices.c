/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_devices.c - makes devices of a pool, takes snapshots, deletes, and exchanges two.
 * No mapping is touched: a snapshot is one more reference to the root of its parent's
 * tree, at a time of its own, so that each of the two breaks away where it is written
 * to. Source: drivers/md/dm-thin-metadata.c, __create_thin(), __create_snap(),
 * __set_snapshot_details(), __delete_device(), Linux 6.1.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/thin/thin_write.h"

/* ---------------------------------------------------------------- both trees */

static int root_put(struct thin_pool *pool, uint64_t id, uint64_t root, struct cow_err *err)
{
	const struct pdata_values values = cow_thin_root_values(pool);
	uint8_t raw[8];

	put_le64(raw, root);
	return cow_pdata_tree_insert(pool->txn, &values, &pool->super.mapping_root, id, raw, err);
}

static int details_put(struct thin_pool *pool, uint64_t id, const struct thin_details *details,
		       struct cow_err *err)
{
	const struct pdata_values values = cow_thin_details_values();
	uint8_t raw[THIN_DETAILS_BYTES];

	cow_thin_details_encode(details, raw);
	return cow_pdata_tree_insert(pool->txn, &values, &pool->super.details_root, id, raw, err);
}

static bool has_device(struct thin_pool *pool, uint64_t id, int *ret, struct cow_err *err)
{
	const struct pdata_tree tree = { pool->blocks, pool->super.details_root,
					 THIN_DETAILS_BYTES };
	bool found = false;

	*ret = cow_pdata_tree_lookup(&tree, id, NULL, &found, err);
	return found;
}

/* The entry of the new root takes the place of the old one, whose reference is not given
 * back; what other entries of a leaf refer to counts as ever. */
static int root_count_more(void *user, const uint8_t *value, bool is_more, struct cow_err *err)
{
	struct thin_pool *pool = (struct thin_pool *)user;

	return is_more ? cow_pdata_block_more(pool->txn, get_le64(value), err) : 0;
}

int cow_thin_device_set(struct thin_pool *pool, uint64_t id, uint64_t root,
			const struct thin_details *details, struct cow_err *err)
{
	const struct pdata_values values = { .value_size = 8,
					     .user = pool,
					     .count = root_count_more };
	uint8_t raw[8];
	int ret;

	put_le64(raw, root);
	ret = cow_pdata_tree_insert(pool->txn, &values, &pool->super.mapping_root, id, raw, err);
	return ret ? ret : details_put(pool, id, details, err);
}

/* ---------------------------------------------------------------- the id */

/* The one above the highest; where that is the last one, the first gap. */
static int id_choose(struct thin_pool *pool, uint64_t *id, struct cow_err *err)
{
	const struct pdata_tree tree = { pool->blocks, pool->super.details_root,
					 THIN_DETAILS_BYTES };
	uint64_t highest = 0;
	bool found = false;
	int ret = cow_pdata_tree_prev(&tree, UINT64_MAX, &highest, NULL, &found, err);

	if (ret)
		return ret;
	*id = found ? highest + 1 : 0;
	if (*id <= THIN_ID_MAX)
		return 0;
	for (*id = 0; *id <= THIN_ID_MAX; ++*id)
		if (!has_device(pool, *id, &ret, err))
			return ret;
	return cow_refuse(err, -ENOSPC, "device-exists", NULL,
			  "the pool of %s has a device with each id there is",
			  pool->metadata->name);
}

static int id_check(struct thin_pool *pool, uint64_t *id, struct cow_err *err)
{
	int ret = 0;

	if (*id == STORE_SNAPSHOT_NONE)
		return id_choose(pool, id, err);
	if (*id > THIN_ID_MAX)
		return cow_fail(err, -EINVAL, "%" PRIu64 " is no id of a thin device", *id);
	if (has_device(pool, *id, &ret, err))
		return cow_refuse(err, -EEXIST, "device-exists", NULL,
				  "the pool of %s has a device %" PRIu64 " already",
				  pool->metadata->name, *id);
	return ret;
}

/* ---------------------------------------------------------------- make, delete */

static int empty_begin(struct thin_pool *pool, uint64_t *ret_root, struct thin_details *ret_details,
		       struct cow_err *err)
{
	const struct pdata_values values = cow_thin_mapping_values(pool);

	*ret_details = (struct thin_details){
		.transaction_id = pool->super.transaction_id,
		.creation_time = pool->super.time,
		.snapshotted_time = pool->super.time,
	};
	return cow_pdata_tree_new(pool->txn, &values, ret_root, err);
}

int cow_thin_time_advance(struct thin_pool *pool, struct cow_err *err)
{
	if (pool->super.time >= THIN_TIME_MAX)
		return cow_refuse(err, -ERANGE, "time", NULL,
				  "the pool of %s has taken %" PRIu32
				  " snapshots, and the format counts no further",
				  pool->metadata->name, pool->super.time);
	pool->super.time++;
	return 0;
}

/* From now on each block of both is shared (I16): snapshotted_time is above the time of
 * every mapping. */
static int snapshot_begin(struct thin_pool *pool, uint64_t parent_id, uint64_t *ret_root,
			  struct thin_details *ret_details, struct cow_err *err)
{
	struct thin_details parent;
	int ret = cow_thin_device_find(pool, &pool->super, parent_id, ret_root, &parent, err);

	if (!ret)
		ret = cow_thin_time_advance(pool, err);
	if (ret)
		return ret;
	*ret_details = (struct thin_details){
		.mapped_blocks = parent.mapped_blocks,
		.transaction_id = pool->super.transaction_id,
		.creation_time = pool->super.time,
		.snapshotted_time = pool->super.time,
	};
	parent.snapshotted_time = pool->super.time;
	ret = cow_pdata_block_more(pool->txn, *ret_root, err);
	return ret ? ret : details_put(pool, parent_id, &parent, err);
}

int cow_thin_device_begin(struct thin_pool *pool, uint64_t parent_id, uint64_t *id,
			  uint64_t *ret_root, struct thin_details *ret_details, struct cow_err *err)
{
	int ret = cow_thin_write_begin(pool, true, err);

	if (!ret)
		ret = id_check(pool, id, err);
	if (ret)
		return ret;
	return parent_id == STORE_SNAPSHOT_NONE
		       ? empty_begin(pool, ret_root, ret_details, err)
		       : snapshot_begin(pool, parent_id, ret_root, ret_details, err);
}

int cow_thin_device_put(struct thin_pool *pool, uint64_t id, uint64_t root,
			const struct thin_details *details, struct cow_err *err)
{
	int ret = root_put(pool, id, root, err);

	return ret ? ret : details_put(pool, id, details, err);
}

int cow_thin_snapshot_create(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			     uint64_t *id, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	struct thin_details details;
	uint64_t new_id = *id, root = 0;
	int ret = cow_thin_device_begin(pool, parent_id, &new_id, &root, &details, err);

	(void)view_bytes; /* the pool does not record it */
	if (!ret)
		ret = cow_thin_device_put(pool, new_id, root, &details, err);
	if (!ret)
		ret = cow_thin_write_commit(pool, false, err);
	if (ret) {
		pool->has_failed = true;
		return ret;
	}
	*id = new_id;
	return 0;
}

/* The reserve of the kernel is there so that this can be done in a full pool. */
int cow_thin_snapshot_delete(struct cow_store *store, uint64_t id, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	const struct pdata_values mappings = cow_thin_mapping_values(pool);
	const struct pdata_values roots = cow_thin_root_values(pool);
	const struct pdata_values details = cow_thin_details_values();
	struct thin_details old;
	uint64_t root = 0;
	int ret = cow_thin_write_begin(pool, false, err);

	if (!ret && store->snapshot_id == id)
		ret = cow_fail(err, -EBUSY, "device %" PRIu64 " is open", id);
	if (!ret)
		ret = cow_thin_device_find(pool, &pool->super, id, &root, &old, err);
	if (!ret)
		ret = cow_pdata_tree_remove(pool->txn, &details, &pool->super.details_root, id,
					    NULL, err);
	if (!ret)
		ret = cow_pdata_tree_remove(pool->txn, &roots, &pool->super.mapping_root, id, NULL,
					    err);
	if (!ret)
		ret = cow_pdata_tree_drop(pool->txn, &mappings, root, err);
	if (!ret)
		ret = cow_thin_write_commit(pool, false, err);
	pool->has_failed |= ret != 0;
	return ret;
}

/* ---------------------------------------------------------------- exchange */

/* A device as it was before the exchange. */
struct side {
	uint64_t id, root;
	struct thin_details details;
};

static int side_find(struct thin_pool *pool, uint64_t id, struct side *ret_side,
		     struct cow_err *err)
{
	ret_side->id = id;
	return cow_thin_device_find(pool, &pool->super, id, &ret_side->root, &ret_side->details,
				    err);
}

/* Does one virtual block of both lie at the same place? Of a pool that is sound. */
static int sides_share(struct cow_store *store, const struct side *a, const struct side *b,
		       bool *ret_share, struct cow_err *err)
{
	struct store_run one = { 0 }, two = { 0 };
	uint64_t from = 0;
	int ret = 0;

	*ret_share = a->root == b->root;
	while (!*ret_share) {
		uint64_t one_end, two_end;

		ret = cow_thin_snapshot_map(store, a->id, from, &one, err);
		if (!ret)
			ret = cow_thin_snapshot_map(store, b->id, from, &two, err);
		if (ret || !one.len_bytes || !two.len_bytes)
			break;
		one_end = one.old_bytes + one.len_bytes;
		two_end = two.old_bytes + two.len_bytes;
		/* what both have begins at the later of the two */
		from = one.old_bytes > two.old_bytes ? one.old_bytes : two.old_bytes;
		*ret_share = from < one_end && from < two_end &&
			     one.new_bytes + (from - one.old_bytes) ==
				     two.new_bytes + (from - two.old_bytes);
		if (from == one.old_bytes && from == two.old_bytes)
			from = one_end < two_end ? one_end : two_end;
	}
	return ret;
}

static int relation_check(struct cow_store *store, const struct side *a, const struct side *b,
			  struct cow_err *err)
{
	bool share = false;
	int ret = sides_share(store, a, b, &share, err);

	if (ret || share)
		return ret;
	return cow_refuse(err, -EPERM, "origin", "origin",
			  "devices %" PRIu64 " and %" PRIu64
			  " of %s have no data block in common: the one may be no snapshot of the "
			  "other",
			  a->id, b->id, store->metadata->name);
}

/* What LVM is about to tell the pool is about the devices as they are. */
int cow_thin_lvm_check(const struct thin_pool *pool, struct cow_err *err)
{
	if (pool->has_lvm_message)
		return cow_refuse(err, -EPERM, "lvm", NULL,
				  "LVM has a message for the pool of %s that it has not sent: "
				  "activate and deactivate the pool first",
				  pool->metadata->name);
	if (pool->is_lvm_merging)
		return cow_refuse(err, -EPERM, "merging", NULL,
				  "LVM merges a device of the pool of %s when the volume group is "
				  "activated: let it finish",
				  pool->metadata->name);
	if (!pool->has_lvm_transaction || pool->lvm_transaction == pool->super.transaction_id)
		return 0;
	return cow_refuse(err, -EPERM, "lvm", NULL,
			  "the pool of %s is at transaction %" PRIu64 ", LVM at %" PRIu64
			  ": the devices may not be those that LVM means",
			  pool->metadata->name, pool->super.transaction_id, pool->lvm_transaction);
}

/* The details belong to the tree: snapshotted_time goes with it (I16). */
static int both_put(struct thin_pool *pool, const struct side *a, const struct side *b,
		    struct cow_err *err)
{
	/* each entry gives up the root that it had */
	int ret = cow_pdata_block_more(pool->txn, a->root, err);

	if (!ret)
		ret = cow_pdata_block_more(pool->txn, b->root, err);
	if (!ret)
		ret = root_put(pool, a->id, b->root, err);
	if (!ret)
		ret = root_put(pool, b->id, a->root, err);
	if (!ret)
		ret = details_put(pool, a->id, &b->details, err);
	return ret ? ret : details_put(pool, b->id, &a->details, err);
}

int cow_thin_swap(struct cow_store *store, uint64_t a_id, uint64_t b_id, bool is_any,
		  struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	struct side a, b;
	int ret = cow_thin_lvm_check(pool, err);

	if (!ret)
		ret = cow_thin_write_begin(pool, true, err);
	if (!ret && (store->snapshot_id == a_id || store->snapshot_id == b_id))
		ret = cow_fail(err, -EBUSY, "device %" PRIu64 " is open", store->snapshot_id);
	if (!ret)
		ret = side_find(pool, a_id, &a, err);
	if (!ret)
		ret = side_find(pool, b_id, &b, err);
	if (!ret && !is_any)
		ret = relation_check(store, &a, &b, err);
	if (!ret)
		ret = both_put(pool, &a, &b, err);
	if (!ret)
		ret = cow_thin_write_commit(pool, false, err);
	pool->has_failed |= ret != 0;
	return ret;
}
