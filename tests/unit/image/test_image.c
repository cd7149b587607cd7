/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Every kind of image against a plain array of bytes, and the wrappers' rules. */
#include "tests/aids/test.h"

#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/image_model.h"

static void memory_behaves_like_bytes(void)
{
	AUTO_HANDLE(image) struct cow_image *image = NULL;

	OK(cow_image_memory_new(MODEL_BYTES, &image, err));
	model_run(image, 2000);
}

static void memory_of_16_tib_costs_only_what_is_written(void)
{
	AUTO_HANDLE(image) struct cow_image *image = NULL;
	uint64_t size = UINT64_C(16) << 40, at, len;
	uint8_t buf[4] = { 1, 2, 3, 4 };

	OK(cow_image_memory_new(size, &image, err));
	OK(cow_image_pwrite(image, buf, 4, size - 4, err));
	OK(cow_image_pwrite(image, buf, 4, size / 2 + 7, err));
	OK(cow_image_next_data(image, 0, &at, &len, err));
	CHECK_EQ(at, size / 2);
	CHECK_EQ(len, 4096);
	OK(cow_image_next_data(image, at + len, &at, &len, err));
	CHECK_EQ(at, size - 4096);
	OK(cow_image_write_zeroes(image, 1, size - 5, err));
	memset(buf, 9, 4);
	OK(cow_image_pread(image, buf, 4, size / 2 + 7, err));
	CHECK(is_all_zero(buf, 4));
	OK(cow_image_pread(image, buf, 4, size - 4, err));
	CHECK_EQ(get_le32(buf), 0x04030201);
	OK(cow_image_next_data(image, 0, &at, &len, err));
	CHECK_EQ(at, size - 4096);
}

static void the_largest_memory_image_works(void)
{
	AUTO_HANDLE(image) struct cow_image *image = NULL;
	struct cow_image *none = NULL;
	uint8_t byte = 1;

	OK(cow_image_memory_new(COW_IMAGE_BYTES_MAX, &image, err));
	OK(cow_image_pwrite(image, &byte, 1, COW_IMAGE_BYTES_MAX - 1, err));
	FAILS(-ERANGE, cow_image_memory_new(COW_IMAGE_BYTES_MAX + 512, &none, err));
	CHECK(!none);
}

static void zero_image_reads_zeros_and_refuses_writes(void)
{
	AUTO_HANDLE(image) struct cow_image *image = NULL;
	uint8_t buf[512] = { 1 };
	uint64_t at, len;

	OK(cow_image_zero_new(1000, &image, err));
	CHECK_EQ(cow_image_size(image), 512);
	CHECK(!cow_image_is_writable(image));
	OK(cow_image_pread(image, buf, 512, 0, err));
	CHECK(is_all_zero(buf, 512));
	OK(cow_image_next_data(image, 0, &at, &len, err));
	CHECK_EQ(at, 512);
	CHECK_EQ(len, 0);
	FAILS(-EROFS, cow_image_pwrite(image, buf, 1, 0, err));
	FAILS(-EROFS, cow_image_write_zeroes(image, 0, 1, err));
	OK(cow_image_flush(image, err));
}

static void a_range_outside_is_refused_everywhere(void)
{
	AUTO_HANDLE(image) struct cow_image *image = NULL;
	uint64_t at, len;
	uint8_t buf[8];
	struct iovec iov[2] = { { buf, SIZE_MAX }, { buf, 8 } };

	OK(cow_image_memory_new(4096, &image, err));
	FAILS(-ERANGE, cow_image_pread(image, buf, 8, 4089, err));
	FAILS(-ERANGE, cow_image_pread(image, buf, 8, UINT64_MAX - 3, err));
	FAILS(-ERANGE, cow_image_pwrite(image, buf, 8, 4089, err));
	FAILS(-ERANGE, cow_image_pwritev(image, iov, 2, 0, err));
	FAILS(-ERANGE, cow_image_write_zeroes(image, 4096, 1, err));
	FAILS(-ERANGE, cow_image_discard(image, 0, 4097, err));
	FAILS(-ERANGE, cow_image_drop_cache(image, 0, 4097, err));
	FAILS(-ERANGE, cow_image_next_data(image, 4097, &at, &len, err));
	FAILS(-ERANGE, cow_image_clone_range(image, 0, image, 4096, 1, err));
	OK(cow_image_pread(image, buf, 0, 4096, err));
	OK(cow_image_next_data(image, 4096, &at, &len, err));
	CHECK(at == 4096 && len == 0);
}

