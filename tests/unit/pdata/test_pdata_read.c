/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_pdata_read.c - blocks, trees, arrays and space maps, read by the library
 * and written by the naive builder; what the builder writes is what the kernel
 * wrote, by the checksums of a device that it made.
 */
#include "libcow/base/bytes.h"
#include "libcow/pdata/pdata_array.h"
#include "libcow/pdata/pdata_crc.h"
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

static struct pdata_blocks *new_blocks(struct build *build, size_t cache_bytes)
{
	struct pdata_blocks *blocks;

	OK(cow_pdata_blocks_new(build->image, cache_bytes, &blocks, err));
	return blocks;
}

static void crc_is_castagnoli_without_inversion(void)
{
	uint8_t bytes[4096];
	uint64_t random = 1;

	CHECK_EQ(cow_pdata_crc32c(UINT32_MAX, "123456789", 9), 0x1CF96D7C);
	CHECK_EQ(cow_pdata_crc32c_table(UINT32_MAX, "123456789", 9), 0x1CF96D7C);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)test_random(&random);
	for (size_t len = 0; len < sizeof(bytes); len += 1 + len / 7) {
		uint32_t right = build_crc(bytes + len % 5, len);

		CHECK_EQ(cow_pdata_crc32c(UINT32_MAX, bytes + len % 5, len), right);
		CHECK_EQ(cow_pdata_crc32c_table(UINT32_MAX, bytes + len % 5, len), right);
	}
}

/* A metadata device of 1024 blocks that Linux 6.1 formatted for 65536 regions:
 * its checksums. */
static void kernel_made_blocks_have_these_checksums(void)
{
	static const uint32_t checksums[] = { 0,	  0x18E0660A, 0xC360E452, 0xA19F6375,
					      0x381E1166, 0x0E385EEB, 0x00C32E2F, 0x703D1C80 };
	struct build build = new_build();
	uint64_t words[1024] = { 0 };
	uint8_t counts[8], raw[4096] = { 0 }, leaf[24];
	const uint64_t keys[] = { 0, 1, 2 };

	put_le64(raw + 16, 3);
	put_le32(raw + 24, 16312);
	put_le32(raw + 28, 8);
	build_put(&build, 1, BUILD_INDEX, raw);
	build.next = 2;
	CHECK_EQ(build_tree(&build, 4, NULL, NULL, 0, 0), 2);
	memset(counts, 1, sizeof(counts));
	build_bitmap(&build, 3, counts, sizeof(counts));
	for (size_t i = 0; i < 3; i++)
		put_le64(leaf + 8 * i, 5 + i);
	build.next = 4;
	CHECK_EQ(build_tree(&build, 8, keys, leaf, 3, 0), 4);
	build.next = 5;
	build_words(&build, words, 1024, 0);
	for (uint64_t block = 1; block < 8; block++) {
		OK(cow_image_pread(build.image, raw, 4096, block * 4096, err));
		CHECK_EQ(get_le32(raw), checksums[block]);
	}
	OK(cow_image_pread(build.image, raw, 4096, 3 * 4096, err));
	CHECK(raw[16] == 0xaa && raw[17] == 0xaa && !raw[18]);
	cow_image_close(build.image);
}

