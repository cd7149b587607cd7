/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_create.c - writes the metadata of a clone from nothing, byte for byte as
 * the kernel formats a device (up to 252 array blocks; beyond that the tree has
 * other, equally legal nodes):
 *
 *	0	superblock
 *	1	index of the space map
 *	2	tree of reference counts: an empty leaf
 *	3...	bitmaps of the space map, one for 16320 blocks of the device
 *	...	the bitset's tree, root first, then its array blocks
 *
 * Order: block 0 zeroed, flush; all other blocks, flush; block 0, flush. So a
 * crash leaves the old metadata, none, or the new one. Blocks behind these become
 * zeros; the kernel leaves them as they are. Source: drivers/md/dm-clone-metadata.c,
 *__format_metadata(), Linux 6.1.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/store/clone/clone_format.h"

#define NODE_ENTRIES UINT64_C(252) /* with values of 8 bytes */
#define LEVELS_MAX 3
#define BLOCK_INDEX 1
#define BLOCK_COUNTS 2
#define BLOCK_BITMAPS 3
/* With fewer the first commit fails: one array block, and what leads to it. */
#define BLOCKS_MIN 10

struct plan {
	struct cow_image *metadata;
	const struct clone_bits *bits; /* NULL: all 0 */
	uint64_t nr_blocks, nr_bitmaps, nr_words, nr_arrays;
	unsigned int nr_levels;		 /* of nodes; level 0: leaves */
	uint64_t nr_nodes[LEVELS_MAX];	 /* of each level */
	uint64_t first_node[LEVELS_MAX]; /* their block numbers */
	uint64_t first_array, nr_used;
};

static void plan_make(struct plan *plan, uint64_t nr_regions)
{
	uint64_t nr = 0, next;

	plan->nr_words = pdata_bitset_words(nr_regions);
	plan->nr_arrays = div_ceil(plan->nr_words, PDATA_WORDS_PER_BLOCK);
	plan->nr_bitmaps = div_ceil(plan->nr_blocks, PDATA_BITMAP_ENTRIES);
	for (plan->nr_levels = 0; nr != 1; plan->nr_levels++) {
		nr = div_ceil(plan->nr_levels ? nr : plan->nr_arrays, NODE_ENTRIES);
		plan->nr_nodes[plan->nr_levels] = nr;
	}
	next = BLOCK_BITMAPS + plan->nr_bitmaps;
	for (unsigned int level = plan->nr_levels; level--;) {
		plan->first_node[level] = next;
		next += plan->nr_nodes[level];
	}
	plan->first_array = next;
	plan->nr_used = next + plan->nr_arrays;
}

/* ---------------------------------------------------------------- space map */

static uint64_t used_in_bitmap(const struct plan *plan, uint64_t index)
{
	uint64_t first = index * PDATA_BITMAP_ENTRIES;

	return plan->nr_used <= first ? 0 : min_u64(plan->nr_used - first, PDATA_BITMAP_ENTRIES);
}

static int index_write(const struct plan *plan, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };

	for (uint64_t i = 0; i < plan->nr_bitmaps; i++) {
		uint32_t nr_used = (uint32_t)used_in_bitmap(plan, i);
		const struct pdata_map_entry entry = {
			.block = BLOCK_BITMAPS + i,
			.nr_free = (uint32_t)PDATA_BITMAP_ENTRIES - nr_used,
			.none_free_before = nr_used,
		};

		cow_pdata_map_entry_encode(&entry, raw + 16 + i * PDATA_MAP_ENTRY_BYTES);
	}
	return cow_pdata_block_put(plan->metadata, &cow_pdata_index_type, BLOCK_INDEX, raw, err);
}

static int bitmaps_write(const struct plan *plan, struct cow_err *err)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < plan->nr_bitmaps; i++) {
		uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };

		for (uint64_t entry = 0; entry < used_in_bitmap(plan, i); entry++)
			cow_pdata_bitmap_set(raw, entry, 1);
		ret = cow_pdata_block_put(plan->metadata, &cow_pdata_bitmap_type, BLOCK_BITMAPS + i,
					  raw, err);
	}
	return ret;
}

