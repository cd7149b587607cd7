/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_change.h - changes btrees within a transaction: entries are put in and taken
 * out, whole trees are made and given up. Nodes may be shared by several trees: a node
 * with further references is copied, and what it refers to counts one more.
 *
 * Nodes but the root stay filled to a third at least, as the kernel and thin_check want
 * them.
 */
#ifndef COW_PDATA_CHANGE_H
#define COW_PDATA_CHANGE_H

#include "libcow/pdata/pdata_transaction.h"

/* What the values of a tree's leaves are. */
struct pdata_values {
	uint32_t value_size; /* at most 32 */
	void *user;
	/* There is one entry more, or one less, with this value: what it refers to has
	 * another count now. NULL: values refer to nothing that is counted. */
	int (*count)(void *user, const uint8_t *value, bool is_more, struct cow_err *err);
};

/* All: errors as of cow_pdata_block_shadow(), those of count. A failure in the middle
 * leaves the transaction to be thrown away. *root is the tree's, before and after. */

/* Makes an empty tree, its root with one reference. */
int cow_pdata_tree_new(struct pdata_transaction *txn, const struct pdata_values *values,
		       uint64_t *ret_root, struct cow_err *err);
/* Puts an entry in, or another value into one that is there: count() is told of the
 * old value. The caller has counted the new one. */
int cow_pdata_tree_insert(struct pdata_transaction *txn, const struct pdata_values *values,
			  uint64_t *root, uint64_t key, const void *value, struct cow_err *err);
/* Takes an entry out, if it is there; its value goes to ret_value (NULL: nobody wants
 * it), and counts as before: count() is not told. */
int cow_pdata_tree_remove(struct pdata_transaction *txn, const struct pdata_values *values,
			  uint64_t *root, uint64_t key, void *ret_value, struct cow_err *err);
/* Takes one reference off a root. Without one the tree is given up: its nodes are freed
 * but for those that others refer to, and count() is told of all its entries. */
int cow_pdata_tree_drop(struct pdata_transaction *txn, const struct pdata_values *values,
			uint64_t root, struct cow_err *err);

#endif
