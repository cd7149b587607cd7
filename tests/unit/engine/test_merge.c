/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* What a merge does when all goes well, and in which order: seen by images
 * that record. What happens when things fail is in test_merge_fault.c, what a
 * power cut leaves in tests/crash/. */
#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/crash.h"
#include "tests/aids/image_record.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

#define ORIGIN 0
#define COW 1

/* A pair in memory behind recording images. */
struct pair {
	uint8_t *origin_bytes, *view;
	struct randstore rs;
	struct cow_image *flat[2], *images[2];
	struct record_log log;
	struct cow_store *store;
	struct cow_merge_params params;
	struct cow_merge_result result;
};

static uint64_t random_state;

static uint64_t draw(uint64_t limit)
{
	return test_random(&random_state) % limit;
}

static void pair_attach(struct pair *pair)
{
	const struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	const struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	const struct randstore *rs = &pair->rs;

	pair->params = params;
	pair->result = result;
	OK(crash_flat_new(rs->origin, rs->origin_bytes, "origin", &pair->flat[ORIGIN], err));
	OK(crash_flat_new(rs->cow, rs->cow_bytes, "cow", &pair->flat[COW], err));
	for (unsigned int i = 0; i < 2; i++)
		OK(record_new(pair->flat[i], &pair->log, i, &pair->images[i], err));
	OK(pair_open(pair->images[ORIGIN], pair->images[COW], &pair->store, err));
}

static void pair_random(struct pair *pair, uint64_t nr_chunks_max)
{
	memset(pair, 0, sizeof(*pair));
	randstore_make(&pair->rs, &random_state, nr_chunks_max);
	pair_attach(pair);
}

/* A pair with these exceptions, appended in this order. */
static void pair_made(struct pair *pair, uint64_t chunk_bytes, uint64_t nr_chunks,
		      const uint64_t *chunks, size_t nr)
{
	memset(pair, 0, sizeof(*pair));
	randstore_empty(&pair->rs, &random_state, chunk_bytes, nr_chunks * chunk_bytes);
	pair_attach(pair);
	for (size_t i = 0; i < nr; i++)
		randstore_append(&pair->rs, pair->store, chunks[i], 1, &random_state);
	OK(cow_store_publish(pair->store, err));
	cow_store_close(pair->store);
	OK(pair_open(pair->images[ORIGIN], pair->images[COW], &pair->store, err));
	record_clear(&pair->log);
}

static void pair_free(struct pair *pair)
{
	cow_store_close(pair->store);
	for (int i = 0; i < 2; i++) {
		cow_image_close(pair->images[i]);
		cow_image_close(pair->flat[i]);
	}
	record_clear(&pair->log);
	randstore_free(&pair->rs);
}

static void check_merged(struct pair *pair)
{
	CHECK(!memcmp(pair->rs.origin, pair->rs.view, pair->rs.origin_bytes));
	pair_check_empty(pair->flat[COW], pair->rs.chunk_bytes);
}

/* I1: no write to the COW image while anything on the origin is not flushed,
 * and it is durable itself before the origin is written again. */
static void check_order(const struct record_log *log)
{
	bool is_pending[2] = { false, false };

	for (size_t i = 0; i < log->nr_entries; i++) {
		const struct record_entry *e = &log->entries[i];

		if (e->kind != RECORD_FLUSH)
			CHECK(!is_pending[1 - e->image]);
		is_pending[e->image] = e->kind != RECORD_FLUSH;
	}
	CHECK(!is_pending[ORIGIN] && !is_pending[COW]);
}

