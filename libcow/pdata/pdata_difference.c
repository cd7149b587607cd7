/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_difference.c - two trees side by side. A cursor stands on an entry: of a leaf,
 * or of an inner node, which stands for all that is below it. Where both stand on the
 * same child it is passed over. Else the higher one goes down, of two at one height the
 * one with the lower key: so children that both trees have meet again behind what was
 * inserted in one of them.
 *
 * A node below must keep to the keys that its parents give it, so a tree that leads back
 * into itself ends as damage, and no node is read twice for its entries.
 */
#include "libcow/pdata/pdata_difference.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"

/* A node on the way down, copied: the cache may give its place away. */
struct step {
	uint8_t raw[PDATA_BLOCK_BYTES];
	struct pdata_node node;
	uint32_t index;
	uint64_t key_last; /* of what lies below */
};

struct cursor {
	const struct pdata_tree *tree;
	unsigned int height; /* of the tree */
	unsigned int depth;  /* the step that it stands in */
	bool is_at_end;
	struct step *steps; /* PDATA_HEIGHT_MAX + 1 */
};

static struct step *step_of(const struct cursor *cursor)
{
	return &cursor->steps[cursor->depth];
}

/* How far above the leaves is the entry that it stands on? 0: it is one of a leaf. */
static unsigned int height_of(const struct cursor *cursor)
{
	return cursor->height - cursor->depth;
}

static uint64_t key_of(const struct cursor *cursor)
{
	return pdata_node_key(&step_of(cursor)->node, step_of(cursor)->index);
}

static const uint8_t *value_of(const struct cursor *cursor)
{
	return pdata_node_value(&step_of(cursor)->node, step_of(cursor)->index);
}

/* To the entry behind, in this node or in one above it. */
static void step_on(struct cursor *cursor)
{
	while (++step_of(cursor)->index >= step_of(cursor)->node.nr_entries) {
		cursor->is_at_end = !cursor->depth;
		if (cursor->is_at_end)
			return;
		cursor->depth--;
	}
}

static int node_refuse(const struct cursor *cursor, enum pdata_what what, uint64_t block,
		       uint64_t found, struct cow_err *err)
{
	const struct pdata_fault fault = { .what = what, .block = block, .found = found };

	return cow_pdata_fail(cursor->tree->blocks, &fault, cow_pdata_node_type.name, err);
}

/* Is the node at its height, and are its keys those that its parent has for it? */
static int place_check(const struct cursor *cursor, const struct pdata_node *node,
		       uint64_t key_first, uint64_t key_last, struct cow_err *err)
{
	uint64_t first, last;

	if (pdata_node_is_leaf(node) != !height_of(cursor))
		return node_refuse(cursor, PDATA_NODE_DEPTH, node->block, 0, err);
	if (!node->nr_entries)
		return 0;
	first = pdata_node_key(node, 0);
	last = pdata_node_key(node, node->nr_entries - 1);
	if (first >= key_first && last <= key_last)
		return 0;
	return node_refuse(cursor, PDATA_NODE_BOUNDS, node->block, first < key_first ? first : last,
			   err);
}

/* Reads a node into the step that the cursor stands in, and begins with its first
 * entry. */
static int node_enter(struct cursor *cursor, uint64_t block, uint64_t key_first, uint64_t key_last,
		      struct cow_err *err)
{
	struct step *step = step_of(cursor);
	int ret = cow_pdata_node_read(cursor->tree, block, &step->node, NULL, err);

	if (!ret)
		ret = place_check(cursor, &step->node, key_first, key_last, err);
	if (ret)
		return ret;
	memcpy(step->raw, step->node.raw, PDATA_BLOCK_BYTES);
	step->node.raw = step->raw;
	step->index = 0;
	step->key_last = key_last;
	if (step->node.nr_entries)
		return 0;
	/* an empty leaf: as if it had been passed over */
	cursor->is_at_end = !cursor->depth;
	if (cursor->depth) {
		cursor->depth--;
		step_on(cursor);
	}
	return 0;
}

