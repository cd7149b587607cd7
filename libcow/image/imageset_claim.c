/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * imageset_claim.c - images that are made of pieces of several files of a set:
 * which bytes they lie on is found out by following them down, and these bytes
 * belong to them alone. So two volumes of one disk are two images of a job, and
 * the same volume under two names is noticed.
 */
#include <errno.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/image/imageset.h"
#include "libcow/image/set_range.h"
#include "libcow/image/window.h"

struct claim_piece {
	struct cow_handle *file;
	struct cow_segment segment;
};

struct claim {
	struct cow_imageset *set;
	const char *name;
	size_t nr_pieces, capacity;
	struct claim_piece *pieces;
	struct set_range *ranges; /* linked by "also", in the set already */
	struct cow_image_list owned;
};

static struct cow_handle *file_of(const struct cow_imageset *set, const struct cow_image *image)
{
	struct cow_handle *file = set->files;

	while (file && file->image != image)
		file = file->next;
	return file;
}

bool cow_imageset_is_one(const struct cow_imageset *set, struct cow_image *a, struct cow_image *b)
{
	uint64_t len, a_bytes, b_bytes;

	if (a->size_bytes != b->size_bytes)
		return false;
	for (uint64_t at = 0; at < a->size_bytes; at += len) {
		const struct cow_handle *a_file, *b_file;

		len = a->size_bytes - at;
		a_file = file_of(set, cow_image_resolve(a, at, &len, &a_bytes));
		b_file = file_of(set, cow_image_resolve(b, at, &len, &b_bytes));
		if (!a_file || !b_file || !cow_ground_is_same(&a_file->ground, &b_file->ground) ||
		    a_file->ground.offset_bytes + a_bytes != b_file->ground.offset_bytes + b_bytes)
			return false;
	}
	return true;
}

/* cow_image_range_fn. What lies in memory belongs to no file. */
static int claim_add(void *user, struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		     struct cow_err *err)
{
	struct claim *claim = (struct claim *)user;
	struct cow_handle *file = file_of(claim->set, image);
	struct claim_piece *pieces;

	if (!file)
		return 0;
	pieces = (struct claim_piece *)cow_array_grow(claim->pieces, claim->nr_pieces,
						      &claim->capacity, sizeof(*pieces));
	if (!pieces)
		return cow_fail(err, -ENOMEM, "no memory for the segments of an image");
	claim->pieces = pieces;
	pieces[claim->nr_pieces++] = (struct claim_piece){ file, { offset_bytes, len_bytes } };
	return 0;
}

static int piece_compare(const void *a, const void *b)
{
	const struct claim_piece *left = (const struct claim_piece *)a;
	const struct claim_piece *right = (const struct claim_piece *)b;

	if (left->file != right->file)
		return (uintptr_t)left->file > (uintptr_t)right->file ? 1 : -1;
	return (left->segment.offset_bytes > right->segment.offset_bytes) -
	       (left->segment.offset_bytes < right->segment.offset_bytes);
}

/* The pieces of one file, from "first" on, as one range of the set. */
static int claim_file(struct claim *claim, size_t first, size_t nr_pieces, struct cow_err *err)
{
	struct claim_piece *pieces = claim->pieces + first;
	struct set_range *range;
	int ret = cow_set_range_new(claim->set, pieces->file, claim->name, nr_pieces, &range, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < nr_pieces; i++)
		range->segments[i] = pieces[i].segment;
	ret = cow_segments_check(range->segments, nr_pieces, pieces->file->image->size_bytes, NULL);
	if (ret)
		ret = cow_refuse(err, -EPERM, "overlap", NULL,
				 "some of its bytes appear in it twice");
	if (!ret)
		ret = cow_set_range_check(claim->set, range, err);
	if (ret) {
		cow_set_range_free(range);
		return ret;
	}
	cow_set_range_add(claim->set, range);
	range->also = claim->ranges;
	claim->ranges = range;
	return 0;
}

static int claim_ranges(struct claim *claim, struct cow_err *err)
{
	int ret = 0;

	if (claim->nr_pieces)
		qsort(claim->pieces, claim->nr_pieces, sizeof(*claim->pieces), piece_compare);
	for (size_t first = 0, next; first < claim->nr_pieces && !ret; first = next) {
		for (next = first + 1; next < claim->nr_pieces; next++)
			if (claim->pieces[next].file != claim->pieces[first].file)
				break;
		ret = claim_file(claim, first, next - first, err);
	}
	return ret;
}

static void claim_free(struct claim *claim)
{
	if (!claim)
		return;
	cow_set_range_closed(claim->ranges);
	free(claim->pieces);
	free(claim);
}

COW_DEFINE_AUTO(claim, struct claim *, claim_free);

/* cow_window_closed: the images first; the files below stay open as long as bytes of
 * them are claimed. */
static void claim_closed(void *owner)
{
	struct claim *claim = (struct claim *)owner;

	cow_image_list_close(&claim->owned);
	claim_free(claim);
}

int cow_imageset_claim(struct cow_imageset *set, struct cow_image *image, const char *name,
		       uint32_t flags, struct cow_image_list *owned, struct cow_image **ret_image,
		       struct cow_err *err)
{
	struct cow_segment all = { 0, image->size_bytes };
	AUTO_HANDLE(claim) struct claim *claim = (struct claim *)calloc(1, sizeof(*claim));
	struct cow_window_args args = {
		.base = image,
		.name = name,
		.segments = &all,
		.nr_segments = 1,
		.is_read_only = !(flags & COW_OPEN_WRITE),
		.closed = claim_closed,
		.owner = claim,
	};
	int ret;

	if (!claim)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	claim->set = set;
	claim->name = name;
	ret = cow_image_footprint(image, 0, image->size_bytes, claim_add, claim, err);
	if (!ret)
		ret = claim_ranges(claim, err);
	if (ret) {
		cow_err_place(err, name, COW_OFFSET_NONE);
		return ret;
	}
	ret = cow_image_window_of(&args, ret_image, err);
	if (ret)
		return ret;
	claim->owned = *owned;
	*owned = (struct cow_image_list){ .images = NULL };
	(void)take_ptr(claim);
	return 0;
}
