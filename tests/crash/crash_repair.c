/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_repair.c - the repair of damaged stores, cut off anywhere. At every
 * state each exception that the kernel could read before reads the same, as a
 * naive model of the kernel sees it; the same repair, run again, ends where
 * the first would have ended: nothing is left to mend.
 *
 * Some of them save what they overwrite in an undo file: at every state that
 * file, as a snapshot of the COW image, shows the image as it was, and a second
 * run that saves in the same file changes nothing about that.
 * usage: crash_repair [number of states]
 */
#include "libcow/core/report.h"
#include "tests/aids/crash.h"
#include "tests/aids/damage.h"
#include "tests/aids/kernel_model.h"
#include "tests/aids/test.h"

struct repair_job {
	const struct damage *damage;
	struct kernel_model before;
	uint64_t nr_left; /* by a repair that is not cut off */
};

static uint64_t nr_doubtful; /* states in which a doubt stays */

static int repair_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;

	(void)user;
	(void)run;
	return damage_repair(images[0], COW_REPAIR_LOST, &result, err);
}

static void repair_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct repair_job *job = user;
	uint64_t size = cow_image_size(images[0]), lost;
	struct kernel_model now;
	uint8_t *bytes = malloc(size);

	(void)mark;
	CHECK(bytes != NULL);
	OK(cow_image_pread(images[0], bytes, size, 0, err));
	kernel_model_load(&now, bytes, size, 0);
	if (!kernel_model_keeps(&job->before, &now, &lost)) {
		fprintf(stderr, "chunk %" PRIu64 " is not what it was:%s\n", lost,
			job->damage->story);
		exit(1);
	}
	kernel_model_free(&now);
	free(bytes);
}

/* May the list be cut short? Sectors that a repair had not written yet look like
 * sectors that were lost, where the list ends between two: it is not touched then. */
static bool is_doubtful(struct cow_image *cow)
{
	const struct cow_role_image role = { COW_ROLE_COW, 0, cow };
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_report *report;

	args.images = &role;
	args.nr_images = 1;
	OK(cow_report_new(&callbacks, 0, &report, err));
	OK(cow_check(&args, &params, report, &verdict, err));
	cow_report_free(report);
	return verdict.is_doubtful;
}

static void repair_check_done(void *user, struct cow_image **images)
{
	const struct repair_job *job = user;
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;

	repair_check_state(user, images, 0);
	OK(damage_repair(images[0], COW_REPAIR_LOST, &result, err));
	CHECK_EQ(result.nr_mended, 0);
	if (result.nr_left == job->nr_left + 1 && is_doubtful(images[0])) {
		nr_doubtful++;
		return;
	}
	if (result.nr_left != job->nr_left)
		fprintf(stderr, "%s\n", job->damage->story);
	CHECK_EQ(result.nr_left, job->nr_left);
}

/* ------------------------------------------------------------ undo files */

struct undo_job {
	const uint8_t *original; /* of the COW image */
};

/* Opens the undo file over the COW image that is being repaired. */
static int undo_open(struct cow_image **images, struct cow_store **ret_store, struct cow_err *err)
{
	struct cow_role_image roles[] = { { COW_ROLE_ORIGIN, 0, images[0] },
					  { COW_ROLE_COW, 0, images[1] } };
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.images = roles;
	args.nr_images = 2;
	return cow_store_open(&args, ret_store, err);
}

static int undo_run(void *user, struct cow_image **images, struct crash_run *run,
		    struct cow_err *err)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_image *guard = NULL;
	struct cow_store *undo = NULL;
	int ret;

	(void)user;
	(void)run;
	ret = undo_open(images, &undo, err);
	if (!ret)
		ret = cow_copyout_image_new(images[0], &undo, 1, &guard, err);
	if (!ret)
		ret = damage_repair(guard, COW_REPAIR_LOST, &result, err);
	cow_image_close(guard);
	cow_store_close(undo);
	return ret;
}

