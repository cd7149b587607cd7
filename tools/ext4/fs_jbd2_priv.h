/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_jbd2_priv.h - between fs_jbd2.c and fs_jbd2_log.c.
 * source: include/linux/jbd2.h and fs/jbd2/recovery.c of Linux 6.1.
 */
#ifndef TOOLS_FS_JBD2_PRIV_H
#define TOOLS_FS_JBD2_PRIV_H

#include "tools/ext4/fs_jbd2.h"

#define JBD2_DESCRIPTOR 1
#define JBD2_COMMIT 2
#define JBD2_REVOKE 5

/* t_flags of a tag. */
#define JBD2_TAG_ESCAPED 1
#define JBD2_TAG_SAME_UUID 2
#define JBD2_TAG_LAST 8

/* The log, walked block by block. */
struct fs_jbd2_log {
	const struct fs_jbd2_source *source;
	/* From the superblock. */
	uint32_t start, start_sequence, first, last; /* blocks first..last-1 are the log */
	uint32_t fast_at, nr_fast;
	bool has_sums_v1, has_sums, has_sums_v3, is_64bit, is_async, has_fast;
	uint32_t seed;
	size_t tag_bytes;
	uint8_t *buf; /* the block that was read last */
	uint8_t *data;
	/* Where it stands. */
	uint32_t at, sequence;
	uint32_t blocks_left;
};

struct fs_jbd2_tag {
	uint64_t block;
	uint32_t checksum;
	uint32_t flags;
};

/* Reads and checks the superblock, makes buffers. Errors: as fs_jbd2_read(). */
int fs_jbd2_log_open(struct fs_jbd2_log *log, const struct fs_jbd2_source *source,
		     struct cow_err *err);
void fs_jbd2_log_close(struct fs_jbd2_log *log);
/* Goes to the beginning. */
void fs_jbd2_log_begin(struct fs_jbd2_log *log);
/* Reads the next block into buf if it belongs to the transaction "sequence":
 * *ret_kind is its type, or 0 where the log ends. */
int fs_jbd2_log_next(struct fs_jbd2_log *log, uint32_t *ret_kind, struct cow_err *err);
/* The number in the journal of the next block, which is data, and goes on behind it.
 * False: the log is used up. */
bool fs_jbd2_log_take(struct fs_jbd2_log *log, uint32_t *ret_at);
/* The tag at *at of the descriptor in buf; *at moves behind it. False: there is none. */
bool fs_jbd2_tag_next(const struct fs_jbd2_log *log, size_t *at, struct fs_jbd2_tag *ret_tag);
/* A block number in the revoke block in buf, likewise; *at begins at 16. */
bool fs_jbd2_revoke_next(const struct fs_jbd2_log *log, size_t *at, uint64_t *ret_block);

/* Checksums of what is in buf; true where there are none. */
bool fs_jbd2_tail_is_right(const struct fs_jbd2_log *log);
bool fs_jbd2_commit_is_right(const struct fs_jbd2_log *log);
/* The same of a block of data, as it stands in the journal. */
bool fs_jbd2_data_is_right(const struct fs_jbd2_log *log, uint32_t sequence, uint32_t checksum,
			   const uint8_t *data);

#endif
