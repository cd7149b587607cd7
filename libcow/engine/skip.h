/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* skip.h - what a merge does about exceptions that cannot be read. */
#ifndef COW_ENGINE_SKIP_H
#define COW_ENGINE_SKIP_H

#include "libcow/image/ranges.h"
#include "libcow/store/store.h"

/* Counts the exceptions that are known, without reading, to be unreadable in
 * part. Errors: -EPERM there are some, and they are not to be skipped (id
 * "bad-cow"): better now than when half of it is written. */
int cow_skip_check(const struct cow_store *store, bool skips, uint64_t *ret_nr_bad,
		   struct cow_err *err);

/* Tells the caller what was skipped, then leaves the exceptions in the store
 * that these ranges of the origin touch, and no others, durably. All else is
 * durable on the origin. Errors: those of the callback and the store. */
int cow_skip_forget(struct cow_store *store, const struct cow_ranges *untouched,
		    const struct cow_merge_params *params, uint64_t *ret_nr_bad,
		    struct cow_err *err);

#endif
