/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * bytes.h - little-endian numbers at unaligned places; the only file that
 * knows the byte order of the host.
 */
#ifndef COW_BASE_BYTES_H
#define COW_BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_le16(const uint8_t *raw)
{
	uint16_t v;

	memcpy(&v, raw, sizeof(v));
	return le16toh(v);
}

static inline uint32_t get_le32(const uint8_t *raw)
{
	uint32_t v;

	memcpy(&v, raw, sizeof(v));
	return le32toh(v);
}

static inline uint64_t get_le64(const uint8_t *raw)
{
	uint64_t v;

	memcpy(&v, raw, sizeof(v));
	return le64toh(v);
}

static inline void put_le16(uint8_t *raw, uint16_t value)
{
	value = htole16(value);
	memcpy(raw, &value, sizeof(value));
}

static inline void put_le32(uint8_t *raw, uint32_t value)
{
	value = htole32(value);
	memcpy(raw, &value, sizeof(value));
}

static inline void put_le64(uint8_t *raw, uint64_t value)
{
	value = htole64(value);
	memcpy(raw, &value, sizeof(value));
}

/* Tells whether len_bytes at buf are all zero; an empty range is. */
static inline bool is_all_zero(const void *buf, size_t len_bytes)
{
	const uint8_t *bytes = (const uint8_t *)buf;

	for (; len_bytes && ((uintptr_t)bytes & 7); bytes++, len_bytes--)
		if (*bytes)
			return false;
	if (len_bytes >= 16)
		return !get_le64(bytes) && !memcmp(bytes, bytes + 8, len_bytes - 8);
	for (; len_bytes; bytes++, len_bytes--)
		if (*bytes)
			return false;
	return true;
}

/* How far a buffer goes on with units that are all zero, or that all are not;
 * the last unit may be short. */
static inline uint64_t zero_stretch(const uint8_t *buf, uint64_t len_bytes, uint64_t unit_bytes,
				    bool *ret_is_zero)
{
	uint64_t at = 0, unit;

	*ret_is_zero = true;
	for (; at < len_bytes; at += unit) {
		bool is_zero;

		unit = len_bytes - at < unit_bytes ? len_bytes - at : unit_bytes;
		is_zero = is_all_zero(buf + at, unit);
		if (at && is_zero != *ret_is_zero)
			break;
		*ret_is_zero = is_zero;
	}
	return at;
}

#endif
