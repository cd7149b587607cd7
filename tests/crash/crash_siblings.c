/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_siblings.c - a merge that keeps two siblings true and saves an undo,
 * cut off anywhere; then the take-back of it, cut off anywhere. At every state
 * the view of the pair is the whole view and each sibling shows what it showed
 * (I4). The run after that may leave siblings and undo out as soon as the
 * label says that all of it is preserved; before, it is refused and writes
 * nothing. At the end the siblings are true and the origin can be taken back
 * bit for bit.
 * usage: crash_siblings [number of states [DIRECTORY NUMBER]]
 * With a directory, NUMBER states of each kind are kept in there.
 */
#include <errno.h>

#include "libcow/core/label.h"
#include "tests/unit/crash.h"
#include "tests/unit/randstore.h"
#include "tests/unit/sample.h"
#include "tests/unit/test.h"

enum { ORIGIN, COW, UNDO, SIBLING, NR_SIBLINGS = 2, NR_IMAGES = SIBLING + NR_SIBLINGS };

#define LABEL_OFFSET 16

struct side_job {
	struct randstore rs;
	uint8_t *before;	     /* the origin before the merge */
	uint8_t *shown[NR_SIBLINGS]; /* what the siblings show */
	uint8_t *bytes[NR_IMAGES];
	uint64_t sizes[NR_IMAGES];
	uint64_t nr_own[NR_SIBLINGS]; /* exceptions the siblings had before */
	uint64_t batch_bytes, epoch_bytes;
	uint64_t random;
	bool is_take_back;
	struct sample *sample;
};

/* The stores of one run. */
struct side_run {
	struct cow_store *store, *undo, *siblings[NR_SIBLINGS];
	struct cow_merge_params params;
};

static uint64_t writes_of(struct cow_image **images)
{
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	uint64_t nr = 0;

	for (int i = 0; i < NR_IMAGES; i++) {
		CHECK(!cow_image_get_stats(images[i], &stats));
		nr += stats.nr_writes;
	}
	return nr;
}

/* What the label of the store that is merged says; 0: there is none. */
static uint32_t phase_of(struct cow_image *image)
{
	uint8_t sector[512];
	struct cow_label label;

	OK(cow_image_pread(image, sector, sizeof(sector), 0, err));
	return cow_label_decode(sector + LABEL_OFFSET, &label) ? label.phase : 0;
}

static void side_open(const struct side_job *job, struct side_run *run, struct cow_image **images,
		      bool with_siblings)
{
	const struct cow_merge_params params = COW_MERGE_PARAMS_INIT;

	memset(run, 0, sizeof(*run));
	run->params = params;
	run->params.batch_bytes = job->batch_bytes;
	run->params.epoch_bytes = job->epoch_bytes;
	OK(pair_open(images[ORIGIN], images[job->is_take_back ? UNDO : COW], &run->store, err));
	for (int i = 0; i < NR_SIBLINGS; i++)
		OK(pair_open(images[ORIGIN], images[SIBLING + i], &run->siblings[i], err));
	if (!with_siblings)
		return;
	run->params.siblings = run->siblings;
	run->params.nr_siblings = NR_SIBLINGS;
}

static void side_close(struct side_run *run)
{
	cow_store_close(run->store);
	cow_store_close(run->undo);
	for (int i = 0; i < NR_SIBLINGS; i++)
		cow_store_close(run->siblings[i]);
}

/* ----------------------------------------------------------------- merge */

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

static int merge_once(const struct side_job *job, struct cow_image **images, bool with,
		      bool undo_is_new, struct cow_err *err)
{
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct side_run run;
	int ret = 0;

	side_open(job, &run, images, with);
	CHECK(!cow_store_get_info(run.store, &info));
	if (with && info.nr_exceptions)
		ret = undo_open(job, &run, images, undo_is_new, err);
	if (!ret)
		ret = cow_merge(run.store, &run.params, &result, err);
	side_close(&run);
	return ret;
}

static int merge_run(void *user, struct cow_image **images, struct crash_run *run,
		     struct cow_err *err)
{
	struct side_job *job = (struct side_job *)user;
	uint32_t phase = phase_of(images[COW]);
	uint64_t writes = writes_of(images);
	struct cow_err why = COW_ERR_INIT;
	int ret;

