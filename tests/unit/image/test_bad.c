/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Bad sectors: the set of ranges, the image that has some, the one that goes on. */
#include "tests/aids/test.h"

#include <errno.h>
#include <time.h>

#include "libcow/image/image.h"
#include "libcow/image/ranges.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/mkstore.h"
#include "tests/aids/randstore.h"

#define SIZE_BYTES UINT64_C(65536)
#define NR_SECTORS (SIZE_BYTES / 512)

/* Against an array of bytes, one a sector. */
static void ranges_are_a_set(void)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 300; round++) {
		struct cow_ranges ranges = { .blocks = NULL };
		uint8_t model[NR_SECTORS + 1] = { 0 };
		uint64_t nr = test_random(&random) % 40;

		for (uint64_t i = 0; i < nr; i++) {
			uint64_t at = test_random(&random) % NR_SECTORS;
			uint64_t len = test_random(&random) % 5;

			if (at + len > NR_SECTORS)
				len = NR_SECTORS - at;
			if (test_random(&random) % 3) {
				OK(cow_ranges_add(&ranges, at, len, err));
				memset(model + at, 1, len);
			} else {
				OK(cow_ranges_remove(&ranges, at, len, err));
				memset(model + at, 0, len);
			}
		}
		nr = 0;
		for (uint64_t at = 0; at < NR_SECTORS; at++) {
			uint64_t len = test_random(&random) % 4, from = at, to;
			struct cow_segment range;
			bool is_found = cow_ranges_next(&ranges, at, &range);

			nr += model[at];
			while (from < NR_SECTORS && !model[from])
				from++;
			for (to = from; model[to];)
				to++;
			CHECK_EQ(is_found, from < NR_SECTORS);
			if (is_found) {
				CHECK_EQ(range.offset_bytes, from);
				CHECK_EQ(range.len_bytes, to - from);
			}
			CHECK_EQ(cow_ranges_touch(&ranges, at, len), is_found && from < at + len);
		}
		CHECK_EQ(ranges.total_bytes, nr);
		cow_ranges_clear(&ranges);
	}
}

#define NR_MANY ((uint64_t)1 << 17)

/* So many that they fill blocks, and whole blocks go again. */
static void many_ranges_are_a_set(void)
{
	static uint8_t model[NR_MANY + 1];
	uint64_t random = test_seed(), at = 0, nr = 0, nr_ranges = 0;
	struct cow_ranges ranges = { .blocks = NULL };
	struct cow_segment range;

	for (unsigned int i = 0; i < 150000; i++) {
		uint64_t len = test_random(&random) % (i % 5000 ? 3 : NR_MANY / 8);
		bool adds = test_random(&random) % (i < 100000 ? 4 : 2);

		at = test_random(&random) % (NR_MANY - len);
		if (adds)
			OK(cow_ranges_add(&ranges, at, i % 5000 ? len : 2, err));
		else
			OK(cow_ranges_remove(&ranges, at, len, err));
		memset(model + at, adds, adds && !(i % 5000) ? 2 : len);
	}
	for (at = 0; at < NR_MANY; at++) {
		nr += model[at];
		nr_ranges += model[at] && !model[at + 1];
	}
	CHECK_EQ(ranges.total_bytes, nr);
	CHECK_EQ(ranges.nr_items, nr_ranges);
	CHECK(nr_ranges > 10000);
	for (at = 0; cow_ranges_next(&ranges, at, &range);
	     at = range.offset_bytes + range.len_bytes) {
		CHECK(!memchr(model + at, 1, range.offset_bytes - at));
		CHECK(!memchr(model + range.offset_bytes, 0, range.len_bytes));
	}
	CHECK(!memchr(model + at, 1, NR_MANY - at));
	cow_ranges_clear(&ranges);
}

/* regression: a merge goes through its list from behind, and each range that it
 * met moved all that were there: a million took hours. */
