/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_file.c - one file: its type, where its data is, the text of a symbolic
 * link (in the inode, inline with an attribute, or in a block).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/ext4/fs_ext_priv.h"

#define INODE_BYTES ((size_t)EXT2_N_BLOCKS * 4)
#define LINK_BYTES_MAX 65536 /* a block; longer ones the kernel never makes */

static int no_memory(const struct fs_file *file, struct cow_err *err)
{
	return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for inode %u",
			  file->inode.ino);
}

/* Inline data: 60 bytes in place of the block numbers, the rest an attribute. */
static int load_inline(struct fs_file *file, struct cow_err *err)
{
	size_t rest = file->xattrs.data_bytes;

	/* bounded: libext2fs has the rest in memory */
	file->inline_data = malloc(INODE_BYTES + rest);
	if (!file->inline_data)
		return no_memory(file, err);
	memcpy(file->inline_data, file->inode.raw.i_block, INODE_BYTES);
	if (rest)
		memcpy(file->inline_data + INODE_BYTES, file->xattrs.data, rest);
	file->inline_bytes = INODE_BYTES + rest;
	return 0;
}

static int read_data(void *source, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err)
{
	struct fs_file *file = source;

	if (!file->inline_data)
		return fs_map_read(file->fs, &file->map, buf, len_bytes, offset_bytes, err);
	memcpy(buf, file->inline_data + offset_bytes, len_bytes);
	return 0;
}

static int ranges_reserve(struct fs_file *file, size_t nr, struct cow_err *err)
{
	struct cow_segment *grown;

	if (nr <= file->ranges_room)
		return 0;
	grown = reallocarray(file->ranges, nr, sizeof(*grown));
	if (!grown)
		return no_memory(file, err);
	file->ranges = grown;
	file->ranges_room = nr;
	return 0;
}

/* Extents in bytes, the last one clipped; neighbours in the file are one. */
static int ranges_fill(struct fs_file *file, struct cow_err *err)
{
	uint64_t block_size = file->fs->fs->blocksize, offset, len;
	struct cow_segment *last = NULL;
	size_t i;
	int ret;

	ret = ranges_reserve(file, file->map.nr_extents, err);
	if (ret)
		return ret;
	for (i = 0; i < file->map.nr_extents; i++) {
		offset = file->map.extents[i].block * block_size;
		len = file->map.extents[i].nr_blocks * block_size;
		if (len > file->map.size_bytes - offset)
			len = file->map.size_bytes - offset;
		if (last && last->offset_bytes + last->len_bytes == offset) {
			last->len_bytes += len;
			continue;
		}
		last = last ? last + 1 : file->ranges;
		*last = (struct cow_segment){ offset, len };
	}
	file->entry.ranges = file->ranges;
	file->entry.nr_ranges = last ? (size_t)(last - file->ranges) + 1 : 0;
	return 0;
}

static int load_regular(struct fs_file *file, struct cow_err *err)
{
	uint64_t size = EXT2_I_SIZE(&file->inode.raw);
	int ret;

	file->entry.size_bytes = size;
	file->entry.read = read_data;
	file->entry.source = file;
	if (!(file->inode.raw.i_flags & EXT4_INLINE_DATA_FL)) {
		ret = fs_map_load(file->fs, &file->inode, size, &file->map, err);
		return ret ? ret : ranges_fill(file, err);
	}
	ret = load_inline(file, err);
	if (!ret)
		ret = ranges_reserve(file, 1, err);
	if (ret || !size)
		return ret;
	/* truncate(2) makes such a file longer than what is there: zeros follow.
	 * source: ext4_read_inline_folio() in fs/ext4/inline.c. */
	file->ranges[0] =
		(struct cow_segment){ 0, size < file->inline_bytes ? size : file->inline_bytes };
	file->entry.ranges = file->ranges;
	file->entry.nr_ranges = 1;
	return 0;
}

/* source: ext4_inode_is_fast_symlink() in fs/ext4/inode.c. */
static bool is_fast_link(const struct fs_file *file, uint64_t size)
{
	const struct ext2_inode *raw = &file->inode.raw;
	struct ext2_super_block *super = file->fs->fs->super;
	uint32_t sectors = 0;

	if (size >= INODE_BYTES || raw->i_flags & EXT4_EXTENTS_FL)
		return false;
	if (ext2fs_has_feature_ea_inode(super))
		return true;
	if (ext2fs_file_acl_block(file->fs->fs, raw))
		sectors = (uint32_t)EXT2_CLUSTER_SIZE(super) >> 9;
	return raw->i_blocks == sectors;
}

