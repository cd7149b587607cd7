/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_geometry.c - reads the facts of a log, and computes where bits, entries
 * and data are.
 */
#include "libcow/store/snaplog/snaplog_geometry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/store.h"

#define SNAPLOG_COUNT_MAX (UINT64_C(1) << 53)

static const char *const keys[SNAPLOG_NR_KEYS + 1] = {
	[SNAPLOG_KEY_BLOCK] = "block",	 [SNAPLOG_KEY_WORD] = "word",
	[SNAPLOG_KEY_ENDIAN] = "endian", [SNAPLOG_KEY_UNIT] = "key",
	[SNAPLOG_KEY_BITMAP] = "bitmap", [SNAPLOG_KEY_MAP] = "map",
	[SNAPLOG_KEY_COUNT] = "count",
};

/* The two values of a key that has two: the intended one first. */
static const char *const words[SNAPLOG_NR_KEYS][2] = {
	[SNAPLOG_KEY_WORD] = { "4", "8" },	    [SNAPLOG_KEY_ENDIAN] = { "little", "big" },
	[SNAPLOG_KEY_UNIT] = { "block", "sector" }, [SNAPLOG_KEY_BITMAP] = { "packed", "bytes" },
	[SNAPLOG_KEY_MAP] = { "half", "full" },
};

const char *cow_snaplog_key_name(enum snaplog_key key)
{
	return keys[key];
}

/* ---------------------------------------------------------------- reading */

static int word_read(enum snaplog_key key, const char *text, bool *ret_is_second,
		     struct cow_err *err)
{
	for (int i = 0; i < 2; i++)
		if (!strcmp(text, words[key][i])) {
			*ret_is_second = i;
			return 0;
		}
	return cow_fail(err, -EINVAL, "%s=%s: it is %s or %s", keys[key], text, words[key][0],
			words[key][1]);
}

static int count_read(const char *text, uint64_t *ret_count, struct cow_err *err)
{
	uint64_t count = 0;

	for (const char *at = text; *at; at++)
		if (*at < '0' || *at > '9' || mul_overflows(count, 10, &count) ||
		    add_overflows(count, (uint64_t)(*at - '0'), &count))
			return cow_fail(err, -EINVAL, "count=%s: it is a number of keys", text);
	if (!count)
		return cow_fail(err, -EINVAL, "count=%s: it is 1 or more", text);
	*ret_count = count;
	return 0;
}

static int block_read(const char *text, uint64_t *ret_bytes, struct cow_err *err)
{
	uint64_t bytes;
	int ret = cow_size_parse(text, &bytes, err);

	if (ret)
		return ret;
	if (!is_pow2(bytes) || bytes < SNAPLOG_BLOCK_BYTES_MIN || bytes > SNAPLOG_BLOCK_BYTES_MAX)
		return cow_fail(err, -EINVAL, "block=%s: it is a power of two from %d to %d", text,
				SNAPLOG_BLOCK_BYTES_MIN, SNAPLOG_BLOCK_BYTES_MAX);
	*ret_bytes = bytes;
	return 0;
}

static int key_read(enum snaplog_key key, const char *text, struct snaplog_geometry *geometry,
		    struct cow_err *err)
{
	bool is_second = false;
	int ret;

	if (key == SNAPLOG_KEY_BLOCK)
		return block_read(text, &geometry->block_bytes, err);
	if (key == SNAPLOG_KEY_COUNT)
		return count_read(text, &geometry->count, err);
	ret = word_read(key, text, &is_second, err);
	if (ret)
		return ret;
	if (key == SNAPLOG_KEY_WORD)
		geometry->word_bytes = is_second ? 8 : 4;
	else if (key == SNAPLOG_KEY_ENDIAN)
		geometry->is_big_endian = is_second;
	else if (key == SNAPLOG_KEY_UNIT)
		geometry->has_sector_keys = is_second;
	else if (key == SNAPLOG_KEY_BITMAP)
		geometry->has_byte_bitmap = is_second;
	else
		geometry->has_full_maps = is_second;
	return 0;
}

int cow_snaplog_geometry_read(const struct cow_store_args *args,
			      struct snaplog_geometry *ret_geometry, uint32_t *ret_given,
			      struct cow_err *err)
{
	int ret = cow_store_args_check_keys(args, keys, err);

	*ret_geometry = (struct snaplog_geometry){ .block_bytes = 1024, .word_bytes = 4 };
	*ret_given = 0;
	for (enum snaplog_key key = 0; !ret && key < SNAPLOG_NR_KEYS; key++) {
		const char *text = cow_store_args_value(args, keys[key]);

		if (!text)
			continue;
		*ret_given |= 1u << key;
		ret = key_read(key, text, ret_geometry, err);
	}
	return ret;
}

