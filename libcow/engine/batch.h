/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * batch.h - moves bytes between images through one buffer: read from the disk
 * in the order of the source, written in the order of the target, neighbours
 * joined, so that both images see near-sequential I/O.
 */
#ifndef COW_ENGINE_BATCH_H
#define COW_ENGINE_BATCH_H

#include "libcow/image/salvage.h"
#include "libcow/store/store.h"

struct batch_piece; /* one piece of a move, in the buffer */

struct batch {
	uint8_t *buf;
	uint64_t buf_bytes;
	struct batch_piece *pieces;
	size_t nr_pieces;
	struct iovec *iov;

	const struct cow_callbacks *callbacks;
	uint64_t total_bytes; /* of the whole job */
	uint64_t read_bytes, written_bytes, cloned_bytes, zeroed_bytes;
	uint64_t settled_bytes;	  /* see struct store_moves */
	uint64_t nr_runs;	  /* contiguous ranges that were written */
	struct cow_image *run_to; /* where the last round ended */
	uint64_t run_end_bytes;
	bool is_sparse; /* zeros become holes */
	int reflink;	/* COW_REFLINK_*; AUTO becomes NEVER where sharing fails */

	/* Goes on past what cannot be read; all moves come from one image then,
	 * and reflink is COW_REFLINK_NEVER. */
	bool skips;
	struct cow_ranges unreadable; /* on that image */
	struct cow_ranges untouched;  /* where it would have gone: not written */
};

/* Prepares an empty batch with a buffer of at most buf_bytes. callbacks (may
 * be NULL) hear of phase "move" once a megabyte. Errors: -ENOMEM. */
int cow_batch_init(struct batch *batch, uint64_t buf_bytes, uint64_t total_bytes, int reflink,
		   const struct cow_callbacks *callbacks, struct cow_err *err);
void cow_batch_free(struct batch *batch);

/* Does all of these moves; sorts the array. Nothing is flushed. Errors:
 * -ECANCELED or an image's own; any part may have been written then. */
int cow_batch_move(struct batch *batch, struct store_moves *moves, struct cow_err *err);

#endif
