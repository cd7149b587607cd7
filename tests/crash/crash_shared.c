/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_shared.c - snapshots that share their blocks (tests/aids/pool.h), with
 * chunks that are no powers of two, cut off anywhere while
 * - the origin is written to, with copy-out to all of them: at every state each
 *   shows what it showed (I4);
 * - one of them is merged and the others are kept true: the same, and the pair
 *   shows the whole view at each instant;
 * - one of them is written to, all of its blocks being shared: at every state
 *   it shows the old bytes or the new ones as a whole, the others the old.
 * usage: crash_shared [number of states]
 */
#include <stdlib.h>
#include <string.h>

#include "libcow/base/units.h"
#include "tests/aids/crash.h"
#include "tests/aids/pool.h"
#include "tests/aids/test.h"

enum { ORIGIN, POOL, NR_IMAGES };
enum { WRITTEN, MERGED, OVERWRITTEN, NR_KINDS };

#define NR_SNAPSHOTS 3
#define NR_WRITES 3

struct range {
	uint64_t offset, len;
};

struct shared_job {
	int kind;
	uint64_t chunk_bytes, origin_bytes, pool_bytes;
	uint64_t ids[NR_SNAPSHOTS];
	uint8_t *origin, *pool;		/* as they are before */
	uint8_t *wanted;		/* what the written image is at the end */
	uint8_t *shown[NR_SNAPSHOTS];	/* what they show before */
	struct range writes[NR_WRITES]; /* of wanted, ascending for a snapshot */
	struct cow_store *stores[NR_SNAPSHOTS];
};

static void scribble(uint8_t *bytes, uint64_t len, uint64_t *random)
{
	for (uint64_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)test_random(random);
}

static uint8_t *copy_of(const uint8_t *bytes, uint64_t len)
{
	uint8_t *copy = (uint8_t *)calloc(1, len);

	CHECK(copy);
	if (bytes)
		memcpy(copy, bytes, len);
	return copy;
}

/* ------------------------------------------------------------- open, close */

static int stores_open(struct shared_job *job, struct cow_image **images, struct cow_err *err)
{
	int ret = 0;

	memset(job->stores, 0, sizeof(job->stores));
	for (int i = 0; i < NR_SNAPSHOTS && !ret; i++)
		ret = pool_open(images[POOL], images[ORIGIN], job->ids[i],
				i ? job->stores[0] : NULL, &job->stores[i], err);
	return ret;
}

static void stores_close(struct shared_job *job)
{
	for (int i = 0; i < NR_SNAPSHOTS; i++)
		cow_store_close(job->stores[i]);
}

/* --------------------------------------------------------------------- run */

static int write_origin(struct shared_job *job, struct cow_image **images, struct cow_err *err)
{
	int ret = 0;

	for (int i = 0; i < NR_WRITES && !ret; i++) {
		const struct range *range = &job->writes[i];

		ret = cow_copyout_write(images[ORIGIN], job->stores, NR_SNAPSHOTS,
					job->wanted + range->offset, range->len, range->offset,
					err);
	}
	return ret ? ret : cow_image_flush(images[ORIGIN], err);
}

static int merge(struct shared_job *job, struct cow_err *err)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;

	params.siblings = job->stores + 1;
	params.nr_siblings = NR_SNAPSHOTS - 1;
	params.batch_bytes = 8192;
	params.epoch_bytes = 4 * job->chunk_bytes;
	params.epoch_ms = 1000000;
	return cow_merge(job->stores[0], &params, &result, err);
}

static int write_snapshot(struct shared_job *job, struct cow_image **images, struct cow_err *err)
{
	struct cow_patch *patch;
	int ret = cow_patch_new(job->stores[0], images[ORIGIN], &patch, err);

	if (ret)
		return ret;
	for (int i = 0; i < NR_WRITES && !ret; i++)
		ret = cow_patch_write(patch, job->writes[i].offset,
				      job->wanted + job->writes[i].offset, job->writes[i].len, err);
	if (!ret)
		ret = cow_patch_finish(patch, err);
	cow_patch_free(patch);
	return ret;
}

