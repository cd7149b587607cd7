/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* blkid.h - what seems to be on an image: a file system, a partition table, a
 * member of a RAID, ..., by its signature. */
#ifndef TOOLS_BLKID_H
#define TOOLS_BLKID_H

#include <stdbool.h>

#include "libcow.h"

#define BLKID_NAME_BYTES 64
#define BLKID_LABEL_BYTES 1024

/* Names the first known signature, "ext4" or "gpt partition table"; "": none.
 * Reads the first and the last 2 MiB. Errors: -EIO, -ENOMEM. */
int blkid_find(struct cow_image *image, char ret_name[BLKID_NAME_BYTES], struct cow_err *err);

/* What libblkid tells of an image; "": it does not say. */
struct blkid_content {
	char type[BLKID_NAME_BYTES]; /* "ext4", "gpt partition table"; "": nothing that it knows */
	char label[BLKID_LABEL_BYTES], uuid[BLKID_NAME_BYTES];
	bool is_table;	/* partitions, and no file system */
	bool is_member; /* of an array or a volume group: others tell what it holds */
};

/* The same, with label and UUID. */
int blkid_look(struct cow_image *image, struct blkid_content *ret_content, struct cow_err *err);

/* A device that is to be overwritten, as it is now. */
struct blkid_device {
	struct cow_imageset *set;
	struct cow_image *image; /* NULL: nothing to look at */
};

/* Opens the device at path, just opened for output, for a look at what it holds;
 * nothing for a file, or with --force=overwrite. Reads nothing: call it before
 * sandbox_enter(), the check after it. Errors: as cow_imageset_open(). */
int blkid_device_open(struct blkid_device *device, struct cow_output *output, const char *path,
		      struct cow_err *err);
/* Refuses a device that holds something known, and closes it; also after a
 * failed open. Errors: -EEXIST (id "signature"), -EIO, -ENOMEM. */
int blkid_device_check(struct blkid_device *device, const char *path, struct cow_err *err);
/* Closes it unchecked. */
void blkid_device_close(struct blkid_device *device);

#endif
