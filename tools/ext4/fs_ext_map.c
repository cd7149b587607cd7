/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_map.c - where the blocks of a file are: extent trees (ext4) and block
 * maps (ext2, ext3), as one list.
 *
 * A hostile tree may point to itself. It ends all the same: extents must
 * ascend, between two of them there is at most one way up and down, a block map
 * may not claim more blocks than the file system has, and what all files claim
 * together is bounded too (struct fs_ext, blocks_left).
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/ext4/fs_ext_priv.h"
#include "libcow/base/array.h"

/* Steps between two extents: the kernel's deepest tree has 5 levels. */
#define MAX_STEPS 32
/* One read is at most this long. */
#define READ_BYTES (1u << 20)

/* What the two kinds of walk share. */
struct load {
	struct fs_ext *fs;
	struct fs_map *map;
	ext2_ino_t ino;
	uint64_t end_block;  /* blocks from here on are behind the size */
	uint64_t next_block; /* the next may not begin before */
	uint64_t claimed;    /* blocks, those of the map itself too */
	struct cow_err *err;
	int ret;
};

static int claim(struct load *load, uint64_t nr_blocks)
{
	if (!load->fs->steps_left)
		return fs_ext_damage(load->err,
				     "inode %u is left out: the maps of its and other files were "
				     "looked at 64 times as often as the file system has blocks",
				     load->ino);
	load->fs->steps_left--;
	load->claimed += nr_blocks;
	if (load->claimed <= load->fs->blocks_left)
		return 0;
	return fs_ext_damage(load->err,
			     "inode %u: its blocks are more than the file system has left: blocks "
			     "belong to several files, or the tree loops",
			     load->ino);
}

static int append(struct load *load, uint64_t block, uint64_t at, uint64_t nr_blocks)
{
	struct fs_map *map = load->map;
	struct fs_extent *last = map->nr_extents ? &map->extents[map->nr_extents - 1] : NULL;
	struct fs_extent *grown;

	if (last && last->block + last->nr_blocks == block && last->at + last->nr_blocks == at) {
		last->nr_blocks += nr_blocks;
		return 0;
	}
	grown = cow_array_grow(map->extents, map->nr_extents, &map->room, sizeof(*grown));
	if (!grown)
		return cli_refuse(load->err, -ENOMEM, "no-memory", NULL,
				  "no memory for the extents of inode %u", load->ino);
	map->extents = grown;
	map->extents[map->nr_extents++] = (struct fs_extent){ block, at, nr_blocks };
	return 0;
}

/* One run of blocks of the file, checked, clipped to the size. */
static int add_run(struct load *load, uint64_t block, uint64_t at, uint64_t nr_blocks, bool zeros)
{
	uint64_t first = load->fs->fs->super->s_first_data_block, end = load->fs->nr_blocks;
	int ret;

	if (!nr_blocks || block < load->next_block)
		return fs_ext_damage(load->err,
				     "inode %u: its extents do not ascend at block %" PRIu64,
				     load->ino, block);
	if (at < first || at >= end || nr_blocks > end - at)
		return fs_ext_damage(load->err,
				     "inode %u: %" PRIu64 " blocks at %" PRIu64
				     " lie outside the file system",
				     load->ino, nr_blocks, at);
	load->next_block = block + nr_blocks;
	ret = claim(load, nr_blocks);
	if (ret || zeros || block >= load->end_block)
		return ret;
	if (nr_blocks > load->end_block - block)
		nr_blocks = load->end_block - block;
	return append(load, block, at, nr_blocks);
}

static int walk_tree(struct load *load, ext2_extent_handle_t handle)
{
	struct ext2fs_extent e;
	errcode_t code = ext2fs_extent_get(handle, EXT2_EXTENT_ROOT, &e);
	uint32_t steps = 0;
	int ret;

	for (; !code; code = ext2fs_extent_get(handle, EXT2_EXTENT_NEXT, &e)) {
		if (e.e_flags & EXT2_EXTENT_FLAGS_LEAF) {
			steps = 0;
			ret = add_run(load, e.e_lblk, e.e_pblk, e.e_len,
				      e.e_flags & EXT2_EXTENT_FLAGS_UNINIT);
			if (ret)
				return ret;
		} else if (++steps > MAX_STEPS) {
			return fs_ext_damage(load->err,
					     "inode %u: its extent tree has a loop or a dead end",
					     load->ino);
		} else if (!(e.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT)) {
			ret = claim(load, 1);
			if (ret)
				return ret;
		}
	}
	/* An empty tree has no root entry to begin with. */
	if (code == EXT2_ET_EXTENT_NO_NEXT || code == EXT2_ET_NO_CURRENT_NODE)
		return 0;
	return fs_ext_fail(load->fs, load->err, code, "inode %u: its extent tree is damaged",
			   load->ino);
}

