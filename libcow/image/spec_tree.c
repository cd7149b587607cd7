/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_tree.c - reads the specification of an image, of any form, into a tree. The
 * reader calls itself for an image inside another one, COW_SPEC_DEPTH_MAX deep at
 * most; the number of parts is bounded for the whole.
 */
#include "libcow/image/spec_tree.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"

/* Of the longest name that LVM gives, and of a UUID with its hyphens. */
#define LVM_NAME_MAX 127

struct reader {
	size_t depth;
	size_t nr_parts; /* of the whole tree */
};

struct spec_form {
	const char *prefix;
	int (*read)(struct reader *reader, struct cow_spec_tree *tree, const char *text,
		    struct cow_err *err);
};

static int concat_read(struct reader *, struct cow_spec_tree *, const char *, struct cow_err *);
static int partition_read(struct reader *, struct cow_spec_tree *, const char *, struct cow_err *);
static int lvm_read(struct reader *, struct cow_spec_tree *, const char *, struct cow_err *);
static int keys_read(struct reader *, struct cow_spec_tree *, const char *, struct cow_err *);
static int window_read(struct reader *, struct cow_spec_tree *, const char *, struct cow_err *);
static int name_read(struct reader *, struct cow_spec_tree *, const char *, struct cow_err *);
static int nbd_read(struct reader *, struct cow_spec_tree *, const char *, struct cow_err *);

static const struct spec_form forms[COW_SPEC_FORMS] = {
	[COW_SPEC_PLAIN] = { .prefix = "" },
	[COW_SPEC_CONCAT] = { .prefix = "concat:", .read = concat_read },
	[COW_SPEC_PART] = { .prefix = "part:", .read = partition_read },
	[COW_SPEC_LVM] = { .prefix = "lvm:", .read = lvm_read },
	[COW_SPEC_STORE] = { .read = keys_read },
	[COW_SPEC_WINDOW] = { .prefix = "window:", .read = window_read },
	[COW_SPEC_NAME] = { .prefix = "image:", .read = name_read },
	[COW_SPEC_NBD] = { .prefix = "nbd", .read = nbd_read },
};

static const char *const nbd_prefixes[] = { "nbd://", "nbd+unix://", "nbds://", "nbds+unix://" };

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static int no_memory(struct cow_err *err)
{
	return cow_fail(err, -ENOMEM, "no memory for the name of an image");
}

static bool is_nbd(const char *text)
{
	for (size_t i = 0; i < sizeof(nbd_prefixes) / sizeof(nbd_prefixes[0]); i++)
		if (has_prefix(text, nbd_prefixes[i]))
			return true;
	return false;
}

static enum cow_spec_form form_of(const char *text)
{
	if (is_nbd(text))
		return COW_SPEC_NBD;
	if (cow_spec_kind_of(text))
		return COW_SPEC_STORE;
	for (int form = COW_SPEC_CONCAT; form < COW_SPEC_NBD; form++)
		if (form != COW_SPEC_STORE && has_prefix(text, forms[form].prefix))
			return (enum cow_spec_form)form;
	return COW_SPEC_PLAIN;
}

bool cow_spec_has_prefix(const char *text)
{
	return form_of(text) != COW_SPEC_PLAIN || has_prefix(text, "file:") ||
	       has_prefix(text, "zero:");
}

const char *cow_spec_prefix(const struct cow_spec_tree *tree)
{
	return tree->kind ? tree->kind->prefix : forms[tree->form].prefix;
}

/* The tree of one specification; what is left of a failure is the caller's. */
static int tree_read(struct reader *reader, const char *text, struct cow_spec_tree **ret_tree,
		     struct cow_err *err);

/* Adds a part behind the others of a tree; its value or image is still to be set. */
static int part_add(struct reader *reader, struct cow_spec_tree *tree, const char *key,
		    struct cow_err *err)
{
	size_t capacity = tree->nr_parts;
	struct cow_spec_part *parts;

