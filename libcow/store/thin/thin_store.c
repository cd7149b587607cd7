/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_store.c - a thin device without a kernel: probe, open, facts, the map. Opening
 * reads only (I10): the superblock, the way to the device, and all of its mappings, by
 * every rule of their trees. The space maps are not looked at: no view depends on
 * them; cow_check() does.
 */
#include "libcow/store/thin/thin_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/pdata/pdata_copy.h"
#include "libcow/store/thin/thin_write.h"

/* The magic number, or a checksum that fits: either is a superblock, maybe a damaged
 * one. */
static int thin_probe(struct cow_image *image, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	struct pdata_fault fault;
	int ret;

	if (image->size_bytes < PDATA_BLOCK_BYTES)
		return cow_fail(err, -EMEDIUMTYPE, "%s is too short for the metadata of a pool",
				image->name);
	ret = cow_image_pread(image, raw, sizeof(raw), 0, err);
	if (ret)
		return ret;
	cow_pdata_block_check(&cow_thin_super_type, 0, raw, &fault);
	if (get_le64(raw + 32) == THIN_MAGIC || fault.what != PDATA_BLOCK_CHECKSUM)
		return 0;
	return cow_fail(err, -EMEDIUMTYPE, "%s does not begin with a superblock of dm-thin",
			image->name);
}

/* ---------------------------------------------------------------- opening */

__attribute__((format(printf, 2, 3))) static void note_add(struct thin_store *thin,
							   const char *format, ...)
{
	va_list args;

	if (thin->nr_notes == THIN_NOTES_MAX)
		return;
	va_start(args, format);
	vsnprintf(thin->notes[thin->nr_notes++], THIN_NOTE_BYTES, format, args);
	va_end(args);
}

/* What a person should know who reads the device. */
static void notes_take(struct thin_store *thin, const struct thin_args *args)
{
	const struct thin_super *super = &thin_pool_of(&thin->store)->super;

	if (super->flags & THIN_FLAG_NEEDS_CHECK)
		note_add(thin, "the pool is marked as one that needs a check: the kernel shows its "
			       "devices, and a write that needs a new block fails with EIO");
	if (args->has_transaction && args->transaction_id != super->transaction_id &&
	    !args->is_held && !thin_is_behind(args, super))
		note_add(thin,
			 "the pool is at transaction %" PRIu64 ", LVM at %" PRIu64
			 ": LVM refuses to activate it",
			 super->transaction_id, args->transaction_id);
	if (super->held_root && !args->is_held)
		note_add(thin,
			 "the pool holds a metadata snapshot, in block %" PRIu64
			 "; metadata-snapshot=yes reads that",
			 super->held_root);
	if (super->compat_ro_flags)
		note_add(thin,
			 "the pool has features (compat_ro flags %#" PRIx32
			 ") with which a kernel may read it, and not write to it",
			 super->compat_ro_flags);
	if (thin->is_size_guessed)
		note_add(thin,
			 "the length of device %" PRIu64
			 " is not known: it is taken to end with its highest mapping, at %" PRIu64
			 " bytes; add size=N if it is longer",
			 thin->store.snapshot_id, thin->store.view_bytes);
}

static int size_refuse(const char *what, const struct cow_image *image, uint64_t wanted_bytes,
		       struct cow_err *err)
{
	return cow_refuse(err, -ERANGE, "bounds", "damaged",
			  "the pool has %" PRIu64 " bytes of %s, %s only %" PRIu64
			  ": it is the wrong one, or was cut short; the kernel refuses that",
			  wanted_bytes, what, image->name, image->size_bytes);
}

/* The kernel grows what is larger, and refuses what is smaller. */
static int sizes_check(const struct thin_pool *pool, struct cow_err *err)
{
	const struct thin_super *super = &pool->super;
	uint64_t data = chunk_to_bytes(super->data_map.nr_blocks, pool->block_bytes);
	uint64_t metadata = chunk_to_bytes(super->metadata_map.nr_blocks, PDATA_BLOCK_BYTES);

	if (metadata > pool->metadata->size_bytes)
		return size_refuse("metadata", pool->metadata, metadata, err);
	if (data > pool->data->size_bytes)
		return size_refuse("data", pool->data, data, err);
	return 0;
}

static int chunk_check(const struct thin_pool *pool, const struct cow_store_args *args,
		       struct cow_err *err)
{
	if (!args->chunk_bytes || args->chunk_bytes == pool->block_bytes)
		return 0;
	return cow_refuse(err, -EINVAL, "chunk-size", NULL,
			  "the superblock says blocks of %" PRIu64
			  " bytes, the option says %" PRIu64,
			  pool->block_bytes, args->chunk_bytes);
}

