/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * Copy-out against a naive model: what each snapshot showed when it was taken
 * is what it shows after any writes to the origin, whatever its chunk size.
 */
#include <errno.h>

#include "libcow/base/units.h"
#include "libcow/core/label.h"
#include "libcow/snapshot/copyout.h"
#include "tests/aids/test.h"

#define ORIGIN_BYTES (300 * UINT64_C(512)) /* no multiple of the larger chunks */
#define NR_STORES 3

static const uint64_t chunk_sizes[NR_STORES] = { 512, 4096, 16384 };

struct world {
	struct cow_image *origin;
	struct cow_image *cow[NR_STORES];
	struct cow_store *store[NR_STORES];
	uint8_t frozen[ORIGIN_BYTES]; /* what the snapshots must show */
	uint8_t now[ORIGIN_BYTES];    /* what the origin must hold */
};

static void store_open(struct world *world, size_t i)
{
	const struct cow_role_image images[] = {
		{ .role = COW_ROLE_ORIGIN, .image = world->origin },
		{ .role = COW_ROLE_COW, .image = world->cow[i] },
	};
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.images = images;
	args.nr_images = 2;
	OK(cow_store_open(&args, &world->store[i], err));
}

static void world_open(struct world *world, uint64_t *seed)
{
	OK(cow_image_memory_new(ORIGIN_BYTES, &world->origin, err));
	for (size_t i = 0; i < ORIGIN_BYTES; i++)
		world->frozen[i] = (uint8_t)test_random(seed);
	memcpy(world->now, world->frozen, ORIGIN_BYTES);
	OK(cow_image_pwrite(world->origin, world->now, ORIGIN_BYTES, 0, err));
	for (size_t i = 0; i < NR_STORES; i++) {
		struct cow_create_params params = COW_CREATE_PARAMS_INIT;
		uint64_t bytes;

		params.origin_bytes = ORIGIN_BYTES;
		params.chunk_bytes = chunk_sizes[i];
		OK(cow_create_size(&params, &bytes, err));
		OK(cow_image_memory_new(bytes, &world->cow[i], err));
		OK(cow_create(world->cow[i], &params, err));
		store_open(world, i);
	}
}

static void world_close(struct world *world)
{
	for (size_t i = 0; i < NR_STORES; i++) {
		cow_store_close(world->store[i]);
		cow_image_close(world->cow[i]);
	}
	cow_image_close(world->origin);
}

static void check_views(struct world *world)
{
	static uint8_t shown[ORIGIN_BYTES];

	for (size_t i = 0; i < NR_STORES; i++) {
		struct cow_image *view;

		OK(cow_view_new(world->origin, world->store[i], &view, err));
		OK(cow_image_pread(view, shown, ORIGIN_BYTES, 0, err));
		CHECK(!memcmp(shown, world->frozen, ORIGIN_BYTES));
		cow_image_close(view);
	}
	OK(cow_image_pread(world->origin, shown, ORIGIN_BYTES, 0, err));
	CHECK(!memcmp(shown, world->now, ORIGIN_BYTES));
}

static void snapshots_keep_showing_what_the_origin_was(void)
{
	static struct world world;
	uint64_t seed = test_seed();

	for (int round = 0; round < 20; round++) {
		world_open(&world, &seed);
		for (int i = 0; i < 40; i++) {
			uint8_t buf[8192];
			uint64_t len = 512 * (1 + test_random(&seed) % 16);
			uint64_t offset = 512 * (test_random(&seed) % 300);

			len = min_u64(len, ORIGIN_BYTES - offset);
			memset(buf, (int)test_random(&seed), len);
			memcpy(world.now + offset, buf, len);
			OK(cow_copyout_write(world.origin, world.store, NR_STORES, buf, len, offset,
					     err));
			if (i % 13 == 0) { /* what a new command finds on the disk */
				cow_store_close(world.store[i % NR_STORES]);
				store_open(&world, (size_t)i % NR_STORES);
			}
		}
		check_views(&world);
		world_close(&world);
	}
}

static void a_full_store_refuses_before_anything_is_written(void)
{
	static struct world world;
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	uint8_t buf[4 * 4096];
	uint64_t seed = 7;

	world_open(&world, &seed);
	cow_store_close(world.store[1]);
	cow_image_close(world.cow[1]);
	params.chunk_bytes = 4096;
	OK(cow_image_memory_new(5 * 4096, &world.cow[1], err)); /* room for 3 chunks */
	OK(cow_create(world.cow[1], &params, err));
	store_open(&world, 1);
	memset(buf, 0x55, sizeof(buf));
	FAILS(-ENOSPC,
	      cow_copyout_write(world.origin, world.store, NR_STORES, buf, 4 * 4096, 0, err));
	check_views(&world);
	for (size_t i = 0; i < NR_STORES; i++) {
		struct cow_store_info info = COW_STORE_INFO_INIT;

		CHECK(!cow_store_get_info(world.store[i], &info));
		CHECK_EQ(info.nr_exceptions, 0);
	}
	memset(world.now, 0x55, 3 * 4096);
	OK(cow_copyout_write(world.origin, world.store, NR_STORES, buf, 3 * 4096, 0, err));
	check_views(&world);
	world_close(&world);
}

static void labels_survive_encoding_and_any_flipped_bit_is_noticed(void)
{
	struct cow_label label, back;
	uint8_t raw[LABEL_BYTES];

	memset(&label, 0, sizeof(label));
	label.job = LABEL_JOB_UNDO;
	label.phase = LABEL_PHASE_DONE;
	memset(label.job_id, 0xA5, sizeof(label.job_id));
	label.target_bytes = UINT64_C(0x1122334455667788);
	memset(label.target_head, 0x11, sizeof(label.target_head));
	label.nr_chunks = 99;
	label.nr_siblings = 2;
	label.outcome_bytes = 4096;
	label.outcome_len_bytes = 77;
	label.nr_left = 98;
	label.nr_earlier = 97;
	memset(label.earlier_id, 0x33, sizeof(label.earlier_id));
	memset(label.outcome_digest, 0x22, sizeof(label.outcome_digest));
	cow_label_encode(&label, raw);
	CHECK(cow_label_decode(raw, &back));
	CHECK(!memcmp(&label, &back, sizeof(label)));
	for (size_t bit = 0; bit < 8 * LABEL_BYTES; bit++) {
		raw[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		CHECK(!cow_label_decode(raw, &back));
		raw[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	memset(raw, 0, sizeof(raw));
	CHECK(!cow_label_decode(raw, &back));
}

int main(void)
{
	RUN(labels_survive_encoding_and_any_flipped_bit_is_noticed);
	RUN(snapshots_keep_showing_what_the_origin_was);
	RUN(a_full_store_refuses_before_anything_is_written);
	return test_end();
}
