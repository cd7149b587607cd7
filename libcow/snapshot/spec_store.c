/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_store.c - a store that consists of several images, by one text: a
 * specification with keys, or a line of `dmsetup table`. In the place of an image
 * such a specification is what the device of the store would show, for reading.
 */
#include "libcow/snapshot/spec_common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/image/spec_name.h"
#include "libcow/store/store.h"

static int no_memory(struct cow_err *err)
{
	return cow_fail(err, -ENOMEM, "no memory for the names of images");
}

/* ---------------------------------------------------------------- the text */

/* Room for nr parts of either sort. */
int cow_store_spec_new(const char *kind, size_t nr, struct cow_store_spec **ret_spec,
		       struct cow_err *err)
{
	struct cow_store_spec *spec = (struct cow_store_spec *)calloc(1, sizeof(*spec));

	if (!spec)
		return no_memory(err);
	spec->kind = kind;
	/* bounded: COW_SPEC_PARTS_MAX */
	spec->images = (struct cow_role_spec *)calloc(nr + 1, sizeof(*spec->images));
	/* bounded: the same */
	spec->geometry = (struct cow_geometry *)calloc(nr + 1, sizeof(*spec->geometry));
	if (!spec->images || !spec->geometry) {
		cow_store_spec_free(spec);
		return no_memory(err);
	}
	*ret_spec = spec;
	return 0;
}

void cow_store_spec_free(struct cow_store_spec *spec)
{
	if (!spec)
		return;
	for (size_t i = 0; i < spec->nr_images; i++)
		free((char *)spec->images[i].spec);
	for (size_t i = 0; i < spec->nr_geometry; i++)
		free((char *)spec->geometry[i].value);
	free(spec->images);
	free(spec->geometry);
	free(spec);
}

/* Takes over text. key is static. */
int cow_store_spec_add(struct cow_store_spec *spec, const char *key, char *text,
		       struct cow_err *err)
{
	int role = cow_spec_key_role(spec->kind, key);
	uint32_t index = 0;

	if (!text)
		return no_memory(err);
	if (!role) {
		spec->geometry[spec->nr_geometry++] = (struct cow_geometry){ key, text };
		return 0;
	}
	for (size_t i = 0; i < spec->nr_images; i++)
		index += spec->images[i].role == role;
	spec->images[spec->nr_images++] =
		(struct cow_role_spec){ .role = role, .index = index, .spec = text };
	return 0;
}

static int spec_add_number(struct cow_store_spec *spec, const char *key, const char *value,
			   struct cow_err *err)
{
	char *text;

	if (asprintf(&text, "%s", value) < 0)
		return no_memory(err);
	return cow_store_spec_add(spec, key, text, err);
}

static int spec_add_image(struct cow_store_spec *spec, const char *key,
			  const struct cow_spec_tree *tree, struct cow_err *err)
{
	return cow_store_spec_add(spec, key, cow_spec_tree_print(tree, false), err);
}

int cow_store_spec_of_tree(const struct cow_spec_tree *tree, size_t nr_more,
			   struct cow_store_spec **ret_spec, struct cow_err *err)
{
	struct cow_store_spec *spec = NULL;
	int ret = cow_store_spec_new(tree->kind->name, tree->nr_parts + nr_more, &spec, err);

	for (size_t i = 0; !ret && i < tree->nr_parts; i++) {
		const struct cow_spec_part *part = &tree->parts[i];

		ret = part->value ? spec_add_number(spec, part->key, part->value, err)
				  : spec_add_image(spec, part->key, part->image, err);
	}
	if (ret)
		cow_store_spec_free(spec);
	else
		*ret_spec = spec;
	return ret;
}

int cow_store_spec_parse(const struct cow_imageset *set, const char *text,
			 struct cow_store_spec **ret_spec, struct cow_err *err)
{
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	int ret = cow_spec_tree_parse_in(set, text, &tree, err);

