/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * copyout ORIGIN COW... - the kernel's snapshot-origin, by the library: writes
 * to ORIGIN after saving what was there into every COW, as told on stdin:
 *   write SECTOR NR_SECTORS GENERATION
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libcow.h"
#include "libcow/base/cleanup.h"
#include "tests/aids/pattern.h"

#define STORES_MAX 4
#define SECTOR_BYTES 512u

COW_DEFINE_AUTO(set, struct cow_imageset *, cow_imageset_free);

struct snapshots {
	struct cow_image *origin;
	struct cow_image *images[STORES_MAX];
	struct cow_store *stores[STORES_MAX];
	size_t nr_stores;
};

static int store_open(struct cow_imageset *set, const char *path, struct snapshots *snapshots,
		      struct cow_err *err)
{
	size_t i = snapshots->nr_stores;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image images[2];
	int ret;

	ret = cow_imageset_open(set, path, COW_OPEN_WRITE, &snapshots->images[i], err);
	if (ret)
		return ret;
	images[0] = (struct cow_role_image){ .role = COW_ROLE_ORIGIN, .image = snapshots->origin };
	images[1] = (struct cow_role_image){ .role = COW_ROLE_COW, .image = snapshots->images[i] };
	args.images = images;
	args.nr_images = 2;
	snapshots->nr_stores++;
	return cow_store_open(&args, &snapshots->stores[i], err);
}

static int obey(const struct snapshots *snapshots, const char *line, struct cow_err *err)
{
	uint64_t sector, nr_sectors, generation;
	AUTO_FREE char *buf = NULL;

	if (sscanf(line, "write %" SCNu64 " %" SCNu64 " %" SCNu64, &sector, &nr_sectors,
		   &generation) != 3)
		return -EINVAL;
	buf = malloc(nr_sectors * SECTOR_BYTES);
	if (!buf)
		return -ENOMEM;
	pattern_fill(buf, sector * SECTOR_BYTES, nr_sectors * SECTOR_BYTES, generation);
	return cow_copyout_write(snapshots->origin, snapshots->stores, snapshots->nr_stores, buf,
				 nr_sectors * SECTOR_BYTES, sector * SECTOR_BYTES, err);
}

static int copyout(char **argv, struct snapshots *snapshots, struct cow_err *err)
{
	AUTO_HANDLE(set) struct cow_imageset *set = NULL;
	char line[256];
	int ret;

	ret = cow_imageset_new(&set, err);
	if (!ret)
		ret = cow_imageset_open(set, argv[1], COW_OPEN_WRITE, &snapshots->origin, err);
	for (char **path = argv + 2; !ret && *path; path++)
		ret = store_open(set, *path, snapshots, err);
	while (!ret && fgets(line, sizeof(line), stdin))
		ret = obey(snapshots, line, err);
	if (!ret)
		ret = cow_image_flush(snapshots->origin, err);
	for (size_t i = 0; i < snapshots->nr_stores; i++) {
		cow_store_close(snapshots->stores[i]);
		cow_image_close(snapshots->images[i]);
	}
	cow_image_close(snapshots->origin);
	return ret;
}

int main(int argc, char **argv)
{
	struct snapshots snapshots = { .nr_stores = 0 };
	struct cow_err err = COW_ERR_INIT;
	int ret;

	if (argc < 3 || argc > 2 + STORES_MAX)
		return 16;
	ret = copyout(argv, &snapshots, &err);
	if (ret)
		fprintf(stderr, "copyout: %d: %s\n", ret, err.message);
	return ret ? 8 : 0;
}
