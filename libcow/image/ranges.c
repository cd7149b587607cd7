/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * ranges.c - a sorted list of byte ranges, in blocks.
 *
 * A block has BLOCK_ITEMS ranges at most and one at least; the blocks are in
 * order. So a change moves what is behind it in one block, and now and then the
 * pointers to blocks, wherever in the list it is: in one array, a million ranges
 * that come from behind would be moved a million times.
 */
#include "libcow/image/ranges.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

#define BLOCK_ITEMS 256

struct ranges_block {
	size_t nr;
	struct cow_segment items[BLOCK_ITEMS];
};

/* Of a range; behind the last one: nr_blocks, 0. */
struct place {
	size_t block, item;
};

static uint64_t end_of(const struct cow_segment *range)
{
	return range->offset_bytes + range->len_bytes;
}

/* false: this place is behind the last one. */
static bool range_at(const struct cow_ranges *ranges, struct place at,
		     struct cow_segment *ret_range)
{
	if (at.block == ranges->nr_blocks)
		return false;
	*ret_range = ranges->blocks[at.block]->items[at.item];
	return true;
}

/* The first range that ends behind offset_bytes. */
static struct place find(const struct cow_ranges *ranges, uint64_t offset_bytes)
{
	size_t low = 0, high = ranges->nr_blocks;
	struct place at;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct ranges_block *block = ranges->blocks[middle];

		if (end_of(&block->items[block->nr - 1]) <= offset_bytes)
			low = middle + 1;
		else
			high = middle;
	}
	at = (struct place){ low, 0 };
	if (low == ranges->nr_blocks)
		return at;
	high = ranges->blocks[low]->nr;
	for (low = 0; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (end_of(&ranges->blocks[at.block]->items[middle]) <= offset_bytes)
			low = middle + 1;
		else
			high = middle;
	}
	at.item = low;
	return at;
}

/* One change adds a block at most. */
static int make_room(struct cow_ranges *ranges, struct cow_err *err)
{
	struct ranges_block **blocks = (struct ranges_block **)cow_array_grow(
		ranges->blocks, ranges->nr_blocks, &ranges->capacity,
		sizeof(struct ranges_block *));

	if (blocks)
		ranges->blocks = blocks;
	if (!ranges->spare)
		ranges->spare = (struct ranges_block *)malloc(sizeof(*ranges->spare));
	if (!blocks || !ranges->spare)
		return cow_fail(err, -ENOMEM, "no memory for more than %zu bad ranges",
				ranges->nr_items);
	return 0;
}

/* Takes the spare one, empty, as the block at this place. */
static struct ranges_block *block_insert(struct cow_ranges *ranges, size_t at)
{
	struct ranges_block *block = ranges->spare;

	assert(block); /* of make_room(); a change needs one at most */
	memmove(&ranges->blocks[at + 1], &ranges->blocks[at],
		(ranges->nr_blocks - at) * sizeof(struct ranges_block *));
	ranges->spare = NULL;
	ranges->blocks[at] = block;
	ranges->nr_blocks++;
	block->nr = 0;
	return block;
}

static void block_remove(struct cow_ranges *ranges, size_t at)
{
	struct ranges_block *block = ranges->blocks[at];

	memmove(&ranges->blocks[at], &ranges->blocks[at + 1],
		(ranges->nr_blocks - at - 1) * sizeof(struct ranges_block *));
	ranges->nr_blocks--;
	if (ranges->spare)
		free(block);
	else
		ranges->spare = block;
}

/* Half of a full block goes to a new one behind it. */
static struct place split(struct cow_ranges *ranges, struct place at)
{
	struct ranges_block *full = ranges->blocks[at.block];
	struct ranges_block *behind = block_insert(ranges, at.block + 1);

	behind->nr = full->nr / 2;
	full->nr -= behind->nr;
	memcpy(behind->items, &full->items[full->nr], behind->nr * sizeof(*behind->items));
	if (at.item > full->nr)
		at = (struct place){ at.block + 1, at.item - full->nr };
	return at;
}

/* In front of what is at this place; returns the place behind it. There is a
 * spare block, or room in this one. */
