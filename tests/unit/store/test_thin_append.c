/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_thin_append.c - an external origin is written to, and devices of a pool that stand on
 * it go on showing what they showed: against a naive model, with each operation failing,
 * and without room.
 */
#include <errno.h>

#include "libcow/core/report.h"
#include "libcow/store/thin/thin_write.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_fixture.h"
#include "tests/aids/thin_world.h"

struct place {
	struct cow_image *metadata, *data;
	struct thin_world world;
	uint64_t below_bytes;
};

static void place_new(struct place *place, uint64_t nr_metadata, uint64_t nr_data,
		      uint64_t block_bytes, uint64_t nr_blocks, uint64_t below_bytes,
		      uint64_t *random)
{
	place->below_bytes = below_bytes;
	OK(cow_image_memory_new(nr_metadata * 4096, &place->metadata, err));
	OK(cow_image_memory_new(nr_data * block_bytes, &place->data, err));
	thin_world_new(&place->world, place->metadata, place->data, block_bytes, nr_blocks,
		       below_bytes, random);
}

static void place_free(struct place *place)
{
	thin_world_free(&place->world);
	cow_image_close(place->metadata);
	cow_image_close(place->data);
}

static void step_make(struct place *place, uint64_t *random)
{
	struct thin_world *world = &place->world;
	const struct thin_world_device *parent = NULL;
	struct thin_world_pool pool;
	struct thin_world_plan plan;

	if (world->nr_devices == THIN_WORLD_DEVICES)
		return;
	if (world->nr_devices && test_random(random) % 4)
		parent = &world->devices[test_random(random) % world->nr_devices];
	thin_world_plan(world, parent, random, &plan);
	thin_world_pool(world, place->metadata, place->data, &pool);
	OK(thin_world_fill(world, &pool, &plan, 0, err));
	thin_world_take(world, &plan);
	free(plan.made.bytes);
}

static void step_delete(struct place *place, uint64_t *random)
{
	struct thin_world *world = &place->world;
	struct thin_world_pool pool;
	size_t which;

	if (world->nr_devices < 2)
		return;
	which = test_random(random) % world->nr_devices;
	thin_world_pool(world, place->metadata, place->data, &pool);
	OK(cow_snapshot_delete(&pool.args, world->devices[which].id, 0, err));
	thin_world_drop(world, which);
}

/* A write, and who is to be kept true. */
struct write {
	uint64_t offset, len;
	uint8_t *buf;
	bool is_kept[THIN_WORLD_DEVICES];
};

static void write_draw(const struct place *place, uint64_t *random, struct write *write)
{
	write->offset = test_random(random) % (place->below_bytes / 512) * 512;
	write->len = (1 + test_random(random) % 400) * 512;
	if (write->len > place->below_bytes - write->offset)
		write->len = place->below_bytes - write->offset;
	write->buf = malloc(write->len);
	CHECK(write->buf);
	for (uint64_t i = 0; i < write->len; i++)
		write->buf[i] = (uint8_t)test_random(random);
	for (size_t i = 0; i < THIN_WORLD_DEVICES; i++)
		write->is_kept[i] = test_random(random) % 4;
}

static int write_do(const struct place *place, struct thin_world_pool *pool,
		    const struct write *write, struct cow_err *err)
{
	struct cow_store *stores[THIN_WORLD_DEVICES];
	size_t nr = 0;
	int ret = 0;

	for (size_t i = 0; !ret && i < place->world.nr_devices; i++) {
		if (!write->is_kept[i])
			continue;
		ret = thin_world_device(&place->world, pool, &place->world.devices[i],
					nr ? stores[0] : NULL, &stores[nr], err);
		nr += !ret;
	}
	if (!ret)
		ret = cow_copyout_write(place->world.below, stores, nr, write->buf, write->len,
					write->offset, err);
	while (nr)
		cow_store_close(stores[--nr]);
	return ret;
}

static void step_write(struct place *place, uint64_t *random)
{
	struct thin_world_pool pool;
	struct write write;

	write_draw(place, random, &write);
	thin_world_pool(&place->world, place->metadata, place->data, &pool);
	OK(write_do(place, &pool, &write, err));
	thin_world_write(&place->world, write.is_kept, write.offset, write.buf, write.len);
	free(write.buf);
}

