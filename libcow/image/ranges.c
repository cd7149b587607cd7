/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * ranges.c - a sorted array of byte ranges with insertion, removal and binary
 * search.
 */
#include "libcow/image/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

static uint64_t end_of(const struct cow_segment *range)
{
	return range->offset_bytes + range->len_bytes;
}

/* The place of the first range that ends behind offset_bytes. */
static size_t find(const struct cow_ranges *ranges, uint64_t offset_bytes)
{
	size_t low = 0, high = ranges->nr_items;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (end_of(&ranges->items[middle]) <= offset_bytes)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct cow_ranges *ranges, struct cow_err *err)
{
	struct cow_segment *items = (struct cow_segment *)cow_array_grow(
		ranges->items, ranges->nr_items, &ranges->capacity, sizeof(*items));

	if (!items)
		return cow_fail(err, -ENOMEM, "no memory for more than %zu bad ranges",
				ranges->nr_items);
	ranges->items = items;
	return 0;
}

/* Puts rows in the place of those from first up to next. */
static void replace(struct cow_ranges *ranges, size_t first, size_t next,
		    const struct cow_segment *rows, size_t nr_rows)
{
	for (size_t i = first; i < next; i++)
		ranges->total_bytes -= ranges->items[i].len_bytes;
	memmove(&ranges->items[first + nr_rows], &ranges->items[next],
		(ranges->nr_items - next) * sizeof(*ranges->items));
	ranges->nr_items = ranges->nr_items - (next - first) + nr_rows;
	for (size_t i = 0; i < nr_rows; i++) {
		ranges->items[first + i] = rows[i];
		ranges->total_bytes += rows[i].len_bytes;
	}
}

int cow_ranges_add(struct cow_ranges *ranges, uint64_t offset_bytes, uint64_t len_bytes,
		   struct cow_err *err)
{
	uint64_t start = offset_bytes, end = offset_bytes + len_bytes;
	size_t first, next;
	int ret;

	if (!len_bytes)
		return 0;
	ret = make_room(ranges, err);
	if (ret)
		return ret;
	/* one that ends where this begins is joined, too */
	first = find(ranges, start ? start - 1 : 0);
	for (next = first; next < ranges->nr_items && ranges->items[next].offset_bytes <= end;
	     next++) {
		start = min_u64(start, ranges->items[next].offset_bytes);
		end = max_u64(end, end_of(&ranges->items[next]));
	}
	replace(ranges, first, next, &(struct cow_segment){ start, end - start }, 1);
	return 0;
}

int cow_ranges_remove(struct cow_ranges *ranges, uint64_t offset_bytes, uint64_t len_bytes,
		      struct cow_err *err)
{
	uint64_t end = offset_bytes + len_bytes;
	size_t first = find(ranges, offset_bytes), next = first, nr_rows = 0;
	struct cow_segment rows[2];
	int ret;

	while (next < ranges->nr_items && ranges->items[next].offset_bytes < end)
		next++;
	if (!len_bytes || next == first)
		return 0;
	ret = make_room(ranges, err);
	if (ret)
		return ret;
	if (ranges->items[first].offset_bytes < offset_bytes)
		rows[nr_rows++] =
			(struct cow_segment){ ranges->items[first].offset_bytes,
					      offset_bytes - ranges->items[first].offset_bytes };
	if (end_of(&ranges->items[next - 1]) > end)
		rows[nr_rows++] =
			(struct cow_segment){ end, end_of(&ranges->items[next - 1]) - end };
	replace(ranges, first, next, rows, nr_rows);
	return 0;
}

bool cow_ranges_next(const struct cow_ranges *ranges, uint64_t offset_bytes,
		     struct cow_segment *ret_range)
{
	size_t at = find(ranges, offset_bytes);
	uint64_t start;

	if (at == ranges->nr_items)
		return false;
	start = max_u64(ranges->items[at].offset_bytes, offset_bytes);
	*ret_range = (struct cow_segment){ start, end_of(&ranges->items[at]) - start };
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
	free(ranges->items);
	*ranges = (struct cow_ranges){ .items = NULL };
}
