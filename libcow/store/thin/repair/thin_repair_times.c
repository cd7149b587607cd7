/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair_times.c - a block that is shared must be older than the last snapshot of
 * each device that has it: the kernel looks at nothing else before it writes in place.
 * Where it is not, the last snapshot of these devices is raised above it, and the time of
 * the pool with it. That costs a copy at the next write, and never harms.
 */
#include <errno.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/store/thin/repair/thin_repair.h"

/* A leaf with a block that would be written in place. */
struct young {
	struct pdata_edge edge;
	uint32_t time; /* of the youngest of them */
};

struct times {
	struct pdata_counts *counts; /* of the data blocks */
	bool is_second;		     /* the counts are there */
	struct young *young;
	size_t nr_young, capacity;
};

static int young_add(struct times *times, const struct pdata_edge *edge, uint32_t time,
		     struct cow_err *err)
{
	struct young *larger =
		cow_array_grow(times->young, times->nr_young, &times->capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for damaged places");
	times->young = larger;
	larger[times->nr_young++] = (struct young){ *edge, time };
	return 0;
}

static int leaf_look(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	struct times *times = (struct times *)user;
	uint32_t youngest = 0;
	bool is_found = false;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < node->nr_entries; i++) {
		uint64_t value = pdata_node_child(node, i), block = thin_mapping_block(value);
		bool is_shared = edge->owner == PDATA_OWNER_MANY;

		if (!times->is_second)
			ret = cow_pdata_counts_add(times->counts, block, 1, err);
		else if ((is_shared || cow_pdata_counts_get(times->counts, block) > 1) &&
			 thin_mapping_time(value) >= edge->stamp) {
			is_found = true;
			youngest = thin_mapping_time(value) > youngest ? thin_mapping_time(value)
								       : youngest;
		}
	}
	return ret || !is_found ? ret : young_add(times, edge, youngest, err);
}

static void young_mend(struct thin_repair *repair, const struct young *young)
{
	for (size_t i = 0; i < repair->rebuild.nr_devices; i++) {
		struct thin_rebuild_device *device = &repair->rebuild.devices[i];
		bool is_mine = cow_thin_repair_owns(repair, i, &young->edge);

		if (is_mine && device->details.snapshotted_time <= young->time)
			device->details.snapshotted_time = young->time + 1;
		if (is_mine && device->details.snapshotted_time > repair->super.time &&
		    device->details.snapshotted_time == young->time + 1)
			repair->super.time = young->time + 1;
	}
}

int cow_thin_repair_times(struct thin_repair *repair, struct cow_err *err)
{
	struct times times = { .is_second = false };
	int ret = cow_pdata_counts_new(repair->super.data_map.nr_blocks, &times.counts, err);

	if (!ret)
		ret = cow_thin_rebuild_walk(&repair->rebuild, repair->salvage->blocks, NULL, &times,
					    leaf_look, err);
	times.is_second = true;
	if (!ret)
		ret = cow_thin_rebuild_walk(&repair->rebuild, repair->salvage->blocks, NULL, &times,
					    leaf_look, err);
	for (size_t i = 0; !ret && i < times.nr_young; i++)
		young_mend(repair, &times.young[i]);
	repair->data_counts = times.counts;
	free(times.young);
	return ret;
}