/* Without a size the device ends with its highest mapping. */
static int size_guess(struct thin_store *thin, struct cow_err *err)
{
	const struct pdata_tree tree = thin_mappings(thin_pool_of(&thin->store), thin->root);
	uint64_t bytes = thin->store.chunk_bytes, key = 0;
	struct exmap_run run;
	bool found;
	int ret = 0;

	thin->is_size_guessed = true;
	if (thin->store.has_no_map) {
		ret = cow_pdata_tree_prev(&tree, COW_IMAGE_BYTES_MAX / bytes - 1, &key, NULL,
					  &found, err);
	} else {
		found = cow_exmap_prev(thin->store.map, EXMAP_CHUNK_LIMIT, &run);
		key = found ? run.old_chunk + run.nr_chunks - 1 : 0;
	}
	if (ret)
		return ret;
	if (!found)
		return cow_refuse(err, -EPERM, "size", NULL,
				  "device %" PRIu64
				  " maps no block, so nothing tells how long it is: add size=...",
				  thin->store.snapshot_id);
	thin->store.view_bytes = min_u64(chunk_to_bytes(key + 1, bytes), COW_IMAGE_BYTES_MAX);
	return 0;
}

static int device_load(struct thin_store *thin, const struct cow_store_args *args,
		       const struct thin_args *wanted, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(&thin->store);
	bool is_lenient = args->flags & COW_STORE_DAMAGED;
	int ret = chunk_check(pool, args, err);

	if (!ret && !is_lenient)
		ret = sizes_check(pool, err);
	if (!ret && !wanted->has_id)
		ret = cow_fail(err, -EINVAL,
			       "which device of the pool? add id=N; snapcheck lists them");
	if (ret)
		return ret;
	thin->store.snapshot_id = wanted->id;
	thin->store.chunk_bytes = pool->block_bytes;
	thin->store.view_bytes = wanted->size_bytes;
	thin->store.has_no_map = args->flags & COW_STORE_NO_MAP;
	ret = cow_thin_device_find(pool, thin_super_of(&thin->store), wanted->id, &thin->root,
				   &thin->details, err);
	if (!ret)
		ret = cow_thin_load(thin, is_lenient, err);
	if (!ret && !wanted->size_bytes)
		ret = size_guess(thin, err);
	if (!ret)
		notes_take(thin, wanted);
	return ret;
}

static int pool_take(struct thin_store *thin, const struct cow_store_args *args,
		     const struct thin_args *wanted, struct cow_err *err)
{
	struct thin_pool *pool = args->sibling ? thin_pool_of(args->sibling) : NULL;
	struct cow_image *metadata = cow_store_args_image(args, COW_ROLE_METADATA, 0);
	struct cow_image *data = cow_store_args_image(args, COW_ROLE_DATA, 0);
	int ret = 0;

	if (!pool && (!metadata || !data))
		return cow_fail(err, -EINVAL,
				"a pool consists of metadata and data: one of them was not given");
	if (!pool)
		ret = cow_thin_pool_open(metadata, data, wanted, &pool, err);
	if (ret)
		return ret;
	pool->shared.is_managed |= wanted->has_transaction || pool->super.transaction_id;
	pool->has_lvm_transaction |= wanted->has_transaction;
	pool->has_lvm_message |= wanted->is_pending;
	pool->is_lvm_merging |= wanted->is_merging;
	if (wanted->has_transaction)
		pool->lvm_transaction = wanted->transaction_id;
	pool->shared.nr_handles++;
	thin->store.shared = &pool->shared;
	thin->store.metadata = pool->metadata;
	thin->store.data = pool->data;
	thin->store.is_past = wanted->is_held;
	return wanted->is_held ? cow_thin_pool_held(pool, err) : 0;
}

static int thin_open(const struct cow_store_args *args, struct cow_store **ret_store,
		     struct cow_err *err)
{
	struct thin_store *thin = calloc(1, sizeof(*thin));
	struct thin_args wanted;
	int ret;

	if (!thin)
		return cow_fail(err, -ENOMEM, "no memory for a thin device");
	thin->store.ops = &cow_store_thin_ops;
	thin->store.origin = cow_store_args_image(args, COW_ROLE_ORIGIN, 0);
	ret = cow_thin_args_read(args, &wanted, err);
	if (!ret)
		ret = pool_take(thin, args, &wanted, err);
	/* a handle on no device is for what changes the pool */
	if (!ret && (wanted.has_id || !(args->flags & STORE_OPEN_NONE)))
		ret = device_load(thin, args, &wanted, err);
	else if (!ret)
		thin->store.snapshot_id = STORE_SNAPSHOT_NONE;
	if (ret) {
		cow_store_close(&thin->store);
		return ret;
	}
	*ret_store = &thin->store;
	return 0;
}

