/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pool.c - the operations of a pool; pool_disk.c has its state. All handles
 * stand on one struct pool; what they change is there at once for all of them
 * and durable with the next commit, which publish() of any handle makes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "tests/aids/pool_priv.h"

struct pool_store {
	struct cow_store store; /* first: the wrappers free it */
	uint64_t cursor;	/* entries below are still to be given out */
};

static const struct store_ops pool_ops;

static struct pool *pool_of(const struct cow_store *store)
{
	return (struct pool *)store->shared;
}

/* No snapshot: one without entries. */
static struct pool_snapshot *shown(const struct cow_store *store)
{
	static struct pool_snapshot nothing;
	struct pool_snapshot *snapshot = pool_find(pool_of(store), store->snapshot_id);

	return snapshot ? snapshot : &nothing;
}

/* ------------------------------------------------------------- open, close */

static int pool_store_open(const struct cow_store_args *args, struct cow_store **ret_store,
			   struct cow_err *err)
{
	struct cow_image *image = cow_store_args_image(args, COW_ROLE_COW, 0);
	struct pool *pool = args->sibling ? pool_of(args->sibling) : NULL;
	struct pool_store *p = calloc(1, sizeof(*p));
	struct pool_snapshot *snapshot;
	int ret = p ? 0 : -ENOMEM;

	if (!ret && !pool)
		ret = pool_load(image, &pool, err);
	if (ret) {
		free(p);
		return ret;
	}
	snapshot = pool_find(pool, args->snapshot_id);
	p->store.ops = &pool_ops;
	p->store.shared = &pool->shared;
	pool->shared.nr_handles++;
	p->store.origin = p->store.target = cow_store_args_image(args, COW_ROLE_ORIGIN, 0);
	p->store.data = p->store.metadata = pool->image;
	p->store.chunk_bytes = pool->chunk_bytes;
	p->store.snapshot_id = args->snapshot_id;
	p->store.view_bytes = snapshot ? snapshot->view_bytes : 0;
	if (snapshot)
		snapshot->nr_open++;
	if (!snapshot && args->snapshot_id != STORE_SNAPSHOT_NONE) {
		cow_store_close(&p->store);
		return cow_fail(err, -ENOENT, "there is no such snapshot");
	}
	*ret_store = &p->store;
	return 0;
}

static void pool_store_close(struct cow_store *store)
{
	struct pool *pool = pool_of(store);
	struct pool_snapshot *snapshot = pool_find(pool, store->snapshot_id);

	if (snapshot)
		snapshot->nr_open--;
	if (!--pool->shared.nr_handles)
		pool_free(pool);
}

int pool_open(struct cow_image *image, struct cow_image *origin, uint64_t snapshot_id,
	      struct cow_store *sibling, struct cow_store **ret_store, struct cow_err *err)
{
	const struct cow_role_image images[] = { { COW_ROLE_COW, 0, image },
						 { COW_ROLE_ORIGIN, 0, origin } };
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.images = images;
	args.nr_images = 2;
	args.snapshot_id = snapshot_id;
	args.sibling = sibling;
	return pool_store_open(&args, ret_store, err);
}

static void pool_info(const struct cow_store *store, struct cow_store_info *ret_info)
{
	uint64_t chunk_sectors = bytes_to_sectors(store->chunk_bytes);

	ret_info->kind = store->ops->name;
	ret_info->valid = true;
	ret_info->chunk_bytes = store->chunk_bytes;
	ret_info->nr_exceptions = shown(store)->nr;
	ret_info->allocated_sectors = pool_nr_used(store) * chunk_sectors;
	ret_info->total_sectors = bytes_to_sectors(store->data->size_bytes);
	ret_info->metadata_sectors = bytes_to_sectors(2 * POOL_SLOT_BYTES);
}

uint64_t pool_nr_used(const struct cow_store *store)
{
	const struct pool *pool = pool_of(store);
	uint64_t nr = 0;

	for (uint64_t i = 0; i < pool->nr_blocks; i++)
		nr += pool->counts[i] != 0;
	return nr;
}

/* -------------------------------------------------------------------- maps */

static bool is_shared(const struct pool *pool, const struct pool_entry *entry)
{
	return pool->counts[entry->block] > 1;
}

