/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_format.h - metadata of a clone, from nothing (clone_create.c).
 */
#ifndef COW_STORE_CLONE_FORMAT_H
#define COW_STORE_CLONE_FORMAT_H

#include "libcow/store/clone/clone_store.h"

/* Contracts in store.h and libcow.h. */
int cow_clone_create_size(const struct cow_store_args *args, uint64_t origin_bytes,
			  uint64_t *ret_bytes, struct cow_err *err);
int cow_clone_create_fit(const struct cow_store_args *args, uint64_t wanted_bytes,
			 uint64_t *ret_bytes, struct cow_err *err);
int cow_clone_create(const struct cow_store_args *args, struct cow_err *err);

#endif
