/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_build.c - a naive writer of one small pool.
 *
 *	device 0, 1	R0 -> A (blocks 0..9), B (blocks 10..19)	snapshots of each other
 *	device 2	R2 -> A, C (blocks 10..12)			shares A
 *	device 3	D (block 0 on the data block of A's, block 5)	shares a data block
 */
#include "tests/aids/thin_build.h"

#include "libcow/base/bytes.h"
#include "tests/aids/pdata_build.h"
#include "tests/aids/test.h"

#define SUPER 160774u
#define ENTRIES_MAX 20

struct entry {
	uint64_t key, value;
};

static uint64_t node(struct build *build, uint32_t flags, const struct entry *entries, size_t nr)
{
	uint64_t keys[ENTRIES_MAX];
	uint8_t values[ENTRIES_MAX * 8];

	for (size_t i = 0; i < nr; i++) {
		keys[i] = entries[i].key;
		put_le64(values + 8 * i, entries[i].value);
	}
	return build_node(build, flags, 8, keys, values, nr);
}

/* Blocks key.. of a device on data blocks data.., all of one time. */
static uint64_t leaf(struct build *build, uint64_t key, uint64_t data, size_t nr, uint64_t time)
{
	struct entry entries[ENTRIES_MAX];

	for (size_t i = 0; i < nr; i++)
		entries[i] = (struct entry){ key + i, (data + i) << 24 | time };
	return node(build, 2, entries, nr);
}

static uint64_t details(struct build *build)
{
	static const uint32_t numbers[4][3] = {
		{ 20, 0, 2 }, { 20, 2, 2 }, { 13, 1, 2 }, { 2, 3, 1 }
	};
	const uint64_t keys[4] = { 0, 1, 2, 3 };
	uint8_t values[4 * 24] = { 0 };

	for (size_t i = 0; i < 4; i++) {
		put_le64(values + 24 * i, numbers[i][0]);
		put_le32(values + 24 * i + 16, numbers[i][1]);
		put_le32(values + 24 * i + 20, numbers[i][2]);
	}
	return build_node(build, 2, 24, keys, values, 4);
}

static void root_put(uint8_t *raw, uint64_t nr_blocks, uint64_t nr_used, uint64_t index,
		     uint64_t counts)
{
	put_le64(raw, nr_blocks);
	put_le64(raw + 8, nr_used);
	put_le64(raw + 16, index);
	put_le64(raw + 24, counts);
}

/* block, free entries of all 16320, none free below. */
static void entry_put(uint8_t *raw, uint64_t block, uint32_t nr_used)
{
	put_le64(raw, block);
	put_le32(raw + 8, 16320 - nr_used);
	put_le32(raw + 12, nr_used);
}

/* The metadata map: its index comes last, and counts itself. */
static void metadata_map(struct build *build, const uint64_t shared[2], uint8_t *root)
{
	const uint64_t counts = build_node(build, 2, 4, NULL, NULL, 0), bitmap = build->next++;
	const uint64_t index = build->next++;
	uint8_t used[THIN_BUILD_BLOCKS] = { 0 }, raw[4096] = { 0 };

	for (uint64_t i = 0; i < build->next; i++)
		used[i] = i == shared[0] || i == shared[1] ? 2 : 1;
	build_bitmap(build, bitmap, used, THIN_BUILD_BLOCKS);
	entry_put(raw + 16, bitmap, (uint32_t)build->next);
	build_put(build, index, BUILD_INDEX, raw);
	root_put(root, THIN_BUILD_BLOCKS, build->next, index, counts);
}

static void data_map(struct build *build, uint8_t *root)
{
	const uint64_t counts = build_node(build, 2, 4, NULL, NULL, 0), bitmap = build->next++;
	uint8_t used[THIN_BUILD_DATA], entry[16];
	const uint64_t key = 0;

	memset(used, 1, sizeof(used));
	used[0] = 2;
	build_bitmap(build, bitmap, used, THIN_BUILD_DATA);
	entry_put(entry, bitmap, THIN_BUILD_DATA);
	root_put(root, THIN_BUILD_DATA, THIN_BUILD_DATA, build_tree(build, 16, &key, entry, 1, 0),
		 counts);
}

static void constants_find(const struct cow_image *image, uint32_t *constants)
{
	static const uint32_t all[] = { SUPER, BUILD_NODE, BUILD_INDEX, BUILD_BITMAP };
	uint8_t raw[4096];

	for (uint64_t block = 0; block < THIN_BUILD_BLOCKS; block++) {
		OK(cow_image_pread((struct cow_image *)image, raw, sizeof(raw), block * 4096, err));
		constants[block] = 0;
		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
			if ((build_crc(raw + 4, 4092) ^ all[i]) == get_le32(raw))
				constants[block] = all[i];
	}
}

void thin_build(struct cow_image *image, uint32_t ret_constants[THIN_BUILD_BLOCKS])
{
	struct build build = { image, 1 };
	uint64_t a = leaf(&build, 0, 0, 10, 0), b = leaf(&build, 10, 10, 10, 1);
	uint64_t c = leaf(&build, 10, 20, 3, 3);
	uint64_t r0 = node(&build, 1, (struct entry[]){ { 0, a }, { 10, b } }, 2);
	uint64_t r2 = node(&build, 1, (struct entry[]){ { 0, a }, { 10, c } }, 2);
	uint64_t d =
		node(&build, 2, (struct entry[]){ { 0, 0 }, { 5, UINT64_C(23) << 24 | 3 } }, 2);
	uint64_t top =
		node(&build, 2, (struct entry[]){ { 0, r0 }, { 1, r0 }, { 2, r2 }, { 3, d } }, 4);
	uint64_t shared[2] = { a, r0 };
	uint8_t raw[4096] = { 0 };

	put_le64(raw + 32, 27022010);
	put_le32(raw + 40, 2);
	put_le32(raw + 44, 3);
	put_le64(raw + 320, top);
	put_le64(raw + 328, details(&build));
	put_le32(raw + 336, 128);
	put_le32(raw + 340, 8);
	put_le64(raw + 344, THIN_BUILD_BLOCKS);
	data_map(&build, raw + 64);
	metadata_map(&build, shared, raw + 192);
	CHECK(build.next <= THIN_BUILD_BLOCKS);
	build_put(&build, 0, SUPER, raw);
	constants_find(image, ret_constants);
}
