/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_load.c - finds a thin device and reads all of its mappings. What cannot be
 * read or contradicts the format is refused; by force that part of the device stands
 * for a place behind every data device, so that a read of it fails, as the kernel's
 * does, and nothing else of the device is lost. Never is it taken for "not mapped".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/pdata/pdata_walk.h"
#include "libcow/store/thin/thin_store.h"

/* A run of a map is so long at most. */
#define RUN_MAX (UINT64_C(1) << 20)

/* ---------------------------------------------------------------- the device */

struct names {
	char *text;
	size_t size, len, nr;
};

static int name_add(void *user, uint64_t key, const uint8_t *value, struct cow_err *err)
{
	struct names *names = (struct names *)user;

	(void)value;
	(void)err;
	if (names->nr++ < 20 && names->len < names->size)
		names->len += (size_t)snprintf(names->text + names->len, names->size - names->len,
					       "%s%" PRIu64, names->nr > 1 ? ", " : "", key);
	return 0;
}

static int missing_refuse(struct thin_pool *pool, const struct thin_super *super, uint64_t id,
			  struct cow_err *err)
{
	const struct pdata_tree tree = { pool->blocks, super->details_root, THIN_DETAILS_BYTES };
	char text[300] = "";
	struct names names = { .text = text, .size = sizeof(text) };
	int ret = cow_pdata_tree_each(&tree, 0, name_add, &names, err);

	if (ret)
		return ret;
	return cow_refuse(err, -ENOENT, "no-device", NULL,
			  "the pool of %s has no device %" PRIu64 "; it has %s%s",
			  pool->metadata->name, id, names.nr ? text : "none",
			  names.nr > 20 ? ", ..." : "");
}

int cow_thin_device_find(struct thin_pool *pool, const struct thin_super *super, uint64_t id,
			 uint64_t *ret_root, struct thin_details *ret_details, struct cow_err *err)
{
	const struct pdata_tree roots = { pool->blocks, super->mapping_root, 8 };
	const struct pdata_tree details = { pool->blocks, super->details_root, THIN_DETAILS_BYTES };
	uint8_t raw_root[8], raw_details[THIN_DETAILS_BYTES];
	bool has_root = false, has_details = false;
	int ret = cow_pdata_tree_lookup(&roots, id, raw_root, &has_root, err);

	if (!ret)
		ret = cow_pdata_tree_lookup(&details, id, raw_details, &has_details, err);
	if (ret)
		return ret;
	if (!has_root && !has_details)
		return missing_refuse(pool, super, id, err);
	if (!has_root || !has_details)
		return cow_refuse(err, -EBADMSG, "damaged", NULL,
				  "device %" PRIu64 " of %s has %s; run snapcheck for details", id,
				  pool->metadata->name,
				  has_root ? "mappings and no details: the kernel cannot open it"
					   : "details and no mappings: the kernel shows zeros");
	*ret_root = get_le64(raw_root);
	cow_thin_details_decode(raw_details, ret_details);
	return 0;
}

/* ---------------------------------------------------------------- the mappings */

static int entry_take(struct thin_store *thin, uint64_t key, uint64_t value, struct cow_err *err)
{
	const struct exmap_run run = { key, thin_mapping_block(value), 1 };
	int ret = cow_exmap_add(thin->store.map, &run, err);

	if (ret || thin_mapping_time(value) >= thin->details.snapshotted_time)
		return ret;
	return cow_pages_set_bit(&thin->is_shared, key)
		       ? 0
		       : cow_fail(err, -ENOMEM, "no memory for the mappings of a device");
}

/* Behind the last block that an image can have: the kernel cannot get there. */
static bool is_beyond(const struct thin_store *thin, uint64_t key)
{
	return key >= COW_IMAGE_BYTES_MAX / thin->store.chunk_bytes;
}

static int leaf_take(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	struct thin_store *thin = (struct thin_store *)user;
	int ret = 0;

	(void)edge;
	thin->nr_mapped += node->nr_entries;
	for (uint32_t i = 0; !ret && i < node->nr_entries; i++)
		if (!is_beyond(thin, pdata_node_key(node, i)))
			ret = entry_take(thin, pdata_node_key(node, i),
					 get_le64(pdata_node_value(node, i)), err);
	return ret;
}

/* Blocks of which nobody knows where they are. */
static int fault_take(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct thin_store *thin = (struct thin_store *)user;
	uint64_t nr_blocks =
		div_ceil(thin->store.view_bytes ? thin->store.view_bytes : COW_IMAGE_BYTES_MAX,
			 thin->store.chunk_bytes);
	struct exmap_run run = { .old_chunk = edge->key_first, .new_chunk = THIN_DATA_BLOCKS_MAX };
	int ret = 0;

	(void)fault;
	thin->store.is_damaged = true;
	/* Without a size, nothing says how far it goes. */
	if (edge->key_last == UINT64_MAX && !thin->store.view_bytes)
		nr_blocks = min_u64(nr_blocks, run.old_chunk + 1);
	for (uint64_t end = min_u64(edge->key_last, nr_blocks - 1); !ret && run.old_chunk <= end;) {
		run.nr_chunks = min_u64(RUN_MAX, end - run.old_chunk + 1);
		ret = cow_exmap_add(thin->store.map, &run, err);
		run.old_chunk += run.nr_chunks;
	}
	return ret;
}

