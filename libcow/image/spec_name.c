/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_name.c - names for specifications: "image:NAME" stands for what the set was
 * told. A definition is kept as text without names in it, so that no name can stand
 * for itself. What a specification becomes is written out and read again: so the
 * bounds on depth and parts hold for the whole of it.
 */
#include "libcow/image/spec_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/image/set_range.h"

struct spec_name {
	struct spec_name *next;
	char *name, *text;
};

static void name_free(struct spec_name *name)
{
	if (!name)
		return;
	free(name->name);
	free(name->text);
	free(name);
}

COW_DEFINE_AUTO(spec_name, struct spec_name *, name_free);

void cow_spec_names_free(struct spec_name *names)
{
	for (struct spec_name *next; names; names = next) {
		next = names->next;
		name_free(names);
	}
}

static const struct spec_name *name_find(const struct cow_imageset *set, const char *text)
{
	const struct spec_name *name = set->names;

	while (name && strcmp(name->name, text) != 0)
		name = name->next;
	return name;
}

/* Puts what a name stands for into its place. */
static int name_replace(const struct cow_imageset *set, struct cow_spec_tree **tree,
			struct cow_err *err)
{
	const struct spec_name *name = name_find(set, (*tree)->text);
	struct cow_spec_tree *meant;
	int ret;

	if (!name)
		return cow_fail(err, -EINVAL, "\"image:%s\" is not defined", (*tree)->text);
	ret = cow_spec_tree_parse(name->text, &meant, err);
	if (ret)
		return ret;
	cow_spec_tree_free(*tree);
	*tree = meant;
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): COW_SPEC_DEPTH_MAX deep */
static int names_replace(const struct cow_imageset *set, struct cow_spec_tree **tree,
			 bool *ret_has_names, struct cow_err *err)
{
	int ret = 0;

	if ((*tree)->form == COW_SPEC_NAME) {
		*ret_has_names = true;
		return name_replace(set, tree, err);
	}
	for (size_t i = 0; i < (*tree)->nr_parts && !ret; i++)
		if ((*tree)->parts[i].image)
			ret = names_replace(set, &(*tree)->parts[i].image, ret_has_names, err);
	return ret;
}

int cow_spec_tree_parse_in(const struct cow_imageset *set, const char *text,
			   struct cow_spec_tree **ret_tree, struct cow_err *err)
{
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	AUTO_FREE char *whole = NULL;
	bool has_names = false;
	int ret = cow_spec_tree_parse(text, &tree, err);

	if (!ret)
		ret = names_replace(set, &tree, &has_names, err);
	if (ret)
		return ret;
	if (has_names) {
		whole = cow_spec_tree_print(tree, false);
		if (!whole)
			return cow_fail(err, -ENOMEM, "no memory for the name of an image");
		return cow_spec_tree_parse(whole, ret_tree, err);
	}
	*ret_tree = take_ptr(tree);
	return 0;
}

struct uris {
	int (*call)(void *user, const char *uri);
	void *user;
};

/* NOLINTNEXTLINE(misc-no-recursion): COW_SPEC_DEPTH_MAX deep */
static int uris_find(const struct cow_spec_tree *tree, const struct uris *uris)
{
	int ret = 0;

	if (tree->form == COW_SPEC_NBD)
		ret = uris->call(uris->user, tree->text);
	for (size_t i = 0; i < tree->nr_parts && ret >= 0; i++)
		if (tree->parts[i].image)
			ret = uris_find(tree->parts[i].image, uris);
	return ret < 0 ? ret : 0;
}

int cow_spec_uris(const char *spec, int (*call)(void *user, const char *uri), void *user,
		  struct cow_err *err)
{
	const struct uris uris = { .call = call, .user = user };
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	int ret = cow_spec_tree_parse(spec, &tree, NULL);

	if (ret == -ENOMEM)
		return cow_fail(err, -ENOMEM, "no memory for the name of an image");
	return ret ? 0 : uris_find(tree, &uris);
}

/* Is this what may stand behind "image:"? */
static int name_check(const struct cow_imageset *set, const char *text, struct cow_err *err)
{
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	AUTO_FREE char *spec = NULL;
	int ret;

	if (asprintf(&spec, "image:%s", text) < 0) {
		spec = NULL;
		return cow_fail(err, -ENOMEM, "no memory for the name of an image");
	}
	ret = cow_spec_tree_parse(spec, &tree, err);
	if (!ret && name_find(set, text))
		ret = cow_fail(err, -EINVAL, "\"image:%s\" is defined twice", text);
	return ret;
}

int cow_imageset_define(struct cow_imageset *set, const char *name, const char *spec,
			struct cow_err *err)
{
	AUTO_HANDLE(spec_name) struct spec_name *added = NULL;
	AUTO_HANDLE(spec_tree) struct cow_spec_tree *tree = NULL;
	int ret = name_check(set, name, err);

	if (!ret)
		ret = cow_spec_tree_parse_in(set, spec, &tree, err);
	if (ret)
		return ret;
	added = (struct spec_name *)calloc(1, sizeof(*added));
	if (added) {
		added->name = strdup(name);
		added->text = cow_spec_tree_print(tree, false);
	}
	if (!added || !added->name || !added->text)
		return cow_fail(err, -ENOMEM, "no memory for the name of an image");
	added->next = set->names;
	set->names = take_ptr(added);
	return 0;
}
