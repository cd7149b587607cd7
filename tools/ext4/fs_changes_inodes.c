/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_changes_inodes.c - which inodes differ: those in touched blocks of the inode tables
 * whose bytes do; and, where a block was touched that belongs to none of them and is in
 * use, those that own it (data is written before the inode is, so a power cut can leave
 * that). Only for the second all inodes are read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/ext4/fs_changes_priv.h"

static int add(struct fs_compare *c, const struct fs_changed *changed)
{
	struct fs_changed *grown =
		cow_array_grow(c->changed, c->nr_changed, &c->changed_room, sizeof(*grown));

	if (!grown)
		return fs_changes_no_memory(c);
	c->changed = grown;
	grown[c->nr_changed++] = *changed;
	return 0;
}

static uint32_t le32(const uint8_t *raw)
{
	return (uint32_t)raw[3] << 24 | (uint32_t)raw[2] << 16 | (uint32_t)raw[1] << 8 | raw[0];
}

static uint16_t mode_of(const uint8_t *raw)
{
	return (uint16_t)(raw[1] << 8 | raw[0]);
}

/* i_links_count at byte 26; inodes that were never used are no file, whatever they hold. */
static bool is_file(const struct fs_ext *fs, ext2_ino_t ino, const uint8_t *raw)
{
	ext2_filsys e = fs->fs;
	uint32_t group, within, unused;

	if (ino > e->super->s_inodes_count ||
	    (ino != EXT2_ROOT_INO && ino < EXT2_FIRST_INO(e->super)))
		return false;
	group = (ino - 1) / e->super->s_inodes_per_group;
	within = (ino - 1) % e->super->s_inodes_per_group;
	unused = ext2fs_has_group_desc_csum(e) ? ext2fs_bg_itable_unused(e, group) : 0;
	if (unused <= e->super->s_inodes_per_group &&
	    within >= e->super->s_inodes_per_group - unused)
		return false;
	return (raw[26] || raw[27]) && mode_of(raw);
}

/* The time of birth, i_crtime at byte 144, where both inodes have it: numbers of inodes
 * come again, and programs that fill images know no generations. */
static bool were_born_together(const struct fs_ext *fs, const uint8_t *was, const uint8_t *is)
{
	if (EXT2_INODE_SIZE(fs->fs->super) < 160 || (was[128] | was[129] << 8) < 24 ||
	    (is[128] | is[129] << 8) < 24)
		return true;
	return !memcmp(was + 144, is + 144, 8);
}

/* One inode, in both states; i_generation at byte 100. */
static int compare_inode(struct fs_compare *c, ext2_ino_t ino, const uint8_t *was,
			 const uint8_t *is)
{
	struct fs_changed changed = { .ino = ino };

	changed.was = is_file(c->old_side.fs, ino, was);
	changed.is = is_file(c->new_side.fs, ino, is);
	if (!changed.was && !changed.is)
		return 0;
	changed.is_same = changed.was && changed.is && le32(was + 100) == le32(is + 100) &&
			  were_born_together(c->new_side.fs, was, is) &&
			  !((mode_of(was) ^ mode_of(is)) & LINUX_S_IFMT);
	changed.is_dir = LINUX_S_ISDIR(mode_of(changed.is ? is : was));
	return add(c, &changed);
}

static int read_table(struct fs_side *side, uint64_t block, uint8_t *buf, struct cow_err *err)
{
	uint32_t unit = side->fs->fs->blocksize;

	if (block < side->fs->nr_blocks)
		return cow_image_pread(side->fs->image, buf, unit, block * unit, err);
	memset(buf, 0, unit);
	return 0;
}

/* One block of an inode table; first: the number of its first inode. */
static int compare_table_block(struct fs_compare *c, const uint64_t blocks[2], ext2_ino_t first)
{
	size_t unit = c->new_side.fs->fs->blocksize;
	size_t size = EXT2_INODE_SIZE(c->new_side.fs->fs->super);
	int ret = read_table(&c->old_side, blocks[0], c->bufs[0], c->err);

	if (!ret)
		ret = read_table(&c->new_side, blocks[1], c->bufs[1], c->err);
	for (size_t at = 0; !ret && at + size <= unit; at += size)
		if (memcmp(c->bufs[0] + at, c->bufs[1] + at, size))
			ret = compare_inode(c, first + (ext2_ino_t)(at / size), c->bufs[0] + at,
					    c->bufs[1] + at);
	return ret;
}

