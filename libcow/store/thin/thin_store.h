/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_store.h - what the files of a pool share.
 *
 * A pool holds many thin devices, each known by a number of 24 bits; a handle shows
 * one of them. In the words of store.h an exception is a mapping: a virtual block of
 * the device that is found on the data device. What is not mapped is zeros, or what
 * the external origin has there. Neither the size of a device nor its external origin
 * is in the metadata: both come from outside.
 */
#ifndef COW_STORE_THIN_STORE_H
#define COW_STORE_THIN_STORE_H

#include "libcow/image/pages.h"
#include "libcow/pdata/pdata_btree.h"
#include "libcow/store/store.h"
#include "libcow/store/thin/thin_disk.h"

/* So many devices of a pool are changed in one transaction, at most. */
#define THIN_GROUP_MAX 16

struct thin_store;

/* What all handles on one pool have in common. */
struct thin_pool {
	struct store_shared shared; /* first */
	struct cow_image *metadata, *data;
	struct pdata_blocks *blocks;
	struct thin_super super;
	struct thin_super held;		/* of the metadata snapshot; all zeros: nobody has asked */
	uint8_t raw[PDATA_BLOCK_BYTES]; /* the superblock as it was read */
	uint64_t block_bytes;
	/* Of the changes, thin_write.h; NULL before the first one. */
	struct pdata_transaction *txn;
	struct pdata_disk_map *data_map;
	bool has_failed; /* what is in memory is not what is on the disk */
	/* Handles whose device the transaction changes, thin_append.c, and the block that
	 * is given in parts: up to where, and its data block. */
	struct thin_store *changed[THIN_GROUP_MAX];
	size_t nr_changed;
	uint64_t part_bytes, part_block;
	/* What LVM says, where it was asked. */
	bool has_lvm_transaction, has_lvm_message, is_lvm_merging;
	uint64_t lvm_transaction;
};

#define THIN_NOTE_BYTES 300
#define THIN_NOTES_MAX 5

struct thin_store {
	struct cow_store store;
	uint64_t root; /* of the device's tree of mappings */
	struct thin_details details;
	/* A bit for each virtual block in pages that are touched: what it maps is
	 * older than the last snapshot, so that a write needs a block of its own. */
	struct cow_pages is_shared;
	/* The same: another device has it, by the owners. */
	struct cow_pages has_others;
	uint64_t nr_mapped;
	bool is_size_guessed; /* the length of the device was not given */
	bool is_changed;      /* root and details are those of the transaction */
	/* Of a device that is being made, thin_fill.c: root and details are not in the
	 * trees of the pool yet. */
	bool is_made, has_parent, has_data;
	uint64_t filled_bytes; /* of the device, up to here */
	uint64_t data_block;   /* of the block that ends or lies there */
	char notes[THIN_NOTES_MAX][THIN_NOTE_BYTES];
	size_t nr_notes;
};

static inline struct thin_store *thin_store_of(struct cow_store *store)
{
	return (struct thin_store *)store;
}

static inline struct thin_pool *thin_pool_of(const struct cow_store *store)
{
	return (struct thin_pool *)store->shared;
}

/* Whose trees a handle looks at: the live ones, or those of the metadata snapshot. */
static inline const struct thin_super *thin_super_of(const struct cow_store *store)
{
	const struct thin_pool *pool = thin_pool_of(store);

	return store->is_past ? &pool->held : &pool->super;
}

static inline struct pdata_tree thin_mappings(const struct thin_pool *pool, uint64_t root)
{
	return (struct pdata_tree){ pool->blocks, root, 8 };
}

/* Keys of the geometry: the device, its length, which metadata to look at; and what a
 * line of dmsetup or LVM says. */
#define THIN_KEY_ID "id"
#define THIN_KEY_SIZE "size"
#define THIN_KEY_HELD "metadata-snapshot"
#define THIN_KEY_BLOCK "block"		   /* sectors */
#define THIN_KEY_TRANSACTION "transaction" /* what LVM has */
#define THIN_KEY_VOLUMES "volumes"	   /* the ids that LVM has, "1,2,4" */
#define THIN_KEY_PENDING "pending"	   /* LVM will tell the pool of one more step */
#define THIN_KEY_MERGING "merging"	   /* LVM merges a device when the pool is activated */
#define THIN_KEY_PARENT "parent"	   /* the name of the volume that it is a snapshot of */
struct thin_args {
	bool has_id;
	uint64_t id;
	uint64_t size_bytes; /* 0: not said */
	bool is_held;	     /* of the metadata snapshot */
	uint64_t block_sectors;
	bool has_transaction;
	uint64_t transaction_id;
	bool is_pending, is_merging;
	const char *volumes; /* NULL: not said */
};

