/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_append.c - adding exceptions, cut off anywhere. At every state each
 * record that is visible has its own data (I3), no record stands there that
 * nobody wrote (the stale ones of I5), what was there before is intact, and
 * what publish() has returned for is there. A second run adds what is missing.
 * usage: crash_append [number of states]
 */
#include "libcow/base/units.h"
#include "tests/aids/crash.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

/* What is to be added: batch[chunk] is 0 for what was there before, -1 for
 * what stays out, else the number of the publish() that adds it. */
struct append_job {
	const struct randstore *rs; /* as it was before */
	const uint8_t *wanted;	    /* what the view is at the end */
	const int *batch;
	int nr_batches;
	unsigned int nr_runs; /* so far */
};

static bool store_has(const struct cow_store *store, uint64_t old_bytes)
{
	struct cow_extent extent;

	return cow_store_next_extent(store, old_bytes, &extent) && extent.old_bytes == old_bytes;
}

/* Each run appends in another order than the one before, so that a record of
 * that one which comes back to life names the data of another chunk. */
static int batch_append(const struct append_job *job, struct cow_store *store, int batch,
			struct cow_err *err)
{
	uint64_t nr = job->rs->nr_chunks;
	int ret = 0;

	for (uint64_t i = 0; i < nr && !ret; i++) {
		uint64_t chunk = job->nr_runs % 2 ? i : nr - 1 - i;

		if (job->batch[chunk] == batch && !store_has(store, chunk * job->rs->chunk_bytes))
			ret = chunk_append(job->rs, store, chunk, job->wanted, err);
	}
	return ret ? ret : cow_store_publish(store, err);
}

static int append_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	struct append_job *job = (struct append_job *)user;
	struct cow_store *store;
	int ret = pair_open(NULL, images[0], &store, err);

	if (ret)
		return ret;
	job->nr_runs++;
	for (int batch = 1; batch <= job->nr_batches && !ret; batch++) {
		ret = batch_append(job, store, batch, err);
		if (!ret)
			crash_mark(run, (uint64_t)batch);
	}
	cow_store_close(store);
	return ret;
}

static void check_chunk(const struct append_job *job, struct cow_image *cow,
			const struct cow_store *store, uint64_t chunk, uint64_t mark)
{
	uint64_t at = chunk * job->rs->chunk_bytes;
	uint64_t len = min_u64(job->rs->chunk_bytes, job->rs->origin_bytes - at);
	uint8_t data[COW_PIECE_BYTES / 64];
	struct cow_extent extent;

	CHECK(len <= sizeof(data));
	if (!store_has(store, at)) {
		CHECK(job->batch[chunk] < 0 || (uint64_t)job->batch[chunk] > mark);
		return;
	}
	CHECK(job->batch[chunk] >= 0);
	CHECK(cow_store_next_extent(store, at, &extent));
	OK(cow_image_pread(cow, data, len, extent.new_bytes, err));
	CHECK(!memcmp(data, job->wanted + at, len));
}

static void append_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct append_job *job = (const struct append_job *)user;
	struct cow_extent extent;
	struct cow_store *store;

	OK(pair_open(NULL, images[0], &store, err));
	for (uint64_t chunk = 0; chunk < job->rs->nr_chunks; chunk++)
		check_chunk(job, images[0], store, chunk, mark);
	CHECK(!cow_store_next_extent(store, job->rs->nr_chunks * job->rs->chunk_bytes, &extent));
	cow_store_close(store);
	pair_check_sound(NULL, images[0]);
}

static void append_check_done(void *user, struct cow_image **images)
{
	const struct append_job *job = (const struct append_job *)user;
	struct cow_image *origin;

	append_check_state(user, images, (uint64_t)job->nr_batches);
	OK(crash_flat_new(job->rs->origin, job->rs->origin_bytes, "origin", &origin, err));
	pair_check_view(origin, images[0], job->wanted);
	cow_image_close(origin);
}

static void explore_one(uint64_t *random, struct crash_counts *counts)
{
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct append_job append = { .nr_batches = 1 + (int)(test_random(random) % 4) };
	struct crash_job job = {
		.name = "append",
		.nr_images = 1,
		.user = &append,
		.may_fail = true,
		.run = append_run,
		.check_state = append_check_state,
		.check_done = append_check_done,
	};
	struct randstore rs;
	uint8_t *wanted;
	int *batch;

	randstore_make(&rs, random, 2 + test_random(random) % 150);
	wanted = (uint8_t *)malloc(rs.origin_bytes);
	batch = (int *)calloc(rs.nr_chunks, sizeof(*batch));
	CHECK(wanted && batch);
	memcpy(wanted, rs.view, rs.origin_bytes);
	for (uint64_t chunk = 0; chunk < rs.nr_chunks; chunk++) {
		uint64_t at = chunk * rs.chunk_bytes;

		if (rs.has_exception[chunk])
			continue;
		batch[chunk] = (int)(test_random(random) % (uint64_t)(append.nr_batches + 2)) - 1;
		if (!batch[chunk])
			batch[chunk] = -1;
		if (batch[chunk] > 0)
			random_fill(wanted + at, min_u64(rs.chunk_bytes, rs.origin_bytes - at),
				    random);
	}
	append.rs = &rs;
	append.wanted = wanted;
	append.batch = batch;
	crash_explore(&job, (uint8_t *[]){ rs.cow }, (uint64_t[]){ rs.cow_bytes }, &limits,
		      test_random(random), counts);
	randstore_free(&rs);
	free(wanted);
	free(batch);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 50000;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();

	test_name = "append";
	while (counts.nr_states < wanted)
		explore_one(&random, &counts);
	crash_print("append", &counts);
	return 0;
}
