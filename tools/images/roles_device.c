/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* roles_device.c - what a specification says of one device of a thin pool. */
#include "tools/images/roles_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"

static bool is_of_device(const char *key)
{
	return !strcmp(key, "id") || !strcmp(key, "size") || !strcmp(key, "metadata-snapshot") ||
	       !strcmp(key, "parent");
}

int roles_device_id(const char *text, uint64_t *ret_id, struct cow_err *err)
{
	char *end = NULL;

	errno = 0;
	*ret_id = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && *ret_id < UINT64_C(1) << 24)
		return 0;
	return cli_refuse(err, -EINVAL, "usage", NULL,
			  "%.40s is no id of a thin device: a number from 0 to 16777215", text);
}

int roles_device_read(const struct roles *roles, struct roles_device *ret_device,
		      struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	int ret = 0;

	*ret_device = (struct roles_device){ .id = COW_SNAPSHOT_NONE };
	roles_fill(roles, &args);
	for (size_t i = 0; !ret && i < args.nr_geometry; i++) {
		const struct cow_geometry *from = &args.geometry[i];

		if (!strcmp(from->key, "id"))
			ret = roles_device_id(from->value, &ret_device->id, err);
		else if (!strcmp(from->key, "size"))
			ret = cow_size_parse(from->value, &ret_device->size_bytes, err);
		else if (!strcmp(from->key, "metadata-snapshot"))
			ret_device->is_past = strcmp(from->value, "no");
		else if (!strcmp(from->key, "transaction"))
			ret_device->is_of_lvm = true;
		else if (!strcmp(from->key, "parent"))
			ret_device->parent = from->value;
	}
	return ret;
}

int roles_device_strip(struct cow_store_args *args, struct cow_geometry **ret_geometry,
		       struct cow_err *err)
{
	size_t nr = 0;
	/* bounded: by the command line */
	struct cow_geometry *left = calloc(args->nr_geometry + 1, sizeof(*left));

	if (!left)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu words",
				  args->nr_geometry);
	for (size_t i = 0; i < args->nr_geometry; i++)
		if (!is_of_device(args->geometry[i].key))
			left[nr++] = args->geometry[i];
	args->geometry = left;
	args->nr_geometry = nr;
	*ret_geometry = left;
	return 0;
}
