/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_salvage_lost.c - which blocks of a device are gone: a walk over the mended tree
 * that goes down only where something is missing below.
 */
#include <errno.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/base/array.h"
#include "libcow/store/thin/repair/thin_salvage.h"

/* A node to be looked at, with the keys that lie in it. */
struct part {
	uint64_t block, first, last;
};

struct looking {
	struct thin_salvage *salvage;
	struct part *parts;
	size_t nr_parts, parts_capacity;
	struct thin_hole *found;
	size_t nr_found, found_capacity;
};

static int part_add(struct looking *look, uint64_t block, uint64_t first, uint64_t last,
		    struct cow_err *err)
{
	struct part *larger;

	if (!cow_thin_salvage_info(look->salvage, block)->has_hole)
		return 0;
	larger =
		cow_array_grow(look->parts, look->nr_parts, &look->parts_capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for damaged places");
	look->parts = larger;
	larger[look->nr_parts++] = (struct part){ block, first, last };
	return 0;
}

static int found_add(struct looking *look, uint64_t first, uint64_t last, struct cow_err *err)
{
	struct thin_hole *larger;

	if (first > last)
		return 0;
	larger =
		cow_array_grow(look->found, look->nr_found, &look->found_capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for damaged places");
	look->found = larger;
	larger[look->nr_found++] = (struct thin_hole){ .first = first, .last = last };
	return 0;
}

/* The holes of a node itself: they are neighbours in the list. */
static int holes_take(struct looking *look, const struct part *part, struct cow_err *err)
{
	const struct thin_salvage *salvage = look->salvage;
	int ret = 0;

	for (size_t i = 0; !ret && i < salvage->nr_holes; i++)
		if (salvage->holes[i].block == part->block)
			ret = found_add(look, max_u64(salvage->holes[i].first, part->first),
					min_u64(salvage->holes[i].last, part->last), err);
	return ret;
}

static int part_look(struct looking *look, struct part part, struct cow_err *err)
{
	const struct pdata_tree tree = { look->salvage->blocks, part.block, 8 };
	uint64_t children[SALVAGE_CHILDREN_MAX], keys[SALVAGE_CHILDREN_MAX];
	struct pdata_fault fault = { .what = PDATA_SOUND };
	struct pdata_node node;
	uint32_t nr = 0;
	int ret = holes_take(look, &part, err);

	if (!ret)
		ret = cow_pdata_node_read(&tree, part.block, &node, &fault, err);
	if (ret || fault.what || pdata_node_is_leaf(&node))
		return ret;
	for (; nr < node.nr_entries && nr < SALVAGE_CHILDREN_MAX; nr++) {
		keys[nr] = pdata_node_key(&node, nr);
		children[nr] = pdata_node_child(&node, nr);
	}
	for (uint32_t i = 0; !ret && i < nr; i++)
		ret = part_add(look, children[i], i ? max_u64(keys[i], part.first) : part.first,
			       i + 1 < nr ? min_u64(keys[i + 1] - 1, part.last) : part.last, err);
	return ret;
}

static int by_first(const void *a, const void *b)
{
	const struct thin_hole *x = (const struct thin_hole *)a;
	const struct thin_hole *y = (const struct thin_hole *)b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static void found_tell(struct looking *look,
		       void (*lost)(void *user, uint64_t first, uint64_t last), void *user)
{
	size_t i = 0;

	if (look->nr_found)
		qsort(look->found, look->nr_found, sizeof(*look->found), by_first);
	while (i < look->nr_found) {
		uint64_t first = look->found[i].first, last = look->found[i].last;

		for (i++;
		     i < look->nr_found && last != UINT64_MAX && look->found[i].first <= last + 1;
		     i++)
			last = max_u64(last, look->found[i].last);
		if (last == UINT64_MAX)
			i = look->nr_found;
		lost(user, first, last);
	}
}

int cow_thin_salvage_lost(struct thin_salvage *salvage, uint64_t root,
			  void (*lost)(void *user, uint64_t first, uint64_t last), void *user,
			  struct cow_err *err)
{
	const struct thin_node_info *info = cow_thin_salvage_info(salvage, root);
	struct looking look = { .salvage = salvage };
	int ret = 0;

	if (info->state != THIN_NODE_KEPT)
		ret = found_add(&look, 0, UINT64_MAX, err);
	else
		ret = part_add(&look, root, 0, UINT64_MAX, err);
	while (!ret && look.nr_parts)
		ret = part_look(&look, look.parts[--look.nr_parts], err);
	if (!ret)
		found_tell(&look, lost, user);
	free(look.parts);
	free(look.found);
	return ret;
}
