/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair_devices.c - which devices the new metadata have: each that either tree
 * knows. Details that are lost are made up so that nothing is written in place that may
 * be shared. An id of more than 24 bits, which no kernel can open, becomes one that it
 * can.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/store/thin/repair/thin_repair.h"

/* A root with one child is none that the kernel makes: the child takes its place. */
static int root_lift(struct thin_salvage *salvage, uint64_t *root, struct cow_err *err)
{
	const struct pdata_tree tree = { salvage->blocks, *root, 8 };
	bool has_hole = cow_thin_salvage_info(salvage, *root)->has_hole;

	for (unsigned int height = 0; has_hole && height < PDATA_HEIGHT_MAX; height++) {
		struct pdata_fault fault = { .what = PDATA_SOUND };
		struct pdata_node node;
		uint64_t child;
		int ret = cow_pdata_node_read(&tree, *root, &node, &fault, err);

		if (ret)
			return ret;
		if (fault.what || pdata_node_is_leaf(&node) || node.nr_entries > 1)
			break;
		child = pdata_node_child(&node, 0);
		/* what is gone beside it is told of it */
		for (size_t i = 0; i < salvage->nr_holes; i++)
			if (salvage->holes[i].block == *root)
				salvage->holes[i].block = (uint32_t)child;
		salvage->nodes[child].has_hole = true;
		*root = child;
	}
	return 0;
}

/* Which ids are taken: a bit for each, made where one is out of range. */
struct ids {
	uint8_t *taken; /* NULL: nobody asks */
	uint64_t next;	/* where to look for one that is free; 0: not yet */
};

static void id_take(struct ids *ids, uint64_t id)
{
	if (ids->taken)
		ids->taken[id / 8] |= (uint8_t)(1 << id % 8);
}

static bool id_is_taken(const struct ids *ids, uint64_t id)
{
	return ids->taken && ids->taken[id / 8] >> id % 8 & 1;
}

/* The low 24 bits, or the next one that is free: the search goes on where the last one
 * ended, and there are fewer devices than ids. */
static uint64_t id_choose(struct ids *ids, uint64_t id)
{
	uint64_t chosen = id & THIN_ID_MAX;

	if (id > THIN_ID_MAX && id_is_taken(ids, chosen)) {
		if (!ids->next)
			ids->next = chosen;
		while (id_is_taken(ids, ids->next & THIN_ID_MAX))
			ids->next++;
		chosen = ids->next & THIN_ID_MAX;
	}
	id_take(ids, chosen);
	return chosen;
}

/* Ascending: those with a good id come first. */
static int ids_make(const struct thin_check *list, struct ids *ids, struct cow_err *err)
{
	size_t nr = list->nr_devices;

	if (!nr || list->devices[nr - 1].id <= THIN_ID_MAX)
		return 0;
	if (nr > THIN_ID_MAX)
		return cow_fail(err, -EBADMSG, "the pool has more devices than there are ids");
	/* bounded: 2 MiB */
	ids->taken = calloc((THIN_ID_MAX + 1) / 8, 1);
	return ids->taken ? 0 : cow_fail(err, -ENOMEM, "no memory for the ids of devices");
}

