/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pdata_pending.h - blocks of a transaction that has not been committed: what
 * cow_pdata_block_read() gives for their numbers. One transaction at a time.
 */
#ifndef COW_PDATA_PENDING_H
#define COW_PDATA_PENDING_H

#include "libcow/pdata/pdata_block.h"

/* A block of zeros, to be sealed as type when it is written. Errors: -ENOMEM. */
int cow_pdata_pending_make(struct pdata_blocks *blocks, const struct pdata_type *type,
			   uint64_t block, uint8_t **ret_raw, struct cow_err *err);
/* Its bytes, or NULL: it is not pending. */
uint8_t *cow_pdata_pending_get(const struct pdata_blocks *blocks, uint64_t block);
/* Seals and writes all of them, ascending; flushes nothing. */
int cow_pdata_pending_write(struct pdata_blocks *blocks, struct cow_err *err);
void cow_pdata_pending_clear(struct pdata_blocks *blocks);

#endif
