/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Every operation of a merge fails in turn. Afterwards the view of the pair
 * is still the whole view, nothing was settled that was not flushed (I8), and
 * the same merge goes through. */
#include <errno.h>

#include "tests/aids/crash.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/image_record.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

#define ORIGIN 0
#define COW 1

static uint64_t random_state, nr_injected;

struct bench {
	const struct randstore *rs;
	uint8_t *bytes[2]; /* copies to work on */
	uint64_t batch_bytes, epoch_bytes;
};

static uint64_t size_of(const struct bench *bench, int i)
{
	return i == ORIGIN ? bench->rs->origin_bytes : bench->rs->cow_bytes;
}

/* A write to the COW image while something on the origin is not flushed is a
 * settlement of data that may not be there. A failed flush is not recorded. */
static void check_order(const struct record_log *log)
{
	bool is_pending = false;

	for (size_t i = 0; i < log->nr_entries; i++) {
		const struct record_entry *e = &log->entries[i];

		if (e->image == ORIGIN)
			is_pending = e->kind != RECORD_FLUSH;
		else if (e->kind != RECORD_FLUSH)
			CHECK(!is_pending);
	}
}

/* One merge of the pair, through images that fail as planned. */
static int merge_once(struct bench *bench, struct fault_plan *plan, struct cow_err *ret_said)
{
	struct cow_image *flat[2], *record[2], *fault[2];
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct record_log log = { .entries = NULL };
	struct cow_store *store = NULL;
	int ret;

	for (unsigned int i = 0; i < 2; i++) {
		OK(crash_flat_new(bench->bytes[i], size_of(bench, (int)i), i ? "cow" : "origin",
				  &flat[i], err));
		OK(record_new(flat[i], &log, i, &record[i], err));
		OK(fault_new(record[i], plan, &fault[i], err));
	}
	params.batch_bytes = bench->batch_bytes;
	params.epoch_bytes = bench->epoch_bytes;
	ret = pair_open(fault[ORIGIN], fault[COW], &store, ret_said);
	if (!ret) {
		ret = cow_merge(store, &params, &result, ret_said);
		CHECK_EQ(result.nr_chunks + result.nr_left <= bench->rs->nr_exceptions, true);
		CHECK(ret || !result.nr_left);
	}
	cow_store_close(store);
	check_order(&log);
	record_clear(&log);
	for (int i = 0; i < 2; i++) {
		cow_image_close(fault[i]);
		cow_image_close(record[i]);
		cow_image_close(flat[i]);
	}
	return ret;
}

static void check_view(struct bench *bench)
{
	struct cow_image *flat[2];

	for (int i = 0; i < 2; i++)
		OK(crash_flat_new(bench->bytes[i], size_of(bench, i), "flat", &flat[i], err));
	pair_check_view(flat[ORIGIN], flat[COW], bench->rs->view);
	for (int i = 0; i < 2; i++)
		cow_image_close(flat[i]);
}

static void check_done(struct bench *bench)
{
	struct cow_image *cow;

	CHECK(!memcmp(bench->bytes[ORIGIN], bench->rs->view, bench->rs->origin_bytes));
	OK(crash_flat_new(bench->bytes[COW], bench->rs->cow_bytes, "cow", &cow, err));
	pair_check_empty(cow, bench->rs->chunk_bytes);
	cow_image_close(cow);
}

/* Fails the n-th operation as the plan says; false: there is no n-th. */
static bool inject(struct bench *bench, const struct fault_plan *wanted)
{
	struct fault_plan plan = *wanted, none = { .kinds = FAULT_ANY };
	struct cow_err said = COW_ERR_INIT;
	int ret;

	memcpy(bench->bytes[ORIGIN], bench->rs->origin, bench->rs->origin_bytes);
	memcpy(bench->bytes[COW], bench->rs->cow, bench->rs->cow_bytes);
	plan.random = test_random(&random_state);
	ret = merge_once(bench, &plan, &said);
	if (!plan.nr_faults) {
		CHECK_EQ(ret, 0);
		check_done(bench);
		return false;
	}
	nr_injected++;
	CHECK_EQ(ret, wanted->error);
	CHECK(said.message[0] && said.image[0]);
	check_view(bench);
	OK(merge_once(bench, &none, err));
	check_done(bench);
	return true;
}

static void each_operation(struct bench *bench, uint32_t kinds, int error)
{
	for (int torn = FAULT_TORN_NOTHING; torn <= FAULT_TORN_ALL; torn++) {
		struct fault_plan plan = { .kinds = kinds,
					   .error = error,
					   .torn = (enum fault_torn)torn };

		for (int for_ever = 0; for_ever < 2; for_ever++) {
			plan.for_ever = for_ever;
			for (plan.nth = 1; inject(bench, &plan); plan.nth++)
				;
		}
	}
}

static void every_operation_fails_in_turn(void)
{
	for (int i = 0; i < 6; i++) {
		struct randstore rs;
		struct bench bench = { .rs = &rs };

		randstore_make(&rs, &random_state, 2 + test_random(&random_state) % 70);
		bench.batch_bytes = 4096;
		bench.epoch_bytes = rs.chunk_bytes * (1 + test_random(&random_state) % 40);
		bench.bytes[ORIGIN] = (uint8_t *)malloc(rs.origin_bytes);
		bench.bytes[COW] = (uint8_t *)malloc(rs.cow_bytes);
		CHECK(bench.bytes[ORIGIN] && bench.bytes[COW]);
		each_operation(&bench, FAULT_ANY, -EIO);
		each_operation(&bench, FAULT_WRITE | FAULT_ZERO, -ENOSPC);
		free(bench.bytes[ORIGIN]);
		free(bench.bytes[COW]);
		randstore_free(&rs);
	}
	printf("%" PRIu64 " failures injected\n", nr_injected);
}

int main(void)
{
	random_state = test_seed();
	RUN(every_operation_fails_in_turn);
	return test_end();
}
