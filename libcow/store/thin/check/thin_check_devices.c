/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_check_devices.c - which devices a pool has: the tree of details, and the top
 * level of the mappings. Each id must be in both. How many mappings a device has is
 * the sum of those below its root; the sum of each node is kept, so that what a
 * thousand devices share is added up once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/thin/check/thin_check.h"

/* Owners of the nodes of these two trees. */
enum { OWNER_LIVE, OWNER_HELD };

static bool is_live(const struct pdata_edge *edge)
{
	return edge->owner != OWNER_HELD;
}

/* ---------------------------------------------------------------- the list */

static int device_add(struct thin_check *check, const struct thin_device *device,
		      struct cow_err *err)
{
	struct thin_device *larger = cow_array_grow(check->devices, check->nr_devices,
						    &check->devices_capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu devices", check->nr_devices);
	check->devices = larger;
	larger[check->nr_devices++] = *device;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct thin_device *x = (const struct thin_device *)a;
	const struct thin_device *y = (const struct thin_device *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* What one tree says and what the other one says of a device become one. */
static void devices_join(struct thin_check *check)
{
	size_t nr = 0;

	if (check->nr_devices)
		qsort(check->devices, check->nr_devices, sizeof(*check->devices), by_id);
	for (size_t i = 0; i < check->nr_devices; i++) {
		struct thin_device *last = nr ? &check->devices[nr - 1] : NULL;
		const struct thin_device *device = &check->devices[i];

		if (!last || last->id != device->id) {
			check->devices[nr++] = *device;
			continue;
		}
		if (device->has_root)
			last->root = device->root;
		else
			last->details = device->details;
		last->has_root |= device->has_root;
		last->has_details |= device->has_details;
	}
	check->nr_devices = nr;
}

/* ---------------------------------------------------------------- both trees */

static int details_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
			struct cow_err *err)
{
	struct thin_check *check = (struct thin_check *)user;
	int ret = 0;

	for (uint32_t i = 0; !ret && is_live(edge) && i < node->nr_entries; i++) {
		struct thin_device device = { .id = pdata_node_key(node, i), .has_details = true };

		cow_thin_details_decode(pdata_node_value(node, i), &device.details);
		ret = device_add(check, &device, err);
	}
	return ret;
}

static int held_root_add(struct thin_check *check, uint64_t root, struct cow_err *err)
{
	uint64_t *larger = cow_array_grow(check->held_roots, check->nr_held_roots,
					  &check->held_capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu devices", check->nr_held_roots);
	check->held_roots = larger;
	larger[check->nr_held_roots++] = root;
	return 0;
}

static int top_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		    struct cow_err *err)
{
	struct thin_check *check = (struct thin_check *)user;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < node->nr_entries; i++) {
		struct thin_device device = { .id = pdata_node_key(node, i),
					      .root = get_le64(pdata_node_value(node, i)),
					      .has_root = true };

		ret = is_live(edge) ? device_add(check, &device, err)
				    : held_root_add(check, device.root, err);
	}
	return ret;
}

static void fault_add(struct thin_check *check, enum thin_problem problem,
		      const struct pdata_fault *fault, const struct pdata_edge *edge)
{
	char text[PDATA_FAULT_TEXT_BYTES];

	check->has_hidden = true;
	cow_pdata_fault_text(fault, cow_pdata_node_type.name, text);
	cow_thin_check_add(check, is_live(edge) ? problem : THIN_HELD_ROOT, fault->block, "%s%s",
			   text, is_live(edge) ? "" : ", in the metadata snapshot");
}

static int details_fault(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
			 struct cow_err *err)
{
	(void)err;
	fault_add((struct thin_check *)user, THIN_DETAILS, fault, edge);
	return 0;
}

static int top_fault(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	(void)err;
	fault_add((struct thin_check *)user, THIN_TOP_NODE, fault, edge);
	return 0;
}

/* The live tree, and that of the metadata snapshot, which share what did not change. */
static int tree_walk(struct pdata_walk_params *params, const struct thin_check *check,
		     uint64_t live_root, uint64_t held_root, struct cow_err *err)
{
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(params, &walk, err);

	if (!ret)
		ret = cow_pdata_walk_root(walk, live_root, OWNER_LIVE, 0, err);
	if (!ret && check->has_held)
		ret = cow_pdata_walk_root(walk, held_root, OWNER_HELD, 0, err);
	return ret ? ret : cow_pdata_walk_run(walk, err);
}

static void device_check(struct thin_check *check, const struct thin_device *device)
{
	const struct thin_details *details = &device->details;

	if (device->id > THIN_ID_MAX)
		cow_thin_check_add(check, THIN_DEVICE_ID, COW_OFFSET_NONE,
				   "device %" PRIu64 ", ids go up to %" PRIu64, device->id,
				   THIN_ID_MAX);
	if (!device->has_details && !check->has_hidden)
		cow_thin_check_add(check, THIN_DEVICE_WITHOUT_DETAILS, COW_OFFSET_NONE,
				   "device %" PRIu64 " is not in the tree of details", device->id);
	if (!device->has_root && !check->has_hidden)
		cow_thin_check_add(check, THIN_DEVICE_WITHOUT_MAPPINGS, COW_OFFSET_NONE,
				   "device %" PRIu64 " is not in the tree of mappings", device->id);
	if (device->has_details && (details->snapshotted_time > check->super.time ||
				    details->creation_time > check->super.time))
		cow_thin_check_add(check, THIN_DETAILS_TIME, COW_OFFSET_NONE,
				   "device %" PRIu64 " was created at time %" PRIu32
				   " and took part in a snapshot at %" PRIu32
				   ", the pool is at time %" PRIu32,
				   device->id, details->creation_time, details->snapshotted_time,
				   check->super.time);
}

int cow_thin_check_devices(struct thin_check *check, struct cow_err *err)
{
	struct pdata_walk_params params = {
		.blocks = check->blocks,
		.value_size = THIN_DETAILS_BYTES,
		.is_shared = true,
		.counts = check->counts,
		.user = check,
		.leaf = details_leaf,
		.fault = details_fault,
	};
	int ret =
		tree_walk(&params, check, check->super.details_root, check->held.details_root, err);

	params.value_size = 8;
	params.leaf = top_leaf;
	params.fault = top_fault;
	if (!ret)
		ret = tree_walk(&params, check, check->super.mapping_root, check->held.mapping_root,
				err);
	if (ret)
		return ret;
	devices_join(check);
	for (size_t i = 0; i < check->nr_devices; i++)
		device_check(check, &check->devices[i]);
	return 0;
}

/* ---------------------------------------------------------------- sums */

/* Of each node 8 bytes in pages that are touched: 0 nothing is known, else twice the
 * number of mappings below it, plus 1, plus 1 if some of them were not read. A node of
 * another tree has none, and all of them are lost. */
#define PER_PAGE (COW_PAGE_BYTES / 8)
#define FOREIGN UINT64_MAX

static int below_put(struct thin_check *check, uint64_t block, uint64_t value, struct cow_err *err)
{
	uint8_t *page = cow_pages_make(&check->below, block / PER_PAGE);

	if (!page)
		return cow_fail(err, -ENOMEM, "no memory to count mappings");
	put_le64(page + block % PER_PAGE * 8, value);
	return 0;
}

int cow_thin_below_set(struct thin_check *check, uint64_t block, uint64_t nr, bool is_broken,
		       struct cow_err *err)
{
	return below_put(check, block, 2 * nr + 1 + is_broken, err);
}

int cow_thin_below_mark(struct thin_check *check, struct cow_err *err)
{
	int ret = 0;

	for (uint64_t block = 0; !ret && cow_pdata_counts_next(check->counts, block, &block);
	     block++)
		ret = below_put(check, block, FOREIGN, err);
	return ret;
}

bool cow_thin_below_is_foreign(const struct thin_check *check, uint64_t block)
{
	const uint8_t *page = cow_pages_get(&check->below, block / PER_PAGE);

	return page && get_le64(page + block % PER_PAGE * 8) == FOREIGN;
}

static bool below_get(const struct thin_check *check, uint64_t block, uint64_t *ret_nr,
		      bool *ret_is_broken)
{
	const uint8_t *page = cow_pages_get(&check->below, block / PER_PAGE);
	uint64_t value = page ? get_le64(page + block % PER_PAGE * 8) : 0;

	if (!value)
		return false;
	*ret_nr = value == FOREIGN ? 0 : (value - 1) / 2;
	*ret_is_broken = value == FOREIGN || (value - 1) % 2;
	return true;
}

struct frame {
	uint64_t block, sum;
	uint32_t index;
	bool is_broken;
};

/* One step of a frame: true, and its child, or false: the node is summed up. A leaf
 * that the walk has not taken is one that it could not take. */
static int frame_step(struct thin_check *check, struct frame *frame, bool *ret_has_child,
		      uint64_t *ret_child, struct cow_err *err)
{
	const struct pdata_tree tree = { check->blocks, frame->block, 8 };
	struct pdata_fault fault;
	struct pdata_node node;
	int ret = cow_pdata_node_read(&tree, frame->block, &node, &fault, err);

	*ret_has_child = false;
	if (ret)
		return ret;
	if (fault.what || pdata_node_is_leaf(&node)) {
		frame->is_broken = true;
		return 0;
	}
	*ret_has_child = frame->index < node.nr_entries;
	if (*ret_has_child)
		*ret_child = pdata_node_child(&node, frame->index++);
	return 0;
}

/* The sum of a tree, by a walk that keeps the sum of each node that it leaves. */
static int tree_sum(struct thin_check *check, uint64_t root, uint64_t *ret_nr, bool *ret_is_broken,
		    struct cow_err *err)
{
	struct frame frames[PDATA_HEIGHT_MAX + 2] = { { .block = root } };
	unsigned int depth = 0;
	uint64_t child = 0, nr = 0;
	bool has_child, is_broken = false;
	int ret = 0;

