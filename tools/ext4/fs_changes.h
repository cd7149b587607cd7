/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_changes.h - which files differ between two states of one ext2/3/4 file system, of
 * which is known where their bytes may differ at all.
 *
 * Inodes are compared in the blocks of inode tables that were touched, directories
 * whose inodes differ are compared by name, and data is read only where a block of one
 * side was touched. Memory: what differs, and the names of one directory.
 */
#ifndef TOOLS_FS_CHANGES_H
#define TOOLS_FS_CHANGES_H

#include "tools/ext4/fs_ext.h"

struct fs_change {
	/* '+' only in the new state, '-' only in the old one, 'M' other content, 'T' only
	 * other metadata, 'R' another name of the same file (old_path: the old one). */
	char kind;
	const char *path;
	const char *old_path;
};

struct fs_changes_params {
	struct fs_ext *old_fs, *new_fs;
	/* Where the two images may differ, in bytes, in any order. */
	const struct cow_segment *touched;
	size_t nr_touched;
	void *user;
	/* Called for each change, sorted by path. */
	int (*change)(void *user, const struct fs_change *change, struct cow_err *err);
	void (*problem)(void *user, bool is_damage, const char *sentence);
};

/* Errors: -EPERM (id "other-fs") they are not two states of one file system; -EIO,
 * -ENOMEM, what change returned. Damage is told, and is no error. */
int fs_changes(const struct fs_changes_params *params, struct cow_err *err);

#endif
