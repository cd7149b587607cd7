/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_image.h - an image over one NBD connection that is ready. */
#ifndef TOOLS_REMOTE_IMAGE_H
#define TOOLS_REMOTE_IMAGE_H

#include "tools/images/remote_lib.h"

struct remote_image_params {
	const struct remote_lib *lib;
	struct nbd_handle *nbd; /* stays the caller's */
	const char *name;
	uint64_t size_bytes; /* whole sectors */
	bool is_writable;
	bool *is_used; /* true as long as the image is open; NULL: nobody asks */
};

/* Creates the image. Of several on one connection none may be written. Errors: -ENOMEM. */
int remote_image_new(const struct remote_image_params *params, struct cow_image **ret_image,
		     struct cow_err *err);

#endif
