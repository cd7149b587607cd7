/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * diff.c - where two images of one size differ, and a store filled from that.
 * One walk, ascending: what both images say to be a hole costs nothing; what
 * both find in the same place (a view and its origin, away from exceptions) is
 * not read; a hole is compared with zeros without being read; the rest is
 * compared in pieces of 1 MiB. Memory: two pieces.
 */
#include "libcow/engine/diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

/* One of the two images, and the last answer of its next_data. */
struct side {
	struct cow_image *image;
	uint8_t *buf; /* one piece */
	uint64_t data_bytes, data_end_bytes;
	bool is_known;
	bool is_hole; /* in the present stretch */
};

struct walk {
	struct side base, image;
	uint64_t size_bytes;
	uint64_t granule_bytes;
	const struct diff_walk_params *params;
	bool is_count; /* nothing is read: done_bytes becomes the total of the walk */
	uint64_t done_bytes, total_bytes;
};

/* Makes data the first data that ends behind offset_bytes; without any it
 * begins and ends at the end of the image. */
static int side_advance(struct side *side, uint64_t offset_bytes, struct cow_err *err)
{
	uint64_t len_bytes;
	int ret;

	if (side->is_known &&
	    (side->data_end_bytes > offset_bytes || side->data_bytes == side->image->size_bytes))
		return 0;
	ret = cow_image_next_data(side->image, offset_bytes, &side->data_bytes, &len_bytes, err);
	if (ret)
		return ret;
	side->data_end_bytes = side->data_bytes + len_bytes;
	side->is_known = true;
	return 0;
}

/* Rounds up to granules, but not beyond the end of the images. */
static uint64_t granule_end(const struct walk *walk, uint64_t offset_bytes)
{
	uint64_t rounded;

	if (align_up_overflows(offset_bytes, walk->granule_bytes, &rounded))
		return walk->size_bytes;
	return min_u64(rounded, walk->size_bytes);
}

/* How far a side is the same, all hole or (as far as is known) all data, from
 * a granule that begins at offset_bytes. A granule of both kinds is data. */
static uint64_t side_stretch(const struct walk *walk, struct side *side, uint64_t offset_bytes)
{
	uint64_t data_granule = floor_to(side->data_bytes, walk->granule_bytes);

	if (side->data_bytes == walk->size_bytes)
		data_granule = walk->size_bytes;
	side->is_hole = data_granule > offset_bytes;
	return side->is_hole ? data_granule : granule_end(walk, side->data_end_bytes);
}

/*
 * How far the two images find their bytes in one place, in whole granules; 0:
 * they do not. NOTE: resolve() may answer with one piece at a time.
 */
static uint64_t same_place(const struct walk *walk, uint64_t offset_bytes, uint64_t end_bytes)
{
	uint64_t len = end_bytes - offset_bytes, base_bytes, image_bytes;
	struct cow_image *base, *image;

	base = cow_image_resolve(walk->base.image, offset_bytes, &len, &base_bytes);
	image = cow_image_resolve(walk->image.image, offset_bytes, &len, &image_bytes);
	if (base != image || base_bytes != image_bytes)
		return 0;
	if (offset_bytes + len == walk->size_bytes)
		return len;
	return floor_to(len, walk->granule_bytes);
}

static int side_read(struct side *side, uint64_t offset_bytes, uint64_t len_bytes,
		     struct cow_err *err)
{
	if (side->is_hole)
		return 0;
	return cow_image_pread(side->image, side->buf, (size_t)len_bytes, offset_bytes, err);
}

/* Compares one granule at a place in the buffers. */
static enum diff_kind granule_kind(const struct walk *walk, uint64_t at, size_t len_bytes)
{
	const struct side *base = &walk->base, *image = &walk->image;

	if (image->is_hole)
		return is_all_zero(base->buf + at, len_bytes) ? DIFF_SAME : DIFF_ZERO;
	if (base->is_hole)
		return is_all_zero(image->buf + at, len_bytes) ? DIFF_SAME : DIFF_DATA;
	if (!memcmp(base->buf + at, image->buf + at, len_bytes))
		return DIFF_SAME;
	return is_all_zero(image->buf + at, len_bytes) ? DIFF_ZERO : DIFF_DATA;
}

/* Compares what both buffers (or holes) hold, and gives away the runs. */
static int piece_compare(struct walk *walk, uint64_t offset_bytes, uint64_t len_bytes,
			 struct cow_err *err)
{
	const struct diff_walk_params *params = walk->params;
	uint64_t start = 0, at = 0, step;
	enum diff_kind kind = DIFF_SAME, next;
	int ret = 0;

	for (; at < len_bytes && !ret; at += step) {
		step = min_u64(walk->granule_bytes, len_bytes - at);
		next = granule_kind(walk, at, (size_t)step);
		if (next == kind)
			continue;
		if (kind != DIFF_SAME)
			ret = params->piece(params->user, kind, offset_bytes + start,
					    walk->image.buf + start, at - start, err);
		kind = next;
		start = at;
	}
	if (!ret && kind != DIFF_SAME)
		ret = params->piece(params->user, kind, offset_bytes + start,
				    walk->image.buf + start, len_bytes - start, err);
	return ret;
}

static int tell(const struct walk *walk, struct cow_err *err)
{
	return cow_callbacks_progress(walk->params->callbacks, walk->params->phase,
				      walk->done_bytes, walk->total_bytes, err);
}

static int piece_read(struct walk *walk, uint64_t offset_bytes, uint64_t len_bytes,
		      struct cow_err *err)
{
	int ret = tell(walk, err);