/* ---------------------------------------------------------------- bitset */

/* A node's entries are neighbours, as all blocks of a level are. */
static int node_write(const struct plan *plan, unsigned int level, uint64_t index,
		      struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	uint64_t below = level ? plan->nr_nodes[level - 1] : plan->nr_arrays;
	uint64_t first_below = level ? plan->first_node[level - 1] : plan->first_array;
	uint64_t first = index * NODE_ENTRIES, nr = min_u64(NODE_ENTRIES, below - first);
	uint64_t arrays = 1; /* under each entry */

	for (unsigned int i = 0; i < level; i++)
		arrays *= NODE_ENTRIES;
	cow_pdata_node_head_encode(raw, !level, (uint32_t)nr, 8);
	for (uint64_t i = 0; i < nr; i++) {
		put_le64(raw + PDATA_NODE_HEADER_BYTES + 8 * i, (first + i) * arrays);
		put_le64(raw + PDATA_NODE_HEADER_BYTES + 8 * (NODE_ENTRIES + i),
			 first_below + first + i);
	}
	return cow_pdata_block_put(plan->metadata, &cow_pdata_node_type,
				   plan->first_node[level] + index, raw, err);
}

static int array_write(const struct plan *plan, uint64_t index, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	uint64_t first = index * PDATA_WORDS_PER_BLOCK;
	uint64_t nr = min_u64(PDATA_WORDS_PER_BLOCK, plan->nr_words - first);

	put_le32(raw + 4, (uint32_t)PDATA_WORDS_PER_BLOCK);
	put_le32(raw + 8, (uint32_t)nr);
	put_le32(raw + 12, 8);
	for (uint64_t i = 0; plan->bits && i < nr; i++)
		put_le64(raw + PDATA_ARRAY_HEADER_BYTES + 8 * i, plan->bits->words[first + i]);
	return cow_pdata_block_put(plan->metadata, &cow_pdata_array_type, plan->first_array + index,
				   raw, err);
}

static int bitset_write(const struct plan *plan, struct cow_err *err)
{
	int ret = 0;

	for (unsigned int level = 0; level < plan->nr_levels; level++)
		for (uint64_t i = 0; !ret && i < plan->nr_nodes[level]; i++)
			ret = node_write(plan, level, i, err);
	for (uint64_t i = 0; !ret && i < plan->nr_arrays; i++)
		ret = array_write(plan, i, err);
	return ret;
}

/* ---------------------------------------------------------------- all of it */

static int counts_write(const struct plan *plan, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };

	cow_pdata_node_head_encode(raw, true, 0, 4);
	return cow_pdata_block_put(plan->metadata, &cow_pdata_node_type, BLOCK_COUNTS, raw, err);
}

static int super_write(const struct plan *plan, uint64_t region_sectors, uint64_t target_sectors,
		       struct cow_err *err)
{
	const struct clone_super super = {
		.magic = CLONE_MAGIC,
		.version = CLONE_VERSION,
		.map = { .nr_blocks = plan->nr_blocks,
			 .nr_allocated = plan->nr_used,
			 .bitmap_root = BLOCK_INDEX,
			 .ref_count_root = BLOCK_COUNTS },
		.region_sectors = region_sectors,
		.target_sectors = target_sectors,
		.bitset_root = plan->first_node[plan->nr_levels - 1],
	};
	uint8_t raw[PDATA_BLOCK_BYTES];

	cow_clone_super_encode(&super, raw);
	return cow_image_pwrite(plan->metadata, raw, sizeof(raw), 0, err);
}

static uint64_t blocks_needed(const struct plan *plan)
{
	return max_u64(plan->nr_used + 4, BLOCKS_MIN);
}

uint64_t cow_clone_format_size(uint64_t nr_regions, uint64_t nr_blocks)
{
	struct plan plan = { .nr_blocks = min_u64(nr_blocks, PDATA_BLOCKS_MAX) };

	plan_make(&plan, nr_regions);
	return blocks_needed(&plan) * PDATA_BLOCK_BYTES;
}

