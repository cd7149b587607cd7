/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image.c - the wrappers that every caller goes through: range check, all or
 * failure, statistics, and the place in the error. A kind of image above
 * another one (window, overlay, view) calls these wrappers too, so each rule
 * holds at every level. A failed flush is final (I8): what it left in the
 * cache is unknown, so nothing more may be built on this image.
 */
#include "libcow/image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"

int cow_image_init(struct cow_image *image, const struct image_ops *ops, const char *name,
		   uint64_t size_bytes, struct cow_err *err)
{
	if (size_bytes > COW_IMAGE_BYTES_MAX)
		return cow_fail(err, -ERANGE,
				"an image of %" PRIu64 " bytes is larger than the largest one, "
				"%" PRIu64 " bytes",
				size_bytes, (uint64_t)COW_IMAGE_BYTES_MAX);
	memset(image, 0, sizeof(*image));
	image->name = strdup(name);
	if (!image->name)
		return cow_fail(err, -ENOMEM, "no memory for the name of an image");
	image->ops = ops;
	image->size_bytes = floor_to(size_bytes, COW_SECTOR_BYTES);
	image->logical_block_bytes = COW_SECTOR_BYTES;
	return 0;
}

void cow_image_close(struct cow_image *image)
{
	if (!image)
		return;
	if (image->ops->close)
		image->ops->close(image);
	free(image->name);
	free(image);
}

const char *cow_image_name(const struct cow_image *image)
{
	return image->name;
}

const char *cow_image_unchecked(struct cow_image *image)
{
	uint64_t len = image->size_bytes, offset;

	return cow_image_resolve(image, 0, &len, &offset)->unchecked;
}

uint64_t cow_image_size(const struct cow_image *image)
{
	return image->size_bytes;
}

uint32_t cow_image_logical_block_size(const struct cow_image *image)
{
	return image->logical_block_bytes;
}

bool cow_image_is_writable(const struct cow_image *image)
{
	return image->is_writable;
}

bool cow_image_is_block_device(const struct cow_image *image)
{
	return image->is_block_device;
}

int cow_image_get_stats(const struct cow_image *image, struct cow_image_stats *ret_stats)
{
	size_t size = ret_stats->size;

	if (size < sizeof(size))
		return -EINVAL;
	memcpy(ret_stats, &image->stats, size < sizeof(image->stats) ? size : sizeof(image->stats));
	ret_stats->size = size;
	return 0;
}

/* What comes out of a kind of image: with the place, unless a lower image has
 * said its own. */
static int image_answer(const struct cow_image *image, uint64_t offset_bytes, int code,
			struct cow_err *err)
{
	if (code)
		cow_err_place(err, image->name, offset_bytes);
	return code;
}

static int image_check_range(const struct cow_image *image, const char *what, uint64_t len_bytes,
			     uint64_t offset_bytes, struct cow_err *err)
{
	if (range_fits(offset_bytes, len_bytes, image->size_bytes))
		return 0;
	return image_answer(image, offset_bytes,
			    cow_fail(err, -ERANGE,
				     "%s of %" PRIu64 " bytes at byte %" PRIu64
				     " goes beyond the end of the image, %" PRIu64 " bytes",
				     what, len_bytes, offset_bytes, image->size_bytes),
			    err);
}

static int image_check_write(const struct cow_image *image, const char *what, uint64_t len_bytes,
			     uint64_t offset_bytes, struct cow_err *err)
{
	if (!image->is_writable || !image->ops->pwrite)
		return image_answer(image, offset_bytes,
				    cow_fail(err, -EROFS,
					     "%s at byte %" PRIu64
					     ": the image is open for reading only",
					     what, offset_bytes),
				    err);
	if (image->has_failed_flush)
		return image_answer(image, offset_bytes,
				    cow_fail(err, -EIO,
					     "%s at byte %" PRIu64
					     ": refused, because an earlier flush of this image "
					     "has failed",
					     what, offset_bytes),
				    err);
	return image_check_range(image, what, len_bytes, offset_bytes, err);
}

int cow_image_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		    struct cow_err *err)
{
	int ret = image_check_range(image, "read", len_bytes, offset_bytes, err);

	if (ret || !len_bytes)
		return ret;
	cow_rate_take(image->rate, COW_RATE_READ, len_bytes);
	ret = image->ops->pread(image, buf, len_bytes, offset_bytes, err);
	/* Several threads may read a stack (cow_stack_view()). */
	if (!ret) {
		__atomic_fetch_add(&image->stats.nr_reads, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&image->stats.read_bytes, len_bytes, __ATOMIC_RELAXED);
	}
	return image_answer(image, offset_bytes, ret, err);
}

