/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* The view against a naive model: an array of bytes. The store is put
 * together by hand, so that its numbers can also be wrong. */
#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "libcow/store/store.h"
#include "tests/aids/passthrough.h"
#include "tests/aids/test.h"

#define COW_CHUNKS 512

struct pair {
	struct cow_store store;
	struct cow_image *origin, *cow, *view;
	uint64_t size_bytes;
	uint8_t *model; /* what the view must read */
};

static uint64_t random_state;

static uint64_t draw(uint64_t limit)
{
	return test_random(&random_state) % limit;
}

/* Random bytes, so that no chunk looks like another one. */
static void image_scribble(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint8_t *buf = (uint8_t *)malloc(len_bytes);

	CHECK(buf != NULL);
	for (uint64_t i = 0; i < len_bytes; i++)
		buf[i] = (uint8_t)(draw(255) + 1);
	OK(cow_image_pwrite(image, buf, len_bytes, offset_bytes, err));
	free(buf);
}

static void pair_new(struct pair *pair, uint64_t chunk_bytes, uint64_t size_bytes)
{
	memset(pair, 0, sizeof(*pair));
	pair->size_bytes = size_bytes;
	pair->model = (uint8_t *)calloc(1, size_bytes);
	CHECK(pair->model != NULL);
	OK(cow_image_memory_new(size_bytes, &pair->origin, err));
	OK(cow_image_memory_new(COW_CHUNKS * chunk_bytes, &pair->cow, err));
	OK(cow_exmap_new(&pair->store.map, err));
	pair->store.data = pair->store.metadata = pair->cow;
	pair->store.chunk_bytes = chunk_bytes;
}

static void pair_free(struct pair *pair)
{
	cow_image_close(pair->view);
	cow_image_close(pair->origin);
	cow_image_close(pair->cow);
	cow_exmap_free(pair->store.map);
	free(pair->model);
}

static void pair_map(struct pair *pair, uint64_t old_chunk, uint64_t new_chunk, uint64_t nr)
{
	struct exmap_run run = { old_chunk, new_chunk, nr };

	OK(cow_exmap_add(pair->store.map, &run, err));
}

static void pair_seal(struct pair *pair)
{
	OK(cow_exmap_seal(pair->store.map, NULL, NULL, err));
	OK(cow_view_new(pair->origin, &pair->store, &pair->view, err));
}

/* Some of the origin and of the COW image is data, the rest stays a hole;
 * about half of the chunks are exceptions, in runs. */
static void pair_draw(struct pair *pair)
{
	uint64_t chunk_bytes = UINT64_C(512) << draw(6);
	uint64_t nr_chunks = 1 + draw(200), chunk = draw(4), next_new = 2;

	pair_new(pair, chunk_bytes,
		 nr_chunks * chunk_bytes - draw(chunk_bytes / 512) * COW_SECTOR_BYTES);
	for (uint64_t at = 0; at < pair->size_bytes; at += chunk_bytes)
		if (draw(3))
			image_scribble(pair->origin, at,
				       min_u64(chunk_bytes, pair->size_bytes - at));
	OK(cow_image_pread(pair->origin, pair->model, pair->size_bytes, 0, err));
	while (chunk < nr_chunks && next_new < COW_CHUNKS - 20) {
		uint64_t nr = min_u64(1 + draw(8), nr_chunks - chunk);
		uint64_t at = chunk * chunk_bytes;

		if (draw(4))
			image_scribble(pair->cow, next_new * chunk_bytes, nr * chunk_bytes);
		OK(cow_image_pread(pair->cow, pair->model + at,
				   min_u64(nr * chunk_bytes, pair->size_bytes - at),
				   next_new * chunk_bytes, err));
		pair_map(pair, chunk, next_new, nr);
		chunk += nr + draw(6);
		next_new += nr + draw(3);
	}
	pair_seal(pair);
}

static void check_reads(struct cow_image *view, const uint8_t *model)
{
	uint64_t size = cow_image_size(view);
	uint8_t *buf = (uint8_t *)malloc(size);

	CHECK(buf != NULL);
	OK(cow_image_pread(view, buf, size, 0, err));
	CHECK(!memcmp(buf, model, size));
	for (int i = 0; i < 50; i++) {
		uint64_t at = draw(size), len = draw(size - at) + 1;

		OK(cow_image_pread(view, buf, len, at, err));
		CHECK(!memcmp(buf, model + at, len));
	}
	free(buf);
}

static void random_views_read_as_the_model(void)
{
	for (int i = 0; i < 100; i++) {
		struct pair pair;

		pair_draw(&pair);
		CHECK_EQ(cow_image_size(pair.view), pair.size_bytes);
		check_reads(pair.view, pair.model);
		pair_free(&pair);
	}
}

/* All that is not zero is announced as data, in ascending order; what is a
 * hole in the image that counts is not. */
