/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_space_map.c - reads space maps: index, tree of counts, single counts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/pdata/pdata_map.h"

void cow_pdata_map_root_decode(const uint8_t raw[PDATA_MAP_ROOT_BYTES],
			       struct pdata_map_root *ret_root)
{
	ret_root->nr_blocks = get_le64(raw);
	ret_root->nr_allocated = get_le64(raw + 8);
	ret_root->bitmap_root = get_le64(raw + 16);
	ret_root->ref_count_root = get_le64(raw + 24);
}

void cow_pdata_map_root_encode(const struct pdata_map_root *root, uint8_t raw[PDATA_MAP_ROOT_BYTES])
{
	put_le64(raw, root->nr_blocks);
	put_le64(raw + 8, root->nr_allocated);
	put_le64(raw + 16, root->bitmap_root);
	put_le64(raw + 24, root->ref_count_root);
}

static void map_entry_decode(const uint8_t raw[PDATA_MAP_ENTRY_BYTES],
			     struct pdata_map_entry *ret_entry)
{
	ret_entry->block = get_le64(raw);
	ret_entry->nr_free = get_le32(raw + 8);
	ret_entry->none_free_before = get_le32(raw + 12);
}

void cow_pdata_map_entry_encode(const struct pdata_map_entry *entry,
				uint8_t raw[PDATA_MAP_ENTRY_BYTES])
{
	put_le64(raw, entry->block);
	put_le32(raw + 8, entry->nr_free);
	put_le32(raw + 12, entry->none_free_before);
}

/* Bytes are read in the order of little-endian words, so entry e lies in byte
 * e / 4. */
unsigned int cow_pdata_bitmap_get(const uint8_t *raw, uint64_t entry)
{
	unsigned int pair =
		raw[PDATA_BITMAP_HEADER_BYTES + entry / 4] >> (2 * (unsigned int)(entry % 4)) & 3;

	return (pair & 1) << 1 | pair >> 1;
}

void cow_pdata_bitmap_set(uint8_t *raw, uint64_t entry, unsigned int count)
{
	uint8_t *byte = &raw[PDATA_BITMAP_HEADER_BYTES + entry / 4];
	unsigned int shift = 2 * (unsigned int)(entry % 4);
	unsigned int pair = (count & 1) << 1 | (count >> 1 & 1);

	*byte = (uint8_t)((*byte & ~(3u << shift)) | pair << shift);
}

/* Runs of what is free are not looked at one by one. */
void cow_pdata_bitmap_fill(uint8_t *raw, const struct pdata_counts *counts, uint64_t index,
			   struct pdata_map_entry *entry)
{
	uint64_t first = index * PDATA_BITMAP_ENTRIES, block = first, nr_used = 0;

	memset(raw + PDATA_BITMAP_HEADER_BYTES, 0, PDATA_BLOCK_BYTES - PDATA_BITMAP_HEADER_BYTES);
	entry->none_free_before = (uint32_t)PDATA_BITMAP_ENTRIES;
	for (uint64_t at = first; cow_pdata_counts_next(counts, at, &block); at = block + 1) {
		if (block >= first + PDATA_BITMAP_ENTRIES)
			break;
		if (block > at && entry->none_free_before == PDATA_BITMAP_ENTRIES)
			entry->none_free_before = (uint32_t)(at - first);
		cow_pdata_bitmap_set(raw, block - first,
				     (unsigned int)min_u64(cow_pdata_counts_get(counts, block),
							   PDATA_MAP_LARGE));
		nr_used++;
	}
	/* one run from the beginning */
	if (entry->none_free_before == PDATA_BITMAP_ENTRIES)
		entry->none_free_before = (uint32_t)nr_used;
	entry->nr_free = (uint32_t)(PDATA_BITMAP_ENTRIES - nr_used);
}

const char *cow_pdata_map_part_name(enum pdata_map_part part, enum pdata_what what)
{
	static const char *const names[] = { "space map index", "space map bitmap",
					     "node of the tree of counts", "space map" };

	/* Of the block that is counted, not of one that counts. */
	return what >= PDATA_MAP_NO_COUNT ? "block" : names[part];
}

int cow_pdata_map_tell(const struct pdata_map *map, enum pdata_map_part part,
		       const struct pdata_fault *fault, struct cow_err *err)
{
	if (!map->params.fault)
		return cow_pdata_fail(map->params.blocks, fault,
				      cow_pdata_map_part_name(part, fault->what), err);
	return map->params.fault(map->params.user, part, fault, err);
}

static int own_count(struct pdata_map *map, uint64_t block, struct cow_err *err)
{
	if (!map->params.counts || block >= cow_pdata_blocks_nr(map->params.blocks))
		return 0;
	return cow_pdata_counts_add(map->params.counts, block, 1, err);
}

/* ---------------------------------------------------------------- the index */