/* The same words, with what would force it. */
static int damage_refuse(const struct cow_err *why, struct cow_err *err)
{
	int ret = cow_refuse(err, -EBADMSG, "damaged", "damaged", "%s", why->message);

	cow_err_place(err, why->image, why->offset_bytes);
	return ret;
}

static int walk_run(struct thin_store *thin, bool is_lenient, struct cow_err *err)
{
	const struct thin_pool *pool = thin_pool_of(&thin->store);
	const struct pdata_walk_params params = {
		.blocks = pool->blocks,
		.value_size = 8,
		.user = thin,
		.leaf = leaf_take,
		.fault = is_lenient ? fault_take : NULL,
	};
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(&params, &walk, err);

	if (!ret)
		ret = cow_pdata_walk_root(walk, thin->root, 0, 0, err);
	return ret ? ret : cow_pdata_walk_run(walk, err);
}

/* A mapping behind the end of the pool is one that the kernel cannot read. */
static int bounds_check(const struct thin_store *thin, struct cow_err *err)
{
	const struct thin_pool *pool = thin_pool_of(&thin->store);
	struct exmap_run run = { 0, 0, 0 };

	while (cow_exmap_next(thin->store.map, run.old_chunk + run.nr_chunks, &run))
		if (!range_fits(run.new_chunk, run.nr_chunks, pool->super.data_map.nr_blocks))
			return cow_refuse(err, -EBADMSG, "damaged", "damaged",
					  "block %" PRIu64 " of device %" PRIu64
					  " is mapped to data block %" PRIu64
					  ", the pool has %" PRIu64,
					  run.old_chunk, thin->store.snapshot_id, run.new_chunk,
					  pool->super.data_map.nr_blocks);
	return 0;
}

int cow_thin_load(struct thin_store *thin, bool is_lenient, struct cow_err *err)
{
	struct cow_err why = COW_ERR_INIT;
	int ret = cow_exmap_new(&thin->store.map, err);

	if (ret)
		return ret;
	cow_pages_init(&thin->is_shared,
		       COW_IMAGE_BYTES_MAX / thin->store.chunk_bytes / 8 + COW_PAGE_BYTES);
	thin->nr_mapped = thin->details.mapped_blocks;
	if (thin->store.has_no_map)
		return cow_exmap_seal(thin->store.map, NULL, NULL, err);
	thin->nr_mapped = 0;
	ret = walk_run(thin, is_lenient, &why);
	if (ret == -EBADMSG)
		return damage_refuse(&why, err);
	if (ret) {
		if (err)
			*err = why;
		return ret;
	}
	/* A key occurs twice only where two leaves of a damaged tree claim it. */
	ret = cow_exmap_seal(thin->store.map, NULL, NULL, err);
	return ret || is_lenient ? ret : bounds_check(thin, err);
}

/* ---------------------------------------------------------------- all devices */

int cow_thin_snapshot_next(struct cow_store *store, uint64_t from_id, uint64_t *ret_id,
			   struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	const struct pdata_tree tree = { pool->blocks, thin_super_of(store)->details_root,
					 THIN_DETAILS_BYTES };
	bool found = false;
	int ret = cow_pdata_tree_next(&tree, from_id, ret_id, NULL, &found, err);

	if (!ret && !found)
		*ret_id = STORE_SNAPSHOT_NONE;
	return ret;
}

/* How far mappings follow one another, on both sides and in being shared. */
static int run_extend(const struct pdata_tree *tree, const struct thin_details *details,
		      uint64_t key, uint64_t value, uint64_t *ret_nr, struct cow_err *err)
{
	bool is_shared = thin_mapping_time(value) < details->snapshotted_time, found = true;
	uint8_t raw[8];
	int ret = 0;

	for (*ret_nr = 1; !ret && *ret_nr < RUN_MAX; ++*ret_nr) {
		ret = cow_pdata_tree_lookup(tree, key + *ret_nr, raw, &found, err);
		if (ret || !found ||
		    thin_mapping_block(get_le64(raw)) != thin_mapping_block(value) + *ret_nr ||
		    (thin_mapping_time(get_le64(raw)) < details->snapshotted_time) != is_shared)
			break;
	}
	return ret;
}

int cow_thin_snapshot_map(struct cow_store *store, uint64_t id, uint64_t from_bytes,
			  struct store_run *ret_run, struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	uint64_t bytes = pool->block_bytes, from = chunk_of(from_bytes, bytes), root, key, nr, in;
	struct thin_details details;
	struct pdata_tree tree;
	uint8_t raw[8];
	bool found = false;
	int ret = cow_thin_device_find(pool, thin_super_of(store), id, &root, &details, err);

	*ret_run = (struct store_run){ 0 };
	if (ret)
		return ret;
	tree = thin_mappings(pool, root);
	ret = cow_pdata_tree_next(&tree, from, &key, raw, &found, err);
	if (ret || !found)
		return ret;
	ret = run_extend(&tree, &details, key, get_le64(raw), &nr, err);
	in = key == from ? chunk_within(from_bytes, bytes) : 0;
	*ret_run = (struct store_run){
		.old_bytes = chunk_to_bytes(key, bytes) + in,
		.new_bytes = chunk_to_bytes(thin_mapping_block(get_le64(raw)), bytes) + in,
		.len_bytes = nr * bytes - in,
		.is_shared = thin_mapping_time(get_le64(raw)) < details.snapshotted_time,
	};
	return ret;
}
