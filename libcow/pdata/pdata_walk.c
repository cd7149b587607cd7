/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_walk.c - the walk. The height of a tree is found first, on a way from
 * its root to any leaf; then each edge knows the height of its node, and all
 * edges to one node meet in the list of that height, where they are joined
 * before the node is read.
 */
#include "libcow/pdata/pdata_walk.h"

#include <errno.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/pages.h"

struct edges {
	struct pdata_edge *edges;
	size_t nr, capacity;
};

struct pdata_walk {
	struct pdata_walk_params params;
	struct edges at[PDATA_HEIGHT_MAX + 1]; /* by height; 0: leaves */
	unsigned int height;		       /* that is being visited */
	struct cow_pages seen;		       /* a byte a block: height + 1 */
};

int cow_pdata_walk_new(const struct pdata_walk_params *params, struct pdata_walk **ret_walk,
		       struct cow_err *err)
{
	struct pdata_walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return cow_fail(err, -ENOMEM, "no memory to walk through trees");
	walk->params = *params;
	cow_pages_init(&walk->seen, cow_pdata_blocks_nr(params->blocks));
	*ret_walk = walk;
	return 0;
}

void cow_pdata_walk_free(struct pdata_walk *walk)
{
	if (!walk)
		return;
	for (unsigned int i = 0; i <= PDATA_HEIGHT_MAX; i++)
		free(walk->at[i].edges);
	cow_pages_destroy(&walk->seen);
	free(walk);
}

static int fault_tell(struct pdata_walk *walk, const struct pdata_fault *fault,
		      const struct pdata_edge *edge, struct cow_err *err)
{
	if (walk->params.fault)
		return walk->params.fault(walk->params.user, fault, edge, err);
	return cow_pdata_fail(walk->params.blocks, fault, cow_pdata_node_type.name, err);
}

/* A block beyond the device is a fault, and no edge. */
static int edge_add(struct pdata_walk *walk, unsigned int height, uint64_t block,
		    struct pdata_edge edge, struct cow_err *err)
{
	struct edges *edges = &walk->at[height];
	struct pdata_fault fault = { .what = PDATA_BLOCK_BEYOND,
				     .block = block,
				     .allowed = cow_pdata_blocks_nr(walk->params.blocks) };
	struct pdata_edge *larger;

	if (block >= fault.allowed) {
		edge.block = UINT32_MAX;
		return fault_tell(walk, &fault, &edge, err);
	}
	edge.block = (uint32_t)block;
	edge.nr = 1;
	larger = cow_array_grow(edges->edges, edges->nr, &edges->capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu nodes of a tree", edges->nr);
	edges->edges = larger;
	edges->edges[edges->nr++] = edge;
	return walk->params.counts ? cow_pdata_counts_add(walk->params.counts, block, 1, err) : 0;
}

/* ---------------------------------------------------------------- the height */

#define NR_WAYS 3 /* by the first children, those in the middle, the last ones */

/* The first child from the one of this way on that can be read as a node; not
 * *ret_found: none. */
static int child_find(const struct pdata_tree *tree, unsigned int way,
		      const struct pdata_node *parent, struct pdata_node *ret_node, bool *ret_found,
		      struct cow_err *err)
{
	uint64_t children[(PDATA_BLOCK_BYTES - PDATA_NODE_HEADER_BYTES) / 16];
	uint32_t nr = parent->nr_entries;
	uint32_t first = (nr - 1) * way / (NR_WAYS - 1);
	struct pdata_fault fault;
	int ret;

	/* The next read may throw the parent out of the cache. */
	for (uint32_t i = 0; i < nr; i++)
		children[i] = pdata_node_child(parent, i);
	*ret_found = false;
	for (uint32_t i = 0; i < nr && !*ret_found; i++) {
		ret = cow_pdata_node_read(tree, children[(first + i) % nr], ret_node, &fault, err);
		if (ret)
			return ret;
		*ret_found = !fault.what;
	}
	return 0;
}

/* Of a tree without one readable way down: as if what cannot be read were
 * leaves, so that the walk gets there and tells. */
static int way_down(const struct pdata_tree *tree, unsigned int way, unsigned int *ret_height,
		    struct cow_err *err)
{
	struct pdata_fault fault;
	struct pdata_node node;
	bool found = true;
	int ret = cow_pdata_node_read(tree, tree->root, &node, &fault, err);

