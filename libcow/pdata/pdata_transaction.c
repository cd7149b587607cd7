/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_transaction.c - new blocks, shadows, and the commit of I14. Blocks of
 * the transaction are pending in the block reader, so that every lookup sees
 * them. New numbers go upwards from the last one, as the kernel's do, so that
 * the trees of earlier commits stay on the disk for as long as can be.
 *
 * The space map counts itself: a bitmap in a new place changes bitmaps. So all
 * that will be written are given their new places first, until no further one
 * is changed; then they are filled.
 */
#include "libcow/pdata/pdata_transaction.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/pdata/pdata_change.h"
#include "libcow/pdata/pdata_pending.h"

struct bitmap {
	uint64_t block;	 /* where it is now */
	bool is_changed; /* to be written */
	bool is_placed;	 /* it has its new place */
	uint8_t committed[PDATA_BLOCK_BYTES];
};

struct pdata_transaction {
	struct pdata_blocks *blocks;
	struct pdata_map_root root; /* committed */
	struct pdata_counts *counts;
	struct bitmap *bitmaps;
	uint64_t nr_bitmaps;
	uint64_t nr_blocks; /* of the map and of the device */
	uint64_t next;	    /* where to look for a free block */
	uint64_t nr_taken;  /* in this transaction */
	uint64_t nr_free;   /* when it began */
	uint64_t nr_kept;   /* of them, those that are left alone */
	struct pdata_large large;
	struct pdata_map_root prepared;
	bool is_prepared, has_failed;
};

/* ---------------------------------------------------------------- begin, end */

static int bitmap_load(struct pdata_transaction *txn, const struct pdata_map *map, uint64_t index,
		       struct cow_err *err)
{
	struct bitmap *bitmap = &txn->bitmaps[index];
	const uint8_t *raw;
	int ret;

	bitmap->block = cow_pdata_map_entry(map, index).block;
	ret = cow_pdata_block_read(txn->blocks, &cow_pdata_bitmap_type, bitmap->block, &raw, NULL,
				   err);
	if (ret)
		return ret;
	memcpy(bitmap->committed, raw, PDATA_BLOCK_BYTES);
	for (uint64_t i = 0; i < PDATA_BITMAP_ENTRIES; i++) {
		uint64_t block = index * PDATA_BITMAP_ENTRIES + i;
		bool is_used = cow_pdata_bitmap_get(raw, i);

		if (block >= txn->nr_blocks)
			break;
		/* A block that leaked comes back, and may be taken at once: no
		 * committed tree reaches it. */
		if (is_used && !cow_pdata_counts_get(txn->counts, block)) {
			cow_pdata_bitmap_set(bitmap->committed, i, 0);
			bitmap->is_changed = true;
			is_used = false;
		}
		txn->nr_free += !is_used;
	}
	return 0;
}

static int bitmaps_load(struct pdata_transaction *txn, struct cow_err *err)
{
	const struct pdata_map_params params = {
		.blocks = txn->blocks,
		.root = txn->root,
		.nr_blocks_max = cow_pdata_blocks_nr(txn->blocks),
	};
	AUTO_HANDLE(pdata_map) struct pdata_map *map = NULL;
	int ret = cow_pdata_map_load(&params, &map, err);

	if (ret)
		return ret;
	txn->nr_bitmaps = cow_pdata_map_nr_bitmaps(map);
	txn->bitmaps = calloc((size_t)txn->nr_bitmaps, sizeof(*txn->bitmaps));
	if (!txn->bitmaps)
		return cow_fail(err, -ENOMEM, "no memory for a transaction");
	for (uint64_t i = 0; !ret && i < txn->nr_bitmaps; i++)
		ret = bitmap_load(txn, map, i, err);
	return ret;
}

int cow_pdata_transaction_new(struct pdata_blocks *blocks, const struct pdata_map_root *root,
			      struct pdata_counts *counts, struct pdata_transaction **ret_txn,
			      struct cow_err *err)
{
	AUTO_HANDLE(pdata_transaction) struct pdata_transaction *txn = calloc(1, sizeof(*txn));
	int ret;

	if (!txn) {
		cow_pdata_counts_free(counts);
		return cow_fail(err, -ENOMEM, "no memory for a transaction");
	}
	txn->counts = counts;
	txn->blocks = blocks;
	txn->root = *root;
	txn->nr_blocks = min_u64(root->nr_blocks, cow_pdata_blocks_nr(blocks));
	ret = bitmaps_load(txn, err);
	if (ret)
		return ret;
	*ret_txn = take_ptr(txn);
	return 0;
}

