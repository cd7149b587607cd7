/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* The comparison of two images, against a comparison granule by granule. */
#include <errno.h>

#include "tests/aids/test.h"

#define MIB (UINT64_C(1) << 20)

static uint64_t seed;

/* What a comparison gave, painted into one byte a sector. */
struct painting {
	uint64_t granule;
	uint8_t *sectors; /* 0 same, 1 data, 2 zero */
	uint64_t end;	  /* of the range before */
	int last;
	uint64_t nr_ranges;
};

static int paint(void *user, uint64_t offset, uint64_t len, bool is_zero)
{
	struct painting *painting = (struct painting *)user;
	int kind = is_zero ? 2 : 1;

	CHECK(len && offset % painting->granule == 0);
	CHECK(offset >= painting->end);
	CHECK(offset > painting->end || kind != painting->last || !painting->nr_ranges);
	memset(painting->sectors + offset / 512, kind, len / 512);
	painting->end = offset + len;
	painting->last = kind;
	painting->nr_ranges++;
	return 0;
}

static struct cow_image *memory(uint64_t size)
{
	struct cow_image *image;

	OK(cow_image_memory_new(size, &image, err));
	return image;
}

static void compare(struct cow_image *base, struct cow_image *image, struct painting *painting)
{
	struct cow_diff_params params = COW_DIFF_PARAMS_INIT;

	params.granule_bytes = painting->granule;
	params.user = painting;
	params.range = paint;
	OK(cow_diff(base, image, &params, err));
}

static bool all_zero(const uint8_t *buf, uint64_t len)
{
	while (len--)
		if (*buf++)
			return false;
	return true;
}

/* The naive model: reads both as a whole. */
static void check_model(struct cow_image *base, struct cow_image *image,
			const struct painting *painting)
{
	uint64_t size = cow_image_size(base);
	uint8_t *a = malloc(size), *b = malloc(size);

	OK(cow_image_pread(base, a, size, 0, err));
	OK(cow_image_pread(image, b, size, 0, err));
	for (uint64_t at = 0; at < size; at += painting->granule) {
		uint64_t len = size - at < painting->granule ? size - at : painting->granule;
		int want = !memcmp(a + at, b + at, len) ? 0 : all_zero(b + at, len) ? 2 : 1;

		for (uint64_t i = 0; i < len; i += 512)
			CHECK_EQ(painting->sectors[(at + i) / 512], want);
	}
	free(a);
	free(b);
}

static void check_pair(struct cow_image *base, struct cow_image *image, uint64_t granule)
{
	struct painting painting = { .granule = granule };

	painting.sectors = calloc(cow_image_size(base) / 512, 1);
	compare(base, image, &painting);
	check_model(base, image, &painting);
	free(painting.sectors);
}

static uint64_t below(uint64_t limit)
{
	return test_random(&seed) % limit;
}

/* Writes zeros or one of three bytes, so that equal ranges come about. */
static void scribble(struct cow_image *image, unsigned int nr)
{
	uint64_t size = cow_image_size(image);
	static uint8_t buf[256 << 10];

	while (nr--) {
		uint64_t offset = below(size / 512) * 512;
		uint64_t len = (1 + below(below(4) ? 16 : sizeof(buf) / 512)) * 512;

		if (len > size - offset)
			len = size - offset;
		memset(buf, (int)below(3), len);
		if (below(5))
			OK(cow_image_pwrite(image, buf, len, offset, err));
		else
			OK(cow_image_write_zeroes(image, offset, len, err));
	}
}

static void random_pairs_are_compared_as_the_model_does(void)
{
	for (unsigned int round = 0; round < 60; round++) {
		uint64_t size = (1 + below(6000)) * 512;
		uint64_t granule = UINT64_C(512) << below(12);
		struct cow_image *base = memory(size), *image, *over;

		scribble(base, (unsigned int)below(30));
		image = memory(size);
		scribble(image, (unsigned int)below(30));
		OK(cow_image_overlay_new(base, &over, err));
		scribble(over, (unsigned int)below(10));
		check_pair(base, image, granule);
		check_pair(base, over, granule);
		check_pair(base, base, granule);
		cow_image_close(over);
		cow_image_close(image);
		cow_image_close(base);
	}
}

