/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * view.c - the flat image that a snapshot device would show: the COW chunk
 * where there is an exception, else the origin. It is an image, so views
 * stack. Its size is the origin's, unless the kind of store states one (I11):
 * what a short last chunk of the COW image holds behind the end of the view is
 * never asked for, and no byte past its end is read from the origin. Where the
 * origin is shorter than the view, or there is none, the view has zeros.
 *
 * The store may be damaged (opened so that it can be read in spite of it):
 * numbers may point anywhere, and a read of what lies beyond the COW image
 * fails, as it does for the kernel.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "libcow/snapshot/view.h"
#include "libcow/store/store.h"

/* Between exceptions: the origin, and zeros behind its end. */
static void view_gap(const struct view *view, uint64_t offset_bytes, uint64_t end_bytes,
		     struct view_piece *ret_piece)
{
	bool is_origin = view->origin && offset_bytes < view->origin->size_bytes;

	if (is_origin)
		end_bytes = min_u64(end_bytes, view->origin->size_bytes);
	*ret_piece = (struct view_piece){ .below = is_origin ? view->origin : view->zeros,
					  .below_bytes = offset_bytes,
					  .len_bytes = end_bytes - offset_bytes };
}

bool cow_view_next_run(const struct view *view, uint64_t chunk, struct exmap_run *ret_run)
{
	bool found = cow_store_map_next(view->store, chunk, ret_run);
	struct exmap_run pending;

	if (!view->writes || !cow_store_pending_next(view->store, chunk, &pending))
		return found;
	if (!found || pending.old_chunk < ret_run->old_chunk)
		*ret_run = pending;
	return true;
}

void cow_view_piece(const struct view *view, uint64_t offset_bytes, uint64_t end_bytes,
		    struct view_piece *ret_piece)
{
	const struct cow_store *store = view->store;
	uint64_t chunk_bytes = store->chunk_bytes;
	uint64_t chunk = chunk_of(offset_bytes, chunk_bytes);
	uint64_t within = offset_bytes - chunk_to_bytes(chunk, chunk_bytes);
	struct exmap_run run;
	bool found = cow_view_next_run(view, chunk, &run);

	if (!found || run.old_chunk > chunk) {
		if (found)
			end_bytes = min_u64(end_bytes, chunk_to_bytes(run.old_chunk, chunk_bytes));
		view_gap(view, offset_bytes, end_bytes, ret_piece);
		return;
	}
	*ret_piece = (struct view_piece){ .below = store->data, .is_exception = true };
	end_bytes = min_u64(end_bytes, chunk_to_bytes(run.old_chunk + run.nr_chunks, chunk_bytes));
	ret_piece->len_bytes = end_bytes - offset_bytes;
	ret_piece->below_bytes = chunk_to_bytes(run.new_chunk, chunk_bytes);
	if (add_overflows(ret_piece->below_bytes, within, &ret_piece->below_bytes))
		ret_piece->below_bytes = UINT64_MAX;
	/* What is still inside can be read; the failure names the first byte
	 * that is not. */
	if (ret_piece->below_bytes >= store->data->size_bytes)
		ret_piece->is_outside = true;
	else
		ret_piece->len_bytes = min_u64(ret_piece->len_bytes,
					       store->data->size_bytes - ret_piece->below_bytes);
}

static int view_outside(const struct view *view, uint64_t offset_bytes,
			const struct view_piece *piece, struct cow_err *err)
{
	const struct cow_store *store = view->store;
	uint64_t chunk = chunk_of(offset_bytes, store->chunk_bytes);
	struct exmap_run run;
	int ret;

	if (!cow_view_next_run(view, chunk, &run) || run.old_chunk != chunk)
		run.new_chunk = 0;
	ret = cow_fail(err, -EIO,
		       "the exception of origin byte %" PRIu64 " (chunk %" PRIu64
		       ") lies in chunk %" PRIu64 " of the COW image, which ends at byte "
		       "%" PRIu64 " (%" PRIu64 " chunks)",
		       offset_bytes, chunk, run.new_chunk, store->data->size_bytes,
		       chunk_of(store->data->size_bytes, store->chunk_bytes));
	cow_err_place(err, store->data->name, piece->below_bytes);
	return ret;
}

