/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_btree.h - btrees of persistent-data: keys of 64 bits, values of one
 * size. A tree is named by the number of its root block; how deep it is, is not
 * recorded.
 *
 * node	offset	size
 *	 0	   4	checksum
 *	 4	   4	flags: 1 internal, 2 leaf
 *	 8	   8	own number
 *	16	   4	number of entries
 *	20	   4	largest number of entries M = 3 * ((4064 / (8 + S)) / 3)
 *	24	   4	size of a value, S; of an internal node 8
 *	28	   4	zero
 *	32	 8*M	keys, ascending
 *	32+8M	 S*M	values; of an internal node the child's block number
 *
 * An internal node's key is the lowest one below that child. Entries behind the
 * last hold old bytes that mean nothing. An empty tree is an empty leaf.
 *
 * Nested trees (dm-thin's mappings) are trees whose values are roots: nothing
 * here knows that.
 *
 * Source: drivers/md/persistent-data/dm-btree-internal.h, dm-btree-spine.c,
 * node_check, dm-btree.c, Linux 6.1.
 */
#ifndef COW_PDATA_BTREE_H
#define COW_PDATA_BTREE_H

#include "libcow/base/bytes.h"
#include "libcow/pdata/pdata_block.h"

#define PDATA_NODE_HEADER_BYTES 32
#define PDATA_NODE_INTERNAL UINT32_C(1)
#define PDATA_NODE_LEAF UINT32_C(2)
/* Edges from root to leaf, at most: far more than a full device needs. */
#define PDATA_HEIGHT_MAX 15

struct pdata_node {
	const uint8_t *raw;
	uint64_t block;
	uint32_t flags;
	uint32_t nr_entries, max_entries, value_size; /* as written */
};

/* Reads the head. What the kernel looks at is checked: the entries lie in the
 * block, flags has 1 or 2. The rest: cow_pdata_node_check(). */
void cow_pdata_node_decode(const uint8_t *raw, uint64_t block, struct pdata_node *ret_node,
			   struct pdata_fault *ret_fault);

/* Everything else that can be seen on a node itself, of a tree whose leaves have
 * values of leaf_value_size bytes. */
void cow_pdata_node_check(const struct pdata_node *node, uint32_t leaf_value_size,
			  struct pdata_fault *ret_fault);

/* Writes what a node says of itself, but for checksum and own number, which are sealed. */
void cow_pdata_node_head_encode(uint8_t *raw, bool is_leaf, uint32_t nr_entries,
				uint32_t value_size);

static inline bool pdata_node_is_leaf(const struct pdata_node *node)
{
	return node->flags & PDATA_NODE_LEAF;
}

/* index is below nr_entries. */
static inline uint64_t pdata_node_key(const struct pdata_node *node, uint32_t index)
{
	return get_le64(node->raw + PDATA_NODE_HEADER_BYTES + 8 * (size_t)index);
}

static inline const uint8_t *pdata_node_value(const struct pdata_node *node, uint32_t index)
{
	return node->raw + PDATA_NODE_HEADER_BYTES + 8 * (size_t)node->max_entries +
	       (size_t)node->value_size * index;
}

static inline uint64_t pdata_node_child(const struct pdata_node *node, uint32_t index)
{
	return get_le64(pdata_node_value(node, index));
}

/* Largest number of entries of a node with values of this size. */
static inline uint32_t pdata_node_max_entries(uint32_t value_size)
{
	return (uint32_t)(PDATA_BLOCK_BYTES - PDATA_NODE_HEADER_BYTES) / (8 + value_size) / 3 * 3;
}

/* The last entry whose key is at most this; UINT32_MAX: none. */
uint32_t cow_pdata_node_find(const struct pdata_node *node, uint64_t key);

/* A tree to read. */
struct pdata_tree {
	struct pdata_blocks *blocks;
	uint64_t root;
	uint32_t value_size;
};

/* Reads and checks a node through the cache; good until the next call with
 * these blocks. fault as of cow_pdata_block_read(). */
int cow_pdata_node_read(const struct pdata_tree *tree, uint64_t block, struct pdata_node *ret_node,
			struct pdata_fault *fault, struct cow_err *err);

/* How many edges lead from the root to a leaf. fault as above. Errors also:
 * -EBADMSG (or the fault PDATA_NODE_DEPTH) more than PDATA_HEIGHT_MAX. */
int cow_pdata_tree_height(const struct pdata_tree *tree, unsigned int *ret_height,
			  struct pdata_fault *fault, struct cow_err *err);

/* Finds the entry with this key and copies its value (ret_value NULL: nobody
 * wants it). Nothing there: *ret_found is false. Errors: -EBADMSG, -EIO,
 * -ENOMEM; so for the next two. */
int cow_pdata_tree_lookup(const struct pdata_tree *tree, uint64_t key, void *ret_value,
			  bool *ret_found, struct cow_err *err);
/* Finds the first entry with a key of at least key. */
int cow_pdata_tree_next(const struct pdata_tree *tree, uint64_t key, uint64_t *ret_key,
			void *ret_value, bool *ret_found, struct cow_err *err);
/* Finds the last entry with a key of at most key. */
int cow_pdata_tree_prev(const struct pdata_tree *tree, uint64_t key, uint64_t *ret_key,
			void *ret_value, bool *ret_found, struct cow_err *err);

/* Calls entry for each entry from key on, in ascending order; an answer other
 * than 0 ends it and is returned. value is good during the call. */
typedef int pdata_entry_fn(void *user, uint64_t key, const uint8_t *value, struct cow_err *err);
int cow_pdata_tree_each(const struct pdata_tree *tree, uint64_t key, pdata_entry_fn *entry,
			void *user, struct cow_err *err);

#endif
