/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pax.c - pax archives. A member is [extended header 'x' with its records]
 * header, data, zeros up to a multiple of 512.
 * source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended
 * Header"; GNU tar manual, "PAX Format, Version 1.0" of sparse files.
 */
#include "tools/tar/pax.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/tar/pax_priv.h"

#define BLOCK 512
#define PREFIX_BYTES 155
#define RECORD 10240 /* an archive ends on a multiple of this, as tar's do */
#define BUFFER_BYTES (1u << 20)
#define BUFFER_ALIGN 4096 /* the system copies to a page's beginning at twice the speed */

struct pax_writer {
	pax_write_fn *write;
	void *user;
	uint8_t *buf;
	size_t used;
	uint64_t total_bytes;	/* of the archive, in the buffer or out */
	uint64_t written_bytes; /* out */
	bool is_plain;
	struct pax_text records, map, scratch;
};

/* ---- bytes out */

static int flush(struct pax_writer *w, struct cow_err *err)
{
	int ret = 0;

	if (w->used)
		ret = w->write(w->user, w->buf, w->used, err);
	if (!ret)
		w->written_bytes += w->used;
	w->used = 0;
	return ret;
}

/* Room for at least one byte in the buffer. */
static int room(struct pax_writer *w, size_t *ret_bytes, struct cow_err *err)
{
	int ret = 0;

	if (w->used == BUFFER_BYTES)
		ret = flush(w, err);
	if (!ret)
		*ret_bytes = BUFFER_BYTES - w->used;
	return ret;
}

static void advance(struct pax_writer *w, size_t len)
{
	w->used += len;
	w->total_bytes += len;
}

static int put(struct pax_writer *w, const void *bytes, size_t len, struct cow_err *err)
{
	const uint8_t *from = bytes;
	size_t piece;
	int ret;

	while (len) {
		ret = room(w, &piece, err);
		if (ret)
			return ret;
		if (piece > len)
			piece = len;
		if (from)
			memcpy(w->buf + w->used, from, piece);
		else
			memset(w->buf + w->used, 0, piece);
		advance(w, piece);
		from = from ? from + piece : NULL;
		len -= piece;
	}
	return 0;
}

/* Zeros up to the next multiple of unit. */
static int pad(struct pax_writer *w, size_t unit, struct cow_err *err)
{
	size_t over = w->total_bytes % unit;

	return over ? put(w, NULL, unit - over, err) : 0;
}

/* ---- headers */

static void octal(uint8_t *field, size_t width, uint64_t value)
{
	field[--width] = 0;
	while (width) {
		field[--width] = '0' + (value & 7);
		value >>= 3;
	}
}

static void copy_name(uint8_t *field, const char *name)
{
	memcpy(field, name, strnlen(name, PAX_NAME_BYTES));
}

/* "prefix/name", cut at the last slash that leaves at most 155 and 100 bytes. */
static void split_name(uint8_t h[BLOCK], const char *name)
{
	size_t len = strlen(name), at = len;

	if (len <= PAX_NAME_BYTES)
		return;
	while (at && (at > PREFIX_BYTES || name[at] != '/' || at == len - 1))
		at--;
	if (!at || len - at - 1 > PAX_NAME_BYTES)
		return;
	memset(h, 0, PAX_NAME_BYTES);
	copy_name(h, name + at + 1);
	memcpy(h + 345, name, at);
}

static uint8_t type_flag(enum file_type type)
{
	switch (type) {
	case FILE_HARD_LINK:
		return '1';
	case FILE_SYMLINK:
		return '2';
	case FILE_CHAR_DEVICE:
		return '3';
	case FILE_BLOCK_DEVICE:
		return '4';
	case FILE_DIRECTORY:
		return '5';
	case FILE_FIFO:
		return '6';
	default:
		return '0';
	}
}

static void sum_fill(uint8_t h[BLOCK])
{
	uint32_t sum = 0;

	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += h[i];
	octal(h + 148, 7, sum);
}

