/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair_super.c - a pool whose superblock is lost. The kernel writes to free blocks
 * only, so the trees of the last commit are whole on the device, and so may be those of
 * commits before. A pair of a tree of devices and one of details is one commit's if both
 * have the same ids, all trees of mappings can be read, and each has as many mappings as
 * its details say. What the damaged superblock says decides if it names one of them. If
 * there are several else, none is chosen, or, by force, the one with the latest time, and
 * all that it shows is in doubt.
 *
 * Block size and size of the data come from the caller and the data device alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/thin/repair/thin_repair.h"

#define PAIRS_MAX 4096

struct lost_entry {
	uint64_t id, root;
	struct thin_details details;
};

/* The entries of one tree, as far as it is whole. */
struct lost_tree {
	uint64_t block;
	struct lost_entry *entries;
	size_t nr, capacity;
	uint64_t nr_blocks; /* of the device */
	bool is_details, is_broken;
};

struct lost_pair {
	uint64_t mapping_root, details_root, transaction_id, nr_mapped;
	uint32_t time;
};

struct finding_super {
	struct thin_repair *repair;
	struct thin_salvage *salvage; /* to look at trees of mappings */
	struct lost_tree *trees;      /* of details, then of devices */
	size_t nr_trees, capacity;
	struct lost_pair *pairs;
	size_t nr_pairs, pairs_capacity;
};

/* ---------------------------------------------------------------- trees */

/* A tree of devices leads to blocks of the device; few trees of mappings look so. */
static bool is_plausible(const struct lost_tree *tree, const struct lost_entry *entry)
{
	return entry->id <= THIN_ID_MAX &&
	       (tree->is_details || (entry->root && entry->root < tree->nr_blocks));
}

static int entry_take(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct lost_tree *tree = (struct lost_tree *)user;

	(void)edge;
	for (uint32_t i = 0; i < node->nr_entries; i++) {
		struct lost_entry entry = { .id = pdata_node_key(node, i) };
		struct lost_entry *larger;

		if (tree->is_details)
			cow_thin_details_decode(pdata_node_value(node, i), &entry.details);
		else
			entry.root = pdata_node_child(node, i);
		larger = cow_array_grow(tree->entries, tree->nr, &tree->capacity, sizeof(*larger));
		if (!larger)
			return cow_fail(err, -ENOMEM, "no memory for %zu devices", tree->nr);
		tree->entries = larger;
		larger[tree->nr++] = entry;
		if (!is_plausible(tree, &entry))
			return -EMEDIUMTYPE; /* no more of it need be read */
	}
	return 0;
}

