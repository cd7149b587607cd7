/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_pool.h - a store that holds many snapshots: what snapcheck says of each.
 */
#ifndef TOOLS_CHECK_POOL_H
#define TOOLS_CHECK_POOL_H

#include "tools/snapcheck/check.h"

/* Callback of a check: keeps a snapshot. Without memory the list is cut, and says so. */
void check_pool_take(void *user, const struct cow_snapshot *snapshot);

/* Is it such a store, and were its numbers found? */
bool check_pool_is(const struct cow_verdict *verdict);
/* Its numbers, and one line for each snapshot. */
void check_pool_print(FILE *text, const char *name, const struct cow_store_info *info);
void check_pool_print_devices(const struct check *check, uint64_t nr_lines, FILE *text);
/* The same for programs. */
void check_pool_put(const struct check *check, struct json_object *at);

#endif
