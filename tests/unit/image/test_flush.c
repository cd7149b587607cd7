/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * Flushes: an image in memory does not notice when one is left out. So these
 * tests read a log of what arrives below. Learnt from changes of single lines
 * that no test saw (tests/mutants/).
 */
#include "tests/aids/test.h"

#include <errno.h>

#include "libcow/image/fill.h"
#include "libcow/image/image.h"
#include "tests/aids/crash.h"
#include "tests/aids/damage.h"
#include "tests/aids/image_record.h"

#define SIZE_BYTES (UINT64_C(1) << 20)

/* Two images that note into one log what is done to them. */
static struct record_log record;
static struct cow_image *memory[2], *lower[2];

static void lower_open(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		OK(cow_image_memory_new(SIZE_BYTES, &memory[i], err));
		OK(record_new(memory[i], &record, i, &lower[i], err));
	}
}

static void lower_close(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		cow_image_close(lower[i]);
		cow_image_close(memory[i]);
	}
	record_clear(&record);
}

/* A flush of upper is one of each image below; upper is closed, and with it one
 * that it owns. */
static void check_passes_on(struct cow_image *upper, unsigned int nr_lower, bool owns)
{
	for (unsigned int i = 0; i < nr_lower; i++) {
		size_t before = record_count(&record, i, RECORD_FLUSH);

		OK(cow_image_flush(upper, err));
		CHECK(record_count(&record, i, RECORD_FLUSH) > before);
	}
	cow_image_close(upper);
	if (owns)
		lower[0] = NULL;
	lower_close();
}

static void a_flush_reaches_what_is_below(void)
{
	const struct cow_segment segment = { 4096, 8192 };
	struct cow_image *upper;

	lower_open();
	OK(cow_image_window_new(lower[0], &segment, 1, &upper, err));
	check_passes_on(upper, 1, false);
	lower_open();
	OK(cow_image_bad_new(lower[0], &segment, 1, 0, &upper, err));
	check_passes_on(upper, 1, false);
	lower_open();
	OK(cow_image_fill_new(lower[0], &upper, err));
	check_passes_on(upper, 1, true);
	lower_open();
	OK(cow_image_withhold_new(lower[0], &upper, err));
	check_passes_on(upper, 1, false);
	lower_open();
	OK(cow_image_concat_new(lower, 2, &upper, err));
	check_passes_on(upper, 2, false);
	lower_open();
	OK(cow_image_stripe_new(lower, 2, 4096, &upper, err));
	check_passes_on(upper, 2, false);
}

static void check_entry(size_t at, enum record_kind kind, uint64_t offset_bytes)
{
	CHECK(at < record.nr_entries);
	CHECK_EQ(record.entries[at].kind, kind);
	if (kind == RECORD_WRITE)
		CHECK_EQ(record.entries[at].offset_bytes, offset_bytes);
}

/* The old head ends before anything follows; the new one comes when all else is
 * durable, and is durable itself when that returns. */
static void a_withheld_head_stands_between_flushes(void)
{
	struct cow_image *upper;

	lower_open();
	OK(cow_image_withhold_new(lower[0], &upper, err));
	CHECK_EQ(record.nr_entries, 2);
	check_entry(0, RECORD_WRITE, 0);
	check_entry(1, RECORD_FLUSH, 0);
	OK(cow_image_pwrite(upper, "head", 4, 0, err));
	CHECK_EQ(record.nr_entries, 2);
	OK(cow_image_pwrite(upper, "data", 4, 8192, err));
	OK(cow_image_withhold_release(upper, err));
	CHECK_EQ(record.nr_entries, 6);
	check_entry(2, RECORD_WRITE, 8192);
	check_entry(3, RECORD_FLUSH, 0);
	check_entry(4, RECORD_WRITE, 0);
	CHECK(!memcmp(record.entries[4].data, "head", 4));
	check_entry(5, RECORD_FLUSH, 0);
	cow_image_close(upper);
	lower_close();
}

/* A repair that says it is done is durable. */
static void a_repair_ends_with_a_flush(void)
{
	struct cow_repair_result result;
	uint64_t random = test_seed();
	unsigned int nr_changed = 0;
	struct cow_image *cow, *recorded;
	struct damage damage;

	for (unsigned int i = 0; i < 300; i++) {
		damage_make(&damage, &random);
		for (uint64_t n = 1 + test_random(&random) % 3; n; n--)
			damage_mutate(&damage, &random);
		OK(crash_flat_new(damage.cow, damage.cow_bytes, "cow", &cow, err));
		OK(record_new(cow, &record, 0, &recorded, err));
		result = (struct cow_repair_result)COW_REPAIR_RESULT_INIT;
		if (!damage_repair(recorded, COW_REPAIR_LOST, &result, NULL) && record.nr_entries) {
			check_entry(record.nr_entries - 1, RECORD_FLUSH, 0);
			nr_changed++;
		}
		cow_image_close(recorded);
		cow_image_close(cow);
		record_clear(&record);
		damage_free(&damage);
	}
	CHECK(nr_changed > 50);
}

int main(void)
{
	RUN(a_flush_reaches_what_is_below);
	RUN(a_withheld_head_stands_between_flushes);
	RUN(a_repair_ends_with_a_flush);
	return test_end();
}
