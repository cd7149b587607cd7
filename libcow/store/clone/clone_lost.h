/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_lost.h - the trees of bitsets that are whole on a metadata device,
 * whether anything leads to them or not.
 */
#ifndef COW_STORE_CLONE_LOST_H
#define COW_STORE_CLONE_LOST_H

#include "libcow/store/clone/clone_store.h"

struct clone_tree {
	uint64_t root;
	uint64_t nr_words, nr_hydrated;
};

struct lost_block;

struct clone_lost {
	struct pdata_blocks *blocks;
	uint64_t nr_regions;	  /* 0: unknown, as the trees say */
	uint64_t skip_root;	  /* this tree is known already; 0: none is */
	struct clone_tree *trees; /* in the order of their roots */
	size_t nr_trees, capacity;
	struct lost_block *of; /* what is known of each array block */
};

/* Finds the trees; blocks and nr_regions are the caller's. Each array block is read
 * once, however many trees have it. Errors: -ENOMEM. */
int cow_clone_lost_find(struct clone_lost *lost, struct cow_err *err);
void cow_clone_lost_destroy(struct clone_lost *lost);

/* The tree with this root, or NULL. */
const struct clone_tree *cow_clone_lost_tree(const struct clone_lost *lost, uint64_t root);

/* Does each tree contain the smaller ones? If not, the device was formatted
 * twice, or a table was replaced while it was in use. *ret_largest: the tree with
 * the most bits, NULL if there is none. Errors: -ENOMEM. */
int cow_clone_lost_lives(struct clone_lost *lost, bool *ret_is_one_life,
			 const struct clone_tree **ret_largest, struct cow_err *err);

/* Both: as many bits as nr_regions, which is known. Adds the bits of one tree; of
 * all of them. Errors: -ENOMEM, -EIO, -EBADMSG it is not the tree that was found. */
int cow_clone_lost_bits(struct clone_lost *lost, const struct clone_tree *tree,
			struct clone_bits *bits, struct cow_err *err);
int cow_clone_lost_union(struct clone_lost *lost, struct clone_bits *bits, struct cow_err *err);

#endif
