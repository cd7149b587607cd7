/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_problems.h - the findings about a clone. Everything else names a finding
 * by its number here: the id is written in the table alone.
 */
#ifndef COW_STORE_CLONE_PROBLEMS_H
#define COW_STORE_CLONE_PROBLEMS_H

#include "libcow/core/problem.h"

/* In the order of the ids. */
enum clone_problem {
	CLONE_ARRAY_BLOCK,
	CLONE_ARRAY_ENTRIES,
	CLONE_ARRAY_EXTRA,
	CLONE_ARRAY_HEADER,
	CLONE_ARRAY_MISSING,
	CLONE_ARRAY_SHARED,
	CLONE_BITS_BEYOND,
	CLONE_BLOCK_COUNTED_HIGH,
	CLONE_BLOCK_FREE,
	CLONE_BLOCK_LEAKED,
	CLONE_COUNT_ENTRY,
	CLONE_COUNT_WITHOUT_ENTRY,
	CLONE_DESTINATION_SHORT,
	CLONE_GEOMETRY,
	CLONE_MAP_BITMAP,
	CLONE_MAP_COUNTS,
	CLONE_MAP_FIRST_FREE,
	CLONE_MAP_INDEX,
	CLONE_MAP_NR_ALLOCATED,
	CLONE_MAP_NR_FREE,
	CLONE_MAP_SIZE,
	CLONE_METADATA_EIGHT_BLOCKS,
	CLONE_METADATA_FULL,
	CLONE_NODE,
	CLONE_NODE_EMPTY,
	CLONE_NODE_HEADER,
	CLONE_NODE_KEYS,
	CLONE_NODE_LOOP,
	CLONE_REGIONS_IN_DOUBT,
	CLONE_ROOT_FREE,
	CLONE_SOURCE_SHORT,
	CLONE_SUPERBLOCK_CHECKSUM,
	CLONE_SUPERBLOCK_FREE,
	CLONE_SUPERBLOCK_MAGIC,
	CLONE_SUPERBLOCK_NUMBER,
	CLONE_SUPERBLOCK_UNREADABLE,
	CLONE_SUPERBLOCK_UNUSED,
	CLONE_SUPERBLOCK_VERSION,
	CLONE_SUPERBLOCK_ZERO,
	CLONE_TABLE_MISMATCH,
	CLONE_TREE_CANDIDATE,
	CLONE_TWO_LIVES,
	CLONE_NR_PROBLEMS
};

/* What the kernel does with a clone that has a finding, at the worst. */
enum clone_kernel {
	CLONE_KERNEL_WORKS,
	CLONE_KERNEL_COMMIT_FAILS, /* it loads, and the first write fails */
	CLONE_KERNEL_WRITE_DIES,   /* it loads, and crashes at the first write */
	CLONE_KERNEL_REFUSES,	   /* to load it */
	CLONE_KERNEL_WIPES,	   /* it takes it for a new one */
	CLONE_KERNEL_LOAD_DIES,	   /* crashes when it is loaded */
};

struct clone_problem_row {
	struct cow_problem problem; /* first */
	/* Of the bitset it says nothing: there the kernel's own way of reading
	 * decides, see clone_check_bitset.c. */
	enum clone_kernel kernel;
};

const struct clone_problem_row *cow_clone_problem_row(enum clone_problem problem);

#endif
