/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_check.h - what the files clone_check*.c share: the state of one check.
 * clone_check.c looks at superblock, table and sizes and draws the verdict,
 * clone_check_bitset.c at the bitset, clone_check_map.c at the space map.
 */
#ifndef COW_STORE_CLONE_CHECK_H
#define COW_STORE_CLONE_CHECK_H

#include "libcow/core/report.h"
#include "libcow/store/clone/clone_problems.h"
#include "libcow/store/clone/clone_store.h"

struct clone_check {
	const struct cow_store_args *args;
	const struct cow_callbacks *callbacks;
	struct cow_image *metadata;
	struct cow_image *source, *destination; /* NULL: not given */
	struct cow_report *report;
	struct pdata_blocks *blocks;
	struct clone_super super;
	uint64_t nr_regions;	  /* 0: unknown */
	enum clone_kernel kernel; /* the worst of what it does */
	bool is_damaged;	  /* a finding of that class or worse */
	bool is_doubtful;	  /* another tree may be the newest */

	/* The bitset. */
	bool has_node_fault, has_bitset_fault;
	uint64_t nr_hydrated;
	struct pdata_counts *counts; /* of the metadata blocks, by the walks */
	unsigned int height;

	/* The space map. */
	bool has_map_fault;	   /* its counts cannot be told */
	bool has_free, has_leaked; /* blocks in use, and others: their counts */
	uint64_t nr_free;
};

/* Adds a finding about block (COW_OFFSET_NONE: about no block). */
__attribute__((format(printf, 4, 5))) void cow_clone_check_add(struct clone_check *check,
							       enum clone_problem number,
							       uint64_t block, const char *format,
							       ...);

/* The kernel does this, or worse. */
void cow_clone_check_kernel(struct clone_check *check, enum clone_kernel kernel);

/* Both: errors -ENOMEM, -ECANCELED. */
int cow_clone_check_bitset(struct clone_check *check, struct cow_err *err);
int cow_clone_check_doubt(struct clone_check *check, struct cow_err *err);
int cow_clone_check_map(struct clone_check *check, struct cow_err *err);

#endif