static void ranges_of_one_kind_are_joined_over_pieces(void)
{
	struct cow_image *base = memory(8 * MIB), *image = memory(8 * MIB);
	struct painting painting = { .granule = 4096 };
	static uint8_t ones[3 * MIB];

	memset(ones, 1, sizeof(ones));
	OK(cow_image_pwrite(image, ones, sizeof(ones), 4096, err));
	OK(cow_image_pwrite(base, ones, sizeof(ones), 4 * MIB, err));
	painting.sectors = calloc(8 * MIB / 512, 1);
	compare(base, image, &painting);
	CHECK_EQ(painting.nr_ranges, 2);
	CHECK_EQ(painting.end, 7 * MIB);
	CHECK_EQ(painting.last, 2);
	free(painting.sectors);
	cow_image_close(base);
	cow_image_close(image);
}

static void holes_in_both_are_not_read(void)
{
	struct cow_image *base = memory(UINT64_C(1) << 50), *image = memory(UINT64_C(1) << 50);
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	struct cow_diff_params params = COW_DIFF_PARAMS_INIT;

	OK(cow_image_pwrite(image, "x", 1, (UINT64_C(1) << 49) + 7, err));
	OK(cow_diff(base, image, &params, err));
	OK(cow_image_get_stats(image, &stats));
	CHECK(stats.read_bytes <= MIB);
	OK(cow_image_get_stats(base, &stats));
	CHECK_EQ(stats.read_bytes, 0);
	cow_image_close(base);
	cow_image_close(image);
}

static void what_lies_in_one_place_is_not_read(void)
{
	struct cow_image *base = memory(4 * MIB), *window;
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	struct cow_diff_params params = COW_DIFF_PARAMS_INIT;
	struct cow_segment all = { 0, 4 * MIB };
	static uint8_t ones[4 * MIB];

	memset(ones, 1, sizeof(ones));
	OK(cow_image_pwrite(base, ones, sizeof(ones), 0, err));
	OK(cow_image_window_new(base, &all, 1, &window, err));
	OK(cow_diff(base, window, &params, err));
	OK(cow_image_get_stats(base, &stats));
	CHECK_EQ(stats.read_bytes, 0);
	cow_image_close(window);
	cow_image_close(base);
}

static void two_windows_of_one_image_differ(void)
{
	struct cow_image *base = memory(MIB), *a, *b;
	struct cow_segment first = { 0, MIB / 2 }, second = { MIB / 2, MIB / 2 };

	OK(cow_image_pwrite(base, "x", 1, 8192, err));
	OK(cow_image_pwrite(base, "y", 1, MIB / 2 + 16384, err));
	OK(cow_image_window_new(base, &first, 1, &a, err));
	OK(cow_image_window_new(base, &second, 1, &b, err));
	check_pair(a, b, 4096);
	cow_image_close(a);
	cow_image_close(b);
	cow_image_close(base);
}

static int stop(void *user, uint64_t offset, uint64_t len, bool is_zero)
{
	(void)user;
	(void)offset;
	(void)len;
	(void)is_zero;
	return -ENOSPC;
}

static int cancel(void *user, const struct cow_progress *progress)
{
	(void)user;
	return progress->done_bytes > MIB;
}

static void refusals(void)
{
	struct cow_image *base = memory(4 * MIB), *image = memory(4 * MIB), *other = memory(MIB);
	struct cow_diff_params params = COW_DIFF_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	static uint8_t ones[4 * MIB];

	memset(ones, 1, sizeof(ones));
	OK(cow_image_pwrite(image, ones, sizeof(ones), 0, err));
	FAILS(-EPERM, cow_diff(base, other, &params, err));
	params.granule_bytes = 2 * MIB;
	FAILS(-EINVAL, cow_diff(base, image, &params, err));
	params.granule_bytes = 768;
	FAILS(-EINVAL, cow_diff(base, image, &params, err));
	params.granule_bytes = 0;
	params.range = stop;
	FAILS(-ENOSPC, cow_diff(base, image, &params, err));
	params.range = NULL;
	callbacks.progress = cancel;
	params.callbacks = &callbacks;
	FAILS(-ECANCELED, cow_diff(base, image, &params, err));
	params.size = 1;
	FAILS(-EINVAL, cow_diff(base, image, &params, err));
	cow_image_close(base);
	cow_image_close(image);
	cow_image_close(other);
}

int main(void)
{
	seed = test_seed();
	RUN(random_pairs_are_compared_as_the_model_does);
	RUN(ranges_of_one_kind_are_joined_over_pieces);
	RUN(holes_in_both_are_not_read);
	RUN(what_lies_in_one_place_is_not_read);
	RUN(two_windows_of_one_image_differ);
	RUN(refusals);
	return test_end();
}
