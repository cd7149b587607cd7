/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_rebuild_tree.c - a btree from entries in ascending order, leaves first. A level
 * has as few nodes as hold its entries, and these differ by one entry at most, so that
 * none is emptier than the kernel would have it.
 */
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/store/thin/repair/thin_rebuild.h"

#define VALUE_BYTES_MAX 24

/* The first key below each node of a level, and where the node is. */
struct level {
	uint64_t *keys, *blocks;
	uint64_t nr, at;
};

static void level_free(struct level *level)
{
	free(level->keys);
	free(level->blocks);
	*level = (struct level){ .keys = NULL };
}

static int level_make(struct level *level, uint64_t nr, struct cow_err *err)
{
	*level = (struct level){ .nr = nr };
	/* bounded: a node for each, and no more than PDATA_BLOCKS_MAX are there */
	level->keys = calloc((size_t)nr, sizeof(*level->keys));
	/* bounded: the same */
	level->blocks = calloc((size_t)nr, sizeof(*level->blocks));
	return level->keys && level->blocks ? 0 : cow_fail(err, -ENOMEM, "no memory for a tree");
}

/* The nodes of a level as entries of the next one. */
static int level_next(void *user, uint64_t *ret_key, uint8_t *value, struct cow_err *err)
{
	struct level *level = (struct level *)user;

	(void)err;
	*ret_key = level->keys[level->at];
	put_le64(value, level->blocks[level->at++]);
	return 0;
}

struct fill {
	bool is_leaf;
	uint32_t value_size;
	uint64_t nr;
	thin_entry_fn *next;
	void *user;
};

static int node_write(struct thin_rebuild *rebuild, const struct fill *fill, uint64_t nr,
		      struct level *level, struct cow_err *err)
{
	uint32_t max_entries = pdata_node_max_entries(fill->value_size);
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 }, value[VALUE_BYTES_MAX];
	uint8_t *values = raw + PDATA_NODE_HEADER_BYTES + 8 * (size_t)max_entries;
	uint64_t key, block = 0;
	int ret = cow_thin_rebuild_take(rebuild, &block, err);

	cow_pdata_node_head_encode(raw, fill->is_leaf, (uint32_t)nr, fill->value_size);
	for (uint64_t i = 0; !ret && i < nr; i++) {
		ret = fill->next(fill->user, &key, value, err);
		if (ret)
			break;
		put_le64(raw + PDATA_NODE_HEADER_BYTES + 8 * i, key);
		memcpy(values + i * fill->value_size, value, fill->value_size);
		if (!i)
			level->keys[level->at] = key;
	}
	if (!ret)
		ret = cow_pdata_block_put(rebuild->target, &cow_pdata_node_type, block, raw, err);
	if (!ret)
		level->blocks[level->at++] = block;
	return ret;
}

/* Node i of n gets the entries from i * nr / n on. */
static int level_write(struct thin_rebuild *rebuild, const struct fill *fill, struct level *level,
		       struct cow_err *err)
{
	uint64_t max_entries = pdata_node_max_entries(fill->value_size);
	uint64_t nr_nodes = max_u64(div_ceil(fill->nr, max_entries), 1);
	uint64_t each = fill->nr / nr_nodes, rest = fill->nr % nr_nodes;
	int ret = nr_nodes > PDATA_BLOCKS_MAX ? cow_fail(err, -ERANGE,
							 "a tree of more nodes than "
							 "there are blocks")
					      : level_make(level, nr_nodes, err);

	for (uint64_t i = 0; !ret && i < nr_nodes; i++)
		ret = node_write(rebuild, fill, each + (i < rest), level, err);
	level->at = 0;
	return ret;
}

int cow_thin_rebuild_tree(struct thin_rebuild *rebuild, uint32_t value_size, uint64_t nr,
			  thin_entry_fn *next, void *user, uint64_t *ret_root, struct cow_err *err)
{
	struct fill fill = { true, value_size, nr, next, user };
	struct level below = { .keys = NULL }, level = { .keys = NULL };
	int ret = level_write(rebuild, &fill, &below, err);

	while (!ret && below.nr > 1) {
		fill = (struct fill){ false, 8, below.nr, level_next, &below };
		ret = level_write(rebuild, &fill, &level, err);
		level_free(&below);
		below = level;
		level = (struct level){ .keys = NULL };
	}
	if (!ret)
		*ret_root = below.blocks[0];
	level_free(&below);
	return ret;
}
