/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * Many snapshots of one origin that share their blocks, against a naive model:
 * for each snapshot an array of bytes. Chunks are no powers of two, views are
 * shorter and longer than the origin, and beside the pool there is a snapshot
 * of another kind, with other chunks. What was not published is lost whenever
 * all handles are closed.
 */
#include <errno.h>

#include "libcow/base/units.h"
#include "tests/aids/pool.h"
#include "tests/aids/test.h"

#define MAX_SNAPSHOTS 6
#define NR_STEPS 150
#define PLAIN_CHUNK_BYTES 4096

struct shown {
	uint64_t id, view_bytes;
	uint8_t *bytes; /* what the view must be; as long as the longest */
	struct cow_store *store;
};

struct world {
	uint64_t chunk_bytes, origin_bytes, longest_bytes;
	struct cow_image *origin, *pool, *plain;
	struct cow_store *manager;     /* a handle on no snapshot */
	struct cow_store *plain_store; /* a snapshot of the other kind */
	uint8_t *now, *frozen;	       /* the origin; what plain shows */
	struct shown shown[MAX_SNAPSHOTS];
	size_t nr;
};

static uint64_t seed;

static uint64_t draw(uint64_t limit)
{
	return test_random(&seed) % limit;
}

static void scribble(uint8_t *bytes, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)test_random(&seed);
}

static uint64_t draw_range(uint64_t size, uint64_t most, uint64_t *ret_len)
{
	uint64_t offset = 512 * draw(size / 512);

	*ret_len = min_u64(512 * (1 + draw(most / 512)), size - offset);
	return offset;
}

static void *bytes_new(uint64_t len)
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

static void world_make(struct world *world, uint64_t chunk_sectors, uint64_t nr_chunks,
		       uint64_t nr_blocks)
{
	memset(world, 0, sizeof(*world));
	world->chunk_bytes = chunk_sectors * 512;
	world->origin_bytes = nr_chunks * world->chunk_bytes - draw(chunk_sectors) * 512;
	world->longest_bytes = 2 * nr_chunks * world->chunk_bytes;
	world->now = bytes_new(world->longest_bytes);
	world->frozen = bytes_new(world->longest_bytes);
	OK(cow_image_memory_new(world->origin_bytes, &world->origin, err));
	/* with holes */
	for (int i = 0; i < 3; i++) {
		uint64_t len, offset = draw_range(world->origin_bytes, world->origin_bytes, &len);

		scribble(world->now + offset, len);
		OK(cow_image_pwrite(world->origin, world->now + offset, len, offset, err));
	}
	memcpy(world->frozen, world->now, world->origin_bytes);
	OK(cow_image_memory_new(pool_bytes(world->chunk_bytes, nr_blocks), &world->pool, err));
	OK(pool_create(world->pool, world->chunk_bytes, err));
	plain_make(world);
	world_open(world);
}

static void world_free(struct world *world)
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
static void world_reopen(struct world *world)
{
	world_close(world);
	world_open(world);
}

/* -------------------------------------------------------------- judgement */

