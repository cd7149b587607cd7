/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_world.h - a pool and a naive model of it: what each device shows, block by block,
 * as if it were as long as can be, and which blocks are one. The pool itself is on images
 * that the test has.
 */
#ifndef TESTS_AIDS_THIN_WORLD_H
#define TESTS_AIDS_THIN_WORLD_H

#include "libcow.h"

#define THIN_WORLD_DEVICES 8
#define THIN_WORLD_BLOCKS 12

struct thin_world_device {
	uint64_t id;
	uint8_t *bytes;
	uint32_t blocks[THIN_WORLD_BLOCKS]; /* a number for each that is stored; 0: not there */
	uint64_t view_bytes;		    /* what is behind does not matter; 0: all does */
};

struct thin_world {
	uint64_t block_bytes, nr_blocks;
	struct cow_image *below; /* external origin of all devices, or NULL */
	uint8_t *below_bytes;	 /* the same, with zeros behind its end */
	struct thin_world_device devices[THIN_WORLD_DEVICES];
	size_t nr_devices;
	uint32_t last_block;
};

/* Makes a pool without a device on both images. below_bytes 0: no external origin. */
void thin_world_new(struct thin_world *world, struct cow_image *metadata, struct cow_image *data,
		    uint64_t block_bytes, uint64_t nr_blocks, uint64_t below_bytes,
		    uint64_t *random);
void thin_world_free(struct thin_world *world);

/* A pool on images, to be opened and changed. */
struct thin_world_pool {
	struct cow_role_image roles[3];
	struct cow_store_args args;
};
void thin_world_pool(const struct thin_world *world, struct cow_image *metadata,
		     struct cow_image *data, struct thin_world_pool *ret_pool);

/* A device that is to be made, and what the pool holds then. */
struct thin_world_plan {
	struct thin_world_device made;
	uint64_t parent_id; /* COW_SNAPSHOT_NONE: none */
	uint64_t size_bytes;
	uint64_t nr_new; /* blocks that are stored */
};
/* Draws one; parent NULL: an empty device, which gets what an image has. */
void thin_world_plan(struct thin_world *world, const struct thin_world_device *parent,
		     uint64_t *random, struct thin_world_plan *ret_plan);
/* Makes it in a pool. Errors: those of cow_snapshot_fill(). */
int thin_world_fill(const struct thin_world *world, const struct thin_world_pool *pool,
		    const struct thin_world_plan *plan, uint32_t flags, struct cow_err *err);
/* The model gets it. */
void thin_world_take(struct thin_world *world, const struct thin_world_plan *plan);
/* Opens a device as long as its view, standing on the external origin. sibling: another
 * handle on the pool, or NULL. */
int thin_world_device(const struct thin_world *world, const struct thin_world_pool *pool,
		      const struct thin_world_device *device, struct cow_store *sibling,
		      struct cow_store **ret_store, struct cow_err *err);
/* The model of a write to the external origin, before which some devices (is_kept) get what
 * they lack. */
void thin_world_write(struct thin_world *world, const bool *is_kept, uint64_t offset_bytes,
		      const uint8_t *buf, uint64_t len_bytes);
/* The model loses a device. */
void thin_world_drop(struct thin_world *world, size_t which);

/* Is the pool sound, does each device show what the model says, and is no block stored
 * that the model has not? */
void thin_world_check(const struct thin_world *world, struct cow_image *metadata,
		      struct cow_image *data);
/* The same, whatever blocks are stored. */
void thin_world_shows(const struct thin_world *world, struct cow_image *metadata,
		      struct cow_image *data);
/* Has the pool a device of this id? */
bool thin_world_has(const struct thin_world *world, struct cow_image *metadata,
		    struct cow_image *data, uint64_t id);

#endif
