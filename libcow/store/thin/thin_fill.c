/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_fill.c - makes a device and fills it, in one transaction: a handle on the new
 * device takes blocks of data, each of which goes to a data block that nothing names, and
 * its mapping replaces what the device has from its parent. Order (I14, thin_write.c):
 *	1 the data blocks are written while the device is filled
 *	2 snapshot_end: the data device is flushed
 *	3 the metadata, then block 0
 * A crash or a failure before 3 leaves the pool as it was: what was written lies in free
 * blocks. A block that the device gave up is not taken again in between (I16).
 *
 * The new mappings have the time of the pool after the snapshot, and so has the device its
 * snapshotted_time: the blocks are its own. Source: drivers/md/dm-thin-metadata.c,
 * __create_snap(), __insert(), Linux 6.1.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/thin/thin_write.h"

/* ---------------------------------------------------------------- begin */

/* What the parent maps behind the end would be there when the device is made longer. */
static int end_check(const struct thin_store *made, uint64_t parent_id, uint64_t view_bytes,
		     struct cow_err *err)
{
	const struct pdata_tree tree = thin_mappings(thin_pool_of(&made->store), made->root);
	uint64_t key = 0;
	bool found = false;
	int ret = cow_pdata_tree_next(&tree, div_ceil(view_bytes, made->store.chunk_bytes), &key,
				      NULL, &found, err);

	if (ret || !found)
		return ret;
	return cow_refuse(err, -EPERM, "size", NULL,
			  "a snapshot of %" PRIu64 " bytes would be shorter than device %" PRIu64
			  ", which has data at byte %" PRIu64,
			  view_bytes, parent_id, chunk_to_bytes(key, made->store.chunk_bytes));
}

static int handle_new(struct cow_store *store, uint64_t view_bytes, struct thin_store **ret_made,
		      struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	struct thin_store *made = calloc(1, sizeof(*made));
	int ret;

	if (!made)
		return cow_fail(err, -ENOMEM, "no memory for a thin device");
	made->store.ops = store->ops;
	made->store.shared = store->shared;
	made->store.metadata = pool->metadata;
	made->store.data = pool->data;
	made->store.chunk_bytes = pool->block_bytes;
	/* whole blocks: what is behind the end is filled, too */
	made->store.view_bytes = ceil_to(view_bytes, pool->block_bytes);
	made->store.snapshot_id = STORE_SNAPSHOT_NONE;
	pool->shared.nr_handles++;
	ret = cow_exmap_new(&made->store.map, err);
	if (!ret)
		ret = cow_exmap_seal(made->store.map, NULL, NULL, err);
	if (ret)
		cow_store_close(&made->store);
	else
		*ret_made = made;
	return ret;
}

int cow_thin_snapshot_begin(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			    uint64_t *id, struct cow_store **ret_made, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	struct thin_store *made = NULL;
	uint64_t new_id = *id;
	int ret = handle_new(store, view_bytes, &made, err);

	if (ret)
		return ret;
	made->is_made = true; /* what fails from here on spoils the transaction */
	made->has_parent = parent_id != STORE_SNAPSHOT_NONE;
	ret = cow_thin_device_begin(pool, parent_id, &new_id, &made->root, &made->details, err);
	if (!ret)
		ret = end_check(made, parent_id, view_bytes, err);
	if (ret) {
		cow_store_close(&made->store);
		return ret;
	}
	*id = made->store.snapshot_id = new_id;
	*ret_made = &made->store;
	return 0;
}

/* ---------------------------------------------------------------- blocks */

/* A data block of the device's own for this block of it. */
static int block_take(struct thin_store *made, uint64_t chunk, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(&made->store);
	const struct pdata_values values = cow_thin_mapping_values(pool);
	const struct pdata_tree tree = thin_mappings(pool, made->root);
	bool has_old = false;
	uint8_t value[8];
	int ret = 0;

	if (made->has_parent)
		ret = cow_pdata_tree_lookup(&tree, chunk, NULL, &has_old, err);
	if (!ret)
		ret = cow_pdata_disk_map_take(pool->data_map, &made->data_block, err);
	if (ret)
		return ret;
	put_le64(value, thin_mapping(made->data_block, pool->super.time));
	made->details.mapped_blocks += !has_old;
	return cow_pdata_tree_insert(pool->txn, &values, &made->root, chunk, value, err);
}

