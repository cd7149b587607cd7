/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_change.c - one way down for each change: a node that could overflow is split,
 * one that could become too empty is filled from its neighbour, before the step to the
 * next lower one. So nothing has to go up again. A root that is split keeps its block,
 * and one with a single child takes that one's place. Source:
 * drivers/md/persistent-data/dm-btree.c, btree_split_beneath(), dm-btree-remove.c,
 * Linux 6.1, which splits and joins in the same places, with other proportions.
 */
#include "libcow/pdata/pdata_change.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

/* A node of the transaction that may be written to. */
struct edit {
	uint64_t block;
	uint8_t *raw;
	uint32_t nr, max, value_size;
	bool is_leaf;
};

struct change {
	struct pdata_transaction *txn;
	const struct pdata_values *values;
};

static uint8_t *key_at(const struct edit *edit, uint32_t index)
{
	return edit->raw + PDATA_NODE_HEADER_BYTES + 8 * (size_t)index;
}

static uint8_t *value_at(const struct edit *edit, uint32_t index)
{
	return edit->raw + PDATA_NODE_HEADER_BYTES + 8 * (size_t)edit->max +
	       (size_t)edit->value_size * index;
}

static uint64_t key_of(const struct edit *edit, uint32_t index)
{
	return get_le64(key_at(edit, index));
}

/* ---------------------------------------------------------------- one node */

static void nr_set(struct edit *edit, uint32_t nr)
{
	edit->nr = nr;
	put_le32(edit->raw + 16, nr);
}

static void head_write(struct edit *edit, bool is_leaf, uint32_t value_size)
{
	edit->is_leaf = is_leaf;
	edit->value_size = value_size;
	edit->max = pdata_node_max_entries(value_size);
	edit->nr = 0;
	cow_pdata_node_head_encode(edit->raw, is_leaf, 0, value_size);
}

/* Entries from index on make room, or close up. */
static void entries_shift(struct edit *edit, uint32_t index, uint32_t to)
{
	size_t nr = edit->nr - index;

	memmove(key_at(edit, to), key_at(edit, index), nr * 8);
	memmove(value_at(edit, to), value_at(edit, index), nr * edit->value_size);
	nr_set(edit, edit->nr + to - index);
}

static void entry_put(struct edit *edit, uint32_t index, uint64_t key, const uint8_t *value)
{
	entries_shift(edit, index, index + 1);
	put_le64(key_at(edit, index), key);
	memcpy(value_at(edit, index), value, edit->value_size);
}

static void child_put(struct edit *edit, uint32_t index, uint64_t key, uint64_t block)
{
	uint8_t value[8];

	put_le64(value, block);
	entry_put(edit, index, key, value);
}

/* Copies entries to the place "at" of another node of the same kind, over what is there. */
static void entries_copy(const struct edit *from, uint32_t index, uint32_t nr, struct edit *to,
			 uint32_t at)
{
	memcpy(key_at(to, at), key_at(from, index), (size_t)nr * 8);
	memcpy(value_at(to, at), value_at(from, index), (size_t)nr * from->value_size);
}

static int edit_take(const struct change *c, struct edit *edit, const struct edit *like,
		     struct cow_err *err)
{
	int ret = cow_pdata_block_take(c->txn, &cow_pdata_node_type, &edit->block, &edit->raw, err);

	if (!ret)
		head_write(edit, like->is_leaf, like->value_size);
	return ret;
}

static int references_count(const struct change *c, const struct edit *edit, struct cow_err *err)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < edit->nr; i++) {
		if (!edit->is_leaf)
			ret = cow_pdata_block_more(c->txn, get_le64(value_at(edit, i)), err);
		else if (c->values->count)
			ret = c->values->count(c->values->user, value_at(edit, i), true, err);
	}
	return ret;
}

