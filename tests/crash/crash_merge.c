/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_merge.c - a merge, cut off anywhere. At every state the view of the
 * pair is the whole view (I1, I2, I9), and a check finds nothing that would
 * keep the kernel from taking over; the same merge, run again, finishes
 * (I6), and leaves a store that is valid and empty down to the last byte of
 * its first area (I5).
 * usage: crash_merge [number of states [DIRECTORY NUMBER]]
 * With a directory, NUMBER states of each kind are kept in there.
 */
#include "tests/aids/crash.h"
#include "tests/aids/randstore.h"
#include "tests/aids/sample.h"
#include "tests/aids/test.h"

#define IMAGE_ORIGIN 0
#define IMAGE_COW 1

struct merge_job {
	const struct randstore *rs;
	uint64_t batch_bytes, epoch_bytes;
	struct sample *sample;
};

static int merge_run(void *user, struct cow_image **images, struct crash_run *run,
		     struct cow_err *err)
{
	const struct merge_job *job = (const struct merge_job *)user;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_store *store;
	int ret;

	params.batch_bytes = job->batch_bytes;
	params.epoch_bytes = job->epoch_bytes;
	ret = pair_open(images[IMAGE_ORIGIN], images[IMAGE_COW], &store, err);
	if (ret)
		return ret;
	ret = cow_merge(store, &params, &result, err);
	cow_store_close(store);
	if (!ret)
		crash_mark(run, 1);
	return ret;
}

/* For the real kernel. */
static void state_keep(const struct merge_job *job, struct cow_image **images,
		       uint64_t nr_exceptions)
{
	const char *torn = pair_is_torn(images[IMAGE_COW]) ? "torn" : "whole";
	const char *phase = nr_exceptions == job->rs->nr_exceptions ? "begun"
			    : nr_exceptions			    ? "moving"
								    : "merged";
	char kind[40], path[256];

	snprintf(kind, sizeof(kind), "merge-%s-%s", phase, torn);
	if (!sample_wants(job->sample, kind, path))
		return;
	sample_image(path, "origin", images[IMAGE_ORIGIN]);
	sample_image(path, "cow", images[IMAGE_COW]);
	sample_bytes(path, "view", job->rs->view, job->rs->origin_bytes);
}

static void merge_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct merge_job *job = (const struct merge_job *)user;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;

	pair_check_view(images[IMAGE_ORIGIN], images[IMAGE_COW], job->rs->view);
	pair_check_sound(images[IMAGE_ORIGIN], images[IMAGE_COW]);
	OK(pair_open(NULL, images[IMAGE_COW], &store, err));
	CHECK(!cow_store_get_info(store, &info));
	CHECK(info.valid);
	CHECK(info.nr_exceptions <= (mark ? 0 : job->rs->nr_exceptions));
	cow_store_close(store);
	state_keep(job, images, info.nr_exceptions);
}

static void merge_check_done(void *user, struct cow_image **images)
{
	const struct merge_job *job = (const struct merge_job *)user;
	const struct randstore *rs = job->rs;
	uint8_t *origin = (uint8_t *)malloc(rs->origin_bytes);

	CHECK(origin != NULL);
	OK(cow_image_pread(images[IMAGE_ORIGIN], origin, rs->origin_bytes, 0, err));
	CHECK(!memcmp(origin, rs->view, rs->origin_bytes));
	pair_check_empty(images[IMAGE_COW], rs->chunk_bytes);
	free(origin);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 60000;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();
	struct sample sample = { .directory = argc > 3 ? argv[2] : NULL,
				 .nr_per_kind = argc > 3 ? (unsigned int)atoi(argv[3]) : 0 };

	test_name = "merge";
	while (counts.nr_states < wanted) {
		struct randstore rs;
		struct merge_job merge = { .rs = &rs, .sample = &sample };
		struct crash_job job = {
			.name = "merge",
			.nr_images = 2,
			.user = &merge,
			.may_fail = true,
			.run = merge_run,
			.check_state = merge_check_state,
			.check_done = merge_check_done,
		};

		randstore_make(&rs, &random, 2 + test_random(&random) % 120);
		merge.batch_bytes = 4096 * (1 + test_random(&random) % 4);
		merge.epoch_bytes = rs.chunk_bytes * (1 + test_random(&random) % 64);
		crash_explore(&job, (uint8_t *[]){ rs.origin, rs.cow },
			      (uint64_t[]){ rs.origin_bytes, rs.cow_bytes }, &limits,
			      test_random(&random), &counts);
		randstore_free(&rs);
	}
	crash_print("merge", &counts);
	sample_print(&sample);
	return 0;
}
