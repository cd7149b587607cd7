/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* unused.h - what a merged store leaves behind: data that nobody refers to. */
#ifndef COW_ENGINE_UNUSED_H
#define COW_ENGINE_UNUSED_H

#include "libcow/store/store.h"

/*
 * Scrubs (overwrites with zeros) and then discards, as flags (COW_MERGE_SCRUB,
 * COW_MERGE_DISCARD) say, every byte that no record refers to; durable when it
 * returns 0. The store is empty, durably. Can be repeated. Errors: -EOPNOTSUPP
 * the image cannot discard, -ECANCELED, -EIO, -ENOMEM.
 */
int cow_unused_treat(struct cow_store *store, uint32_t flags, const struct cow_callbacks *callbacks,
		     uint64_t *ret_bytes, struct cow_err *err);

#endif