int cow_view_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		   struct cow_err *err)
{
	struct view *view = (struct view *)image;
	uint64_t end_bytes = offset_bytes + len_bytes;
	uint8_t *to = (uint8_t *)buf;
	struct view_piece piece;
	int ret;

	for (; offset_bytes < end_bytes; offset_bytes += piece.len_bytes) {
		cow_view_piece(view, offset_bytes, end_bytes, &piece);
		if (piece.is_outside)
			return view_outside(view, offset_bytes, &piece, err);
		ret = cow_image_pread(piece.below, to, (size_t)piece.len_bytes, piece.below_bytes,
				      err);
		if (ret)
			return ret;
		to += piece.len_bytes;
	}
	return 0;
}

/* Where an image below holds data next: asked once for many small pieces, as
 * some file systems look through all of the data for an answer. */
struct known_data {
	uint64_t offset_bytes, len_bytes;
	bool is_known;
};

struct known {
	struct known_data origin, cow;
};

/* Finds data in a gap between exceptions: of the origin. */
static int gap_next_data(struct view *view, const struct view_piece *gap, struct known_data *data,
			 uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err)
{
	uint64_t start = gap->below_bytes, end = start + gap->len_bytes;
	int ret;

	*ret_offset_bytes = start;
	*ret_len_bytes = 0;
	if (gap->below == view->zeros)
		return 0;
	if (!data->is_known || (data->len_bytes && data->offset_bytes + data->len_bytes <= start)) {
		ret = cow_image_next_data(view->origin, start, &data->offset_bytes,
					  &data->len_bytes, err);
		if (ret)
			return ret;
		data->is_known = true;
	}
	*ret_offset_bytes = max_u64(data->offset_bytes, start);
	*ret_len_bytes = 0;
	if (data->len_bytes && *ret_offset_bytes < end)
		*ret_len_bytes =
			min_u64(end, data->offset_bytes + data->len_bytes) - *ret_offset_bytes;
	return 0;
}

/* Finds data of the COW image inside exceptions. What lies outside of the
 * image counts as data: reading it is what fails, with a sentence. */
static int exception_next_data(struct view *view, uint64_t offset_bytes,
			       const struct view_piece *piece, struct known_data *cow,
			       uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			       struct cow_err *err)
{
	uint64_t start = piece->below_bytes, end = start + piece->len_bytes, data;
	int ret;

	*ret_offset_bytes = offset_bytes;
	*ret_len_bytes = piece->len_bytes;
	if (piece->is_outside)
		return 0;
	if (!cow->is_known || start < cow->offset_bytes ||
	    start - cow->offset_bytes >= cow->len_bytes) {
		ret = cow_image_next_data(view->store->data, start, &cow->offset_bytes,
					  &cow->len_bytes, err);
		if (ret)
			return ret;
		cow->is_known = true;
	}
	*ret_len_bytes = 0;
	data = max_u64(cow->offset_bytes, start);
	if (!cow->len_bytes || data >= end)
		return 0;
	*ret_offset_bytes = offset_bytes + (data - start);
	*ret_len_bytes = min_u64(end, cow->offset_bytes + cow->len_bytes) - data;
	return 0;
}

/* Finds data in one piece of the view. */
static int piece_next_data(struct view *view, uint64_t offset_bytes, const struct view_piece *piece,
			   struct known *known, uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			   struct cow_err *err)
{
	if (piece->is_exception)
		return exception_next_data(view, offset_bytes, piece, &known->cow, ret_offset_bytes,
					   ret_len_bytes, err);
	return gap_next_data(view, piece, &known->origin, ret_offset_bytes, ret_len_bytes, err);
}

/* Joins data that go on in the next pieces, so that small chunks are not
 * handled one by one; up to what a reader takes at once. */
static int view_join_data(struct view *view, uint64_t end_bytes, struct known *known,
			  uint64_t offset_bytes, uint64_t *len_bytes, struct cow_err *err)
{
	uint64_t size = view->image.size_bytes, data, len;
	struct view_piece piece;
	int ret;

	while (*len_bytes < COW_PIECE_BYTES && offset_bytes + *len_bytes == end_bytes &&
	       end_bytes < size) {
		cow_view_piece(view, end_bytes, size, &piece);
		if (piece.is_outside)
			return 0;
		ret = piece_next_data(view, end_bytes, &piece, known, &data, &len, err);
		if (ret)
			return ret;
		if (!len || data != end_bytes)
			return 0;
		end_bytes += piece.len_bytes;
		*len_bytes += len;
	}
	return 0;
}

