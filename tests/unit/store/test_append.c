/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Appending to a store where chunks end early: pieces of a chunk, and the
 * origin's short last chunk (I11). */
#include <errno.h>

#include "tests/aids/test.h"

#define CHUNK_BYTES 4096u
#define ORIGIN_BYTES (3 * CHUNK_BYTES + 1024)

struct pair {
	struct cow_image *origin, *cow;
	struct cow_store *store;
};

static void pair_open(struct pair *pair, bool has_origin)
{
	struct cow_role_image images[] = { { COW_ROLE_COW, 0, pair->cow },
					   { COW_ROLE_ORIGIN, 0, pair->origin } };
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.images = images;
	args.nr_images = has_origin ? 2 : 1;
	OK(cow_store_open(&args, &pair->store, err));
}

static void pair_new(struct pair *pair, bool has_origin)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;

	params.chunk_bytes = CHUNK_BYTES;
	OK(cow_image_zero_new(ORIGIN_BYTES, &pair->origin, err));
	OK(cow_image_memory_new(16 * CHUNK_BYTES, &pair->cow, err));
	OK(cow_create(pair->cow, &params, err));
	pair_open(pair, has_origin);
}

static void pair_free(struct pair *pair)
{
	cow_store_close(pair->store);
	cow_image_close(pair->cow);
	cow_image_close(pair->origin);
}

static uint8_t data[CHUNK_BYTES];

static void append(struct pair *pair, uint64_t old_bytes, size_t len_bytes)
{
	memset(data, (int)(old_bytes >> 12) + 1, sizeof(data));
	OK(cow_store_append(pair->store, old_bytes, data, len_bytes, err));
}

static uint8_t byte_of_view(struct pair *pair, uint64_t offset_bytes)
{
	struct cow_image *view;
	uint8_t byte;

	OK(cow_view_new(pair->origin, pair->store, &view, err));
	OK(cow_image_pread(view, &byte, 1, offset_bytes, err));
	cow_image_close(view);
	return byte;
}

static void short_last_chunk_may_come_first(void)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct pair pair;

	pair_new(&pair, true);
	append(&pair, 3ul * CHUNK_BYTES, 512); /* in two pieces */
	append(&pair, 3ul * CHUNK_BYTES + 512, 512);
	append(&pair, 1ul * CHUNK_BYTES, CHUNK_BYTES);
	OK(cow_store_publish(pair.store, err));
	cow_store_close(pair.store);
	pair_open(&pair, true);
	OK(cow_store_get_info(pair.store, &info));
	CHECK_EQ(info.nr_exceptions, 2);
	CHECK_EQ(byte_of_view(&pair, ORIGIN_BYTES - 1), 4);
	CHECK_EQ(byte_of_view(&pair, 2 * CHUNK_BYTES - 1), 2);
	CHECK_EQ(byte_of_view(&pair, 0), 0);
	pair_free(&pair);
}

static void unfinished_chunk_is_refused(void)
{
	struct pair pair;

	pair_new(&pair, true);
	append(&pair, 2ul * CHUNK_BYTES, 512);
	FAILS(-EINVAL, cow_store_append(pair.store, 0, data, CHUNK_BYTES, err));
	FAILS(-EINVAL, cow_store_publish(pair.store, err));
	pair_free(&pair);
}

static void without_an_origin_the_last_may_be_short(void)
{
	struct pair pair;

	pair_new(&pair, false);
	append(&pair, 1ul * CHUNK_BYTES, CHUNK_BYTES);
	append(&pair, 3ul * CHUNK_BYTES, 1024);
	OK(cow_store_publish(pair.store, err));
	CHECK_EQ(byte_of_view(&pair, ORIGIN_BYTES - 1), 4);
	pair_free(&pair);
}

int main(void)
{
	RUN(short_last_chunk_may_come_first);
	RUN(unfinished_chunk_is_refused);
	RUN(without_an_origin_the_last_may_be_short);
	return test_end();
}
