/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_rebuild.c - the order of a rebuild. All nodes of all devices are visited once,
 * which counts both kinds of blocks; then block 0 of the target becomes zeros, flush;
 * everything else is written, flush; block 0, flush. So a crash leaves the old pool, no
 * pool, or the new one.
 */
#include "libcow/store/thin/repair/thin_rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

int cow_thin_rebuild_take(struct thin_rebuild *rebuild, uint64_t *ret_block, struct cow_err *err)
{
	uint64_t block = rebuild->next;
	int ret;

	while (block < rebuild->nr_blocks && cow_pdata_counts_get(rebuild->counts, block))
		block++;
	rebuild->next = block + 1;
	if (block >= rebuild->nr_blocks)
		return cow_refuse(err, -ERANGE, "size", NULL,
				  "the new metadata do not fit into the %" PRIu64
				  " blocks of %s: make it larger",
				  rebuild->nr_blocks, rebuild->target->name);
	*ret_block = block;
	ret = cow_pdata_counts_add(rebuild->counts, block, 1, err);
	return ret ? ret : cow_pdata_counts_add(rebuild->made, block, 1, err);
}

/* ---------------------------------------------------------------- counting */

static int leaf_count(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct thin_rebuild *rebuild = (struct thin_rebuild *)user;
	int ret = 0;

	(void)edge;
	for (uint32_t i = 0; !ret && i < node->nr_entries; i++) {
		uint64_t block = thin_mapping_block(get_le64(pdata_node_value(node, i)));

		if (block >= rebuild->super.data_map.nr_blocks)
			return cow_fail(err, -EBADMSG,
					"block %" PRIu64 " of the metadata maps data block %" PRIu64
					" of %" PRIu64,
					node->block, block, rebuild->super.data_map.nr_blocks);
		ret = cow_pdata_counts_add(rebuild->data_counts, block, 1, err);
	}
	return ret;
}

int cow_thin_rebuild_walk(const struct thin_rebuild *rebuild, struct pdata_blocks *blocks,
			  struct pdata_counts *counts, void *user,
			  int (*leaf)(void *user, const struct pdata_node *node,
				      const struct pdata_edge *edge, struct cow_err *err),
			  struct cow_err *err)
{
	const struct pdata_walk_params params = {
		.blocks = blocks,
		.value_size = 8,
		.is_shared = true,
		.counts = counts,
		.user = user,
		.leaf = leaf,
	};
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(&params, &walk, err);

	for (size_t i = 0; !ret && i < rebuild->nr_devices; i++) {
		const struct thin_rebuild_device *device = &rebuild->devices[i];

		if (device->root != COW_OFFSET_NONE)
			ret = cow_pdata_walk_root(walk, device->root, (uint32_t)i,
						  device->details.snapshotted_time, err);
	}
	return ret ? ret : cow_pdata_walk_run(walk, err);
}

static int counts_make(struct thin_rebuild *rebuild, struct cow_err *err)
{
	uint64_t nr_blocks = max_u64(rebuild->nr_blocks, cow_pdata_blocks_nr(rebuild->blocks));
	int ret = cow_pdata_counts_new(nr_blocks, &rebuild->counts, err);

	if (!ret)
		ret = cow_pdata_counts_new(nr_blocks, &rebuild->made, err);
	if (!ret)
		ret = cow_pdata_counts_new(rebuild->super.data_map.nr_blocks, &rebuild->data_counts,
					   err);
	if (!ret)
		ret = cow_pdata_counts_add(rebuild->counts, 0, 1, err);
	return ret ? ret
		   : cow_thin_rebuild_walk(rebuild, rebuild->blocks, rebuild->counts, rebuild,
					   leaf_count, err);
}

/* ---------------------------------------------------------------- writing */

static int nothing_next(void *user, uint64_t *ret_key, uint8_t *value, struct cow_err *err)
{
	(void)user;
	(void)ret_key;
	(void)value;
	return cow_fail(err, -EINVAL, "an empty tree has no entry");
}

static int roots_make(struct thin_rebuild *rebuild, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < rebuild->nr_devices; i++)
		if (rebuild->devices[i].root == COW_OFFSET_NONE)
			ret = cow_thin_rebuild_tree(rebuild, 8, 0, nothing_next, NULL,
						    &rebuild->devices[i].root, err);
	return ret;
}

struct devices_at {
	const struct thin_rebuild *rebuild;
	size_t at;
};

static int root_next(void *user, uint64_t *ret_key, uint8_t *value, struct cow_err *err)
{
	struct devices_at *list = (struct devices_at *)user;
	const struct thin_rebuild_device *device = &list->rebuild->devices[list->at++];

	(void)err;
	*ret_key = device->id;
	put_le64(value, device->root);
	return 0;
}

static int details_next(void *user, uint64_t *ret_key, uint8_t *value, struct cow_err *err)
{
	struct devices_at *list = (struct devices_at *)user;
	const struct thin_rebuild_device *device = &list->rebuild->devices[list->at++];

	(void)err;
	*ret_key = device->id;
	cow_thin_details_encode(&device->details, value);
	return 0;
}

