/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_check_mappings.c - the mappings of all devices, each node once: what they name,
 * how often each data block is named, and whether the times keep every shared block
 * from being written in place. The kernel's write path looks at times alone: a block
 * is taken as shared if the last snapshot of the device is younger than the mapping.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/thin/check/thin_check.h"

static enum thin_problem fault_problem(enum pdata_what what)
{
	switch (what) {
	case PDATA_NODE_FLAGS:
	case PDATA_NODE_VALUE_SIZE:
	case PDATA_NODE_MAX_ENTRIES:
	case PDATA_NODE_NR_ENTRIES:
	case PDATA_NODE_EMPTY:
		return THIN_NODE_HEADER;
	case PDATA_NODE_ORDER:
	case PDATA_NODE_BOUNDS:
		return THIN_NODE_KEYS;
	case PDATA_NODE_DEPTH:
	case PDATA_NODE_TWICE:
		return THIN_NODE_LOOP;
	default:
		return THIN_NODE;
	}
}

/* Which blocks of the device cannot be had. */
static void range_text(const struct pdata_edge *edge, char *text, size_t size)
{
	if (edge->key_last == UINT64_MAX)
		snprintf(text, size, "from block %" PRIu64 " on", edge->key_first);
	else
		snprintf(text, size, "blocks %" PRIu64 " to %" PRIu64, edge->key_first,
			 edge->key_last);
}

static int fault_take(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct thin_check *check = (struct thin_check *)user;
	char text[PDATA_FAULT_TEXT_BYTES], owner[THIN_OWNER_BYTES], range[80];

	(void)err;
	check->has_hidden = true;
	cow_pdata_fault_text(fault, cow_pdata_node_type.name, text);
	cow_thin_owner_text(check, edge, owner);
	range_text(edge, range, sizeof(range));
	cow_thin_check_add(
		check, edge->owner == THIN_OWNER_HELD ? THIN_HELD_ROOT : fault_problem(fault->what),
		fault->block, "%s: %s of %s are lost", text, range, owner);
	return 0;
}

/* ---------------------------------------------------------------- counting */

static int blocks_count(struct pdata_counts *counts, const struct pdata_node *node,
			struct cow_err *err)
{
	uint64_t blocks[PDATA_COUNTS_EACH_MAX]; /* more than a node has entries */
	uint64_t nr_blocks = cow_pdata_counts_nr_blocks(counts);
	size_t nr = 0;

	for (uint32_t i = 0; i < node->nr_entries && nr < PDATA_COUNTS_EACH_MAX; i++) {
		uint64_t block = thin_mapping_block(get_le64(pdata_node_value(node, i)));

		if (block < nr_blocks)
			blocks[nr++] = block;
	}
	return cow_pdata_counts_add_each(counts, blocks, nr, err);
}

static void beyond_add(struct thin_check *check, const struct pdata_node *node,
		       const struct pdata_edge *edge, uint64_t nr, uint32_t first)
{
	char owner[THIN_OWNER_BYTES];

	cow_thin_owner_text(check, edge, owner);
	cow_thin_check_add(check, THIN_MAPPING_BEYOND, node->block,
			   "%" PRIu64 " blocks of %s, the first of them %" PRIu64
			   ", which is mapped to data block %" PRIu64 "; the pool has %" PRIu64,
			   nr, owner, pdata_node_key(node, first),
			   thin_mapping_block(get_le64(pdata_node_value(node, first))),
			   check->super.data_map.nr_blocks);
}

static int entries_count(struct thin_check *check, const struct pdata_node *node,
			 const struct pdata_edge *edge, struct cow_err *err)
{
	uint64_t nr_blocks = cow_pdata_counts_nr_blocks(check->data_counts), nr_beyond = 0;
	uint32_t first = 0;
	int ret = blocks_count(check->data_counts, node, err);

	for (uint32_t i = 0; i < node->nr_entries; i++)
		if (thin_mapping_block(get_le64(pdata_node_value(node, i))) >= nr_blocks &&
		    !nr_beyond++)
			first = i;
	if (nr_beyond)
		beyond_add(check, node, edge, nr_beyond, first);
	check->nr_entries += node->nr_entries;
	return ret ? ret
		   : cow_thin_below_set(check, node->block, node->nr_entries, nr_beyond != 0, err);
}

/* ---------------------------------------------------------------- times */