static int load_tree(struct load *load, const struct fs_inode *inode)
{
	ext2_extent_handle_t handle = NULL;
	struct ext2_inode copy = inode->raw;
	errcode_t code = ext2fs_extent_open2(load->fs->fs, inode->ino, &copy, &handle);
	int ret;

	if (code)
		return fs_ext_fail(load->fs, load->err, code,
				   "inode %u: the root of its extent tree is damaged", inode->ino);
	ret = walk_tree(load, handle);
	ext2fs_extent_free(handle);
	return ret;
}

static int visit_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t count, blk64_t ref_block,
		       int ref_offset, void *user)
{
	struct load *load = user;

	(void)fs, (void)ref_block, (void)ref_offset;
	if (count < 0) {
		load->ret = claim(load, 1);
	} else {
		load->ret = add_run(load, (uint64_t)count, *block, 1, false);
		/* What follows is behind the size: no need to look. */
		if (!load->ret && load->next_block >= load->end_block)
			return BLOCK_ABORT;
	}
	return load->ret ? BLOCK_ABORT : 0;
}

static int load_blocks(struct load *load)
{
	errcode_t code = ext2fs_block_iterate3(load->fs->fs, load->ino, BLOCK_FLAG_READ_ONLY, NULL,
					       visit_block, load);

	if (load->ret || !code)
		return load->ret;
	return fs_ext_fail(load->fs, load->err, code, "inode %u: its block map is damaged",
			   load->ino);
}

/* Damaged maps cost time too; where they cost several times what an honest
 * file system has, the rest of it is given up. */
static void waste(struct fs_ext *fs, uint64_t nr_blocks)
{
	fs->blocks_wasted += nr_blocks;
	if (fs->blocks_wasted / 16 > fs->nr_blocks)
		fs->blocks_left = 0;
}

int fs_map_load(struct fs_ext *fs, const struct fs_inode *inode, uint64_t size_bytes,
		struct fs_map *map, struct cow_err *err)
{
	struct load load = { .fs = fs, .map = map, .ino = inode->ino, .err = err };
	uint64_t limit = (uint64_t)fs->fs->blocksize << 32;
	int ret;

	map->nr_extents = 0;
	map->cursor = 0;
	map->size_bytes = size_bytes;
	/* Block numbers of a file have 32 bits; source: EXT_MAX_BLOCKS. */
	if (size_bytes > limit)
		return fs_ext_damage(err, "inode %u: size of %" PRIu64 " bytes, at most %" PRIu64,
				     inode->ino, size_bytes, limit);
	load.end_block = (size_bytes + fs->fs->blocksize - 1) / fs->fs->blocksize;
	if (!load.end_block)
		return 0;
	if (inode->raw.i_flags & EXT4_EXTENTS_FL)
		ret = load_tree(&load, inode);
	else
		ret = load_blocks(&load);
	if (!ret)
		fs->blocks_left -= load.claimed;
	else
		waste(fs, load.claimed);
	return ret;
}

/* The extent with this block; reads come in ascending order. */
static const struct fs_extent *extent_at(struct fs_map *map, uint64_t block)
{
	const struct fs_extent *e;

	if (map->cursor >= map->nr_extents || map->extents[map->cursor].block > block)
		map->cursor = 0;
	for (; map->cursor < map->nr_extents; map->cursor++) {
		e = &map->extents[map->cursor];
		if (block < e->block + e->nr_blocks)
			return e->block <= block ? e : NULL;
	}
	return NULL;
}

int fs_map_read(struct fs_ext *fs, struct fs_map *map, void *buf, size_t len_bytes,
		uint64_t offset_bytes, struct cow_err *err)
{
	uint64_t block_size = fs->fs->blocksize, at, left;
	const struct fs_extent *e;
	uint8_t *to = buf;
	size_t piece;
	int ret;

	while (len_bytes) {
		e = extent_at(map, offset_bytes / block_size);
		assert(e); /* callers read what the extents say is there */
		at = offset_bytes - e->block * block_size;
		left = e->nr_blocks * block_size - at;
		piece = len_bytes < left ? len_bytes : (size_t)left;
		if (piece > READ_BYTES)
			piece = READ_BYTES;
		ret = cow_image_pread(fs->image, to, piece, e->at * block_size + at, err);
		if (ret)
			return ret;
		to += piece;
		offset_bytes += piece;
		len_bytes -= piece;
	}
	return 0;
}

void fs_map_free(struct fs_map *map)
{
	free(map->extents);
}