int cow_view_next_data(struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
		       uint64_t *ret_len_bytes, struct cow_err *err)
{
	struct view *view = (struct view *)image;
	struct known known = { .origin.is_known = false };
	struct view_piece piece;
	int ret;

	for (; offset_bytes < image->size_bytes; offset_bytes += piece.len_bytes) {
		cow_view_piece(view, offset_bytes, image->size_bytes, &piece);
		ret = piece_next_data(view, offset_bytes, &piece, &known, ret_offset_bytes,
				      ret_len_bytes, err);
		if (ret)
			return ret;
		if (*ret_len_bytes)
			return view_join_data(view, offset_bytes + piece.len_bytes, &known,
					      *ret_offset_bytes, ret_len_bytes, err);
	}
	*ret_offset_bytes = image->size_bytes;
	*ret_len_bytes = 0;
	return 0;
}

struct cow_image *cow_view_resolve(struct cow_image *image, uint64_t offset_bytes,
				   uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	struct view *view = (struct view *)image;
	struct view_piece piece;

	if (offset_bytes >= image->size_bytes || !*len_bytes) {
		*ret_offset_bytes = offset_bytes;
		return view->origin ? view->origin : view->zeros;
	}
	cow_view_piece(view, offset_bytes,
		       offset_bytes + min_u64(*len_bytes, image->size_bytes - offset_bytes),
		       &piece);
	*len_bytes = piece.len_bytes;
	*ret_offset_bytes = piece.below_bytes;
	return piece.below;
}

void cow_view_close(struct cow_image *image)
{
	struct view *view = (struct view *)image;

	cow_image_close(view->zeros);
	free(view->chunk);
}

static const struct image_ops view_ops = {
	.name = "view",
	.pread = cow_view_pread,
	.next_data = cow_view_next_data,
	.resolve = cow_view_resolve,
	.close = cow_view_close,
};

/* A kind that states the length of the view has looked at its numbers. */
static int view_bounds(const struct cow_image *origin, const struct cow_store *store,
		       struct cow_err *err)
{
	uint64_t nr_chunks;
	struct exmap_run run;

	if (store->is_damaged || store->view_bytes)
		return 0;
	if (!origin)
		return cow_fail(err, -EINVAL, "a view of %s needs its origin", store->data->name);
	nr_chunks = div_ceil(origin->size_bytes, store->chunk_bytes);
	if (!store->map || !cow_exmap_prev(store->map, EXMAP_CHUNK_LIMIT, &run) ||
	    run.old_chunk + run.nr_chunks <= nr_chunks)
		return 0;
	return cow_refuse(
		err, -ERANGE, "bounds", "damaged",
		"the store has an exception for chunk %" PRIu64 ", but %s ends after %" PRIu64
		" chunks of %" PRIu64 " bytes: it is not this store's origin, or was cut short",
		run.old_chunk + run.nr_chunks - 1, origin->name, nr_chunks, store->chunk_bytes);
}

static int view_init(struct view *view, const struct image_ops *ops, struct cow_err *err)
{
	const struct cow_image *below = view->origin ? view->origin : view->store->data;
	uint64_t size = cow_store_view_bytes(view->store, view->origin);
	char name[256];
	int ret = 0;

	if (view->origin)
		snprintf(name, sizeof(name), "view of %.120s and %.120s", view->origin->name,
			 view->store->data->name);
	else
		snprintf(name, sizeof(name), "view of %.120s", view->store->data->name);
	if (!view->origin || view->origin->size_bytes < size)
		ret = cow_image_zero_new(size, &view->zeros, err);
	if (!ret)
		ret = cow_image_init(&view->image, ops, name, size, err);
	if (!ret)
		view->image.logical_block_bytes = below->logical_block_bytes;
	return ret;
}

int cow_view_create(struct cow_image *origin, struct cow_store *store, const struct image_ops *ops,
		    struct view **ret_view, struct cow_err *err)
{
	struct view *view;
	int ret;

	if (store->has_no_map)
		return cow_fail(err, -EINVAL, "the store was opened without its map");
	ret = view_bounds(origin, store, err);
	if (ret)
		return ret;
	view = (struct view *)calloc(1, sizeof(*view));
	if (!view)
		return cow_fail(err, -ENOMEM, "no memory for a view");
	view->origin = origin;
	view->store = store;
	ret = view_init(view, ops, err);
	if (ret) {
		cow_image_close(view->zeros);
		free(view);
		return ret;
	}
	*ret_view = view;
	return 0;
}

int cow_view_new(struct cow_image *origin, struct cow_store *store, struct cow_image **ret_view,
		 struct cow_err *err)
{
	struct view *view;
	int ret = cow_view_create(origin, store, &view_ops, &view, err);

	if (!ret)
		*ret_view = &view->image;
	return ret;
}
