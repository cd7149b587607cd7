/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_paths.h - a set of paths, in which what lies below a path is found fast. A path
 * begins at the root and has no slash at either end; the root is ".".
 */
#ifndef TOOLS_DUMP_PATHS_H
#define TOOLS_DUMP_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "libcow.h"

struct dump_path {
	char *path;
	bool has_below; /* all that is below belongs to the set, too */
};
struct dump_paths {
	struct dump_path *items;
	size_t nr, room;
};

/* Adds a path. Errors: -ENOMEM. */
int dump_paths_add(struct dump_paths *paths, const char *path, bool has_below, struct cow_err *err);
/* To be called between the last add and the first of what follows. */
void dump_paths_sort(struct dump_paths *paths);
/* NULL: it is not in the set by its own name. */
const struct dump_path *dump_paths_find(const struct dump_paths *paths, const char *path);
/* Is it in the set, or below a path that has all? */
bool dump_paths_hold(const struct dump_paths *paths, const char *path);
/* Is something in the set that lies below it? */
bool dump_paths_lie_below(const struct dump_paths *paths, const char *path);
void dump_paths_free(struct dump_paths *paths);

#endif
