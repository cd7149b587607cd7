/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * imageset.c - the images of one job. Every file is opened and locked once,
 * whatever it is called; each image that is handed out is a window of it. No
 * byte belongs to two of them, be it by path, link, device node, partition or
 * loop device: a job that reads what it overwrites destroys it.
 *
 * An empty file is refused ("bounds"): nothing can be done with it.
 */
#include "libcow/image/imageset.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/image/file.h"
#include "libcow/image/set_range.h"
#include "libcow/image/spec.h"
#include "libcow/image/spec_name.h"
#include "libcow/image/window.h"

/* Not for callers: a base. */
#define OPEN_BASE (1u << 31)

int cow_imageset_new(struct cow_imageset **ret_set, struct cow_err *err)
{
	struct cow_imageset *set = (struct cow_imageset *)calloc(1, sizeof(*set));

	if (!set)
		return cow_fail(err, -ENOMEM, "no memory for a set of images");
	*ret_set = set;
	return 0;
}

void cow_imageset_free(struct cow_imageset *set)
{
	if (!set)
		return;
	for (struct cow_handle *file = set->files, *next; file; file = next) {
		next = file->next;
		cow_handle_close(file);
	}
	cow_spec_names_free(set->names);
	free(set);
}

void cow_imageset_set_opener(struct cow_imageset *set,
			     int (*open)(void *user, const char *uri, uint32_t flags,
					 struct cow_image **ret_image, struct cow_err *err),
			     void *user)
{
	set->open = open;
	set->open_user = user;
}

int cow_imageset_set_rate(struct cow_imageset *set, const struct cow_rate_params *params,
			  struct cow_err *err)
{
	return cow_rate_init(&set->rate, params, err);
}

struct cow_rate *cow_imageset_rate(struct cow_imageset *set)
{
	return &set->rate;
}

int cow_imageset_open_uri(struct cow_imageset *set, const char *uri, uint32_t flags,
			  struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_err said = COW_ERR_INIT;
	int ret;

	if (!set->open)
		return cow_fail(
			err, -EOPNOTSUPP,
			"images of the form \"nbd://\" are not supported here; for a file of "
			"that name write file: in front of it");
	ret = set->open(set->open_user, uri, flags, ret_image, &said);
	if (!ret) {
		(*ret_image)->rate = &set->rate;
		return 0;
	}
	ret = ret < 0 ? ret : -EIO;
	if (!said.message[0])
		return cow_fail(err, ret, "it cannot be opened: %s", strerrordesc_np(-ret));
	said.code = ret;
	if (err)
		*err = said;
	return ret;
}

static struct cow_handle *file_find(const struct cow_imageset *set, const struct stat *st)
{
	struct cow_ground self;
	struct cow_handle *file;

	cow_handle_self(st, &self);
	for (file = set->files; file; file = file->next)
		if (cow_ground_is_same(&file->self, &self))
			break;
	return file;
}

int cow_imageset_refuse_file(const struct cow_imageset *set, const struct stat *st,
			     struct cow_err *err)
{
	const struct cow_handle *file = file_find(set, st);

	if (!file)
		return 0;
	return cow_refuse(err, -EPERM, "overlap", NULL,
			  "it is the same file as \"%s\", which this job uses already", file->path);
}

static int file_get(struct cow_imageset *set, const char *path, uint32_t flags,
		    struct cow_handle **ret_file, struct cow_err *err)
{
	struct cow_handle *file;
	struct stat st;
	int ret = cow_file_stat(path, &st, err);

	if (ret)
		return ret;
	file = file_find(set, &st);
	if (!file) {
		ret = cow_handle_open(path, flags & COW_OPEN_WRITE, &file, err);
		if (ret)
			return ret;
		file->image->rate = &set->rate;
		file->next = set->files;
		set->files = file;
	}
	*ret_file = file;
	return 0;
}

/* The segments with their lengths; whole or open-ended: up to the end. */
static int range_new(struct cow_imageset *set, struct cow_handle *file, const char *name,
		     const struct cow_spec *spec, struct set_range **ret_range, struct cow_err *err)
{
	uint64_t size_bytes = file->image->size_bytes, first;
	size_t nr = spec->nr_segments ? spec->nr_segments : 1;
	struct set_range *range;
	int ret;

	if (!size_bytes)
		return cow_fail(err, -ERANGE, "it is empty, or shorter than a sector of 512 bytes");
	ret = cow_set_range_new(set, file, name, nr, &range, err);
	if (ret)
		return ret;
	if (spec->nr_segments)
		memcpy(range->segments, spec->segments, nr * sizeof(range->segments[0]));
	first = range->segments[0].offset_bytes;
	if (!spec->nr_segments || spec->is_open_ended)
		range->segments[0].len_bytes = first < size_bytes ? size_bytes - first : 1;
	ret = cow_segments_check(range->segments, nr, size_bytes, err);
	if (ret)
		cow_set_range_free(range);
	else
		*ret_range = range;
	return ret;
}

