/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_clone.c - the finish of a clone, cut off anywhere. At every state the
 * device shows what it showed, the metadata is sound with all counts (I14),
 * nothing that was hydrated is not (I15), and the source is untouched; the same
 * job, run again, finishes (I6). And new metadata from damaged ones: at every state
 * the new image holds no store, or the whole new one, and the old one is untouched.
 * usage: crash_clone [number of states]
 */
#include "libcow/core/report.h"
#include "libcow/store/store.h"
#include "tests/aids/clone_build.h"
#include "tests/aids/crash.h"
#include "tests/aids/test.h"

enum { SOURCE, DESTINATION, METADATA, NR_IMAGES };

struct clone_job {
	struct clone_build clone;
	uint64_t batch_bytes, epoch_bytes, view_bytes;
	uint64_t sizes[NR_IMAGES];
	uint8_t *bytes[NR_IMAGES], *view;
};

static void args_fill(struct cow_image **images, struct cow_role_image roles[3],
		      struct cow_store_args *args)
{
	roles[0] = (struct cow_role_image){ .role = COW_ROLE_SOURCE, .image = images[SOURCE] };
	roles[1] = (struct cow_role_image){ .role = COW_ROLE_DESTINATION,
					    .image = images[DESTINATION] };
	roles[2] = (struct cow_role_image){ .role = COW_ROLE_METADATA, .image = images[METADATA] };
	args->kind = "clone";
	args->images = roles;
	args->nr_images = 3;
}

static int clone_open(struct cow_image **images, struct cow_store **ret_store, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[3];

	args_fill(images, roles, &args);
	return cow_store_open(&args, ret_store, err);
}

static int clone_run(void *user, struct cow_image **images, struct crash_run *run,
		     struct cow_err *err)
{
	const struct clone_job *job = (const struct clone_job *)user;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_store *store;
	int ret = clone_open(images, &store, err);

	if (ret)
		return ret;
	params.batch_bytes = job->batch_bytes;
	params.epoch_bytes = job->epoch_bytes;
	ret = cow_merge(store, &params, &result, err);
	cow_store_close(store);
	if (!ret)
		crash_mark(run, 1);
	return ret;
}

static void view_check(const struct clone_job *job, struct cow_store *store)
{
	uint8_t *shown = malloc(job->view_bytes);
	struct cow_image *view;

	CHECK(shown);
	OK(cow_view_new(store->origin, store, &view, err));
	CHECK_EQ(cow_image_size(view), job->view_bytes);
	OK(cow_image_pread(view, shown, job->view_bytes, 0, err));
	CHECK(!memcmp(shown, job->view, job->view_bytes));
	cow_image_close(view);
	free(shown);
}

static void sound_check(struct cow_image **images)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_role_image roles[3];
	struct cow_report *report;

	args_fill(images, roles, &args);
	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(&args, &params, report, &verdict, err));
	CHECK(verdict.known && verdict.kernel_loads && verdict.merge_right);
	CHECK(!cow_report_count(report, COW_CLASS_NOTE));
	CHECK(!cow_report_count(report, COW_CLASS_DAMAGE));
	cow_report_free(report);
}

static void clone_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct clone_job *job = (const struct clone_job *)user;
	uint8_t *source = malloc(job->sizes[SOURCE]);
	struct cow_store *store;
	uint64_t nr_hydrated = 0;

	CHECK(source);
	OK(clone_open(images, &store, err));
	view_check(job, store);
	for (uint64_t region = 0; region < job->clone.nr_regions; region++) {
		struct exmap_run run;
		bool is_hydrated =
			cow_store_map_next(store, region, &run) && run.old_chunk == region;

		CHECK(is_hydrated || (!mark && !job->clone.bits[region]));
		nr_hydrated += is_hydrated;
	}
	CHECK(!mark || nr_hydrated == job->clone.nr_regions);
	cow_store_close(store);
	sound_check(images);
	OK(cow_image_pread(images[SOURCE], source, job->sizes[SOURCE], 0, err));
	CHECK(!memcmp(source, job->bytes[SOURCE], job->sizes[SOURCE]));
	free(source);
}

static void clone_check_done(void *user, struct cow_image **images)
{
	const struct clone_job *job = (const struct clone_job *)user;
	uint64_t size = job->sizes[DESTINATION];
	uint8_t *found = malloc(size);

	CHECK(found);
	clone_check_state(user, images, 1);
	OK(cow_image_pread(images[DESTINATION], found, size, 0, err));
	CHECK(!memcmp(found, job->view, job->view_bytes));
	CHECK(!memcmp(found + job->view_bytes, job->bytes[DESTINATION] + job->view_bytes,
		      size - job->view_bytes));
	free(found);
}

static void random_bytes(uint8_t *bytes, uint64_t nr, uint64_t *random)
{
	for (uint64_t i = 0; i < nr; i++)
		bytes[i] = (uint8_t)(i % 512 < 8 ? test_random(random) : i / 512);
}

