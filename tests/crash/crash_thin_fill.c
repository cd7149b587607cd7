/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_thin_fill.c - a device of a pool is made with what an image has, and the power goes
 * at any instant, on metadata and data apart. At every state the pool is sound with all
 * counts, and is the one before or the one with the whole device (I14); what the other
 * devices show never changes (I16). The same call, run again, makes the device (I6).
 * usage: crash_thin_fill [number of states]
 */
#include <errno.h>

#include "tests/aids/crash.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_world.h"

enum { METADATA, DATA, NR_IMAGES };

#define METADATA_BYTES (UINT64_C(40) * 4096)
#define BLOCK_BYTES UINT64_C(65536)
#define NR_BLOCKS 3
#define DATA_BYTES (12 * BLOCK_BYTES)

struct job {
	struct thin_world world;
	struct thin_world_plan plan;
};

static int fill_run(void *user, struct cow_image **images, struct crash_run *run,
		    struct cow_err *err)
{
	const struct job *job = (const struct job *)user;
	struct thin_world_pool pool;
	int ret;

	thin_world_pool(&job->world, images[METADATA], images[DATA], &pool);
	ret = thin_world_fill(&job->world, &pool, &job->plan, 0, err);
	if (ret == -EEXIST) /* it was there already */
		ret = 0;
	if (!ret)
		crash_mark(run, 1);
	return ret;
}

static void fill_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	struct job now = *(const struct job *)user;

	if (thin_world_has(&now.world, images[METADATA], images[DATA], now.plan.made.id))
		thin_world_take(&now.world, &now.plan);
	else
		CHECK(!mark);
	thin_world_check(&now.world, images[METADATA], images[DATA]);
	if (now.world.nr_devices > ((const struct job *)user)->world.nr_devices)
		free(now.world.devices[now.world.nr_devices - 1].bytes);
}

static void fill_check_done(void *user, struct cow_image **images)
{
	fill_check_state(user, images, 1);
}

/* Some devices, and one that is to be made. */
static void job_make(struct job *job, uint8_t *const *bytes, uint64_t *random)
{
	struct cow_image *metadata, *data;
	struct thin_world_pool pool;
	struct thin_world_plan plan;

	OK(crash_flat_new(bytes[METADATA], METADATA_BYTES, "metadata", &metadata, err));
	OK(crash_flat_new(bytes[DATA], DATA_BYTES, "data", &data, err));
	thin_world_new(&job->world, metadata, data, BLOCK_BYTES, NR_BLOCKS,
		       test_random(random) % 2 * 100 * 512, random);
	thin_world_pool(&job->world, metadata, data, &pool);
	for (uint64_t nr = test_random(random) % 3; nr; nr--) {
		thin_world_plan(&job->world, job->world.nr_devices ? &job->world.devices[0] : NULL,
				random, &plan);
		OK(thin_world_fill(&job->world, &pool, &plan, 0, err));
		thin_world_take(&job->world, &plan);
		free(plan.made.bytes);
	}
	thin_world_plan(&job->world, job->world.nr_devices ? &job->world.devices[0] : NULL, random,
			&job->plan);
	cow_image_close(metadata);
	cow_image_close(data);
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[NR_IMAGES] = { METADATA_BYTES, DATA_BYTES };
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 300;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();

	test_name = "thin-fill";
	while (counts.nr_states < wanted) {
		uint8_t *bytes[NR_IMAGES] = { calloc(1, METADATA_BYTES), calloc(1, DATA_BYTES) };
		struct job fill;
		const struct crash_job job = {
			.name = "thin-fill",
			.nr_images = NR_IMAGES,
			.user = &fill,
			.may_fail = true,
			.run = fill_run,
			.check_state = fill_check_state,
			.check_done = fill_check_done,
		};

		CHECK(bytes[METADATA] && bytes[DATA]);
		job_make(&fill, bytes, &random);
		crash_explore(&job, bytes, sizes, &limits, test_random(&random), &counts);
		free(fill.plan.made.bytes);
		thin_world_free(&fill.world);
		free(bytes[METADATA]);
		free(bytes[DATA]);
	}
	crash_print("thin-fill", &counts);
	return 0;
}