	*ret_height = 0;
	if (ret || fault.what)
		return ret;
	while (found && !pdata_node_is_leaf(&node) && *ret_height <= PDATA_HEIGHT_MAX) {
		ret = child_find(tree, way, &node, &node, &found, err);
		if (ret)
			return ret;
		++*ret_height;
	}
	return 0;
}

/* What most of the ways say, so that one wrong reference does not make all
 * others wrong. */
static int height_find(const struct pdata_tree *tree, unsigned int *ret_height, struct cow_err *err)
{
	unsigned int heights[NR_WAYS];
	int ret = 0;

	for (unsigned int way = 0; !ret && way < NR_WAYS; way++)
		ret = way_down(tree, way, &heights[way], err);
	if (!ret)
		*ret_height = heights[1] == heights[2] ? heights[1] : heights[0];
	return ret;
}

int cow_pdata_walk_root(struct pdata_walk *walk, uint64_t root, uint32_t owner, uint32_t stamp,
			struct cow_err *err)
{
	const struct pdata_tree tree = { .blocks = walk->params.blocks,
					 .root = root,
					 .value_size = walk->params.value_size };
	const struct pdata_edge edge = { .owner = owner, .stamp = stamp, .key_last = UINT64_MAX };
	struct pdata_fault fault = { .what = PDATA_NODE_DEPTH, .block = root };
	unsigned int height;
	int ret = height_find(&tree, &height, err);

	if (ret)
		return ret;
	if (height > PDATA_HEIGHT_MAX)
		return fault_tell(walk, &fault, &edge, err);
	return edge_add(walk, height, root, edge, err);
}

/* ---------------------------------------------------------------- one height */

static int edge_compare(const void *a, const void *b)
{
	const struct pdata_edge *x = (const struct pdata_edge *)a;
	const struct pdata_edge *y = (const struct pdata_edge *)b;

	return x->block < y->block ? -1 : x->block > y->block;
}

static void edge_join(struct pdata_edge *edge, const struct pdata_edge *other)
{
	edge->key_first = max_u64(edge->key_first, other->key_first);
	edge->key_last = min_u64(edge->key_last, other->key_last);
	edge->stamp = edge->stamp < other->stamp ? edge->stamp : other->stamp;
	if (edge->owner != other->owner)
		edge->owner = PDATA_OWNER_MANY;
	edge->nr += other->nr;
}

static void edges_join(struct edges *edges)
{
	size_t nr = 0;

	qsort(edges->edges, edges->nr, sizeof(*edges->edges), edge_compare);
	for (size_t i = 0; i < edges->nr; i++) {
		if (nr && edges->edges[nr - 1].block == edges->edges[i].block)
			edge_join(&edges->edges[nr - 1], &edges->edges[i]);
		else
			edges->edges[nr++] = edges->edges[i];
	}
	edges->nr = nr;
}

static int children_add(struct pdata_walk *walk, const struct pdata_node *node,
			const struct pdata_edge *edge, struct cow_err *err)
{
	struct pdata_edge child = *edge;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < node->nr_entries; i++) {
		child.key_first = max_u64(edge->key_first, pdata_node_key(node, i));
		child.key_last = edge->key_last;
		if (i + 1 < node->nr_entries)
			child.key_last = min_u64(child.key_last, pdata_node_key(node, i + 1) - 1);
		ret = edge_add(walk, walk->height - 1, pdata_node_child(node, i), child, err);
	}
	return ret;
}

