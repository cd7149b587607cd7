/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair_adopt.c - decides which of the nodes that nothing leads to belongs into
 * which place. What a damaged node still says counts, if the space map misses exactly
 * that; else the number of mappings that a device should have; else a node fits into one
 * place alone. Where two places could have the same node neither gets it. What is found
 * is written over the old metadata, in memory, and all trees are mended once more.
 */
#include "libcow/store/thin/repair/thin_repair_orphans.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"

#define CHILDREN_MAX SALVAGE_CHILDREN_MAX

/* Nodes that could be put into one place. */
struct claim {
	struct orphan *units[CHILDREN_MAX];
	size_t nr;
	uint64_t nr_mapped;
	bool is_whole; /* one node of the missing height, or children of the missing node */
};

static int by_first(const void *a, const void *b)
{
	const struct orphan *x = (const struct orphan *)a;
	const struct orphan *y = (const struct orphan *)b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* ---------------------------------------------------------------- claims */

/* What the lost node itself says, if it can still be read: NULL, nothing. */
static const uint8_t *hint_read(const struct orphans *orphans, uint64_t block,
				uint8_t raw[PDATA_BLOCK_BYTES])
{
	const struct thin_repair *repair = orphans->repair;

	if (block >= repair->salvage->nr_blocks ||
	    cow_image_pread(repair->metadata, raw, PDATA_BLOCK_BYTES, block * PDATA_BLOCK_BYTES,
			    NULL))
		return NULL;
	return get_le32(raw + 4) == PDATA_NODE_INTERNAL && get_le32(raw + 20) == CHILDREN_MAX
		       ? raw
		       : NULL;
}

static bool hint_names(const uint8_t *hint, uint64_t block)
{
	uint32_t nr = get_le32(hint + 16);

	for (uint32_t i = 0; i < nr && i < CHILDREN_MAX; i++)
		if (get_le64(hint + PDATA_NODE_HEADER_BYTES + 8 * (size_t)(CHILDREN_MAX + i)) ==
		    block)
			return true;
	return false;
}

static bool fits(const struct orphan *unit, const struct orphan_place *place)
{
	return unit->nr_missing && unit->first >= place->first && unit->last <= place->last &&
	       (place->height < 0 || unit->height == (unsigned int)place->height ||
		unit->height + 1 == (unsigned int)place->height);
}

/* All that fit, at the greatest height that there is; false: they overlap. */
static bool claim_make(struct orphans *orphans, const struct orphan_place *place,
		       const uint8_t *hint, struct claim *claim)
{
	unsigned int height = 0;

	*claim = (struct claim){ .nr = 0 };
	for (size_t i = 0; i < orphans->nr_units; i++)
		if (fits(&orphans->units[i], place) &&
		    (!hint || hint_names(hint, orphans->units[i].block)) &&
		    orphans->units[i].height > height)
			height = orphans->units[i].height;
	for (size_t i = 0; i < orphans->nr_units; i++) {
		struct orphan *unit = &orphans->units[i];

		if (!fits(unit, place) || unit->height != height ||
		    (hint && !hint_names(hint, unit->block)))
			continue;
		if (claim->nr == CHILDREN_MAX ||
		    (claim->nr && unit->first <= claim->units[claim->nr - 1]->last))
			return false;
		claim->units[claim->nr++] = unit;
		claim->nr_mapped += unit->nr;
	}
	claim->is_whole = place->height >= 0 && height == (unsigned int)place->height;
	return claim->nr && (!claim->is_whole || claim->nr == 1);
}

/* ---------------------------------------------------------------- putting it there */

static int block_write(struct orphans *orphans, uint64_t block, uint8_t *raw, struct cow_err *err)
{
	cow_pdata_block_seal(&cow_pdata_node_type, block, raw);
	return cow_image_pwrite(orphans->patched, raw, PDATA_BLOCK_BYTES, block * PDATA_BLOCK_BYTES,
				err);
}

/* The block of the lost node, or one that neither commit has. */
static bool block_choose(struct orphans *orphans, uint64_t lost, uint64_t *ret_block)
{
	const struct thin_salvage *salvage = orphans->repair->salvage;
	const struct thin_node_info *info = cow_thin_salvage_info(salvage, lost);

	*ret_block = lost;
	if (lost && lost < salvage->nr_blocks && info->state == THIN_NODE_DROPPED &&
	    !cow_pdata_counts_get(orphans->counts, lost))
		return true;
	while (orphans->next_free < salvage->nr_blocks &&
	       (salvage->nodes[orphans->next_free].state != THIN_NODE_UNSEEN ||
		cow_pdata_counts_get(orphans->counts, orphans->next_free)))
		orphans->next_free++;
	*ret_block = orphans->next_free++;
	return *ret_block < salvage->nr_blocks;
}

static int parent_point(struct orphans *orphans, const struct orphan_place *place, uint64_t block,
			struct cow_err *err)
{
	struct thin_check *list = &orphans->repair->list;
	uint8_t raw[PDATA_BLOCK_BYTES];
	int ret;

	for (size_t i = 0; place->parent == COW_OFFSET_NONE && i < list->nr_devices; i++)
		if (list->devices[i].has_root && list->devices[i].root == place->block)
			list->devices[i].root = block;
	if (place->parent == COW_OFFSET_NONE || block == place->block)
		return 0;
	ret = cow_image_pread(orphans->patched, raw, sizeof(raw), place->parent * PDATA_BLOCK_BYTES,
			      err);
	if (ret)
		return ret;
	put_le64(raw + PDATA_NODE_HEADER_BYTES + 8 * (size_t)(CHILDREN_MAX + place->index), block);
	return block_write(orphans, place->parent, raw, err);
}

static int node_make(struct orphans *orphans, const struct claim *claim, uint64_t block,
		     struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	uint8_t *keys = raw + PDATA_NODE_HEADER_BYTES;

	cow_pdata_node_head_encode(raw, false, (uint32_t)claim->nr, 8);
	for (size_t i = 0; i < claim->nr; i++) {
		put_le64(keys + 8 * i, claim->units[i]->first);
		put_le64(keys + 8 * (CHILDREN_MAX + i), claim->units[i]->block);
	}
	return block_write(orphans, block, raw, err);
}

static int claim_take(struct orphans *orphans, struct orphan_place *place,
		      const struct claim *claim, struct cow_err *err)
{
	bool is_root = place->parent == COW_OFFSET_NONE;
	uint64_t block = claim->units[0]->block;
	int ret = 0;

	if (!claim->is_whole && (claim->nr > 1 || !is_root)) {
		if (!block_choose(orphans, place->block, &block))
			return 0;
		ret = node_make(orphans, claim, block, err);
	}
	if (!ret)
		ret = parent_point(orphans, place, block, err);
	for (size_t i = 0; i < claim->nr; i++)
		claim->units[i]->nr_missing--;
	place->is_done = true;
	orphans->has_adopted = true;
	return ret;
}

/* ---------------------------------------------------------------- deciding */

/* By what the lost nodes themselves still say. */
static int hinted_take(struct orphans *orphans, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	struct claim claim;
	int ret = 0;

	for (size_t i = 0; !ret && i < orphans->nr_places; i++) {
		struct orphan_place *place = &orphans->places[i];
		const uint8_t *hint = hint_read(orphans, place->block, raw);

		if (hint && claim_make(orphans, place, hint, &claim) && !claim.is_whole &&
		    (place->nr == UINT64_MAX || claim.nr_mapped <= place->nr))
			ret = claim_take(orphans, place, &claim, err);
	}
	return ret;
}

/* By the number of mappings that a device should have. */
static int exact_take(struct orphans *orphans, struct cow_err *err)
{
	struct claim claim;
	int ret = 0;

	for (size_t i = 0; !ret && i < orphans->nr_places; i++) {
		struct orphan_place *place = &orphans->places[i];
		bool is_only = true;

		for (size_t j = 0; j < orphans->nr_places; j++)
			is_only &= j == i || orphans->places[j].is_done ||
				   orphans->places[j].nr != place->nr;
		if (!place->is_done && place->nr != UINT64_MAX && is_only &&
		    claim_make(orphans, place, NULL, &claim) && claim.nr_mapped == place->nr)
			ret = claim_take(orphans, place, &claim, err);
	}
	return ret;
}

static bool is_wanted_elsewhere(const struct orphans *orphans, const struct orphan_place *mine,
				const struct claim *claim)
{
	for (size_t i = 0; i < orphans->nr_places; i++) {
		const struct orphan_place *other = &orphans->places[i];

		for (size_t j = 0; other != mine && !other->is_done && j < claim->nr; j++)
			if (fits(claim->units[j], other))
				return true;
	}
	return false;
}

/* What fits nowhere else. */
static int rest_take(struct orphans *orphans, struct cow_err *err)
{
	struct claim claim;
	int ret = 0;

	for (size_t i = 0; !ret && i < orphans->nr_places; i++) {
		struct orphan_place *place = &orphans->places[i];

		if (!place->is_done && claim_make(orphans, place, NULL, &claim) &&
		    (place->nr == UINT64_MAX || claim.nr_mapped <= place->nr) &&
		    !is_wanted_elsewhere(orphans, place, &claim))
			ret = claim_take(orphans, place, &claim, err);
	}
	return ret;
}

/* ---------------------------------------------------------------- the tree of devices */

/* Devices that have details, and whose root nothing names. */
static bool is_rootless(const struct thin_device *device, uint64_t nr)
{
	return device->has_details && !device->has_root && device->details.mapped_blocks == nr;
}

static size_t rootless_count(const struct orphans *orphans, uint64_t nr)
{
	const struct thin_check *list = &orphans->repair->list;
	size_t found = 0;

	for (size_t i = 0; i < list->nr_devices; i++)
		found += is_rootless(&list->devices[i], nr);
	return found;
}

static void device_root(struct orphans *orphans, struct thin_device *device, struct orphan *unit)
{
	device->root = unit->block;
	device->has_root = true;
	unit->nr_missing--;
	orphans->has_adopted = true;
}

/* What the lost node still says of a device: *ret_root. */
static bool top_names(const uint8_t *raw, uint64_t id, uint64_t *ret_root)
{
	uint32_t nr = get_le32(raw + 16);

	if (get_le32(raw + 4) != PDATA_NODE_LEAF || get_le32(raw + 20) != CHILDREN_MAX)
		return false;
	for (uint32_t i = 0; i < nr && i < CHILDREN_MAX; i++) {
		const uint8_t *key = raw + PDATA_NODE_HEADER_BYTES + 8 * (size_t)i;

		*ret_root = get_le64(key + 8 * (size_t)CHILDREN_MAX);
		if (get_le64(key) == id)
			return true;
	}
	return false;
}

static void top_hinted_take(struct orphans *orphans)
{
	struct thin_repair *repair = orphans->repair;
	uint64_t block = repair->super.mapping_root, root;
	uint8_t raw[PDATA_BLOCK_BYTES];

	if (block >= repair->salvage->nr_blocks ||
	    cow_image_pread(repair->metadata, raw, sizeof(raw), block * PDATA_BLOCK_BYTES, NULL))
		return;
	for (size_t i = 0; i < repair->list.nr_devices; i++) {
		struct thin_device *device = &repair->list.devices[i];

		if (device->has_root || !device->has_details || !top_names(raw, device->id, &root))
			continue;
		for (size_t j = 0; !device->has_root && j < orphans->nr_units; j++)
			if (orphans->units[j].block == root && orphans->units[j].nr_missing &&
			    orphans->units[j].nr == device->details.mapped_blocks)
				device_root(orphans, device, &orphans->units[j]);
	}
}

/* A piece of the tree of devices itself: each of its entries leads to a tree that some
 * parent is missing of, with as many mappings as the details of that device say. */
struct piece {
	struct orphans *orphans;
	bool is_rehearsal;
};

static struct orphan *unit_find(const struct orphans *orphans, uint64_t block)
{
	for (size_t i = 0; i < orphans->nr_units; i++)
		if (orphans->units[i].block == block && orphans->units[i].nr_missing)
			return &orphans->units[i];
	return NULL;
}

static struct thin_device *device_find(const struct orphans *orphans, uint64_t id)
{
	const struct thin_check *list = &orphans->repair->list;

	for (size_t i = 0; i < list->nr_devices; i++)
		if (list->devices[i].id == id)
			return &list->devices[i];
	return NULL;
}

static int piece_entry(void *user, uint64_t key, const uint8_t *value, struct cow_err *err)
{
	const struct piece *piece = (const struct piece *)user;
	struct thin_device *device = device_find(piece->orphans, key);
	struct orphan *unit = unit_find(piece->orphans, get_le64(value));

	(void)err;
	/* an empty tree is none of those that were looked for */
	if (!device || device->has_root || !device->has_details ||
	    (device->details.mapped_blocks && (!unit || unit->nr != device->details.mapped_blocks)))
		return -EMEDIUMTYPE;
	if (!piece->is_rehearsal && unit)
		device_root(piece->orphans, device, unit);
	return 0;
}

static int top_pieces_take(struct orphans *orphans, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < orphans->nr_units; i++) {
		const struct pdata_tree tree = { orphans->repair->list.blocks,
						 orphans->units[i].block, 8 };
		struct piece piece = { orphans, true };

		if (!orphans->units[i].nr_missing)
			continue;
		ret = cow_pdata_tree_each(&tree, 0, piece_entry, &piece, err);
		if (ret == -EMEDIUMTYPE || ret == -EBADMSG) {
			if (err)
				*err = (struct cow_err)COW_ERR_INIT;
			ret = 0;
			continue;
		}
		orphans->units[i].nr_missing--;
		piece.is_rehearsal = false;
		if (!ret)
			ret = cow_pdata_tree_each(&tree, 0, piece_entry, &piece, err);
	}
	return ret;
}