void cow_pdata_transaction_free(struct pdata_transaction *txn)
{
	if (!txn)
		return;
	cow_pdata_pending_clear(txn->blocks);
	cow_pdata_counts_free(txn->counts);
	free(txn->bitmaps);
	free(txn->large.blocks);
	free(txn);
}

/* ---------------------------------------------------------------- blocks */

struct pdata_blocks *cow_pdata_transaction_blocks(const struct pdata_transaction *txn)
{
	return txn->blocks;
}

uint64_t cow_pdata_transaction_nr_free(const struct pdata_transaction *txn)
{
	return txn->nr_free - txn->nr_taken;
}

void cow_pdata_transaction_keep_back(struct pdata_transaction *txn, uint64_t nr_blocks)
{
	txn->nr_kept = nr_blocks;
}

/* Old and new blocks lie in any of the bitmaps. */
uint64_t cow_pdata_transaction_map_blocks(const struct pdata_transaction *txn)
{
	return txn->nr_bitmaps + 1;
}

int cow_pdata_large_note(struct pdata_large *large, uint64_t block, uint32_t largest,
			 struct cow_err *err)
{
	uint64_t *larger;

	if (largest < PDATA_MAP_LARGE)
		return 0;
	larger = cow_array_grow(large->blocks, large->nr, &large->capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for a transaction");
	large->blocks = larger;
	larger[large->nr++] = block;
	return 0;
}

/* The count of a block becomes another one. */
static int count_changed(struct pdata_transaction *txn, uint64_t block, uint32_t largest,
			 struct cow_err *err)
{
	txn->bitmaps[block / PDATA_BITMAP_ENTRIES].is_changed = true;
	return cow_pdata_large_note(&txn->large, block, largest, err);
}

static bool is_free(const struct pdata_transaction *txn, uint64_t block)
{
	const struct bitmap *bitmap = &txn->bitmaps[block / PDATA_BITMAP_ENTRIES];

	/* What was taken and given back in this transaction is still pending. */
	return !cow_pdata_bitmap_get(bitmap->committed, block % PDATA_BITMAP_ENTRIES) &&
	       !cow_pdata_counts_get(txn->counts, block) &&
	       !cow_pdata_pending_get(txn->blocks, block);
}

static int block_find(struct pdata_transaction *txn, uint64_t *ret_block, struct cow_err *err)
{
	bool is_full = cow_pdata_transaction_nr_free(txn) <= txn->nr_kept;

	for (uint64_t i = 0; !is_full && i < txn->nr_blocks; i++) {
		uint64_t block = (txn->next + i) % txn->nr_blocks;

		if (!is_free(txn, block))
			continue;
		txn->next = block + 1;
		*ret_block = block;
		return 0;
	}
	return cow_refuse(err, -ENOSPC, "metadata-space", NULL,
			  "the metadata device %s has no room: %" PRIu64
			  " blocks are free, %" PRIu64 " of them kept for the kernel, and this "
			  "takes more than %" PRIu64,
			  cow_pdata_blocks_image(txn->blocks)->name, txn->nr_free, txn->nr_kept,
			  txn->nr_taken);
}

int cow_pdata_block_take(struct pdata_transaction *txn, const struct pdata_type *type,
			 uint64_t *ret_block, uint8_t **ret_raw, struct cow_err *err)
{
	uint64_t block = 0;
	int ret = block_find(txn, &block, err);

	if (!ret)
		ret = cow_pdata_counts_add(txn->counts, block, 1, err);
	if (!ret)
		ret = cow_pdata_pending_make(txn->blocks, type, block, ret_raw, err);
	if (!ret)
		ret = count_changed(txn, block, 1, err);
	if (ret)
		return ret;
	txn->nr_taken++;
	*ret_block = block;
	return 0;
}

static int reference_refuse(const struct pdata_transaction *txn, uint64_t block,
			    struct cow_err *err)
{
	return cow_refuse(err, -EBADMSG, "damaged", NULL,
			  "block %" PRIu64 " of %s is referred to, and is not in use", block,
			  cow_pdata_blocks_image(txn->blocks)->name);
}

uint32_t cow_pdata_block_count(const struct pdata_transaction *txn, uint64_t block)
{
	return block < txn->nr_blocks ? cow_pdata_counts_get(txn->counts, block) : 0;
}

int cow_pdata_block_more(struct pdata_transaction *txn, uint64_t block, struct cow_err *err)
{
	uint32_t count = cow_pdata_block_count(txn, block);
	int ret = count ? 0 : reference_refuse(txn, block, err);

	if (!ret)
		ret = cow_pdata_counts_add(txn->counts, block, 1, err);
	return ret ? ret : count_changed(txn, block, count + 1, err);
}

int cow_pdata_block_less(struct pdata_transaction *txn, uint64_t block, struct cow_err *err)
{
	uint32_t count = cow_pdata_block_count(txn, block);
	int ret = count ? 0 : reference_refuse(txn, block, err);

	if (!ret)
		ret = cow_pdata_counts_drop(txn->counts, block, err);
	return ret ? ret : count_changed(txn, block, count, err);
}

int cow_pdata_block_shadow(struct pdata_transaction *txn, const struct pdata_type *type,
			   uint64_t block, uint64_t *ret_block, uint8_t **ret_raw,
			   struct cow_err *err)
{
	uint8_t *pending = cow_pdata_pending_get(txn->blocks, block), *copy_raw = NULL;
	uint64_t copy = 0;
	const uint8_t *raw;
	int ret;

