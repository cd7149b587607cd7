/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_raw.c - --raw: the view as a plain image, with holes where it can.
 */
#include "tools/snapdump/dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/images/blkid.h"
#include "tools/images/servers.h"
#include "tools/common/outputs.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"

/* Smallest hole that is left out of a file. */
#define HOLE_BYTES 4096
/* From servers: so much is read at once, and so much of what follows is announced. */
#define FAR_BYTES (UINT64_C(128) << 10)
#define AHEAD_BYTES (UINT64_C(16) << 20)
#define AHEAD_PIECES 64
#define AHEAD_AGAIN 16 /* when so much of them was read, announce more */

int dump_step(struct dump *dump, const char *phase, uint64_t done_bytes, uint64_t total_bytes,
	      struct cow_err *err)
{
	struct cow_progress now = { sizeof(now), phase, done_bytes, total_bytes };

	if (progress_update(&dump->progress, &now))
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	return 0;
}

/* Where the bytes go; zeros may be cheaper than data. */
struct target {
	uint64_t done_bytes, total_bytes; /* holes that are kept are not in them */
	struct cow_image *image;	  /* file or device; NULL: the sink */
	bool keeps_holes;		  /* image reads as zeros where nothing is written */
	uint64_t announce_bytes;	  /* where more of what follows is announced */
	struct sink sink;
};

static int step(struct dump *dump, struct target *target, uint64_t len_bytes, struct cow_err *err)
{
	target->done_bytes += len_bytes;
	return dump_step(dump, "write", target->done_bytes, target->total_bytes, err);
}

static int put(struct target *target, const uint8_t *buf, size_t len_bytes, uint64_t offset_bytes,
	       struct cow_err *err)
{
	if (!target->image)
		return sink_write(&target->sink, buf, len_bytes, err);
	return cow_image_pwrite(target->image, buf, len_bytes, offset_bytes, err);
}

