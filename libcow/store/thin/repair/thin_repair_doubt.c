/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair_doubt.c - data blocks that two devices own although neither is a snapshot
 * of the other. A block that is shared by right was mapped once: every mapping of it has
 * the same key and the same time. One that has others was given away twice, and all of
 * its owners but the last that wrote show foreign bytes. The same is to be feared of a
 * block that is mapped and was counted as free, where another block is counted and
 * mapped by nobody: the mapping may name the wrong one.
 */
#include <errno.h>
#include <stdlib.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/store/thin/repair/thin_repair.h"

/* A mapping of a block that the space map counts less often. */
struct suspect {
	uint64_t block, key;
	uint32_t time;
	struct pdata_edge edge;
};

struct doubt {
	struct thin_repair *repair;
	struct pdata_counts *low; /* blocks that are counted too low: 1, and as free: 2 */
	struct suspect *suspects;
	size_t nr_suspects, capacity;
	bool has_leak;
};

static int low_add(void *user, uint64_t first, uint64_t nr, uint32_t found, uint32_t counted,
		   struct cow_err *err)
{
	struct doubt *doubt = (struct doubt *)user;
	int ret = 0;

	doubt->has_leak |= found && !counted;
	for (uint64_t i = 0; !ret && found < counted && i < nr; i++)
		ret = cow_pdata_counts_add(doubt->low, first + i, found ? 1 : 2, err);
	return ret;
}

static int suspect_add(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		       struct cow_err *err)
{
	struct doubt *doubt = (struct doubt *)user;

	for (uint32_t i = 0; i < node->nr_entries; i++) {
		uint64_t value = pdata_node_child(node, i), block = thin_mapping_block(value);
		struct suspect *larger;

		if (!cow_pdata_counts_get(doubt->low, block))
			continue;
		larger = cow_array_grow(doubt->suspects, doubt->nr_suspects, &doubt->capacity,
					sizeof(*larger));
		if (!larger)
			return cow_fail(err, -ENOMEM, "no memory for damaged places");
		doubt->suspects = larger;
		larger[doubt->nr_suspects++] = (struct suspect){ block, pdata_node_key(node, i),
								 thin_mapping_time(value), *edge };
	}
	return 0;
}

/* ---------------------------------------------------------------- looking */

static int low_find(struct doubt *doubt, struct cow_err *err)
{
	const struct thin_repair *repair = doubt->repair;
	const struct pdata_map_params params = {
		.blocks = repair->list.blocks,
		.root = repair->old_data_map,
		.is_disk = true,
		.nr_blocks_max = UINT64_MAX,
		.user = doubt,
		.fault = cow_pdata_map_fault_ignore,
	};
	AUTO_HANDLE(pdata_map) struct pdata_map *map = NULL;
	uint64_t nr_used;
	int ret = cow_pdata_map_load(&params, &map, err);

	return ret ? ret : cow_pdata_map_compare(map, repair->data_counts, low_add, &nr_used, err);
}

/* ---------------------------------------------------------------- telling */

static int by_block(const void *a, const void *b)
{
	const struct suspect *x = (const struct suspect *)a;
	const struct suspect *y = (const struct suspect *)b;

	return x->block < y->block ? -1 : x->block > y->block;
}

static int by_place(const void *a, const void *b)
{
	const struct thin_place *x = (const struct thin_place *)a;
	const struct thin_place *y = (const struct thin_place *)b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->key < y->key ? -1 : x->key > y->key;
}

/* Each device that has the leaf. */
static int places_add(const struct doubt *doubt, const struct suspect *suspect, struct cow_err *err)
{
	struct thin_repair *repair = doubt->repair;
	const struct thin_rebuild *rebuild = &repair->rebuild;

	for (size_t i = 0; i < rebuild->nr_devices; i++) {
		struct thin_place *larger;

		if (!cow_thin_repair_owns(repair, i, &suspect->edge))
			continue;
		larger = cow_array_grow(repair->doubts, repair->nr_doubts, &repair->doubts_capacity,
					sizeof(*larger));
		if (!larger)
			return cow_fail(err, -ENOMEM, "no memory for damaged places");
		repair->doubts = larger;
		larger[repair->nr_doubts++] =
			(struct thin_place){ rebuild->devices[i].id, suspect->key };
	}
	return 0;
}

/* Of the mappings of one block. */
static bool is_doubtful(const struct doubt *doubt, const struct suspect *suspects, size_t nr)
{
	if (doubt->has_leak && cow_pdata_counts_get(doubt->low, suspects[0].block) == 2)
		return true;
	for (size_t i = 1; i < nr; i++)
		if (suspects[i].key != suspects[0].key || suspects[i].time != suspects[0].time)
			return true;
	return false;
}

void cow_thin_repair_doubt_tell(struct thin_repair *repair)
{
	uint64_t block_bytes = sectors_to_bytes(repair->super.block_sectors);
	size_t nr;

	repair->result->nr_doubtful += repair->nr_doubts;
	repair->result->doubtful_bytes += repair->nr_doubts * block_bytes;
	for (size_t i = 0; repair->params->snapshot_doubtful && i < repair->nr_doubts; i += nr) {
		const struct thin_place *place = &repair->doubts[i];

		for (nr = 1; i + nr < repair->nr_doubts && place[nr].id == place->id &&
			     place[nr].key == place->key + nr;
		     nr++)
			;
		repair->params->snapshot_doubtful(repair->params->user, place->id,
						  place->key * block_bytes, nr * block_bytes);
	}
}

static int suspects_judge(struct doubt *doubt, struct cow_err *err)
{
	struct thin_repair *repair = doubt->repair;
	size_t nr;
	int ret = 0;

	if (doubt->nr_suspects)
		qsort(doubt->suspects, doubt->nr_suspects, sizeof(*doubt->suspects), by_block);
	for (size_t i = 0; !ret && i < doubt->nr_suspects; i += nr) {
		const struct suspect *first = &doubt->suspects[i];

		for (nr = 1; i + nr < doubt->nr_suspects && first[nr].block == first->block; nr++)
			;
		for (size_t j = 0; !ret && is_doubtful(doubt, first, nr) && j < nr; j++)
			ret = places_add(doubt, &first[j], err);
	}
	if (repair->nr_doubts)
		qsort(repair->doubts, repair->nr_doubts, sizeof(*repair->doubts), by_place);
	return ret;
}

int cow_thin_repair_doubt(struct thin_repair *repair, struct cow_err *err)
{
	struct doubt doubt = { .repair = repair };
	int ret = cow_pdata_counts_new(repair->super.data_map.nr_blocks, &doubt.low, err);

	if (!ret)
		ret = low_find(&doubt, err);
	if (!ret)
		ret = cow_thin_rebuild_walk(&repair->rebuild, repair->salvage->blocks, NULL, &doubt,
					    suspect_add, err);
	if (!ret)
		ret = suspects_judge(&doubt, err);
	cow_pdata_counts_free(doubt.low);
	free(doubt.suspects);
	return ret;
}
