/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_witness.c - a superblock that was torn inside its first sector: bytes of two
 * commits, of which one has left its checksum. The fields that differ between two
 * commits are the root of the bitset and the index of the space map, and both are on
 * the device. So the pair with which the checksum is right was the superblock of one
 * of the two.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/clone/clone_choose.h"
#include "libcow/store/clone/clone_lost.h"

#define PAIRS_MAX UINT64_C(100000) /* more are not tried */
#define OFFSET_INDEX 60		   /* in the superblock */
#define OFFSET_ROOT 188

struct indexes {
	uint64_t *blocks;
	size_t nr, capacity;
};

static int index_add(struct indexes *indexes, uint64_t block, struct cow_err *err)
{
	uint64_t *larger =
		cow_array_grow(indexes->blocks, indexes->nr, &indexes->capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu blocks", indexes->nr);
	indexes->blocks = larger;
	indexes->blocks[indexes->nr++] = block;
	return 0;
}

/* That of the superblock, and all that are on the device. */
static int indexes_find(struct pdata_blocks *blocks, uint64_t first, struct indexes *indexes,
			struct cow_err *err)
{
	int ret = index_add(indexes, first, err);

	for (uint64_t block = 1; !ret && block < cow_pdata_blocks_nr(blocks); block++) {
		struct pdata_fault fault = { .what = PDATA_SOUND };
		const uint8_t *raw;

		ret = cow_pdata_block_read(blocks, &cow_pdata_index_type, block, &raw, &fault, err);
		if (!ret && !fault.what && block != first)
			ret = index_add(indexes, block, err);
	}
	return ret;
}

static bool is_right(uint8_t raw[PDATA_BLOCK_BYTES], uint64_t index, uint64_t root)
{
	struct pdata_fault fault;

	put_le64(raw + OFFSET_INDEX, index);
	put_le64(raw + OFFSET_ROOT, root);
	cow_pdata_block_check(&cow_clone_super_type, 0, raw, &fault);
	return !fault.what;
}

int cow_clone_witness_find(struct clone_lost *lost, const uint8_t raw[PDATA_BLOCK_BYTES],
			   struct clone_super *ret_super, bool *ret_found, struct cow_err *err)
{
	struct indexes indexes = { .blocks = NULL };
	uint8_t tried[PDATA_BLOCK_BYTES];
	int ret = indexes_find(lost->blocks, get_le64(raw + OFFSET_INDEX), &indexes, err);

	*ret_found = false;
	memcpy(tried, raw, sizeof(tried));
	if (!ret && indexes.nr > PAIRS_MAX / (lost->nr_trees + 1))
		indexes.nr = 1;
	for (size_t i = 0; !ret && !*ret_found && i < indexes.nr; i++)
		for (size_t t = 0; !*ret_found && t < lost->nr_trees; t++)
			*ret_found = is_right(tried, indexes.blocks[i], lost->trees[t].root);
	if (*ret_found)
		cow_clone_super_decode(tried, ret_super);
	free(indexes.blocks);
	return ret;
}
