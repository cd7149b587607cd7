/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * copies.h - are the copies of an origin alike where a merge will not write?
 */
#ifndef COW_ENGINE_COPIES_H
#define COW_ENGINE_COPIES_H

#include "libcow/store/store.h"

/*
 * Compares the copies of the target of a store, if it has several, outside of what its
 * merge will overwrite (I7). Errors: -EPERM (id "lv-legs", force "legs") they differ;
 * -EOPNOTSUPP (id "unsupported") with COW_MERGE_SKIP_UNREADABLE; -EIO, -ENOMEM,
 * -ECANCELED.
 */
int cow_copies_check(const struct cow_store *store, const struct cow_merge_params *params,
		     struct cow_err *err);

#endif
