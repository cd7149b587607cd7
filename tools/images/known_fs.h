/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * known_fs.h - how large a file system or partition table says that its device
 * is, and where it keeps copies of its superblock. Reads some sectors; what they
 * say is bounded and never trusted to lie on the image.
 */
#ifndef TOOLS_KNOWN_FS_H
#define TOOLS_KNOWN_FS_H

#include "libcow.h"

#define KNOWN_FS_UUID_BYTES 16
#define KNOWN_FS_UUID_TEXT_BYTES 40

enum known_fs_kind {
	KNOWN_FS_EXT,
	KNOWN_FS_XFS,
	KNOWN_FS_BTRFS,
	KNOWN_FS_GPT,
	KNOWN_FS_SWAP,
	KNOWN_FS_NR
};

struct known_fs {
	enum known_fs_kind kind;
	uint8_t uuid[KNOWN_FS_UUID_BYTES];
	uint64_t size_bytes; /* that its device must have, at least */
	/* Where copies are: group g begins at first_bytes + g * group_bytes. */
	uint64_t first_bytes, group_bytes, nr_groups;
	uint64_t copies[2]; /* without groups: where they are; of ext: in which groups */
	bool is_sparse;	    /* ext: groups 1 and the powers of 3, 5 and 7 */
	bool is_listed;	    /* copies[] is what there is */
};

/* What is in the place of a copy. */
enum known_fs_copy {
	KNOWN_FS_COPY_RIGHT,
	KNOWN_FS_COPY_UUID, /* a superblock of the kind, with another UUID */
	KNOWN_FS_COPY_ZERO,
	KNOWN_FS_COPY_OTHER
};

/* False: none that is judged, or it cannot be read. */
bool known_fs_read(struct cow_image *image, struct known_fs *ret_fs);
/* "an ext file system" */
const char *known_fs_name(const struct known_fs *fs);
/* The next copy, the first one for *at 0; false: no more. */
bool known_fs_next_copy(const struct known_fs *fs, uint64_t *at, uint64_t *ret_offset_bytes);
/* How long it is, as far as it is looked at. */
uint64_t known_fs_copy_bytes(const struct known_fs *fs);
/* What an image holds there. Errors: -EIO, -ERANGE. */
int known_fs_copy_look(struct cow_image *image, const struct known_fs *fs, uint64_t offset_bytes,
		       enum known_fs_copy *ret_copy, uint8_t ret_uuid[KNOWN_FS_UUID_BYTES],
		       struct cow_err *err);
/* As the tools of the file system print it. */
void known_fs_uuid_text(const struct known_fs *fs, const uint8_t uuid[KNOWN_FS_UUID_BYTES],
			char ret_text[KNOWN_FS_UUID_TEXT_BYTES]);

#endif
