/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_disk_map.h - changes a "disk" space map (of dm-thin's data blocks) within a
 * transaction: counts follow what the caller does, and bitmaps, index and tree of
 * counts are written anew where they changed.
 */
#ifndef COW_PDATA_DISK_MAP_H
#define COW_PDATA_DISK_MAP_H

#include "libcow/pdata/pdata_transaction.h"

struct pdata_disk_map;

/*
 * root: the committed map, which has been checked. counts: of a walk over everything
 * that is live; they become the map's, also after a failure. Blocks that leaked come
 * back. Errors: -ENOMEM; -EIO; -EBADMSG map and counts differ in anything else.
 */
int cow_pdata_disk_map_new(struct pdata_transaction *txn, const struct pdata_map_root *root,
			   struct pdata_counts *counts, struct pdata_disk_map **ret_map,
			   struct cow_err *err);
void cow_pdata_disk_map_free(struct pdata_disk_map *map);
COW_DEFINE_AUTO(pdata_disk_map, struct pdata_disk_map *, cow_pdata_disk_map_free);

/* A block that is free, and was when the transaction began: it gets one reference. Errors:
 * -ENOSPC (id "data-space"), -ENOMEM. */
int cow_pdata_disk_map_take(struct pdata_disk_map *map, uint64_t *ret_block, struct cow_err *err);
/* How many could still be taken in this transaction. */
uint64_t cow_pdata_disk_map_nr_free(const struct pdata_disk_map *map);
/* One reference more, or one less. Errors: -ENOMEM, -ERANGE; -EBADMSG it has none. */
int cow_pdata_disk_map_count(struct pdata_disk_map *map, uint64_t block, bool is_more,
			     struct cow_err *err);

/* Writes what changed into blocks of the transaction, before that is prepared. Errors:
 * as of cow_pdata_block_shadow(). */
int cow_pdata_disk_map_write(struct pdata_disk_map *map, struct pdata_map_root *ret_root,
			     struct cow_err *err);
/* The transaction was committed. */
void cow_pdata_disk_map_committed(struct pdata_disk_map *map);

#endif
