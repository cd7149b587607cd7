/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * copyout.h - saving origin data into stores before it is overwritten: the
 * kernel's snapshot-origin in user space, and the one mechanism behind
 * siblings, the undo of a merge and the undo of a repair.
 *
 * I4: no origin chunk is overwritten before every store that lacks it has a
 * durable copy and a durable record. cow_copyout_preserve() returns only then.
 */
#ifndef COW_SNAPSHOT_COPYOUT_H
#define COW_SNAPSHOT_COPYOUT_H

#include "libcow/store/store.h"

/*
 * The ranges that will be overwritten, ascending. next() finds the first that
 * ends behind from_bytes, clipped to begin there; false: none.
 */
struct copyout_ranges {
	bool (*next)(void *user, uint64_t from_bytes, uint64_t *ret_offset_bytes,
		     uint64_t *ret_len_bytes);
	void *user;
};

/* The ranges of its target that a merge of a store overwrites; user is the store. */
bool cow_copyout_next_target(void *user, uint64_t from_bytes, uint64_t *ret_offset_bytes,
			     uint64_t *ret_len_bytes);

struct copyout_params {
	uint64_t buffer_bytes;	/* 0: 64 MiB */
	uint64_t publish_bytes; /* data between two publications; 0: 1 GiB */
	const struct cow_callbacks *callbacks;
};

struct copyout_stats {
	uint64_t nr_chunks; /* saved, all stores together; one for those that share it */
	uint64_t bytes;
};

/* Counts the chunks of store that ranges touch on the origin and that have no
 * exception yet. Cannot fail. */
uint64_t cow_copyout_count(struct cow_store *store, const struct cow_image *origin,
			   const struct copyout_ranges *ranges);

/* The first step of cow_copyout_preserve() alone: is there room in all of them together?
 * Writes nothing. Errors: -ENOSPC, -EIO, -ENOMEM, and those of the kind. */
int cow_copyout_reserve(struct cow_image *origin, struct cow_store *const *stores, size_t nr_stores,
			const struct copyout_ranges *ranges, struct cow_err *err);

/*
 * Makes sure that every store has an exception for every chunk that ranges
 * touch: room is checked for all stores first (-ENOSPC, nothing written), then
 * the old data is copied out, once for all snapshots of one store, and published.
 * When it returns 0, all of it is durable. Errors: -ENOSPC, -EIO, -ENOMEM, -ECANCELED
 * (what was published stays, and is right).
 */
int cow_copyout_preserve(struct cow_image *origin, struct cow_store *const *stores,
			 size_t nr_stores, const struct copyout_ranges *ranges,
			 const struct copyout_params *params, struct copyout_stats *stats,
			 struct cow_err *err);

#endif