	if (reader->nr_parts == COW_SPEC_PARTS_MAX)
		return cow_fail(err, -EINVAL, "it names more than %d images and values",
				COW_SPEC_PARTS_MAX);
	parts = (struct cow_spec_part *)cow_array_grow(tree->parts, tree->nr_parts, &capacity,
						       sizeof(*parts));
	if (!parts)
		return no_memory(err);
	reader->nr_parts++;
	tree->parts = parts;
	parts[tree->nr_parts++] = (struct cow_spec_part){ .key = key };
	return 0;
}

static int image_add(struct reader *reader, struct cow_spec_tree *tree, const char *key,
		     const char *text, struct cow_err *err)
{
	int ret = part_add(reader, tree, key, err);

	return ret ? ret : tree_read(reader, text, &tree->parts[tree->nr_parts - 1].image, err);
}

/* Takes the first part off a list: up to a single comma, with ",," as one comma.
 * *list is what follows, or NULL. */
static int list_next(const char **list, char **ret_part, struct cow_err *err)
{
	const char *from = *list;
	/* bounded: by the text of the caller */
	char *part = (char *)malloc(strlen(from) + 1), *to = part;

	if (!part)
		return no_memory(err);
	for (; *from && (from[0] != ',' || from[1] == ','); from++) {
		from += *from == ',';
		*to++ = *from;
	}
	*to = '\0';
	*list = *from ? from + 1 : NULL;
	*ret_part = part;
	return 0;
}

static int list_image_read(struct reader *reader, struct cow_spec_tree *tree, const char **list,
			   struct cow_err *err)
{
	AUTO_FREE char *text = NULL;
	int ret = list_next(list, &text, err);

	if (ret)
		return ret;
	if (!*text)
		return cow_fail(err, -EINVAL, "\"%s\" has an empty image in its list",
				cow_spec_prefix(tree));
	return image_add(reader, tree, NULL, text, err);
}

static int images_read(struct reader *reader, struct cow_spec_tree *tree, const char *list,
		       struct cow_err *err)
{
	int ret = 0;

	while (list && !ret)
		ret = list_image_read(reader, tree, &list, err);
	return ret;
}

static int concat_read(struct reader *reader, struct cow_spec_tree *tree, const char *text,
		       struct cow_err *err)
{
	if (!*text)
		return cow_fail(err, -EINVAL, "no image follows \"concat:\"");
	return images_read(reader, tree, text, err);
}

/* IMAGE:LAST; the caller's, free(), is IMAGE. */
static int last_split(const char *text, const char *what, char **ret_image, const char **ret_last,
		      struct cow_err *err)
{
	const char *colon = strrchr(text, ':');

	if (!colon || !colon[1])
		return cow_fail(err, -EINVAL, "%s is missing at its end", what);
	if (colon == text)
		return cow_fail(err, -EINVAL, "the image is missing in front of \"%s\"", colon);
	*ret_last = colon + 1;
	*ret_image = strndup(text, (size_t)(colon - text));
	return *ret_image ? 0 : no_memory(err);
}

/* A decimal number, without a unit. */
static int decimal_read(const char *text, uint64_t *ret_value, struct cow_err *err)
{
	uint64_t value = 0;

	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9' || value > UINT32_MAX)
			return cow_fail(err, -EINVAL, "\"%s\" is not the number of a partition",
					text);
		value = value * 10 + (uint64_t)(*at - '0');
	}
	if (!value)
		return cow_fail(err, -EINVAL, "partitions are counted from 1");
	*ret_value = value;
	return 0;
}

static int partition_read(struct reader *reader, struct cow_spec_tree *tree, const char *text,
			  struct cow_err *err)
{
	AUTO_FREE char *image = NULL;
	const char *last;
	int ret = last_split(text, "the number of the partition, \":N\",", &image, &last, err);

	if (!ret)
		ret = decimal_read(last, &tree->number, err);
	return ret ? ret : image_add(reader, tree, NULL, image, err);
}

/* As LVM allows it. */
static bool is_lvm_name(const char *name, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789+_.-";

	if (!len || len > LVM_NAME_MAX || *name == '-' || strspn(name, allowed) < len)
		return false;
	return *name != '.' || (len != 1 && (len != 2 || name[1] != '.'));
}

