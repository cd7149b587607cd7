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
 * - Reads at equal distances, as of the areas of a list, have the next ones asked for.
 *
 * A write or a flush that failed, and a connection that was lost, end it for good
 * (I8): after that nothing is written, and nothing is sent again.
 */
#include "tools/remote/remote_image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"

#define NR_AHEAD 40		       /* pieces that are asked for before they are read */
#define SMALL_BYTES ((size_t)16 << 10) /* what a read here and there asks for */
#define ALIGN_BYTES UINT64_C(4096)     /* reads begin and end at multiples of it */
#define NR_STRIDES 32		       /* and so many at equal distances */
#define NEAR_BYTES (UINT64_C(1) << 20) /* what is passed over by one who reads on */
/* A server that gives no larger requests than this is not used well. */
#define ZERO_BYTES (UINT64_C(64) << 20)
#define STATUS_BYTES (UINT64_C(1) << 30)
/* libnbd's LIBNBD_STATE_ZERO, which the protocol says. */
#define STATE_ZERO 2u

struct extent {
	uint64_t end_bytes;
	bool is_zero;
};

struct remote_image {
	struct remote_slots *slots;
	bool *is_used;
	uint64_t size_bytes;
	bool has_status;
	uint64_t next_read_bytes; /* where the last read ended */
	/* Reads here and there: the last one, and how often the way to it was as long. */
	uint64_t apart_bytes, stride_bytes;
	unsigned int nr_strides;
	uint64_t data_bytes, data_end_bytes; /* what next_data() said last */
	/* What the server said last of the bytes from status_bytes on. */
	uint64_t status_bytes;
	size_t nr_extents;
	struct extent extents[REMOTE_NR_EXTENTS];
};

/* --------------------------------------------------------------- reading */

/* Asks for the bytes from here on, unless that was done. */
static int read_start(struct remote_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		      struct remote_slot **ret_slot, struct cow_err *err)
{
	uint64_t from = offset_bytes / ALIGN_BYTES * ALIGN_BYTES;
	uint64_t end = offset_bytes + len_bytes + ALIGN_BYTES - 1;

	*ret_slot = remote_slots_find(image->slots, offset_bytes);
	if (*ret_slot)
		return 0;
	end = end / ALIGN_BYTES * ALIGN_BYTES;
	end = end < image->size_bytes ? end : image->size_bytes;
	return remote_slots_read(image->slots, from, end - from, ret_slot, err);
}

/* Waits for what read_start() gave. A bad sector beside the wanted bytes is no
 * reason to refuse these: then they alone are asked for. */
static int read_wait(struct remote_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		     struct remote_slot **slot, struct cow_err *err)
{
	bool is_exact = (*slot)->offset_bytes == offset_bytes && (*slot)->len_bytes <= len_bytes;
	int ret = remote_slots_wait(image->slots, *slot, err);

	if (!ret || is_exact || image->slots->is_broken)
		return ret;
	ret = remote_slots_read(image->slots, offset_bytes, len_bytes, slot, err);
	return ret ? ret : remote_slots_wait(image->slots, *slot, err);
}

