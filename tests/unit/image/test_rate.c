/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The limit of bytes per second, by a clock that only the waits move: what was moved until any
 * instant is at most what the limit allows, and no more waiting is asked for than it needs.
 */
#include "tests/aids/test.h"

#include <errno.h>
#include <time.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/temp_dir.h"

#define FILE_BYTES (UINT64_C(8) << 20)
#define LIMIT (UINT64_C(4) << 20)
#define PIECE_BYTES_MAX (UINT64_C(1) << 20)
#define NS UINT64_C(1000000000)

struct clock {
	uint64_t now, nr_waits;
};

static uint64_t clock_now(void *user)
{
	return ((struct clock *)user)->now;
}

static void clock_wait(void *user, uint64_t nanoseconds)
{
	((struct clock *)user)->now += nanoseconds;
	((struct clock *)user)->nr_waits++;
}

static struct cow_imageset *set;
static struct clock clock_;
static uint8_t *buf;

static void limit_to(uint64_t bytes_per_second)
{
	struct cow_rate_params params = COW_RATE_PARAMS_INIT;

	clock_ = (struct clock){ .now = 77 * NS };
	params.bytes_per_second = bytes_per_second;
	params.now = clock_now;
	params.wait = clock_wait;
	params.user = &clock_;
	OK(cow_imageset_set_rate(set, &params, err));
}

static struct cow_image *opened(const char *spec, uint32_t flags)
{
	struct cow_image *image = NULL;

	OK(cow_imageset_open(set, spec, flags, &image, err));
	return image;
}

/* Has the clock gone as far as the limit asks for bytes, without the last piece, and no farther? */
static void is_paid(uint64_t bytes, uint64_t last_bytes)
{
	double seconds = (double)(clock_.now - 77 * NS) / (double)NS;

	CHECK(seconds >= (double)(bytes - last_bytes) / LIMIT - 0.010001);
	CHECK(seconds <= (double)bytes / LIMIT + 0.000001);
}

static void reads_and_writes_are_held_to_it_each(void)
{
	struct cow_image *from = opened("from", 0), *to = opened("to", COW_OPEN_WRITE);
	uint64_t moved = 0, len;

	limit_to(LIMIT);
	while (moved < 40 * LIMIT) {
		len = (uint64_t)(random() % (long)PIECE_BYTES_MAX) + 1;
		OK(cow_image_pread(from, buf, len, moved % (FILE_BYTES - len), err));
		OK(cow_image_pwrite(to, buf, len, moved % (FILE_BYTES - len), err));
		moved += len;
		is_paid(moved, len);
	}
	CHECK(clock_.nr_waits > 100);
	cow_image_close(from);
	cow_image_close(to);
}

/* Two windows of one file, and another file, one above the other: a byte counts once. */
static void all_images_of_a_set_share_it(void)
{
	struct cow_image *a = opened("from@0+4M", 0), *b = opened("from@4M", 0), *c, *all, *top;
	struct cow_segment half = { 1 << 20, 8 << 20 };
	uint64_t moved = 0;

	c = opened("to", 0);
	OK(cow_image_concat_new((struct cow_image *const[]){ a, b, c }, 3, &all, err));
	OK(cow_image_window_new(all, &half, 1, &top, err));
	limit_to(LIMIT);
	for (size_t i = 0; i < 100; i++) {
		OK(cow_image_pread(i % 2 ? c : top, buf, PIECE_BYTES_MAX, (i % 8) << 20, err));
		moved += PIECE_BYTES_MAX;
		is_paid(moved, PIECE_BYTES_MAX);
	}
	cow_image_close(top);
	cow_image_close(all);
	cow_image_close(a);
	cow_image_close(b);
	cow_image_close(c);
}

static void small_transfers_wait_now_and_then(void)
{
	struct cow_image *from = opened("from", 0);

	limit_to(LIMIT);
	for (uint64_t at = 0; at < LIMIT; at += 512)
		OK(cow_image_pread(from, buf, 512, at, err));
	is_paid(LIMIT, 512);
	CHECK(clock_.nr_waits <= 100);
	cow_image_close(from);
}

