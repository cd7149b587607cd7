/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * unused.c - overwrites or discards what no record refers to. The list is
 * empty and durable before the first byte is touched.
 */
#include "libcow/engine/unused.h"

#include <errno.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

/* A device may take its time over one call; in between it can be stopped. */
#define DISCARD_BYTES (64 * COW_PIECE_BYTES)

static int scrub(struct cow_image *image, uint64_t from_bytes,
		 const struct cow_callbacks *callbacks, struct cow_err *err)
{
	AUTO_FREE uint8_t *zeros = calloc(1, COW_PIECE_BYTES);
	uint64_t size = image->size_bytes, piece;
	int ret = 0;

	if (!zeros)
		return cow_fail(err, -ENOMEM, "no memory for a buffer of zeros");
	for (uint64_t at = from_bytes; !ret && at < size; at += piece) {
		piece = min_u64(COW_PIECE_BYTES, size - at);
		/* Not as a hole: the old bytes would stay on the medium. */
		ret = cow_image_pwrite(image, zeros, piece, at, err);
		if (!ret)
			ret = cow_callbacks_progress(callbacks, "scrub", at + piece - from_bytes,
						     size - from_bytes, err);
	}
	return ret ? ret : cow_image_flush(image, err);
}

static int discard(struct cow_image *image, uint64_t from_bytes,
		   const struct cow_callbacks *callbacks, struct cow_err *err)
{
	uint64_t size = image->size_bytes, piece;
	int ret = 0;

	for (uint64_t at = from_bytes; !ret && at < size; at += piece) {
		piece = min_u64(DISCARD_BYTES, size - at);
		ret = cow_image_discard(image, at, piece, err);
		if (!ret)
			ret = cow_callbacks_progress(callbacks, "discard", at + piece - from_bytes,
						     size - from_bytes, err);
	}
	return ret;
}

int cow_unused_treat(struct cow_store *store, uint32_t flags, const struct cow_callbacks *callbacks,
		     uint64_t *ret_bytes, struct cow_err *err)
{
	uint64_t from;
	int ret = 0;

	if (!(flags & (COW_MERGE_SCRUB | COW_MERGE_DISCARD)))
		return 0;
	ret = cow_store_unused_from(store, &from, err);
	if (ret || from >= store->data->size_bytes)
		return ret;
	if (flags & COW_MERGE_SCRUB)
		ret = scrub(store->data, from, callbacks, err);
	if (!ret && flags & COW_MERGE_DISCARD)
		ret = discard(store->data, from, callbacks, err);
	if (!ret)
		*ret_bytes = store->data->size_bytes - from;
	return ret;
}
