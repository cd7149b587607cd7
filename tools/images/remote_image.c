/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_image.c - the bytes of an NBD export. A round trip takes its time, so many
 * requests are under way at once:
 *
 * - A read is cut into pieces, which are asked for together. One that goes on where
 *   the last one ended, or begins where next_data() said that data begins, has the
 *   following pieces asked for, up to the end of that data.
 * - A write is copied and sent; its answer is looked at when its place in memory is
 *   needed again, when the same bytes are read or written, and by a flush.
 *
 * Pieces stand in slots. No two requests for the same bytes are under way when one
 * of them writes: servers may answer in any order.
 *
 * A write or a flush that failed, and a connection that was lost, end it for good
 * (I8): after that nothing is written, and nothing is sent again.
 */
#include "tools/images/remote_image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"

#define NR_SLOTS 64
#define NR_AHEAD 40 /* pieces that are asked for before they are read */
#define PIECE_BYTES ((size_t)256 << 10)
#define SMALL_BYTES ((size_t)16 << 10) /* what a read here and there asks for */
#define ALIGN_BYTES UINT64_C(4096)     /* reads begin and end at multiples of it */
#define NEAR_BYTES (UINT64_C(1) << 20) /* what is passed over by one who reads on */
/* A server that gives no larger requests than this is not used well. */
#define ZERO_BYTES (UINT64_C(64) << 20)
#define STATUS_BYTES (UINT64_C(1) << 30)
#define NR_EXTENTS 1024

enum slot_state { SLOT_FREE, SLOT_READING, SLOT_READ, SLOT_WRITING };

struct slot {
	enum slot_state state;
	uint64_t offset_bytes;
	size_t len_bytes;
	int64_t cookie;
	uint64_t used_at; /* of the clock */
	uint8_t *buf;
};

struct extent {
	uint64_t end_bytes;
	bool is_zero;
};

struct remote_image {
	const struct remote_lib *lib;
	struct nbd_handle *nbd;
	bool *is_used;
	uint64_t size_bytes;
	size_t piece_bytes;
	bool can_trim, can_zero, has_status;
	bool is_broken;
	uint64_t clock;
	struct slot slots[NR_SLOTS];
	uint64_t next_read_bytes;	     /* where the last read ended */
	uint64_t data_bytes, data_end_bytes; /* what next_data() said last */
	/* What the server said last of the bytes from status_bytes on. */
	uint64_t status_bytes;
	size_t nr_extents;
	struct extent extents[NR_EXTENTS];
};

/* -------------------------------------------------------------- failures */

static int broken(struct cow_err *err)
{
	return cli_refuse(err, -EIO, "io", NULL,
			  "the connection to the server was lost, or a write to it has failed: "
			  "nothing more is read or written");
}

static int request_failed(struct remote_image *image, const char *what, uint64_t offset_bytes,
			  struct cow_err *err)
{
	int code = image->lib->nbd_get_errno(), ret;
	bool is_dead = image->lib->nbd_aio_is_dead(image->nbd) != 0;

	if (is_dead)
		ret = cli_refuse(err, -EIO, "io", NULL,
				 "%s at byte %" PRIu64 ": the connection to the server was lost",
				 what, offset_bytes);
	else
		ret = cli_refuse(err, code == ENOSPC ? -ENOSPC : -EIO,
				 code == ENOSPC ? "no-space" : "io", NULL,
				 "%s at byte %" PRIu64 ": the server says: %s", what, offset_bytes,
				 strerror(code ? code : EIO));
	err->offset_bytes = offset_bytes;
	image->is_broken |= is_dead;
	return ret;
}

/* ----------------------------------------------------------------- slots */

static bool is_busy(const struct slot *slot)
{
	return slot->state == SLOT_READING || slot->state == SLOT_WRITING;
}

