/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * chunkset.c - a list of numbers. A table of small counters, two bits each,
 * tells which numbers may occur twice: those whose slot was hit twice. Where
 * the numbers are small, each has a slot of its own, else slots are hashed,
 * and a few numbers in a hundred share one by chance. These few are sorted
 * ("least significant digit first"), and what is left in the list in the end
 * are the second and further occurrences.
 */
#include "libcow/core/chunkset.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"

/* At most twice as many, 32 * 2 bits, are 8 bytes. */
#define SLOTS_PER_NUMBER 16
#define LARGE_PAGE_BYTES ((size_t)2 << 20)
#define HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)
#define DIGIT_BITS 11
/* Slots are hit at random: ask for the memory so many numbers ahead. */
#define PREFETCH_NUMBERS 24

struct cow_chunkset {
	uint64_t *list; /* of all numbers; sealed: of repetitions, sorted */
	size_t nr, capacity;
	uint64_t highest;
	uint64_t nr_distinct;
	bool is_ascending; /* so far, and so nothing occurs twice */
	bool is_sealed;
};

int cow_chunkset_new(struct cow_chunkset **ret_set, struct cow_err *err)
{
	struct cow_chunkset *set = calloc(1, sizeof(*set));

	if (!set)
		return cow_fail(err, -ENOMEM, "no memory for a set of chunks");
	set->is_ascending = true;
	*ret_set = set;
	return 0;
}

void cow_chunkset_free(struct cow_chunkset *set)
{
	if (!set)
		return;
	free(set->list);
	free(set);
}

static int list_grow(struct cow_chunkset *set, struct cow_err *err)
{
	size_t capacity = set->capacity + set->capacity / 4 + 1024;
	uint64_t *list = reallocarray(set->list, capacity, sizeof(*list));

	if (!list)
		return cow_fail(err, -ENOMEM, "no memory for a list of %zu chunks", capacity);
	set->list = list;
	set->capacity = capacity;
	return 0;
}

int cow_chunkset_add(struct cow_chunkset *set, uint64_t chunk, struct cow_err *err)
{
	int ret;

	assert(!set->is_sealed);
	if (set->nr == set->capacity) {
		ret = list_grow(set, err);
		if (ret)
			return ret;
	}
	if (chunk > set->highest || !set->nr)
		set->highest = chunk;
	else
		set->is_ascending = false;
	set->list[set->nr++] = chunk;
	return 0;
}

/* As many slots as can tell most numbers apart, or all. */
static unsigned int slot_bits_choose(const struct cow_chunkset *set)
{
	unsigned int bits = 2;

	while (UINT64_C(1) << bits < SLOTS_PER_NUMBER * (uint64_t)set->nr && set->highest >> bits)
		bits++;
	return bits;
}

static inline uint64_t slot_of(uint64_t chunk, uint64_t factor, unsigned int shift)
{
	return chunk * factor >> shift;
}

/* All zero, in large pages where the system has some to give: half of the
 * time that a random access takes is finding the page. */
static uint8_t *slots_new(unsigned int bits)
{
	uint64_t wanted_bytes = (UINT64_C(1) << bits) / 4;
	size_t len_bytes = (size_t)wanted_bytes;
	uint8_t *slots;

	if (len_bytes != wanted_bytes)
		return NULL;
	if (len_bytes < 2 * LARGE_PAGE_BYTES)
		return calloc(len_bytes, 1);
	slots = aligned_alloc(LARGE_PAGE_BYTES, len_bytes);
	if (!slots)
		return NULL;
	madvise(slots, len_bytes, MADV_HUGEPAGE);
	memset(slots, 0, len_bytes);
	return slots;
}

