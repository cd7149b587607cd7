/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_paths.c - paths, sorted by their bytes: what is below a directory stands
 * together, from the first one that begins with its name and a slash on.
 */
#include "tools/snapdump/dump_paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "tools/common/analyzer.h"
#include "tools/common/cli.h"

ANALYZER_KEPT_BEGIN
int dump_paths_add(struct dump_paths *paths, const char *path, bool has_below, struct cow_err *err)
{
	struct dump_path *grown =
		cow_array_grow(paths->items, paths->nr, &paths->room, sizeof(*grown));
	char *copy = grown ? strdup(path) : NULL;

	if (grown)
		paths->items = grown;
	if (!copy)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a path");
	grown[paths->nr++] = (struct dump_path){ copy, has_below };
	return 0;
}
ANALYZER_KEPT_END

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct dump_path *)a)->path, ((const struct dump_path *)b)->path);
}

void dump_paths_sort(struct dump_paths *paths)
{
	size_t kept = 0;

	if (!paths->nr)
		return;
	qsort(paths->items, paths->nr, sizeof(*paths->items), by_path);
	for (size_t i = 1; i < paths->nr; i++) {
		struct dump_path *last = &paths->items[kept];

		if (strcmp(last->path, paths->items[i].path) != 0) {
			paths->items[++kept] = paths->items[i];
			continue;
		}
		last->has_below |= paths->items[i].has_below;
		free(paths->items[i].path);
	}
	paths->nr = kept + 1;
}

/* The path itself comes before all that begin with it. */
static const struct dump_path *find(const struct dump_paths *paths, const char *path, size_t len)
{
	size_t low = 0, high = paths->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strncmp(paths->items[middle].path, path, len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == paths->nr || strncmp(paths->items[low].path, path, len) != 0 ||
	    paths->items[low].path[len])
		return NULL;
	return &paths->items[low];
}

const struct dump_path *dump_paths_find(const struct dump_paths *paths, const char *path)
{
	return find(paths, path, strlen(path));
}

bool dump_paths_hold(const struct dump_paths *paths, const char *path)
{
	const struct dump_path *above;

	if (dump_paths_find(paths, path))
		return true;
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		above = find(paths, path, (size_t)(slash - path));
		if (above && above->has_below)
			return true;
	}
	return false;
}

bool dump_paths_lie_below(const struct dump_paths *paths, const char *path)
{
	size_t len = strlen(path), low = 0, high = paths->nr;

	if (!strcmp(path, "."))
		return paths->nr;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *there = paths->items[middle].path;
		int order = strncmp(there, path, len);

		if (order < 0 || (!order && (unsigned char)there[len] < '/'))
			low = middle + 1;
		else
			high = middle;
	}
	return low < paths->nr && !strncmp(paths->items[low].path, path, len) &&
	       paths->items[low].path[len] == '/';
}

void dump_paths_free(struct dump_paths *paths)
{
	for (size_t i = 0; i < paths->nr; i++)
		free(paths->items[i].path);
	free(paths->items);
	*paths = (struct dump_paths){ 0 };
}
