/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * manifest.c - digests of an image by its content alone: fixed ranges of
 * 1 MiB, and extents in units of 4 KiB. Neither how the image came about nor
 * where its file has holes makes a difference, so a half-merged pair has the
 * manifest of the pair before. One pass, one range in memory; what the image
 * says to be a hole is not read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/image/image.h"

#define UNIT_BYTES UINT64_C(4096)

COW_DEFINE_AUTO(digest, struct cow_digest *, cow_digest_free);

struct manifest {
	struct cow_image *image;
	const struct cow_manifest_params *params;
	struct cow_digest *whole;
	uint8_t *buf; /* one range */
	/* The last answer of next_data; len_bytes 0: nothing but zeros is left. */
	uint64_t data_bytes, data_len_bytes;
	uint64_t passed_bytes, total_bytes; /* data in front of that answer, and of all answers */
	/* An extent that may go on; len_bytes 0: none. */
	uint64_t extent_bytes, extent_len_bytes;
};

/* A callback's own failure has no sentence of ours yet. */
static int manifest_answer(int ret, struct cow_err *err)
{
	if (ret >= 0)
		return 0;
	return cow_fail(err, ret, "the manifest was stopped by its reader");
}

static int extent_end(struct manifest *m, struct cow_err *err)
{
	int ret = 0;

	if (m->extent_len_bytes && m->params->extent)
		ret = m->params->extent(m->params->user, m->extent_bytes, m->extent_len_bytes);
	m->extent_len_bytes = 0;
	return manifest_answer(ret, err);
}

static void whole_begin(struct cow_digest *whole, uint64_t size_bytes)
{
	uint8_t raw[8];

	put_le64(raw, size_bytes);
	cow_digest_update(whole, raw, sizeof(raw));
}

static void whole_add(struct cow_digest *whole, uint64_t index,
		      const uint8_t digest[COW_DIGEST_BYTES])
{
	uint8_t entry[8 + COW_DIGEST_BYTES];

	put_le64(entry, index);
	memcpy(entry + 8, digest, COW_DIGEST_BYTES);
	cow_digest_update(whole, entry, sizeof(entry));
}

/* Finds the units of a range that hold anything but zeros. */
static int range_extents(struct manifest *m, uint64_t range_bytes, uint64_t len_bytes,
			 struct cow_err *err)
{
	for (uint64_t at = 0; at < len_bytes; at += UNIT_BYTES) {
		uint64_t unit = min_u64(UNIT_BYTES, len_bytes - at);
		int ret;

		if (is_all_zero(m->buf + at, (size_t)unit))
			continue;
		if (m->extent_len_bytes &&
		    m->extent_bytes + m->extent_len_bytes == range_bytes + at) {
			m->extent_len_bytes += unit;
			continue;
		}
		ret = extent_end(m, err);
		if (ret)
			return ret;
		m->extent_bytes = range_bytes + at;
		m->extent_len_bytes = unit;
	}
	return 0;
}

/* Goes on to data that ends behind offset_bytes. */
static int data_advance(struct manifest *m, uint64_t offset_bytes, struct cow_err *err)
{
	int ret = 0;

	while (!ret && m->data_len_bytes && m->data_bytes + m->data_len_bytes <= offset_bytes) {
		m->passed_bytes += m->data_len_bytes;
		ret = cow_image_next_data(m->image, m->data_bytes + m->data_len_bytes,
					  &m->data_bytes, &m->data_len_bytes, err);
	}
	return ret;
}

static int tell(struct manifest *m, uint64_t offset_bytes, struct cow_err *err)
{
	uint64_t done = m->passed_bytes;

	if (m->data_len_bytes && offset_bytes > m->data_bytes)
		done += min_u64(offset_bytes - m->data_bytes, m->data_len_bytes);
	return cow_callbacks_progress(m->params->callbacks, "digest", done, m->total_bytes, err);
}

/* Reads one range; its holes are zeros without being read. On return the
 * data is the first that ends behind the range. */
static int range_read(struct manifest *m, uint64_t range_bytes, uint64_t len_bytes,
		      struct cow_err *err)
{
	uint64_t at = range_bytes, end = range_bytes + len_bytes;

	while (at < end) {
		uint64_t data = end, stop;
		int ret = data_advance(m, at, err);

		if (ret)
			return ret;
		if (m->data_len_bytes)
			data = min_u64(max_u64(m->data_bytes, at), end);
		stop = data < end ? min_u64(m->data_bytes + m->data_len_bytes, end) : end;
		memset(m->buf + (at - range_bytes), 0, (size_t)(data - at));
		ret = cow_image_pread(m->image, m->buf + (data - range_bytes),
				      (size_t)(stop - data), data, err);
		if (ret)
			return ret;
		at = stop;
	}
	return data_advance(m, end, err);
}

