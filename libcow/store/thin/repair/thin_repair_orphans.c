/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair_orphans.c - finds the nodes whose parents are lost, by the references that
 * the old space map counts and nothing explains, and the places where a node is missing.
 * Without that map nothing is found: a node of an earlier commit looks as whole as one
 * of the last.
 */
#include "libcow/store/thin/repair/thin_repair_orphans.h"

#include <errno.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"

/* ---------------------------------------------------------------- what is left */

static bool is_kept(const struct thin_repair *repair, uint64_t block)
{
	return cow_thin_salvage_info(repair->salvage, block)->state == THIN_NODE_KEPT;
}

/* The mended trees of all devices, and those of the metadata snapshot. */
static int mappings_count(struct orphans *orphans, struct cow_err *err)
{
	const struct thin_repair *repair = orphans->repair;
	const struct thin_check *list = &repair->list;
	const struct pdata_walk_params params = {
		.blocks = repair->salvage->blocks,
		.value_size = 8,
		.is_shared = true,
		.counts = orphans->counts,
		.fault = cow_pdata_walk_fault_ignore,
	};
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(&params, &walk, err);

	for (size_t i = 0; !ret && i < list->nr_devices; i++)
		if (list->devices[i].has_root && is_kept(repair, list->devices[i].root))
			ret = cow_pdata_walk_root(walk, list->devices[i].root, 0, 0, err);
	for (size_t i = 0; !ret && i < list->nr_held_roots; i++)
		ret = cow_pdata_walk_root(walk, list->held_roots[i], 0, 0, err);
	return ret ? ret : cow_pdata_walk_run(walk, err);
}

static int missing_add(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
		       struct cow_err *err)
{
	struct orphans *orphans = (struct orphans *)user;
	uint64_t nr_blocks = orphans->repair->salvage->nr_blocks;

	(void)err;
	for (uint64_t i = first; found > counted && i < first + nr && i < nr_blocks; i++)
		orphans->missing[i] = found - counted;
	return 0;
}

static int missing_find(struct orphans *orphans, struct cow_err *err)
{
	const struct thin_repair *repair = orphans->repair;
	struct pdata_map_params params = {
		.blocks = repair->list.blocks,
		.root = repair->super.metadata_map,
		.nr_blocks_max = UINT64_MAX,
		.counts = orphans->counts,
		.fault = cow_pdata_map_fault_ignore,
	};
	AUTO_HANDLE(pdata_map) struct pdata_map *data = NULL;
	AUTO_HANDLE(pdata_map) struct pdata_map *metadata = NULL;
	uint64_t block = 0, nr_used;
	int ret;

	params.user = orphans;
	ret = mappings_count(orphans, err);
	while (!ret && cow_pdata_counts_next(repair->list.counts, block, &block)) {
		ret = cow_pdata_counts_add(orphans->counts, block,
					   cow_pdata_counts_get(repair->list.counts, block), err);
		block++;
	}
	if (!ret)
		ret = cow_pdata_map_load(&params, &metadata, err);
	params.root = repair->super.data_map;
	params.is_disk = true;
	if (!ret)
		ret = cow_pdata_map_load(&params, &data, err);
	return ret ? ret
		   : cow_pdata_map_compare(metadata, orphans->counts, missing_add, &nr_used, err);
}

/* ---------------------------------------------------------------- whole trees */

/* The references that nodes have which nothing leads to: what is below such a node is
 * explained by it. */
static int children_explain(struct orphans *orphans, uint64_t block, struct cow_err *err)
{
	struct thin_salvage *salvage = orphans->repair->salvage;
	const struct pdata_tree tree = { salvage->blocks, block, 8 };
	struct pdata_fault fault = { .what = PDATA_SOUND };
	struct pdata_node node;
	int ret = cow_pdata_node_read(&tree, block, &node, &fault, err);

	if (ret || fault.what || pdata_node_is_leaf(&node))
		return ret;
	for (uint32_t i = 0; i < node.nr_entries; i++) {
		uint64_t child = pdata_node_child(&node, i);

		if (child < salvage->nr_blocks && orphans->missing[child])
			orphans->missing[child]--;
	}
	return 0;
}

static int unit_add(struct orphans *orphans, uint64_t block, struct cow_err *err)
{
	const struct thin_node_info *info = cow_thin_salvage_info(orphans->repair->salvage, block);
	struct orphan *larger = cow_array_grow(orphans->units, orphans->nr_units,
					       &orphans->units_capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu nodes of a tree",
				orphans->nr_units);
	orphans->units = larger;
	larger[orphans->nr_units++] = (struct orphan){
		.block = block,
		.first = info->first,
		.last = info->last,
		.nr = info->nr,
		.height = info->height,
		.nr_missing = orphans->missing[block],
	};
	return 0;
}

static int units_find(struct orphans *orphans, struct cow_err *err)
{
	struct thin_repair *repair = orphans->repair;
	uint64_t nr_blocks = repair->salvage->nr_blocks;
	int ret = 0;

	for (uint64_t block = 1; !ret && block < nr_blocks; block++)
		if (orphans->missing[block])
			ret = cow_thin_salvage_tree(repair->salvage, block, err);
	for (uint64_t block = 1; !ret && block < nr_blocks; block++)
		if (is_kept(repair, block) && !cow_pdata_counts_get(orphans->counts, block) &&
		    orphans->missing[block])
			ret = children_explain(orphans, block, err);
	for (uint64_t block = 1; !ret && block < nr_blocks; block++)
		if (orphans->missing[block] && is_kept(repair, block) &&
		    cow_thin_salvage_info(repair->salvage, block)->nr)
			ret = unit_add(orphans, block, err);
	return ret;
}