/* Does the inode table of a group begin inside of the image? */
static bool is_there(const struct fs_ext *fs, dgrp_t group)
{
	return group < fs->fs->group_desc_count &&
	       ext2fs_inode_table_loc(fs->fs, group) < fs->nr_blocks;
}

/* Tables that lie one over the other are no tables; they could have 2^32 inodes. */
static int check_tables(struct fs_compare *c, const struct fs_ext *fs)
{
	uint64_t nr = 0, each = fs->fs->inode_blocks_per_group;

	for (dgrp_t group = 0; group < fs->fs->group_desc_count; group++)
		nr += is_there(fs, group) ? each : 0;
	if (nr <= fs->nr_blocks + each) /* the last one may be cut */
		return 0;
	return cli_refuse(c->err, -EBADMSG, "damaged", NULL,
			  "%s: the inode tables of the file system have more blocks than it has",
			  cow_image_name(fs->image));
}

static int compare_group(struct fs_compare *c, dgrp_t group)
{
	ext2_filsys old_fs = c->old_side.fs->fs, new_fs = c->new_side.fs->fs;
	uint64_t blocks[2] = { UINT64_MAX, UINT64_MAX };
	uint32_t per_block = new_fs->blocksize / EXT2_INODE_SIZE(new_fs->super);
	ext2_ino_t first = group * new_fs->super->s_inodes_per_group + 1;
	bool is_moved;
	int ret = 0;

	if (!is_there(c->old_side.fs, group) && !is_there(c->new_side.fs, group))
		return 0;
	if (group < old_fs->group_desc_count)
		blocks[0] = ext2fs_inode_table_loc(old_fs, group);
	if (group < new_fs->group_desc_count)
		blocks[1] = ext2fs_inode_table_loc(new_fs, group);
	is_moved = blocks[0] != blocks[1];
	for (uint32_t i = 0; !ret && i < new_fs->inode_blocks_per_group; i++) {
		if (is_moved || fs_runs_touch(&c->touched, blocks[1], 1))
			ret = compare_table_block(c, blocks, first + i * per_block);
		blocks[0] += blocks[0] != UINT64_MAX;
		blocks[1] += blocks[1] != UINT64_MAX;
	}
	return ret;
}

/* ---- touched blocks that nobody explains */

struct explain {
	struct fs_compare *c;
	struct fs_runs *runs;
	int ret;
};

static int on_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t count, blk64_t ref_block,
		    int ref_offset, void *user)
{
	struct explain *e = user;

	(void)fs, (void)count, (void)ref_block, (void)ref_offset;
	if (!e->c->owned_left)
		return BLOCK_ABORT;
	e->c->owned_left--;
	e->ret = fs_runs_add(e->runs, *block, 1);
	return e->ret ? BLOCK_ABORT : 0;
}

/* All blocks of an inode, those of its tree and of its attributes too. What is damaged
 * explains nothing, and is told where its file is read. */
static int explain_inode(struct fs_compare *c, struct fs_ext *fs, ext2_ino_t ino,
			 struct fs_runs *runs)
{
	struct explain e = { .c = c, .runs = runs };
	struct ext2_inode inode;
	uint64_t xattrs;

	if (ext2fs_read_inode(fs->fs, ino, &inode))
		return 0;
	xattrs = ext2fs_file_acl_block(fs->fs, &inode);
	if (xattrs && fs_runs_add(runs, xattrs, 1))
		return -ENOMEM;
	if (ext2fs_inode_has_valid_blocks2(fs->fs, &inode))
		(void)ext2fs_block_iterate3(fs->fs, ino, BLOCK_FLAG_READ_ONLY, NULL, on_block, &e);
	if (!c->owned_left && !c->is_tired)
		c->params->problem(c->params->user, true,
				   "blocks belong to several files; which of these have changed is "
				   "not known for all of them");
	c->is_tired |= !c->owned_left;
	return e.ret;
}

