/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_lost.c - looks for trees of bitsets that are whole on the device, where
 * the superblock or the newest tree is lost, or may not be the newest. Each one is
 * the bitset of a commit: the kernel writes to free blocks, so older trees stay
 * until their blocks are used again. Within one life of the device a later tree
 * contains all earlier ones; the reverse does not hold, so a tree with more bits
 * need not be newer.
 *
 * Trees share the array blocks that did not change between two commits. So what
 * is known of an array block is kept, 12 bytes for each block of the device, and
 * two trees are compared where they have different blocks.
 */
#include "libcow/store/clone/clone_lost.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"

#define ARRAY_NONE UINT32_MAX

struct lost_block {
	uint32_t place;	 /* in the array, + 1; 0: not an array block that is known */
	uint32_t nr_set; /* bits */
	uint32_t stamp;	 /* the last tree that had it, + 1 */
};

/* The array blocks of one tree, by their place in the array. */
struct places {
	uint32_t *blocks;
	size_t capacity;
	uint64_t nr, nr_entries; /* the highest place + 1; how many were given */
	bool has_fault;
};

/* ---------------------------------------------------------------- roots */

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

	/* A look at the number and the first key costs less than a checksum. */
	if (get_le64(raw + 8) != block || get_le64(raw + PDATA_NODE_HEADER_BYTES))
		return false;
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

/* Of a piece in which not everything can be read: block by block. */
static int piece_salvage(struct cow_image *image, uint8_t *piece, uint64_t at, uint64_t len,
			 struct cow_err *err)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < len; i += PDATA_BLOCK_BYTES) {
		ret = cow_image_pread(image, piece + i, PDATA_BLOCK_BYTES, at + i, err);
		if (ret != -EIO)
			continue;
		memset(piece + i, 0, PDATA_BLOCK_BYTES);
		ret = 0;
	}
	return ret;
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
		if (ret == -EIO)
			ret = piece_salvage(image, piece, at, len, err);
		for (uint64_t i = 0; !ret && i < len; i += PDATA_BLOCK_BYTES)
			if (may_be_root((at + i) / PDATA_BLOCK_BYTES, piece + i))
				ret = root_add(scan, (at + i) / PDATA_BLOCK_BYTES, err);
	}
	return ret;
}

/* ---------------------------------------------------------------- one tree */

static int place_put(struct places *places, uint64_t key, uint64_t block, struct cow_err *err)
{
	while (places->nr <= key) {
		uint32_t *larger = cow_array_grow(places->blocks, (size_t)places->nr,
						  &places->capacity, sizeof(*larger));

		if (!larger)
			return cow_fail(err, -ENOMEM, "no memory for %" PRIu64 " array blocks",
					places->nr);
		places->blocks = larger;
		places->blocks[places->nr++] = ARRAY_NONE;
	}
	places->blocks[key] = (uint32_t)block;
	places->nr_entries++;
	return 0;
}

struct tree_walk {
	struct places *places;
	uint64_t nr_blocks; /* of the device: no tree has more array blocks */
};

static int leaf_take(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	const struct tree_walk *walk = (const struct tree_walk *)user;
	int ret = 0;

	(void)edge;
	for (uint32_t i = 0; !ret && i < node->nr_entries; i++) {
		uint64_t key = pdata_node_key(node, i), block = pdata_node_child(node, i);

		if (key >= walk->nr_blocks || block >= walk->nr_blocks)
			walk->places->has_fault = true;
		else
			ret = place_put(walk->places, key, block, err);
	}
	return ret;
}

static int fault_take(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	(void)fault;
	(void)edge;
	(void)err;
	((const struct tree_walk *)user)->places->has_fault = true;
	return 0;
}

/* The nodes of a tree; not whole, or with keys that are not dense: has_fault. */
static int places_read(const struct clone_lost *lost, uint64_t root, struct places *places,
		       struct cow_err *err)
{
	struct tree_walk user = { places, cow_pdata_blocks_nr(lost->blocks) };
	const struct pdata_walk_params params = {
		.blocks = lost->blocks,
		.value_size = 8,
		.user = &user,
		.leaf = leaf_take,
		.fault = fault_take,
	};
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(&params, &walk, err);

	places->nr = places->nr_entries = 0;
	places->has_fault = false;
	if (!ret)
		ret = cow_pdata_walk_root(walk, root, 0, 0, err);
	if (!ret)
		ret = cow_pdata_walk_run(walk, err);
	if (places->nr_entries != places->nr || !places->nr)
		places->has_fault = true;
	return ret;
}

/* ---------------------------------------------------------------- array blocks */

