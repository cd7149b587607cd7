/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_tree.h - the specification of an image as a tree. Its grammar:
 *
 *   IMAGE = PATH | PATH@SEGMENTS | file:PATH | zero:SIZE
 *         | concat:IMAGE,... | part:IMAGE:N | lvm:IMAGE,...:VG/LV
 *         | KIND:KEY=VALUE,... (spec_kinds.c)
 *         | window:SEGMENTS:IMAGE | image:NAME | nbd://... | nbd+unix://...
 *
 * It is read from the outside in. A prefix counts at the very start only. "part:"
 * and "lvm:" end at the last colon. A list is split at single commas; ",," in it
 * is one comma of the part that is handed one level in. A window of a whole file
 * is the same as PATH@SEGMENTS, and becomes that.
 */
#ifndef COW_IMAGE_SPEC_TREE_H
#define COW_IMAGE_SPEC_TREE_H

#include "libcow/base/cleanup.h"
#include "libcow/image/spec.h"
#include "libcow/image/spec_kinds.h"

/* Specifications inside each other, and parts in all of them together. */
#define COW_SPEC_DEPTH_MAX 8
#define COW_SPEC_PARTS_MAX 1024

enum cow_spec_form {
	COW_SPEC_PLAIN, /* plain */
	COW_SPEC_CONCAT,
	COW_SPEC_PART,	 /* number */
	COW_SPEC_LVM,	 /* text: VG/LV */
	COW_SPEC_STORE,	 /* kind */
	COW_SPEC_WINDOW, /* plain.segments */
	COW_SPEC_NAME,	 /* text: NAME */
	COW_SPEC_NBD,	 /* text: all of it */
	COW_SPEC_FORMS
};

struct cow_spec_tree;

/* One part of a list: an image, or a value as it stands there. */
struct cow_spec_part {
	const char *key; /* static; NULL: the list has no keys */
	char *value;	 /* NULL: an image */
	struct cow_spec_tree *image;
};

struct cow_spec_tree {
	enum cow_spec_form form;
	const struct spec_kind *kind; /* NULL: no store */
	struct cow_spec plain;
	char *text;
	uint64_t number;
	struct cow_spec_part *parts;
	size_t nr_parts;
};

/*
 * Reads a specification. Looks whether a file of a literal name exists where that
 * decides. The result is the caller's, for cow_spec_tree_free(). Errors: -EINVAL
 * (the sentence names a part that is missing), -EPERM (id "ambiguous-name"),
 * -ERANGE, -ENOMEM.
 */
int cow_spec_tree_parse(const char *text, struct cow_spec_tree **ret_tree, struct cow_err *err);
void cow_spec_tree_free(struct cow_spec_tree *tree);

/*
 * Writes the shortest specification that reads as this tree; is_explicit: one that
 * is not the name of the file that the shortest may be, with "file:" and leading
 * zeros. The caller's, free(). NULL: no memory.
 */
char *cow_spec_tree_print(const struct cow_spec_tree *tree, bool is_explicit);

/* The prefix of its form or kind, "part:"; "" for COW_SPEC_PLAIN. Cannot fail. */
const char *cow_spec_prefix(const struct cow_spec_tree *tree);
/* Does text begin with a prefix, "file:" and "zero:" among them? */
bool cow_spec_has_prefix(const char *text);

/* Finds the value, or the image, of a key; the index-th of those that may be
 * repeated. NULL: it is not there. Cannot fail. */
const struct cow_spec_part *cow_spec_part_find(const struct cow_spec_tree *tree, const char *key,
					       size_t index);

COW_DEFINE_AUTO(spec_tree, struct cow_spec_tree *, cow_spec_tree_free);

#endif