	if (pending && cow_pdata_block_count(txn, block) == 1) {
		*ret_block = block;
		*ret_raw = pending;
		return 0;
	}
	ret = cow_pdata_block_take(txn, type, &copy, &copy_raw, err);
	if (!ret)
		ret = cow_pdata_block_read(txn->blocks, type, block, &raw, NULL, err);
	if (!ret)
		ret = cow_pdata_block_less(txn, block, err);
	if (ret)
		return ret;
	memcpy(copy_raw, raw, PDATA_BLOCK_BYTES);
	*ret_block = copy;
	*ret_raw = copy_raw;
	return 0;
}

/* ---------------------------------------------------------------- trees */

static int entry_missing(const struct pdata_transaction *txn, uint64_t key, struct cow_err *err)
{
	return cow_refuse(err, -EBADMSG, "damaged", NULL,
			  "a tree on %s has no entry with key %" PRIu64,
			  cow_pdata_blocks_image(txn->blocks)->name, key);
}

int cow_pdata_tree_set(struct pdata_transaction *txn, uint64_t *root, uint32_t value_size,
		       uint64_t key, const void *value, struct cow_err *err)
{
	uint8_t *parent = NULL; /* where the number of the block stands */
	uint64_t block = *root;

	for (unsigned int height = 0; height <= PDATA_HEIGHT_MAX; height++) {
		struct pdata_fault fault;
		struct pdata_node node;
		uint32_t index;
		uint8_t *raw;
		int ret =
			cow_pdata_block_shadow(txn, &cow_pdata_node_type, block, &block, &raw, err);

		if (ret)
			return ret;
		if (parent)
			put_le64(parent, block);
		else
			*root = block;
		cow_pdata_node_decode(raw, block, &node, &fault);
		index = fault.what ? UINT32_MAX : cow_pdata_node_find(&node, key);
		if (index == UINT32_MAX || node.value_size > 32)
			return entry_missing(txn, key, err);
		parent = raw + (pdata_node_value(&node, index) - raw);
		if (!pdata_node_is_leaf(&node)) {
			block = pdata_node_child(&node, index);
			continue;
		}
		if (pdata_node_key(&node, index) != key || node.value_size != value_size)
			return entry_missing(txn, key, err);
		memcpy(parent, value, value_size);
		return 0;
	}
	return entry_missing(txn, key, err);
}

/* ---------------------------------------------------------------- commit */

/* All bitmaps that change get their new place. */
static int bitmaps_place(struct pdata_transaction *txn, struct cow_err *err)
{
	bool has_placed = true;
	uint8_t *raw;

	while (has_placed) {
		has_placed = false;
		for (uint64_t i = 0; i < txn->nr_bitmaps; i++) {
			struct bitmap *bitmap = &txn->bitmaps[i];
			int ret;

			if (!bitmap->is_changed || bitmap->is_placed)
				continue;
			ret = cow_pdata_block_shadow(txn, &cow_pdata_bitmap_type, bitmap->block,
						     &bitmap->block, &raw, err);
			if (ret)
				return ret;
			bitmap->is_placed = has_placed = true;
		}
	}
	return 0;
}

static void bitmap_fill(struct pdata_transaction *txn, uint64_t index, uint8_t *entry_raw)
{
	struct pdata_map_entry entry = { .block = txn->bitmaps[index].block };

	cow_pdata_bitmap_fill(cow_pdata_pending_get(txn->blocks, entry.block), txn->counts, index,
			      &entry);
	cow_pdata_map_entry_encode(&entry, entry_raw);
}

/* Counts from 3 on. The blocks of the tree have one reference each, so that what is
 * written into it does not change it. */
int cow_pdata_large_write(struct pdata_transaction *txn, uint64_t *root,
			  const struct pdata_counts *counts, const struct pdata_large *large,
			  struct cow_err *err)
{
	static const struct pdata_values values = { .value_size = 4 };
	uint8_t value[4];
	int ret = 0;