static struct place insert(struct cow_ranges *ranges, struct place at,
			   const struct cow_segment *range)
{
	struct ranges_block *block;

	/* the end of one block before the beginning of the next */
	if (!at.item && at.block && ranges->blocks[at.block - 1]->nr < BLOCK_ITEMS) {
		at.block--;
		at.item = ranges->blocks[at.block]->nr;
	}
	if (at.block == ranges->nr_blocks ||
	    (ranges->blocks[at.block]->nr == BLOCK_ITEMS && !at.item))
		block_insert(ranges, at.block);
	else if (ranges->blocks[at.block]->nr == BLOCK_ITEMS)
		at = split(ranges, at);
	block = ranges->blocks[at.block];
	memmove(&block->items[at.item + 1], &block->items[at.item],
		(block->nr - at.item) * sizeof(*block->items));
	block->items[at.item] = *range;
	block->nr++;
	ranges->nr_items++;
	ranges->total_bytes += range->len_bytes;
	at.item++;
	return at.item < block->nr ? at : (struct place){ at.block + 1, 0 };
}

/* Returns the place of the one that follows. */
static struct place take_out(struct cow_ranges *ranges, struct place at)
{
	struct ranges_block *block = ranges->blocks[at.block];

	ranges->total_bytes -= block->items[at.item].len_bytes;
	ranges->nr_items--;
	block->nr--;
	memmove(&block->items[at.item], &block->items[at.item + 1],
		(block->nr - at.item) * sizeof(*block->items));
	if (block->nr && at.item < block->nr)
		return at;
	if (!block->nr)
		block_remove(ranges, at.block);
	else
		at.block++;
	return (struct place){ at.block, 0 };
}

int cow_ranges_add(struct cow_ranges *ranges, uint64_t offset_bytes, uint64_t len_bytes,
		   struct cow_err *err)
{
	uint64_t start = offset_bytes, end = offset_bytes + len_bytes;
	struct cow_segment range;
	struct place at;
	int ret;

	if (!len_bytes)
		return 0;
	ret = make_room(ranges, err);
	if (ret)
		return ret;
	/* one that ends where this begins is joined, too */
	at = find(ranges, start ? start - 1 : 0);
	while (range_at(ranges, at, &range) && range.offset_bytes <= end) {
		start = min_u64(start, range.offset_bytes);
		end = max_u64(end, end_of(&range));
		at = take_out(ranges, at);
	}
	insert(ranges, at, &(struct cow_segment){ start, end - start });
	return 0;
}

int cow_ranges_remove(struct cow_ranges *ranges, uint64_t offset_bytes, uint64_t len_bytes,
		      struct cow_err *err)
{
	uint64_t end = offset_bytes + len_bytes, first = end, last = offset_bytes;
	struct cow_segment range;
	struct place at;
	int ret;

	if (!len_bytes || !cow_ranges_touch(ranges, offset_bytes, len_bytes))
		return 0;
	ret = make_room(ranges, err);
	if (ret)
		return ret;
	at = find(ranges, offset_bytes);
	while (range_at(ranges, at, &range) && range.offset_bytes < end) {
		first = min_u64(first, range.offset_bytes);
		last = max_u64(last, end_of(&range));
		at = take_out(ranges, at);
	}
	if (first < offset_bytes)
		at = insert(ranges, at, &(struct cow_segment){ first, offset_bytes - first });
	if (last > end)
		insert(ranges, at, &(struct cow_segment){ end, last - end });
	return 0;
}

bool cow_ranges_next(const struct cow_ranges *ranges, uint64_t offset_bytes,
		     struct cow_segment *ret_range)
{
	struct cow_segment range;
	uint64_t start;

	if (!range_at(ranges, find(ranges, offset_bytes), &range))
		return false;
	start = max_u64(range.offset_bytes, offset_bytes);
	*ret_range = (struct cow_segment){ start, end_of(&range) - start };
	return true;
}

bool cow_ranges_touch(const struct cow_ranges *ranges, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct cow_segment range;

	return cow_ranges_next(ranges, offset_bytes, &range) &&
	       range.offset_bytes - offset_bytes < len_bytes;
}

void cow_ranges_clear(struct cow_ranges *ranges)
{
	for (size_t i = 0; i < ranges->nr_blocks; i++)
		free(ranges->blocks[i]);
	free(ranges->blocks);
	free(ranges->spare);
	*ranges = (struct cow_ranges){ .blocks = NULL };
}
