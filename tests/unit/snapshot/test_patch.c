/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Writing to a snapshot, and stores made from a difference, against a flat
 * array; every store is opened again before its view is believed. */
#include <errno.h>

#include "tests/aids/test.h"

#define MIB (UINT64_C(1) << 20)

static uint64_t seed;

static uint64_t below(uint64_t limit)
{
	return test_random(&seed) % limit;
}

struct pair {
	struct cow_image *origin, *cow;
	struct cow_store *store;
	uint64_t size, chunk;
	uint8_t *model;
};

static void pair_open_store(struct pair *pair)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image images[] = {
		{ COW_ROLE_ORIGIN, 0, pair->origin },
		{ COW_ROLE_COW, 0, pair->cow },
	};

	args.images = images;
	args.nr_images = 2;
	OK(cow_store_open(&args, &pair->store, err));
}

/* Zeros, or one of three bytes. */
static void scribble(struct cow_image *image, unsigned int nr)
{
	uint64_t size = cow_image_size(image);
	static uint8_t buf[64 << 10];

	while (nr--) {
		uint64_t offset = below(size / 512) * 512;
		uint64_t len = (1 + below(sizeof(buf) / 512)) * 512;

		len = len > size - offset ? size - offset : len;
		memset(buf, (int)below(3), len);
		OK(cow_image_pwrite(image, buf, len, offset, err));
	}
}

static void pair_new(struct pair *pair, uint64_t size, uint64_t chunk)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	uint64_t cow_bytes;

	pair->size = size;
	pair->chunk = chunk;
	create.origin_bytes = size;
	create.chunk_bytes = chunk;
	OK(cow_create_size(&create, &cow_bytes, err));
	if (cow_bytes < 3 * chunk)
		cow_bytes = 3 * chunk;
	OK(cow_image_memory_new(size, &pair->origin, err));
	OK(cow_image_memory_new(cow_bytes, &pair->cow, err));
	scribble(pair->origin, 8);
	/* What was on the COW image before must not show through. */
	scribble(pair->cow, 40);
	OK(cow_create(pair->cow, &create, err));
	pair_open_store(pair);
	pair->model = malloc(size);
	OK(cow_image_pread(pair->origin, pair->model, size, 0, err));
}

static void pair_free(struct pair *pair)
{
	cow_store_close(pair->store);
	cow_image_close(pair->cow);
	cow_image_close(pair->origin);
	free(pair->model);
}

/* The view of the store as the next one would read it. */
static void check_view(struct pair *pair)
{
	uint8_t *got = malloc(pair->size);
	struct cow_image *view;

	cow_store_close(pair->store);
	pair_open_store(pair);
	OK(cow_view_new(pair->origin, pair->store, &view, err));
	OK(cow_image_pread(view, got, pair->size, 0, err));
	CHECK(!memcmp(got, pair->model, pair->size));
	cow_image_close(view);
	free(got);
}

/* One ascending pass of random writes. */
static void random_pass(struct pair *pair, struct cow_patch *patch, bool is_sparse)
{
	static uint8_t buf[256 << 10];
	uint64_t at = 0;

	for (;;) {
		uint64_t len = (1 + below(below(2) ? 12 : sizeof(buf) / 512)) * 512;
		bool is_zero = !below(4);

		at += below(is_sparse ? 600 : 20) * 512;
		if (at >= pair->size)
			break;
		len = len > pair->size - at ? pair->size - at : len;
		memset(buf, is_zero ? 0 : (int)(3 + below(200)), len);
		OK(cow_patch_write(patch, at, is_zero ? NULL : buf, len, err));
		memcpy(pair->model + at, buf, len);
		at += len;
	}
	OK(cow_patch_finish(patch, err));
}

static void random_patches_give_the_view_of_the_model(void)
{
	for (unsigned int round = 0; round < 40; round++) {
		struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
		struct cow_store_info info = COW_STORE_INFO_INIT;
		struct cow_patch *patch;
		struct pair pair;

		pair_new(&pair, (1 + below(5000)) * 512, UINT64_C(512) << below(13));
		OK(cow_patch_new(pair.store, pair.origin, &patch, err));
		random_pass(&pair, patch, round & 1);
		random_pass(&pair, patch, round & 2);
		OK(cow_patch_get_stats(patch, &stats));
		cow_patch_free(patch);
		check_view(&pair);
		OK(cow_store_get_info(pair.store, &info));
		CHECK_EQ(info.nr_exceptions, stats.nr_chunks);
		pair_free(&pair);
	}
}

static void an_unwritten_part_of_a_chunk_comes_from_the_origin(void)
{
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
	struct cow_patch *patch;
	struct pair pair;
	static uint8_t sector[512];

	/* A chunk of 4 MiB, and an origin that ends inside of it. */
	pair_new(&pair, 3 * MIB + 512, 4 * MIB);
	memset(sector, 9, sizeof(sector));
	OK(cow_patch_new(pair.store, pair.origin, &patch, err));
	OK(cow_patch_write(patch, 2 * MIB, sector, 512, err));
	memcpy(pair.model + 2 * MIB, sector, 512);
	OK(cow_patch_finish(patch, err));
	OK(cow_patch_get_stats(patch, &stats));
	CHECK_EQ(stats.nr_chunks, 1);
	CHECK(stats.data_bytes < 3 * MIB);
	cow_patch_free(patch);
	check_view(&pair);
	pair_free(&pair);
}