int cow_image_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		     uint64_t offset_bytes, struct cow_err *err)
{
	int ret = image_check_write(image, "write", len_bytes, offset_bytes, err);

	if (ret || !len_bytes)
		return ret;
	cow_rate_take(image->rate, COW_RATE_WRITE, len_bytes);
	ret = image->ops->pwrite(image, buf, len_bytes, offset_bytes, err);
	if (!ret) {
		image->stats.nr_writes++;
		image->stats.written_bytes += len_bytes;
	}
	return image_answer(image, offset_bytes, ret, err);
}

static int image_pwrite_each(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
			     uint64_t offset_bytes, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < nr_iov && !ret; i++) {
		if (iov[i].iov_len)
			ret = image->ops->pwrite(image, iov[i].iov_base, iov[i].iov_len,
						 offset_bytes, err);
		offset_bytes += iov[i].iov_len;
	}
	return ret;
}

int cow_image_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
		      uint64_t offset_bytes, struct cow_err *err)
{
	uint64_t len_bytes = 0;
	int ret;

	for (size_t i = 0; i < nr_iov; i++)
		if (add_overflows(len_bytes, iov[i].iov_len, &len_bytes))
			len_bytes = UINT64_MAX;
	ret = image_check_write(image, "write", len_bytes, offset_bytes, err);
	if (ret || !len_bytes)
		return ret;
	cow_rate_take(image->rate, COW_RATE_WRITE, len_bytes);
	if (image->ops->pwritev)
		ret = image->ops->pwritev(image, iov, nr_iov, offset_bytes, err);
	else
		ret = image_pwrite_each(image, iov, nr_iov, offset_bytes, err);
	if (!ret) {
		image->stats.nr_writes++;
		image->stats.written_bytes += len_bytes;
	}
	return image_answer(image, offset_bytes, ret, err);
}

int cow_image_write_zero_bytes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err)
{
	uint64_t piece = min_u64(len_bytes, COW_PIECE_BYTES);
	/* bounded: COW_PIECE_BYTES at most */
	AUTO_FREE void *zeros = calloc(1, piece ? piece : 1);
	int ret = 0;

	if (!zeros)
		return cow_fail(err, -ENOMEM, "no memory for %" PRIu64 " bytes of zeros", piece);
	while (len_bytes && !ret) {
		piece = min_u64(len_bytes, piece);
		cow_rate_take(image->rate, COW_RATE_WRITE, piece);
		ret = image->ops->pwrite(image, zeros, piece, offset_bytes, err);
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return ret;
}

int cow_image_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			   struct cow_err *err)
{
	int ret = image_check_write(image, "write of zeros", len_bytes, offset_bytes, err);

	if (ret || !len_bytes)
		return ret;
	if (image->ops->write_zeroes)
		ret = image->ops->write_zeroes(image, offset_bytes, len_bytes, err);
	else
		ret = cow_image_write_zero_bytes(image, offset_bytes, len_bytes, err);
	if (!ret) {
		image->stats.nr_writes++;
		image->stats.zeroed_bytes += len_bytes;
	}
	return image_answer(image, offset_bytes, ret, err);
}

/* Down to the lowest image, or to one that has a footprint of its own. */
static struct cow_image *image_descend(struct cow_image *image, bool to_footprint,
				       uint64_t offset_bytes, uint64_t *len_bytes,
				       uint64_t *ret_offset_bytes)
{
	while (image->ops->resolve && !(to_footprint && image->ops->footprint)) {
		struct cow_image *below =
			image->ops->resolve(image, offset_bytes, len_bytes, &offset_bytes);

		if (below == image)
			break;
		image = below;
	}
	*ret_offset_bytes = offset_bytes;
	return image;
}

struct cow_image *cow_image_find_kind(struct cow_image *image, const struct image_ops *ops,
				      uint64_t offset_bytes, uint64_t *len_bytes,
				      uint64_t *ret_offset_bytes)
{
	while (image->ops != ops) {
		struct cow_image *below = image;

		if (image->ops->resolve)
			below = image->ops->resolve(image, offset_bytes, len_bytes, &offset_bytes);
		if (below == image)
			return NULL;
		image = below;
	}
	*ret_offset_bytes = offset_bytes;
	return image;
}

struct cow_image *cow_image_resolve(struct cow_image *image, uint64_t offset_bytes,
				    uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	return image_descend(image, false, offset_bytes, len_bytes, ret_offset_bytes);
}

int cow_image_get_place(struct cow_image *image, uint64_t offset_bytes,
			struct cow_image_place *ret_place)
{
	struct cow_image_place place = COW_IMAGE_PLACE_INIT;
	size_t size = ret_place->size;
	const struct cow_image *low;

