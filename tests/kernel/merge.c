/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge ORIGIN COW BATCH_BYTES EPOCH_BYTES - snapmerge without its manners,
 * for epochs so small that a kill meets a store that is half cut.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libcow.h"
#include "libcow/base/cleanup.h"

COW_DEFINE_AUTO(set, struct cow_imageset *, cow_imageset_free);
COW_DEFINE_AUTO(img, struct cow_image *, cow_image_close);
COW_DEFINE_AUTO(exceptions, struct cow_store *, cow_store_close);

static int merge(char **argv, struct cow_err *err)
{
	AUTO_HANDLE(set) struct cow_imageset *set = NULL;
	AUTO_HANDLE(img) struct cow_image *origin = NULL;
	AUTO_HANDLE(img) struct cow_image *cow = NULL;
	AUTO_HANDLE(exceptions) struct cow_store *store = NULL;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_role_image images[2];
	int ret;

	ret = cow_imageset_new(&set, err);
	if (!ret)
		ret = cow_imageset_open(set, argv[1], COW_OPEN_WRITE, &origin, err);
	if (!ret)
		ret = cow_imageset_open(set, argv[2], COW_OPEN_WRITE, &cow, err);
	if (ret)
		return ret;
	images[0] = (struct cow_role_image){ .role = COW_ROLE_ORIGIN, .image = origin };
	images[1] = (struct cow_role_image){ .role = COW_ROLE_COW, .image = cow };
	args.images = images;
	args.nr_images = 2;
	ret = cow_store_open(&args, &store, err);
	if (ret)
		return ret;
	params.batch_bytes = strtoull(argv[3], NULL, 10);
	params.epoch_bytes = strtoull(argv[4], NULL, 10);
	return cow_merge(store, &params, &result, err);
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	if (argc != 5)
		return 16;
	ret = merge(argv, &err);
	if (ret)
		fprintf(stderr, "merge: %d: %s\n", ret, err.message);
	return ret ? 8 : 0;
}
