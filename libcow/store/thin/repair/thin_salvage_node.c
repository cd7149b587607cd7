/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_salvage_node.c - what of a node is kept. A node with a wrong checksum is none.
 * One whose checksum is right was written so, by somebody with a bug or a plan: its head
 * is put right only where the rest of it leaves no doubt, and an entry is kept only if
 * it contradicts no other one.
 */
#include <errno.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/thin/repair/thin_salvage.h"

#define ENTRIES_MAX SALVAGE_CHILDREN_MAX

/* ---------------------------------------------------------------- the head */

static bool value_fits_leaf(const struct thin_salvage *salvage, uint64_t value)
{
	return thin_mapping_block(value) < salvage->nr_data &&
	       thin_mapping_time(value) <= salvage->time_max;
}

/* Do all entries agree with a node of this kind? */
static bool entries_fit(const struct thin_salvage *salvage, const struct pdata_node *node,
			bool is_leaf)
{
	for (uint32_t i = 0; i < node->nr_entries; i++) {
		uint64_t value = pdata_node_child(node, i);

		if (i && pdata_node_key(node, i) <= pdata_node_key(node, i - 1))
			return false;
		if (is_leaf ? !value_fits_leaf(salvage, value)
			    : !value || value >= salvage->nr_blocks)
			return false;
		/* neighbours of one value: a leaf that was read as the other kind */
		if (i && is_leaf &&
		    thin_mapping_block(value) == thin_mapping_block(pdata_node_child(node, i - 1)))
			return false;
	}
	return node->nr_entries;
}

static void head_put(uint8_t *raw, uint32_t flags, uint32_t nr)
{
	put_le32(raw + 4, flags);
	put_le32(raw + 16, nr);
	put_le32(raw + 20, ENTRIES_MAX);
	put_le32(raw + 24, 8);
}

/* The head as it must be in this place, if everything else agrees with that. */
static bool head_mend(const struct thin_salvage *salvage, uint8_t *raw, struct pdata_node *node)
{
	uint32_t stated = get_le32(raw + 4), nr = get_le32(raw + 16);

	if (nr > ENTRIES_MAX)
		return false;
	for (int i = 0; i < 2; i++) {
		/* what it says, if it says one of them; then the other one */
		bool is_leaf = (stated == PDATA_NODE_INTERNAL) == (i != 0);

		head_put(raw, is_leaf ? PDATA_NODE_LEAF : PDATA_NODE_INTERNAL, nr);
		node->flags = get_le32(raw + 4);
		node->nr_entries = nr;
		node->max_entries = ENTRIES_MAX;
		node->value_size = 8;
		if (entries_fit(salvage, node, is_leaf))
			return true;
	}
	return false;
}

static bool head_is_right(const struct thin_salvage *salvage, const struct pdata_node *node)
{
	bool is_leaf = node->flags == PDATA_NODE_LEAF;

	if ((!is_leaf && node->flags != PDATA_NODE_INTERNAL) || node->value_size != 8 ||
	    node->max_entries != ENTRIES_MAX || node->nr_entries > ENTRIES_MAX)
		return false;
	/* a leaf that says it were none leads nowhere */
	for (uint32_t i = 0; !is_leaf && i < node->nr_entries; i++)
		if (pdata_node_child(node, i) < salvage->nr_blocks)
			return true;
	return is_leaf;
}

int cow_thin_salvage_read(struct thin_salvage *salvage, uint64_t block,
			  uint8_t raw[PDATA_BLOCK_BYTES], struct pdata_node *ret_node,
			  bool *ret_is_mended, bool *ret_is_node, struct cow_err *err)
{
	struct pdata_fault fault = { .what = PDATA_SOUND }, head;
	const uint8_t *read = NULL;
	int ret = cow_pdata_block_read(salvage->blocks, &cow_pdata_node_type, block, &read, &fault,
				       err);

	*ret_is_mended = false;
	*ret_is_node = false;
	if (ret || fault.what)
		return ret;
	memcpy(raw, read, PDATA_BLOCK_BYTES);
	cow_pdata_node_decode(raw, block, ret_node, &head);
	*ret_is_node = !head.what && head_is_right(salvage, ret_node);
	if (*ret_is_node)
		return 0;
	ret_node->raw = raw;
	ret_node->block = block;
	*ret_is_mended = *ret_is_node = head_mend(salvage, raw, ret_node);
	return 0;
}

