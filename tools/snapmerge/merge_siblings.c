/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_siblings.c - opens the siblings of a merge, and marks dropped ones
 * invalid.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/snapmerge/snapmerge.h"
#include "tools/images/images_json.h"

static int device_open(struct merge_siblings *siblings, const char *role, size_t index,
		       const struct operands *operands, bool will_write, struct cow_err *err)
{
	if (!strcmp(role, "sibling"))
		return merge_device_open(siblings, index, operands, will_write, err);
	return cli_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
			  "%s is a device of a pool, which cannot be marked invalid: delete it, or "
			  "leave it out",
			  siblings->specs[index]);
}

/* A sibling that is given up may be marked invalid already, by the run before
 * or by the kernel. */
static int open_one(struct merge_siblings *siblings, const char *role, const char *spec,
		    const struct operands *operands, bool will_write, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	size_t i = siblings->nr_stores++;
	int ret;

	if (merge_device_read(operands->set, spec, &siblings->roles[i]))
		return device_open(siblings, role, i, operands, will_write, err);
	ret = cow_imageset_open(operands->set, spec,
				will_write ? COW_OPEN_WRITE : COW_OPEN_REHEARSE,
				&siblings->images[i], err);
	if (ret)
		return ret;
	operands_note_unchecked(siblings->images[i]);
	images_json_add(role, siblings->images[i]);
	cow_store_args_pair(&args, roles, siblings->images[i], operands->origin);
	ret = cow_store_open(&args, &siblings->stores[i], err);
	if (!ret || strcmp(err->id, "invalid"))
		return ret;
	args.flags = COW_STORE_INVALID;
	return cow_store_open(&args, &siblings->stores[i], err);
}

int merge_siblings_open(struct merge_siblings *siblings, const char *role,
			const struct opt_list *specs, const struct operands *operands,
			bool will_write, struct cow_err *err)
{
	int ret = 0;

	/* bounded: by argc */
	siblings->images = calloc(specs->nr_words + 1, sizeof(struct cow_image *));
	/* bounded: by argc */
	siblings->stores = calloc(specs->nr_words + 1, sizeof(struct cow_store *));
	/* bounded: by argc */
	siblings->roles = calloc(specs->nr_words + 1, sizeof(*siblings->roles));
	/* bounded: by argc */
	siblings->pools = calloc(specs->nr_words + 1, sizeof(*siblings->pools));
	siblings->specs = specs->words;
	if (!siblings->images || !siblings->stores || !siblings->roles || !siblings->pools)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu siblings",
				  specs->nr_words);
	for (size_t i = 0; !ret && i < specs->nr_words; i++)
		ret = open_one(siblings, role, specs->words[i], operands, will_write, err);
	return ret;
}

const char *merge_siblings_name(const struct merge_siblings *siblings, size_t index)
{
	return siblings->images[index] ? cow_image_name(siblings->images[index])
				       : siblings->specs[index];
}

void merge_siblings_close(struct merge_siblings *siblings)
{
	for (size_t i = siblings->nr_stores; i-- > 0;) {
		cow_store_close(siblings->stores[i]);
		cow_image_close(siblings->images[i]);
	}
	for (size_t i = siblings->nr_stores; i-- > 0;)
		roles_close(&siblings->roles[i]);
	free(siblings->pools);
	free(siblings->roles);
	free(siblings->stores);
	free(siblings->images);
	memset(siblings, 0, sizeof(*siblings));
}

int merge_siblings_drop(struct merge_siblings *siblings, struct cow_err *err)
{
	for (size_t i = 0; i < siblings->nr_stores; i++) {
		struct cow_store_info info = COW_STORE_INFO_INIT;
		int ret;

		cow_store_get_info(siblings->stores[i], &info);
		if (!info.valid)
			continue;
		ret = cow_store_invalidate(siblings->stores[i], err);
		if (ret)
			return ret;
		cli_wrote();
		cli_note("%s is marked invalid now", cow_image_name(siblings->images[i]));
	}
	return 0;
}
