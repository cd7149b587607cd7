/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * A merge that keeps siblings true and can be taken back. What a power cut
 * leaves is in tests/crash/.
 */
#include <errno.h>

#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "libcow/store/store.h"
#include "tests/aids/crash.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

#define NR_SIBLINGS 2

static const uint64_t sibling_chunks[NR_SIBLINGS] = { 512, 16384 };
static uint64_t random_state;

struct world {
	struct randstore rs;
	uint8_t *before; /* the origin, and what the siblings show */
	struct cow_image *origin, *cow, *undo, *sibling[NR_SIBLINGS];
	struct cow_store *store, *undo_store, *sibling_store[NR_SIBLINGS];
	struct cow_merge_params params;
	struct cow_merge_result result;
};

static void world_attach(struct world *world, bool with_siblings, bool with_undo)
{
	const struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	const struct cow_merge_result result = COW_MERGE_RESULT_INIT;

	world->params = params;
	world->result = result;
	OK(pair_open(world->origin, world->cow, &world->store, err));
	for (size_t i = 0; i < NR_SIBLINGS; i++)
		OK(pair_open(world->origin, world->sibling[i], &world->sibling_store[i], err));
	if (world->undo)
		OK(pair_open(world->origin, world->undo, &world->undo_store, err));
	if (with_siblings) {
		world->params.siblings = world->sibling_store;
		world->params.nr_siblings = NR_SIBLINGS;
	}
	if (with_undo)
		world->params.undo = world->undo_store;
}

static void world_detach(struct world *world)
{
	cow_store_close(world->store);
	cow_store_close(world->undo_store);
	for (size_t i = 0; i < NR_SIBLINGS; i++)
		cow_store_close(world->sibling_store[i]);
}

static struct cow_image *store_image(uint64_t bytes, uint64_t chunk_bytes)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct cow_image *image;

	create.chunk_bytes = chunk_bytes;
	OK(cow_image_memory_new(bytes, &image, err));
	OK(cow_create(image, &create, err));
	return image;
}

static uint64_t full_size(uint64_t origin_bytes, uint64_t chunk_bytes)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	uint64_t bytes;

	create.origin_bytes = origin_bytes;
	create.chunk_bytes = chunk_bytes;
	OK(cow_create_size(&create, &bytes, err));
	return bytes;
}

static void world_make(struct world *world)
{
	struct cow_store *store;
	uint64_t bytes;

	memset(world, 0, sizeof(*world));
	do {
		randstore_free(&world->rs);
		randstore_make(&world->rs, &random_state, 200);
	} while (!world->rs.nr_exceptions);
	world->before = malloc(world->rs.origin_bytes);
	CHECK(world->before);
	memcpy(world->before, world->rs.origin, world->rs.origin_bytes);
	OK(crash_flat_new(world->rs.origin, world->rs.origin_bytes, "origin", &world->origin, err));
	OK(crash_flat_new(world->rs.cow, world->rs.cow_bytes, "cow", &world->cow, err));
	for (size_t i = 0; i < NR_SIBLINGS; i++)
		world->sibling[i] = store_image(
			full_size(world->rs.origin_bytes, sibling_chunks[i]), sibling_chunks[i]);
	OK(pair_open(world->origin, world->cow, &store, err));
	OK(cow_undo_size(store, &bytes, err));
	cow_store_close(store);
	world->undo = store_image(bytes, world->rs.chunk_bytes);
}

static void world_free(struct world *world)
{
	cow_image_close(world->origin);
	cow_image_close(world->cow);
	cow_image_close(world->undo);
	for (size_t i = 0; i < NR_SIBLINGS; i++)
		cow_image_close(world->sibling[i]);
	free(world->before);
	randstore_free(&world->rs);
}

static void check_siblings(struct world *world)
{
	for (size_t i = 0; i < NR_SIBLINGS; i++)
		pair_check_view(world->origin, world->sibling[i], world->before);
}

static void check_merged(struct world *world)
{
	CHECK(!memcmp(world->rs.origin, world->rs.view, world->rs.origin_bytes));
	pair_check_empty(world->cow, world->rs.chunk_bytes);
	check_siblings(world);
}

static int take_back(struct world *world, uint32_t flags, struct cow_err *err)
{
	int ret;

	world_attach(world, false, false);
	ret = cow_take_back(world->undo_store, flags, &world->params, &world->result, err);
	world_detach(world);
	return ret;
}

