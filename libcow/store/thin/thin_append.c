/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_append.c - copy-out to devices of a pool that stand on an external origin: before a
 * chunk of the origin is overwritten, what it held goes to a data block, one for all
 * devices that lack it. Order (I14, thin_write.c):
 *	1 the data blocks are written while chunks are appended
 *	2 publish: the data device is flushed
 *	3 the metadata, then block 0: durable, in the sense of I4
 *
 * Time of the mappings. One device: that of the pool, so that the block is its own. Several:
 * one less than the earliest of their last snapshots, so that each of them takes the block
 * as shared and breaks away where it is written to (I16). A device that took part in no
 * snapshot takes part in one now: the time of the pool goes on, and becomes its own.
 *
 * Devices with one root get one new way to the block and keep one root. In all others the
 * nodes on the way are copied, also where two trees have them in common: the block counts
 * one for each of these trees.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/thin/thin_write.h"

/* ---------------------------------------------------------------- room */

/* Each node of a tree but the root holds so many entries at least. */
#define NODE_ENTRIES_MIN 84

/* New nodes of a tree when nr_new entries come to nr_entries, anywhere. */
static uint64_t nodes_worst(uint64_t nr_entries, uint64_t nr_new)
{
	uint64_t changed = nr_new, made = nr_new, nodes = 2; /* a root that is split */

	nr_entries += nr_new;
	do {
		nr_entries = nr_entries / NODE_ENTRIES_MIN + 1;
		made = made / NODE_ENTRIES_MIN + 1;
		changed = min_u64(changed, nr_entries) + made;
		nodes += changed;
	} while (nr_entries > 1);
	return nodes;
}

static uint64_t metadata_worst(const struct thin_pool *pool, struct cow_store *const *stores,
			       size_t nr_stores, uint64_t nr_blocks)
{
	uint64_t nr_bitmaps = div_ceil(pool->super.data_map.nr_blocks, PDATA_BITMAP_ENTRIES);
	/* Bitmaps and index of both maps, and the counts of the metadata from 3 on. */
	uint64_t nodes = min_u64(nr_blocks, nr_bitmaps) + nodes_worst(nr_bitmaps, 0) +
			 cow_pdata_transaction_map_blocks(pool->txn) + 2;

	if (nr_stores >= PDATA_MAP_LARGE)
		nodes += nodes_worst(pool->super.data_map.nr_allocated, nr_blocks);
	for (size_t i = 0; i < nr_stores; i++) {
		nodes += nodes_worst(thin_store_of(stores[i])->details.mapped_blocks, nr_blocks);
		nodes += 4; /* its ways in the trees of devices and of details */
	}
	return nodes;
}

static int room_check(struct thin_pool *pool, struct cow_store *const *stores, size_t nr_stores,
		      uint64_t nr_blocks, struct cow_err *err)
{
	uint64_t nr_data = cow_pdata_disk_map_nr_free(pool->data_map);
	uint64_t need = metadata_worst(pool, stores, nr_stores, nr_blocks);
	uint64_t kept = thin_metadata_reserve(pool->super.metadata_map.nr_blocks);
	uint64_t have = cow_pdata_transaction_nr_free(pool->txn);

	have -= min_u64(have, kept);
	if (nr_blocks > nr_data)
		return cow_refuse(err, -ENOSPC, "data-space", NULL,
				  "the pool of %s has %" PRIu64
				  " free data blocks, and the devices on its origin need %" PRIu64,
				  pool->metadata->name, nr_data, nr_blocks);
	if (nr_blocks && need > have)
		return cow_refuse(err, -ENOSPC, "metadata-space", NULL,
				  "the metadata device %s has room for %" PRIu64
				  " blocks and %" PRIu64 " may be needed: %" PRIu64 " are missing",
				  pool->metadata->name, have, need, need - have);
	return 0;
}

static int member_check(struct cow_store *store, struct cow_err *err)
{
	if (store->is_past)
		return cow_refuse(err, -EROFS, "read-only", NULL,
				  "device %" PRIu64
				  " is of the metadata snapshot, which cannot be changed",
				  store->snapshot_id);
	if (thin_store_of(store)->is_made)
		return cow_fail(err, -EINVAL, "device %" PRIu64 " is being made",
				store->snapshot_id);
	return 0;
}

