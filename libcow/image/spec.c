/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec.c - the plain forms: PATH, file:PATH, PATH@OFFSET[+LENGTH], PATH@OFF+LEN,OFF+LEN,...,
 * zero:SIZE. Only a final part that can be read as offsets counts; any other
 * '@' belongs to the name. What could mean two things is refused: to write
 * into the wrong one of two files cannot be taken back.
 */
#include "libcow/image/spec.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "libcow/base/cleanup.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"

#define PREFIX_FILE "file:"
#define PREFIX_ZERO "zero:"

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static bool file_exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

static int no_memory(struct cow_err *err)
{
	return cow_fail(err, -ENOMEM, "no memory for the name of an image");
}

/* One number up to (not including) end. */
static int number_parse(const char *text, const char *end, uint64_t *ret_value, struct cow_err *err)
{
	AUTO_FREE char *copy = strndup(text, (size_t)(end - text));

	if (!copy)
		return no_memory(err);
	return cow_size_parse(copy, ret_value, err);
}

/* OFFSET or OFFSET+LENGTH; a missing length is 0. */
static int segment_parse(const char *text, const char *end, struct cow_segment *ret_segment,
			 struct cow_err *err)
{
	const char *plus = (const char *)memchr(text, '+', (size_t)(end - text));
	uint64_t sum;
	int ret = number_parse(text, plus ? plus : end, &ret_segment->offset_bytes, err);

	ret_segment->len_bytes = 0;
	if (ret || !plus)
		return ret;
	ret = number_parse(plus + 1, end, &ret_segment->len_bytes, err);
	if (ret)
		return ret;
	if (!ret_segment->len_bytes)
		return cow_fail(err, -EINVAL, "the segment \"%.*s\" is empty", (int)(end - text),
				text);
	if (add_overflows(ret_segment->offset_bytes, ret_segment->len_bytes, &sum))
		return cow_fail(err, -ERANGE, "the segment \"%.*s\" ends beyond 2^64 bytes",
				(int)(end - text), text);
	return 0;
}

static size_t count_char(const char *text, char c)
{
	size_t nr = 0;

	for (; *text; text++)
		nr += *text == c;
	return nr;
}

int cow_spec_segments_parse(const char *text, struct cow_spec *spec, struct cow_err *err)
{
	size_t nr = count_char(text, ',') + 1;
	AUTO_FREE struct cow_segment *segments =
		(struct cow_segment *)calloc(nr, sizeof(*segments));

	if (!segments)
		return no_memory(err);
	for (size_t i = 0; i < nr; i++) {
		const char *end = text + strcspn(text, ",");
		int ret = segment_parse(text, end, &segments[i], err);

		if (ret)
			return ret;
		if (nr > 1 && !segments[i].len_bytes)
			return cow_fail(err, -EINVAL,
					"the segment \"%.*s\" has no length; in a list each one "
					"is written OFFSET+LENGTH",
					(int)(end - text), text);
		text = end + 1;
	}
	spec->is_open_ended = !segments[0].len_bytes;
	spec->nr_segments = nr;
	spec->segments = take_ptr(segments);
	return 0;
}

/* A leading zero does not change an offset, but it changes the name. */
static int refuse_ambiguous(const char *text, size_t path_len, struct cow_err *err)
{
	return cow_refuse(err, -EPERM, "ambiguous-name", NULL,
			  "a file named \"%s\" exists, too; write file:%s for that file, or "
			  "%.*s0%s for what the specification means otherwise",
			  text, text, (int)path_len, text, text + path_len);
}

static int spec_zero(const char *text, struct cow_spec *spec, struct cow_err *err)
{
	int ret;

	if (file_exists(text))
		return refuse_ambiguous(text, strlen(PREFIX_ZERO), err);
	ret = cow_size_parse(text + strlen(PREFIX_ZERO), &spec->zero_bytes, err);
	if (!ret && spec->zero_bytes < 512)
		ret = cow_fail(err, -EINVAL, "\"%s\" is smaller than a sector of 512 bytes", text);
	return ret;
}

static int spec_path(const char *path, size_t len, struct cow_spec *spec, struct cow_err *err)
{
	spec->path = strndup(path, len);
	return spec->path ? 0 : no_memory(err);
}

static int spec_window(const char *text, struct cow_spec *spec, struct cow_err *err)
{
	const char *at = strrchr(text, '@');
	int ret;

	if (!at || at == text || at[1] < '0' || at[1] > '9')
		return spec_path(text, strlen(text), spec, err);
	ret = cow_spec_segments_parse(at + 1, spec, err);
	/* No window, so a name: if it is not there, a window was meant. */
	if (ret && ret != -ENOMEM && file_exists(text))
		return spec_path(text, strlen(text), spec, err);
	if (ret)
		return ret;
	if (file_exists(text))
		return refuse_ambiguous(text, (size_t)(at - text) + 1, err);
	return spec_path(text, (size_t)(at - text), spec, err);
}

static int spec_read(const char *text, bool literal, struct cow_spec *spec, struct cow_err *err)
{
	if (!*text)
		return cow_fail(err, -EINVAL, "the name of an image is empty");
	if (literal)
		return spec_path(text, strlen(text), spec, err);
	if (has_prefix(text, PREFIX_FILE)) {
		text += strlen(PREFIX_FILE);
		if (!*text)
			return cow_fail(err, -EINVAL, "no path follows \"" PREFIX_FILE "\"");
		return spec_path(text, strlen(text), spec, err);
	}
	if (has_prefix(text, PREFIX_ZERO))
		return spec_zero(text, spec, err);
	if (!strcmp(text, "-"))
		return cow_fail(err, -EINVAL,
				"\"-\" is no image: an image is read at any place, a pipe is not; "
				"for a file of that name write ./-");
	return spec_window(text, spec, err);
}

int cow_spec_parse(const char *text, bool literal, struct cow_spec *ret_spec, struct cow_err *err)
{
	struct cow_spec spec = { .path = NULL };
	int ret = spec_read(text, literal, &spec, err);

	if (ret) {
		cow_spec_clear(&spec);
		return ret;
	}
	*ret_spec = spec;
	return 0;
}

void cow_spec_clear(struct cow_spec *spec)
{
	free(spec->path);
	free(spec->segments);
	*spec = (struct cow_spec){ .path = NULL };
}