/* Numbers that do not fit are clipped: their record says the truth. */
static void header_fill(uint8_t h[BLOCK], const struct file_entry *e, const char *name,
			uint64_t size_bytes, uint8_t flag)
{
	uint64_t mtime = e->mtime.seconds < 0 ? 0 : (uint64_t)e->mtime.seconds;

	memset(h, 0, BLOCK);
	copy_name(h, name);
	octal(h + 100, 8, e->mode & 07777);
	octal(h + 108, 8, e->uid > PAX_OCTAL7_MAX ? PAX_OCTAL7_MAX : e->uid);
	octal(h + 116, 8, e->gid > PAX_OCTAL7_MAX ? PAX_OCTAL7_MAX : e->gid);
	octal(h + 124, 12, size_bytes > PAX_OCTAL11_MAX ? PAX_OCTAL11_MAX : size_bytes);
	octal(h + 136, 12, mtime > PAX_OCTAL11_MAX ? PAX_OCTAL11_MAX : mtime);
	h[156] = flag;
	if (e->link && flag != 'x')
		copy_name(h + 157, e->link);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a field, not a string */
	memcpy(h + 257, "ustar\00000", 8);
	octal(h + 329, 8, e->major);
	octal(h + 337, 8, e->minor);
	sum_fill(h);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int put_headers(struct pax_writer *w, const struct file_entry *e, const char *name,
		       uint64_t size_bytes, struct cow_err *err)
{
	char helper[PAX_NAME_BYTES + 1];
	uint8_t header[BLOCK];
	int ret;

	if (w->records.failed)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a header");
	if (w->records.len) {
		snprintf(helper, sizeof(helper), "PaxHeaders/%.80s", base_name(e->path));
		header_fill(header, e, helper, w->records.len, 'x');
		ret = put(w, header, BLOCK, err);
		if (!ret)
			ret = put(w, w->records.bytes, w->records.len, err);
		if (!ret)
			ret = pad(w, BLOCK, err);
		if (ret)
			return ret;
	}
	header_fill(header, e, name, size_bytes, type_flag(e->type));
	if (w->is_plain) {
		split_name(header, name);
		sum_fill(header);
	}
	return put(w, header, BLOCK, err);
}

/* ---- data */

static uint64_t data_bytes(const struct file_entry *e)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < e->nr_ranges; i++)
		sum += e->ranges[i].len_bytes;
	return sum;
}

static int put_range(struct pax_writer *w, const struct file_entry *e,
		     const struct cow_segment *range, struct cow_err *err)
{
	uint64_t done = 0;
	size_t piece;
	int ret;

	/* what is long goes through the buffer from its beginning, which is a page's */
	ret = range->len_bytes < BUFFER_BYTES ? 0 : flush(w, err);
	while (!ret && done < range->len_bytes) {
		ret = room(w, &piece, err);
		if (ret)
			return ret;
		if (piece > range->len_bytes - done)
			piece = range->len_bytes - done;
		ret = e->read(e->source, w->buf + w->used, piece, range->offset_bytes + done, err);
		if (ret)
			return ret;
		advance(w, piece);
		done += piece;
	}
	return ret;
}

/* The map of a sparse member: decimal numbers, one a line, filled with zeros
 * up to a multiple of 512. An empty range marks the end behind a last hole. */
static int map_fill(struct pax_text *map, const struct file_entry *e, struct cow_err *err)
{
	const struct cow_segment *last = e->nr_ranges ? &e->ranges[e->nr_ranges - 1] : NULL;
	bool ends_in_hole = !e->nr_ranges || last->offset_bytes + last->len_bytes < e->size_bytes;
	size_t i, over;
	char *at;

	pax_text_clear(map);
	pax_text_print(map, "%zu\n", e->nr_ranges + ends_in_hole);
	for (i = 0; i < e->nr_ranges; i++)
		pax_text_print(map, "%" PRIu64 "\n%" PRIu64 "\n", e->ranges[i].offset_bytes,
			       e->ranges[i].len_bytes);
	if (ends_in_hole)
		pax_text_print(map, "%" PRIu64 "\n0\n", e->size_bytes);
	over = map->len % BLOCK;
	if (over) {
		at = pax_text_grow(map, BLOCK - over);
		if (at)
			memset(at, 0, BLOCK - over);
	}
	if (map->failed)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a sparse map");
	return 0;
}

static int put_zeros(struct pax_writer *w, uint64_t len_bytes, struct cow_err *err)
{
	size_t piece;
	int ret = 0;

	for (; !ret && len_bytes; len_bytes -= piece) {
		piece = len_bytes < BUFFER_BYTES ? (size_t)len_bytes : BUFFER_BYTES;
		ret = put(w, NULL, piece, err);
	}
	return ret;
}