/* A tree with as many mappings as a device should have is its own, if no other tree and
 * no other device has that number: all that share one tree have the same. */
static void top_exact_take(struct orphans *orphans)
{
	struct thin_check *list = &orphans->repair->list;

	for (size_t i = 0; i < orphans->nr_units; i++) {
		struct orphan *unit = &orphans->units[i];
		size_t nr_same = 0;

		for (size_t j = 0; j < orphans->nr_units; j++)
			nr_same += orphans->units[j].nr_missing && orphans->units[j].nr == unit->nr;
		if (!unit->nr_missing || nr_same != 1 ||
		    rootless_count(orphans, unit->nr) != unit->nr_missing)
			continue;
		for (size_t j = 0; j < list->nr_devices; j++)
			if (is_rootless(&list->devices[j], unit->nr))
				device_root(orphans, &list->devices[j], unit);
	}
}

/* By force: any of those that fit, and all of the device is in doubt. */
static void top_doubtful_take(struct orphans *orphans)
{
	struct thin_check *list = &orphans->repair->list;

	for (size_t i = 0; i < list->nr_devices; i++)
		for (size_t j = 0; j < orphans->nr_units; j++) {
			if (!is_rootless(&list->devices[i], orphans->units[j].nr) ||
			    !orphans->units[j].nr_missing)
				continue;
			device_root(orphans, &list->devices[i], &orphans->units[j]);
			list->devices[i].is_doubtful = true;
		}
}