/* Waits for the answer. What could not be written is never tried again. */
static int slot_wait(struct remote_image *image, struct slot *slot, struct cow_err *err)
{
	bool is_write = slot->state == SLOT_WRITING;
	int ret = 0;

	while (is_busy(slot) && !ret) {
		ret = image->lib->nbd_aio_command_completed(image->nbd, (uint64_t)slot->cookie);
		if (ret > 0) {
			slot->state = is_write ? SLOT_FREE : SLOT_READ;
			return 0;
		}
		if (!ret && image->lib->nbd_poll(image->nbd, -1) < 0 &&
		    image->lib->nbd_aio_is_dead(image->nbd) != 0)
			ret = -1;
	}
	if (!ret)
		return 0;
	slot->state = SLOT_FREE;
	image->is_broken |= is_write;
	return request_failed(image, is_write ? "writing" : "reading", slot->offset_bytes, err);
}

/* The same for one that is needed for something else: a read that nobody waits for
 * may fail. */
static int slot_clear(struct remote_image *image, struct slot *slot, struct cow_err *err)
{
	bool is_write = slot->state == SLOT_WRITING;
	int ret = slot_wait(image, slot, err);

	slot->state = SLOT_FREE;
	return ret && !is_write && !image->is_broken ? 0 : ret;
}

static bool is_touched(const struct slot *slot, uint64_t offset_bytes, uint64_t len_bytes)
{
	return slot->state != SLOT_FREE && slot->offset_bytes < offset_bytes + len_bytes &&
	       offset_bytes < slot->offset_bytes + slot->len_bytes;
}

/* Before a range is read: what is being written there. Before it is written: that,
 * and what is known of it. */
static int range_settle(struct remote_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			bool will_write, struct cow_err *err)
{
	int ret = image->is_broken ? broken(err) : 0;

	for (size_t i = 0; i < NR_SLOTS && !ret; i++) {
		struct slot *slot = &image->slots[i];

		if (!is_touched(slot, offset_bytes, len_bytes) ||
		    (!will_write && slot->state != SLOT_WRITING))
			continue;
		if (is_busy(slot))
			ret = slot_clear(image, slot, err);
		slot->state = SLOT_FREE;
	}
	if (will_write) {
		image->nr_extents = 0;
		image->data_end_bytes = 0;
	}
	return ret;
}

/* One that is free; else the one that was not used for the longest time. */
static int slot_get(struct remote_image *image, struct slot **ret_slot, struct cow_err *err)
{
	struct slot *best = &image->slots[0];
	int ret = 0;

	for (size_t i = 1; i < NR_SLOTS; i++) {
		struct slot *slot = &image->slots[i];
		bool is_better = is_busy(best) != is_busy(slot) ? is_busy(best)
								: slot->used_at < best->used_at;

		if (best->state != SLOT_FREE && (slot->state == SLOT_FREE || is_better))
			best = slot;
	}
	if (is_busy(best))
		ret = slot_clear(image, best, err);
	if (ret)
		return ret;
	best->state = SLOT_FREE;
	if (!best->buf)
		best->buf = malloc(PIECE_BYTES);
	if (!best->buf)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a buffer");
	best->used_at = ++image->clock;
	*ret_slot = best;
	return 0;
}

static struct slot *slot_find(struct remote_image *image, uint64_t offset_bytes)
{
	for (size_t i = 0; i < NR_SLOTS; i++) {
		struct slot *slot = &image->slots[i];

		if (slot->state != SLOT_WRITING && is_touched(slot, offset_bytes, 1))
			return slot;
	}
	return NULL;
}

/* --------------------------------------------------------------- reading */

/* Sends a request for up to a piece. */
static int read_send(struct remote_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		     struct slot **ret_slot, struct cow_err *err)
{
	struct slot *slot;
	int ret = slot_get(image, &slot, err);

	if (ret)
		return ret;
	slot->offset_bytes = offset_bytes;
	slot->len_bytes = len_bytes < image->piece_bytes ? (size_t)len_bytes : image->piece_bytes;
	slot->cookie = image->lib->nbd_aio_pread(image->nbd, slot->buf, slot->len_bytes,
						 offset_bytes, NBD_NULL_COMPLETION, 0);
	if (slot->cookie < 0)
		return request_failed(image, "reading", offset_bytes, err);
	slot->state = SLOT_READING;
	*ret_slot = slot;
	return 0;
}

