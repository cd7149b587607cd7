/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * copy.c - writes an image out to another: what "-o NEW" and a raw export do.
 * Long stretches that lie in one piece on a file below are shared where the
 * file system can; the rest is read and written in pieces, and what is zero
 * stays a hole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/image/image.h"

/* Smallest hole, and the alignment that file systems share extents at. */
#define UNIT_BYTES UINT64_C(4096)

struct copy {
	struct cow_image *source, *target;
	bool keeps_holes;
	int reflink;
	const struct cow_callbacks *callbacks;
	struct cow_copy_result result;
	uint8_t *buf;
	uint64_t done_bytes, total_bytes; /* what becomes a hole is not in them */
};

static int copy_progress(struct copy *copy, uint64_t len_bytes, struct cow_err *err)
{
	copy->done_bytes += len_bytes;
	return cow_callbacks_progress(copy->callbacks, "write", copy->done_bytes, copy->total_bytes,
				      err);
}

static int copy_zeroes(struct copy *copy, uint64_t offset, uint64_t len, struct cow_err *err)
{
	uint64_t piece;
	int ret;

	copy->result.zero_bytes += len;
	if (copy->keeps_holes)
		return 0;
	for (; len; offset += piece, len -= piece) {
		piece = min_u64(len, 64 * COW_PIECE_BYTES);
		ret = cow_image_write_zeroes(copy->target, offset, piece, err);
		if (!ret)
			ret = copy_progress(copy, piece, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int copy_piece(struct copy *copy, uint64_t offset, uint64_t len, struct cow_err *err)
{
	uint64_t at, part;
	bool is_zero;
	int ret;

	ret = cow_image_pread(copy->source, copy->buf, len, offset, err);
	for (at = 0; !ret && at < len; at += part) {
		part = zero_stretch(copy->buf + at, len - at, UNIT_BYTES, &is_zero);
		if (is_zero) {
			copy->result.zero_bytes += part;
			if (!copy->keeps_holes)
				ret = cow_image_write_zeroes(copy->target, offset + at, part, err);
			continue;
		}
		copy->result.copied_bytes += part;
		ret = cow_image_pwrite(copy->target, copy->buf + at, part, offset + at, err);
	}
	return ret;
}

/* How much of [offset, offset + len) can be shared in one go; 0: copy it. */
static uint64_t clonable(const struct copy *copy, uint64_t offset, uint64_t len,
			 uint64_t *ret_piece)
{
	uint64_t low_offset, shared;

	*ret_piece = len;
	if (copy->reflink == COW_REFLINK_NEVER)
		return 0;
	cow_image_resolve(copy->source, offset, ret_piece, &low_offset);
	shared = floor_to(*ret_piece, UNIT_BYTES);
	if (offset % UNIT_BYTES || low_offset % UNIT_BYTES ||
	    shared < (copy->reflink == COW_REFLINK_ALWAYS ? UNIT_BYTES : COW_CLONE_BYTES_MIN))
		return 0;
	return shared;
}

static int clone_piece(struct copy *copy, uint64_t offset, uint64_t len, uint64_t *ret_done,
		       struct cow_err *err)
{
	struct cow_err why = COW_ERR_INIT;
	int ret;

	*ret_done = 0;
	ret = cow_image_clone_range(copy->target, offset, copy->source, offset, len, &why);
	if (!ret) {
		*ret_done = len;
		copy->result.cloned_bytes += len;
		return 0;
	}
	if (ret == -EOPNOTSUPP && copy->reflink == COW_REFLINK_AUTO) {
		copy->reflink = COW_REFLINK_NEVER; /* nor anywhere else */
		return 0;
	}
	if (err)
		*err = why;
	return ret;
}

/* A range that may hold data. */
static int copy_range(struct copy *copy, uint64_t offset, uint64_t end, struct cow_err *err)
{
	uint64_t shared, piece, done;
	int ret;

	while (offset < end) {
		shared = clonable(copy, offset, end - offset, &piece);
		if (shared) {
			ret = clone_piece(copy, offset, shared, &done, err);
		} else {
			/* Small pieces are copied together. */
			done = min_u64(piece, COW_PIECE_BYTES);
			while (done < COW_PIECE_BYTES && offset + done < end &&
			       !clonable(copy, offset + done, end - offset - done, &piece))
				done = min_u64(done + piece, COW_PIECE_BYTES);
			ret = copy_piece(copy, offset, done, err);
		}
		offset += done;
		if (!ret)
			ret = copy_progress(copy, done, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int copy_run(struct copy *copy, struct cow_err *err)
{
	uint64_t at = 0, data, len, size = copy->source->size_bytes;
	int ret = 0;

	copy->total_bytes = size;
	if (copy->keeps_holes)
		ret = cow_image_data_bytes(copy->source, &copy->total_bytes, err);
	while (!ret && at < size) {
		ret = cow_image_next_data(copy->source, at, &data, &len, err);
		if (!ret && data > at)
			ret = copy_zeroes(copy, at, data - at, err);
		if (!ret && len)
			ret = copy_range(copy, data, data + len, err);
		at = data + len;
	}
	return ret;
}

int cow_copy(struct cow_image *source, struct cow_image *target,
	     const struct cow_copy_params *params, struct cow_copy_result *ret_result,
	     struct cow_err *err)
{
	struct copy copy = { .source = source, .target = target };
	AUTO_FREE uint8_t *buf = NULL;
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), params->flags, COW_COPY_HOLES,
			       "struct cow_copy_params", err);
	if (!ret)
		ret = cow_params_check(ret_result->size, sizeof(*ret_result), 0, 0,
				       "struct cow_copy_result", err);
	if (ret)
		return ret;
	if (target->size_bytes < source->size_bytes)
		return cow_fail(err, -EINVAL, "%s has %" PRIu64 " bytes, %s needs %" PRIu64,
				target->name, target->size_bytes, source->name, source->size_bytes);
	buf = aligned_alloc(COW_BUFFER_ALIGN, COW_PIECE_BYTES);
	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for a buffer");
	copy.buf = buf;
	copy.keeps_holes = params->flags & COW_COPY_HOLES;
	copy.reflink = params->reflink;
	copy.callbacks = params->callbacks;
	copy.result.size = sizeof(copy.result);
	ret = copy_run(&copy, err);
	*ret_result = copy.result;
	return ret;
}