static void random_merges_give_the_view(void)
{
	for (int i = 0; i < 300; i++) {
		struct pair pair;
		uint64_t bytes = 0;

		pair_random(&pair, 1 + draw(300));
		pair.params.batch_bytes = draw(3) ? 4096 * (1 + draw(32)) : 0;
		pair.params.epoch_bytes = draw(3) ? pair.rs.chunk_bytes * (1 + draw(100)) : 0;
		OK(cow_merge(pair.store, &pair.params, &pair.result, err));
		check_merged(&pair);
		check_order(&pair.log);
		for (uint64_t chunk = 0; chunk < pair.rs.nr_chunks; chunk++)
			if (pair.rs.has_exception[chunk])
				bytes +=
					min_u64(pair.rs.chunk_bytes,
						pair.rs.origin_bytes - chunk * pair.rs.chunk_bytes);
		CHECK_EQ(pair.result.nr_chunks, pair.rs.nr_exceptions);
		CHECK_EQ(pair.result.bytes, bytes);
		CHECK_EQ(pair.result.nr_left, 0);
		CHECK_EQ(pair.result.nr_flushes,
			 record_count(&pair.log, ORIGIN, RECORD_FLUSH) +
				 record_count(&pair.log, COW, RECORD_FLUSH));
		pair_free(&pair);
	}
}

/* Every second chunk, shuffled: nothing can be joined. */
static void shuffle(uint64_t *chunks, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		chunks[i] = 2 * i;
	for (size_t i = nr; i > 1; i--) {
		size_t j = draw(i);
		uint64_t kept = chunks[i - 1];

		chunks[i - 1] = chunks[j];
		chunks[j] = kept;
	}
}

/* The label is written before the first move and behind the last; in between
 * each epoch but the last is noted in it. A store of several areas has the first
 * sector of its second one zeroed in the end. */
#define LABELS 2
#define AREA_1 1

static void flushes_grow_with_epochs_not_with_exceptions(void)
{
	static uint64_t chunks[1000];
	struct pair pair;

	shuffle(chunks, 1000);
	pair_made(&pair, 512, 2000, chunks, 1000);
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK_EQ(pair.result.nr_epochs, 1);
	CHECK_EQ(pair.result.nr_runs, 1000);
	CHECK_EQ(record_count(&pair.log, ORIGIN, RECORD_FLUSH), 1);
	CHECK_EQ(record_count(&pair.log, COW, RECORD_FLUSH), 1 + LABELS + AREA_1);
	CHECK_EQ(record_count(&pair.log, COW, RECORD_WRITE) +
			 record_count(&pair.log, COW, RECORD_ZERO),
		 1 + LABELS + AREA_1);
	check_merged(&pair);
	pair_free(&pair);

	shuffle(chunks, 1000);
	pair_made(&pair, 512, 2000, chunks, 1000);
	pair.params.epoch_bytes = 512 * 250;
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK_EQ(pair.result.nr_epochs, 4);
	CHECK_EQ(record_count(&pair.log, ORIGIN, RECORD_FLUSH), 4);
	CHECK_EQ(record_count(&pair.log, COW, RECORD_FLUSH), 4 + LABELS + 3 + AREA_1);
	check_order(&pair.log);
	check_merged(&pair);
	pair_free(&pair);
}

static void the_origin_is_written_in_its_own_order(void)
{
	static uint64_t chunks[600];
	uint64_t last = 0;
	struct pair pair;

	shuffle(chunks, 600);
	pair_made(&pair, 512, 1200, chunks, 600);
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	for (size_t i = 0; i < pair.log.nr_entries; i++) {
		const struct record_entry *e = &pair.log.entries[i];

		if (e->image != ORIGIN || e->kind == RECORD_FLUSH)
			continue;
		CHECK(e->offset_bytes >= last);
		last = e->offset_bytes + e->len_bytes;
	}
	pair_free(&pair);
}

/* Neighbours on the origin are one write, wherever they lie on the COW image;
 * neighbours there are one read. */
static void neighbours_are_joined_on_both_sides(void)
{
	struct cow_image_stats before = COW_IMAGE_STATS_INIT, after = COW_IMAGE_STATS_INIT;
	uint64_t chunks[200];
	struct pair pair;

	for (size_t i = 0; i < 200; i++)
		chunks[i] = i % 2 ? 199 - i / 2 : i / 2;
	pair_made(&pair, 4096, 200, chunks, 200);
	CHECK(!cow_image_get_stats(pair.images[COW], &before));
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK(!cow_image_get_stats(pair.images[COW], &after));
	CHECK_EQ(pair.result.nr_runs, 1);
	CHECK_EQ(record_count(&pair.log, ORIGIN, RECORD_WRITE), 1);
	/* One for the data; the rest is metadata. */
	CHECK(after.nr_reads - before.nr_reads < 12);
	check_merged(&pair);
	pair_free(&pair);
}