static void an_error_names_image_and_offset(void)
{
	AUTO_HANDLE(image) struct cow_image *image = NULL;
	struct cow_err why = COW_ERR_INIT;
	uint8_t byte;

	OK(cow_image_memory_new(4096, &image, err));
	CHECK_EQ(-cow_image_pread(image, &byte, 1, 5000, &why), ERANGE);
	CHECK(!strcmp(why.image, "memory") && !strcmp(why.id, "bounds"));
	CHECK_EQ(why.offset_bytes, 5000);
	CHECK_EQ(-cow_image_pread(image, &byte, 1, 5000, NULL), ERANGE);
}

static void statistics_count_bytes_and_calls(void)
{
	AUTO_HANDLE(image) struct cow_image *image = NULL;
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	uint8_t buf[100] = { 0 };

	OK(cow_image_memory_new(4096, &image, err));
	OK(cow_image_pwrite(image, buf, 100, 0, err));
	OK(cow_image_pread(image, buf, 70, 0, err));
	OK(cow_image_write_zeroes(image, 0, 30, err));
	OK(cow_image_flush(image, err));
	FAILS(-ERANGE, cow_image_pread(image, buf, 70, 4095, err));
	CHECK_EQ(cow_image_get_stats(image, &stats), 0);
	CHECK_EQ(stats.size, sizeof(stats));
	CHECK_EQ(stats.written_bytes, 100);
	CHECK_EQ(stats.read_bytes, 70);
	CHECK_EQ(stats.zeroed_bytes, 30);
	CHECK(stats.nr_reads == 1 && stats.nr_writes == 2 && stats.nr_flushes == 1);
	stats.size = 0;
	CHECK_EQ(-cow_image_get_stats(image, &stats), EINVAL);
}

static void overlay_behaves_like_bytes_and_leaves_lower_alone(void)
{
	AUTO_HANDLE(image) struct cow_image *lower = NULL;
	AUTO_HANDLE(image) struct cow_image *overlay = NULL;
	static uint8_t before[MODEL_BYTES], after[MODEL_BYTES];

	OK(cow_image_memory_new(MODEL_BYTES, &lower, err));
	fill_random(lower, 7);
	OK(cow_image_pread(lower, before, MODEL_BYTES, 0, err));
	OK(cow_image_overlay_new(lower, &overlay, err));
	model_run(overlay, 2000);
	OK(cow_image_pread(lower, after, MODEL_BYTES, 0, err));
	CHECK(!memcmp(before, after, MODEL_BYTES));
}

static void overlay_zeroes_16_tib_without_memory(void)
{
	AUTO_HANDLE(image) struct cow_image *lower = NULL;
	AUTO_HANDLE(image) struct cow_image *overlay = NULL;
	uint64_t size = UINT64_C(16) << 40, at, len;
	uint8_t byte = 1;

	OK(cow_image_memory_new(size, &lower, err));
	OK(cow_image_pwrite(lower, &byte, 1, size / 3, err));
	OK(cow_image_pwrite(lower, &byte, 1, size / 2 + (1 << 30), err));
	OK(cow_image_overlay_new(lower, &overlay, err));
	OK(cow_image_write_zeroes(overlay, 513, size - 1026, err));
	OK(cow_image_pread(overlay, &byte, 1, size / 3, err));
	CHECK_EQ(byte, 0);
	OK(cow_image_pwrite(overlay, "x", 1, size / 2, err));
	OK(cow_image_next_data(overlay, size / 2 - 5, &at, &len, err));
	CHECK_EQ(at, size / 2);
	OK(cow_image_pread(overlay, &byte, 1, size / 2 + 1, err));
	CHECK_EQ(byte, 0);
	OK(cow_image_pread(overlay, &byte, 1, size / 2 + (1 << 30), err));
	CHECK_EQ(byte, 0);
}

static void overlay_page_that_lower_cannot_read_is_an_error(void)
{
	AUTO_HANDLE(image) struct cow_image *memory = NULL;
	AUTO_HANDLE(image) struct cow_image *lower = NULL;
	AUTO_HANDLE(image) struct cow_image *overlay = NULL;
	struct fault_plan plan = { .kinds = FAULT_READ, .nth = 1 };
	uint8_t buf[4096] = { 0 };

	OK(cow_image_memory_new(8192, &memory, err));
	OK(cow_image_pwrite(memory, "abc", 3, 0, err));
	OK(fault_new(memory, &plan, &lower, err));
	OK(cow_image_overlay_new(lower, &overlay, err));
	FAILS(-EIO, cow_image_pwrite(overlay, "x", 1, 1, err));
	OK(cow_image_pread(overlay, buf, 3, 0, err));
	CHECK(!memcmp(buf, "abc", 3));
	CHECK_EQ(plan.nr_ops, 2);
	/* A whole page needs nothing from below. */
	OK(cow_image_pwrite(overlay, buf, 4096, 4096, err));
	CHECK_EQ(plan.nr_ops, 2);
}

