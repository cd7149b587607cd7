/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_zero.c - zeros, of any size, for reading: the origin of a layer that
 * has none.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/image/image.h"

static int zero_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err)
{
	(void)image;
	(void)offset_bytes;
	(void)err;
	memset(buf, 0, len_bytes);
	return 0;
}

static int zero_next_data(struct cow_image *image, uint64_t offset_bytes,
			  uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err)
{
	(void)image;
	(void)err;
	*ret_offset_bytes = offset_bytes;
	*ret_len_bytes = 0;
	return 0;
}

static const struct image_ops zero_ops = {
	.name = "zero",
	.pread = zero_pread,
	.next_data = zero_next_data,
};

int cow_image_zero_new(uint64_t size_bytes, struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_image *image = (struct cow_image *)calloc(1, sizeof(*image));
	char name[32];
	int ret;

	if (!image)
		return cow_fail(err, -ENOMEM, "no memory for an image of zeros");
	snprintf(name, sizeof(name), "zero:%" PRIu64, size_bytes);
	ret = cow_image_init(image, &zero_ops, name, size_bytes, err);
	if (ret) {
		free(image);
		return ret;
	}
	*ret_image = image;
	return 0;
}
