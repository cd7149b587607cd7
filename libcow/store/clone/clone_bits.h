/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_bits.h - one bit for each region, in memory: hydrated or not. Bits
 * behind the last region are 0.
 */
#ifndef COW_STORE_CLONE_BITS_H
#define COW_STORE_CLONE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cow_err;

struct clone_bits {
	uint64_t *words;
	uint64_t nr_bits;
};

/* All 0. Errors: -ENOMEM. */
int cow_clone_bits_init(struct clone_bits *bits, uint64_t nr_bits, struct cow_err *err);
void cow_clone_bits_destroy(struct clone_bits *bits);

/* Takes words from number first on, little-endian as on the disk; what lies
 * behind the last bit is left out. */
void cow_clone_bits_take(struct clone_bits *bits, uint64_t first, const uint8_t *raw, uint32_t nr);
/* The same, added to those that are there. */
void cow_clone_bits_merge(struct clone_bits *bits, uint64_t first, const uint8_t *raw, uint32_t nr);
void cow_clone_bits_set(struct clone_bits *bits, uint64_t first, uint64_t nr);
void cow_clone_bits_clear(struct clone_bits *bits, uint64_t first, uint64_t nr);

uint64_t cow_clone_bits_count(const struct clone_bits *bits);
/* Is each bit of a set in b, too? Both have the same number. */
bool cow_clone_bits_within(const struct clone_bits *a, const struct clone_bits *b);
/* Both have the same number: adds the bits of other; takes them away. */
void cow_clone_bits_add(struct clone_bits *bits, const struct clone_bits *other);
void cow_clone_bits_drop(struct clone_bits *bits, const struct clone_bits *other);
/* Finds the first run of bits with this value at or behind from; false: none. */
bool cow_clone_bits_next(const struct clone_bits *bits, bool value, uint64_t from,
			 uint64_t *ret_first, uint64_t *ret_nr);

#endif