static void window_of_segments_over_overlay_behaves_like_bytes(void)
{
	AUTO_HANDLE(image) struct cow_image *memory = NULL;
	AUTO_HANDLE(image) struct cow_image *overlay = NULL;
	AUTO_HANDLE(image) struct cow_image *window = NULL;
	static const struct cow_segment segments[] = {
		{ 40000, 9999 }, { 1, 511 }, { 512, 4096 }, { 60000, 1 }, { 5000, 30000 },
	};
	static uint8_t before[MODEL_BYTES], after[MODEL_BYTES];

	OK(cow_image_memory_new(MODEL_BYTES, &memory, err));
	fill_random(memory, 8);
	OK(cow_image_overlay_new(memory, &overlay, err));
	OK(cow_image_pread(overlay, before, MODEL_BYTES, 0, err));
	OK(cow_image_window_new(overlay, segments, 5, &window, err));
	CHECK_EQ(cow_image_size(window), (9999 + 511 + 4096 + 1 + 30000) / 512 * 512);
	model_run(window, 2000);
	/* Nothing outside the segments has changed. */
	OK(cow_image_pread(overlay, after, MODEL_BYTES, 0, err));
	CHECK(!memcmp(before + 35000, after + 35000, 5000));
	CHECK(!memcmp(before + 49999, after + 49999, 10001));
	CHECK(!memcmp(before + 60001, after + 60001, MODEL_BYTES - 60001));
	CHECK(before[0] == after[0] && !memcmp(before + 4608, after + 4608, 392));
	CHECK(memcmp(before + 5000, after + 5000, 30000) != 0);
}

static void window_segments_are_checked(void)
{
	AUTO_HANDLE(image) struct cow_image *base = NULL;
	struct cow_image *none = NULL;
	static const struct cow_segment overlapping[] = { { 1024, 512 }, { 0, 1025 } };
	static const struct cow_segment empty[] = { { 0, 512 }, { 512, 0 } };
	static const struct cow_segment outside[] = { { 4096, 1 } };
	static const struct cow_segment wrapping[] = { { 512, UINT64_MAX } };
	static const struct cow_segment touching[] = { { 512, 512 }, { 0, 512 } };

	OK(cow_image_memory_new(4096, &base, err));
	FAILS(-EINVAL, cow_image_window_new(base, overlapping, 2, &none, err));
	FAILS(-EINVAL, cow_image_window_new(base, empty, 2, &none, err));
	FAILS(-EINVAL, cow_image_window_new(base, empty, 0, &none, err));
	FAILS(-ERANGE, cow_image_window_new(base, outside, 1, &none, err));
	FAILS(-ERANGE, cow_image_window_new(base, wrapping, 1, &none, err));
	CHECK(!none);
	OK(cow_image_window_new(base, touching, 2, &none, err));
	cow_image_close(none);
}

static void window_resolves_to_the_lowest_image(void)
{
	AUTO_HANDLE(image) struct cow_image *base = NULL;
	AUTO_HANDLE(image) struct cow_image *outer = NULL;
	AUTO_HANDLE(image) struct cow_image *inner = NULL;
	static const struct cow_segment pieces[] = { { 2048, 1024 }, { 0, 1024 } };
	static const struct cow_segment middle[] = { { 512, 1024 } };
	struct cow_image_place place = COW_IMAGE_PLACE_INIT;
	uint64_t len = 1024, at;

	OK(cow_image_memory_new(4096, &base, err));
	OK(cow_image_window_new(base, pieces, 2, &outer, err));
	OK(cow_image_window_new(outer, middle, 1, &inner, err));
	CHECK(cow_image_resolve(inner, 100, &len, &at) == base);
	CHECK(at == 2048 + 512 + 100 && len == 412);
	len = 10;
	CHECK(cow_image_resolve(inner, 512, &len, &at) == base);
	CHECK(at == 0 && len == 10);
	CHECK_EQ(cow_image_get_place(inner, 100, &place), 0);
	CHECK(place.name == cow_image_name(base) && place.size_bytes == 4096);
	CHECK(place.offset_bytes == 2048 + 512 + 100 && place.len_bytes == 412);
	CHECK_EQ(-cow_image_get_place(inner, 1024, &place), ERANGE);
	place.size = 0;
	CHECK_EQ(-cow_image_get_place(inner, 0, &place), EINVAL);
}

