/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_changes_data.c - compares two states of one file. Where both have the same block,
 * and nothing touched it, there is nothing to read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/ext4/fs_changes_priv.h"

/* What "chattr" can change; the others are about where things lie. */
#define FLAGS_OF_USERS                                                                             \
	(EXT2_SYNC_FL | EXT2_IMMUTABLE_FL | EXT2_APPEND_FL | EXT2_NODUMP_FL | EXT2_NOATIME_FL |    \
	 EXT2_DIRSYNC_FL)

static int load(struct fs_side *side, ext2_ino_t ino, struct cow_err *err)
{
	struct fs_ext *fs = side->fs;
	uint64_t blocks_left = fs->blocks_left;
	int ret;

	fs_file_clear(side->file);
	ret = fs_inode_read(fs, ino, &side->file->inode, err);
	if (!ret)
		ret = fs_xattrs_load(fs, &side->file->inode, &side->file->xattrs, err);
	if (!ret && side->file->inode.raw.i_flags & EXT4_ENCRYPT_FL)
		/* Its blocks can be compared all the same, as they are. */
		ret = LINUX_S_ISREG(side->file->inode.raw.i_mode)
			      ? fs_file_load(fs, side->file, err)
			      : fs_file_describe(fs, side->file, err);
	else if (!ret)
		ret = fs_file_load(fs, side->file, err);
	/* It may come again. */
	fs->blocks_left = blocks_left;
	return ret;
}

/* The extent that holds this block of the file, or the next one; NULL: only a hole. */
static const struct fs_extent *extent_from(const struct fs_map *map, uint64_t block)
{
	size_t low = 0, high = map->nr_extents;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->extents[middle].block + map->extents[middle].nr_blocks <= block)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->nr_extents ? &map->extents[low] : NULL;
}

/* A piece of a file from one block on, of which all lies in one place. */
struct piece {
	bool is_hole;
	uint64_t at, nr_blocks;
};

static struct piece piece_at(const struct fs_map *map, uint64_t block, uint64_t end)
{
	const struct fs_extent *e = extent_from(map, block);

	if (!e || e->block >= end)
		return (struct piece){ true, 0, end - block };
	if (e->block > block)
		return (struct piece){ true, 0, e->block - block };
	return (struct piece){ false, e->at + block - e->block,
			       (e->block + e->nr_blocks < end ? e->block + e->nr_blocks : end) -
				       block };
}

static int read_piece(struct fs_side *side, const struct piece *piece, uint64_t skip_bytes,
		      uint8_t *buf, size_t len_bytes, struct cow_err *err)
{
	if (!piece->is_hole)
		return cow_image_pread(side->fs->image, buf, len_bytes,
				       piece->at * side->fs->fs->blocksize + skip_bytes, err);
	memset(buf, 0, len_bytes);
	return 0;
}

/* Reads and compares len_bytes from two places. */
static int compare_bytes(struct fs_compare *c, const struct piece pieces[2], uint64_t len_bytes,
			 bool *ret_differs)
{
	uint64_t done = 0;
	int ret = 0;

	while (!ret && done < len_bytes && !*ret_differs) {
		size_t part = len_bytes - done < FS_COMPARE_BYTES ? (size_t)(len_bytes - done)
								  : FS_COMPARE_BYTES;

		ret = read_piece(&c->old_side, &pieces[0], done, c->bufs[0], part, c->err);
		if (!ret)
			ret = read_piece(&c->new_side, &pieces[1], done, c->bufs[1], part, c->err);
		if (!ret)
			*ret_differs = memcmp(c->bufs[0], c->bufs[1], part);
		done += part;
	}
	return ret;
}

/* How many blocks from here on are the same block, untouched, in both. */
static uint64_t nr_untouched(const struct fs_compare *c, const struct piece pieces[2],
			     uint64_t nr_blocks)
{
	const struct fs_run *run;

	if (pieces[0].is_hole && pieces[1].is_hole)
		return nr_blocks;
	if (pieces[0].is_hole || pieces[1].is_hole || pieces[0].at != pieces[1].at)
		return 0;
	run = fs_runs_from(&c->touched, pieces[0].at);
	if (!run || run->block >= pieces[0].at + nr_blocks)
		return nr_blocks;
	return run->block > pieces[0].at ? run->block - pieces[0].at : 0;
}

/* Of these blocks, which are not to be passed over, how many can be read in a row. */
static uint64_t nr_to_read(const struct fs_compare *c, const struct piece pieces[2],
			   uint64_t nr_blocks)
{
	const struct fs_run *run;

	if (pieces[0].is_hole || pieces[1].is_hole || pieces[0].at != pieces[1].at)
		return nr_blocks;
	run = fs_runs_from(&c->touched, pieces[0].at);
	if (run && run->block + run->nr_blocks - pieces[0].at < nr_blocks)
		return run->block + run->nr_blocks - pieces[0].at;
	return nr_blocks;
}

static int compare_maps(struct fs_compare *c, uint64_t size_bytes, bool *ret_differs)
{
	const struct fs_map *maps[2] = { &c->old_side.file->map, &c->new_side.file->map };
	uint64_t unit = c->new_side.fs->fs->blocksize, block = 0, nr, len;
	uint64_t end = (size_bytes + unit - 1) / unit;
	struct piece pieces[2];
	int ret = 0;

	while (!ret && block < end && !*ret_differs) {
		pieces[0] = piece_at(maps[0], block, end);
		pieces[1] = piece_at(maps[1], block, end);
		nr = pieces[0].nr_blocks < pieces[1].nr_blocks ? pieces[0].nr_blocks
							       : pieces[1].nr_blocks;
		if (nr_untouched(c, pieces, nr)) {
			block += nr_untouched(c, pieces, nr);
			continue;
		}
		nr = nr_to_read(c, pieces, nr);
		/* Behind the end nothing is the file's. */
		len = nr * unit < size_bytes - block * unit ? nr * unit : size_bytes - block * unit;
		ret = compare_bytes(c, pieces, len, ret_differs);
		block += nr;
	}
	return ret;
}

