/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Every kind of image against a plain array of bytes, and the wrappers' rules. */
#include "tests/unit/test.h"

#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"

#define MODEL_BYTES (64 * 1024 + 512)

struct model {
	struct cow_image *image;
	uint8_t bytes[MODEL_BYTES];
	uint8_t scratch[MODEL_BYTES];
	uint64_t size_bytes;
	uint64_t random;
};

static uint64_t model_random(struct model *model, uint64_t below)
{
	return test_random(&model->random) % below;
}

/* All bytes agree, and what next_data skips is zeros. */
static void model_compare(struct model *model)
{
	uint64_t at = 0;

	OK(cow_image_pread(model->image, model->scratch, model->size_bytes, 0, err));
	CHECK(!memcmp(model->scratch, model->bytes, model->size_bytes));
	while (at < model->size_bytes) {
		uint64_t found, len;

		OK(cow_image_next_data(model->image, at, &found, &len, err));
		CHECK(found >= at && found + len <= model->size_bytes);
		CHECK(len || found == model->size_bytes);
		CHECK(is_all_zero(model->bytes + at, found - at));
		at = found + len;
	}
}

static void model_write(struct model *model, uint64_t at, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		model->bytes[at + i] = (uint8_t)(test_random(&model->random) | 1);
	OK(cow_image_pwrite(model->image, model->bytes + at, len, at, err));
}

static void model_writev(struct model *model, uint64_t at, uint64_t len)
{
	uint64_t first = model_random(model, len + 1);
	struct iovec iov[3] = {
		{ model->bytes + at, first },
		{ NULL, 0 },
		{ model->bytes + at + first, len - first },
	};

	for (uint64_t i = 0; i < len; i++)
		model->bytes[at + i] = (uint8_t)test_random(&model->random);
	OK(cow_image_pwritev(model->image, iov, 3, at, err));
}

static void model_step(struct model *model)
{
	uint64_t at = model_random(model, model->size_bytes + 1);
	uint64_t len = model_random(model, model->size_bytes - at + 1);

	if (model_random(model, 2))
		len = min_u64(len, 1 + model_random(model, 5000));
	switch (model_random(model, 5)) {
	case 0:
		model_write(model, at, len);
		break;
	case 1:
		model_writev(model, at, len);
		break;
	case 2:
		memset(model->bytes + at, 0, len);
		OK(cow_image_write_zeroes(model->image, at, len, err));
		break;
	case 3:
		OK(cow_image_pread(model->image, model->scratch, len, at, err));
		CHECK(!memcmp(model->scratch, model->bytes + at, len));
		break;
	default:
		OK(cow_image_flush(model->image, err));
		model_compare(model);
	}
}

/* Takes the image's bytes as they are and then changes both. */
static void model_run(struct cow_image *image, unsigned int nr_steps)
{
	struct model *model = (struct model *)calloc(1, sizeof(*model));

	CHECK(model && cow_image_size(image) <= MODEL_BYTES);
	model->image = image;
	model->size_bytes = cow_image_size(image);
	model->random = test_seed();
	OK(cow_image_pread(image, model->bytes, model->size_bytes, 0, err));
	while (nr_steps--)
		model_step(model);
	model_compare(model);
	free(model);
}

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

int main(void)
{
	RUN(memory_behaves_like_bytes);
	RUN(memory_of_16_tib_costs_only_what_is_written);
	RUN(the_largest_memory_image_works);
	RUN(zero_image_reads_zeros_and_refuses_writes);
	RUN(a_range_outside_is_refused_everywhere);
	RUN(an_error_names_image_and_offset);
	RUN(statistics_count_bytes_and_calls);
	return test_end();
}