static int size_check(const struct plan *plan, struct cow_err *err)
{
	uint64_t needed = blocks_needed(plan);

	if (plan->nr_blocks >= needed)
		return 0;
	return cow_refuse(
		err, -ERANGE, "size", NULL,
		"%s has %" PRIu64 " bytes, the metadata of this clone takes %" PRIu64 " at least",
		plan->metadata->name, plan->metadata->size_bytes, needed * PDATA_BLOCK_BYTES);
}

/* Trees of an earlier life would make it doubtful which is the newest. */
static int rest_clear(const struct plan *plan, struct cow_err *err)
{
	uint64_t used_bytes = plan->nr_used * PDATA_BLOCK_BYTES;

	return cow_image_write_zeroes(plan->metadata, used_bytes,
				      plan->metadata->size_bytes - used_bytes, err);
}

int cow_clone_format(struct cow_image *metadata, uint64_t region_sectors, uint64_t target_sectors,
		     const struct clone_bits *bits, struct cow_err *err)
{
	struct plan plan = {
		.metadata = metadata,
		.bits = bits,
		.nr_blocks = min_u64(metadata->size_bytes / PDATA_BLOCK_BYTES, PDATA_BLOCKS_MAX),
	};
	int ret;

	plan_make(&plan, cow_clone_nr_regions(region_sectors, target_sectors));
	ret = size_check(&plan, err);
	if (!ret)
		ret = cow_image_write_zeroes(metadata, 0, PDATA_BLOCK_BYTES, err);
	if (!ret)
		ret = cow_image_flush(metadata, err);
	if (!ret)
		ret = index_write(&plan, err);
	if (!ret)
		ret = counts_write(&plan, err);
	if (!ret)
		ret = bitmaps_write(&plan, err);
	if (!ret)
		ret = bitset_write(&plan, err);
	if (!ret)
		ret = rest_clear(&plan, err);
	if (!ret)
		ret = cow_image_flush(metadata, err);
	if (!ret)
		ret = super_write(&plan, region_sectors, target_sectors, err);
	return ret ? ret : cow_image_flush(metadata, err);
}

/* ---------------------------------------------------------------- a new clone */

static int region_check(uint64_t region_bytes, struct cow_err *err)
{
	if (region_bytes % COW_SECTOR_BYTES == 0 &&
	    cow_clone_region_ok(bytes_to_sectors(region_bytes)))
		return 0;
	return cow_refuse(err, -EINVAL, "chunk-size", NULL,
			  "a region of %" PRIu64
			  " bytes is not a power of two from 4096 to 1073741824",
			  region_bytes);
}

static int regions_check(uint64_t region_bytes, uint64_t target_bytes, struct cow_err *err)
{
	if (target_bytes % COW_SECTOR_BYTES == 0 &&
	    cow_clone_nr_regions(bytes_to_sectors(region_bytes), bytes_to_sectors(target_bytes)))
		return 0;
	return cow_refuse(err, -EINVAL, "size", NULL,
			  "a clone of %" PRIu64 " bytes with regions of %" PRIu64
			  " bytes: it has whole sectors and 1 to 2^31 regions",
			  target_bytes, region_bytes);
}

/* Room for the metadata, and for a commit that writes all of the bitset anew. */
int cow_clone_create_size(const struct cow_store_args *args, uint64_t origin_bytes,
			  uint64_t *ret_bytes, struct cow_err *err)
{
	struct plan plan = { .nr_blocks = PDATA_BLOCKS_MAX };
	int ret = region_check(args->chunk_bytes, err);

	if (!ret)
		ret = regions_check(args->chunk_bytes, origin_bytes, err);
	if (ret)
		return ret;
	plan_make(&plan, div_ceil(origin_bytes, args->chunk_bytes));
	plan.nr_blocks = 2 * plan.nr_used;
	plan_make(&plan, div_ceil(origin_bytes, args->chunk_bytes));
	*ret_bytes = (2 * plan.nr_used + BLOCKS_MIN) * PDATA_BLOCK_BYTES;
	return 0;
}

