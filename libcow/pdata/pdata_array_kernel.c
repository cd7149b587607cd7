/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_array_kernel.c - an array as the kernel's cursor reads it (dm-btree.c,
 * dm_btree_cursor_begin and _next; dm-array.c, dm_array_cursor_next, Linux
 * 6.1): down the first child to a leaf, then entry after entry. What it does
 * not look at cannot stop it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/pdata/pdata_array.h"

struct level {
	uint8_t raw[PDATA_BLOCK_BYTES];
	struct pdata_node node;
	uint32_t index;
};

struct cursor {
	const struct pdata_array *array;
	struct level *levels; /* PDATA_HEIGHT_MAX of them, as in the kernel */
	unsigned int depth;
	enum pdata_kernel answer;
	struct pdata_fault fault;
	uint64_t nr_taken; /* array blocks, each time that one is used */
};

static bool is_open(const struct cursor *c, uint64_t block)
{
	for (unsigned int i = 0; i < c->depth; i++)
		if (c->levels[i].node.block == block)
			return true;
	return false;
}

/* Down to a leaf by the first children. */
static int push(struct cursor *c, uint64_t block, struct cow_err *err)
{
	const struct pdata_type *type = &cow_pdata_node_type;

	for (;;) {
		struct level *level = &c->levels[c->depth];
		const uint8_t *raw;
		int ret;

		if (c->depth == PDATA_HEIGHT_MAX || is_open(c, block)) {
			c->answer = PDATA_KERNEL_DIES;
			return 0;
		}
		ret = cow_pdata_block_read(c->array->blocks, type, block, &raw, &c->fault, err);
		if (ret)
			return ret;
		if (!c->fault.what) {
			memcpy(level->raw, raw, PDATA_BLOCK_BYTES);
			cow_pdata_node_decode(level->raw, block, &level->node, &c->fault);
		}
		if (c->fault.what) {
			c->answer = PDATA_KERNEL_REFUSES;
			return 0;
		}
		level->index = 0;
		c->depth++;
		if (!level->node.nr_entries) {
			c->answer = c->depth == 1 ? PDATA_KERNEL_DIES : PDATA_KERNEL_ANYTHING;
			return 0;
		}
		if (pdata_node_is_leaf(&level->node))
			return 0;
		block = pdata_node_child(&level->node, 0);
	}
}

/* On to the next entry. Nothing left: it refuses. */
static int next(struct cursor *c, struct cow_err *err)
{
	while (c->depth) {
		struct level *level = &c->levels[c->depth - 1];

		if (++level->index < level->node.nr_entries) {
			if (pdata_node_is_leaf(&level->node))
				return 0;
			return push(c, pdata_node_child(&level->node, level->index), err);
		}
		c->depth--;
	}
	c->answer = PDATA_KERNEL_REFUSES;
	c->fault = (struct pdata_fault){ .what = PDATA_ARRAY_MISSING, .block = COW_OFFSET_NONE };
	return 0;
}

/* The values of the block at the cursor; it takes one from a block that has none. */
static int take(struct cursor *c, uint64_t index, const uint8_t **ret_raw, uint64_t *ret_nr,
		struct cow_err *err)
{
	const struct level *level = &c->levels[c->depth - 1];
	uint64_t left = c->array->nr_values - index;
	uint64_t nr;
	int ret = cow_pdata_block_read(c->array->blocks, &cow_pdata_array_type,
				       pdata_node_child(&level->node, level->index), ret_raw,
				       &c->fault, err);

	if (ret)
		return ret;
	if (c->fault.what) {
		c->answer = PDATA_KERNEL_REFUSES;
		return 0;
	}
	/* The same blocks again and again: nobody has to follow that to its end. */
	if (c->nr_taken++ > cow_pdata_blocks_nr(c->array->blocks)) {
		c->answer = PDATA_KERNEL_ANYTHING;
		return 0;
	}
	nr = min_u64(max_u64(get_le32(*ret_raw + 8), 1), left);
	if (nr > pdata_array_per_block(c->array->value_size))
		c->answer = PDATA_KERNEL_ANYTHING;
	*ret_nr = nr;
	return 0;
}

static int read_all(struct cursor *c,
		    int (*values)(void *user, uint64_t first, const uint8_t *values, uint32_t nr,
				  uint64_t block, struct cow_err *err),
		    void *user, struct cow_err *err)
{
	int ret = push(c, c->array->root, err);
	uint64_t index = 0, nr = 0;

	while (!ret && c->answer == PDATA_KERNEL_READS && index < c->array->nr_values) {
		const uint8_t *raw = NULL;

		ret = take(c, index, &raw, &nr, err);
		if (ret || c->answer != PDATA_KERNEL_READS)
			return ret;
		if (values)
			ret = values(user, index, raw + PDATA_ARRAY_HEADER_BYTES, (uint32_t)nr,
				     get_le64(raw + 16), err);
		index += nr;
		if (!ret && index < c->array->nr_values)
			ret = next(c, err);
	}
	if (c->fault.what == PDATA_ARRAY_MISSING)
		c->fault.found = index / pdata_array_per_block(c->array->value_size);
	return ret;
}

int cow_pdata_array_as_kernel(const struct pdata_array *array,
			      int (*values)(void *user, uint64_t first, const uint8_t *values,
					    uint32_t nr, uint64_t block, struct cow_err *err),
			      void *user, enum pdata_kernel *ret_answer,
			      struct pdata_fault *ret_fault, struct cow_err *err)
{
	struct cursor c = { .array = array };
	int ret;

	c.levels = calloc(PDATA_HEIGHT_MAX, sizeof(*c.levels));
	if (!c.levels)
		return cow_fail(err, -ENOMEM, "no memory to read a bitset as the kernel does");
	ret = read_all(&c, values, user, err);
	free(c.levels);
	*ret_answer = c.answer;
	*ret_fault = c.fault;
	return ret;
}
