/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * imageset.h - what outputs need to know of a set.
 */
#ifndef COW_IMAGE_IMAGESET_H
#define COW_IMAGE_IMAGESET_H

#include <sys/stat.h>

#include "libcow/image/image.h"
#include "libcow/image/spec.h"

/* The limit that an image of the set without another below it is held to. */
struct cow_rate *cow_imageset_rate(struct cow_imageset *set);

/* Opens a URI by the opener of the set. Errors: -EOPNOTSUPP it has none; its own. */
int cow_imageset_open_uri(struct cow_imageset *set, const char *uri, uint32_t flags,
			  struct cow_image **ret_image, struct cow_err *err);

/* Refuses a file that the set has open, as an output must not replace or
 * write it. Errors: -EPERM (id "overlap"). */
int cow_imageset_refuse_file(const struct cow_imageset *set, const struct stat *st,
			     struct cow_err *err);

/* Opens one range of a path (never parsed), with flags as
 * cow_imageset_open(). */
int cow_imageset_open_range(struct cow_imageset *set, const char *path,
			    const struct cow_segment *range, uint32_t flags,
			    struct cow_image **ret_image, struct cow_err *err);

/* Do two images, made of files of the set, show the same bytes of the same files? What
 * lies elsewhere (in memory, on a network) is the same as nothing. */
bool cow_imageset_is_one(const struct cow_imageset *set, struct cow_image *a, struct cow_image *b);

/* Makes an image that cow_imageset_open_range() has opened longer, by bytes of the same file.
 * Errors: as cow_set_range_widen(). */
int cow_imageset_widen(struct cow_image *image, uint64_t size_bytes, struct cow_err *err);

/* Opens a file, a part of one, or zeros, as cow_imageset_open(); name is what the
 * image is called. is_base: see cow_imageset_open_base(). */
int cow_imageset_open_spec(struct cow_imageset *set, const char *name, const struct cow_spec *spec,
			   uint32_t flags, bool is_base, struct cow_image **ret_image,
			   struct cow_err *err);

/*
 * Opens what is named as cow_imageset_open() does, in the plain forms, but claims no byte of it:
 * for what other images are made of. What is taken from it is claimed with cow_imageset_claim(), so
 * that two volumes of one disk are two images of a job, and overlap is noticed still.
 */
int cow_imageset_open_base(struct cow_imageset *set, const char *text, uint32_t flags,
			   struct cow_image **ret_image, struct cow_err *err);

/*
 * Makes an image that stands on bases of the set one of its images: its bytes
 * must not belong to another image of the set, nor twice to itself. It is
 * taken over: the new image closes what is in owned (see cow_image_own_new());
 * after a failure that stays the caller's. With
 * COW_OPEN_WRITE in flags it can be written if image can. Errors: -EPERM (id
 * "overlap"), -ENOMEM.
 */
int cow_imageset_claim(struct cow_imageset *set, struct cow_image *image, const char *name,
		       uint32_t flags, struct cow_image_list *owned, struct cow_image **ret_image,
		       struct cow_err *err);

#endif
