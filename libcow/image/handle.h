/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * handle.h - a file or device that is open, once, and locked, once, for all
 * images of a set that lie on it.
 *
 * A file that was secured for reading and is then wanted for writing is opened
 * again: its lock is given up and taken anew, for writing, and if the file was
 * changed in between (by its change time) it counts as in use. Images that
 * were opened for reading stay so. Cheaper for the caller: writers first.
 */
#ifndef COW_IMAGE_HANDLE_H
#define COW_IMAGE_HANDLE_H

#include "libcow/image/file.h"

struct cow_handle {
	struct cow_handle *next;  /* the set's */
	size_t nr_images;	  /* the set's */
	struct cow_ground self;	  /* which file it is */
	struct cow_ground ground; /* what its bytes lie on */
	struct cow_image *image;
	char *path;
	int fd; /* belongs to image */
	bool is_secured;
};

/* Which file st speaks of, without looking below it. */
void cow_handle_self(const struct stat *st, struct cow_ground *ret_self);
/* Opens, but does not touch it before cow_handle_secure(). Errors: as
 * cow_imageset_open(). */
int cow_handle_open(const char *path, bool for_write, struct cow_handle **ret_handle,
		    struct cow_err *err);
/*
 * Makes sure that nobody else uses it, locks it, and for writing sees to it
 * that what is read comes from the disk (I12); flags: COW_OPEN_*. May be
 * called for each image; does what is still to be done. After a failure the
 * handle is as it was before.
 */
int cow_handle_secure(struct cow_handle *handle, uint32_t flags, struct cow_err *err);
void cow_handle_close(struct cow_handle *handle);

#endif
