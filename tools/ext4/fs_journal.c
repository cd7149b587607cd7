/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_journal.c - finds the journal of a file system, and lays what a replay would
 * write over the image. Nothing is written: of each block in the log only the place
 * is kept.
 */
#include "tools/ext4/fs_journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"

static const uint8_t jbd2_magic[4] = { 0xc0, 0x3b, 0x39, 0x98 };

/* Where a block of the journal lies in the image. */
static bool place_of(const struct fs_journal *journal, uint32_t block, uint64_t *ret_offset)
{
	size_t low = 0, high = journal->map.nr_extents;
	const struct fs_extent *e;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		e = &journal->map.extents[middle];
		if (e->block + e->nr_blocks <= block)
			low = middle + 1;
		else
			high = middle;
	}
	e = &journal->map.extents[low];
	if (low == journal->map.nr_extents || e->block > block)
		return false;
	*ret_offset = (e->at + block - e->block) * journal->block_bytes;
	return true;
}

static int read_block(void *user, uint32_t block, void *buf, struct cow_err *err)
{
	struct fs_journal *journal = user;
	uint64_t offset;

	if (!place_of(journal, block, &offset))
		return fs_ext_damage(err, "the journal has a hole at its block %" PRIu32, block);
	return cow_image_pread(journal->below, buf, journal->block_bytes, offset, err);
}

/* The first block in the log that is not before this one. */
static const struct fs_jbd2_block *log_from(const struct fs_journal *journal, uint64_t block)
{
	size_t low = 0, high = journal->log.nr_blocks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (journal->log.blocks[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low < journal->log.nr_blocks ? &journal->log.blocks[low] : NULL;
}

/* A piece of a block that the log has. */
static int read_logged(struct fs_journal *journal, const struct fs_jbd2_block *logged, uint8_t *to,
		       size_t len_bytes, size_t within, struct cow_err *err)
{
	uint64_t offset;
	int ret;

	if (!place_of(journal, logged->at, &offset))
		return fs_ext_damage(err, "the journal has a hole at its block %" PRIu32,
				     logged->at);
	ret = cow_image_pread(journal->below, to, len_bytes, offset + within, err);
	for (size_t i = within; !ret && logged->is_escaped && i < 4 && i < within + len_bytes; i++)
		to[i - within] = jbd2_magic[i];
	return ret;
}

static int overlay_pread(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
			 struct cow_err *err)
{
	struct fs_journal *journal = user;
	uint64_t unit = journal->block_bytes, block, piece;
	const struct fs_jbd2_block *logged;
	uint8_t *to = buf;
	int ret;

	while (len_bytes) {
		block = offset_bytes / unit;
		piece = len_bytes;
		logged = log_from(journal, block);
		if (logged && logged->block == block) {
			if (piece > unit - offset_bytes % unit)
				piece = unit - offset_bytes % unit;
			ret = read_logged(journal, logged, to, (size_t)piece,
					  (size_t)(offset_bytes % unit), err);
		} else {
			if (logged && piece > logged->block * unit - offset_bytes)
				piece = logged->block * unit - offset_bytes;
			ret = cow_image_pread(journal->below, to, (size_t)piece, offset_bytes, err);
		}
		if (ret)
			return ret;
		to += piece;
		offset_bytes += piece;
		len_bytes -= (size_t)piece;
	}
	return 0;
}

static int map_journal(struct fs_ext *fs, struct fs_journal *journal, struct cow_err *err)
{
	uint64_t blocks_left = fs->blocks_left;
	ext2_ino_t ino = fs->fs->super->s_journal_inum;
	struct fs_inode inode = { .ino = ino };
	errcode_t code;
	int ret;

	if (!ino && fs->fs->super->s_journal_dev)
		return cli_refuse(err, -EOPNOTSUPP, "features", NULL,
				  "it lies on a device of its own");
	code = ext2fs_read_inode_full(fs->fs, ino, &inode.raw, EXT2_GOOD_OLD_INODE_SIZE);
	if (code)
		return fs_ext_fail(fs, err, code, "its inode %u cannot be read", ino);
	if (!LINUX_S_ISREG(inode.raw.i_mode) || !inode.raw.i_links_count)
		return fs_ext_damage(err, "its inode %u is no file", ino);
	ret = fs_map_load(fs, &inode, EXT2_I_SIZE(&inode.raw), &journal->map, err);
	/* They are those of no file. */
	fs->blocks_left = blocks_left;
	return ret;
}

static int make_image(struct fs_journal *journal, struct cow_err *err)
{
	struct cow_custom_args args = COW_CUSTOM_ARGS_INIT;
	struct cow_custom_ops ops = COW_CUSTOM_OPS_INIT;

	args.name = cow_image_name(journal->below);
	args.size_bytes = cow_image_size(journal->below);
	args.logical_block_bytes = cow_image_logical_block_size(journal->below);
	ops.pread = overlay_pread;
	return cow_image_custom_new(&args, &ops, journal, &journal->image, err);
}

int fs_journal_open(struct fs_ext *fs, struct fs_journal **ret_journal, struct cow_err *err)
{
	struct fs_journal *journal = calloc(1, sizeof(*journal));
	struct fs_jbd2_source source = { .block_bytes = fs->fs->blocksize,
					 .nr_fs_blocks = fs->nr_blocks,
					 .user = journal,
					 .read = read_block };
	uint64_t nr_blocks;
	int ret;

	if (!journal)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a journal");
	journal->below = fs->image;
	journal->block_bytes = fs->fs->blocksize;
	ret = map_journal(fs, journal, err);
	if (!ret) {
		nr_blocks = journal->map.size_bytes / journal->block_bytes;
		source.nr_blocks = nr_blocks < UINT32_MAX ? (uint32_t)nr_blocks : UINT32_MAX;
		ret = fs_jbd2_read(&source, &journal->log, err);
	}
	if (!ret)
		ret = make_image(journal, err);
	if (ret)
		fs_journal_close(journal);
	else
		*ret_journal = journal;
	return ret;
}

void fs_journal_close(struct fs_journal *journal)
{
	if (!journal)
		return;
	cow_image_close(journal->image);
	fs_jbd2_clear(&journal->log);
	fs_map_free(&journal->map);
	free(journal);
}
