/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_pdata_maps.c - bitsets and space maps against the naive builder; counts
 * against an array of numbers.
 */
#include "libcow/base/bytes.h"
#include "libcow/pdata/pdata_array.h"
#include "libcow/pdata/pdata_space_map.h"
#include "tests/aids/pdata_build.h"
#include "tests/aids/test.h"

#define NR_BLOCKS 4096

static struct build new_build(void)
{
	struct build build = { .next = 1 };

	OK(cow_image_memory_new(NR_BLOCKS * UINT64_C(4096), &build.image, err));
	return build;
}

static void counts_count(void)
{
	static uint32_t model[300000];
	uint64_t random = test_seed(), nr_used = 0, block = 0, from = 0;
	struct pdata_counts *counts;

	OK(cow_pdata_counts_new(300000, &counts, err));
	for (int i = 0; i < 200000; i++) {
		uint64_t at = test_random(&random) % (i % 2 ? 300000 : 5000);
		uint32_t nr = test_random(&random) % 3 ? 1 : (uint32_t)(test_random(&random) % 9);

		if (test_random(&random) % 3 == 0 && model[at]) {
			OK(cow_pdata_counts_drop(counts, at, err));
			model[at]--;
		} else {
			OK(cow_pdata_counts_add(counts, at, nr, err));
			model[at] += nr;
		}
	}
	for (uint64_t at = 0; at < 300000; at++) {
		CHECK_EQ(cow_pdata_counts_get(counts, at), model[at]);
		nr_used += model[at] != 0;
		if (!model[at])
			continue;
		CHECK(cow_pdata_counts_next(counts, from, &block));
		CHECK_EQ(block, at);
		from = at + 1;
	}
	CHECK(!cow_pdata_counts_next(counts, from, &block));
	CHECK_EQ(cow_pdata_counts_nr_used(counts), nr_used);
	OK(cow_pdata_counts_add(counts, 7, UINT32_MAX - cow_pdata_counts_get(counts, 7), err));
	FAILS(-ERANGE, cow_pdata_counts_add(counts, 7, 1, err));
	cow_pdata_counts_free(counts);
	/* a size that nobody has costs nothing */
	OK(cow_pdata_counts_new(UINT64_C(1) << 40, &counts, err));
	OK(cow_pdata_counts_add(counts, (UINT64_C(1) << 40) - 1, 5, err));
	CHECK(cow_pdata_counts_next(counts, 0, &block));
	CHECK_EQ(block, (UINT64_C(1) << 40) - 1);
	CHECK_EQ(cow_pdata_counts_get(counts, block), 5);
	cow_pdata_counts_free(counts);
}

/* ---------------------------------------------------------------- bitsets */

#define NR_WORDS 20000

struct bits {
	uint64_t words[NR_WORDS];
	uint8_t is_given[NR_WORDS]; /* 1: value, 2: lost */
	uint64_t nr_faults, next;
	enum pdata_what what;
	bool in_order;
};

static int take_words(void *user, uint64_t first, const uint8_t *values, uint32_t nr,
		      uint64_t block, struct cow_err *err)
{
	struct bits *bits = (struct bits *)user;

	(void)err;
	CHECK(block && first + nr <= NR_WORDS);
	CHECK(!bits->in_order || first == bits->next);
	bits->next = first + nr;
	for (uint32_t i = 0; i < nr; i++) {
		bits->words[first + i] = get_le64(values + 8 * (size_t)i);
		bits->is_given[first + i] |= 1;
	}
	return 0;
}

static int take_fault(void *user, enum pdata_array_part part, const struct pdata_fault *fault,
		      uint64_t first, uint64_t nr, struct cow_err *err)
{
	struct bits *bits = (struct bits *)user;
	char text[PDATA_FAULT_TEXT_BYTES];

	(void)err;
	(void)part;
	cow_pdata_fault_text(fault, "array block", text);
	CHECK(first + nr <= NR_WORDS);
	memset(bits->is_given + first, 2, nr);
	bits->what = fault->what;
	bits->nr_faults++;
	return 0;
}

