/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_check_owners.c - which devices a node of the trees of mappings belongs to. A
 * walk knows the owner of a node that one device alone has; of others each device is
 * asked whether the way to the node's first key leads through it.
 */
#include <inttypes.h>
#include <stdio.h>

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

/* The first of them, and how many there are. */
static size_t owners_find(struct thin_check *check, const struct pdata_edge *edge,
			  uint64_t ids[NAMED_MAX])
{
	size_t nr = 0;

	if (edge->block == UINT32_MAX || check->nr_named++ >= FINDINGS_MAX)
		return 0;
	for (size_t i = 0; i < check->nr_devices; i++) {
		const struct thin_device *device = &check->devices[i];

		if (!device->has_root || !cow_thin_leads_to(check->blocks, device->root, edge))
			continue;
		if (nr < NAMED_MAX)
			ids[nr] = device->id;
		nr++;
	}
	return nr;
}

void cow_thin_owner_text(struct thin_check *check, const struct pdata_edge *edge,
			 char ret_text[THIN_OWNER_BYTES])
{
	uint64_t ids[NAMED_MAX];
	size_t nr, nr_named, len;

	if (edge->owner == THIN_OWNER_HELD) {
		snprintf(ret_text, THIN_OWNER_BYTES, "the metadata snapshot");
		return;
	}
	if (edge->owner < check->nr_devices) {
		snprintf(ret_text, THIN_OWNER_BYTES, "device %" PRIu64,
			 check->devices[edge->owner].id);
		return;
	}
	nr = owners_find(check, edge, ids);
	len = (size_t)snprintf(ret_text, THIN_OWNER_BYTES, "%s",
			       nr > 1	 ? "devices "
			       : nr == 1 ? "device "
					 : "several devices");
	nr_named = nr < NAMED_MAX ? nr : NAMED_MAX;
	for (size_t i = 0; i < nr_named && len < THIN_OWNER_BYTES; i++)
		len += (size_t)snprintf(ret_text + len, THIN_OWNER_BYTES - len, "%s%" PRIu64,
					!i				? ""
					: i + 1 == nr && nr == nr_named ? " and "
									: ", ",
					ids[i]);
	if (nr > nr_named && len < THIN_OWNER_BYTES)
		snprintf(ret_text + len, THIN_OWNER_BYTES - len, " and %zu others", nr - nr_named);
}
