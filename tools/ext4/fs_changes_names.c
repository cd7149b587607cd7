/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_changes_names.c - names: which are on one side only, what the other names of a
 * changed file are, and the path of a directory.
 *
 * Other names are found in one pass over the directories of the new state, level by
 * level, those of a level in the order in which they lie; it ends when as many names
 * are found as the link counts say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "tools/ext4/fs_changes_priv.h"

#define SLOTS_MIN 1024
/* A hostile tree can make many long paths out of few bytes. */
#define PATHS_BYTES_MAX (UINT64_C(4) << 30)

/* ---- lists of names */

ANALYZER_KEPT_BEGIN
static int names_add(struct fs_compare *c, struct fs_names *names, ext2_ino_t dir, ext2_ino_t ino,
		     const char *name)
{
	struct fs_name *grown =
		cow_array_grow(names->names, names->nr, &names->room, sizeof(*grown));
	char *copy = grown ? strdup(name) : NULL;

	if (grown)
		names->names = grown;
	if (!copy)
		return fs_changes_no_memory(c);
	grown[names->nr++] = (struct fs_name){ .dir = dir, .ino = ino, .name = copy };
	return 0;
}
ANALYZER_KEPT_END

void fs_names_free(struct fs_names *names)
{
	for (size_t i = 0; i < names->nr; i++)
		free(names->names[i].name);
	free(names->names);
}

/* ---- where directories stand */

static size_t slot_of(const struct fs_parents *parents, ext2_ino_t ino)
{
	size_t at = (size_t)ino * 2654435761u & (parents->nr_slots - 1);

	while (parents->slots[at].ino && parents->slots[at].ino != ino)
		at = (at + 1) & (parents->nr_slots - 1);
	return at;
}

static int parents_grow(struct fs_compare *c, struct fs_parents *parents)
{
	struct fs_parents grown = { .nr_slots =
					    parents->nr_slots ? parents->nr_slots * 2 : SLOTS_MIN,
				    .nr_used = parents->nr_used };

	grown.slots = calloc(grown.nr_slots, sizeof(*grown.slots));
	if (!grown.slots)
		return fs_changes_no_memory(c);
	for (size_t i = 0; i < parents->nr_slots; i++)
		if (parents->slots[i].ino)
			grown.slots[slot_of(&grown, parents->slots[i].ino)] = parents->slots[i];
	free(parents->slots);
	*parents = grown;
	return 0;
}

/* What is kept is freed by fs_parents_free(). */
ANALYZER_KEPT_BEGIN
/* The first that is said counts: a directory has one name. */
static int parents_add(struct fs_compare *c, struct fs_parents *parents, ext2_ino_t ino,
		       ext2_ino_t parent, const char *name)
{
	struct fs_parent *slot;

	if (parents->nr_used * 2 >= parents->nr_slots && parents_grow(c, parents))
		return -ENOMEM;
	slot = &parents->slots[slot_of(parents, ino)];
	if (slot->ino)
		return 0;
	slot->name = strdup(name);
	if (!slot->name)
		return fs_changes_no_memory(c);
	slot->ino = ino;
	slot->parent = parent;
	parents->nr_used++;
	return 0;
}
ANALYZER_KEPT_END

static const struct fs_parent *parents_find(const struct fs_parents *parents, ext2_ino_t ino)
{
	const struct fs_parent *slot =
		parents->nr_slots ? &parents->slots[slot_of(parents, ino)] : NULL;

	return slot && slot->ino ? slot : NULL;
}

void fs_parents_free(struct fs_parents *parents)
{
	for (size_t i = 0; i < parents->nr_slots; i++)
		free(parents->slots[i].name);
	free(parents->slots);
}

/* ---- directories */

static void on_problem(void *user, const char *sentence)
{
	struct fs_compare *c = user;

	c->params->problem(c->params->user, true, sentence);
}

/* Loads a directory into an empty dir; what is none is empty. In one pass all directories
 * together have no more blocks than the file system. */
