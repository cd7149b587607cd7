/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_clone_findings.c - each finding about a clone, produced by a fault of its
 * own: sound metadata, one change, its checksum put right. Where the finding says
 * that it can be mended, new metadata are made of it and are sound.
 */
#include "libcow/base/bytes.h"
#include "libcow/core/report.h"
#include "libcow/pdata/pdata_crc.h"
#include "libcow/store/clone/clone_disk.h"
#include "tests/aids/clone_build.h"
#include "tests/aids/test.h"

/* 0 superblock, 1 index, 2 counts, 3 bitmap, 4 bitset, 5..7 its array blocks */
#define NR_REGIONS 70000
#define NR_BLOCKS 32

enum { SUPER, INDEX, COUNTS, BITMAP, NODE, FIRST, SECOND, THIRD };

/* In a node with values of 8 bytes. */
#define KEY(i) (32 + 8 * (i))
#define VALUE(i) (32 + 8 * 252 + 8 * (i))

struct poke {
	uint64_t block, offset;
	unsigned int width; /* 0: the last one */
	uint64_t value;
};

struct fault {
	const char *id;
	bool is_unsealed; /* the checksum stays as it was */
	bool is_cleared;  /* block 0 becomes zeros */
	struct poke pokes[4];
};

static const struct fault faults[] = {
	{ "clone.array-block", true, false, { { FIRST, 30, 1, 1 } } },
	{ "clone.array-entries", false, false, { { FIRST, 8, 4, 508 } } },
	{ "clone.array-extra",
	  false,
	  false,
	  { { NODE, 16, 4, 4 }, { NODE, KEY(3), 8, 3 }, { NODE, VALUE(3), 8, 8 } } },
	{ "clone.array-header", false, false, { { FIRST, 4, 4, 508 } } },
	{ "clone.array-missing", false, false, { { NODE, 16, 4, 2 } } },
	{ "clone.array-shared", false, false, { { NODE, VALUE(1), 8, FIRST } } },
	{ "clone.bits-beyond", false, false, { { THIRD, 24 + 8 * 75 + 6, 1, 1 } } },
	{ "clone.block-counted-high", false, false, { { BITMAP, 17, 1, 0xa6 } } },
	{ "clone.block-free", false, false, { { BITMAP, 17, 1, 0xa2 } } },
	{ "clone.block-leaked", false, false, { { BITMAP, 18, 1, 8 } } },
	{ "clone.count-entry",
	  false,
	  false,
	  { { COUNTS, 16, 4, 1 }, { COUNTS, 32, 8, FIRST }, { COUNTS, 32 + 8 * 336, 4, 2 } } },
	{ "clone.count-without-entry", false, false, { { BITMAP, 17, 1, 0xae } } },
	{ "clone.geometry", false, false, { { SUPER, 172, 8, 7 } } },
	{ "clone.map-bitmap", true, false, { { BITMAP, 16, 1, 0 } } },
	{ "clone.map-counts", true, false, { { COUNTS, 16, 1, 1 } } },
	{ "clone.map-first-free", false, false, { { INDEX, 16 + 12, 4, 1000 } } },
	{ "clone.map-index", true, false, { { INDEX, 24, 1, 0 } } },
	{ "clone.map-nr-allocated", false, false, { { SUPER, 52, 8, 9 } } },
	{ "clone.map-nr-free", false, false, { { INDEX, 16 + 8, 4, 5 } } },
	{ "clone.map-size", false, false, { { SUPER, 44, 8, NR_BLOCKS + 1 } } },
	{ "clone.metadata-eight-blocks", false, false, { { SUPER, 44, 8, 8 } } },
	{ "clone.metadata-full", false, false, { { SUPER, 44, 8, 10 } } },
	{ "clone.node", true, false, { { NODE, KEY(1), 1, 5 } } },
	{ "clone.node-empty", false, false, { { NODE, 16, 4, 0 } } },
	{ "clone.node-header", false, false, { { NODE, 24, 4, 16 } } },
	{ "clone.node-keys", false, false, { { NODE, KEY(1), 8, 0 } } },
	{ "clone.node-loop",
	  false,
	  false,
	  { { NODE, 4, 4, 1 }, { NODE, 16, 4, 1 }, { NODE, VALUE(0), 8, NODE } } },
	{ "clone.root-free", false, false, { { BITMAP, 17, 1, 0xa8 } } },
	{ "clone.superblock-checksum", true, false, { { SUPER, 0, 1, 0 } } },
	{ "clone.superblock-free", false, false, { { BITMAP, 16, 1, 0xa8 } } },
	{ "clone.superblock-magic", true, false, { { SUPER, 32, 8, 1 } } },
	{ "clone.superblock-number", false, false, { { SUPER, 8, 8, 1 } } },
	{ "clone.superblock-unused", false, false, { { SUPER, 300, 1, 1 } } },
	{ "clone.superblock-version", false, false, { { SUPER, 40, 4, 2 } } },
	{ "clone.superblock-zero", true, true, { { SUPER, 0, 0, 0 } } },
	{ "clone.tree-candidate", true, true, { { SUPER, 0, 0, 0 } } },
};