static int range_open(struct cow_imageset *set, struct set_range *range, uint32_t flags,
		      struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_handle *file = range->file;
	struct cow_window_args args = {
		.base = file->image,
		.name = range->name,
		.segments = range->segments,
		.nr_segments = range->nr_segments,
		.is_read_only = !(flags & COW_OPEN_WRITE),
		.closed = cow_set_range_closed,
		.owner = range,
	};
	int ret = range->is_base ? 0 : cow_set_range_check(set, range, err);

	/* After the overlap: a file behind a loop device of this set is that,
	 * rather than in use by somebody. */
	if (!ret)
		ret = cow_handle_secure(file, flags, err);
	if (!ret)
		ret = cow_image_window_of(&args, ret_image, err);
	if (ret)
		return ret;
	cow_set_range_add(set, range);
	return 0;
}

static int zero_open(const char *name, uint64_t size_bytes, struct cow_image **ret_image,
		     struct cow_err *err)
{
	AUTO_FREE char *copy = strdup(name);
	int ret;

	if (!copy)
		return cow_fail(err, -ENOMEM, "no memory for the name of an image");
	ret = cow_image_zero_new(size_bytes, ret_image, err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	free((*ret_image)->name);
	(*ret_image)->name = take_ptr(copy);
	return 0;
}

static int spec_open(struct cow_imageset *set, const char *name, const struct cow_spec *spec,
		     uint32_t flags, struct cow_image **ret_image, struct cow_err *err)
{
	struct set_range *range = NULL;
	struct cow_handle *file;
	int ret;

	if (!spec->path && flags & (COW_OPEN_WRITE | COW_OPEN_REHEARSE))
		return cow_fail(err, -EROFS, "an image of zeros cannot be written");
	if (!spec->path)
		return zero_open(name, spec->zero_bytes, ret_image, err);
	ret = file_get(set, spec->path, flags, &file, err);
	if (ret)
		return ret;
	ret = range_new(set, file, name, spec, &range, err);
	if (!ret)
		range->is_base = flags & OPEN_BASE;
	if (!ret)
		ret = range_open(set, range, flags, ret_image, err);
	if (ret && range)
		cow_set_range_free(range);
	if (ret)
		cow_set_file_put(set, file);
	return ret;
}

int cow_imageset_open_spec(struct cow_imageset *set, const char *name, const struct cow_spec *spec,
			   uint32_t flags, bool is_base, struct cow_image **ret_image,
			   struct cow_err *err)
{
	int ret = spec_open(set, name, spec, is_base ? flags | OPEN_BASE : flags, ret_image, err);

	if (ret)
		cow_err_place(err, name, COW_OFFSET_NONE);
	return ret;
}

int cow_imageset_open_base(struct cow_imageset *set, const char *text, uint32_t flags,
			   struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_spec spec = { .path = NULL };
	int ret = cow_spec_parse(text, flags & COW_OPEN_LITERAL, &spec, err);

	if (ret)
		cow_err_place(err, text, COW_OFFSET_NONE);
	else
		ret = cow_imageset_open_spec(set, text, &spec, flags, true, ret_image, err);
	cow_spec_clear(&spec);
	return ret;
}

int cow_imageset_open_range(struct cow_imageset *set, const char *path,
			    const struct cow_segment *range, uint32_t flags,
			    struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_segment segment = *range;
	struct cow_spec spec = { .nr_segments = 1, .segments = &segment };
	AUTO_FREE char *copy = strdup(path);
	int ret;

	if (!copy)
		return cow_fail(err, -ENOMEM, "no memory for the name of an image");
	spec.path = copy;
	ret = spec_open(set, path, &spec, flags, ret_image, err);
	if (ret)
		cow_err_place(err, path, COW_OFFSET_NONE);
	return ret;
}

int cow_imageset_widen(struct cow_image *image, uint64_t size_bytes, struct cow_err *err)
{
	struct set_range *range = (struct set_range *)cow_image_window_owner(image);
	int ret = cow_set_range_widen(range, size_bytes, err);

	if (!ret)
		cow_image_window_widen(image, size_bytes);
	else
		cow_err_place(err, range->name, COW_OFFSET_NONE);
	return ret;
}