static void a_block_is_checked_when_read(void)
{
	struct build build = new_build();
	uint64_t root = build_tree(&build, 8, NULL, NULL, 0, 0);
	struct pdata_blocks *blocks = new_blocks(&build, 0);
	struct pdata_fault fault;
	const uint8_t *raw;
	uint8_t bytes[4096];

	OK(cow_pdata_block_read(blocks, &cow_pdata_node_type, root, &raw, NULL, err));
	/* as another type */
	FAILS(-EBADMSG, cow_pdata_block_read(blocks, &cow_pdata_index_type, root, &raw, NULL, err));
	OK(cow_pdata_block_read(blocks, &cow_pdata_index_type, root, &raw, &fault, err));
	CHECK_EQ(fault.what, PDATA_BLOCK_CHECKSUM);
	FAILS(-EBADMSG,
	      cow_pdata_block_read(blocks, &cow_pdata_node_type, NR_BLOCKS, &raw, NULL, err));
	OK(cow_pdata_block_read(blocks, &cow_pdata_node_type, UINT64_MAX, &raw, &fault, err));
	CHECK_EQ(fault.what, PDATA_BLOCK_BEYOND);
	/* the same bytes in another place */
	OK(cow_image_pread(build.image, bytes, 4096, root * 4096, err));
	OK(cow_image_pwrite(build.image, bytes, 4096, 77 * 4096, err));
	OK(cow_pdata_block_read(blocks, &cow_pdata_node_type, 77, &raw, &fault, err));
	CHECK_EQ(fault.what, PDATA_BLOCK_NUMBER);
	CHECK_EQ(fault.found, root);
	cow_pdata_block_seal(&cow_pdata_node_type, 77, bytes);
	OK(cow_image_pwrite(build.image, bytes, 4096, 77 * 4096, err));
	OK(cow_pdata_block_read(blocks, &cow_pdata_node_type, 77, &raw, NULL, err));
	cow_pdata_blocks_free(blocks);
	cow_image_close(build.image);
}

/* ---------------------------------------------------------------- trees */

struct model {
	uint64_t keys[3000];
	uint8_t values[3000 * 24];
	size_t nr;
	uint32_t value_size;
};

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void model_fill(struct model *model, uint64_t *random, uint32_t value_size, size_t nr)
{
	uint64_t mask = (UINT64_C(2) << test_random(random) % 64) - 1;
	size_t kept = 0;

	for (size_t i = 0; i < nr; i++)
		model->keys[i] = test_random(random) & (mask | 0xffff);
	if (nr && test_random(random) % 4 == 0)
		model->keys[0] = UINT64_MAX;
	qsort(model->keys, nr, 8, compare_u64);
	for (size_t i = 0; i < nr; i++)
		if (!kept || model->keys[kept - 1] != model->keys[i])
			model->keys[kept++] = model->keys[i];
	model->nr = kept;
	model->value_size = value_size;
	for (size_t i = 0; i < kept * value_size; i++)
		model->values[i] = (uint8_t)test_random(random);
}

/* What the model has at or above (below) a key. */
static void lookups_agree(const struct pdata_tree *tree, const struct model *model, uint64_t key)
{
	uint8_t value[24];
	uint64_t found_key;
	size_t at = 0;
	bool found;

	while (at < model->nr && model->keys[at] < key)
		at++;
	OK(cow_pdata_tree_lookup(tree, key, value, &found, err));
	CHECK_EQ(found, at < model->nr && model->keys[at] == key);
	if (found)
		CHECK(!memcmp(value, model->values + at * model->value_size, model->value_size));
	OK(cow_pdata_tree_next(tree, key, &found_key, value, &found, err));
	CHECK_EQ(found, at < model->nr);
	if (found) {
		CHECK_EQ(found_key, model->keys[at]);
		CHECK(!memcmp(value, model->values + at * model->value_size, model->value_size));
	}
	if (at == model->nr || model->keys[at] > key)
		at--;
	OK(cow_pdata_tree_prev(tree, key, &found_key, value, &found, err));
	CHECK_EQ(found, at != SIZE_MAX);
	if (found)
		CHECK_EQ(found_key, model->keys[at]);
}

struct seen {
	const struct model *model;
	size_t nr;
	uint64_t nr_leaves;
};

static int each_entry(void *user, uint64_t key, const uint8_t *value, struct cow_err *err)
{
	struct seen *seen = (struct seen *)user;

	(void)err;
	CHECK_EQ(key, seen->model->keys[seen->nr]);
	CHECK(!memcmp(value, seen->model->values + seen->nr * seen->model->value_size,
		      seen->model->value_size));
	seen->nr++;
	return 0;
}