static int members_begin(struct cow_store *const *stores, size_t nr_stores, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(stores[0]);
	int ret = cow_thin_lvm_check(pool, err);

	if (!ret && nr_stores > THIN_GROUP_MAX)
		ret = cow_refuse(err, -EPERM, "unsupported", NULL,
				 "%zu devices of the pool of %s are to be kept true, and %d can be",
				 nr_stores, pool->metadata->name, THIN_GROUP_MAX);
	for (size_t i = 0; !ret && i < nr_stores; i++)
		ret = member_check(stores[i], err);
	return ret ? ret : cow_thin_write_begin(pool, true, err);
}

int cow_thin_reserve(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err)
{
	struct cow_store *const stores[] = { store };
	int ret = thin_store_of(store)->is_made ? 0 : members_begin(stores, 1, err);

	return ret || thin_store_of(store)->is_made
		       ? ret
		       : room_check(thin_pool_of(store), stores, 1, nr_chunks, err);
}

int cow_thin_reserve_group(struct cow_store *const *stores, size_t nr_stores,
			   struct store_lacks *lacks, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(stores[0]);
	struct store_lack lack;
	uint64_t nr_blocks = 0;
	int ret = members_begin(stores, nr_stores, err);

	while (!ret && lacks->next(lacks, &lack))
		nr_blocks += div_ceil(lack.len_bytes, pool->block_bytes);
	return ret ? ret : room_check(pool, stores, nr_stores, nr_blocks, err);
}

/* ---------------------------------------------------------------- members */

/* From now on root and details of the handle are those of the transaction. The leaf with
 * its entry becomes one of the live tree alone, so that roots which the metadata snapshot
 * has, too, count one for each. */
static int member_touch(struct thin_store *thin, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(&thin->store);
	uint64_t id = thin->store.snapshot_id;
	int ret;

	if (thin->is_changed)
		return 0;
	for (size_t i = 0; i < pool->nr_changed; i++)
		if (pool->changed[i]->store.snapshot_id == id)
			return cow_fail(err, -EINVAL, "device %" PRIu64 " is open twice", id);
	if (pool->nr_changed == THIN_GROUP_MAX)
		return cow_fail(err, -EINVAL, "more than %d devices are changed", THIN_GROUP_MAX);
	ret = cow_thin_device_find(pool, &pool->super, id, &thin->root, &thin->details, err);
	if (!ret)
		ret = cow_thin_device_set(pool, id, thin->root, &thin->details, err);
	if (ret)
		return ret;
	pool->changed[pool->nr_changed++] = thin;
	thin->is_changed = true;
	return 0;
}

/* Those that are given a block, by their roots. */
struct group {
	struct thin_pool *pool;
	struct cow_store *const *members;
	size_t nr_members;
	struct thin_store *leads[THIN_GROUP_MAX]; /* one of each root */
	unsigned int nr_others[THIN_GROUP_MAX];	  /* that have the same */
	size_t nr_leads;
	uint32_t time;
};

static size_t lead_find(const struct group *group, uint64_t root)
{
	size_t i = 0;

	while (i < group->nr_leads && group->leads[i]->root != root)
		i++;
	return i;
}

/* The references of those that follow are taken away, so that a root that is these
 * members' alone is changed where it is; followers_return() gives them back. */
static int leads_find(struct group *group, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < group->nr_members; i++) {
		struct thin_store *thin = thin_store_of(group->members[i]);
		size_t at;

		ret = member_touch(thin, err);
		if (ret)
			break;
		at = lead_find(group, thin->root);
		if (at < group->nr_leads) {
			group->nr_others[at]++;
			ret = cow_pdata_block_less(group->pool->txn, thin->root, err);
			continue;
		}
		group->leads[group->nr_leads++] = thin;
	}
	return ret;
}

