/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_walk.h - visits each node of one or more trees once, however many
 * parents it has, and checks it, with the order of keys between parent and
 * child. Height by height, roots first, in the order of block numbers, so that
 * nodes that lie together are read together.
 *
 * All leaves of a tree have the same height, and a node has one height wherever
 * it is referred to. So a walk ends, whatever the blocks say, after at most
 * PDATA_HEIGHT_MAX + 1 rounds.
 *
 * Memory: 32 bytes for each node of two heights, and a byte for each block of
 * the device in pages that are touched.
 */
#ifndef COW_PDATA_WALK_H
#define COW_PDATA_WALK_H

#include "libcow/pdata/pdata_btree.h"
#include "libcow/pdata/pdata_counts.h"

#define PDATA_OWNER_MANY UINT32_MAX

/* A reference to a node. Of a node with several, the narrowest range of keys,
 * the smallest stamp, and the owner if it is the same for all. */
struct pdata_edge {
	uint32_t block;
	uint32_t owner;	    /* the caller's: which tree; else PDATA_OWNER_MANY */
	uint64_t key_first; /* keys below lie in this range, ends included */
	uint64_t key_last;
	uint32_t stamp; /* the caller's */
	uint32_t nr;	/* how many references are joined in this one */
};

struct pdata_walk_params {
	struct pdata_blocks *blocks;
	uint32_t value_size; /* of leaves */
	bool is_shared;	     /* a node may have several references */
	/* Counts each reference, roots included; of a node that is shared its
	 * children are counted once. NULL: nobody wants to know. */
	struct pdata_counts *counts;
	void *user;
	/* Each sound leaf, once; its keys lie in edge's range. In the order of
	 * block numbers. Answers other than 0 end the walk. NULL allowed. */
	int (*leaf)(void *user, const struct pdata_node *node, const struct pdata_edge *edge,
		    struct cow_err *err);
	/* Each fault, with the edge that leads there; what lies below is not
	 * visited. NULL: the first one is an error, -EBADMSG or -EIO. */
	int (*fault)(void *user, const struct pdata_fault *fault, const struct pdata_edge *edge,
		     struct cow_err *err);
};

/* A fault callback that goes on, where what lies below a fault is not asked for. */
int cow_pdata_walk_fault_ignore(void *user, const struct pdata_fault *fault,
				const struct pdata_edge *edge, struct cow_err *err);

struct pdata_walk;

int cow_pdata_walk_new(const struct pdata_walk_params *params, struct pdata_walk **ret_walk,
		       struct cow_err *err);
void cow_pdata_walk_free(struct pdata_walk *walk);
COW_DEFINE_AUTO(pdata_walk, struct pdata_walk *, cow_pdata_walk_free);

/* Adds a tree. Its root may be beyond the device: a fault, as everything that
 * is wrong on the way to its first leaf. Errors: -ENOMEM, those of fault. */
int cow_pdata_walk_root(struct pdata_walk *walk, uint64_t root, uint32_t owner, uint32_t stamp,
			struct cow_err *err);
/* Visits everything. Once. Errors: those of the callbacks; -ENOMEM. */
int cow_pdata_walk_run(struct pdata_walk *walk, struct cow_err *err);

#endif
