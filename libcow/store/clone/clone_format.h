/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_format.h - metadata of a clone, from nothing (clone_create.c).
 */
#ifndef COW_STORE_CLONE_FORMAT_H
#define COW_STORE_CLONE_FORMAT_H

#include "libcow/store/clone/clone_store.h"

/* Makes metadata hold these regions, durably, and zeros behind; bits NULL: none is
 * hydrated. The sizes are good ones (assert). Errors: -ERANGE the image is too small
 * (id "size"), -EROFS, -EIO. */
int cow_clone_format(struct cow_image *metadata, uint64_t region_sectors, uint64_t target_sectors,
		     const struct clone_bits *bits, struct cow_err *err);

/* The bytes that metadata of so many blocks must have, so that a commit has room. */
uint64_t cow_clone_format_size(uint64_t nr_regions, uint64_t nr_blocks);

/* clone_repair.c */
int cow_clone_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
		     struct cow_repair_result *result, struct cow_err *err);

/* Contracts in store.h and libcow.h. */
int cow_clone_create_size(const struct cow_store_args *args, uint64_t origin_bytes,
			  uint64_t *ret_bytes, struct cow_err *err);
int cow_clone_create_fit(const struct cow_store_args *args, uint64_t wanted_bytes,
			 uint64_t *ret_bytes, struct cow_err *err);
int cow_clone_create(const struct cow_store_args *args, struct cow_err *err);

#endif
