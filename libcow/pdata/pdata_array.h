/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_array.h - arrays of persistent-data: a btree leads to array blocks,
 * which hold the values. A bitset is an array of words of 64 bits; bit b is bit
 * b % 64 of word b / 64.
 *
 * array block	offset	size
 *		 0	   4	checksum
 *		 4	   4	largest number of values M = 4072 / S
 *		 8	   4	number of values: M, but for the last block
 *		12	   4	size of a value, S
 *		16	   8	own number
 *		24	 S*M	values
 *
 * The tree's keys are 0, 1, ... without gaps. An array block does not know
 * which one it is: two that changed places cannot be noticed.
 *
 * Source: drivers/md/persistent-data/dm-array.c, dm-bitset.c, Linux 6.1.
 */
#ifndef COW_PDATA_ARRAY_H
#define COW_PDATA_ARRAY_H

#include "libcow/pdata/pdata_walk.h"

#define PDATA_ARRAY_HEADER_BYTES 24
#define PDATA_WORDS_PER_BLOCK UINT64_C(509)

struct pdata_array {
	struct pdata_blocks *blocks;
	uint64_t root;
	uint32_t value_size;
	uint64_t nr_values; /* not on the disk: the caller knows */
};

static inline uint64_t pdata_array_per_block(uint32_t value_size)
{
	return (PDATA_BLOCK_BYTES - PDATA_ARRAY_HEADER_BYTES) / value_size;
}

/* Words of a bitset. */
static inline uint64_t pdata_bitset_words(uint64_t nr_bits)
{
	return nr_bits / 64 + (nr_bits % 64 != 0);
}

enum pdata_array_part { PDATA_PART_TREE, PDATA_PART_VALUES };

/* What a fault of this part is about, for cow_pdata_fault_text(). */
static inline const char *pdata_array_part_name(enum pdata_array_part part)
{
	return part == PDATA_PART_TREE ? cow_pdata_node_type.name : cow_pdata_array_type.name;
}

struct pdata_array_walk {
	struct pdata_counts *counts; /* as in pdata_walk_params */
	void *user;
	/* The values from number first on, of a sound array block. Array blocks
	 * come in the order of their block numbers. NULL allowed. */
	int (*values)(void *user, uint64_t first, const uint8_t *values, uint32_t nr,
		      uint64_t block, struct cow_err *err);
	/* A fault of the tree or of an array block: first and nr say which values
	 * cannot be had for it; nr is 0 where that is not known, or none. NULL:
	 * the first fault is an error. */
	int (*fault)(void *user, enum pdata_array_part part, const struct pdata_fault *fault,
		     uint64_t first, uint64_t nr, struct cow_err *err);
};

/* Visits tree and array blocks, each read once. Array blocks without an entry
 * are faults of their own, PDATA_ARRAY_MISSING: so each value is given or named
 * with a fault. Of a key that is there twice both are given. Errors: those of
 * the callbacks; -ENOMEM; without fault -EBADMSG, -EIO. */
int cow_pdata_array_walk(const struct pdata_array *array, const struct pdata_array_walk *walk,
			 struct cow_err *err);

/* Copies one value, through the cache. Errors: -EBADMSG, -EIO, -ENOMEM. */
int cow_pdata_array_get(const struct pdata_array *array, uint64_t index, void *ret_value,
			struct cow_err *err);

/* What the kernel gets when it reads an array from front to end. It takes the
 * entries of the tree and the values of the blocks in the order in which they
 * stand, without a look at keys. */
enum pdata_kernel {
	PDATA_KERNEL_READS,
	PDATA_KERNEL_REFUSES,  /* the first thing that it checks and that is wrong */
	PDATA_KERNEL_DIES,     /* an empty root, or a node below itself */
	PDATA_KERNEL_ANYTHING, /* it reads memory behind a block */
};
/* fault: why, if it refuses. values as in pdata_array_walk, in ascending order
 * and without a gap; NULL allowed. Errors: -ENOMEM, those of values. */
int cow_pdata_array_as_kernel(const struct pdata_array *array,
			      int (*values)(void *user, uint64_t first, const uint8_t *values,
					    uint32_t nr, uint64_t block, struct cow_err *err),
			      void *user, enum pdata_kernel *ret_answer,
			      struct pdata_fault *ret_fault, struct cow_err *err);

#endif
