/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_btree.c - reads nodes of btrees, and finds entries by key. A descent
 * takes PDATA_HEIGHT_MAX steps at most, so a tree that leads back into itself
 * ends as damage. Keys of a child that its parent would look for elsewhere do,
 * too. Walking a whole tree to check it is pdata_walk.
 */
#include "libcow/pdata/pdata_btree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"

static void node_fault(const struct pdata_node *node, enum pdata_what what, uint64_t found,
		       uint64_t allowed, struct pdata_fault *ret_fault)
{
	*ret_fault = (struct pdata_fault){
		.what = what, .block = node->block, .found = found, .allowed = allowed
	};
}

/* Source: dm-btree-spine.c, node_check. */
void cow_pdata_node_decode(const uint8_t *raw, uint64_t block, struct pdata_node *ret_node,
			   struct pdata_fault *ret_fault)
{
	struct pdata_node node = {
		.raw = raw,
		.block = block,
		.flags = get_le32(raw + 4),
		.nr_entries = get_le32(raw + 16),
		.max_entries = get_le32(raw + 20),
		.value_size = get_le32(raw + 24),
	};
	/* Neither product wraps: 2^32 times 2^33. */
	uint64_t fit =
		(PDATA_BLOCK_BYTES - PDATA_NODE_HEADER_BYTES) / (UINT64_C(8) + node.value_size);

	*ret_node = node;
	node_fault(&node, PDATA_SOUND, 0, 0, ret_fault);
	if (node.max_entries > fit)
		node_fault(&node, PDATA_NODE_MAX_ENTRIES, node.max_entries, fit, ret_fault);
	else if (node.nr_entries > node.max_entries)
		node_fault(&node, PDATA_NODE_NR_ENTRIES, node.nr_entries, node.max_entries,
			   ret_fault);
	else if (!(node.flags & (PDATA_NODE_INTERNAL | PDATA_NODE_LEAF)))
		node_fault(&node, PDATA_NODE_FLAGS, node.flags, 0, ret_fault);
}

void cow_pdata_node_head_encode(uint8_t *raw, bool is_leaf, uint32_t nr_entries,
				uint32_t value_size)
{
	put_le32(raw + 4, is_leaf ? PDATA_NODE_LEAF : PDATA_NODE_INTERNAL);
	put_le32(raw + 16, nr_entries);
	put_le32(raw + 20, pdata_node_max_entries(value_size));
	put_le32(raw + 24, value_size);
}

void cow_pdata_node_check(const struct pdata_node *node, uint32_t leaf_value_size,
			  struct pdata_fault *ret_fault)
{
	uint32_t value_size = pdata_node_is_leaf(node) ? leaf_value_size : 8;
	uint32_t max_entries = pdata_node_max_entries(value_size);

	node_fault(node, PDATA_SOUND, 0, 0, ret_fault);
	if (node->flags != PDATA_NODE_INTERNAL && node->flags != PDATA_NODE_LEAF)
		return node_fault(node, PDATA_NODE_FLAGS, node->flags, 0, ret_fault);
	if (node->value_size != value_size)
		return node_fault(node, PDATA_NODE_VALUE_SIZE, node->value_size, value_size,
				  ret_fault);
	if (node->max_entries != max_entries)
		return node_fault(node, PDATA_NODE_MAX_ENTRIES, node->max_entries, max_entries,
				  ret_fault);
	if (!node->nr_entries && !pdata_node_is_leaf(node))
		return node_fault(node, PDATA_NODE_EMPTY, 0, 0, ret_fault);
	for (uint32_t i = 1; i < node->nr_entries; i++)
		if (pdata_node_key(node, i) <= pdata_node_key(node, i - 1))
			return node_fault(node, PDATA_NODE_ORDER, i, 0, ret_fault);
}