static void check_data(struct cow_image *view, const uint8_t *model)
{
	uint64_t size = cow_image_size(view), at = 0, offset, len;

	for (;;) {
		OK(cow_image_next_data(view, at, &offset, &len, err));
		CHECK(offset >= at);
		CHECK(is_all_zero(model + at, offset - at));
		if (!len)
			break;
		at = offset + len;
		CHECK(at <= size);
	}
	CHECK_EQ(offset, size);
}

static void data_is_found_and_holes_are_not(void)
{
	struct pair pair;
	uint64_t offset, len;

	for (int i = 0; i < 100; i++) {
		pair_draw(&pair);
		check_data(pair.view, pair.model);
		pair_free(&pair);
	}
	/* Data of the origin below an exception that is a hole is not data. */
	pair_new(&pair, 65536, 65536 * 4);
	image_scribble(pair.origin, 65536, 65536);
	image_scribble(pair.cow, 65536 * 9, 65536);
	pair_map(&pair, 1, 5, 1);
	pair_map(&pair, 3, 9, 1);
	pair_seal(&pair);
	OK(cow_image_next_data(pair.view, 0, &offset, &len, err));
	CHECK_EQ(offset, 65536 * 3);
	CHECK_EQ(len, 65536);
	pair_free(&pair);
}

/* Passes on, and counts how often it is asked. */
static unsigned int nr_asked;

static int counting_next_data(struct cow_image *image, uint64_t offset_bytes,
			      uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			      struct cow_err *err)
{
	nr_asked++;
	return passthrough_next_data(image, offset_bytes, ret_offset_bytes, ret_len_bytes, err);
}

/* Many small gaps between exceptions do not become as many system calls. */
static void a_sparse_origin_is_asked_once(void)
{
	static const struct image_ops ops = { .name = "counting",
					      .pread = passthrough_pread,
					      .next_data = counting_next_data };
	struct passthrough *counting = (struct passthrough *)calloc(1, sizeof(*counting));
	uint64_t offset, len;
	struct pair pair;

	pair_new(&pair, 512, 512 * 4000);
	for (uint64_t chunk = 0; chunk < 200; chunk++)
		pair_map(&pair, chunk * 2, 2 + chunk, 1);
	image_scribble(pair.origin, 512 * 3999, 512);
	OK(cow_exmap_seal(pair.store.map, NULL, NULL, err));
	OK(passthrough_init(counting, &ops, pair.origin, err));
	OK(cow_view_new(&counting->image, &pair.store, &pair.view, err));
	OK(cow_image_next_data(pair.view, 0, &offset, &len, err));
	CHECK(offset > 512 * 399 && offset <= 512 * 3999);
	CHECK_EQ(offset + len, 512 * 4000);
	CHECK_EQ(nr_asked, 1);
	cow_image_close(&counting->image);
	pair_free(&pair);
}

/* Data that go on from piece to piece are one range, up to 1 MiB and the rest
 * of the piece. */
static void small_chunks_of_data_are_one_range(void)
{
	uint64_t offset, len;
	struct pair pair;

	pair_new(&pair, 4096, 4096 * 600);
	image_scribble(pair.origin, 4096 * 10, 4096 * 500);
	for (uint64_t chunk = 0; chunk < 50; chunk++) {
		pair_map(&pair, 20 + chunk * 2, 2 + chunk, 1);
		image_scribble(pair.cow, (2 + chunk) * 4096, 4096);
	}
	pair_map(&pair, 400, 99, 1);
	pair_seal(&pair);
	OK(cow_image_next_data(pair.view, 4096 * 5, &offset, &len, err));
	CHECK_EQ(offset, 4096 * 10);
	CHECK_EQ(len, 4096 * 390);
	OK(cow_image_next_data(pair.view, 4096 * 400, &offset, &len, err));
	CHECK_EQ(offset, 4096 * 401);
	CHECK_EQ(len, 4096 * 109);
	pair_free(&pair);
}

static void resolve_names_the_image_below(void)
{
	for (int i = 0; i < 50; i++) {
		struct pair pair;
		uint8_t *buf;

		pair_draw(&pair);
		buf = (uint8_t *)malloc(pair.size_bytes);
		CHECK(buf != NULL);
		for (uint64_t at = 0; at < pair.size_bytes;) {
			uint64_t len = pair.size_bytes - at, below;
			struct cow_image *image = cow_image_resolve(pair.view, at, &len, &below);

			CHECK(image == pair.origin || image == pair.cow);
			CHECK(len > 0);
			OK(cow_image_pread(image, buf + at, len, below, err));
			at += len;
		}
		CHECK(!memcmp(buf, pair.model, pair.size_bytes));
		free(buf);
		pair_free(&pair);
	}
}

static void views_stack(void)
{
	struct pair pair, top;

	pair_draw(&pair);
	pair_new(&top, 1024, pair.size_bytes);
	memcpy(top.model, pair.model, pair.size_bytes);
	cow_image_close(top.origin);
	top.origin = pair.view;
	image_scribble(top.cow, 3 * 1024, 1024);
	OK(cow_image_pread(top.cow, top.model, min_u64(1024, top.size_bytes), 3 * 1024, err));
	pair_map(&top, 0, 3, 1);
	pair_seal(&top);
	check_reads(top.view, top.model);
	check_data(top.view, top.model);
	top.origin = NULL;
	pair_free(&top);
	pair_free(&pair);
}

