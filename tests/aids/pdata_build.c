/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_build.c - a naive writer of persistent-data blocks.
 */
#include "tests/aids/pdata_build.h"

#include "libcow/base/bytes.h"
#include "tests/aids/test.h"

uint32_t build_crc(const uint8_t *bytes, size_t len_bytes)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len_bytes; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return crc;
}

void build_put(struct build *build, uint64_t block, uint32_t constant, uint8_t *raw)
{
	put_le64(raw + (constant == BUILD_ARRAY ? 16 : 8), block);
	put_le32(raw, build_crc(raw + 4, 4092) ^ constant);
	OK(cow_image_pwrite(build->image, raw, 4096, block * 4096, err));
}

uint64_t build_node(struct build *build, uint32_t flags, uint32_t value_size, const uint64_t *keys,
		    const uint8_t *values, size_t nr)
{
	uint32_t max = 4064 / (8 + value_size) / 3 * 3;
	uint8_t raw[4096] = { 0 };

	put_le32(raw + 4, flags);
	put_le32(raw + 16, (uint32_t)nr);
	put_le32(raw + 20, max);
	put_le32(raw + 24, value_size);
	for (size_t i = 0; i < nr; i++)
		put_le64(raw + 32 + 8 * i, keys[i]);
	if (nr)
		memcpy(raw + 32 + 8 * (size_t)max, values, nr * value_size);
	build_put(build, build->next, BUILD_NODE, raw);
	return build->next++;
}

uint64_t build_tree(struct build *build, uint32_t value_size, const uint64_t *keys,
		    const uint8_t *values, size_t nr, size_t per_node)
{
	size_t max = 4064 / (8 + value_size) / 3 * 3, nr_up = 0;
	size_t per_leaf = per_node && per_node < max ? per_node : max;
	uint64_t *up_keys = malloc((nr + 1) * 8), root;
	uint8_t *up_values = malloc((nr + 1) * 8);

	CHECK(up_keys && up_values);
	for (size_t i = 0; i < nr || !i; i += per_leaf) {
		size_t len = nr - i < per_leaf ? nr - i : per_leaf;

		up_keys[nr_up] = nr ? keys[i] : 0;
		put_le64(up_values + 8 * nr_up++,
			 build_node(build, 2, value_size, keys + i, values + i * value_size, len));
	}
	per_node = per_node > 1 && per_node < 252 ? per_node : 252;
	while (nr_up > 1) {
		size_t nr_new = 0;

		for (size_t i = 0; i < nr_up; i += per_node) {
			size_t len = nr_up - i < per_node ? nr_up - i : per_node;
			uint64_t block =
				build_node(build, 1, 8, up_keys + i, up_values + 8 * i, len);

			up_keys[nr_new] = up_keys[i];
			put_le64(up_values + 8 * nr_new++, block);
		}
		nr_up = nr_new;
	}
	root = get_le64(up_values);
	free(up_keys);
	free(up_values);
	return root;
}

uint64_t build_words(struct build *build, const uint64_t *words, size_t nr, size_t per_node)
{
	size_t nr_blocks = (nr + 508) / 509;
	uint64_t *keys = malloc((nr_blocks + 1) * 8), root;
	uint8_t *values = malloc((nr_blocks + 1) * 8);

	CHECK(keys && values);
	for (size_t i = 0; i < nr_blocks; i++) {
		size_t len = nr - i * 509 < 509 ? nr - i * 509 : 509;
		uint8_t raw[4096] = { 0 };

		put_le32(raw + 4, 509);
		put_le32(raw + 8, (uint32_t)len);
		put_le32(raw + 12, 8);
		for (size_t w = 0; w < len; w++)
			put_le64(raw + 24 + 8 * w, words[i * 509 + w]);
		keys[i] = i;
		put_le64(values + 8 * i, build->next);
		build_put(build, build->next++, BUILD_ARRAY, raw);
	}
	root = build_tree(build, 8, keys, values, nr_blocks, per_node);
	free(keys);
	free(values);
	return root;
}

void build_bitmap(struct build *build, uint64_t block, const uint8_t *counts, size_t nr)
{
	uint8_t raw[4096] = { 0 };

	for (size_t e = 0; e < nr; e++) {
		uint64_t word = get_le64(raw + 16 + 8 * (e / 32));

		/* The first of the two bits is the high one. */
		word |= (uint64_t)(counts[e] >> 1) << (2 * (e % 32));
		word |= (uint64_t)(counts[e] & 1) << (2 * (e % 32) + 1);
		put_le64(raw + 16 + 8 * (e / 32), word);
	}
	build_put(build, block, BUILD_BITMAP, raw);
}
