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
#include "tests/aids/pool_world.h"
#include "tests/aids/test.h"

#define NR_STEPS 150

/* ------------------------------------------------------------------- steps */

static void step_create(struct world *world)
{
	struct shown *shown = &world->shown[world->nr];
	const struct shown *parent = NULL;

	if (world->nr == MAX_SNAPSHOTS)
		return;
	if (world->nr && world_draw(3))
		parent = &world->shown[world_draw(world->nr)];
	shown->view_bytes = parent	    ? parent->view_bytes
			    : world_draw(2) ? world->origin_bytes
					    : 512 * (1 + world_draw(world->longest_bytes / 512));
	shown->bytes = world_bytes(world->longest_bytes);
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
	shown = &world->shown[world_draw(world->nr)];
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
		size_t other = world_draw(i + 1);
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
	uint64_t len, offset = world_draw_range(world->origin_bytes, 3 * world->chunk_bytes, &len);
	uint64_t nr_new = count_lacking(world, offset, len), read = origin_read_bytes(world);
	uint64_t nr_used = pool_nr_used(world->manager);
	uint8_t *buf = world_bytes(len);
	struct cow_err err = COW_ERR_INIT;
	int ret;

	world_scribble(buf, len);
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
	uint8_t *bytes = world_bytes(len);
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
	shown = &world->shown[world_draw(world->nr)];
	offset = world_draw_range(shown->view_bytes, 3 * world->chunk_bytes, &len);
	buf = world_bytes(len);
	world_scribble(buf, len);
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
	a = &world->shown[world_draw(world->nr)];
	b = &world->shown[world_draw(world->nr)];
	if (a == b) {
		FAILS(-EINVAL, cow_store_swap(world->manager, a->id, b->id, true, err));
		return;
	}
	OK(cow_store_swap(world->manager, a->id, b->id, true, err));
	kept = *a;
	a->view_bytes = b->view_bytes;
	a->bytes = b->bytes;
	b->view_bytes = kept.view_bytes;
	b->bytes = kept.bytes;
	world_reopen(world); /* the handles show what they showed */
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
	shown = &world->shown[world_draw(world->nr)];
	if (shown->view_bytes != world->origin_bytes)
		return;
	params.siblings = stores;
	params.nr_siblings = all_stores(world, stores, shown->store);
	params.batch_bytes = 4096 * (1 + world_draw(20));
	params.epoch_bytes = 4096 * (1 + world_draw(40));
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
	uint64_t len, offset = world_draw_range(world->origin_bytes, 3 * world->chunk_bytes, &len);
	struct cow_err why = COW_ERR_INIT;
	struct cow_image *image;
	struct shown *shown;
	int ret;

	if (!world->nr)
		return;
	shown = &world->shown[world_draw(world->nr)];
	if (shown->view_bytes != world->origin_bytes || !cow_store_is_empty(shown->store))
		return;
	OK(cow_image_memory_new(world->origin_bytes, &image, err));
	OK(cow_image_pwrite(image, world->now, world->origin_bytes, 0, err));
	memcpy(shown->bytes, world->now, world->origin_bytes);
	world_scribble(shown->bytes + offset, len);
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
	shown = &world->shown[world_draw(world->nr)];
	chunk = world_draw(div_ceil(shown->view_bytes, world->chunk_bytes));
	len = min_u64(world->chunk_bytes, shown->view_bytes - chunk * world->chunk_bytes);
	buf = world_bytes(len);
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
		steps[world_draw(sizeof(steps) / sizeof(steps[0]))](&world);
		world_check(&world);
	}
	world_free(&world);
}

static void snapshots_that_share_show_what_they_should(void)
{
	for (int i = 0; i < 5; i++) {
		run_world(3, 10 + world_draw(20), 400);
		run_world(7, 5 + world_draw(20), 400);
	}
	run_world(384, 5, 60);
	run_world(8, 20, 400);
}

static void a_full_pool_changes_nothing(void)
{
	for (int i = 0; i < 6; i++)
		run_world(3, 30, 20 + world_draw(40));
}

/* ---------------------------------------------------------------- refusals */

static int merge_with(struct shown *shown, uint32_t flags, struct cow_store *undo,
		      struct cow_store *const *siblings, size_t nr_siblings, struct cow_err *err)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;

	params.flags = flags;
	params.undo = undo;
	params.siblings = siblings;
	params.nr_siblings = nr_siblings;
	return cow_merge(shown->store, &params, &result, err);
}

static uint64_t nr_writes(struct cow_image *image)
{
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;

	CHECK(!cow_image_get_stats(image, &stats));
	return stats.nr_writes;
}

static void snapshots_make(struct world *world)
{
	do
		step_create(world);
	while (world->nr < 2);
	for (int i = 0; i < 20; i++)
		step_snapshot_write(world);
}

/* What a kind does not allow is refused before anything is written. */
static void a_kind_says_which_jobs_it_allows(void)
{
	static const uint32_t flags[] = { COW_MERGE_DISCARD, COW_MERGE_SCRUB,
					  COW_MERGE_SKIP_UNREADABLE };
	static struct world world;
	uint64_t nr;

	world_make(&world, 3, 10, 100);
	snapshots_make(&world);
	nr = nr_writes(world.origin) + nr_writes(world.pool) + nr_writes(world.plain);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		FAILS(-EOPNOTSUPP, merge_with(&world.shown[0], flags[i], NULL, NULL, 0, err));
	FAILS(-EOPNOTSUPP, merge_with(&world.shown[0], 0, world.plain_store, NULL, 0, err));
	CHECK_EQ(nr_writes(world.origin) + nr_writes(world.pool) + nr_writes(world.plain), nr);
	world_check(&world);
	world_free(&world);
}

/* All of them have their data on one image: that says nothing. */
static void a_snapshot_is_known_by_its_id(void)
{
	static struct world world;
	struct cow_store *siblings[2], *again;

	world_make(&world, 7, 10, 100);
	snapshots_make(&world);
	OK(pool_open(world.pool, world.origin, world.shown[0].id, world.manager, &again, err));
	siblings[0] = again;
	FAILS(-EPERM, merge_with(&world.shown[0], COW_MERGE_DRY_RUN, NULL, siblings, 1, err));
	siblings[0] = siblings[1] = world.shown[1].store;
	FAILS(-EPERM, merge_with(&world.shown[0], COW_MERGE_DRY_RUN, NULL, siblings, 2, err));
	OK(merge_with(&world.shown[0], COW_MERGE_DRY_RUN, NULL, siblings, 1, err));
	cow_store_close(again);
	world_free(&world);
}

int main(void)
{
	world_seed();
	RUN(a_kind_says_which_jobs_it_allows);
	RUN(a_snapshot_is_known_by_its_id);
	RUN(snapshots_that_share_show_what_they_should);
	RUN(a_full_pool_changes_nothing);
	return test_end();
}
