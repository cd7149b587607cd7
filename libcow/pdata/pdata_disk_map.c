/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_disk_map.c - counts of data blocks that change. Source:
 * drivers/md/persistent-data/dm-space-map-disk.c, Linux 6.1.
 */
#include "libcow/pdata/pdata_disk_map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/pages.h"
#include "libcow/pdata/pdata_change.h"

struct pdata_disk_map {
	struct pdata_transaction *txn;
	struct pdata_map_root root;
	struct pdata_counts *counts;
	bool *is_changed; /* of each bitmap */
	uint64_t nr_bitmaps;
	struct pdata_large large;
	struct cow_pages freed; /* a bit for each block that lost its last reference */
	uint64_t nr_freed;
	uint64_t next; /* where to look for a free block */
};

/* ---------------------------------------------------------------- begin, end */

static int leak_take(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
		     struct cow_err *err)
{
	struct pdata_disk_map *map = (struct pdata_disk_map *)user;

	(void)nr;
	if (found && !counted) {
		map->is_changed[first / PDATA_BITMAP_ENTRIES] = true;
		return 0;
	}
	return cow_refuse(err, -EBADMSG, "damaged", NULL,
			  "data block %" PRIu64 " of %s is counted %" PRIu32
			  " times, and mapped %" PRIu32 " times",
			  first,
			  cow_pdata_blocks_image(cow_pdata_transaction_blocks(map->txn))->name,
			  found, counted);
}

static int leaks_find(struct pdata_disk_map *map, struct cow_err *err)
{
	const struct pdata_map_params params = {
		.blocks = cow_pdata_transaction_blocks(map->txn),
		.root = map->root,
		.is_disk = true,
		.nr_blocks_max = UINT64_MAX,
		.user = map,
	};
	AUTO_HANDLE(pdata_map) struct pdata_map *read = NULL;
	uint64_t nr_used;
	int ret = cow_pdata_map_load(&params, &read, err);

	if (ret)
		return ret;
	map->nr_bitmaps = cow_pdata_map_nr_bitmaps(read);
	/* bounded: by the index, which was read */
	map->is_changed = calloc((size_t)map->nr_bitmaps + 1, sizeof(*map->is_changed));
	if (!map->is_changed)
		return cow_fail(err, -ENOMEM, "no memory for a transaction");
	return cow_pdata_map_compare(read, map->counts, leak_take, &nr_used, err);
}

int cow_pdata_disk_map_new(struct pdata_transaction *txn, const struct pdata_map_root *root,
			   struct pdata_counts *counts, struct pdata_disk_map **ret_map,
			   struct cow_err *err)
{
	AUTO_HANDLE(pdata_disk_map) struct pdata_disk_map *map = calloc(1, sizeof(*map));
	int ret;

	if (!map) {
		cow_pdata_counts_free(counts);
		return cow_fail(err, -ENOMEM, "no memory for a transaction");
	}
	map->txn = txn;
	map->root = *root;
	map->counts = counts;
	cow_pages_init(&map->freed, div_ceil(root->nr_blocks, 8));
	ret = leaks_find(map, err);
	if (ret)
		return ret;
	*ret_map = take_ptr(map);
	return 0;
}

void cow_pdata_disk_map_free(struct pdata_disk_map *map)
{
	if (!map)
		return;
	cow_pages_destroy(&map->freed);
	cow_pdata_counts_free(map->counts);
	free(map->is_changed);
	free(map->large.blocks);
	free(map);
}

void cow_pdata_disk_map_committed(struct pdata_disk_map *map)
{
	for (uint64_t i = 0; i < map->nr_bitmaps; i++)
		map->is_changed[i] = false;
	map->large.nr = 0;
	cow_pages_destroy(&map->freed);
	cow_pages_init(&map->freed, div_ceil(map->root.nr_blocks, 8));
	map->nr_freed = 0;
}

/* ---------------------------------------------------------------- blocks */

uint64_t cow_pdata_disk_map_nr_free(const struct pdata_disk_map *map)
{
	return map->root.nr_blocks - cow_pdata_counts_nr_used(map->counts) - map->nr_freed;
}

/* What the committed trees still name is not free yet (I16). */
static bool is_free(const struct pdata_disk_map *map, uint64_t block)
{
	return !cow_pdata_counts_get(map->counts, block) && !cow_pages_bit(&map->freed, block);
}