static void world_lives(uint64_t block_bytes, uint64_t nr_blocks, uint64_t below_bytes,
			unsigned int nr_steps, uint64_t *random)
{
	struct place place;

	place_new(&place, 800, nr_blocks * (nr_steps + THIN_WORLD_DEVICES), block_bytes, nr_blocks,
		  below_bytes, random);
	for (unsigned int i = 0; i < nr_steps; i++) {
		uint64_t what = test_random(random) % 8;

		if (what < 3 || !place.world.nr_devices)
			step_make(&place, random);
		else if (what == 3)
			step_delete(&place, random);
		else
			step_write(&place, random);
		thin_world_check(&place.world, place.metadata, place.data);
	}
	place_free(&place);
}

static void devices_go_on_showing_what_they_showed(void)
{
	uint64_t random = test_seed();

	for (int i = 0; i < 3; i++) {
		world_lives(65536, 12, UINT64_C(12) * 65536, 40, &random);
		world_lives(65536, 12, 500 * 512, 40, &random); /* zeros behind it */
		world_lives(192 * 1024, 4, 1500 * 512, 20, &random);
	}
}

/* ---------------------------------------------------------------- failures */

static void place_fill(struct place *place, uint64_t *random)
{
	place_new(place, 200, 60, 65536, 4, UINT64_C(4) * 65536, random);
	while (place->world.nr_devices < 3)
		step_make(place, random);
}

/* Whichever operation on either image fails: all show what they showed, and the origin is
 * not written to before they have it. */
static void a_device_shows_the_same_whatever_fails(void)
{
	uint64_t random = test_seed(), seed = test_random(&random);
	struct fault_plan faults = { .kinds = FAULT_CHANGES, .random = seed };
	unsigned int nr_failed = 0;
	int ret = -EIO;

	for (faults.nth = 1; ret; faults.nth++) {
		struct cow_image *metadata, *data;
		struct thin_world_pool pool;
		uint64_t same = seed;
		struct place place;
		struct write write;

		place_fill(&place, &same);
		write_draw(&place, &same, &write);
		memset(write.is_kept, true, sizeof(write.is_kept));
		faults.nr_ops = 0;
		faults.torn = (enum fault_torn)(faults.nth % 4);
		OK(fault_new(place.metadata, &faults, &metadata, err));
		OK(fault_new(place.data, &faults, &data, err));
		thin_world_pool(&place.world, metadata, data, &pool);
		ret = write_do(&place, &pool, &write, NULL);
		CHECK(!ret || ret == -EIO);
		nr_failed += ret != 0;
		/* done again, it goes through */
		thin_world_pool(&place.world, place.metadata, place.data, &pool);
		OK(write_do(&place, &pool, &write, err));
		thin_world_write(&place.world, write.is_kept, write.offset, write.buf, write.len);
		thin_world_check(&place.world, place.metadata, place.data);
		cow_image_close(metadata);
		cow_image_close(data);
		free(write.buf);
		place_free(&place);
	}
	CHECK(nr_failed > 6);
}

/* The same with what does not fit; what has room is not changed either. */
static void without_room(uint64_t nr_metadata, uint64_t nr_data, const char *id)
{
	uint64_t random = test_seed();
	struct cow_err why = COW_ERR_INIT;
	struct place place;
	int ret = 0;

	place_new(&place, nr_metadata, nr_data, 65536, 12, UINT64_C(12) * 65536, &random);
	for (int i = 0; !ret && i < 200; i++) {
		struct thin_world_pool pool;
		struct write write;

		if (!place.world.nr_devices) {
			struct cow_snapshot_params params = COW_SNAPSHOT_PARAMS_INIT;
			struct thin_world_plan plan = { .parent_id = COW_SNAPSHOT_NONE };

			thin_world_pool(&place.world, place.metadata, place.data, &pool);
			OK(cow_snapshot_create(&pool.args, &params, &plan.made.id, err));
			plan.made.bytes = place.world.below_bytes;
			thin_world_take(&place.world, &plan);
		}
		write_draw(&place, &random, &write);
		memset(write.is_kept, true, sizeof(write.is_kept));
		thin_world_pool(&place.world, place.metadata, place.data, &pool);
		ret = write_do(&place, &pool, &write, &why);
		if (!ret)
			thin_world_write(&place.world, write.is_kept, write.offset, write.buf,
					 write.len);
		thin_world_check(&place.world, place.metadata, place.data);
		free(write.buf);
	}
	CHECK(ret == -ENOSPC && !strcmp(why.id, id));
	place_free(&place);
}