static void thin_close(struct cow_store *store)
{
	struct thin_pool *pool = thin_pool_of(store);

	/* what was begun is in the transaction, half of it */
	if (pool && (thin_store_of(store)->is_made || thin_store_of(store)->is_changed))
		pool->has_failed = true;
	cow_pages_destroy(&thin_store_of(store)->is_shared);
	cow_pages_destroy(&thin_store_of(store)->has_others);
	if (pool && !--pool->shared.nr_handles)
		cow_thin_pool_free(pool);
}

/* ---------------------------------------------------------------- facts */

static void thin_info(const struct cow_store *store, struct cow_store_info *ret_info)
{
	const struct thin_store *thin = (const struct thin_store *)store;
	const struct thin_pool *pool = thin_pool_of(store);
	uint64_t block_sectors = pool->super.block_sectors;

	ret_info->kind = store->ops->name;
	ret_info->valid = true;
	ret_info->chunk_bytes = store->chunk_bytes;
	ret_info->view_bytes = store->view_bytes;
	ret_info->nr_exceptions = thin->nr_mapped;
	ret_info->allocated_sectors = pool->super.data_map.nr_allocated * block_sectors;
	ret_info->total_sectors = pool->super.data_map.nr_blocks * block_sectors;
	ret_info->units = "blocks";
	ret_info->title = "thin device";
	ret_info->held = "mapped";
	ret_info->is_size_guessed = thin->is_size_guessed;
}

static const char *thin_note(const struct cow_store *store, size_t index)
{
	const struct thin_store *thin = (const struct thin_store *)store;

	return index < thin->nr_notes ? thin->notes[index] : NULL;
}

static bool thin_is_shared(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks)
{
	return cow_pages_bits(&((const struct thin_store *)store)->is_shared, old_chunk, nr_chunks);
}

static int thin_metadata_copy(const struct cow_store_args *args,
			      const struct cow_callbacks *callbacks, struct cow_image *target,
			      struct cow_err *err)
{
	struct cow_image *metadata = cow_thin_args_metadata(args);

	if (!metadata)
		return cow_fail(err, -EINVAL, "a pool needs its metadata");
	return cow_pdata_copy(metadata, &cow_thin_super_type, callbacks, target, err);
}

static int thin_unchanged(struct cow_store *store, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	uint8_t now[PDATA_BLOCK_BYTES];
	int ret = cow_thin_super_read(pool->metadata, now, err);

	if (ret || !memcmp(now, pool->raw, sizeof(now)))
		return ret;
	ret = cow_refuse(err, -EBUSY, "changed", NULL,
			 "the superblock of %s has just changed: another program writes to it",
			 pool->metadata->name);
	cow_err_place(err, pool->metadata->name, 0);
	return ret;
}

const struct store_ops cow_store_thin_ops = {
	.name = "thin",
	.summary = "dm-thin: devices and snapshots that share the blocks of a pool",
	.can_share = true,
	.is_lvm_pool = true,
	.probe_role = COW_ROLE_METADATA,
	.probe = thin_probe,
	.open = thin_open,
	.close = thin_close,
	.info = thin_info,
	.note = thin_note,
	.is_shared = thin_is_shared,
	.difference = cow_thin_difference,
	.find_owners = cow_thin_find_owners,
	.has_others = cow_thin_has_others,
	.check = cow_thin_check,
	.needs_target = true,
	.repair = cow_thin_repair,
	.metadata_copy = thin_metadata_copy,
	.snapshot_next = cow_thin_snapshot_next,
	.snapshot_map = cow_thin_snapshot_map,
	.swap = cow_thin_swap,
	.snapshot_create = cow_thin_snapshot_create,
	.snapshot_delete = cow_thin_snapshot_delete,
	.snapshot_begin = cow_thin_snapshot_begin,
	.snapshot_end = cow_thin_snapshot_end,
	.reserve = cow_thin_reserve,
	.append = cow_thin_append,
	.reserve_group = cow_thin_reserve_group,
	.append_group = cow_thin_append_group,
	.publish = cow_thin_publish,
	.create_size = cow_thin_create_size,
	.create_fit = cow_thin_create_fit,
	.create = cow_thin_create,
	.unchanged = thin_unchanged,
};