	if (size < sizeof(size))
		return -EINVAL;
	if (offset_bytes >= image->size_bytes)
		return -ERANGE;
	place.len_bytes = image->size_bytes - offset_bytes;
	low = cow_image_resolve(image, offset_bytes, &place.len_bytes, &place.offset_bytes);
	place.name = low->name;
	place.size_bytes = low->size_bytes;
	memcpy(ret_place, &place, size < sizeof(place) ? size : sizeof(place));
	ret_place->size = size;
	return 0;
}

int cow_image_footprint(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			cow_image_range_fn *call, void *user, struct cow_err *err)
{
	int ret = 0;

	while (len_bytes && !ret) {
		uint64_t piece = len_bytes, low_bytes;
		struct cow_image *low =
			image_descend(image, true, offset_bytes, &piece, &low_bytes);

		ret = low->ops->footprint
			      ? low->ops->footprint(low, low_bytes, piece, call, user, err)
			      : call(user, low, low_bytes, piece, err);
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return ret;
}

void cow_image_read_ahead(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes)
{
	while (len_bytes) {
		uint64_t piece = len_bytes, low_bytes;
		struct cow_image *low = cow_image_resolve(image, offset_bytes, &piece, &low_bytes);

		if (low->ops->read_ahead)
			low->ops->read_ahead(low, low_bytes, piece);
		offset_bytes += piece;
		len_bytes -= piece;
	}
}

void cow_image_will_read(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes)
{
	if (offset_bytes < image->size_bytes)
		cow_image_read_ahead(image, offset_bytes,
				     min_u64(len_bytes, image->size_bytes - offset_bytes));
}

/* Is there an image on the way down that must be read through? */
static bool shares_nothing(struct cow_image *image, uint64_t offset_bytes)
{
	struct cow_image *below = image;

	do {
		uint64_t len_bytes = 1;

		image = below;
		if (image->ops->shares_nothing)
			return true;
		if (image->ops->resolve)
			below = image->ops->resolve(image, offset_bytes, &len_bytes, &offset_bytes);
	} while (below != image);
	return false;
}

/* One piece after the other, each from one lowest image. */
static int image_clone_pieces(struct cow_image *image, uint64_t offset_bytes,
			      struct cow_image *source, uint64_t source_offset_bytes,
			      uint64_t len_bytes, struct cow_err *err)
{
	int ret = 0;

	while (len_bytes && !ret) {
		uint64_t piece = len_bytes, low_bytes;
		struct cow_image *low =
			cow_image_resolve(source, source_offset_bytes, &piece, &low_bytes);

		if (shares_nothing(source, source_offset_bytes))
			return cow_fail(err, -EOPNOTSUPP,
					"an image with unreadable sectors cannot share extents");
		ret = image->ops->clone_range(image, offset_bytes, low, low_bytes, piece, err);
		offset_bytes += piece;
		source_offset_bytes += piece;
		len_bytes -= piece;
	}
	return ret;
}

int cow_image_clone_range(struct cow_image *image, uint64_t offset_bytes, struct cow_image *source,
			  uint64_t source_offset_bytes, uint64_t len_bytes, struct cow_err *err)
{
	int ret = image_check_write(image, "clone", len_bytes, offset_bytes, err);

	if (!ret)
		ret = image_check_range(source, "clone", len_bytes, source_offset_bytes, err);
	if (ret || !len_bytes)
		return ret;
	if (!image->ops->clone_range)
		ret = cow_fail(err, -EOPNOTSUPP, "this kind of image (%s) cannot share extents",
			       image->ops->name);
	else
		ret = image_clone_pieces(image, offset_bytes, source, source_offset_bytes,
					 len_bytes, err);
	if (!ret) {
		image->stats.nr_clones++;
		image->stats.cloned_bytes += len_bytes;
	}
	return image_answer(image, offset_bytes, ret, err);
}

int cow_image_clone_check(struct cow_image *image, struct cow_image *source, struct cow_err *err)
{
	uint64_t len = 1, low_bytes;
	struct cow_image *to = cow_image_resolve(image, 0, &len, &low_bytes), *from;
	int ret = 0;

	len = 1;
	from = cow_image_resolve(source, 0, &len, &low_bytes);
	if (!image->is_writable)
		return 0;
	if (!image->ops->clone_range || shares_nothing(source, 0))
		ret = cow_fail(err, -EOPNOTSUPP, "this kind of image (%s) cannot share extents",
			       image->ops->name);
	else if (to->ops->clone_check)
		ret = to->ops->clone_check(to, from, err);
	return image_answer(image, COW_OFFSET_NONE, ret, err);
}

int cow_image_next_data(struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			uint64_t *ret_len_bytes, struct cow_err *err)
{
	uint64_t at = offset_bytes, len = image->size_bytes - offset_bytes;
	int ret = image_check_range(image, "search for data", 0, offset_bytes, err);

	if (ret)
		return ret;
	if (len && image->ops->next_data)
		ret = image->ops->next_data(image, offset_bytes, &at, &len, err);
	if (ret)
		return image_answer(image, offset_bytes, ret, err);
	/* A file may have grown since it was opened. */
	if (!len || at >= image->size_bytes) {
		at = image->size_bytes;
		len = 0;
	}
	*ret_offset_bytes = at;
	*ret_len_bytes = min_u64(len, image->size_bytes - at);
	return 0;
}

int cow_image_data_bytes(struct cow_image *image, uint64_t *ret_bytes, struct cow_err *err)
{
	uint64_t at = 0, data, len, sum = 0;
	int ret = 0;

	for (; !ret && at < image->size_bytes; at = data + len) {
		ret = cow_image_next_data(image, at, &data, &len, err);
		if (ret)
			return ret;
		sum += len;
	}
	*ret_bytes = sum;
	return 0;
}

int cow_image_grow(struct cow_image *image, uint64_t size_bytes, struct cow_err *err)
{
	int ret = image_check_write(image, "enlarge", 0, image->size_bytes, err);

	if (ret)
		return ret;
	if (size_bytes < image->size_bytes || size_bytes % COW_SECTOR_BYTES ||
	    size_bytes > COW_IMAGE_BYTES_MAX)
		ret = cow_fail(err, -EINVAL,
			       "an image of %" PRIu64 " bytes cannot be enlarged to %" PRIu64,
			       image->size_bytes, size_bytes);
	else if (!image->ops->grow)
		ret = cow_fail(err, -EOPNOTSUPP, "this kind of image (%s) cannot be enlarged",
			       image->ops->name);
	else
		ret = image->ops->grow(image, size_bytes, err);
	if (!ret)
		image->size_bytes = size_bytes;
	return image_answer(image, COW_OFFSET_NONE, ret, err);
}

int cow_image_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		      struct cow_err *err)
{
	int ret = image_check_write(image, "discard", len_bytes, offset_bytes, err);

	if (ret || !len_bytes)
		return ret;
	if (!image->ops->discard)
		ret = cow_fail(err, -EOPNOTSUPP, "this kind of image (%s) cannot discard",
			       image->ops->name);
	else
		ret = image->ops->discard(image, offset_bytes, len_bytes, err);
	return image_answer(image, offset_bytes, ret, err);
}

