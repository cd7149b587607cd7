/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * list_exceptions COW: one line "OLD NEW LENGTH" in bytes for each run of
 * exceptions, in the order of the origin; then the facts of the store.
 *
 * Shows: a store opened without its origin, and the iteration over it. It
 * compiles as C++20, too.
 */
#include <inttypes.h>
#include <libcow.h>
#include <stdio.h>

static void list(struct cow_store *store)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_extent extent;

	for (uint64_t at = 0; cow_store_next_extent(store, at, &extent);
	     at = extent.old_bytes + extent.len_bytes)
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", extent.old_bytes, extent.new_bytes,
		       extent.len_bytes);
	if (!cow_store_get_info(store, &info))
		printf("%s store, %" PRIu64 " exceptions, chunks of %" PRIu64 " bytes\n", info.kind,
		       info.nr_exceptions, info.chunk_bytes);
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image role = { COW_ROLE_COW, 0, NULL };
	struct cow_imageset *set = NULL;
	struct cow_store *store = NULL;
	int ret;

	if (argc != 2)
		return 16;
	ret = cow_imageset_new(&set, &err) || cow_imageset_open(set, argv[1], 0, &role.image, &err);
	args.images = &role;
	args.nr_images = 1;
	if (!ret)
		ret = cow_store_open(&args, &store, &err);
	if (!ret)
		list(store);
	else
		fprintf(stderr, "list_exceptions: %s\n", err.message);
	cow_store_close(store);
	cow_image_close(role.image);
	cow_imageset_free(set);
	return ret ? 8 : 0;
}
