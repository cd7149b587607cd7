/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_lost.c - looks for trees of bitsets that are whole on the device, where
 * the superblock or the newest tree is lost. Each one is the bitset of a commit:
 * the kernel writes to free blocks, so older trees stay until their blocks are
 * used again. Within one life of the device a later tree contains all earlier
 * ones; the reverse does not hold, so a tree with more bits need not be newer.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/store/clone/clone_lost.h"

struct scan {
	struct clone_lost *lost;
	uint32_t *roots; /* blocks that may be roots */
	size_t nr_roots, capacity;
};

/* A node of a tree with values of 8 bytes that begins with key 0. */
static bool may_be_root(uint64_t block, const uint8_t *raw)
{
	struct pdata_fault fault;
	struct pdata_node node;

	cow_pdata_block_check(&cow_pdata_node_type, block, raw, &fault);
	if (fault.what)
		return false;
	cow_pdata_node_decode(raw, block, &node, &fault);
	if (!fault.what)
		cow_pdata_node_check(&node, 8, &fault);
	return !fault.what && node.nr_entries && !pdata_node_key(&node, 0);
}

static int root_add(struct scan *scan, uint64_t block, struct cow_err *err)
{
	uint32_t *larger =
		cow_array_grow(scan->roots, scan->nr_roots, &scan->capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu trees", scan->nr_roots);
	scan->roots = larger;
	scan->roots[scan->nr_roots++] = (uint32_t)block;
	return 0;
}

/* Blocks that cannot be read are none. */
static int roots_find(struct scan *scan, struct cow_err *err)
{
	struct pdata_blocks *blocks = scan->lost->blocks;
	struct cow_image *image = cow_pdata_blocks_image(blocks);
	AUTO_FREE uint8_t *piece = malloc(COW_PIECE_BYTES);
	uint64_t size = cow_pdata_blocks_nr(blocks) * PDATA_BLOCK_BYTES, len;
	int ret = 0;

	if (!piece)
		return cow_fail(err, -ENOMEM, "no memory for a piece of the metadata");
	for (uint64_t at = 0; !ret && at < size; at += len) {
		len = min_u64(COW_PIECE_BYTES, size - at);
		ret = cow_image_pread(image, piece, (size_t)len, at, err);
		if (ret == -EIO) {
			ret = 0;
			continue;
		}
		for (uint64_t i = 0; !ret && i < len; i += PDATA_BLOCK_BYTES)
			if (may_be_root((at + i) / PDATA_BLOCK_BYTES, piece + i))
				ret = root_add(scan, (at + i) / PDATA_BLOCK_BYTES, err);
	}
	return ret;
}

/* ---------------------------------------------------------------- one tree */

struct reading {
	struct clone_bits *bits;
	bool has_fault;
};

static int take_words(void *user, uint64_t first, const uint8_t *values, uint32_t nr,
		      uint64_t block, struct cow_err *err)
{
	(void)block;
	(void)err;
	cow_clone_bits_take(((struct reading *)user)->bits, first, values, nr);
	return 0;
}

static int take_fault(void *user, enum pdata_array_part part, const struct pdata_fault *fault,
		      uint64_t first, uint64_t nr, struct cow_err *err)
{
	(void)part;
	(void)fault;
	(void)first;
	(void)nr;
	(void)err;
	((struct reading *)user)->has_fault = true;
	return 0;
}

/* How many words the tree says it has, by its last array block; 0: unreadable. */
static int words_find(const struct pdata_tree *tree, uint64_t *ret_nr, struct cow_err *err)
{
	struct pdata_fault fault = { .what = PDATA_SOUND };
	uint64_t key = 0;
	const uint8_t *raw;
	uint8_t value[8];
	bool found = false;
	int ret = cow_pdata_tree_prev(tree, UINT64_MAX, &key, value, &found, err);

	*ret_nr = 0;
	if (ret == -EBADMSG || ret == -EIO)
		return 0;
	if (ret || !found || key >= cow_pdata_blocks_nr(tree->blocks))
		return ret;
	ret = cow_pdata_block_read(tree->blocks, &cow_pdata_array_type, get_le64(value), &raw,
				   &fault, err);
	if (!ret && !fault.what && get_le32(raw + 8) <= PDATA_WORDS_PER_BLOCK)
		*ret_nr = key * PDATA_WORDS_PER_BLOCK + get_le32(raw + 8);
	return ret;
}

static int tree_add(struct clone_lost *lost, const struct clone_tree *tree, struct cow_err *err)
{
	struct clone_tree *larger =
		cow_array_grow(lost->trees, lost->nr_trees, &lost->capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu trees", lost->nr_trees);
	lost->trees = larger;
	lost->trees[lost->nr_trees++] = *tree;
	return 0;
}

/* Keeps the tree if it is whole. */
static int tree_read(struct clone_lost *lost, uint64_t root, struct cow_err *err)
{
	const struct pdata_tree tree = { lost->blocks, root, 8 };
	struct clone_tree found = { .root = root };
	struct reading reading = { .bits = &found.bits };
	const struct pdata_array_walk walk = { .user = &reading,
					       .values = take_words,
					       .fault = take_fault };
	struct pdata_array array = { lost->blocks, root, 8, 0 };
	int ret = words_find(&tree, &array.nr_values, err);

	if (ret || !array.nr_values ||
	    (lost->nr_regions && array.nr_values != pdata_bitset_words(lost->nr_regions)))
		return ret;
	ret = cow_clone_bits_init(&found.bits,
				  lost->nr_regions ? lost->nr_regions : array.nr_values * 64, err);
	if (!ret)
		ret = cow_pdata_array_walk(&array, &walk, err);
	found.nr_words = array.nr_values;
	if (!ret && !reading.has_fault) {
		found.nr_hydrated = cow_clone_bits_count(&found.bits);
		if (lost->seen) {
			cow_clone_bits_add(lost->seen, &found.bits);
			cow_clone_bits_destroy(&found.bits);
		}
		ret = tree_add(lost, &found, err);
		if (!ret)
			return 0;
	}
	cow_clone_bits_destroy(&found.bits);
	return ret;
}

int cow_clone_lost_find(struct clone_lost *lost, struct cow_err *err)
{
	struct scan scan = { .lost = lost };
	int ret = roots_find(&scan, err);

	for (size_t i = 0; !ret && i < scan.nr_roots && lost->nr_trees < CLONE_TREES_MAX; i++)
		ret = tree_read(lost, scan.roots[i], err);
	free(scan.roots);
	return ret;
}

void cow_clone_lost_destroy(struct clone_lost *lost)
{
	for (size_t i = 0; i < lost->nr_trees; i++)
		cow_clone_bits_destroy(&lost->trees[i].bits);
	free(lost->trees);
	lost->trees = NULL;
	lost->nr_trees = lost->capacity = 0;
}

bool cow_clone_lost_is_one_life(const struct clone_lost *lost)
{
	for (size_t i = 0; i < lost->nr_trees; i++)
		for (size_t k = i + 1; k < lost->nr_trees; k++) {
			const struct clone_tree *a = &lost->trees[i], *b = &lost->trees[k];

			if (a->nr_words != b->nr_words ||
			    (!cow_clone_bits_within(&a->bits, &b->bits) &&
			     !cow_clone_bits_within(&b->bits, &a->bits)))
				return false;
		}
	return true;
}
