/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * file_entry.h - one file of a file system, neutral: what a file system reader
 * (fs_ext.h) gives out and what an archive writer (pax.h) takes. Everything in
 * it belongs to whoever gives it out and is valid during the call only.
 */
#ifndef TOOLS_FILE_ENTRY_H
#define TOOLS_FILE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcow.h"

enum file_type {
	FILE_REGULAR,
	FILE_DIRECTORY,
	FILE_SYMLINK,
	FILE_CHAR_DEVICE,
	FILE_BLOCK_DEVICE,
	FILE_FIFO,
	FILE_HARD_LINK, /* another name of a file that was given out before */
	FILE_SOCKET,	/* in lists only: no archive can hold one */
};

struct file_time {
	int64_t seconds;      /* since 1970, UTC */
	uint32_t nanoseconds; /* below 10^9 */
};

/* An extended attribute, with its full name: "user.mime_type". */
struct file_xattr {
	const char *name;
	const uint8_t *value;
	size_t len_bytes;
};

/* One line of a POSIX ACL; tags and permissions as in linux/posix_acl.h. */
#define FILE_ACL_USER_OBJ 0x01
#define FILE_ACL_USER 0x02
#define FILE_ACL_GROUP_OBJ 0x04
#define FILE_ACL_GROUP 0x08
#define FILE_ACL_MASK 0x10
#define FILE_ACL_OTHER 0x20
struct file_acl_entry {
	uint16_t tag;
	uint16_t perm; /* rwx: 4 2 1 */
	uint32_t id;   /* of FILE_ACL_USER and FILE_ACL_GROUP */
};
struct file_acl {
	const struct file_acl_entry *entries;
	size_t nr_entries; /* 0: no such ACL */
};

struct file_entry {
	enum file_type type;
	const char *path; /* from the root, no slash at either end; the root: "." */
	const char *link; /* FILE_SYMLINK: its text; FILE_HARD_LINK: the path */
	uint32_t mode;	  /* 07777 */
	uint32_t uid, gid;
	uint32_t major, minor; /* devices */
	uint32_t inode, nr_links;
	struct file_time mtime, atime, ctime;
	bool has_times;	     /* atime and ctime are known */
	uint64_t size_bytes; /* FILE_REGULAR; in lists of all */
	const struct file_xattr *xattrs;
	size_t nr_xattrs;
	struct file_acl acl_access, acl_default;
	/* What has data: ascending, not adjacent, within the size; the rest is holes. */
	const struct cow_segment *ranges;
	size_t nr_ranges;
	/* Reads a piece of one range; called with ascending offsets. */
	int (*read)(void *source, void *buf, size_t len_bytes, uint64_t offset_bytes,
		    struct cow_err *err);
	void *source;
};

#endif