static int index_add(struct pdata_map *map, uint64_t key, const uint8_t *raw, struct cow_err *err)
{
	struct pdata_fault fault = { .what = PDATA_MAP_INDEX_KEY,
				     .block = COW_OFFSET_NONE,
				     .found = key,
				     .allowed = map->nr_entries };
	struct map_place *larger;

	if (key >= div_ceil(map->params.root.nr_blocks, PDATA_BITMAP_ENTRIES))
		return cow_pdata_map_tell(map, PDATA_MAP_INDEX, &fault, err);
	larger = cow_array_grow(map->entries, map->nr_entries, &map->capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for a space map");
	map->entries = larger;
	larger += map->nr_entries++;
	larger->key = key;
	map_entry_decode(raw, &larger->entry);
	fault.block = larger->entry.block;
	fault.allowed = cow_pdata_blocks_nr(map->params.blocks);
	if (fault.block < fault.allowed)
		return own_count(map, fault.block, err);
	fault.what = PDATA_BLOCK_BEYOND;
	larger->entry.block = COW_OFFSET_NONE;
	return cow_pdata_map_tell(map, PDATA_MAP_BITMAP, &fault, err);
}

static int index_block_load(struct pdata_map *map, struct cow_err *err)
{
	uint64_t nr = div_ceil(map->params.root.nr_blocks, PDATA_BITMAP_ENTRIES);
	uint64_t block = map->params.root.bitmap_root;
	AUTO_FREE uint8_t *copy = NULL;
	struct pdata_fault fault;
	const uint8_t *raw;
	int ret = own_count(map, block, err);

	if (!ret)
		ret = cow_pdata_block_read(map->params.blocks, &cow_pdata_index_type, block, &raw,
					   &fault, err);
	if (ret)
		return ret;
	if (fault.what)
		return cow_pdata_map_tell(map, PDATA_MAP_INDEX, &fault, err);
	/* The callback may read other blocks. */
	copy = malloc(PDATA_BLOCK_BYTES);
	if (!copy)
		return cow_fail(err, -ENOMEM, "no memory for a space map");
	memcpy(copy, raw, PDATA_BLOCK_BYTES);
	for (uint64_t i = 0; !ret && i < min_u64(nr, PDATA_MAP_INDEX_ENTRIES); i++)
		ret = index_add(map, i, copy + 16 + i * PDATA_MAP_ENTRY_BYTES, err);
	return ret;
}

static int index_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	int ret = 0;

	(void)edge;
	for (uint32_t i = 0; !ret && i < node->nr_entries; i++)
		ret = index_add((struct pdata_map *)user, pdata_node_key(node, i),
				pdata_node_value(node, i), err);
	return ret;
}

static int index_fault(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		       struct cow_err *err)
{
	(void)edge;
	return cow_pdata_map_tell((struct pdata_map *)user, PDATA_MAP_INDEX, fault, err);
}

static int tree_load(const struct pdata_walk_params *params, uint64_t root, struct cow_err *err)
{
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(params, &walk, err);

	if (!ret)
		ret = cow_pdata_walk_root(walk, root, 0, 0, err);
	return ret ? ret : cow_pdata_walk_run(walk, err);
}

static int by_key(const void *a, const void *b)
{
	const struct map_place *x = (const struct map_place *)a, *y = (const struct map_place *)b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int index_load(struct pdata_map *map, struct cow_err *err)
{
	const struct pdata_walk_params params = {
		.blocks = map->params.blocks,
		.value_size = PDATA_MAP_ENTRY_BYTES,
		.counts = map->params.counts,
		.user = map,
		.leaf = index_leaf,
		.fault = index_fault,
	};
	struct pdata_fault gap = { .what = PDATA_MAP_INDEX_KEY, .block = COW_OFFSET_NONE };
	uint64_t nr = div_ceil(map->params.root.nr_blocks, PDATA_BITMAP_ENTRIES);
	int ret;

	if (!map->params.is_disk)
		return index_block_load(map, err);
	ret = tree_load(&params, map->params.root.bitmap_root, err);
	if (map->nr_entries)
		qsort(map->entries, map->nr_entries, sizeof(*map->entries), by_key);
	/* Keys do not repeat: the walk has checked their order. */
	if (!ret && map->nr_entries != nr) {
		while (gap.allowed < map->nr_entries &&
		       map->entries[gap.allowed].key == gap.allowed)
			gap.allowed++;
		gap.found = gap.allowed < map->nr_entries ? map->entries[gap.allowed].key : nr;
		ret = cow_pdata_map_tell(map, PDATA_MAP_INDEX, &gap, err);
	}
	return ret;
}

/* ---------------------------------------------------------------- the tree of counts */

static int large_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct pdata_map *map = (struct pdata_map *)user;
	struct map_large *larger;

	(void)edge;
	for (uint32_t i = 0; i < node->nr_entries; i++) {
		larger = cow_array_grow(map->large, map->nr_large, &map->large_capacity,
					sizeof(*larger));
		if (!larger)
			return cow_fail(err, -ENOMEM, "no memory for a space map");
		map->large = larger;
		map->large[map->nr_large++] =
			(struct map_large){ .block = pdata_node_key(node, i),
					    .count = get_le32(pdata_node_value(node, i)) };
	}
	return 0;
}

