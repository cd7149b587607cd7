/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_open.c - opens the image that a specification names. A file, or a part of
 * one, is an image of the set at once. What is made of other images is put
 * together from the inside out, on files of which no byte is taken yet; when it is
 * complete, the bytes that it lies on are claimed for it. So two partitions of one
 * disk are two images of a job, and an overlap is noticed whatever the spelling.
 */
#include "libcow/snapshot/spec_open.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/image/imageset.h"
#include "libcow/image/spec_name.h"

struct cow_spec_opening {
	struct cow_imageset *set;
	uint32_t flags;
	struct cow_image_list images;
};

static cow_spec_opener plain_open, concat_open, window_open, uri_open;

/* NULL: not there yet. */
static cow_spec_opener *const openers[COW_SPEC_FORMS] = {
	[COW_SPEC_PLAIN] = plain_open,
	[COW_SPEC_CONCAT] = concat_open,
	[COW_SPEC_PART] = cow_spec_part_open,
	[COW_SPEC_LVM] = cow_spec_lvm_open,
	[COW_SPEC_WINDOW] = window_open,
	[COW_SPEC_STORE] = cow_spec_store_open,
	[COW_SPEC_NBD] = uri_open,
};

uint32_t cow_spec_flags(const struct cow_spec_opening *opening)
{
	return opening->flags;
}

struct cow_imageset *cow_spec_set(const struct cow_spec_opening *opening)
{
	return opening->set;
}

int cow_spec_keep(struct cow_spec_opening *opening, struct cow_image *image, struct cow_err *err)
{
	int ret = cow_image_list_add(&opening->images, image, err);

	if (ret)
		cow_image_close(image);
	return ret;
}

/* Refuses a form that has no function, or no kind of store. */
static int unsupported(const struct cow_spec_tree *tree, struct cow_err *err)
{
	return cow_fail(err, -EOPNOTSUPP,
			"images of the form \"%s\" are not supported by this version; for a "
			"file of that name write file: in front of it",
			tree->form == COW_SPEC_NBD ? "nbd://" : cow_spec_prefix(tree));
}

/* Unknown forms never get here: the parser has made the tree. */
int cow_spec_open_inner(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
			struct cow_image **ret_image, struct cow_err *err)
{
	cow_spec_opener *opener = openers[tree->form];

	if (!opener)
		return cow_failed(unsupported(tree, err));
	return opener(opening, tree, ret_image, err);
}

static int plain_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		      struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_FREE char *name = cow_spec_tree_print(tree, false);
	struct cow_image *image;
	int ret;

	if (!name)
		return cow_fail(err, -ENOMEM, "no memory for the name of an image");
	ret = cow_imageset_open_spec(opening->set, name, &tree->plain, opening->flags, true, &image,
				     err);
	if (!ret)
		ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}

static int concat_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		       struct cow_image **ret_image, struct cow_err *err)
{
	/* bounded: COW_SPEC_PARTS_MAX */
	AUTO_FREE struct cow_image **images =
		(struct cow_image **)calloc(tree->nr_parts, sizeof(struct cow_image *));
	struct cow_image *image;
	int ret = images ? 0 : cow_fail(err, -ENOMEM, "no memory for an image");

	for (size_t i = 0; !ret && i < tree->nr_parts; i++)
		ret = cow_spec_open_inner(opening, tree->parts[i].image, &images[i], err);
	if (!ret)
		ret = cow_image_concat_new(images, tree->nr_parts, &image, err);
	if (!ret)
		ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}

static int uri_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		    struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_image *image;
	int ret = cow_imageset_open_uri(opening->set, tree->text, opening->flags, &image, err);

	if (ret) {
		cow_err_place(err, tree->text, COW_OFFSET_NONE);
		return ret;
	}
	ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}

/* A part that has no length goes up to the end of the image. */
static int window_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
		       struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_segment *segments = tree->plain.segments, rest;
	struct cow_image *base, *image;
	int ret = cow_spec_open_inner(opening, tree->parts[0].image, &base, err);

	if (ret)
		return ret;
	rest = segments[0];
	if (tree->plain.is_open_ended) {
		rest.len_bytes = 512;
		if (rest.offset_bytes < base->size_bytes)
			rest.len_bytes = base->size_bytes - rest.offset_bytes;
		segments = &rest;
	}
	ret = cow_image_window_new(base, segments, tree->plain.nr_segments, &image, err);
	if (!ret)
		ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}

static int compound_open(struct cow_imageset *set, const char *text,
			 const struct cow_spec_tree *tree, uint32_t flags,
			 struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_spec_opening opening = { .set = set, .flags = flags };
	struct cow_image *image = NULL;
	int ret = cow_spec_open_inner(&opening, tree, &image, err);

	if (!ret && flags & COW_OPEN_WRITE && image && !image->is_writable)
		ret = cow_fail(err, -EROFS, "it cannot be written");
	if (!ret)
		ret = cow_imageset_claim(set, image, text, flags, &opening.images, ret_image, err);
	cow_image_list_close(&opening.images);
	return ret;
}

