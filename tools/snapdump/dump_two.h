/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_two.h - two states of one file system: that in the view, and that which it is
 * compared with. For the modes that say what differs.
 */
#ifndef TOOLS_DUMP_TWO_H
#define TOOLS_DUMP_TWO_H

#include "tools/ext4/fs_changes.h"
#include "tools/snapdump/dump_fs.h"

struct dump_two {
	struct dump_fs now; /* in the view; problems of both are told here */
	struct fs_ext *before;
	/* The same two, the other way round with --reverse. */
	struct fs_ext *old_fs, *new_fs;
	/* Where the two images may differ. */
	struct cow_segment *touched;
	size_t nr_touched, room;
	int (*change)(void *user, const struct fs_change *change, struct cow_err *err);
	void *user;
};

/* Opens both, and finds out where they may differ. Errors: those of fs_ext_open(). After
 * a failure, close is to be called too. */
int dump_two_open(struct dump_two *two, struct dump *dump, struct cow_err *err);
void dump_two_close(struct dump_two *two);

/* Calls two->change for each change, sorted by path. Errors: those of fs_changes(). */
int dump_two_compare(struct dump_two *two, struct cow_err *err);

#endif