static int edit_check(const struct change *c, struct edit *edit, struct cow_err *err)
{
	struct pdata_blocks *blocks = cow_pdata_transaction_blocks(c->txn);
	struct pdata_fault fault;
	struct pdata_node node;

	cow_pdata_node_decode(edit->raw, edit->block, &node, &fault);
	if (!fault.what)
		cow_pdata_node_check(&node, c->values->value_size, &fault);
	if (fault.what)
		return cow_pdata_fail(blocks, &fault, cow_pdata_node_type.name, err);
	edit->nr = node.nr_entries;
	edit->max = node.max_entries;
	edit->value_size = node.value_size;
	edit->is_leaf = pdata_node_is_leaf(&node);
	return 0;
}

/* A copy of a node that may be written to. Others that refer to the old one go on to
 * refer to what is below it, and so does the copy. */
static int edit_open(const struct change *c, uint64_t block, struct edit *edit, struct cow_err *err)
{
	bool is_shared = cow_pdata_block_count(c->txn, block) > 1;
	int ret = cow_pdata_block_shadow(c->txn, &cow_pdata_node_type, block, &edit->block,
					 &edit->raw, err);

	if (!ret)
		ret = edit_check(c, edit, err);
	if (!ret && is_shared)
		ret = references_count(c, edit, err);
	return ret;
}

static int child_open(const struct change *c, struct edit *parent, uint32_t index,
		      struct edit *child, struct cow_err *err)
{
	int ret = edit_open(c, get_le64(value_at(parent, index)), child, err);

	if (!ret)
		put_le64(value_at(parent, index), child->block);
	return ret;
}

/* The last entry whose key is at most this; UINT32_MAX: none. */
static uint32_t entry_find(const struct edit *edit, uint64_t key)
{
	const struct pdata_node node = {
		.raw = edit->raw,
		.nr_entries = edit->nr,
		.max_entries = edit->max,
		.value_size = edit->value_size,
	};

	return cow_pdata_node_find(&node, key);
}

/* ---------------------------------------------------------------- putting in */

/* How many entries stay on the left: of a node that grows at its end two thirds, so
 * that keys in ascending order leave full nodes behind. */
static uint32_t split_point(const struct edit *edit, uint64_t key)
{
	return key > key_of(edit, edit->nr - 1) ? edit->max - edit->max / 3 : edit->nr / 2;
}

static void split_off(struct edit *left, struct edit *right, uint32_t nr_left)
{
	entries_copy(left, nr_left, left->nr - nr_left, right, 0);
	nr_set(right, left->nr - nr_left);
	nr_set(left, nr_left);
}

/* The root keeps its block, and its entries move into two children. */
static int root_split(const struct change *c, struct edit *root, uint64_t key, struct cow_err *err)
{
	struct edit left, right;
	uint32_t nr_left = split_point(root, key);
	int ret = edit_take(c, &left, root, err);

	if (!ret)
		ret = edit_take(c, &right, root, err);
	if (ret)
		return ret;
	entries_copy(root, 0, root->nr, &left, 0);
	nr_set(&left, root->nr);
	split_off(&left, &right, nr_left);
	memset(root->raw + PDATA_NODE_HEADER_BYTES, 0, PDATA_BLOCK_BYTES - PDATA_NODE_HEADER_BYTES);
	head_write(root, false, 8);
	child_put(root, 0, key_of(&left, 0), left.block);
	child_put(root, 1, key_of(&right, 0), right.block);
	return 0;
}

/* *child becomes the one of the two that the key belongs to. */
static int child_split(const struct change *c, struct edit *parent, uint32_t index, uint64_t key,
		       struct edit *child, struct cow_err *err)
{
	struct edit right;
	int ret = edit_take(c, &right, child, err);

	if (ret)
		return ret;
	split_off(child, &right, split_point(child, key));
	child_put(parent, index + 1, key_of(&right, 0), right.block);
	if (key >= key_of(&right, 0))
		*child = right;
	return 0;
}

static int leaf_insert(const struct change *c, struct edit *leaf, uint64_t key, const void *value,
		       struct cow_err *err)
{
	uint32_t index = entry_find(leaf, key);
	int ret = 0;