/* Is it where it belongs? */
static void place_check(const struct pdata_walk *walk, const struct pdata_node *node,
			const struct pdata_edge *edge, struct pdata_fault *fault)
{
	uint64_t first, last;

	if (pdata_node_is_leaf(node) != !walk->height)
		fault->what = PDATA_NODE_DEPTH;
	if (fault->what || !node->nr_entries)
		return;
	first = pdata_node_key(node, 0);
	last = pdata_node_key(node, node->nr_entries - 1);
	if (first >= edge->key_first && last <= edge->key_last)
		return;
	fault->what = PDATA_NODE_BOUNDS;
	fault->found = first < edge->key_first ? first : last;
}

/* Has it been visited, higher up? */
static int seen_check(struct pdata_walk *walk, const struct pdata_edge *edge,
		      struct pdata_fault *fault, struct cow_err *err)
{
	uint8_t *page = cow_pages_make(&walk->seen, edge->block / COW_PAGE_BYTES);

	if (!page)
		return cow_fail(err, -ENOMEM, "no memory to walk through trees");
	page += edge->block % COW_PAGE_BYTES;
	if (*page && !fault->what)
		fault->what = PDATA_NODE_DEPTH;
	*page = (uint8_t)(walk->height + 1);
	return 0;
}

static int twice_tell(struct pdata_walk *walk, const struct pdata_edge *edge, struct cow_err *err)
{
	struct pdata_fault fault = { .what = PDATA_NODE_TWICE, .block = edge->block };

	fault.found = edge->nr;
	return fault_tell(walk, &fault, edge, err);
}

static int node_visit(void *user, size_t index, const uint8_t *raw, const struct pdata_fault *block,
		      struct cow_err *err)
{
	struct pdata_walk *walk = (struct pdata_walk *)user;
	/* edges may move while children are added, but those of another height */
	const struct pdata_edge *edge = &walk->at[walk->height].edges[index];
	struct pdata_node node = { .block = edge->block };
	struct pdata_fault fault = *block;
	int ret = seen_check(walk, edge, &fault, err);

	if (!ret && !fault.what)
		cow_pdata_node_decode(raw, edge->block, &node, &fault);
	if (!ret && !fault.what)
		cow_pdata_node_check(&node, walk->params.value_size, &fault);
	if (!ret && !fault.what)
		place_check(walk, &node, edge, &fault);
	if (!ret && edge->nr > 1 && !walk->params.is_shared)
		ret = twice_tell(walk, edge, err);
	if (ret)
		return ret;
	if (fault.what)
		return fault_tell(walk, &fault, edge, err);
	if (walk->height)
		return children_add(walk, &node, edge, err);
	return walk->params.leaf ? walk->params.leaf(walk->params.user, &node, edge, err) : 0;
}

static int height_visit(struct pdata_walk *walk, struct cow_err *err)
{
	struct edges *edges = &walk->at[walk->height];
	AUTO_FREE uint32_t *numbers = NULL;

	if (!edges->nr)
		return 0;
	edges_join(edges);
	numbers = reallocarray(NULL, edges->nr, sizeof(*numbers));
	if (!numbers)
		return cow_fail(err, -ENOMEM, "no memory for %zu nodes of a tree", edges->nr);
	for (size_t i = 0; i < edges->nr; i++)
		numbers[i] = edges->edges[i].block;
	return cow_pdata_blocks_each(walk->params.blocks, &cow_pdata_node_type, numbers, edges->nr,
				     node_visit, walk, err);
}

int cow_pdata_walk_run(struct pdata_walk *walk, struct cow_err *err)
{
	int ret;

	for (unsigned int height = PDATA_HEIGHT_MAX + 1; height--;) {
		walk->height = height;
		ret = height_visit(walk, err);
		if (ret)
			return ret;
		free(walk->at[height].edges);
		walk->at[height] = (struct edges){ .edges = NULL };
	}
	return 0;
}

int cow_pdata_walk_fault_ignore(void *user, const struct pdata_fault *fault,
				const struct pdata_edge *edge, struct cow_err *err)
{
	(void)user;
	(void)fault;
	(void)edge;
	(void)err;
	return 0;
}