/* Bytes that lie together on the data device, too. */
struct run {
	uint64_t data_bytes, len_bytes;
	const uint8_t *buf; /* NULL: zeros */
};

static int run_write(struct thin_store *made, const struct run *run, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(&made->store);

	if (!run->len_bytes || pool->shared.is_rehearsal)
		return 0;
	made->has_data = true;
	if (run->buf)
		return cow_image_pwrite(pool->data, run->buf, (size_t)run->len_bytes,
					run->data_bytes, err);
	return cow_image_write_zeroes(pool->data, run->data_bytes, run->len_bytes, err);
}

/* Gives the device the next bytes, at most to the end of a block. */
static int part_take(struct thin_store *made, uint64_t len_bytes, struct run *ret_part,
		     struct cow_err *err)
{
	uint64_t bytes = made->store.chunk_bytes, at = made->filled_bytes;
	uint64_t within = chunk_within(at, bytes);
	int ret = within ? 0 : block_take(made, chunk_of(at, bytes), err);

	ret_part->data_bytes = chunk_to_bytes(made->data_block, bytes) + within;
	ret_part->len_bytes = min_u64(len_bytes, bytes - within);
	made->filled_bytes += ret_part->len_bytes;
	return ret;
}

static int place_check(const struct thin_store *made, uint64_t old_bytes, uint64_t len_bytes,
		       struct cow_err *err)
{
	uint64_t bytes = made->store.chunk_bytes;
	bool is_next = chunk_within(made->filled_bytes, bytes)
			       ? old_bytes == made->filled_bytes
			       : old_bytes >= made->filled_bytes && !chunk_within(old_bytes, bytes);

	if (is_next && range_fits(old_bytes, len_bytes, made->store.view_bytes))
		return 0;
	return cow_fail(err, -EINVAL,
			"%" PRIu64 " bytes at byte %" PRIu64 " of a device are not what follows "
			"byte %" PRIu64,
			len_bytes, old_bytes, made->filled_bytes);
}

int cow_thin_fill_append(struct cow_store *store, uint64_t old_bytes, const void *buf,
			 size_t len_bytes, struct cow_err *err)
{
	struct thin_store *made = thin_store_of(store);
	struct run run = { .buf = (const uint8_t *)buf }, part;
	int ret = place_check(made, old_bytes, len_bytes, err);

	if (ret)
		return ret;
	made->filled_bytes = old_bytes;
	for (uint64_t left = len_bytes; !ret && left; left -= part.len_bytes) {
		ret = part_take(made, left, &part, err);
		if (ret || (run.len_bytes && part.data_bytes == run.data_bytes + run.len_bytes)) {
			run.len_bytes += ret ? 0 : part.len_bytes;
			continue;
		}
		ret = run_write(made, &run, err);
		run.buf = buf ? (const uint8_t *)buf + (len_bytes - left) : NULL;
		run.data_bytes = part.data_bytes;
		run.len_bytes = part.len_bytes;
	}
	return ret ? ret : run_write(made, &run, err);
}

/* Nobody is to see a part of it. */
int cow_thin_fill_publish(struct cow_store *store, struct cow_err *err)
{
	return place_check(thin_store_of(store), thin_store_of(store)->filled_bytes, 0, err);
}

/* ---------------------------------------------------------------- end */

int cow_thin_snapshot_end(struct cow_store *store, struct cow_err *err)
{
	struct thin_store *made = thin_store_of(store);
	struct thin_pool *pool = thin_pool_of(store);
	int ret = 0;

	if (!made->is_made || chunk_within(made->filled_bytes, store->chunk_bytes))
		ret = cow_fail(err, -EINVAL, "block %" PRIu64 " of a device is not complete",
			       chunk_of(made->filled_bytes, store->chunk_bytes));
	if (!ret)
		ret = cow_thin_device_put(pool, store->snapshot_id, made->root, &made->details,
					  err);
	if (!ret)
		ret = cow_thin_write_commit(pool, made->has_data, err);
	pool->has_failed |= ret != 0;
	made->is_made = false;
	return ret;
}