/* Asks for pieces up to an end, but no more of them than there are slots for. */
static int read_ahead(struct remote_image *image, uint64_t from, uint64_t end, struct cow_err *err)
{
	struct remote_slot *slot;
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

/* The areas of a list lie at equal distances. As many as were read so are asked for. */
static int strides_ahead(struct remote_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			 struct cow_err *err)
{
	uint64_t stride = offset_bytes - image->apart_bytes, at = offset_bytes;
	struct remote_slot *slot;
	int ret = 0;

	image->nr_strides = stride == image->stride_bytes ? image->nr_strides + 1 : 0;
	image->apart_bytes = offset_bytes;
	image->stride_bytes = stride;
	if (stride < len_bytes || stride > image->size_bytes)
		image->nr_strides = 0;
	for (unsigned int i = 0; i < image->nr_strides && i < NR_STRIDES && !ret; i++) {
		if (image->size_bytes - at <= stride)
			break;
		at += stride;
		ret = remote_slots_settle(image->slots, at, len_bytes, false, err);
		if (!ret)
			ret = read_start(image, at, len_bytes, &slot, err);
	}
	return ret;
}

static int remote_pread(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
			struct cow_err *err)
{
	struct remote_image *image = user;
	uint64_t end = offset_bytes + len_bytes;
	struct remote_slot *slot = remote_slots_find(image->slots, offset_bytes);
	/* who announces reads leaves nothing to guess */
	bool is_announced = slot && slot->is_announced;
	uint64_t likely = is_announced ? end : likely_end(image, offset_bytes, len_bytes);
	uint8_t *to = buf;
	int ret =
		remote_slots_settle(image->slots, offset_bytes, likely - offset_bytes, false, err);

	if (!ret)
		ret = read_ahead(image, offset_bytes, likely, err);
	if (!ret && !is_announced && offset_bytes != image->next_read_bytes &&
	    likely - offset_bytes <= REMOTE_PIECE_BYTES)
		ret = strides_ahead(image, offset_bytes, likely - offset_bytes, err);
	for (uint64_t at = offset_bytes; at < end && !ret;) {
		ret = read_ahead(image, at, likely, err);
		if (!ret)
			ret = read_start(image, at, end - at, &slot, err);
		if (!ret)
			ret = read_wait(image, at, end - at, &slot, err);
		if (ret)
			break;
		/* others had the lock, and may have taken it for something else */
		if (slot->state != SLOT_READ || slot->code || at < slot->offset_bytes ||
		    at - slot->offset_bytes >= slot->len_bytes)
			continue;
		size_t skip = (size_t)(at - slot->offset_bytes), len = slot->len_bytes - skip;

		len = len < end - at ? len : (size_t)(end - at);
		memcpy(to, slot->buf + skip, len);
		slot->used_at = ++image->slots->clock;
		to += len;
		at += len;
		/* Who reads on does not come back. */
		if (skip + len == slot->len_bytes && (likely > end || slot->is_announced)) {
			slot->used_at = 0;
			slot->is_announced = false;
		}
	}
	if (!ret)
		image->next_read_bytes = end;
	return ret;
}

/* Only a hint: what fails here fails again when it is read. More than fits is passed
 * over, so that nothing is thrown away before it was read. */
static int remote_read_ahead(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct remote_image *image = user;
	size_t nr_announced = remote_slots_announced(image->slots);
	uint64_t end = offset_bytes + len_bytes;
	struct cow_err err = COW_ERR_INIT;
	struct remote_slot *slot;

	int ret = remote_slots_settle(image->slots, offset_bytes, len_bytes, false, &err);

	if (ret)
		return ret;
	while (offset_bytes < end && nr_announced < NR_AHEAD) {
		slot = remote_slots_find(image->slots, offset_bytes);
		if (!slot) {
			ret = read_start(image, offset_bytes, end - offset_bytes, &slot, &err);
			if (ret)
				return ret;
			slot->is_announced = true;
			nr_announced++;
		}
		offset_bytes = slot->offset_bytes + slot->len_bytes;
	}
	return 0;
}

/* --------------------------------------------------------------- writing */

/* What is known of a range is so no longer. */
static int write_begin(struct remote_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		       struct cow_err *err)
{
	image->nr_extents = 0;
	image->data_end_bytes = 0;
	return remote_slots_settle(image->slots, offset_bytes, len_bytes, true, err);
}

static int remote_pwrite(void *user, const void *buf, size_t len_bytes, uint64_t offset_bytes,
			 struct cow_err *err)
{
	struct remote_image *image = user;
	const uint8_t *from = buf;
	int ret = write_begin(image, offset_bytes, len_bytes, err);

	for (size_t len = 0; len_bytes && !ret; len_bytes -= len) {
		ret = remote_slots_write(image->slots, from, offset_bytes, len_bytes, &len, err);
		if (ret)
			break;
		from += len;
		offset_bytes += len;
	}
	return ret;
}

/* Zeros or trims in pieces that every server takes. */
static int in_pieces(struct remote_image *image, bool is_trim, uint64_t offset_bytes,
		     uint64_t len_bytes, struct cow_err *err)
{
	int ret = write_begin(image, offset_bytes, len_bytes, err);

	while (len_bytes && !ret) {
		uint64_t len = len_bytes < ZERO_BYTES ? len_bytes : ZERO_BYTES;
		int code = remote_slots_call(image->slots, is_trim ? REMOTE_TRIM : REMOTE_ZERO,
					     offset_bytes, len, NULL);

		image->slots->is_broken |= code && !is_trim;
		if (code)
			ret = remote_slots_failed(image->slots,
						  is_trim ? "discarding" : "writing zeros",
						  offset_bytes, code, err);
		offset_bytes += len;
		len_bytes -= len;
	}
	return ret;
}

static int remote_flush(void *user, struct cow_err *err)
{
	struct remote_image *image = user;
	int ret = remote_slots_wait_writes(image->slots, err), code;

	if (ret)
		return ret;
	code = remote_slots_call(image->slots, REMOTE_FLUSH, 0, 0, NULL);
	if (!code)
		return 0;
	image->slots->is_broken = true;
	return remote_slots_failed(image->slots, "flushing", 0, code, err);
}

/* ----------------------------------------------------------------- holes */

/* Takes over what the courier has of the bytes from here on: each extent ends behind the
 * one before it, and none behind the image, whatever was answered. */
static void extents_take(struct remote_image *image, uint64_t offset_bytes, size_t nr_extents)
{
	const struct remote_extent *from = remote_courier_extents(image->slots->courier);
	uint64_t at = offset_bytes;

	image->status_bytes = offset_bytes;
	image->nr_extents = nr_extents < REMOTE_NR_EXTENTS ? nr_extents : REMOTE_NR_EXTENTS;
	for (size_t i = 0; i < image->nr_extents; i++) {
		struct remote_extent extent = from[i];

		at += extent.len_bytes;
		image->extents[i] = (struct extent){
			.end_bytes = at < image->size_bytes ? at : image->size_bytes,
			.is_zero = extent.flags & STATE_ZERO,
		};
	}
}

/* The extent that holds a byte. */
static int extent_get(struct remote_image *image, uint64_t offset_bytes, struct extent *ret_extent,
		      struct cow_err *err)
{
	uint64_t left = image->size_bytes - offset_bytes;
	size_t nr_extents = 0;
	int code;

	for (int try = 0; try < 2; try++) {
		for (size_t i = 0; i < image->nr_extents; i++) {
			if (offset_bytes < image->status_bytes ||
			    offset_bytes >= image->extents[i].end_bytes)
				continue;
			*ret_extent = image->extents[i];
			return 0;
		}
		image->nr_extents = 0;
		if (try)
			break;
		code = remote_slots_call(image->slots, REMOTE_STATUS, offset_bytes,
					 left < STATUS_BYTES ? left : STATUS_BYTES, &nr_extents);
		if (code)
			return remote_slots_failed(image->slots, "asking for holes", offset_bytes,
						   code, err);
		extents_take(image, offset_bytes, nr_extents);
	}
	return cow_refuse(err, -EIO, "io", NULL,
			  "the server was asked for holes at byte %" PRIu64
			  " and answered for other bytes",
			  offset_bytes);
}

static int remote_next_data(void *user, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			    uint64_t *ret_len_bytes, struct cow_err *err)
{
	struct remote_image *image = user;
	struct extent extent = { .end_bytes = offset_bytes, .is_zero = true };
	uint64_t begin = offset_bytes;
	int ret = remote_slots_settle(image->slots, 0, image->size_bytes, false, err);

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

/* Each operation has the export alone, also from images beside this one, but for the time
 * in which it waits. */
#define LOCKED(call)                                                                               \
	({                                                                                         \
		pthread_mutex_t *lock = &((struct remote_image *)user)->slots->lock;               \
		int answer;                                                                        \
		pthread_mutex_lock(lock);                                                          \
		answer = call;                                                                     \
		pthread_mutex_unlock(lock);                                                        \
		answer;                                                                            \
	})

static int on_pread(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
		    struct cow_err *err)
{
	return LOCKED(remote_pread(user, buf, len_bytes, offset_bytes, err));
}

static int on_pwrite(void *user, const void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err)
{
	return LOCKED(remote_pwrite(user, buf, len_bytes, offset_bytes, err));
}

static int on_write_zeroes(void *user, uint64_t offset_bytes, uint64_t len_bytes,
			   struct cow_err *err)
{
	return LOCKED(in_pieces(user, false, offset_bytes, len_bytes, err));
}

static int on_discard(void *user, uint64_t offset_bytes, uint64_t len_bytes, struct cow_err *err)
{
	return LOCKED(in_pieces(user, true, offset_bytes, len_bytes, err));
}

static int on_flush(void *user, struct cow_err *err)
{
	return LOCKED(remote_flush(user, err));
}

static int on_next_data(void *user, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			uint64_t *ret_len_bytes, struct cow_err *err)
{
	return LOCKED(remote_next_data(user, offset_bytes, ret_offset_bytes, ret_len_bytes, err));
}

static void on_read_ahead(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	(void)LOCKED(remote_read_ahead(user, offset_bytes, len_bytes));
}

/* What was written and not flushed gets on its way all the same. */
static void on_close(void *user)
{
	struct remote_image *image = user;
	struct cow_err err = COW_ERR_INIT;

	(void)LOCKED(remote_slots_wait_writes(image->slots, &err));
	if (image->is_used)
		*image->is_used = false;
	free(image);
}

static struct cow_custom_ops ops_of(const struct remote_export *export)
{
	struct cow_custom_ops ops = COW_CUSTOM_OPS_INIT;

	ops.pread = on_pread;
	ops.pwrite = on_pwrite;
	ops.write_zeroes = export->can_zero ? on_write_zeroes : NULL;
	ops.discard = export->can_trim ? on_discard : NULL;
	ops.next_data = export->has_status ? on_next_data : NULL;
	ops.flush = on_flush;
	ops.read_ahead = on_read_ahead;
	ops.close = on_close;
	return ops;
}

int remote_image_new(const struct remote_image_params *params, struct cow_image **ret_image,
		     struct cow_err *err)
{
	const struct cow_custom_ops ops = ops_of(params->export);
	struct cow_custom_args args = COW_CUSTOM_ARGS_INIT;
	struct remote_image *image = calloc(1, sizeof(*image));
	int ret;

	if (!image)
		return cow_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for an image");
	image->slots = params->slots;
	image->is_used = params->is_used;
	image->size_bytes = params->size_bytes;
	image->has_status = params->export->has_status;
	args.name = params->name;
	args.size_bytes = params->size_bytes;
	args.is_writable = params->is_writable;
	ret = cow_image_custom_new(&args, &ops, image, ret_image, err);
	if (ret)
		free(image);
	else if (image->is_used)
		*image->is_used = true;
	return ret;
}