	if (!ret && tree->kind)
		ret = cow_store_spec_of_tree(tree, 0, ret_spec, err);
	else if (!ret)
		*ret_spec = NULL;
	if (ret)
		cow_err_place(err, text, COW_OFFSET_NONE);
	return ret;
}

/* ---------------------------------------------------------------- dmsetup table */

/* The next word of a line, in word; false: there is none, or it is too long. */
static bool word_next(const char **line, char *word, size_t room)
{
	size_t len;

	*line += strspn(*line, " \t\n");
	len = strcspn(*line, " \t\n");
	if (!len || len >= room)
		return false;
	memcpy(word, *line, len);
	word[len] = '\0';
	*line += len;
	return true;
}

/* A device by its name, or by the numbers that the kernel prints. */
static int device_add(struct cow_store_spec *spec, const char *key, const char *word,
		      struct cow_err *err)
{
	size_t major = strspn(word, "0123456789");
	bool is_number = major && word[major] == ':' && word[major + 1] &&
			 strspn(word + major + 1, "0123456789") == strlen(word + major + 1);
	struct cow_spec_tree plain = { .form = COW_SPEC_PLAIN };
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s%s", is_number ? "/dev/block/" : "", word) < 0) {
		path = NULL;
		return no_memory(err);
	}
	plain.plain.path = path;
	return spec_add_image(spec, key, &plain, err);
}

static int table_refuse(const char *line, struct cow_err *err)
{
	return cow_fail(err, -EINVAL,
			"\"%.80s\" is not a line that dmsetup table prints for a store of a known "
			"kind",
			line);
}

/* The kind with such a name that has a table; NULL: none. */
static const struct store_ops *table_ops(const char *name)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	const struct store_ops *ops = NULL;

	args.kind = name;
	return !cow_store_find_ops(&args, &ops, NULL) && ops->table ? ops : NULL;
}

int cow_store_spec_table(const char *line, struct cow_store_spec **ret_spec, struct cow_err *err)
{
	struct cow_store_spec *spec = NULL;
	const char *name_end = strstr(line, ": "), *at = name_end ? name_end + 2 : line;
	char start[32], length[32], kind[32], word[4096];
	const struct store_ops *ops = NULL;
	size_t nr = 0;
	int ret;

	if (word_next(&at, start, sizeof(start)) && word_next(&at, length, sizeof(length)) &&
	    word_next(&at, kind, sizeof(kind)) && strspn(start, "0123456789") == strlen(start))
		ops = table_ops(kind);
	if (!ops)
		return table_refuse(line, err);
	while (ops->table[nr])
		nr++;
	ret = cow_store_spec_new(ops->name, nr, &spec, err);
	if (!ret)
		ret = spec_add_number(spec, ops->table[0], length, err);
	for (size_t i = 1; !ret && i < nr; i++) {
		if (!word_next(&at, word, sizeof(word)))
			ret = table_refuse(line, err);
		else
			ret = cow_spec_key_role(ops->name, ops->table[i])
				      ? device_add(spec, ops->table[i], word, err)
				      : spec_add_number(spec, ops->table[i], word, err);
	}
	if (ret)
		cow_store_spec_free(spec);
	else
		*ret_spec = spec;
	return ret;
}

/* ---------------------------------------------------------------- the view */

/* What the device shows: an image that owns store and view. The images of the
 * store are images of the set, so their bytes are claimed; where the view takes its
 * bytes from is nobody else's business. Those of a store that holds several snapshots
 * belong to all that show one of them. */
struct shown {
	struct cow_image image;
	struct cow_store *store;
	struct cow_image *view;
	struct spec_common_user *users; /* one for each image; NULL: not shared */
	size_t nr_users;
};

static int shown_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		       struct cow_err *err)
{
	return cow_image_pread(((struct shown *)image)->view, buf, len_bytes, offset_bytes, err);
}