static int by_id(const void *a, const void *b)
{
	const struct thin_rebuild_device *x = (const struct thin_rebuild_device *)a;
	const struct thin_rebuild_device *y = (const struct thin_rebuild_device *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int device_make(struct thin_repair *repair, const struct thin_device *device,
		       struct ids *ids, struct thin_rebuild_device *made, struct cow_err *err)
{
	const struct thin_node_info *info;
	int ret = 0;

	*made = (struct thin_rebuild_device){ .id = id_choose(ids, device->id),
					      .root = COW_OFFSET_NONE,
					      .details = device->details };
	if (device->has_root &&
	    cow_thin_salvage_info(repair->salvage, device->root)->state == THIN_NODE_KEPT) {
		made->root = device->root;
		ret = root_lift(repair->salvage, &made->root, err);
	}
	info = cow_thin_salvage_info(repair->salvage, made->root);
	made->details.mapped_blocks = made->root == COW_OFFSET_NONE ? 0 : info->nr;
	if (device->has_details)
		return ret;
	made->details.transaction_id = repair->super.transaction_id;
	made->details.creation_time = repair->super.time;
	/* nobody knows what it shares: all of it */
	made->details.snapshotted_time = repair->super.time + 1;
	return ret;
}

int cow_thin_repair_devices(struct thin_repair *repair, struct cow_err *err)
{
	const struct thin_check *list = &repair->list;
	struct thin_rebuild *rebuild = &repair->rebuild;
	struct ids ids = { .taken = NULL };
	bool has_made = false;
	int ret;

	/* bounded: as many as there are in memory, and one */
	rebuild->devices = calloc(list->nr_devices + 1, sizeof(*rebuild->devices));
	if (!rebuild->devices)
		return cow_fail(err, -ENOMEM, "no memory for %zu devices", list->nr_devices);
	ret = ids_make(list, &ids, err);
	for (size_t i = 0; !ret && i < list->nr_devices; i++) {
		ret = device_make(repair, &list->devices[i], &ids,
				  &rebuild->devices[rebuild->nr_devices], err);
		rebuild->nr_devices++;
		has_made |= !list->devices[i].has_details;
	}
	free(ids.taken);
	if (rebuild->nr_devices)
		qsort(rebuild->devices, rebuild->nr_devices, sizeof(*rebuild->devices), by_id);
	if (has_made)
		repair->super.time++;
	return ret;
}

/* ---------------------------------------------------------------- their nodes */

bool cow_thin_repair_owns(const struct thin_repair *repair, size_t place,
			  const struct pdata_edge *edge)
{
	uint64_t root = repair->rebuild.devices[place].root;

	if (edge->owner != PDATA_OWNER_MANY)
		return edge->owner == place;
	return root != COW_OFFSET_NONE && cow_thin_leads_to(repair->salvage->blocks, root, edge);
}

/* ---------------------------------------------------------------- what is lost */

bool cow_thin_repair_is_whole(const struct thin_repair *repair, const struct thin_device *device)
{
	const struct thin_node_info *info = cow_thin_salvage_info(
		repair->salvage, device->has_root ? device->root : COW_OFFSET_NONE);

	return info->state == THIN_NODE_KEPT && !info->has_hole;
}

struct telling {
	struct thin_repair *repair;
	uint64_t id, block_bytes;
};

static void lost_tell(void *user, uint64_t first, uint64_t last)
{
	const struct telling *telling = (const struct telling *)user;
	const struct cow_repair_params *params = telling->repair->params;
	uint64_t block_bytes = telling->block_bytes, offset_bytes, len_bytes = 0;

	if (!params->snapshot_lost || mul_overflows(first, block_bytes, &offset_bytes))
		return;
	if (last != UINT64_MAX && mul_overflows(last - first + 1, block_bytes, &len_bytes))
		len_bytes = 0;
	params->snapshot_lost(params->user, telling->id, offset_bytes, len_bytes);
}

/* It has the tree of another device, and more or fewer mappings than its details say:
 * which tree is its own, nobody knows. */
static bool has_foreign_root(const struct thin_check *list, const struct thin_device *device,
			     uint64_t nr)
{
	for (size_t i = 0; i < list->nr_devices; i++) {
		const struct thin_device *other = &list->devices[i];

		if (other != device && other->has_root && other->root == device->root &&
		    other->has_details && other->details.mapped_blocks == nr &&
		    device->details.mapped_blocks != nr)
			return true;
	}
	return false;
}

static void foreign_tell(struct thin_repair *repair, const struct thin_device *device,
			 const struct thin_node_info *info)
{
	const struct cow_repair_params *params = repair->params;
	uint64_t block_bytes = sectors_to_bytes(repair->super.block_sectors), len_bytes;

	repair->result->nr_doubtful += info->nr;
	repair->result->doubtful_bytes += info->nr * block_bytes;
	if (params->snapshot_doubtful && info->last < UINT64_MAX &&
	    !mul_overflows(info->last + 1, block_bytes, &len_bytes))
		params->snapshot_doubtful(params->user, device->id, 0, len_bytes);
}

/* What was found again of a device whose way was lost. */
static void found_tell(const struct thin_repair *repair, const struct thin_device *device,
		       uint64_t nr, uint64_t said)
{
	const struct cow_repair_params *params = repair->params;
	uint64_t before = repair->is_super_found ? 0 : device->nr_mapped;

	if (nr <= before || !(repair->is_super_found || repair->patched))
		return;
	repair->result->nr_found += nr - before;
	repair->result->found_transaction = repair->super.transaction_id;
	repair->result->found_time = repair->super.time;
	if (params->snapshot_found)
		params->snapshot_found(params->user, device->id, nr - before,
				       said > nr ? said - nr : 0);
}

static int device_tell(struct thin_repair *repair, const struct thin_device *device,
		       struct cow_err *err)
{
	struct telling telling = { repair, device->id,
				   sectors_to_bytes(repair->super.block_sectors) };
	const struct thin_node_info *info = cow_thin_salvage_info(
		repair->salvage, device->has_root ? device->root : COW_OFFSET_NONE);
	uint64_t nr = info->state == THIN_NODE_KEPT ? info->nr : 0;
	uint64_t said = device->has_details ? device->details.mapped_blocks : 0;
	bool is_whole = cow_thin_repair_is_whole(repair, device);

	found_tell(repair, device, nr, said);
	if (repair->is_super_doubtful || device->is_doubtful ||
	    (is_whole && device->is_damaged && device->has_details && nr > said) ||
	    (is_whole && device->has_details && has_foreign_root(&repair->list, device, nr)))
		foreign_tell(repair, device, info);
	if (is_whole && said > nr &&
	    (device->is_damaged || thin_repair_count(repair, THIN_MAPPING_LOST))) {
		repair->result->nr_lost += said - nr;
		repair->result->lost_bytes += (said - nr) * telling.block_bytes;
		lost_tell(&telling, 0, UINT64_MAX);
	}
	/* What was not there to be lost. */
	if (is_whole || (device->has_details && said <= nr && !info->has_hole))
		return 0;
	if (said > nr) {
		repair->result->nr_lost += said - nr;
		repair->result->lost_bytes += (said - nr) * telling.block_bytes;
	} else {
		repair->result->nr_lost++;
		repair->result->nr_unknown++;
	}
	return cow_thin_salvage_lost(repair->salvage,
				     device->has_root ? device->root : COW_OFFSET_NONE, lost_tell,
				     &telling, err);
}

int cow_thin_repair_tell(struct thin_repair *repair, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < repair->list.nr_devices; i++)
		ret = device_tell(repair, &repair->list.devices[i], err);
	return ret;
}
