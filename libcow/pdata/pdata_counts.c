/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_counts.c - two bits a block in pages on demand; 3 says that the count
 * is in the table, an open hash that is at most half full. A count that falls
 * below 3 leaves its place in the table, with 0, until the table grows.
 */
#include "libcow/pdata/pdata_counts.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/pages.h"

#define COUNTS_PER_PAGE (COW_PAGE_BYTES * 4)
#define LARGE_FROM 3

struct large {
	uint64_t block_plus_1; /* 0: unused */
	uint32_t count;	       /* 0: the bits say it */
};

struct pdata_counts {
	struct cow_pages pages;
	uint64_t nr_blocks, nr_used;
	uint64_t nr_shared; /* with a count above 1 */
	struct large *large;
	size_t nr_large, nr_places; /* places: a power of two, or 0 */
};

int cow_pdata_counts_new(uint64_t nr_blocks, struct pdata_counts **ret_counts, struct cow_err *err)
{
	struct pdata_counts *counts = calloc(1, sizeof(*counts));

	if (!counts)
		return cow_fail(err, -ENOMEM, "no memory for reference counts");
	cow_pages_init(&counts->pages, div_ceil(nr_blocks, 4));
	counts->nr_blocks = nr_blocks;
	*ret_counts = counts;
	return 0;
}

void cow_pdata_counts_free(struct pdata_counts *counts)
{
	if (!counts)
		return;
	cow_pages_destroy(&counts->pages);
	free(counts->large);
	free(counts);
}

/* ---------------------------------------------------------------- the table */