static void what_does_not_fit_changes_nothing(void)
{
	without_room(200, 6, "data-space");
	without_room(20, 100, "metadata-space");
}

/* ---------------------------------------------------------------- a metadata snapshot */

/* Its trees have roots in common with the live ones, through leaves that they share. */
static void a_metadata_snapshot_stays_as_it_was(const char *name)
{
	static uint8_t buf[512 * 300];
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	char paths[2][100], id[32];
	struct cow_store *stores[THIN_GROUP_MAX];
	struct cow_image *images[3];
	struct cow_report *report;
	struct thin_pair pair;
	uint64_t from = 0;
	size_t nr = 0;

	snprintf(paths[0], sizeof(paths[0]), "%s/meta", name);
	snprintf(paths[1], sizeof(paths[1]), "%s/data", name);
	thin_pair_open(&pair, paths[0], paths[1], NULL);
	OK(cow_image_overlay_new(pair.images[0], &images[0], err));
	OK(cow_image_overlay_new(pair.images[1], &images[1], err));
	OK(cow_image_memory_new(UINT64_C(16) << 20, &images[2], err));
	for (; nr < THIN_GROUP_MAX; from++) {
		const struct cow_geometry geometry[] = { { "id", id }, { "size", "16M" } };
		const struct cow_role_image roles[] = { { COW_ROLE_METADATA, 0, images[0] },
							{ COW_ROLE_DATA, 0, images[1] },
							{ COW_ROLE_ORIGIN, 0, images[2] } };
		struct cow_store_args args = COW_STORE_ARGS_INIT;

		if (nr)
			OK(cow_store_snapshot_next(stores[0], from, &from, err));
		if (from == STORE_SNAPSHOT_NONE)
			break;
		snprintf(id, sizeof(id), "%" PRIu64, from);
		args.kind = "thin";
		args.images = roles;
		args.nr_images = 3;
		args.geometry = geometry;
		args.nr_geometry = 2;
		args.sibling = nr ? stores[0] : NULL;
		if (!cow_store_open(&args, &stores[nr], NULL))
			nr++;
		CHECK(from < 1000);
	}
	CHECK(nr > 1);
	for (uint64_t at = 0; at < 4; at++)
		OK(cow_copyout_write(images[2], stores, nr, buf, sizeof(buf),
				     at * 3000000 / 512 * 512, err));
	while (nr)
		cow_store_close(stores[--nr]);
	thin_pair_ask(&pair, 0, 0, false);
	pair.args.nr_geometry = 0;
	pair.roles[0].image = images[0];
	pair.roles[1].image = images[1];
	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(&pair.args, &params, report, &verdict, err));
	for (int klass = COW_CLASS_NOTE; klass <= COW_CLASS_LOST; klass++)
		CHECK_EQ(cow_report_count(report, klass), 0);
	CHECK(verdict.known && verdict.view_right);
	cow_report_free(report);
	for (int i = 0; i < 3; i++)
		cow_image_close(images[i]);
	thin_pair_close(&pair);
}

static void pools_of_a_kernel_take_blocks(void)
{
	a_metadata_snapshot_stays_as_it_was("held-128k");
	a_metadata_snapshot_stays_as_it_was("snaps-128k");
	a_metadata_snapshot_stays_as_it_was("many-64k");
}

int main(void)
{
	thin_fixture_begin();
	RUN(a_device_shows_the_same_whatever_fails);
	RUN(what_does_not_fit_changes_nothing);
	RUN(pools_of_a_kernel_take_blocks);
	RUN(devices_go_on_showing_what_they_showed);
	return test_end();
}
