/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_counts.h - how many references each block has, counted by a walk. Two
 * bits for a block, in pages that come into being when a count in them does;
 * counts from 3 on in a table of their own. So a forged size costs nothing.
 */
#ifndef COW_PDATA_COUNTS_H
#define COW_PDATA_COUNTS_H

#include "libcow.h"
#include "libcow/base/cleanup.h"

struct pdata_counts;

/* For blocks 0..nr_blocks - 1. Errors: -ENOMEM. */
int cow_pdata_counts_new(uint64_t nr_blocks, struct pdata_counts **ret_counts, struct cow_err *err);
void cow_pdata_counts_free(struct pdata_counts *counts);
COW_DEFINE_AUTO(pdata_counts, struct pdata_counts *, cow_pdata_counts_free);

/* Adds to the count of a block, which is below nr_blocks (assert). Errors:
 * -ENOMEM, -ERANGE it would pass 2^32 - 1. */
int cow_pdata_counts_add(struct pdata_counts *counts, uint64_t block, uint32_t nr,
			 struct cow_err *err);
/* Adds one to the count of each of these blocks, as above; a block may be named several
 * times. nr: at most PDATA_COUNTS_EACH_MAX. */
#define PDATA_COUNTS_EACH_MAX 256
int cow_pdata_counts_add_each(struct pdata_counts *counts, const uint64_t *blocks, size_t nr,
			      struct cow_err *err);
/* Takes one away (assert: there is one). Errors: -ENOMEM. */
int cow_pdata_counts_drop(struct pdata_counts *counts, uint64_t block, struct cow_err *err);
uint32_t cow_pdata_counts_get(const struct pdata_counts *counts, uint64_t block);

uint64_t cow_pdata_counts_nr_blocks(const struct pdata_counts *counts);
/* How many blocks have a count above 0. */
uint64_t cow_pdata_counts_nr_used(const struct pdata_counts *counts);
/* How many have one above 1. */
uint64_t cow_pdata_counts_nr_shared(const struct pdata_counts *counts);
/* The counts of 32 blocks, from a multiple of that on: two bits each, the first lowest;
 * 3 is 3 or more. Blocks behind the last one have 0. */
uint64_t cow_pdata_counts_word(const struct pdata_counts *counts, uint64_t block);
/* The first block at or behind from that has a count; false: none. */
bool cow_pdata_counts_next(const struct pdata_counts *counts, uint64_t from, uint64_t *ret_block);

#endif