	if (!ret)
		ret = side_read(&walk->base, offset_bytes, len_bytes, err);
	if (!ret)
		ret = side_read(&walk->image, offset_bytes, len_bytes, err);
	return ret ? ret : piece_compare(walk, offset_bytes, len_bytes, err);
}

/* Compares a stretch in which neither side changes between hole and data. */
static int stretch_compare(struct walk *walk, uint64_t offset_bytes, uint64_t end_bytes,
			   struct cow_err *err)
{
	uint64_t len;
	int ret = 0;

	for (; offset_bytes < end_bytes && !ret; offset_bytes += len) {
		len = same_place(walk, offset_bytes, end_bytes);
		if (len)
			continue;
		len = min_u64(floor_to(COW_PIECE_BYTES, walk->granule_bytes),
			      end_bytes - offset_bytes);
		if (!walk->is_count)
			ret = piece_read(walk, offset_bytes, len, err);
		walk->done_bytes += len;
	}
	return ret;
}

static int walk_all(struct walk *walk, struct cow_err *err)
{
	uint64_t at = 0, end;
	int ret;

	for (; at < walk->size_bytes; at = end) {
		ret = side_advance(&walk->base, at, err);
		if (!ret)
			ret = side_advance(&walk->image, at, err);
		if (ret)
			return ret;
		end = min_u64(side_stretch(walk, &walk->base, at),
			      side_stretch(walk, &walk->image, at));
		if (walk->base.is_hole && walk->image.is_hole)
			continue;
		ret = stretch_compare(walk, at, end, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* The same walk twice, first without reading. */
static int walk_counted(struct walk *walk, struct cow_err *err)
{
	int ret;

	walk->is_count = true;
	ret = walk_all(walk, err);
	walk->is_count = walk->base.is_known = walk->image.is_known = false;
	walk->total_bytes = walk->done_bytes;
	walk->done_bytes = 0;
	if (!ret)
		ret = walk_all(walk, err);
	return ret ? ret : tell(walk, err);
}

int cow_diff_walk(struct cow_image *base, struct cow_image *image,
		  const struct diff_walk_params *params, struct cow_err *err)
{
	AUTO_FREE uint8_t *buf = NULL;
	struct walk walk = {
		.base.image = base,
		.image.image = image,
		.size_bytes = image->size_bytes,
		.granule_bytes = params->granule_bytes,
		.params = params,
	};

	if (base->size_bytes != image->size_bytes)
		return cow_refuse(err, -EPERM, "size", NULL,
				  "%s has %" PRIu64 " bytes, but %s has %" PRIu64
				  " bytes: only images of one size can be compared",
				  base->name, base->size_bytes, image->name, image->size_bytes);
	buf = (uint8_t *)aligned_alloc(COW_BUFFER_ALIGN, 2 * COW_PIECE_BYTES);
	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory to compare two pieces of 1 MiB");
	walk.base.buf = buf;
	walk.image.buf = buf + COW_PIECE_BYTES;
	return walk_counted(&walk, err);
}

/* ------------------------------------------------------- ranges for users */

struct joiner {
	const struct cow_diff_params *params;
	uint64_t start_bytes, end_bytes;
	enum diff_kind kind; /* DIFF_SAME: no range is open */
};

static int joiner_flush(struct joiner *joiner, struct cow_err *err)
{
	const struct cow_diff_params *params = joiner->params;
	int ret = 0;

	if (joiner->kind != DIFF_SAME && params->range)
		ret = params->range(params->user, joiner->start_bytes,
				    joiner->end_bytes - joiner->start_bytes,
				    joiner->kind == DIFF_ZERO);
	joiner->kind = DIFF_SAME;
	return ret < 0 ? cow_fail(err, ret, "the comparison was stopped by its reader") : 0;
}

static int joiner_piece(void *user, enum diff_kind kind, uint64_t offset_bytes, const uint8_t *buf,
			uint64_t len_bytes, struct cow_err *err)
{
	struct joiner *joiner = (struct joiner *)user;
	int ret;

	(void)buf;
	if (joiner->kind == kind && joiner->end_bytes == offset_bytes) {
		joiner->end_bytes += len_bytes;
		return 0;
	}
	ret = joiner_flush(joiner, err);
	joiner->kind = kind;
	joiner->start_bytes = offset_bytes;
	joiner->end_bytes = offset_bytes + len_bytes;
	return ret;
}

int cow_diff(struct cow_image *base, struct cow_image *image, const struct cow_diff_params *params,
	     struct cow_err *err)
{
	struct joiner joiner = { .params = params };
	struct diff_walk_params walk = {
		.phase = "compare",
		.granule_bytes =
			params->granule_bytes ? params->granule_bytes : COW_DIFF_GRANULE_BYTES,
		.callbacks = params->callbacks,
		.piece = joiner_piece,
		.user = &joiner,
	};
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), 0, 0, "struct cow_diff_params", err);
	if (ret)
		return ret;
	if (!is_pow2(walk.granule_bytes) || walk.granule_bytes < COW_SECTOR_BYTES ||
	    walk.granule_bytes > COW_PIECE_BYTES)
		return cow_fail(err, -EINVAL,
				"a granule of %" PRIu64 " bytes is not a power of two from %" PRIu64
				" to %" PRIu64,
				walk.granule_bytes, COW_SECTOR_BYTES, COW_PIECE_BYTES);
	ret = cow_diff_walk(base, image, &walk, err);
	return ret ? ret : joiner_flush(&joiner, err);
}
