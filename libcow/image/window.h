/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * window.h - windows as the imageset makes them: with a name of their own and
 * somebody who is told when they are closed.
 */
#ifndef COW_IMAGE_WINDOW_H
#define COW_IMAGE_WINDOW_H

#include "libcow/image/image.h"

typedef void cow_window_closed(void *owner);

struct cow_window_args {
	struct cow_image *base;
	const char *name; /* copied */
	const struct cow_segment *segments;
	size_t nr_segments;
	bool is_read_only; /* although base may be writable */
	cow_window_closed *closed;
	void *owner;
};

/* Refuses segments that are none, empty, overlap (-EINVAL) or lie outside
 * size_bytes (-ERANGE). */
int cow_segments_check(const struct cow_segment *segments, size_t nr_segments, uint64_t size_bytes,
		       struct cow_err *err);

/* As cow_image_window_new(). closed is not called after a failure. */
int cow_image_window_of(const struct cow_window_args *args, struct cow_image **ret_image,
			struct cow_err *err);

/* The owner of an image that cow_image_window_of() has made. */
void *cow_image_window_owner(const struct cow_image *image);
/* Lets such an image of one segment reach further into its base, which is large enough. */
void cow_image_window_widen(struct cow_image *image, uint64_t size_bytes);

#endif