static int each_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	struct seen *seen = (struct seen *)user;

	(void)err;
	CHECK_EQ(edge->owner, 7);
	seen->nr += node->nr_entries;
	seen->nr_leaves++;
	return 0;
}

static void walk_agrees(const struct pdata_tree *tree, const struct model *model, uint64_t nr_nodes)
{
	struct seen seen = { .model = model };
	struct pdata_walk_params params = { .blocks = tree->blocks,
					    .value_size = tree->value_size,
					    .user = &seen,
					    .leaf = each_leaf };
	struct pdata_walk *walk;

	OK(cow_pdata_counts_new(NR_BLOCKS, &params.counts, err));
	OK(cow_pdata_walk_new(&params, &walk, err));
	OK(cow_pdata_walk_root(walk, tree->root, 7, 0, err));
	OK(cow_pdata_walk_run(walk, err));
	CHECK_EQ(seen.nr, model->nr);
	CHECK_EQ(cow_pdata_counts_nr_used(params.counts), nr_nodes);
	cow_pdata_walk_free(walk);
	cow_pdata_counts_free(params.counts);
}

static void trees_are_read_as_they_were_made(void)
{
	static const uint32_t sizes[] = { 4, 8, 16, 24 };
	static struct model model;
	uint64_t random = test_seed();

	for (int round = 0; round < 120; round++) {
		size_t nr = test_random(&random) % (round % 3 ? 3000 : 20);
		size_t per_node = test_random(&random) % 3 ? 2 + test_random(&random) % 90 : 0;
		struct build build = new_build();
		struct seen seen = { .model = &model };
		struct pdata_tree tree = { .value_size = sizes[test_random(&random) % 4] };

		model_fill(&model, &random, tree.value_size, nr);
		tree.root = build_tree(&build, tree.value_size, model.keys, model.values, model.nr,
				       per_node);
		tree.blocks = new_blocks(&build, 4096 * (1 + test_random(&random) % 64));
		OK(cow_pdata_tree_each(&tree, 0, each_entry, &seen, err));
		CHECK_EQ(seen.nr, model.nr);
		for (int i = 0; i < 100; i++) {
			size_t at = model.nr ? test_random(&random) % model.nr : 0;

			lookups_agree(&tree, &model, test_random(&random));
			lookups_agree(&tree, &model, model.keys[at]);
			lookups_agree(&tree, &model, model.keys[at] + 1);
			lookups_agree(&tree, &model, model.keys[at] - 1);
		}
		walk_agrees(&tree, &model, build.next - 1);
		cow_pdata_blocks_free(tree.blocks);
		cow_image_close(build.image);
	}
}

/* ---------------------------------------------------------------- damaged trees */

struct faults {
	enum pdata_what what[64];
	size_t nr;
};

static int each_fault(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	struct faults *faults = (struct faults *)user;
	char text[PDATA_FAULT_TEXT_BYTES];

	(void)edge;
	(void)err;
	cow_pdata_fault_text(fault, "btree node", text);
	CHECK(strlen(text) > 15);
	if (faults->nr < 64)
		faults->what[faults->nr] = fault->what;
	faults->nr++;
	return 0;
}

/* 500 keys, 5 in a node; what a walk says after a number of the node was set. */
static struct faults damaged_walk(uint64_t block_behind_root, size_t offset, uint64_t value,
				  size_t len)
{
	static struct model model;
	struct faults faults = { .nr = 0 };
	struct build build = new_build();
	struct pdata_walk_params params = { .value_size = 8, .user = &faults, .fault = each_fault };
	struct pdata_walk *walk;
	uint8_t raw[4096], number[8];
	uint64_t root, block;

	for (size_t i = 0; i < 500; i++)
		model.keys[i] = 10 * i;
	root = build_tree(&build, 8, model.keys, model.values, 500, 5);
	block = root - block_behind_root;
	OK(cow_image_pread(build.image, raw, 4096, block * 4096, err));
	put_le64(number, value == COW_OFFSET_NONE ? root : value);
	memcpy(raw + offset, number, len);
	build_put(&build, block, BUILD_NODE, raw);
	params.blocks = new_blocks(&build, 0);
	OK(cow_pdata_walk_new(&params, &walk, err));
	OK(cow_pdata_walk_root(walk, root, 0, 0, err));
	OK(cow_pdata_walk_run(walk, err));
	cow_pdata_walk_free(walk);
	cow_pdata_blocks_free(params.blocks);
	cow_image_close(build.image);
	return faults;
}

