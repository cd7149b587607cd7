/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_thin_fill.c - devices that are made with what an image has: against a naive model
 * of the pool, with each operation failing, and without room. What a power cut leaves is
 * in tests/crash/crash_thin.c, what the kernel makes of it in tests/kernel/pools.py.
 */
#include <errno.h>

#include "libcow/store/thin/thin_write.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_world.h"

struct place {
	struct cow_image *metadata, *data;
	struct thin_world world;
};

static void place_new(struct place *place, uint64_t nr_metadata, uint64_t nr_data,
		      uint64_t block_bytes, uint64_t nr_blocks, uint64_t below_bytes,
		      uint64_t *random)
{
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

static int fill(struct place *place, const struct thin_world_plan *plan, uint32_t flags,
		struct cow_err *err)
{
	struct thin_world_pool pool;

	thin_world_pool(&place->world, place->metadata, place->data, &pool);
	return thin_world_fill(&place->world, &pool, plan, flags, err);
}

static void plan_draw(struct place *place, uint64_t *random, struct thin_world_plan *plan)
{
	const struct thin_world_device *parent = NULL;

	if (place->world.nr_devices && test_random(random) % 4)
		parent = &place->world.devices[test_random(random) % place->world.nr_devices];
	thin_world_plan(&place->world, parent, random, plan);
}

static void device_delete(struct place *place, size_t which)
{
	struct thin_world_pool pool;

	thin_world_pool(&place->world, place->metadata, place->data, &pool);
	OK(cow_snapshot_delete(&pool.args, place->world.devices[which].id, 0, err));
	thin_world_drop(&place->world, which);
}

/* Devices come and go; after each step all of them are looked at. */
static void pool_lives(uint64_t block_bytes, uint64_t nr_blocks, uint64_t below_bytes,
		       unsigned int nr_steps, uint64_t *random)
{
	struct place place;

	place_new(&place, 100, nr_blocks * THIN_WORLD_DEVICES, block_bytes, nr_blocks, below_bytes,
		  random);
	for (unsigned int i = 0; i < nr_steps; i++) {
		struct thin_world_plan plan;

		if (place.world.nr_devices == THIN_WORLD_DEVICES ||
		    (place.world.nr_devices && test_random(random) % 4 == 0)) {
			device_delete(&place, test_random(random) % place.world.nr_devices);
		} else {
			plan_draw(&place, random, &plan);
			OK(fill(&place, &plan, COW_SNAPSHOT_REHEARSE, err));
			thin_world_check(&place.world, place.metadata, place.data);
			OK(fill(&place, &plan, 0, err));
			thin_world_take(&place.world, &plan);
			free(plan.made.bytes);
		}
		thin_world_check(&place.world, place.metadata, place.data);
	}
	place_free(&place);
}

static void devices_show_what_images_have(void)
{
	uint64_t random = test_seed();

	pool_lives(65536, 12, 0, 40, &random);
	pool_lives(65536, 12, 300 * 512, 40, &random);		 /* which ends in a block */
	pool_lives(65536, 6, UINT64_C(12) * 65536, 20, &random); /* longer than all */
	pool_lives(192 * 1024, 5, 700 * 512, 20, &random);
	pool_lives(1536 * 1024, 3, 5000 * 512, 8, &random); /* larger than a piece */
}

/* ---------------------------------------------------------------- failures */

/* Whichever operation on either image fails: the pool as it was, or with the device. */
static void a_device_is_filled_or_not(void)
{
	uint64_t random = test_seed(), seed = test_random(&random);
	struct fault_plan faults = { .kinds = FAULT_CHANGES, .random = seed };
	unsigned int nr_failed = 0;
	int ret = -EIO;

	for (faults.nth = 1; ret; faults.nth++) {
		uint64_t same = seed;
		struct thin_world_plan first, plan;
		struct thin_world_pool pool;
		struct cow_image *metadata, *data;
		struct place place;

		place_new(&place, 40, 60, 65536, 8, 0, &same);
		do {
			thin_world_plan(&place.world, NULL, &same, &first);
		} while (!first.nr_new && (free(first.made.bytes), true));
		OK(fill(&place, &first, 0, err));
		thin_world_take(&place.world, &first);
		do {
			thin_world_plan(&place.world, &place.world.devices[0], &same, &plan);
		} while (plan.nr_new < 2 && (free(plan.made.bytes), true));
		faults.nr_ops = 0;
		faults.torn = (enum fault_torn)(faults.nth % 4);
		OK(fault_new(place.metadata, &faults, &metadata, err));
		OK(fault_new(place.data, &faults, &data, err));
		thin_world_pool(&place.world, metadata, data, &pool);
		ret = thin_world_fill(&place.world, &pool, &plan, 0, NULL);
		CHECK(!ret || ret == -EIO);
		nr_failed += ret != 0;
		if (thin_world_has(&place.world, place.metadata, place.data, plan.made.id))
			thin_world_take(&place.world, &plan);
		else
			CHECK(ret);
		thin_world_check(&place.world, place.metadata, place.data);
		cow_image_close(metadata);
		cow_image_close(data);
		free(first.made.bytes);
		free(plan.made.bytes);
		place_free(&place);
	}
	CHECK(nr_failed > 8);
}

static uint8_t *image_bytes(struct cow_image *image)
{
	uint8_t *bytes = malloc(cow_image_size(image));

	CHECK(bytes);
	OK(cow_image_pread(image, bytes, cow_image_size(image), 0, err));
	return bytes;
}

/* The metadata stay as they were, byte for byte; and what fits goes on to fit. */
static void without_room(uint64_t nr_metadata, uint64_t nr_data, const char *id)
{
	uint64_t random = test_seed();
	struct cow_err why = COW_ERR_INIT;
	struct thin_world_plan plan;
	struct place place;
	uint8_t *before, *after;
	int ret = 0;

	place_new(&place, nr_metadata, nr_data, 65536, 12, 0, &random);
	before = image_bytes(place.metadata);
	while (!ret && place.world.nr_devices < THIN_WORLD_DEVICES) {
		free(before);
		before = image_bytes(place.metadata);
		do {
			thin_world_plan(&place.world, NULL, &random, &plan);
		} while (!plan.nr_new && (free(plan.made.bytes), true));
		CHECK_EQ(fill(&place, &plan, COW_SNAPSHOT_REHEARSE, &why),
			 ret = fill(&place, &plan, 0, &why));
		if (!ret)
			thin_world_take(&place.world, &plan);
		free(plan.made.bytes);
	}
	CHECK(ret == -ENOSPC && !strcmp(why.id, id));
	after = image_bytes(place.metadata);
	CHECK(!memcmp(before, after, nr_metadata * 4096));
	free(before);
	free(after);
	thin_world_check(&place.world, place.metadata, place.data);
	place_free(&place);
}

static void what_does_not_fit_changes_nothing(void)
{
	without_room(100, 6, "data-space");
	without_room(20, 100, "metadata-space");
}

static void what_cannot_be_filled(void)
{
	uint64_t random = test_seed();
	struct cow_err why = COW_ERR_INIT;
	struct thin_world_plan first, plan;
	struct place place;

	place_new(&place, 40, 60, 65536, 8, 0, &random);
	do {
		thin_world_plan(&place.world, NULL, &random, &first);
	} while (!first.made.blocks[7] && (free(first.made.bytes), true));
	OK(fill(&place, &first, 0, err));
	thin_world_take(&place.world, &first);
	thin_world_plan(&place.world, &place.world.devices[0], &random, &plan);
	plan.size_bytes = 7 * 65536; /* the parent has a block behind it */
	CHECK_EQ(fill(&place, &plan, 0, &why), -EPERM);
	CHECK(!strcmp(why.id, "size"));
	plan.size_bytes = 8 * 65536;
	plan.made.id = first.made.id;
	FAILS(-EEXIST, fill(&place, &plan, 0, err));
	thin_world_check(&place.world, place.metadata, place.data);
	free(first.made.bytes);
	free(plan.made.bytes);
	place_free(&place);
}

/* ---------------------------------------------------------------- free blocks */

/* I16: what the committed trees name is not given away before the next commit. */
static void a_freed_block_is_not_taken_at_once(void)
{
	uint64_t random = test_seed(), block = 0, nr, key;
	struct thin_world_pool args;
	struct thin_world_plan plan;
	struct thin_details details;
	struct cow_store *store = NULL;
	struct thin_pool *pool;
	struct pdata_tree tree;
	struct place place;
	uint8_t value[8];
	bool found = false;

	place_new(&place, 40, 60, 65536, 8, 0, &random);
	do {
		thin_world_plan(&place.world, NULL, &random, &plan);
	} while (!plan.nr_new && (free(plan.made.bytes), true));
	OK(fill(&place, &plan, 0, err));
	thin_world_pool(&place.world, place.metadata, place.data, &args);
	OK(cow_store_open_shared(&args.args, &store, err));
	pool = thin_pool_of(store);
	OK(cow_thin_write_begin(pool, true, err));
	OK(cow_thin_device_find(pool, &pool->super, plan.made.id, &key, &details, err));
	tree = thin_mappings(pool, key);
	OK(cow_pdata_tree_next(&tree, 0, &key, value, &found, err));
	CHECK(found);
	OK(cow_pdata_disk_map_count(pool->data_map, thin_mapping_block(get_le64(value)), false,
				    err));
	nr = cow_pdata_disk_map_nr_free(pool->data_map);
	CHECK_EQ(nr, 60 - plan.nr_new);
	for (; nr; nr--) {
		OK(cow_pdata_disk_map_take(pool->data_map, &block, err));
		CHECK(block < 60 && block != thin_mapping_block(get_le64(value)));
	}
	FAILS(-ENOSPC, cow_pdata_disk_map_take(pool->data_map, &block, err));
	cow_pdata_disk_map_committed(pool->data_map);
	OK(cow_pdata_disk_map_take(pool->data_map, &block, err));
	CHECK_EQ(block, thin_mapping_block(get_le64(value)));
	cow_store_close(store);
	free(plan.made.bytes);
	place_free(&place);
}

int main(void)
{
	RUN(devices_show_what_images_have);
	RUN(a_device_is_filled_or_not);
	RUN(what_does_not_fit_changes_nothing);
	RUN(what_cannot_be_filled);
	RUN(a_freed_block_is_not_taken_at_once);
	return test_end();
}
