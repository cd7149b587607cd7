/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create.c - an empty store on a COW image, and how large that image should
 * be. What is written, in which order, and what is refused before (I7), is
 * the business of the kind of store.
 */
#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"

#define CHUNK_BYTES_DEFAULT UINT64_C(4096)

/* The kind that was asked for, or the first one of the registry. */
static int create_find(const struct cow_create_params *params, const struct store_ops **ret_ops,
		       struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), 0, 0, "struct cow_create_params",
			       err);
	if (ret)
		return ret;
	args.kind = params->kind ? params->kind : cow_store_kind(0);
	ret = cow_store_find_ops(&args, ret_ops, err);
	if (ret)
		return ret;
	/* A kind has all three of these or none. */
	if (!(*ret_ops)->create)
		return cow_fail(err, -EOPNOTSUPP, "a %s store cannot be made on an image",
				(*ret_ops)->name);
	return 0;
}

static uint64_t create_chunk_bytes(const struct cow_create_params *params)
{
	return params->chunk_bytes ? params->chunk_bytes : CHUNK_BYTES_DEFAULT;
}

int cow_create_size(const struct cow_create_params *params, uint64_t *ret_bytes,
		    struct cow_err *err)
{
	const struct store_ops *ops;
	int ret = create_find(params, &ops, err);

	return ret ? ret
		   : ops->create_size(params->origin_bytes, create_chunk_bytes(params), ret_bytes,
				      err);
}

int cow_create_fit(const struct cow_create_params *params, uint64_t wanted_bytes,
		   uint64_t *ret_bytes, struct cow_err *err)
{
	const struct store_ops *ops;
	int ret = create_find(params, &ops, err);

	return ret ? ret
		   : ops->create_fit(wanted_bytes, create_chunk_bytes(params), ret_bytes, err);
}

int cow_create(struct cow_image *cow, const struct cow_create_params *params, struct cow_err *err)
{
	const struct store_ops *ops;
	int ret = create_find(params, &ops, err);

	return ret ? ret : ops->create(cow, create_chunk_bytes(params), err);
}
