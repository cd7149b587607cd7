/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_journal.h - an image with the journal of its file system replayed in memory:
 * where the log has a newer copy of a block, reads are answered from there.
 */
#ifndef TOOLS_FS_JOURNAL_H
#define TOOLS_FS_JOURNAL_H

#include "tools/ext4/fs_ext_priv.h"
#include "tools/ext4/fs_jbd2.h"

struct fs_journal {
	struct fs_jbd2 log;
	struct cow_image *image; /* the file system as it is after a replay */
	struct cow_image *below;
	struct fs_map map; /* where the journal lies */
	uint64_t block_bytes;
};

/* Opens it over fs->image, which outlives it. Errors: -EBADMSG, -EOPNOTSUPP it cannot
 * be replayed, for the reason in the sentence; -EIO, -ENOMEM. */
int fs_journal_open(struct fs_ext *fs, struct fs_journal **ret_journal, struct cow_err *err);
void fs_journal_close(struct fs_journal *journal);

#endif