static void a_merge_with_siblings_and_undo_can_be_taken_back(void)
{
	for (int i = 0; i < 60; i++) {
		static struct world world;

		world_make(&world);
		world_attach(&world, true, true);
		OK(cow_merge(world.store, &world.params, &world.result, err));
		world_detach(&world);
		check_merged(&world);
		/* The undo file is an ordinary store: its view is the old origin. */
		pair_check_view(world.origin, world.undo, world.before);
		OK(take_back(&world, 0, err));
		CHECK(!memcmp(world.rs.origin, world.before, world.rs.origin_bytes));
		world_free(&world);
	}
}

static int stop_later(void *user, const struct cow_progress *progress)
{
	int *left = user;

	(void)progress;
	return (*left)-- <= 0;
}

static int note_preserved(void *user, struct cow_err *err)
{
	(void)err;
	*(bool *)user = true;
	return 0;
}

/* Interrupted again and again, each time continued with or without naming
 * siblings and undo, once all of it is preserved. */
static void an_interrupted_merge_goes_on_without_its_options(void)
{
	for (int i = 0; i < 100; i++) {
		struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
		static struct world world;
		bool with = true, is_preserved = false;
		int left, ret, tries = 0;

		world_make(&world);
		callbacks.user = &left;
		callbacks.progress = stop_later;
		do {
			struct cow_err why = COW_ERR_INIT;

			world_attach(&world, with, with);
			left = (int)(test_random(&random_state) % 12) + tries++;
			world.params.callbacks = &callbacks;
			world.params.user = &is_preserved;
			world.params.preserved = note_preserved;
			world.params.batch_bytes = 4096;
			world.params.epoch_bytes = 4 * world.rs.chunk_bytes;
			ret = cow_merge(world.store, &world.params, &world.result, &why);
			if (ret == -EPERM) {
				/* Only where it would have forgotten a sibling. */
				CHECK(!strcmp(why.id, "siblings") && !with);
				CHECK(!memcmp(world.rs.origin, world.before,
					      world.rs.origin_bytes));
			} else if (!strcmp(why.id, "other-job")) {
				CHECK(0);
			} else {
				CHECK(ret == 0 || ret == -ECANCELED);
			}
			world_detach(&world);
			check_siblings(&world);
			pair_check_view(world.origin, world.cow, world.rs.view);
			/* Leave the options out once they are done with. */
			with = !is_preserved && test_random(&random_state) % 4;
			if (with) { /* an undo file that was not complete is made anew */
				struct cow_create_params create = COW_CREATE_PARAMS_INIT;

				create.chunk_bytes = world.rs.chunk_bytes;
				OK(cow_create(world.undo, &create, err));
			}
		} while (ret);
		check_merged(&world);
		OK(take_back(&world, 0, err));
		CHECK(!memcmp(world.rs.origin, world.before, world.rs.origin_bytes));
		world_free(&world);
	}
}

static void a_take_back_refuses_an_origin_that_moved_on(void)
{
	for (int i = 0; i < 20; i++) {
		static struct world world;
		struct cow_extent extent;
		uint64_t at;

		world_make(&world);
		world_attach(&world, false, true);
		CHECK(cow_store_next_extent(world.store, 0, &extent));
		OK(cow_merge(world.store, &world.params, &world.result, err));
		world_detach(&world);
		at = extent.old_bytes;
		world.rs.origin[at] ^= 1;
		FAILS(-EPERM, take_back(&world, 0, err));
		OK(take_back(&world, COW_TAKE_BACK_CHANGED, err));
		CHECK(!memcmp(world.rs.origin, world.before, world.rs.origin_bytes));
		world_free(&world);
	}
}

