/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_name.h - names that a set of images has for specifications ("image:NAME").
 */
#ifndef COW_IMAGE_SPEC_NAME_H
#define COW_IMAGE_SPEC_NAME_H

#include "libcow/image/spec_tree.h"

/* One name; a set has a list of them. */
struct spec_name;

/*
 * Reads a specification in which names of the set may stand, as
 * cow_spec_tree_parse(); in the tree that comes out what they stand for has taken
 * their place. Errors: also -EINVAL for a name that is not defined.
 */
int cow_spec_tree_parse_in(const struct cow_imageset *set, const char *text,
			   struct cow_spec_tree **ret_tree, struct cow_err *err);
void cow_spec_names_free(struct spec_name *names);

#endif
