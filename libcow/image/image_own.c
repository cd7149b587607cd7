/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_own.c - an image that owns the images which it is made of: what a
 * specification names is one image for its user, however many stand below it.
 */
#include <errno.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/image/window.h"

struct own_list {
	size_t nr_images;
	struct cow_image **images;
};

/* cow_window_closed: the window over top was closed. */
static void own_closed(void *owner)
{
	struct own_list *list = (struct own_list *)owner;

	for (size_t i = 0; i < list->nr_images; i++)
		cow_image_close(list->images[i]);
	free(list->images);
	free(list);
}

int cow_image_own_new(struct cow_image *top, const char *name, bool is_read_only,
		      struct cow_image *const *owned, size_t nr_owned, struct cow_image **ret_image,
		      struct cow_err *err)
{
	struct cow_segment all = { 0, top->size_bytes };
	AUTO_FREE struct own_list *list = (struct own_list *)calloc(1, sizeof(*list));
	/* bounded: nr_owned pointers exist already */
	AUTO_FREE struct cow_image **images =
		(struct cow_image **)reallocarray(NULL, nr_owned + 1, sizeof(struct cow_image *));
	struct cow_window_args args = {
		.base = top,
		.name = name,
		.segments = &all,
		.nr_segments = 1,
		.is_read_only = is_read_only,
		.closed = own_closed,
		.owner = list,
	};
	int ret;

	if (!list || !images)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_image_window_of(&args, ret_image, err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	memcpy(images, owned, nr_owned * sizeof(struct cow_image *));
	list->nr_images = nr_owned;
	list->images = take_ptr(images);
	(void)take_ptr(list);
	return 0;
}