/* Asks for the bytes from here on, unless that was done. */
static int read_start(struct remote_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		      struct slot **ret_slot, struct cow_err *err)
{
	uint64_t from = offset_bytes / ALIGN_BYTES * ALIGN_BYTES;
	uint64_t end = offset_bytes + len_bytes + ALIGN_BYTES - 1;

	*ret_slot = slot_find(image, offset_bytes);
	if (*ret_slot)
		return 0;
	end = end / ALIGN_BYTES * ALIGN_BYTES;
	end = end < image->size_bytes ? end : image->size_bytes;
	return read_send(image, from, end - from, ret_slot, err);
}

/* Waits for what read_start() gave. A bad sector beside the wanted bytes is no
 * reason to refuse these: then they alone are asked for. */
static int read_wait(struct remote_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		     struct slot **slot, struct cow_err *err)
{
	bool is_exact = (*slot)->offset_bytes == offset_bytes && (*slot)->len_bytes <= len_bytes;
	int ret = slot_wait(image, *slot, err);

	if (!ret || is_exact || image->is_broken)
		return ret;
	ret = read_send(image, offset_bytes, len_bytes, slot, err);
	return ret ? ret : slot_wait(image, *slot, err);
}

/* Asks for pieces up to an end, but no more of them than there are slots for. */
static int read_ahead(struct remote_image *image, uint64_t from, uint64_t end, struct cow_err *err)
{
	struct slot *slot;
	int ret = 0;

	for (int i = 0; i < NR_AHEAD && from < end && !ret; i++) {
		ret = read_start(image, from, end - from, &slot, err);
		if (!ret)
			from = slot->offset_bytes + slot->len_bytes;
	}
	return ret;
}

/* Up to where a read that begins here is likely to go on. */
static uint64_t likely_end(const struct remote_image *image, uint64_t offset_bytes,
			   uint64_t len_bytes)
{
	uint64_t end = offset_bytes + len_bytes;
	bool is_in_data = offset_bytes >= image->data_bytes && offset_bytes < image->data_end_bytes;

	bool goes_on = offset_bytes >= image->next_read_bytes &&
		       offset_bytes - image->next_read_bytes < NEAR_BYTES;

	if (offset_bytes == image->next_read_bytes ||
	    (is_in_data && (goes_on || offset_bytes == image->data_bytes)))
		return is_in_data && image->data_end_bytes > end ? image->data_end_bytes
		       : image->has_status			 ? end
								 : image->size_bytes;
	/* here and there: metadata, whose neighbours come soon */
	if (len_bytes < SMALL_BYTES)
		end = offset_bytes + SMALL_BYTES;
	return end < image->size_bytes ? end : image->size_bytes;
}

static int remote_pread(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
			struct cow_err *err)
{
	struct remote_image *image = user;
	uint64_t end = offset_bytes + len_bytes;
	uint64_t likely = likely_end(image, offset_bytes, len_bytes);
	uint8_t *to = buf;
	struct slot *slot;
	int ret = range_settle(image, offset_bytes, likely - offset_bytes, false, err);

	for (uint64_t at = offset_bytes; at < end && !ret;) {
		ret = read_ahead(image, at, likely, err);
		if (!ret)
			ret = read_start(image, at, end - at, &slot, err);
		if (!ret)
			ret = read_wait(image, at, end - at, &slot, err);
		if (ret)
			break;
		size_t skip = (size_t)(at - slot->offset_bytes), len = slot->len_bytes - skip;

		len = len < end - at ? len : (size_t)(end - at);
		memcpy(to, slot->buf + skip, len);
		slot->used_at = ++image->clock;
		to += len;
		at += len;
		/* Who reads on does not come back. */
		if (skip + len == slot->len_bytes && likely > end)
			slot->used_at = 0;
	}
	if (!ret)
		image->next_read_bytes = end;
	return ret;
}

/* Only a hint: what fails here fails again when it is read. */
static void remote_read_ahead(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct remote_image *image = user;
	struct cow_err err = COW_ERR_INIT;

	if (!range_settle(image, offset_bytes, len_bytes, false, &err))
		(void)read_ahead(image, offset_bytes, offset_bytes + len_bytes, &err);
}

