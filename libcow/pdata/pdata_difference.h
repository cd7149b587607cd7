/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_difference.h - in what two trees differ. A node that both have is not read, so
 * the time goes with the difference, not with the trees.
 */
#ifndef COW_PDATA_DIFFERENCE_H
#define COW_PDATA_DIFFERENCE_H

#include "libcow/pdata/pdata_btree.h"

/* Called for each key that one of two trees has alone, or that has another value in
 * the other, ascending; NULL: that tree has not the key. An answer other than 0 ends
 * it and is returned. */
typedef int pdata_difference_fn(void *user, uint64_t key, const uint8_t *value_a,
				const uint8_t *value_b, struct cow_err *err);

/* Both trees lie on the same blocks and have values of one size. Memory: 128 KiB.
 * Errors: -EBADMSG what was read is damaged; -EIO, -ENOMEM, those of call. */
int cow_pdata_difference(const struct pdata_tree *a, const struct pdata_tree *b,
			 pdata_difference_fn *call, void *user, struct cow_err *err);

#endif