	(void)run;
	if (phase && test_random(&job->random) % 2) {
		ret = merge_once(job, images, false, false, &why);
		if (phase == LABEL_PHASE_MOVE) {
			*err = why;
			return ret;
		}
		CHECK(ret == -EPERM && !strcmp(why.id, "siblings"));
		CHECK_EQ(writes_of(images), writes);
	}
	why = (struct cow_err)COW_ERR_INIT;
	ret = merge_once(job, images, true, false, &why);
	if (!ret)
		return 0;
	/* Once the origin is a mixture the undo file is complete. */
	CHECK(phase != LABEL_PHASE_MOVE);
	CHECK_EQ(writes_of(images), writes);
	return merge_once(job, images, true, true, err);
}

static void check_siblings(const struct side_job *job, struct cow_image **images)
{
	for (int i = 0; i < NR_SIBLINGS; i++)
		pair_check_view(images[ORIGIN], images[SIBLING + i], job->shown[i]);
}

static void check_origin(const struct side_job *job, struct cow_image *image, const uint8_t *wanted)
{
	uint8_t *bytes = (uint8_t *)malloc(job->rs.origin_bytes);

	CHECK(bytes != NULL);
	OK(cow_image_pread(image, bytes, job->rs.origin_bytes, 0, err));
	CHECK(!memcmp(bytes, wanted, job->rs.origin_bytes));
	free(bytes);
}

static uint64_t count(struct cow_image *image)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;

	OK(pair_open(NULL, image, &store, err));
	CHECK(!cow_store_get_info(store, &info));
	CHECK(info.valid);
	cow_store_close(store);
	return info.nr_exceptions;
}

/* For the real kernel. cow: the store that is being merged, view: into what. */
static void state_keep(const struct side_job *job, struct cow_image **images, const char *what,
		       int cow, const uint8_t *view)
{
	static const char *const phases[] = { "before", "preserve", "move", "done" };
	const char *phase = count(images[cow]) ? phases[phase_of(images[cow])] : "merged";
	char kind[40], path[256], name[16];

	snprintf(kind, sizeof(kind), "%s-%s-%s", what, phase,
		 pair_is_torn(images[cow]) ? "torn" : "whole");
	if (!sample_wants(job->sample, kind, path))
		return;
	sample_image(path, "origin", images[ORIGIN]);
	sample_image(path, "cow", images[cow]);
	sample_bytes(path, "view", view, job->rs.origin_bytes);
	for (int i = 0; i < NR_SIBLINGS; i++) {
		snprintf(name, sizeof(name), "sibling%d", i);
		sample_image(path, name, images[SIBLING + i]);
		snprintf(name, sizeof(name), "shown%d", i);
		sample_bytes(path, name, job->shown[i], job->rs.origin_bytes);
	}
	if (cow != UNDO)
		sample_image(path, "undo", images[UNDO]);
	sample_bytes(path, "before", job->before, job->rs.origin_bytes);
}

static void merge_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct side_job *job = (const struct side_job *)user;

	(void)mark;
	pair_check_view(images[ORIGIN], images[COW], job->rs.view);
	check_siblings(job, images);
	/* A run that is cut off while it completes siblings leaves a word. */
	for (int i = 0; i < NR_SIBLINGS; i++)
		if (count(images[COW]) && count(images[SIBLING + i]) > job->nr_own[i])
			CHECK(phase_of(images[COW]));
	/* From here on somebody may want it all back. */
	if (phase_of(images[COW]) == LABEL_PHASE_MOVE)
		pair_check_view(images[ORIGIN], images[UNDO], job->before);
	else if (phase_of(images[COW]) == LABEL_PHASE_PRESERVE)
		check_origin(job, images[ORIGIN], job->before);
	state_keep(job, images, "sides", COW, job->rs.view);
}

static int take_back_once(const struct side_job *job, struct cow_image **images, bool with,
			  struct cow_err *err)
{
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct side_run run;
	int ret;

	side_open(job, &run, images, with);
	ret = cow_take_back(run.store, 0, &run.params, &result, err);
	side_close(&run);
	return ret;
}

