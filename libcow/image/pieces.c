/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pieces.c - reads and writes that go from piece to piece, for every kind of
 * image that is put together of pieces of others. All goes through the wrappers
 * of the images below, so a flush that fails there is final for all that stands
 * on them (I8).
 */
#include "libcow/image/pieces.h"

#include <errno.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"

static struct cow_image *piece_resolve(struct cow_image *image, uint64_t offset_bytes,
				       uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	return image->ops->resolve(image, offset_bytes, len_bytes, ret_offset_bytes);
}

/* Runs call on each piece below a range: "piece" bytes at "low_bytes" of
 * base; moves offset_bytes and len_bytes on. */
#define FOR_PIECES(call)                                                                           \
	({                                                                                         \
		int ret_ = 0;                                                                      \
		while (len_bytes && !ret_) {                                                       \
			uint64_t piece = len_bytes, low_bytes;                                     \
			struct cow_image *base =                                                   \
				piece_resolve(image, offset_bytes, &piece, &low_bytes);            \
			ret_ = (call);                                                             \
			offset_bytes += piece;                                                     \
			len_bytes -= piece;                                                        \
		}                                                                                  \
		ret_;                                                                              \
	})

int cow_pieces_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err)
{
	uint8_t *to = (uint8_t *)buf;
	uint64_t start_bytes = offset_bytes;

	return FOR_PIECES(
		cow_image_pread(base, to + (offset_bytes - start_bytes), piece, low_bytes, err));
}

int cow_pieces_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		      uint64_t offset_bytes, struct cow_err *err)
{
	const uint8_t *from = (const uint8_t *)buf;
	uint64_t start_bytes = offset_bytes;

	return FOR_PIECES(
		cow_image_pwrite(base, from + (offset_bytes - start_bytes), piece, low_bytes, err));
}

int cow_pieces_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
		       uint64_t offset_bytes, struct cow_err *err)
{
	uint64_t len_bytes = 0, piece, low_bytes;
	struct cow_image *base;
	int ret = 0;

	for (size_t i = 0; i < nr_iov; i++)
		len_bytes += iov[i].iov_len;
	piece = len_bytes;
	base = piece_resolve(image, offset_bytes, &piece, &low_bytes);
	if (piece == len_bytes)
		return cow_image_pwritev(base, iov, nr_iov, low_bytes, err);
	for (size_t i = 0; i < nr_iov && !ret; i++) {
		ret = cow_pieces_pwrite(image, iov[i].iov_base, iov[i].iov_len, offset_bytes, err);
		offset_bytes += iov[i].iov_len;
	}
	return ret;
}

int cow_pieces_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    struct cow_err *err)
{
	return FOR_PIECES(cow_image_write_zeroes(base, low_bytes, piece, err));
}

int cow_pieces_clone_range(struct cow_image *image, uint64_t offset_bytes, struct cow_image *source,
			   uint64_t source_offset_bytes, uint64_t len_bytes, struct cow_err *err)
{
	uint64_t start_bytes = offset_bytes;

	return FOR_PIECES(cow_image_clone_range(base, low_bytes, source,
						source_offset_bytes + (offset_bytes - start_bytes),
						piece, err));
}

int cow_pieces_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		       struct cow_err *err)
{
	return FOR_PIECES(cow_image_discard(base, low_bytes, piece, err));
}

int cow_pieces_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err)
{
	return FOR_PIECES(cow_image_drop_cache(base, low_bytes, piece, err));
}

int cow_pieces_next_data(struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			 uint64_t *ret_len_bytes, struct cow_err *err)
{
	*ret_len_bytes = 0;
	while (offset_bytes < image->size_bytes) {
		uint64_t piece = image->size_bytes - offset_bytes, low_bytes, found, len;
		struct cow_image *base;
		int ret;

		base = piece_resolve(image, offset_bytes, &piece, &low_bytes);
		ret = cow_image_next_data(base, low_bytes, &found, &len, err);
		if (ret)
			return ret;
		if (len && found - low_bytes < piece) {
			*ret_offset_bytes = offset_bytes + (found - low_bytes);
			*ret_len_bytes = min_u64(len, piece - (found - low_bytes));
			return 0;
		}
		offset_bytes += piece;
	}
	return 0;
}

bool cow_pieces_find(struct cow_image *image, const struct cow_image *below, uint64_t offset_bytes,
		     uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	while (image != below && image->ops->resolve) {
		struct cow_image *next =
			image->ops->resolve(image, offset_bytes, len_bytes, &offset_bytes);

		if (next == image)
			break;
		image = next;
	}
	*ret_offset_bytes = offset_bytes;
	return image == below;
}

static int image_compare(const void *a, const void *b)
{
	uintptr_t left = (uintptr_t) * (struct cow_image *const *)a;
	uintptr_t right = (uintptr_t) * (struct cow_image *const *)b;

	return (left > right) - (left < right);
}

static int check_parts(struct cow_image **sorted, size_t nr_images, struct cow_err *err)
{
	qsort(sorted, nr_images, sizeof(struct cow_image *), image_compare);
	for (size_t i = 0; i < nr_images; i++) {
		if (!sorted[i]->size_bytes)
			return cow_fail(err, -EINVAL, "\"%s\", a part of it, is empty",
					sorted[i]->name);
		if (i && sorted[i] == sorted[i - 1])
			return cow_fail(err, -EINVAL, "\"%s\" is named twice", sorted[i]->name);
	}
	return 0;
}

int cow_pieces_adopt(struct cow_image *const *images, size_t nr_images,
		     struct cow_image ***ret_copy, struct cow_err *err)
{
	AUTO_FREE struct cow_image **copy = NULL;
	int ret;

	if (!nr_images)
		return cow_fail(err, -EINVAL, "no image is named");
	copy = (struct cow_image **)reallocarray(NULL, nr_images, sizeof(struct cow_image *));
	if (!copy)
		return cow_fail(err, -ENOMEM, "no memory for %zu images", nr_images);
	memcpy(copy, images, nr_images * sizeof(struct cow_image *));
	ret = check_parts(copy, nr_images, err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	memcpy(copy, images, nr_images * sizeof(struct cow_image *));
	*ret_copy = take_ptr(copy);
	return 0;
}

void cow_pieces_inherit(struct cow_image *image, struct cow_image *const *images, size_t nr_images)
{
	image->is_writable = true;
	for (size_t i = 0; i < nr_images; i++) {
		image->is_writable &= images[i]->is_writable;
		image->is_block_device |= images[i]->is_block_device;
		if (images[i]->nr_copies > image->nr_copies)
			image->nr_copies = images[i]->nr_copies;
		if (images[i]->logical_block_bytes > image->logical_block_bytes)
			image->logical_block_bytes = images[i]->logical_block_bytes;
	}
}

int cow_pieces_flush(struct cow_image *const *images, size_t nr_images, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < nr_images && !ret; i++)
		ret = cow_image_flush(images[i], err);
	return ret;
}
