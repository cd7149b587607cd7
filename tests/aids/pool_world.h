/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pool_world.h - an origin with snapshots that share their blocks, a snapshot of
 * another kind beside them, and a naive model of all: for each an array of bytes.
 * The functions end the program where the two differ.
 */
#ifndef TESTS_AIDS_POOL_WORLD_H
#define TESTS_AIDS_POOL_WORLD_H

#include "tests/aids/pool.h"

#define MAX_SNAPSHOTS 6
#define PLAIN_CHUNK_BYTES 4096

struct shown {
	uint64_t id, view_bytes;
	uint8_t *bytes; /* what the view must be; as long as the longest */
	struct cow_store *store;
};

struct world {
	uint64_t chunk_bytes, origin_bytes, longest_bytes;
	struct cow_image *origin, *pool, *plain;
	struct cow_store *manager;     /* a handle on no snapshot */
	struct cow_store *plain_store; /* a snapshot of the other kind */
	uint8_t *now, *frozen;	       /* the origin; what plain shows */
	struct shown shown[MAX_SNAPSHOTS];
	size_t nr;
};

/* Takes the seed of the random numbers from the environment, and prints it. */
void world_seed(void);
uint64_t world_draw(uint64_t limit);
void world_scribble(uint8_t *bytes, uint64_t len);
/* Whole sectors, at most "most" bytes, within size. */
uint64_t world_draw_range(uint64_t size, uint64_t most, uint64_t *ret_len);
/* Zeros. */
void *world_bytes(uint64_t len);

/* An origin with holes, no snapshot in the pool, everything open. */
void world_make(struct world *world, uint64_t chunk_sectors, uint64_t nr_chunks,
		uint64_t nr_blocks);
void world_free(struct world *world);
/* Closes all handles: everything that was not published is gone. */
void world_reopen(struct world *world);
/* Do origin, views, list of snapshots and counts of blocks agree with the model? */
void world_check(struct world *world);

#endif