static void bitset_agrees(const struct pdata_array *array, const uint64_t *words)
{
	static struct bits bits;
	const struct pdata_array_walk walk = { .user = &bits,
					       .values = take_words,
					       .fault = take_fault };
	enum pdata_kernel answer;
	struct pdata_fault fault;
	uint64_t value;

	memset(&bits, 0, sizeof(bits));
	OK(cow_pdata_array_walk(array, &walk, err));
	CHECK_EQ(bits.nr_faults, 0);
	for (size_t i = 0; i < array->nr_values; i++)
		CHECK(bits.is_given[i] == 1 && bits.words[i] == words[i]);
	memset(&bits, 0, sizeof(bits));
	bits.in_order = true;
	OK(cow_pdata_array_as_kernel(array, take_words, &bits, &answer, &fault, err));
	CHECK_EQ(answer, PDATA_KERNEL_READS);
	for (size_t i = 0; i < array->nr_values; i++)
		CHECK(bits.is_given[i] == 1 && bits.words[i] == words[i]);
	for (size_t i = 0; i < array->nr_values; i += 1 + array->nr_values / 37) {
		OK(cow_pdata_array_get(array, i, &value, err));
		CHECK_EQ(get_le64((const uint8_t *)&value), words[i]);
	}
}

static void bitsets_are_read_as_they_were_made(void)
{
	static uint64_t words[NR_WORDS];
	uint64_t random = test_seed();
	static const size_t sizes[] = { 1, 508, 509, 510, 1018, 1019, 5000, NR_WORDS };

	for (size_t i = 0; i < NR_WORDS; i++)
		words[i] = test_random(&random);
	for (size_t i = 0; i < 16; i++) {
		struct build build = new_build();
		struct pdata_array array = { .value_size = 8, .nr_values = sizes[i % 8] };

		array.root = build_words(&build, words, array.nr_values, i < 8 ? 0 : 3);
		OK(cow_pdata_blocks_new(build.image, 0, &array.blocks, err));
		bitset_agrees(&array, words);
		cow_pdata_blocks_free(array.blocks);
		cow_image_close(build.image);
	}
}

/* 2000 words in four array blocks, 1..4; the tree's leaf is 5. */
static struct bits damaged_bitset(uint64_t block, uint32_t constant, size_t offset, uint64_t value,
				  size_t len, enum pdata_kernel kernel)
{
	static uint64_t words[2000];
	static struct bits bits;
	struct build build = new_build();
	const struct pdata_array_walk walk = { .user = &bits,
					       .values = take_words,
					       .fault = take_fault };
	struct pdata_array array = { .value_size = 8, .nr_values = 2000 };
	enum pdata_kernel answer;
	struct pdata_fault fault;
	uint8_t raw[4096], number[8];

	memset(&bits, 0, sizeof(bits));
	array.root = build_words(&build, words, 2000, 0);
	CHECK_EQ(array.root, 5);
	OK(cow_image_pread(build.image, raw, 4096, block * 4096, err));
	put_le64(number, value);
	memcpy(raw + offset, number, len);
	build_put(&build, block, constant, raw);
	OK(cow_pdata_blocks_new(build.image, 0, &array.blocks, err));
	OK(cow_pdata_array_walk(&array, &walk, err));
	OK(cow_pdata_array_as_kernel(&array, NULL, NULL, &answer, &fault, err));
	CHECK_EQ(answer, kernel);
	cow_pdata_blocks_free(array.blocks);
	cow_image_close(build.image);
	return bits;
}

static void array_fault(size_t offset, uint64_t value, enum pdata_what what,
			enum pdata_kernel kernel)
{
	struct bits bits = damaged_bitset(2, BUILD_ARRAY, offset, value, 4, kernel);

	CHECK_EQ(bits.nr_faults, 1);
	CHECK_EQ(bits.what, what);
	for (size_t i = 0; i < 2000; i++)
		CHECK_EQ(bits.is_given[i], i / 509 == 1 ? 2 : 1);
}

