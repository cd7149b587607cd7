/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* A view that is written to, against a naive model: an array of bytes. */
#include <errno.h>

#include "libcow/base/units.h"
#include "libcow/core/label.h"
#include "libcow/snapshot/view.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/image_record.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

static uint64_t random_state;

static uint64_t draw(uint64_t limit)
{
	return test_random(&random_state) % limit;
}

/* A pair in memory; operations on the COW image may fail, and are recorded. */
struct world {
	struct randstore rs;
	struct cow_image *origin, *flat, *faulty, *cow, *view;
	struct cow_store *store;
	struct fault_plan plan;
	struct record_log log;
};

static void world_open(struct world *w)
{
	OK(pair_open(w->origin, w->cow, &w->store, err));
	OK(cow_view_new_writable(w->origin, w->store, &w->view, err));
}

static void world_make(struct world *w, uint64_t nr_chunks_max)
{
	memset(w, 0, sizeof(*w));
	randstore_make(&w->rs, &random_state, nr_chunks_max);
	OK(cow_image_memory_new(w->rs.origin_bytes, &w->origin, err));
	OK(cow_image_pwrite(w->origin, w->rs.origin, w->rs.origin_bytes, 0, err));
	OK(cow_image_memory_new(w->rs.cow_bytes, &w->flat, err));
	OK(cow_image_pwrite(w->flat, w->rs.cow, w->rs.cow_bytes, 0, err));
	OK(fault_new(w->flat, &w->plan, &w->faulty, err));
	OK(record_new(w->faulty, &w->log, 0, &w->cow, err));
	world_open(w);
}

static void world_shut(struct world *w)
{
	cow_image_close(w->view);
	cow_store_close(w->store);
	w->view = NULL;
	w->store = NULL;
}

static void world_free(struct world *w)
{
	world_shut(w);
	cow_image_close(w->cow);
	cow_image_close(w->faulty);
	cow_image_close(w->flat);
	cow_image_close(w->origin);
	record_clear(&w->log);
	randstore_free(&w->rs);
}

static void check_reads(struct world *w)
{
	uint8_t *buf = (uint8_t *)malloc(w->rs.origin_bytes);

	CHECK(buf);
	CHECK_EQ(cow_image_size(w->view), w->rs.origin_bytes);
	OK(cow_image_pread(w->view, buf, w->rs.origin_bytes, 0, err));
	CHECK(!memcmp(buf, w->rs.view, w->rs.origin_bytes));
	free(buf);
}

/* What it calls no data is zeros. */
static void check_holes(struct world *w)
{
	uint64_t at = 0, data, len;

	while (at < w->rs.origin_bytes) {
		OK(cow_image_next_data(w->view, at, &data, &len, err));
		for (uint64_t i = at; i < (len ? data : w->rs.origin_bytes); i++)
			CHECK(!w->rs.view[i]);
		if (!len)
			break;
		at = data + len;
	}
}

/* ---------------------------------------------------------------- the model */

/* By the map of the store alone, byte by byte. */
static bool has_exception(const struct world *w, uint64_t at)
{
	struct exmap_run run;
	uint64_t chunk = at / w->rs.chunk_bytes;

	return (cow_store_map_next(w->store, chunk, &run) && run.old_chunk == chunk) ||
	       (cow_store_pending_next(w->store, chunk, &run) && run.old_chunk == chunk);
}

static void model_trim(struct world *w, uint64_t from, uint64_t len)
{
	for (uint64_t at = from; at < from + len; at++)
		if (has_exception(w, at))
			w->rs.view[at] = 0;
}

static void step(struct world *w)
{
	uint64_t size = w->rs.origin_bytes, from = draw(size), kind = draw(12);
	uint64_t most = draw(4) ? 3 * w->rs.chunk_bytes : size;
	uint64_t len = min_u64(1 + draw(most), size - from);
	bool is_in_place = true;
	uint8_t *buf;

	for (uint64_t at = from; at < from + len; at++)
		is_in_place = is_in_place && has_exception(w, at);
	CHECK_EQ(cow_view_is_in_place(w->view, from, len), is_in_place);
	switch (kind) {
	case 0:
		OK(cow_image_flush(w->view, err));
		break;
	case 1:
	case 2:
		OK(cow_image_write_zeroes(w->view, from, len, err));
		memset(w->rs.view + from, 0, len);
		break;
	case 3:
		model_trim(w, from, len);
		OK(cow_image_discard(w->view, from, len, err));
		break;
	default:
		buf = (uint8_t *)malloc(len);
		CHECK(buf);
		random_fill(buf, len, &random_state);
		OK(cow_image_pwrite(w->view, buf, len, from, err));
		memcpy(w->rs.view + from, buf, len);
		free(buf);
	}
}

static void writes_read_back_at_once_and_after_a_flush_from_the_disk(void)
{
	for (int i = 0; i < 200; i++) {
		struct world w;

		world_make(&w, 2 + draw(80));
		for (uint64_t n = draw(40); n > 0; n--) {
			step(&w);
			check_reads(&w);
		}
		check_holes(&w);
		OK(cow_image_flush(w.view, err));
		world_shut(&w);
		pair_check_view(w.origin, w.cow, w.rs.view);
		pair_check_sound(w.origin, w.cow);
		world_open(&w);
		check_reads(&w);
		world_free(&w);
	}
}

