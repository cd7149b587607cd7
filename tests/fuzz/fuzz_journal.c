/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* A journal of jbd2, in blocks of 1 KiB. What a replay would write is in order, each
 * block once, inside of the file system, and stands in the journal. */
#include "tests/fuzz/fuzz.h"
#include "tools/ext4/fs_jbd2.h"

#include <errno.h>

#define FS_BLOCKS 100000

struct input {
	const uint8_t *data;
	size_t size;
	size_t nr_reads;
};

static int read_block(void *user, uint32_t block, void *buf, struct cow_err *err)
{
	struct input *input = user;
	size_t at = (size_t)block * 1024;

	(void)err;
	input->nr_reads++;
	if (block >= input->size / 1024)
		return -EBADMSG;
	memcpy(buf, input->data + at, 1024);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size, 0 };
	const struct fs_jbd2_source source = {
		.block_bytes = 1024,
		.nr_blocks = (uint32_t)(size / 1024),
		.nr_fs_blocks = FS_BLOCKS,
		.user = &input,
		.read = read_block,
	};
	struct cow_err err = COW_ERR_INIT;
	struct fs_jbd2 journal;
	int ret;

	fuzz_begin();
	ret = fs_jbd2_read(&source, &journal, &err);
	/* three walks, and a look at each block that is chosen */
	fuzz_must(input.nr_reads <= 8 * (size / 1024) + 8);
	fuzz_must(!ret || !journal.blocks);
	for (size_t i = 0; !ret && i < journal.nr_blocks; i++) {
		fuzz_must(journal.blocks[i].block < FS_BLOCKS &&
			  journal.blocks[i].at < size / 1024);
		fuzz_must(!i || journal.blocks[i].block > journal.blocks[i - 1].block);
	}
	fs_jbd2_clear(&journal);
	fuzz_end(size);
	return 0;
}