static void tree_fault(size_t offset, uint64_t value, size_t len, enum pdata_what what,
		       enum pdata_kernel kernel)
{
	struct bits bits = damaged_bitset(5, BUILD_NODE, offset, value, len, kernel);

	CHECK(bits.nr_faults);
	CHECK_EQ(bits.what, what);
	for (size_t i = 0; what != PDATA_ARRAY_TWICE && i < 2000; i++)
		CHECK(bits.is_given[i]);
}

static void each_number_of_a_bitset_is_checked(void)
{
	array_fault(4, 100, PDATA_ARRAY_MAX_ENTRIES, PDATA_KERNEL_READS);
	array_fault(8, 508, PDATA_ARRAY_NR_ENTRIES, PDATA_KERNEL_REFUSES);
	array_fault(8, 600, PDATA_ARRAY_NR_ENTRIES, PDATA_KERNEL_ANYTHING);
	array_fault(12, 4, PDATA_ARRAY_VALUE_SIZE, PDATA_KERNEL_READS);
}

static void the_tree_of_a_bitset_is_checked(void)
{
	const size_t values = 32 + 8 * 252;

	tree_fault(16, 0, 4, PDATA_ARRAY_MISSING, PDATA_KERNEL_DIES);
	tree_fault(16, 3, 4, PDATA_ARRAY_MISSING, PDATA_KERNEL_REFUSES);
	tree_fault(40, 2, 8, PDATA_ARRAY_MISSING, PDATA_KERNEL_READS);
	tree_fault(56, 9, 8, PDATA_ARRAY_MISSING, PDATA_KERNEL_READS);
	tree_fault(24, 4, 4, PDATA_ARRAY_MISSING, PDATA_KERNEL_REFUSES);
	tree_fault(values + 8, 1, 8, PDATA_ARRAY_TWICE, PDATA_KERNEL_READS);
	tree_fault(values + 8, NR_BLOCKS, 8, PDATA_BLOCK_BEYOND, PDATA_KERNEL_REFUSES);
	tree_fault(4, 1, 4, PDATA_ARRAY_MISSING, PDATA_KERNEL_REFUSES);
}

/* ---------------------------------------------------------------- space maps */

#define NR_COUNTED 40000

struct mismatches {
	uint64_t nr_faults, nr_runs, first, nr;
	uint32_t found, counted;
	enum pdata_what what;
};

static int take_map_fault(void *user, enum pdata_map_part part, const struct pdata_fault *fault,
			  struct cow_err *err)
{
	struct mismatches *m = (struct mismatches *)user;

	(void)part;
	(void)err;
	m->what = fault->what;
	m->nr_faults++;
	return 0;
}

static int take_count(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
		      struct cow_err *err)
{
	struct mismatches *m = (struct mismatches *)user;

	(void)err;
	*m =
		(struct mismatches){ m->nr_faults, m->nr_runs + 1, first,  nr,
				     found,	   counted,	   m->what };
	return 0;
}

struct disk_map {
	struct build build;
	struct pdata_map_root root;
	uint32_t counts[NR_COUNTED];
	uint64_t nr_used;
};

/* One in so many of the counts from 3 on stays; a block whose count the tree has although
 * it is below 3, and one whose count it lacks. */
static uint64_t large_in = 1, extra_at = UINT64_MAX, missing_at = UINT64_MAX;