static int load_dir(struct fs_compare *c, struct fs_side *side, ext2_ino_t ino, struct fs_dir *dir)
{
	int ret;

	fs_file_clear(side->file);
	ret = fs_inode_read(side->fs, ino, &side->file->inode, c->err);
	if (!ret && !LINUX_S_ISDIR(side->file->inode.raw.i_mode))
		return 0;
	if (!ret)
		ret = fs_xattrs_load(side->fs, &side->file->inode, &side->file->xattrs, c->err);
	if (!ret && !(side->file->inode.raw.i_flags & EXT4_ENCRYPT_FL))
		ret = fs_dir_load(side->fs, &side->file->inode, &side->file->xattrs, on_problem, c,
				  dir, c->err);
	return fs_changes_left_out(c, ret);
}

/* The number of an inode comes again, often at once and under the same name. */
static bool is_other_file(const struct fs_compare *c, ext2_ino_t was, ext2_ino_t is)
{
	const struct fs_changed *changed = was == is ? fs_changed_find(c, is) : NULL;

	return was != is || (changed && !changed->is_same);
}

/* Names in one of two sorted lists, or that lead to another file. */
static int compare_dirs(struct fs_compare *c, ext2_ino_t ino, const struct fs_dir *was,
			const struct fs_dir *is)
{
	size_t i = 0, k = 0;
	int ret = 0;

	while (!ret && (i < was->nr || k < is->nr)) {
		int order = i == was->nr  ? 1
			    : k == is->nr ? -1
					  : strcmp(was->entries[i].name, is->entries[k].name);
		bool differs = order || is_other_file(c, was->entries[i].ino, is->entries[k].ino);

		if (order <= 0) {
			if (differs)
				ret = names_add(c, &c->old_side.names, ino, was->entries[i].ino,
						was->entries[i].name);
			i++;
		}
		if (!ret && order >= 0) {
			if (differs)
				ret = names_add(c, &c->new_side.names, ino, is->entries[k].ino,
						is->entries[k].name);
			k++;
		}
	}
	return ret;
}

int fs_changes_find_names(struct fs_compare *c)
{
	uint64_t blocks_left[2] = { c->old_side.fs->blocks_left, c->new_side.fs->blocks_left };
	struct fs_dir was, is;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr_changed; i++) {
		const struct fs_changed *changed = &c->changed[i];

		memset(&was, 0, sizeof(was));
		memset(&is, 0, sizeof(is));
		if (changed->was)
			ret = load_dir(c, &c->old_side, changed->ino, &was);
		if (!ret && changed->is)
			ret = load_dir(c, &c->new_side, changed->ino, &is);
		if (!ret && (changed->is_same || !changed->was || !changed->is)) {
			ret = compare_dirs(c, changed->ino, &was, &is);
		} else if (!ret) {
			/* Two directories that had the same number, one after the other. */
			struct fs_dir none = { 0 };

			ret = compare_dirs(c, changed->ino, &was, &none);
			if (!ret)
				ret = compare_dirs(c, changed->ino, &none, &is);
		}
		fs_dir_free(&was);
		fs_dir_free(&is);
	}
	c->old_side.fs->blocks_left = blocks_left[0];
	c->new_side.fs->blocks_left = blocks_left[1];
	return ret;
}

/* ---- paths */

/* The second entry of the first block, which must be "..". */
static int parent_in_block(struct fs_compare *c, struct fs_side *side, ext2_ino_t ino, char *buf,
			   ext2_ino_t *ret_parent)
{
	const struct fs_map *map = &side->file->map;
	ext2_filsys fs = side->fs->fs;
	struct ext2_dir_entry *e = (struct ext2_dir_entry *)buf;
	unsigned int first;
	errcode_t code;
	int ret =
		fs_map_load(side->fs, &side->file->inode, fs->blocksize, &side->file->map, c->err);

	if (ret)
		return ret;
	if (!map->nr_extents || map->extents[0].block)
		return fs_ext_damage(c->err, "directory inode %u has no first block", ino);
	code = ext2fs_read_dir_block4(fs, map->extents[0].at, buf, 0, ino);
	if (code)
		return fs_ext_fail(side->fs, c->err, code,
				   "directory inode %u: its first block cannot be used", ino);
	if (!ext2fs_get_rec_len(fs, e, &first) && first >= 12 && first <= fs->blocksize - 12) {
		e = (struct ext2_dir_entry *)(buf + first);
		if (ext2fs_dirent_name_len(e) == 2 && !memcmp(e->name, "..", 2)) {
			*ret_parent = e->inode;
			return 0;
		}
	}
	return fs_ext_damage(c->err, "directory inode %u has no parent", ino);
}