/* What is copied, up to a piece, from first on. */
static uint64_t run_length(const struct thin_rebuild *rebuild, uint64_t first)
{
	uint64_t nr = 0;

	while (nr < COW_PIECE_BYTES / PDATA_BLOCK_BYTES && first + nr < rebuild->nr_blocks &&
	       cow_pdata_counts_get(rebuild->counts, first + nr) &&
	       !cow_pdata_counts_get(rebuild->made, first + nr))
		nr++;
	return nr;
}

static int nodes_copy(const struct thin_rebuild *rebuild, struct cow_err *err)
{
	AUTO_FREE uint8_t *piece = malloc(COW_PIECE_BYTES);
	uint64_t nr, total = rebuild->nr_blocks * PDATA_BLOCK_BYTES;
	int ret = 0;

	if (!piece)
		return cow_fail(err, -ENOMEM, "no memory for a piece of the metadata");
	/* block 0 is the last one that is written */
	for (uint64_t at = 1; !ret && cow_pdata_counts_next(rebuild->counts, at, &at); at += nr) {
		nr = run_length(rebuild, at);
		ret = cow_callbacks_progress(rebuild->callbacks, "write", at * PDATA_BLOCK_BYTES,
					     total, err);
		if (!nr && !ret)
			nr = 1; /* it is written */
		else if (!ret)
			ret = cow_image_pread(rebuild->source, piece,
					      (size_t)(nr * PDATA_BLOCK_BYTES),
					      at * PDATA_BLOCK_BYTES, err);
		if (!ret && !cow_pdata_counts_get(rebuild->made, at))
			ret = cow_image_pwrite(rebuild->target, piece,
					       (size_t)(nr * PDATA_BLOCK_BYTES),
					       at * PDATA_BLOCK_BYTES, err);
	}
	return ret;
}

static int trees_write(struct thin_rebuild *rebuild, struct cow_err *err)
{
	struct devices_at roots = { rebuild, 0 }, details = { rebuild, 0 };
	int ret = roots_make(rebuild, err);

	if (!ret)
		ret = cow_thin_rebuild_tree(rebuild, 8, rebuild->nr_devices, root_next, &roots,
					    &rebuild->super.mapping_root, err);
	if (!ret)
		ret = cow_thin_rebuild_tree(rebuild, THIN_DETAILS_BYTES, rebuild->nr_devices,
					    details_next, &details, &rebuild->super.details_root,
					    err);
	if (!ret)
		ret = cow_thin_rebuild_data_map(rebuild, err);
	return ret ? ret : cow_thin_rebuild_map(rebuild, err);
}

static int super_write(struct thin_rebuild *rebuild, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	int ret;

	rebuild->super.held_root = 0;
	rebuild->super.metadata_nr_blocks = rebuild->nr_blocks;
	cow_thin_super_encode(&rebuild->super, 0, raw);
	ret = cow_image_pwrite(rebuild->target, raw, sizeof(raw), 0, err);
	return ret ? ret : cow_image_flush(rebuild->target, err);
}

static int target_clear(const struct thin_rebuild *rebuild, struct cow_err *err)
{
	int ret = cow_image_write_zeroes(rebuild->target, 0, PDATA_BLOCK_BYTES, err);

	if (!ret)
		ret = cow_image_flush(rebuild->target, err);
	if (!ret && rebuild->target->size_bytes > PDATA_BLOCK_BYTES)
		ret = cow_image_write_zeroes(rebuild->target, PDATA_BLOCK_BYTES,
					     rebuild->target->size_bytes - PDATA_BLOCK_BYTES, err);
	return ret;
}

static int all_write(struct thin_rebuild *rebuild, struct cow_err *err)
{
	int ret = target_clear(rebuild, err);

	if (!ret)
		ret = trees_write(rebuild, err);
	if (!ret)
		ret = nodes_copy(rebuild, err);
	if (!ret)
		ret = cow_image_flush(rebuild->target, err);
	return ret ? ret : super_write(rebuild, err);
}

int cow_thin_rebuild(struct thin_rebuild *rebuild, struct cow_err *err)
{
	int ret = cow_pdata_blocks_new(rebuild->source, 0, &rebuild->blocks, err);

	rebuild->nr_blocks =
		min_u64(rebuild->target->size_bytes / PDATA_BLOCK_BYTES, PDATA_BLOCKS_MAX);
	rebuild->next = 1;
	if (!ret)
		ret = counts_make(rebuild, err);
	if (!ret)
		ret = all_write(rebuild, err);
	cow_pdata_counts_free(rebuild->counts);
	cow_pdata_counts_free(rebuild->made);
	cow_pdata_counts_free(rebuild->data_counts);
	cow_pdata_blocks_free(rebuild->blocks);
	return ret;
}
