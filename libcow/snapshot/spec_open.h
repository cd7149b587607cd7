/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_open.h - what opens an image by its specification, one function for each
 * form (the table in spec_open.c). A form whose function is NULL is refused by
 * its name.
 */
#ifndef COW_SNAPSHOT_SPEC_OPEN_H
#define COW_SNAPSHOT_SPEC_OPEN_H

#include "libcow/image/image.h"
#include "libcow/image/spec_tree.h"

/* One specification that is being opened, with all that it is made of. */
struct cow_spec_opening;

/*
 * Opens one form. The image that it returns must have been given to
 * cow_spec_keep(), and so must all that it stands on, lowest first: they are closed
 * together, the last one first, after a failure too.
 */
typedef int cow_spec_opener(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
			    struct cow_image **ret_image, struct cow_err *err);

/* Opens an image inside another one. It belongs to the opening; no byte of it is
 * claimed before the whole is. Errors: as cow_imageset_open(). */
int cow_spec_open_inner(struct cow_spec_opening *opening, const struct cow_spec_tree *tree,
			struct cow_image **ret_image, struct cow_err *err);
/* Gives an image to the opening; after a failure it has been closed. Errors: -ENOMEM. */
int cow_spec_keep(struct cow_spec_opening *opening, struct cow_image *image, struct cow_err *err);
/* Opens an image as one of the set, whose bytes are claimed at once, and keeps it.
 * Errors: the same. */
int cow_spec_open_whole(struct cow_spec_opening *opening, const char *text,
			struct cow_image **ret_image, struct cow_err *err);
/* The same, and it is the caller's. */
int cow_spec_open_alone(struct cow_spec_opening *opening, const char *text,
			struct cow_image **ret_image, struct cow_err *err);
/* As cow_spec_open_inner(), by the text. */
int cow_spec_open_part(struct cow_spec_opening *opening, const char *text,
		       struct cow_image **ret_image, struct cow_err *err);
/* COW_OPEN_* of the call. */
uint32_t cow_spec_flags(const struct cow_spec_opening *opening);
struct cow_imageset *cow_spec_set(const struct cow_spec_opening *opening);

/* spec_volume.c. */
cow_spec_opener cow_spec_part_open, cow_spec_lvm_open;
/* spec_store.c. */
cow_spec_opener cow_spec_store_open;
/* What the device of the store shows that spec names. */
int cow_spec_show(struct cow_spec_opening *opening, const struct cow_store_spec *spec,
		  const char *name, struct cow_image **ret_image, struct cow_err *err);
/* An empty specification with room for nr parts of either sort. Errors: -ENOMEM. */
int cow_store_spec_new(const char *kind, size_t nr, struct cow_store_spec **ret_spec,
		       struct cow_err *err);
/* The same with what a tree of a store has, and room for nr_more. */
int cow_store_spec_of_tree(const struct cow_spec_tree *tree, size_t nr_more,
			   struct cow_store_spec **ret_spec, struct cow_err *err);
/* Adds the image or the number of a key, which is static; takes over text (NULL: no
 * memory). Errors: -ENOMEM. */
int cow_store_spec_add(struct cow_store_spec *spec, const char *key, char *text,
		       struct cow_err *err);

/* Looks at what a specification names, for reading, without a lock, and closes
 * everything again. */
typedef int cow_spec_look_fn(void *user, struct cow_spec_opening *opening,
			     const struct cow_spec_tree *tree, struct cow_err *err);
int cow_spec_look(struct cow_imageset *set, const char *text, cow_spec_look_fn *look, void *user,
		  struct cow_err *err);

#endif