/* Three bitmaps, an index in a tree or in a block, counts up to 9. */
static void disk_map_make(struct disk_map *map, uint64_t *random, bool is_disk)
{
	uint64_t keys[NR_COUNTED], nr_large = 0, bitmaps[3] = { 0, 1, 2 };
	static uint8_t small[3 * 16320], large[4 * NR_COUNTED];
	uint8_t index[48], raw[4096] = { 0 };

	map->build = new_build();
	map->nr_used = 0;
	memset(small, 0, sizeof(small));
	for (size_t i = 0; i < NR_COUNTED; i++) {
		uint32_t count = test_random(random) % 2 ? 0 : (uint32_t)(test_random(random) % 10);

		if (count >= 3 && test_random(random) % large_in)
			count %= 3;
		map->counts[i] = count;
		map->nr_used += count != 0;
		small[i] = (uint8_t)(count > 3 ? 3 : count);
		if ((count < 3 && i != extra_at) || i == missing_at)
			continue;
		keys[nr_large] = i;
		put_le32(large + 4 * nr_large++, i == extra_at ? 5 : count);
	}
	for (size_t b = 0; b < 3; b++) {
		size_t free = 0, first = 16320;

		for (size_t e = 16320; e--;)
			if (!small[b * 16320 + e]) {
				free++;
				first = e;
			}
		put_le64(index + 16 * b, map->build.next);
		put_le32(index + 16 * b + 8, (uint32_t)free);
		put_le32(index + 16 * b + 12, (uint32_t)first);
		build_bitmap(&map->build, map->build.next++, small + b * 16320, 16320);
	}
	map->root.nr_blocks = NR_COUNTED;
	map->root.ref_count_root = build_tree(&map->build, 4, keys, large, nr_large, 0);
	if (is_disk) {
		map->root.bitmap_root = build_tree(&map->build, 16, bitmaps, index, 3, 0);
		return;
	}
	memcpy(raw + 16, index, sizeof(index));
	map->root.bitmap_root = map->build.next;
	build_put(&map->build, map->build.next++, BUILD_INDEX, raw);
}

static struct mismatches map_judge(struct disk_map *made, bool is_disk)
{
	struct mismatches m = { .nr_faults = 0 };
	struct pdata_map_params params = { .root = made->root,
					   .is_disk = is_disk,
					   .nr_blocks_max = UINT64_C(1) << 40,
					   .user = &m,
					   .fault = take_map_fault };
	struct pdata_counts *counts;
	struct pdata_map *map;
	uint64_t nr_used = 0;

	OK(cow_pdata_blocks_new(made->build.image, 0, &params.blocks, err));
	OK(cow_pdata_counts_new(NR_BLOCKS, &params.counts, err));
	OK(cow_pdata_counts_new(NR_COUNTED, &counts, err));
	for (uint64_t i = 0; i < NR_COUNTED; i++)
		OK(cow_pdata_counts_add(counts, i, made->counts[i], err));
	OK(cow_pdata_map_load(&params, &map, err));
	OK(cow_pdata_map_compare(map, counts, take_count, &nr_used, err));
	for (uint64_t i = 0; !m.nr_faults && !m.nr_runs && i < NR_COUNTED; i += 7) {
		uint32_t count;

		OK(cow_pdata_map_get(map, i, &count, err));
		CHECK_EQ(count, made->counts[i]);
	}
	if (!m.nr_faults && !m.nr_runs)
		CHECK_EQ(nr_used, made->nr_used);
	if (!m.nr_faults)
		CHECK_EQ(cow_pdata_counts_nr_used(params.counts), made->build.next - 1);
	cow_pdata_map_free(map);
	cow_pdata_counts_free(counts);
	cow_pdata_counts_free(params.counts);
	cow_pdata_blocks_free(params.blocks);
	return m;
}

static void space_maps_are_read_as_they_were_made(void)
{
	static struct disk_map map;
	uint64_t random = test_seed();

	for (int round = 0; round < 6; round++) {
		struct mismatches m;

		disk_map_make(&map, &random, round % 2);
		m = map_judge(&map, round % 2);
		CHECK_EQ(m.nr_faults, 0);
		CHECK_EQ(m.nr_runs, 0);
		cow_image_close(map.build.image);
	}
}