/* ---------------------------------------------------------------- writing */

struct entry {
	uint64_t key, value;
};

static int node_write(struct thin_salvage *salvage, uint64_t block, uint32_t flags,
		      const struct entry *entries, uint32_t nr, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES] = { 0 };
	uint8_t *keys = raw + PDATA_NODE_HEADER_BYTES;

	head_put(raw, flags, nr);
	for (uint32_t i = 0; i < nr; i++) {
		put_le64(keys + 8 * (size_t)i, entries[i].key);
		put_le64(keys + 8 * (size_t)(ENTRIES_MAX + i), entries[i].value);
	}
	cow_pdata_block_seal(&cow_pdata_node_type, block, raw);
	cow_pdata_blocks_forget(salvage->blocks);
	salvage->nr_changed++;
	return cow_image_pwrite(salvage->overlay, raw, sizeof(raw), block * PDATA_BLOCK_BYTES, err);
}

/* ---------------------------------------------------------------- leaves */

/* Which entries have a key above all before them and below all behind them. */
static void keys_judge(const struct pdata_node *node, bool is_good[ENTRIES_MAX])
{
	uint64_t bound = UINT64_MAX, top = 0;

	for (uint32_t i = node->nr_entries; i--;) {
		uint64_t key = pdata_node_key(node, i);

		is_good[i] = i + 1 == node->nr_entries || key < bound;
		bound = min_u64(bound, key);
	}
	for (uint32_t i = 0; i < node->nr_entries; i++) {
		uint64_t key = pdata_node_key(node, i);

		is_good[i] &= !i || key > top;
		top = max_u64(top, key);
	}
}

/* Where the blocks of an entry that is not kept were: between its neighbours. */
static int entry_hole(struct thin_salvage *salvage, const struct pdata_node *node,
		      const struct entry *kept, uint32_t nr_kept, uint32_t index,
		      const bool *is_good, bool is_keyed, struct cow_err *err)
{
	uint64_t first = nr_kept ? kept[nr_kept - 1].key + 1 : 0, last = UINT64_MAX;
	uint64_t key = pdata_node_key(node, index);

	if (is_keyed)
		return cow_thin_salvage_hole(salvage, node->block, key, key, err);
	if (index && !is_good[index - 1])
		return 0; /* the first one of them has told */
	for (uint32_t i = index + 1; i < node->nr_entries && last == UINT64_MAX; i++)
		if (is_good[i])
			last = pdata_node_key(node, i) - 1;
	return first > last ? 0 : cow_thin_salvage_hole(salvage, node->block, first, last, err);
}

