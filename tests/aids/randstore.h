/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * randstore.h - a small random origin and store in plain buffers, with what
 * the view must be according to a naive model: an array of bytes.
 */
#ifndef TESTS_AIDS_RANDSTORE_H
#define TESTS_AIDS_RANDSTORE_H

#include "libcow.h"

struct randstore {
	uint64_t chunk_bytes;
	uint64_t origin_bytes; /* often no multiple of the chunk size */
	uint64_t cow_bytes;    /* enough for all chunks of the origin */
	uint64_t nr_chunks;    /* of the origin, the short one counted */
	uint64_t nr_exceptions;
	uint8_t *origin, *cow, *view;
	bool *has_exception; /* per chunk of the origin */
};

/* Draws sizes and contents. nr_chunks_max bounds the origin; exceptions come
 * in runs and alone, in random order, over one or many areas. */
void randstore_make(struct randstore *rs, uint64_t *random, uint64_t nr_chunks_max);
/* The same without exceptions, of a size that is given. */
void randstore_empty(struct randstore *rs, uint64_t *random, uint64_t chunk_bytes,
		     uint64_t origin_bytes);
/* The same with chunks of a given size, 512 to 8192 bytes. */
void randstore_make_chunks(struct randstore *rs, uint64_t *random, uint64_t nr_chunks_max,
			   uint64_t chunk_bytes);
void randstore_free(struct randstore *rs);

/* Fills a buffer with random bytes. */
void random_fill(uint8_t *buf, uint64_t len_bytes, uint64_t *random);

/* Appends a chunk as a view has it; behind the end of a short origin stands
 * rubbish, which nobody may ever see (I11). */
int chunk_append(const struct randstore *rs, struct cow_store *store, uint64_t chunk,
		 const uint8_t *view, struct cow_err *err);

/* Writes random data for a run of chunks to the store and the model; those
 * that have an exception already are left out. */
void randstore_append(struct randstore *rs, struct cow_store *store, uint64_t chunk, uint64_t nr,
		      uint64_t *random);

/* Opens the pair; origin may be NULL. Returns what cow_store_open() did. */
int pair_open(struct cow_image *origin, struct cow_image *cow, struct cow_store **ret_store,
	      struct cow_err *err);

/* Ends the program unless the view of the pair reads as these bytes. */
void pair_check_view(struct cow_image *origin, struct cow_image *cow, const uint8_t *view);

/* Ends the program unless a check finds no damage and promises that the
 * kernel loads, reads and merges the store right; origin may be NULL. */
void pair_check_sound(struct cow_image *origin, struct cow_image *cow);

/* The same, but a list that may be cut short is none of its business: the kernel loads the
 * store, and it is valid. */
void pair_check_loads(struct cow_image *origin, struct cow_image *cow);

/* Are there records behind the end of the list, in the same area? */
bool pair_is_torn(struct cow_image *cow);

/* Ends the program unless the store is valid, empty, and its first metadata
 * area is all zeros. */
void pair_check_empty(struct cow_image *cow, uint64_t chunk_bytes);

#endif
