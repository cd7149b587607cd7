/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * batch.c - the inner loop of a merge. The system is told, in the order of the
 * source, what will be read: that is how a disk is read fast, and the page
 * cache has room for more than a buffer of ours. Then the moves are sorted by
 * where they go and pass, in rounds, through a buffer that stays in the
 * processor's cache. So the target is written from end to end once in a batch,
 * neighbours together. A move longer than the buffer (a chunk may have 1 GiB)
 * goes through it in several rounds. No two moves of a sound store overlap on
 * the target, so their order is free.
 *
 * NOTE: writing out is left to the flush. Begun earlier (sync_file_range), it
 * takes twice as long for scattered chunks.
 *
 * Long moves between files that can share extents are not copied at all.
 */
#include "libcow/engine/batch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

/* One call per piece of work between two looks at cancel. */
#define TRANSFER_BYTES COW_PIECE_BYTES
/* Pieces of one round; what Linux takes in one write, too (UIO_MAXIOV). */
#define IOV_MAX_PIECES 1024
/* The buffer of a round fits the second-level cache of a processor. */
#define ROUND_BYTES (UINT64_C(1) << 20)
/* Less than that is not skipped when reading ahead. */
#define AHEAD_GAP_BYTES (UINT64_C(64) << 10)
/* Extents are shared in whole blocks. */
#define CLONE_ALIGN_BYTES UINT64_C(4096)
/* Smallest hole. */
#define HOLE_BYTES UINT64_C(4096)

struct batch_piece {
	struct cow_image *from, *to;
	uint64_t from_bytes, to_bytes;
	uint64_t len_bytes;
	uint8_t *buf;
};

int cow_batch_init(struct batch *batch, uint64_t buf_bytes, uint64_t total_bytes, int reflink,
		   const struct cow_callbacks *callbacks, struct cow_err *err)
{
	*batch = (struct batch){ .callbacks = callbacks,
				 .total_bytes = total_bytes,
				 .reflink = reflink };
	batch->buf_bytes =
		max_u64(min_u64(min_u64(buf_bytes, ROUND_BYTES), total_bytes), COW_SECTOR_BYTES);
	batch->buf = (uint8_t *)aligned_alloc(COW_BUFFER_ALIGN,
					      ceil_to(batch->buf_bytes, COW_BUFFER_ALIGN));
	batch->iov = (struct iovec *)calloc(IOV_MAX_PIECES, sizeof(*batch->iov));
	batch->pieces = (struct batch_piece *)calloc(IOV_MAX_PIECES, sizeof(*batch->pieces));
	if (batch->buf && batch->iov && batch->pieces)
		return 0;
	return cow_fail(err, -ENOMEM, "no memory for a buffer of %" PRIu64 " bytes",
			batch->buf_bytes);
}

void cow_batch_free(struct batch *batch)
{
	free(batch->buf);
	free(batch->pieces);
	free(batch->iov);
	cow_ranges_clear(&batch->unreadable);
	cow_ranges_clear(&batch->untouched);
	*batch = (struct batch){ .buf = NULL };
}

/* Every byte is read and written: half of the way each. What cannot be read is done with. */
static int batch_progress(const struct batch *batch, struct cow_err *err)
{
	uint64_t written = batch->written_bytes + batch->untouched.total_bytes;

	return cow_callbacks_progress(batch->callbacks, "move",
				      batch->settled_bytes + batch->read_bytes / 2 + written / 2,
				      batch->total_bytes, err);
}

