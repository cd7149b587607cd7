/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_check_maps.c - both space maps of a pool against the counts of all walks. What
 * is counted and not used is a leak, and no damage: the kernel leaves such data blocks
 * behind after a power cut. Where a tree was not read to its end nobody knows what is
 * in use, and leaks are not told.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "libcow/base/err.h"
#include "libcow/store/thin/check/thin_check.h"

/* One of the two maps that is being compared. */
struct comparing {
	struct thin_check *check;
	const struct pdata_map_root *root;
	bool is_data;
	bool has_fault; /* its numbers cannot be told */
	bool is_low;	/* some block is counted too low */
	/* Of one bitmap of the metadata: what is wrong with the numbers in the index. */
	struct pdata_fault nr_free, first_free;
};

static enum thin_problem part_problem(const struct comparing *c, enum pdata_map_part part,
				      const struct pdata_fault *fault)
{
	switch (fault->what) {
	case PDATA_MAP_NR_FREE:
		return THIN_MAP_NR_FREE;
	case PDATA_MAP_FIRST_FREE:
		return THIN_MAP_FIRST_FREE;
	case PDATA_MAP_NO_COUNT:
		return THIN_COUNT_WITHOUT_ENTRY;
	case PDATA_MAP_SMALL_COUNT:
	case PDATA_MAP_EXTRA_COUNT:
		return THIN_COUNT_ENTRY;
	default:
		break;
	}
	if (part == PDATA_MAP_BITMAP)
		return THIN_MAP_BITMAP;
	if (part != PDATA_MAP_INDEX)
		return THIN_MAP_COUNTS;
	return c->is_data ? THIN_MAP_INDEX : THIN_MAP_INDEX_REFUSED;
}

static void index_add(struct comparing *c, enum thin_problem problem,
		      const struct pdata_fault *fault)
{
	char text[PDATA_FAULT_TEXT_BYTES];

	if (!fault->what)
		return;
	cow_pdata_fault_text(fault, cow_pdata_map_part_name(PDATA_MAP_BITMAP, fault->what), text);
	cow_thin_check_add(c->check, problem, fault->block, "%s, of the %s space map", text,
			   c->is_data ? "data" : "metadata");
}

static void index_tell(struct comparing *c)
{
	index_add(c, THIN_MAP_NR_FREE, &c->nr_free);
	index_add(c, THIN_MAP_FIRST_FREE, &c->first_free);
	c->nr_free = c->first_free = (struct pdata_fault){ .what = PDATA_SOUND };
}

/* Keeps what is wrong with one bitmap until everything is counted. */
static bool index_keep(struct comparing *c, const struct pdata_fault *fault)
{
	struct pdata_fault *to = fault->what == PDATA_MAP_NR_FREE ? &c->nr_free : &c->first_free;
	const struct pdata_fault *other = to == &c->nr_free ? &c->first_free : &c->nr_free;

	if (c->is_data || (fault->what != PDATA_MAP_NR_FREE && fault->what != PDATA_MAP_FIRST_FREE))
		return false;
	if (to->what || (other->what && other->block != fault->block))
		index_tell(c);
	*to = *fault;
	return true;
}

/*
 * thin_repair and thin_restore free a block of their own when the index is written: one
 * free block more than the index and nr_allocated say, below all others. The kernel finds
 * the others, and leaves it so.
 */
static bool is_of_repair(const struct comparing *c, uint64_t nr_used)
{
	uint64_t in_bitmap = min_u64(c->root->nr_blocks, PDATA_BITMAP_ENTRIES);
	uint64_t used = PDATA_BITMAP_ENTRIES - min_u64(c->nr_free.allowed, PDATA_BITMAP_ENTRIES);

	return c->nr_free.what && c->first_free.what && !c->has_fault && !c->is_low &&
	       c->root->nr_allocated == nr_used + 1 && c->root->nr_blocks > nr_used + 1 &&
	       (c->nr_free.found + 1 == c->nr_free.allowed ||
		c->nr_free.found + 1 + used == in_bitmap);
}

static int take_fault(void *user, enum pdata_map_part part, const struct pdata_fault *fault,
		      struct cow_err *err)
{
	struct comparing *c = (struct comparing *)user;
	enum thin_problem problem = part_problem(c, part, fault);
	bool is_of_data = c->is_data && fault->what >= PDATA_MAP_NO_COUNT;
	char text[PDATA_FAULT_TEXT_BYTES];

	(void)err;
	if (index_keep(c, fault))
		return 0;
	if (part != PDATA_MAP_ITSELF && fault->what < PDATA_MAP_NR_BLOCKS)
		c->check->has_hidden |= part != PDATA_MAP_BITMAP;
	c->has_fault |= problem == THIN_MAP_INDEX || problem == THIN_MAP_INDEX_REFUSED ||
			problem == THIN_MAP_BITMAP;
	cow_pdata_fault_text(fault, cow_pdata_map_part_name(part, fault->what), text);
	if (is_of_data)
		cow_thin_check_add_data(c->check, problem, fault->block, "data %s", text);
	else
		cow_thin_check_add(c->check, problem, fault->block, "%s, of the %s space map", text,
				   c->is_data ? "data" : "metadata");
	return 0;
}

