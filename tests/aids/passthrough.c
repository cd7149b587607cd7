/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/passthrough.h"

#include <errno.h>
#include <string.h>

#include "libcow/base/err.h"

int passthrough_init(struct passthrough *pass, const struct image_ops *ops, struct cow_image *lower,
		     struct cow_err *err)
{
	int ret;

	if (!pass)
		return cow_fail(err, -ENOMEM, "no memory for a test image");
	ret = cow_image_init(&pass->image, ops, cow_image_name(lower), cow_image_size(lower), err);
	if (ret)
		return ret;
	pass->lower = lower;
	pass->image.logical_block_bytes = lower->logical_block_bytes;
	pass->image.is_writable = lower->is_writable;
	pass->image.is_block_device = lower->is_block_device;
	return 0;
}

struct cow_image *passthrough_lower(struct cow_image *image)
{
	return ((struct passthrough *)image)->lower;
}

int passthrough_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err)
{
	return cow_image_pread(passthrough_lower(image), buf, len_bytes, offset_bytes, err);
}

int passthrough_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
			uint64_t offset_bytes, struct cow_err *err)
{
	AUTO_FREE uint8_t *all = NULL;
	size_t len_bytes = 0;

	for (size_t i = 0; i < nr_iov; i++)
		len_bytes += iov[i].iov_len;
	all = (uint8_t *)malloc(len_bytes);
	if (!all)
		return cow_fail(err, -ENOMEM, "no memory for a write of a test image");
	len_bytes = 0;
	for (size_t i = 0; i < nr_iov; i++) {
		if (iov[i].iov_len)
			memcpy(all + len_bytes, iov[i].iov_base, iov[i].iov_len);
		len_bytes += iov[i].iov_len;
	}
	return image->ops->pwrite(image, all, len_bytes, offset_bytes, err);
}

int passthrough_next_data(struct cow_image *image, uint64_t offset_bytes,
			  uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err)
{
	return cow_image_next_data(passthrough_lower(image), offset_bytes, ret_offset_bytes,
				   ret_len_bytes, err);
}

int passthrough_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			   struct cow_err *err)
{
	return cow_image_drop_cache(passthrough_lower(image), offset_bytes, len_bytes, err);
}