static int place_compare(const void *a, uint64_t a_bytes, const void *b, uint64_t b_bytes)
{
	if (a != b)
		return (uintptr_t)a < (uintptr_t)b ? -1 : 1;
	return a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

static int move_compare_from(const void *a_, const void *b_)
{
	const struct store_move *a = (const struct store_move *)a_;
	const struct store_move *b = (const struct store_move *)b_;

	return place_compare(a->from, a->from_bytes, b->from, b->from_bytes);
}

static int move_compare_to(const void *a_, const void *b_)
{
	const struct store_move *a = (const struct store_move *)a_;
	const struct store_move *b = (const struct store_move *)b_;

	return place_compare(a->to, a->to_bytes, b->to, b->to_bytes);
}

static int piece_compare_from(const void *a_, const void *b_)
{
	const struct batch_piece *a = (const struct batch_piece *)a_;
	const struct batch_piece *b = (const struct batch_piece *)b_;

	return place_compare(a->from, a->from_bytes, b->from, b->from_bytes);
}

static int piece_compare_to(const void *a_, const void *b_)
{
	const struct batch_piece *a = (const struct batch_piece *)a_;
	const struct batch_piece *b = (const struct batch_piece *)b_;

	return place_compare(a->to, a->to_bytes, b->to, b->to_bytes);
}

/* ------------------------------------------------------------- sharing */

static bool can_clone(const struct batch *batch, const struct store_move *move)
{
	uint64_t min =
		batch->reflink == COW_REFLINK_ALWAYS ? CLONE_ALIGN_BYTES : COW_CLONE_BYTES_MIN;

	/* What is shared is not looked at, so nothing in it becomes a hole. */
	if (batch->is_sparse && batch->reflink == COW_REFLINK_AUTO)
		return false;
	return batch->reflink != COW_REFLINK_NEVER && move->len_bytes >= min &&
	       !((move->from_bytes | move->to_bytes) % CLONE_ALIGN_BYTES);
}

/* Shares what can be shared of a move; what is left of it is to be copied
 * (the end of a short last chunk, or all of it). */
static int move_clone(struct batch *batch, struct store_move *move, struct cow_err *err)
{
	uint64_t len = floor_to(move->len_bytes, CLONE_ALIGN_BYTES);
	struct cow_err why = COW_ERR_INIT;
	int ret;

	if (!can_clone(batch, move))
		return 0;
	ret = cow_image_clone_range(move->to, move->to_bytes, move->from, move->from_bytes, len,
				    &why);
	if (ret == -EOPNOTSUPP && batch->reflink == COW_REFLINK_AUTO) {
		batch->reflink = COW_REFLINK_NEVER; /* nor anywhere else */
		return 0;
	}
	if (ret) {
		if (err)
			*err = why;
		return ret;
	}
	move->from_bytes += len;
	move->to_bytes += len;
	move->len_bytes -= len;
	batch->cloned_bytes += len;
	batch->read_bytes += len;
	batch->written_bytes += len;
	batch->nr_runs++;
	return batch_progress(batch, err);
}

static int moves_clone(struct batch *batch, struct store_moves *moves, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < moves->nr_moves && !ret && batch->reflink != COW_REFLINK_NEVER; i++)
		ret = move_clone(batch, &moves->moves[i], err);
	return ret;
}

/* ------------------------------------------------------------- copying */

/* Where the next round begins: a move and how much of it is done. */
struct cursor {
	size_t index;
	uint64_t done_bytes;
};

/* Takes as much as the buffer holds. */
static void round_fill(struct batch *batch, const struct store_moves *moves, struct cursor *at)
{
	uint64_t used = 0;

	batch->nr_pieces = 0;
	while (at->index < moves->nr_moves && used < batch->buf_bytes &&
	       batch->nr_pieces < IOV_MAX_PIECES) {
		const struct store_move *move = &moves->moves[at->index];
		uint64_t len = min_u64(move->len_bytes - at->done_bytes, batch->buf_bytes - used);

		if (len)
			batch->pieces[batch->nr_pieces++] = (struct batch_piece){
				.from = move->from,
				.to = move->to,
				.from_bytes = move->from_bytes + at->done_bytes,
				.to_bytes = move->to_bytes + at->done_bytes,
				.len_bytes = len,
			};
		used += len;
		at->done_bytes += len;
		if (at->done_bytes == move->len_bytes)
			*at = (struct cursor){ .index = at->index + 1 };
	}
}

/* Reads one contiguous range of a source in pieces of bounded size. */
static int run_read(struct batch *batch, const struct batch_piece *first, uint64_t len_bytes,
		    struct cow_err *err)
{
	const struct salvage salvage = { .bad = &batch->unreadable, .callbacks = batch->callbacks };
	uint64_t step;
	int ret = 0;

	for (uint64_t at = 0; at < len_bytes && !ret; at += step) {
		step = min_u64(TRANSFER_BYTES, len_bytes - at);
		if (batch->skips)
			ret = cow_salvage_read(first->from, first->buf + at, step,
					       first->from_bytes + at, &salvage, err);
		else
			ret = cow_image_pread(first->from, first->buf + at, (size_t)step,
					      first->from_bytes + at, err);
		batch->read_bytes += step;
		if (!ret)
			ret = batch_progress(batch, err);
	}
	return ret;
}