/* ---------------------------------------------------------------- where one is missing */

static int place_add(struct orphans *orphans, const struct orphan_place *place, struct cow_err *err)
{
	struct orphan_place *larger = cow_array_grow(orphans->places, orphans->nr_places,
						     &orphans->places_capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for damaged places");
	orphans->places = larger;
	larger[orphans->nr_places++] = *place;
	return 0;
}

/* Roots that are lost, each of them once. */
static int roots_find(struct orphans *orphans, struct cow_err *err)
{
	const struct thin_check *list = &orphans->repair->list;
	int ret = 0;

	for (size_t i = 0; !ret && i < list->nr_devices; i++) {
		const struct thin_device *device = &list->devices[i];
		struct orphan_place place = {
			.parent = COW_OFFSET_NONE,
			.block = device->root,
			.last = UINT64_MAX,
			.height = -1,
			.nr = device->has_details ? device->details.mapped_blocks : UINT64_MAX,
		};
		bool is_known = false;

		if (!device->has_root || is_kept(orphans->repair, device->root))
			continue;
		for (size_t j = 0; j < orphans->nr_places; j++)
			is_known |= orphans->places[j].block == device->root;
		if (!is_known)
			ret = place_add(orphans, &place, err);
	}
	return ret;
}

/* Is an entry of a node still there after it was mended? *at goes on with it. */
static bool is_left(const struct pdata_node *after, uint64_t child, uint32_t *at)
{
	for (uint32_t i = *at; i < after->nr_entries; i++) {
		if (pdata_node_child(after, i) != child)
			continue;
		*at = i + 1;
		return true;
	}
	return false;
}

static int children_compare(struct orphans *orphans, const struct pdata_node *before,
			    const struct pdata_node *after, unsigned int height,
			    struct cow_err *err)
{
	uint32_t at = 0;
	int ret = 0;

	for (uint32_t i = 1; i < before->nr_entries; i++)
		if (pdata_node_key(before, i) <= pdata_node_key(before, i - 1))
			return 0; /* where what belongs, nobody knows */
	for (uint32_t i = 0; !ret && i < before->nr_entries; i++) {
		struct orphan_place place = {
			.parent = before->block,
			.index = i,
			.block = pdata_node_child(before, i),
			.first = pdata_node_key(before, i),
			.last = i + 1 < before->nr_entries ? pdata_node_key(before, i + 1) - 1
							   : UINT64_MAX,
			.height = (int)height - 1,
			.nr = UINT64_MAX,
		};

		if (!is_left(after, place.block, &at))
			ret = place_add(orphans, &place, err);
	}
	return ret;
}

/* Entries of a node that were taken out of it. */
static int entries_find(struct orphans *orphans, uint64_t block, struct cow_err *err)
{
	struct thin_salvage *salvage = orphans->repair->salvage;
	const struct pdata_tree tree = { salvage->blocks, block, 8 };
	struct pdata_fault fault = { .what = PDATA_SOUND };
	struct pdata_node before, after;
	uint8_t raw[PDATA_BLOCK_BYTES];
	bool is_mended, is_node;
	int ret = cow_thin_salvage_read(orphans->before, block, raw, &before, &is_mended, &is_node,
					err);

	before.raw = raw;
	if (!ret && is_node)
		ret = cow_pdata_node_read(&tree, block, &after, &fault, err);
	if (ret || !is_node || fault.what || pdata_node_is_leaf(&before) || is_mended)
		return ret;
	return children_compare(orphans, &before, &after, salvage->nodes[block].height, err);
}

static int places_find(struct orphans *orphans, struct cow_err *err)
{
	const struct thin_repair *repair = orphans->repair;
	int ret = roots_find(orphans, err);

	for (uint64_t block = 1; !ret && block < repair->salvage->nr_blocks; block++) {
		const struct thin_node_info *info = cow_thin_salvage_info(repair->salvage, block);

		if (info->state == THIN_NODE_KEPT && info->has_hole && info->height &&
		    cow_pdata_counts_get(orphans->counts, block))
			ret = entries_find(orphans, block, err);
	}
	return ret;
}

int cow_thin_orphans_find(struct orphans *orphans, struct cow_err *err)
{
	const struct thin_repair *repair = orphans->repair;
	uint64_t nr_blocks = repair->salvage->nr_blocks;
	int ret = cow_pdata_counts_new(nr_blocks, &orphans->counts, err);

	/* bounded: PDATA_BLOCKS_MAX; only what is touched takes memory */
	orphans->missing = calloc((size_t)nr_blocks, sizeof(*orphans->missing));
	if (!orphans->missing)
		return cow_fail(err, -ENOMEM, "no memory to look for lost nodes");
	if (!ret)
		ret = cow_pdata_counts_add(orphans->counts, 0, 1, err);
	if (!ret)
		ret = cow_thin_salvage_new(repair->metadata, repair->super.data_map.nr_blocks,
					   repair->super.time, &orphans->before, err);
	if (!ret)
		ret = missing_find(orphans, err);
	if (!ret)
		ret = units_find(orphans, err);
	return ret || !orphans->nr_units ? ret : places_find(orphans, err);
}

void cow_thin_orphans_free(struct orphans *orphans)
{
	cow_thin_salvage_free(orphans->before);
	cow_pdata_counts_free(orphans->counts);
	free(orphans->missing);
	free(orphans->units);
	free(orphans->places);
}
