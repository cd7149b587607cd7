/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_dir.c - a directory as a sorted list. Blocks are read in the order of
 * the file, linearly: the nodes of an index (htree) look like unused entries.
 * source: struct ext4_dir_entry_2 in fs/ext4/ext4.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "tools/ext4/fs_ext_priv.h"
#include "libcow/base/array.h"

#define ENTRY_HEAD 8 /* le32 inode, le16 rec_len, u8 name_len, u8 type */
#define INLINE_BYTES (EXT2_N_BLOCKS * 4)

struct load {
	struct fs_ext *fs;
	struct fs_dir *dir;
	ext2_ino_t ino;
	void (*problem)(void *user, const char *sentence);
	void *user;
	struct cow_err *err;
};

/* What is kept is freed by fs_dir_free(). */
ANALYZER_KEPT_BEGIN
static int add(struct load *load, const char *name, size_t len, ext2_ino_t ino, bool may_be_dir)
{
	struct fs_dir *dir = load->dir;
	struct fs_dir_entry *grown;
	char *copy;

	grown = cow_array_grow(dir->entries, dir->nr, &dir->room, sizeof(*grown));
	if (!grown)
		goto no_memory;
	dir->entries = grown;
	copy = strndup(name, len);
	if (!copy)
		goto no_memory;
	dir->entries[dir->nr++] = (struct fs_dir_entry){ copy, ino, may_be_dir };
	return 0;
no_memory:
	return cli_refuse(load->err, -ENOMEM, "no-memory", NULL,
			  "no memory for the names in directory inode %u", load->ino);
}
ANALYZER_KEPT_END

__attribute__((format(printf, 2, 3))) static void tell(struct load *load, const char *format, ...)
{
	char sentence[512];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	load->problem(load->user, sentence);
}

/* A name goes into an archive and from there into somebody's file system: a
 * slash in it would lead out of its directory. */
static int take_name(struct load *load, struct ext2_dir_entry *e, size_t len)
{
	int type = ext2fs_dirent_file_type(e);
	const char *name = e->name;
	ext2_ino_t ino = e->inode;

	if ((len == 1 && name[0] == '.') || (len == 2 && !memcmp(name, "..", 2)))
		return 0;
	if (!len || memchr(name, '/', len) || memchr(name, 0, len)) {
		tell(load,
		     "directory inode %u has an entry whose name is empty or holds a slash "
		     "or a zero byte; left out (inode %u)",
		     load->ino, ino);
		return 0;
	}
	return add(load, name, len, ino, type == EXT2_FT_DIR || type == EXT2_FT_UNKNOWN);
}

/* The entries in one block, or in one part of an inline directory. */
static int parse(struct load *load, const char *buf, size_t size)
{
	struct ext2_super_block *super = load->fs->fs->super;
	struct ext2_dir_entry *e;
	unsigned int rec_len, name_len;
	size_t at = 0;
	int ret;

	while (at + ENTRY_HEAD <= size) {
		e = (struct ext2_dir_entry *)(buf + at);
		if (ext2fs_get_rec_len(load->fs->fs, e, &rec_len))
			rec_len = 0;
		name_len = (unsigned int)ext2fs_dirent_name_len(e);
		if (rec_len < ENTRY_HEAD || rec_len % 4 || rec_len > size - at ||
		    (e->inode && ENTRY_HEAD + name_len > rec_len)) {
			tell(load,
			     "directory inode %u: an entry of length %u is not possible at "
			     "byte %zu of a block; the rest of the block is left out",
			     load->ino, rec_len, at);
			return 0;
		}
		if (e->inode > super->s_inodes_count)
			tell(load,
			     "directory inode %u: an entry for inode %u (there are %u) is "
			     "left out",
			     load->ino, e->inode, super->s_inodes_count);
		else if (e->inode) {
			ret = take_name(load, e, name_len);
			if (ret)
				return ret;
		}
		at += rec_len;
	}
	return 0;
}

