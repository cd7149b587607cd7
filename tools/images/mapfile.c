/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * mapfile.c - reads and writes mapfiles of GNU ddrescue. As in ddrescue, what
 * follows the fields of a line is a comment or of a later version, and ignored.
 */
#include "tools/images/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "libcow/base/array.h"

/* A block line has at most about 50; comments may be longer, but have an end. */
#define LINE_BYTES 128
#define COMMENT_BYTES_MAX 65536
/* As ddrescue counts: no position is beyond. */
#define POSITION_MAX ((uint64_t)INT64_MAX)

struct reading {
	const struct byte_source *source;
	struct mapfile *map;
	uint64_t nr_lines;
	char line[LINE_BYTES]; /* without its end; as much as there is room for */
	size_t len_bytes;
	size_t nr_more; /* bytes of the line for which there is no room */
	bool has_status, has_block;
	size_t at, used;
	char buf[16 * 1024];
};

void mapfile_clear(struct mapfile *map)
{
	free(map->good);
	*map = (struct mapfile){ .good = NULL };
}

static int bad_line(const struct reading *reading, const char *what, struct cow_err *err)
{
	return cli_refuse(err, -EBADMSG, "mapfile", NULL,
			  "%s is no mapfile of ddrescue: line %" PRIu64 ": %s",
			  reading->source->name, reading->nr_lines, what);
}

/* Reads a line; false in *ret_more: there is no other. */
static int next_line(struct reading *reading, bool *ret_more, struct cow_err *err)
{
	reading->len_bytes = 0;
	reading->nr_more = 0;
	*ret_more = false;
	for (;;) {
		char c;

		if (reading->at == reading->used) {
			int ret = reading->source->read(reading->source->user, reading->buf,
							sizeof(reading->buf), &reading->used, err);

			reading->at = 0;
			if (ret || !reading->used)
				return ret;
		}
		reading->nr_lines += !*ret_more;
		*ret_more = true;
		c = reading->buf[reading->at++];
		if (c == '\n')
			return 0;
		if (reading->len_bytes < LINE_BYTES - 1)
			reading->line[reading->len_bytes++] = c;
		else if (++reading->nr_more > COMMENT_BYTES_MAX)
			return bad_line(reading, "it is too long, or not text", err);
	}
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Digits of one base; false: not a number, or too large. */
static bool take_number(const char **text, uint64_t *ret_value)
{
	unsigned int base = 10;
	const char *at = *text;
	uint64_t value = 0;

	if (*at == '0' && (at[1] == 'x' || at[1] == 'X')) {
		base = 16;
		at += 2;
	} else if (*at == '0') {
		base = 8;
	}
	if (!is_word(*at))
		return false;
	for (; is_word(*at); at++) {
		unsigned int digit = *at >= '0' && *at <= '9'	? (unsigned int)(*at - '0')
				     : *at >= 'a' && *at <= 'f' ? (unsigned int)(*at - 'a') + 10
				     : *at >= 'A' && *at <= 'F' ? (unsigned int)(*at - 'A') + 10
								: base;

		if (digit >= base || value > (POSITION_MAX - digit) / base)
			return false;
		value = value * base + digit;
	}
	while (is_blank(*at))
		at++;
	*text = at;
	*ret_value = value;
	return true;
}

/* One of these characters. */
static bool take_status(const char **text, const char *allowed, char *ret_status)
{
	const char *at = *text;

	if (!*at || !strchr(allowed, *at))
		return false;
	*ret_status = *at++;
	while (is_blank(*at))
		at++;
	*text = at;
	return true;
}

static int status_line(const struct reading *reading, const char *text, struct cow_err *err)
{
	uint64_t position;
	long long pass;
	char status, *end;

	if (!take_number(&text, &position) || !take_status(&text, "?*/-FG+", &status))
		return bad_line(reading,
				"the first line must say \"position status\", as \"0x0 +\"", err);
	/* a map of an old version has no pass */
	pass = strtoll(text, &end, 10);
	if (end != text && pass < 1)
		return bad_line(reading, "the pass is not a number from 1 on", err);
	return 0;
}

static int add_good(struct mapfile *map, uint64_t start, uint64_t len_bytes, struct cow_err *err)
{
	struct cow_segment *last = map->nr_good ? &map->good[map->nr_good - 1] : NULL;
	struct cow_segment *grown;

	if (last && last->offset_bytes + last->len_bytes == start) {
		last->len_bytes += len_bytes;
		return 0;
	}
	grown = cow_array_grow(map->good, map->nr_good, &map->room, sizeof(*grown));
	if (!grown)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL,
				  "no memory for more than %zu blocks of a mapfile", map->nr_good);
	map->good = grown;
	map->good[map->nr_good++] = (struct cow_segment){ start, len_bytes };
	return 0;
}

