/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/randstore.h"

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "tests/aids/crash.h"
#include "tests/aids/test.h"

static void *must(void *p)
{
	CHECK(p != NULL);
	return p;
}

void random_fill(uint8_t *buf, uint64_t len_bytes, uint64_t *random)
{
	for (uint64_t at = 0; at < len_bytes; at++)
		buf[at] = (uint8_t)(test_random(random) >> 7);
}

int pair_open(struct cow_image *origin, struct cow_image *cow, struct cow_store **ret_store,
	      struct cow_err *err)
{
	struct cow_role_image images[2] = {
		{ .role = COW_ROLE_COW, .image = cow },
		{ .role = COW_ROLE_ORIGIN, .image = origin },
	};
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.images = images;
	args.nr_images = origin ? 2 : 1;
	return cow_store_open(&args, ret_store, err);
}

static void pair_check(struct cow_image *origin, struct cow_image *cow, bool is_sound)
{
	struct cow_role_image images[2] = {
		{ .role = COW_ROLE_COW, .image = cow },
		{ .role = COW_ROLE_ORIGIN, .image = origin },
	};
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;

	args.images = images;
	args.nr_images = origin ? 2 : 1;
	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(&args, &params, report, &verdict, err));
	CHECK(verdict.kernel_loads && verdict.valid);
	if (is_sound || !verdict.is_doubtful) {
		CHECK(verdict.view_right && verdict.merge_right);
		CHECK_EQ(cow_report_count(report, COW_CLASS_DAMAGE), 0);
		CHECK_EQ(cow_report_count(report, COW_CLASS_LOST), 0);
	}
	cow_report_free(report);
}

void pair_check_sound(struct cow_image *origin, struct cow_image *cow)
{
	pair_check(origin, cow, true);
}

void pair_check_loads(struct cow_image *origin, struct cow_image *cow)
{
	pair_check(origin, cow, false);
}

void pair_check_view(struct cow_image *origin, struct cow_image *cow, const uint8_t *view)
{
	uint64_t size = cow_image_size(origin);
	uint8_t *bytes = (uint8_t *)must(malloc(size));
	struct cow_store *store;
	struct cow_image *image;

	OK(pair_open(origin, cow, &store, err));
	OK(cow_view_new(origin, store, &image, err));
	CHECK_EQ(cow_image_size(image), size);
	OK(cow_image_pread(image, bytes, size, 0, err));
	CHECK(!memcmp(bytes, view, size));
	cow_image_close(image);
	cow_store_close(store);
	free(bytes);
}

void pair_check_empty(struct cow_image *cow, uint64_t chunk_bytes)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	uint8_t *area = (uint8_t *)must(malloc(chunk_bytes));
	struct cow_store *store;

	OK(pair_open(NULL, cow, &store, err));
	CHECK(!cow_store_get_info(store, &info));
	CHECK(info.valid);
	CHECK_EQ(info.chunk_bytes, chunk_bytes);
	CHECK_EQ(info.nr_exceptions, 0);
	cow_store_close(store);
	OK(cow_image_pread(cow, area, chunk_bytes, chunk_bytes, err));
	CHECK(is_all_zero(area, chunk_bytes));
	free(area);
}

bool pair_is_torn(struct cow_image *cow)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;
	uint64_t per_area, within;
	uint8_t *area;
	bool is_torn;

	OK(pair_open(NULL, cow, &store, err));
	CHECK(!cow_store_get_info(store, &info));
	cow_store_close(store);
	per_area = info.chunk_bytes / 16;
	within = info.nr_exceptions % per_area * 16;
	area = (uint8_t *)must(malloc(info.chunk_bytes));
	OK(cow_image_pread(cow, area, info.chunk_bytes,
			   (1 + info.nr_exceptions / per_area * (per_area + 1)) * info.chunk_bytes,
			   err));
	is_torn = !is_all_zero(area + within, info.chunk_bytes - within);
	free(area);
	return is_torn;
}