static int shared_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	struct shared_job *job = (struct shared_job *)user;
	int ret = stores_open(job, images, err);

	(void)run;
	if (!ret && job->kind == WRITTEN)
		ret = write_origin(job, images, err);
	else if (!ret && job->kind == MERGED)
		ret = merge(job, err);
	else if (!ret)
		ret = write_snapshot(job, images, err);
	stores_close(job);
	return ret;
}

/* --------------------------------------------------------------- judgement */

static bool shows(struct shared_job *job, struct cow_image **images, int i, const uint8_t *wanted)
{
	uint8_t *bytes = copy_of(NULL, job->origin_bytes);
	struct cow_image *view;
	bool is_so;

	OK(cow_view_new(images[ORIGIN], job->stores[i], &view, err));
	OK(cow_image_pread(view, bytes, job->origin_bytes, 0, err));
	is_so = !memcmp(bytes, wanted, job->origin_bytes);
	cow_image_close(view);
	free(bytes);
	return is_so;
}

static void shared_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	struct shared_job *job = (struct shared_job *)user;

	(void)mark;
	OK(stores_open(job, images, err));
	for (int i = 0; i < NR_SNAPSHOTS; i++)
		CHECK(shows(job, images, i, job->shown[i]) ||
		      (!i && job->kind == OVERWRITTEN && shows(job, images, i, job->wanted)));
	stores_close(job);
}

static void shared_check_done(void *user, struct cow_image **images)
{
	struct shared_job *job = (struct shared_job *)user;
	uint8_t *bytes = copy_of(NULL, job->origin_bytes);

	OK(cow_image_pread(images[ORIGIN], bytes, job->origin_bytes, 0, err));
	CHECK(!memcmp(bytes, job->kind == OVERWRITTEN ? job->origin : job->wanted,
		      job->origin_bytes));
	free(bytes);
	OK(stores_open(job, images, err));
	CHECK(shows(job, images, 0, job->kind == OVERWRITTEN ? job->wanted : job->shown[0]));
	if (job->kind == MERGED)
		CHECK(cow_store_is_empty(job->stores[0]));
	stores_close(job);
}

/* -------------------------------------------------------------------- draw */

static struct range draw_range(const struct shared_job *job, uint64_t *random)
{
	uint64_t nr = job->origin_bytes / 512, offset = test_random(random) % nr;
	uint64_t len = 1 + test_random(random) % (2 * job->chunk_bytes / 512);

	return (struct range){ offset * 512, min_u64(len, nr - offset) * 512 };
}

/* Snapshots of different ages: some chunks all have, some few. */
static void snapshots_make(struct shared_job *job, struct cow_image **images, uint64_t *random)
{
	struct cow_store *manager;

	OK(pool_create(images[POOL], job->chunk_bytes, err));
	OK(pool_open(images[POOL], images[ORIGIN], STORE_SNAPSHOT_NONE, NULL, &manager, err));
	for (int i = 0; i < NR_SNAPSHOTS; i++) {
		struct range range = draw_range(job, random);
		bool is_sub = i && test_random(random) % 2;
		struct cow_store *store;

		OK(cow_store_snapshot_create(manager, is_sub ? job->ids[0] : STORE_SNAPSHOT_NONE,
					     job->origin_bytes, &job->ids[i], err));
		OK(pool_open(images[POOL], images[ORIGIN], job->ids[i], manager, &store, err));
		scribble(job->wanted, range.len, random);
		struct cow_patch *patch;

		OK(cow_patch_new(store, images[ORIGIN], &patch, err));
		OK(cow_patch_write(patch, range.offset, job->wanted, range.len, err));
		OK(cow_patch_finish(patch, err));
		cow_patch_free(patch);
		cow_store_close(store);
	}
	/* all blocks of the one that is written to are shared */
	if (job->kind == OVERWRITTEN) {
		uint64_t id;

		OK(cow_store_snapshot_create(manager, job->ids[0], 0, &id, err));
	}
	cow_store_close(manager);
}