static int put_zeroes(struct target *target, uint64_t offset_bytes, uint64_t len_bytes,
		      struct dump *dump, struct cow_err *err)
{
	if (target->keeps_holes)
		return 0;
	while (len_bytes) {
		uint64_t piece = len_bytes < DUMP_PIECE_BYTES ? len_bytes : DUMP_PIECE_BYTES;
		int ret = target->image
				  ? cow_image_write_zeroes(target->image, offset_bytes, piece, err)
				  : sink_zeroes(&target->sink, piece, err);

		if (!ret)
			ret = step(dump, target, piece, err);
		if (ret)
			return ret;
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return 0;
}

static bool is_zero(const uint8_t *buf, size_t len_bytes)
{
	return !buf[0] && !memcmp(buf, buf + 1, len_bytes - 1);
}

static size_t unit(size_t at, size_t len_bytes)
{
	return len_bytes - at < HOLE_BYTES ? len_bytes - at : HOLE_BYTES;
}

/* Writes the parts of a piece that are not zeros, joined. */
static int put_sparse(struct target *target, const uint8_t *buf, size_t len_bytes,
		      uint64_t offset_bytes, struct cow_err *err)
{
	size_t from = 0, to;
	int ret;

	while (from < len_bytes) {
		if (is_zero(buf + from, unit(from, len_bytes))) {
			from += unit(from, len_bytes);
			continue;
		}
		for (to = from; to < len_bytes && !is_zero(buf + to, unit(to, len_bytes));)
			to += unit(to, len_bytes);
		ret = put(target, buf + from, to - from, offset_bytes + from, err);
		if (ret)
			return ret;
		from = to;
	}
	return 0;
}

/* Announces the pieces of the view that will be read next, which saves a round trip to a server
 * for each. Some were announced before, or did not fit. */
static void announce(struct target *target, struct cow_image *view, uint64_t from)
{
	struct cow_image_place place = COW_IMAGE_PLACE_INIT;
	uint64_t at = from, data, len;
	unsigned int nr = 0;

	if (from < target->announce_bytes)
		return;
	while (nr < AHEAD_PIECES && at - from < AHEAD_BYTES &&
	       !cow_image_next_data(view, at, &data, &len, NULL) && len) {
		for (at = data; nr < AHEAD_PIECES && at < data + len; nr++) {
			uint64_t left = data + len - at;

			if (cow_image_get_place(view, at, &place))
				return;
			left = left < place.len_bytes ? left : place.len_bytes;
			cow_image_will_read(view, at, left);
			at += left;
			if (nr == AHEAD_AGAIN)
				target->announce_bytes = at;
		}
	}
}

static int copy_range(struct dump *dump, struct target *target, uint8_t *buf, uint64_t offset_bytes,
		      uint64_t len_bytes, struct cow_err *err)
{
	struct cow_image *view = dump->operands.view;
	bool is_far = servers_are_named();
	uint64_t most = is_far ? FAR_BYTES : DUMP_PIECE_BYTES;
	int ret;

	for (uint64_t end = offset_bytes + len_bytes; offset_bytes < end;) {
		uint64_t left = end - offset_bytes;
		size_t piece = left < most ? left : most;

		if (is_far)
			announce(target, view, offset_bytes);
		ret = cow_image_pread(view, buf, piece, offset_bytes, err);
		if (!ret && target->keeps_holes)
			ret = put_sparse(target, buf, piece, offset_bytes, err);
		else if (!ret)
			ret = put(target, buf, piece, offset_bytes, err);
		if (!ret)
			ret = step(dump, target, piece, err);
		if (ret)
			return ret;
		offset_bytes += piece;
	}
	return 0;
}

/* By the same questions as copy_view(). */
static int count(struct target *target, struct cow_image *view, struct cow_err *err)
{
	uint64_t at = 0, data, len, size = cow_image_size(view);
	int ret = 0;

	target->total_bytes = target->keeps_holes ? 0 : size;
	for (; !ret && target->keeps_holes && at < size; at = data + len) {
		ret = cow_image_next_data(view, at, &data, &len, err);
		if (ret)
			return ret;
		target->total_bytes += len;
	}
	return 0;
}

static int copy_view(struct dump *dump, struct target *target, struct cow_err *err)
{
	struct cow_image *view = dump->operands.view;
	uint64_t at = 0, data, len, size = cow_image_size(view);
	uint8_t *buf = aligned_alloc(DUMP_BUFFER_ALIGN, DUMP_PIECE_BYTES);
	int ret = 0;

	if (!buf)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a buffer");
	ret = count(target, view, err);
	while (!ret && at < size) {
		ret = cow_image_next_data(view, at, &data, &len, err);
		if (!ret)
			ret = put_zeroes(target, at, data - at, dump, err);
		if (!ret && len)
			ret = copy_range(dump, target, buf, data, len, err);
		if (ret)
			break;
		dump->data_bytes += len;
		at = data + len;
	}
	free(buf);
	return ret;
}

static int dump_to_file(struct dump *dump, struct cow_err *err)
{
	uint32_t flags = cli_forced("overwrite") ? COW_OUTPUT_OVERWRITE : 0;
	struct target target = { .sink = SINK_INIT };
	struct blkid_device device;
	struct cow_output *output = NULL;
	int ret;

	ret = outputs_open(dump->operands.set, "output", dump->output,
			   cow_image_size(dump->operands.view), flags, &output, err);
	if (ret)
		return ret;
	target.image = cow_output_image(output);
	target.keeps_holes = !cow_image_is_block_device(target.image);
	ret = blkid_device_open(&device, output, dump->output, err);
	sandbox_enter();
	if (!ret)
		ret = blkid_device_check(&device, dump->output, err);
	if (!ret && !dump->is_dry_run && !target.keeps_holes)
		cli_wrote();
	if (!ret && !dump->is_dry_run)
		ret = copy_view(dump, &target, err);
	if (!ret && !dump->is_dry_run)
		ret = outputs_publish(output, err);
	blkid_device_close(&device);
	outputs_close(output);
	return ret;
}

int dump_raw(struct dump *dump, struct cow_err *err)
{
	struct target target = { .sink = SINK_INIT };
	int ret = operands_check_size(&dump->operands, err);

	if (ret)
		return ret;
	if (!sink_is_stream(dump->output))
		return dump_to_file(dump, err);
	ret = sink_open(&target.sink, dump->operands.set, "output", dump->output, err);
	sandbox_enter();
	if (!ret && !dump->is_dry_run)
		ret = copy_view(dump, &target, err);
	if (!ret && !dump->is_dry_run)
		ret = sink_publish(&target.sink, err);
	sink_close(&target.sink);
	return ret;
}
