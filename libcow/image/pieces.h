/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pieces.h - operations of images that are put together of pieces of others:
 * a window, a concatenation, stripes. The kind provides resolve; these go from
 * piece to piece, through the wrappers of the image below.
 */
#ifndef COW_IMAGE_PIECES_H
#define COW_IMAGE_PIECES_H

#include "libcow/image/image.h"

/* Each as the operation of image_ops that it is for. */
int cow_pieces_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err);
int cow_pieces_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		      uint64_t offset_bytes, struct cow_err *err);
/* As one operation if the whole range lies in one piece. */
int cow_pieces_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
		       uint64_t offset_bytes, struct cow_err *err);
int cow_pieces_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    struct cow_err *err);
int cow_pieces_clone_range(struct cow_image *image, uint64_t offset_bytes, struct cow_image *source,
			   uint64_t source_offset_bytes, uint64_t len_bytes, struct cow_err *err);
int cow_pieces_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		       struct cow_err *err);
int cow_pieces_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err);
/* One search in each piece from offset_bytes on: for few and large pieces. */
int cow_pieces_next_data(struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			 uint64_t *ret_len_bytes, struct cow_err *err);

/* Follows resolve from an image down to one that it stands on: where is its byte at
 * offset_bytes there? May shorten *len_bytes. false: elsewhere. Cannot fail. */
bool cow_pieces_find(struct cow_image *image, const struct cow_image *below, uint64_t offset_bytes,
		     uint64_t *len_bytes, uint64_t *ret_offset_bytes);

/* Copies the array of images that a concatenation or stripes are made of; the
 * copy is the caller's, free(). Errors: -EINVAL none, one that is named twice,
 * or an empty one; -ENOMEM. */
int cow_pieces_adopt(struct cow_image *const *images, size_t nr_images,
		     struct cow_image ***ret_copy, struct cow_err *err);
/* Sets what an image takes from those that it is made of: writable if all are, on
 * a device if one is, the largest logical block and number of copies. */
void cow_pieces_inherit(struct cow_image *image, struct cow_image *const *images, size_t nr_images);
/* Flushes each of them, once; ends with the first failure. */
int cow_pieces_flush(struct cow_image *const *images, size_t nr_images, struct cow_err *err);

#endif