static int lvm_read(struct reader *reader, struct cow_spec_tree *tree, const char *text,
		    struct cow_err *err)
{
	AUTO_FREE char *images = NULL;
	const char *last, *slash;
	int ret = last_split(text, "the name of the volume, \":VG/LV\",", &images, &last, err);

	if (ret)
		return ret;
	slash = strchr(last, '/');
	if (!slash || !is_lvm_name(last, (size_t)(slash - last)) ||
	    !is_lvm_name(slash + 1, strlen(slash + 1)))
		return cow_fail(
			err, -EINVAL,
			"\"%s\" is not the name of a logical volume, VG/LV; a specification "
			"of a volume ends with it",
			last);
	tree->text = strdup(last);
	return tree->text ? images_read(reader, tree, images, err) : no_memory(err);
}

static int key_find(const struct cow_spec_tree *tree, const char *text, const char **ret_value,
		    const struct spec_key **ret_key, struct cow_err *err)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;
	const struct spec_key *key = tree->kind->keys;

	if (!len)
		return cow_fail(err, -EINVAL, "\"%s\" in \"%s\" is not written KEY=VALUE", text,
				cow_spec_prefix(tree));
	while (key->name && (strlen(key->name) != len || memcmp(key->name, text, len) != 0))
		key++;
	if (!key->name)
		return cow_fail(err, -EINVAL, "\"%s\" knows no \"%.*s=\"", cow_spec_prefix(tree),
				(int)len, text);
	if (!equals[1])
		return cow_fail(err, -EINVAL, "nothing follows \"%s=\"", key->name);
	if (!key->is_repeated && cow_spec_part_find(tree, key->name, 0))
		return cow_fail(err, -EINVAL, "\"%s=\" is there twice", key->name);
	*ret_key = key;
	*ret_value = equals + 1;
	return 0;
}

static int key_read(struct reader *reader, struct cow_spec_tree *tree, const char *text,
		    struct cow_err *err)
{
	const struct spec_key *key = NULL;
	struct cow_spec_part *part;
	const char *value = NULL;
	int ret = key_find(tree, text, &value, &key, err);

	if (ret)
		return ret;
	if (key->role)
		return image_add(reader, tree, key->name, value, err);
	ret = part_add(reader, tree, key->name, err);
	if (ret)
		return ret;
	part = &tree->parts[tree->nr_parts - 1];
	part->value = strdup(value);
	return part->value ? 0 : no_memory(err);
}

static int keys_read(struct reader *reader, struct cow_spec_tree *tree, const char *list,
		     struct cow_err *err)
{
	int ret = 0;

	for (list = *list ? list : NULL; list && !ret;) {
		AUTO_FREE char *text = NULL;

		ret = list_next(&list, &text, err);
		if (!ret)
			ret = key_read(reader, tree, text, err);
	}
	for (const struct spec_key *key = tree->kind->keys; !ret && key->name; key++)
		if (key->is_needed && !cow_spec_part_find(tree, key->name, 0))
			ret = cow_fail(err, -EINVAL, "\"%s=\" is missing in \"%s\"", key->name,
				       cow_spec_prefix(tree));
	return ret;
}

/* A window of a whole file is that file's own. */
static void window_join(struct cow_spec_tree *tree)
{
	struct cow_spec_tree *image = tree->parts[0].image;

	if (image->form != COW_SPEC_PLAIN || !image->plain.path || image->plain.nr_segments)
		return;
	tree->plain.path = take_ptr(image->plain.path);
	cow_spec_tree_free(image);
	free(tree->parts);
	tree->parts = NULL;
	tree->nr_parts = 0;
	tree->form = COW_SPEC_PLAIN;
}

static int window_read(struct reader *reader, struct cow_spec_tree *tree, const char *text,
		       struct cow_err *err)
{
	const char *colon = strchr(text, ':');
	AUTO_FREE char *segments = NULL;
	int ret;