static int add_plain(struct pax_writer *w, const struct file_entry *e, struct cow_err *err)
{
	uint64_t at = 0;
	int ret;

	pax_records_fill(&w->records, &w->scratch, e, e->path, false, e->size_bytes);
	ret = put_headers(w, e, e->path, e->size_bytes, err);
	for (size_t i = 0; !ret && i < e->nr_ranges; i++) {
		ret = put_zeros(w, e->ranges[i].offset_bytes - at, err);
		if (!ret)
			ret = put_range(w, e, &e->ranges[i], err);
		at = e->ranges[i].offset_bytes + e->ranges[i].len_bytes;
	}
	if (!ret)
		ret = put_zeros(w, e->size_bytes - at, err);
	return ret ? ret : pad(w, BLOCK, err);
}

static int add_regular(struct pax_writer *w, const struct file_entry *e, struct cow_err *err)
{
	uint64_t size_bytes = data_bytes(e);
	bool sparse = size_bytes < e->size_bytes;
	char name[PAX_NAME_BYTES + 1];
	size_t i;
	int ret = 0;

	if (sparse) {
		ret = map_fill(&w->map, e, err);
		if (ret)
			return ret;
		size_bytes += w->map.len;
		snprintf(name, sizeof(name), "GNUSparseFile.0/%.80s", base_name(e->path));
	}
	pax_records_fill(&w->records, &w->scratch, e, e->path, sparse, size_bytes);
	ret = put_headers(w, e, sparse ? name : e->path, size_bytes, err);
	if (!ret && sparse)
		ret = put(w, w->map.bytes, w->map.len, err);
	for (i = 0; !ret && i < e->nr_ranges; i++)
		ret = put_range(w, e, &e->ranges[i], err);
	return ret ? ret : pad(w, BLOCK, err);
}

static int add_directory(struct pax_writer *w, const struct file_entry *e, struct cow_err *err)
{
	size_t len = strlen(e->path);
	/* bounded: a path in memory */
	char *name = malloc(len + 2);
	int ret;

	if (!name)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	memcpy(name, e->path, len);
	memcpy(name + len, "/", 2);
	pax_records_fill(&w->records, &w->scratch, e, name, false, 0);
	ret = put_headers(w, e, name, 0, err);
	free(name);
	return ret;
}

void pax_set_plain(struct pax_writer *w)
{
	w->is_plain = true;
}

int pax_add(struct pax_writer *w, const struct file_entry *e, struct cow_err *err)
{
	if (e->type == FILE_REGULAR)
		return w->is_plain ? add_plain(w, e, err) : add_regular(w, e, err);
	if (e->type == FILE_DIRECTORY)
		return add_directory(w, e, err);
	pax_records_fill(&w->records, &w->scratch, e, e->path, false, 0);
	return put_headers(w, e, e->path, 0, err);
}

int pax_begin(struct pax_writer *w, const struct file_entry *e, struct cow_err *err)
{
	pax_records_fill(&w->records, &w->scratch, e, e->path, false, e->size_bytes);
	return put_headers(w, e, e->path, e->size_bytes, err);
}

int pax_put(struct pax_writer *w, const void *buf, size_t len_bytes, struct cow_err *err)
{
	return put(w, buf, len_bytes, err);
}

int pax_end(struct pax_writer *w, struct cow_err *err)
{
	return pad(w, BLOCK, err);
}

int pax_finish(struct pax_writer *w, struct cow_err *err)
{
	int ret = put(w, NULL, (size_t)2 * BLOCK, err);

	if (!ret)
		ret = pad(w, RECORD, err);
	return ret ? ret : flush(w, err);
}

int pax_cut(struct pax_writer *w, struct cow_err *err)
{
	static const struct file_entry cut = { .type = FILE_REGULAR, .path = "INCOMPLETE" };
	uint8_t header[BLOCK];
	int ret = flush(w, err);

	/* Elsewhere a cut is inside a header or a file, and seen as it is. */
	if (ret || w->written_bytes % BLOCK)
		return ret;
	header_fill(header, &cut, cut.path, PAX_OCTAL11_MAX, '0');
	return w->write(w->user, header, BLOCK, err);
}

int pax_new(pax_write_fn *write, void *user, struct pax_writer **ret_writer, struct cow_err *err)
{
	struct pax_writer *w = calloc(1, sizeof(*w));

	if (w)
		w->buf = aligned_alloc(BUFFER_ALIGN, BUFFER_BYTES);
	if (!w || !w->buf) {
		pax_free(w);
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for an archive");
	}
	w->write = write;
	w->user = user;
	*ret_writer = w;
	return 0;
}

void pax_free(struct pax_writer *w)
{
	if (!w)
		return;
	free(w->records.bytes);
	free(w->map.bytes);
	free(w->scratch.bytes);
	free(w->buf);
	free(w);
}
