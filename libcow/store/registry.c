/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * registry.c - the kinds of store with their findings, and which kind an image
 * holds. The only file that names them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"

/* In the order in which they are probed. */
static const struct store_ops *const kinds[] = {
	&cow_store_persistent_ops,
	&cow_store_clone_ops,
	&cow_store_snaplog_ops,
	&cow_store_thin_ops,
};
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* All findings; sorted, as every id begins with the name of its table. */
static const struct problem_table *const problem_tables[] = {
	&cow_clone_problems,   &cow_image_problems, &cow_snap_problems,
	&cow_snaplog_problems, &cow_thin_problems,
};
#define NR_TABLES (sizeof(problem_tables) / sizeof(problem_tables[0]))

const struct cow_problem *cow_problem_get(size_t index)
{
	for (size_t i = 0; i < NR_TABLES; i++) {
		if (index < problem_tables[i]->nr)
			return cow_problem_table_get(problem_tables[i], index);
		index -= problem_tables[i]->nr;
	}
	return NULL;
}

const struct cow_problem *cow_problem_find(const char *id)
{
	const struct cow_problem *problem = NULL;

	for (size_t i = 0; !problem && i < NR_TABLES; i++)
		problem = cow_problem_table_find(problem_tables[i], id);
	return problem;
}

const char *cow_store_kind(size_t index)
{
	return index < NR_KINDS ? kinds[index]->name : NULL;
}

const char *cow_store_pool_kind(void)
{
	size_t i = 0;

	while (i + 1 < NR_KINDS && !kinds[i]->is_lvm_pool)
		i++;
	return kinds[i]->name;
}

struct cow_image *cow_store_args_image(const struct cow_store_args *args, int role, uint32_t index)
{
	for (size_t i = 0; i < args->nr_images; i++)
		if (args->images[i].role == role && args->images[i].index == index)
			return args->images[i].image;
	return NULL;
}

const char *cow_store_args_value(const struct cow_store_args *args, const char *key)
{
	for (size_t i = 0; i < args->nr_geometry; i++)
		if (!strcmp(args->geometry[i].key, key))
			return args->geometry[i].value;
	return NULL;
}

static bool is_among(const char *key, const char *const *keys)
{
	for (; *keys; keys++)
		if (!strcmp(*keys, key))
			return true;
	return false;
}

int cow_store_args_check_keys(const struct cow_store_args *args, const char *const *keys,
			      struct cow_err *err)
{
	for (size_t i = 0; i < args->nr_geometry; i++)
		if (!is_among(args->geometry[i].key, keys))
			return cow_fail(err, -EINVAL, "a %s store has no property \"%s\"",
					args->kind, args->geometry[i].key);
	return 0;
}

/* ---------------------------------------------------------------- probing */

static int probe_refuse(struct cow_image *image, struct cow_err *err)
{
	uint8_t head[COW_SECTOR_BYTES];
	const char *what = cow_image_content(image);
	int ret;

	if (!image->size_bytes)
		ret = cow_fail(err, -EMEDIUMTYPE,
			       "%s is empty, an exception store has three chunks at least",
			       image->name);
	else if (what && (!strcmp(what, "an LVM physical volume") ||
			  !strcmp(what, "a disk with a partition table")))
		ret = cow_fail(
			err, -EMEDIUMTYPE,
			"%s is not an exception store: it looks like %s; where the store is a "
			"part of it, name that part, PATH@OFFSET+LENGTH",
			image->name, what);
	else if (what)
		ret = cow_fail(err, -EMEDIUMTYPE, "%s is not an exception store: it looks like %s",
			       image->name, what);
	else if (!cow_image_pread(image, head, sizeof(head), 0, NULL) &&
		 is_all_zero(head, sizeof(head)))
		ret = cow_fail(
			err, -EMEDIUMTYPE,
			"%s is not an exception store: its first sector is all zeros; the kernel "
			"would make a new store of it",
			image->name);
	else
		ret = cow_fail(
			err, -EMEDIUMTYPE,
			"%s is not an exception store: no known magic number at its beginning "
			"(a transient snapshot, type N in its table, leaves none)",
			image->name);
	cow_err_place(err, image->name, 0);
	return ret;
}

static int probe(struct cow_image *image, const struct store_ops **ret_ops, struct cow_err *err)
{
	for (size_t i = 0; i < NR_KINDS; i++) {
		int ret;

		if (!kinds[i]->probe)
			continue;
		ret = kinds[i]->probe(image, err);
		if (ret == -EMEDIUMTYPE)
			continue;
		if (!ret)
			*ret_ops = kinds[i];
		return ret;
	}
	return probe_refuse(image, err);
}

int cow_store_probe(struct cow_image *image, const char **ret_kind, struct cow_err *err)
{
	const struct store_ops *ops = NULL;
	int ret = probe(image, &ops, err);

	if (!ret)
		*ret_kind = ops->name;
	return ret;
}

static int find_by_name(const char *kind, const struct store_ops **ret_ops, struct cow_err *err)
{
	for (size_t i = 0; i < NR_KINDS; i++)
		if (!strcmp(kinds[i]->name, kind)) {
			*ret_ops = kinds[i];
			return 0;
		}
	return cow_fail(err, -EINVAL, "there is no kind of store named \"%s\"", kind);
}

int cow_store_find_ops(const struct cow_store_args *args, const struct store_ops **ret_ops,
		       struct cow_err *err)
{
	struct cow_image *image = NULL;

	if (args->kind)
		return find_by_name(args->kind, ret_ops, err);
	for (size_t i = 0; !image && i < NR_KINDS; i++)
		image = cow_store_args_image(args, kinds[i]->probe_role, 0);
	if (!image)
		return cow_fail(err, -EINVAL, "no image was given that could hold a store");
	return probe(image, ret_ops, err);
}