static uint32_t words_count(const uint8_t *raw, uint64_t nr)
{
	uint32_t sum = 0;

	for (uint64_t i = 0; i < nr; i++)
		sum += (uint32_t)__builtin_popcountll(
			get_le64(raw + PDATA_ARRAY_HEADER_BYTES + 8 * i));
	return sum;
}

/* Is it a sound array block, full but at the end? *ret_raw NULL: no. */
static int array_read(const struct clone_lost *lost, uint64_t block, bool is_last,
		      const uint8_t **ret_raw, struct cow_err *err)
{
	struct pdata_fault fault = { .what = PDATA_SOUND };
	const uint8_t *raw;
	uint64_t nr;
	int ret =
		cow_pdata_block_read(lost->blocks, &cow_pdata_array_type, block, &raw, &fault, err);

	*ret_raw = NULL;
	if (ret || fault.what)
		return ret;
	nr = get_le32(raw + 8);
	if (get_le32(raw + 4) == PDATA_WORDS_PER_BLOCK && get_le32(raw + 12) == 8 && nr &&
	    (is_last ? nr <= PDATA_WORDS_PER_BLOCK : nr == PDATA_WORDS_PER_BLOCK))
		*ret_raw = raw;
	return 0;
}

/* Reads the array blocks that no tree had before, in the same place; counts the
 * bits. false in *ret_is_whole: one is damaged, or there twice. */
static int arrays_check(struct clone_lost *lost, const struct places *places,
			struct clone_tree *tree, bool *ret_is_whole, struct cow_err *err)
{
	uint32_t stamp = (uint32_t)lost->nr_trees + 1;
	const uint8_t *raw = NULL;
	int ret = 0;

	*ret_is_whole = false;
	for (uint64_t i = 0; i < places->nr; i++) {
		struct lost_block *known = &lost->of[places->blocks[i]];
		bool is_last = i + 1 == places->nr;

		if (is_last || known->place != i + 1) {
			ret = array_read(lost, places->blocks[i], is_last, &raw, err);
			if (ret || !raw)
				return ret;
			known->place = is_last ? 0 : (uint32_t)i + 1;
			known->nr_set = words_count(raw, get_le32(raw + 8));
		}
		if (known->stamp == stamp)
			return 0;
		known->stamp = stamp;
		tree->nr_hydrated += known->nr_set;
		if (is_last)
			tree->nr_words = i * PDATA_WORDS_PER_BLOCK + get_le32(raw + 8);
	}
	*ret_is_whole = true;
	return 0;
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
static int tree_look(struct clone_lost *lost, uint64_t root, struct places *places,
		     struct cow_err *err)
{
	uint64_t nr_words = pdata_bitset_words(lost->nr_regions);
	struct clone_tree tree = { .root = root };
	bool is_whole;
	int ret = places_read(lost, root, places, err);