int cow_thin_salvage_leaf(struct thin_salvage *salvage, const struct pdata_node *node,
			  bool is_mended, struct cow_err *err)
{
	struct thin_node_info *info = &salvage->nodes[node->block];
	bool is_good[ENTRIES_MAX] = { false }, is_changed = is_mended;
	struct entry kept[ENTRIES_MAX];
	uint32_t nr = 0;
	int ret = 0;

	keys_judge(node, is_good);
	for (uint32_t i = 0; !ret && i < node->nr_entries; i++) {
		uint64_t value = pdata_node_child(node, i), block = thin_mapping_block(value);

		if (!is_good[i] || block >= salvage->nr_data) {
			is_changed = true;
			ret = entry_hole(salvage, node, kept, nr, i, is_good, is_good[i], err);
			continue;
		}
		if (thin_mapping_time(value) > salvage->time_max) {
			is_changed = true;
			value = block << 24 | salvage->time_max;
		}
		if (thin_mapping_time(value) > salvage->time_seen)
			salvage->time_seen = thin_mapping_time(value);
		kept[nr++] = (struct entry){ pdata_node_key(node, i), value };
	}
	info->state = nr || !node->nr_entries ? THIN_NODE_KEPT : THIN_NODE_DROPPED;
	info->nr = nr;
	info->first = nr ? kept[0].key : 0;
	info->last = nr ? kept[nr - 1].key : 0;
	if (ret || !is_changed || info->state == THIN_NODE_DROPPED)
		return ret;
	return node_write(salvage, node->block, PDATA_NODE_LEAF, kept, nr, err);
}

/* ---------------------------------------------------------------- internal nodes */

/* What is known of the children of a frame. */
struct kept_child {
	uint64_t first, last, block, key;
	bool fits; /* the range that the parent gives it */
};

static bool is_usable(const struct thin_salvage *salvage, const struct salvage_child *child,
		      unsigned int height)
{
	const struct thin_node_info *info = cow_thin_salvage_info(salvage, child->block);

	/* the kernel leaves no empty leaf beside others */
	return info->state == THIN_NODE_KEPT && info->nr && info->height == height;
}

/* The height of most children that can be used. */
static unsigned int height_find(const struct thin_salvage *salvage,
				const struct salvage_frame *frame)
{
	uint32_t nr[PDATA_HEIGHT_MAX + 1] = { 0 };
	unsigned int best = 0;

	for (uint32_t i = 0; i < frame->nr; i++) {
		const struct thin_node_info *info =
			cow_thin_salvage_info(salvage, frame->children[i].block);

		if (info->state == THIN_NODE_KEPT && info->nr && info->height <= PDATA_HEIGHT_MAX)
			nr[info->height]++;
	}
	for (unsigned int i = 1; i <= PDATA_HEIGHT_MAX; i++)
		if (nr[i] > nr[best])
			best = i;
	return best;
}

static uint32_t usable_find(const struct thin_salvage *salvage, const struct salvage_frame *frame,
			    unsigned int height, struct kept_child *kept)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < frame->nr; i++) {
		const struct salvage_child *child = &frame->children[i];
		const struct thin_node_info *info = cow_thin_salvage_info(salvage, child->block);

		if (is_usable(salvage, child, height))
			kept[nr++] = (struct kept_child){
				.first = info->first,
				.last = info->last,
				.block = child->block,
				.key = child->key,
				.fits = frame->is_ordered && info->first >= child->key &&
					info->last <= child->last,
			};
	}
	return nr;
}

static bool is_ascending(const struct kept_child *kept, uint32_t nr)
{
	for (uint32_t i = 1; i < nr; i++)
		if (kept[i].first <= kept[i - 1].last)
			return false;
	return true;
}

/* By their own first keys; the keys of the parent stay in their places. */
static void sort_children(struct kept_child *kept, uint32_t nr)
{
	for (uint32_t i = 1; i < nr; i++)
		for (uint32_t j = i; j && kept[j].first < kept[j - 1].first; j--) {
			struct kept_child child = kept[j];
			uint64_t key = kept[j - 1].key;

			kept[j] = kept[j - 1];
			kept[j].key = child.key;
			kept[j - 1] = child;
			kept[j - 1].key = key;
		}
}

/* All children are there, and only changed places: their keys say where they belong. */
static bool is_permuted(const struct salvage_frame *frame, struct kept_child *kept, uint32_t nr)
{
	struct kept_child sorted[ENTRIES_MAX];

	if (nr != frame->nr || !frame->is_ordered)
		return false;
	memcpy(sorted, kept, nr * sizeof(*kept));
	sort_children(sorted, nr);
	for (uint32_t i = 0; i < nr; i++)
		if (sorted[i].first < sorted[i].key || sorted[i].last > frame->children[i].last)
			return false;
	memcpy(kept, sorted, nr * sizeof(*kept));
	return true;
}