static void merge_check_done(void *user, struct cow_image **images)
{
	struct side_job *job = (struct side_job *)user;
	struct cow_image *over[NR_IMAGES];

	check_origin(job, images[ORIGIN], job->rs.view);
	pair_check_empty(images[COW], job->rs.chunk_bytes);
	check_siblings(job, images);
	for (int i = 0; i < NR_IMAGES; i++)
		OK(cow_image_overlay_new(images[i], &over[i], err));
	job->is_take_back = true;
	OK(take_back_once(job, over, true, err));
	job->is_take_back = false;
	check_origin(job, over[ORIGIN], job->before);
	check_siblings(job, over);
	for (int i = 0; i < NR_IMAGES; i++)
		cow_image_close(over[i]);
}

/* ------------------------------------------------------------- take-back */

static int take_back_run(void *user, struct cow_image **images, struct crash_run *run,
			 struct cow_err *err)
{
	struct side_job *job = (struct side_job *)user;
	uint32_t phase = phase_of(images[UNDO]);
	uint64_t writes = writes_of(images);
	struct cow_err why = COW_ERR_INIT;
	int ret;

	(void)run;
	if (!phase) { /* finished, and says so */
		CHECK(take_back_once(job, images, true, &why) == -EPERM);
		CHECK(!strcmp(why.id, "no-undo"));
		return 0;
	}
	if (phase != LABEL_PHASE_DONE && test_random(&job->random) % 2) {
		ret = take_back_once(job, images, false, &why);
		if (phase == LABEL_PHASE_MOVE) {
			*err = why;
			return ret;
		}
		CHECK(ret == -EPERM && !strcmp(why.id, "siblings"));
		CHECK_EQ(writes_of(images), writes);
	}
	return take_back_once(job, images, true, err);
}

static void take_back_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct side_job *job = (const struct side_job *)user;

	(void)mark;
	pair_check_view(images[ORIGIN], images[UNDO], job->before);
	check_siblings(job, images);
	state_keep(job, images, "back", UNDO, job->before);
}

static void take_back_check_done(void *user, struct cow_image **images)
{
	const struct side_job *job = (const struct side_job *)user;

	check_origin(job, images[ORIGIN], job->before);
	check_siblings(job, images);
	CHECK_EQ(count(images[UNDO]), 0);
	CHECK_EQ(phase_of(images[UNDO]), 0);
}

/* ------------------------------------------------------------------ cases */

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

static void side_make(struct side_job *job, uint64_t *random)
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

static void side_free(struct side_job *job)
{
	for (int i = 0; i < NR_SIBLINGS; i++)
		free(job->shown[i]);
	for (int i = 0; i < NR_IMAGES; i++)
		free(job->bytes[i]);
	free(job->before);
	randstore_free(&job->rs);
}

/* Merges for good, so that there is something to take back. */
static void side_merge(struct side_job *job)
{
	struct cow_image *images[NR_IMAGES];

	for (int i = 0; i < NR_IMAGES; i++)
		OK(crash_flat_new(job->bytes[i], job->sizes[i], "image", &images[i], err));
	OK(merge_once(job, images, true, true, err));
	for (int i = 0; i < NR_IMAGES; i++)
		cow_image_close(images[i]);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 }, back_counts = { 0 };
	uint64_t random = test_seed();
	struct sample sample = { .directory = argc > 3 ? argv[2] : NULL,
				 .nr_per_kind = argc > 3 ? (unsigned int)atoi(argv[3]) : 0 };

	test_name = "siblings";
	while (counts.nr_states + back_counts.nr_states < wanted) {
		static struct side_job job;
		const struct crash_job merge = {
			.name = "merge with siblings and undo",
			.nr_images = NR_IMAGES,
			.user = &job,
			.run = merge_run,
			.check_state = merge_check_state,
			.check_done = merge_check_done,
		};
		const struct crash_job take_back = {
			.name = "take-back",
			.nr_images = NR_IMAGES,
			.user = &job,
			.run = take_back_run,
			.check_state = take_back_check_state,
			.check_done = take_back_check_done,
		};

		side_make(&job, &random);
		job.sample = &sample;
		crash_explore(&merge, job.bytes, job.sizes, &limits, test_random(&random), &counts);
		side_merge(&job);
		job.is_take_back = true;
		crash_explore(&take_back, job.bytes, job.sizes, &limits, test_random(&random),
			      &back_counts);
		side_free(&job);
	}
	crash_print("merge with siblings and undo", &counts);
	crash_print("take-back", &back_counts);
	sample_print(&sample);
	return 0;
}