/* Data inside the inode, on one side at least: it is short. */
static int read_small(struct fs_side *side, uint8_t *buf, uint64_t size_bytes, struct cow_err *err)
{
	const struct file_entry *e = &side->file->entry;
	int ret = 0;

	memset(buf, 0, FS_COMPARE_BYTES);
	for (size_t i = 0; !ret && i < e->nr_ranges; i++) {
		uint64_t at = e->ranges[i].offset_bytes, len = e->ranges[i].len_bytes;

		if (at >= FS_COMPARE_BYTES || at >= size_bytes)
			break;
		len = len < FS_COMPARE_BYTES - at ? len : FS_COMPARE_BYTES - at;
		ret = e->read(e->source, buf + at, (size_t)len, at, err);
	}
	return ret;
}

static bool is_inline(const struct fs_side *side)
{
	return side->file->inode.raw.i_flags & EXT4_INLINE_DATA_FL;
}

/* Has it data behind what was read? One that lies in the inode has none. */
static bool reaches_far(const struct fs_side *side)
{
	const struct file_entry *e = &side->file->entry;
	const struct cow_segment *last = e->nr_ranges ? &e->ranges[e->nr_ranges - 1] : NULL;

	return last && last->offset_bytes + last->len_bytes > FS_COMPARE_BYTES;
}

static int compare_small(struct fs_compare *c, uint64_t size_bytes, bool *ret_differs)
{
	int ret = read_small(&c->old_side, c->bufs[0], size_bytes, c->err);

	if (!ret)
		ret = read_small(&c->new_side, c->bufs[1], size_bytes, c->err);
	if (!ret)
		*ret_differs = memcmp(c->bufs[0], c->bufs[1], FS_COMPARE_BYTES) ||
			       reaches_far(&c->old_side) != reaches_far(&c->new_side);
	return ret;
}

/* The content of two files of one type. */
static int compare_content(struct fs_compare *c, bool *ret_differs)
{
	const struct file_entry *a = &c->old_side.file->entry, *b = &c->new_side.file->entry;

	*ret_differs = false;
	if (a->type == FILE_CHAR_DEVICE || a->type == FILE_BLOCK_DEVICE)
		*ret_differs = a->major != b->major || a->minor != b->minor;
	if (a->type == FILE_SYMLINK)
		*ret_differs = !a->link || !b->link ? a->link != b->link : strcmp(a->link, b->link);
	if (a->type != FILE_REGULAR)
		return 0;
	*ret_differs = a->size_bytes != b->size_bytes;
	if (*ret_differs)
		return 0;
	/* A file that is longer than what fits into an inode has zeros there. */
	if (is_inline(&c->old_side) || is_inline(&c->new_side))
		return compare_small(c, a->size_bytes, ret_differs);
	return compare_maps(c, a->size_bytes, ret_differs);
}

static bool acls_differ(const struct file_acl *a, const struct file_acl *b)
{
	if (a->nr_entries != b->nr_entries)
		return true;
	for (size_t i = 0; i < a->nr_entries; i++)
		if (a->entries[i].tag != b->entries[i].tag ||
		    a->entries[i].perm != b->entries[i].perm ||
		    a->entries[i].id != b->entries[i].id)
			return true;
	return false;
}

static bool xattrs_differ(const struct file_entry *a, const struct file_entry *b)
{
	if (a->nr_xattrs != b->nr_xattrs)
		return true;
	for (size_t i = 0; i < a->nr_xattrs; i++)
		if (strcmp(a->xattrs[i].name, b->xattrs[i].name) ||
		    a->xattrs[i].len_bytes != b->xattrs[i].len_bytes ||
		    memcmp(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].len_bytes))
			return true;
	return acls_differ(&a->acl_access, &b->acl_access) ||
	       acls_differ(&a->acl_default, &b->acl_default);
}

static bool metadata_differs(const struct fs_compare *c)
{
	const struct file_entry *a = &c->old_side.file->entry, *b = &c->new_side.file->entry;
	uint32_t flags = c->old_side.file->inode.raw.i_flags ^ c->new_side.file->inode.raw.i_flags;

	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid || flags & FLAGS_OF_USERS)
		return true;
	/* That of a directory changes with each name in it. */
	if (a->type != FILE_DIRECTORY &&
	    (a->mtime.seconds != b->mtime.seconds || a->mtime.nanoseconds != b->mtime.nanoseconds))
		return true;
	return xattrs_differ(a, b);
}

int fs_changes_judge(struct fs_compare *c, ext2_ino_t old_ino, ext2_ino_t new_ino, char *ret_kind)
{
	bool differs = false;
	int ret = load(&c->old_side, old_ino, c->err);

	*ret_kind = 0;
	if (!ret)
		ret = load(&c->new_side, new_ino, c->err);
	if (!ret && c->old_side.file->entry.type != c->new_side.file->entry.type)
		differs = true;
	else if (!ret)
		ret = compare_content(c, &differs);
	if (!ret && differs)
		*ret_kind = 'M';
	else if (!ret && metadata_differs(c))
		*ret_kind = 'T';
	fs_file_clear(c->old_side.file);
	fs_file_clear(c->new_side.file);
	return ret;
}
