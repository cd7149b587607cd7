/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_thin_append.c - an external origin is written to, on which all devices of a pool
 * stand, and the power goes at any instant, on origin, metadata and data apart. At every
 * state the pool is sound with all counts, and each device shows what it showed (I4, I14).
 * The same write, done again, goes through (I6).
 * usage: crash_thin_append [number of states]
 */
#include "tests/aids/crash.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_world.h"

enum { METADATA, DATA, ORIGIN, NR_IMAGES };

#define METADATA_BYTES (UINT64_C(80) * 4096)
#define BLOCK_BYTES UINT64_C(65536)
#define NR_BLOCKS 3
#define DATA_BYTES (12 * BLOCK_BYTES)

#define ORIGIN_BYTES (NR_BLOCKS * BLOCK_BYTES - 100 * 512)

struct job {
	struct thin_world world;
	uint64_t offset, len;
	uint8_t *buf;
};

static int append_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	struct job now = *(const struct job *)user;
	struct cow_store *stores[THIN_WORLD_DEVICES];
	struct thin_world_pool pool;
	size_t nr = 0;
	int ret = 0;

	now.world.below = images[ORIGIN];
	thin_world_pool(&now.world, images[METADATA], images[DATA], &pool);
	for (; !ret && nr < now.world.nr_devices; nr += !ret)
		ret = thin_world_device(&now.world, &pool, &now.world.devices[nr],
					nr ? stores[0] : NULL, &stores[nr], err);
	if (!ret)
		ret = cow_copyout_write(images[ORIGIN], stores, nr, now.buf, now.len, now.offset,
					err);
	while (nr)
		cow_store_close(stores[--nr]);
	if (!ret)
		ret = cow_image_flush(images[ORIGIN], err);
	if (!ret)
		crash_mark(run, 1);
	return ret;
}

static void append_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	struct job now = *(const struct job *)user;
	uint8_t *bytes = malloc(now.len);

	CHECK(bytes);
	now.world.below = images[ORIGIN];
	thin_world_shows(&now.world, images[METADATA], images[DATA]);
	OK(cow_image_pread(images[ORIGIN], bytes, now.len, now.offset, err));
	CHECK(!mark || !memcmp(bytes, now.buf, now.len));
	free(bytes);
}

static void append_check_done(void *user, struct cow_image **images)
{
	append_check_state(user, images, 1);
}

/* Some devices, and a write. */
static void job_make(struct job *job, uint8_t *const *bytes, uint64_t *random)
{
	struct cow_image *metadata, *data;
	struct thin_world_pool pool;
	struct thin_world_plan plan;

	OK(crash_flat_new(bytes[METADATA], METADATA_BYTES, "metadata", &metadata, err));
	OK(crash_flat_new(bytes[DATA], DATA_BYTES, "data", &data, err));
	thin_world_new(&job->world, metadata, data, BLOCK_BYTES, NR_BLOCKS, ORIGIN_BYTES, random);
	OK(cow_image_pread(job->world.below, bytes[ORIGIN], ORIGIN_BYTES, 0, err));
	thin_world_pool(&job->world, metadata, data, &pool);
	for (uint64_t nr = 1 + test_random(random) % 3; nr; nr--) {
		thin_world_plan(&job->world,
				job->world.nr_devices && test_random(random) % 2
					? &job->world.devices[0]
					: NULL,
				random, &plan);
		OK(thin_world_fill(&job->world, &pool, &plan, 0, err));
		thin_world_take(&job->world, &plan);
		free(plan.made.bytes);
	}
	cow_image_close(metadata);
	cow_image_close(data);
	job->offset = test_random(random) % (ORIGIN_BYTES / 512) * 512;
	job->len = (1 + test_random(random) % 40) * 512;
	if (job->len > ORIGIN_BYTES - job->offset)
		job->len = ORIGIN_BYTES - job->offset;
	job->buf = malloc(job->len);
	CHECK(job->buf);
	for (uint64_t i = 0; i < job->len; i++)
		job->buf[i] = (uint8_t)test_random(random);
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[NR_IMAGES] = { METADATA_BYTES, DATA_BYTES, ORIGIN_BYTES };
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 300;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();

	test_name = "thin-append";
	while (counts.nr_states < wanted) {
		uint8_t *bytes[NR_IMAGES] = { calloc(1, METADATA_BYTES), calloc(1, DATA_BYTES),
					      calloc(1, ORIGIN_BYTES) };
		struct job append;
		const struct crash_job job = {
			.name = "thin-append",
			.nr_images = NR_IMAGES,
			.user = &append,
			.may_fail = true,
			.run = append_run,
			.check_state = append_check_state,
			.check_done = append_check_done,
		};

		CHECK(bytes[METADATA] && bytes[DATA] && bytes[ORIGIN]);
		job_make(&append, bytes, &random);
		crash_explore(&job, bytes, sizes, &limits, test_random(&random), &counts);
		free(append.buf);
		thin_world_free(&append.world);
		free(bytes[METADATA]);
		free(bytes[DATA]);
		free(bytes[ORIGIN]);
	}
	crash_print("thin-append", &counts);
	return 0;
}