/* Those that lie where the parent has them. */
static uint32_t fitting_keep(struct kept_child *kept, uint32_t nr)
{
	uint32_t nr_fit = 0;

	for (uint32_t i = 0; i < nr; i++)
		if (kept[i].fits && (!nr_fit || kept[i].first > kept[nr_fit - 1].last))
			kept[nr_fit++] = kept[i];
	return nr_fit;
}

static bool is_kept(const struct kept_child *kept, uint32_t nr, uint64_t block)
{
	for (uint32_t i = 0; i < nr; i++)
		if (kept[i].block == block)
			return true;
	return false;
}

/* What lay below the children that are not kept: in the ranges that they had, else
 * between those that are kept. */
static int holes_add(struct thin_salvage *salvage, const struct salvage_frame *frame,
		     const struct kept_child *kept, uint32_t nr, struct cow_err *err)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && frame->is_ordered && i < frame->nr; i++)
		if (!is_kept(kept, nr, frame->children[i].block))
			ret = cow_thin_salvage_hole(salvage, frame->block, frame->children[i].key,
						    frame->children[i].last, err);
	for (uint32_t i = 0; !ret && !frame->is_ordered && nr < frame->nr && i <= nr; i++) {
		uint64_t first = i ? kept[i - 1].last + 1 : 0;
		uint64_t last = i < nr ? kept[i].first - 1 : UINT64_MAX;

		if (first <= last && (i == nr || kept[i].first))
			ret = cow_thin_salvage_hole(salvage, frame->block, first, last, err);
	}
	return ret;
}

static int kept_write(struct thin_salvage *salvage, const struct salvage_frame *frame,
		      const struct kept_child *kept, uint32_t nr, struct cow_err *err)
{
	bool is_changed = frame->is_mended || nr != frame->nr;
	struct entry entries[ENTRIES_MAX];

	for (uint32_t i = 0; i < nr; i++) {
		uint64_t key = kept[i].key;

		/* the parent's, where it is one that leads to the child */
		if (!frame->is_ordered || key > kept[i].first || (i && key <= kept[i - 1].last))
			key = kept[i].first;
		entries[i] = (struct entry){ key, kept[i].block };
		is_changed |= i >= frame->nr || key != frame->children[i].key ||
			      kept[i].block != frame->children[i].block;
	}
	return is_changed ? node_write(salvage, frame->block, PDATA_NODE_INTERNAL, entries, nr, err)
			  : 0;
}

int cow_thin_salvage_internal(struct thin_salvage *salvage, struct salvage_frame *frame,
			      struct cow_err *err)
{
	struct thin_node_info *info = &salvage->nodes[frame->block];
	unsigned int height = height_find(salvage, frame);
	struct kept_child kept[ENTRIES_MAX];
	uint32_t nr = usable_find(salvage, frame, height, kept);
	int ret;

	if (!is_ascending(kept, nr) && !is_permuted(frame, kept, nr))
		nr = fitting_keep(kept, nr);
	info->state = nr && height < PDATA_HEIGHT_MAX ? THIN_NODE_KEPT : THIN_NODE_DROPPED;
	ret = holes_add(salvage, frame, kept, nr, err);
	if (ret || info->state == THIN_NODE_DROPPED)
		return ret;
	info->height = (uint8_t)(height + 1);
	info->first = kept[0].first;
	info->last = kept[nr - 1].last;
	for (uint32_t i = 0; i < nr; i++) {
		info->nr += salvage->nodes[kept[i].block].nr;
		info->has_hole |= salvage->nodes[kept[i].block].has_hole;
	}
	return kept_write(salvage, frame, kept, nr, err);
}
