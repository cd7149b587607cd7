/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_check_bitset.c - the bitset of a clone: its tree, its array blocks, its
 * bits. Where a rule is broken, the kernel's own way of reading decides what it
 * does.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/clone/clone_check.h"

static enum clone_problem tree_problem(enum pdata_what what)
{
	switch (what) {
	case PDATA_NODE_VALUE_SIZE:
	case PDATA_NODE_MAX_ENTRIES:
		return CLONE_NODE_HEADER;
	case PDATA_NODE_EMPTY:
		return CLONE_NODE_EMPTY;
	case PDATA_NODE_ORDER:
	case PDATA_NODE_BOUNDS:
	case PDATA_NODE_TWICE:
		return CLONE_NODE_KEYS;
	case PDATA_NODE_DEPTH:
		return CLONE_NODE_LOOP;
	default:
		return CLONE_NODE;
	}
}

static enum clone_problem array_problem(enum pdata_what what)
{
	switch (what) {
	case PDATA_ARRAY_VALUE_SIZE:
	case PDATA_ARRAY_MAX_ENTRIES:
		return CLONE_ARRAY_HEADER;
	case PDATA_ARRAY_NR_ENTRIES:
		return CLONE_ARRAY_ENTRIES;
	case PDATA_ARRAY_TWICE:
		return CLONE_ARRAY_SHARED;
	case PDATA_ARRAY_MISSING:
		return CLONE_ARRAY_MISSING;
	case PDATA_ARRAY_EXTRA:
		return CLONE_ARRAY_EXTRA;
	default:
		return CLONE_ARRAY_BLOCK;
	}
}

/* No array block is there at all. */
static bool is_empty(const struct clone_check *check, const struct pdata_fault *fault)
{
	return fault->what == PDATA_ARRAY_MISSING && !fault->found &&
	       fault->allowed ==
		       div_ceil(pdata_bitset_words(check->nr_regions), PDATA_WORDS_PER_BLOCK);
}

static void fault_add(struct clone_check *check, enum pdata_array_part part,
		      const struct pdata_fault *fault, uint64_t first, uint64_t nr)
{
	enum clone_problem problem =
		part == PDATA_PART_TREE ? tree_problem(fault->what) : array_problem(fault->what);
	char text[PDATA_FAULT_TEXT_BYTES];

	cow_pdata_fault_text(fault, pdata_array_part_name(part), text);
	if (is_empty(check, fault))
		cow_clone_check_add(check, CLONE_NODE_EMPTY, check->super.bitset_root,
				    "btree node %" PRIu64 " has no entries",
				    check->super.bitset_root);
	else if (nr)
		cow_clone_check_add(check, problem, fault->block,
				    "%s: regions %" PRIu64 " to %" PRIu64 " are not known", text,
				    first * 64, min_u64((first + nr) * 64, check->nr_regions) - 1);
	else
		cow_clone_check_add(check, problem, fault->block, "%s", text);
}

static int take_fault(void *user, enum pdata_array_part part, const struct pdata_fault *fault,
		      uint64_t first, uint64_t nr, struct cow_err *err)
{
	struct clone_check *check = (struct clone_check *)user;

	(void)err;
	if (part == PDATA_PART_TREE)
		check->has_node_fault = true;
	/* What a damaged node leads to is missing: that was told with the node. */
	if (fault->what == PDATA_ARRAY_MISSING && check->has_node_fault)
		return 0;
	if (fault->what != PDATA_ARRAY_EXTRA)
		check->has_bitset_fault = true;
	fault_add(check, part, fault, first, nr);
	return 0;
}

static bool is_word_beyond(const struct clone_check *check, uint64_t word, uint64_t value)
{
	uint64_t nr = check->nr_regions - word * 64;

	return nr < 64 && value >> nr;
}

static int take_words(void *user, uint64_t first, const uint8_t *values, uint32_t nr,
		      uint64_t block, struct cow_err *err)
{
	struct clone_check *check = (struct clone_check *)user;

	for (uint32_t i = 0; i < nr; i++) {
		uint64_t value = get_le64(values + 8 * (size_t)i);

		if (!value)
			continue;
		if (is_word_beyond(check, first + i, value)) {
			cow_clone_check_add(check, CLONE_BITS_BEYOND, block,
					    "array block %" PRIu64
					    " has bits set behind the last of %" PRIu64 " regions",
					    block, check->nr_regions);
			value &= (UINT64_C(1) << check->nr_regions % 64) - 1;
		}
		check->nr_hydrated += (uint64_t)__builtin_popcountll(value);
	}
	return cow_callbacks_progress(check->callbacks, "check", first * 8,
				      pdata_bitset_words(check->nr_regions) * 8, err);
}

/* What the kernel does with a bitset that breaks rules. */
static int kernel_ask(struct clone_check *check, const struct pdata_array *array,
		      struct cow_err *err)
{
	enum pdata_kernel answer;
	struct pdata_fault fault;
	int ret = cow_pdata_array_as_kernel(array, NULL, NULL, &answer, &fault, err);

	if (ret)
		return ret;
	if (answer == PDATA_KERNEL_REFUSES)
		cow_clone_check_kernel(check, CLONE_KERNEL_REFUSES);
	else if (answer == PDATA_KERNEL_DIES)
		cow_clone_check_kernel(check, CLONE_KERNEL_LOAD_DIES);
	else
		cow_clone_check_kernel(check, CLONE_KERNEL_COMMIT_FAILS);
	return 0;
}

int cow_clone_check_bitset(struct clone_check *check, struct cow_err *err)
{
	const struct pdata_array array = clone_array(check->blocks, &check->super);
	const struct pdata_tree tree = { check->blocks, check->super.bitset_root, 8 };
	const struct pdata_array_walk walk = {
		.counts = check->counts,
		.user = check,
		.values = take_words,
		.fault = take_fault,
	};
	struct pdata_fault fault;
	int ret = cow_pdata_array_walk(&array, &walk, err);

	if (!ret && check->has_bitset_fault)
		return kernel_ask(check, &array, err);
	return ret ? ret : cow_pdata_tree_height(&tree, &check->height, &fault, err);
}
