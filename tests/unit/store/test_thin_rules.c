/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_thin_rules.c - single contradictions in a pool that a naive writer made, under
 * right checksums: exactly these findings come of each, with the devices that they are
 * about.
 */
#include <inttypes.h>

#include "libcow/core/report.h"
#include "libcow/store/thin/thin_store.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_build.h"

#define SIZE (THIN_BUILD_BLOCKS * UINT64_C(4096))

struct pool {
	uint8_t bytes[SIZE];
	struct cow_image *image;
	uint32_t constants[THIN_BUILD_BLOCKS];
	struct thin_super super;
	/* what is said of it: ids, and the sentences of all findings */
	char ids[400], sentences[4000];
	struct cow_verdict verdict;
};

static void pool_begin(struct pool *pool)
{
	memset(pool, 0, sizeof(*pool));
	OK(cow_image_memory_new(SIZE, &pool->image, err));
	thin_build(pool->image, pool->constants);
	OK(cow_image_pread(pool->image, pool->bytes, SIZE, 0, err));
	cow_thin_super_decode(pool->bytes, &pool->super);
}

static uint8_t *block_of(struct pool *pool, uint64_t block)
{
	CHECK(block < THIN_BUILD_BLOCKS);
	return pool->bytes + block * 4096;
}

/* The bitmap of the data, by its index. */
static uint64_t data_bitmap(struct pool *pool)
{
	return get_le64(block_of(pool, pool->super.data_map.bitmap_root) + 32 + 8 * 168);
}

static void finding_take(void *user, const struct cow_finding *finding)
{
	const char *id = finding->problem->id + strlen("thin.");
	struct pool *pool = user;
	size_t len = strlen(pool->ids), long_len = strlen(pool->sentences);

	if (!len || strcmp(pool->ids + len - min_u64(len, strlen(id)), id))
		snprintf(pool->ids + len, sizeof(pool->ids) - len, "%s%s", len ? " " : "", id);
	snprintf(pool->sentences + long_len, sizeof(pool->sentences) - long_len, "%s\n",
		 finding->sentence);
}

static void pool_check(struct pool *pool, const char *ids)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[2] = { { .role = COW_ROLE_METADATA, .image = pool->image },
					   { .role = COW_ROLE_DATA } };
	struct cow_report *report;

	for (uint64_t block = 0; block < THIN_BUILD_BLOCKS; block++) {
		const struct pdata_type type = { "", pool->constants[block], 8 };

		if (pool->constants[block])
			cow_pdata_block_seal(&type, block, block_of(pool, block));
	}
	OK(cow_image_pwrite(pool->image, pool->bytes, SIZE, 0, err));
	OK(cow_image_zero_new(THIN_BUILD_DATA * UINT64_C(65536), &roles[1].image, err));
	args.kind = "thin";
	args.images = roles;
	args.nr_images = 2;
	callbacks.user = pool;
	callbacks.finding = finding_take;
	params.callbacks = &callbacks;
	OK(cow_report_new(&callbacks, 100, &report, err));
	pool->verdict = (struct cow_verdict)COW_VERDICT_INIT;
	OK(cow_check(&args, &params, report, &pool->verdict, err));
	cow_report_free(report);
	cow_image_close(roles[1].image);
	cow_image_close(pool->image);
	if (strcmp(pool->ids, ids))
		fprintf(stderr, "found %s\n%s", pool->ids, pool->sentences);
	CHECK(!strcmp(pool->ids, ids));
}

static void says(const struct pool *pool, const char *sentence)
{
	if (!strstr(pool->sentences, sentence))
		fprintf(stderr, "%s", pool->sentences);
	CHECK(strstr(pool->sentences, sentence));
}

static struct pool pool;

static void the_pool_is_sound(void)
{
	pool_begin(&pool);
	pool_check(&pool, "");
	CHECK(pool.verdict.kernel_loads && pool.verdict.view_right && pool.verdict.merge_right);
}

/* The two bits of a block in the bitmap, the high one first. */
static void counts_of_data_blocks(void)
{
	uint8_t *raw;

	pool_begin(&pool);
	raw = block_of(&pool, data_bitmap(&pool)) + 16;
	raw[5 / 4] ^= 3 << 5 % 4 * 2; /* 1 becomes 2 */
	pool_check(&pool, "data-counted-high");
	says(&pool, "data block 5 of devices 0, 1 and 2: mapped 1 times, counted 2 times");
	CHECK(pool.verdict.view_right);

	pool_begin(&pool);
	raw = block_of(&pool, data_bitmap(&pool)) + 16;
	raw[0] ^= 3; /* 2 becomes 1: device 3 has the data block of the others, too */
	pool_check(&pool, "data-counted-low");
	says(&pool, "data block 0 of devices 0, 1, 2 and 3: mapped 2 times, counted 1 times");
	CHECK(pool.verdict.kernel_writes == COW_KERNEL_WRITES_HARM);
}

static void devices_of_one_tree_alone(void)
{
	uint8_t *top;

	pool_begin(&pool);
	top = block_of(&pool, pool.super.mapping_root);
	put_le32(top + 16, 3); /* without device 3, which has two mappings */
	pool_check(&pool, "device-without-mappings data-leaked data-counted-high block-leaked");
	says(&pool, "device 3 is not in the tree of mappings");
	CHECK(!pool.verdict.view_right && pool.verdict.kernel_loads);

	pool_begin(&pool);
	put_le32(block_of(&pool, pool.super.details_root) + 16, 3);
	pool_check(&pool, "device-without-details");
	says(&pool, "device 3 is not in the tree of details");
}

static void features_of_the_superblock(void)
{
	pool_begin(&pool);
	put_le32(pool.bytes + 360, 1);
	pool_check(&pool, "superblock-features");
	CHECK(!pool.verdict.kernel_loads);
	pool_begin(&pool);
	put_le32(pool.bytes + 356, 1);
	pool_check(&pool, "superblock-read-only");
	CHECK(!pool.verdict.kernel_loads);
}

/* As Linux 6.1.176 leaves it after a power cut: block 0 names a metadata snapshot that
 * nothing is counted for yet. */
static void a_metadata_snapshot_that_is_not_counted(void)
{
	uint64_t held = THIN_BUILD_BLOCKS - 1;

	pool_begin(&pool);
	CHECK(!pool.constants[held]);
	pool.constants[held] = pool.constants[0];
	memcpy(block_of(&pool, held), pool.bytes, 4096);
	memset(block_of(&pool, held) + 64, 0, 256);
	put_le64(pool.bytes + 56, held);
	pool_check(&pool, "held held-uncounted");
	CHECK(pool.verdict.view_right && pool.verdict.kernel_writes == COW_KERNEL_WRITES_HARM);
}

int main(void)
{
	RUN(the_pool_is_sound);
	RUN(counts_of_data_blocks);
	RUN(devices_of_one_tree_alone);
	RUN(features_of_the_superblock);
	RUN(a_metadata_snapshot_that_is_not_counted);
	return test_end();
}