static void check_view(const struct world *world, struct cow_store *store, const uint8_t *wanted,
		       uint64_t len)
{
	uint8_t *bytes = bytes_new(world->longest_bytes);
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
	unsigned int *counts = bytes_new(nr_blocks * sizeof(*counts));

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

static void check_all(struct world *world)
{
	uint8_t *bytes = bytes_new(world->longest_bytes);

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

/* ------------------------------------------------------------------- steps */

static void step_create(struct world *world)
{
	struct shown *shown = &world->shown[world->nr];
	const struct shown *parent = NULL;

	if (world->nr == MAX_SNAPSHOTS)
		return;
	if (world->nr && draw(3))
		parent = &world->shown[draw(world->nr)];
	shown->view_bytes = parent    ? parent->view_bytes
			    : draw(2) ? world->origin_bytes
				      : 512 * (1 + draw(world->longest_bytes / 512));
	shown->bytes = bytes_new(world->longest_bytes);
	if (parent)
		memcpy(shown->bytes, parent->bytes, shown->view_bytes);
	else
		memcpy(shown->bytes, world->now, min_u64(shown->view_bytes, world->origin_bytes));
	OK(cow_store_snapshot_create(world->manager, parent ? parent->id : STORE_SNAPSHOT_NONE,
				     shown->view_bytes, &shown->id, err));
	OK(pool_open(world->pool, world->origin, shown->id, world->manager, &shown->store, err));
	world->nr++;
}

static void step_delete(struct world *world)
{
	struct shown *shown;

	if (!world->nr)
		return;
	shown = &world->shown[draw(world->nr)];
	FAILS(-EBUSY, cow_store_snapshot_delete(world->manager, shown->id, err));
	cow_store_close(shown->store);
	OK(cow_store_snapshot_delete(world->manager, shown->id, err));
	FAILS(-ENOENT, cow_store_snapshot_delete(world->manager, shown->id, err));
	free(shown->bytes);
	*shown = world->shown[--world->nr];
}

/* In any order: the members of a group need not stand together. */
static size_t all_stores(struct world *world, struct cow_store **stores,
			 const struct cow_store *but)
{
	size_t nr = 0;

	for (size_t i = 0; i < world->nr; i++)
		if (world->shown[i].store != but)
			stores[nr++] = world->shown[i].store;
	stores[nr++] = world->plain_store;
	for (size_t i = nr - 1; i; i--) {
		size_t other = draw(i + 1);
		struct cow_store *store = stores[i];

		stores[i] = stores[other];
		stores[other] = store;
	}
	return nr;
}

static bool has_chunk(struct world *world, const struct shown *shown, uint64_t chunk)
{
	struct store_run run;

	OK(cow_store_snapshot_map(world->manager, shown->id, chunk * world->chunk_bytes, &run,
				  err));
	return run.len_bytes && run.old_bytes == chunk * world->chunk_bytes;
}

/* How many chunks of a range any snapshot lacks. */
static uint64_t count_lacking(struct world *world, uint64_t offset, uint64_t len)
{
	uint64_t first = offset / world->chunk_bytes, nr = 0;

	for (uint64_t chunk = first; chunk * world->chunk_bytes < offset + len; chunk++) {
		bool is_lacking = false;

		for (size_t i = 0; i < world->nr; i++)
			is_lacking |= chunk * world->chunk_bytes < world->shown[i].view_bytes &&
				      !has_chunk(world, &world->shown[i], chunk);
		nr += is_lacking;
	}
	return nr;
}

static uint64_t origin_read_bytes(const struct world *world)
{
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;

	CHECK(!cow_image_get_stats(world->origin, &stats));
	return stats.read_bytes;
}

static void step_origin_write(struct world *world)
{
	struct cow_store *stores[MAX_SNAPSHOTS + 2];
	size_t nr = all_stores(world, stores, NULL);
	uint64_t len, offset = draw_range(world->origin_bytes, 3 * world->chunk_bytes, &len);
	uint64_t nr_new = count_lacking(world, offset, len), read = origin_read_bytes(world);
	uint64_t nr_used = pool_nr_used(world->manager);
	uint8_t *buf = bytes_new(len);
	struct cow_err err = COW_ERR_INIT;
	int ret;

	scribble(buf, len);
	ret = cow_copyout_write(world->origin, stores, nr, buf, len, offset, &err);
	CHECK(!ret || ret == -ENOSPC);
	if (!ret) {
		/* one block for all that lack it, and one look at the origin */
		CHECK_EQ(pool_nr_used(world->manager), nr_used + nr_new);
		CHECK(origin_read_bytes(world) - read <=
		      len + 2 * max_u64(world->chunk_bytes, PLAIN_CHUNK_BYTES));
		memcpy(world->now + offset, buf, len);
	} else {
		CHECK_EQ(origin_read_bytes(world), read);
		CHECK_EQ(pool_nr_used(world->manager), nr_used);
	}
	free(buf);
}

/* Exceptions that nobody shares are overwritten in place, before the failure or
 * not; everything else of the write is gone. */
static void accept_part(struct world *world, struct shown *shown, uint64_t offset,
			const uint8_t *buf, uint64_t len)
{
	uint8_t *bytes = bytes_new(len);
	struct cow_image *view;

	world_reopen(world);
	OK(cow_view_new(world->origin, shown->store, &view, err));
	OK(cow_image_pread(view, bytes, len, offset, err));
	cow_image_close(view);
	for (uint64_t at = 0; at < len; at += 512)
		CHECK(!memcmp(bytes + at, buf + at, 512) ||
		      !memcmp(bytes + at, shown->bytes + offset + at, 512));
	memcpy(shown->bytes + offset, bytes, len);
	free(bytes);
}

static void step_snapshot_write(struct world *world)
{
	struct shown *shown;
	struct cow_err err = COW_ERR_INIT;
	struct cow_patch *patch;
	uint64_t offset, len;
	uint8_t *buf;
	int ret;

	if (!world->nr)
		return;
	shown = &world->shown[draw(world->nr)];
	offset = draw_range(shown->view_bytes, 3 * world->chunk_bytes, &len);
	buf = bytes_new(len);
	scribble(buf, len);
	ret = cow_patch_new(shown->store, world->origin, &patch, &err);
	if (!ret)
		ret = cow_patch_write(patch, offset, buf, len, &err);
	if (!ret)
		ret = cow_patch_finish(patch, &err);
	cow_patch_free(patch);
	CHECK(!ret || ret == -ENOSPC);
	if (!ret)
		memcpy(shown->bytes + offset, buf, len);
	else
		accept_part(world, shown, offset, buf, len);
	free(buf);
}

static void step_swap(struct world *world)
{
	struct shown *a, *b, kept;

	if (world->nr < 2)
		return;
	a = &world->shown[draw(world->nr)];
	b = &world->shown[draw(world->nr)];
	if (a == b) {
		FAILS(-EINVAL, cow_store_swap(a->store, b->store, err));
		return;
	}
	OK(cow_store_swap(a->store, b->store, err));
	kept = *a;
	a->view_bytes = b->view_bytes;
	a->bytes = b->bytes;
	b->view_bytes = kept.view_bytes;
	b->bytes = kept.bytes;
}

/* A snapshot as long as the origin becomes the origin; all others stay true. */
static void step_merge(struct world *world)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_store *stores[MAX_SNAPSHOTS + 2];
	struct cow_err err = COW_ERR_INIT;
	struct shown *shown;
	int ret;

	if (!world->nr)
		return;
	shown = &world->shown[draw(world->nr)];
	if (shown->view_bytes != world->origin_bytes)
		return;
	params.siblings = stores;
	params.nr_siblings = all_stores(world, stores, shown->store);
	params.batch_bytes = 4096 * (1 + draw(20));
	params.epoch_bytes = 4096 * (1 + draw(40));
	ret = cow_merge(shown->store, &params, &result, &err);
	CHECK(!ret || ret == -ENOSPC);
	if (ret)
		return;
	memcpy(world->now, shown->bytes, world->origin_bytes);
	CHECK_EQ(result.nr_left, 0);
	CHECK(cow_store_is_empty(shown->store));
}

/* An empty one is made from an image that differs from the origin. */
static void step_fill(struct world *world)
{
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
	uint64_t len, offset = draw_range(world->origin_bytes, 3 * world->chunk_bytes, &len);
	struct cow_err why = COW_ERR_INIT;
	struct cow_image *image;
	struct shown *shown;
	int ret;

	if (!world->nr)
		return;
	shown = &world->shown[draw(world->nr)];
	if (shown->view_bytes != world->origin_bytes || !cow_store_is_empty(shown->store))
		return;
	OK(cow_image_memory_new(world->origin_bytes, &image, err));
	OK(cow_image_pwrite(image, world->now, world->origin_bytes, 0, err));
	memcpy(shown->bytes, world->now, world->origin_bytes);
	scribble(shown->bytes + offset, len);
	OK(cow_image_pwrite(image, shown->bytes + offset, len, offset, err));
	ret = cow_diff_fill(shown->store, world->origin, image, NULL, &stats, &why);
	CHECK(!ret || ret == -ENOSPC);
	if (ret) {
		memcpy(shown->bytes, world->now, world->origin_bytes);
		world_reopen(world);
	} else {
		CHECK_EQ(stats.nr_chunks,
			 div_ceil(offset + len, world->chunk_bytes) - offset / world->chunk_bytes);
	}
	cow_image_close(image);
}

/* Something that nobody publishes. */
static void step_forgotten(struct world *world)
{
	struct shown *shown;
	uint64_t chunk, len;
	uint8_t *buf;

	if (!world->nr)
		return;
	shown = &world->shown[draw(world->nr)];
	chunk = draw(div_ceil(shown->view_bytes, world->chunk_bytes));
	len = min_u64(world->chunk_bytes, shown->view_bytes - chunk * world->chunk_bytes);
	buf = bytes_new(len);
	if (!cow_store_reserve(shown->store, 1, NULL)) {
		if (has_chunk(world, shown, chunk))
			OK(cow_store_unshare(shown->store, chunk * world->chunk_bytes, len, err));
		else
			OK(cow_store_append(shown->store, chunk * world->chunk_bytes, buf, len,
					    err));
	}
	free(buf);
	world_reopen(world);
}

static void (*const steps[])(struct world *world) = {
	step_create,	     step_create,	  step_delete,	     step_origin_write,
	step_origin_write,   step_origin_write,	  step_origin_write, step_snapshot_write,
	step_snapshot_write, step_snapshot_write, step_swap,	     step_merge,
	step_forgotten,	     world_reopen,	  step_fill,	     step_fill,
};

static void run_world(uint64_t chunk_sectors, uint64_t nr_chunks, uint64_t nr_blocks)
{
	static struct world world;

	world_make(&world, chunk_sectors, nr_chunks, nr_blocks);
	for (int i = 0; i < NR_STEPS; i++) {
		steps[draw(sizeof(steps) / sizeof(steps[0]))](&world);
		check_all(&world);
	}
	world_free(&world);
}

static void snapshots_that_share_show_what_they_should(void)
{
	for (int i = 0; i < 5; i++) {
		run_world(3, 10 + draw(20), 400);
		run_world(7, 5 + draw(20), 400);
	}
	run_world(384, 5, 60);
	run_world(8, 20, 400);
}

static void a_full_pool_changes_nothing(void)
{
	for (int i = 0; i < 6; i++)
		run_world(3, 30, 20 + draw(40));
}

int main(void)
{
	seed = test_seed();
	RUN(snapshots_that_share_show_what_they_should);
	RUN(a_full_pool_changes_nothing);
	return test_end();
}
