/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pool_priv.h - what pool.c (operations) and pool_disk.c (state, commit) share.
 */
#ifndef TESTS_AIDS_POOL_PRIV_H
#define TESTS_AIDS_POOL_PRIV_H

#include "tests/aids/pool.h"

struct pool_entry {
	uint64_t old_chunk, block; /* block: counted from the start of the image */
};

struct pool_snapshot {
	uint64_t id, view_bytes;
	struct pool_entry *entries; /* ascending */
	size_t nr, capacity;
	unsigned int nr_open; /* handles */
};

struct pool {
	struct store_shared shared; /* first */
	struct cow_image *image;
	uint64_t chunk_bytes, nr_blocks;
	uint64_t generation, next_id;
	struct pool_snapshot *snapshots;
	size_t nr_snapshots, capacity;
	uint32_t *counts; /* of each block: snapshots that name it */
	/* A block that was appended in part. */
	uint64_t unfinished_bytes, unfinished_old, unfinished_block, unfinished_end;
	bool has_failed; /* nothing is written any more */
};

int pool_load(struct cow_image *image, struct pool **ret_pool, struct cow_err *err);
void pool_free(struct pool *pool);
int pool_commit(struct pool *pool, struct cow_err *err);
/* How many entries more fit into a slot. */
uint64_t pool_room(const struct pool *pool);

struct pool_snapshot *pool_find(struct pool *pool, uint64_t id);
/* Index of the first entry at or behind old_chunk. */
size_t pool_index(const struct pool_snapshot *snapshot, uint64_t old_chunk);
int pool_insert(struct pool_snapshot *snapshot, const struct pool_entry *entry,
		struct cow_err *err);
int pool_alloc(struct pool *pool, uint64_t *ret_block, struct cow_err *err);
uint64_t pool_nr_free(const struct pool *pool);

#endif