static void a_failed_flush_is_final_for_all_windows(void)
{
	AUTO_HANDLE(image) struct cow_image *memory = NULL;
	AUTO_HANDLE(image) struct cow_image *base = NULL;
	AUTO_HANDLE(image) struct cow_image *left = NULL;
	AUTO_HANDLE(image) struct cow_image *right = NULL;
	static const struct cow_segment halves[] = { { 0, 2048 }, { 2048, 2048 } };
	struct fault_plan plan = { .kinds = FAULT_FLUSH, .nth = 2 };
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	uint8_t byte = 1;

	OK(cow_image_memory_new(4096, &memory, err));
	OK(fault_new(memory, &plan, &base, err));
	OK(cow_image_window_new(base, &halves[0], 1, &left, err));
	OK(cow_image_window_new(base, &halves[1], 1, &right, err));
	OK(cow_image_flush(left, err));
	FAILS(-EIO, cow_image_flush(left, err));
	FAILS(-EIO, cow_image_flush(left, err));
	FAILS(-EIO, cow_image_flush(right, err));
	FAILS(-EIO, cow_image_pwrite(right, &byte, 1, 0, err));
	FAILS(-EIO, cow_image_write_zeroes(left, 0, 1, err));
	FAILS(-EIO, cow_image_pwritev(left, &(struct iovec){ &byte, 1 }, 1, 0, err));
	FAILS(-EIO, cow_image_discard(left, 0, 1, err));
	FAILS(-EIO, cow_image_clone_range(left, 0, right, 0, 512, err));
	OK(cow_image_pread(left, &byte, 1, 0, err));
	CHECK_EQ(byte, 0);
	CHECK_EQ(plan.nr_ops, 2);
	CHECK_EQ(cow_image_get_stats(left, &stats), 0);
	CHECK_EQ(stats.nr_flushes, 1);
}

static void an_overlay_grows_before_its_first_write(void)
{
	static uint8_t bytes[20 * 512], got[40 * 512];
	struct cow_image *lower, *overlay;
	uint64_t offset, len;

	memset(bytes, 7, sizeof(bytes));
	OK(cow_image_memory_new(13 * 512, &lower, err));
	OK(cow_image_pwrite(lower, bytes, 13 * 512, 0, err));
	FAILS(-EOPNOTSUPP, cow_image_grow(lower, 40 * 512, err));
	OK(cow_image_overlay_new(lower, &overlay, err));
	FAILS(-EINVAL, cow_image_grow(overlay, 12 * 512, err));
	FAILS(-EINVAL, cow_image_grow(overlay, 13 * 512 + 1, err));
	OK(cow_image_grow(overlay, 40 * 512, err));
	CHECK_EQ(cow_image_size(overlay), 40 * 512);
	CHECK_EQ(cow_image_size(lower), 13 * 512);
	OK(cow_image_pread(overlay, got, sizeof(got), 0, err));
	for (size_t i = 0; i < sizeof(got); i++)
		CHECK_EQ(got[i], i < 13 * 512 ? 7 : 0);
	OK(cow_image_pwrite(overlay, bytes, 512, 30 * 512, err));
	OK(cow_image_next_data(overlay, 24 * 512, &offset, &len, err));
	CHECK(len && offset <= 30 * 512 && offset + len > 30 * 512);
	OK(cow_image_pread(overlay, got, 512, 30 * 512, err));
	CHECK(!memcmp(got, bytes, 512));
	FAILS(-EOPNOTSUPP, cow_image_grow(overlay, 50 * 512, err));
	cow_image_close(overlay);
	cow_image_close(lower);
}

int main(void)
{
	RUN(an_overlay_grows_before_its_first_write);
	RUN(overlay_behaves_like_bytes_and_leaves_lower_alone);
	RUN(overlay_zeroes_16_tib_without_memory);
	RUN(overlay_page_that_lower_cannot_read_is_an_error);
	RUN(window_of_segments_over_overlay_behaves_like_bytes);
	RUN(window_segments_are_checked);
	RUN(window_resolves_to_the_lowest_image);
	RUN(a_failed_flush_is_final_for_all_windows);
	RUN(memory_behaves_like_bytes);
	RUN(memory_of_16_tib_costs_only_what_is_written);
	RUN(the_largest_memory_image_works);
	RUN(zero_image_reads_zeros_and_refuses_writes);
	RUN(a_range_outside_is_refused_everywhere);
	RUN(an_error_names_image_and_offset);
	RUN(statistics_count_bytes_and_calls);
	return test_end();
}
