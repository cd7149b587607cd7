/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * view_write.c - a view that is written to: dm-snapshot's target in user space.
 *
 * write	where there is an exception, published or pending: in place, as it comes.
 *		Elsewhere whole chunks are appended; what a write leaves out of one comes
 *		from below. Appended data is out of reach for others (snap_append.c)
 * trim		where there is an exception: a hole in the file of the store
 * flush	nothing pending: FLUSH of the data
 *		else publish: FLUSH of the data, which covers writes in place, then the
 *		records, each step with its FLUSH (I3, I5)
 *
 * So a crash at any instant leaves a valid store that holds everything up to the last
 * flush. A flush or a publication that fails ends writing for good (I8): the data may
 * be gone from the page cache. A data chunk that cannot be written is given back, and
 * writing goes on: a full disk is no damage.
 *
 * What is pending is bounded (PUBLISH_*), so a write publishes now and then by itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/label.h"
#include "libcow/snapshot/view.h"

#define PUBLISH_BYTES (UINT64_C(64) << 20)
#define PUBLISH_CHUNKS (UINT64_C(1) << 18)
/* Zeros that are appended at once: a size_t of 32 bits holds it. */
#define ZERO_BYTES_MAX (UINT64_C(1) << 30)
/* A chunk is filled up in memory. */
#define CHUNK_BYTES_MAX (UINT64_C(64) << 20)

/* ---------------------------------------------------------------- publishing */

static int view_publish(struct view *view, struct cow_err *err)
{
	int ret = cow_store_publish(view->store, err);

	view->image.has_failed_flush = view->image.has_failed_flush || ret;
	view->pending_bytes = 0;
	view->nr_pending = 0;
	return ret;
}

static int view_flush(struct cow_image *image, struct cow_err *err)
{
	struct view *view = (struct view *)image;
	struct exmap_run run;

	return cow_store_pending_next(view->store, 0, &run)
		       ? view_publish(view, err)
		       : cow_image_flush(view->store->data, err);
}

/* Whole chunks, or the end of the view; buf NULL: zeros. */
static int chunks_append(struct view *view, uint64_t offset_bytes, const uint8_t *buf,
			 uint64_t len_bytes, struct cow_err *err)
{
	int ret = cow_store_append(view->store, offset_bytes, buf, (size_t)len_bytes, err);

	/* of several chunks the first may be there: they are pending all the same */
	view->nr_pending += div_ceil(len_bytes, view->store->chunk_bytes);
	view->pending_bytes += buf ? len_bytes : 0;
	if (ret || (view->pending_bytes < PUBLISH_BYTES && view->nr_pending < PUBLISH_CHUNKS))
		return ret;
	return view_publish(view, err);
}

/* ---------------------------------------------------------------- writing */

/* What is written, and where: buf NULL: zeros. */
struct span {
	const uint8_t *buf;
	uint64_t offset_bytes, len_bytes;
};

/* Where the chunks without an exception end that begin with the one at offset_bytes;
 * the end of the span at the latest, up to the end of its chunk. */
static uint64_t gap_end(const struct view *view, const struct span *span)
{
	uint64_t chunk_bytes = view->store->chunk_bytes;
	uint64_t end = span->offset_bytes + span->len_bytes;
	uint64_t chunk = chunk_of(span->offset_bytes, chunk_bytes);
	struct exmap_run run;

	if (!cow_view_next_run(view, chunk, &run))
		return end;
	return min_u64(end, chunk_to_bytes(run.old_chunk, chunk_bytes));
}

/* Below it, as far as the write leaves it as it is. */
static int chunk_read(struct view *view, uint64_t start_bytes, uint64_t from_bytes,
		      uint64_t end_bytes, struct cow_err *err)
{
	if (from_bytes >= end_bytes)
		return 0;
	return cow_view_pread(&view->image, view->chunk + (from_bytes - start_bytes),
			      (size_t)(end_bytes - from_bytes), from_bytes, err);
}

/* The first part of a span lies in one chunk, and does not fill it. */
static int chunk_fill(struct view *view, const struct span *span, uint64_t *ret_len_bytes,
		      struct cow_err *err)
{
	uint64_t start = floor_to(span->offset_bytes, view->store->chunk_bytes);
	uint64_t end = min_u64(start + view->store->chunk_bytes, view->image.size_bytes);
	uint64_t len = min_u64(span->len_bytes, end - span->offset_bytes);
	int ret;

