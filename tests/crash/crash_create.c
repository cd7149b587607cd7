/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_create.c - creating a store, cut off anywhere: on a device full of
 * rubbish, and over an old store, with every pair of chunk sizes. At every
 * state there is the old store (all of it), none, or the new one; never a
 * mixture of a header and the other one's records.
 * usage: crash_create [number of states]
 */
#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "tests/aids/crash.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

#define MARK_CREATED 1
/* Chunk sizes of the old store and of the new one. */
#define NR_OLD 5
#define NR_NEW 6

struct create_job {
	const struct randstore *old;
	bool has_old;
	uint64_t chunk_bytes; /* of the new store */
};

/* Creating again what is there would take back what the mark promises. */
static bool is_done(const struct create_job *job, struct cow_image *cow)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;

	if (pair_open(NULL, cow, &store, NULL))
		return false;
	CHECK(!cow_store_get_info(store, &info));
	cow_store_close(store);
	return !info.nr_exceptions && info.chunk_bytes == job->chunk_bytes;
}

static int create_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	const struct create_job *job = (const struct create_job *)user;
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	int ret = 0;

	params.chunk_bytes = job->chunk_bytes;
	if (!is_done(job, images[0]))
		ret = cow_create(images[0], &params, err);
	if (!ret)
		crash_mark(run, MARK_CREATED);
	return ret;
}

static void check_old_store(const struct create_job *job, struct cow_image *cow)
{
	struct cow_image *origin;

	CHECK(job->has_old);
	OK(crash_flat_new(job->old->origin, job->old->origin_bytes, "origin", &origin, err));
	pair_check_view(origin, cow, job->old->view);
	cow_image_close(origin);
}

/* What the kernel takes for a device that was never used, or for no store;
 * open() may say that one was there (records without a header). */
static bool is_no_store(struct cow_image *cow)
{
	uint8_t raw[512];

	OK(cow_image_pread(cow, raw, sizeof(raw), 0, err));
	return memcmp(raw, "SnAp", 4) != 0;
}

static void create_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct create_job *job = (const struct create_job *)user;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_err err = COW_ERR_INIT;
	struct cow_store *store;
	int ret = pair_open(NULL, images[0], &store, &err);

	if ((ret == -EMEDIUMTYPE || ret == -EBADMSG) && mark < MARK_CREATED &&
	    is_no_store(images[0]))
		return;
	if (ret)
		fprintf(stderr, "open: %d (%s)\n", ret, err.message);
	CHECK_EQ(ret, 0);
	CHECK(!cow_store_get_info(store, &info));
	cow_store_close(store);
	if (mark == MARK_CREATED || !info.nr_exceptions)
		pair_check_empty(images[0], info.chunk_bytes);
	else
		check_old_store(job, images[0]);
}

static void create_check_done(void *user, struct cow_image **images)
{
	const struct create_job *job = (const struct create_job *)user;

	pair_check_empty(images[0], job->chunk_bytes);
}

/* number chooses the pair of chunk sizes. */
static void explore_one(uint64_t number, uint64_t *random, struct crash_counts *counts)
{
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct randstore old;
	struct create_job create = { .old = &old };
	struct crash_job job = {
		.name = "create",
		.nr_images = 1,
		.user = &create,
		.run = create_run,
		.check_state = create_check_state,
		.check_done = create_check_done,
	};
	uint64_t cow_bytes;
	uint8_t *cow;

	randstore_make_chunks(&old, random, 60, UINT64_C(512) << number % NR_OLD);
	create.chunk_bytes = UINT64_C(512) << number / NR_OLD % NR_NEW;
	create.has_old = number / NR_OLD / NR_NEW == 0 || test_random(random) % 4 != 0;
	if (!create.has_old)
		put_le32(old.cow, test_random(random) % 2 ? 0 : 0xfeedbeef);
	cow_bytes = max_u64(old.cow_bytes, 3 * create.chunk_bytes);
	cow = (uint8_t *)malloc(cow_bytes);
	CHECK(cow != NULL);
	random_fill(cow, cow_bytes, random);
	memcpy(cow, old.cow, old.cow_bytes);
	crash_explore(&job, (uint8_t *[]){ cow }, (uint64_t[]){ cow_bytes }, &limits,
		      test_random(random), counts);
	free(cow);
	randstore_free(&old);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 15000;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();

	test_name = "create";
	for (uint64_t number = 0; number < NR_OLD * NR_NEW || counts.nr_states < wanted; number++)
		explore_one(number, &random, &counts);
	crash_print("create", &counts);
	return 0;
}