static size_t place_of(uint64_t block, size_t nr_places)
{
	return (size_t)((block * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (nr_places - 1);
}

/* Where the block is in the table, or would be. */
static struct large *large_find(const struct pdata_counts *counts, uint64_t block)
{
	size_t at = place_of(block, counts->nr_places);

	while (counts->large[at].block_plus_1 && counts->large[at].block_plus_1 != block + 1)
		at = (at + 1) & (counts->nr_places - 1);
	return &counts->large[at];
}

static int large_grow(struct pdata_counts *counts, struct cow_err *err)
{
	size_t nr_places = counts->nr_places ? counts->nr_places * 2 : 64;
	struct large *old = counts->large;
	size_t nr_old = counts->nr_places;

	counts->large = calloc(nr_places, sizeof(*counts->large));
	if (!counts->large) {
		counts->large = old;
		return cow_fail(err, -ENOMEM, "no memory for %zu reference counts", nr_places);
	}
	counts->nr_places = nr_places;
	counts->nr_large = 0;
	for (size_t i = 0; i < nr_old; i++) {
		if (!old[i].count)
			continue;
		*large_find(counts, old[i].block_plus_1 - 1) = old[i];
		counts->nr_large++;
	}
	free(old);
	return 0;
}

static int large_set(struct pdata_counts *counts, uint64_t block, uint32_t count,
		     struct cow_err *err)
{
	struct large *place;
	int ret;

	if (counts->nr_large >= counts->nr_places / 2) {
		ret = large_grow(counts, err);
		if (ret)
			return ret;
	}
	place = large_find(counts, block);
	counts->nr_large += !place->block_plus_1;
	place->block_plus_1 = block + 1;
	place->count = count;
	return 0;
}

/* ---------------------------------------------------------------- the bits */

static unsigned int bits_shift(uint64_t block)
{
	return 2 * (unsigned int)(block % 4);
}

static unsigned int bits_get(const struct pdata_counts *counts, uint64_t block)
{
	const uint8_t *page = cow_pages_get(&counts->pages, block / COUNTS_PER_PAGE);

	return page ? page[block % COUNTS_PER_PAGE / 4] >> bits_shift(block) & 3 : 0;
}

static int bits_set(struct pdata_counts *counts, uint64_t block, unsigned int bits,
		    struct cow_err *err)
{
	uint8_t *page = cow_pages_make(&counts->pages, block / COUNTS_PER_PAGE);
	uint8_t *byte;

	if (!page)
		return cow_fail(err, -ENOMEM, "no memory for reference counts");
	byte = &page[block % COUNTS_PER_PAGE / 4];
	*byte = (uint8_t)((*byte & ~(3u << bits_shift(block))) | bits << bits_shift(block));
	return 0;
}

static int count_set(struct pdata_counts *counts, uint64_t block, uint32_t old, uint32_t count,
		     struct cow_err *err)
{
	int ret = 0;

	if (count >= LARGE_FROM || old >= LARGE_FROM)
		ret = large_set(counts, block, count >= LARGE_FROM ? count : 0, err);
	if (!ret)
		ret = bits_set(counts, block, (unsigned int)min_u64(count, LARGE_FROM), err);
	if (ret)
		return ret;
	counts->nr_used += count && !old;
	counts->nr_used -= !count && old;
	counts->nr_shared += count > 1 && old <= 1;
	counts->nr_shared -= count <= 1 && old > 1;
	return 0;
}

/* Counts one more where that stays in the bits; false: it does not. */
static bool bits_add_one(struct pdata_counts *counts, uint8_t *byte, unsigned int shift)
{
	unsigned int bits = *byte >> shift & 3;

	if (bits >= LARGE_FROM - 1)
		return false;
	*byte = (uint8_t)(*byte + (1u << shift));
	counts->nr_used += !bits;
	counts->nr_shared += bits == 1;
	return true;
}

int cow_pdata_counts_add_each(struct pdata_counts *counts, const uint64_t *blocks, size_t nr,
			      struct cow_err *err)
{
	uint8_t *bytes[PDATA_COUNTS_EACH_MAX];
	int ret = 0;

	assert(nr <= PDATA_COUNTS_EACH_MAX);
	/* Blocks lie anywhere: all of them are asked for before the first is needed. */
	for (size_t i = 0; i < nr; i++) {
		uint8_t *page = cow_pages_make(&counts->pages, blocks[i] / COUNTS_PER_PAGE);

		if (!page)
			return cow_fail(err, -ENOMEM, "no memory for reference counts");
		bytes[i] = &page[blocks[i] % COUNTS_PER_PAGE / 4];
		__builtin_prefetch(bytes[i], 1);
	}
	for (size_t i = 0; !ret && i < nr; i++)
		if (!bits_add_one(counts, bytes[i], bits_shift(blocks[i])))
			ret = cow_pdata_counts_add(counts, blocks[i], 1, err);
	return ret;
}

uint64_t cow_pdata_counts_word(const struct pdata_counts *counts, uint64_t block)
{
	const uint8_t *page = block < counts->nr_blocks
				      ? cow_pages_get(&counts->pages, block / COUNTS_PER_PAGE)
				      : NULL;

	assert(block % 32 == 0);
	return page ? get_le64(page + block % COUNTS_PER_PAGE / 4) : 0;
}

int cow_pdata_counts_add(struct pdata_counts *counts, uint64_t block, uint32_t nr,
			 struct cow_err *err)
{
	uint32_t old = cow_pdata_counts_get(counts, block);

	assert(block < counts->nr_blocks);
	if (nr > UINT32_MAX - old)
		return cow_fail(err, -ERANGE, "block %" PRIu64 " has more than 2^32 references",
				block);
	return nr ? count_set(counts, block, old, old + nr, err) : 0;
}

int cow_pdata_counts_drop(struct pdata_counts *counts, uint64_t block, struct cow_err *err)
{
	uint32_t old = cow_pdata_counts_get(counts, block);

	assert(old);
	return count_set(counts, block, old, old - 1, err);
}

uint32_t cow_pdata_counts_get(const struct pdata_counts *counts, uint64_t block)
{
	unsigned int bits = bits_get(counts, block);

	return bits < LARGE_FROM ? bits : large_find(counts, block)->count;
}

uint64_t cow_pdata_counts_nr_blocks(const struct pdata_counts *counts)
{
	return counts->nr_blocks;
}

uint64_t cow_pdata_counts_nr_used(const struct pdata_counts *counts)
{
	return counts->nr_used;
}

uint64_t cow_pdata_counts_nr_shared(const struct pdata_counts *counts)
{
	return counts->nr_shared;
}

bool cow_pdata_counts_next(const struct pdata_counts *counts, uint64_t from, uint64_t *ret_block)
{
	uint64_t page;

	for (; from < counts->nr_blocks; from++) {
		if (from % COUNTS_PER_PAGE == 0 ||
		    !cow_pages_get(&counts->pages, from / COUNTS_PER_PAGE)) {
			if (!cow_pages_next(&counts->pages, from / COUNTS_PER_PAGE, &page))
				return false;
			from = max_u64(from, page * COUNTS_PER_PAGE);
		}
		if (bits_get(counts, from)) {
			*ret_block = from;
			return true;
		}
	}
	return false;
}
