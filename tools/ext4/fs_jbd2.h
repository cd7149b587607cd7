/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_jbd2.h - what a replay of a journal of ext3 and ext4 would write, and where
 * in the journal those bytes stand. Nothing is written. Fast commits are seen, and
 * are no part of it.
 *
 * Nothing is trusted. It ends because no more blocks are read than the journal has;
 * memory: about 40 bytes for each block in the log.
 */
#ifndef TOOLS_FS_JBD2_H
#define TOOLS_FS_JBD2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcow.h"

/* Where the journal is read. */
struct fs_jbd2_source {
	uint32_t block_bytes;
	uint32_t nr_blocks;    /* of the journal */
	uint64_t nr_fs_blocks; /* of the file system that it belongs to */
	void *user;
	/* -EBADMSG: there is no such block; anything else ends the reading. */
	int (*read)(void *user, uint32_t block, void *buf, struct cow_err *err);
};

/* A block of the file system, and the newest copy of it in the log. */
struct fs_jbd2_block {
	uint64_t block;
	uint32_t at;	 /* in the journal */
	bool is_escaped; /* its first four bytes are the magic number of jbd2 */
};

struct fs_jbd2 {
	struct fs_jbd2_block *blocks; /* ascending, each once */
	size_t nr_blocks;
	uint32_t nr_transactions;
	bool has_fast_commits;
	uint32_t nr_damaged; /* places; such a journal the kernel refuses to replay */
	char damage[256];    /* the first of them */
};

/* Reads it all. Errors: -EBADMSG it is no journal, or its superblock is damaged;
 * -EOPNOTSUPP it has features that are not known; -ENOMEM; those of read. */
int fs_jbd2_read(const struct fs_jbd2_source *source, struct fs_jbd2 *journal, struct cow_err *err);
void fs_jbd2_clear(struct fs_jbd2 *journal);

#endif
