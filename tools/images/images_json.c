/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * images_json.c - the member "images": role, path and size of each image of a run.
 */
#include "tools/images/images_json.h"

#include "tools/common/json.h"

static struct json_object *add(const char *role, const char *path)
{
	struct json_object *item = json_put_object(json_list("images"), NULL);

	json_put_text(item, "role", role);
	json_put_text(item, "path", path);
	return item;
}

void images_json_add(const char *role, const struct cow_image *image)
{
	if (image)
		json_put_u64(add(role, cow_image_name(image)), "size_bytes", cow_image_size(image));
}

void images_json_add_path(const char *role, const char *path)
{
	json_put_null(add(role, path), "size_bytes");
}

void images_json_add_roles(const struct roles *roles)
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
			images_json_add(names[roles->images[i].role], roles->images[i].image);
}

void images_json_put(const struct operands *operands)
{
	if (roles_are_given(&operands->roles)) {
		images_json_add_roles(&operands->roles);
		return;
	}
	images_json_add("origin", operands->origin);
	for (size_t i = 0; i < operands->nr_layers; i++)
		images_json_add("cow", operands->layers[i].cow);
}