	while (!ret && !below_get(check, root, ret_nr, ret_is_broken)) {
		struct frame *frame = &frames[depth];

		ret = frame_step(check, frame, &has_child, &child, err);
		if (ret)
			break;
		if (!has_child && frame->block >= cow_pdata_blocks_nr(check->blocks)) {
			*ret_is_broken = true; /* a root beyond the device */
			return 0;
		}
		if (!has_child) {
			ret = cow_thin_below_set(check, frame->block, frame->sum, frame->is_broken,
						 err);
			/* its parent finds it there */
			if (depth)
				frames[--depth].index--;
		} else if (below_get(check, child, &nr, &is_broken)) {
			frame->sum += nr;
			frame->is_broken |= is_broken;
		} else if (child >= cow_pdata_blocks_nr(check->blocks) ||
			   depth > PDATA_HEIGHT_MAX) {
			frame->is_broken = true;
		} else {
			frames[++depth] = (struct frame){ .block = child };
		}
	}
	return ret;
}

int cow_thin_check_mapped(struct thin_check *check, struct cow_err *err)
{
	for (size_t i = 0; i < check->nr_devices; i++) {
		struct thin_device *device = &check->devices[i];
		bool is_broken = false;
		int ret = 0;

		if (device->has_root)
			ret = tree_sum(check, device->root, &device->nr_mapped, &is_broken, err);
		if (ret)
			return ret;
		device->is_damaged = is_broken || !device->has_root || !device->has_details;
		if (!device->is_damaged && device->details.mapped_blocks != device->nr_mapped)
			cow_thin_check_add(check, THIN_MAPPED_BLOCKS, COW_OFFSET_NONE,
					   "device %" PRIu64 " has %" PRIu64
					   " mappings, its details say %" PRIu64,
					   device->id, device->nr_mapped,
					   device->details.mapped_blocks);
	}
	return 0;
}
