/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * import_data.c - writes the sparse member of an export to a store, in windows
 * of 1 MiB.
 */
#include "tools/snapcreate/import_data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"

#define WINDOW_BYTES (UINT64_C(1) << 20)
/* Smaller holes are not looked for. */
#define UNIT_BYTES UINT64_C(4096)

struct job {
	struct import_data *data;
	struct cow_patch *patch; /* NULL: count */
	uint64_t size_bytes;
	/* The window that blocks are gathered in. */
	uint8_t *window;
	uint64_t window_bytes; /* where it begins */
	bool is_open;
	/* A whole view: the origin's bytes, and how far it was compared. */
	uint8_t *base;
	uint64_t compared_bytes;
	/* A delta: the range that comes next, and how far it was written. */
	size_t cursor;
	uint64_t written_bytes;
	uint64_t counted_bytes; /* end of the last chunk that was counted */
};

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool is_zero(const uint8_t *buf, uint64_t len_bytes)
{
	return !len_bytes || (!buf[0] && !memcmp(buf, buf + 1, len_bytes - 1));
}

static int step(struct job *job, uint64_t offset_bytes, struct cow_err *err)
{
	const struct cow_callbacks *callbacks = job->data->callbacks;
	struct cow_progress now = { sizeof(now), "import", offset_bytes, job->size_bytes };

	if (callbacks && callbacks->progress && callbacks->progress(callbacks->user, &now))
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	return 0;
}

static void count(struct job *job, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t chunk = job->data->chunk_bytes;
	uint64_t start = max(offset_bytes / chunk * chunk, job->counted_bytes);
	uint64_t end = offset_bytes + len_bytes;

	if (end <= start)
		return;
	job->data->nr_chunks += (end - start - 1) / chunk + 1;
	job->counted_bytes = start + ((end - start - 1) / chunk + 1) * chunk;
}

static int put(struct job *job, uint64_t offset_bytes, const uint8_t *buf, uint64_t len_bytes,
	       struct cow_err *err)
{
	if (buf)
		job->data->data_bytes += len_bytes;
	if (job->patch)
		return cow_patch_write(job->patch, offset_bytes, buf, len_bytes, err);
	count(job, offset_bytes, len_bytes);
	return 0;
}

enum kind { KIND_SAME, KIND_DATA, KIND_ZERO };

/* base NULL: everything is written. */
static enum kind unit_kind(const uint8_t *base, const uint8_t *buf, uint64_t len_bytes)
{
	if (base && !memcmp(base, buf, len_bytes))
		return KIND_SAME;
	return is_zero(buf, len_bytes) ? KIND_ZERO : KIND_DATA;
}

/* Writes a range unit by unit, runs of one kind joined. */
static int put_units(struct job *job, uint64_t offset_bytes, const uint8_t *base,
		     const uint8_t *buf, uint64_t len_bytes, struct cow_err *err)
{
	enum kind kind = KIND_SAME, next = KIND_SAME;
	uint64_t start = 0, at = 0;
	int ret = 0;

	while (!ret && at <= len_bytes) {
		uint64_t len = min(UNIT_BYTES - (offset_bytes + at) % UNIT_BYTES, len_bytes - at);

		if (at < len_bytes)
			next = unit_kind(base ? base + at : NULL, buf + at, len);
		if (at == len_bytes || next != kind) {
			if (kind != KIND_SAME)
				ret = put(job, offset_bytes + start,
					  kind == KIND_DATA ? buf + start : NULL, at - start, err);
			kind = next;
			start = at;
		}
		if (at == len_bytes)
			break;
		at += len;
	}
	return ret;
}

/* ------------------------------------------------------------ whole views */

/* Where the view has zeros, the origin's data is to go. */
static int compare_hole(struct job *job, uint64_t end_bytes, struct cow_err *err)
{
	uint64_t data, len, at = job->compared_bytes;
	int ret = 0;

	memset(job->window, 0, WINDOW_BYTES);
	while (!ret && at < end_bytes) {
		ret = cow_image_next_data(job->data->origin, at, &data, &len, err);
		if (ret || !len || data >= end_bytes)
			break;
		at = max(at, data / 512 * 512);
		len = min(min(WINDOW_BYTES, end_bytes - at), data + len - at);
		/* The end of an extent is no end of a sector. */
		len = min((len + 511) / 512 * 512, end_bytes - at);
		ret = step(job, at, err);
		if (!ret)
			ret = cow_image_pread(job->data->origin, job->base, len, at, err);
		if (!ret)
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the caller frees */
			ret = put_units(job, at, job->base, job->window, len, err);
		at += len;
	}
	job->compared_bytes = end_bytes;
	return ret;
}

static int compare_window(struct job *job, uint64_t len_bytes, struct cow_err *err)
{
	uint64_t start = job->window_bytes;
	int ret = cow_image_pread(job->data->origin, job->base, len_bytes, start, err);

	job->compared_bytes = start + len_bytes;
	return ret ? ret : put_units(job, start, job->base, job->window, len_bytes, err);
}

/* ----------------------------------------------------------------- deltas */

static const struct delta_range *next_range(const struct job *job)
{
	const struct delta *delta = job->data->delta;

	return job->cursor < delta->nr_ranges ? &delta->ranges[job->cursor] : NULL;
}