static int followers_return(struct group *group, const uint64_t *old_roots, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < group->nr_members; i++) {
		struct thin_store *thin = thin_store_of(group->members[i]);
		size_t at = 0;

		while (at < group->nr_leads && group->leads[at] != thin &&
		       old_roots[at] != thin->root)
			at++;
		if (at == group->nr_leads || group->leads[at] == thin)
			continue;
		thin->root = group->leads[at]->root;
		ret = cow_pdata_block_more(group->pool->txn, thin->root, err);
	}
	return ret;
}

static int time_choose(struct group *group, struct cow_err *err)
{
	uint32_t least = UINT32_MAX;
	bool has_none = false;
	int ret = 0;

	group->time = group->pool->super.time;
	if (group->nr_members == 1)
		return 0;
	for (size_t i = 0; i < group->nr_members; i++)
		has_none |= !thin_store_of(group->members[i])->details.snapshotted_time;
	if (has_none)
		ret = cow_thin_time_advance(group->pool, err);
	for (size_t i = 0; !ret && i < group->nr_members; i++) {
		struct thin_details *details = &thin_store_of(group->members[i])->details;

		if (!details->snapshotted_time)
			details->snapshotted_time = group->pool->super.time;
		if (details->snapshotted_time < least)
			least = details->snapshotted_time;
	}
	group->time = least - 1;
	return ret;
}

/* ---------------------------------------------------------------- blocks */

static int mapping_add(struct thin_store *lead, uint64_t chunk, uint64_t value, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(&lead->store);
	const struct pdata_values values = cow_thin_mapping_values(pool);
	const struct pdata_tree tree = thin_mappings(pool, lead->root);
	bool is_there = false;
	uint8_t raw[8];
	int ret = cow_pdata_tree_lookup(&tree, chunk, NULL, &is_there, err);

	if (!ret && is_there)
		ret = cow_fail(err, -EEXIST, "device %" PRIu64 " has block %" PRIu64 " already",
			       lead->store.snapshot_id, chunk);
	put_le64(raw, value);
	return ret ? ret : cow_pdata_tree_insert(pool->txn, &values, &lead->root, chunk, raw, err);
}

/* One block for all of them. */
static int block_add(struct group *group, uint64_t chunk, struct cow_err *err)
{
	struct thin_pool *pool = group->pool;
	int ret = cow_pdata_disk_map_take(pool->data_map, &pool->part_block, err);

	for (size_t i = 0; !ret && i < group->nr_leads; i++) {
		if (i)
			ret = cow_pdata_disk_map_count(pool->data_map, pool->part_block, true, err);
		if (!ret)
			ret = mapping_add(group->leads[i], chunk,
					  thin_mapping(pool->part_block, group->time), err);
	}
	for (size_t i = 0; !ret && i < group->nr_members; i++)
		thin_store_of(group->members[i])->details.mapped_blocks++;
	return ret;
}

static int part_write(struct thin_pool *pool, uint64_t within, const uint8_t *buf,
		      uint64_t len_bytes, struct cow_err *err)
{
	uint64_t at = chunk_to_bytes(pool->part_block, pool->block_bytes) + within;

	if (!len_bytes)
		return 0;
	return buf ? cow_image_pwrite(pool->data, buf, (size_t)len_bytes, at, err)
		   : cow_image_write_zeroes(pool->data, at, len_bytes, err);
}

/* Where the longest view ends within a block, the rest of it is zeros. */
static int parts_write(struct group *group, uint64_t old_bytes, const uint8_t *buf,
		       uint64_t len_bytes, struct cow_err *err)
{
	struct thin_pool *pool = group->pool;
	uint64_t bytes = pool->block_bytes, end_bytes = 0, len, within;
	int ret = 0;

	for (size_t i = 0; i < group->nr_members; i++)
		end_bytes = max_u64(end_bytes, group->members[i]->view_bytes);
	for (uint64_t done = 0; !ret && done < len_bytes; done += len) {
		within = chunk_within(old_bytes + done, bytes);
		len = min_u64(len_bytes - done, bytes - within);
		if (!within)
			ret = block_add(group, chunk_of(old_bytes + done, bytes), err);
		if (!ret)
			ret = part_write(pool, within, buf ? buf + done : NULL, len, err);
		if (!ret && old_bytes + done + len == end_bytes)
			ret = part_write(pool, within + len, NULL, bytes - within - len, err);
	}
	pool->part_bytes = old_bytes + len_bytes == end_bytes ? ceil_to(end_bytes, bytes)
							      : old_bytes + len_bytes;
	return ret;
}

