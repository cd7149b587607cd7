/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_fill.c - a store made and filled in place, over an old one, cut off
 * anywhere: from the difference of two images, and by patches one over the
 * other as a chain of exports is. With every pair of chunk sizes. At every state
 * there is the old store (all of it), none, or the new one; never a part.
 * usage: crash_fill [number of states]
 */
#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "tests/aids/crash.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

#define MARK_RELEASED 1
#define NR_CHUNK_SIZES 5

struct fill_job {
	const struct randstore *old;
	uint64_t chunk_bytes; /* of the new store */
	const uint8_t *wanted;
	const uint8_t *middle; /* NULL: by the difference; else first this */
};

/* What there is: 'n' none, 'o' the old store, 'w' the one that is wanted; ends
 * the program if it is anything else. */
static char state_of(const struct fill_job *job, struct cow_image *cow)
{
	uint64_t size = job->old->origin_bytes;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	uint8_t *bytes = (uint8_t *)malloc(size);
	struct cow_image *origin, *view;
	struct cow_store *store;
	char state = 'n';

	CHECK(bytes != NULL);
	OK(crash_flat_new(job->old->origin, size, "origin", &origin, err));
	if (!pair_open(origin, cow, &store, NULL)) {
		OK(cow_view_new(origin, store, &view, err));
		OK(cow_image_pread(view, bytes, size, 0, err));
		CHECK(!cow_store_get_info(store, &info));
		if (info.chunk_bytes == job->chunk_bytes && !memcmp(bytes, job->wanted, size))
			state = 'w';
		else if (!memcmp(bytes, job->old->view, size))
			state = 'o';
		else
			CHECK(!"neither the old store nor the new one");
		cow_image_close(view);
		cow_store_close(store);
	} else {
		uint8_t head[512];

		OK(cow_image_pread(cow, head, sizeof(head), 0, err));
		CHECK(is_all_zero(head, sizeof(head)));
	}
	cow_image_close(origin);
	free(bytes);
	return state;
}

static int patch_to(struct cow_patch *patch, const uint8_t *from, const uint8_t *to, uint64_t size,
		    struct cow_err *err)
{
	int ret = 0;

	for (uint64_t at = 0; at < size && !ret; at += COW_SECTOR_BYTES)
		if (memcmp(from + at, to + at, COW_SECTOR_BYTES))
			ret = cow_patch_write(
				patch, at, is_all_zero(to + at, COW_SECTOR_BYTES) ? NULL : to + at,
				COW_SECTOR_BYTES, err);
	return ret ? ret : cow_patch_finish(patch, err);
}

static int fill_store(const struct fill_job *job, struct cow_store *store, struct cow_image *origin,
		      struct cow_err *err)
{
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
	uint64_t size = job->old->origin_bytes;
	struct cow_patch *patch = NULL;
	struct cow_image *image = NULL;
	int ret;

	if (!job->middle) {
		ret = crash_flat_new((uint8_t *)(uintptr_t)job->wanted, size, "image", &image, err);
		if (!ret)
			ret = cow_diff_fill(store, origin, image, NULL, &stats, err);
		cow_image_close(image);
		return ret;
	}
	ret = cow_patch_new(store, origin, &patch, err);
	if (!ret)
		ret = patch_to(patch, job->old->origin, job->middle, size, err);
	if (!ret)
		ret = patch_to(patch, job->middle, job->wanted, size, err);
	cow_patch_free(patch);
	return ret;
}

static int fill_withheld(const struct fill_job *job, struct cow_image *cow,
			 struct cow_image *origin, struct cow_err *err)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct cow_store *store = NULL;
	int ret;

	create.origin_bytes = job->old->origin_bytes;
	create.chunk_bytes = job->chunk_bytes;
	ret = cow_create(cow, &create, err);
	if (!ret)
		ret = pair_open(origin, cow, &store, err);
	if (!ret)
		ret = fill_store(job, store, origin, err);
	cow_store_close(store);
	return ret ? ret : cow_image_withhold_release(cow, err);
}