static void one_fault(uint64_t block_behind_root, size_t offset, uint64_t value, size_t len,
		      enum pdata_what what)
{
	struct faults faults = damaged_walk(block_behind_root, offset, value, len);

	CHECK_EQ(faults.nr, 1);
	CHECK_EQ(faults.what[0], what);
}

static void each_number_of_a_node_is_checked(void)
{
	CHECK_EQ(damaged_walk(0, 28, 0, 4).nr, 0);
	for (uint64_t behind = 0; behind < 30; behind += 29) { /* the root, and a leaf */
		one_fault(behind, 4, 0, 4, PDATA_NODE_FLAGS);
		one_fault(behind, 4, 3, 4, PDATA_NODE_FLAGS);
		one_fault(behind, 4, 6, 4, PDATA_NODE_FLAGS);
		one_fault(behind, 16, 253, 4, PDATA_NODE_NR_ENTRIES);
		one_fault(behind, 20, 253, 4, PDATA_NODE_MAX_ENTRIES);
		one_fault(behind, 20, 4000, 4, PDATA_NODE_MAX_ENTRIES);
		one_fault(behind, 20, 249, 4, PDATA_NODE_MAX_ENTRIES);
		one_fault(behind, 24, 4, 4, PDATA_NODE_VALUE_SIZE);
		one_fault(behind, 24, UINT32_MAX, 4, PDATA_NODE_MAX_ENTRIES);
		one_fault(behind, 40, 0, 8, PDATA_NODE_ORDER);
	}
	one_fault(0, 16, 0, 4, PDATA_NODE_EMPTY);
	/* a key of a leaf above and below what the parent says */
	one_fault(29, 32, 0, 8, PDATA_NODE_BOUNDS);
	one_fault(29, 64, 100000, 8, PDATA_NODE_BOUNDS);
	/* children: itself, another one's, beyond */
	one_fault(0, 32 + 8 * 252, COW_OFFSET_NONE, 8, PDATA_NODE_DEPTH);
	one_fault(0, 32 + 8 * 252, NR_BLOCKS, 8, PDATA_BLOCK_BEYOND);
	one_fault(0, 32 + 8 * 252, UINT64_MAX - 1, 8, PDATA_BLOCK_BEYOND);
	one_fault(0, 32 + 8 * 252, 1, 8, PDATA_NODE_DEPTH);
}

