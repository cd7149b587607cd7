/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create.c - an empty store on a COW image, and how large that image must be.
 * What is written, and in which order, is the store's own business.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"

#define CHUNK_BYTES_DEFAULT UINT64_C(4096)
#define CHUNK_BYTES_MAX (UINT64_C(1) << 30)

/* The kind that was asked for (NULL: the first one in the registry) and the
 * chunk size, checked against what every kind shares. */
static int create_prepare(const struct cow_create_params *params, const struct store_ops **ret_ops,
			  uint64_t *ret_chunk_bytes, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	uint64_t chunk_bytes;
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), 0, 0, "struct cow_create_params",
			       err);
	if (ret)
		return ret;
	chunk_bytes = params->chunk_bytes ? params->chunk_bytes : CHUNK_BYTES_DEFAULT;
	if (!is_pow2(chunk_bytes) || chunk_bytes < COW_SECTOR_BYTES ||
	    chunk_bytes > CHUNK_BYTES_MAX)
		return cow_refuse(err, -EINVAL, "chunk-size", NULL,
				  "a chunk size of %" PRIu64 " bytes is not a power of two from "
				  "%" PRIu64 " to %" PRIu64,
				  chunk_bytes, COW_SECTOR_BYTES, CHUNK_BYTES_MAX);
	args.kind = params->kind ? params->kind : cow_store_kind(0);
	ret = cow_store_find_ops(&args, ret_ops, err);
	if (ret)
		return ret;
	*ret_chunk_bytes = chunk_bytes;
	return 0;
}

int cow_create_size(const struct cow_create_params *params, uint64_t *ret_bytes,
		    struct cow_err *err)
{
	const struct store_ops *ops;
	uint64_t chunk_bytes;
	int ret;

	ret = create_prepare(params, &ops, &chunk_bytes, err);
	if (ret)
		return ret;
	if (!ops->create_size)
		return cow_fail(err, -EOPNOTSUPP, "the size of a %s store cannot be computed",
				ops->name);
	return ops->create_size(params->origin_bytes, chunk_bytes, ret_bytes, err);
}

int cow_create(struct cow_image *cow, const struct cow_create_params *params, struct cow_err *err)
{
	const struct store_ops *ops;
	uint64_t chunk_bytes;
	int ret;

	ret = create_prepare(params, &ops, &chunk_bytes, err);
	if (ret)
		return ret;
	if (!ops->create)
		return cow_fail(err, -EOPNOTSUPP, "a %s store cannot be made on an image",
				ops->name);
	/* I7: everything that can be known is checked before the first write. */
	if (!cow->is_writable) {
		ret = cow_fail(err, -EROFS, "the image is open for reading only");
		cow_err_place(err, cow->name, COW_OFFSET_NONE);
		return ret;
	}
	if (chunk_bytes % cow->logical_block_bytes) {
		ret = cow_refuse(err, -EINVAL, "chunk-size", NULL,
				 "a chunk size of %" PRIu64 " bytes is no multiple of the device's "
				 "logical block size, %" PRIu32 " bytes",
				 chunk_bytes, cow->logical_block_bytes);
		cow_err_place(err, cow->name, COW_OFFSET_NONE);
		return ret;
	}
	return ops->create(cow, chunk_bytes, err);
}