/* Each block has one owner, in what is looked through next. */
static void rest(struct fs_compare *c, const struct fs_ext *fs)
{
	c->owned_left = fs->blocks_left + 1;
}

/* Superblocks, descriptors, bitmaps, inode tables, and what belongs to no file. */
static int explain_fixed(struct fs_compare *c, struct fs_ext *fs, struct fs_runs *runs)
{
	blk64_t super, old_desc, new_desc;
	blk_t used;
	int ret = 0;

	for (dgrp_t group = 0; !ret && group < fs->fs->group_desc_count; group++) {
		(void)ext2fs_super_and_bgd_loc2(fs->fs, group, &super, &old_desc, &new_desc, &used);
		if (super || !group)
			ret = fs_runs_add(runs, super, 1);
		if (!ret && old_desc)
			ret = fs_runs_add(runs, old_desc,
					  fs->fs->desc_blocks +
						  (uint64_t)fs->fs->super->s_reserved_gdt_blocks);
		if (!ret && new_desc)
			ret = fs_runs_add(runs, new_desc, 1);
		if (!ret)
			ret = fs_runs_add(runs, ext2fs_block_bitmap_loc(fs->fs, group), 1);
		if (!ret)
			ret = fs_runs_add(runs, ext2fs_inode_bitmap_loc(fs->fs, group), 1);
		if (!ret)
			ret = fs_runs_add(runs, ext2fs_inode_table_loc(fs->fs, group),
					  fs->fs->inode_blocks_per_group);
	}
	/* The superblock may call more of them reserved; no kernel uses those. */
	for (ext2_ino_t ino = 1; !ret && ino < EXT2_GOOD_OLD_FIRST_INO; ino++)
		if (ino != EXT2_ROOT_INO)
			ret = explain_inode(c, fs, ino, runs);
	return ret;
}

static int explain_side(struct fs_compare *c, struct fs_side *side, bool is_new,
			struct fs_runs *runs)
{
	int ret;

	rest(c, side->fs);
	ret = explain_fixed(c, side->fs, runs);
	for (size_t i = 0; !ret && i < c->nr_changed; i++)
		if (is_new ? c->changed[i].is : c->changed[i].was)
			ret = explain_inode(c, side->fs, c->changed[i].ino, runs);
	return ret;
}

/* Is it in use? What cannot be read counts as used. */
static bool is_used(struct fs_ext *fs, uint64_t block, uint8_t *buf, uint32_t *loaded)
{
	ext2_filsys e = fs->fs;
	uint64_t first = e->super->s_first_data_block, within;
	uint32_t group;

	if (block < first || block >= fs->nr_blocks)
		return false;
	group = (uint32_t)((block - first) / e->super->s_blocks_per_group);
	within = (block - first) % e->super->s_blocks_per_group / EXT2FS_CLUSTER_RATIO(e);
	if (group >= e->group_desc_count)
		return true;
	if (ext2fs_has_group_desc_csum(e) && ext2fs_bg_flags_test(e, group, EXT2_BG_BLOCK_UNINIT))
		return false;
	if (*loaded != group + 1) {
		*loaded = 0;
		if (ext2fs_block_bitmap_loc(e, group) >= fs->nr_blocks ||
		    cow_image_pread(fs->image, buf, e->blocksize,
				    ext2fs_block_bitmap_loc(e, group) * e->blocksize, NULL))
			return true;
		*loaded = group + 1;
	}
	return within / 8 >= e->blocksize || buf[within / 8] >> (within & 7) & 1;
}

/* Leaves of runs what both states use. */
static int keep_used(struct fs_compare *c, struct fs_runs *runs)
{
	uint32_t loaded[2] = { 0, 0 };
	struct fs_runs kept = { 0 };
	int ret = 0;

	for (size_t i = 0; !ret && i < runs->nr; i++)
		for (uint64_t n = 0; !ret && n < runs->runs[i].nr_blocks; n++) {
			uint64_t block = runs->runs[i].block + n;

			/* nothing is behind the end of the file system */
			if (block >= c->new_side.fs->nr_blocks)
				break;
			if (is_used(c->old_side.fs, block, c->bufs[0], &loaded[0]) &&
			    is_used(c->new_side.fs, block, c->bufs[1], &loaded[1]))
				ret = fs_runs_add(&kept, block, 1);
		}
	free(runs->runs);
	*runs = kept;
	return ret;
}