/* --------------------------------------------------------------- writing */

static int remote_pwrite(void *user, const void *buf, size_t len_bytes, uint64_t offset_bytes,
			 struct cow_err *err)
{
	struct remote_image *image = user;
	const uint8_t *from = buf;
	struct slot *slot;
	int ret = range_settle(image, offset_bytes, len_bytes, true, err);

	while (len_bytes && !ret) {
		size_t len = len_bytes < image->piece_bytes ? len_bytes : image->piece_bytes;

		ret = slot_get(image, &slot, err);
		if (ret)
			break;
		memcpy(slot->buf, from, len);
		slot->offset_bytes = offset_bytes;
		slot->len_bytes = len;
		slot->cookie = image->lib->nbd_aio_pwrite(image->nbd, slot->buf, len, offset_bytes,
							  NBD_NULL_COMPLETION, 0);
		image->is_broken |= slot->cookie < 0;
		if (slot->cookie < 0)
			return request_failed(image, "writing", offset_bytes, err);
		slot->state = SLOT_WRITING;
		from += len;
		offset_bytes += len;
		len_bytes -= len;
	}
	if (!ret)
		(void)image->lib->nbd_poll(image->nbd, 0);
	return ret;
}

/* Zeros or trims in pieces that every server takes. */
static int in_pieces(struct remote_image *image, bool is_trim, uint64_t offset_bytes,
		     uint64_t len_bytes, struct cow_err *err)
{
	int ret = range_settle(image, offset_bytes, len_bytes, true, err);

	while (len_bytes && !ret) {
		uint64_t len = len_bytes < ZERO_BYTES ? len_bytes : ZERO_BYTES;
		int code = is_trim ? image->lib->nbd_trim(image->nbd, len, offset_bytes, 0)
				   : image->lib->nbd_zero(image->nbd, len, offset_bytes, 0);

		image->is_broken |= code && !is_trim;
		if (code)
			ret = request_failed(image, is_trim ? "discarding" : "writing zeros",
					     offset_bytes, err);
		offset_bytes += len;
		len_bytes -= len;
	}
	return ret;
}

static int remote_write_zeroes(void *user, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err)
{
	return in_pieces(user, false, offset_bytes, len_bytes, err);
}

static int remote_discard(void *user, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err)
{
	return in_pieces(user, true, offset_bytes, len_bytes, err);
}

static int remote_flush(void *user, struct cow_err *err)
{
	struct remote_image *image = user;
	int ret = image->is_broken ? broken(err) : 0;

	for (size_t i = 0; i < NR_SLOTS && !ret; i++)
		if (image->slots[i].state == SLOT_WRITING)
			ret = slot_wait(image, &image->slots[i], err);
	if (ret)
		return ret;
	if (!image->lib->nbd_flush(image->nbd, 0))
		return 0;
	image->is_broken = true;
	return request_failed(image, "flushing", 0, err);
}

/* ----------------------------------------------------------------- holes */

/* nbd_extent_callback: pairs of length and flags. A server that says too much is
 * heard up to where there is room. */
static int on_extents(void *user, const char *context, uint64_t offset_bytes, uint32_t *entries,
		      size_t nr_entries, int *error)
{
	struct remote_image *image = user;
	uint64_t at = offset_bytes;

	(void)error;
	if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
		return 0;
	image->status_bytes = offset_bytes;
	image->nr_extents = 0;
	for (size_t i = 0; i + 1 < nr_entries && image->nr_extents < NR_EXTENTS; i += 2) {
		at += entries[i];
		image->extents[image->nr_extents++] = (struct extent){
			.end_bytes = at < image->size_bytes ? at : image->size_bytes,
			.is_zero = entries[i + 1] & LIBNBD_STATE_ZERO,
		};
	}
	return 0;
}

/* The extent that holds a byte. */
static int extent_get(struct remote_image *image, uint64_t offset_bytes, struct extent *ret_extent,
		      struct cow_err *err)
{
	uint64_t left = image->size_bytes - offset_bytes;
	nbd_extent_callback callback;

