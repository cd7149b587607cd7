/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_lost.h - the trees of bitsets that are whole on a metadata device,
 * whether anything leads to them or not.
 */
#ifndef COW_STORE_CLONE_LOST_H
#define COW_STORE_CLONE_LOST_H

#include "libcow/store/clone/clone_store.h"

#define CLONE_TREES_MAX 64 /* more are not looked at */

struct clone_tree {
	uint64_t root;
	uint64_t nr_words, nr_hydrated;
	struct clone_bits bits;
};

struct clone_lost {
	struct pdata_blocks *blocks;
	uint64_t nr_regions; /* 0: unknown, as the trees say */
	/* The bits of all trees together go there, and those of each are not kept;
	 * NULL: they are. As many bits as regions. */
	struct clone_bits *seen;
	struct clone_tree *trees; /* in the order of their roots */
	size_t nr_trees, capacity;
};

/* Fills trees; the rest is the caller's. Errors: -ENOMEM. */
int cow_clone_lost_find(struct clone_lost *lost, struct cow_err *err);
void cow_clone_lost_destroy(struct clone_lost *lost);

/* Does each tree contain the smaller ones? If not, the device was formatted
 * twice, or a table was replaced while it was in use. */
bool cow_clone_lost_is_one_life(const struct clone_lost *lost);

#endif
