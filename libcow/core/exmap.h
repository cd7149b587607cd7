/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * exmap.h - the exception map: which chunk of the origin is found where.
 * Ordered, non-overlapping runs, packed in 16 bytes: a run of len neighbours
 * maps old..old+len-1 to new..new+len-1. Knows no format; chunk numbers below
 * 2^54 (an image of 2^63 bytes in sectors), runs of up to 2^20 chunks.
 *
 * Filled in two ways: add() in any order, then cow_exmap_seal(), which sorts in place,
 * joins neighbours and finds duplicates (loading, 16 bytes an exception); and
 * insert() into a sealed map, a few at a time (appending).
 */
#ifndef COW_CORE_EXMAP_H
#define COW_CORE_EXMAP_H

#include "libcow.h"
#include "libcow/base/cleanup.h"

#define EXMAP_CHUNK_LIMIT (UINT64_C(1) << 54)

struct cow_exmap;

struct exmap_run {
	uint64_t old_chunk;
	uint64_t new_chunk;
	uint64_t nr_chunks;
};

/* A duplicate old_chunk that cow_exmap_seal() found. The earlier added record is kept. */
struct exmap_duplicate {
	uint64_t old_chunk;
	uint64_t kept_new_chunk;
	uint64_t dropped_new_chunk;
};

int cow_exmap_new(struct cow_exmap **ret_map, struct cow_err *err);
void cow_exmap_free(struct cow_exmap *map);
COW_DEFINE_AUTO(exmap, struct cow_exmap *, cow_exmap_free);

/* Adds a run behind the others; a run that continues the one added before in
 * both numbers is joined to it. Not yet visible to lookups. Errors: -ENOMEM,
 * -ERANGE chunk number or length over the limit. */
int cow_exmap_add(struct cow_exmap *map, const struct exmap_run *run, struct cow_err *err);

/*
 * Sorts what was added. A duplicate old chunk keeps the record that was added
 * first; each is given to duplicate (may be NULL). Linear time; no memory
 * beyond a constant where there is no duplicate. Errors: -ENOMEM, or what the
 * callback returned.
 */
int cow_exmap_seal(struct cow_exmap *map,
		   int (*duplicate)(void *user, const struct exmap_duplicate *duplicate),
		   void *user, struct cow_err *err);

/* Inserts into a sealed map. Errors: -EEXIST part of it is there, -ENOMEM,
 * -ERANGE. */
int cow_exmap_insert(struct cow_exmap *map, const struct exmap_run *run, struct cow_err *err);

/* Finds the mapping of old_chunk: the part of its run that begins there.
 * false: there is none. */
bool cow_exmap_lookup(const struct cow_exmap *map, uint64_t old_chunk, struct exmap_run *ret_run);

/* Finds the first run at or behind old_chunk, clipped to begin there. */
bool cow_exmap_next(const struct cow_exmap *map, uint64_t old_chunk, struct exmap_run *ret_run);
/* Finds the last run that begins before old_chunk, clipped to end there. */
bool cow_exmap_prev(const struct cow_exmap *map, uint64_t old_chunk, struct exmap_run *ret_run);

uint64_t cow_exmap_nr_chunks(const struct cow_exmap *map);
uint64_t cow_exmap_nr_runs(const struct cow_exmap *map);
/* Bytes of memory in use: at most 24 for each exception is the promise. */
uint64_t cow_exmap_memory(const struct cow_exmap *map);

#endif
