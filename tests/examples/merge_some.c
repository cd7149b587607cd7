/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_some ORIGIN COW MAX: merges the snapshot into its origin, but stops
 * when MAX bytes have been moved; exit 32 then. Run it again and it goes on
 * where it stopped, as would snapmerge, or the kernel.
 *
 * Shows: a job with the program's own progress and its own reason to stop, and
 * the result, which is filled in when the job was stopped, too.
 */
#include <errno.h>
#include <inttypes.h>
#include <libcow.h>
#include <stdio.h>
#include <string.h>

/* Called at least once a megabyte. What is not zero stops the job at the next
 * safe point: what was complete is settled, the pair still shows the view. */
static int progress(void *user, const struct cow_progress *now)
{
	const uint64_t *max_bytes = user;

	fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " bytes\n", now->phase, now->done_bytes,
		now->total_bytes);
	return !strcmp(now->phase, "move") && now->done_bytes >= *max_bytes;
}

static int merge(struct cow_store *store, uint64_t max_bytes, struct cow_err *err)
{
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	int ret;

	callbacks.progress = progress;
	callbacks.user = &max_bytes;
	params.callbacks = &callbacks;
	params.batch_bytes = 64 << 10; /* little is done again after a stop */
	ret = cow_merge(store, &params, &result, err);
	printf("%" PRIu64 " chunks merged, %" PRIu64 " left, %" PRIu64 " flushes\n",
	       result.nr_chunks, result.nr_left, result.nr_flushes);
	return ret;
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;
	struct cow_stack_layer layer = COW_STACK_LAYER_INIT;
	struct cow_stack *stack = NULL;
	const char *cow;
	uint64_t max_bytes;
	int ret;

	if (argc != 4)
		return 16;
	cow = argv[2];
	params.flags = 0; /* no views, which are for reading */
	params.open_flags = COW_OPEN_WRITE;
	params.origin = argv[1];
	params.cows = &cow;
	params.nr_cows = 1;
	ret = cow_size_parse(argv[3], &max_bytes, &err);
	if (!ret)
		ret = cow_stack_open(&params, &stack, &err);
	if (!ret && cow_stack_layer(stack, 0, &layer))
		ret = merge(layer.store, max_bytes, &err);
	if (ret)
		fprintf(stderr, "merge_some: %s\n", err.message);
	cow_stack_close(stack);
	return ret == -ECANCELED ? 32 : ret ? 8 : 0;
}
