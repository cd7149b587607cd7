/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* view.h - what a view for reading (view.c) and one for writing (view_write.c) share. */
#ifndef COW_SNAPSHOT_VIEW_H
#define COW_SNAPSHOT_VIEW_H

#include "libcow/image/image.h"
#include "libcow/store/store.h"

struct view {
	struct cow_image image;
	struct cow_image *origin; /* NULL: zeros */
	struct cow_image *zeros;  /* where it is shorter than the view; or NULL */
	struct cow_store *store;

	/* view_write.c */
	bool writes;		/* what was appended and not published is part of it */
	uint8_t *chunk;		/* one, while it is filled up; on demand */
	uint64_t pending_bytes; /* of data, appended and not published */
	uint64_t nr_pending;	/* chunks of it, and of zeros */
};

/* A range of the view that lies in one piece on one image below. */
struct view_piece {
	struct cow_image *below; /* the origin or the store's data image */
	uint64_t below_bytes;	 /* offset there; UINT64_MAX: past any image */
	uint64_t len_bytes;	 /* at least 1 */
	bool is_exception;
	bool is_outside; /* behind the end of the COW image */
};

/* Allocates it, for cow_image_close(). Errors: those of cow_view_new(). */
int cow_view_create(struct cow_image *origin, struct cow_store *store, const struct image_ops *ops,
		    struct view **ret_view, struct cow_err *err);
/* Finds the first run of exceptions at or behind a chunk, clipped to begin there. */
bool cow_view_next_run(const struct view *view, uint64_t chunk, struct exmap_run *ret_run);
/* Finds the piece that begins at offset_bytes and ends at end_bytes at the latest; there
 * is one byte between the two at least. */
void cow_view_piece(const struct view *view, uint64_t offset_bytes, uint64_t end_bytes,
		    struct view_piece *ret_piece);

/* Operations of both; contracts in image.h. */
int cow_view_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		   struct cow_err *err);
int cow_view_next_data(struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
		       uint64_t *ret_len_bytes, struct cow_err *err);
struct cow_image *cow_view_resolve(struct cow_image *image, uint64_t offset_bytes,
				   uint64_t *len_bytes, uint64_t *ret_offset_bytes);
void cow_view_close(struct cow_image *image);

#endif
