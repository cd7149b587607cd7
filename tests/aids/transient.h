/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * transient.h - a second kind of store, in memory and gone when it is closed.
 * It shows that engine and views know no format. It is no kind that a tool may
 * offer: it reads no image, so every image would look like an empty store.
 */
#ifndef TESTS_AIDS_TRANSIENT_H
#define TESTS_AIDS_TRANSIENT_H

#include "libcow/store/store.h"

/* Makes an empty store. args: the origin, if any, and the chunk size, 0: 4096.
 * Errors: -ENOMEM. */
int transient_open(const struct cow_store_args *args, struct cow_store **ret_store,
		   struct cow_err *err);

#endif
