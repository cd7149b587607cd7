/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_skip.c - a merge that skips unreadable sectors, cut off anywhere. At
 * every state the pair shows what it showed at the beginning: the same bytes,
 * and the same sectors that cannot be read; no metadata was written before
 * everything readable is durable on the origin. The same merge, run again,
 * ends with the same origin (its own bytes where the snapshot cannot be read)
 * and the same exceptions: exactly those that are not wholly readable.
 * usage: crash_skip [number of states]
 */
#include <errno.h>

#include "tests/aids/crash.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

#define IMAGE_ORIGIN 0
#define IMAGE_COW 1
#define SECTOR 512

struct skip_job {
	struct randstore rs;
	uint64_t batch_bytes, epoch_bytes;
	struct cow_segment bad[8];
	size_t nr_bad;
	/* By chunk of the origin: where on the COW image, 0: no exception. */
	uint64_t *new_bytes;
	bool *is_bad;  /* by sector of the origin */
	bool *is_kept; /* by chunk */
	uint64_t nr_kept;
};

static bool touches(const struct skip_job *job, uint64_t offset_bytes, uint64_t len_bytes)
{
	for (size_t i = 0; i < job->nr_bad; i++)
		if (job->bad[i].offset_bytes < offset_bytes + len_bytes &&
		    offset_bytes < job->bad[i].offset_bytes + job->bad[i].len_bytes)
			return true;
	return false;
}

/* Bad places in data chunks; those of the list are all readable. */
static void job_draw_bad(struct skip_job *job, uint64_t *random)
{
	const struct randstore *rs = &job->rs;
	uint64_t wanted = test_random(random) % 8;

	for (uint64_t i = 0; i < wanted; i++) {
		uint64_t chunk = test_random(random) % rs->nr_chunks;
		uint64_t sectors = rs->chunk_bytes / SECTOR, first;

		if (!job->new_bytes[chunk])
			continue;
		first = test_random(random) % sectors;
		job->bad[job->nr_bad++] =
			(struct cow_segment){ job->new_bytes[chunk] + first * SECTOR,
					      (1 + test_random(random) % (sectors - first)) *
						      SECTOR };
	}
	for (uint64_t chunk = 0; chunk < rs->nr_chunks; chunk++)
		for (uint64_t at = 0; job->new_bytes[chunk] && at < rs->chunk_bytes; at += SECTOR) {
			uint64_t old = chunk * rs->chunk_bytes + at;

			if (old >= rs->origin_bytes ||
			    !touches(job, job->new_bytes[chunk] + at, SECTOR))
				continue;
			job->is_bad[old / SECTOR] = true;
			job->nr_kept += !job->is_kept[chunk];
			job->is_kept[chunk] = true;
		}
}

static void job_make(struct skip_job *job, uint64_t *random)
{
	struct cow_image *cow;
	struct cow_store *store;
	struct cow_extent extent;
	uint64_t at = 0;

	memset(job, 0, sizeof(*job));
	randstore_make(&job->rs, random, 2 + test_random(random) % 120);
	job->batch_bytes = 4096 * (1 + test_random(random) % 4);
	job->epoch_bytes = job->rs.chunk_bytes * (1 + test_random(random) % 64);
	job->new_bytes = (uint64_t *)calloc(job->rs.nr_chunks, sizeof(uint64_t));
	job->is_bad = (bool *)calloc(job->rs.origin_bytes / SECTOR + 1, 1);
	job->is_kept = (bool *)calloc(job->rs.nr_chunks, 1);
	OK(crash_flat_new(job->rs.cow, job->rs.cow_bytes, "cow", &cow, err));
	OK(pair_open(NULL, cow, &store, err));
	for (; cow_store_next_extent(store, at, &extent); at = extent.old_bytes + extent.len_bytes)
		for (uint64_t i = 0; i < extent.len_bytes; i += job->rs.chunk_bytes)
			job->new_bytes[(extent.old_bytes + i) / job->rs.chunk_bytes] =
				extent.new_bytes + i;
	cow_store_close(store);
	cow_image_close(cow);
	job_draw_bad(job, random);
}

static void job_free(struct skip_job *job)
{
	free(job->new_bytes);
	free(job->is_bad);
	free(job->is_kept);
	randstore_free(&job->rs);
}

static int skip_run(void *user, struct cow_image **images, struct crash_run *run,
		    struct cow_err *err)
{
	const struct skip_job *job = (const struct skip_job *)user;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_image *bad;
	struct cow_store *store;
	int ret;