static void time_low_add(struct thin_check *check, const struct pdata_node *node,
			 const struct pdata_edge *edge, uint64_t nr, uint32_t first)
{
	uint64_t value = get_le64(pdata_node_value(node, first));
	char text[THIN_OWNER_BYTES];

	cow_thin_owner_text(check, edge, text);
	cow_thin_check_add(check, THIN_SNAPSHOT_TIME_LOW, node->block,
			   "%" PRIu64 " shared blocks of %s, the first of them %" PRIu64
			   ": mapped at time %" PRIu32 ", last snapshot at time %" PRIu32,
			   nr, text, pdata_node_key(node, first), thin_mapping_time(value),
			   edge->stamp);
}

/* Of a leaf that several live devices have, every block is shared. */
static void times_check(struct thin_check *check, const struct pdata_node *node,
			const struct pdata_edge *edge)
{
	uint64_t nr_low = 0, nr_future = 0;
	uint32_t first_low = 0, first_future = 0;
	char owner[THIN_OWNER_BYTES];

	for (uint32_t i = 0; i < node->nr_entries; i++) {
		uint32_t time = thin_mapping_time(get_le64(pdata_node_value(node, i)));

		if (edge->owner == PDATA_OWNER_MANY && time >= edge->stamp && !nr_low++)
			first_low = i;
		if (time > check->super.time && !nr_future++)
			first_future = i;
	}
	if (nr_low)
		time_low_add(check, node, edge, nr_low, first_low);
	if (!nr_future)
		return;
	cow_thin_owner_text(check, edge, owner);
	cow_thin_check_add(check, THIN_TIME_FUTURE, node->block,
			   "%" PRIu64 " blocks of %s, the first of them %" PRIu64
			   ", which was mapped at time %" PRIu32 "; the pool is at time %" PRIu32,
			   nr_future, owner, pdata_node_key(node, first_future),
			   thin_mapping_time(get_le64(pdata_node_value(node, first_future))),
			   check->super.time);
}

static int leaf_keep(struct thin_check *check, const struct pdata_edge *edge, uint32_t nr_entries,
		     struct cow_err *err)
{
	struct thin_leaf *larger;

	if (edge->owner == PDATA_OWNER_MANY)
		return 0;
	larger = cow_array_grow(check->leaves, check->nr_leaves, &check->leaves_capacity,
				sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu nodes of a tree",
				check->nr_leaves);
	check->leaves = larger;
	larger[check->nr_leaves++] =
		(struct thin_leaf){ edge->block, edge->owner, edge->stamp, nr_entries };
	return 0;
}

/* ---------------------------------------------------------------- the walks */

static int progress(struct thin_check *check, struct cow_err *err)
{
	uint64_t total = check->super.metadata_map.nr_allocated;

	if (check->nr_leaves_seen++ % 256)
		return 0;
	return cow_callbacks_progress(check->callbacks, "check",
				      min_u64(check->nr_leaves_seen, total) * PDATA_BLOCK_BYTES,
				      total * PDATA_BLOCK_BYTES, err);
}

/* Of the live devices: what is shared among them. */
static int live_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	struct thin_check *check = (struct thin_check *)user;
	int ret = 0;

	if (cow_thin_below_is_foreign(check, node->block))
		return 0; /* is_foreign() tells */
	if (check->live_counts)
		ret = blocks_count(check->live_counts, node, err);
	times_check(check, node, edge);
	return ret ? ret : leaf_keep(check, edge, node->nr_entries, err);
}

/* A leaf of another tree would be read as one of mappings. */
static bool is_foreign(struct thin_check *check, const struct pdata_node *node,
		       const struct pdata_edge *edge)
{
	char owner[THIN_OWNER_BYTES];

	if (!cow_thin_below_is_foreign(check, node->block))
		return false;
	check->has_hidden = true;
	cow_thin_owner_text(check, edge, owner);
	cow_thin_check_add(check, THIN_NODE_LOOP, node->block,
			   "btree node %" PRIu64
			   " belongs to the tree of devices, and the mappings "
			   "of %s lead to it",
			   node->block, owner);
	return true;
}

static int every_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct thin_check *check = (struct thin_check *)user;
	int ret = progress(check, err);

	if (ret || is_foreign(check, node, edge))
		return ret;
	return entries_count(check, node, edge, err);
}

/* Without a metadata snapshot both are one. */
static int only_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	int ret = live_leaf(user, node, edge, err);

	return ret ? ret : every_leaf(user, node, edge, err);
}

