/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_check_owners.c - which devices a node of the trees of mappings belongs to, or a
 * data block that is counted wrongly. A walk knows the owner of a node that one device
 * alone has; of others each device is asked whether the way to the node's first key leads
 * through it. Data blocks are looked for in one more walk, which a sound pool does not
 * need.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/thin/check/thin_check.h"

/* So many are named; of so many findings in one check. */
#define NAMED_MAX 8
#define FINDINGS_MAX 1000

bool cow_thin_leads_to(struct pdata_blocks *blocks, uint64_t root, const struct pdata_edge *edge)
{
	const struct pdata_tree tree = { blocks, root, 8 };
	uint64_t block = root;

	for (unsigned int height = 0; height <= PDATA_HEIGHT_MAX; height++) {
		struct pdata_fault fault = { .what = PDATA_SOUND };
		struct pdata_node node;
		uint32_t index;

		if (block == edge->block)
			return true;
		if (cow_pdata_node_read(&tree, block, &node, &fault, NULL) || fault.what ||
		    pdata_node_is_leaf(&node))
			return false;
		index = cow_pdata_node_find(&node, edge->key_first);
		if (index == UINT32_MAX)
			return false;
		block = pdata_node_child(&node, index);
	}
	return false;
}

/* Devices that are to be named: the first ones, by their places, and how many there are. */
struct owner_set {
	uint32_t places[NAMED_MAX];
	size_t nr;
	bool has_held; /* the metadata snapshot is one of them */
	bool has_more; /* some were not looked for */
};

/* Ascending. */
static void set_add(struct owner_set *set, uint32_t place)
{
	size_t nr = set->nr < NAMED_MAX ? set->nr : NAMED_MAX, at = nr;

	for (size_t i = 0; i < nr; i++)
		if (set->places[i] == place)
			return;
	set->nr++;
	if (nr == NAMED_MAX)
		return;
	for (; at && set->places[at - 1] > place; at--)
		set->places[at] = set->places[at - 1];
	set->places[at] = place;
}

/* The devices that an edge belongs to. */
static void set_add_edge(struct thin_check *check, const struct pdata_edge *edge,
			 struct owner_set *set)
{
	if (edge->owner == THIN_OWNER_HELD)
		set->has_held = true;
	else if (edge->owner < check->nr_devices)
		set_add(set, edge->owner);
	if (edge->owner == THIN_OWNER_HELD || edge->owner < check->nr_devices)
		return;
	if (edge->block == UINT32_MAX || check->nr_named++ >= FINDINGS_MAX) {
		set->has_more = true;
		return;
	}
	for (size_t i = 0; i < check->nr_devices; i++) {
		const struct thin_device *device = &check->devices[i];

		if (device->has_root && cow_thin_leads_to(check->blocks, device->root, edge))
			set_add(set, (uint32_t)i);
	}
}

static void set_text(const struct thin_check *check, const struct owner_set *set,
		     char ret_text[THIN_OWNER_BYTES])
{
	size_t nr = set->nr, nr_named = nr < NAMED_MAX ? nr : NAMED_MAX;
	size_t len = (size_t)snprintf(ret_text, THIN_OWNER_BYTES, "%s",
				      nr > 1				? "devices "
				      : nr == 1				? "device "
				      : set->has_held && !set->has_more ? "the metadata snapshot"
									: "several devices");

	for (size_t i = 0; i < nr_named && len < THIN_OWNER_BYTES; i++)
		len += (size_t)snprintf(ret_text + len, THIN_OWNER_BYTES - len, "%s%" PRIu64,
					!i				? ""
					: i + 1 == nr && nr == nr_named ? " and "
									: ", ",
					check->devices[set->places[i]].id);
	if (nr > nr_named && len < THIN_OWNER_BYTES)
		snprintf(ret_text + len, THIN_OWNER_BYTES - len, " and %zu others", nr - nr_named);
}

void cow_thin_owner_text(struct thin_check *check, const struct pdata_edge *edge,
			 char ret_text[THIN_OWNER_BYTES])
{
	struct owner_set set = { .nr = 0 };

	set_add_edge(check, edge, &set);
	set_text(check, &set, ret_text);
}

/* ---------------------------------------------------------------- data blocks */

/* Blocks next to each other that are counted wrongly. */
struct data_run {
	enum thin_problem problem;
	uint64_t first, nr;
	uint32_t found, counted;
	struct owner_set owners;
};

int cow_thin_owners_keep(struct thin_check *check, enum thin_problem problem, uint64_t first,
			 uint64_t nr, uint32_t found, uint32_t counted, struct cow_err *err)
{
	struct data_run *larger =
		cow_array_grow(check->runs, check->nr_runs, &check->runs_capacity, sizeof(*larger));

	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu damaged places", check->nr_runs);
	check->runs = larger;
	larger[check->nr_runs++] = (struct data_run){
		.problem = problem, .first = first, .nr = nr, .found = found, .counted = counted
	};
	return 0;
}

static int by_block(const void *key, const void *run)
{
	uint64_t block = *(const uint64_t *)key;
	const struct data_run *r = (const struct data_run *)run;

	return block < r->first ? -1 : block >= r->first + r->nr;
}

static int runs_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	struct thin_check *check = (struct thin_check *)user;
	struct data_run *last = NULL;

	(void)err;
	for (uint32_t i = 0; i < node->nr_entries; i++) {
		uint64_t block = thin_mapping_block(get_le64(pdata_node_value(node, i)));
		struct data_run *run = bsearch(&block, check->runs, check->nr_runs,
					       sizeof(*check->runs), by_block);

		if (run && run != last)
			set_add_edge(check, edge, &run->owners);
		last = run ? run : last;
	}
	return 0;
}

static void run_tell(struct thin_check *check, const struct data_run *run)
{
	char owners[THIN_OWNER_BYTES], blocks[80];

	set_text(check, &run->owners, owners);
	if (run->nr == 1)
		snprintf(blocks, sizeof(blocks), "data block %" PRIu64, run->first);
	else
		snprintf(blocks, sizeof(blocks), "data blocks %" PRIu64 " to %" PRIu64, run->first,
			 run->first + run->nr - 1);
	if (run->found)
		cow_thin_check_add_data(check, run->problem, run->first,
					"%s of %s: mapped %" PRIu32 " times, counted %" PRIu32
					" times",
					blocks, owners, run->counted, run->found);
	else
		cow_thin_check_add_data(check, run->problem, run->first,
					"%s of %s: mapped %" PRIu32 " times, and counted as free",
					blocks, owners, run->counted);
}

int cow_thin_owners_tell(struct thin_check *check, struct cow_err *err)
{
	int ret;

	if (!check->nr_runs)
		return 0;
	ret = cow_thin_check_each_leaf(check, runs_leaf, err);
	for (size_t i = 0; !ret && i < check->nr_runs; i++)
		run_tell(check, &check->runs[i]);
	return ret;
}