	if (!view->chunk)
		/* bounded: CHUNK_BYTES_MAX */
		view->chunk = (uint8_t *)malloc(view->store->chunk_bytes);
	if (!view->chunk)
		return cow_fail(err, -ENOMEM, "no memory for a chunk of %" PRIu64 " bytes",
				view->store->chunk_bytes);
	ret = chunk_read(view, start, start, span->offset_bytes, err);
	if (!ret)
		ret = chunk_read(view, start, span->offset_bytes + len, end, err);
	if (ret)
		return ret;
	if (span->buf)
		memcpy(view->chunk + (span->offset_bytes - start), span->buf, len);
	else
		memset(view->chunk + (span->offset_bytes - start), 0, len);
	*ret_len_bytes = len;
	return chunks_append(view, start, view->chunk, end - start, err);
}

/* The first part of a span has no exception. */
static int gap_write(struct view *view, const struct span *span, uint64_t *ret_len_bytes,
		     struct cow_err *err)
{
	uint64_t chunk_bytes = view->store->chunk_bytes, end = gap_end(view, span), whole;

	if (chunk_within(span->offset_bytes, chunk_bytes))
		return chunk_fill(view, span, ret_len_bytes, err);
	whole = end - span->offset_bytes;
	if (end != view->image.size_bytes)
		whole = floor_to(whole, chunk_bytes);
	/* what is written at once is bounded, too; a chunk fits into both */
	whole = min_u64(whole, floor_to(span->buf ? PUBLISH_BYTES : ZERO_BYTES_MAX, chunk_bytes));
	if (!whole)
		return chunk_fill(view, span, ret_len_bytes, err);
	*ret_len_bytes = whole;
	return chunks_append(view, span->offset_bytes, span->buf, whole, err);
}

/* The first part of a span has an exception. */
static int exception_write(const struct view_piece *piece, const struct span *span,
			   struct cow_err *err)
{
	if (span->buf)
		return cow_image_pwrite(piece->below, span->buf, (size_t)piece->len_bytes,
					piece->below_bytes, err);
	return cow_image_write_zeroes(piece->below, piece->below_bytes, piece->len_bytes, err);
}

/* Before the first byte is written: is there room in the store for all of it? */
static int room_check(struct view *view, uint64_t offset_bytes, uint64_t end_bytes,
		      struct cow_err *err)
{
	uint64_t chunk_bytes = view->store->chunk_bytes, nr_chunks = 0;
	uint64_t chunk = chunk_of(offset_bytes, chunk_bytes);
	uint64_t end = div_ceil(end_bytes, chunk_bytes);
	struct exmap_run run;

	while (chunk < end && cow_view_next_run(view, chunk, &run) && run.old_chunk < end) {
		nr_chunks += run.old_chunk - chunk;
		chunk = run.old_chunk + run.nr_chunks;
	}
	nr_chunks += chunk < end ? end - chunk : 0;
	return nr_chunks ? cow_store_reserve(view->store, nr_chunks, err) : 0;
}

static int span_write(struct view *view, struct span span, struct cow_err *err)
{
	uint64_t len = 0;
	int ret = room_check(view, span.offset_bytes, span.offset_bytes + span.len_bytes, err);

	while (!ret && span.len_bytes) {
		struct view_piece piece;

		cow_view_piece(view, span.offset_bytes, span.offset_bytes + span.len_bytes, &piece);
		len = piece.len_bytes;
		ret = piece.is_exception ? exception_write(&piece, &span, err)
					 : gap_write(view, &span, &len, err);
		span.buf = span.buf ? span.buf + len : NULL;
		span.offset_bytes += len;
		span.len_bytes -= len;
	}
	return ret;
}

static int view_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		       uint64_t offset_bytes, struct cow_err *err)
{
	const struct span span = { (const uint8_t *)buf, offset_bytes, len_bytes };

	return span_write((struct view *)image, span, err);
}

static int view_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			     struct cow_err *err)
{
	const struct span span = { NULL, offset_bytes, len_bytes };

	return span_write((struct view *)image, span, err);
}

/* ---------------------------------------------------------------- trim */

