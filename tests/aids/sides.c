/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/sides.h"

#include "tests/aids/crash.h"
#include "tests/aids/test.h"

#define LABEL_OFFSET 16

/* The stores of one run. */
struct side_run {
	struct cow_store *store, *undo, *siblings[NR_SIBLINGS];
	struct cow_merge_params params;
};

uint32_t side_phase_of(const uint8_t sector[512])
{
	struct cow_label label;

	return cow_label_decode(sector + LABEL_OFFSET, &label) ? label.phase : 0;
}

uint32_t side_phase(struct cow_image *image)
{
	uint8_t sector[512];

	OK(cow_image_pread(image, sector, sizeof(sector), 0, err));
	return side_phase_of(sector);
}

static int side_open(const struct side_job *job, struct side_run *run, struct cow_image **images,
		     bool with_siblings, struct cow_err *err)
{
	const struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	int ret;

	memset(run, 0, sizeof(*run));
	run->params = params;
	run->params.batch_bytes = job->batch_bytes;
	run->params.epoch_bytes = job->epoch_bytes;
	ret = pair_open(images[ORIGIN], images[job->is_take_back ? UNDO : COW], &run->store, err);
	for (int i = 0; i < NR_SIBLINGS && !ret; i++)
		ret = pair_open(images[ORIGIN], images[SIBLING + i], &run->siblings[i], err);
	if (with_siblings) {
		run->params.siblings = run->siblings;
		run->params.nr_siblings = NR_SIBLINGS;
	}
	return ret;
}

static void side_close(struct side_run *run)
{
	cow_store_close(run->store);
	cow_store_close(run->undo);
	for (int i = 0; i < NR_SIBLINGS; i++)
		cow_store_close(run->siblings[i]);
}

/* An undo file that is not complete has no name: the next run makes a new one. */
static int undo_open(const struct side_job *job, struct side_run *run, struct cow_image **images,
		     bool is_new, struct cow_err *err)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	int ret = 0;

	create.chunk_bytes = job->rs.chunk_bytes;
	if (is_new)
		ret = cow_create(images[UNDO], &create, err);
	if (!ret)
		ret = pair_open(images[ORIGIN], images[UNDO], &run->undo, err);
	run->params.undo = run->undo;
	return ret;
}

int side_merge(const struct side_job *job, struct cow_image **images, bool with, bool undo_is_new,
	       uint32_t flags, struct cow_err *err)
{
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct side_run run;
	int ret = side_open(job, &run, images, with, err);

	run.params.flags = flags;
	if (!ret)
		CHECK(!cow_store_get_info(run.store, &info));
	if (!ret && with && info.nr_exceptions)
		ret = undo_open(job, &run, images, undo_is_new, err);
	if (!ret)
		ret = cow_merge(run.store, &run.params, &result, err);
	side_close(&run);
	return ret;
}

void side_check_siblings(const struct side_job *job, struct cow_image **images)
{
	for (int i = 0; i < NR_SIBLINGS; i++)
		pair_check_view(images[ORIGIN], images[SIBLING + i], job->shown[i]);
}

void side_check_origin(const struct side_job *job, struct cow_image *image, const uint8_t *wanted)
{
	uint8_t *bytes = (uint8_t *)malloc(job->rs.origin_bytes);

	CHECK(bytes != NULL);
	OK(cow_image_pread(image, bytes, job->rs.origin_bytes, 0, err));
	CHECK(!memcmp(bytes, wanted, job->rs.origin_bytes));
	free(bytes);
}

uint64_t side_count(struct cow_image *image)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;

	OK(pair_open(NULL, image, &store, err));
	CHECK(!cow_store_get_info(store, &info));
	CHECK(info.valid);
	cow_store_close(store);
	return info.nr_exceptions;
}

int side_take_back(const struct side_job *job, struct cow_image **images, bool with,
		   struct cow_err *err)
{
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct side_run run;
	int ret = side_open(job, &run, images, with, err);

	if (!ret)
		ret = cow_take_back(run.store, 0, &run.params, &result, err);
	side_close(&run);
	return ret;
}