/* Neighbours on the source become neighbours in the buffer, and are read
 * together. */
static int round_read(struct batch *batch, struct cow_err *err)
{
	struct batch_piece *pieces = batch->pieces;
	uint8_t *buf = batch->buf;
	size_t first, next;
	int ret = 0;

	qsort(pieces, batch->nr_pieces, sizeof(*pieces), piece_compare_from);
	for (size_t i = 0; i < batch->nr_pieces; buf += pieces[i++].len_bytes)
		pieces[i].buf = buf;
	for (first = 0; first < batch->nr_pieces && !ret; first = next) {
		uint64_t len = pieces[first].len_bytes;

		for (next = first + 1;
		     next < batch->nr_pieces && pieces[next].from == pieces[first].from &&
		     pieces[next].from_bytes == pieces[first].from_bytes + len;
		     next++)
			len += pieces[next].len_bytes;
		ret = run_read(batch, &pieces[first], len, err);
	}
	return ret;
}

/* A write that is being put together: neighbours on the target. */
struct gather {
	struct cow_image *to;
	uint64_t to_bytes, len_bytes;
	size_t nr_iov;
};

static int gather_write(struct batch *batch, struct gather *g, struct cow_err *err)
{
	int ret;

	if (!g->len_bytes)
		return 0;
	ret = cow_image_pwritev(g->to, batch->iov, g->nr_iov, g->to_bytes, err);
	if (ret)
		return ret;
	batch->written_bytes += g->len_bytes;
	g->to_bytes += g->len_bytes;
	g->len_bytes = 0;
	g->nr_iov = 0;
	return batch_progress(batch, err);
}

/* Adds bytes that stand behind those gathered so far, on the target. */
static int gather_add(struct batch *batch, struct gather *g, uint8_t *buf, uint64_t len_bytes,
		      struct cow_err *err)
{
	uint64_t step;

	assert(batch->iov); /* or there is no batch */
	for (; len_bytes; buf += step, len_bytes -= step) {
		struct iovec *last = g->nr_iov ? &batch->iov[g->nr_iov - 1] : NULL;
		int ret = 0;

		if (g->len_bytes == TRANSFER_BYTES || g->nr_iov == IOV_MAX_PIECES) {
			ret = gather_write(batch, g, err);
			last = NULL;
		}
		if (ret)
			return ret;
		step = min_u64(len_bytes, TRANSFER_BYTES - g->len_bytes);
		if (last && (uint8_t *)last->iov_base + last->iov_len == buf)
			last->iov_len += (size_t)step;
		else
			batch->iov[g->nr_iov++] =
				(struct iovec){ .iov_base = buf, .iov_len = (size_t)step };
		g->len_bytes += step;
	}
	return 0;
}

static int gather_zeroes(struct batch *batch, struct gather *g, uint64_t len_bytes,
			 struct cow_err *err)
{
	int ret = gather_write(batch, g, err);

	if (!ret)
		ret = cow_image_write_zeroes(g->to, g->to_bytes, len_bytes, err);
	if (ret)
		return ret;
	g->to_bytes += len_bytes;
	batch->written_bytes += len_bytes;
	batch->zeroed_bytes += len_bytes;
	return batch_progress(batch, err);
}

static int piece_write(struct batch *batch, struct gather *g, const struct batch_piece *piece,
		       struct cow_err *err)
{
	uint64_t len;
	bool is_zero;
	int ret = 0;

	if (!batch->is_sparse)
		return gather_add(batch, g, piece->buf, piece->len_bytes, err);
	for (uint64_t at = 0; !ret && at < piece->len_bytes; at += len) {
		len = zero_stretch(piece->buf + at, piece->len_bytes - at, HOLE_BYTES, &is_zero);
		ret = is_zero ? gather_zeroes(batch, g, len, err)
			      : gather_add(batch, g, piece->buf + at, len, err);
	}
	return ret;
}

/* A run may go on from one round to the next. */
static void run_count(struct batch *batch, const struct batch_piece *piece)
{
	batch->nr_runs += piece->to != batch->run_to || piece->to_bytes != batch->run_end_bytes;
}

static int piece_put(struct batch *batch, struct gather *g, const struct batch_piece *piece,
		     struct cow_err *err)
{
	int ret = 0;