/* By other tests, or below: they need more than one fault of the metadata. */
static const char *const elsewhere[] = {
	"clone.destination-short",     /* short_images_and_other_tables_are_found */
	"clone.regions-in-doubt",      /* test_clone.c: handover-lost, s12-previous */
	"clone.source-short",	       /* short_images_and_other_tables_are_found */
	"clone.superblock-unreadable", /* a_superblock_that_cannot_be_read_is_found */
	"clone.table-mismatch",	       /* short_images_and_other_tables_are_found */
	"clone.two-lives",	       /* test_clone.c: two_lives_of_a_device_are_told_apart */
};

static uint32_t constant_of(uint64_t block)
{
	static const uint32_t constants[] = { 257649492, 160478, 121107, 240779, 121107 };

	return block < FIRST ? constants[block] : 595846735;
}

static void block_change(struct cow_image *metadata, const struct poke *poke, bool is_sealed)
{
	uint8_t raw[4096], value[8];

	OK(cow_image_pread(metadata, raw, 4096, poke->block * 4096, err));
	put_le64(value, poke->value);
	memcpy(raw + poke->offset, value, poke->width);
	if (is_sealed)
		put_le32(raw,
			 cow_pdata_crc32c(UINT32_MAX, raw + 4, 4092) ^ constant_of(poke->block));
	OK(cow_image_pwrite(metadata, raw, 4096, poke->block * 4096, err));
}

static void metadata_make(struct cow_image **ret_metadata)
{
	struct clone_build clone = { .region_sectors = 8,
				     .target_sectors = NR_REGIONS * 8,
				     .nr_regions = NR_REGIONS };

	clone.bits = calloc(NR_REGIONS, 1);
	CHECK(clone.bits);
	clone.bits[3] = clone.bits[40000] = clone.bits[NR_REGIONS - 1] = 1;
	OK(cow_image_memory_new(NR_BLOCKS * 4096, ret_metadata, err));
	CHECK_EQ(clone_build(*ret_metadata, &clone), 8);
	free(clone.bits);
}

struct look {
	struct cow_store_args args;
	struct cow_role_image roles[3];
	struct cow_geometry geometry[2];
	struct cow_report *report;
	struct cow_verdict verdict;
};

static void look_begin(struct look *look, struct cow_image *metadata)
{
	*look = (struct look){ .args = COW_STORE_ARGS_INIT, .verdict = COW_VERDICT_INIT };
	look->roles[0] = (struct cow_role_image){ .role = COW_ROLE_METADATA, .image = metadata };
	look->geometry[0] = (struct cow_geometry){ "region", "8" };
	look->geometry[1] = (struct cow_geometry){ "target", "560000" };
	look->args.kind = "clone";
	look->args.images = look->roles;
	look->args.nr_images = 1;
	look->args.geometry = look->geometry;
	look->args.nr_geometry = 2;
}

static uint64_t look_count(struct look *look, const char *id)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	uint64_t nr;

	OK(cow_report_new(NULL, 0, &look->report, err));
	OK(cow_check(&look->args, &params, look->report, &look->verdict, err));
	nr = cow_report_count_id(look->report, id);
	CHECK(!cow_report_count(look->report, COW_CLASS_DAMAGE) || !look->verdict.merge_right);
	cow_report_free(look->report);
	return nr;
}

