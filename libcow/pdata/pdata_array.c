/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_array.c - reads arrays: the tree first, then the array blocks in the
 * order of their numbers.
 */
#include "libcow/pdata/pdata_array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

/* One entry of the tree. */
struct place {
	uint32_t block;
	uint64_t key; /* which array block it is */
};

struct places {
	const struct pdata_array *array;
	const struct pdata_array_walk *walk;
	struct place *places;
	size_t nr, capacity;
	uint32_t *numbers; /* each block once, ascending */
	size_t *first_of;  /* numbers[i] is the block of places[first_of[i]] */
	size_t nr_numbers;
};

static uint64_t nr_array_blocks(const struct pdata_array *array)
{
	return div_ceil(array->nr_values, pdata_array_per_block(array->value_size));
}

static uint64_t values_in_block(const struct pdata_array *array, uint64_t key)
{
	uint64_t per_block = pdata_array_per_block(array->value_size);

	return min_u64(per_block, array->nr_values - key * per_block);
}

static int tell(const struct places *p, enum pdata_array_part part, const struct pdata_fault *fault,
		uint64_t first, uint64_t nr, struct cow_err *err)
{
	if (!p->walk->fault)
		return cow_pdata_fail(p->array->blocks, fault, pdata_array_part_name(part), err);
	return p->walk->fault(p->walk->user, part, fault, first, nr, err);
}

/* A fault of an array block that has a place. */
static int tell_key(const struct places *p, const struct pdata_fault *fault, uint64_t key,
		    struct cow_err *err)
{
	uint64_t per_block = pdata_array_per_block(p->array->value_size);

	return tell(p, PDATA_PART_VALUES, fault, key * per_block, values_in_block(p->array, key),
		    err);
}

/* ---------------------------------------------------------------- the tree */