int cow_pdata_node_read(const struct pdata_tree *tree, uint64_t block, struct pdata_node *ret_node,
			struct pdata_fault *fault, struct cow_err *err)
{
	const char *name = cow_pdata_node_type.name;
	struct pdata_fault mine;
	const uint8_t *raw = NULL;
	int ret = cow_pdata_block_read(tree->blocks, &cow_pdata_node_type, block, &raw, &mine, err);

	if (ret)
		return ret;
	if (!mine.what)
		cow_pdata_node_decode(raw, block, ret_node, &mine);
	if (!mine.what)
		cow_pdata_node_check(ret_node, tree->value_size, &mine);
	if (fault)
		*fault = mine;
	else if (mine.what)
		return cow_pdata_fail(tree->blocks, &mine, name, err);
	return 0;
}

int cow_pdata_tree_height(const struct pdata_tree *tree, unsigned int *ret_height,
			  struct pdata_fault *fault, struct cow_err *err)
{
	struct pdata_fault deep = { .what = PDATA_NODE_DEPTH, .block = tree->root };
	uint64_t block = tree->root;
	struct pdata_node node;
	int ret;

	for (unsigned int height = 0; height <= PDATA_HEIGHT_MAX; height++) {
		ret = cow_pdata_node_read(tree, block, &node, fault, err);
		if (ret || (fault && fault->what))
			return ret;
		if (pdata_node_is_leaf(&node)) {
			*ret_height = height;
			return 0;
		}
		block = pdata_node_child(&node, 0);
	}
	if (!fault)
		return cow_pdata_fail(tree->blocks, &deep, cow_pdata_node_type.name, err);
	*fault = deep;
	return 0;
}

/* ---------------------------------------------------------------- finding entries */

uint32_t cow_pdata_node_find(const struct pdata_node *node, uint64_t key)
{
	uint32_t low = 0, high = node->nr_entries;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (pdata_node_key(node, middle) <= key)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}

/* Where a descent came through, for the neighbours. */
struct descent {
	struct pdata_node leaf;
	uint64_t low_key;  /* of the leaf, by its parents */
	uint64_t next_key; /* where its right neighbour begins */
	bool has_low, has_next;
};

static int bounds_check(const struct pdata_tree *tree, const struct pdata_node *node,
			const struct descent *descent, struct cow_err *err)
{
	struct pdata_fault fault = { .what = PDATA_NODE_BOUNDS, .block = node->block };
	uint64_t first, last;

	if (!node->nr_entries)
		return 0;
	first = pdata_node_key(node, 0);
	last = pdata_node_key(node, node->nr_entries - 1);
	if (descent->has_low && first < descent->low_key)
		fault.found = first;
	else if (descent->has_next && last >= descent->next_key)
		fault.found = last;
	else
		return 0;
	return cow_pdata_fail(tree->blocks, &fault, cow_pdata_node_type.name, err);
}

/* Goes down to the leaf where the key is, or would be: a key below all others
 * leads to the first leaf. */
static int descend(const struct pdata_tree *tree, uint64_t key, struct descent *ret_descent,
		   struct cow_err *err)
{
	struct pdata_fault deep = { .what = PDATA_NODE_DEPTH, .block = tree->root };
	struct descent descent = { .has_low = false };
	struct pdata_node *node = &descent.leaf;
	uint64_t block = tree->root;
	int ret;

	for (unsigned int height = 0; height <= PDATA_HEIGHT_MAX; height++) {
		uint32_t index;

		ret = cow_pdata_node_read(tree, block, node, NULL, err);
		if (!ret)
			ret = bounds_check(tree, node, &descent, err);
		if (ret)
			return ret;
		if (pdata_node_is_leaf(node)) {
			*ret_descent = descent;
			return 0;
		}
		index = cow_pdata_node_find(node, key);
		index = index == UINT32_MAX ? 0 : index;
		descent.low_key = pdata_node_key(node, index);
		descent.has_low = true;
		if (index + 1 < node->nr_entries) {
			descent.next_key = pdata_node_key(node, index + 1);
			descent.has_next = true;
		}
		block = pdata_node_child(node, index);
	}
	return cow_pdata_fail(tree->blocks, &deep, cow_pdata_node_type.name, err);
}

