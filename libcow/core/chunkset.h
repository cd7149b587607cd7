/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * chunkset.h - which chunk numbers occur twice? At most 8 bytes a number,
 * whatever the size of the image: a bitmap where that is smaller, else a list
 * that is sorted at the end.
 */
#ifndef COW_CORE_CHUNKSET_H
#define COW_CORE_CHUNKSET_H

#include "libcow.h"
#include "libcow/base/cleanup.h"

struct cow_chunkset;

/* Prepares for nr_expected numbers below limit. Errors: -ENOMEM. */
int cow_chunkset_new(uint64_t limit, uint64_t nr_expected, struct cow_chunkset **ret_set,
		     struct cow_err *err);
void cow_chunkset_free(struct cow_chunkset *set);
COW_DEFINE_AUTO(chunkset, struct cow_chunkset *, cow_chunkset_free);

/* Adds a number below limit. Errors: -ENOMEM. */
int cow_chunkset_add(struct cow_chunkset *set, uint64_t chunk, struct cow_err *err);

/* Names each number that was added more than once, ascending, once each: the
 * first at or above from; false: none. No add() afterwards. */
bool cow_chunkset_next_duplicate(struct cow_chunkset *set, uint64_t from, uint64_t *ret_chunk);

#endif
