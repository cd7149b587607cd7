/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_end_loss.c - was the end of a list lost, with nothing of it behind?
 *
 * A last area or a last sector that was overwritten with zeros leaves the bytes of
 * a shorter list. But the data of its records stays: the chunks that the next
 * records would name are not zeros. They prove nothing where the device was in
 * use before the store was made. Where it was blank, zeros follow on the data
 * that a sector or an area may have named, and then somebody wrote that data
 * for this store: its records are lost, or a merge or a write was cut off. The
 * origin holds what was merged, and what was copied but never recorded. A store
 * that was shorter and was replaced by this one leaves such data, too, if this
 * one ends at a sector or an area just before the other did: that is rare.
 */
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/cleanup.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_end.h"

/* So much of what would be used next is looked at. */
#define NEXT_BYTES_MAX (UINT64_C(4) << 20)
/* Behind it, so many chunks must be there, and so much is looked at. */
#define BLANK_CHUNKS_MIN 32
#define BLANK_BYTES_MAX (UINT64_C(4) << 20)
/* So much of a chunk is looked for in the origin, and so much of the origin is read. */
#define KEY_BYTES_MAX (UINT64_C(64) << 10)
#define ORIGIN_BYTES_MAX (UINT64_C(16) << 30)

struct loss {
	struct cow_image *cow, *origin;
	const struct snap_layout *layout;
	const struct cow_callbacks *callbacks;
	uint64_t nr_records;
	struct cow_segment where; /* what would be used next */
	uint8_t *next;		  /* its bytes */
	struct cow_err *err;
};

/* Are [offset_bytes, + len_bytes), or its beginning and its end, zeros? */
static int zeros_look(const struct loss *loss, uint64_t offset_bytes, uint64_t len_bytes,
		      uint8_t *buf, bool *ret_is_zero)
{
	uint64_t len = min_u64(len_bytes, BLANK_BYTES_MAX), data, data_len;
	int ret = cow_image_next_data(loss->cow, offset_bytes, &data, &data_len, loss->err);

	*ret_is_zero = !ret && (!data_len || data - offset_bytes >= len_bytes);
	if (ret || *ret_is_zero)
		return ret;
	ret = cow_image_pread(loss->cow, buf, len, offset_bytes, loss->err);
	*ret_is_zero = !ret && is_all_zero(buf, len);
	if (ret || !*ret_is_zero)
		return ret;
	ret = cow_image_pread(loss->cow, buf, len, offset_bytes + len_bytes - len, loss->err);
	*ret_is_zero = !ret && is_all_zero(buf, len);
	return ret;
}

/* Was the device blank behind what one lost sector, or one lost area, may have
 * named? The kernel zeroes an area only when the one in front becomes full. */
static int blank_look(const struct loss *loss, bool *ret_is_blank)
{
	const struct snap_layout *layout = loss->layout;
	AUTO_FREE uint8_t *buf = NULL;
	uint64_t area = loss->nr_records / layout->records_per_area + 1;
	uint64_t from = cow_snap_area_chunk(layout, area) << layout->chunk_shift;
	uint64_t end = floor_to(cow_image_size(loss->cow), layout->chunk_bytes);
	uint64_t next_end = loss->where.offset_bytes + loss->where.len_bytes;
	int ret = 0;

	*ret_is_blank = false;
	if (area >= layout->nr_areas || (end - from) >> layout->chunk_shift < BLANK_CHUNKS_MIN)
		return 0;
	buf = malloc(BLANK_BYTES_MAX);
	if (!buf)
		return cow_fail(loss->err, -ENOMEM, "no memory for the chunks behind the end");
	*ret_is_blank = true;
	if (loss->nr_records % layout->records_per_area && next_end < from)
		ret = zeros_look(loss, next_end, from - next_end, buf, ret_is_blank);
	if (!ret && *ret_is_blank)
		ret = zeros_look(loss, from, end - from, buf, ret_is_blank);
	return ret;
}

/* Looks for one chunk of the origin among those that are missed. */
static void key_find(const struct loss *loss, const uint8_t *chunk, uint64_t key_bytes,
		     bool *is_missed, uint64_t *nr_missed)
{
	uint64_t nr = loss->where.len_bytes >> loss->layout->chunk_shift;

	for (uint64_t i = 0; i < nr; i++)
		if (is_missed[i] &&
		    !memcmp(loss->next + (i << loss->layout->chunk_shift), chunk, key_bytes)) {
			is_missed[i] = false;
			--*nr_missed;
		}
}

