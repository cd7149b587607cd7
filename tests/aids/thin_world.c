/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* thin_world.c - a pool and a naive model of it. */
#include "tests/aids/thin_world.h"

#include <errno.h>

#include "libcow/store/thin/thin_store.h"
#include "tests/aids/sound.h"
#include "tests/aids/test.h"

static uint64_t world_bytes(const struct thin_world *world)
{
	return world->nr_blocks * world->block_bytes;
}

static uint8_t *bytes_new(const struct thin_world *world, const uint8_t *from)
{
	uint8_t *bytes = calloc(1, world_bytes(world));

	CHECK(bytes);
	if (from)
		memcpy(bytes, from, world_bytes(world));
	return bytes;
}

static void noise(uint8_t *bytes, uint64_t len, uint64_t *random)
{
	for (uint64_t i = 0; i < len; i += 512)
		memset(bytes + i, (int)(1 + test_random(random) % 255),
		       len - i < 512 ? len - i : 512);
}

static void image_of(const uint8_t *bytes, uint64_t size, struct cow_image **ret_image)
{
	OK(cow_image_memory_new(size, ret_image, err));
	OK(cow_image_pwrite(*ret_image, bytes, size, 0, err));
}

void thin_world_new(struct thin_world *world, struct cow_image *metadata, struct cow_image *data,
		    uint64_t block_bytes, uint64_t nr_blocks, uint64_t below_bytes,
		    uint64_t *random)
{
	*world = (struct thin_world){ .block_bytes = block_bytes, .nr_blocks = nr_blocks };
	CHECK(nr_blocks <= THIN_WORLD_BLOCKS);
	world->below_bytes = bytes_new(world, NULL);
	if (below_bytes) {
		uint8_t *bytes = malloc(below_bytes);

		CHECK(bytes);
		noise(bytes, below_bytes, random);
		image_of(bytes, below_bytes, &world->below);
		memcpy(world->below_bytes, bytes,
		       below_bytes < world_bytes(world) ? below_bytes : world_bytes(world));
		free(bytes);
	}
	OK(cow_thin_format(metadata, block_bytes / 512, cow_image_size(data) / block_bytes, err));
}

void thin_world_free(struct thin_world *world)
{
	while (world->nr_devices)
		thin_world_drop(world, 0);
	cow_image_close(world->below);
	free(world->below_bytes);
}

void thin_world_pool(const struct thin_world *world, struct cow_image *metadata,
		     struct cow_image *data, struct thin_world_pool *pool)
{
	*pool = (struct thin_world_pool){ .args = COW_STORE_ARGS_INIT };
	pool->roles[0] = (struct cow_role_image){ COW_ROLE_METADATA, 0, metadata };
	pool->roles[1] = (struct cow_role_image){ COW_ROLE_DATA, 0, data };
	pool->roles[2] = (struct cow_role_image){ COW_ROLE_ORIGIN, 0, world->below };
	pool->args.kind = "thin";
	pool->args.images = pool->roles;
	pool->args.nr_images = world->below ? 3 : 2;
	pool->args.snapshot_id = STORE_SNAPSHOT_NONE;
}

/* ---------------------------------------------------------------- plans */

/* Something of a range changes: noise, zeros, or what is there already. */
static void change_draw(uint8_t *bytes, uint64_t size, uint64_t *random)
{
	uint64_t from = test_random(random) % (size / 512) * 512;
	uint64_t len = (1 + test_random(random) % 300) * 512;

	len = len < size - from ? len : size - from;
	if (test_random(random) % 3)
		noise(bytes + from, len, random);
	else
		memset(bytes + from, 0, len);
}

void thin_world_plan(struct thin_world *world, const struct thin_world_device *parent,
		     uint64_t *random, struct thin_world_plan *plan)
{
	const uint8_t *base = parent ? parent->bytes : world->below_bytes;
	uint64_t least = 512, bytes = world->block_bytes;

	*plan = (struct thin_world_plan){ .parent_id = parent ? parent->id : COW_SNAPSHOT_NONE };
	plan->made.bytes = bytes_new(world, base);
	if (parent)
		memcpy(plan->made.blocks, parent->blocks, sizeof(parent->blocks));
	for (uint64_t i = 0; parent && i < world->nr_blocks; i++)
		if (parent->blocks[i])
			least = i * bytes + 512;
	plan->size_bytes =
		least + test_random(random) % ((world_bytes(world) - least) / 512 + 1) * 512;
	for (uint64_t nr = test_random(random) % 4; nr; nr--)
		change_draw(plan->made.bytes, plan->size_bytes, random);
	for (uint64_t i = 0; i < world->nr_blocks; i++) {
		if (!memcmp(plan->made.bytes + i * bytes, base + i * bytes, bytes))
			continue;
		plan->made.blocks[i] = ++world->last_block;
		plan->nr_new++;
	}
	for (size_t i = 0; i < world->nr_devices; i++)
		if (plan->made.id <= world->devices[i].id)
			plan->made.id = world->devices[i].id + 1 + test_random(random) % 3;
}

int thin_world_device(const struct thin_world *world, const struct thin_world_pool *pool,
		      const struct thin_world_device *device, struct cow_store *sibling,
		      struct cow_store **ret_store, struct cow_err *err)
{
	char size[32];
	const struct cow_geometry geometry[] = { { "size", size } };
	struct cow_store_args args = pool->args;

	snprintf(size, sizeof(size), "%" PRIu64,
		 device->view_bytes ? device->view_bytes : world_bytes(world));
	args.snapshot_id = device->id;
	args.geometry = geometry;
	args.nr_geometry = 1;
	args.sibling = sibling;
	return cow_store_open(&args, ret_store, err);
}