/* The number behind "..": of a directory in blocks in the first one, of one inside its inode
 * the first four bytes. */
static int parent_of(struct fs_compare *c, struct fs_side *side, ext2_ino_t ino,
		     ext2_ino_t *ret_parent)
{
	const struct ext2_inode *raw = &side->file->inode.raw;

	fs_file_clear(side->file);
	if (fs_inode_read(side->fs, ino, &side->file->inode, c->err))
		return -EBADMSG;
	if (!LINUX_S_ISDIR(raw->i_mode))
		return fs_ext_damage(c->err, "inode %u is no directory", ino);
	if (!(raw->i_flags & EXT4_INLINE_DATA_FL))
		return parent_in_block(c, side, ino, (char *)c->bufs[0], ret_parent);
	*ret_parent = raw->i_block[0];
	return 0;
}

/* Where all directories of this one stand: brothers are often asked for next. */
static int add_children(struct fs_compare *c, struct fs_side *side, ext2_ino_t parent)
{
	struct fs_dir dir = { 0 };
	int ret = load_dir(c, side, parent, &dir);

	for (size_t i = 0; !ret && i < dir.nr; i++)
		if (dir.entries[i].may_be_dir)
			ret = parents_add(c, &side->parents, dir.entries[i].ino, parent,
					  dir.entries[i].name);
	fs_dir_free(&dir);
	return ret;
}

/* Finds out where a directory stands, by what is in its parent. */
static int find_parent(struct fs_compare *c, struct fs_side *side, ext2_ino_t ino)
{
	uint64_t blocks_left = side->fs->blocks_left;
	ext2_ino_t parent = 0;
	int ret = parent_of(c, side, ino, &parent);

	if (!ret && (!parent || parent > side->fs->fs->super->s_inodes_count))
		ret = fs_ext_damage(c->err, "directory inode %u has no parent", ino);
	if (!ret)
		ret = add_children(c, side, parent);
	side->fs->blocks_left = blocks_left;
	if (!ret && !parents_find(&side->parents, ino))
		ret = fs_ext_damage(c->err, "directory inode %u is not in its parent, inode %u",
				    ino, parent);
	return ret;
}

/* A path is composed from its end. */
static int put_before(struct fs_compare *c, size_t *at, const char *text, ext2_ino_t dir)
{
	size_t len = strlen(text);

	if (len > *at)
		return fs_ext_damage(c->err,
				     "directory inode %u is inside of itself, or a path through it "
				     "is longer than %u bytes",
				     dir, FS_PATH_BYTES_MAX);
	*at -= len;
	memcpy(c->path + *at, text, len);
	return 0;
}

static int keep_path(struct fs_compare *c, size_t at, char **ret_path)
{
	c->paths_bytes += FS_PATH_BYTES_MAX - at;
	if (c->paths_bytes > PATHS_BYTES_MAX)
		return cli_refuse(c->err, -ENOMEM, "no-memory", NULL,
				  "the paths of what has changed take more than 4 GiB");
	*ret_path = strdup(c->path + at);
	return *ret_path ? 0 : fs_changes_no_memory(c);
}

int fs_changes_path(struct fs_compare *c, struct fs_side *side, ext2_ino_t dir, const char *name,
		    char **ret_path)
{
	const struct fs_parent *parent;
	size_t at = FS_PATH_BYTES_MAX;
	int ret = put_before(c, &at, name, dir);

	while (!ret && dir != EXT2_ROOT_INO) {
		if (!parents_find(&side->parents, dir))
			ret = find_parent(c, side, dir);
		if (ret)
			break;
		parent = parents_find(&side->parents, dir);
		ret = put_before(c, &at, "/", dir);
		if (!ret)
			ret = put_before(c, &at, parent->name, dir);
		dir = parent->parent;
	}
	return ret ? ret : keep_path(c, at, ret_path);
}

/* ---- the other names of what changed */

/* A directory that is to be read, and where it begins. */
struct level_dir {
	uint64_t block;
	ext2_ino_t ino;
};

struct level {
	struct level_dir *dirs;
	size_t nr, room;
};