/* A chunk of 4 MiB goes through a buffer of 64 KiB. */
static void a_chunk_larger_than_the_buffer_is_moved_in_pieces(void)
{
	uint64_t chunks[] = { 2, 1 };
	struct pair pair;

	pair_made(&pair, 4 << 20, 3, chunks, 2);
	pair.params.batch_bytes = 65536;
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK_EQ(pair.result.nr_chunks, 2);
	check_merged(&pair);
	pair_free(&pair);
}

static void long_runs_move_by_reference(void)
{
	uint64_t chunks[100];
	struct pair pair;

	for (size_t i = 0; i < 100; i++)
		chunks[i] = i < 90 ? i : 2 * i;
	pair_made(&pair, 8192, 200, chunks, 100);
	pair.log.emulates_clone = true;
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK_EQ(record_count(&pair.log, ORIGIN, RECORD_CLONE), 1);
	CHECK_EQ(pair.result.bytes, 100 * 8192);
	check_order(&pair.log);
	check_merged(&pair);
	pair_free(&pair);
}

static void a_dry_run_writes_nothing(void)
{
	struct pair pair;

	pair_random(&pair, 100);
	pair.params.flags = COW_MERGE_DRY_RUN;
	pair.images[ORIGIN]->is_writable = pair.images[COW]->is_writable = false;
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK_EQ(pair.log.nr_entries, 0);
	CHECK_EQ(pair.result.nr_left, pair.rs.nr_exceptions);
	CHECK_EQ(pair.result.nr_chunks + pair.result.bytes + pair.result.nr_flushes, 0);
	pair_free(&pair);
}

/* An earlier run was cut off in its last settlement: records stand behind the
 * end of an empty list, and one more append would bring them to life (I5). */
static void a_torn_settlement_is_tidied(void)
{
	uint64_t chunks[40];
	struct pair pair;

	for (size_t i = 0; i < 40; i++)
		chunks[i] = 3 * i;
	pair_made(&pair, 1024, 120, chunks, 40);
	cow_store_close(pair.store);
	memset(pair.rs.cow + 1024, 0, 512);
	CHECK(!is_all_zero(pair.rs.cow + 1024, 1024));
	OK(pair_open(pair.images[ORIGIN], pair.images[COW], &pair.store, err));
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK_EQ(pair.result.nr_chunks, 0);
	CHECK_EQ(record_count(&pair.log, ORIGIN, RECORD_WRITE), 0);
	CHECK_EQ(record_count(&pair.log, COW, RECORD_FLUSH), 1);
	pair_check_empty(pair.flat[COW], 1024);
	/* And where there is nothing to tidy, nothing is written. */
	record_clear(&pair.log);
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK_EQ(pair.log.nr_entries, 0);
	pair_free(&pair);
}

static void check_refused(struct pair *pair, int code, const char *id)
{
	struct cow_err said = COW_ERR_INIT;

	record_clear(&pair->log);
	CHECK_EQ(cow_merge(pair->store, &pair->params, &pair->result, &said), code);
	CHECK(said.message[0]);
	if (strcmp(said.id, id))
		fprintf(stderr, "id %s, expected %s\n", said.id, id);
	CHECK(!strcmp(said.id, id));
	CHECK_EQ(pair->log.nr_entries, 0);
}