static void a_pause_gives_no_credit(void)
{
	struct cow_image *from = opened("from", 0);

	limit_to(LIMIT);
	OK(cow_image_pread(from, buf, PIECE_BYTES_MAX, 0, err));
	clock_.now += 1000 * NS;
	for (size_t i = 0; i < 9; i++)
		OK(cow_image_pread(from, buf, PIECE_BYTES_MAX, 0, err));
	CHECK_EQ(clock_.now, 77 * NS + 1000 * NS + 2 * NS);
	cow_image_close(from);
}

static void outputs_are_held_to_it_and_holes_are_not(void)
{
	struct cow_output *output = NULL;
	struct cow_image *image;

	limit_to(LIMIT);
	OK(cow_output_open(set, "new", FILE_BYTES, 0, &output, err));
	image = cow_output_image(output);
	OK(cow_image_write_zeroes(image, 0, FILE_BYTES, err));
	CHECK_EQ(clock_.nr_waits, 0);
	for (uint64_t at = 0; at < FILE_BYTES; at += PIECE_BYTES_MAX)
		OK(cow_image_pwrite(image, buf, PIECE_BYTES_MAX, at, err));
	is_paid(FILE_BYTES, PIECE_BYTES_MAX);
	cow_output_close(output);
}

/* A wait that is cut short, as by a signal, neither fails nor moves anything twice. */
static void wait_nothing(void *user, uint64_t nanoseconds)
{
	(void)nanoseconds;
	((struct clock *)user)->nr_waits++;
}

static void a_wait_may_return_early(void)
{
	struct cow_rate_params params = COW_RATE_PARAMS_INIT;
	struct cow_image *from = opened("from", 0);

	clock_ = (struct clock){ .now = 1 };
	params.bytes_per_second = 1;
	params.now = clock_now;
	params.wait = wait_nothing;
	params.user = &clock_;
	OK(cow_imageset_set_rate(set, &params, err));
	for (uint64_t at = 0; at < FILE_BYTES; at += PIECE_BYTES_MAX)
		OK(cow_image_pread(from, buf, PIECE_BYTES_MAX, at, err));
	CHECK_EQ(clock_.nr_waits, FILE_BYTES / PIECE_BYTES_MAX - 1);
	cow_image_close(from);
}

static void without_a_limit_nothing_waits(void)
{
	struct cow_rate_params params = COW_RATE_PARAMS_INIT;
	struct cow_image *from = opened("from", 0);

	limit_to(0);
	for (size_t i = 0; i < 100; i++)
		OK(cow_image_pread(from, buf, PIECE_BYTES_MAX, 0, err));
	CHECK_EQ(clock_.nr_waits, 0);
	params.size--;
	FAILS(-EINVAL, cow_imageset_set_rate(set, &params, err));
	cow_image_close(from);
}

/* The system's clock: 40 ms must pass. */
static void the_default_is_the_clock_of_the_system(void)
{
	struct cow_rate_params params = COW_RATE_PARAMS_INIT;
	struct cow_image *from = opened("from", 0);
	struct timespec before, after;

	params.bytes_per_second = 100 * PIECE_BYTES_MAX;
	OK(cow_imageset_set_rate(set, &params, err));
	CHECK(!clock_gettime(CLOCK_MONOTONIC, &before));
	for (size_t i = 0; i < 6; i++)
		OK(cow_image_pread(from, buf, PIECE_BYTES_MAX, 0, err));
	CHECK(!clock_gettime(CLOCK_MONOTONIC, &after));
	CHECK((after.tv_sec - before.tv_sec) * (int64_t)NS + after.tv_nsec - before.tv_nsec >=
	      40000000);
	cow_image_close(from);
}

int main(void)
{
	temp_dir_enter();
	temp_file("from", FILE_BYTES);
	temp_file("to", FILE_BYTES);
	buf = calloc(1, PIECE_BYTES_MAX);
	CHECK(buf);
	OK(cow_imageset_new(&set, err));
	RUN(reads_and_writes_are_held_to_it_each);
	RUN(all_images_of_a_set_share_it);
	RUN(small_transfers_wait_now_and_then);
	RUN(a_pause_gives_no_credit);
	RUN(outputs_are_held_to_it_and_holes_are_not);
	RUN(a_wait_may_return_early);
	RUN(without_a_limit_nothing_waits);
	RUN(the_default_is_the_clock_of_the_system);
	cow_imageset_free(set);
	free(buf);
	return test_end();
}
