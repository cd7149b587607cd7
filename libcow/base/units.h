/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * units.h - sectors, chunks and bytes. Between modules only bytes travel.
 */
#ifndef COW_BASE_UNITS_H
#define COW_BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "libcow/base/overflow.h"

#define COW_SECTOR_BYTES UINT64_C(512)
/* The largest image: 2^63 bytes less a sector, so that off_t holds it. */
#define COW_IMAGE_BYTES_MAX ((UINT64_C(1) << 63) - COW_SECTOR_BYTES)
/* A buffer for one piece of a chunk or an area: no chunk (up to 1 GiB) is
 * ever held in memory as a whole. */
#define COW_PIECE_BYTES (UINT64_C(1) << 20)
/* For aligned_alloc() of such buffers: the system copies to and from one that
 * begins anywhere, as malloc's do, at half the speed. Its size must be a multiple
 * of this. */
#define COW_BUFFER_ALIGN 4096
/* What a store is made with if nobody says otherwise; LVM's choice, too. */
#define COW_CHUNK_BYTES_DEFAULT UINT64_C(4096)

static inline bool is_pow2(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* Which power of two; value must be one. */
static inline unsigned int log2_exact(uint64_t value)
{
	return (unsigned int)__builtin_ctzll(value);
}

static inline uint64_t sectors_to_bytes(uint64_t sectors)
{
	return sectors * COW_SECTOR_BYTES;
}

static inline bool sectors_to_bytes_overflows(uint64_t sectors, uint64_t *ret_bytes)
{
	return mul_overflows(sectors, COW_SECTOR_BYTES, ret_bytes);
}

static inline uint64_t bytes_to_sectors(uint64_t bytes)
{
	return bytes / COW_SECTOR_BYTES;
}

static inline uint64_t floor_to(uint64_t value, uint64_t unit)
{
	return value / unit * unit;
}

static inline uint64_t div_ceil(uint64_t value, uint64_t unit)
{
	return value / unit + (value % unit != 0);
}

/* The next multiple of unit; the value is far below 2^64. */
static inline uint64_t ceil_to(uint64_t value, uint64_t unit)
{
	return div_ceil(value, unit) * unit;
}

/*
 * Chunks and bytes: the one pair of conversions. Chunks need not be powers of
 * two; where they are, which is nearly always, no division is needed.
 */
static inline uint64_t chunk_of(uint64_t bytes, uint64_t chunk_bytes)
{
	return is_pow2(chunk_bytes) ? bytes >> log2_exact(chunk_bytes) : bytes / chunk_bytes;
}

/* Where a chunk begins; UINT64_MAX, behind all images, where no number says so:
 * chunk numbers of a damaged store may be up to 2^54, and a chunk has up to 2^30
 * bytes. */
static inline uint64_t chunk_to_bytes(uint64_t chunk, uint64_t chunk_bytes)
{
	uint64_t bytes;

	return mul_overflows(chunk, chunk_bytes, &bytes) ? UINT64_MAX : bytes;
}

/* How far into its chunk a byte lies. */
static inline uint64_t chunk_within(uint64_t bytes, uint64_t chunk_bytes)
{
	return is_pow2(chunk_bytes) ? bytes & (chunk_bytes - 1) : bytes % chunk_bytes;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