static int place_add(struct places *p, uint64_t key, uint64_t block, struct cow_err *err)
{
	struct pdata_fault fault = { .block = block, .found = key };
	struct place *larger;

	if (key >= nr_array_blocks(p->array)) {
		fault.what = PDATA_ARRAY_EXTRA;
		fault.allowed = nr_array_blocks(p->array);
		return tell(p, PDATA_PART_VALUES, &fault, 0, 0, err);
	}
	if (block >= cow_pdata_blocks_nr(p->array->blocks)) {
		fault.what = PDATA_BLOCK_BEYOND;
		fault.allowed = cow_pdata_blocks_nr(p->array->blocks);
		/* No place: it will be missing, too, but is told here. */
		block = UINT32_MAX;
	}
	larger = cow_array_grow(p->places, p->nr, &p->capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for %zu array blocks", p->nr);
	p->places = larger;
	p->places[p->nr++] = (struct place){ .block = (uint32_t)block, .key = key };
	if (fault.what)
		return tell_key(p, &fault, key, err);
	return p->walk->counts ? cow_pdata_counts_add(p->walk->counts, block, 1, err) : 0;
}

static int tree_leaf(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		     struct cow_err *err)
{
	int ret = 0;

	(void)edge;
	for (uint32_t i = 0; !ret && i < node->nr_entries; i++)
		ret = place_add((struct places *)user, pdata_node_key(node, i),
				pdata_node_child(node, i), err);
	return ret;
}

static int tree_fault(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		      struct cow_err *err)
{
	(void)edge;
	return tell((struct places *)user, PDATA_PART_TREE, fault, 0, 0, err);
}

static int by_key(const void *a, const void *b)
{
	const struct place *x = (const struct place *)a, *y = (const struct place *)b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int by_block(const void *a, const void *b)
{
	const struct place *x = (const struct place *)a, *y = (const struct place *)b;

	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return by_key(a, b);
}

/* Array blocks first..end - 1 have no entry. */
static int gap_tell(struct places *p, uint64_t first, uint64_t end, struct cow_err *err)
{
	const struct pdata_fault fault = { .what = PDATA_ARRAY_MISSING,
					   .block = COW_OFFSET_NONE,
					   .found = first,
					   .allowed = end - first };
	uint64_t per_block = pdata_array_per_block(p->array->value_size);
	uint64_t last = min_u64(end * per_block, p->array->nr_values);

	if (first >= end)
		return 0;
	return tell(p, PDATA_PART_VALUES, &fault, first * per_block, last - first * per_block, err);
}

static int gaps_tell(struct places *p, struct cow_err *err)
{
	uint64_t key = 0;
	int ret = 0;

	if (p->nr)
		qsort(p->places, p->nr, sizeof(*p->places), by_key);
	for (size_t i = 0; !ret && i < p->nr; i++) {
		ret = gap_tell(p, key, p->places[i].key, err);
		key = p->places[i].key + 1;
	}
	return ret ? ret : gap_tell(p, key, nr_array_blocks(p->array), err);
}

static int tree_walk(struct places *p, struct cow_err *err)
{
	const struct pdata_walk_params params = {
		.blocks = p->array->blocks,
		.value_size = 8,
		.counts = p->walk->counts,
		.user = p,
		.leaf = tree_leaf,
		.fault = tree_fault,
	};
	AUTO_HANDLE(pdata_walk) struct pdata_walk *walk = NULL;
	int ret = cow_pdata_walk_new(&params, &walk, err);

	if (!ret)
		ret = cow_pdata_walk_root(walk, p->array->root, 0, 0, err);
	if (!ret)
		ret = cow_pdata_walk_run(walk, err);
	if (!ret)
		ret = gaps_tell(p, err);
	return ret;
}

/* ---------------------------------------------------------------- array blocks */

static void block_check(const struct pdata_array *array, const uint8_t *raw, uint64_t key,
			struct pdata_fault *fault)
{
	const uint32_t found[] = { get_le32(raw + 12), get_le32(raw + 4), get_le32(raw + 8) };
	const uint64_t allowed[] = { array->value_size, pdata_array_per_block(array->value_size),
				     values_in_block(array, key) };

	for (unsigned int i = 0; i < 3 && !fault->what; i++) {
		if (found[i] == allowed[i])
			continue;
		fault->what = (enum pdata_what)(PDATA_ARRAY_VALUE_SIZE + i);
		fault->found = found[i];
		fault->allowed = allowed[i];
	}
}

static int place_visit(struct places *p, const struct place *place, const uint8_t *raw,
		       struct pdata_fault fault, struct cow_err *err)
{
	if (!fault.what)
		block_check(p->array, raw, place->key, &fault);
	if (fault.what)
		return tell_key(p, &fault, place->key, err);
	if (!p->walk->values)
		return 0;
	return p->walk->values(p->walk->user,
			       place->key * pdata_array_per_block(p->array->value_size),
			       raw + PDATA_ARRAY_HEADER_BYTES,
			       (uint32_t)values_in_block(p->array, place->key), place->block, err);
}

static int block_visit(void *user, size_t index, const uint8_t *raw,
		       const struct pdata_fault *fault, struct cow_err *err)
{
	struct places *p = (struct places *)user;
	size_t first = p->first_of[index];
	size_t end = index + 1 < p->nr_numbers ? p->first_of[index + 1] : p->nr;
	struct pdata_fault twice = { .what = PDATA_ARRAY_TWICE,
				     .block = fault->block,
				     .found = end - first };
	int ret = 0;

	if (end - first > 1)
		ret = tell(p, PDATA_PART_VALUES, &twice, 0, 0, err);
	for (size_t i = first; !ret && i < end; i++)
		ret = place_visit(p, &p->places[i], raw, *fault, err);
	return ret;
}

static int blocks_walk(struct places *p, struct cow_err *err)
{
	if (!p->nr)
		return 0;
	qsort(p->places, p->nr, sizeof(*p->places), by_block);
	/* Those beyond the device have been told. */
	while (p->nr && p->places[p->nr - 1].block == UINT32_MAX)
		p->nr--;
	if (!p->nr)
		return 0;
	p->numbers = reallocarray(NULL, p->nr, sizeof(*p->numbers));
	p->first_of = reallocarray(NULL, p->nr, sizeof(*p->first_of));
	if (!p->numbers || !p->first_of)
		return cow_fail(err, -ENOMEM, "no memory for %zu array blocks", p->nr);
	for (size_t i = 0; i < p->nr; i++) {
		if (p->nr_numbers && p->numbers[p->nr_numbers - 1] == p->places[i].block)
			continue;
		p->numbers[p->nr_numbers] = p->places[i].block;
		p->first_of[p->nr_numbers++] = i;
	}
	return cow_pdata_blocks_each(p->array->blocks, &cow_pdata_array_type, p->numbers,
				     p->nr_numbers, block_visit, p, err);
}

int cow_pdata_array_walk(const struct pdata_array *array, const struct pdata_array_walk *walk,
			 struct cow_err *err)
{
	struct places p = { .array = array, .walk = walk };
	int ret = tree_walk(&p, err);

	if (!ret)
		ret = blocks_walk(&p, err);
	free(p.places);
	free(p.numbers);
	free(p.first_of);
	return ret;
}

int cow_pdata_array_get(const struct pdata_array *array, uint64_t index, void *ret_value,
			struct cow_err *err)
{
	const struct pdata_tree tree = { array->blocks, array->root, 8 };
	uint64_t per_block = pdata_array_per_block(array->value_size);
	struct pdata_fault fault = { .what = PDATA_ARRAY_MISSING, .block = COW_OFFSET_NONE };
	const uint8_t *raw;
	uint8_t value[8];
	bool found;
	int ret = cow_pdata_tree_lookup(&tree, index / per_block, value, &found, err);

	if (ret)
		return ret;
	fault.found = index / per_block;
	if (!found)
		return cow_pdata_fail(array->blocks, &fault, cow_pdata_array_type.name, err);
	ret = cow_pdata_block_read(array->blocks, &cow_pdata_array_type, get_le64(value), &raw,
				   NULL, err);
	if (ret)
		return ret;
	fault = (struct pdata_fault){ .what = PDATA_SOUND, .block = get_le64(value) };
	block_check(array, raw, index / per_block, &fault);
	if (fault.what)
		return cow_pdata_fail(array->blocks, &fault, cow_pdata_array_type.name, err);
	memcpy(ret_value, raw + PDATA_ARRAY_HEADER_BYTES + index % per_block * array->value_size,
	       array->value_size);
	return 0;
}