static int piece_discard(const struct view_piece *piece, struct cow_err *err)
{
	struct cow_err ignored = COW_ERR_INIT;
	int ret;

	if (!piece->is_exception || piece->below->is_block_device)
		return 0;
	ret = cow_image_discard(piece->below, piece->below_bytes, piece->len_bytes, &ignored);
	if (ret && ret != -EOPNOTSUPP && err)
		*err = ignored;
	return ret == -EOPNOTSUPP ? 0 : ret;
}

static int view_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			struct cow_err *err)
{
	const struct view *view = (const struct view *)image;
	uint64_t end_bytes = offset_bytes + len_bytes;
	struct view_piece piece;
	int ret = 0;

	for (; !ret && offset_bytes < end_bytes; offset_bytes += piece.len_bytes) {
		cow_view_piece(view, offset_bytes, end_bytes, &piece);
		ret = piece_discard(&piece, err);
	}
	return ret;
}

/* ---------------------------------------------------------------- the image */

static const struct image_ops view_write_ops = {
	.name = "writable view",
	.pread = cow_view_pread,
	.pwrite = view_pwrite,
	.write_zeroes = view_write_zeroes,
	.next_data = cow_view_next_data,
	.discard = view_discard,
	.flush = view_flush,
	.resolve = cow_view_resolve,
	.shares_nothing = true,
	.close = cow_view_close,
};

static bool is_in_place(struct cow_image *image, uint64_t offset_bytes, uint64_t *len_bytes)
{
	const struct view *view = (const struct view *)cow_image_find_kind(
		image, &view_write_ops, offset_bytes, len_bytes, &offset_bytes);
	struct view_piece piece;

	if (!view)
		return false;
	cow_view_piece(view, offset_bytes, offset_bytes + *len_bytes, &piece);
	*len_bytes = piece.len_bytes;
	return piece.is_exception;
}

bool cow_view_is_in_place(struct cow_image *view, uint64_t offset_bytes, uint64_t len_bytes)
{
	if (!range_fits(offset_bytes, len_bytes, view->size_bytes))
		return false;
	while (len_bytes) {
		uint64_t len = len_bytes;

		if (!is_in_place(view, offset_bytes, &len))
			return false;
		offset_bytes += len;
		len_bytes -= len;
	}
	return true;
}

/* A store that a job counts on is not written to. */
static int label_check(struct cow_store *store, struct cow_err *err)
{
	uint8_t raw[LABEL_BYTES];
	struct cow_label label;
	int ret = cow_store_has_label(store) ? cow_store_label_read(store, raw, err) : 0;

	if (ret || !cow_store_has_label(store) || !cow_label_decode(raw, &label))
		return ret;
	if (label.job != LABEL_JOB_MERGE)
		return cow_refuse(err, -EPERM, "other-job", NULL,
				  "%s is an undo file: what is written to it could not be taken "
				  "back any more",
				  store->data->name);
	if (label.phase != LABEL_PHASE_DONE)
		return cow_refuse(err, -EPERM, "other-job", NULL,
				  "a merge of %s was begun and has not finished: run snapmerge to "
				  "its end first",
				  store->data->name);
	return 0;
}

static int store_check(struct cow_store *store, struct cow_err *err)
{
	int ret = cow_store_takes_writes(store, err);

	if (ret)
		return ret;
	if (store->is_damaged)
		return cow_refuse(err, -EBADMSG, "damaged", NULL,
				  "%s is damaged: it can only be read", store->data->name);
	if (!store->data->is_writable)
		return cow_fail(err, -EROFS, "%s is open for reading only", store->data->name);
	if (store->chunk_bytes > CHUNK_BYTES_MAX)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "chunks of %" PRIu64
				  " bytes are read-only for now, those of up to 64 MiB are written",
				  store->chunk_bytes);
	ret = label_check(store, err);
	/* Somebody may have got at it since it was opened (I7). */
	if (!ret)
		ret = cow_store_unchanged(store, err);
	return ret ? ret : cow_store_ready(store, err);
}

int cow_view_new_writable(struct cow_image *origin, struct cow_store *store,
			  struct cow_image **ret_view, struct cow_err *err)
{
	struct view *view;
	int ret = store_check(store, err);

	if (!ret)
		ret = cow_view_create(origin, store, &view_write_ops, &view, err);
	if (ret)
		return ret;
	view->writes = true;
	view->image.is_writable = true;
	*ret_view = &view->image;
	return 0;
}
