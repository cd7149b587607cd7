/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_thin_difference.c - what two devices of a pool have apart, and who has what a
 * device has, on pools that a kernel made, beside a naive comparison of all mappings.
 * Needs the folders that COW_FIXTURES and COW_UNPACKED name.
 */
#include "libcow/store/thin/thin_store.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_fixture.h"

#define DEVICES_MAX 12
#define BLOCKS_MAX 4096

/* Every mapping of a device: block n of it is data block place[n] - 1; 0: none. */
struct device {
	uint64_t id;
	struct cow_store *store;
	uint64_t place[BLOCKS_MAX];
};

struct world {
	struct thin_pair pair;
	uint64_t block_bytes;
	struct device devices[DEVICES_MAX];
	size_t nr;
};

static struct world world;

static struct cow_store *device_open(uint64_t id, uint32_t flags, struct cow_store *sibling)
{
	struct cow_store *store = NULL;

	thin_pair_ask(&world.pair, id, BLOCKS_MAX * world.block_bytes / 512, false);
	world.pair.args.flags = COW_STORE_STRICT | flags;
	world.pair.args.sibling = sibling;
	OK(cow_store_open(&world.pair.args, &store, err));
	return store;
}

static void device_take(struct device *device, uint64_t id)
{
	struct cow_extent extent;

	device->id = id;
	device->store = device_open(id, 0, world.nr ? world.devices[0].store : NULL);
	for (uint64_t at = 0; cow_store_next_extent(device->store, at, &extent);
	     at = extent.old_bytes + extent.len_bytes) {
		CHECK(!extent.has_others); /* nobody has asked */
		for (uint64_t i = 0; i < extent.len_bytes / world.block_bytes; i++) {
			CHECK(extent.old_bytes / world.block_bytes + i < BLOCKS_MAX);
			device->place[extent.old_bytes / world.block_bytes + i] =
				extent.new_bytes / world.block_bytes + i + 1;
		}
	}
}

static void world_open(const char *name)
{
	char metadata[100], data[100];
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *first;
	uint64_t id = 0;

	snprintf(metadata, sizeof(metadata), "%s/meta", name);
	snprintf(data, sizeof(data), "%s/data", name);
	memset(&world, 0, sizeof(world));
	thin_pair_open(&world.pair, metadata, data, NULL);
	world.block_bytes = 65536;
	first = device_open(0, COW_STORE_NO_MAP, NULL);
	CHECK(!cow_store_get_info(first, &info));
	world.block_bytes = info.chunk_bytes;
	for (; world.nr < DEVICES_MAX; id++) {
		OK(cow_store_snapshot_next(first, id, &id, err));
		if (id == STORE_SNAPSHOT_NONE)
			break;
		device_take(&world.devices[world.nr], id);
		world.nr++;
	}
	cow_store_close(first);
}

static void world_close(void)
{
	for (size_t i = 0; i < world.nr; i++)
		cow_store_close(world.devices[i].store);
	thin_pair_close(&world.pair);
}

struct seen {
	bool is_apart[BLOCKS_MAX];
	uint64_t end_bytes;
};

static int on_range(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct seen *seen = user;

	CHECK(len_bytes && (!seen->end_bytes || offset_bytes > seen->end_bytes));
	CHECK(offset_bytes % world.block_bytes == 0 && len_bytes % world.block_bytes == 0);
	seen->end_bytes = offset_bytes + len_bytes;
	for (uint64_t i = 0; i < len_bytes / world.block_bytes; i++)
		seen->is_apart[offset_bytes / world.block_bytes + i] = true;
	return 0;
}

/* By handles without a map: they know what is apart all the same. */
static void pair_agrees(const struct device *a, const struct device *b)
{
	struct cow_store *first = device_open(a->id, COW_STORE_NO_MAP, a->store);
	struct cow_store *second = device_open(b->id, COW_STORE_NO_MAP, a->store);
	struct cow_image *zeros, *view;
	struct cow_extent extent;
	struct seen seen = { .end_bytes = 0 };

	CHECK(!cow_store_next_extent(first, 0, &extent));
	OK(cow_image_zero_new(BLOCKS_MAX * world.block_bytes, &zeros, err));
	FAILS(-EINVAL, cow_view_new(zeros, first, &view, err));
	OK(cow_store_difference(first, second, on_range, &seen, err));
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		CHECK(seen.is_apart[i] == (a->place[i] != b->place[i]));
	cow_image_close(zeros);
	cow_store_close(first);
	cow_store_close(second);
}