	if (piece->to != g->to || piece->to_bytes != g->to_bytes + g->len_bytes) {
		ret = gather_write(batch, g, err);
		*g = (struct gather){ .to = piece->to, .to_bytes = piece->to_bytes };
		run_count(batch, piece);
	}
	return ret ? ret : piece_write(batch, g, piece, err);
}

/* Only what could be read; where it could not, the target keeps its bytes. */
static int piece_put_readable(struct batch *batch, struct gather *g,
			      const struct batch_piece *piece, struct cow_err *err)
{
	struct batch_piece rest = *piece;
	struct cow_segment bad;
	uint64_t len;
	int ret = 0;

	for (; !ret && rest.len_bytes; rest.len_bytes -= len) {
		struct batch_piece part = rest;
		bool is_bad = cow_ranges_next(&batch->unreadable, rest.from_bytes, &bad);

		if (is_bad && bad.offset_bytes == rest.from_bytes) {
			len = min_u64(bad.len_bytes, rest.len_bytes);
			ret = cow_ranges_add(&batch->untouched, rest.to_bytes, len, err);
		} else {
			len = is_bad ? min_u64(bad.offset_bytes - rest.from_bytes, rest.len_bytes)
				     : rest.len_bytes;
			part.len_bytes = len;
			ret = piece_put(batch, g, &part, err);
		}
		rest.from_bytes += len;
		rest.to_bytes += len;
		rest.buf += len;
	}
	return ret;
}

static int round_write(struct batch *batch, struct cow_err *err)
{
	struct gather g = { .to = NULL };
	int ret = 0;

	qsort(batch->pieces, batch->nr_pieces, sizeof(*batch->pieces), piece_compare_to);
	for (size_t i = 0; i < batch->nr_pieces && !ret; i++)
		ret = batch->skips ? piece_put_readable(batch, &g, &batch->pieces[i], err)
				   : piece_put(batch, &g, &batch->pieces[i], err);
	if (!ret)
		ret = gather_write(batch, &g, err);
	batch->run_to = g.to;
	batch->run_end_bytes = g.to_bytes;
	return ret;
}

/* Sorts by the source. A list gives its moves from the end, so they mostly
 * come in just the opposite order. */
static void moves_sort_from(struct store_moves *moves)
{
	struct store_move *first = moves->moves, *last = first + moves->nr_moves;

	while (last - first > 1) {
		struct store_move move = *first;

		*first++ = *--last;
		*last = move;
	}
	for (size_t i = 1; i < moves->nr_moves; i++)
		if (move_compare_from(&moves->moves[i - 1], &moves->moves[i]) > 0) {
			qsort(moves->moves, moves->nr_moves, sizeof(*moves->moves),
			      move_compare_from);
			return;
		}
}

/* Says what will be read, in as few ranges as that takes. */
static void moves_read_ahead(const struct store_moves *moves)
{
	const struct store_move *first = NULL;
	uint64_t end = 0;

	for (size_t i = 0; i < moves->nr_moves; i++) {
		const struct store_move *move = &moves->moves[i];

		if (!move->len_bytes)
			continue;
		if (first && (move->from != first->from || move->from_bytes < end ||
			      move->from_bytes - end > AHEAD_GAP_BYTES)) {
			cow_image_read_ahead(first->from, first->from_bytes,
					     end - first->from_bytes);
			first = NULL;
		}
		if (!first)
			first = move;
		end = move->from_bytes + move->len_bytes;
	}
	if (first)
		cow_image_read_ahead(first->from, first->from_bytes, end - first->from_bytes);
}

int cow_batch_move(struct batch *batch, struct store_moves *moves, struct cow_err *err)
{
	struct cursor at = { .index = 0 };
	int ret;

	batch->settled_bytes += moves->settled_bytes;
	/* of exceptions that are forgotten without a copy there are none */
	if (!moves->nr_moves)
		return batch_progress(batch, err);
	ret = moves_clone(batch, moves, err);
	if (ret)
		return ret;
	moves_sort_from(moves);
	/* What may be dying is read once, from end to end. */
	if (!batch->skips) {
		moves_read_ahead(moves);
		qsort(moves->moves, moves->nr_moves, sizeof(*moves->moves), move_compare_to);
	}
	while (!ret && at.index < moves->nr_moves) {
		round_fill(batch, moves, &at);
		ret = round_read(batch, err);
		if (!ret)
			ret = round_write(batch, err);
	}
	return ret;
}
