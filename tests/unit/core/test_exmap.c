/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* The exception map against a model that is an array of chunks. */
#include <errno.h>

#include "libcow/base/units.h"
#include "libcow/core/exmap.h"
#include "tests/aids/test.h"

#define CHUNKS 700
#define NOTHING UINT64_MAX

static uint64_t seed;

struct model {
	uint64_t base; /* number of the first chunk */
	uint64_t new_of[CHUNKS];
	uint64_t nr_dropped, dropped_sum;
};

static void model_clear(struct model *model, uint64_t base)
{
	model->base = base;
	model->nr_dropped = model->dropped_sum = 0;
	for (size_t i = 0; i < CHUNKS; i++)
		model->new_of[i] = NOTHING;
}

/* First added wins. */
static void model_add(struct model *model, const struct exmap_run *run)
{
	for (uint64_t i = 0; i < run->nr_chunks; i++) {
		uint64_t *slot = &model->new_of[run->old_chunk + i - model->base];

		if (*slot == NOTHING) {
			*slot = run->new_chunk + i;
			continue;
		}
		model->nr_dropped++;
		model->dropped_sum += run->old_chunk + i + 3 * *slot + 7 * (run->new_chunk + i);
	}
}

static bool model_is_free(const struct model *model, const struct exmap_run *run)
{
	for (uint64_t i = 0; i < run->nr_chunks; i++)
		if (model->new_of[run->old_chunk + i - model->base] != NOTHING)
			return false;
	return true;
}

static uint64_t model_count(const struct model *model)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < CHUNKS; i++)
		nr += model->new_of[i] != NOTHING;
	return nr;
}

static int count_duplicate(void *user, const struct exmap_duplicate *duplicate)
{
	struct model *seen = user;

	seen->nr_dropped++;
	seen->dropped_sum += duplicate->old_chunk + 3 * duplicate->kept_new_chunk +
			     7 * duplicate->dropped_new_chunk;
	return 0;
}

static void check_run(const struct model *model, const struct exmap_run *run)
{
	for (uint64_t i = 0; i < run->nr_chunks; i++)
		CHECK_EQ(run->new_chunk + i, model->new_of[run->old_chunk + i - model->base]);
}

static void check_equal(const struct cow_exmap *map, const struct model *model)
{
	uint64_t at = 0, nr = 0;
	struct exmap_run run;

	CHECK_EQ(cow_exmap_nr_chunks(map), model_count(model));
	while (cow_exmap_next(map, at, &run)) {
		CHECK(run.old_chunk >= at && run.nr_chunks);
		check_run(model, &run);
		nr += run.nr_chunks;
		at = run.old_chunk + run.nr_chunks;
	}
	CHECK_EQ(nr, model_count(model));
	for (nr = 0, at = UINT64_MAX; cow_exmap_prev(map, at, &run); at = run.old_chunk) {
		CHECK(run.old_chunk + run.nr_chunks <= at && run.nr_chunks);
		check_run(model, &run);
		nr += run.nr_chunks;
	}
	CHECK_EQ(nr, model_count(model));
	for (size_t i = 0; i < CHUNKS; i++) {
		bool found = cow_exmap_lookup(map, model->base + i, &run);

		CHECK_EQ(found, model->new_of[i] != NOTHING);
		if (!found)
			continue;
		CHECK_EQ(run.old_chunk, model->base + i);
		check_run(model, &run);
		CHECK(cow_exmap_prev(map, model->base + i + 1, &run));
		CHECK_EQ(run.old_chunk + run.nr_chunks, model->base + i + 1);
	}
}

static struct exmap_run random_run(const struct model *model, uint64_t longest, uint64_t new_base)
{
	struct exmap_run run;

	run.nr_chunks = 1 + test_random(&seed) % longest;
	run.old_chunk = model->base + test_random(&seed) % (CHUNKS - run.nr_chunks);
	run.new_chunk = new_base + test_random(&seed) % 2000;
	return run;
}

static void one_random_map(uint64_t base, uint64_t new_base, uint64_t longest)
{
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	static struct model model, seen;
	unsigned int nr = test_random(&seed) % 300;

	model_clear(&model, base);
	model_clear(&seen, base);
	OK(cow_exmap_new(&map, err));
	for (unsigned int i = 0; i < nr; i++) {
		struct exmap_run run = random_run(&model, longest, new_base);

		OK(cow_exmap_add(map, &run, err));
		model_add(&model, &run);
	}
	OK(cow_exmap_seal(map, count_duplicate, &seen, err));
	CHECK_EQ(seen.nr_dropped, model.nr_dropped);
	CHECK_EQ(seen.dropped_sum, model.dropped_sum);
	check_equal(map, &model);
	for (unsigned int i = 0; i < 200; i++) {
		struct exmap_run run = random_run(&model, i % 2 ? longest : 1, new_base);

		if (!model_is_free(&model, &run)) {
			FAILS(-EEXIST, cow_exmap_insert(map, &run, err));
			continue;
		}
		OK(cow_exmap_insert(map, &run, err));
		model_add(&model, &run);
	}
	check_equal(map, &model);
}

