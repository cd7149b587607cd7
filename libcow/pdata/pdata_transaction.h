/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_transaction.h - changes metadata of persistent-data so that at each
 * instant the disk holds one whole state (I14): a block that is changed goes to
 * another place, and so do all that lead to it, up to the superblock.
 *
 * One transaction lives in memory until the commit:
 *	1 the caller has flushed the data that the new metadata names
 *	2 the new blocks are written, to numbers that no committed tree reaches,
 *	  and that were not freed in this transaction
 *	3 flush
 *	4 block 0, one write; flush
 * A failure before 4 leaves the committed state; from 4 on either may be on the
 * disk, and these handles write nothing more (I8).
 *
 * For metadata that a walk has found sound, leaked blocks excepted: a bitmap
 * that is written anew says what was counted, and a leaked block counts as free.
 */
#ifndef COW_PDATA_TRANSACTION_H
#define COW_PDATA_TRANSACTION_H

#include "libcow/pdata/pdata_space_map.h"

struct pdata_transaction;

/*
 * root: the committed metadata space map, which has been checked. counts: of a
 * walk over everything that is live; it becomes the transaction's, also after
 * a failure. Errors: -ENOMEM, -EBADMSG, -EIO.
 */
int cow_pdata_transaction_new(struct pdata_blocks *blocks, const struct pdata_map_root *root,
			      struct pdata_counts *counts, struct pdata_transaction **ret_txn,
			      struct cow_err *err);
void cow_pdata_transaction_free(struct pdata_transaction *txn);
COW_DEFINE_AUTO(pdata_transaction, struct pdata_transaction *, cow_pdata_transaction_free);

struct pdata_blocks *cow_pdata_transaction_blocks(const struct pdata_transaction *txn);
/* Blocks that could still be had in this transaction, before its space map is
 * written; and how many that takes at most. */
uint64_t cow_pdata_transaction_nr_free(const struct pdata_transaction *txn);
uint64_t cow_pdata_transaction_map_blocks(const struct pdata_transaction *txn);
/* From now on so many free blocks are left alone: asking for one of them is -ENOSPC. */
void cow_pdata_transaction_keep_back(struct pdata_transaction *txn, uint64_t nr_blocks);

/* A new block of zeros with one reference. *ret_raw may be written to until the commit,
 * which seals it as type. Errors: -ENOSPC (id "metadata-space"), -ENOMEM. */
int cow_pdata_block_take(struct pdata_transaction *txn, const struct pdata_type *type,
			 uint64_t *ret_block, uint8_t **ret_raw, struct cow_err *err);
/* References of a block, as they are in this transaction: one more, or one less, which
 * frees it at 0. Errors: -ENOMEM, -ERANGE; -EBADMSG it lies beyond the device, or has
 * none. */
int cow_pdata_block_more(struct pdata_transaction *txn, uint64_t block, struct cow_err *err);
int cow_pdata_block_less(struct pdata_transaction *txn, uint64_t block, struct cow_err *err);
uint32_t cow_pdata_block_count(const struct pdata_transaction *txn, uint64_t block);

/* A copy of block to be changed, in the place of it: the old one loses a
 * reference. A block of this transaction with one reference is its own copy. *ret_block
 * is where it is now. Where the old block has further references, what it refers to is
 * referred to twice now: cow_pdata_tree_insert() and the like count that.
 * Errors: -ENOSPC (id "metadata-space"), -ENOMEM, -EBADMSG, -EIO. */
int cow_pdata_block_shadow(struct pdata_transaction *txn, const struct pdata_type *type,
			   uint64_t block, uint64_t *ret_block, uint8_t **ret_raw,
			   struct cow_err *err);

/* Blocks of which the count was, or became, more than a bitmap can say; one may be named
 * more than once. */
struct pdata_large {
	uint64_t *blocks;
	size_t nr, capacity;
};
/* Notes a block if the larger of its counts, before and after, is such a one. Errors:
 * -ENOMEM. */
int cow_pdata_large_note(struct pdata_large *large, uint64_t block, uint32_t largest,
			 struct cow_err *err);
/* Puts what these blocks count now into the tree of counts from 3 on, or takes them out.
 * Errors: as above. */
int cow_pdata_large_write(struct pdata_transaction *txn, uint64_t *root,
			  const struct pdata_counts *counts, const struct pdata_large *large,
			  struct cow_err *err);

/* Puts a value into an entry that is there, and all nodes above it in new
 * places. *root is the tree's, before and after. Errors: as above; -EBADMSG no
 * such entry. */
int cow_pdata_tree_set(struct pdata_transaction *txn, uint64_t *root, uint32_t value_size,
		       uint64_t key, const void *value, struct cow_err *err);

/* Gives space map and tree of counts their new blocks, so that nothing but writing is
 * left: the last thing before the commit that can find no room. The commit does it
 * where nobody has. Errors: -ENOSPC (id "metadata-space"), -ENOMEM, -EBADMSG, -EIO. */
int cow_pdata_transaction_prepare(struct pdata_transaction *txn, struct cow_err *err);

/*
 * Commits. super_type: of block 0. fill writes what the kind's superblock says
 * into its first sector, with the new root of the space map; the other sectors
 * stay as they were read. Errors: -ENOSPC nothing was written; -EIO and others.
 */
int cow_pdata_transaction_commit(struct pdata_transaction *txn, const struct pdata_type *super_type,
				 void (*fill)(void *user, const struct pdata_map_root *map,
					      uint8_t *sector),
				 void *user, struct cow_err *err);

#endif