static void mended_check(struct look *look)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct look after;

	OK(cow_image_memory_new(NR_BLOCKS * 4096, &params.target, err));
	OK(cow_repair(&look->args, &params, &result, err));
	CHECK(result.nr_mended);
	look_begin(&after, params.target);
	CHECK_EQ(look_count(&after, "clone.block-leaked"), 0);
	CHECK(after.verdict.known && after.verdict.view_right && after.verdict.merge_right);
	cow_image_close(params.target);
}

static void fault_check(const struct fault *fault)
{
	const struct cow_problem *problem = cow_problem_find(fault->id);
	struct cow_image *metadata;
	struct look look;

	test_name = fault->id;
	CHECK(problem);
	metadata_make(&metadata);
	look_begin(&look, metadata);
	CHECK_EQ(look_count(&look, fault->id), 0);
	CHECK(look.verdict.merge_right);
	for (int i = 0; i < 4 && fault->pokes[i].width; i++)
		block_change(metadata, &fault->pokes[i], !fault->is_unsealed);
	if (fault->is_cleared)
		OK(cow_image_write_zeroes(metadata, 0, 4096, err));
	CHECK(look_count(&look, fault->id) >= 1);
	if (problem->flags & COW_PROBLEM_FIXABLE)
		mended_check(&look);
	cow_image_close(metadata);
}

static void each_finding_has_a_fault(void)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		fault_check(&faults[i]);
}

static bool is_listed(const char *id)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (!strcmp(faults[i].id, id))
			return true;
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (!strcmp(elsewhere[i], id))
			return true;
	return false;
}

static void no_finding_is_left_out(void)
{
	const struct cow_problem *problem;
	int nr = 0;

	for (size_t i = 0; (problem = cow_problem_get(i)); i++) {
		if (strncmp(problem->id, "clone.", 6) != 0)
			continue;
		test_name = problem->id;
		CHECK(is_listed(problem->id));
		nr++;
	}
	CHECK_EQ(nr, sizeof(faults) / sizeof(faults[0]) + sizeof(elsewhere) / sizeof(elsewhere[0]));
}

static void short_images_and_other_tables_are_found(void)
{
	static const char *const ids[] = { "", "clone.source-short", "clone.destination-short" };
	struct cow_image *metadata;
	struct look look;

	metadata_make(&metadata);
	look_begin(&look, metadata);
	look.args.nr_images = 3;
	for (int i = 1; i < 3; i++) {
		look.roles[i].role = COW_ROLE_METADATA + i;
		OK(cow_image_zero_new(UINT64_C(560000) * 512, &look.roles[i].image, err));
	}
	for (int i = 1; i < 3; i++) {
		struct cow_image *whole = look.roles[i].image;

		CHECK_EQ(look_count(&look, ids[i]), 0);
		OK(cow_image_zero_new(UINT64_C(559999) * 512, &look.roles[i].image, err));
		CHECK_EQ(look_count(&look, ids[i]), 1);
		CHECK(!look.verdict.kernel_loads);
		cow_image_close(look.roles[i].image);
		look.roles[i].image = whole;
	}
	for (int i = 0; i < 2; i++) {
		look.geometry[i].value = i ? "560001" : "16";
		CHECK_EQ(look_count(&look, "clone.table-mismatch"), 1);
		look.geometry[i].value = i ? "560000" : "8";
	}
	CHECK_EQ(look_count(&look, "clone.table-mismatch"), 0);
	for (int i = 1; i < 3; i++)
		cow_image_close(look.roles[i].image);
	cow_image_close(metadata);
}

static void a_superblock_that_cannot_be_read_is_found(void)
{
	const struct cow_segment first = { 0, 512 };
	struct cow_image *metadata, *bad;
	struct look look;

	metadata_make(&metadata);
	OK(cow_image_bad_new(metadata, &first, 1, 0, &bad, err));
	look_begin(&look, bad);
	CHECK_EQ(look_count(&look, "clone.superblock-unreadable"), 1);
	CHECK(!look.verdict.kernel_loads && !look.verdict.view_right);
	mended_check(&look);
	cow_image_close(bad);
	cow_image_close(metadata);
}

int main(void)
{
	RUN(each_finding_has_a_fault);
	RUN(no_finding_is_left_out);
	RUN(short_images_and_other_tables_are_found);
	RUN(a_superblock_that_cannot_be_read_is_found);
	return test_end();
}
