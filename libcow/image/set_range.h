/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * set_range.h - which bytes of which file belong to an image of a set.
 */
#ifndef COW_IMAGE_SET_RANGE_H
#define COW_IMAGE_SET_RANGE_H

#include "libcow/image/handle.h"
#include "libcow/image/rate.h"

/* What one image covers of one file; lives as long as it. */
struct set_range {
	struct set_range *next;
	struct set_range *also; /* what the same image covers of another file */
	struct cow_imageset *set;
	struct cow_handle *file;
	char *name;
	bool is_base; /* other images are made of it: no byte of it is taken */
	size_t nr_segments;
	struct cow_segment segments[];
};

struct spec_common;
struct cow_imageset {
	struct cow_handle *files;
	struct set_range *ranges;
	struct spec_name *names;
	struct spec_common *commons; /* of snapshot/spec_common.c */
	struct cow_rate rate;	     /* cow_imageset_set_rate() */
	/* cow_imageset_set_opener() */
	int (*open)(void *user, const char *uri, uint32_t flags, struct cow_image **ret_image,
		    struct cow_err *err);
	void *open_user;
};

/* Creates a range with room for nr_segments, which the caller fills in. Errors:
 * -ENOMEM. */
int cow_set_range_new(struct cow_imageset *set, struct cow_handle *file, const char *name,
		      size_t nr_segments, struct set_range **ret_range, struct cow_err *err);
/* Frees a range that is not in a set. */
void cow_set_range_free(struct set_range *range);
/* Refuses one that shares a byte with another one. Errors: -EPERM (id "overlap"). */
int cow_set_range_check(const struct cow_imageset *set, const struct set_range *new,
			struct cow_err *err);
/* Takes more bytes behind the only segment of a range that is in a set. Errors: -ERANGE
 * the file has not so many; -EPERM (id "overlap"). */
int cow_set_range_widen(struct set_range *range, uint64_t len_bytes, struct cow_err *err);
void cow_set_range_add(struct cow_imageset *set, struct set_range *range);
/* cow_window_closed: an image of the set was closed. Takes its range, and those
 * of "also", out of the set. */
void cow_set_range_closed(void *owner);
/* Closes a file of the set that has no images. */
void cow_set_file_put(struct cow_imageset *set, struct cow_handle *file);

#endif
