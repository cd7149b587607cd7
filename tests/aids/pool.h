/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pool.h - a kind of store for tests: many snapshots of one origin on one
 * image, which share their blocks. It proves that engine/ and snapshot/ know no
 * format, and it is as simple as its promises allow: everything but the data is
 * in memory and is written as a whole by each commit, which is there or not.
 *
 * Image:	slot 0, slot 1 (POOL_SLOT_BYTES each), then blocks. A slot is a
 *		sector with generation and digests, and behind it the snapshots
 *		with their maps. A commit writes the slot that is not in use:
 *		maps, FLUSH (data too), first sector, FLUSH.
 * What frees blocks is a transaction of its own, so that none of them is used
 * again before that is durable.
 */
#ifndef TESTS_AIDS_POOL_H
#define TESTS_AIDS_POOL_H

#include "libcow/store/store.h"

#define POOL_SLOT_BYTES UINT64_C(65536)

/* The size of an image with room for nr_blocks. */
uint64_t pool_bytes(uint64_t chunk_bytes, uint64_t nr_blocks);
/* Makes image an empty pool, durably. Chunks: any whole sectors. */
int pool_create(struct cow_image *image, uint64_t chunk_bytes, struct cow_err *err);
/* Opens a snapshot, or with STORE_SNAPSHOT_NONE a handle on none. sibling: another
 * handle on the same pool, or NULL for the first. */
int pool_open(struct cow_image *image, struct cow_image *origin, uint64_t snapshot_id,
	      struct cow_store *sibling, struct cow_store **ret_store, struct cow_err *err);
/* Blocks in use. */
uint64_t pool_nr_used(const struct cow_store *store);

#endif