static int by_place(const void *a, const void *b)
{
	const struct level_dir *first = a, *second = b;

	if (first->block != second->block)
		return first->block < second->block ? -1 : 1;
	return first->ino < second->ino ? -1 : first->ino > second->ino;
}

static struct fs_changed *wanted(struct fs_compare *c, ext2_ino_t ino)
{
	struct fs_changed *changed = (struct fs_changed *)fs_changed_find(c, ino);

	return changed && changed->nr_left ? changed : NULL;
}

/* About where its blocks begin, by the inode alone; the order of reading is all that
 * depends on it. source: struct ext4_extent, struct ext4_extent_idx in fs/ext4/ext4_extents.h */
static uint64_t place_of(const struct ext2_inode *inode)
{
	const uint8_t *raw = (const uint8_t *)inode->i_block;

	if (!(inode->i_flags & EXT4_EXTENTS_FL))
		return inode->i_block[0];
	return get_le16(raw + 6) ? get_le32(raw + 16) : get_le32(raw + 20);
}

static int level_add(struct fs_compare *c, struct level *next, ext2_ino_t ino, bool *ret_is_dir)
{
	struct fs_ext *fs = c->new_side.fs;
	struct level_dir *grown;
	struct ext2_inode inode;

	*ret_is_dir = !ext2fs_read_inode(fs->fs, ino, &inode) && LINUX_S_ISDIR(inode.i_mode);
	if (!*ret_is_dir)
		return 0;
	grown = cow_array_grow(next->dirs, next->nr, &next->room, sizeof(*grown));
	if (!grown)
		return fs_changes_no_memory(c);
	next->dirs = grown;
	grown[next->nr++] = (struct level_dir){ place_of(&inode), ino };
	return 0;
}

static int read_one(struct fs_compare *c, ext2_ino_t ino, struct level *next, uint8_t *seen,
		    uint64_t *nr_left)
{
	struct fs_dir dir = { 0 };
	int ret = load_dir(c, &c->new_side, ino, &dir);

	for (size_t i = 0; !ret && *nr_left && i < dir.nr; i++) {
		const struct fs_dir_entry *e = &dir.entries[i];
		struct fs_changed *changed = wanted(c, e->ino);
		uint8_t bit = (uint8_t)(1 << (e->ino & 7));
		bool is_dir;

		if (changed) {
			ret = names_add(c, &c->found, ino, e->ino, e->name);
			changed->nr_left--;
			--*nr_left;
		}
		if (!ret && e->may_be_dir && !(seen[e->ino >> 3] & bit)) {
			seen[e->ino >> 3] |= bit;
			ret = level_add(c, next, e->ino, &is_dir);
			if (!ret && is_dir)
				ret = parents_add(c, &c->new_side.parents, e->ino, ino, e->name);
		}
	}
	fs_dir_free(&dir);
	return ret;
}

int fs_changes_find_others(struct fs_compare *c)
{
	struct level level = { 0 }, next = { 0 };
	uint64_t nr_left = 0, blocks_left = c->new_side.fs->blocks_left;
	uint8_t *seen;
	bool is_dir;
	int ret;

	for (size_t i = 0; i < c->nr_changed; i++)
		nr_left += c->changed[i].nr_left;
	if (!nr_left)
		return 0;
	/* bounded: 32 bits; pages that are not touched cost nothing */
	seen = calloc(1, c->new_side.fs->fs->super->s_inodes_count / 8 + 1);
	ret = seen ? level_add(c, &level, EXT2_ROOT_INO, &is_dir) : fs_changes_no_memory(c);
	while (!ret && nr_left && level.nr) {
		qsort(level.dirs, level.nr, sizeof(*level.dirs), by_place);
		for (size_t i = 0; !ret && nr_left && i < level.nr; i++) {
			ret = read_one(c, level.dirs[i].ino, &next, seen, &nr_left);
			if (!ret && cli_interrupted())
				ret = cli_refuse(c->err, -ECANCELED, "interrupted", NULL,
						 "interrupted");
		}
		free(level.dirs);
		level = next;
		next = (struct level){ 0 };
	}
	c->new_side.fs->blocks_left = blocks_left;
	free(level.dirs);
	free(next.dirs);
	free(seen);
	return ret;
}