/* The origin is never touched, and what was not flushed is not there. */
static void what_was_not_flushed_is_gone(void)
{
	struct world w;
	uint8_t *before, *origin;

	world_make(&w, 60);
	OK(cow_image_flush(w.view, err));
	before = (uint8_t *)malloc(w.rs.cow_bytes);
	origin = (uint8_t *)malloc(w.rs.origin_bytes);
	CHECK(before && origin);
	for (uint64_t chunk = 0; chunk < w.rs.nr_chunks; chunk++)
		if (!w.rs.has_exception[chunk])
			OK(cow_image_pwrite(w.view, "x", 1, chunk * w.rs.chunk_bytes, err));
	world_shut(&w);
	pair_check_view(w.origin, w.cow, w.rs.view);
	OK(cow_image_pread(w.origin, origin, w.rs.origin_bytes, 0, err));
	CHECK(!memcmp(origin, w.rs.origin, w.rs.origin_bytes));
	free(before);
	free(origin);
	world_free(&w);
}

/* A flush without anything pending flushes what was written in place, once. */
static void a_flush_covers_writes_in_place(void)
{
	struct world w;
	uint64_t chunk = 0;
	size_t nr;

	do {
		world_make(&w, 60);
		for (chunk = 0; chunk < w.rs.nr_chunks && !w.rs.has_exception[chunk];)
			chunk++;
		if (chunk < w.rs.nr_chunks)
			break;
		world_free(&w);
	} while (true);
	nr = record_count(&w.log, 0, RECORD_FLUSH);
	OK(cow_image_pwrite(w.view, "x", 1, chunk * w.rs.chunk_bytes, err));
	OK(cow_image_flush(w.view, err));
	CHECK_EQ(record_count(&w.log, 0, RECORD_FLUSH), nr + 1);
	world_free(&w);
}

/* ---------------------------------------------------------------- failures */

/* No room below the store: the chunk is given back, and later it works. */
static void a_chunk_that_could_not_be_written_is_given_back(void)
{
	for (int i = 0; i < 50; i++) {
		struct world w;
		struct cow_store_info before = COW_STORE_INFO_INIT, after = COW_STORE_INFO_INIT;
		uint64_t chunk = 0, at;

		world_make(&w, 60);
		while (chunk < w.rs.nr_chunks && w.rs.has_exception[chunk])
			chunk++;
		at = chunk * w.rs.chunk_bytes;
		if (chunk == w.rs.nr_chunks) {
			world_free(&w);
			continue;
		}
		cow_store_get_info(w.store, &before);
		w.plan = (struct fault_plan){ .kinds = FAULT_WRITE,
					      .nth = 1,
					      .error = draw(2) ? -ENOSPC : -EIO,
					      .torn = (enum fault_torn)draw(4),
					      .random = draw(1000) };
		FAILS(w.plan.error, cow_image_pwrite(w.view, "x", 1, at, err));
		check_reads(&w);
		OK(cow_image_flush(w.view, err));
		OK(cow_image_pwrite(w.view, "x", 1, at, err));
		w.rs.view[at] = 'x';
		check_reads(&w);
		OK(cow_image_flush(w.view, err));
		world_shut(&w);
		pair_check_view(w.origin, w.cow, w.rs.view);
		pair_check_sound(w.origin, w.cow);
		OK(pair_open(w.origin, w.cow, &w.store, err));
		cow_store_get_info(w.store, &after);
		CHECK_EQ(after.nr_exceptions, before.nr_exceptions + 1);
		/* no chunk was lost on the way */
		CHECK(after.allocated_sectors - before.allocated_sectors <=
		      bytes_to_sectors(w.rs.chunk_bytes) + bytes_to_sectors(w.rs.chunk_bytes));
		world_free(&w);
	}
}

/* A store that is full says so before a byte is written, and stays valid. */
static void a_full_store_is_no_damage(void)
{
	const uint64_t chunk = 4096;
	struct cow_image *origin, *cow, *view;
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	struct cow_store *store;
	uint8_t buf[2 * 4096];
	uint64_t nr = 0;
	int ret = 0;

	memset(buf, 7, sizeof(buf));
	OK(cow_image_memory_new(1 << 20, &origin, err));
	OK(cow_image_memory_new(12 * chunk, &cow, err));
	params.chunk_bytes = chunk;
	OK(cow_create(cow, &params, err));
	OK(pair_open(origin, cow, &store, err));
	OK(cow_view_new_writable(origin, store, &view, err));
	while (!ret && nr < 100)
		ret = cow_image_pwrite(view, buf, chunk, nr++ * chunk, NULL);
	CHECK_EQ(ret, -ENOSPC);
	nr--;
	CHECK(nr > 5);
	/* in place goes on, and a flush */
	OK(cow_image_pwrite(view, buf, 1, 0, err));
	FAILS(-ENOSPC, cow_image_pwrite(view, buf, 2 * chunk, (nr - 1) * chunk, err));
	OK(cow_image_flush(view, err));
	FAILS(-ENOSPC, cow_image_write_zeroes(view, 0, 1 << 20, err));
	OK(cow_image_pread(view, buf, chunk, (nr - 1) * chunk, err));
	CHECK_EQ(buf[0], 7);
	cow_image_close(view);
	cow_store_close(store);
	pair_check_sound(origin, cow);
	cow_image_close(cow);
	cow_image_close(origin);
}

