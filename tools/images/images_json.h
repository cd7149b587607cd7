/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * images_json.h - the images that a run is about, as members of the JSON object.
 */
#ifndef TOOLS_IMAGES_JSON_H
#define TOOLS_IMAGES_JSON_H

#include "tools/images/operands.h"

struct json_object;

/* One more of the array; NULL is none. */
void images_json_add(struct json_object *at, const char *role, const struct cow_image *image);
/* Those of a store of several images. */
void images_json_add_roles(struct json_object *at, const struct roles *roles);
/* The member "images" of what was opened for a job; returns the array, for more. */
struct json_object *images_json_put(const struct operands *operands);

#endif