static int text_open(struct cow_imageset *set, const char *text, uint32_t flags,
		     struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	int ret = cow_spec_tree_parse_in(set, text, &tree, err);

	if (ret)
		return ret;
	if (tree->form == COW_SPEC_PLAIN)
		return cow_imageset_open_spec(set, text, &tree->plain, flags, false, ret_image,
					      err);
	return compound_open(set, text, tree, flags, ret_image, err);
}

/* Each of these is a whole image of the set, so the depth of what stands inside it
 * is bounded as that of any specification. */
int cow_spec_open_alone(struct cow_spec_opening *opening, const char *text,
			struct cow_image **ret_image, struct cow_err *err)
{
	int ret = text_open(opening->set, text, opening->flags, ret_image, err);

	if (ret)
		cow_err_place(err, text, COW_OFFSET_NONE);
	return ret;
}

int cow_spec_open_whole(struct cow_spec_opening *opening, const char *text,
			struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_image *image = NULL;
	int ret = cow_spec_open_alone(opening, text, &image, err);

	if (!ret)
		ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}

int cow_spec_open_part(struct cow_spec_opening *opening, const char *text,
		       struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	int ret = cow_spec_tree_parse_in(opening->set, text, &tree, err);

	if (!ret)
		ret = cow_spec_open_inner(opening, tree, ret_image, err);
	if (ret)
		cow_err_place(err, text, COW_OFFSET_NONE);
	return ret;
}

static int literal_open(struct cow_imageset *set, const char *text, uint32_t flags,
			struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_spec spec = { .path = NULL };
	int ret = cow_spec_parse(text, true, &spec, err);

	if (!ret)
		ret = cow_imageset_open_spec(set, text, &spec, flags, false, ret_image, err);
	cow_spec_clear(&spec);
	return ret;
}

int cow_imageset_open(struct cow_imageset *set, const char *text, uint32_t flags,
		      struct cow_image **ret_image, struct cow_err *err)
{
	int ret;

	if (flags & ~(COW_OPEN_WRITE | COW_OPEN_LITERAL | COW_OPEN_BUSY | COW_OPEN_REHEARSE |
		      COW_OPEN_COPIES))
		return cow_fail(err, -EINVAL, "unknown flags 0x%" PRIx32, flags);
	if (flags & COW_OPEN_LITERAL)
		ret = literal_open(set, text, flags, ret_image, err);
	else
		ret = text_open(set, text, flags, ret_image, err);
	if (ret)
		cow_err_place(err, text, COW_OFFSET_NONE);
	return ret;
}

/* Two that are compared. */
struct spec_pair {
	const char *second;
	struct cow_imageset *set;
	struct cow_image *image; /* the first */
	bool is_same;
};

/* cow_spec_look_fn. */
static int second_look(void *user, struct cow_spec_opening *opening,
		       const struct cow_spec_tree *tree, struct cow_err *err)
{
	struct spec_pair *pair = (struct spec_pair *)user;
	struct cow_image *image = NULL;
	int ret = cow_spec_open_inner(opening, tree, &image, err);

	if (!ret)
		pair->is_same = cow_imageset_is_one(pair->set, pair->image, image);
	return ret;
}

/* cow_spec_look_fn. */
static int first_look(void *user, struct cow_spec_opening *opening,
		      const struct cow_spec_tree *tree, struct cow_err *err)
{
	struct spec_pair *pair = (struct spec_pair *)user;
	int ret = cow_spec_open_inner(opening, tree, &pair->image, err);

	return ret ? ret : cow_spec_look(pair->set, pair->second, second_look, pair, err);
}

int cow_spec_is_same(struct cow_imageset *set, const char *a, const char *b, bool *ret_is_same,
		     struct cow_err *err)
{
	struct spec_pair pair = { .second = b, .set = set };
	int ret;

	*ret_is_same = !strcmp(a, b);
	if (*ret_is_same)
		return 0;
	ret = cow_spec_look(set, a, first_look, &pair, err);
	*ret_is_same = pair.is_same;
	return ret;
}

int cow_spec_look(struct cow_imageset *set, const char *text, cow_spec_look_fn *look, void *user,
		  struct cow_err *err)
{
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	struct cow_spec_opening opening = { .set = set, .flags = COW_OPEN_BUSY };
	int ret = cow_spec_tree_parse_in(set, text, &tree, err);

	if (!ret)
		ret = look(user, &opening, tree, err);
	if (ret)
		cow_err_place(err, text, COW_OFFSET_NONE);
	cow_image_list_close(&opening.images);
	return ret;
}