/* I8: after a failed flush nothing is written, and what is there is read. */
static void a_failed_flush_ends_writing(void)
{
	for (uint64_t nth = 1;; nth++) {
		struct world w;
		uint64_t nr_writes;

		random_state = 5;
		world_make(&w, 60);
		while (w.rs.nr_exceptions + 3 > w.rs.nr_chunks) {
			world_free(&w);
			world_make(&w, 60);
		}
		for (uint64_t at = 0; at < w.rs.origin_bytes; at += w.rs.chunk_bytes) {
			OK(cow_image_pwrite(w.view, "x", 1, at, err));
			w.rs.view[at] = 'x';
		}
		nr_writes = w.log.nr_entries;
		w.plan = (struct fault_plan){ .kinds = FAULT_CHANGES, .nth = nth };
		if (!cow_image_flush(w.view, NULL)) {
			CHECK(nth > 3);
			world_free(&w);
			return;
		}
		w.plan = (struct fault_plan){ .kinds = 0 };
		CHECK(w.log.nr_entries >= nr_writes);
		nr_writes = w.log.nr_entries;
		FAILS(-EIO, cow_image_pwrite(w.view, "y", 1, 0, err));
		FAILS(-EIO, cow_image_write_zeroes(w.view, 0, 1, err));
		FAILS(-EIO, cow_image_flush(w.view, err));
		CHECK_EQ(w.log.nr_entries, nr_writes);
		check_reads(&w);
		world_free(&w);
	}
}

/* ---------------------------------------------------------------- refusals */

static void label_put(struct world *w, uint32_t job, uint32_t phase)
{
	const struct cow_label label = { .job = job, .phase = phase };
	uint8_t raw[LABEL_BYTES];

	cow_label_encode(&label, raw);
	OK(cow_store_label_write(w->store, raw, err));
}

static void refused(struct world *w, int code, const char *id)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_image *view = NULL;

	CHECK_EQ(cow_view_new_writable(w->origin, w->store, &view, &err), (uint64_t)code);
	CHECK(err.message[0] && (!id || !strcmp(err.id, id)));
	CHECK(!view);
}

static void what_must_not_be_written_is_refused(void)
{
	struct world w;
	struct cow_image *window;
	const struct cow_segment whole = { 0, 512 };

	world_make(&w, 60);
	OK(cow_image_window_new(w.view, &whole, 1, &window, err));
	CHECK_EQ(cow_view_is_in_place(window, 0, 512), cow_view_is_in_place(w.view, 0, 512));
	CHECK(!cow_view_is_in_place(w.origin, 0, 512));
	CHECK(!cow_view_is_in_place(window, 0, 513));
	cow_image_close(window);
	cow_image_close(w.view);
	w.view = NULL;
	label_put(&w, LABEL_JOB_UNDO, LABEL_PHASE_DONE);
	refused(&w, -EPERM, "other-job");
	label_put(&w, LABEL_JOB_MERGE, LABEL_PHASE_MOVE);
	refused(&w, -EPERM, "other-job");
	label_put(&w, LABEL_JOB_MERGE, LABEL_PHASE_DONE);
	OK(cow_view_new_writable(w.origin, w.store, &w.view, err));
	cow_image_close(w.view);
	w.view = NULL;
	w.store->is_damaged = true;
	refused(&w, -EBADMSG, "damaged");
	w.store->is_damaged = false;
	w.cow->is_writable = false;
	refused(&w, -EROFS, NULL);
	w.cow->is_writable = true;
	w.store->chunk_bytes = UINT64_C(128) << 20;
	refused(&w, -EOPNOTSUPP, "unsupported");
	w.store->chunk_bytes = w.rs.chunk_bytes;
	/* a kind that cannot tell what is pending */
	{
		struct store_ops ops = *w.store->ops;
		const struct store_ops *own = w.store->ops;

		ops.pending_next = NULL;
		w.store->ops = &ops;
		refused(&w, -EOPNOTSUPP, "unsupported");
		w.store->ops = own;
	}
	/* somebody else was there */
	OK(cow_image_pwrite(w.flat, "\xff", 1, 4, err));
	refused(&w, -EBUSY, "changed");
	world_free(&w);
}

int main(void)
{
	random_state = test_seed();
	RUN(writes_read_back_at_once_and_after_a_flush_from_the_disk);
	RUN(what_was_not_flushed_is_gone);
	RUN(a_flush_covers_writes_in_place);
	RUN(a_chunk_that_could_not_be_written_is_given_back);
	RUN(a_full_store_is_no_damage);
	RUN(a_failed_flush_ends_writing);
	RUN(what_must_not_be_written_is_refused);
	return test_end();
}