static int place_check(const struct thin_pool *pool, uint64_t old_bytes, struct cow_err *err)
{
	bool is_open = chunk_within(pool->part_bytes, pool->block_bytes);

	if (is_open ? old_bytes == pool->part_bytes : !chunk_within(old_bytes, pool->block_bytes))
		return 0;
	return cow_fail(err, -EINVAL,
			"byte %" PRIu64 " of a device is not what comes after byte %" PRIu64,
			old_bytes, pool->part_bytes);
}

static int group_append(struct group *group, uint64_t old_bytes, const uint8_t *buf,
			uint64_t len_bytes, struct cow_err *err)
{
	uint64_t old_roots[THIN_GROUP_MAX];
	int ret = leads_find(group, err);

	if (!ret)
		ret = time_choose(group, err);
	for (size_t i = 0; !ret && i < group->nr_leads; i++)
		old_roots[i] = group->leads[i]->root;
	if (!ret)
		ret = parts_write(group, old_bytes, buf, len_bytes, err);
	return ret ? ret : followers_return(group, old_roots, err);
}

int cow_thin_append_group(struct cow_store *const *members, size_t nr_members, uint64_t old_bytes,
			  const void *buf, size_t len_bytes, struct cow_err *err)
{
	struct group group = { .pool = thin_pool_of(members[0]),
			       .members = members,
			       .nr_members = nr_members };
	int ret = members_begin(members, nr_members, err);

	if (!ret)
		ret = place_check(group.pool, old_bytes, err);
	if (ret)
		return ret;
	ret = group_append(&group, old_bytes, (const uint8_t *)buf, len_bytes, err);
	group.pool->has_failed |= ret != 0;
	return ret;
}

int cow_thin_append(struct cow_store *store, uint64_t old_bytes, const void *buf, size_t len_bytes,
		    struct cow_err *err)
{
	struct cow_store *const members[] = { store };

	if (thin_store_of(store)->is_made)
		return cow_thin_fill_append(store, old_bytes, buf, len_bytes, err);
	return cow_thin_append_group(members, 1, old_bytes, buf, len_bytes, err);
}

/* ---------------------------------------------------------------- publish */

/* What the handle shows is read anew: it is that of the transaction. */
static int member_reload(struct thin_store *thin, struct cow_err *err)
{
	thin->is_changed = false;
	cow_exmap_free(thin->store.map);
	thin->store.map = NULL;
	cow_pages_destroy(&thin->is_shared);
	return cow_thin_load(thin, false, err);
}

int cow_thin_publish(struct cow_store *store, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	int ret = 0;

	if (thin_store_of(store)->is_made)
		return cow_thin_fill_publish(store, err);
	if (!pool->nr_changed && !pool->has_failed)
		return 0;
	if (chunk_within(pool->part_bytes, pool->block_bytes))
		ret = cow_fail(err, -EINVAL, "block %" PRIu64 " of a device is not complete",
			       chunk_of(pool->part_bytes, pool->block_bytes));
	if (!ret)
		ret = cow_thin_write_begin(pool, true, err);
	for (size_t i = 0; !ret && i < pool->nr_changed; i++)
		ret = cow_thin_device_set(pool, pool->changed[i]->store.snapshot_id,
					  pool->changed[i]->root, &pool->changed[i]->details, err);
	if (!ret)
		ret = cow_thin_write_commit(pool, true, err);
	pool->has_failed |= ret != 0;
	for (size_t i = 0; !ret && i < pool->nr_changed; i++)
		ret = member_reload(pool->changed[i], err);
	pool->nr_changed = 0;
	pool->part_bytes = 0;
	return ret;
}
