/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * list_exceptions COW: one line "OLD NEW LENGTH" in bytes for each run of
 * exceptions, in the order of the origin; then the facts of the store.
 *
 * Shows: a stack without its origin, the store in it, and the iteration over
 * that. It compiles as C++20, too.
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
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;
	struct cow_stack_layer layer = COW_STACK_LAYER_INIT;
	struct cow_stack *stack = NULL;
	const char *cow;
	int ret;

	if (argc != 2)
		return 16;
	cow = argv[1];
	params.flags = 0; /* no view: that would need the origin */
	params.cows = &cow;
	params.nr_cows = 1;
	ret = cow_stack_open(&params, &stack, &err);
	if (!ret && cow_stack_layer(stack, 0, &layer))
		list(layer.store);
	else
		fprintf(stderr, "list_exceptions: %s\n", err.message);
	cow_stack_close(stack);
	return ret ? 8 : 0;
}