/* A piece of the origin, which begins with a chunk. *at: the next one. */
static int piece_find(const struct loss *loss, uint8_t *buf, uint64_t key_bytes, uint64_t *at,
		      bool *is_missed, uint64_t *nr_missed)
{
	uint64_t chunk = loss->layout->chunk_bytes, size = cow_image_size(loss->origin);
	uint64_t len = chunk > COW_PIECE_BYTES ? key_bytes : COW_PIECE_BYTES;
	int ret;

	len = min_u64(len, size - *at);
	ret = cow_image_pread(loss->origin, buf, len, *at, loss->err);
	for (uint64_t i = 0; !ret && *nr_missed && i + key_bytes <= len; i += chunk)
		key_find(loss, buf + i, key_bytes, is_missed, nr_missed);
	*at += max_u64(chunk, COW_PIECE_BYTES);
	return ret;
}

static int origin_search(const struct loss *loss, uint64_t key_bytes, bool *is_missed,
			 uint64_t *nr_missed)
{
	AUTO_FREE uint8_t *buf = malloc(COW_PIECE_BYTES);
	uint64_t size = min_u64(cow_image_size(loss->origin), ORIGIN_BYTES_MAX), at = 0, len;
	int ret = 0;

	if (!buf)
		return cow_fail(loss->err, -ENOMEM, "no memory for a piece of the origin");
	while (!ret && *nr_missed && at < size) {
		ret = cow_image_next_data(loss->origin, at, &at, &len, loss->err);
		if (ret || !len)
			return ret;
		at = floor_to(at, loss->layout->chunk_bytes);
		ret = piece_find(loss, buf, key_bytes, &at, is_missed, nr_missed);
		if (!ret)
			ret = cow_callbacks_progress(loss->callbacks, "check", at,
						     cow_image_size(loss->origin), loss->err);
	}
	return ret;
}

/* Does the origin hold what would be used next, wherever? Chunks that begin with
 * zeros say nothing. */
static int origin_look(const struct loss *loss, bool *ret_is_held)
{
	uint64_t nr = loss->where.len_bytes >> loss->layout->chunk_shift, nr_missed = 0;
	uint64_t key_bytes = min_u64(loss->layout->chunk_bytes, KEY_BYTES_MAX);
	bool is_missed[SNAP_RECORDS_PER_SECTOR] = { false };
	int ret;

	*ret_is_held = false;
	for (uint64_t i = 0; i < nr; i++) {
		is_missed[i] =
			!is_all_zero(loss->next + (i << loss->layout->chunk_shift), key_bytes);
		nr_missed += is_missed[i];
	}
	if (!loss->origin || !nr_missed)
		return 0;
	ret = origin_search(loss, key_bytes, is_missed, &nr_missed);
	*ret_is_held = !ret && !nr_missed;
	return ret;
}

static int judge(struct loss *loss, enum snap_end_loss *ret_loss)
{
	bool is_blank, is_held = false;
	uint64_t data, len;
	int ret = cow_image_next_data(loss->cow, loss->where.offset_bytes, &data, &len, loss->err);

	if (ret || !len || data >= loss->where.offset_bytes + loss->where.len_bytes)
		return ret;
	ret = cow_image_pread(loss->cow, loss->next, loss->where.len_bytes,
			      loss->where.offset_bytes, loss->err);
	if (ret || is_all_zero(loss->next, loss->where.len_bytes))
		return ret;
	*ret_loss = SNAP_LOSS_UNKNOWN;
	if (loss->where.len_bytes < loss->layout->chunk_bytes)
		return 0;
	ret = blank_look(loss, &is_blank);
	if (!ret && is_blank)
		ret = origin_look(loss, &is_held);
	if (!ret && is_blank)
		*ret_loss = is_held ? SNAP_LOSS_NONE : SNAP_LOSS_LIKELY;
	return ret;
}

int cow_snap_end_loss(struct cow_image *cow, struct cow_image *origin,
		      const struct snap_layout *layout, uint64_t nr_records, uint64_t highest_new,
		      const struct cow_callbacks *callbacks, struct cow_segment *ret_where,
		      enum snap_end_loss *ret_loss, struct cow_err *err)
{
	uint64_t at = cow_snap_skip_area(layout, highest_new + 1) << layout->chunk_shift;
	uint64_t end = at + min_u64(SNAP_RECORDS_PER_SECTOR << layout->chunk_shift, NEXT_BYTES_MAX);
	struct loss loss = { .cow = cow,
			     .origin = origin,
			     .layout = layout,
			     .callbacks = callbacks,
			     .nr_records = nr_records,
			     .err = err };
	int ret;

	*ret_loss = SNAP_LOSS_NONE;
	*ret_where = (struct cow_segment){ 0, 0 };
	end = min_u64(end, floor_to(cow_image_size(cow), layout->chunk_bytes));
	if (!nr_records || nr_records % SNAP_RECORDS_PER_SECTOR ||
	    highest_new >= layout->nr_chunks || at >= end)
		return 0;
	/* bounded: a constant */
	loss.next = malloc(NEXT_BYTES_MAX);
	if (!loss.next)
		return cow_fail(err, -ENOMEM, "no memory for the chunks behind the end");
	*ret_where = loss.where = (struct cow_segment){ at, end - at };
	ret = judge(&loss, ret_loss);
	free(loss.next);
	return ret;
}