static bool run_at(const struct pool *pool, const struct pool_snapshot *snapshot,
		   uint64_t old_chunk, struct exmap_run *ret_run)
{
	size_t i = pool_index(snapshot, old_chunk);
	const struct pool_entry *first = &snapshot->entries[i], *entry = first + 1;

	if (i == snapshot->nr)
		return false;
	while (entry < snapshot->entries + snapshot->nr &&
	       entry->old_chunk == entry[-1].old_chunk + 1 && entry->block == entry[-1].block + 1 &&
	       is_shared(pool, entry) == is_shared(pool, first))
		entry++;
	*ret_run = (struct exmap_run){ first->old_chunk, first->block, (uint64_t)(entry - first) };
	return true;
}

static bool pool_map_next(const struct cow_store *store, uint64_t old_chunk,
			  struct exmap_run *ret_run)
{
	return run_at(pool_of(store), shown(store), old_chunk, ret_run);
}

static int pool_snapshot_map(struct cow_store *store, uint64_t id, uint64_t from_bytes,
			     struct store_run *ret_run, struct cow_err *err)
{
	struct pool *pool = pool_of(store);
	const struct pool_snapshot *snapshot = pool_find(pool, id);
	uint64_t chunk_bytes = pool->chunk_bytes, within;
	struct exmap_run run;

	if (!snapshot)
		return cow_fail(err, -ENOENT, "there is no such snapshot");
	*ret_run = (struct store_run){ 0 };
	if (!run_at(pool, snapshot, chunk_of(from_bytes, chunk_bytes), &run))
		return 0;
	within = run.old_chunk * chunk_bytes < from_bytes ? chunk_within(from_bytes, chunk_bytes)
							  : 0;
	*ret_run = (struct store_run){ .old_bytes = run.old_chunk * chunk_bytes + within,
				       .new_bytes = run.new_chunk * chunk_bytes + within,
				       .len_bytes = run.nr_chunks * chunk_bytes - within,
				       .is_shared = pool->counts[run.new_chunk] > 1 };
	return 0;
}

/* --------------------------------------------------------------- copy-out */

static int pool_reserve_group(struct cow_store *const *stores, size_t nr_stores,
			      struct store_lacks *lacks, struct cow_err *err)
{
	const struct pool *pool = pool_of(stores[0]);
	uint64_t nr_blocks = 0, nr_entries = 0, nr;
	struct store_lack lack;

	(void)nr_stores;
	while (lacks->next(lacks, &lack)) {
		nr = div_ceil(lack.len_bytes, pool->chunk_bytes);
		nr_blocks += nr;
		nr_entries += nr * lack.nr_members;
	}
	if (nr_blocks > pool_nr_free(pool) || nr_entries > pool_room(pool))
		return cow_fail(err, -ENOSPC, "the pool has no room");
	return 0;
}

/* A new block for a chunk that members lack. */
static int chunk_begin(struct pool *pool, struct cow_store *const *members, size_t nr_members,
		       uint64_t old_chunk, struct cow_err *err)
{
	struct pool_entry entry = { .old_chunk = old_chunk };
	int ret = pool_alloc(pool, &entry.block, err);

	pool->unfinished_end = 0;
	for (size_t i = 0; i < nr_members && !ret; i++) {
		struct pool_snapshot *snapshot = shown(members[i]);

		ret = pool_insert(snapshot, &entry, err);
		if (ret)
			break;
		pool->counts[entry.block]++;
		pool->unfinished_end = max_u64(pool->unfinished_end, snapshot->view_bytes);
	}
	pool->unfinished_old = old_chunk;
	pool->unfinished_block = entry.block;
	return ret;
}

static int append_piece(struct pool *pool, struct cow_store *const *members, size_t nr_members,
			uint64_t old_bytes, const uint8_t *buf, uint64_t *len, struct cow_err *err)
{
	uint64_t chunk_bytes = pool->chunk_bytes, within = chunk_within(old_bytes, chunk_bytes), at;
	int ret = 0;

	if (within != pool->unfinished_bytes ||
	    (within && chunk_of(old_bytes, chunk_bytes) != pool->unfinished_old))
		return cow_fail(err, -EINVAL, "that does not continue the unfinished chunk");
	if (!within)
		ret = chunk_begin(pool, members, nr_members, chunk_of(old_bytes, chunk_bytes), err);
	if (ret)
		return ret;
	*len = min_u64(*len, chunk_bytes - within);
	at = pool->unfinished_block * chunk_bytes + within;
	ret = buf ? cow_image_pwrite(pool->image, buf, *len, at, err)
		  : cow_image_write_zeroes(pool->image, at, *len, err);
	pool->unfinished_bytes = old_bytes + *len == pool->unfinished_end
					 ? 0
					 : chunk_within(old_bytes + *len, chunk_bytes);
	return ret;
}