	params.batch_bytes = job->batch_bytes;
	params.epoch_bytes = job->epoch_bytes;
	params.flags = COW_MERGE_SKIP_UNREADABLE;
	ret = cow_image_bad_new(images[IMAGE_COW], job->bad, job->nr_bad, 0, &bad, err);
	if (ret)
		return ret;
	ret = pair_open(images[IMAGE_ORIGIN], bad, &store, err);
	if (!ret) {
		ret = cow_merge(store, &params, &result, err);
		cow_store_close(store);
	}
	cow_image_close(bad);
	if (!ret) {
		CHECK_EQ(result.nr_bad, job->nr_kept);
		crash_mark(run, 1);
	}
	return ret;
}

/* Sector by sector: the view, or the error that was there from the start. */
static void check_view(const struct skip_job *job, struct cow_image **images)
{
	const struct randstore *rs = &job->rs;
	struct cow_image *bad, *view;
	struct cow_store *store;
	uint8_t buf[SECTOR];

	OK(cow_image_bad_new(images[IMAGE_COW], job->bad, job->nr_bad, 0, &bad, err));
	OK(pair_open(images[IMAGE_ORIGIN], bad, &store, err));
	OK(cow_view_new(images[IMAGE_ORIGIN], store, &view, err));
	for (uint64_t at = 0; at < rs->origin_bytes; at += SECTOR) {
		int ret = cow_image_pread(view, buf, SECTOR, at, NULL);

		CHECK_EQ(ret, job->is_bad[at / SECTOR] ? -EIO : 0);
		CHECK(ret || !memcmp(buf, rs->view + at, SECTOR));
	}
	cow_image_close(view);
	cow_store_close(store);
	cow_image_close(bad);
}

static void skip_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct skip_job *job = (const struct skip_job *)user;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;

	check_view(job, images);
	pair_check_sound(images[IMAGE_ORIGIN], images[IMAGE_COW]);
	OK(pair_open(NULL, images[IMAGE_COW], &store, err));
	CHECK(!cow_store_get_info(store, &info));
	CHECK(info.valid);
	if (mark)
		CHECK_EQ(info.nr_exceptions, job->nr_kept);
	cow_store_close(store);
}

static void check_records(const struct skip_job *job, struct cow_image *cow)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store;
	struct cow_extent extent;
	uint64_t nr = 0, at = 0;

	OK(pair_open(NULL, cow, &store, err));
	CHECK(!cow_store_get_info(store, &info));
	CHECK_EQ(info.nr_exceptions, job->nr_kept);
	for (; cow_store_next_extent(store, at, &extent); at = extent.old_bytes + extent.len_bytes)
		for (uint64_t i = 0; i < extent.len_bytes; i += job->rs.chunk_bytes, nr++) {
			uint64_t chunk = (extent.old_bytes + i) / job->rs.chunk_bytes;

			CHECK(job->is_kept[chunk]);
			CHECK_EQ(job->new_bytes[chunk], extent.new_bytes + i);
		}
	CHECK_EQ(nr, job->nr_kept);
	cow_store_close(store);
}

static void skip_check_done(void *user, struct cow_image **images)
{
	const struct skip_job *job = (const struct skip_job *)user;
	const struct randstore *rs = &job->rs;
	uint8_t *origin = (uint8_t *)malloc(rs->origin_bytes);

	CHECK(origin != NULL);
	OK(cow_image_pread(images[IMAGE_ORIGIN], origin, rs->origin_bytes, 0, err));
	for (uint64_t at = 0; at < rs->origin_bytes; at += SECTOR)
		CHECK(!memcmp(origin + at, (job->is_bad[at / SECTOR] ? rs->origin : rs->view) + at,
			      SECTOR));
	check_records(job, images[IMAGE_COW]);
	if (!job->nr_kept)
		pair_check_empty(images[IMAGE_COW], rs->chunk_bytes);
	free(origin);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed(), nr_kept = 0;

	test_name = "skip";
	while (counts.nr_states < wanted) {
		struct skip_job skip;
		struct crash_job job = {
			.name = "skip",
			.nr_images = 2,
			.user = &skip,
			.run = skip_run,
			.check_state = skip_check_state,
			.check_done = skip_check_done,
		};

		job_make(&skip, &random);
		crash_explore(&job, (uint8_t *[]){ skip.rs.origin, skip.rs.cow },
			      (uint64_t[]){ skip.rs.origin_bytes, skip.rs.cow_bytes }, &limits,
			      test_random(&random), &counts);
		nr_kept += skip.nr_kept;
		job_free(&skip);
	}
	CHECK(nr_kept);
	crash_print("skip", &counts);
	return 0;
}
