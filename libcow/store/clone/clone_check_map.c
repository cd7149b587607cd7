/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_check_map.c - the space map of a clone against the counts of all walks.
 * In a clone each block in use has one reference.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/err.h"
#include "libcow/store/clone/clone_check.h"

static enum clone_problem part_problem(enum pdata_map_part part, enum pdata_what what)
{
	switch (what) {
	case PDATA_MAP_NR_BLOCKS:
		return CLONE_MAP_SIZE;
	case PDATA_MAP_NR_FREE:
		return CLONE_MAP_NR_FREE;
	case PDATA_MAP_FIRST_FREE:
		return CLONE_MAP_FIRST_FREE;
	case PDATA_MAP_NO_COUNT:
		return CLONE_COUNT_WITHOUT_ENTRY;
	case PDATA_MAP_SMALL_COUNT:
	case PDATA_MAP_EXTRA_COUNT:
		return CLONE_COUNT_ENTRY;
	default:
		break;
	}
	if (part == PDATA_MAP_BITMAP)
		return CLONE_MAP_BITMAP;
	return part == PDATA_MAP_INDEX ? CLONE_MAP_INDEX : CLONE_MAP_COUNTS;
}

static int take_fault(void *user, enum pdata_map_part part, const struct pdata_fault *fault,
		      struct cow_err *err)
{
	struct clone_check *check = (struct clone_check *)user;
	enum clone_problem problem = part_problem(part, fault->what);
	char text[PDATA_FAULT_TEXT_BYTES];

	(void)err;
	if (problem == CLONE_MAP_INDEX || problem == CLONE_MAP_BITMAP)
		check->has_map_fault = true;
	cow_pdata_fault_text(fault, cow_pdata_map_part_name(part, fault->what), text);
	cow_clone_check_add(check, problem, fault->block, "%s", text);
	return 0;
}

/* A block in use that counts as free. */
static void free_add(struct clone_check *check, uint64_t block)
{
	enum clone_problem problem = CLONE_BLOCK_FREE;

	check->has_free = true;
	if (!block)
		problem = CLONE_SUPERBLOCK_FREE;
	else if (block == check->super.bitset_root)
		problem = CLONE_ROOT_FREE;
	cow_clone_check_add(check, problem, block,
			    "block %" PRIu64 " is in use, the space map counts it as free", block);
}

static int take_count(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
		      struct cow_err *err)
{
	struct clone_check *check = (struct clone_check *)user;

	(void)err;
	if (!counted) {
		check->has_leaked = true;
		cow_clone_check_add(check, CLONE_BLOCK_LEAKED, first,
				    "blocks %" PRIu64 " to %" PRIu64
				    " are counted as used, and nothing uses them",
				    first, first + nr - 1);
		return 0;
	}
	for (uint64_t block = first; block < first + nr; block++) {
		if (!found)
			free_add(check, block);
		else
			cow_clone_check_add(check, CLONE_BLOCK_COUNTED_HIGH, block,
					    "block %" PRIu64 " is counted %" PRIu32
					    " times and used %" PRIu32 " times",
					    block, found, counted);
	}
	return 0;
}

static void allocated_check(struct clone_check *check, uint64_t nr_used)
{
	const struct pdata_map_root *root = &check->super.map;

	if (root->nr_allocated != nr_used)
		cow_clone_check_add(check, CLONE_MAP_NR_ALLOCATED, 0,
				    "%" PRIu64 " blocks are in use, the space map says %" PRIu64,
				    nr_used, root->nr_allocated);
	nr_used = min_u64(nr_used, root->nr_blocks);
	check->nr_free = root->nr_blocks - nr_used;
}

int cow_clone_check_map(struct clone_check *check, struct cow_err *err)
{
	const struct pdata_map_params params = {
		.blocks = check->blocks,
		.root = check->super.map,
		.nr_blocks_max = cow_pdata_blocks_nr(check->blocks),
		.counts = check->counts,
		.user = check,
		.fault = take_fault,
	};
	AUTO_HANDLE(pdata_map) struct pdata_map *map = NULL;
	uint64_t nr_used = 0;
	int ret = cow_pdata_map_load(&params, &map, err);

	/* Of a damaged bitset nobody knows which blocks are in use. */
	check->nr_free = check->super.map.nr_blocks;
	if (ret || check->has_bitset_fault)
		return ret;
	ret = cow_pdata_map_compare(map, check->counts, take_count, &nr_used, err);
	/* The map counts other blocks than the tree has: a node is an old one, whose
	 * write was lost. */
	if (check->has_free && check->has_leaked)
		check->is_doubtful = true;
	if (!ret && !check->has_map_fault)
		allocated_check(check, nr_used);
	return ret;
}