/* Cut off before it wrote to the origin, a take-back looks at it again. */
static void a_take_back_that_begins_again_looks_again(void)
{
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	static struct world world;
	struct cow_extent extent;
	int left, nr = 0, ret;

	callbacks.user = &left;
	callbacks.progress = stop_later;
	world_make(&world);
	world_attach(&world, false, true);
	CHECK(cow_store_next_extent(world.store, 0, &extent));
	OK(cow_merge(world.store, &world.params, &world.result, err));
	world_detach(&world);
	/* As late as possible: the label says that siblings are completed. */
	do {
		struct cow_err why = COW_ERR_INIT;
		struct cow_store_info info = COW_STORE_INFO_INIT;

		left = nr++;
		world_attach(&world, true, false);
		world.params.callbacks = &callbacks;
		ret = cow_take_back(world.undo_store, 0, &world.params, &world.result, &why);
		CHECK(ret == -ECANCELED);
		CHECK(!cow_store_get_info(world.sibling_store[0], &info));
		ret = info.nr_exceptions ? 0 : ret;
		world_detach(&world);
	} while (ret);
	CHECK(!memcmp(world.rs.origin, world.rs.view, world.rs.origin_bytes));
	world.rs.origin[extent.old_bytes] ^= 1;
	world_attach(&world, true, false);
	FAILS(-EPERM, cow_take_back(world.undo_store, 0, &world.params, &world.result, err));
	world_detach(&world);
	world.rs.origin[extent.old_bytes] ^= 1;
	/* Without its siblings it is refused. */
	FAILS(-EPERM, take_back(&world, 0, err));
	world_attach(&world, true, false);
	OK(cow_take_back(world.undo_store, 0, &world.params, &world.result, err));
	world_detach(&world);
	CHECK(!memcmp(world.rs.origin, world.before, world.rs.origin_bytes));
	world_free(&world);
}

static void too_little_room_in_a_sibling_is_refused_before_anything_is_written(void)
{
	static struct world world;
	uint8_t *cow;

	world_make(&world);
	cow_image_close(world.sibling[0]);
	world.sibling[0] = store_image(3 * 512, 512);
	world_attach(&world, true, true);
	cow = malloc(world.rs.cow_bytes);
	CHECK(cow);
	memcpy(cow, world.rs.cow, world.rs.cow_bytes);
	FAILS(-ENOSPC, cow_merge(world.store, &world.params, &world.result, err));
	CHECK(!memcmp(cow, world.rs.cow, world.rs.cow_bytes));
	CHECK(!memcmp(world.before, world.rs.origin, world.rs.origin_bytes));
	world_detach(&world);
	free(cow);
	world_free(&world);
}

static void an_undo_file_is_for_one_merge_and_one_origin(void)
{
	static struct world world;

	world_make(&world);
	FAILS(-EPERM, take_back(&world, 0, err)); /* not an undo file yet */
	world_attach(&world, false, true);
	OK(cow_merge(world.store, &world.params, &world.result, err));
	world_detach(&world);
	/* A plain merge of it would not look at the origin first. */
	world_attach(&world, false, false);
	FAILS(-EPERM, cow_merge(world.undo_store, &world.params, &world.result, err));
	/* Another merge may not take it for its own. */
	OK(cow_store_append(world.store, 0, world.before,
			    min_u64(world.rs.chunk_bytes, world.rs.origin_bytes), err));
	OK(cow_store_publish(world.store, err));
	world.params.undo = world.undo_store;
	FAILS(-EPERM, cow_merge(world.store, &world.params, &world.result, err));
	world_detach(&world);
	world_free(&world);
}

static void keep_leaves_the_exceptions(void)
{
	static struct world world;
	struct cow_store_info info = COW_STORE_INFO_INIT;

	world_make(&world);
	world_attach(&world, false, true);
	world.params.flags = COW_MERGE_KEEP;
	OK(cow_merge(world.store, &world.params, &world.result, err));
	CHECK_EQ(world.result.nr_left, world.rs.nr_exceptions);
	world_detach(&world);
	CHECK(!memcmp(world.rs.origin, world.rs.view, world.rs.origin_bytes));
	OK(take_back(&world, 0, err));
	CHECK(!memcmp(world.rs.origin, world.before, world.rs.origin_bytes));
	world_attach(&world, false, false);
	CHECK(!cow_store_get_info(world.store, &info));
	CHECK_EQ(info.nr_exceptions, world.rs.nr_exceptions);
	world_detach(&world);
	pair_check_view(world.origin, world.cow, world.rs.view);
	world_free(&world);
}

int main(void)
{
	random_state = test_seed();
	RUN(a_merge_with_siblings_and_undo_can_be_taken_back);
	RUN(an_interrupted_merge_goes_on_without_its_options);
	RUN(a_take_back_refuses_an_origin_that_moved_on);
	RUN(a_take_back_that_begins_again_looks_again);
	RUN(too_little_room_in_a_sibling_is_refused_before_anything_is_written);
	RUN(an_undo_file_is_for_one_merge_and_one_origin);
	RUN(keep_leaves_the_exceptions);
	return test_end();
}