/* Adds a range to the whole, and gives it away. */
static int range_add(struct manifest *m, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES],
		     struct cow_err *err)
{
	int ret = 0;

	whole_add(m->whole, index, digest);
	if (m->params->range)
		ret = m->params->range(m->params->user, index, digest);
	return manifest_answer(ret, err);
}

static int range_digest(struct manifest *m, uint64_t range_bytes, uint64_t len_bytes,
			struct cow_err *err)
{
	uint8_t digest[COW_DIGEST_BYTES];
	int ret = range_read(m, range_bytes, len_bytes, err);

	if (ret || is_all_zero(m->buf, (size_t)len_bytes))
		return ret;
	cow_digest_of(m->buf, (size_t)len_bytes, digest);
	ret = range_add(m, range_bytes / COW_MANIFEST_RANGE_BYTES, digest, err);
	return ret ? ret : range_extents(m, range_bytes, len_bytes, err);
}

/* Takes a range from somebody who knows it; *ret_is_known: nothing is left to
 * be done. On return the data is the first that ends behind the range. */
static int range_known(struct manifest *m, uint64_t range_bytes, uint64_t len_bytes,
		       bool *ret_is_known, struct cow_err *err)
{
	uint64_t index = range_bytes / COW_MANIFEST_RANGE_BYTES;
	uint8_t digest[COW_DIGEST_BYTES];
	int answer, ret = 0;

	*ret_is_known = false;
	if (!m->params->known)
		return 0;
	answer = m->params->known(m->params->user, index, digest);
	if (answer < 0)
		return manifest_answer(answer, err);
	*ret_is_known = answer != COW_MANIFEST_UNKNOWN;
	if (answer == COW_MANIFEST_KNOWN)
		ret = range_add(m, index, digest, err);
	if (ret || !*ret_is_known)
		return ret;
	return data_advance(m, range_bytes + len_bytes, err);
}

static int manifest_ranges(struct manifest *m, struct cow_err *err)
{
	bool is_known;
	uint64_t size = m->image->size_bytes, done = 0, range, len;
	int ret = cow_image_data_bytes(m->image, &m->total_bytes, err);

	if (!ret)
		ret = cow_image_next_data(m->image, 0, &m->data_bytes, &m->data_len_bytes, err);
	while (!ret && m->data_len_bytes) {
		/* The data may have begun in the range before. */
		range = floor_to(max_u64(m->data_bytes, done), COW_MANIFEST_RANGE_BYTES);
		len = min_u64(COW_MANIFEST_RANGE_BYTES, size - range);
		done = range + len;
		ret = tell(m, range, err);
		if (!ret)
			ret = range_known(m, range, len, &is_known, err);
		if (!ret && !is_known)
			ret = range_digest(m, range, len, err);
	}
	return ret ? ret : extent_end(m, err);
}

int cow_manifest(struct cow_image *image, const struct cow_manifest_params *params,
		 uint8_t ret_digest[COW_DIGEST_BYTES], struct cow_err *err)
{
	AUTO_FREE uint8_t *buf = NULL;
	AUTO_HANDLE(digest) struct cow_digest *whole = NULL;
	struct manifest m = { .image = image, .params = params };
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), 0, 0, "struct cow_manifest_params",
			       err);
	if (ret)
		return ret;
	buf = (uint8_t *)aligned_alloc(COW_BUFFER_ALIGN, COW_MANIFEST_RANGE_BYTES);
	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for one range of a manifest");
	ret = cow_digest_new(&whole, err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	whole_begin(whole, image->size_bytes);
	m.buf = buf;
	m.whole = whole;
	ret = manifest_ranges(&m, err);
	if (!ret)
		ret = tell(&m, image->size_bytes, err);
	if (!ret)
		cow_digest_final(whole, ret_digest);
	return ret;
}

int cow_manifest_digest(uint64_t size_bytes, const struct cow_manifest_range *ranges,
			size_t nr_ranges, uint8_t ret_digest[COW_DIGEST_BYTES], struct cow_err *err)
{
	AUTO_HANDLE(digest) struct cow_digest *whole = NULL;
	int ret = cow_digest_new(&whole, err);

	if (ret)
		return ret;
	whole_begin(whole, size_bytes);
	for (size_t i = 0; i < nr_ranges; i++)
		whole_add(whole, ranges[i].index, ranges[i].digest);
	cow_digest_final(whole, ret_digest);
	return 0;
}
