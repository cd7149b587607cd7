/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Every operation of a merge with siblings and undo, of one that keeps its
 * exceptions, and of a take-back fails in turn. Afterwards every view is still
 * what it was, nothing was written that had to wait for a flush (I1, I4, I8), and
 * the same job goes through. */
#include <errno.h>

#include "tests/aids/crash.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/image_record.h"
#include "tests/aids/sides.h"
#include "tests/aids/test.h"

enum kind { MERGE, KEEP, TAKE_BACK };

static uint64_t random_state, nr_injected;

struct bench {
	struct side_job *job;
	enum kind kind;
	uint8_t *bytes[NR_IMAGES]; /* copies to work on */
	uint64_t nr_records;	   /* of the store that is merged */
};

static int store_of(const struct bench *bench)
{
	return bench->kind == TAKE_BACK ? UNDO : COW;
}

/* What is merged is settled only when the origin is durable (I1, I8); the origin
 * is written to only when siblings and undo are (I4). A flush that failed is not
 * in the log, so everything that comes after it counts. */
static void check_order(const struct bench *bench, const struct record_log *log)
{
	bool is_pending[NR_IMAGES] = { false };

	for (size_t i = 0; i < log->nr_entries; i++) {
		const struct record_entry *e = &log->entries[i];

		if (e->kind == RECORD_FLUSH) {
			is_pending[e->image] = false;
			continue;
		}
		if ((int)e->image == store_of(bench))
			CHECK(!is_pending[ORIGIN]);
		if (e->image == ORIGIN)
			for (int k = 0; k < NR_IMAGES; k++)
				CHECK(k == ORIGIN || !is_pending[k]);
		is_pending[e->image] = true;
	}
}

static int run_once(struct bench *bench, struct cow_image **images, bool undo_is_new,
		    struct cow_err *err)
{
	if (bench->kind == TAKE_BACK)
		return side_take_back(bench->job, images, true, err);
	return side_merge(bench->job, images, true, undo_is_new,
			  bench->kind == KEEP ? COW_MERGE_KEEP : 0, err);
}

/* One run through images that fail as planned. */
static int run_planned(struct bench *bench, struct fault_plan *plan, bool undo_is_new,
		       struct cow_err *ret_said)
{
	struct cow_image *flat[NR_IMAGES], *record[NR_IMAGES], *fault[NR_IMAGES];
	static const char *const names[] = { "origin", "cow", "undo", "sibling 0", "sibling 1" };
	struct record_log log = { .entries = NULL };
	int ret;

	for (unsigned int i = 0; i < NR_IMAGES; i++) {
		OK(crash_flat_new(bench->bytes[i], bench->job->sizes[i], names[i], &flat[i], err));
		OK(record_new(flat[i], &log, i, &record[i], err));
		OK(fault_new(record[i], plan, &fault[i], err));
	}
	ret = run_once(bench, fault, undo_is_new, ret_said);
	check_order(bench, &log);
	record_clear(&log);
	for (int i = 0; i < NR_IMAGES; i++) {
		cow_image_close(fault[i]);
		cow_image_close(record[i]);
		cow_image_close(flat[i]);
	}
	return ret;
}

static void images_open(struct bench *bench, struct cow_image **images)
{
	for (int i = 0; i < NR_IMAGES; i++)
		OK(crash_flat_new(bench->bytes[i], bench->job->sizes[i], "flat", &images[i], err));
}

static void check_views(struct bench *bench, bool is_done)
{
	const uint8_t *view = bench->kind == TAKE_BACK ? bench->job->before : bench->job->rs.view;
	struct cow_image *images[NR_IMAGES];
	int store = store_of(bench);

	images_open(bench, images);
	pair_check_view(images[ORIGIN], images[store], view);
	side_check_siblings(bench->job, images);
	if (bench->kind != TAKE_BACK && (is_done || side_phase(images[COW]) == LABEL_PHASE_MOVE))
		pair_check_view(images[ORIGIN], images[UNDO], bench->job->before);
	if (is_done)
		side_check_origin(bench->job, images[ORIGIN], view);
	if (is_done || bench->kind == KEEP)
		CHECK_EQ(side_count(images[store]), bench->kind == KEEP ? bench->nr_records : 0);
	for (int i = 0; i < NR_IMAGES; i++)
		cow_image_close(images[i]);
}

/* The same job again, as crash_siblings.c does it: an undo file that was not
 * complete has no name. A take-back that was through says so. */
static void finish(struct bench *bench)
{
	struct fault_plan none = { .kinds = FAULT_ANY };
	struct cow_err why = COW_ERR_INIT;
	int ret = run_planned(bench, &none, false, &why);

	if (bench->kind == TAKE_BACK && ret == -EPERM) {
		CHECK(!strcmp(why.id, "no-undo"));
		return;
	}
	if (ret)
		OK(run_planned(bench, &none, true, err));
}

/* Fails the n-th operation as the plan says; false: there is no n-th. */
static bool inject(struct bench *bench, const struct fault_plan *wanted)
{
	struct fault_plan plan = *wanted;
	struct cow_err said = COW_ERR_INIT;
	int ret;

	for (int i = 0; i < NR_IMAGES; i++)
		memcpy(bench->bytes[i], bench->job->bytes[i], bench->job->sizes[i]);
	plan.random = test_random(&random_state);
	/* What looks at the pair before the job begins is not the job's. */
	ret = run_planned(bench, &plan, true, &said);
	if (!plan.nr_faults) {
		CHECK_EQ(ret, 0);
		check_views(bench, true);
		return false;
	}
	nr_injected++;
	CHECK_EQ(ret, wanted->error);
	CHECK(said.message[0] && said.image[0]);
	check_views(bench, false);
	finish(bench);
	check_views(bench, true);
	return true;
}

static void each_operation(struct bench *bench, uint32_t kinds, int error)
{
	struct fault_plan plan = { .kinds = kinds, .error = error };

	for (int for_ever = 0; for_ever < 2; for_ever++) {
		plan.for_ever = for_ever;
		plan.torn = (enum fault_torn)(test_random(&random_state) % 4);
		for (plan.nth = 1; inject(bench, &plan); plan.nth++)
			;
	}
}

static void bench_run(struct side_job *job, enum kind kind)
{
	struct bench bench = { .job = job, .kind = kind };
	struct cow_image *images[NR_IMAGES];

	for (int i = 0; i < NR_IMAGES; i++) {
		bench.bytes[i] = (uint8_t *)malloc(job->sizes[i]);
		CHECK(bench.bytes[i] != NULL);
		memcpy(bench.bytes[i], job->bytes[i], job->sizes[i]);
	}
	images_open(&bench, images);
	bench.nr_records = side_count(images[store_of(&bench)]);
	for (int i = 0; i < NR_IMAGES; i++)
		cow_image_close(images[i]);
	each_operation(&bench, FAULT_ANY, -EIO);
	each_operation(&bench, FAULT_WRITE | FAULT_ZERO | FAULT_FLUSH, -ENOSPC);
	for (int i = 0; i < NR_IMAGES; i++)
		free(bench.bytes[i]);
}

static void every_operation_fails_in_turn(void)
{
	static struct side_job job;

	for (int i = 0; i < 3; i++) {
		side_make(&job, &random_state);
		bench_run(&job, MERGE);
		bench_run(&job, KEEP);
		side_merge_all(&job);
		job.is_take_back = true;
		bench_run(&job, TAKE_BACK);
		side_free(&job);
	}
	printf("%" PRIu64 " failures injected\n", nr_injected);
}

int main(void)
{
	random_state = test_seed();
	RUN(every_operation_fails_in_turn);
	return test_end();
}