static void what_cannot_work_is_refused_before_the_first_write(void)
{
	struct cow_store *store;
	struct pair pair;

	pair_random(&pair, 50);
	pair.params.size = 3;
	check_refused(&pair, -EINVAL, "usage");
	pair.params.size = sizeof(pair.params);
	pair.params.flags = 1u << 30;
	check_refused(&pair, -EINVAL, "usage");
	pair.params.flags = 0;
	pair.images[ORIGIN]->is_writable = false;
	check_refused(&pair, -EROFS, "read-only");
	pair.images[ORIGIN]->is_writable = true;
	pair.images[COW]->is_writable = false;
	check_refused(&pair, -EROFS, "read-only");
	pair.images[COW]->is_writable = true;
	store = pair.store;
	OK(pair_open(NULL, pair.images[COW], &pair.store, err));
	check_refused(&pair, -EINVAL, "usage");
	cow_store_close(pair.store);
	pair.store = store;
	/* Somebody invalidates the store behind our back. */
	memset(pair.rs.cow + 4, 0, 4);
	check_refused(&pair, -EBUSY, "changed");
	cow_store_close(pair.store);
	{
		struct cow_role_image images[] = {
			{ .role = COW_ROLE_COW, .image = pair.images[COW] },
			{ .role = COW_ROLE_ORIGIN, .image = pair.images[ORIGIN] },
		};
		struct cow_store_args args = COW_STORE_ARGS_INIT;

		args.images = images;
		args.nr_images = 2;
		args.flags = COW_STORE_INVALID;
		OK(cow_store_open(&args, &pair.store, err));
	}
	check_refused(&pair, -EPERM, "invalid");
	pair_free(&pair);
}

struct steps {
	uint64_t nr, stop_at; /* 0: never */
	uint64_t done_bytes, total_bytes;
};

static int step(void *user, const struct cow_progress *progress)
{
	struct steps *steps = (struct steps *)user;

	CHECK(progress->done_bytes >= steps->done_bytes);
	CHECK(progress->done_bytes <= progress->total_bytes);
	steps->done_bytes = progress->done_bytes;
	steps->total_bytes = progress->total_bytes;
	return ++steps->nr == steps->stop_at;
}

static void progress_goes_up_to_the_end(void)
{
	uint64_t chunks[] = { 0, 2, 4, 5 };
	struct steps steps = { .nr = 0 };
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct pair pair;

	callbacks.user = &steps;
	callbacks.progress = step;
	pair_made(&pair, 2 << 20, 6, chunks, 4);
	pair.params.callbacks = &callbacks;
	OK(cow_merge(pair.store, &pair.params, &pair.result, err));
	CHECK_EQ(steps.done_bytes, 8 << 20);
	CHECK_EQ(steps.total_bytes, 8 << 20);
	CHECK(steps.nr >= 16);
	pair_free(&pair);
}

/* Stopped after every possible step: what was complete is settled, after a
 * flush; the same handle goes on later. */
static void a_stopped_merge_keeps_what_is_complete(void)
{
	uint64_t nr_steps = 1, nr_kept = 0;

	for (uint64_t stop = 1; stop <= nr_steps; stop++) {
		struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
		struct steps steps = { .stop_at = stop };
		static uint64_t chunks[100];
		struct pair pair;

		shuffle(chunks, 100);
		pair_made(&pair, 512, 200, chunks, 100);
		callbacks.user = &steps;
		callbacks.progress = step;
		pair.params.callbacks = &callbacks;
		pair.params.batch_bytes = 4096;
		pair.params.epoch_bytes = 4096 * 3;
		FAILS(-ECANCELED, cow_merge(pair.store, &pair.params, &pair.result, err));
		CHECK_EQ(pair.result.nr_left + pair.result.nr_chunks, 100);
		nr_kept += pair.result.nr_chunks;
		pair_check_view(pair.flat[ORIGIN], pair.flat[COW], pair.rs.view);
		steps = (struct steps){ .nr = 0 };
		OK(cow_merge(pair.store, &pair.params, &pair.result, err));
		CHECK_EQ(pair.result.nr_left, 0);
		check_merged(&pair);
		if (stop == 1)
			nr_steps = 100;
		pair_free(&pair);
	}
	CHECK(nr_kept > 0);
}

int main(void)
{
	random_state = test_seed();
	RUN(random_merges_give_the_view);
	RUN(flushes_grow_with_epochs_not_with_exceptions);
	RUN(the_origin_is_written_in_its_own_order);
	RUN(neighbours_are_joined_on_both_sides);
	RUN(a_chunk_larger_than_the_buffer_is_moved_in_pieces);
	RUN(long_runs_move_by_reference);
	RUN(a_dry_run_writes_nothing);
	RUN(a_torn_settlement_is_tidied);
	RUN(what_cannot_work_is_refused_before_the_first_write);
	RUN(progress_goes_up_to_the_end);
	RUN(a_stopped_merge_keeps_what_is_complete);
	return test_end();
}
