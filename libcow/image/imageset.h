/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * imageset.h - what outputs need to know of a set.
 */
#ifndef COW_IMAGE_IMAGESET_H
#define COW_IMAGE_IMAGESET_H

#include <sys/stat.h>

#include "libcow.h"

/* Refuses a file that the set has open, as an output must not replace or
 * write it. Errors: -EPERM (id "overlap"). */
int cow_imageset_refuse_file(const struct cow_imageset *set, const struct stat *st,
			     struct cow_err *err);

/* Opens one range of a path (never parsed) for writing; as
 * cow_imageset_open(). name is what the image is called. */
int cow_imageset_open_range(struct cow_imageset *set, const char *path,
			    const struct cow_segment *range, struct cow_image **ret_image,
			    struct cow_err *err);

#endif