	memset(&callback, 0, sizeof(callback));
	callback.callback = on_extents;
	callback.user_data = image;
	for (int try = 0; try < 2; try++) {
		for (size_t i = 0; i < image->nr_extents; i++) {
			if (offset_bytes < image->status_bytes ||
			    offset_bytes >= image->extents[i].end_bytes)
				continue;
			*ret_extent = image->extents[i];
			return 0;
		}
		image->nr_extents = 0;
		if (!try && image->lib->nbd_block_status(image->nbd,
							 left < STATUS_BYTES ? left : STATUS_BYTES,
							 offset_bytes, callback, 0))
			return request_failed(image, "asking for holes", offset_bytes, err);
	}
	return cli_refuse(err, -EIO, "io", NULL,
			  "asked for holes at byte %" PRIu64 ", the server answered of other bytes",
			  offset_bytes);
}

static int remote_next_data(void *user, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			    uint64_t *ret_len_bytes, struct cow_err *err)
{
	struct remote_image *image = user;
	struct extent extent = { .end_bytes = offset_bytes, .is_zero = true };
	uint64_t begin = offset_bytes;
	int ret = range_settle(image, 0, image->size_bytes, false, err);

	while (!ret && extent.is_zero && extent.end_bytes < image->size_bytes) {
		begin = extent.end_bytes;
		ret = extent_get(image, begin, &extent, err);
	}
	if (ret)
		return ret;
	image->data_bytes = begin;
	image->data_end_bytes = extent.end_bytes;
	if (extent.is_zero)
		image->data_bytes = image->data_end_bytes = begin = image->size_bytes;
	*ret_offset_bytes = begin;
	*ret_len_bytes = image->data_end_bytes - begin;
	return 0;
}

/* ------------------------------------------------------------ new, close */

/* What is under way writes into our memory, or reads from it: wait for all of it. */
static void remote_close(void *user)
{
	struct remote_image *image = user;
	struct cow_err err = COW_ERR_INIT;

	for (size_t i = 0; i < NR_SLOTS; i++) {
		if (is_busy(&image->slots[i]))
			(void)slot_wait(image, &image->slots[i], &err);
		free(image->slots[i].buf);
	}
	if (image->is_used)
		*image->is_used = false;
	free(image);
}

static struct cow_custom_ops ops_of(const struct remote_image *image)
{
	struct cow_custom_ops ops = COW_CUSTOM_OPS_INIT;

	ops.pread = remote_pread;
	ops.pwrite = remote_pwrite;
	ops.write_zeroes = image->can_zero ? remote_write_zeroes : NULL;
	ops.discard = image->can_trim ? remote_discard : NULL;
	ops.next_data = image->has_status ? remote_next_data : NULL;
	ops.flush = remote_flush;
	ops.read_ahead = remote_read_ahead;
	ops.close = remote_close;
	return ops;
}

int remote_image_new(const struct remote_image_params *params, struct cow_image **ret_image,
		     struct cow_err *err)
{
	const struct remote_lib *lib = params->lib;
	int64_t largest = lib->nbd_get_block_size(params->nbd, LIBNBD_SIZE_MAXIMUM);
	struct cow_custom_args args = COW_CUSTOM_ARGS_INIT;
	struct remote_image *image = calloc(1, sizeof(*image));
	struct cow_custom_ops ops;
	int ret;

	if (!image)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for an image");
	image->lib = lib;
	image->nbd = params->nbd;
	image->is_used = params->is_used;
	image->size_bytes = params->size_bytes;
	image->piece_bytes = largest >= 512 && largest < (int64_t)PIECE_BYTES
				     ? (size_t)largest / 512 * 512
				     : PIECE_BYTES;
	image->can_trim = lib->nbd_can_trim(params->nbd) == 1;
	image->can_zero = lib->nbd_can_zero(params->nbd) == 1;
	image->has_status =
		lib->nbd_can_meta_context(params->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
	args.name = params->name;
	args.size_bytes = params->size_bytes;
	args.is_writable = params->is_writable;
	ops = ops_of(image);
	ret = cow_image_custom_new(&args, &ops, image, ret_image, err);
	if (ret)
		free(image);
	else if (image->is_used)
		*image->is_used = true;
	return ret;
}
