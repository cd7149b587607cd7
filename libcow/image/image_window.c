/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_window.c - one or several pieces of another image, one after the
 * other. All goes through the wrappers of that image, so a flush that fails
 * there is final for every window of it (I8).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/image/pieces.h"
#include "libcow/image/window.h"

struct image_window {
	struct cow_image image;
	struct cow_image *base;
	cow_window_closed *closed; /* NULL: nobody wants to know */
	void *owner;
	size_t nr_segments;
	struct window_segment {
		uint64_t start_bytes; /* in the window */
		uint64_t base_bytes;
		uint64_t len_bytes;
	} segments[];
};

static const struct window_segment *window_find(const struct image_window *window,
						uint64_t offset_bytes)
{
	size_t low = 0, high = window->nr_segments;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (window->segments[middle].start_bytes <= offset_bytes)
			low = middle;
		else
			high = middle;
	}
	return &window->segments[low];
}

static struct cow_image *window_resolve(struct cow_image *image, uint64_t offset_bytes,
					uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	struct image_window *window = (struct image_window *)image;
	const struct window_segment *segment = window_find(window, offset_bytes);
	uint64_t in_segment = offset_bytes - segment->start_bytes;

	*len_bytes = min_u64(*len_bytes, segment->len_bytes - in_segment);
	*ret_offset_bytes = segment->base_bytes + in_segment;
	return window->base;
}

/* A window of all of its base, as a file that was opened by its name. */
static int window_grow(struct cow_image *image, uint64_t size_bytes, struct cow_err *err)
{
	struct image_window *window = (struct image_window *)image;
	struct window_segment *segment = &window->segments[0];
	int ret;

	if (window->nr_segments != 1 || segment->base_bytes ||
	    segment->len_bytes != window->base->size_bytes)
		return cow_fail(err, -EOPNOTSUPP, "a window of an image cannot be enlarged");
	ret = cow_image_grow(window->base, size_bytes, err);
	if (!ret)
		segment->len_bytes = size_bytes;
	return ret;
}

static int window_flush(struct cow_image *image, struct cow_err *err)
{
	return cow_image_flush(((struct image_window *)image)->base, err);
}

static void window_close(struct cow_image *image)
{
	struct image_window *window = (struct image_window *)image;

	if (window->closed)
		window->closed(window->owner);
}

static const struct image_ops window_ops = {
	.name = "window",
	.pread = cow_pieces_pread,
	.pwrite = cow_pieces_pwrite,
	.pwritev = cow_pieces_pwritev,
	.write_zeroes = cow_pieces_write_zeroes,
	.clone_range = cow_pieces_clone_range,
	.next_data = cow_pieces_next_data,
	.discard = cow_pieces_discard,
	.grow = window_grow,
	.flush = window_flush,
	.drop_cache = cow_pieces_drop_cache,
	.resolve = window_resolve,
	.close = window_close,
};

static int segment_compare(const void *a, const void *b)
{
	uint64_t left = ((const struct cow_segment *)a)->offset_bytes;
	uint64_t right = ((const struct cow_segment *)b)->offset_bytes;

	return (left > right) - (left < right);
}

int cow_segments_check(const struct cow_segment *segments, size_t nr_segments, uint64_t size_bytes,
		       struct cow_err *err)
{
	AUTO_FREE struct cow_segment *sorted = NULL;

	if (!nr_segments)
		return cow_fail(err, -EINVAL, "a window needs at least one segment");
	sorted = (struct cow_segment *)calloc(nr_segments, sizeof(*sorted));
	if (!sorted)
		return cow_fail(err, -ENOMEM, "no memory for %zu segments", nr_segments);
	memcpy(sorted, segments, nr_segments * sizeof(*sorted));
	qsort(sorted, nr_segments, sizeof(*sorted), segment_compare);
	for (size_t i = 0; i < nr_segments; i++) {
		const struct cow_segment *now = &sorted[i], *before = i ? now - 1 : NULL;

		if (!now->len_bytes)
			return cow_fail(err, -EINVAL, "the segment at byte %" PRIu64 " is empty",
					now->offset_bytes);
		if (!range_fits(now->offset_bytes, now->len_bytes, size_bytes))
			return cow_fail(err, -ERANGE,
					"the segment of %" PRIu64 " bytes at byte %" PRIu64
					" goes beyond the end, %" PRIu64 " bytes",
					now->len_bytes, now->offset_bytes, size_bytes);
		if (before && now->offset_bytes - before->offset_bytes < before->len_bytes)
			return cow_fail(err, -EINVAL,
					"the segments at byte %" PRIu64 " and at byte %" PRIu64
					" overlap",
					before->offset_bytes, now->offset_bytes);
	}
	return 0;
}

static uint64_t window_fill(struct image_window *window, const struct cow_segment *segments,
			    size_t nr_segments)
{
	uint64_t start_bytes = 0;

	window->nr_segments = nr_segments;
	for (size_t i = 0; i < nr_segments; i++) {
		window->segments[i].start_bytes = start_bytes;
		window->segments[i].base_bytes = segments[i].offset_bytes;
		window->segments[i].len_bytes = segments[i].len_bytes;
		/* No overlap within base: the sum is at most its size. */
		start_bytes += segments[i].len_bytes;
	}
	return start_bytes;
}

int cow_image_window_of(const struct cow_window_args *args, struct cow_image **ret_image,
			struct cow_err *err)
{
	struct image_window *window;
	size_t bytes;
	int ret =
		cow_segments_check(args->segments, args->nr_segments, args->base->size_bytes, err);

	if (ret)
		return ret;
	if (memory_overflows(args->nr_segments, sizeof(window->segments[0]), sizeof(*window),
			     &bytes))
		return cow_fail(err, -ENOMEM, "too many segments: %zu", args->nr_segments);
	window = (struct image_window *)calloc(1, bytes);
	if (!window)
		return cow_fail(err, -ENOMEM, "no memory for a window of an image");
	ret = cow_image_init(&window->image, &window_ops, args->name,
			     window_fill(window, args->segments, args->nr_segments), err);
	if (ret) {
		free(window);
		return ret;
	}
	window->base = args->base;
	window->closed = args->closed;
	window->owner = args->owner;
	window->image.logical_block_bytes = args->base->logical_block_bytes;
	window->image.is_writable = args->base->is_writable && !args->is_read_only;
	window->image.is_block_device = args->base->is_block_device;
	window->image.nr_copies = args->base->nr_copies;
	*ret_image = &window->image;
	return 0;
}

void *cow_image_window_owner(const struct cow_image *image)
{
	return ((const struct image_window *)image)->owner;
}

void cow_image_window_widen(struct cow_image *image, uint64_t size_bytes)
{
	((struct image_window *)image)->segments[0].len_bytes = size_bytes;
	image->size_bytes = size_bytes;
}

int cow_image_window_new(struct cow_image *base, const struct cow_segment *segments,
			 size_t nr_segments, struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_window_args args = {
		.base = base,
		.name = base->name,
		.segments = segments,
		.nr_segments = nr_segments,
	};

	return cow_image_window_of(&args, ret_image, err);
}
