/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The thread rule of libcow.h: one handle, one thread; handles of different
 * imagesets are independent, also where they read the same file. Two threads
 * do all kinds of jobs at the same time, each with its own set; "make
 * check-threads" runs this under TSan, which sees what they share in secret.
 */
#include <errno.h>
#include <pthread.h>

#include "tests/aids/temp_dir.h"
#include "tests/aids/test.h"

#define NR_THREADS 2
#define NR_ROUNDS 8
#define ORIGIN_BYTES UINT64_C(262144)
#define COW_BYTES UINT64_C(524288)

/* One thread's own handles, and what the view must become. */
struct worker {
	int index;
	uint64_t random, nr_progress, nr_findings;
	struct cow_imageset *set;
	struct cow_image *shared, *origin, *cow, *wanted;
	struct cow_store *store;
	struct cow_callbacks callbacks;
};

static pthread_barrier_t start;

static int count_progress(void *user, const struct cow_progress *progress)
{
	struct worker *w = user;

	w->nr_progress += progress->phase != NULL;
	return 0;
}

static void count_finding(void *user, const struct cow_finding *finding)
{
	struct worker *w = user;

	CHECK(cow_problem_find(finding->problem->id) == finding->problem);
	w->nr_findings++;
}

static struct cow_image *file_open(struct worker *w, const char *stem, uint32_t flags)
{
	struct cow_image *image;
	char name[64];

	snprintf(name, sizeof(name), "%s-%d", stem, w->index);
	OK(cow_imageset_open(w->set, flags ? name : stem, flags, &image, err));
	return image;
}

static void same_bytes(struct cow_image *a, struct cow_image *b)
{
	static const uint64_t piece = 16384;
	char left[16384], right[16384];

	for (uint64_t at = 0; at < ORIGIN_BYTES; at += piece) {
		OK(cow_image_pread(a, left, piece, at, err));
		OK(cow_image_pread(b, right, piece, at, err));
		CHECK(!memcmp(left, right, piece));
	}
}

/* What the snapshot is to show: the shared file with some of it rewritten. */
static void wanted_make(struct worker *w)
{
	struct cow_copy_params params = COW_COPY_PARAMS_INIT;
	struct cow_copy_result result = COW_COPY_RESULT_INIT;
	uint64_t word;

	OK(cow_image_memory_new(ORIGIN_BYTES, &w->wanted, err));
	OK(cow_copy(w->shared, w->wanted, &params, &result, err));
	OK(cow_copy(w->shared, w->origin, &params, &result, err));
	for (int i = 0; i < 20; i++) {
		word = test_random(&w->random);
		OK(cow_image_pwrite(w->wanted, &word, sizeof(word), word % (ORIGIN_BYTES / 8) * 8,
				    err));
	}
}

static void store_make(struct worker *w, const struct cow_store_args *args)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;

	OK(cow_create(w->cow, &create, err));
	OK(cow_store_open(args, &w->store, err));
	OK(cow_diff_fill(w->store, w->origin, w->wanted, &w->callbacks, &stats, err));
	CHECK(stats.nr_chunks > 0);
}

static void look_at_it(struct worker *w, const struct cow_store_args *args)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;
	struct cow_image *view;
	const struct cow_manifest_params manifest = COW_MANIFEST_PARAMS_INIT;
	const char *kind;
	uint8_t digest[COW_DIGEST_BYTES];

	OK(cow_view_new(w->origin, w->store, &view, err));
	same_bytes(view, w->wanted);
	OK(cow_manifest(view, &manifest, digest, err));
	cow_image_close(view);
	OK(cow_report_new(&w->callbacks, 0, &report, err));
	OK(cow_check(args, &params, report, &verdict, err));
	CHECK(verdict.kernel_loads && verdict.merge_right);
	cow_report_free(report);
	FAILS(-EMEDIUMTYPE, cow_store_probe(w->shared, &kind, err));
}

static void merge_it(struct worker *w)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;

	params.callbacks = &w->callbacks;
	OK(cow_merge(w->store, &params, &result, err));
	CHECK_EQ(result.nr_left, 0);
	same_bytes(w->origin, w->wanted);
}

static void one_round(struct worker *w)
{
	struct cow_role_image images[] = { { .role = COW_ROLE_ORIGIN }, { .role = COW_ROLE_COW } };
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	OK(cow_imageset_new(&w->set, err));
	w->shared = file_open(w, "shared", 0);
	images[0].image = w->origin = file_open(w, "origin", COW_OPEN_WRITE);
	images[1].image = w->cow = file_open(w, "cow", COW_OPEN_WRITE);
	args.images = images;
	args.nr_images = 2;
	wanted_make(w);
	store_make(w, &args);
	look_at_it(w, &args);
	merge_it(w);
	cow_store_close(w->store);
	cow_image_close(w->wanted);
	cow_image_close(w->cow);
	cow_image_close(w->origin);
	cow_image_close(w->shared);
	cow_imageset_free(w->set);
}

static void *work(void *user)
{
	struct worker *w = user;

	for (int i = 0; i < NR_ROUNDS; i++) {
		pthread_barrier_wait(&start);
		one_round(w);
	}
	return NULL;
}

static void two_threads_with_handles_of_their_own(void)
{
	struct worker workers[NR_THREADS];
	pthread_t threads[NR_THREADS];
	uint64_t seed = test_seed();
	char name[64];

	memset(workers, 0, sizeof(workers));
	temp_dir_enter();
	temp_file("shared", ORIGIN_BYTES);
	pthread_barrier_init(&start, NULL, NR_THREADS);
	for (int i = 0; i < NR_THREADS; i++) {
		struct worker *w = &workers[i];

		w->index = i;
		w->random = seed + (uint64_t)i;
		w->callbacks = (struct cow_callbacks)COW_CALLBACKS_INIT;
		w->callbacks.user = w;
		w->callbacks.progress = count_progress;
		w->callbacks.finding = count_finding;
		snprintf(name, sizeof(name), "origin-%d", i);
		temp_file(name, ORIGIN_BYTES);
		snprintf(name, sizeof(name), "cow-%d", i);
		temp_file(name, COW_BYTES);
		CHECK(!pthread_create(&threads[i], NULL, work, w));
	}
	for (int i = 0; i < NR_THREADS; i++) {
		CHECK(!pthread_join(threads[i], NULL));
		CHECK(workers[i].nr_progress > 0);
	}
	pthread_barrier_destroy(&start);
}

int main(void)
{
	RUN(two_threads_with_handles_of_their_own);
	return test_end();
}
