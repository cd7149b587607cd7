/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* The images that tests stand on: one fails as planned, one records. */
#include "tests/aids/test.h"

#include <errno.h>

#include "libcow/image/image.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/image_record.h"

static void fault_image_fails_the_nth_operation(void)
{
	AUTO_HANDLE(image) struct cow_image *memory = NULL;
	AUTO_HANDLE(image) struct cow_image *image = NULL;
	struct fault_plan plan = { .kinds = FAULT_ANY, .error = -ENOSPC };
	char ab[] = "ab", cd[] = "cd";
	struct iovec iov[2] = { { ab, 2 }, { cd, 2 } };
	uint8_t buf[4];

	OK(cow_image_memory_new(4096, &memory, err));
	OK(fault_new(memory, &plan, &image, err));
	OK(cow_image_pwritev(image, iov, 2, 0, err));
	CHECK_EQ(plan.nr_ops, 1);
	plan.nth = 3;
	OK(cow_image_pread(image, buf, 4, 0, err));
	FAILS(-ENOSPC, cow_image_pread(image, buf, 4, 0, err));
	OK(cow_image_pread(image, buf, 4, 0, err));
	CHECK(!memcmp(buf, "abcd", 4));
	plan.for_ever = true;
	FAILS(-ENOSPC, cow_image_pread(image, buf, 4, 0, err));
	FAILS(-ENOSPC, cow_image_pread(image, buf, 4, 0, err));
	CHECK_EQ(plan.nr_faults, 3);
}

/* Each sector is the old one or the new one. */
static void torn_writes_are_whole_sectors(void)
{
	uint64_t seed = test_seed();

	for (int torn = FAULT_TORN_NOTHING; torn <= FAULT_TORN_ALL; torn++) {
		AUTO_HANDLE(image) struct cow_image *memory = NULL;
		AUTO_HANDLE(image) struct cow_image *image = NULL;
		struct fault_plan plan = { .kinds = FAULT_WRITE, .nth = 1, .for_ever = true };
		uint8_t buf[8192];
		unsigned int written = 0, nr_gaps = 0;

		plan.torn = (enum fault_torn)torn;
		plan.random = seed;
		OK(cow_image_memory_new(8192, &memory, err));
		OK(fault_new(memory, &plan, &image, err));
		memset(buf, 1, sizeof(buf));
		FAILS(-EIO, cow_image_pwrite(image, buf + 100, 8000, 100, err));
		OK(cow_image_pread(memory, buf, sizeof(buf), 0, err));
		for (size_t i = 0; i < 16; i++) {
			size_t first = i ? 512 * i : 100, end = i < 15 ? 512 * (i + 1) : 8100;

			for (size_t at = first; at < end; at++)
				CHECK_EQ(buf[at], buf[first]);
			nr_gaps += buf[first] && i != written;
			written += buf[first];
		}
		CHECK(torn != FAULT_TORN_NOTHING || !written);
		CHECK(torn != FAULT_TORN_ALL || written == 16);
		CHECK(torn == FAULT_TORN_SUBSET || !nr_gaps);
	}
}

static void recorded_images_share_one_order(void)
{
	AUTO_HANDLE(image) struct cow_image *memory = NULL;
	AUTO_HANDLE(image) struct cow_image *again = NULL;
	AUTO_HANDLE(image) struct cow_image *one = NULL;
	AUTO_HANDLE(image) struct cow_image *two = NULL;
	struct record_log log = { .emulates_clone = true };
	uint8_t left[4096], right[4096];

	OK(cow_image_memory_new(4096, &memory, err));
	OK(record_new(memory, &log, 1, &one, err));
	OK(record_new(memory, &log, 2, &two, err));
	OK(cow_image_pwrite(one, "abcdef", 6, 600, err));
	OK(cow_image_flush(two, err));
	OK(cow_image_write_zeroes(one, 601, 2, err));
	FAILS(-ERANGE, cow_image_pwrite(one, "x", 1, 4096, err));
	OK(cow_image_clone_range(one, 1024, memory, 512, 512, err));
	OK(cow_image_flush(one, err));
	CHECK_EQ(log.nr_entries, 5);
	CHECK(log.entries[1].kind == RECORD_FLUSH && log.entries[1].image == 2);
	CHECK(log.entries[0].len_bytes == 6 && !memcmp(log.entries[0].data, "abcdef", 6));
	CHECK_EQ(record_count(&log, 1, RECORD_FLUSH), 1);
	CHECK_EQ(record_count(&log, 1, RECORD_CLONE), 1);
	OK(cow_image_memory_new(4096, &again, err));
	OK(record_apply(&log, 0, log.nr_entries, 1, again, err));
	OK(cow_image_pread(memory, left, 4096, 0, err));
	OK(cow_image_pread(again, right, 4096, 0, err));
	CHECK(!memcmp(left, right, 4096) && left[1024 + 88] == 'a');
	record_clear(&log);
	FAILS(-EOPNOTSUPP, cow_image_clone_range(again, 0, memory, 0, 512, err));
}

int main(void)
{
	RUN(fault_image_fails_the_nth_operation);
	RUN(torn_writes_are_whole_sectors);
	RUN(recorded_images_share_one_order);
	return test_end();
}
