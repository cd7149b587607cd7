/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_thin_write.c - what is written to the metadata of a pool. A new pool is the
 * kernel's, byte for byte. What a power cut leaves is in tests/crash/crash_thin.c, what
 * the kernel makes of it in tests/kernel/pools.py.
 */
#include "libcow/base/bytes.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"
#include "libcow/store/thin/thin_store.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/test.h"

static void check_says_sound(struct cow_image *metadata, uint64_t nr_devices)
{
	const struct cow_role_image role = { .role = COW_ROLE_METADATA, .image = metadata };
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_report *report;

	args.kind = "thin";
	args.images = &role;
	args.nr_images = 1;
	args.snapshot_id = STORE_SNAPSHOT_NONE;
	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(&args, &params, report, &verdict, err));
	for (int klass = COW_CLASS_INFO; klass <= COW_CLASS_LOST; klass++)
		CHECK_EQ(cow_report_count(report, klass), 0);
	CHECK(verdict.known && verdict.view_right && verdict.kernel_loads);
	CHECK_EQ(verdict.info.nr_snapshots, nr_devices);
	cow_report_free(report);
}

/* ---------------------------------------------------------------- a new pool */

/* An image that held something else. */
static struct cow_image *used_image(uint64_t nr_blocks)
{
	struct cow_image *image;
	uint8_t raw[4096];

	OK(cow_image_memory_new(nr_blocks * 4096, &image, err));
	memset(raw, 0x5a, sizeof(raw));
	for (uint64_t block = 0; block < nr_blocks; block++)
		OK(cow_image_pwrite(image, raw, 4096, block * 4096, err));
	return image;
}

/* Checksums of a pool that Linux 6.1 made: 1024 metadata blocks, 256 data blocks. */
static void a_new_pool_is_the_kernels(void)
{
	static const uint32_t checksums[12] = { 0,	    0,		0xC360E452, 0,
						0,	    0x41BFAA04, 0xCB3DDA35, 0xB1C81346,
						0x58BB3366, 0xE3CD2EC7, 0xB7AF1487, 0xA1012EE6 };
	struct cow_image *metadata = used_image(1024);
	struct thin_super super;
	uint8_t raw[4096];

	OK(cow_thin_format(metadata, 128, 256, err));
	for (uint64_t block = 1; block < 1024; block++) {
		OK(cow_image_pread(metadata, raw, sizeof(raw), block * 4096, err));
		if (block < 12 && checksums[block])
			CHECK_EQ(get_le32(raw), checksums[block]);
		else
			CHECK(is_all_zero(raw, sizeof(raw)));
	}
	OK(cow_image_pread(metadata, raw, sizeof(raw), 0, err));
	cow_thin_super_decode(raw, &super);
	CHECK(super.data_map.bitmap_root == 10 && super.data_map.ref_count_root == 5);
	CHECK(super.metadata_map.nr_allocated == 9 && super.metadata_map.bitmap_root == 11);
	CHECK(super.mapping_root == 6 && super.details_root == 7 && super.version == 2);
	check_says_sound(metadata, 0);
	cow_image_close(metadata);
}

static void format(uint64_t nr_blocks, uint64_t nr_data, bool is_made)
{
	struct cow_err why = COW_ERR_INIT;
	struct cow_image *metadata;
	int ret;

	OK(cow_image_memory_new(nr_blocks * 4096, &metadata, err));
	ret = cow_thin_format(metadata, 128, nr_data, &why);
	CHECK_EQ(ret, is_made ? 0 : -ERANGE);
	if (is_made)
		check_says_sound(metadata, 0);
	else
		CHECK(!strcmp(why.id, "size"));
	cow_image_close(metadata);
}

/* At the edges of bitmaps and of the nodes of their index. */
static void pools_of_every_size_are_sound(void)
{
	format(15, 1, false);
	format(16, 1, true);
	format(16, 16320, true);
	format(16, 16321, false);
	format(20, 16321, true);
	format(16320, 168 * 16320, true);
	format(16321, 168 * 16320 + 1, true);
	format(190, 168 * 16320, false);
	format(30000, 16320 * 500, true);
}

/* Whichever operation fails: no pool, or the whole new one. */
static void a_pool_is_made_whole_or_not(void)
{
	struct fault_plan plan = { .kinds = FAULT_CHANGES };
	uint8_t raw[4096];
	int ret = -EIO;

	for (plan.nth = 1; ret; plan.nth++) {
		struct cow_image *lower = used_image(20), *image;

		plan.nr_ops = 0;
		plan.torn = (enum fault_torn)(plan.nth % 4);
		OK(fault_new(lower, &plan, &image, err));
		ret = cow_thin_format(image, 128, 10, NULL);
		CHECK(!ret || ret == -EIO);
		OK(cow_image_pread(lower, raw, sizeof(raw), 0, err));
		if (get_le64(raw + 32) == THIN_MAGIC)
			check_says_sound(lower, 0);
		else
			CHECK(ret && (is_all_zero(raw, sizeof(raw)) || raw[4095] == 0x5a));
		cow_image_close(image);
		cow_image_close(lower);
	}
	CHECK(plan.nth > 10);
}

int main(void)
{
	RUN(a_new_pool_is_the_kernels);
	RUN(pools_of_every_size_are_sound);
	RUN(a_pool_is_made_whole_or_not);
	return test_end();
}
