/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_create.c - makes the metadata of an empty pool. Where each device needs one
 * bitmap (up to 63 MiB of metadata, 16320 data blocks), every block in use is byte for
 * byte what the kernel writes, but for the superblock, of which the kernel leaves 192
 * bytes uninitialised:
 *
 *	0	superblock
 *	2	counts from 3 on of metadata blocks: an empty leaf
 *	4+M	counts from 3 on of data blocks: an empty leaf
 *	5+M	mapping tree, 6+M details tree: empty leaves
 *	7+M...	D bitmaps of the data blocks, M bitmaps of the metadata blocks
 *	...	the index of the former, a tree with its root last
 *	last	the index of the latter
 *
 * The kernel formats a pool without data blocks, and grows it in a second transaction:
 * so block 1 and blocks 3 to 3+M are free.
 *
 * Order: block 0 zeroed, flush; all other blocks, flush; block 0, flush. So a crash
 * leaves the old pool, none, or the new one. Blocks behind these become zeros. Source:
 * drivers/md/dm-thin-metadata.c, __format_metadata(), Linux 6.1.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/pdata/pdata_btree.h"
#include "libcow/store/thin/thin_store.h"

#define LEVELS_MAX 4
#define BLOCK_COUNTS 2
#define BLOCKS_MIN 16
#define BYTES_PER_DATA_BLOCK UINT64_C(48)
#define BYTES_USUAL_MIN (UINT64_C(2) << 20)
/* What the first device and the first commit take. */
#define BLOCKS_FIRST 6

struct plan {
	struct cow_image *metadata;
	uint64_t nr_blocks, nr_bitmaps;	       /* of the metadata device */
	uint64_t nr_data, nr_data_bitmaps;     /* of the data device */
	uint64_t first, data_bitmaps, bitmaps; /* where they begin */
	unsigned int nr_levels;		       /* of the index; level 0: leaves */
	uint64_t nr_nodes[LEVELS_MAX];	       /* of each level */
	uint64_t first_node[LEVELS_MAX];
	uint64_t index, end;
};

static void plan_make(struct plan *plan, uint64_t nr_blocks, uint64_t nr_data)
{
	uint64_t nr = 0;

	plan->nr_blocks = nr_blocks;
	plan->nr_bitmaps = div_ceil(nr_blocks, PDATA_BITMAP_ENTRIES);
	plan->nr_data = nr_data;
	plan->nr_data_bitmaps = div_ceil(nr_data, PDATA_BITMAP_ENTRIES);
	plan->first = 4 + plan->nr_bitmaps;
	plan->data_bitmaps = plan->first + 3;
	plan->bitmaps = plan->data_bitmaps + plan->nr_data_bitmaps;
	plan->index = plan->bitmaps + plan->nr_bitmaps;
	for (plan->nr_levels = 0; nr != 1; plan->nr_levels++) {
		nr = plan->nr_levels ? div_ceil(nr, pdata_node_max_entries(8))
				     : div_ceil(plan->nr_data_bitmaps,
						pdata_node_max_entries(PDATA_MAP_ENTRY_BYTES));
		plan->nr_nodes[plan->nr_levels] = nr;
		plan->first_node[plan->nr_levels] = plan->index;
		plan->index += nr;
	}
	plan->end = plan->index + 1;
}

static bool is_used(const struct plan *plan, uint64_t block)
{
	return !block || block == BLOCK_COUNTS || (block >= plan->first && block < plan->end);
}

static uint64_t nr_used(const struct plan *plan)
{
	return 2 + plan->end - plan->first;
}

/* ---------------------------------------------------------------- space maps */

static int data_bitmaps_write(const struct plan *plan, struct cow_err *err)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < plan->nr_data_bitmaps; i++) {
		uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };

		ret = cow_pdata_block_put(plan->metadata, &cow_pdata_bitmap_type,
					  plan->data_bitmaps + i, raw, err);
	}
	return ret;
}

