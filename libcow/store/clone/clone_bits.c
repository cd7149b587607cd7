/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_bits.c - the bits of the regions, a word at a time.
 */
#include "libcow/store/clone/clone_bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

#define WORD_BITS 64

static uint64_t nr_words(const struct clone_bits *bits)
{
	return div_ceil(bits->nr_bits, WORD_BITS);
}

/* Those bits of a word that stand for regions. */
static uint64_t word_mask(const struct clone_bits *bits, uint64_t word)
{
	uint64_t nr = bits->nr_bits - word * WORD_BITS;

	return nr >= WORD_BITS ? UINT64_MAX : (UINT64_C(1) << nr) - 1;
}

int cow_clone_bits_init(struct clone_bits *bits, uint64_t nr_bits, struct cow_err *err)
{
	bits->nr_bits = nr_bits;
	/* bounded: a clone has up to 2^31 regions */
	bits->words = calloc((size_t)nr_words(bits) + 1, sizeof(*bits->words));
	if (!bits->words)
		return cow_fail(err, -ENOMEM, "no memory for the bits of %" PRIu64 " regions",
				nr_bits);
	return 0;
}

void cow_clone_bits_destroy(struct clone_bits *bits)
{
	free(bits->words);
	bits->words = NULL;
}

void cow_clone_bits_take(struct clone_bits *bits, uint64_t first, const uint8_t *raw, uint32_t nr)
{
	for (uint32_t i = 0; i < nr && first + i < nr_words(bits); i++)
		bits->words[first + i] = get_le64(raw + 8 * (size_t)i) & word_mask(bits, first + i);
}

void cow_clone_bits_merge(struct clone_bits *bits, uint64_t first, const uint8_t *raw, uint32_t nr)
{
	for (uint32_t i = 0; i < nr && first + i < nr_words(bits); i++)
		bits->words[first + i] |=
			get_le64(raw + 8 * (size_t)i) & word_mask(bits, first + i);
}

/* Those bits of the word with bit that lie below end; *ret_next: the bit behind. */
static uint64_t range_mask(uint64_t bit, uint64_t end, uint64_t *ret_next)
{
	uint64_t within = bit % WORD_BITS;
	uint64_t len = min_u64(WORD_BITS - within, end - bit);
	uint64_t mask = len == WORD_BITS ? UINT64_MAX : (UINT64_C(1) << len) - 1;

	*ret_next = bit + len;
	return mask << within;
}

void cow_clone_bits_set(struct clone_bits *bits, uint64_t first, uint64_t nr)
{
	for (uint64_t bit = first, next; bit < first + nr; bit = next)
		bits->words[bit / WORD_BITS] |= range_mask(bit, first + nr, &next);
}

void cow_clone_bits_clear(struct clone_bits *bits, uint64_t first, uint64_t nr)
{
	for (uint64_t bit = first, next; bit < first + nr; bit = next)
		bits->words[bit / WORD_BITS] &= ~range_mask(bit, first + nr, &next);
}

uint64_t cow_clone_bits_count(const struct clone_bits *bits)
{
	uint64_t nr = 0;

	for (uint64_t i = 0; i < nr_words(bits); i++)
		nr += (uint64_t)__builtin_popcountll(bits->words[i]);
	return nr;
}

bool cow_clone_bits_within(const struct clone_bits *a, const struct clone_bits *b)
{
	for (uint64_t i = 0; i < nr_words(a); i++)
		if (a->words[i] & ~b->words[i])
			return false;
	return true;
}

void cow_clone_bits_add(struct clone_bits *bits, const struct clone_bits *other)
{
	for (uint64_t i = 0; i < nr_words(bits); i++)
		bits->words[i] |= other->words[i];
}

void cow_clone_bits_drop(struct clone_bits *bits, const struct clone_bits *other)
{
	for (uint64_t i = 0; i < nr_words(bits); i++)
		bits->words[i] &= ~other->words[i];
}

/* The first bit with this value at or behind from, or nr_bits. */
static uint64_t find(const struct clone_bits *bits, bool value, uint64_t from)
{
	uint64_t word, i = from / WORD_BITS;

	if (from >= bits->nr_bits)
		return bits->nr_bits;
	word = (value ? bits->words[i] : ~bits->words[i]) & UINT64_MAX << (from % WORD_BITS);
	while (!word) {
		if (++i >= nr_words(bits))
			return bits->nr_bits;
		word = value ? bits->words[i] : ~bits->words[i];
	}
	return min_u64(i * WORD_BITS + (uint64_t)__builtin_ctzll(word), bits->nr_bits);
}

bool cow_clone_bits_next(const struct clone_bits *bits, bool value, uint64_t from,
			 uint64_t *ret_first, uint64_t *ret_nr)
{
	uint64_t first = find(bits, value, from);

	if (first >= bits->nr_bits)
		return false;
	*ret_first = first;
	*ret_nr = find(bits, !value, first) - first;
	return true;
}
