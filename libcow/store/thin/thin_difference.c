/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_difference.c - what two devices of a pool have apart, and who has what a device
 * has, both by the metadata alone.
 *
 * Two mappings of one block to one data block show the same, whenever they were made. A
 * block is another device's, too, if a leaf that maps it is, or if another leaf maps the
 * same data block: the times do not say it, because the last other owner may be gone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/pdata/pdata_difference.h"
#include "libcow/pdata/pdata_walk.h"
#include "libcow/store/thin/thin_store.h"

/* ---------------------------------------------------------------- two devices */

struct difference {
	uint64_t block_bytes;
	struct cow_segment range; /* that is being gathered */
	int (*call)(void *user, uint64_t offset_bytes, uint64_t len_bytes);
	void *user;
};

static int range_end(struct difference *difference, struct cow_err *err)
{
	struct cow_segment range = difference->range;
	int ret = 0;

	difference->range.len_bytes = 0;
	if (range.len_bytes)
		ret = difference->call(difference->user, range.offset_bytes, range.len_bytes);
	return ret < 0 ? cow_fail(err, ret, "the comparison was stopped by its reader") : 0;
}

/* pdata_difference_fn. */
static int key_take(void *user, uint64_t key, const uint8_t *a, const uint8_t *b,
		    struct cow_err *err)
{
	struct difference *difference = (struct difference *)user;
	uint64_t offset_bytes, end_bytes, bytes = difference->block_bytes;
	int ret = 0;

	if (a && b && thin_mapping_block(get_le64(a)) == thin_mapping_block(get_le64(b)))
		return 0;
	/* behind the last block that an image can have */
	if (mul_overflows(key, bytes, &offset_bytes) ||
	    add_overflows(offset_bytes, bytes, &end_bytes) || end_bytes > COW_IMAGE_BYTES_MAX)
		return 0;
	if (difference->range.offset_bytes + difference->range.len_bytes != offset_bytes)
		ret = range_end(difference, err);
	if (!difference->range.len_bytes)
		difference->range.offset_bytes = offset_bytes;
	difference->range.len_bytes += bytes;
	return ret;
}

int cow_thin_difference(struct cow_store *a, struct cow_store *b,
			int (*call)(void *user, uint64_t offset_bytes, uint64_t len_bytes),
			void *user, struct cow_err *err)
{
	const struct thin_pool *pool = thin_pool_of(a);
	const struct pdata_tree first = thin_mappings(pool, thin_store_of(a)->root);
	const struct pdata_tree second = thin_mappings(pool, thin_store_of(b)->root);
	struct difference difference = { .block_bytes = pool->block_bytes,
					 .call = call,
					 .user = user };
	int ret = cow_pdata_difference(&first, &second, key_take, &difference, err);

	return ret ? ret : range_end(&difference, err);
}

/* ---------------------------------------------------------------- all devices */

struct owners {
	struct thin_store *thin;
	const struct cow_callbacks *callbacks;
	struct pdata_counts *counts; /* of the data blocks: leaves that map them */
	struct cow_pages many;	     /* a bit for each metadata block: a leaf of several devices */
	uint64_t *roots;
	size_t nr_roots, capacity;
	uint64_t nr_leaves;
};

/* pdata_entry_fn, of the tree of devices. */
static int root_add(void *user, uint64_t key, const uint8_t *value, struct cow_err *err)
{
	struct owners *owners = (struct owners *)user;
	uint64_t *larger =
		cow_array_grow(owners->roots, owners->nr_roots, &owners->capacity, sizeof(*larger));

	(void)key;
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu devices", owners->nr_roots);
	owners->roots = larger;
	larger[owners->nr_roots++] = get_le64(value);
	return 0;
}

static int bit_put(struct cow_pages *pages, uint64_t block, struct cow_err *err)
{
	return cow_pages_set_bit(pages, block)
		       ? 0
		       : cow_fail(err, -ENOMEM, "no memory for who has which block");
}