/* Has LVM gone a step that the pool does not know of yet? */
static inline bool thin_is_behind(const struct thin_args *args, const struct thin_super *super)
{
	return args->has_transaction && args->is_pending &&
	       super->transaction_id == args->transaction_id - 1;
}

/* The next id of such a list, from *at on; false: there is none. */
bool cow_thin_volumes_next(const char **at, uint64_t *ret_id);

/* thin_args.c: reads them. Without a key "id" the snapshot_id of args counts, unless
 * that is STORE_SNAPSHOT_NONE. Errors: -EINVAL, also for any other key. */
int cow_thin_args_read(const struct cow_store_args *args, struct thin_args *ret_args,
		       struct cow_err *err);
/* The image with the metadata: in that role, or, where it is looked at alone, as the
 * image that holds a store. NULL: not given. */
struct cow_image *cow_thin_args_metadata(const struct cow_store_args *args);

/* thin_pool.c: reads block 0 from the disk, whatever it says. Errors: -EIO, -ERANGE. */
int cow_thin_super_read(struct cow_image *metadata, uint8_t raw[PDATA_BLOCK_BYTES],
			struct cow_err *err);
/* Opens what all handles share, by the rules of the kernel, in its order. Errors: -EMEDIUMTYPE,
 * -EBADMSG (id "damaged"), -EOPNOTSUPP, -EINVAL, -ERANGE (id "bounds"), -EIO, -ENOMEM. */
int cow_thin_pool_open(struct cow_image *metadata, struct cow_image *data,
		       const struct thin_args *args, struct thin_pool **ret_pool,
		       struct cow_err *err);
void cow_thin_pool_free(struct thin_pool *pool);
/* Reads the superblock of the metadata snapshot. Errors: -ENOENT (id
 * "no-metadata-snapshot"), -EBADMSG, -EIO, -ENOMEM. */
int cow_thin_pool_held(struct thin_pool *pool, struct cow_err *err);

/* thin_load.c: finds a device in both trees of super. Errors: -ENOENT (id "no-device"; the
 * sentence names those that there are), -EBADMSG, -EIO, -ENOMEM. */
int cow_thin_device_find(struct thin_pool *pool, const struct thin_super *super, uint64_t id,
			 uint64_t *ret_root, struct thin_details *ret_details, struct cow_err *err);
/* Fills map and is_shared of a handle, unless it has no map. is_lenient: takes what the kernel
 * takes, too. Errors: -EBADMSG (id "damaged"), -EIO, -ENOMEM. */
int cow_thin_load(struct thin_store *thin, bool is_lenient, struct cow_err *err);

int cow_thin_snapshot_next(struct cow_store *store, uint64_t from_id, uint64_t *ret_id,
			   struct cow_err *err);
int cow_thin_snapshot_map(struct cow_store *store, uint64_t id, uint64_t from_bytes,
			  struct store_run *ret_run, struct cow_err *err);

/* thin_create.c: a pool without devices. In the geometry "size" is how much of the data
 * image it uses, else all of it. format: all of metadata is overwritten; errors -ERANGE
 * (id "size") it is too small, before anything is written; -EIO. */
int cow_thin_format(struct cow_image *metadata, uint64_t block_sectors, uint64_t nr_data_blocks,
		    struct cow_err *err);
int cow_thin_create_size(const struct cow_store_args *args, uint64_t data_bytes,
			 uint64_t *ret_bytes, struct cow_err *err);
int cow_thin_create_fit(const struct cow_store_args *args, uint64_t wanted_bytes,
			uint64_t *ret_bytes, struct cow_err *err);
int cow_thin_create(const struct cow_store_args *args, struct cow_err *err);

/* thin_difference.c. */
int cow_thin_difference(struct cow_store *a, struct cow_store *b,
			int (*call)(void *user, uint64_t offset_bytes, uint64_t len_bytes),
			void *user, struct cow_err *err);
int cow_thin_find_owners(struct cow_store *store, const struct cow_callbacks *callbacks,
			 struct cow_err *err);
bool cow_thin_has_others(const struct cow_store *store, uint64_t old_chunk, uint64_t *nr_chunks);

/* repair/thin_repair.c */
int cow_thin_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
		    struct cow_repair_result *result, struct cow_err *err);
int cow_thin_check(const struct cow_store_args *args, const struct cow_check_params *params,
		   struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err);

#endif