static int walk_devices(struct thin_check *check, const struct pdata_walk_params *params,
			bool with_held, struct cow_err *err)
{
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(params, &walk, err);

	for (size_t i = 0; !ret && i < check->nr_devices; i++) {
		const struct thin_device *device = &check->devices[i];

		/* of a device whose details are lost nobody knows what it shares */
		if (device->has_root)
			ret = cow_pdata_walk_root(
				walk, device->root, (uint32_t)i,
				device->has_details ? device->details.snapshotted_time : UINT32_MAX,
				err);
	}
	for (size_t i = 0; !ret && with_held && i < check->nr_held_roots; i++)
		ret = cow_pdata_walk_root(walk, check->held_roots[i], THIN_OWNER_HELD, UINT32_MAX,
					  err);
	return ret ? ret : cow_pdata_walk_run(walk, err);
}

int cow_thin_check_mappings(struct thin_check *check, struct cow_err *err)
{
	struct pdata_walk_params params = {
		.blocks = check->blocks,
		.value_size = 8,
		.is_shared = true,
		.user = check,
		.leaf = live_leaf,
		.fault = cow_pdata_walk_fault_ignore, /* the second walk tells */
	};
	int ret = cow_thin_below_mark(check, err);

	if (!ret && check->nr_held_roots)
		ret = cow_pdata_counts_new(cow_pdata_counts_nr_blocks(check->data_counts),
					   &check->live_counts, err);
	if (!ret && check->nr_held_roots)
		ret = walk_devices(check, &params, false, err);
	params.leaf = check->nr_held_roots ? every_leaf : only_leaf;
	params.fault = fault_take;
	params.counts = check->counts;
	return ret ? ret : walk_devices(check, &params, true, err);
}

int cow_thin_check_each_leaf(struct thin_check *check,
			     int (*leaf)(void *user, const struct pdata_node *node,
					 const struct pdata_edge *edge, struct cow_err *err),
			     struct cow_err *err)
{
	const struct pdata_walk_params params = {
		.blocks = check->blocks,
		.value_size = 8,
		.is_shared = true,
		.user = check,
		.leaf = leaf,
		.fault = cow_pdata_walk_fault_ignore,
	};

	return walk_devices(check, &params, true, err);
}

/* ---------------------------------------------------------------- exclusive */

static int shared_leaf(void *user, size_t index, const uint8_t *raw,
		       const struct pdata_fault *fault, struct cow_err *err)
{
	struct thin_check *check = (struct thin_check *)user;
	const struct thin_leaf *leaf = &check->leaves[index];
	const struct pdata_edge edge = { leaf->block, leaf->owner, 0, 0, leaf->stamp, 1 };
	const struct pdata_counts *counts =
		check->live_counts ? check->live_counts : check->data_counts;
	uint64_t nr_blocks = cow_pdata_counts_nr_blocks(counts), nr_low = 0;
	struct pdata_fault mine = *fault;
	struct pdata_node node;
	uint32_t first = 0;

	(void)err;
	if (raw)
		cow_pdata_node_decode(raw, leaf->block, &node, &mine);
	if (!raw || mine.what)
		return 0; /* it was sound a moment ago: whoever changes it is told elsewhere */
	for (uint32_t i = 0; i < node.nr_entries; i++) {
		uint64_t value = get_le64(pdata_node_value(&node, i));
		uint64_t block = thin_mapping_block(value);
		uint32_t count = block < nr_blocks ? cow_pdata_counts_get(counts, block) : 1;

		if (count == 1)
			check->devices[leaf->owner].nr_exclusive++;
		else if (thin_mapping_time(value) >= leaf->stamp && !nr_low++)
			first = i;
	}
	if (nr_low)
		time_low_add(check, &node, &edge, nr_low, first);
	return 0;
}

/* No data block is in two leaves: what a device alone has in a leaf it alone has. */
static void exclusive_sum(struct thin_check *check)
{
	for (size_t i = 0; i < check->nr_leaves; i++)
		check->devices[check->leaves[i].owner].nr_exclusive += check->leaves[i].nr_entries;
}

int cow_thin_check_shared(struct thin_check *check, struct cow_err *err)
{
	const struct pdata_counts *counts =
		check->live_counts ? check->live_counts : check->data_counts;
	AUTO_FREE uint32_t *numbers = NULL;

	if (!check->nr_leaves)
		return 0;
	if (!cow_pdata_counts_nr_shared(counts)) {
		exclusive_sum(check);
		return 0;
	}
	numbers = reallocarray(NULL, check->nr_leaves, sizeof(*numbers));
	if (!numbers)
		return cow_fail(err, -ENOMEM, "no memory for %zu nodes of a tree",
				check->nr_leaves);
	/* The walk has given them in the order of their numbers. */
	for (size_t i = 0; i < check->nr_leaves; i++)
		numbers[i] = check->leaves[i].block;
	return cow_pdata_blocks_each(check->blocks, &cow_pdata_node_type, numbers, check->nr_leaves,
				     shared_leaf, check, err);
}
