/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_store.h - what the files of a clone share.
 *
 * A clone shows, region by region, the destination where it is hydrated and the
 * source where it is not. In the words of store.h the origin is the source, and
 * a hydrated region is an exception: of the same number on the destination.
 */
#ifndef COW_STORE_CLONE_STORE_H
#define COW_STORE_CLONE_STORE_H

#include "libcow/pdata/pdata_array.h"
#include "libcow/pdata/pdata_transaction.h"
#include "libcow/store/clone/clone_bits.h"
#include "libcow/store/clone/clone_disk.h"
#include "libcow/store/store.h"

struct clone_store {
	struct cow_store store;
	struct pdata_blocks *blocks;
	struct clone_super super;
	uint8_t raw[PDATA_BLOCK_BYTES]; /* the superblock as it was read */
	struct clone_bits bits;
	uint64_t nr_hydrated;

	/* Of a clone that is written to (clone_hydrate.c). */
	struct pdata_transaction *txn; /* NULL: nothing was written yet */
	unsigned int height;	       /* of the bitset's tree */
	uint64_t next_region;	       /* moves of those before were given out */
	uint64_t settled_region;       /* those before are hydrated on the disk */
};

static inline struct clone_store *clone_store_of(struct cow_store *store)
{
	return (struct clone_store *)store;
}

/* Keys of the geometry: the numbers of the table, in sectors. */
#define CLONE_KEY_REGION "region"
#define CLONE_KEY_TARGET "target"
/* Reads them; 0: not given. Errors: -EINVAL, also for any other key. */
int cow_clone_args_table(const struct cow_store_args *args, uint64_t *ret_region_sectors,
			 uint64_t *ret_target_sectors, struct cow_err *err);
/* What superblock and bitset say of the clone. */
void cow_clone_info_fill(const struct clone_super *super, uint64_t nr_hydrated,
			 struct cow_store_info *ret_info);

static inline struct pdata_array clone_array(struct pdata_blocks *blocks,
					     const struct clone_super *super)
{
	uint64_t nr = cow_clone_nr_regions(super->region_sectors, super->target_sectors);

	return (struct pdata_array){ blocks, super->bitset_root, 8, pdata_bitset_words(nr) };
}

/* Reads the bits of the tree that the superblock names. Errors: -EBADMSG, -EIO: one of
 * them cannot be told; -ENOMEM. */
int cow_clone_bits_read(struct pdata_blocks *blocks, const struct clone_super *super,
			struct clone_bits *bits, struct cow_err *err);

/* Reads block 0 from the disk, whatever it says. Errors: -EIO, -ERANGE. */
int cow_clone_super_read(struct cow_image *metadata, uint8_t raw[PDATA_BLOCK_BYTES],
			 struct cow_err *err);

/* The image with the metadata: in that role, or, where it is looked at alone, as
 * the image that holds a store. NULL: not given. */
struct cow_image *cow_clone_args_metadata(const struct cow_store_args *args);

/* clone_check_doubt.c: how many regions another whole tree has hydrated, where source
 * and destination differ. Errors: -ENOMEM, -EIO, -ECANCELED. */
int cow_clone_doubt_count(const struct clone_store *c, const struct cow_callbacks *callbacks,
			  uint64_t *ret_nr, struct cow_err *err);

/* What can be compared: the two images that the data of a region may lie on. */
struct clone_pair {
	struct cow_image *source, *destination; /* NULL: not given */
	uint64_t region_bytes, target_bytes;
	const struct cow_callbacks *callbacks;
};
/* Takes those regions away in which both hold the same; where an image was not given,
 * or is too short, none. Errors: -ENOMEM, -ECANCELED. */
int cow_clone_pair_compare(const struct clone_pair *images, struct clone_bits *bits,
			   struct cow_err *err);
int cow_clone_check(const struct cow_store_args *args, const struct cow_check_params *params,
		    struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err);

/* clone_hydrate.c; contracts in store.h. */
int cow_clone_ready(struct cow_store *store, struct cow_err *err);
int cow_clone_next_moves(struct cow_store *store, uint64_t budget_bytes, struct store_moves *moves,
			 struct cow_err *err);
int cow_clone_settle(struct cow_store *store, uint64_t token, struct cow_err *err);
void cow_clone_moves_left(const struct cow_store *store, struct store_left *ret_left);
void cow_clone_rewind(struct cow_store *store);

#endif
