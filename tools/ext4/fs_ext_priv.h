/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_priv.h - between the fs_ext*.c files. Functions return 0 or a negative
 * errno; -EBADMSG is damage of the one thing that was looked at, and the walk
 * goes on behind it.
 */
#ifndef TOOLS_FS_EXT_PRIV_H
#define TOOLS_FS_EXT_PRIV_H

#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>

#include "tools/ext4/fs_ext.h"

/* ---- fs_ext_io.c: libext2fs reads the image through this */

struct fs_io;

int fs_io_new(struct cow_image *image, bool is_exact, struct fs_io **ret_io, struct cow_err *err);
void fs_io_free(struct fs_io *io);
/* The manager, and the name that makes it open this fs_io. */
extern struct struct_io_manager *const fs_io_manager;
#define FS_IO_NAME_BYTES 40
void fs_io_name(const struct fs_io *io, char name[FS_IO_NAME_BYTES]);
/* The image's own failure that made a call of libext2fs fail, or NULL. */
const struct cow_err *fs_io_error(const struct fs_io *io);

/* ---- fs_ext.c */

struct fs_journal;

struct fs_ext {
	struct cow_image *image; /* with the journal replayed */
	unsigned int flags;
	struct fs_journal *journal;    /* NULL: none that needs recovery, or not replayed */
	struct cow_err journal_damage; /* why it could not be */
	struct fs_io *io;
	ext2_filsys fs;
	bool truncated;		/* larger than the image */
	uint64_t nr_blocks;	/* of the file system, as far as the image goes */
	uint64_t blocks_left;	/* what files may still claim */
	uint64_t steps_left;	/* runs and blocks of maps that may still be looked at */
	uint64_t blocks_wasted; /* claimed by damaged maps */
};

/* Turns an error of libext2fs into ours: the image's failure, no memory, or
 * -EBADMSG with its words behind the caller's. */
__attribute__((format(printf, 4, 5), warn_unused_result, cold)) int
fs_ext_fail(struct fs_ext *fs, struct cow_err *err, errcode_t code, const char *format, ...);
/* Damage that we noticed ourselves: -EBADMSG. */
__attribute__((format(printf, 2, 3), warn_unused_result, cold)) int
fs_ext_damage(struct cow_err *err, const char *format, ...);

/* ---- fs_ext_inode.c */

struct fs_inode {
	ext2_ino_t ino;
	/* As large as inodes of this file system are, zeros behind. */
	union {
		struct ext2_inode raw;
		struct ext2_inode_large large;
		uint8_t bytes[4096];
	};
};

int fs_inode_read(struct fs_ext *fs, ext2_ino_t ino, struct fs_inode *ret_inode,
		  struct cow_err *err);
/* Fills what stands in the inode itself. */
void fs_inode_describe(const struct fs_inode *inode, struct file_entry *entry);
/* ---- fs_ext_map.c */

/* Where the blocks of a file are; ranges that read as zeros are left out. */
struct fs_extent {
	uint64_t block; /* in the file */
	uint64_t at;	/* in the file system */
	uint64_t nr_blocks;
};
struct fs_map {
	struct fs_extent *extents; /* ascending, neighbours joined */
	size_t nr_extents, room;
	uint64_t size_bytes; /* nothing behind this is in the map */
	size_t cursor;	     /* where the last read was */
};

/* The arrays of map are used again where they are large enough. */
int fs_map_load(struct fs_ext *fs, const struct fs_inode *inode, uint64_t size_bytes,
		struct fs_map *map, struct cow_err *err);
/* Reads a piece of one extent. */
int fs_map_read(struct fs_ext *fs, struct fs_map *map, void *buf, size_t len_bytes,
		uint64_t offset_bytes, struct cow_err *err);
void fs_map_free(struct fs_map *map);

/* ---- fs_ext_xattr.c */

struct fs_xattrs {
	struct file_xattr *list;
	size_t nr, room;
	struct file_acl_entry *acl[2]; /* access, default */
	size_t nr_acl[2];
	uint8_t *data; /* "system.data": the rest of an inline file */
	size_t data_bytes;
	size_t nr_skipped; /* kinds that no archive can carry */
};

int fs_xattrs_load(struct fs_ext *fs, const struct fs_inode *inode, struct fs_xattrs *xattrs,
		   struct cow_err *err);
void fs_xattrs_free(struct fs_xattrs *xattrs);

/* ---- fs_ext_dir.c */

struct fs_dir_entry {
	char *name;
	ext2_ino_t ino;
	bool may_be_dir; /* as far as the directory says */
};
struct fs_dir {
	struct fs_dir_entry *entries; /* sorted by name, bytes */
	size_t nr, room;
	size_t next; /* for the walk */
};

/* Reads and sorts a directory. Damaged parts are told to problem and left
 * out; -EBADMSG: nothing could be read. */
int fs_dir_load(struct fs_ext *fs, const struct fs_inode *inode, const struct fs_xattrs *xattrs,
		void (*problem)(void *user, const char *sentence), void *user, struct fs_dir *dir,
		struct cow_err *err);
const struct fs_dir_entry *fs_dir_find(const struct fs_dir *dir, const char *name);
void fs_dir_free(struct fs_dir *dir);

/* ---- fs_ext_links.c: the first name of files that have several */

/* Longer paths are told and left out: each name below a directory costs its
 * whole path in an archive, and a hostile tree can be made of little else. */
#define FS_PATH_BYTES_MAX 32768

/* A directory on the way down; shared, counted, so that the names of many
 * links below one directory cost no more than their own length. */
struct fs_path {
	struct fs_path *parent; /* NULL: the top */
	size_t refs;
	char name[];
};
/* NULL: no memory. Takes a reference of its own on parent. */
struct fs_path *fs_path_new(struct fs_path *parent, const char *name);
void fs_path_put(struct fs_path *path);

struct fs_link {
	ext2_ino_t ino;
	uint32_t nr_left; /* names that have not come yet */
	struct fs_path *dir;
	char *name;
};
struct fs_links {
	struct fs_link *slots; /* a hash table; ino 0: empty */
	size_t nr_slots, nr_used;
};
int fs_links_add(struct fs_links *links, ext2_ino_t ino, uint32_t nr_left, struct fs_path *dir,
		 const char *name, struct cow_err *err);
/* Composes the name that came first; the caller frees it. *ret_path NULL: there
 * was none. The last name that is asked for forgets the file. */
int fs_links_take(struct fs_links *links, ext2_ino_t ino, char **ret_path, struct cow_err *err);
void fs_links_free(struct fs_links *links);

/* ---- fs_ext_file.c: everything about one file but its name */

struct fs_file {
	struct fs_inode inode;
	struct fs_xattrs xattrs;
	struct fs_map map;
	struct cow_segment *ranges;
	size_t ranges_room;
	char *link;
	uint8_t *inline_data;
	size_t inline_bytes;
	struct file_entry entry;
	struct fs_ext *fs;
};

/* Fills file->entry, type and data included, from file->inode, which was read
 * already. */
int fs_file_load(struct fs_ext *fs, struct fs_file *file, struct cow_err *err);
/* The same without the data of regular files: where it is, is not looked up. */
int fs_file_describe(struct fs_ext *fs, struct fs_file *file, struct cow_err *err);
/* Frees what one file needed; the structure can be used again. */
void fs_file_clear(struct fs_file *file);
void fs_file_free(struct fs_file *file);

#endif
