/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge ORIGIN COW BATCH_BYTES EPOCH_BYTES [SIBLING...] - snapmerge without its
 * manners, for epochs so small that a kill meets a store that is half cut.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libcow.h"
#include "libcow/base/cleanup.h"

#define SIBLINGS_MAX 8

COW_DEFINE_AUTO(set, struct cow_imageset *, cow_imageset_free);

/* Closed in reverse, stores first. */
struct pair {
	struct cow_image *cow;
	struct cow_store *store;
};

static int pair_open(struct pair *pair, struct cow_imageset *set, struct cow_image *origin,
		     const char *path, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	int ret = cow_imageset_open(set, path, COW_OPEN_WRITE, &pair->cow, err);

	if (ret)
		return ret;
	const struct cow_role_image images[] = {
		{ .role = COW_ROLE_ORIGIN, .image = origin },
		{ .role = COW_ROLE_COW, .image = pair->cow },
	};
	args.images = images;
	args.nr_images = 2;
	return cow_store_open(&args, &pair->store, err);
}

/* words: BATCH_BYTES EPOCH_BYTES SIBLING... */
static int merge_opened(struct cow_imageset *set, struct cow_image *origin, struct pair *pairs,
			char **words, struct cow_err *err)
{
	struct cow_store *siblings[SIBLINGS_MAX];
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	int ret = 0;

	for (char **path = words + 2; !ret && *path; path++) {
		struct pair *pair = &pairs[1 + params.nr_siblings];

		ret = pair_open(pair, set, origin, *path, err);
		siblings[params.nr_siblings++] = pair->store;
	}
	if (ret)
		return ret;
	params.siblings = siblings;
	params.batch_bytes = strtoull(words[0], NULL, 10);
	params.epoch_bytes = strtoull(words[1], NULL, 10);
	return cow_merge(pairs[0].store, &params, &result, err);
}

static int merge(char **argv, struct cow_err *err)
{
	AUTO_HANDLE(set) struct cow_imageset *set = NULL;
	struct pair pairs[1 + SIBLINGS_MAX] = { 0 };
	struct cow_image *origin = NULL;
	int ret;

	ret = cow_imageset_new(&set, err);
	if (!ret)
		ret = cow_imageset_open(set, argv[1], COW_OPEN_WRITE, &origin, err);
	if (!ret)
		ret = pair_open(&pairs[0], set, origin, argv[2], err);
	if (!ret)
		ret = merge_opened(set, origin, pairs, argv + 3, err);
	for (int i = SIBLINGS_MAX; i >= 0; i--) {
		cow_store_close(pairs[i].store);
		cow_image_close(pairs[i].cow);
	}
	cow_image_close(origin);
	return ret;
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	if (argc < 5 || argc > 5 + SIBLINGS_MAX)
		return 16;
	ret = merge(argv, &err);
	if (ret)
		fprintf(stderr, "merge: %d: %s\n", ret, err.message);
	return ret ? 8 : 0;
}