/* Upwards from the last one, as the kernel does, so that what was written in order lies
 * in order. */
int cow_pdata_disk_map_take(struct pdata_disk_map *map, uint64_t *ret_block, struct cow_err *err)
{
	uint64_t nr_blocks = map->root.nr_blocks, nr_free = cow_pdata_disk_map_nr_free(map);

	for (uint64_t i = 0; nr_free && i < nr_blocks; i++) {
		uint64_t block = (map->next + i) % nr_blocks;

		if (!is_free(map, block))
			continue;
		map->next = block + 1;
		map->is_changed[block / PDATA_BITMAP_ENTRIES] = true;
		*ret_block = block;
		return cow_pdata_counts_add(map->counts, block, 1, err);
	}
	return cow_refuse(err, -ENOSPC, "data-space", NULL,
			  "the pool of %s has no free data block left, of %" PRIu64
			  " blocks; the pool is as it was",
			  cow_pdata_blocks_image(cow_pdata_transaction_blocks(map->txn))->name,
			  nr_blocks);
}

static int freed_note(struct pdata_disk_map *map, uint64_t block, struct cow_err *err)
{
	if (!cow_pages_set_bit(&map->freed, block))
		return cow_fail(err, -ENOMEM, "no memory for a transaction");
	map->nr_freed++;
	return 0;
}

int cow_pdata_disk_map_count(struct pdata_disk_map *map, uint64_t block, bool is_more,
			     struct cow_err *err)
{
	uint32_t count = block < map->root.nr_blocks ? cow_pdata_counts_get(map->counts, block) : 0;
	int ret;

	if (!count)
		return cow_refuse(
			err, -EBADMSG, "damaged", NULL,
			"data block %" PRIu64 " of %s is mapped, and is not in use", block,
			cow_pdata_blocks_image(cow_pdata_transaction_blocks(map->txn))->name);
	ret = is_more ? cow_pdata_counts_add(map->counts, block, 1, err)
		      : cow_pdata_counts_drop(map->counts, block, err);
	/* it stays so: nobody counts a block up that has no reference */
	if (!ret && !is_more && count == 1)
		ret = freed_note(map, block, err);
	if (ret)
		return ret;
	map->is_changed[block / PDATA_BITMAP_ENTRIES] = true;
	return cow_pdata_large_note(&map->large, block, is_more ? count + 1 : count, err);
}

/* ---------------------------------------------------------------- commit */

static int bitmap_write(struct pdata_disk_map *map, uint64_t index, struct cow_err *err)
{
	static const struct pdata_values values = { .value_size = PDATA_MAP_ENTRY_BYTES };
	const struct pdata_tree tree = { cow_pdata_transaction_blocks(map->txn),
					 map->root.bitmap_root, PDATA_MAP_ENTRY_BYTES };
	struct pdata_map_entry entry = { .block = 0 };
	uint8_t value[PDATA_MAP_ENTRY_BYTES], *raw = NULL;
	bool found = false;
	int ret = cow_pdata_tree_lookup(&tree, index, value, &found, err);

	if (!ret && !found)
		ret = cow_refuse(err, -EBADMSG, "damaged", NULL,
				 "the data space map has no bitmap %" PRIu64, index);
	if (!ret)
		ret = cow_pdata_block_shadow(map->txn, &cow_pdata_bitmap_type, get_le64(value),
					     &entry.block, &raw, err);
	if (ret)
		return ret;
	cow_pdata_bitmap_fill(raw, map->counts, index, &entry);
	cow_pdata_map_entry_encode(&entry, value);
	return cow_pdata_tree_insert(map->txn, &values, &map->root.bitmap_root, index, value, err);
}

int cow_pdata_disk_map_write(struct pdata_disk_map *map, struct pdata_map_root *ret_root,
			     struct cow_err *err)
{
	int ret = cow_pdata_large_write(map->txn, &map->root.ref_count_root, map->counts,
					&map->large, err);

	for (uint64_t i = 0; !ret && i < map->nr_bitmaps; i++)
		if (map->is_changed[i])
			ret = bitmap_write(map, i, err);
	map->root.nr_allocated = cow_pdata_counts_nr_used(map->counts);
	*ret_root = map->root;
	return ret;
}