	if (!colon || !colon[1])
		return cow_fail(err, -EINVAL,
				"the image is missing: it is written "
				"window:OFFSET+LENGTH:IMAGE");
	segments = strndup(text, (size_t)(colon - text));
	if (!segments)
		return no_memory(err);
	ret = cow_spec_segments_parse(segments, &tree->plain, err);
	if (!ret)
		ret = image_add(reader, tree, NULL, colon + 1, err);
	if (!ret)
		window_join(tree);
	return ret;
}

static int name_read(struct reader *reader, struct cow_spec_tree *tree, const char *text,
		     struct cow_err *err)
{
	(void)reader;
	if (!is_lvm_name(text, strlen(text)))
		return cow_fail(err, -EINVAL,
				"\"%s\" is not a name that an image can have: letters, digits, and "
				"+ _ . -",
				text);
	tree->text = strdup(text);
	return tree->text ? 0 : no_memory(err);
}

static int nbd_read(struct reader *reader, struct cow_spec_tree *tree, const char *text,
		    struct cow_err *err)
{
	(void)reader;
	tree->text = strdup(text - strlen(forms[COW_SPEC_NBD].prefix));
	return tree->text ? 0 : no_memory(err);
}

/* A file has this name, too: to write into the wrong one cannot be taken back. */
static int refuse_file(const struct cow_spec_tree *tree, const char *text, struct cow_err *err)
{
	AUTO_FREE char *other = NULL;
	struct stat st;

	if (lstat(text, &st))
		return 0;
	other = cow_spec_tree_print(tree, true);
	if (!other)
		return no_memory(err);
	if (!strcmp(other, text))
		return cow_refuse(err, -EPERM, "ambiguous-name", NULL,
				  "a file named \"%s\" exists, too; write file:%s for that "
				  "file, or move it away",
				  text, text);
	return cow_refuse(err, -EPERM, "ambiguous-name", NULL,
			  "a file named \"%s\" exists, too; write file:%s for that file, or "
			  "%s for what the specification means otherwise",
			  text, text, other);
}

static int form_read(struct reader *reader, const char *text, struct cow_spec_tree *tree,
		     struct cow_err *err)
{
	int ret;

	if (tree->form == COW_SPEC_PLAIN)
		return cow_spec_parse(text, false, &tree->plain, err);
	ret = forms[tree->form].read(reader, tree, text + strlen(cow_spec_prefix(tree)), err);
	return ret ? ret : refuse_file(tree, text, err);
}

static int tree_read(struct reader *reader, const char *text, struct cow_spec_tree **ret_tree,
		     struct cow_err *err)
{
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	int ret;

	if (reader->depth == COW_SPEC_DEPTH_MAX)
		return cow_fail(err, -EINVAL,
				"images inside each other are nested more than %d deep",
				COW_SPEC_DEPTH_MAX);
	tree = (struct cow_spec_tree *)calloc(1, sizeof(*tree));
	if (!tree)
		return no_memory(err);
	tree->form = form_of(text);
	tree->kind = tree->form == COW_SPEC_STORE ? cow_spec_kind_of(text) : NULL;
	reader->depth++;
	ret = form_read(reader, text, tree, err);
	reader->depth--;
	if (!ret)
		*ret_tree = take_ptr(tree);
	/* cppcheck-suppress memleak ; AUTO_HANDLE */
	return ret;
}

int cow_spec_tree_parse(const char *text, struct cow_spec_tree **ret_tree, struct cow_err *err)
{
	struct reader reader = { .depth = 0 };

	return tree_read(&reader, text, ret_tree, err);
}

/* NOLINTNEXTLINE(misc-no-recursion): COW_SPEC_DEPTH_MAX deep, see tree_read() */
void cow_spec_tree_free(struct cow_spec_tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->nr_parts; i++) {
		free(tree->parts[i].value);
		cow_spec_tree_free(tree->parts[i].image);
	}
	free(tree->parts);
	free(tree->text);
	cow_spec_clear(&tree->plain);
	free(tree);
}

const struct cow_spec_part *cow_spec_part_find(const struct cow_spec_tree *tree, const char *key,
					       size_t index)
{
	for (size_t i = 0; i < tree->nr_parts; i++)
		if (!strcmp(tree->parts[i].key, key) && !index--)
			return &tree->parts[i];
	return NULL;
}