/* Names a run. */
static void run_text(uint64_t first, uint64_t nr, const char *what, char *text, size_t size)
{
	if (nr == 1)
		snprintf(text, size, "%sblock %" PRIu64, what, first);
	else
		snprintf(text, size, "%sblocks %" PRIu64 " to %" PRIu64, what, first,
			 first + nr - 1);
}

static int data_count(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
		      struct cow_err *err)
{
	struct thin_check *check = ((struct comparing *)user)->check;
	char run[80];

	if (found > counted && check->has_hidden)
		return 0;
	if (counted)
		return cow_thin_owners_keep(check,
					    found > counted ? THIN_DATA_COUNTED_HIGH
					    : found	    ? THIN_DATA_COUNTED_LOW
							    : THIN_DATA_FREE,
					    first, nr, found, counted, err);
	run_text(first, nr, "data ", run, sizeof(run));
	cow_thin_check_add_data(check, THIN_DATA_LEAKED, first,
				"%s: counted as used, and no device maps it", run);
	return 0;
}

/* One reference is missing, and that of the metadata snapshot would be it. */
static bool is_held_root(const struct thin_check *check, uint64_t block, uint32_t found,
			 uint32_t counted)
{
	return check->has_held && found + 1 == counted &&
	       (block == check->super.held_root || block == check->held.mapping_root ||
		block == check->held.details_root);
}

static int metadata_count(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
			  struct cow_err *err)
{
	struct comparing *c = (struct comparing *)user;
	struct thin_check *check = c->check;
	enum thin_problem problem = found ? THIN_BLOCK_COUNTED_LOW : THIN_BLOCK_FREE;
	char run[80];

	(void)err;
	c->is_low |= found < counted;
	run_text(first, nr, "", run, sizeof(run));
	if (found > counted && check->has_hidden)
		return 0;
	if (found > counted && !counted)
		cow_thin_check_add(check, THIN_BLOCK_LEAKED, first,
				   "%s: counted as used, and nothing uses it", run);
	else if (found > counted)
		cow_thin_check_add(check, THIN_BLOCK_COUNTED_HIGH, first,
				   "%s: counted %" PRIu32 " times, used %" PRIu32 " times", run,
				   found, counted);
	for (uint64_t block = first; found < counted && block < first + nr; block++)
		cow_thin_check_add(
			check,
			is_held_root(check, block, found, counted) ? THIN_HELD_UNCOUNTED : problem,
			block,
			"block %" PRIu64 ": used %" PRIu32 " times, counted %" PRIu32 " times",
			block, counted, found);
	return 0;
}

/* What thin_repair writes is one too high for the metadata. */
static void allocated_check(struct comparing *c, uint64_t nr_used)
{
	uint64_t said = c->root->nr_allocated;

	if (c->has_fault || said == nr_used || (!c->is_data && said == nr_used + 1))
		return;
	cow_thin_check_add(c->check, THIN_MAP_NR_ALLOCATED, 0,
			   "%" PRIu64 " %s blocks are in use, the space map says %" PRIu64, nr_used,
			   c->is_data ? "data" : "metadata", said);
}

static int map_load(struct comparing *c, struct pdata_map **ret_map, struct cow_err *err)
{
	const struct pdata_map_params params = {
		.blocks = c->check->blocks,
		.root = *c->root,
		.is_disk = c->is_data,
		.nr_blocks_max = UINT64_MAX, /* sizes are compared elsewhere */
		.counts = c->check->counts,
		.user = c,
		.fault = take_fault,
	};

	return cow_pdata_map_load(&params, ret_map, err);
}

int cow_thin_check_maps(struct thin_check *check, struct cow_err *err)
{
	struct comparing data = { .check = check, .root = &check->super.data_map, .is_data = true };
	struct comparing metadata = { .check = check, .root = &check->super.metadata_map };
	AUTO_HANDLE(pdata_map) struct pdata_map *data_map = NULL;
	AUTO_HANDLE(pdata_map) struct pdata_map *metadata_map = NULL;
	/* Both first: they consist of metadata blocks, which the second one counts. */
	int ret = map_load(&data, &data_map, err);

	if (!ret)
		ret = map_load(&metadata, &metadata_map, err);
	if (!ret)
		ret = cow_pdata_map_compare(data_map, check->data_counts, data_count,
					    &check->nr_data_used, err);
	if (!ret)
		ret = cow_thin_owners_tell(check, err);
	if (!ret)
		ret = cow_pdata_map_compare(metadata_map, check->counts, metadata_count,
					    &check->nr_used, err);
	if (ret)
		return ret;
	if (is_of_repair(&metadata, check->nr_used))
		index_add(&metadata, THIN_MAP_HIDDEN, &metadata.first_free);
	else
		index_tell(&metadata);
	allocated_check(&data, check->nr_data_used);
	allocated_check(&metadata, check->nr_used);
	return 0;
}
