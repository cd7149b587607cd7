/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_inode.c - what stands in an inode itself.
 * source: struct ext4_inode in fs/ext4/ext4.h of the kernel.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "tools/ext4/fs_ext_priv.h"

int fs_inode_read(struct fs_ext *fs, ext2_ino_t ino, struct fs_inode *inode, struct cow_err *err)
{
	struct ext2_super_block *super = fs->fs->super;
	size_t size = EXT2_INODE_SIZE(super);
	errcode_t code;

	memset(inode, 0, sizeof(*inode));
	inode->ino = ino;
	if (size > sizeof(inode->bytes))
		return fs_ext_damage(err, "inodes of %zu bytes are too large", size);
	if (ino != EXT2_ROOT_INO && ino < EXT2_FIRST_INO(super))
		return fs_ext_damage(err, "inode %u is reserved (the first usable one is %u)", ino,
				     EXT2_FIRST_INO(super));
	code = ext2fs_read_inode_full(fs->fs, ino, &inode->raw, (int)size);
	if (code)
		return fs_ext_fail(fs, err, code, "inode %u cannot be read", ino);
	if (!inode->raw.i_links_count)
		return fs_ext_damage(err, "inode %u is marked as deleted", ino);
	if (size > EXT2_GOOD_OLD_INODE_SIZE &&
	    inode->large.i_extra_isize > size - EXT2_GOOD_OLD_INODE_SIZE)
		return fs_ext_damage(err, "inode %u: extra size of %u bytes, at most %zu", ino,
				     inode->large.i_extra_isize, size - EXT2_GOOD_OLD_INODE_SIZE);
	return 0;
}

/* The extra field has nanoseconds in its upper 30 bits and, below, two bits
 * that continue the seconds beyond 2038. */
static struct file_time time_decode(uint32_t seconds, uint32_t extra)
{
	struct file_time time;

	time.seconds = (int64_t)(int32_t)seconds + ((int64_t)(extra & 3) << 32);
	time.nanoseconds = extra >> 2;
	if (time.nanoseconds > 999999999)
		time.nanoseconds = 0;
	return time;
}

static void device_decode(const struct fs_inode *inode, struct file_entry *entry)
{
	uint32_t old_form = inode->raw.i_block[0], new_form = inode->raw.i_block[1];

	if (old_form) {
		entry->major = old_form >> 8 & 0xff;
		entry->minor = old_form & 0xff;
		return;
	}
	entry->major = (new_form & 0xfff00) >> 8;
	entry->minor = (new_form & 0xff) | (new_form >> 12 & 0xfff00);
}

/* An inode of 128 bytes has i_extra_isize 0 here: fs_inode_read() put zeros
 * behind it. */
void fs_inode_describe(const struct fs_inode *inode, struct file_entry *entry)
{
	const struct ext2_inode_large *large = &inode->large;
	size_t end = (size_t)EXT2_GOOD_OLD_INODE_SIZE + large->i_extra_isize;

#define EXTRA(field)                                                                               \
	(end >= offsetof(struct ext2_inode_large, field) + sizeof(large->field) ? large->field : 0)
	entry->inode = inode->ino;
	entry->nr_links = large->i_links_count;
	entry->mode = large->i_mode & 07777;
	entry->uid = inode_uid(*large);
	entry->gid = inode_gid(*large);
	entry->mtime = time_decode(large->i_mtime, EXTRA(i_mtime_extra));
	entry->atime = time_decode(large->i_atime, EXTRA(i_atime_extra));
	entry->ctime = time_decode(large->i_ctime, EXTRA(i_ctime_extra));
	entry->has_times = true;
#undef EXTRA
	if (LINUX_S_ISCHR(large->i_mode) || LINUX_S_ISBLK(large->i_mode))
		device_decode(inode, entry);
}
