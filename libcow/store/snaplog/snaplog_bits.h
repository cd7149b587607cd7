/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* snaplog_bits.h - clears bits of the bitmap of one log. The only writer. */
#ifndef COW_STORE_SNAPLOG_BITS_H
#define COW_STORE_SNAPLOG_BITS_H

#include "libcow/store/snaplog/snaplog_load.h"

/*
 * Clears the bits of nr_keys keys (any order; the array is sorted) of a log and
 * flushes that log. Only sectors with one of the bits are written, each at once (I9):
 * a crash leaves any of them as they were. Errors: -EBUSY a bit is clear already
 * (id "changed"; nothing of its part of the bitmap was written), -EIO, -ENOMEM.
 */
int cow_snaplog_bits_clear(const struct snaplog_logs *logs, size_t log, uint64_t *keys,
			   size_t nr_keys, struct cow_err *err);

#endif