static void undo_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct undo_job *job = user;
	uint64_t size = cow_image_size(images[0]);
	uint8_t *bytes = malloc(size);
	struct cow_store *undo;
	struct cow_image *view;

	(void)mark;
	CHECK(bytes != NULL);
	OK(undo_open(images, &undo, err));
	OK(cow_view_new(images[0], undo, &view, err));
	OK(cow_image_pread(view, bytes, size, 0, err));
	CHECK(!memcmp(bytes, job->original, size));
	cow_image_close(view);
	cow_store_close(undo);
	free(bytes);
}

static void undo_check_done(void *user, struct cow_image **images)
{
	undo_check_state(user, images, 0);
}

static void explore_undo(const struct damage *damage, uint64_t seed, struct crash_counts *counts)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct undo_job undo_job = { .original = damage->cow };
	struct crash_job job = {
		.name = "repair with undo",
		.nr_images = 2,
		.user = &undo_job,
		.run = undo_run,
		.check_state = undo_check_state,
		.check_done = undo_check_done,
	};
	struct cow_image *undo;
	uint64_t undo_bytes;
	uint8_t *bytes;

	create.origin_bytes = damage->cow_bytes;
	create.chunk_bytes = 4096; /* the image need not be a multiple of it */
	OK(cow_create_size(&create, &undo_bytes, err));
	bytes = calloc(1, undo_bytes);
	CHECK(bytes != NULL);
	OK(crash_flat_new(bytes, undo_bytes, "undo", &undo, err));
	OK(cow_create(undo, &create, err));
	cow_image_close(undo);
	crash_explore(&job, (uint8_t *[]){ damage->cow, bytes },
		      (uint64_t[]){ damage->cow_bytes, undo_bytes }, &limits, seed, counts);
	free(bytes);
}

static void note_garbage(void *user, const struct cow_finding *finding)
{
	bool *has_garbage = user;

	if (!strcmp(finding->problem->id, "persistent.area-garbage"))
		*has_garbage = true;
}

/* An area of rubbish is cut away, with what may look like a record in it. */
static bool has_garbage(struct cow_image *cow)
{
	struct cow_role_image role = { COW_ROLE_COW, 0, cow };
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_report *report;
	bool is_so = false;

	callbacks.user = &is_so;
	callbacks.finding = note_garbage;
	args.images = &role;
	args.nr_images = 1;
	args.kind = "persistent";
	OK(cow_report_new(&callbacks, 0, &report, err));
	is_so = cow_check(&args, &params, report, &verdict, NULL) || is_so;
	cow_report_free(report);
	return is_so;
}

static void explore_one(uint64_t *random, struct crash_counts *counts)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct repair_job repair_job = { 0 };
	struct crash_job job = {
		.name = "repair",
		.nr_images = 1,
		.user = &repair_job,
		.may_fail = true,
		.run = repair_run,
		.check_state = repair_check_state,
		.check_done = repair_check_done,
	};
	struct cow_image *cow;
	struct damage damage;
	uint8_t *bytes;
	bool is_garbage;

	damage_make(&damage, random);
	for (uint64_t i = 1 + test_random(random) % 5; i; i--)
		damage_mutate(&damage, random);
	bytes = malloc(damage.cow_bytes);
	CHECK(bytes != NULL);
	memcpy(bytes, damage.cow, damage.cow_bytes);
	repair_job.damage = &damage;
	kernel_model_load(&repair_job.before, damage.cow, damage.cow_bytes, 0);
	OK(crash_flat_new(bytes, damage.cow_bytes, "cow", &cow, err));
	is_garbage = has_garbage(cow);
	if (!is_garbage && !repair_job.before.has_top_byte && repair_job.before.loads)
		OK(damage_repair(cow, COW_REPAIR_LOST, &result, err));
	repair_job.nr_left = result.nr_left;
	cow_image_close(cow);
	free(bytes);
	if (result.nr_mended && test_random(random) % 4 == 0)
		explore_undo(&damage, test_random(random), counts);
	else if (result.nr_mended)
		crash_explore(&job, (uint8_t *[]){ damage.cow }, (uint64_t[]){ damage.cow_bytes },
			      &limits, test_random(random), counts);
	kernel_model_free(&repair_job.before);
	damage_free(&damage);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();

	test_name = "repair";
	while (counts.nr_states < wanted)
		explore_one(&random, &counts);
	crash_print("repair", &counts);
	return 0;
}