/* Writes a bitmap, and the entry of the index that is its. */
static int bitmap_write(const struct plan *plan, uint64_t number, uint8_t *entry_raw,
			struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	struct pdata_map_entry entry = { .block = plan->bitmaps + number,
					 .nr_free = (uint32_t)PDATA_BITMAP_ENTRIES,
					 .none_free_before = (uint32_t)PDATA_BITMAP_ENTRIES };

	for (uint64_t i = 0; i < PDATA_BITMAP_ENTRIES; i++) {
		if (is_used(plan, number * PDATA_BITMAP_ENTRIES + i)) {
			cow_pdata_bitmap_set(raw, i, 1);
			entry.nr_free--;
		} else if (entry.none_free_before == PDATA_BITMAP_ENTRIES) {
			entry.none_free_before = (uint32_t)i;
		}
	}
	cow_pdata_map_entry_encode(&entry, entry_raw);
	return cow_pdata_block_put(plan->metadata, &cow_pdata_bitmap_type, entry.block, raw, err);
}

static int metadata_map_write(const struct plan *plan, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	int ret = 0;

	for (uint64_t i = 0; !ret && i < plan->nr_bitmaps; i++)
		ret = bitmap_write(plan, i, raw + 16 + i * PDATA_MAP_ENTRY_BYTES, err);
	return ret ? ret
		   : cow_pdata_block_put(plan->metadata, &cow_pdata_index_type, plan->index, raw,
					 err);
}

/* ---------------------------------------------------------------- trees */

static int empty_leaf_write(const struct plan *plan, uint64_t block, uint32_t value_size,
			    struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };

	cow_pdata_node_head_encode(raw, true, 0, value_size);
	return cow_pdata_block_put(plan->metadata, &cow_pdata_node_type, block, raw, err);
}

/* Where the entries of a node begin, among those of its level: evenly, as thin_check
 * takes a node that is filled to less than a third for damaged. */
static uint64_t entries_begin(const struct plan *plan, unsigned int level, uint64_t number)
{
	uint64_t nr = level ? plan->nr_nodes[level - 1] : plan->nr_data_bitmaps;

	return number * nr / plan->nr_nodes[level];
}

/* The lowest key below a node. */
static uint64_t key_below(const struct plan *plan, unsigned int level, uint64_t number)
{
	number = entries_begin(plan, level, number);
	while (level--)
		number = entries_begin(plan, level, number);
	return number;
}

static int index_leaf_write(const struct plan *plan, uint64_t number, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	uint64_t first = entries_begin(plan, 0, number);
	uint64_t nr = entries_begin(plan, 0, number + 1) - first;
	uint8_t *values = raw + PDATA_NODE_HEADER_BYTES +
			  8 * (size_t)pdata_node_max_entries(PDATA_MAP_ENTRY_BYTES);

	cow_pdata_node_head_encode(raw, true, (uint32_t)nr, PDATA_MAP_ENTRY_BYTES);
	for (uint64_t i = 0; i < nr; i++) {
		const struct pdata_map_entry entry = {
			.block = plan->data_bitmaps + first + i,
			.nr_free = (uint32_t)PDATA_BITMAP_ENTRIES,
		};

		put_le64(raw + PDATA_NODE_HEADER_BYTES + 8 * i, first + i);
		cow_pdata_map_entry_encode(&entry, values + PDATA_MAP_ENTRY_BYTES * i);
	}
	return cow_pdata_block_put(plan->metadata, &cow_pdata_node_type,
				   plan->first_node[0] + number, raw, err);
}

/* A node's children are neighbours, as all nodes of a level are. */
static int index_node_write(const struct plan *plan, unsigned int level, uint64_t number,
			    struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	uint64_t first = entries_begin(plan, level, number);
	uint64_t nr = entries_begin(plan, level, number + 1) - first;
	uint8_t *children = raw + PDATA_NODE_HEADER_BYTES + 8 * (size_t)pdata_node_max_entries(8);

	cow_pdata_node_head_encode(raw, false, (uint32_t)nr, 8);
	for (uint64_t i = 0; i < nr; i++) {
		put_le64(raw + PDATA_NODE_HEADER_BYTES + 8 * i,
			 key_below(plan, level - 1, first + i));
		put_le64(children + 8 * i, plan->first_node[level - 1] + first + i);
	}
	return cow_pdata_block_put(plan->metadata, &cow_pdata_node_type,
				   plan->first_node[level] + number, raw, err);
}

static int index_write(const struct plan *plan, struct cow_err *err)
{
	int ret = 0;

	for (unsigned int level = 0; level < plan->nr_levels; level++)
		for (uint64_t i = 0; !ret && i < plan->nr_nodes[level]; i++)
			ret = level ? index_node_write(plan, level, i, err)
				    : index_leaf_write(plan, i, err);
	return ret;
}

