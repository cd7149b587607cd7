/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "libcow/core/chunkset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"

#define BITMAP_BYTES_SMALL (UINT64_C(1) << 20)

struct cow_chunkset {
	uint8_t *bitmap; /* NULL: a list only */
	uint64_t *list;	 /* of all numbers, or, with a bitmap, of duplicates */
	size_t nr, capacity;
	bool is_sorted;
};

int cow_chunkset_new(uint64_t limit, uint64_t nr_expected, struct cow_chunkset **ret_set,
		     struct cow_err *err)
{
	uint64_t bitmap_bytes = limit / 8 + 1;
	struct cow_chunkset *set = calloc(1, sizeof(*set));

	if (!set)
		return cow_fail(err, -ENOMEM, "no memory for a set of chunks");
	if (bitmap_bytes <= BITMAP_BYTES_SMALL || bitmap_bytes / 8 <= nr_expected) {
		set->bitmap = calloc(bitmap_bytes, 1);
		if (!set->bitmap) {
			cow_chunkset_free(set);
			return cow_fail(err, -ENOMEM, "no memory for a bitmap of %" PRIu64 " bytes",
					bitmap_bytes);
		}
	}
	*ret_set = set;
	return 0;
}

void cow_chunkset_free(struct cow_chunkset *set)
{
	if (!set)
		return;
	free(set->bitmap);
	free(set->list);
	free(set);
}

static int list_add(struct cow_chunkset *set, uint64_t chunk, struct cow_err *err)
{
	if (set->nr == set->capacity) {
		size_t capacity = set->capacity + set->capacity / 4 + 1024;
		uint64_t *list = reallocarray(set->list, capacity, sizeof(*list));

		if (!list)
			return cow_fail(err, -ENOMEM, "no memory for a list of %zu chunks",
					capacity);
		set->list = list;
		set->capacity = capacity;
	}
	set->list[set->nr++] = chunk;
	return 0;
}

int cow_chunkset_add(struct cow_chunkset *set, uint64_t chunk, struct cow_err *err)
{
	uint8_t mask = (uint8_t)(1u << (chunk % 8));

	if (!set->bitmap)
		return list_add(set, chunk, err);
	if (set->bitmap[chunk / 8] & mask)
		return list_add(set, chunk, err);
	set->bitmap[chunk / 8] |= mask;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void list_sort(struct cow_chunkset *set)
{
	if (set->nr)
		qsort(set->list, set->nr, sizeof(*set->list), compare);
	set->is_sorted = true;
}

/* The first index whose number is at least from. */
static size_t list_find(const struct cow_chunkset *set, uint64_t from)
{
	size_t low = 0, high = set->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->list[middle] < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool cow_chunkset_next_duplicate(struct cow_chunkset *set, uint64_t from, uint64_t *ret_chunk)
{
	if (!set->is_sorted)
		list_sort(set);
	for (size_t i = list_find(set, from); i < set->nr; i++) {
		bool is_double =
			set->bitmap || (i + 1 < set->nr && set->list[i] == set->list[i + 1]);

		if (is_double) {
			*ret_chunk = set->list[i];
			return true;
		}
	}
	return false;
}
