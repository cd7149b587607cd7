/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_image.h - an image over a courier that has the export. */
#ifndef TOOLS_REMOTE_IMAGE_H
#define TOOLS_REMOTE_IMAGE_H

#include "tools/remote/remote_slots.h"

struct remote_image_params {
	struct remote_slots *slots; /* of the export; they stay the caller's */
	const struct remote_export *export;
	const char *name;
	uint64_t size_bytes; /* whole sectors */
	bool is_writable;
	bool *is_used; /* true as long as the image is open; NULL: nobody asks */
};

/* Creates the image, which several threads may use. Of several on one export none may be
 * written. Errors: -ENOMEM. */
int remote_image_new(const struct remote_image_params *params, struct cow_image **ret_image,
		     struct cow_err *err);

#endif
