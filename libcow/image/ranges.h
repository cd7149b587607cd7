/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * ranges.h - a set of byte ranges, ascending, neighbours joined: what of an
 * image cannot be read. There may be millions, and they come in any order: a
 * merge goes through its list from behind.
 */
#ifndef COW_IMAGE_RANGES_H
#define COW_IMAGE_RANGES_H

#include "libcow.h"

struct ranges_block;

/* All zero: an empty set. */
struct cow_ranges {
	struct ranges_block **blocks;
	struct ranges_block *spare; /* so that no change can fail half-way */
	size_t nr_blocks, capacity;
	size_t nr_items;
	uint64_t total_bytes; /* of all of them */
};

/* Adds a range, which may overlap what is there. Errors: -ENOMEM; nothing has
 * changed then. */
int cow_ranges_add(struct cow_ranges *ranges, uint64_t offset_bytes, uint64_t len_bytes,
		   struct cow_err *err);
/* Takes a range out, whatever of it is there. Errors: -ENOMEM; nothing has
 * changed then. */
int cow_ranges_remove(struct cow_ranges *ranges, uint64_t offset_bytes, uint64_t len_bytes,
		      struct cow_err *err);
/* Finds the first range that ends behind offset_bytes, clipped to begin there
 * at the earliest; false: none. */
bool cow_ranges_next(const struct cow_ranges *ranges, uint64_t offset_bytes,
		     struct cow_segment *ret_range);
/* Does a range of bytes touch one of them? */
bool cow_ranges_touch(const struct cow_ranges *ranges, uint64_t offset_bytes, uint64_t len_bytes);
void cow_ranges_clear(struct cow_ranges *ranges);

#endif
