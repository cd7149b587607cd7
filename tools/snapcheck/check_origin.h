/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* check_origin.h - is what was given as ORIGIN the origin of this snapshot? */
#ifndef TOOLS_CHECK_ORIGIN_H
#define TOOLS_CHECK_ORIGIN_H

#include "tools/snapcheck/check.h"

/*
 * Asks what snapmerge asks before it merges, and sets check->is_foreign. args: of
 * the store, with both images. A store that cannot be opened is judged by its
 * findings alone, and so is a merge that has begun: it holds half of each.
 * Errors: -EIO, -ENOMEM.
 */
int check_origin_look(struct check *check, const struct cow_store_args *args, struct cow_err *err);

/* Says after a look that the origin is in doubt. */
void check_origin_warn(const struct check *check);

#endif
