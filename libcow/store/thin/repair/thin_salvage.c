/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_salvage.c - visits each node of the trees of mappings once, its children before
 * it, on a stack that is as deep as a tree can be. What is found of a node is kept for
 * all of its parents.
 */
#include "libcow/store/thin/repair/thin_salvage.h"

#include <errno.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

static const struct thin_node_info nowhere = { .state = THIN_NODE_DROPPED, .is_unreadable = true };

int cow_thin_salvage_new(struct cow_image *metadata, uint64_t nr_data, uint32_t time_max,
			 struct thin_salvage **ret_salvage, struct cow_err *err)
{
	AUTO_HANDLE(thin_salvage) struct thin_salvage *salvage = calloc(1, sizeof(*salvage));
	int ret;

	if (!salvage)
		return cow_fail(err, -ENOMEM, "no memory to mend trees");
	salvage->nr_data = nr_data;
	salvage->time_max = time_max;
	ret = cow_image_overlay_new(metadata, &salvage->overlay, err);
	if (!ret)
		ret = cow_pdata_blocks_new(salvage->overlay, 0, &salvage->blocks, err);
	if (ret)
		return ret;
	salvage->nr_blocks = cow_pdata_blocks_nr(salvage->blocks);
	/* bounded: PDATA_BLOCKS_MAX; only what is touched takes memory */
	salvage->nodes = calloc((size_t)salvage->nr_blocks, sizeof(*salvage->nodes));
	salvage->frames = calloc(PDATA_HEIGHT_MAX + 1, sizeof(*salvage->frames));
	if (!salvage->nodes || !salvage->frames)
		return cow_fail(err, -ENOMEM, "no memory to mend trees");
	*ret_salvage = take_ptr(salvage);
	return 0;
}

void cow_thin_salvage_free(struct thin_salvage *salvage)
{
	if (!salvage)
		return;
	cow_pdata_blocks_free(salvage->blocks);
	cow_image_close(salvage->overlay);
	free(salvage->nodes);
	free(salvage->frames);
	free(salvage->holes);
	free(salvage);
}

void cow_thin_salvage_exclude(struct thin_salvage *salvage, uint64_t block)
{
	if (block < salvage->nr_blocks)
		salvage->nodes[block].state = THIN_NODE_FOREIGN;
}

const struct thin_node_info *cow_thin_salvage_info(const struct thin_salvage *salvage,
						   uint64_t block)
{
	return block < salvage->nr_blocks ? &salvage->nodes[block] : &nowhere;
}

int cow_thin_salvage_hole(struct thin_salvage *salvage, uint64_t block, uint64_t first,
			  uint64_t last, struct cow_err *err)
{
	struct thin_hole *larger,
		*before = salvage->nr_holes ? &salvage->holes[salvage->nr_holes - 1] : NULL;

	salvage->nodes[block].has_hole = true;
	if (before && before->block == block && before->last + 1 == first) {
		before->last = last;
		return 0;
	}
	larger = cow_array_grow(salvage->holes, salvage->nr_holes, &salvage->holes_capacity,
				sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu damaged places",
				salvage->nr_holes);
	salvage->holes = larger;
	larger[salvage->nr_holes++] =
		(struct thin_hole){ .block = (uint32_t)block, .first = first, .last = last };
	return 0;
}

/* ---------------------------------------------------------------- visiting */

static void frame_fill(struct salvage_frame *frame, const struct pdata_node *node, bool is_mended)
{
	*frame = (struct salvage_frame){
		.block = node->block,
		.nr = node->nr_entries,
		.is_ordered = true,
		.is_mended = is_mended,
	};
	for (uint32_t i = 0; i < node->nr_entries; i++) {
		uint64_t next = i + 1 < node->nr_entries ? pdata_node_key(node, i + 1) : 0;

		frame->children[i] = (struct salvage_child){
			.key = pdata_node_key(node, i),
			.last = i + 1 < node->nr_entries ? next - 1 : UINT64_MAX,
			.block = pdata_node_child(node, i),
		};
		if (i + 1 < node->nr_entries && next <= pdata_node_key(node, i))
			frame->is_ordered = false;
	}
}

/* A node that was not seen: a leaf is done at once, another one begins a frame. */
static int node_begin(struct thin_salvage *salvage, uint64_t block, unsigned int *depth,
		      struct cow_err *err)
{
	struct thin_node_info *info = &salvage->nodes[block];
	uint8_t raw[PDATA_BLOCK_BYTES];
	bool is_mended, is_node;
	struct pdata_node node;
	int ret = cow_thin_salvage_read(salvage, block, raw, &node, &is_mended, &is_node, err);

	if (ret)
		return ret;
	if (!is_node || *depth > PDATA_HEIGHT_MAX) {
		info->state = THIN_NODE_DROPPED;
		info->is_unreadable = !is_node;
		return 0;
	}
	if (pdata_node_is_leaf(&node))
		return cow_thin_salvage_leaf(salvage, &node, is_mended, err);
	info->state = THIN_NODE_OPEN;
	frame_fill(&salvage->frames[(*depth)++], &node, is_mended);
	return 0;
}

int cow_thin_salvage_tree(struct thin_salvage *salvage, uint64_t root, struct cow_err *err)
{
	unsigned int depth = 0;
	int ret = 0;

	if (root < salvage->nr_blocks && salvage->nodes[root].state == THIN_NODE_UNSEEN)
		ret = node_begin(salvage, root, &depth, err);
	while (!ret && depth) {
		struct salvage_frame *frame = &salvage->frames[depth - 1];
		uint64_t child;

		if (frame->next == frame->nr) {
			depth--;
			ret = cow_thin_salvage_internal(salvage, frame, err);
			continue;
		}
		child = frame->children[frame->next++].block;
		if (child < salvage->nr_blocks && salvage->nodes[child].state == THIN_NODE_UNSEEN)
			ret = node_begin(salvage, child, &depth, err);
	}
	return ret;
}
