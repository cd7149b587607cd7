/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * chunkset.h - which chunk numbers occur twice? Add all, seal, ask. Linear
 * time. Memory: 8 bytes a number, and to answer at most 8 more, whatever the
 * size of the image.
 */
#ifndef COW_CORE_CHUNKSET_H
#define COW_CORE_CHUNKSET_H

#include "libcow.h"
#include "libcow/base/cleanup.h"

struct cow_chunkset;

/* Errors: -ENOMEM. */
int cow_chunkset_new(struct cow_chunkset **ret_set, struct cow_err *err);
void cow_chunkset_free(struct cow_chunkset *set);
COW_DEFINE_AUTO(chunkset, struct cow_chunkset *, cow_chunkset_free);

/* Adds any number. Errors: -ENOMEM. */
int cow_chunkset_add(struct cow_chunkset *set, uint64_t chunk, struct cow_err *err);

/* Finds what was added more than once; no add() afterwards. Errors: -ENOMEM. */
int cow_chunkset_seal(struct cow_chunkset *set, struct cow_err *err);

/* Of a sealed set: how many numbers there are, each counted once. */
uint64_t cow_chunkset_nr_distinct(const struct cow_chunkset *set);

/* Of a sealed set: names each number that was added more than once, ascending,
 * once each: the first at or above from; false: none. */
bool cow_chunkset_next_duplicate(const struct cow_chunkset *set, uint64_t from,
				 uint64_t *ret_chunk);

#endif