/* What of range, the next one, lies below limit; it is taken. */
static void take_range(struct job *job, const struct delta_range *range, uint64_t limit_bytes,
		       uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t range_end = range->offset_bytes + range->len_bytes;

	*ret_start = max(range->offset_bytes, job->written_bytes);
	*ret_end = min(range_end, limit_bytes);
	job->written_bytes = *ret_end;
	if (*ret_end == range_end)
		job->cursor++;
}

/* Ranges that no block came for are zeros. */
static int write_ranges(struct job *job, uint64_t limit_bytes, struct cow_err *err)
{
	const struct delta_range *range;
	int ret = 0;

	while (!ret && (range = next_range(job)) && range->offset_bytes < limit_bytes) {
		uint64_t start, end;

		take_range(job, range, limit_bytes, &start, &end);
		ret = step(job, start, err);
		if (!ret && start < end)
			ret = put(job, start, NULL, end - start, err);
		if (end == limit_bytes)
			break;
	}
	return ret;
}

static int check_outside(const struct job *job, uint64_t start_bytes, uint64_t end_bytes,
			 struct cow_err *err)
{
	uint64_t within = start_bytes - job->window_bytes;

	if (start_bytes >= end_bytes || is_zero(job->window + within, end_bytes - start_bytes))
		return 0;
	return cli_refuse(err, -EBADMSG, "delta", NULL,
			  "%s: " DELTA_DATA_MEMBER " holds data between bytes %" PRIu64
			  " and %" PRIu64 ", where " DELTA_RANGES_MEMBER " has none",
			  tar_reader_name(job->data->tar), start_bytes, end_bytes);
}

static int write_window(struct job *job, uint64_t len_bytes, struct cow_err *err)
{
	uint64_t at = job->window_bytes, limit = at + len_bytes;
	const struct delta_range *range;
	int ret = 0;

	while (!ret && (range = next_range(job)) && range->offset_bytes < limit) {
		bool is_data = !range->is_zero;
		uint64_t start, end;

		take_range(job, range, limit, &start, &end);
		ret = check_outside(job, at, is_data ? start : end, err);
		if (!ret && start < end && is_data)
			ret = put_units(job, start, NULL, job->window + (start - job->window_bytes),
					end - start, err);
		else if (!ret && start < end)
			ret = put(job, start, NULL, end - start, err);
		at = end;
		if (end == limit)
			break;
	}
	return ret ? ret : check_outside(job, at, limit, err);
}

/* ---------------------------------------------------------------- windows */

/* Everything below the window, for which no block came. */
static int skip_to(struct job *job, uint64_t limit_bytes, struct cow_err *err)
{
	if (job->data->delta)
		return write_ranges(job, limit_bytes, err);
	return job->compared_bytes < limit_bytes ? compare_hole(job, limit_bytes, err) : 0;
}

static int window_close(struct job *job, struct cow_err *err)
{
	uint64_t len = min(WINDOW_BYTES, job->size_bytes - job->window_bytes);
	int ret;

	if (!job->is_open)
		return 0;
	job->is_open = false;
	ret = step(job, job->window_bytes, err);
	if (ret)
		return ret;
	return job->data->delta ? write_window(job, len, err) : compare_window(job, len, err);
}

static int window_open(struct job *job, uint64_t offset_bytes, struct cow_err *err)
{
	int ret = window_close(job, err);

	job->window_bytes = offset_bytes / WINDOW_BYTES * WINDOW_BYTES;
	if (!ret)
		ret = skip_to(job, job->window_bytes, err);
	memset(job->window, 0, WINDOW_BYTES);
	job->is_open = true;
	return ret;
}

static int gather(struct job *job, const uint8_t *buf, uint64_t len_bytes, uint64_t offset_bytes,
		  struct cow_err *err)
{
	while (len_bytes) {
		uint64_t within = offset_bytes % WINDOW_BYTES;
		uint64_t piece = min(len_bytes, WINDOW_BYTES - within);
		int ret = 0;

		if (!job->is_open || job->window_bytes != offset_bytes - within)
			ret = window_open(job, offset_bytes, err);
		if (ret)
			return ret;
		memcpy(job->window + within, buf, piece);
		buf += piece;
		len_bytes -= piece;
		offset_bytes += piece;
	}
	return 0;
}

static int gather_all(struct job *job, struct cow_err *err)
{
	const void *buf;
	uint64_t offset;
	size_t len;
	int ret;

	for (;;) {
		ret = tar_reader_block(job->data->tar, &buf, &len, &offset, err);
		if (ret || !len)
			break;
		ret = gather(job, buf, len, offset, err);
		if (ret)
			break;
	}
	if (!ret)
		ret = window_close(job, err);
	if (!ret)
		ret = skip_to(job, job->size_bytes, err);
	if (!ret && job->patch)
		ret = cow_patch_finish(job->patch, err);
	return ret;
}

int import_data_run(struct import_data *data, struct cow_err *err)
{
	struct job job = { .data = data, .size_bytes = cow_image_size(data->origin) };
	int ret = 0;

	job.window = malloc(WINDOW_BYTES);
	job.base = malloc(WINDOW_BYTES);
	if (!job.window || !job.base)
		ret = cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for two buffers");
	if (!ret && data->store)
		ret = cow_patch_new(data->store, data->origin, &job.patch, err);
	if (!ret)
		ret = gather_all(&job, err);
	cow_patch_free(job.patch);
	free(job.window);
	free(job.base);
	return ret;
}
