/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_rebuild_map.c - both space maps of a pool, from counts. The map of the metadata
 * counts the blocks that it consists of: its tree of counts is made first, as no block
 * that is new has more than one reference, then its bitmaps and its index get their
 * places, and only then the bitmaps are filled.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/pdata/pdata_space_map.h"
#include "libcow/store/thin/repair/thin_rebuild.h"

/* ---------------------------------------------------------------- large counts */

struct large {
	const struct pdata_counts *counts;
	uint64_t at;
};

static bool large_find(struct large *large, uint64_t *ret_block)
{
	while (cow_pdata_counts_next(large->counts, large->at, ret_block)) {
		large->at = *ret_block + 1;
		if (cow_pdata_counts_get(large->counts, *ret_block) >= PDATA_MAP_LARGE)
			return true;
	}
	return false;
}

static int large_next(void *user, uint64_t *ret_key, uint8_t *value, struct cow_err *err)
{
	struct large *large = (struct large *)user;

	(void)err;
	*ret_key = 0;
	(void)large_find(large, ret_key); /* as many are asked for as were found */
	put_le32(value, cow_pdata_counts_get(large->counts, *ret_key));
	return 0;
}

static int large_write(struct thin_rebuild *rebuild, const struct pdata_counts *counts,
		       uint64_t *ret_root, struct cow_err *err)
{
	struct large large = { counts, 0 };
	uint64_t nr = 0, block;

	while (large_find(&large, &block))
		nr++;
	large.at = 0;
	return cow_thin_rebuild_tree(rebuild, 4, nr, large_next, &large, ret_root, err);
}

/* ---------------------------------------------------------------- bitmaps */

static int bitmap_write(struct thin_rebuild *rebuild, const struct pdata_counts *counts,
			uint64_t index, struct pdata_map_entry *entry, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };

	cow_pdata_bitmap_fill(raw, counts, index, entry);
	return cow_pdata_block_put(rebuild->target, &cow_pdata_bitmap_type, entry->block, raw, err);
}

/* ---------------------------------------------------------------- the data */

struct data_index {
	struct thin_rebuild *rebuild;
	uint64_t at;
};

static int data_next(void *user, uint64_t *ret_key, uint8_t *value, struct cow_err *err)
{
	struct data_index *index = (struct data_index *)user;
	struct pdata_map_entry entry = { .block = 0 };
	int ret = cow_thin_rebuild_take(index->rebuild, &entry.block, err);

	*ret_key = index->at;
	if (!ret)
		ret = bitmap_write(index->rebuild, index->rebuild->data_counts, index->at++, &entry,
				   err);
	cow_pdata_map_entry_encode(&entry, value);
	return ret;
}

int cow_thin_rebuild_data_map(struct thin_rebuild *rebuild, struct cow_err *err)
{
	struct pdata_map_root *root = &rebuild->super.data_map;
	struct data_index index = { rebuild, 0 };
	uint64_t nr_bitmaps = div_ceil(root->nr_blocks, PDATA_BITMAP_ENTRIES);
	int ret;

	if (nr_bitmaps > rebuild->nr_blocks)
		return cow_refuse(err, -ERANGE, "size", NULL,
				  "%s has %" PRIu64 " blocks, the bitmaps of %" PRIu64
				  " data blocks take %" PRIu64,
				  rebuild->target->name, rebuild->nr_blocks, root->nr_blocks,
				  nr_bitmaps);
	ret = cow_thin_rebuild_tree(rebuild, PDATA_MAP_ENTRY_BYTES, nr_bitmaps, data_next, &index,
				    &root->bitmap_root, err);
	root->nr_allocated = cow_pdata_counts_nr_used(rebuild->data_counts);
	return ret ? ret : large_write(rebuild, rebuild->data_counts, &root->ref_count_root, err);
}

/* ---------------------------------------------------------------- the metadata */

int cow_thin_rebuild_map(struct thin_rebuild *rebuild, struct cow_err *err)
{
	struct pdata_map_root *root = &rebuild->super.metadata_map;
	struct pdata_map_entry entries[PDATA_MAP_INDEX_ENTRIES] = { { .block = 0 } };
	uint64_t nr_bitmaps = div_ceil(rebuild->nr_blocks, PDATA_BITMAP_ENTRIES);
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	int ret = large_write(rebuild, rebuild->counts, &root->ref_count_root, err);

	for (uint64_t i = 0; !ret && i < nr_bitmaps; i++)
		ret = cow_thin_rebuild_take(rebuild, &entries[i].block, err);
	if (!ret)
		ret = cow_thin_rebuild_take(rebuild, &root->bitmap_root, err);
	for (uint64_t i = 0; !ret && i < nr_bitmaps; i++) {
		ret = bitmap_write(rebuild, rebuild->counts, i, &entries[i], err);
		cow_pdata_map_entry_encode(&entries[i], raw + 16 + i * PDATA_MAP_ENTRY_BYTES);
	}
	if (ret)
		return ret;
	root->nr_blocks = rebuild->nr_blocks;
	root->nr_allocated = cow_pdata_counts_nr_used(rebuild->counts);
	return cow_pdata_block_put(rebuild->target, &cow_pdata_index_type, root->bitmap_root, raw,
				   err);
}
