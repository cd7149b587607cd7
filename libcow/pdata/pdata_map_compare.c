/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_map_compare.c - compares a space map with what a walk has counted,
 * bitmap by bitmap, in the order of their blocks.
 */
#include <errno.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/pdata/pdata_map.h"

struct run {
	uint64_t first, nr;
	uint32_t found, counted;
};

struct compare {
	struct pdata_map *map;
	const struct pdata_counts *counts;
	int (*count)(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
		     struct cow_err *err);
	struct map_place *order; /* the index, by block */
	size_t nr;
	uint32_t *numbers; /* each block once */
	size_t *first_of;
	size_t nr_numbers;
	uint64_t nr_used;
	struct run run; /* that is being gathered */
};

static int run_tell(struct compare *c, struct cow_err *err)
{
	struct run run = c->run;

	c->run = (struct run){ .nr = 0 };
	if (!run.nr || !c->count)
		return 0;
	return c->count(c->map->params.user, run.first, run.nr, run.found, run.counted, err);
}

static int run_add(struct compare *c, uint64_t block, uint32_t found, uint32_t counted,
		   struct cow_err *err)
{
	struct run *run = &c->run;
	int ret = 0;

	if (run->nr && run->first + run->nr == block && run->found == found &&
	    run->counted == counted) {
		run->nr++;
		return 0;
	}
	ret = run_tell(c, err);
	*run = (struct run){ .first = block, .nr = 1, .found = found, .counted = counted };
	return ret;
}

/* A count of the map: where the bits say 3, the tree's. A block of which the two
 * contradict each other is told, and not compared. */
static int found_count(struct compare *c, uint64_t block, unsigned int bits, uint32_t *ret_count,
		       bool *ret_is_told, struct cow_err *err)
{
	const struct map_large *large = cow_pdata_map_large(c->map, block);
	struct pdata_fault fault = { .block = block, .allowed = bits };

	*ret_count = bits;
	*ret_is_told = false;
	if (bits == 3 && large) {
		*ret_count = large->count;
		if (large->count >= 3)
			return 0;
		fault.what = PDATA_MAP_SMALL_COUNT;
	} else if (bits == 3 && !c->map->is_large_lost) {
		fault.what = PDATA_MAP_NO_COUNT;
	} else if (bits != 3 && large) {
		fault.what = PDATA_MAP_EXTRA_COUNT;
	} else {
		return 0;
	}
	*ret_is_told = true;
	fault.found = large ? large->count : 0;
	return cow_pdata_map_tell(c->map, PDATA_MAP_REF_COUNTS, &fault, err);
}

static uint32_t counted_of(const struct compare *c, uint64_t block)
{
	return block < cow_pdata_counts_nr_blocks(c->counts)
		       ? cow_pdata_counts_get(c->counts, block)
		       : 0;
}

/* What is counted 3 or more, and the tree cannot be read: nobody knows. */
static bool is_unknown(const struct compare *c, unsigned int bits, uint32_t counted)
{
	return bits == 3 && c->map->is_large_lost && counted >= 3;
}

#define PER_WORD 32u
#define LOW_BITS UINT64_C(0x5555555555555555)

/* Which of the 32 entries from at on are used, a bit in two for each, if no more is to be
 * said of them: they are what was counted, all below 3, and no tree has a count for them.
 * false: one by one. */
static bool is_word_right(const struct compare *c, uint64_t first, uint64_t at, const uint8_t *raw,
			  size_t *next_large, uint64_t *ret_used)
{
	const struct pdata_map *map = c->map;
	uint64_t block = first + at;
	uint64_t word = get_le64(raw + PDATA_BITMAP_HEADER_BYTES + at / PER_WORD * 8);
	/* the high bit of an entry comes first */
	uint64_t bits = (word & LOW_BITS) << 1 | (word >> 1 & LOW_BITS);

	while (*next_large < map->nr_large && map->large[*next_large].block < block)
		++*next_large;
	if (*next_large < map->nr_large && map->large[*next_large].block - block < PER_WORD)
		return false;
	*ret_used = (bits | bits >> 1) & LOW_BITS;
	return !(bits & bits >> 1 & LOW_BITS) && bits == cow_pdata_counts_word(c->counts, block);
}

/* The same of each entry. */
static int word_compare(struct compare *c, uint64_t first, uint64_t at, const uint8_t *raw,
			uint64_t *ret_used, struct cow_err *err)
{
	int ret = 0;

	*ret_used = 0;
	for (uint64_t i = at; !ret && i < at + PER_WORD; i++) {
		unsigned int bits = cow_pdata_bitmap_get(raw, i);
		uint32_t counted = counted_of(c, first + i), found;
		bool is_told;

		*ret_used |= (uint64_t)(bits != 0) << 2 * (i - at);
		ret = found_count(c, first + i, bits, &found, &is_told, err);
		if (!ret && !is_told && found != counted && !is_unknown(c, bits, counted))
			ret = run_add(c, first + i, found, counted, err);
	}
	return ret;
}