	for (size_t i = 0; !ret && i < large->nr; i++) {
		uint64_t block = large->blocks[i];
		uint32_t count = cow_pdata_counts_get(counts, block);

		put_le32(value, count);
		if (count >= PDATA_MAP_LARGE)
			ret = cow_pdata_tree_insert(txn, &values, root, block, value, err);
		else
			ret = cow_pdata_tree_remove(txn, &values, root, block, NULL, err);
	}
	return ret;
}

/* Places bitmaps and index, then fills them. */
int cow_pdata_transaction_prepare(struct pdata_transaction *txn, struct cow_err *err)
{
	struct pdata_map_root *root = &txn->prepared;
	uint8_t *index = NULL;
	int ret;

	*root = txn->root;
	ret = cow_pdata_large_write(txn, &root->ref_count_root, txn->counts, &txn->large, err);
	if (!ret)
		ret = cow_pdata_block_shadow(txn, &cow_pdata_index_type, txn->root.bitmap_root,
					     &root->bitmap_root, &index, err);
	if (!ret)
		ret = bitmaps_place(txn, err);
	if (ret)
		return ret;
	for (uint64_t i = 0; i < txn->nr_bitmaps; i++)
		if (txn->bitmaps[i].is_placed)
			bitmap_fill(txn, i, index + 16 + i * PDATA_MAP_ENTRY_BYTES);
	root->nr_allocated = cow_pdata_counts_nr_used(txn->counts);
	txn->is_prepared = true;
	return 0;
}

/* The next transaction begins from what is on the disk now. */
static void committed(struct pdata_transaction *txn)
{
	const struct pdata_map_root *root = &txn->prepared;

	for (uint64_t i = 0; i < txn->nr_bitmaps; i++) {
		struct bitmap *bitmap = &txn->bitmaps[i];

		if (bitmap->is_placed)
			memcpy(bitmap->committed, cow_pdata_pending_get(txn->blocks, bitmap->block),
			       PDATA_BLOCK_BYTES);
		bitmap->is_placed = bitmap->is_changed = false;
	}
	txn->root = *root;
	txn->is_prepared = false;
	txn->large.nr = 0;
	txn->nr_taken = 0;
	txn->nr_free = txn->nr_blocks - root->nr_allocated;
	cow_pdata_pending_clear(txn->blocks);
	cow_pdata_blocks_forget(txn->blocks);
}

static int super_write(struct pdata_transaction *txn, const uint8_t *raw, struct cow_err *err)
{
	struct cow_image *image = cow_pdata_blocks_image(txn->blocks);
	int ret = cow_image_pwrite(image, raw, PDATA_BLOCK_BYTES, 0, err);

	return ret ? ret : cow_image_flush(image, err);
}

static int super_make(struct pdata_transaction *txn, const struct pdata_type *type,
		      void (*fill)(void *user, const struct pdata_map_root *map, uint8_t *sector),
		      void *user, const struct pdata_map_root *root, uint8_t raw[PDATA_BLOCK_BYTES],
		      struct cow_err *err)
{
	int ret = cow_image_pread(cow_pdata_blocks_image(txn->blocks), raw, PDATA_BLOCK_BYTES, 0,
				  err);

	if (ret)
		return ret;
	fill(user, root, raw);
	cow_pdata_block_seal(type, 0, raw);
	return 0;
}

int cow_pdata_transaction_commit(struct pdata_transaction *txn, const struct pdata_type *super_type,
				 void (*fill)(void *user, const struct pdata_map_root *map,
					      uint8_t *sector),
				 void *user, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	int ret = 0;

	if (txn->has_failed)
		return cow_fail(err, -EIO,
				"an earlier commit to %s failed: nothing more is written to it",
				cow_pdata_blocks_image(txn->blocks)->name);
	/* Until the end of this function: whatever ends early is final. */
	txn->has_failed = true;
	if (!txn->is_prepared)
		ret = cow_pdata_transaction_prepare(txn, err);
	if (!ret)
		ret = super_make(txn, super_type, fill, user, &txn->prepared, raw, err);
	if (!ret)
		ret = cow_pdata_pending_write(txn->blocks, err);
	if (!ret)
		ret = cow_image_flush(cow_pdata_blocks_image(txn->blocks), err);
	if (!ret)
		ret = super_write(txn, raw, err);
	if (ret)
		return ret;
	committed(txn);
	txn->has_failed = false;
	return 0;
}
