/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * read_view ORIGIN COW OFFSET LENGTH: bytes of what the snapshot device would
 * show, to standard output; nothing is mounted and nothing written.
 *
 * Shows: the images of a job (imageset), opening a store, the view, and the
 * order in which things are closed.
 */
#include <libcow.h>
#include <stdio.h>
#include <stdlib.h>

static char buf[65536];

static int view_print(struct cow_image *view, uint64_t offset, uint64_t end, struct cow_err *err)
{
	while (offset < end) {
		size_t len = end - offset < sizeof(buf) ? (size_t)(end - offset) : sizeof(buf);
		int ret = cow_image_pread(view, buf, len, offset, err);

		if (ret)
			return ret;
		fwrite(buf, 1, len, stdout);
		offset += len;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_imageset *set = NULL;
	struct cow_image *origin = NULL, *cow = NULL, *view = NULL;
	struct cow_store *store = NULL;
	uint64_t offset, len;
	int ret;

	if (argc != 5)
		return 16;
	/* && and || keep the first error; err then holds a finished sentence. */
	ret = cow_size_parse(argv[3], &offset, &err) || cow_size_parse(argv[4], &len, &err) ||
	      cow_imageset_new(&set, &err) || cow_imageset_open(set, argv[1], 0, &origin, &err) ||
	      cow_imageset_open(set, argv[2], 0, &cow, &err);
	if (!ret) {
		/* A store is told which image plays which role. */
		const struct cow_role_image images[] = {
			{ .role = COW_ROLE_ORIGIN, .image = origin },
			{ .role = COW_ROLE_COW, .image = cow },
		};

		args.images = images;
		args.nr_images = 2;
		ret = cow_store_open(&args, &store, &err) ||
		      cow_view_new(origin, store, &view, &err) ||
		      view_print(view, offset, offset + len, &err);
	}
	if (ret)
		fprintf(stderr, "read_view: %s\n", err.message);
	/* What stands on something else goes first. NULL is allowed. */
	cow_image_close(view);
	cow_store_close(store);
	cow_image_close(cow);
	cow_image_close(origin);
	cow_imageset_free(set);
	return ret || fflush(stdout) ? 8 : 0;
}
