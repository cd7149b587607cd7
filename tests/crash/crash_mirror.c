/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_mirror.c - a merge into an origin of two or three legs, as a raid1 has them, with
 * siblings and undo, cut off anywhere: between the legs, too. Then its take-back. At every
 * state the view is right over each leg alone, as the kernel may read any of them, and so
 * are the siblings; and the legs are alike wherever the store has no exception any more.
 * The same merge, run again, finishes (I6): then all legs are alike, and right.
 * usage: crash_mirror [number of states]
 */
#include "libcow/engine/copies.h"
#include "libcow/image/image.h"
#include "tests/aids/crash.h"
#include "tests/aids/sides.h"
#include "tests/aids/test.h"

/* The second leg and those that follow stand behind the images of a merge. */
#define LEGS_MAX 3

struct mirror_job {
	struct side_job side;
	uint32_t nr_legs;
};

static struct cow_image *leg_of(struct cow_image **images, uint32_t leg)
{
	return images[leg ? NR_IMAGES + leg - 1 : ORIGIN];
}

/* The images of a merge whose origin is all legs together. */
static int origin_open(const struct mirror_job *job, struct cow_image **images,
		       struct cow_image **over, struct cow_err *err)
{
	struct cow_image *legs[LEGS_MAX];

	for (uint32_t i = 0; i < job->nr_legs; i++)
		legs[i] = leg_of(images, i);
	memcpy(over, images, NR_IMAGES * sizeof(*over));
	return cow_image_mirror_new(legs, job->nr_legs, &over[ORIGIN], err);
}

/* Outside of the exceptions that are left; as a merge that goes on will find them. */
static void legs_check(const struct mirror_job *job, struct cow_image **images)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_image *over[NR_IMAGES];
	struct cow_store *store;

	OK(origin_open(job, images, over, err));
	OK(pair_open(over[ORIGIN], images[job->side.is_take_back ? UNDO : COW], &store, err));
	OK(cow_copies_check(store, &params, err));
	cow_store_close(store);
	cow_image_close(over[ORIGIN]);
}

static int mirror_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	const struct mirror_job *job = (const struct mirror_job *)user;
	struct cow_image *over[NR_IMAGES];
	struct cow_err why = COW_ERR_INIT;
	int ret = origin_open(job, images, over, err);

	(void)run;
	if (ret)
		return ret;
	if (job->side.is_take_back) {
		ret = side_take_back(&job->side, over, true, err);
	} else {
		/* An undo file that is not complete has no name. */
		ret = side_merge(&job->side, over, true, false, 0, &why);
		if (ret && !strstr(why.message, "planned fault"))
			ret = side_merge(&job->side, over, true, true, 0, err);
	}
	cow_image_close(over[ORIGIN]);
	return ret;
}

static void mirror_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct mirror_job *job = (const struct mirror_job *)user;
	const struct side_job *side = &job->side;
	bool is_back = side->is_take_back;

	(void)mark;
	for (uint32_t i = 0; i < job->nr_legs; i++) {
		struct cow_image *over[NR_IMAGES];

		memcpy(over, images, sizeof(over));
		over[ORIGIN] = leg_of(images, i);
		pair_check_view(over[ORIGIN], images[is_back ? UNDO : COW],
				is_back ? side->before : side->rs.view);
		side_check_siblings(side, over);
	}
	legs_check(job, images);
}

static void mirror_check_done(void *user, struct cow_image **images)
{
	const struct mirror_job *job = (const struct mirror_job *)user;
	const struct side_job *side = &job->side;
	const uint8_t *wanted = side->is_take_back ? side->before : side->rs.view;

	for (uint32_t i = 0; i < job->nr_legs; i++)
		side_check_origin(side, leg_of(images, i), wanted);
	side_check_siblings(side, images);
	CHECK_EQ(side_count(images[side->is_take_back ? UNDO : COW]), 0);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 8000;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 }, back_counts = { 0 };
	uint64_t random = test_seed();

	test_name = "mirror";
	while (counts.nr_states + back_counts.nr_states < wanted) {
		static struct mirror_job mirror;
		uint8_t *bytes[NR_IMAGES + LEGS_MAX - 1];
		uint64_t sizes[NR_IMAGES + LEGS_MAX - 1];
		struct crash_job job = {
			.name = "merge into legs",
			.user = &mirror,
			.may_fail = true,
			.run = mirror_run,
			.check_state = mirror_check_state,
			.check_done = mirror_check_done,
		};

		side_make(&mirror.side, &random);
		mirror.nr_legs = 2 + (uint32_t)(test_random(&random) % (LEGS_MAX - 1));
		job.nr_images = NR_IMAGES + mirror.nr_legs - 1;
		for (size_t i = 0; i < job.nr_images; i++) {
			bytes[i] = mirror.side.bytes[i < NR_IMAGES ? i : ORIGIN];
			sizes[i] = mirror.side.sizes[i < NR_IMAGES ? i : ORIGIN];
		}
		crash_explore(&job, bytes, sizes, &limits, test_random(&random), &counts);
		side_merge_all(&mirror.side);
		mirror.side.is_take_back = true;
		job.name = "take-back from legs";
		crash_explore(&job, bytes, sizes, &limits, test_random(&random), &back_counts);
		side_free(&mirror.side);
	}
	crash_print("merge into legs", &counts);
	crash_print("take-back from legs", &back_counts);
	return 0;
}
