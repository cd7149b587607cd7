/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_write.h - changes of a pool: one transaction (pdata_transaction.h) over its trees
 * and both space maps. Changes stay in memory until the commit, which writes all of them
 * or none.
 */
#ifndef COW_STORE_THIN_WRITE_H
#define COW_STORE_THIN_WRITE_H

#include "libcow/pdata/pdata_change.h"
#include "libcow/pdata/pdata_disk_map.h"
#include "libcow/store/thin/thin_store.h"

/* Checks the whole pool, once for all transactions of these handles (I7): one that is
 * not sound is not written to, but for leaks. keeps_reserve: the blocks that the kernel
 * keeps back stay free. Errors: -EBADMSG (id "damaged"), -EIO, -ENOMEM. */
int cow_thin_write_begin(struct thin_pool *pool, bool keeps_reserve, struct cow_err *err);
/* Finds room for everything that will be written, then writes: the data device is flushed
 * first, where has_data says that it was written to. A rehearsal writes nothing. Errors:
 * -ENOSPC (id "metadata-space"), -EBADMSG, -EIO, -ENOMEM; after a failed write these
 * handles write nothing more. */
int cow_thin_write_commit(struct thin_pool *pool, bool has_data, struct cow_err *err);

/* Of the three kinds of trees: what their values are. */
struct pdata_values cow_thin_mapping_values(struct thin_pool *pool);
struct pdata_values cow_thin_root_values(struct thin_pool *pool);
struct pdata_values cow_thin_details_values(void);

/* thin_devices.c: a new device that is not in the trees yet; its root has the reference
 * that cow_thin_device_put() gives to the trees. *id as of snapshot_create. Errors: as
 * there. */
int cow_thin_device_begin(struct thin_pool *pool, uint64_t parent_id, uint64_t *id,
			  uint64_t *ret_root, struct thin_details *ret_details,
			  struct cow_err *err);
int cow_thin_device_put(struct thin_pool *pool, uint64_t id, uint64_t root,
			const struct thin_details *details, struct cow_err *err);

/* The same of a device that is in the trees. Its root counts as the caller made it: the
 * old one is not given up. */
int cow_thin_device_set(struct thin_pool *pool, uint64_t id, uint64_t root,
			const struct thin_details *details, struct cow_err *err);
/* There is one more snapshot. Errors: -ERANGE (id "time"). */
int cow_thin_time_advance(struct thin_pool *pool, struct cow_err *err);
/* Refuses a pool that LVM means otherwise. Errors: -EPERM (id "lvm", "merging"). */
int cow_thin_lvm_check(const struct thin_pool *pool, struct cow_err *err);

/* thin_fill.c: append and publish of a device that is being made. */
int cow_thin_fill_append(struct cow_store *store, uint64_t old_bytes, const void *buf,
			 size_t len_bytes, struct cow_err *err);
int cow_thin_fill_publish(struct cow_store *store, struct cow_err *err);

/* thin_devices.c, thin_fill.c and thin_append.c; contracts in store.h. */
int cow_thin_snapshot_create(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			     uint64_t *id, struct cow_err *err);
int cow_thin_snapshot_delete(struct cow_store *store, uint64_t id, struct cow_err *err);
int cow_thin_swap(struct cow_store *store, uint64_t a_id, uint64_t b_id, bool is_any,
		  struct cow_err *err);

int cow_thin_snapshot_begin(struct cow_store *store, uint64_t parent_id, uint64_t view_bytes,
			    uint64_t *id, struct cow_store **ret_made, struct cow_err *err);
int cow_thin_append(struct cow_store *store, uint64_t old_bytes, const void *buf, size_t len_bytes,
		    struct cow_err *err);
int cow_thin_publish(struct cow_store *store, struct cow_err *err);
int cow_thin_snapshot_end(struct cow_store *store, struct cow_err *err);
int cow_thin_reserve(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err);
int cow_thin_reserve_group(struct cow_store *const *stores, size_t nr_stores,
			   struct store_lacks *lacks, struct cow_err *err);
int cow_thin_append_group(struct cow_store *const *members, size_t nr_members, uint64_t old_bytes,
			  const void *buf, size_t len_bytes, struct cow_err *err);

#endif