static int fill_run(void *user, struct cow_image **images, struct crash_run *run,
		    struct cow_err *err)
{
	const struct fill_job *job = (const struct fill_job *)user;
	struct cow_image *origin = NULL, *withhold = NULL;
	int ret = 0;

	/* Making again what is there would take back what the mark promises. */
	if (state_of(job, images[0]) != 'w') {
		ret = crash_flat_new(job->old->origin, job->old->origin_bytes, "origin", &origin,
				     err);
		if (!ret)
			ret = cow_image_withhold_new(images[0], &withhold, err);
		if (!ret)
			ret = fill_withheld(job, withhold, origin, err);
		cow_image_close(withhold);
		cow_image_close(origin);
	}
	if (!ret)
		crash_mark(run, MARK_RELEASED);
	return ret;
}

static void fill_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	char state = state_of((const struct fill_job *)user, images[0]);

	CHECK(state == 'w' || mark < MARK_RELEASED);
}

static void fill_check_done(void *user, struct cow_image **images)
{
	fill_check_state(user, images, MARK_RELEASED);
}

/* Some chunks of another kind, some zeros. */
static uint8_t *draw_image(const uint8_t *from, uint64_t size, uint64_t *random)
{
	uint8_t *bytes = (uint8_t *)malloc(size);

	CHECK(bytes != NULL);
	memcpy(bytes, from, size);
	for (uint64_t n = 1 + test_random(random) % 30; n; n--) {
		uint64_t at = test_random(random) % size;
		uint64_t len = 1 + test_random(random) % min_u64(size - at, 3000);

		if (test_random(random) % 4)
			random_fill(bytes + at, len, random);
		else
			memset(bytes + at, 0, len);
	}
	return bytes;
}

/* number chooses the pair of chunk sizes. */
static void explore_one(uint64_t number, uint64_t *random, struct crash_counts *counts)
{
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct fill_job fill = { .chunk_bytes = UINT64_C(512)
						<< number / NR_CHUNK_SIZES % NR_CHUNK_SIZES };
	struct crash_job job = {
		.name = "fill",
		.nr_images = 1,
		.user = &fill,
		.run = fill_run,
		.check_state = fill_check_state,
		.check_done = fill_check_done,
	};
	struct randstore rs;
	uint8_t *wanted, *middle = NULL, *cow;
	uint64_t cow_bytes;

	randstore_make_chunks(&rs, random, 2 + test_random(random) % 60,
			      UINT64_C(512) << number % NR_CHUNK_SIZES);
	wanted = draw_image(rs.origin, rs.origin_bytes, random);
	if (test_random(random) % 2)
		middle = draw_image(rs.origin, rs.origin_bytes, random);
	create.origin_bytes = rs.origin_bytes;
	create.chunk_bytes = fill.chunk_bytes;
	OK(cow_create_size(&create, &cow_bytes, err));
	cow_bytes = max_u64(cow_bytes, rs.cow_bytes);
	cow = (uint8_t *)malloc(cow_bytes);
	CHECK(cow != NULL);
	random_fill(cow, cow_bytes, random);
	memcpy(cow, rs.cow, rs.cow_bytes);
	fill.old = &rs;
	fill.wanted = wanted;
	fill.middle = middle;
	crash_explore(&job, (uint8_t *[]){ cow }, (uint64_t[]){ cow_bytes }, &limits,
		      test_random(random), counts);
	randstore_free(&rs);
	free(wanted);
	free(middle);
	free(cow);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 50000;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();

	test_name = "fill";
	for (uint64_t number = 0;
	     number < NR_CHUNK_SIZES * NR_CHUNK_SIZES || counts.nr_states < wanted; number++)
		explore_one(number, &random, &counts);
	crash_print("fill", &counts);
	return 0;
}