static int trees_write(const struct plan *plan, struct cow_err *err)
{
	int ret = empty_leaf_write(plan, BLOCK_COUNTS, 4, err);

	if (!ret)
		ret = empty_leaf_write(plan, plan->first, 4, err);
	if (!ret)
		ret = empty_leaf_write(plan, plan->first + 1, 8, err);
	if (!ret)
		ret = empty_leaf_write(plan, plan->first + 2, THIN_DETAILS_BYTES, err);
	return ret ? ret : index_write(plan, err);
}

/* ---------------------------------------------------------------- all of it */

/* Trees of an earlier life would be found where the superblock is lost. */
static int rest_clear(const struct plan *plan, struct cow_err *err)
{
	uint64_t end_bytes = plan->end * PDATA_BLOCK_BYTES;
	int ret = cow_image_write_zeroes(plan->metadata, PDATA_BLOCK_BYTES,
					 plan->first * PDATA_BLOCK_BYTES - PDATA_BLOCK_BYTES, err);

	return ret ? ret
		   : cow_image_write_zeroes(plan->metadata, end_bytes,
					    plan->metadata->size_bytes - end_bytes, err);
}

static int super_write(const struct plan *plan, uint64_t block_sectors, struct cow_err *err)
{
	const struct thin_super super = {
		.magic = THIN_MAGIC,
		.version = THIN_VERSION_MAX,
		.data_map = { .nr_blocks = plan->nr_data,
			      .bitmap_root = plan->first_node[plan->nr_levels - 1],
			      .ref_count_root = plan->first },
		.metadata_map = { .nr_blocks = plan->nr_blocks,
				  .nr_allocated = nr_used(plan),
				  .bitmap_root = plan->index,
				  .ref_count_root = BLOCK_COUNTS },
		.mapping_root = plan->first + 1,
		.details_root = plan->first + 2,
		.block_sectors = (uint32_t)block_sectors,
		.metadata_block_sectors = PDATA_BLOCK_BYTES / COW_SECTOR_BYTES,
		.metadata_nr_blocks = plan->nr_blocks,
	};
	uint8_t raw[PDATA_BLOCK_BYTES];

	cow_thin_super_encode(&super, 0, raw);
	return cow_image_pwrite(plan->metadata, raw, sizeof(raw), 0, err);
}

/* The kernel sets a part aside, and a commit writes new blocks only. */
static int room_check(const struct plan *plan, struct cow_err *err)
{
	uint64_t kept = thin_metadata_reserve(plan->nr_blocks);

	if (plan->nr_blocks >= BLOCKS_MIN && plan->nr_blocks >= nr_used(plan) + kept + BLOCKS_FIRST)
		return 0;
	return cow_refuse(err, -ERANGE, "size", NULL,
			  "%s has %" PRIu64 " bytes: the metadata of a pool with %" PRIu64
			  " data blocks takes %" PRIu64 " and as much again for changes, %" PRIu64
			  " at least",
			  plan->metadata->name, plan->metadata->size_bytes, plan->nr_data,
			  nr_used(plan) * PDATA_BLOCK_BYTES, BLOCKS_MIN * PDATA_BLOCK_BYTES);
}

int cow_thin_format(struct cow_image *metadata, uint64_t block_sectors, uint64_t nr_data_blocks,
		    struct cow_err *err)
{
	struct plan plan = { .metadata = metadata };
	int ret;

	plan_make(&plan, min_u64(metadata->size_bytes / PDATA_BLOCK_BYTES, PDATA_BLOCKS_MAX),
		  nr_data_blocks);
	ret = room_check(&plan, err);
	if (!ret)
		ret = cow_image_write_zeroes(metadata, 0, PDATA_BLOCK_BYTES, err);
	if (!ret)
		ret = cow_image_flush(metadata, err);
	if (!ret)
		ret = rest_clear(&plan, err);
	if (!ret)
		ret = trees_write(&plan, err);
	if (!ret)
		ret = data_bitmaps_write(&plan, err);
	if (!ret)
		ret = metadata_map_write(&plan, err);
	if (!ret)
		ret = cow_image_flush(metadata, err);
	if (!ret)
		ret = super_write(&plan, block_sectors, err);
	return ret ? ret : cow_image_flush(metadata, err);
}

/* ---------------------------------------------------------------- a new pool */

