/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pool_world.c - makes the world, and holds it against its model.
 */
#include "tests/aids/pool_world.h"

#include "libcow/base/units.h"
#include "tests/aids/test.h"

static uint64_t seed;

void world_seed(void)
{
	seed = test_seed();
}

uint64_t world_draw(uint64_t limit)
{
	return test_random(&seed) % limit;
}

void world_scribble(uint8_t *bytes, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)test_random(&seed);
}

uint64_t world_draw_range(uint64_t size, uint64_t most, uint64_t *ret_len)
{
	uint64_t offset = 512 * world_draw(size / 512);

	*ret_len = min_u64(512 * (1 + world_draw(most / 512)), size - offset);
	return offset;
}

void *world_bytes(uint64_t len)
{
	void *bytes = calloc(1, len);

	CHECK(bytes);
	return bytes;
}

/* ------------------------------------------------------------------ world */

static void plain_open(struct world *world)
{
	const struct cow_role_image images[] = { { COW_ROLE_ORIGIN, 0, world->origin },
						 { COW_ROLE_COW, 0, world->plain } };
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.images = images;
	args.nr_images = 2;
	OK(cow_store_open(&args, &world->plain_store, err));
}

static void world_open(struct world *world)
{
	OK(pool_open(world->pool, world->origin, STORE_SNAPSHOT_NONE, NULL, &world->manager, err));
	for (size_t i = 0; i < world->nr; i++)
		OK(pool_open(world->pool, world->origin, world->shown[i].id, world->manager,
			     &world->shown[i].store, err));
	plain_open(world);
}

static void world_close(struct world *world)
{
	for (size_t i = 0; i < world->nr; i++)
		cow_store_close(world->shown[i].store);
	cow_store_close(world->manager);
	cow_store_close(world->plain_store);
}

static void plain_make(struct world *world)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	uint64_t bytes;

	params.origin_bytes = world->origin_bytes;
	params.chunk_bytes = PLAIN_CHUNK_BYTES;
	OK(cow_create_size(&params, &bytes, err));
	OK(cow_image_memory_new(bytes, &world->plain, err));
	OK(cow_create(world->plain, &params, err));
}

void world_make(struct world *world, uint64_t chunk_sectors, uint64_t nr_chunks, uint64_t nr_blocks)
{
	memset(world, 0, sizeof(*world));
	world->chunk_bytes = chunk_sectors * 512;
	world->origin_bytes = nr_chunks * world->chunk_bytes - world_draw(chunk_sectors) * 512;
	world->longest_bytes = 2 * nr_chunks * world->chunk_bytes;
	world->now = world_bytes(world->longest_bytes);
	world->frozen = world_bytes(world->longest_bytes);
	OK(cow_image_memory_new(world->origin_bytes, &world->origin, err));
	/* with holes */
	for (int i = 0; i < 3; i++) {
		uint64_t len,
			offset = world_draw_range(world->origin_bytes, world->origin_bytes, &len);

		world_scribble(world->now + offset, len);
		OK(cow_image_pwrite(world->origin, world->now + offset, len, offset, err));
	}
	memcpy(world->frozen, world->now, world->origin_bytes);
	OK(cow_image_memory_new(pool_bytes(world->chunk_bytes, nr_blocks), &world->pool, err));
	OK(pool_create(world->pool, world->chunk_bytes, err));
	plain_make(world);
	world_open(world);
}

void world_free(struct world *world)
{
	world_close(world);
	for (size_t i = 0; i < world->nr; i++)
		free(world->shown[i].bytes);
	cow_image_close(world->origin);
	cow_image_close(world->pool);
	cow_image_close(world->plain);
	free(world->now);
	free(world->frozen);
}

/* Everything that was not published is gone. */
void world_reopen(struct world *world)
{
	world_close(world);
	world_open(world);
}

/* -------------------------------------------------------------- judgement */

static void check_view(const struct world *world, struct cow_store *store, const uint8_t *wanted,
		       uint64_t len)
{
	uint8_t *bytes = world_bytes(world->longest_bytes);
	uint64_t data = 0, data_len = 1, at = 0;
	struct cow_image *view;

	OK(cow_view_new(world->origin, store, &view, err));
	CHECK_EQ(cow_image_size(view), len);
	OK(cow_image_pread(view, bytes, len, 0, err));
	CHECK(!memcmp(bytes, wanted, len));
	/* what is passed over as a hole has zeros */
	memset(bytes, 0, len);
	for (; data_len; at = data + data_len) {
		OK(cow_image_next_data(view, at, &data, &data_len, err));
		OK(cow_image_pread(view, bytes + data, data_len, data, err));
		if (data + data_len == len)
			break;
	}
	CHECK(!memcmp(bytes, wanted, len));
	cow_image_close(view);
	free(bytes);
}

static struct shown *find(struct world *world, uint64_t id)
{
	for (size_t i = 0; i < world->nr; i++)
		if (world->shown[i].id == id)
			return &world->shown[i];
	return NULL;
}

/* Calls look for each block of each snapshot's map. */
static void blocks_each(struct world *world, unsigned int *counts,
			void (*look)(unsigned int *count, const struct store_run *run))
{
	struct store_run run;

	for (size_t i = 0; i < world->nr; i++)
		for (uint64_t at = 0;; at = run.old_bytes + run.len_bytes) {
			OK(cow_store_snapshot_map(world->manager, world->shown[i].id, at, &run,
						  err));
			if (!run.len_bytes)
				break;
			CHECK(run.old_bytes >= at);
			/* nothing is saved for what it does not show */
			CHECK(run.old_bytes + run.len_bytes <
			      world->shown[i].view_bytes + world->chunk_bytes);
			for (uint64_t b = 0; b < run.len_bytes; b += world->chunk_bytes)
				look(&counts[(run.new_bytes + b) / world->chunk_bytes], &run);
		}
}

static void block_count(unsigned int *count, const struct store_run *run)
{
	(void)run;
	(*count)++;
}

static void block_check(unsigned int *count, const struct store_run *run)
{
	CHECK_EQ(run->is_shared, *count > 1);
}

/* Each run says of itself whether it is shared; used blocks are those that any map
 * names. */
static void check_sharing(struct world *world)
{
	uint64_t nr_blocks = cow_image_size(world->pool) / world->chunk_bytes, nr_used = 0;
	unsigned int *counts = world_bytes(nr_blocks * sizeof(*counts));

	blocks_each(world, counts, block_count);
	blocks_each(world, counts, block_check);
	for (uint64_t i = 0; i < nr_blocks; i++)
		nr_used += counts[i] != 0;
	CHECK_EQ(pool_nr_used(world->manager), nr_used);
	free(counts);
}

static void check_ids(struct world *world)
{
	uint64_t id = 0;
	size_t nr = 0;

	for (;; id++, nr++) {
		OK(cow_store_snapshot_next(world->manager, id, &id, err));
		if (id == STORE_SNAPSHOT_NONE)
			break;
		CHECK(find(world, id));
	}
	CHECK_EQ(nr, world->nr);
}

void world_check(struct world *world)
{
	uint8_t *bytes = world_bytes(world->longest_bytes);

	OK(cow_image_pread(world->origin, bytes, world->origin_bytes, 0, err));
	CHECK(!memcmp(bytes, world->now, world->origin_bytes));
	free(bytes);
	for (size_t i = 0; i < world->nr; i++)
		check_view(world, world->shown[i].store, world->shown[i].bytes,
			   world->shown[i].view_bytes);
	check_view(world, world->plain_store, world->frozen, world->origin_bytes);
	check_ids(world);
	check_sharing(world);
}
