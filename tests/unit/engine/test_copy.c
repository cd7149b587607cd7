/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Copying an image: same bytes, holes kept or zeros written, cancel. */
#include <errno.h>

#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/test.h"

#define SIZE_BYTES (UINT64_C(8) << 20)

static struct cow_image *random_image(uint64_t *seed, uint8_t *ret_bytes)
{
	struct cow_image *image;

	OK(cow_image_memory_new(SIZE_BYTES, &image, err));
	memset(ret_bytes, 0, SIZE_BYTES);
	for (int i = 0; i < 60; i++) {
		uint64_t offset = 512 * (test_random(seed) % (SIZE_BYTES / 512));
		uint64_t len = min_u64(512 * (1 + test_random(seed) % 300), SIZE_BYTES - offset);

		memset(ret_bytes + offset, (int)(test_random(seed) % 4), len);
		OK(cow_image_pwrite(image, ret_bytes + offset, len, offset, err));
	}
	return image;
}

static void check_same(struct cow_image *image, const uint8_t *bytes)
{
	uint8_t *found = malloc(SIZE_BYTES);

	CHECK(found);
	OK(cow_image_pread(image, found, SIZE_BYTES, 0, err));
	CHECK(!memcmp(found, bytes, SIZE_BYTES));
	free(found);
}

static void a_copy_has_the_same_bytes_whatever_the_target_held(void)
{
	uint64_t seed = test_seed();
	uint8_t *bytes = malloc(SIZE_BYTES);

	CHECK(bytes);
	for (int round = 0; round < 12; round++) {
		struct cow_copy_params params = COW_COPY_PARAMS_INIT;
		struct cow_copy_result result = COW_COPY_RESULT_INIT;
		struct cow_image *source = random_image(&seed, bytes), *target;

		OK(cow_image_memory_new(SIZE_BYTES, &target, err));
		if (round % 2) {
			params.flags = COW_COPY_HOLES;
		} else {
			uint8_t *rubbish = malloc(SIZE_BYTES);

			CHECK(rubbish);
			memset(rubbish, 0xEE, SIZE_BYTES);
			OK(cow_image_pwrite(target, rubbish, SIZE_BYTES, 0, err));
			free(rubbish);
		}
		OK(cow_copy(source, target, &params, &result, err));
		check_same(target, bytes);
		CHECK_EQ(result.copied_bytes + result.cloned_bytes + result.zero_bytes, SIZE_BYTES);
		CHECK(result.zero_bytes > 0);
		cow_image_close(target);
		cow_image_close(source);
	}
	free(bytes);
}

static void holes_are_never_written(void)
{
	struct cow_copy_params params = COW_COPY_PARAMS_INIT;
	struct cow_copy_result result = COW_COPY_RESULT_INIT;
	struct cow_image *source, *target;
	uint8_t data[4096];

	memset(data, 7, sizeof(data));
	OK(cow_image_memory_new(UINT64_C(16) << 40, &source, err));
	OK(cow_image_memory_new(UINT64_C(16) << 40, &target, err));
	OK(cow_image_pwrite(source, data, sizeof(data), UINT64_C(9) << 40, err));
	params.flags = COW_COPY_HOLES;
	OK(cow_copy(source, target, &params, &result, err));
	CHECK_EQ(result.copied_bytes, 4096);
	CHECK_EQ(target->stats.written_bytes, 4096);
	cow_image_close(source);
	cow_image_close(target);
}

static int stop(void *user, const struct cow_progress *progress)
{
	(void)user;
	return progress->done_bytes >= SIZE_BYTES / 2;
}

static void a_callback_stops_it_and_a_small_target_is_refused(void)
{
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_copy_params params = COW_COPY_PARAMS_INIT;
	struct cow_copy_result result = COW_COPY_RESULT_INIT;
	uint8_t *bytes = malloc(SIZE_BYTES);
	uint64_t seed = 5;
	struct cow_image *source, *target;

	CHECK(bytes);
	source = random_image(&seed, bytes);
	OK(cow_image_memory_new(SIZE_BYTES, &target, err));
	callbacks.progress = stop;
	params.callbacks = &callbacks;
	FAILS(-ECANCELED, cow_copy(source, target, &params, &result, err));
	params.reflink = COW_REFLINK_ALWAYS;
	params.callbacks = NULL;
	FAILS(-EOPNOTSUPP, cow_copy(source, target, &params, &result, err));
	cow_image_close(target);
	OK(cow_image_memory_new(SIZE_BYTES - 512, &target, err));
	params.reflink = COW_REFLINK_AUTO;
	FAILS(-EINVAL, cow_copy(source, target, &params, &result, err));
	cow_image_close(target);
	cow_image_close(source);
	free(bytes);
}

int main(void)
{
	RUN(a_copy_has_the_same_bytes_whatever_the_target_held);
	RUN(holes_are_never_written);
	RUN(a_callback_stops_it_and_a_small_target_is_refused);
	return test_end();
}
