/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * images_json.h - the images that a run is about, as members of the JSON object.
 */
#ifndef TOOLS_IMAGES_JSON_H
#define TOOLS_IMAGES_JSON_H

#include "tools/images/operands.h"

/* One more of the member "images"; NULL is none. */
void images_json_add(const char *role, const struct cow_image *image);
/* Something else that is read: a manifest, an export. */
void images_json_add_path(const char *role, const char *path);
/* Those of a store of several images. */
void images_json_add_roles(const struct roles *roles);
/* What was opened for a job. */
void images_json_put(const struct operands *operands);

#endif