int thin_world_fill(const struct thin_world *world, const struct thin_world_pool *pool,
		    const struct thin_world_plan *plan, uint32_t flags, struct cow_err *err)
{
	struct cow_snapshot_params params = COW_SNAPSHOT_PARAMS_INIT;
	struct cow_snapshot_source source = COW_SNAPSHOT_SOURCE_INIT;
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
	struct cow_store *parent = NULL;
	struct cow_image *view = NULL;
	uint64_t id = 0;
	int ret = 0;

	image_of(plan->made.bytes, plan->size_bytes, &source.image);
	if (plan->parent_id != COW_SNAPSHOT_NONE) {
		const struct thin_world_device as_parent = { .id = plan->parent_id };

		ret = thin_world_device(world, pool, &as_parent, NULL, &parent, err);
		ret = ret ? ret : cow_view_new(world->below, parent, &view, err);
	}
	source.base = view ? view : world->below;
	params.id = plan->made.id;
	params.parent_id = plan->parent_id;
	params.flags = flags;
	if (!ret)
		ret = cow_snapshot_fill(&pool->args, &params, &source, &stats, &id, err);
	CHECK(ret || (id == plan->made.id && stats.nr_chunks == plan->nr_new));
	cow_image_close(view);
	cow_store_close(parent);
	cow_image_close(source.image);
	return ret;
}

void thin_world_take(struct thin_world *world, const struct thin_world_plan *plan)
{
	struct thin_world_device *device = &world->devices[world->nr_devices++];

	CHECK(world->nr_devices <= THIN_WORLD_DEVICES);
	*device = plan->made;
	device->bytes = bytes_new(world, plan->made.bytes);
}

/* Does the write change this block, and of what the device shows? */
static bool is_hit(const struct thin_world *world, const struct thin_world_device *device,
		   uint64_t block, uint64_t offset, uint64_t len)
{
	uint64_t start = block * world->block_bytes;

	return !device->blocks[block] && offset < start + world->block_bytes &&
	       offset + len > start && (!device->view_bytes || start < device->view_bytes);
}

void thin_world_write(struct thin_world *world, const bool *is_kept, uint64_t offset,
		      const uint8_t *buf, uint64_t len)
{
	for (uint64_t block = 0; block < world->nr_blocks; block++) {
		uint32_t number = world->last_block + 1;

		for (size_t i = 0; i < world->nr_devices; i++) {
			struct thin_world_device *device = &world->devices[i];

			if (!is_kept[i] || !is_hit(world, device, block, offset, len))
				continue;
			device->blocks[block] = world->last_block = number;
		}
	}
	for (uint64_t at = offset; at < offset + len && at < world_bytes(world); at++) {
		for (size_t i = 0; i < world->nr_devices; i++)
			if (!world->devices[i].blocks[at / world->block_bytes])
				world->devices[i].bytes[at] = buf[at - offset];
		world->below_bytes[at] = buf[at - offset];
	}
}

void thin_world_drop(struct thin_world *world, size_t which)
{
	free(world->devices[which].bytes);
	world->devices[which] = world->devices[--world->nr_devices];
}

/* ---------------------------------------------------------------- checks */

/* How many blocks all devices have, each counted once. */
static uint64_t nr_stored(const struct thin_world *world)
{
	uint8_t *seen = calloc(world->last_block + 1u, 1);
	uint64_t nr = 0;

	CHECK(seen);
	for (size_t i = 0; i < world->nr_devices; i++)
		for (uint64_t k = 0; k < world->nr_blocks; k++) {
			uint32_t block = world->devices[i].blocks[k];

			nr += block && !seen[block];
			seen[block] = 1;
		}
	free(seen);
	return nr;
}

static void device_check(const struct thin_world *world, const struct thin_world_pool *pool,
			 const struct thin_world_device *device)
{
	uint64_t size = device->view_bytes ? device->view_bytes : world_bytes(world);
	uint8_t *bytes = bytes_new(world, NULL);
	struct cow_store *store = NULL;
	struct cow_image *view = NULL;

	OK(thin_world_device(world, pool, device, NULL, &store, err));
	OK(cow_view_new(world->below, store, &view, err));
	OK(cow_image_pread(view, bytes, size, 0, err));
	CHECK(!memcmp(bytes, device->bytes, size));
	cow_image_close(view);
	cow_store_close(store);
	free(bytes);
}

void thin_world_shows(const struct thin_world *world, struct cow_image *metadata,
		      struct cow_image *data)
{
	struct thin_world_pool pool;

	thin_world_pool(world, metadata, data, &pool);
	sound_check(&pool.args);
	for (size_t i = 0; i < world->nr_devices; i++)
		device_check(world, &pool, &world->devices[i]);
}

void thin_world_check(const struct thin_world *world, struct cow_image *metadata,
		      struct cow_image *data)
{
	struct thin_super super;
	uint8_t raw[PDATA_BLOCK_BYTES];

	thin_world_shows(world, metadata, data);
	OK(cow_image_pread(metadata, raw, sizeof(raw), 0, err));
	cow_thin_super_decode(raw, &super);
	CHECK_EQ(super.data_map.nr_allocated, nr_stored(world));
}

bool thin_world_has(const struct thin_world *world, struct cow_image *metadata,
		    struct cow_image *data, uint64_t id)
{
	struct thin_world_pool pool;
	struct cow_store *store = NULL;
	struct thin_details details;
	uint64_t root;
	int ret;

	thin_world_pool(world, metadata, data, &pool);
	OK(cow_store_open_shared(&pool.args, &store, err));
	ret = cow_thin_device_find(thin_pool_of(store), &thin_pool_of(store)->super, id, &root,
				   &details, NULL);
	CHECK(!ret || ret == -ENOENT);
	cow_store_close(store);
	return !ret;
}
