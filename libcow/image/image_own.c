/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_own.c - an image that owns the images which it is made of: what a
 * specification names is one image for its user, however many stand below it.
 */
#include <errno.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/image/window.h"

int cow_image_list_add(struct cow_image_list *list, struct cow_image *image, struct cow_err *err)
{
	struct cow_image **images = (struct cow_image **)cow_array_grow(
		list->images, list->nr_images, &list->capacity, sizeof(struct cow_image *));

	if (!images)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	list->images = images;
	images[list->nr_images++] = image;
	return 0;
}

void cow_image_list_close(struct cow_image_list *list)
{
	while (list->nr_images)
		cow_image_close(list->images[--list->nr_images]);
	free(list->images);
	*list = (struct cow_image_list){ .images = NULL };
}

/* cow_window_closed: the window over top was closed. */
static void own_closed(void *owner)
{
	cow_image_list_close((struct cow_image_list *)owner);
	free(owner);
}

int cow_image_own_new(struct cow_image *top, const char *name, bool is_read_only,
		      struct cow_image_list *owned, struct cow_image **ret_image,
		      struct cow_err *err)
{
	struct cow_segment all = { 0, top->size_bytes };
	AUTO_FREE struct cow_image_list *list = (struct cow_image_list *)calloc(1, sizeof(*list));
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

	if (!list)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_image_window_of(&args, ret_image, err);
	if (ret)
		return ret;
	*list = *owned;
	*owned = (struct cow_image_list){ .images = NULL };
	(void)take_ptr(list);
	return 0;
}
