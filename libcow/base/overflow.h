/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * overflow.h - arithmetic on numbers that were read from a disk. Unsigned
 * types only. Each returns true where the result does not fit, as the
 * compiler's builtins do; *ret then is not to be used.
 */
#ifndef COW_BASE_OVERFLOW_H
#define COW_BASE_OVERFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool add_overflows(uint64_t a, uint64_t b, uint64_t *ret)
{
	return __builtin_add_overflow(a, b, ret);
}

static inline bool mul_overflows(uint64_t a, uint64_t b, uint64_t *ret)
{
	return __builtin_mul_overflow(a, b, ret);
}

/* The size of memory for a head and nr items behind it. A size_t has 32 bits on
 * some machines: a sum in 64 bits would fit and be cut off by calloc(3). No object
 * is larger than PTRDIFF_MAX. */
static inline bool memory_overflows(uint64_t nr_items, size_t item_bytes, size_t head_bytes,
				    size_t *ret)
{
	size_t items_bytes;

	return __builtin_mul_overflow(nr_items, item_bytes, &items_bytes) ||
	       __builtin_add_overflow(items_bytes, head_bytes, ret) || *ret > PTRDIFF_MAX;
}

/* Rounds value up to a multiple of unit. */
static inline bool align_up_overflows(uint64_t value, uint64_t unit, uint64_t *ret)
{
	uint64_t within = value % unit;

	return __builtin_add_overflow(value, within ? unit - within : 0, ret);
}

/* Tells whether [offset, offset + len) lies within [0, size). */
static inline bool range_fits(uint64_t offset, uint64_t len, uint64_t size)
{
	return offset <= size && len <= size - offset;
}

/* Tells whether two ranges share a byte; neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a_len && b_len && a < b + b_len && b < a + a_len;
}

#endif