static bool has_block(const struct device *device, uint64_t place)
{
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		if (device->place[i] == place)
			return true;
	return false;
}

static void take_device(void *user, const struct cow_snapshot *snapshot)
{
	const uint64_t *id_and_nr = user;

	if (snapshot->id == id_and_nr[0])
		CHECK_EQ(snapshot->nr_exclusive, id_and_nr[1]);
}

/* The check counts what a device alone has. */
static void check_agrees(uint64_t id, uint64_t nr_exclusive)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	uint64_t id_and_nr[] = { id, nr_exclusive };
	struct cow_report *report;

	callbacks.user = id_and_nr;
	params.callbacks = &callbacks;
	params.snapshot = take_device;
	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(&world.pair.args, &params, report, &verdict, err));
	cow_report_free(report);
}

static void owners_agree(const struct device *device)
{
	struct cow_extent extent;
	uint64_t nr_exclusive = 0;

	OK(cow_store_find_owners(device->store, NULL, err));
	for (uint64_t at = 0; cow_store_next_extent(device->store, at, &extent);
	     at = extent.old_bytes + extent.len_bytes)
		for (uint64_t i = 0; i < extent.len_bytes / world.block_bytes; i++) {
			bool has_others = false;

			for (size_t k = 0; k < world.nr && !has_others; k++)
				has_others =
					&world.devices[k] != device &&
					has_block(&world.devices[k],
						  extent.new_bytes / world.block_bytes + i + 1);
			CHECK(extent.has_others == has_others);
			nr_exclusive += !has_others;
		}
	check_agrees(device->id, nr_exclusive);
}

static const char *const pools[] = { "snaps-128k",   "snaps-192k",  "snaps-1m",	   "held-128k",
				     "killed-64k-a", "deleted-64k", "one-thin-64k" };

static void devices_differ_as_their_mappings_do(void)
{
	for (size_t p = 0; p < sizeof(pools) / sizeof(pools[0]); p++) {
		world_open(pools[p]);
		CHECK(world.nr);
		for (size_t i = 0; i < world.nr; i++)
			for (size_t k = 0; k < world.nr; k++)
				pair_agrees(&world.devices[i], &world.devices[k]);
		world_close();
	}
}

static void owners_are_those_that_map_a_block(void)
{
	for (size_t p = 0; p < sizeof(pools) / sizeof(pools[0]); p++) {
		world_open(pools[p]);
		for (size_t i = 0; i < world.nr; i++)
			owners_agree(&world.devices[i]);
		world_close();
	}
}

/* The handles are on one pool, and look at trees of their own. */
static void a_device_is_compared_with_what_it_was(void)
{
	const struct cow_geometry past[] = { { "id", "0" }, { "metadata-snapshot", "yes" } };
	struct seen seen = { .end_bytes = 0 };
	struct cow_store *store;

	world_open("held-128k");
	world.pair.args.geometry = past;
	world.pair.args.nr_geometry = 2;
	world.pair.args.sibling = world.devices[0].store;
	OK(cow_store_open(&world.pair.args, &store, err));
	OK(cow_store_difference(store, world.devices[0].store, on_range, &seen, err));
	CHECK(seen.end_bytes && !cow_store_is_same(store, world.devices[0].store));
	cow_store_close(store);
	world_close();
}

static int refuse_range(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	(void)user;
	(void)offset_bytes;
	(void)len_bytes;
	return -ECANCELED;
}

static void what_is_no_pair_is_refused(void)
{
	struct world other;
	struct cow_store *a;

	world_open("snaps-128k");
	FAILS(-ECANCELED, cow_store_difference(world.devices[0].store, world.devices[1].store,
					       refuse_range, NULL, err));
	other = world;
	world_open("snaps-192k");
	a = other.devices[0].store;
	FAILS(-EINVAL, cow_store_difference(a, world.devices[0].store, refuse_range, NULL, err));
	world_close();
	world = other;
	world_close();
}

int main(void)
{
	thin_fixture_begin();
	RUN(devices_differ_as_their_mappings_do);
	RUN(owners_are_those_that_map_a_block);
	RUN(a_device_is_compared_with_what_it_was);
	RUN(what_is_no_pair_is_refused);
	return test_end();
}