	if (ret || places->has_fault ||
	    (nr_words && places->nr != div_ceil(nr_words, PDATA_WORDS_PER_BLOCK)))
		return ret;
	ret = arrays_check(lost, places, &tree, &is_whole, err);
	if (ret || !is_whole || (nr_words && tree.nr_words != nr_words))
		return ret;
	return tree_add(lost, &tree, err);
}

int cow_clone_lost_find(struct clone_lost *lost, struct cow_err *err)
{
	struct scan scan = { .lost = lost };
	struct places places = { .blocks = NULL };
	int ret = 0;

	/* bounded: by the device, and by PDATA_BLOCKS_MAX; touched where there is a tree */
	lost->of = calloc((size_t)cow_pdata_blocks_nr(lost->blocks), sizeof(*lost->of));
	if (!lost->of)
		ret = cow_fail(err, -ENOMEM, "no memory to look for trees");
	if (!ret)
		ret = roots_find(&scan, err);
	for (size_t i = 0; !ret && i < scan.nr_roots; i++)
		if (scan.roots[i] != lost->skip_root)
			ret = tree_look(lost, scan.roots[i], &places, err);
	free(places.blocks);
	free(scan.roots);
	return ret;
}

void cow_clone_lost_destroy(struct clone_lost *lost)
{
	free(lost->trees);
	free(lost->of);
	lost->trees = NULL;
	lost->of = NULL;
	lost->nr_trees = lost->capacity = 0;
}

const struct clone_tree *cow_clone_lost_tree(const struct clone_lost *lost, uint64_t root)
{
	for (size_t i = 0; i < lost->nr_trees; i++)
		if (lost->trees[i].root == root)
			return &lost->trees[i];
	return NULL;
}

/* ---------------------------------------------------------------- lives */

static int by_size(const void *a, const void *b)
{
	const struct clone_tree *x = (const struct clone_tree *)a;
	const struct clone_tree *y = (const struct clone_tree *)b;

	if (x->nr_hydrated != y->nr_hydrated)
		return x->nr_hydrated < y->nr_hydrated ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

/* Is each bit of array block a also in b? Same places, so as many words. */
static int array_within(struct clone_lost *lost, uint32_t a, uint32_t b, bool *ret_is_within,
			struct cow_err *err)
{
	uint8_t mine[PDATA_BLOCK_BYTES];
	const uint8_t *raw;
	int ret = array_read(lost, a, true, &raw, err);

	*ret_is_within = false;
	if (ret || !raw)
		return ret;
	memcpy(mine, raw, sizeof(mine));
	ret = array_read(lost, b, true, &raw, err);
	if (ret || !raw || get_le32(raw + 8) != get_le32(mine + 8))
		return ret;
	*ret_is_within = true;
	for (size_t i = PDATA_ARRAY_HEADER_BYTES; i < PDATA_BLOCK_BYTES; i++)
		if (mine[i] & ~raw[i])
			*ret_is_within = false;
	return 0;
}

static int places_within(struct clone_lost *lost, const struct places *a, const struct places *b,
			 bool *ret_is_within, struct cow_err *err)
{
	int ret = 0;

	*ret_is_within = a->nr == b->nr;
	for (uint64_t i = 0; !ret && *ret_is_within && i < a->nr; i++)
		if (a->blocks[i] != b->blocks[i])
			ret = array_within(lost, a->blocks[i], b->blocks[i], ret_is_within, err);
	return ret;
}

int cow_clone_lost_lives(struct clone_lost *lost, bool *ret_is_one_life,
			 const struct clone_tree **ret_largest, struct cow_err *err)
{
	/* bounded: trees in memory already */
	AUTO_FREE struct clone_tree *order = reallocarray(NULL, lost->nr_trees + 1, sizeof(*order));
	struct places places[2] = { { .blocks = NULL }, { .blocks = NULL } };
	bool is_within = true;
	int ret = 0;

	if (!order)
		return cow_fail(err, -ENOMEM, "no memory for %zu trees", lost->nr_trees);
	for (size_t i = 0; i < lost->nr_trees; i++)
		order[i] = lost->trees[i];
	qsort(order, lost->nr_trees, sizeof(*order), by_size);
	for (size_t i = 0; !ret && is_within && i < lost->nr_trees; i++) {
		ret = places_read(lost, order[i].root, &places[i % 2], err);
		if (!ret && i)
			ret = places_within(lost, &places[(i - 1) % 2], &places[i % 2], &is_within,
					    err);
	}
	free(places[0].blocks);
	free(places[1].blocks);
	*ret_is_one_life = is_within;
	*ret_largest =
		lost->nr_trees ? cow_clone_lost_tree(lost, order[lost->nr_trees - 1].root) : NULL;
	return ret;
}

/* ---------------------------------------------------------------- bits */

static int array_take(struct clone_lost *lost, const struct places *places, uint64_t i,
		      struct clone_bits *bits, struct cow_err *err)
{
	const uint8_t *raw;
	int ret = array_read(lost, places->blocks[i], i + 1 == places->nr, &raw, err);

	if (!ret && !raw)
		ret = cow_fail(err, -EBADMSG, "array block %" PRIu32 " of %s has changed",
			       places->blocks[i], cow_pdata_blocks_image(lost->blocks)->name);
	if (!ret)
		cow_clone_bits_merge(bits, i * PDATA_WORDS_PER_BLOCK,
				     raw + PDATA_ARRAY_HEADER_BYTES, get_le32(raw + 8));
	return ret;
}

int cow_clone_lost_bits(struct clone_lost *lost, const struct clone_tree *tree,
			struct clone_bits *bits, struct cow_err *err)
{
	struct places places = { .blocks = NULL };
	int ret = places_read(lost, tree->root, &places, err);

	for (uint64_t i = 0; !ret && i < places.nr; i++)
		ret = array_take(lost, &places, i, bits, err);
	free(places.blocks);
	return ret;
}

int cow_clone_lost_union(struct clone_lost *lost, struct clone_bits *bits, struct cow_err *err)
{
	struct places places = { .blocks = NULL };
	int ret = 0;

	/* A stamp says now: its bits are there. */
	for (uint64_t i = 0; i < cow_pdata_blocks_nr(lost->blocks); i++)
		lost->of[i].stamp = 0;
	for (size_t t = 0; !ret && t < lost->nr_trees; t++) {
		ret = places_read(lost, lost->trees[t].root, &places, err);
		for (uint64_t i = 0; !ret && i < places.nr; i++) {
			struct lost_block *known = &lost->of[places.blocks[i]];

			if (known->stamp == i + 1)
				continue;
			ret = array_take(lost, &places, i, bits, err);
			known->stamp = (uint32_t)i + 1;
		}
	}
	free(places.blocks);
	return ret;
}
