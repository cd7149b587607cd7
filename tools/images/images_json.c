/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * images_json.c - the member "images": role, path and size of each image of a run.
 */
#include "tools/images/images_json.h"

#include "tools/common/json.h"

void images_json_add(struct json_object *at, const char *role, const struct cow_image *image)
{
	if (!image)
		return;
	at = json_put_object(at, NULL);
	json_put_text(at, "role", role);
	json_put_text(at, "path", cow_image_name(image));
	json_put_u64(at, "size_bytes", cow_image_size(image));
}

void images_json_add_roles(struct json_object *at, const struct roles *roles)
{
	static const char *const names[] = {
		[COW_ROLE_ORIGIN] = "origin",
		[COW_ROLE_COW] = "cow",
		[COW_ROLE_METADATA] = "metadata",
		[COW_ROLE_SOURCE] = "source",
		[COW_ROLE_DESTINATION] = "destination",
		[COW_ROLE_LOG] = "log",
		[COW_ROLE_DATA] = "data",
	};

	for (size_t i = 0; i < roles->nr_images; i++)
		if (roles->images[i].role > 0 && roles->images[i].role <= COW_ROLE_DATA)
			images_json_add(at, names[roles->images[i].role], roles->images[i].image);
}

struct json_object *images_json_put(const struct operands *operands)
{
	struct json_object *at = json_put_array(json_root(), "images");

	if (roles_are_given(&operands->roles)) {
		images_json_add_roles(at, &operands->roles);
		return at;
	}
	images_json_add(at, "origin", operands->origin);
	for (size_t i = 0; i < operands->nr_layers; i++)
		images_json_add(at, "cow", operands->layers[i].cow);
	return at;
}