static int read_slow_link(struct fs_file *file, uint64_t size, struct cow_err *err)
{
	int ret = fs_map_load(file->fs, &file->inode, size, &file->map, err);

	if (ret)
		return ret;
	if (file->map.nr_extents != 1 || file->map.extents[0].block ||
	    file->map.extents[0].nr_blocks * (uint64_t)file->fs->fs->blocksize < size)
		return fs_ext_damage(err, "inode %u: the text of the symbolic link is missing",
				     file->inode.ino);
	return fs_map_read(file->fs, &file->map, file->link, size, 0, err);
}

static int load_link(struct fs_file *file, struct cow_err *err)
{
	uint64_t size = EXT2_I_SIZE(&file->inode.raw);
	int ret = 0;

	if (!size || size > LINK_BYTES_MAX)
		return fs_ext_damage(err, "inode %u: a symbolic link of %" PRIu64 " bytes",
				     file->inode.ino, size);
	/* bounded: LINK_BYTES_MAX */
	file->link = calloc(1, size + 1);
	if (!file->link)
		return no_memory(file, err);
	if (file->inode.raw.i_flags & EXT4_INLINE_DATA_FL) {
		ret = load_inline(file, err);
		if (!ret && size > file->inline_bytes)
			return fs_ext_damage(err,
					     "inode %u: a symbolic link of %" PRIu64
					     " bytes inside the inode, but only %zu are there",
					     file->inode.ino, size, file->inline_bytes);
		if (!ret)
			memcpy(file->link, file->inline_data, size);
	} else if (is_fast_link(file, size)) {
		memcpy(file->link, file->inode.raw.i_block, size);
	} else {
		ret = read_slow_link(file, size, err);
	}
	if (!ret && strlen(file->link) != size)
		return fs_ext_damage(err, "inode %u: a zero byte in the text of a symbolic link",
				     file->inode.ino);
	file->entry.link = file->link;
	return ret;
}

/* The type, and the text of a symbolic link. */
static int load_type(struct fs_ext *fs, struct fs_file *file, struct cow_err *err)
{
	struct file_entry *e = &file->entry;
	uint16_t mode = file->inode.raw.i_mode;

	file->fs = fs;
	fs_inode_describe(&file->inode, e);
	e->xattrs = file->xattrs.list;
	e->nr_xattrs = file->xattrs.nr;
	e->acl_access = (struct file_acl){ file->xattrs.acl[0], file->xattrs.nr_acl[0] };
	e->acl_default = (struct file_acl){ file->xattrs.acl[1], file->xattrs.nr_acl[1] };
	if (LINUX_S_ISLNK(mode)) {
		e->type = FILE_SYMLINK;
		/* the text of an encrypted one is no text */
		return file->inode.raw.i_flags & EXT4_ENCRYPT_FL ? 0 : load_link(file, err);
	}
	if (LINUX_S_ISREG(mode))
		e->type = FILE_REGULAR;
	else if (LINUX_S_ISSOCK(mode))
		e->type = FILE_SOCKET;
	else if (LINUX_S_ISDIR(mode))
		e->type = FILE_DIRECTORY;
	else if (LINUX_S_ISCHR(mode))
		e->type = FILE_CHAR_DEVICE;
	else if (LINUX_S_ISBLK(mode))
		e->type = FILE_BLOCK_DEVICE;
	else if (LINUX_S_ISFIFO(mode))
		e->type = FILE_FIFO;
	else
		return fs_ext_damage(err, "inode %u: mode 0%o is of no known type", file->inode.ino,
				     mode);
	return 0;
}

int fs_file_load(struct fs_ext *fs, struct fs_file *file, struct cow_err *err)
{
	int ret = load_type(fs, file, err);

	return ret || file->entry.type != FILE_REGULAR ? ret : load_regular(file, err);
}

int fs_file_describe(struct fs_ext *fs, struct fs_file *file, struct cow_err *err)
{
	int ret = load_type(fs, file, err);

	file->entry.size_bytes = EXT2_I_SIZE(&file->inode.raw);
	return ret;
}

void fs_file_clear(struct fs_file *file)
{
	fs_xattrs_free(&file->xattrs);
	free(file->link);
	free(file->inline_data);
	file->link = NULL;
	file->inline_data = NULL;
	file->map.nr_extents = 0;
	memset(&file->entry, 0, sizeof(file->entry));
}

void fs_file_free(struct fs_file *file)
{
	if (!file)
		return;
	fs_file_clear(file);
	fs_map_free(&file->map);
	free(file->ranges);
	free(file);
}
