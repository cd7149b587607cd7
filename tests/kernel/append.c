/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * append ORIGIN COW - adds exceptions through the public library, as told on
 * stdin, one command a line (chunks are those of the store); with a third
 * argument CHUNK_BYTES, COW is first made an empty store, whatever it holds:
 *   reserve NR_CHUNKS
 *   data OLD_CHUNK NR_CHUNKS GENERATION PIECE_BYTES   0: all at once
 *   publish
 * The bytes are those of pattern() in snap.py; generation 0: zeros by a hole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow.h"
#include "libcow/base/cleanup.h"
#include "tests/aids/pattern.h"

COW_DEFINE_AUTO(set, struct cow_imageset *, cow_imageset_free);
COW_DEFINE_AUTO(img, struct cow_image *, cow_image_close);
COW_DEFINE_AUTO(exceptions, struct cow_store *, cow_store_close);

struct target {
	struct cow_store *store;
	uint64_t chunk_bytes;
	uint64_t origin_bytes;
};

static int append_data(const struct target *target, const uint64_t *words, struct cow_err *err)
{
	uint64_t old_bytes = words[0] * target->chunk_bytes;
	uint64_t len_bytes = words[1] * target->chunk_bytes;
	uint64_t piece_bytes = words[3], at;
	AUTO_FREE char *buf = NULL;
	int ret = 0;

	if (len_bytes > target->origin_bytes - old_bytes)
		len_bytes = target->origin_bytes - old_bytes;
	if (!piece_bytes)
		piece_bytes = len_bytes;
	buf = malloc(len_bytes);
	if (!buf)
		return -ENOMEM;
	pattern_fill(buf, old_bytes, len_bytes, words[2]);
	for (at = 0; at < len_bytes && !ret; at += piece_bytes) {
		if (piece_bytes > len_bytes - at)
			piece_bytes = len_bytes - at;
		ret = cow_store_append(target->store, old_bytes + at, words[2] ? buf + at : NULL,
				       piece_bytes, err);
	}
	return ret;
}

static int obey(const struct target *target, const char *line, struct cow_err *err)
{
	uint64_t words[4] = { 0 };

	if (sscanf(line, "reserve %" SCNu64, &words[0]) == 1)
		return cow_store_reserve(target->store, words[0], err);
	if (sscanf(line, "data %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &words[0], &words[1],
		   &words[2], &words[3]) == 4)
		return append_data(target, words, err);
	if (!strcmp(line, "publish\n"))
		return cow_store_publish(target->store, err);
	return -EINVAL;
}

static int create(struct cow_image *cow, const char *chunk_bytes, struct cow_err *err)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;

	params.chunk_bytes = strtoull(chunk_bytes, NULL, 10);
	return cow_create(cow, &params, err);
}

static int append(char **argv, struct cow_err *err)
{
	AUTO_HANDLE(set) struct cow_imageset *set = NULL;
	AUTO_HANDLE(img) struct cow_image *origin = NULL;
	AUTO_HANDLE(img) struct cow_image *cow = NULL;
	AUTO_HANDLE(exceptions) struct cow_store *store = NULL;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_role_image images[2];
	struct target target;
	char line[256];
	int ret;

	ret = cow_imageset_new(&set, err);
	if (!ret)
		ret = cow_imageset_open(set, argv[1], 0, &origin, err);
	if (!ret)
		ret = cow_imageset_open(set, argv[2], COW_OPEN_WRITE, &cow, err);
	if (!ret && argv[3])
		ret = create(cow, argv[3], err);
	if (ret)
		return ret;
	images[0] = (struct cow_role_image){ .role = COW_ROLE_ORIGIN, .image = origin };
	images[1] = (struct cow_role_image){ .role = COW_ROLE_COW, .image = cow };
	args.images = images;
	args.nr_images = 2;
	ret = cow_store_open(&args, &store, err);
	if (!ret)
		ret = cow_store_get_info(store, &info);
	if (ret)
		return ret;
	target.store = store;
	target.chunk_bytes = info.chunk_bytes;
	target.origin_bytes = cow_image_size(origin);
	while (!ret && fgets(line, sizeof(line), stdin))
		ret = obey(&target, line, err);
	return ret;
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	if (argc < 3 || argc > 4)
		return 16;
	ret = append(argv, &err);
	if (ret)
		fprintf(stderr, "append: %d: %s\n", ret, err.message);
	return ret ? 8 : 0;
}