static int shown_next_data(struct cow_image *image, uint64_t offset_bytes,
			   uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err)
{
	return cow_image_next_data(((struct shown *)image)->view, offset_bytes, ret_offset_bytes,
				   ret_len_bytes, err);
}

/* Where two devices of one pool share a block, both find it in one place. */
static struct cow_image *shown_resolve(struct cow_image *image, uint64_t offset_bytes,
				       uint64_t *len_bytes, uint64_t *ret_offset_bytes)
{
	*ret_offset_bytes = offset_bytes;
	(void)len_bytes;
	return ((struct shown *)image)->view;
}

/* What it lies on has been claimed: the images of the store are those of the set. */
static int shown_footprint(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			   cow_image_range_fn *call, void *user, struct cow_err *err)
{
	(void)image;
	(void)offset_bytes;
	(void)len_bytes;
	(void)call;
	(void)user;
	(void)err;
	return 0;
}

static void shown_close(struct cow_image *image)
{
	struct shown *shown = (struct shown *)image;

	cow_image_close(shown->view);
	cow_store_close(shown->store);
	for (size_t i = shown->nr_users; i-- > 0;)
		cow_spec_common_put(&shown->users[i]);
	free(shown->users);
}

static const struct image_ops shown_ops = {
	.name = "store",
	.pread = shown_pread,
	.next_data = shown_next_data,
	.resolve = shown_resolve,
	.footprint = shown_footprint,
	.close = shown_close,
};

/* An image has a length: what stands on one must not depend on a guess. */
static int length_check(const struct cow_store *store, struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;

	if (cow_store_get_info(store, &info) || !info.is_size_guessed)
		return 0;
	return cow_refuse(
		err, -EPERM, "size", NULL,
		"the length of this device is not in its metadata: add size=N, at least %" PRIu64
		" (the end of its highest mapping)",
		info.view_bytes);
}

static int shown_open(struct shown *shown, const struct cow_store_args *args, const char *name,
		      struct cow_err *err)
{
	int ret = cow_store_open(args, &shown->store, err);

	if (!ret)
		ret = length_check(shown->store, err);
	if (!ret)
		ret = cow_view_new(shown->store->origin, shown->store, &shown->view, err);
	if (!ret)
		ret = cow_image_init(&shown->image, &shown_ops, name, shown->view->size_bytes, err);
	if (!ret)
		shown->image.logical_block_bytes = shown->view->logical_block_bytes;
	return ret;
}

/* ------------------------------------------- several snapshots of one store */

/* Opens or finds the images; those of another snapshot of the same store are its. */
static int commons_get(struct shown *shown, struct cow_spec_opening *opening,
		       const struct cow_store_spec *spec, struct cow_role_image *images,
		       struct cow_err *err)
{
	int ret = 0;

	/* bounded: COW_SPEC_PARTS_MAX */
	shown->users =
		(struct spec_common_user *)calloc(spec->nr_images + 1, sizeof(*shown->users));
	if (!shown->users)
		return no_memory(err);
	for (size_t i = 0; !ret && i < spec->nr_images; i++) {
		const struct cow_role_spec *from = &spec->images[i];

		ret = cow_spec_common_get(opening, from->spec, &shown->users[i], err);
		if (ret)
			break;
		shown->nr_users++;
		images[i] =
			(struct cow_role_image){ .role = from->role,
						 .index = from->index,
						 .image = cow_spec_common_image(&shown->users[i]) };
	}
	return ret;
}

/* Another one that is shown, of the same store: known by the metadata. */
static int sibling_find(const struct shown *shown, struct cow_store_args *args, struct cow_err *err)
{
	const struct cow_image *data = cow_store_args_image(args, COW_ROLE_DATA, 0);

	for (size_t i = 0; i < shown->nr_users && !args->sibling; i++)
		if (args->images[i].role == COW_ROLE_METADATA)
			args->sibling = cow_spec_common_store(&shown->users[i]);
	if (!args->sibling || !data || args->sibling->data == data)
		return 0;
	return cow_refuse(
		err, -EPERM, "overlap", NULL,
		"its metadata belong to a store that this job uses with other data, \"%s\"",
		args->sibling->data->name);
}