static void a_million_ranges_take_seconds_in_any_order(void)
{
	const uint64_t odd = 618033;
	struct timespec start, end;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (int order = 0; order < 3; order++) {
		struct cow_ranges ranges = { .blocks = NULL };
		uint64_t nr = order == 1 ? 1000000 : 100000;

		for (uint64_t i = 0; i < nr; i++) {
			uint64_t at = order == 0 ? i : order == 1 ? nr - 1 - i : i * odd % nr;

			OK(cow_ranges_add(&ranges, 2 * at, 1, err));
		}
		CHECK_EQ(ranges.nr_items, nr);
		for (uint64_t i = 0; i < nr; i++)
			OK(cow_ranges_remove(&ranges, 2 * (order == 1 ? i : i * odd % nr), 1, err));
		CHECK(!ranges.nr_items && !ranges.total_bytes);
		cow_ranges_clear(&ranges);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	/* under a second; memory checkers and emulators take their time */
	CHECK(end.tv_sec - start.tv_sec < 60);
}

static void bad_ranges_cannot_be_read_and_all_else_can(void)
{
	const struct cow_segment ranges[] = { { 1000, 30 },   { 4096, 512 },  { 4608, 1 },
					      { 65000, 9e9 }, { 1 << 20, 5 }, { 8192, 0 } };
	const uint64_t bad[] = { 512, 1536, 4096, 5120, 64512, 65536 };
	struct cow_image *memory, *image;
	struct cow_err why = COW_ERR_INIT;
	struct cow_segment range;
	uint64_t at = 0, len;
	uint8_t buf[4096];

	OK(cow_image_memory_new(SIZE_BYTES, &memory, err));
	OK(cow_image_pwrite(memory, "x", 1, 12288, err));
	OK(cow_image_bad_new(memory, ranges, 6, 0, &image, err));
	CHECK(cow_image_is_writable(image));
	for (uint64_t sector = 0; sector < NR_SECTORS; sector++) {
		bool is_bad = false;

		for (int i = 0; i < 6; i += 2)
			is_bad |= sector * 512 >= bad[i] && sector * 512 < bad[i + 1];
		CHECK_EQ(cow_image_pread(image, buf, 512, sector * 512, NULL), is_bad ? -EIO : 0);
	}
	CHECK_EQ(cow_image_pread(image, buf, 4000, 1536, &why), -EIO);
	CHECK_EQ(why.offset_bytes, 4096);
	OK(cow_image_pread(image, buf, 2560, 1536, err));
	CHECK(cow_image_next_bad(image, 600, &range));
	CHECK_EQ(range.offset_bytes, 600);
	CHECK_EQ(range.len_bytes, 936);
	CHECK(!cow_image_next_bad(memory, 0, &range));
	/* no hole hides one */
	OK(cow_image_next_data(image, 0, &at, &len, err));
	CHECK_EQ(at, 512);
	OK(cow_image_next_data(image, 5120, &at, &len, err));
	CHECK_EQ(at, 12288);
	OK(cow_image_next_data(image, 16384, &at, &len, err));
	CHECK_EQ(at, 64512);
	/* writes go through */
	OK(cow_image_pwrite(image, "y", 1, 4096, err));
	CHECK_EQ(cow_image_pread(image, buf, 1, 4096, NULL), -EIO);
	OK(cow_image_pread(memory, buf, 1, 4096, err));
	CHECK_EQ(buf[0], 'y');
	cow_image_close(image);
	cow_image_close(memory);
}

/* On a copy zeros stand in for what was bad: they are known, until written. */
static void patched_ranges_are_named_until_they_are_written(void)
{
	const struct cow_segment bad = { 4096, 4096 };
	struct cow_image *memory, *image, *skip;
	struct cow_segment range;
	uint8_t buf[8192] = { 1 };

	OK(cow_image_memory_new(SIZE_BYTES, &memory, err));
	FAILS(-EINVAL, cow_image_bad_new(memory, &bad, 1, 2, &image, err));
	OK(cow_image_bad_new(memory, &bad, 1, COW_BAD_PATCHED, &image, err));
	OK(cow_image_pread(image, buf, 8192, 0, err));
	OK(cow_image_pwrite(image, buf, 1000, 4096, err));
	CHECK(cow_image_next_bad(image, 0, &range));
	CHECK_EQ(range.offset_bytes, 4608);
	OK(cow_image_write_zeroes(image, 5632, 512, err));
	CHECK(cow_image_next_bad(image, 5632, &range));
	CHECK_EQ(range.offset_bytes, 6144);
	OK(cow_image_pwritev(image, &(struct iovec){ buf, 8192 }, 1, 4096, err));
	CHECK(!cow_image_next_bad(image, 0, &range));
	cow_image_close(image);
	/* what was found, and what is known and was not read yet */
	OK(cow_image_bad_new(memory, &bad, 1, 0, &image, err));
	OK(cow_image_skip_new(image, NULL, NULL, &skip, err));
	CHECK(cow_image_next_bad(skip, 0, &range));
	CHECK_EQ(range.offset_bytes, 4096);
	OK(cow_image_pread(skip, buf, 512, 4608, err));
	CHECK(cow_image_next_bad(skip, 4608, &range));
	CHECK_EQ(range.len_bytes, 512);
	CHECK(cow_image_next_bad(skip, 5120, &range));
	CHECK_EQ(range.offset_bytes, 5120);
	CHECK(!cow_image_next_bad(skip, 8192, &range));
	cow_image_close(skip);
	cow_image_close(image);
	cow_image_close(memory);
}

/* Which bytes must come out, according to a model: fill where bad. */
static void skip_goes_on_sector_by_sector(void)
{
	uint64_t random = test_seed();
	uint8_t *data = (uint8_t *)malloc(4 * SIZE_BYTES), *fill = data + SIZE_BYTES,
		*got = data + 2 * SIZE_BYTES, *expected = data + 3 * SIZE_BYTES;

	for (int round = 0; round < 200; round++) {
		struct cow_segment ranges[20], found;
		uint64_t nr = test_random(&random) % 20, at = 0;
		bool has_fill = round % 2;
		struct cow_image *lower, *other, *bad, *skip;

		random_fill(data, SIZE_BYTES, &random);
		random_fill(fill, SIZE_BYTES, &random);
		memcpy(expected, data, SIZE_BYTES);
		OK(cow_image_memory_new(SIZE_BYTES, &lower, err));
		OK(cow_image_memory_new(SIZE_BYTES, &other, err));
		OK(cow_image_pwrite(lower, data, SIZE_BYTES, 0, err));
		OK(cow_image_pwrite(other, fill, SIZE_BYTES, 0, err));
		for (uint64_t i = 0; i < nr; i++) {
			uint64_t start = test_random(&random) % NR_SECTORS;
			uint64_t len = 1 + test_random(&random) % 12;

			len = start + len > NR_SECTORS ? NR_SECTORS - start : len;
			ranges[i] = (struct cow_segment){ start * 512, len * 512 };
			if (has_fill)
				memcpy(expected + start * 512, fill + start * 512, len * 512);
			else
				memset(expected + start * 512, 0, len * 512);
		}
		OK(cow_image_bad_new(lower, ranges, nr, 0, &bad, err));
		OK(cow_image_skip_new(bad, has_fill ? other : NULL, NULL, &skip, err));
		for (int pass = 0; pass < 2; pass++) {
			uint64_t step;

			for (at = 0; at < SIZE_BYTES; at += step) {
				step = 1 + test_random(&random) % 20000;
				step = at + step > SIZE_BYTES ? SIZE_BYTES - at : step;
				OK(cow_image_pread(skip, got + at, step, at, err));
			}
			CHECK(!memcmp(got, expected, SIZE_BYTES));
		}
		for (at = 0; cow_image_skip_next(skip, at, &found);
		     at = found.offset_bytes + found.len_bytes) {
			struct cow_segment known;

			CHECK(cow_image_next_bad(bad, at, &known));
			CHECK_EQ(known.offset_bytes, found.offset_bytes);
			CHECK_EQ(known.len_bytes, found.len_bytes);
		}
		CHECK(!cow_image_next_bad(bad, at, &found));
		cow_image_close(skip);
		cow_image_close(bad);
		cow_image_close(other);
		cow_image_close(lower);
	}
	free(data);
}

static void what_failed_once_is_not_tried_again(void)
{
	struct cow_image *memory, *fault, *skip;
	struct fault_plan plan = { .kinds = FAULT_READ, .nth = 1 };
	struct cow_segment range;
	uint8_t buf[4096];

	OK(cow_image_memory_new(SIZE_BYTES, &memory, err));
	OK(fault_new(memory, &plan, &fault, err));
	OK(cow_image_skip_new(fault, NULL, NULL, &skip, err));
	/* the first attempt on one sector fails: it is bad from then on */
	OK(cow_image_pread(skip, buf, 10, 1000, err));
	CHECK_EQ(plan.nr_ops, 1);
	OK(cow_image_pread(skip, buf, 512, 512, err));
	CHECK_EQ(plan.nr_ops, 1);
	CHECK(cow_image_skip_next(skip, 0, &range));
	CHECK_EQ(range.offset_bytes, 512);
	CHECK_EQ(range.len_bytes, 512);
	/* one bad read of 4 KiB that is good in pieces is good */
	plan = (struct fault_plan){ .kinds = FAULT_READ, .nth = 1 };
	OK(cow_image_pread(skip, buf, 4096, 8192, err));
	CHECK(!cow_image_skip_next(skip, 1024, &range));
	/* any other error is one */
	plan = (struct fault_plan){ .kinds = FAULT_READ, .nth = 1, .error = -ENOMEM };
	FAILS(-ENOMEM, cow_image_pread(skip, buf, 512, 16384, err));
	cow_image_close(skip);
	cow_image_close(fault);
	cow_image_close(memory);
}

static int stop(void *user, const struct cow_progress *progress)
{
	CHECK(!strcmp(progress->phase, "skip"));
	return ++*(int *)user == 3;
}

static void a_stop_does_not_wait_for_all_that_fails(void)
{
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct fault_plan plan = { .kinds = FAULT_READ, .nth = 1, .for_ever = true };
	struct cow_image *memory, *fault, *skip, *small;
	int nr_calls = 0;
	uint8_t *buf = (uint8_t *)malloc(SIZE_BYTES);

	callbacks.progress = stop;
	callbacks.user = &nr_calls;
	OK(cow_image_memory_new(SIZE_BYTES, &memory, err));
	OK(cow_image_memory_new(512, &small, err));
	OK(fault_new(memory, &plan, &fault, err));
	FAILS(-EINVAL, cow_image_skip_new(fault, small, NULL, &skip, err));
	OK(cow_image_skip_new(fault, NULL, &callbacks, &skip, err));
	FAILS(-ECANCELED, cow_image_pread(skip, buf, SIZE_BYTES, 0, err));
	CHECK_EQ(nr_calls, 3);
	CHECK_EQ(plan.nr_ops, 1 + 1 + 3); /* all, 4 KiB, three sectors */
	/* what stands in may be unreadable, too */
	cow_image_close(skip);
	OK(cow_image_skip_new(fault, fault, NULL, &skip, err));
	FAILS(-EIO, cow_image_pread(skip, buf, 512, 0, err));
	cow_image_close(skip);
	cow_image_close(fault);
	cow_image_close(small);
	cow_image_close(memory);
	free(buf);
}

struct used {
	const uint8_t *wanted; /* one for each sector of the COW image */
	uint64_t end_bytes;
};

static int on_used(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct used *used = (struct used *)user;

	CHECK(len_bytes && (!used->end_bytes || offset_bytes > used->end_bytes));
	for (uint64_t at = used->end_bytes / 512; at < (offset_bytes + len_bytes) / 512; at++)
		CHECK_EQ(used->wanted[at], at >= offset_bytes / 512);
	used->end_bytes = offset_bytes + len_bytes;
	return 0;
}

static int on_used_stop(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	(void)user;
	(void)offset_bytes;
	(void)len_bytes;
	return -ENOSPC;
}

/* Header, areas as far as the list goes, chunks; by the text it was made of. */
static void what_a_store_uses(void)
{
	struct used used = { .end_bytes = 0 };
	struct cow_image *cow;
	struct cow_store *store;
	uint8_t wanted[128 * 8] = { 0 };
	const uint64_t chunks[] = { 0, 1, 2, 10, 11, 34, 40 };

	/* chunks of 512 bytes: 32 records fill area 0, the list ends in area 1 */
	OK(mkstore("size 128s\nchunk 1\nheader\nrecord 7 40\nrecord 3 10\nrecord 4 11\n"
		   "record 9 2\n",
		   &cow, err));
	OK(pair_open(NULL, cow, &store, err));
	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
		wanted[chunks[i]] = chunks[i] != 34;
	used.wanted = wanted;
	OK(cow_store_used(store, on_used, &used, err));
	CHECK_EQ(used.end_bytes, 41 * 512);
	FAILS(-ENOSPC, cow_store_used(store, on_used_stop, NULL, err));
	cow_store_close(store);
	cow_image_close(cow);
	OK(mkstore("size 128s\nchunk 1\nheader\nauto 0 32\n", &cow, err));
	OK(pair_open(NULL, cow, &store, err));
	memset(wanted, 1, 35); /* 32 chunks between the areas 0 and 1 */
	memset(wanted + 35, 0, sizeof(wanted) - 35);
	used.end_bytes = 0;
	OK(cow_store_used(store, on_used, &used, err));
	CHECK_EQ(used.end_bytes, 35 * 512);
	cow_store_close(store);
	cow_image_close(cow);
}

int main(void)
{
	RUN(what_a_store_uses);
	RUN(ranges_are_a_set);
	RUN(many_ranges_are_a_set);
	RUN(a_million_ranges_take_seconds_in_any_order);
	RUN(bad_ranges_cannot_be_read_and_all_else_can);
	RUN(patched_ranges_are_named_until_they_are_written);
	RUN(skip_goes_on_sector_by_sector);
	RUN(what_failed_once_is_not_tried_again);
	RUN(a_stop_does_not_wait_for_all_that_fails);
	return test_end();
}
