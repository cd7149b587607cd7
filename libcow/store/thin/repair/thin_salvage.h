/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_salvage.h - makes trees of mappings sound: what cannot be read, or contradicts
 * what else is there, is taken out, and everything else of a device stays. The trees are
 * edited on an overlay: the nodes keep their numbers, so that a node that a thousand
 * devices share is mended once.
 *
 *	thin_salvage.c		visits each node once, from the leaves up
 *	thin_salvage_node.c	what of a node is kept
 *	thin_salvage_lost.c	which blocks of which device are gone
 */
#ifndef COW_STORE_THIN_SALVAGE_H
#define COW_STORE_THIN_SALVAGE_H

#include "libcow/pdata/pdata_btree.h"
#include "libcow/store/thin/thin_disk.h"

#define SALVAGE_CHILDREN_MAX 252

enum thin_node_state {
	THIN_NODE_UNSEEN,
	THIN_NODE_OPEN, /* its children are being visited */
	THIN_NODE_KEPT,
	THIN_NODE_DROPPED,
	THIN_NODE_FOREIGN, /* of another tree */
};

struct thin_node_info {
	uint64_t first, last; /* keys below it, if it is kept */
	uint64_t nr;	      /* mappings below it */
	uint8_t state, height;
	bool has_hole;	    /* something below it is gone */
	bool is_unreadable; /* dropped, because it is not a node at all */
};

/* Keys whose mappings were in a node, or below it, and are gone. */
struct thin_hole {
	uint32_t block;
	uint64_t first, last;
};

/* A child of a node, by what its parent says. */
struct salvage_child {
	uint64_t key, last; /* the range that the parent gives it */
	uint64_t block;
};

struct salvage_frame {
	uint64_t block;
	uint32_t nr, next;
	bool is_ordered; /* its keys ascend */
	bool is_mended;	 /* its head was */
	struct salvage_child children[SALVAGE_CHILDREN_MAX];
};

struct thin_salvage {
	struct cow_image *overlay; /* over the metadata */
	struct pdata_blocks *blocks;
	uint64_t nr_blocks, nr_data;
	uint32_t time_max;  /* no mapping is younger */
	uint32_t time_seen; /* of the youngest that was kept */

	struct thin_node_info *nodes;
	struct salvage_frame *frames;
	struct thin_hole *holes; /* those of a node are neighbours */
	size_t nr_holes, holes_capacity;
	uint64_t nr_changed; /* nodes that were written anew */
};

/* Begins over metadata. Errors: -ENOMEM. */
int cow_thin_salvage_new(struct cow_image *metadata, uint64_t nr_data, uint32_t time_max,
			 struct thin_salvage **ret_salvage, struct cow_err *err);
void cow_thin_salvage_free(struct thin_salvage *salvage);
COW_DEFINE_AUTO(thin_salvage, struct thin_salvage *, cow_thin_salvage_free);

/* Says that a node is none of mappings. */
void cow_thin_salvage_exclude(struct thin_salvage *salvage, uint64_t block);

/* Visits a tree, and mends it. Afterwards its nodes are known. Errors: -ENOMEM, -EIO of
 * the overlay. */
int cow_thin_salvage_tree(struct thin_salvage *salvage, uint64_t root, struct cow_err *err);
/* What is known of a root; beyond the device: dropped. */
const struct thin_node_info *cow_thin_salvage_info(const struct thin_salvage *salvage,
						   uint64_t block);

/* thin_salvage_node.c: a node with its checksum right, decoded by its place: what its head
 * says, or what the rest of it proves its head should say. *ret_raw NULL: it is no node
 * of mappings. Errors: -ENOMEM. */
int cow_thin_salvage_read(struct thin_salvage *salvage, uint64_t block,
			  uint8_t raw[PDATA_BLOCK_BYTES], struct pdata_node *ret_node,
			  bool *ret_is_mended, bool *ret_is_node, struct cow_err *err);
int cow_thin_salvage_leaf(struct thin_salvage *salvage, const struct pdata_node *node,
			  bool is_mended, struct cow_err *err);
/* All children have been visited. */
int cow_thin_salvage_internal(struct thin_salvage *salvage, struct salvage_frame *frame,
			      struct cow_err *err);
int cow_thin_salvage_hole(struct thin_salvage *salvage, uint64_t block, uint64_t first,
			  uint64_t last, struct cow_err *err);

/* thin_salvage_lost.c: calls lost for each range of blocks of a device that is gone,
 * ascending; last UINT64_MAX: to its end. Errors: -ENOMEM. */
int cow_thin_salvage_lost(struct thin_salvage *salvage, uint64_t root,
			  void (*lost)(void *user, uint64_t first, uint64_t last), void *user,
			  struct cow_err *err);

#endif