int cow_clone_create_fit(const struct cow_store_args *args, uint64_t wanted_bytes,
			 uint64_t *ret_bytes, struct cow_err *err)
{
	(void)args;
	if (wanted_bytes < BLOCKS_MIN * PDATA_BLOCK_BYTES)
		return cow_refuse(err, -ERANGE, "size", NULL,
				  "%" PRIu64 " bytes are too few, the metadata of a clone takes "
				  "%" PRIu64 " at least",
				  wanted_bytes, BLOCKS_MIN * PDATA_BLOCK_BYTES);
	*ret_bytes = min_u64(floor_to(wanted_bytes, PDATA_BLOCK_BYTES),
			     PDATA_BLOCKS_MAX * PDATA_BLOCK_BYTES);
	return 0;
}

static int image_check(const struct cow_image *image, const char *what, uint64_t target_bytes,
		       uint64_t region_bytes, struct cow_err *err)
{
	if (!image)
		return 0;
	if (image->size_bytes < target_bytes)
		return cow_refuse(err, -ERANGE, "bounds", NULL,
				  "the clone is to have %" PRIu64 " bytes, its %s %s has %" PRIu64,
				  target_bytes, what, image->name, image->size_bytes);
	if (region_bytes % image->logical_block_bytes == 0 &&
	    target_bytes % image->logical_block_bytes == 0)
		return 0;
	return cow_refuse(err, -EINVAL, "chunk-size", NULL,
			  "the %s %s has logical blocks of %" PRIu32
			  " bytes: regions and the clone have whole ones",
			  what, image->name, image->logical_block_bytes);
}

/* As long as the table says, else as the source. */
static int target_find(const struct cow_store_args *args, uint64_t *ret_bytes, struct cow_err *err)
{
	const struct cow_image *source = cow_store_args_image(args, COW_ROLE_SOURCE, 0);
	uint64_t sectors = 0, region = 0;
	int ret = cow_clone_args_table(args, &region, &sectors, err);

	if (ret)
		return ret;
	if (region && region != bytes_to_sectors(args->chunk_bytes))
		return cow_fail(err, -EINVAL,
				"two sizes of a region: %" PRIu64 " and %" PRIu64 " sectors",
				region, bytes_to_sectors(args->chunk_bytes));
	if (!sectors && !source)
		return cow_fail(err, -EINVAL, "a new clone needs its source, or its length");
	if (sectors_to_bytes_overflows(sectors, ret_bytes))
		return cow_fail(err, -EINVAL, "a clone of %" PRIu64 " sectors is too long",
				sectors);
	if (!sectors)
		*ret_bytes = source->size_bytes;
	return 0;
}

int cow_clone_create(const struct cow_store_args *args, struct cow_err *err)
{
	const struct cow_image *destination = cow_store_args_image(args, COW_ROLE_DESTINATION, 0);
	const struct cow_image *source = cow_store_args_image(args, COW_ROLE_SOURCE, 0);
	struct cow_image *metadata = cow_store_args_image(args, COW_ROLE_METADATA, 0);
	uint64_t region_bytes = args->chunk_bytes, target_bytes = 0;
	int ret = region_check(region_bytes, err);

	if (!ret && !metadata)
		ret = cow_fail(err, -EINVAL, "a new clone needs an image for its metadata");
	if (!ret)
		ret = target_find(args, &target_bytes, err);
	if (!ret)
		ret = regions_check(region_bytes, target_bytes, err);
	if (!ret)
		ret = image_check(source, "source", target_bytes, region_bytes, err);
	if (!ret)
		ret = image_check(destination, "destination", target_bytes, region_bytes, err);
	return ret ? ret
		   : cow_clone_format(metadata, bytes_to_sectors(region_bytes),
				      bytes_to_sectors(target_bytes), NULL, err);
}