	if (index == UINT32_MAX || key_of(leaf, index) != key) {
		entry_put(leaf, index == UINT32_MAX ? 0 : index + 1, key, (const uint8_t *)value);
		return 0;
	}
	if (c->values->count)
		ret = c->values->count(c->values->user, value_at(leaf, index), false, err);
	memcpy(value_at(leaf, index), value, leaf->value_size);
	return ret;
}

static int deep_refuse(const struct change *c, struct cow_err *err)
{
	return cow_refuse(err, -EBADMSG, "damaged", NULL, "a tree on %s has more than %d levels",
			  cow_pdata_blocks_image(cow_pdata_transaction_blocks(c->txn))->name,
			  PDATA_HEIGHT_MAX + 1);
}

int cow_pdata_tree_insert(struct pdata_transaction *txn, const struct pdata_values *values,
			  uint64_t *root, uint64_t key, const void *value, struct cow_err *err)
{
	const struct change c = { txn, values };
	struct edit node, child;
	int ret = edit_open(&c, *root, &node, err);

	if (!ret)
		*root = node.block;
	if (!ret && node.nr == node.max)
		ret = root_split(&c, &node, key, err);
	for (unsigned int height = 0; !ret && !node.is_leaf; height++) {
		uint32_t index = entry_find(&node, key);

		if (height > PDATA_HEIGHT_MAX)
			return deep_refuse(&c, err);
		if (index == UINT32_MAX) {
			index = 0;
			put_le64(key_at(&node, 0), key);
		}
		ret = child_open(&c, &node, index, &child, err);
		if (!ret && child.nr == child.max)
			ret = child_split(&c, &node, index, key, &child, err);
		node = child;
	}
	return ret ? ret : leaf_insert(&c, &node, key, value, err);
}

/* ---------------------------------------------------------------- taking out */

/* All entries of the right one go to the left one. */
static int children_join(const struct change *c, struct edit *parent, uint32_t index_left,
			 struct edit *left, const struct edit *right, struct cow_err *err)
{
	entries_copy(right, 0, right->nr, left, left->nr);
	nr_set(left, left->nr + right->nr);
	entries_shift(parent, index_left + 2, index_left + 1);
	return cow_pdata_block_less(c->txn, right->block, err);
}

static void children_even(struct edit *parent, uint32_t index_left, struct edit *left,
			  struct edit *right)
{
	uint32_t nr_left = (left->nr + right->nr) / 2;

	if (left->nr > nr_left) {
		uint32_t nr = left->nr - nr_left, old = right->nr;

		entries_shift(right, 0, nr);
		entries_copy(left, nr_left, nr, right, 0);
		nr_set(right, old + nr);
	} else {
		entries_copy(right, 0, nr_left - left->nr, left, left->nr);
		entries_shift(right, nr_left - left->nr, 0);
	}
	nr_set(left, nr_left);
	put_le64(key_at(parent, index_left + 1), key_of(right, 0));
}

/* A child that could become too empty: it gets entries of its neighbour, or becomes one
 * with it. *child is then the node that the key belongs to. */
static int child_fill(const struct change *c, struct edit *parent, uint32_t index, uint64_t key,
		      struct edit *child, struct cow_err *err)
{
	uint32_t left_index = index + 1 < parent->nr ? index : index - 1;
	struct edit left = *child, right = *child;
	int ret;

	if (parent->nr < 2)
		return 0;
	ret = child_open(c, parent, left_index == index ? index + 1 : left_index,
			 left_index == index ? &right : &left, err);
	if (ret)
		return ret;
	if (left.nr + right.nr <= left.max) {
		ret = children_join(c, parent, left_index, &left, &right, err);
		*child = left;
		return ret;
	}
	children_even(parent, left_index, &left, &right);
	*child = key >= key_of(&right, 0) ? right : left;
	return 0;
}

/* A root with one child: the child's entries move into it. */
static int root_collapse(const struct change *c, struct edit *root, struct edit *child,
			 struct cow_err *err)
{
	uint64_t block = child->block;

