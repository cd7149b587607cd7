/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_image.h - an image over NBD connections that are ready. */
#ifndef TOOLS_REMOTE_IMAGE_H
#define TOOLS_REMOTE_IMAGE_H

#include "tools/images/remote_lib.h"

/* Connections that one export may have. */
#define REMOTE_PER_EXPORT 4

struct remote_image_params {
	const struct remote_lib *lib;
	/* To one export; they stay the caller's. Several: of a server that says multi-conn,
	 * so that a flush on one covers what was answered on all. */
	struct nbd_handle *const *nbds;
	size_t nr_nbds; /* 1..REMOTE_PER_EXPORT */
	const char *name;
	uint64_t size_bytes; /* whole sectors */
	bool is_writable;
	bool *is_used; /* true as long as the image is open; NULL: nobody asks */
};

/* Creates the image. Of several on the same connections none may be written. Errors: -ENOMEM. */
int remote_image_new(const struct remote_image_params *params, struct cow_image **ret_image,
		     struct cow_err *err);

#endif