static int fault_take(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	(void)fault;
	(void)edge;
	(void)err;
	((struct lost_tree *)user)->is_broken = true;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct lost_entry *x = (const struct lost_entry *)a;
	const struct lost_entry *y = (const struct lost_entry *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int tree_read(struct finding_super *find, struct lost_tree *tree, struct cow_err *err)
{
	const struct pdata_walk_params params = {
		.blocks = find->salvage->blocks,
		.value_size = tree->is_details ? THIN_DETAILS_BYTES : 8,
		.user = tree,
		.leaf = entry_take,
		.fault = fault_take,
	};
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(&params, &walk, err);

	if (!ret)
		ret = cow_pdata_walk_root(walk, tree->block, 0, 0, err);
	if (!ret)
		ret = cow_pdata_walk_run(walk, err);
	if (ret == -EMEDIUMTYPE) {
		tree->is_broken = true;
		return 0;
	}
	if (!ret && tree->nr)
		qsort(tree->entries, tree->nr, sizeof(*tree->entries), by_id);
	return ret;
}

static int tree_look(struct finding_super *find, uint64_t block, bool is_details,
		     struct cow_err *err)
{
	struct lost_tree tree = { .block = block,
				  .nr_blocks = find->salvage->nr_blocks,
				  .is_details = is_details };
	struct lost_tree *larger;
	int ret = tree_read(find, &tree, err);

	if (ret || tree.is_broken) {
		free(tree.entries);
		return ret;
	}
	larger = cow_array_grow(find->trees, find->nr_trees, &find->capacity, sizeof(*larger));
	if (!larger) {
		free(tree.entries);
		return cow_fail(err, -ENOMEM, "no memory for %zu trees", find->nr_trees);
	}
	find->trees = larger;
	larger[find->nr_trees++] = tree;
	return 0;
}

/* A leaf says by the size of its values which tree it is of; an internal node may be of
 * either. A value of a tree of mappings is seldom a block number. */
static int block_look(struct finding_super *find, uint64_t block, struct cow_err *err)
{
	const struct pdata_tree mappings = { find->salvage->blocks, block, 8 };
	const struct pdata_tree details = { find->salvage->blocks, block, THIN_DETAILS_BYTES };
	struct pdata_fault fault = { .what = PDATA_SOUND };
	struct pdata_node node;
	bool may_lead, is_leaf;
	int ret = cow_pdata_node_read(&mappings, block, &node, &fault, err);

	if (ret)
		return ret;
	if (!fault.what) {
		is_leaf = pdata_node_is_leaf(&node);
		may_lead =
			!node.nr_entries || pdata_node_child(&node, 0) < find->salvage->nr_blocks;
		if (may_lead)
			ret = tree_look(find, block, false, err);
		if (ret || is_leaf)
			return ret;
	}
	ret = cow_pdata_node_read(&details, block, &node, &fault, err);
	return ret || fault.what ? ret : tree_look(find, block, true, err);
}

/* ---------------------------------------------------------------- pairs */

static int root_agrees(struct finding_super *find, uint64_t root, uint64_t nr, bool *ret_agrees,
		       struct cow_err *err)
{
	int ret = cow_thin_salvage_tree(find->salvage, root, err);
	const struct thin_node_info *info = cow_thin_salvage_info(find->salvage, root);

	*ret_agrees = info->state == THIN_NODE_KEPT && !info->has_hole && info->nr == nr;
	return ret;
}

static int pair_look(struct finding_super *find, const struct lost_tree *details,
		     const struct lost_tree *top, struct cow_err *err)
{
	struct lost_pair pair = { .mapping_root = top->block, .details_root = details->block };
	bool agrees = details->nr == top->nr;
	struct lost_pair *larger;
	int ret = 0;

	for (size_t i = 0; agrees && i < top->nr; i++)
		agrees = details->entries[i].id == top->entries[i].id;
	for (size_t i = 0; !ret && agrees && i < top->nr; i++) {
		const struct thin_details *d = &details->entries[i].details;

		ret = root_agrees(find, top->entries[i].root, d->mapped_blocks, &agrees, err);
		pair.time = d->snapshotted_time > pair.time ? d->snapshotted_time : pair.time;
		pair.time = d->creation_time > pair.time ? d->creation_time : pair.time;
		pair.transaction_id = max_u64(pair.transaction_id, d->transaction_id);
		pair.nr_mapped += d->mapped_blocks;
	}
	if (ret || !agrees || find->nr_pairs == PAIRS_MAX)
		return ret;
	larger =
		cow_array_grow(find->pairs, find->nr_pairs, &find->pairs_capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu trees", find->nr_pairs);
	find->pairs = larger;
	larger[find->nr_pairs++] = pair;
	return 0;
}

static int pairs_find(struct finding_super *find, struct cow_err *err)
{
	int ret = 0;

	for (uint64_t block = 1; !ret && block < find->salvage->nr_blocks; block++)
		ret = block_look(find, block, err);
	for (size_t i = 0; !ret && i < find->nr_trees; i++)
		for (size_t j = 0; !ret && find->trees[i].is_details && j < find->nr_trees; j++)
			if (!find->trees[j].is_details)
				ret = pair_look(find, &find->trees[i], &find->trees[j], err);
	return ret;
}

/* ---------------------------------------------------------------- choosing */

static int pair_order(const struct lost_pair *a, const struct lost_pair *b)
{
	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	if (a->transaction_id != b->transaction_id)
		return a->transaction_id < b->transaction_id ? -1 : 1;
	return 0;
}

/* NULL: there is none. *ret_is_sure: no other one can be the last. Times are no proof of
 * that: those of a snapshot go when it is deleted. */
static const struct lost_pair *pair_choose(const struct finding_super *find,
					   const struct thin_super *said, bool *ret_is_sure)
{
	const struct lost_pair *best = NULL;

	*ret_is_sure = true;
	for (size_t i = 0; i < find->nr_pairs; i++)
		if (find->pairs[i].mapping_root == said->mapping_root &&
		    find->pairs[i].details_root == said->details_root)
			return &find->pairs[i];
	for (size_t i = 0; i < find->nr_pairs; i++) {
		const struct lost_pair *pair = &find->pairs[i];
		int order = best ? pair_order(pair, best) : 1;

		if (order > 0 || (!order && pair->nr_mapped > best->nr_mapped))
			best = pair;
	}
	*ret_is_sure = find->nr_pairs == 1;
	return best;
}

static int geometry_find(struct thin_repair *repair, struct cow_err *err)
{
	uint64_t given = repair->wanted.block_sectors, block_bytes;

	if (!given)
		given = bytes_to_sectors(repair->args->chunk_bytes);
	if (!cow_thin_block_ok(given) || !repair->data)
		return cow_refuse(err, -EBADMSG, "table", NULL,
				  "the superblock is lost, and with it the block size and the size "
				  "of the data: --chunk-size or --table, and the data device, must "
				  "say them");
	block_bytes = sectors_to_bytes(given);
	repair->super.block_sectors = (uint32_t)given;
	repair->super.data_map.nr_blocks = block_bytes ? repair->data->size_bytes / block_bytes : 0;
	if (repair->super.data_map.nr_blocks)
		return 0;
	return cow_refuse(err, -EBADMSG, "table", NULL,
			  "the data device has less than one block of %" PRIu64 " sectors", given);
}

static int super_take(struct finding_super *find, const struct thin_super *said,
		      struct cow_err *err)
{
	struct thin_repair *repair = find->repair;
	bool is_sure;
	const struct lost_pair *pair = pair_choose(find, said, &is_sure);

	if (!pair)
		return cow_refuse(err, -EBADMSG, "damaged", NULL,
				  "the superblock of %s is lost, and no trees of one commit are "
				  "whole on it",
				  repair->metadata->name);
	if (!is_sure && !(repair->params->flags & COW_REPAIR_DOUBTFUL))
		return cow_refuse(
			err, -EBADMSG, "doubtful", "doubtful",
			"the superblock of %s is lost, the trees of %zu commits are whole on it, "
			"and nothing tells which is the last",
			repair->metadata->name, find->nr_pairs);
	repair->super.mapping_root = pair->mapping_root;
	repair->super.details_root = pair->details_root;
	repair->super.time =
		pair->time > find->salvage->time_seen ? pair->time : find->salvage->time_seen;
	repair->super.transaction_id =
		said->magic == THIN_MAGIC ? said->transaction_id : pair->transaction_id;
	if (repair->wanted.has_transaction)
		repair->super.transaction_id = repair->wanted.transaction_id;
	repair->is_super_found = true;
	repair->is_super_doubtful = !is_sure;
	return 0;
}

static void find_free(struct finding_super *find)
{
	for (size_t i = 0; i < find->nr_trees; i++)
		free(find->trees[i].entries);
	free(find->trees);
	free(find->pairs);
	cow_thin_salvage_free(find->salvage);
}

int cow_thin_repair_super(struct thin_repair *repair, const uint8_t *raw, struct cow_err *err)
{
	struct finding_super find = { .repair = repair };
	struct thin_super said = { .magic = 0 };
	int ret = geometry_find(repair, err);

	if (raw)
		cow_thin_super_decode(raw, &said);
	if (!ret)
		ret = cow_thin_salvage_new(repair->metadata, repair->super.data_map.nr_blocks,
					   THIN_TIME_MAX, &find.salvage, err);
	if (!ret)
		ret = pairs_find(&find, err);
	if (!ret)
		ret = super_take(&find, &said, err);
	find_free(&find);
	return ret;
}
