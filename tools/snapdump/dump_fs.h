/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_fs.h - the file system in a view, for the modes that look into it: opened,
 * and its problems told as they come and counted. What is left out or doubtful
 * makes exit status 4.
 */
#ifndef TOOLS_DUMP_FS_H
#define TOOLS_DUMP_FS_H

#include "tools/ext4/fs_ext.h"
#include "tools/snapdump/dump.h"

struct dump_fs {
	struct dump *dump;
	struct fs_ext *fs;
	struct json_object *list;
	uint64_t nr_problems;
};

/* Errors: those of fs_ext_open(). After a failure, close is to be called too. */
int dump_fs_open(struct dump_fs *fs, struct dump *dump, unsigned int flags, struct cow_err *err);
void dump_fs_close(struct dump_fs *fs);

/* For the callbacks of fs_ext.h; user is the struct dump_fs. */
void dump_fs_problem(struct dump_fs *fs, bool is_damage, const char *sentence);
/* Behind the last one: how many were not printed, and the numbers for --json. */
void dump_fs_say_problems(const struct dump_fs *fs, uint64_t nr_files);

/* dump_files.c: the files of a file system into an archive. */
struct tar;
struct dump_giver {
	struct dump_fs *fs; /* where problems are told */
	struct fs_ext *from;
	struct tar *tar; /* NULL: a dry run, they are counted */
	bool knows_state;
	/* As in struct fs_ext_walk_params. */
	enum fs_ext_choice (*choose)(void *user, const char *path);
	void *user;
	/* Filled in. */
	uint64_t nr_files;
	uint64_t total_bytes;		/* of data; 0: not counted, since nobody watches */
	const struct file_entry *entry; /* whose data is read */
};
/* Errors: those of fs_ext_walk() and tar_add(). */
int dump_files_give(struct dump_giver *giver, struct cow_err *err);

#endif
