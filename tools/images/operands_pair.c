/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * operands_pair.c - two snapshots of one store: the first one is opened on what the
 * second one has open, so that a block that both share lies in one place for both, and
 * is not read to be compared.
 */
#include <errno.h>
#include <stdlib.h>

#include "tools/common/cli.h"
#include "tools/images/operands.h"

struct operands_pair {
	struct cow_store *store;
	struct cow_image *zeros; /* what it stands on, where that is nothing */
	struct cow_image *view;
};

static int refuse_other(const struct roles *first, const struct roles *second, struct cow_err *err)
{
	return cli_refuse(
		err, -EINVAL, "usage", NULL,
		"%s and %s: two devices are compared within one pool, and these are not of "
		"the same metadata and data",
		first->name, second->name);
}

static int refuse_origin(const struct roles *first, const struct roles *second, struct cow_err *err)
{
	return cli_refuse(err, -EPERM, "origin", NULL,
			  "%s and %s have different external origins: their difference is not in "
			  "the pool",
			  first->name, second->name);
}

/* By the bytes, not by the names. */
static int role_compare(struct cow_imageset *set, const struct roles *first,
			const struct roles *second, int role, bool *ret_is_same,
			struct cow_err *err)
{
	const char *a = roles_spec(first, role), *b = roles_spec(second, role);

	*ret_is_same = !a && !b;
	return a && b ? cow_spec_is_same(set, a, b, ret_is_same, err) : 0;
}

static int check_same(struct cow_imageset *set, const struct roles *first,
		      const struct roles *second, struct cow_err *err)
{
	static const int shared[] = { COW_ROLE_METADATA, COW_ROLE_DATA };
	bool is_same = roles_are_given(first);
	int ret = 0;

	for (size_t i = 0; !ret && is_same && i < sizeof(shared) / sizeof(shared[0]); i++)
		ret = role_compare(set, first, second, shared[i], &is_same, err);
	if (ret || !is_same)
		return ret ? ret : refuse_other(first, second, err);
	ret = role_compare(set, first, second, COW_ROLE_ORIGIN, &is_same, err);
	return ret || is_same ? ret : refuse_origin(first, second, err);
}

/* Where only the maps are compared there is no view of it. */
static int view_open(struct operands_pair *pair, const struct operands *operands, bool wants_maps,
		     struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_image *below = wants_maps ? NULL : roles_below(&operands->roles);
	int ret = 0;

	cow_store_get_info(pair->store, &info);
	if (!below)
		ret = cow_image_zero_new(info.view_bytes, &pair->zeros, err);
	if (ret || wants_maps)
		return ret;
	return cow_view_new(below ? below : pair->zeros, pair->store, &pair->view, err);
}

static int store_open(struct operands_pair *pair, const struct operands *operands,
		      const struct roles *first, bool wants_maps, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	int ret;

	roles_fill(&operands->roles, &args);
	args.geometry = first->spec->geometry;
	args.nr_geometry = first->spec->nr_geometry;
	args.flags = COW_STORE_STRICT | (wants_maps ? COW_STORE_NO_MAP : 0);
	args.sibling = operands->layers[0].store;
	ret = cow_store_open(&args, &pair->store, err);
	if (ret)
		return ret;
	for (size_t i = 0; cow_store_note(pair->store, i); i++)
		cli_note("%s", cow_store_note(pair->store, i));
	return view_open(pair, operands, wants_maps, err);
}

int operands_pair_open(struct operands *operands, const char *first_spec, bool wants_maps,
		       struct cow_err *err)
{
	struct roles first = { .nr_images = 0 };
	int ret = roles_read(&first, operands->set, first_spec, NULL, NULL, err);

	operands->pair = calloc(1, sizeof(*operands->pair));
	if (!ret && !operands->pair)
		ret = cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a view");
	if (!ret)
		ret = check_same(operands->set, &first, &operands->roles, err);
	if (!ret)
		ret = store_open(operands->pair, operands, &first, wants_maps, err);
	if (!ret)
		operands->origin = wants_maps ? operands->pair->zeros : operands->pair->view;
	roles_close(&first);
	return ret;
}

void operands_pair_close(struct operands_pair *pair)
{
	if (!pair)
		return;
	cow_image_close(pair->view);
	cow_store_close(pair->store);
	cow_image_close(pair->zeros);
	free(pair);
}

struct cow_store *operands_pair_store(const struct operands_pair *pair)
{
	return pair ? pair->store : NULL;
}