/* Some tree that is left may be all of a device, and no part of another one. */
static bool has_rootless(const struct orphans *orphans)
{
	const struct thin_check *list = &orphans->repair->list;

	if (!thin_repair_count(orphans->repair, THIN_TOP_NODE))
		return false;
	for (size_t i = 0; i < list->nr_devices; i++)
		if (!list->devices[i].has_root && list->devices[i].details.mapped_blocks)
			return true;
	return thin_repair_count(orphans->repair, THIN_DETAILS);
}

int cow_thin_orphans_adopt(struct orphans *orphans, struct cow_err *err)
{
	int ret;

	if (!orphans->nr_units)
		return 0;
	qsort(orphans->units, orphans->nr_units, sizeof(*orphans->units), by_first);
	orphans->next_free = 1;
	ret = cow_image_overlay_new(orphans->repair->metadata, &orphans->patched, err);
	if (ret)
		return ret;
	if (thin_repair_count(orphans->repair, THIN_TOP_NODE)) {
		ret = top_pieces_take(orphans, err);
		top_hinted_take(orphans);
		top_exact_take(orphans);
		if (orphans->repair->params->flags & COW_REPAIR_DOUBTFUL)
			top_doubtful_take(orphans);
	}
	if (!ret)
		ret = hinted_take(orphans, err);
	if (!ret)
		ret = exact_take(orphans, err);
	return ret || has_rootless(orphans) ? ret : rest_take(orphans, err);
}