static int block_line(struct reading *reading, const char *text, struct cow_err *err)
{
	struct mapfile *map = reading->map;
	uint64_t start, len_bytes;
	char status;

	if (!take_number(&text, &start))
		return bad_line(reading, "the position is no number that can be one", err);
	if (!take_number(&text, &len_bytes))
		return bad_line(reading, "the size is no number that can be one", err);
	if (!take_status(&text, "?*/-+", &status))
		return bad_line(reading, "the status is not one of ? * / - +", err);
	if (!len_bytes || len_bytes > POSITION_MAX - start)
		return bad_line(reading, "the size is 0, or beyond what a position can be", err);
	if (reading->has_block && start != map->end_bytes)
		return bad_line(reading,
				start < map->end_bytes
					? "the block overlaps the one before"
					: "there is a gap between the block before and "
					  "this one",
				err);
	reading->has_block = true;
	map->end_bytes = start + len_bytes;
	return status == '+' ? add_good(map, start, len_bytes, err) : 0;
}

static int one_line(struct reading *reading, struct cow_err *err)
{
	const char *text = reading->line;

	reading->line[reading->len_bytes] = '\0';
	while (is_blank(*text))
		text++;
	if (*text == '#')
		return 0;
	if (strlen(reading->line) != reading->len_bytes)
		return bad_line(reading, "it is not text", err);
	if (!*text)
		return 0;
	if (reading->has_status)
		return block_line(reading, text, err);
	reading->has_status = true;
	return status_line(reading, text, err);
}

int mapfile_read(struct mapfile *map, const struct byte_source *source, struct cow_err *err)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	bool has_more = true;
	int ret = 0;

	mapfile_clear(map);
	if (!reading)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a mapfile");
	reading->source = source;
	reading->map = map;
	while (!ret && has_more) {
		ret = next_line(reading, &has_more, err);
		if (!ret && has_more)
			ret = one_line(reading, err);
	}
	/* An empty one would make everything unreadable. */
	if (!ret && !reading->has_block)
		ret = bad_line(reading, "it ends without a block", err);
	free(reading);
	if (ret)
		mapfile_clear(map);
	return ret;
}

struct map_source {
	int fd;
	const char *path;
};

static int source_read(void *user, void *buf, size_t len_bytes, size_t *ret_len_bytes,
		       struct cow_err *err)
{
	const struct map_source *source = user;

	return byte_source_read_fd(source->fd, source->path, "mapfile", buf, len_bytes,
				   ret_len_bytes, err);
}

int mapfile_load(struct mapfile *map, const char *path, struct cow_err *err)
{
	struct map_source from = { open(path, O_RDONLY | O_CLOEXEC), path };
	const struct byte_source source = { source_read, &from, path };
	int ret;

	if (from.fd < 0 && cli_interrupted())
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	if (from.fd < 0)
		return cli_refuse(err, -errno, "mapfile", NULL, "%s: %s", path, strerror(errno));
	ret = mapfile_read(map, &source, err);
	close(from.fd);
	return ret;
}

int mapfile_bad(const struct mapfile *map, uint64_t size_bytes, struct cow_segment **ret_ranges,
		size_t *ret_nr_ranges, struct cow_err *err)
{
	/* bounded: so many are in memory */
	struct cow_segment *ranges = calloc(map->nr_good + 1, sizeof(*ranges));
	uint64_t at = 0;
	size_t nr = 0;

	if (!ranges)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu ranges",
				  map->nr_good);
	for (size_t i = 0; i < map->nr_good && at < size_bytes; i++) {
		uint64_t start = map->good[i].offset_bytes;

		start = start < size_bytes ? start : size_bytes;
		if (start > at)
			ranges[nr++] = (struct cow_segment){ at, start - at };
		at = map->good[i].offset_bytes + map->good[i].len_bytes;
	}
	if (at < size_bytes)
		ranges[nr++] = (struct cow_segment){ at, size_bytes - at };
	*ret_ranges = ranges;
	*ret_nr_ranges = nr;
	return 0;
}

/* --------------------------------------------------------------- writing */

int mapfile_begin(struct mapfile_writer *writer, struct printer *printer, struct cow_err *err)
{
	*writer = (struct mapfile_writer){ .printer = printer };
	return printer_add(printer, err,
			   "# Mapfile. Created by libcow %s\n"
			   "# current_pos  current_status  current_pass\n"
			   "0x00000000     +               1\n"
			   "#      pos        size  status\n",
			   cow_version());
}

static int put_block(struct mapfile_writer *writer, uint64_t end_bytes, char status,
		     struct cow_err *err)
{
	uint64_t start = writer->at_bytes;

	if (start == end_bytes)
		return 0;
	writer->at_bytes = end_bytes;
	return printer_add(writer->printer, err, "0x%08" PRIX64 "  0x%08" PRIX64 "  %c\n", start,
			   end_bytes - start, status);
}

int mapfile_add(struct mapfile_writer *writer, uint64_t offset_bytes, uint64_t len_bytes,
		struct cow_err *err)
{
	int ret = put_block(writer, offset_bytes, '?', err);

	return ret ? ret : put_block(writer, offset_bytes + len_bytes, '+', err);
}

int mapfile_end(struct mapfile_writer *writer, uint64_t size_bytes, struct cow_err *err)
{
	int ret = put_block(writer, size_bytes, '?', err);

	return ret ? ret : printer_flush(writer->printer, err);
}