/* Bytes changed at random, checksums right: no crash, no hang, and lookups end. */
static void random_damage_ends_in_words(void)
{
	static struct model model;
	uint64_t random = test_seed(), nr_faults = 0;
	bool found;

	for (int round = 0; round < 1500; round++) {
		struct build build = new_build();
		struct faults faults = { .nr = 0 };
		struct pdata_walk_params params = { .value_size = 8,
						    .is_shared = round % 2,
						    .user = &faults,
						    .fault = each_fault };
		struct pdata_tree tree = { .value_size = 8 };
		struct pdata_walk *walk;

		model_fill(&model, &random, 8, 60);
		tree.root = build_tree(&build, 8, model.keys, model.values, model.nr, 3);
		for (int i = 0; i < 1 + round % 4; i++) {
			uint64_t block = 1 + test_random(&random) % (build.next - 1);
			uint8_t raw[4096], byte = (uint8_t)test_random(&random);
			size_t at = test_random(&random) % 2 ? test_random(&random) % 64
							     : 2048 + test_random(&random) % 32;

			OK(cow_image_pread(build.image, raw, 4096, block * 4096, err));
			raw[at] = test_random(&random) % 2 ? (uint8_t)(byte % build.next) : byte;
			build_put(&build, block, BUILD_NODE, raw);
		}
		tree.blocks = params.blocks = new_blocks(&build, 0);
		OK(cow_pdata_walk_new(&params, &walk, err));
		OK(cow_pdata_walk_root(walk, tree.root, 0, 0, err));
		OK(cow_pdata_walk_run(walk, err));
		for (size_t i = 0; i < model.nr; i++) {
			uint64_t key;

			(void)!cow_pdata_tree_lookup(&tree, model.keys[i], NULL, &found, NULL);
			(void)!cow_pdata_tree_next(&tree, model.keys[i], &key, NULL, &found, NULL);
			(void)!cow_pdata_tree_prev(&tree, model.keys[i], &key, NULL, &found, NULL);
		}
		nr_faults += faults.nr != 0;
		cow_pdata_walk_free(walk);
		cow_pdata_blocks_free(params.blocks);
		cow_image_close(build.image);
	}
	CHECK(nr_faults > 700);
}

/* Two trees that share a subtree, one of them higher: dm-thin makes these. */
static void shared_nodes_are_visited_once(void)
{
	static struct model model;
	struct build build = new_build();
	struct seen seen = { .model = &model };
	struct pdata_walk_params params = {
		.value_size = 8, .is_shared = true, .user = &seen, .leaf = each_leaf
	};
	struct pdata_walk *walk;
	const uint64_t keys[] = { 0, 10 };
	uint64_t root, low, high;
	uint8_t children[16];

	for (size_t i = 0; i < 4; i++)
		model.keys[i] = 5 * i;
	model.value_size = 8;
	low = build_tree(&build, 8, model.keys, model.values, 2, 0);
	high = build_tree(&build, 8, model.keys + 2, model.values, 2, 0);
	put_le64(children, low);
	put_le64(children + 8, high);
	/* an internal node: written as a leaf, then marked */
	root = build_tree(&build, 8, keys, children, 2, 0);
	{
		uint8_t raw[4096];

		OK(cow_image_pread(build.image, raw, 4096, root * 4096, err));
		put_le32(raw + 4, 1);
		build_put(&build, root, BUILD_NODE, raw);
	}
	params.blocks = new_blocks(&build, 0);
	OK(cow_pdata_counts_new(NR_BLOCKS, &params.counts, err));
	OK(cow_pdata_walk_new(&params, &walk, err));
	OK(cow_pdata_walk_root(walk, root, 7, 0, err));
	OK(cow_pdata_walk_root(walk, low, 7, 0, err));
	OK(cow_pdata_walk_root(walk, low, 7, 0, err));
	OK(cow_pdata_walk_run(walk, err));
	CHECK_EQ(seen.nr_leaves, 2);
	CHECK_EQ(cow_pdata_counts_get(params.counts, low), 3);
	CHECK_EQ(cow_pdata_counts_get(params.counts, high), 1);
	CHECK_EQ(cow_pdata_counts_get(params.counts, root), 1);
	cow_pdata_walk_free(walk);
	cow_pdata_counts_free(params.counts);
	cow_pdata_blocks_free(params.blocks);
	cow_image_close(build.image);
}

int main(void)
{
	RUN(crc_is_castagnoli_without_inversion);
	RUN(kernel_made_blocks_have_these_checksums);
	RUN(a_block_is_checked_when_read);
	RUN(trees_are_read_as_they_were_made);
	RUN(each_number_of_a_node_is_checked);
	RUN(random_damage_ends_in_words);
	RUN(shared_nodes_are_visited_once);
	return test_end();
}
