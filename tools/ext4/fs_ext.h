/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext.h - the files of an ext2/3/4 file system on an image, read through
 * libext2fs without mounting and without a copy. fs_ext*.c are the only files
 * that include its headers.
 *
 * Nothing is trusted: a damaged inode, directory block, extent tree or
 * attribute is told and left out. Loops end: a directory is entered once, and
 * the blocks of all files together may not exceed those of the file system.
 * Memory: 8 MiB of cache, the names of the directories on the way down, one
 * file's extents, and a name for each hard link that has not come yet.
 */
#ifndef TOOLS_FS_EXT_H
#define TOOLS_FS_EXT_H

#include <stdbool.h>

#include "tools/tar/file_entry.h"

struct fs_ext;

/* Read no block but those asked for: slower, and none of a file comes along with
 * what lies beside it. */
#define FS_EXT_EXACT (1u << 0)
/* A journal that needs recovery stays as it is; else it is replayed in memory. */
#define FS_EXT_IGNORE_JOURNAL (1u << 1)

/*
 * Opens the file system. The image stays the caller's and must outlive it.
 * Errors: -EMEDIUMTYPE not ext2/3/4 (id "not-ext"; says what it is, if known),
 * -EOPNOTSUPP features that this libext2fs does not know, -EBADMSG the
 * superblock is damaged, -EIO, -ENOMEM.
 */
int fs_ext_open(struct cow_image *image, unsigned int flags, struct fs_ext **ret_fs,
		struct cow_err *err);
void fs_ext_close(struct fs_ext *fs);

/* What is doubtful about the file system as a whole. */
void fs_ext_say_state(const struct fs_ext *fs,
		      void (*problem)(void *user, bool is_damage, const char *sentence),
		      void *user);

/* What a walk does with a path. */
enum fs_ext_choice {
	FS_EXT_LEAVE,	 /* left out, with all below */
	FS_EXT_GIVE,	 /* given out; what is below is asked for again */
	FS_EXT_GIVE_ALL, /* given out, with all below */
};

struct fs_ext_walk_params {
	/* What to give out: this directory or file and all below; NULL: all.
	 * Names in the entries begin at the root all the same. */
	const char *path;
	/* Left out, with all below: shell patterns, matched against the end of a
	 * path from any '/' on; one that begins with '/' against the whole. */
	const char *const *excludes;
	size_t nr_excludes;
	/* A list: no data is looked up, each hard link is a file of its own, and what
	 * no archive can hold (sockets, what is encrypted) comes too. */
	bool lists;
	/* What is doubtful about the file system as a whole has been told. */
	bool knows_state;
	void *user;
	/* Asked for each path that is not excluded; NULL: all. */
	enum fs_ext_choice (*choose)(void *user, const char *path);
	/* Called for each file, a directory before its content, names of one
	 * directory in byte order. A negative errno ends the walk with it. */
	int (*entry)(void *user, const struct file_entry *entry, struct cow_err *err);
	/* Called for what is left out or doubtful. is_damage: the archive is not
	 * what it should be; else it is so by design (a socket). NULL: another walk
	 * tells it. */
	void (*problem)(void *user, bool is_damage, const char *sentence);
};

/* Gives out the files. Errors: -EPERM no such path (id "no-path"), -EIO,
 * -ENOMEM, or what a callback returned. Damage is not an error. */
int fs_ext_walk(struct fs_ext *fs, const struct fs_ext_walk_params *params, struct cow_err *err);

struct fs_ext_find_params {
	const char *option; /* for sentences: "--cat" */
	const char *path;   /* symbolic links in it are followed, inside the file system */
	void *user;
	/* Called once, with the data of the file; its path is the one without links. */
	int (*entry)(void *user, const struct file_entry *entry, struct cow_err *err);
	void (*problem)(void *user, bool is_damage, const char *sentence);
};

/* Gives out one regular file. Errors: -EPERM no such path (id "no-path"), no regular
 * file (id "not-a-file"); -EBADMSG it is damaged or encrypted; -EIO, -ENOMEM, or what
 * the callback returned. */
int fs_ext_find(struct fs_ext *fs, const struct fs_ext_find_params *params, struct cow_err *err);

#endif