static void value_copy(const struct pdata_tree *tree, const struct pdata_node *leaf, uint32_t index,
		       void *ret_value)
{
	if (ret_value)
		memcpy(ret_value, pdata_node_value(leaf, index), tree->value_size);
}

int cow_pdata_tree_lookup(const struct pdata_tree *tree, uint64_t key, void *ret_value,
			  bool *ret_found, struct cow_err *err)
{
	struct descent descent;
	uint32_t index;
	int ret = descend(tree, key, &descent, err);

	if (ret)
		return ret;
	index = cow_pdata_node_find(&descent.leaf, key);
	*ret_found = index != UINT32_MAX && pdata_node_key(&descent.leaf, index) == key;
	if (*ret_found)
		value_copy(tree, &descent.leaf, index, ret_value);
	return 0;
}

int cow_pdata_tree_next(const struct pdata_tree *tree, uint64_t key, uint64_t *ret_key,
			void *ret_value, bool *ret_found, struct cow_err *err)
{
	struct descent descent;
	uint32_t index;
	int ret;

	*ret_found = false;
	/* A leaf whose keys all lie below leads on to its neighbour; each step
	 * goes to a higher key, so this ends. */
	for (;; key = descent.next_key) {
		ret = descend(tree, key, &descent, err);
		if (ret)
			return ret;
		index = cow_pdata_node_find(&descent.leaf, key);
		if (index == UINT32_MAX || pdata_node_key(&descent.leaf, index) != key)
			index++;
		if (index < descent.leaf.nr_entries)
			break;
		if (!descent.has_next || descent.next_key <= key)
			return 0;
	}
	*ret_key = pdata_node_key(&descent.leaf, index);
	value_copy(tree, &descent.leaf, index, ret_value);
	*ret_found = true;
	return 0;
}

int cow_pdata_tree_prev(const struct pdata_tree *tree, uint64_t key, uint64_t *ret_key,
			void *ret_value, bool *ret_found, struct cow_err *err)
{
	struct descent descent;
	uint32_t index;
	int ret;

	*ret_found = false;
	for (;; key = descent.low_key - 1) {
		ret = descend(tree, key, &descent, err);
		if (ret)
			return ret;
		index = cow_pdata_node_find(&descent.leaf, key);
		if (index != UINT32_MAX)
			break;
		if (!descent.has_low || !descent.low_key || descent.low_key > key)
			return 0;
	}
	*ret_key = pdata_node_key(&descent.leaf, index);
	value_copy(tree, &descent.leaf, index, ret_value);
	*ret_found = true;
	return 0;
}

int cow_pdata_tree_each(const struct pdata_tree *tree, uint64_t key, pdata_entry_fn *entry,
			void *user, struct cow_err *err)
{
	AUTO_FREE uint8_t *leaf = malloc(PDATA_BLOCK_BYTES);
	struct descent descent;
	int ret;

	if (!leaf)
		return cow_fail(err, -ENOMEM, "no memory for a metadata block");
	do {
		ret = descend(tree, key, &descent, err);
		if (ret)
			return ret;
		/* The callback may read other blocks. */
		memcpy(leaf, descent.leaf.raw, PDATA_BLOCK_BYTES);
		descent.leaf.raw = leaf;
		for (uint32_t i = 0; i < descent.leaf.nr_entries; i++) {
			if (pdata_node_key(&descent.leaf, i) < key)
				continue;
			ret = entry(user, pdata_node_key(&descent.leaf, i),
				    pdata_node_value(&descent.leaf, i), err);
			if (ret)
				return ret;
		}
		key = descent.next_key;
	} while (descent.has_next);
	return 0;
}