static int load_extent(struct load *load, const struct fs_extent *extent, char *buf)
{
	struct cow_err damage = COW_ERR_INIT;
	errcode_t code;
	uint64_t i;
	int ret;

	for (i = 0; i < extent->nr_blocks; i++) {
		code = ext2fs_read_dir_block4(load->fs->fs, extent->at + i, buf, 0, load->ino);
		if (code) {
			ret = fs_ext_fail(load->fs, &damage, code,
					  "directory inode %u: block %" PRIu64
					  " cannot be used, its names are left out",
					  load->ino, extent->block + i);
			if (ret != -EBADMSG) {
				if (load->err)
					*load->err = damage;
				return ret;
			}
			load->problem(load->user, damage.message);
			continue;
		}
		ret = parse(load, buf, load->fs->fs->blocksize);
		if (ret)
			return ret;
	}
	return 0;
}

static int load_blocks(struct load *load, const struct fs_inode *inode)
{
	uint64_t size = EXT2_I_SIZE(&inode->raw), mapped = 0;
	struct fs_map map = { 0 };
	char *buf = malloc(load->fs->fs->blocksize);
	size_t i;
	int ret;

	if (!buf)
		return cli_refuse(load->err, -ENOMEM, "no-memory", NULL, "no memory for a block");
	ret = fs_map_load(load->fs, inode, size, &map, load->err);
	for (i = 0; !ret && i < map.nr_extents; i++) {
		mapped += map.extents[i].nr_blocks;
		ret = load_extent(load, &map.extents[i], buf);
	}
	if (!ret && mapped * load->fs->fs->blocksize < size)
		tell(load, "directory inode %u has holes", inode->ino);
	fs_map_free(&map);
	free(buf);
	return ret;
}

/* The first 60 bytes are in the inode, behind the number of the parent; the
 * rest is an attribute. */
static int load_inline(struct load *load, const struct fs_inode *inode,
		       const struct fs_xattrs *xattrs)
{
	char buf[INLINE_BYTES];
	int ret;

	memcpy(buf, inode->raw.i_block, sizeof(buf));
	ret = parse(load, buf + 4, sizeof(buf) - 4);
	if (!ret && xattrs->data_bytes)
		ret = parse(load, (const char *)xattrs->data, xattrs->data_bytes);
	return ret;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct fs_dir_entry *)a)->name,
		      ((const struct fs_dir_entry *)b)->name);
}

/* A name stands once in a directory; of two only the first is given out. */
static void drop_twins(struct load *load)
{
	struct fs_dir *dir = load->dir;
	size_t i, kept = 0;

	for (i = 0; i < dir->nr; i++) {
		if (kept && !strcmp(dir->entries[kept - 1].name, dir->entries[i].name)) {
			tell(load,
			     "directory inode %u has the name \"%s\" twice; inode %u is left "
			     "out",
			     load->ino, dir->entries[i].name, dir->entries[i].ino);
			free(dir->entries[i].name);
			continue;
		}
		dir->entries[kept++] = dir->entries[i];
	}
	dir->nr = kept;
}

int fs_dir_load(struct fs_ext *fs, const struct fs_inode *inode, const struct fs_xattrs *xattrs,
		void (*problem)(void *user, const char *sentence), void *user, struct fs_dir *dir,
		struct cow_err *err)
{
	struct load load = { fs, dir, inode->ino, problem, user, err };
	int ret;

	if (inode->raw.i_flags & EXT4_INLINE_DATA_FL)
		ret = load_inline(&load, inode, xattrs);
	else
		ret = load_blocks(&load, inode);
	if (!ret && dir->nr) {
		qsort(dir->entries, dir->nr, sizeof(*dir->entries), by_name);
		drop_twins(&load);
	}
	return ret;
}

const struct fs_dir_entry *fs_dir_find(const struct fs_dir *dir, const char *name)
{
	struct fs_dir_entry key = { .name = (char *)name };

	if (!dir->nr)
		return NULL;
	return bsearch(&key, dir->entries, dir->nr, sizeof(key), by_name);
}

void fs_dir_free(struct fs_dir *dir)
{
	size_t i;

	for (i = 0; i < dir->nr; i++)
		free(dir->entries[i].name);
	free(dir->entries);
	memset(dir, 0, sizeof(*dir));
}