static int pool_append_group(struct cow_store *const *members, size_t nr_members,
			     uint64_t old_bytes, const void *buf, size_t len_bytes,
			     struct cow_err *err)
{
	struct pool *pool = pool_of(members[0]);
	uint64_t done, len;
	int ret = 0;

	for (done = 0; done < len_bytes && !ret; done += len) {
		len = len_bytes - done;
		ret = append_piece(pool, members, nr_members, old_bytes + done,
				   buf ? (const uint8_t *)buf + done : NULL, &len, err);
	}
	pool->has_failed = pool->has_failed || ret;
	return ret;
}

static int pool_reserve(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err)
{
	const struct pool *pool = pool_of(store);

	if (nr_chunks > pool_nr_free(pool) || nr_chunks > pool_room(pool))
		return cow_fail(err, -ENOSPC, "the pool has no room");
	return 0;
}

static int pool_append(struct cow_store *store, uint64_t old_bytes, const void *buf,
		       size_t len_bytes, struct cow_err *err)
{
	return pool_append_group(&store, 1, old_bytes, buf, len_bytes, err);
}

static int pool_publish(struct cow_store *store, struct cow_err *err)
{
	if (pool_of(store)->unfinished_bytes)
		return cow_fail(err, -EINVAL, "the last chunk is unfinished");
	return pool_commit(pool_of(store), err);
}

static int entry_unshare(struct pool *pool, struct pool_entry *entry, uint8_t *buf,
			 struct cow_err *err)
{
	uint64_t block;
	int ret = pool_alloc(pool, &block, err);

	if (!ret)
		ret = cow_image_pread(pool->image, buf, pool->chunk_bytes,
				      entry->block * pool->chunk_bytes, err);
	if (!ret)
		ret = cow_image_pwrite(pool->image, buf, pool->chunk_bytes,
				       block * pool->chunk_bytes, err);
	if (ret)
		return ret;
	pool->counts[entry->block]--;
	pool->counts[block]++;
	entry->block = block;
	return 0;
}

static int pool_unshare(struct cow_store *store, uint64_t old_bytes, uint64_t len_bytes,
			struct cow_err *err)
{
	struct pool *pool = pool_of(store);
	struct pool_snapshot *snapshot = shown(store);
	uint64_t last = chunk_of(old_bytes + len_bytes - 1, pool->chunk_bytes);
	size_t i = pool_index(snapshot, chunk_of(old_bytes, pool->chunk_bytes));
	AUTO_FREE uint8_t *buf = malloc(pool->chunk_bytes);
	int ret = buf ? 0 : cow_fail(err, -ENOMEM, "no memory for a chunk");

	for (; !ret && i < snapshot->nr && snapshot->entries[i].old_chunk <= last; i++)
		if (is_shared(pool, &snapshot->entries[i]))
			ret = entry_unshare(pool, &snapshot->entries[i], buf, err);
	return ret;
}

/* -------------------------------------------------------------- snapshots */

static int pool_snapshot_next(struct cow_store *store, uint64_t from_id, uint64_t *ret_id,
			      struct cow_err *err)
{
	const struct pool *pool = pool_of(store);

	(void)err;
	*ret_id = STORE_SNAPSHOT_NONE;
	for (size_t i = 0; i < pool->nr_snapshots; i++)
		if (pool->snapshots[i].id >= from_id)
			*ret_id = min_u64(*ret_id, pool->snapshots[i].id);
	return 0;
}

static int pool_snapshot_create(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
				uint64_t *ret_id, struct cow_err *err)
{
	struct pool *pool = pool_of(store);
	struct pool_snapshot *grown = cow_array_grow(pool->snapshots, pool->nr_snapshots,
						     &pool->capacity, sizeof(*grown));
	struct pool_snapshot *snapshot;
	const struct pool_snapshot *parent;
	int ret = 0;

	if (!grown)
		return cow_fail(err, -ENOMEM, "no memory for a snapshot");
	pool->snapshots = grown;
	parent = pool_find(pool, parent_id);
	if (!parent && parent_id != STORE_SNAPSHOT_NONE)
		return cow_fail(err, -ENOENT, "there is no such snapshot");
	snapshot = &pool->snapshots[pool->nr_snapshots++];
	*snapshot = (struct pool_snapshot){
		.id = pool->next_id++,
		.view_bytes = parent ? parent->view_bytes : view_bytes,
	};
	for (size_t i = 0; parent && i < parent->nr && !ret; i++) {
		ret = pool_insert(snapshot, &parent->entries[i], err);
		pool->counts[parent->entries[i].block]++;
	}
	*ret_id = snapshot->id;
	return ret ? ret : pool_commit(pool, err);
}