int cow_image_flush(struct cow_image *image, struct cow_err *err)
{
	int ret;

	if (!image->is_writable)
		return 0;
	/* I8: the system may answer the second one with success. */
	if (image->has_failed_flush)
		return image_answer(image, COW_OFFSET_NONE,
				    cow_fail(err, -EIO,
					     "flush refused, because an earlier one of this image "
					     "has failed"),
				    err);
	ret = image->ops->flush ? image->ops->flush(image, err) : 0;
	if (ret)
		image->has_failed_flush = true;
	else
		image->stats.nr_flushes++;
	return image_answer(image, COW_OFFSET_NONE, ret, err);
}

int cow_image_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			 struct cow_err *err)
{
	int ret = image_check_range(image, "drop of cached bytes", len_bytes, offset_bytes, err);

	if (ret || !len_bytes || !image->ops->drop_cache)
		return ret;
	return image_answer(image, offset_bytes,
			    image->ops->drop_cache(image, offset_bytes, len_bytes, err), err);
}

uint32_t cow_image_nr_copies(const struct cow_image *image)
{
	return image->nr_copies ? image->nr_copies : 1;
}

int cow_image_copies_check(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			   struct cow_err *err)
{
	int ret = image_check_range(image, "comparison", len_bytes, offset_bytes, err);

	while (image->nr_copies && len_bytes && !ret) {
		uint64_t piece = len_bytes, low_bytes;
		struct cow_image *low = cow_image_resolve(image, offset_bytes, &piece, &low_bytes);

		if (low->ops->copies_check)
			ret = low->ops->copies_check(low, low_bytes, piece, err);
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return ret;
}

bool cow_image_next_bad(struct cow_image *image, uint64_t offset_bytes,
			struct cow_segment *ret_range)
{
	return image->ops->next_bad && image->ops->next_bad(image, offset_bytes, ret_range);
}