/* Of any device. */
static int leaf_count(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct owners *owners = (struct owners *)user;
	uint64_t nr_blocks = cow_pdata_counts_nr_blocks(owners->counts);
	uint64_t total = thin_pool_of(&owners->thin->store)->super.metadata_map.nr_allocated;
	uint64_t blocks[PDATA_COUNTS_EACH_MAX]; /* more than a node has entries */
	size_t nr = 0;
	int ret = 0;

	if (owners->nr_leaves++ % 256 == 0)
		ret = cow_callbacks_progress(owners->callbacks, "map",
					     min_u64(owners->nr_leaves, total) * PDATA_BLOCK_BYTES,
					     total * PDATA_BLOCK_BYTES, err);
	if (!ret && edge->owner == PDATA_OWNER_MANY)
		ret = bit_put(&owners->many, node->block, err);
	for (uint32_t i = 0; i < node->nr_entries && nr < PDATA_COUNTS_EACH_MAX; i++) {
		uint64_t block = thin_mapping_block(get_le64(pdata_node_value(node, i)));

		if (block < nr_blocks)
			blocks[nr++] = block;
	}
	return ret ? ret : cow_pdata_counts_add_each(owners->counts, blocks, nr, err);
}

/* Of this device. */
static int leaf_judge(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct owners *owners = (struct owners *)user;
	uint64_t nr_blocks = cow_pdata_counts_nr_blocks(owners->counts);
	uint64_t nr_keys = COW_IMAGE_BYTES_MAX / owners->thin->store.chunk_bytes;
	bool is_many = cow_pages_bit(&owners->many, node->block);
	int ret = 0;

	(void)edge;
	for (uint32_t i = 0; !ret && i < node->nr_entries; i++) {
		uint64_t block = thin_mapping_block(get_le64(pdata_node_value(node, i)));
		uint64_t key = pdata_node_key(node, i);

		if (key < nr_keys && (is_many || (block < nr_blocks &&
						  cow_pdata_counts_get(owners->counts, block) > 1)))
			ret = bit_put(&owners->thin->has_others, key, err);
	}
	return ret;
}

static int walk_roots(struct owners *owners, const uint64_t *roots, size_t nr_roots,
		      int (*leaf)(void *user, const struct pdata_node *node,
				  const struct pdata_edge *edge, struct cow_err *err),
		      struct cow_err *err)
{
	const struct pdata_walk_params params = {
		.blocks = thin_pool_of(&owners->thin->store)->blocks,
		.value_size = 8,
		.is_shared = true,
		.user = owners,
		.leaf = leaf,
	};
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(&params, &walk, err);

	for (size_t i = 0; !ret && i < nr_roots; i++)
		ret = cow_pdata_walk_root(walk, roots[i], (uint32_t)i, 0, err);
	return ret ? ret : cow_pdata_walk_run(walk, err);
}

static int owners_find(struct owners *owners, struct cow_err *err)
{
	struct cow_store *store = &owners->thin->store;
	const struct thin_pool *pool = thin_pool_of(store);
	const struct pdata_tree tree = { pool->blocks, thin_super_of(store)->mapping_root, 8 };
	int ret =
		cow_pdata_counts_new(min_u64(pool->super.data_map.nr_blocks, THIN_DATA_BLOCKS_MAX),
				     &owners->counts, err);

	if (!ret)
		ret = cow_pdata_tree_each(&tree, 0, root_add, owners, err);
	if (!ret)
		ret = walk_roots(owners, owners->roots, owners->nr_roots, leaf_count, err);
	return ret ? ret : walk_roots(owners, &owners->thin->root, 1, leaf_judge, err);
}

int cow_thin_find_owners(struct cow_store *store, const struct cow_callbacks *callbacks,
			 struct cow_err *err)
{
	struct thin_store *thin = thin_store_of(store);
	struct owners owners = { .thin = thin, .callbacks = callbacks };
	struct cow_err why = COW_ERR_INIT;
	int ret;

	cow_pages_init(&owners.many, cow_pdata_blocks_nr(thin_pool_of(store)->blocks));
	cow_pages_destroy(&thin->has_others);
	cow_pages_init(&thin->has_others,
		       COW_IMAGE_BYTES_MAX / store->chunk_bytes / 8 + COW_PAGE_BYTES);
	ret = owners_find(&owners, &why);
	cow_pdata_counts_free(owners.counts);
	cow_pages_destroy(&owners.many);
	free(owners.roots);
	if (ret == -EBADMSG)
		return cow_refuse(err, ret, "damaged", "damaged",
				  "who shares the blocks of the device cannot be told: %s",
				  why.message);
	if (ret && err)
		*err = why;
	return ret;
}

bool cow_thin_has_others(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks)
{
	return cow_pages_bits(&((const struct thin_store *)store)->has_others, old_chunk,
			      nr_chunks);
}
