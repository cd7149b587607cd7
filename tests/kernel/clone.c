/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone create METADATA SOURCE DESTINATION REGION_SECTORS TARGET_SECTORS
 * clone finish METADATA SOURCE DESTINATION EPOCH_BYTES STOP_BYTES
 * clone view METADATA SOURCE DESTINATION OUT
 * For relays with the kernel: makes a clone; goes on with it, and stops behind
 * STOP_BYTES (0: at the end); writes out what it shows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow.h"

struct clone {
	struct cow_imageset *set;
	struct cow_image *images[3];
	struct cow_role_image roles[3];
	struct cow_store *store;
	uint64_t stop_bytes;
};

static int clone_images(struct clone *clone, char **paths, struct cow_err *err)
{
	static const int roles[] = { COW_ROLE_METADATA, COW_ROLE_SOURCE, COW_ROLE_DESTINATION };
	int ret = cow_imageset_new(&clone->set, err);

	for (int i = 0; !ret && i < 3; i++) {
		ret = cow_imageset_open(clone->set, paths[i], i == 1 ? 0 : COW_OPEN_WRITE,
					&clone->images[i], err);
		clone->roles[i].role = roles[i];
		clone->roles[i].image = clone->images[i];
	}
	return ret;
}

static int clone_open(struct clone *clone, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	args.kind = "clone";
	args.images = clone->roles;
	args.nr_images = 3;
	return cow_store_open(&args, &clone->store, err);
}

static int clone_create(struct clone *clone, char **words, struct cow_err *err)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	const struct cow_geometry target = { "target", words[1] };

	params.kind = "clone";
	params.chunk_bytes = strtoull(words[0], NULL, 10) * 512;
	params.images = clone->roles;
	params.nr_images = 3;
	params.geometry = &target;
	params.nr_geometry = 1;
	return cow_create(NULL, &params, err);
}

static int on_progress(void *user, const struct cow_progress *now)
{
	const struct clone *clone = (const struct clone *)user;

	return clone->stop_bytes && !strcmp(now->phase, "move") &&
	       now->done_bytes >= clone->stop_bytes;
}

static int clone_finish(struct clone *clone, char **words, struct cow_err *err)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	int ret = clone_open(clone, err);

	if (ret)
		return ret;
	clone->stop_bytes = strtoull(words[1], NULL, 10);
	callbacks.user = clone;
	callbacks.progress = on_progress;
	params.callbacks = &callbacks;
	params.batch_bytes = 4096;
	params.epoch_bytes = strtoull(words[0], NULL, 10);
	ret = cow_merge(clone->store, &params, &result, err);
	return ret == -ECANCELED ? 0 : ret;
}

static int clone_view(struct clone *clone, char **words, struct cow_err *err)
{
	static uint8_t buf[1 << 20];
	FILE *out = fopen(words[0], "wb");
	struct cow_image *view = NULL;
	int ret = clone_open(clone, err);

	if (!ret && out)
		ret = cow_view_new(clone->images[1], clone->store, &view, err);
	for (uint64_t at = 0, len; !ret && view && at < cow_image_size(view); at += len) {
		len = cow_image_size(view) - at;
		len = len < sizeof(buf) ? len : sizeof(buf);
		ret = cow_image_pread(view, buf, len, at, err);
		if (!ret && fwrite(buf, 1, len, out) != len)
			ret = -EIO;
	}
	cow_image_close(view);
	return !out || fclose(out) ? -EIO : ret;
}

int main(int argc, char **argv)
{
	struct clone clone = { .set = NULL };
	struct cow_err err = COW_ERR_INIT;
	int ret = argc < 6 ? -EINVAL : clone_images(&clone, argv + 2, &err);

	if (!ret && !strcmp(argv[1], "create") && argc == 7)
		ret = clone_create(&clone, argv + 5, &err);
	else if (!ret && !strcmp(argv[1], "finish") && argc == 7)
		ret = clone_finish(&clone, argv + 5, &err);
	else if (!ret && !strcmp(argv[1], "view"))
		ret = clone_view(&clone, argv + 5, &err);
	else if (!ret)
		ret = -EINVAL;
	if (ret)
		fprintf(stderr, "clone: %d: %s\n", ret, err.message);
	cow_store_close(clone.store);
	for (int i = 0; i < 3; i++)
		cow_image_close(clone.images[i]);
	cow_imageset_free(clone.set);
	return ret != 0;
}