/* One count that is other than it should be, once each way. */
static void a_wrong_count_is_found(void)
{
	static struct disk_map map;
	uint64_t random = test_seed();

	disk_map_make(&map, &random, true);
	for (int round = 0; round < 40; round++) {
		uint64_t at = test_random(&random) % NR_COUNTED;
		uint32_t right = map.counts[at], wrong = (uint32_t)(test_random(&random) % 9);
		struct mismatches m;

		map.counts[at] = wrong;
		m = map_judge(&map, true);
		map.counts[at] = right;
		CHECK_EQ(m.nr_faults, 0);
		CHECK_EQ(m.nr_runs, wrong != right);
		if (wrong != right)
			CHECK(m.first == at && m.nr == 1 && m.found == right && m.counted == wrong);
	}
	cow_image_close(map.build.image);
}

/* Most of a bitmap is compared by words: what is not right in one of them. */
static void a_large_count_among_small_ones_is_found(void)
{
	static struct disk_map map;
	uint64_t seed = test_seed(), random;

	large_in = 400;
	for (uint64_t at = 0, turn = 0; at < NR_COUNTED; at += 1 + NR_COUNTED / 61, turn++) {
		struct mismatches m;

		random = seed;
		disk_map_make(&map, &random, true);
		while (at < NR_COUNTED && map.counts[at] < 3 && turn % 2)
			at++;
		cow_image_close(map.build.image);
		if (at == NR_COUNTED)
			break;
		random = seed;
		extra_at = map.counts[at] < 3 ? at : UINT64_MAX;
		missing_at = map.counts[at] < 3 ? UINT64_MAX : at;
		disk_map_make(&map, &random, true);
		m = map_judge(&map, true);
		CHECK_EQ(m.nr_faults, 1);
		CHECK_EQ(m.what, extra_at == at ? PDATA_MAP_EXTRA_COUNT : PDATA_MAP_NO_COUNT);
		cow_image_close(map.build.image);
		extra_at = missing_at = UINT64_MAX;
	}
	space_maps_are_read_as_they_were_made();
	a_wrong_count_is_found();
	large_in = 1;
}

static void map_fault(uint32_t constant, bool is_disk, size_t offset, uint32_t value,
		      enum pdata_what what)
{
	static struct disk_map map;
	uint64_t random = 5, block;
	struct mismatches m;
	uint8_t raw[4096];

	disk_map_make(&map, &random, is_disk);
	block = constant == BUILD_NODE && !is_disk ? map.root.ref_count_root : map.root.bitmap_root;
	OK(cow_image_pread(map.build.image, raw, 4096, block * 4096, err));
	put_le32(raw + offset, value);
	build_put(&map.build, block, constant, raw);
	m = map_judge(&map, is_disk);
	CHECK(m.nr_faults);
	CHECK_EQ(m.what, what);
	cow_image_close(map.build.image);
}

static void each_number_of_an_index_is_checked(void)
{
	map_fault(BUILD_INDEX, false, 16 + 16 + 8, 5, PDATA_MAP_NR_FREE);
	map_fault(BUILD_INDEX, false, 16 + 16 + 12, 16000, PDATA_MAP_FIRST_FREE);
	map_fault(BUILD_INDEX, false, 16 + 16, NR_BLOCKS, PDATA_BLOCK_BEYOND);
	map_fault(BUILD_INDEX, false, 16 + 16, 500, PDATA_BLOCK_CHECKSUM);
	map_fault(BUILD_ARRAY, false, 16 + 16, 3, PDATA_BLOCK_CHECKSUM);
	map_fault(BUILD_NODE, true, 16, 2, PDATA_MAP_INDEX_KEY);
	map_fault(BUILD_NODE, true, 48, 5, PDATA_MAP_INDEX_KEY);
	map_fault(BUILD_NODE, true, 24, 8, PDATA_MAP_INDEX_KEY);
}

int main(void)
{
	RUN(counts_count);
	RUN(bitsets_are_read_as_they_were_made);
	RUN(each_number_of_a_bitset_is_checked);
	RUN(the_tree_of_a_bitset_is_checked);
	RUN(space_maps_are_read_as_they_were_made);
	RUN(a_wrong_count_is_found);
	RUN(a_large_count_among_small_ones_is_found);
	RUN(each_number_of_an_index_is_checked);
	return test_end();
}