static void job_make(struct clone_job *job, uint64_t *random)
{
	struct clone_build *clone = &job->clone;
	struct cow_image *metadata;
	uint64_t density = test_random(random) % 4;

	clone->region_sectors = UINT64_C(8) << test_random(random) % 3;
	clone->target_sectors = 1 + test_random(random) % 500;
	clone->nr_regions =
		(clone->target_sectors + clone->region_sectors - 1) / clone->region_sectors;
	clone->bits = calloc(clone->nr_regions, 1);
	CHECK(clone->bits);
	for (uint64_t i = 0; i < clone->nr_regions; i++)
		clone->bits[i] = test_random(random) % 4 < density;
	job->view_bytes = clone->target_sectors * 512;
	job->sizes[SOURCE] = job->view_bytes + 512 * (test_random(random) % 20);
	job->sizes[DESTINATION] = job->view_bytes + 512 * (test_random(random) % 20);
	job->sizes[METADATA] = 4096 * (10 + test_random(random) % 20);
	for (int i = 0; i < NR_IMAGES; i++) {
		job->bytes[i] = malloc(job->sizes[i]);
		CHECK(job->bytes[i]);
		random_bytes(job->bytes[i], job->sizes[i], random);
	}
	OK(crash_flat_new(job->bytes[METADATA], job->sizes[METADATA], "metadata", &metadata, err));
	CHECK_EQ(clone_build(metadata, clone), 6);
	cow_image_close(metadata);
	job->view = malloc(job->view_bytes);
	CHECK(job->view);
	for (uint64_t i = 0; i < job->view_bytes; i++)
		job->view[i] = job->bytes[clone->bits[i / 512 / clone->region_sectors] ? DESTINATION
										       : SOURCE][i];
	job->batch_bytes = 4096 * (1 + test_random(random) % 4);
	job->epoch_bytes = clone->region_sectors * 512 * (1 + test_random(random) % 20);
}

static void job_free(struct clone_job *job)
{
	for (int i = 0; i < NR_IMAGES; i++)
		free(job->bytes[i]);
	free(job->clone.bits);
	free(job->view);
}

/* ---------------------------------------------------------------- repair */

enum { NEW, OLD, NR_REPAIR_IMAGES };

static int repair_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	const struct clone_job *job = (const struct clone_job *)user;
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image role = { .role = COW_ROLE_METADATA, .image = images[OLD] };
	char region[24], target[24];
	const struct cow_geometry geometry[] = { { "region", region }, { "target", target } };
	int ret;

	snprintf(region, sizeof(region), "%" PRIu64, job->clone.region_sectors);
	snprintf(target, sizeof(target), "%" PRIu64, job->clone.target_sectors);
	args.kind = "clone";
	args.images = &role;
	args.nr_images = 1;
	args.geometry = geometry;
	args.nr_geometry = 2;
	params.target = images[NEW];
	ret = cow_repair(&args, &params, &result, err);
	if (!ret)
		crash_mark(run, 1);
	return ret;
}

static void repair_check(const struct clone_job *job, struct cow_image **images, bool is_done)
{
	struct cow_image *source = NULL, *three[NR_IMAGES];
	struct cow_err why = COW_ERR_INIT;
	uint8_t *old = malloc(job->sizes[METADATA]);
	struct cow_store *store;
	int ret;

	CHECK(old);
	OK(cow_image_pread(images[OLD], old, job->sizes[METADATA], 0, err));
	CHECK(!memcmp(old, job->bytes[METADATA], job->sizes[METADATA]));
	free(old);
	OK(cow_image_zero_new(job->view_bytes, &source, err));
	three[SOURCE] = three[DESTINATION] = source;
	three[METADATA] = images[NEW];
	ret = clone_open(three, &store, &why);
	CHECK(!ret || (!is_done && ret == -EMEDIUMTYPE));
	for (uint64_t region = 0; !ret && region < job->clone.nr_regions; region++) {
		struct exmap_run run;

		CHECK_EQ(cow_store_map_next(store, region, &run) && run.old_chunk == region,
			 job->clone.bits[region]);
	}
	if (!ret)
		cow_store_close(store);
	if (!ret)
		sound_check(three);
	cow_image_close(source);
}

/* A run after a whole one begins anew, so a mark says nothing. */
static void repair_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	(void)mark;
	repair_check((const struct clone_job *)user, images, false);
}

static void repair_check_done(void *user, struct cow_image **images)
{
	repair_check((const struct clone_job *)user, images, true);
}

/* Of the same clone, its space map damaged; the new image held something else. */
static void repair_explore(struct clone_job *clone, uint64_t seed, struct crash_counts *counts)
{
	struct crash_limits limits = CRASH_LIMITS_INIT;
	uint64_t sizes[NR_REPAIR_IMAGES] = { clone->sizes[METADATA], clone->sizes[METADATA] };
	uint8_t *bytes[NR_REPAIR_IMAGES] = { malloc(sizes[NEW]), clone->bytes[METADATA] };
	struct crash_job job = {
		.name = "clone-repair",
		.nr_images = NR_REPAIR_IMAGES,
		.user = clone,
		.may_fail = true,
		.run = repair_run,
		.check_state = repair_check_state,
		.check_done = repair_check_done,
	};

	CHECK(bytes[NEW]);
	random_bytes(bytes[NEW], sizes[NEW], &seed);
	clone->bytes[METADATA][3 * 4096 + 100] ^= 1; /* the bitmap */
	crash_explore(&job, bytes, sizes, &limits, seed, counts);
	free(bytes[NEW]);
}

/* ---------------------------------------------------------------- both */

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 2000;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 }, repair_counts = { 0 };
	uint64_t random = test_seed();

	test_name = "clone";
	while (counts.nr_states < wanted || repair_counts.nr_states < wanted) {
		struct clone_job clone = { .batch_bytes = 0 };
		struct crash_job job = {
			.name = "clone",
			.nr_images = NR_IMAGES,
			.user = &clone,
			.may_fail = true,
			.run = clone_run,
			.check_state = clone_check_state,
			.check_done = clone_check_done,
		};

		job_make(&clone, &random);
		if (counts.nr_states < wanted)
			crash_explore(&job, clone.bytes, clone.sizes, &limits, test_random(&random),
				      &counts);
		if (repair_counts.nr_states < wanted)
			repair_explore(&clone, test_random(&random), &repair_counts);
		job_free(&clone);
	}
	crash_print("clone", &counts);
	crash_print("clone-repair", &repair_counts);
	return 0;
}