static int entries_compare(struct compare *c, uint64_t key, const uint8_t *raw, uint64_t *ret_used,
			   uint64_t *ret_first_free, struct cow_err *err)
{
	uint64_t first = key * PDATA_BITMAP_ENTRIES;
	size_t next_large = cow_pdata_map_large_from(c->map, first);
	int ret = 0;

	*ret_used = 0;
	*ret_first_free = PDATA_BITMAP_ENTRIES;
	for (uint64_t at = 0; !ret && at < PDATA_BITMAP_ENTRIES; at += PER_WORD) {
		uint64_t used = 0;

		if (!is_word_right(c, first, at, raw, &next_large, &used))
			ret = word_compare(c, first, at, raw, &used, err);
		*ret_used += (uint64_t)__builtin_popcountll(used);
		if (used != LOW_BITS && *ret_first_free == PDATA_BITMAP_ENTRIES)
			*ret_first_free = at + (uint64_t)__builtin_ctzll(~used & LOW_BITS) / 2;
	}
	c->nr_used += *ret_used;
	return ret ? ret : run_tell(c, err);
}

/* The kernel counts free entries behind the last block, too; thin_repair does
 * not. */
static bool is_nr_free_right(const struct compare *c, uint64_t key, uint64_t nr_free, uint64_t used)
{
	uint64_t first = key * PDATA_BITMAP_ENTRIES;
	uint64_t real = min_u64(PDATA_BITMAP_ENTRIES, c->map->params.root.nr_blocks - first);

	return nr_free == PDATA_BITMAP_ENTRIES - used || nr_free == real - used;
}

static int place_compare(struct compare *c, const struct map_place *place, const uint8_t *raw,
			 struct cow_err *err)
{
	struct pdata_fault fault = { .block = place->entry.block };
	uint64_t used, first_free;
	int ret = entries_compare(c, place->key, raw, &used, &first_free, err);

	if (!ret && !is_nr_free_right(c, place->key, place->entry.nr_free, used)) {
		fault.what = PDATA_MAP_NR_FREE;
		fault.found = place->entry.nr_free;
		fault.allowed = PDATA_BITMAP_ENTRIES - used;
		ret = cow_pdata_map_tell(c->map, PDATA_MAP_BITMAP, &fault, err);
	}
	if (!ret && place->entry.none_free_before > first_free) {
		fault.what = PDATA_MAP_FIRST_FREE;
		fault.found = place->entry.none_free_before;
		fault.allowed = first_free;
		ret = cow_pdata_map_tell(c->map, PDATA_MAP_BITMAP, &fault, err);
	}
	return ret;
}

static int bitmap_visit(void *user, size_t index, const uint8_t *raw,
			const struct pdata_fault *fault, struct cow_err *err)
{
	struct compare *c = (struct compare *)user;
	size_t first = c->first_of[index];
	size_t end = index + 1 < c->nr_numbers ? c->first_of[index + 1] : c->nr;
	int ret = 0;

	if (fault->what)
		return cow_pdata_map_tell(c->map, PDATA_MAP_BITMAP, fault, err);
	for (size_t i = first; !ret && i < end; i++)
		ret = place_compare(c, &c->order[i], raw, err);
	return ret;
}

static int by_block(const void *a, const void *b)
{
	const struct map_place *x = (const struct map_place *)a, *y = (const struct map_place *)b;

	return x->entry.block < y->entry.block ? -1 : x->entry.block > y->entry.block;
}

static int order_make(struct compare *c, struct cow_err *err)
{
	size_t nr = c->map->nr_entries;

	c->order = reallocarray(NULL, nr, sizeof(*c->order));
	c->numbers = reallocarray(NULL, nr, sizeof(*c->numbers));
	c->first_of = reallocarray(NULL, nr, sizeof(*c->first_of));
	if (!c->order || !c->numbers || !c->first_of)
		return cow_fail(err, -ENOMEM, "no memory for %zu bitmaps", nr);
	for (size_t i = 0; i < nr; i++)
		if (c->map->entries[i].entry.block != COW_OFFSET_NONE)
			c->order[c->nr++] = c->map->entries[i];
	qsort(c->order, c->nr, sizeof(*c->order), by_block);
	for (size_t i = 0; i < c->nr; i++) {
		uint32_t block = (uint32_t)c->order[i].entry.block;

		if (c->nr_numbers && c->numbers[c->nr_numbers - 1] == block)
			continue;
		c->numbers[c->nr_numbers] = block;
		c->first_of[c->nr_numbers++] = i;
	}
	return 0;
}

int cow_pdata_map_compare(struct pdata_map *map, const struct pdata_counts *counts,
			  int (*count)(void *user, uint64_t first, uint64_t nr, uint32_t found,
				       uint32_t counted, struct cow_err *err),
			  uint64_t *ret_nr_used, struct cow_err *err)
{
	struct compare c = { .map = map, .counts = counts, .count = count };
	int ret = 0;

	if (map->nr_entries)
		ret = order_make(&c, err);
	if (!ret && c.nr_numbers)
		ret = cow_pdata_blocks_each(map->params.blocks, &cow_pdata_bitmap_type, c.numbers,
					    c.nr_numbers, bitmap_visit, &c, err);
	free(c.order);
	free(c.numbers);
	free(c.first_of);
	if (!ret)
		*ret_nr_used = c.nr_used;
	return ret;
}