/* Down to the first entry of the child that it stands on. */
static int step_down(struct cursor *cursor, struct cow_err *err)
{
	const struct step *step = step_of(cursor);
	uint64_t key_last = step->key_last;

	if (step->index + 1 < step->node.nr_entries)
		key_last = pdata_node_key(&step->node, step->index + 1) - 1;
	cursor->depth++;
	return node_enter(cursor, pdata_node_child(&step->node, step->index),
			  pdata_node_key(&step->node, step->index), key_last, err);
}

static int cursor_begin(struct cursor *cursor, const struct pdata_tree *tree, struct cow_err *err)
{
	int ret;

	cursor->tree = tree;
	/* bounded: a constant */
	cursor->steps = calloc(PDATA_HEIGHT_MAX + 1, sizeof(*cursor->steps));
	if (!cursor->steps)
		return cow_fail(err, -ENOMEM, "no memory to compare two trees");
	ret = cow_pdata_tree_height(tree, &cursor->height, NULL, err);
	return ret ? ret : node_enter(cursor, tree->root, 0, UINT64_MAX, err);
}

/* ---------------------------------------------------------------- side by side */

struct pair {
	struct cursor a, b;
	pdata_difference_fn *call;
	void *user;
};

/* Both stand on entries of leaves, or one is at its end. */
static int entries_compare(struct pair *pair, struct cow_err *err)
{
	struct cursor *a = &pair->a, *b = &pair->b;
	bool has_a = !a->is_at_end && (b->is_at_end || key_of(a) <= key_of(b));
	bool has_b = !b->is_at_end && (a->is_at_end || key_of(b) <= key_of(a));
	uint64_t key = has_a ? key_of(a) : key_of(b);
	int ret = 0;

	if (!has_a || !has_b || memcmp(value_of(a), value_of(b), a->tree->value_size) != 0)
		ret = pair->call(pair->user, key, has_a ? value_of(a) : NULL,
				 has_b ? value_of(b) : NULL, err);
	if (has_a)
		step_on(a);
	if (has_b)
		step_on(b);
	return ret;
}

/* Which of them goes down next; NULL: neither, entries are compared. An entry that lies
 * before all that the other one has is told first. */
static struct cursor *which_down(struct pair *pair)
{
	struct cursor *a = &pair->a, *b = &pair->b;

	if (a->is_at_end || b->is_at_end) {
		struct cursor *left = a->is_at_end ? b : a;

		return height_of(left) ? left : NULL;
	}
	if (!height_of(a) && !height_of(b))
		return NULL;
	if (!height_of(a) || !height_of(b)) {
		struct cursor *entry = height_of(a) ? b : a, *inner = height_of(a) ? a : b;

		return key_of(entry) < key_of(inner) ? NULL : inner;
	}
	if (height_of(a) != height_of(b))
		return height_of(a) > height_of(b) ? a : b;
	return key_of(a) <= key_of(b) ? a : b;
}

static bool is_shared(const struct pair *pair)
{
	const struct cursor *a = &pair->a, *b = &pair->b;

	return !a->is_at_end && !b->is_at_end && height_of(a) && height_of(b) &&
	       pdata_node_child(&step_of(a)->node, step_of(a)->index) ==
		       pdata_node_child(&step_of(b)->node, step_of(b)->index);
}

static int pair_step(struct pair *pair, struct cow_err *err)
{
	struct cursor *down;

	if (is_shared(pair)) {
		step_on(&pair->a);
		step_on(&pair->b);
		return 0;
	}
	down = which_down(pair);
	return down ? step_down(down, err) : entries_compare(pair, err);
}

int cow_pdata_difference(const struct pdata_tree *a, const struct pdata_tree *b,
			 pdata_difference_fn *call, void *user, struct cow_err *err)
{
	struct pair pair = { .call = call, .user = user };
	int ret;

	if (a->root == b->root)
		return 0;
	ret = cursor_begin(&pair.a, a, err);
	if (!ret)
		ret = cursor_begin(&pair.b, b, err);
	while (!ret && !(pair.a.is_at_end && pair.b.is_at_end))
		ret = pair_step(&pair, err);
	free(pair.a.steps);
	free(pair.b.steps);
	return ret;
}