static int by_ino(const void *a, const void *b)
{
	const struct fs_changed *first = a, *second = b;

	return first->ino < second->ino ? -1 : first->ino > second->ino;
}

/* Who owns one of these blocks, though its inode did not change? */
static int find_owners(struct fs_compare *c, const struct fs_runs *runs)
{
	struct fs_ext *fs = c->new_side.fs;
	struct fs_changed changed = { .was = true, .is = true, .is_same = true };
	size_t nr_before = c->nr_changed;
	struct fs_runs own = { 0 };
	struct ext2_inode inode;
	uint32_t per_group = fs->fs->super->s_inodes_per_group;
	int ret = 0;

	rest(c, fs);
	for (uint64_t n = EXT2_ROOT_INO; !ret && n <= fs->fs->super->s_inodes_count; n++) {
		ext2_ino_t ino = (ext2_ino_t)n;
		bool is_owner = false;

		if (cli_interrupted())
			return cli_refuse(c->err, -ECANCELED, "interrupted", NULL, "interrupted");
		if (!is_there(fs, (dgrp_t)((n - 1) / per_group))) {
			n += per_group - 1 - (n - 1) % per_group;
			continue;
		}
		if (ext2fs_read_inode(fs->fs, ino, &inode) ||
		    !is_file(fs, ino, (const uint8_t *)&inode))
			continue;
		own.nr = 0;
		ret = explain_inode(c, fs, ino, &own);
		for (size_t i = 0; !ret && !is_owner && i < own.nr; i++)
			is_owner = fs_runs_touch(runs, own.runs[i].block, own.runs[i].nr_blocks);
		changed.ino = ino;
		changed.is_dir = LINUX_S_ISDIR(inode.i_mode);
		if (is_owner && nr_before &&
		    bsearch(&changed, c->changed, nr_before, sizeof(changed), by_ino))
			continue; /* it is there */
		if (is_owner)
			ret = add(c, &changed);
	}
	free(own.runs);
	return ret == -ENOMEM ? fs_changes_no_memory(c) : ret;
}

/* Those that differ by themselves come first, and are in no second run of blocks. */
static int look_for_owners(struct fs_compare *c)
{
	struct fs_runs left = { 0 }, explained = { 0 };
	int ret = 0;

	for (size_t i = 0; !ret && i < c->touched.nr; i++)
		ret = fs_runs_add(&left, c->touched.runs[i].block, c->touched.runs[i].nr_blocks);
	if (!ret)
		ret = explain_side(c, &c->old_side, false, &explained);
	if (!ret)
		ret = explain_side(c, &c->new_side, true, &explained);
	fs_runs_sort(&explained);
	if (!ret)
		ret = fs_runs_subtract(&left, &explained);
	if (!ret)
		ret = keep_used(c, &left);
	if (ret == -ENOMEM)
		ret = fs_changes_no_memory(c);
	if (!ret && left.nr)
		ret = find_owners(c, &left);
	free(left.runs);
	free(explained.runs);
	return ret;
}

int fs_changes_find_inodes(struct fs_compare *c)
{
	dgrp_t nr_groups = c->new_side.fs->fs->group_desc_count;
	size_t nr_compared;
	int ret = check_tables(c, c->old_side.fs);

	if (!ret)
		ret = check_tables(c, c->new_side.fs);
	if (nr_groups < c->old_side.fs->fs->group_desc_count)
		nr_groups = c->old_side.fs->fs->group_desc_count;
	for (dgrp_t group = 0; !ret && group < nr_groups; group++)
		ret = compare_group(c, group);
	nr_compared = c->nr_changed;
	if (!ret)
		ret = look_for_owners(c);
	if (!ret && c->nr_changed > nr_compared)
		qsort(c->changed, c->nr_changed, sizeof(*c->changed), by_ino);
	return ret;
}