/* ---------------------------------------------------------------- the layout */

uint64_t cow_snaplog_geometry_keys(const struct snaplog_geometry *geometry, uint64_t source_bytes)
{
	return div_ceil(source_bytes,
			geometry->has_sector_keys ? COW_SECTOR_BYTES : geometry->block_bytes);
}

int cow_snaplog_geometry_lay_out(struct snaplog_geometry *geometry, uint64_t source_bytes,
				 struct cow_err *err)
{
	uint64_t used = geometry->has_full_maps ? geometry->block_bytes : geometry->block_bytes / 2;

	/* with it nothing below overflows, and keys fit into an exception map */
	if (geometry->count > SNAPLOG_COUNT_MAX)
		return cow_fail(err, -EINVAL,
				"count=%" PRIu64 ": no log has room for the map of so many keys",
				geometry->count);
	geometry->keys_per_block =
		geometry->has_sector_keys ? geometry->block_bytes / COW_SECTOR_BYTES : 1;
	geometry->keys_end =
		min_u64(geometry->count, cow_snaplog_geometry_keys(geometry, source_bytes));
	geometry->bitmap_blocks = div_ceil(geometry->count, 8 * geometry->block_bytes);
	geometry->entries_per_map_block = used / geometry->word_bytes;
	geometry->map_blocks = div_ceil(geometry->count, geometry->entries_per_map_block);
	geometry->data_base = geometry->bitmap_blocks + geometry->map_blocks;
	return 0;
}

void cow_snaplog_geometry_print(const struct snaplog_geometry *geometry,
				char ret_text[SNAPLOG_TEXT_BYTES])
{
	snprintf(ret_text, SNAPLOG_TEXT_BYTES,
		 "block=%" PRIu64 ",word=%s,endian=%s,key=%s,bitmap=%s,map=%s,count=%" PRIu64,
		 geometry->block_bytes, words[SNAPLOG_KEY_WORD][geometry->word_bytes == 8],
		 words[SNAPLOG_KEY_ENDIAN][geometry->is_big_endian],
		 words[SNAPLOG_KEY_UNIT][geometry->has_sector_keys],
		 words[SNAPLOG_KEY_BITMAP][geometry->has_byte_bitmap],
		 words[SNAPLOG_KEY_MAP][geometry->has_full_maps], geometry->count);
}

/* ---------------------------------------------------------------- places */

void cow_snaplog_bit_place(const struct snaplog_geometry *geometry, uint64_t key,
			   uint64_t *ret_offset_bytes, uint8_t *ret_mask)
{
	uint64_t per_block = 8 * geometry->block_bytes;

	*ret_mask = 1;
	*ret_offset_bytes = key / per_block * geometry->block_bytes + key % per_block;
	if (geometry->has_byte_bitmap)
		return;
	*ret_mask = (uint8_t)(1u << key % 8);
	*ret_offset_bytes = key / 8;
}

uint64_t cow_snaplog_bit_key(const struct snaplog_geometry *geometry, uint64_t offset_bytes,
			     unsigned int bit)
{
	uint64_t block_bytes = geometry->block_bytes;

	if (geometry->has_byte_bitmap)
		return offset_bytes / block_bytes * 8 * block_bytes + offset_bytes % block_bytes;
	return 8 * offset_bytes + bit;
}

bool cow_snaplog_entry_place(const struct snaplog_geometry *geometry, uint64_t key,
			     uint64_t *ret_offset_bytes)
{
	uint64_t block = key / geometry->entries_per_map_block;

	if (block >= geometry->map_blocks)
		return false;
	*ret_offset_bytes = (geometry->bitmap_blocks + block) * geometry->block_bytes +
			    key % geometry->entries_per_map_block * geometry->word_bytes;
	return true;
}

uint64_t cow_snaplog_entry_decode(const struct snaplog_geometry *geometry, const uint8_t *raw)
{
	uint64_t value = 0;

	if (!geometry->is_big_endian)
		return geometry->word_bytes == 4 ? get_le32(raw) : get_le64(raw);
	for (uint64_t i = 0; i < geometry->word_bytes; i++)
		value = value << 8 | raw[i];
	return value;
}

void cow_snaplog_entry_encode(const struct snaplog_geometry *geometry, uint64_t value, uint8_t *raw)
{
	for (uint64_t i = 0; i < geometry->word_bytes; i++) {
		uint64_t at = geometry->is_big_endian ? geometry->word_bytes - 1 - i : i;

		raw[at] = (uint8_t)(value >> 8 * i);
	}
}