static void writes_that_go_back_or_out_are_refused(void)
{
	static uint8_t sector[1024];
	struct cow_patch *patch;
	struct pair pair;

	pair_new(&pair, MIB, 4096);
	OK(cow_patch_new(pair.store, pair.origin, &patch, err));
	OK(cow_patch_write(patch, 8192, sector, 512, err));
	FAILS(-EINVAL, cow_patch_write(patch, 8192, sector, 512, err));
	FAILS(-EINVAL, cow_patch_write(patch, 0, sector, 512, err));
	FAILS(-EINVAL, cow_patch_write(patch, 16384, sector, 100, err));
	FAILS(-ERANGE, cow_patch_write(patch, MIB - 512, sector, 1024, err));
	FAILS(-ERANGE, cow_patch_write(patch, UINT64_MAX - 511, sector, 512, err));
	cow_patch_free(patch);
	pair_free(&pair);
}

/* Fills from an image, and checks the measure against what was done. */
static void fill_pair(struct pair *pair, struct cow_image *image)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
	struct cow_diff_size size = COW_DIFF_SIZE_INIT;

	create.chunk_bytes = pair->chunk;
	OK(cow_image_pread(image, pair->model, pair->size, 0, err));
	OK(cow_diff_measure(pair->origin, image, &create, NULL, &size, err));
	OK(cow_diff_fill(pair->store, pair->origin, image, NULL, &stats, err));
	CHECK_EQ(size.nr_chunks, stats.nr_chunks);
	if (pair->chunk <= MIB)
		CHECK_EQ(size.data_bytes, stats.data_bytes);
	CHECK(size.required_bytes <= cow_image_size(pair->cow));
	check_view(pair);
}

/* A chunk is in the store exactly if it differs. */
static void check_exceptions(struct pair *pair)
{
	uint8_t *base = malloc(pair->size);
	struct cow_extent extent;

	OK(cow_image_pread(pair->origin, base, pair->size, 0, err));
	for (uint64_t at = 0; at < pair->size; at += pair->chunk) {
		uint64_t len = pair->size - at < pair->chunk ? pair->size - at : pair->chunk;
		bool found = cow_store_next_extent(pair->store, at, &extent);

		found = found && extent.old_bytes == at;
		CHECK_EQ(found, memcmp(base + at, pair->model + at, len) != 0);
	}
	free(base);
}

static void a_store_of_a_difference_has_the_chunks_that_differ(void)
{
	for (unsigned int round = 0; round < 40; round++) {
		struct cow_image *image;
		struct pair pair;

		pair_new(&pair, (1 + below(9000)) * 512, UINT64_C(512) << below(14));
		OK(cow_image_overlay_new(pair.origin, &image, err));
		scribble(image, (unsigned int)below(20));
		fill_pair(&pair, image);
		check_exceptions(&pair);
		cow_image_close(image);
		pair_free(&pair);
	}
}

static void a_view_is_made_again_with_another_chunk_size(void)
{
	for (unsigned int round = 0; round < 20; round++) {
		struct cow_image *view;
		struct cow_patch *patch;
		struct pair first, second;

		pair_new(&first, (1 + below(5000)) * 512, UINT64_C(512) << below(9));
		OK(cow_patch_new(first.store, first.origin, &patch, err));
		random_pass(&first, patch, true);
		cow_patch_free(patch);
		OK(cow_view_new(first.origin, first.store, &view, err));
		pair_new(&second, first.size, UINT64_C(512) << below(9));
		cow_store_close(second.store);
		cow_image_close(second.origin);
		second.origin = first.origin;
		pair_open_store(&second);
		fill_pair(&second, view);
		check_exceptions(&second);
		second.origin = NULL;
		cow_image_close(view);
		pair_free(&first);
		pair_free(&second);
	}
}

static void a_store_that_holds_something_is_not_filled(void)
{
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
	static uint8_t sector[512] = { 1 };
	struct cow_patch *patch;
	struct pair pair;

	pair_new(&pair, MIB, 4096);
	OK(cow_patch_new(pair.store, pair.origin, &patch, err));
	OK(cow_patch_write(patch, 8192, sector, 512, err));
	OK(cow_patch_finish(patch, err));
	cow_patch_free(patch);
	FAILS(-EINVAL, cow_diff_fill(pair.store, pair.origin, pair.origin, NULL, &stats, err));
	pair_free(&pair);
}

int main(void)
{
	seed = test_seed();
	RUN(random_patches_give_the_view_of_the_model);
	RUN(an_unwritten_part_of_a_chunk_comes_from_the_origin);
	RUN(writes_that_go_back_or_out_are_refused);
	RUN(a_store_of_a_difference_has_the_chunks_that_differ);
	RUN(a_view_is_made_again_with_another_chunk_size);
	RUN(a_store_that_holds_something_is_not_filled);
	return test_end();
}
