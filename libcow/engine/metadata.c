/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* metadata.c - a store without its data, to be shown to others. */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/err.h"
#include "libcow/store/store.h"

int cow_metadata_copy(const struct cow_store_args *args, const struct cow_callbacks *callbacks,
		      struct cow_image *target, struct cow_err *err)
{
	const struct store_ops *ops;
	struct cow_image *image;
	int ret;

	ret = cow_store_find_ops(args, &ops, err);
	if (ret)
		return ret;
	if (!ops->metadata_copy)
		return cow_fail(err, -EOPNOTSUPP, "a %s store has no metadata of its own",
				ops->name);
	image = cow_store_args_image(args, ops->probe_role, 0);
	if (image && image->size_bytes != target->size_bytes)
		return cow_fail(err, -EINVAL,
				"%s has %" PRIu64 " bytes, what stands in for it %" PRIu64,
				image->name, image->size_bytes, target->size_bytes);
	return ops->metadata_copy(args, callbacks, target, err);
}