static void random_operations_agree_with_an_array(void)
{
	for (unsigned int i = 0; i < 300; i++) {
		uint64_t longest = 1 + i % 40;

		one_random_map(0, 2, longest);
		one_random_map(UINT64_C(1) << 40, 2, longest);
		/* so large that the place does not fit into a run */
		one_random_map(EXMAP_CHUNK_LIMIT - CHUNKS, EXMAP_CHUNK_LIMIT - 4000, longest);
	}
}

static void neighbours_cost_one_run_whatever_the_order(void)
{
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;

	OK(cow_exmap_new(&map, err));
	for (uint64_t i = 1000; i--;) {
		const struct exmap_run run = { 500 + i, 9000 + i, 1 };

		OK(cow_exmap_add(map, &run, err));
	}
	OK(cow_exmap_seal(map, NULL, NULL, err));
	CHECK_EQ(cow_exmap_nr_runs(map), 1);
	for (uint64_t i = 0; i < 1000; i++) {
		const struct exmap_run run = { 2000 + i, 2000 + i, 1 };

		OK(cow_exmap_insert(map, &run, err));
	}
	CHECK_EQ(cow_exmap_nr_runs(map), 2);
	CHECK_EQ(cow_exmap_nr_chunks(map), 2000);
}

static void numbers_over_the_limit_are_refused(void)
{
	static const struct exmap_run bad[] = {
		{ EXMAP_CHUNK_LIMIT, 0, 1 },
		{ 0, EXMAP_CHUNK_LIMIT, 1 },
		{ EXMAP_CHUNK_LIMIT - 1, 0, 2 },
		{ UINT64_MAX, 0, 2 },
		{ 0, 0, 0 },
		{ 0, 0, (UINT64_C(1) << 20) + 1 },
	};
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	const struct exmap_run last = { EXMAP_CHUNK_LIMIT - 1, EXMAP_CHUNK_LIMIT - 1, 1 };
	struct exmap_run run = { 0, 0, 1 };

	OK(cow_exmap_new(&map, err));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		FAILS(-ERANGE, cow_exmap_add(map, &bad[i], err));
	OK(cow_exmap_add(map, &last, err));
	OK(cow_exmap_add(map, &run, err));
	OK(cow_exmap_seal(map, NULL, NULL, err));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		FAILS(-ERANGE, cow_exmap_insert(map, &bad[i], err));
	CHECK(cow_exmap_lookup(map, EXMAP_CHUNK_LIMIT - 1, &run));
	CHECK_EQ(run.new_chunk, EXMAP_CHUNK_LIMIT - 1);
	CHECK(!cow_exmap_next(map, EXMAP_CHUNK_LIMIT, &run));
	CHECK(!cow_exmap_prev(map, 0, &run));
}

/* Many records of few chunks: as a hostile store would have them. */
static void many_duplicates_of_one_chunk_take_linear_time(void)
{
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	static struct model seen;
	struct exmap_run run;

	OK(cow_exmap_new(&map, err));
	for (uint64_t i = 0; i < 300000; i++) {
		run = (struct exmap_run){ 7 + i % 2 * 100, 1000 + 3 * i, 1 };
		OK(cow_exmap_add(map, &run, err));
	}
	OK(cow_exmap_seal(map, count_duplicate, &seen, err));
	CHECK_EQ(seen.nr_dropped, 299998);
	CHECK_EQ(cow_exmap_nr_chunks(map), 2);
	CHECK(cow_exmap_lookup(map, 107, &run));
	CHECK_EQ(run.new_chunk, 1003);
}

static int stop(void *user, const struct exmap_duplicate *duplicate)
{
	(void)user;
	return duplicate->old_chunk == 5 ? -ECANCELED : 0;
}

static void a_callback_can_stop_the_sealing(void)
{
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	const struct exmap_run run = { 5, 50, 1 };

	OK(cow_exmap_new(&map, err));
	OK(cow_exmap_add(map, &run, err));
	OK(cow_exmap_add(map, &run, err));
	FAILS(-ECANCELED, cow_exmap_seal(map, stop, NULL, err));
}

static void scattered_exceptions_take_16_bytes_each(void)
{
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	const uint64_t nr = 100000, odd = 0x9E3779B1;
	struct exmap_run run;

	OK(cow_exmap_new(&map, err));
	for (uint64_t i = 0; i < nr; i++) {
		run = (struct exmap_run){ (i * odd) & 0xffffffff, 2 + i, 1 };
		OK(cow_exmap_add(map, &run, err));
	}
	OK(cow_exmap_seal(map, NULL, NULL, err));
	CHECK(cow_exmap_memory(map) <= nr * 16 + 256);
	for (uint64_t i = 0; i < nr; i++) {
		CHECK(cow_exmap_lookup(map, (i * odd) & 0xffffffff, &run));
		CHECK_EQ(run.new_chunk, 2 + i);
	}
}

int main(void)
{
	seed = test_seed();
	RUN(random_operations_agree_with_an_array);
	RUN(neighbours_cost_one_run_whatever_the_order);
	RUN(numbers_over_the_limit_are_refused);
	RUN(many_duplicates_of_one_chunk_take_linear_time);
	RUN(a_callback_can_stop_the_sealing);
	RUN(scattered_exceptions_take_16_bytes_each);
	return test_end();
}