int chunk_append(const struct randstore *rs, struct cow_store *store, uint64_t chunk,
		 const uint8_t *view, struct cow_err *err)
{
	uint64_t at = chunk * rs->chunk_bytes;
	uint64_t len = min_u64(rs->chunk_bytes, rs->origin_bytes - at);
	uint8_t *buf = (uint8_t *)must(malloc(rs->chunk_bytes));
	int ret;

	memset(buf, 0xee, rs->chunk_bytes);
	memcpy(buf, view + at, len);
	ret = cow_store_append(store, at, buf, rs->chunk_bytes, err);
	free(buf);
	return ret;
}

void randstore_append(struct randstore *rs, struct cow_store *store, uint64_t chunk, uint64_t nr,
		      uint64_t *random)
{
	for (; nr && chunk < rs->nr_chunks; nr--, chunk++) {
		uint64_t at = chunk * rs->chunk_bytes;

		if (rs->has_exception[chunk])
			continue;
		random_fill(rs->view + at, min_u64(rs->chunk_bytes, rs->origin_bytes - at), random);
		OK(chunk_append(rs, store, chunk, rs->view, err));
		rs->has_exception[chunk] = true;
		rs->nr_exceptions++;
	}
}

void randstore_empty(struct randstore *rs, uint64_t *random, uint64_t chunk_bytes,
		     uint64_t origin_bytes)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	struct cow_image *cow;

	params.chunk_bytes = rs->chunk_bytes = chunk_bytes;
	params.origin_bytes = rs->origin_bytes = origin_bytes;
	OK(cow_create_size(&params, &rs->cow_bytes, err));
	rs->nr_chunks = div_ceil(origin_bytes, chunk_bytes);
	rs->nr_exceptions = 0;
	rs->origin = (uint8_t *)must(malloc(rs->origin_bytes));
	rs->view = (uint8_t *)must(malloc(rs->origin_bytes));
	rs->cow = (uint8_t *)must(malloc(rs->cow_bytes));
	rs->has_exception = (bool *)must(calloc(rs->nr_chunks, sizeof(bool)));
	random_fill(rs->origin, rs->origin_bytes, random);
	memcpy(rs->view, rs->origin, rs->origin_bytes);
	/* A device full of old rubbish, as after lvcreate. */
	random_fill(rs->cow, rs->cow_bytes, random);
	memset(rs->cow, 0, COW_SECTOR_BYTES);
	OK(crash_flat_new(rs->cow, rs->cow_bytes, "cow", &cow, err));
	OK(cow_create(cow, &params, err));
	cow_image_close(cow);
}

void randstore_make(struct randstore *rs, uint64_t *random, uint64_t nr_chunks_max)
{
	/* Small chunks more often: their stores have more areas. One sector
	 * cannot be torn, so it is not the commonest. */
	static const uint8_t shifts[] = { 0, 0, 0, 1, 1, 1, 1, 2, 3, 4 };

	randstore_make_chunks(rs, random, nr_chunks_max,
			      UINT64_C(512) << shifts[test_random(random) % sizeof(shifts)]);
}

void randstore_make_chunks(struct randstore *rs, uint64_t *random, uint64_t nr_chunks_max,
			   uint64_t chunk_bytes)
{
	uint64_t sectors = chunk_bytes / COW_SECTOR_BYTES;
	uint64_t nr_chunks = 1 + test_random(random) % nr_chunks_max;
	uint64_t nr_runs = test_random(random) % (nr_chunks_max + 1);
	uint64_t run_max = 1 + test_random(random) % 16;
	struct cow_image *cow;
	struct cow_store *store;

	randstore_empty(rs, random, chunk_bytes,
			(nr_chunks * sectors - test_random(random) % sectors) * COW_SECTOR_BYTES);
	OK(crash_flat_new(rs->cow, rs->cow_bytes, "cow", &cow, err));
	OK(pair_open(NULL, cow, &store, err));
	for (; nr_runs; nr_runs--) {
		randstore_append(rs, store, test_random(random) % rs->nr_chunks,
				 1 + test_random(random) % run_max, random);
		if (test_random(random) % 4 == 0)
			OK(cow_store_publish(store, err));
	}
	OK(cow_store_publish(store, err));
	cow_store_close(store);
	cow_image_close(cow);
}

void randstore_free(struct randstore *rs)
{
	free(rs->origin);
	free(rs->cow);
	free(rs->view);
	free(rs->has_exception);
}
