/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* uuid_check.h - does a snapshot show the file system that its origin holds? */
#ifndef TOOLS_UUID_CHECK_H
#define TOOLS_UUID_CHECK_H

#include "libcow.h"

/*
 * Refuses a snapshot that shows another file system than the origin holds. skips:
 * bad sectors of the COW image are passed over. Errors: -EPERM (id "uuid", force
 * "uuid"), -EIO, -ENOMEM.
 */
int uuid_check(struct cow_image *origin, struct cow_image *cow, struct cow_store *store, bool skips,
	       struct cow_err *err);

#endif
