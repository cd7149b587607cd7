/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_problems.h - the findings about a pool. Everything else names a finding by its
 * number here: the id is written in the table alone.
 */
#ifndef COW_STORE_THIN_PROBLEMS_H
#define COW_STORE_THIN_PROBLEMS_H

#include "libcow/core/problem.h"

/* In the order of the ids. */
enum thin_problem {
	THIN_BLOCK_COUNTED_HIGH,
	THIN_BLOCK_COUNTED_LOW,
	THIN_BLOCK_FREE,
	THIN_BLOCK_LEAKED,
	THIN_COUNT_ENTRY,
	THIN_COUNT_WITHOUT_ENTRY,
	THIN_DATA_COUNTED_HIGH,
	THIN_DATA_COUNTED_LOW,
	THIN_DATA_FREE,
	THIN_DATA_LEAKED,
	THIN_DATA_SHORT,
	THIN_DETAILS,
	THIN_DETAILS_TIME,
	THIN_DEVICE_ID,
	THIN_DEVICE_MISSING,
	THIN_DEVICE_UNLISTED,
	THIN_DEVICE_WITHOUT_DETAILS,
	THIN_DEVICE_WITHOUT_MAPPINGS,
	THIN_HELD,
	THIN_HELD_ROOT,
	THIN_HELD_UNCOUNTED,
	THIN_MAP_BITMAP,
	THIN_MAP_COUNTS,
	THIN_MAP_FIRST_FREE,
	THIN_MAP_HIDDEN,
	THIN_MAP_INDEX,
	THIN_MAP_INDEX_REFUSED,
	THIN_MAP_NR_ALLOCATED,
	THIN_MAP_NR_FREE,
	THIN_MAP_SIZE,
	THIN_MAPPED_BLOCKS,
	THIN_MAPPING_BEYOND,
	THIN_MAPPING_LOST,
	THIN_MESSAGE_PENDING,
	THIN_METADATA_FULL,
	THIN_METADATA_SHORT,
	THIN_NEEDS_CHECK,
	THIN_NODE,
	THIN_NODE_HEADER,
	THIN_NODE_KEYS,
	THIN_NODE_LOOP,
	THIN_SNAPSHOT_TIME_LOW,
	THIN_SUPERBLOCK_BLOCK_SIZE,
	THIN_SUPERBLOCK_CHECKSUM,
	THIN_SUPERBLOCK_FEATURES,
	THIN_SUPERBLOCK_MAGIC,
	THIN_SUPERBLOCK_NUMBER,
	THIN_SUPERBLOCK_READ_ONLY,
	THIN_SUPERBLOCK_UNREADABLE,
	THIN_SUPERBLOCK_UNUSED,
	THIN_SUPERBLOCK_ZERO,
	THIN_TABLE_MISMATCH,
	THIN_TIME_FUTURE,
	THIN_TOP_NODE,
	THIN_TRANSACTION,
	THIN_TREE_CANDIDATE,
	THIN_NR_PROBLEMS
};

/* What the kernel does with a pool that has a finding, at the worst. */
enum thin_kernel {
	THIN_KERNEL_WORKS,
	THIN_KERNEL_WRITES_FAIL, /* every device reads right, and writes fail */
	THIN_KERNEL_CORRUPTS,	 /* the same, and writes may destroy other devices */
	THIN_KERNEL_MISREADS,	 /* some device cannot be read, or reads wrong */
	THIN_KERNEL_REFUSES,	 /* to load the pool */
	THIN_KERNEL_WIPES,	 /* it takes it for a new one */
};

struct thin_problem_row {
	struct cow_problem problem; /* first */
	enum thin_kernel kernel;
};

const struct thin_problem_row *cow_thin_problem_row(enum thin_problem problem);
/* What becomes of writes then: COW_KERNEL_WRITES_*. */
int cow_thin_problem_writes(enum thin_problem problem);

#endif