static int pool_snapshot_delete(struct cow_store *store, uint64_t id, struct cow_err *err)
{
	struct pool *pool = pool_of(store);
	struct pool_snapshot *snapshot = pool_find(pool, id);

	if (!snapshot)
		return cow_fail(err, -ENOENT, "there is no such snapshot");
	if (snapshot->nr_open)
		return cow_fail(err, -EBUSY, "the snapshot is open");
	for (size_t i = 0; i < snapshot->nr; i++)
		pool->counts[snapshot->entries[i].block]--;
	free(snapshot->entries);
	*snapshot = pool->snapshots[--pool->nr_snapshots];
	return pool_commit(pool, err);
}

static int pool_swap(struct cow_store *store, uint64_t a_id, uint64_t b_id, bool is_any,
		     struct cow_err *err)
{
	struct pool_snapshot *a = pool_find(pool_of(store), a_id);
	struct pool_snapshot *b = pool_find(pool_of(store), b_id), kept;

	(void)is_any;
	if (!a || !b)
		return cow_fail(err, -ENOENT, "there is no such snapshot");
	kept = *a;
	*a = *b;
	a->id = kept.id;
	a->nr_open = kept.nr_open;
	kept.id = b->id;
	kept.nr_open = b->nr_open;
	*b = kept;
	return pool_commit(pool_of(store), err);
}

/* ------------------------------------------------------------------- merge */

static int pool_next_moves(struct cow_store *store, uint64_t budget_bytes,
			   struct store_moves *moves, struct cow_err *err)
{
	struct pool_store *p = (struct pool_store *)store;
	const struct pool_snapshot *snapshot = shown(store);
	uint64_t chunk_bytes = store->chunk_bytes, size = store->target->size_bytes, bytes = 0;

	for (; p->cursor && bytes < max_u64(budget_bytes, 1); bytes += chunk_bytes) {
		const struct pool_entry *entry = &snapshot->entries[--p->cursor];
		struct store_move move = { .from = store->data,
					   .to = store->target,
					   .from_bytes = entry->block * chunk_bytes,
					   .to_bytes = entry->old_chunk * chunk_bytes };
		int ret;

		move.len_bytes = min_u64(chunk_bytes, size - move.to_bytes);
		ret = cow_store_moves_add(moves, &move, err);
		if (ret)
			return ret;
		moves->nr_chunks++;
	}
	moves->token = p->cursor;
	moves->is_last = !p->cursor;
	return 0;
}

static int pool_settle(struct cow_store *store, uint64_t token, struct cow_err *err)
{
	struct pool_snapshot *snapshot = shown(store);

	for (; snapshot->nr > token; snapshot->nr--)
		pool_of(store)->counts[snapshot->entries[snapshot->nr - 1].block]--;
	return pool_commit(pool_of(store), err);
}

static void pool_rewind(struct cow_store *store)
{
	((struct pool_store *)store)->cursor = shown(store)->nr;
}

static const struct store_ops pool_ops = {
	.name = "pool",
	.summary = "snapshots that share their blocks, for tests",
	.probe_role = COW_ROLE_COW,
	.jobs = STORE_JOB_SIBLING | STORE_JOB_KEEP,
	.can_share = true,
	.open = pool_store_open,
	.close = pool_store_close,
	.info = pool_info,
	.map_next = pool_map_next,
	.next_moves = pool_next_moves,
	.settle = pool_settle,
	.rewind = pool_rewind,
	.reserve = pool_reserve,
	.append = pool_append,
	.publish = pool_publish,
	.reserve_group = pool_reserve_group,
	.append_group = pool_append_group,
	.unshare = pool_unshare,
	.swap = pool_swap,
	.snapshot_next = pool_snapshot_next,
	.snapshot_create = pool_snapshot_create,
	.snapshot_delete = pool_snapshot_delete,
	.snapshot_map = pool_snapshot_map,
};