/* From now on others stand on it; the same snapshot is not shown twice. */
static int store_offer(struct shown *shown, const struct cow_store_args *args, struct cow_err *err)
{
	for (size_t i = 0; i < shown->nr_users; i++) {
		if (args->images[i].role != COW_ROLE_METADATA)
			continue;
		if (cow_spec_common_has(&shown->users[i], shown->store))
			return cow_refuse(
				err, -EPERM, "overlap", NULL,
				"this job uses the same device of the same store already");
		shown->users[i].store = shown->store;
	}
	return 0;
}

static int roles_open(struct cow_spec_opening *opening, const struct cow_store_spec *spec,
		      struct cow_role_image *images, struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < spec->nr_images; i++) {
		const struct cow_role_spec *from = &spec->images[i];

		images[i] = (struct cow_role_image){ .role = from->role, .index = from->index };
		ret = cow_spec_open_whole(opening, from->spec, &images[i].image, err);
	}
	return ret;
}

static int shown_fill(struct shown *shown, struct cow_spec_opening *opening,
		      const struct cow_store_spec *spec, const char *name, struct cow_err *err)
{
	/* bounded: COW_SPEC_PARTS_MAX */
	AUTO_FREE struct cow_role_image *images =
		(struct cow_role_image *)calloc(spec->nr_images + 1, sizeof(*images));
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	const struct store_ops *ops = NULL;
	bool is_shared = false;
	int ret = images ? 0 : no_memory(err);

	args.kind = spec->kind;
	args.images = images;
	args.nr_images = spec->nr_images;
	args.geometry = spec->geometry;
	args.nr_geometry = spec->nr_geometry;
	args.snapshot_id = STORE_SNAPSHOT_NONE; /* the geometry has it */
	args.flags = COW_STORE_STRICT;
	if (!ret)
		ret = cow_store_find_ops(&args, &ops, err);
	if (!ret)
		is_shared = ops->can_share;
	if (!ret)
		ret = is_shared ? commons_get(shown, opening, spec, images, err)
				: roles_open(opening, spec, images, err);
	if (!ret && is_shared)
		ret = sibling_find(shown, &args, err);
	if (!ret)
		ret = shown_open(shown, &args, name, err);
	if (!ret && is_shared)
		ret = store_offer(shown, &args, err);
	return ret;
}

int cow_spec_show(struct cow_spec_opening *opening, const struct cow_store_spec *spec,
		  const char *name, struct cow_image **ret_image, struct cow_err *err)
{
	struct shown *shown = (struct shown *)calloc(1, sizeof(*shown));
	int ret = shown ? shown_fill(shown, opening, spec, name, err) : no_memory(err);

	if (ret && shown)
		shown_close(&shown->image);
	if (ret)
		free(shown);
	else
		*ret_image = &shown->image;
	return ret;
}

int cow_spec_store_open(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
			struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_FREE char *name = cow_spec_tree_print(tree, false);
	struct cow_store_spec *spec = NULL;
	struct cow_image *image = NULL;
	int ret;

	if (!name)
		return no_memory(err);
	if (cow_spec_flags(opening) & (COW_OPEN_WRITE | COW_OPEN_REHEARSE))
		return cow_fail(err, -EROFS, "what the device of a store shows can only be read");
	ret = cow_store_spec_of_tree(tree, 0, &spec, err);
	if (ret)
		return ret;
	ret = cow_spec_show(opening, spec, name, &image, err);
	cow_store_spec_free(spec);
	if (!ret)
		ret = cow_spec_keep(opening, image, err);
	if (!ret)
		*ret_image = image;
	return ret;
}