	memcpy(root->raw, child->raw, PDATA_BLOCK_BYTES);
	child->raw = root->raw;
	child->block = root->block;
	return cow_pdata_block_less(c->txn, block, err);
}

static int entry_remove(const struct change *c, uint64_t *root, uint64_t key, struct cow_err *err)
{
	struct edit node, child;
	uint32_t index;
	int ret = edit_open(c, *root, &node, err);

	if (!ret)
		*root = node.block;
	for (unsigned int height = 0; !ret && !node.is_leaf; height++) {
		index = entry_find(&node, key);
		if (height > PDATA_HEIGHT_MAX || index == UINT32_MAX)
			return deep_refuse(c, err);
		ret = child_open(c, &node, index, &child, err);
		if (!ret && child.nr <= child.max / 3)
			ret = child_fill(c, &node, index, key, &child, err);
		if (!ret && node.nr == 1 && node.block == *root)
			ret = root_collapse(c, &node, &child, err);
		node = child;
	}
	index = ret ? 0 : entry_find(&node, key);
	if (!ret && index != UINT32_MAX && key_of(&node, index) == key)
		entries_shift(&node, index + 1, index);
	return ret;
}

int cow_pdata_tree_remove(struct pdata_transaction *txn, const struct pdata_values *values,
			  uint64_t *root, uint64_t key, void *ret_value, struct cow_err *err)
{
	const struct change c = { txn, values };
	const struct pdata_tree tree = { cow_pdata_transaction_blocks(txn), *root,
					 values->value_size };
	bool found = false;
	int ret = cow_pdata_tree_lookup(&tree, key, ret_value, &found, err);

	/* Nothing is copied for what is not there. */
	return ret || !found ? ret : entry_remove(&c, root, key, err);
}

/* ---------------------------------------------------------------- whole trees */

int cow_pdata_tree_new(struct pdata_transaction *txn, const struct pdata_values *values,
		       uint64_t *ret_root, struct cow_err *err)
{
	struct edit leaf;
	int ret = cow_pdata_block_take(txn, &cow_pdata_node_type, &leaf.block, &leaf.raw, err);

	if (ret)
		return ret;
	head_write(&leaf, true, values->value_size);
	*ret_root = leaf.block;
	return 0;
}

/* Nodes that are to be given up. */
struct heap {
	uint64_t *blocks;
	size_t nr, capacity;
};

static int heap_add(struct heap *heap, uint64_t block, struct cow_err *err)
{
	uint64_t *larger = cow_array_grow(heap->blocks, heap->nr, &heap->capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu nodes of a tree", heap->nr);
	heap->blocks = larger;
	larger[heap->nr++] = block;
	return 0;
}

static int node_free(const struct change *c, uint64_t block, struct heap *heap, struct cow_err *err)
{
	struct pdata_blocks *blocks = cow_pdata_transaction_blocks(c->txn);
	const struct pdata_tree tree = { blocks, block, c->values->value_size };
	struct pdata_node node;
	int ret = cow_pdata_node_read(&tree, block, &node, NULL, err);

	for (uint32_t i = 0; !ret && i < node.nr_entries; i++) {
		if (!pdata_node_is_leaf(&node))
			ret = heap_add(heap, pdata_node_child(&node, i), err);
		else if (c->values->count)
			ret = c->values->count(c->values->user, pdata_node_value(&node, i), false,
					       err);
	}
	return ret;
}

/* Each turn takes a reference away, and there are as many as the counts say: it ends,
 * whatever the nodes say. */
int cow_pdata_tree_drop(struct pdata_transaction *txn, const struct pdata_values *values,
			uint64_t root, struct cow_err *err)
{
	const struct change c = { txn, values };
	struct heap heap = { .blocks = NULL };
	int ret = heap_add(&heap, root, err);

	while (!ret && heap.nr) {
		uint64_t block = heap.blocks[--heap.nr];

		if (cow_pdata_block_count(txn, block) == 1)
			ret = node_free(&c, block, &heap, err);
		if (!ret)
			ret = cow_pdata_block_less(txn, block, err);
	}
	free(heap.blocks);
	return ret;
}
