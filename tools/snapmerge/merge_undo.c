/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_undo.c - the undo file of a merge: size, place, creation, name.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "tools/snapmerge/snapmerge.h"
#include "tools/common/outputs.h"
#include "tools/common/size_text.h"
#include "tools/common/volatile.h"
#include "tools/images/images_json.h"

static int check_room(const struct merge_undo *undo, const char *directory, struct cow_err *err)
{
	char need[SIZE_TEXT_BYTES], room[SIZE_TEXT_BYTES];
	struct statvfs fs;
	uint64_t bytes;

	if (statvfs(directory, &fs))
		return cli_refuse(err, -errno, "no-directory", NULL, "%s: %s", directory,
				  strerror(errno));
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (bytes >= undo->size_bytes)
		return 0;
	return cli_refuse(err, -EPERM, "no-space", NULL, "%s needs %s, its file system has %s left",
			  undo->path, size_text(undo->size_bytes, need), size_text(bytes, room));
}

static int open_store(struct merge_undo *undo, const struct operands *operands, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	cow_store_args_pair(&args, roles, undo->image, operands->origin);
	return cow_store_open(&args, &undo->store, err);
}

/* cow_merge() looks whether it belongs to this job. */
static int open_existing(struct merge_undo *undo, const struct operands *operands, bool will_write,
			 struct cow_err *err)
{
	int ret;

	undo->existed = true;
	ret = cow_imageset_open(operands->set, undo->path,
				COW_OPEN_LITERAL |
					(will_write ? COW_OPEN_WRITE : COW_OPEN_REHEARSE),
				&undo->image, err);
	if (!ret)
		images_json_add("undo", undo->image);
	if (!ret)
		ret = open_store(undo, operands, err);
	if (ret != -EMEDIUMTYPE)
		return ret;
	return cli_refuse(err, -EEXIST, "exists", NULL,
			  "%s exists and is not the undo file of this merge: name a new file",
			  undo->path);
}

int merge_undo_prepare(struct merge_undo *undo, const char *path, const struct operands *operands,
		       bool will_write, struct cow_err *err)
{
	struct stat st;
	char *directory;
	int ret;

	undo->path = path;
	if (!lstat(path, &st))
		return open_existing(undo, operands, will_write, err);
	ret = cow_undo_size(operands->layers[0].store, &undo->size_bytes, err);
	if (ret)
		return ret;
	directory = volatile_directory(path);
	if (!directory)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	ret = volatile_check(path, err);
	if (!ret)
		ret = check_room(undo, directory, err);
	free(directory);
	if (!ret)
		ret = outputs_open(operands->set, "undo", path, undo->size_bytes, 0, &undo->output,
				   err);
	return ret;
}

/* The space is reserved now, so that it cannot run out half-way. */
static int reserve(const struct merge_undo *undo, struct cow_err *err)
{
	if (!fallocate(cow_output_fd(undo->output), 0, 0, (off_t)undo->size_bytes) ||
	    errno == EOPNOTSUPP)
		return 0;
	return cli_refuse(err, -errno, "no-space", NULL, "%s: %" PRIu64 " bytes are needed: %s",
			  undo->path, undo->size_bytes, strerror(errno));
}

int merge_undo_create(struct merge_undo *undo, const struct operands *operands,
		      uint64_t chunk_bytes, struct cow_err *err)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	int ret;

	params.chunk_bytes = chunk_bytes;
	undo->image = cow_output_image(undo->output);
	ret = reserve(undo, err);
	if (!ret)
		ret = cow_create(undo->image, &params, err);
	return ret ? ret : open_store(undo, operands, err);
}

int merge_undo_publish(struct merge_undo *undo, struct cow_err *err)
{
	int ret;

	if (!undo->output)
		return 0; /* it has its name */
	ret = outputs_publish(undo->output, err);
	undo->is_published = !ret;
	return ret;
}

void merge_undo_close(struct merge_undo *undo)
{
	cow_store_close(undo->store);
	if (undo->output)
		outputs_close(undo->output);
	else
		cow_image_close(undo->image);
	memset(undo, 0, sizeof(*undo));
}