static int block_check(uint64_t block_bytes, struct cow_err *err)
{
	if (block_bytes % COW_SECTOR_BYTES == 0 && cow_thin_block_ok(bytes_to_sectors(block_bytes)))
		return 0;
	return cow_refuse(err, -EINVAL, "chunk-size", NULL,
			  "data blocks of %" PRIu64
			  " bytes: a pool has multiples of 65536, up to 1073741824",
			  block_bytes);
}

static int data_check(uint64_t data_bytes, uint64_t block_bytes, uint64_t *ret_nr_blocks,
		      struct cow_err *err)
{
	*ret_nr_blocks = data_bytes / block_bytes;
	if (*ret_nr_blocks && *ret_nr_blocks <= THIN_DATA_BLOCKS_MAX)
		return 0;
	return cow_refuse(err, -EINVAL, "size", NULL,
			  "%" PRIu64 " bytes of data and blocks of %" PRIu64
			  ": a pool has 1 to 2^40 blocks",
			  data_bytes, block_bytes);
}

/* As the kernel's documentation and LVM reckon. */
int cow_thin_create_size(const struct cow_store_args *args, uint64_t data_bytes,
			 uint64_t *ret_bytes, struct cow_err *err)
{
	uint64_t nr_data = 0, bytes;
	int ret = block_check(args->chunk_bytes, err);

	if (!ret)
		ret = data_check(data_bytes, args->chunk_bytes, &nr_data, err);
	if (ret)
		return ret;
	bytes = max_u64(nr_data * BYTES_PER_DATA_BLOCK, BYTES_USUAL_MIN);
	*ret_bytes =
		min_u64(ceil_to(bytes, PDATA_BLOCK_BYTES), PDATA_BLOCKS_MAX * PDATA_BLOCK_BYTES);
	return 0;
}

int cow_thin_create_fit(const struct cow_store_args *args, uint64_t wanted_bytes,
			uint64_t *ret_bytes, struct cow_err *err)
{
	(void)args;
	if (wanted_bytes < BLOCKS_MIN * PDATA_BLOCK_BYTES)
		return cow_refuse(err, -ERANGE, "size", NULL,
				  "%" PRIu64
				  " bytes are too few, the metadata of a pool takes %" PRIu64
				  " at least",
				  wanted_bytes, BLOCKS_MIN * PDATA_BLOCK_BYTES);
	*ret_bytes = min_u64(floor_to(wanted_bytes, PDATA_BLOCK_BYTES),
			     PDATA_BLOCKS_MAX * PDATA_BLOCK_BYTES);
	return 0;
}

static int images_check(const struct cow_image *metadata, const struct cow_image *data,
			const struct thin_args *wanted, uint64_t block_bytes, struct cow_err *err)
{
	if (!metadata || !data)
		return cow_fail(err, -EINVAL,
				"a new pool needs an image for its metadata and one "
				"for its data");
	if (wanted->size_bytes > data->size_bytes)
		return cow_refuse(err, -ERANGE, "bounds", NULL,
				  "the pool is to have %" PRIu64 " bytes of data, %s has %" PRIu64,
				  wanted->size_bytes, data->name, data->size_bytes);
	if (block_bytes % data->logical_block_bytes == 0)
		return 0;
	return cow_refuse(err, -EINVAL, "chunk-size", NULL,
			  "%s has logical blocks of %" PRIu32
			  " bytes: a data block is a multiple of that",
			  data->name, data->logical_block_bytes);
}

int cow_thin_create(const struct cow_store_args *args, struct cow_err *err)
{
	const struct cow_image *data = cow_store_args_image(args, COW_ROLE_DATA, 0);
	struct cow_image *metadata = cow_store_args_image(args, COW_ROLE_METADATA, 0);
	uint64_t nr_data = 0;
	struct thin_args wanted;
	int ret = block_check(args->chunk_bytes, err);

	if (!ret)
		ret = cow_thin_args_read(args, &wanted, err);
	if (!ret && (cow_store_args_value(args, THIN_KEY_ID) || wanted.is_held))
		ret = cow_fail(err, -EINVAL,
			       "a new pool is empty: it has no device and no metadata snapshot");
	if (!ret)
		ret = images_check(metadata, data, &wanted, args->chunk_bytes, err);
	if (!ret)
		ret = data_check(wanted.size_bytes ? wanted.size_bytes : data->size_bytes,
				 args->chunk_bytes, &nr_data, err);
	return ret ? ret
		   : cow_thin_format(metadata, bytes_to_sectors(args->chunk_bytes), nr_data, err);
}