/* Leaves only numbers whose slot was hit twice. */
static int slots_filter(struct cow_chunkset *set, struct cow_err *err)
{
	unsigned int bits = slot_bits_choose(set), shift = 64 - bits;
	/* the number itself where there is a slot for each, else a hash */
	uint64_t factor = set->highest >> bits ? HASH_FACTOR : UINT64_C(1) << shift;
	AUTO_FREE uint8_t *slots = slots_new(bits);
	size_t nr = 0, nr_hit = 0;

	if (!slots)
		return cow_fail(err, -ENOMEM, "no memory to look at %zu chunks", set->nr);
	for (size_t i = 0; i < set->nr; i++) {
		uint64_t slot = slot_of(set->list[i], factor, shift), ahead;
		unsigned int at = slot % 4 * 2, was = slots[slot / 4] >> at & 3;

		if (i + PREFETCH_NUMBERS < set->nr) {
			ahead = slot_of(set->list[i + PREFETCH_NUMBERS], factor, shift);
			__builtin_prefetch(&slots[ahead / 4], 1);
		}
		slots[slot / 4] |= (uint8_t)((was ? 3u : 1u) << at);
		nr_hit += was != 0;
	}
	for (size_t i = 0; nr_hit && i < set->nr; i++) {
		uint64_t slot = slot_of(set->list[i], factor, shift), ahead;

		if (i + PREFETCH_NUMBERS < set->nr) {
			ahead = slot_of(set->list[i + PREFETCH_NUMBERS], factor, shift);
			__builtin_prefetch(&slots[ahead / 4]);
		}
		set->list[nr] = set->list[i];
		nr += (slots[slot / 4] >> (slot % 4 * 2) & 3) == 3;
	}
	set->nr = nr;
	return 0;
}

/* One pass: from[] to to[], stable, by the digit at shift. */
static void digit_sort(const uint64_t *from, uint64_t *to, size_t nr, unsigned int shift)
{
	const uint64_t mask = (1u << DIGIT_BITS) - 1;
	size_t next[1 << DIGIT_BITS] = { 0 }, at = 0;

	for (size_t i = 0; i < nr; i++)
		next[from[i] >> shift & mask]++;
	for (size_t digit = 0; digit <= mask; digit++) {
		size_t count = next[digit];

		next[digit] = at;
		at += count;
	}
	for (size_t i = 0; i < nr; i++)
		to[next[from[i] >> shift & mask]++] = from[i];
}

static int list_sort(struct cow_chunkset *set, struct cow_err *err)
{
	uint64_t *from = set->list, *to;

	if (!set->nr)
		return 0;
	to = reallocarray(NULL, set->nr, sizeof(*to));
	if (!to)
		return cow_fail(err, -ENOMEM, "no memory to sort %zu chunks", set->nr);
	for (unsigned int shift = 0; shift < 64 && set->highest >> shift; shift += DIGIT_BITS) {
		uint64_t *sorted = to;

		digit_sort(from, to, set->nr, shift);
		to = from;
		from = sorted;
	}
	/* the one that is not in from is done with */
	set->list = from;
	set->capacity = set->nr;
	free(to);
	return 0;
}

/* Leaves the repetitions of a sorted list. */
static void sorted_find(struct cow_chunkset *set)
{
	uint64_t last = set->nr ? set->list[0] : 0;
	size_t nr = 0;

	for (size_t i = 1; i < set->nr; i++) {
		uint64_t chunk = set->list[i];

		if (chunk == last)
			set->list[nr++] = chunk;
		last = chunk;
	}
	set->nr = nr;
}

int cow_chunkset_seal(struct cow_chunkset *set, struct cow_err *err)
{
	uint64_t nr = set->nr;
	int ret = 0;

	assert(!set->is_sealed);
	if (set->is_ascending)
		set->nr = 0;
	else
		ret = slots_filter(set, err);
	if (!ret)
		ret = list_sort(set, err);
	if (ret)
		return ret;
	sorted_find(set);
	set->nr_distinct = nr - set->nr;
	set->is_sealed = true;
	return 0;
}

uint64_t cow_chunkset_nr_distinct(const struct cow_chunkset *set)
{
	assert(set->is_sealed);
	return set->nr_distinct;
}

bool cow_chunkset_next_duplicate(const struct cow_chunkset *set, uint64_t from, uint64_t *ret_chunk)
{
	size_t low = 0, high = set->nr;

	assert(set->is_sealed);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->list[middle] < from)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == set->nr)
		return false;
	*ret_chunk = set->list[low];
	return true;
}