static uint8_t *image_make(struct side_job *job, int index, uint64_t bytes)
{
	job->sizes[index] = bytes;
	job->bytes[index] = (uint8_t *)calloc(1, bytes);
	CHECK(job->bytes[index] != NULL);
	return job->bytes[index];
}

/* A sibling has its own exceptions already, and differs from the origin there. */
static void sibling_make(struct side_job *job, int index, uint64_t chunk_bytes, uint64_t *random)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct randstore *rs = &job->rs;
	struct cow_image *origin, *image;
	struct cow_store *store;
	uint64_t bytes;

	create.chunk_bytes = chunk_bytes;
	create.origin_bytes = rs->origin_bytes;
	OK(cow_create_size(&create, &bytes, err));
	image_make(job, SIBLING + index, bytes);
	job->shown[index] = (uint8_t *)malloc(rs->origin_bytes);
	CHECK(job->shown[index] != NULL);
	memcpy(job->shown[index], job->before, rs->origin_bytes);
	OK(crash_flat_new(rs->origin, rs->origin_bytes, "origin", &origin, err));
	OK(crash_flat_new(job->bytes[SIBLING + index], bytes, "sibling", &image, err));
	OK(cow_create(image, &create, err));
	OK(pair_open(origin, image, &store, err));
	for (uint64_t at = 0; at < rs->origin_bytes; at += chunk_bytes) {
		uint64_t len =
			rs->origin_bytes - at < chunk_bytes ? rs->origin_bytes - at : chunk_bytes;

		if (test_random(random) % 4)
			continue;
		random_fill(job->shown[index] + at, len, random);
		OK(cow_store_append(store, at, job->shown[index] + at, len, err));
		job->nr_own[index]++;
	}
	OK(cow_store_publish(store, err));
	cow_store_close(store);
	cow_image_close(image);
	cow_image_close(origin);
}

void side_make(struct side_job *job, uint64_t *random)
{
	struct cow_image *origin, *cow;
	struct cow_store *store;
	uint64_t bytes;

	memset(job, 0, sizeof(*job));
	do {
		randstore_free(&job->rs);
		randstore_make(&job->rs, random, 2 + test_random(random) % 60);
	} while (!job->rs.nr_exceptions);
	job->random = test_random(random);
	job->before = (uint8_t *)malloc(job->rs.origin_bytes);
	CHECK(job->before != NULL);
	memcpy(job->before, job->rs.origin, job->rs.origin_bytes);
	sibling_make(job, 0, 512, random);
	sibling_make(job, 1, job->rs.chunk_bytes << test_random(random) % 3, random);
	OK(crash_flat_new(job->rs.origin, job->rs.origin_bytes, "origin", &origin, err));
	OK(crash_flat_new(job->rs.cow, job->rs.cow_bytes, "cow", &cow, err));
	OK(pair_open(origin, cow, &store, err));
	OK(cow_undo_size(store, &bytes, err));
	cow_store_close(store);
	cow_image_close(cow);
	cow_image_close(origin);
	image_make(job, UNDO, bytes);
	memcpy(image_make(job, ORIGIN, job->rs.origin_bytes), job->rs.origin, job->rs.origin_bytes);
	memcpy(image_make(job, COW, job->rs.cow_bytes), job->rs.cow, job->rs.cow_bytes);
	job->batch_bytes = 4096 * (1 + test_random(random) % 4);
	job->epoch_bytes = job->rs.chunk_bytes * (1 + test_random(random) % 64);
}

void side_free(struct side_job *job)
{
	for (int i = 0; i < NR_SIBLINGS; i++)
		free(job->shown[i]);
	for (int i = 0; i < NR_IMAGES; i++)
		free(job->bytes[i]);
	free(job->before);
	randstore_free(&job->rs);
}

/* Merges for good, so that there is something to take back. */
void side_merge_all(struct side_job *job)
{
	struct cow_image *images[NR_IMAGES];

	for (int i = 0; i < NR_IMAGES; i++)
		OK(crash_flat_new(job->bytes[i], job->sizes[i], "image", &images[i], err));
	OK(side_merge(job, images, true, true, 0, err));
	for (int i = 0; i < NR_IMAGES; i++)
		cow_image_close(images[i]);
}