static void shown_read(struct shared_job *job, struct cow_image **images)
{
	OK(stores_open(job, images, err));
	for (int i = 0; i < NR_SNAPSHOTS; i++) {
		struct cow_image *view;

		OK(cow_view_new(images[ORIGIN], job->stores[i], &view, err));
		OK(cow_image_pread(view, job->shown[i], job->origin_bytes, 0, err));
		cow_image_close(view);
	}
	stores_close(job);
}

/* What the job is to write. */
static void wanted_draw(struct shared_job *job, uint64_t *random)
{
	memcpy(job->wanted, job->kind == WRITTEN ? job->origin : job->shown[0], job->origin_bytes);
	if (job->kind == MERGED)
		return;
	for (int i = 0; i < NR_WRITES; i++) {
		struct range *range = &job->writes[i];

		*range = draw_range(job, random);
		if (i && job->kind == OVERWRITTEN &&
		    range->offset < range[-1].offset + range[-1].len)
			*range = (struct range){ range[-1].offset + range[-1].len, 0 };
		scribble(job->wanted + range->offset, range->len, random);
	}
}

static void job_make(struct shared_job *job, uint64_t *random)
{
	static const uint64_t sectors[] = { 3, 3, 3, 3, 7, 7, 7, 7, 7, 384 };
	uint64_t chunk = sectors[test_random(random) % 10], nr = chunk > 100 ? 3 : 12;
	struct cow_image *images[NR_IMAGES];

	memset(job, 0, sizeof(*job));
	job->kind = (int)(test_random(random) % NR_KINDS);
	job->chunk_bytes = chunk * 512;
	job->origin_bytes = nr * job->chunk_bytes - test_random(random) % chunk * 512;
	job->pool_bytes = pool_bytes(job->chunk_bytes, (NR_SNAPSHOTS + 1) * nr);
	job->origin = copy_of(NULL, job->origin_bytes);
	job->pool = copy_of(NULL, job->pool_bytes);
	job->wanted = copy_of(NULL, job->origin_bytes);
	scribble(job->origin, job->origin_bytes, random);
	OK(crash_flat_new(job->origin, job->origin_bytes, "origin", &images[ORIGIN], err));
	OK(crash_flat_new(job->pool, job->pool_bytes, "pool", &images[POOL], err));
	for (int i = 0; i < NR_SNAPSHOTS; i++)
		job->shown[i] = copy_of(NULL, job->origin_bytes);
	snapshots_make(job, images, random);
	shown_read(job, images);
	wanted_draw(job, random);
	cow_image_close(images[ORIGIN]);
	cow_image_close(images[POOL]);
}

static void job_free(struct shared_job *job)
{
	free(job->origin);
	free(job->pool);
	free(job->wanted);
	for (int i = 0; i < NR_SNAPSHOTS; i++)
		free(job->shown[i]);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
	static const char *const names[] = { "shared: origin written", "shared: merged",
					     "shared: snapshot written" };
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts[NR_KINDS] = { 0 };
	uint64_t random = test_seed();

	test_name = "shared";
	while (counts[0].nr_states + counts[1].nr_states + counts[2].nr_states < wanted) {
		static struct shared_job job;
		struct crash_job crash = {
			.nr_images = NR_IMAGES,
			.user = &job,
			.may_fail = true,
			.run = shared_run,
			.check_state = shared_check_state,
			.check_done = shared_check_done,
		};

		job_make(&job, &random);
		crash.name = names[job.kind];
		crash_explore(&crash, (uint8_t *[]){ job.origin, job.pool },
			      (uint64_t[]){ job.origin_bytes, job.pool_bytes }, &limits,
			      test_random(&random), &counts[job.kind]);
		job_free(&job);
	}
	for (int i = 0; i < NR_KINDS; i++)
		crash_print(names[i], &counts[i]);
	return 0;
}
