/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * passthrough.h - what the test images have in common: they stand on a lower
 * image, look like it, and pass on what they do not care for.
 */
#ifndef TESTS_AIDS_PASSTHROUGH_H
#define TESTS_AIDS_PASSTHROUGH_H

#include "libcow/image/image.h"

struct passthrough {
	struct cow_image image; /* first */
	struct cow_image *lower;
};

/* pass NULL: -ENOMEM, so that the caller may hand in what calloc gave. */
int passthrough_init(struct passthrough *pass, const struct image_ops *ops, struct cow_image *lower,
		     struct cow_err *err);
struct cow_image *passthrough_lower(struct cow_image *image);

int passthrough_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err);
/* As one call of the image's own pwrite. */
int passthrough_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
			uint64_t offset_bytes, struct cow_err *err);
int passthrough_next_data(struct cow_image *image, uint64_t offset_bytes,
			  uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err);
int passthrough_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			   struct cow_err *err);

#endif