static int large_fault(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		       struct cow_err *err)
{
	struct pdata_map *map = (struct pdata_map *)user;

	(void)edge;
	map->is_large_lost = true;
	return cow_pdata_map_tell(map, PDATA_MAP_REF_COUNTS, fault, err);
}

static int by_block(const void *a, const void *b)
{
	const struct map_large *x = (const struct map_large *)a, *y = (const struct map_large *)b;

	return x->block < y->block ? -1 : x->block > y->block;
}

static int large_load(struct pdata_map *map, struct cow_err *err)
{
	const struct pdata_walk_params params = {
		.blocks = map->params.blocks,
		.value_size = 4,
		.counts = map->params.counts,
		.user = map,
		.leaf = large_leaf,
		.fault = large_fault,
	};
	int ret = tree_load(&params, map->params.root.ref_count_root, err);

	if (map->nr_large)
		qsort(map->large, map->nr_large, sizeof(*map->large), by_block);
	return ret;
}

/* The entry of the tree of counts for a block, or NULL. */
const struct map_large *cow_pdata_map_large(const struct pdata_map *map, uint64_t block)
{
	const struct map_large key = { .block = block };

	if (!map->nr_large)
		return NULL;
	return (const struct map_large *)bsearch(&key, map->large, map->nr_large, sizeof(key),
						 by_block);
}

size_t cow_pdata_map_large_from(const struct pdata_map *map, uint64_t block)
{
	size_t low = 0, high = map->nr_large;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->large[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---------------------------------------------------------------- the map */

static int size_check(const struct pdata_map *map, struct cow_err *err)
{
	const struct pdata_fault fault = { .what = PDATA_MAP_NR_BLOCKS,
					   .block = COW_OFFSET_NONE,
					   .found = map->params.root.nr_blocks,
					   .allowed = map->params.nr_blocks_max };

	if (fault.found <= fault.allowed)
		return 0;
	return cow_pdata_map_tell(map, PDATA_MAP_ITSELF, &fault, err);
}

int cow_pdata_map_load(const struct pdata_map_params *params, struct pdata_map **ret_map,
		       struct cow_err *err)
{
	AUTO_HANDLE(pdata_map) struct pdata_map *map = calloc(1, sizeof(*map));
	int ret;

	if (!map)
		return cow_fail(err, -ENOMEM, "no memory for a space map");
	map->params = *params;
	ret = size_check(map, err);
	if (!ret)
		ret = index_load(map, err);
	if (!ret)
		ret = large_load(map, err);
	if (ret)
		return ret;
	*ret_map = take_ptr(map);
	return 0;
}

void cow_pdata_map_free(struct pdata_map *map)
{
	if (!map)
		return;
	free(map->entries);
	free(map->large);
	free(map);
}

uint64_t cow_pdata_map_nr_bitmaps(const struct pdata_map *map)
{
	return div_ceil(map->params.root.nr_blocks, PDATA_BITMAP_ENTRIES);
}

struct pdata_map_entry cow_pdata_map_entry(const struct pdata_map *map, uint64_t bitmap)
{
	const struct map_place key = { .key = bitmap };
	const struct map_place *place = NULL;

	if (map->nr_entries)
		place = (const struct map_place *)bsearch(&key, map->entries, map->nr_entries,
							  sizeof(key), by_key);
	return place ? place->entry : (struct pdata_map_entry){ .block = COW_OFFSET_NONE };
}

int cow_pdata_map_get(struct pdata_map *map, uint64_t block, uint32_t *ret_count,
		      struct cow_err *err)
{
	struct pdata_map_entry entry = cow_pdata_map_entry(map, block / PDATA_BITMAP_ENTRIES);
	const struct map_large *large;
	const uint8_t *raw;
	unsigned int count;
	int ret;

	if (block >= map->params.root.nr_blocks)
		return cow_fail(err, -ERANGE,
				"block %" PRIu64 " is behind the %" PRIu64
				" blocks of the space map",
				block, map->params.root.nr_blocks);
	ret = cow_pdata_block_read(map->params.blocks, &cow_pdata_bitmap_type, entry.block, &raw,
				   NULL, err);
	if (ret)
		return ret;
	count = cow_pdata_bitmap_get(raw, block % PDATA_BITMAP_ENTRIES);
	large = count == 3 ? cow_pdata_map_large(map, block) : NULL;
	*ret_count = large ? large->count : count;
	return 0;
}

int cow_pdata_map_fault_ignore(void *user, enum pdata_map_part part,
			       const struct pdata_fault *fault, struct cow_err *err)
{
	(void)user;
	(void)part;
	(void)fault;
	(void)err;
	return 0;
}
