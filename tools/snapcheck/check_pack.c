/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_pack.c - checks a metadata pack instead of an image.
 *
 * snapcheck of a metadata pack, and of the manifest in a tar. A file of its own,
 * to which the rest of snapcheck has only weak references: the static snapcheck for an initramfs is
 * linked without it, and so without libarchive.
 */
#include <errno.h>
#include <string.h>

#include "tools/snapcheck/check.h"
#include "tools/snapcheck/check_verify.h"
#include "tools/common/cli.h"
#include "tools/formats/delta.h"
#include "tools/formats/pack.h"

bool check_pack_open(struct check *check, const char *path)
{
	check->may_be_pack = pack_open(path, &check->pack_fd, &check->pack_max_bytes);
	return check->may_be_pack;
}

static int stand_in(struct check *check, struct tar_reader *tar, struct cow_err *err)
{
	struct cow_image *cow, *origin;
	int ret = pack_read(tar, check->pack_max_bytes, &cow, &origin, err);

	if (ret)
		return ret;
	check->is_pack = true;
	cow_image_close(check->cow);
	check->cow = cow;
	if (check->origin)
		cow_image_close(origin);
	else
		check->origin = origin;
	return 0;
}

int check_unpack(struct check *check, const char *path, bool writes, struct cow_err *err)
{
	struct cow_err none = COW_ERR_INIT;
	struct tar_reader *tar;
	bool is_pack;
	int ret = 0;

	check->may_be_pack = false;
	if (tar_reader_open(path, check->pack_fd, &tar, &none))
		return 0;
	is_pack = pack_begins(tar);
	if (is_pack && writes)
		ret = cli_refuse(err, -EPERM, "pack", NULL,
				 "%s is a metadata pack, which has no data: repair the image that "
				 "it was made of; -n shows what that would do",
				 path);
	else if (is_pack)
		ret = stand_in(check, tar, err);
	tar_reader_close(tar);
	return ret;
}

bool check_is_tar(int fd)
{
	return pack_is_tar(fd);
}

int check_manifest_of_tar(struct manifest *manifest, const char *path, int fd, struct cow_err *err)
{
	struct byte_source source;
	struct tar_reader *tar;
	const char *name;
	uint64_t len;
	int ret = tar_reader_open(path, fd, &tar, err);

	if (ret)
		return ret;
	do
		ret = tar_reader_next(tar, &name, &len, err);
	while (!ret && name && strcmp(name, MANIFEST_MEMBER));
	source = tar_reader_source(tar);
	if (!ret && name)
		ret = manifest_read(manifest, &source, err);
	else if (!ret)
		ret = cli_refuse(err, -EBADMSG, "manifest", NULL,
				 "%s: no " MANIFEST_MEMBER
				 " in it: not written by snapdump --tar or "
				 "--delta, or cut",
				 path);
	tar_reader_close(tar);
	return ret;
}