static void a_view_is_read_only(void)
{
	struct pair pair;

	pair_draw(&pair);
	CHECK(!cow_image_is_writable(pair.view));
	FAILS(-EROFS, cow_image_pwrite(pair.view, "x", 1, 0, err));
	FAILS(-EROFS, cow_image_write_zeroes(pair.view, 0, 512, err));
	pair_free(&pair);
}

static void an_exception_beyond_the_cow_image_is_an_io_error(void)
{
	/* The second lies half inside. */
	const uint64_t bad[] = { COW_CHUNKS, COW_CHUNKS - 1, UINT64_C(1) << 50 };
	struct cow_err said = COW_ERR_INIT;
	uint64_t offset, len;
	uint8_t buf[8192];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pair pair;

		pair_new(&pair, 4096, 65536);
		image_scribble(pair.origin, 0, 65536);
		pair_map(&pair, 4, bad[i], 2);
		pair.store.is_damaged = true;
		pair_seal(&pair);
		OK(cow_image_pread(pair.view, buf, 4096, 0, err));
		FAILS(-EIO, cow_image_pread(pair.view, buf, 8192, 16384, err));
		CHECK_EQ(cow_image_pread(pair.view, buf, 8192, 16384, &said), -EIO);
		CHECK(!strcmp(said.image, cow_image_name(pair.cow)));
		CHECK_EQ(said.offset_bytes, (bad[i] + (i == 1)) * 4096);
		CHECK(strstr(said.message, i == 1 ? "(chunk 5)" : "(chunk 4)"));
		/* It is no hole, so that nobody skips what cannot be read. */
		OK(cow_image_next_data(pair.view, 16384, &offset, &len, err));
		CHECK_EQ(offset, 16384 + (i == 1) * 4096);
		pair_free(&pair);
	}
}

/* Chunks of 1 GiB times numbers up to 2^54: nothing may wrap. */
static void hostile_numbers_do_not_wrap(void)
{
	struct cow_image *low;
	uint64_t len = 4096, below;
	uint8_t buf[512];
	struct pair pair;

	memset(&pair, 0, sizeof(pair));
	OK(cow_image_memory_new(UINT64_C(4) << 30, &pair.origin, err));
	OK(cow_image_memory_new(UINT64_C(4) << 30, &pair.cow, err));
	OK(cow_exmap_new(&pair.store.map, err));
	pair.store.data = pair.cow;
	pair.store.chunk_bytes = UINT64_C(1) << 30;
	pair.store.is_damaged = true;
	/* 2^34 * 2^30 is 0 modulo 2^64: the header, if it wrapped. */
	pair_map(&pair, 1, UINT64_C(1) << 34, 1);
	pair_map(&pair, (UINT64_C(1) << 34) + 2, 3, 1);
	pair_seal(&pair);
	FAILS(-EIO, cow_image_pread(pair.view, buf, 512, UINT64_C(1) << 30, err));
	OK(cow_image_pread(pair.view, buf, 512, UINT64_C(2) << 30, err));
	low = cow_image_resolve(pair.view, UINT64_C(1) << 30, &len, &below);
	FAILS(-ERANGE, cow_image_pread(low, buf, 512, below, err));
	pair_free(&pair);
}

static void an_exception_beyond_the_origin_is_refused(void)
{
	struct cow_err said = COW_ERR_INIT;
	struct pair pair;

	pair_new(&pair, 4096, 65536 - 512);
	pair_map(&pair, 15, 4, 1);
	pair_seal(&pair);
	pair_free(&pair);

	pair_new(&pair, 4096, 65536 - 512);
	pair_map(&pair, 15, 4, 2);
	OK(cow_exmap_seal(pair.store.map, NULL, NULL, err));
	CHECK_EQ(cow_view_new(pair.origin, &pair.store, &pair.view, &said), -ERANGE);
	CHECK(!strcmp(said.id, "bounds"));
	CHECK(!strcmp(said.force, "damaged"));
	pair.store.is_damaged = true;
	OK(cow_view_new(pair.origin, &pair.store, &pair.view, err));
	check_data(pair.view, pair.model);
	pair_free(&pair);
}

int main(void)
{
	random_state = test_seed();
	RUN(random_views_read_as_the_model);
	RUN(data_is_found_and_holes_are_not);
	RUN(a_sparse_origin_is_asked_once);
	RUN(small_chunks_of_data_are_one_range);
	RUN(resolve_names_the_image_below);
	RUN(views_stack);
	RUN(a_view_is_read_only);
	RUN(an_exception_beyond_the_cow_image_is_an_io_error);
	RUN(hostile_numbers_do_not_wrap);
	RUN(an_exception_beyond_the_origin_is_refused);
	return test_end();
}
