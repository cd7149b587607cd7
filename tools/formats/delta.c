/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * delta.c - writes and reads the head and the list of ranges of a delta. Every
 * number that is read is checked against the size of the image.
 */
#include "tools/formats/delta.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/formats/manifest_file.h"

#define DELTA_SCHEMA "libcow.delta/1"
#define RANGES_TITLE "# libcow delta 1"
#define LINE_BYTES 128

void delta_clear(struct delta *delta)
{
	free(delta->ranges);
	memset(delta, 0, sizeof(*delta));
}

int delta_add(struct delta *delta, uint64_t offset_bytes, uint64_t len_bytes, bool is_zero)
{
	struct delta_range *last = delta->nr_ranges ? &delta->ranges[delta->nr_ranges - 1] : NULL;
	struct delta_range *grown;

	if (!is_zero)
		delta->data_bytes += len_bytes;
	if (last && last->is_zero == is_zero &&
	    last->offset_bytes + last->len_bytes == offset_bytes) {
		last->len_bytes += len_bytes;
		return 0;
	}
	grown = cow_array_grow(delta->ranges, delta->nr_ranges, &delta->room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	delta->ranges = grown;
	delta->ranges[delta->nr_ranges++] =
		(struct delta_range){ offset_bytes, len_bytes, is_zero };
	return 0;
}

/* --------------------------------------------------------------- writing */

int delta_print_head(const struct delta *delta, struct printer *printer, struct cow_err *err)
{
	char parent[MANIFEST_HEX_BYTES], digest[MANIFEST_HEX_BYTES];
	int ret;

	ret = printer_add(printer, err,
			  "{\n \"schema\": \"" DELTA_SCHEMA "\",\n \"view_bytes\": %" PRIu64
			  ",\n \"direction\": \"%s\",\n \"parent\": \"%s\",\n \"digest\": "
			  "\"%s\",\n \"nr_ranges\": %zu,\n \"data_bytes\": %" PRIu64 "\n}\n",
			  delta->view_bytes, manifest_direction(delta->is_reverse),
			  manifest_hex(delta->parent, parent), manifest_hex(delta->digest, digest),
			  delta->nr_ranges, delta->data_bytes);
	return ret ? ret : printer_flush(printer, err);
}

int delta_print_ranges(const struct delta *delta, struct printer *printer, struct cow_err *err)
{
	int ret =
		printer_add(printer, err, RANGES_TITLE "\n# view %" PRIu64 "\n", delta->view_bytes);

	for (size_t i = 0; !ret && i < delta->nr_ranges; i++)
		ret = printer_add(printer, err, "%" PRIu64 " %" PRIu64 " %s\n",
				  delta->ranges[i].offset_bytes, delta->ranges[i].len_bytes,
				  delta->ranges[i].is_zero ? "zero" : "data");
	if (!ret)
		ret = printer_add(printer, err,
				  "# complete: %zu ranges, %" PRIu64 " bytes of data\n",
				  delta->nr_ranges, delta->data_bytes);
	return ret ? ret : printer_flush(printer, err);
}

/* --------------------------------------------------------------- reading */

struct head {
	struct delta *delta;
	bool has_schema, has_size, has_parent, has_digest;
};

static int read_member(void *user, struct json_reader *reader, const char *key, struct cow_err *err)
{
	struct head *head = user;
	int ret;

	if (!strcmp(key, "schema")) {
		ret = json_read_text(reader, err);
		if (!ret && strcmp(reader->text, DELTA_SCHEMA))
			return json_bad(reader, err,
					"not \"" DELTA_SCHEMA "\", the only one that "
					"this version knows");
		head->has_schema = true;
		return ret;
	}
	if (!strcmp(key, "view_bytes")) {
		head->has_size = true;
		return json_read_u64(reader, &head->delta->view_bytes, err);
	}
	if (!strcmp(key, "direction"))
		return manifest_read_direction(reader, &head->delta->is_reverse, err);
	if (!strcmp(key, "parent")) {
		head->has_parent = true;
		return json_read_hex(reader, head->delta->parent, COW_DIGEST_BYTES, err);
	}
	if (!strcmp(key, "digest")) {
		head->has_digest = true;
		return json_read_hex(reader, head->delta->digest, COW_DIGEST_BYTES, err);
	}
	return JSON_UNKNOWN;
}

int delta_read_head(struct delta *delta, const struct byte_source *source, struct cow_err *err)
{
	struct json_reader *reader = malloc(sizeof(*reader));
	struct head head = { .delta = delta };
	int ret;

	if (!reader)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a delta");
	json_reader_init(reader, source);
	ret = json_read_object(reader, read_member, &head, err);
	if (!ret && (!head.has_schema || !head.has_size || !head.has_parent || !head.has_digest))
		ret = json_bad(reader, err,
			       "no delta: schema, view_bytes, parent or digest is missing");
	if (!ret && (delta->view_bytes % 512 || delta->view_bytes > INT64_MAX))
		ret = json_bad(reader, err, "%" PRIu64 " bytes is not the size of an image",
			       delta->view_bytes);
	free(reader);
	return ret;
}

/* The text of ranges, line by line. */
struct lines {
	const struct byte_source *source;
	uint64_t line; /* number of the present one */
	size_t at, used;
	char text[LINE_BYTES];
	char buf[16 * 1024];
};

static int bad_line(const struct lines *lines, struct cow_err *err, const char *what)
{
	return cli_refuse(err, -EBADMSG, "delta", NULL,
			  "%s: line %" PRIu64 " of " DELTA_RANGES_MEMBER ": %s",
			  lines->source->name, lines->line, what);
}

/* Reads a line into lines->text. *ret_is_end: there is none. */
static int next_line(struct lines *lines, bool *ret_is_end, struct cow_err *err)
{
	size_t len = 0;

	lines->line++;
	*ret_is_end = false;
	for (;;) {
		if (lines->at == lines->used) {
			int ret = lines->source->read(lines->source->user, lines->buf,
						      sizeof(lines->buf), &lines->used, err);

			lines->at = 0;
			if (ret)
				return ret;
			*ret_is_end = !lines->used;
			if (!lines->used)
				return len ? bad_line(lines, err, "it has no end") : 0;
		}
		if (lines->buf[lines->at] == '\n')
			break;
		if (len == sizeof(lines->text) - 1)
			return bad_line(lines, err, "it is too long");
		lines->text[len++] = lines->buf[lines->at++];
	}
	lines->at++;
	lines->text[len] = '\0';
	return 0;
}

/* Decimal digits and what must follow them. */
static bool parse_u64(const char **text, char end, uint64_t *ret_value)
{
	const char *at = *text;
	uint64_t value = 0;

	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
			return false;
	if (*at != end)
		return false;
	*text = at + 1;
	*ret_value = value;
	return true;
}

static int read_range(struct delta *delta, const struct lines *lines, struct cow_err *err)
{
	const struct delta_range *last =
		delta->nr_ranges ? &delta->ranges[delta->nr_ranges - 1] : NULL;
	const char *text = lines->text;
	uint64_t offset, len;
	bool is_zero;

	if (!parse_u64(&text, ' ', &offset) || !parse_u64(&text, ' ', &len))
		return bad_line(lines, err, "not \"OFFSET LENGTH data\" or \"... zero\"");
	is_zero = !strcmp(text, "zero");
	if (!is_zero && strcmp(text, "data"))
		return bad_line(lines, err, "neither \"data\" nor \"zero\"");
	if (offset % 512 || len % 512 || !len)
		return bad_line(lines, err, "not whole sectors of 512 bytes");
	if (offset > delta->view_bytes || len > delta->view_bytes - offset)
		return bad_line(lines, err, "it ends behind the end of the view");
	if (last && offset < last->offset_bytes + last->len_bytes)
		return bad_line(lines, err, "it does not ascend");
	if (delta_add(delta, offset, len, is_zero))
		return cli_refuse(err, -ENOMEM, "no-memory", NULL,
				  "%s: no memory for more than %zu ranges", lines->source->name,
				  delta->nr_ranges);
	return 0;
}

static int read_lines(struct delta *delta, struct lines *lines, struct cow_err *err)
{
	bool is_end, is_complete = false;
	int ret = next_line(lines, &is_end, err);

	if (!ret && (is_end || strcmp(lines->text, RANGES_TITLE)))
		return bad_line(lines, err, "not \"" RANGES_TITLE "\"");
	while (!ret) {
		ret = next_line(lines, &is_end, err);
		if (ret || is_end)
			break;
		if (is_complete)
			return bad_line(lines, err, "something follows the last line");
		is_complete = !strncmp(lines->text, "# complete", 10);
		if (lines->text[0] != '#')
			ret = read_range(delta, lines, err);
	}
	if (!ret && !is_complete)
		return bad_line(lines, err, "the last line, which says complete, is missing");
	return ret;
}

int delta_read_ranges(struct delta *delta, const struct byte_source *source, struct cow_err *err)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	int ret;

	if (!lines)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a delta");
	lines->source = source;
	ret = read_lines(delta, lines, err);
	free(lines);
	return ret;
}
