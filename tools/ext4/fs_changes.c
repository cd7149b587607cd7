/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_changes.c - what differs between two states of a file system, as lines.
 *
 * From the names that only one state has: a file that lost one name and has another is
 * renamed (R); a name that leads to another file of the same type is compared (M, T);
 * what is left is gone or new (-, +). Then each file that is the same file and differs
 * is M or T under all of its names.
 */
#include "tools/ext4/fs_changes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/ext4/fs_changes_priv.h"
#include "tools/ext4/fs_journal.h"

int fs_changes_no_memory(struct fs_compare *c)
{
	return cli_refuse(c->err, -ENOMEM, "no-memory", NULL, "no memory for what has changed");
}

int fs_changes_left_out(struct fs_compare *c, int ret)
{
	if (ret != -EBADMSG)
		return ret;
	c->params->problem(c->params->user, true, c->err->message);
	*c->err = (struct cow_err)COW_ERR_INIT;
	return 0;
}

const struct fs_changed *fs_changed_find(const struct fs_compare *c, ext2_ino_t ino)
{
	size_t low = 0, high = c->nr_changed;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->changed[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->nr_changed && c->changed[low].ino == ino ? &c->changed[low] : NULL;
}

/* ---- lines */

/* Takes the paths, also where it fails. */
ANALYZER_KEPT_BEGIN
static int add_line(struct fs_compare *c, char kind, char *path, char *old_path)
{
	struct fs_line *grown =
		cow_array_grow(c->lines, c->nr_lines, &c->lines_room, sizeof(*grown));

	if (!grown) {
		free(path);
		free(old_path);
		return fs_changes_no_memory(c);
	}
	c->lines = grown;
	grown[c->nr_lines++] = (struct fs_line){ kind, path, old_path };
	return 0;
}
ANALYZER_KEPT_END

static int say(struct fs_compare *c, char kind, struct fs_side *side, ext2_ino_t dir,
	       const char *name)
{
	char *path = NULL;
	int ret = fs_changes_path(c, side, dir, name, &path);

	return ret ? fs_changes_left_out(c, ret) : add_line(c, kind, path, NULL);
}

/* Where a kind stands among lines of one path. */
static int rank(char kind)
{
	static const char kinds[] = "-+RMT";
	int at = 0;

	while (kinds[at] && kinds[at] != kind)
		at++;
	return at;
}

static int by_line(const void *a, const void *b)
{
	const struct fs_line *first = a, *second = b;
	int order = strcmp(first->path, second->path);

	return order ? order : rank(first->kind) - rank(second->kind);
}

static int give_lines(struct fs_compare *c)
{
	int ret = 0;

	if (c->nr_lines)
		qsort(c->lines, c->nr_lines, sizeof(*c->lines), by_line);
	for (size_t i = 0; !ret && i < c->nr_lines; i++) {
		const struct fs_change change = { c->lines[i].kind, c->lines[i].path,
						  c->lines[i].old_path };

		ret = c->params->change(c->params->user, &change, c->err);
	}
	return ret;
}

/* ---- names that one side only has */

static bool is_same_file(const struct fs_compare *c, ext2_ino_t ino)
{
	const struct fs_changed *changed = fs_changed_find(c, ino);

	return !changed || changed->is_same;
}

static int by_ino(const void *a, const void *b)
{
	const struct fs_name *first = a, *second = b;

	if (first->ino != second->ino)
		return first->ino < second->ino ? -1 : 1;
	if (first->dir != second->dir)
		return first->dir < second->dir ? -1 : 1;
	return strcmp(first->name, second->name);
}

static int by_place(const void *a, const void *b)
{
	const struct fs_name *first = a, *second = b;

	if (first->dir != second->dir)
		return first->dir < second->dir ? -1 : 1;
	return strcmp(first->name, second->name);
}

static void sort_names(struct fs_compare *c, int (*order)(const void *, const void *))
{
	struct fs_names *lists[2] = { &c->old_side.names, &c->new_side.names };

	for (size_t i = 0; i < 2; i++)
		if (lists[i]->nr)
			qsort(lists[i]->names, lists[i]->nr, sizeof(*lists[i]->names), order);
}

static int rename_one(struct fs_compare *c, struct fs_name *was, struct fs_name *is)
{
	char *old_path = NULL, *path = NULL;
	int ret = fs_changes_path(c, &c->old_side, was->dir, was->name, &old_path);

	was->is_done = is->is_done = is->is_renamed = true;
	if (!ret)
		ret = fs_changes_path(c, &c->new_side, is->dir, is->name, &path);
	if (!ret && strcmp(old_path, path))
		return add_line(c, 'R', path, old_path);
	free(old_path);
	free(path);
	return fs_changes_left_out(c, ret);
}

static int find_renames(struct fs_compare *c)
{
	struct fs_names *was = &c->old_side.names, *is = &c->new_side.names;
	size_t i = 0, k = 0;
	int ret = 0;

	sort_names(c, by_ino);
	while (!ret && i < was->nr && k < is->nr) {
		if (was->names[i].ino > is->names[k].ino)
			k++;
		else if (was->names[i].ino < is->names[k].ino ||
			 !is_same_file(c, was->names[i].ino))
			i++;
		else
			ret = rename_one(c, &was->names[i++], &is->names[k++]);
	}
	return ret;
}

static uint16_t type_of(struct fs_side *side, ext2_ino_t ino)
{
	struct ext2_inode inode;

	return ext2fs_read_inode(side->fs->fs, ino, &inode) ? 0 : inode.i_mode & LINUX_S_IFMT;
}

/* A name that leads to another file than before. */
static int replace_one(struct fs_compare *c, struct fs_name *was, struct fs_name *is)
{
	uint16_t type = type_of(&c->old_side, was->ino);
	char kind = 0;
	int ret;

	if (!type || type != type_of(&c->new_side, is->ino))
		return 0; /* gone, and new */
	was->is_done = is->is_done = true;
	ret = fs_changes_judge(c, was->ino, is->ino, &kind);
	ret = fs_changes_left_out(c, ret);
	return ret || !kind ? ret : say(c, kind, &c->new_side, is->dir, is->name);
}

/* In a directory that is the same one. */
static int find_replaced(struct fs_compare *c)
{
	struct fs_names *was = &c->old_side.names, *is = &c->new_side.names;
	size_t i = 0, k = 0;
	int ret = 0, order;

	sort_names(c, by_place);
	while (!ret && i < was->nr && k < is->nr) {
		order = by_place(&was->names[i], &is->names[k]);
		if (!order && !was->names[i].is_done && !is->names[k].is_done &&
		    is_same_file(c, was->names[i].dir))
			ret = replace_one(c, &was->names[i], &is->names[k]);
		i += order <= 0;
		k += order >= 0;
	}
	return ret;
}

/* A name that is left, with its path. */
struct left {
	char *path;
	struct fs_name *name;
};
struct lefts {
	struct left *items;
	size_t nr;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct left *)a)->path, ((const struct left *)b)->path);
}

static int list_left(struct fs_compare *c, struct fs_side *side, struct lefts *lefts)
{
	int ret = 0;

	/* bounded: so many are in memory */
	lefts->items = calloc(side->names.nr + 1, sizeof(*lefts->items));
	if (!lefts->items)
		return fs_changes_no_memory(c);
	for (size_t i = 0; !ret && i < side->names.nr; i++) {
		struct fs_name *name = &side->names.names[i];
		char *path = NULL;

		if (name->is_done)
			continue;
		ret = fs_changes_path(c, side, name->dir, name->name, &path);
		if (!ret)
			lefts->items[lefts->nr++] = (struct left){ path, name };
		else
			ret = fs_changes_left_out(c, ret);
	}
	if (lefts->nr)
		qsort(lefts->items, lefts->nr, sizeof(*lefts->items), by_path);
	return ret;
}

static void lefts_free(struct lefts *lefts)
{
	for (size_t i = 0; i < lefts->nr; i++)
		free(lefts->items[i].path);
	free(lefts->items);
}

static int say_left(struct fs_compare *c, char kind, struct lefts *lefts)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < lefts->nr; i++) {
		if (lefts->items[i].name->is_done)
			continue;
		ret = add_line(c, kind, lefts->items[i].path, NULL);
		lefts->items[i].path = NULL;
	}
	return ret;
}

/* A directory may have been made anew, with the same names in it. */
static int find_rest(struct fs_compare *c)
{
	struct lefts was = { 0 }, is = { 0 };
	size_t i = 0, k = 0;
	int ret = list_left(c, &c->old_side, &was), order;

	if (!ret)
		ret = list_left(c, &c->new_side, &is);
	while (!ret && i < was.nr && k < is.nr) {
		order = strcmp(was.items[i].path, is.items[k].path);
		if (!order)
			ret = replace_one(c, was.items[i].name, is.items[k].name);
		i += order <= 0;
		k += order >= 0;
	}
	if (!ret)
		ret = say_left(c, '-', &was);
	if (!ret)
		ret = say_left(c, '+', &is);
	lefts_free(&was);
	lefts_free(&is);
	return ret;
}

/* ---- what is the same file, and differs */

static int say_directory(struct fs_compare *c, const struct fs_changed *changed)
{
	char *path = NULL;
	int ret;

	if (changed->ino == EXT2_ROOT_INO) {
		path = strdup(".");
		ret = path ? 0 : fs_changes_no_memory(c);
	} else {
		ret = fs_changes_path(c, &c->new_side, changed->ino, "", &path);
	}
	if (ret || !path)
		return fs_changes_left_out(c, ret);
	if (path[strlen(path) - 1] == '/')
		path[strlen(path) - 1] = '\0';
	return add_line(c, changed->kind, path, NULL);
}

static int by_number(const void *a, const void *b)
{
	const ext2_ino_t *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

/* The inodes to which new names lead, sorted; one more than there are, so that it is
 * never empty. NULL: no memory. */
static ext2_ino_t *list_named(const struct fs_names *names)
{
	/* bounded: so many are in memory */
	ext2_ino_t *inos = calloc(names->nr + 1, sizeof(*inos));

	for (size_t i = 0; inos && i < names->nr; i++)
		inos[i] = names->names[i].ino;
	if (inos)
		qsort(inos, names->nr + 1, sizeof(*inos), by_number);
	return inos;
}

static bool is_named(const struct fs_names *names, const ext2_ino_t *inos, ext2_ino_t ino)
{
	return bsearch(&ino, inos, names->nr + 1, sizeof(*inos), by_number);
}

/* Is it another file under a number and a name that are the old ones, in a directory that
 * was not touched? The kernel writes the directory; debugfs does not. */
static bool is_made_anew(const struct fs_compare *c, const ext2_ino_t *inos,
			 const struct fs_changed *changed)
{
	return !changed->is_same && changed->was && changed->is &&
	       !is_named(&c->new_side.names, inos, changed->ino);
}

static int judge_all(struct fs_compare *c, const ext2_ino_t *inos)
{
	struct ext2_inode inode;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr_changed; i++) {
		struct fs_changed *changed = &c->changed[i];

		if (!changed->is_same && !is_made_anew(c, inos, changed))
			continue;
		ret = fs_changes_judge(c, changed->ino, changed->ino, &changed->kind);
		ret = fs_changes_left_out(c, ret);
		if (ret || !changed->kind)
			continue;
		if (changed->is_dir)
			ret = say_directory(c, changed);
		else if (!ext2fs_read_inode(c->new_side.fs->fs, changed->ino, &inode))
			changed->nr_left = inode.i_links_count;
	}
	return ret;
}

static int judge_changed(struct fs_compare *c)
{
	ext2_ino_t *inos = list_named(&c->new_side.names);
	int ret = inos ? judge_all(c, inos) : fs_changes_no_memory(c);

	free(inos);
	return ret;
}

/* Names under which it was compared with another file, or is new, have their line. */
static int say_changed(struct fs_compare *c)
{
	const struct fs_names *new_names = &c->new_side.names;
	const struct fs_name *known;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->found.nr; i++) {
		const struct fs_name *name = &c->found.names[i];

		known = new_names->nr ? bsearch(name, new_names->names, new_names->nr,
						sizeof(*name), by_place)
				      : NULL;
		if (!known || known->is_renamed)
			ret = say(c, fs_changed_find(c, name->ino)->kind, &c->new_side, name->dir,
				  name->name);
	}
	for (size_t i = 0; !ret && i < c->nr_changed; i++)
		if (c->changed[i].nr_left)
			c->params->problem(c->params->user, true,
					   "a file that has changed has fewer names than its link "
					   "count says");
	return ret;
}

/* ---- all of it */

static int refuse_other(const struct fs_compare *c)
{
	const struct ext2_super_block *a = c->old_side.fs->fs->super;
	const struct ext2_super_block *b = c->new_side.fs->fs->super;

	if ((memcmp(a->s_uuid, b->s_uuid, sizeof(a->s_uuid)) && a->s_mkfs_time != b->s_mkfs_time) ||
	    a->s_log_block_size != b->s_log_block_size ||
	    a->s_inodes_per_group != b->s_inodes_per_group ||
	    a->s_blocks_per_group != b->s_blocks_per_group ||
	    a->s_first_data_block != b->s_first_data_block ||
	    c->old_side.fs->fs->inode_blocks_per_group !=
		    c->new_side.fs->fs->inode_blocks_per_group)
		return cli_refuse(
			c->err, -EPERM, "other-fs", NULL,
			"these are two file systems, not two states of one: they were made "
			"at different times or with other parameters");
	return 0;
}

/* In blocks; and what a journal has is not what lies in both images. */
static int fill_touched(struct fs_compare *c)
{
	struct fs_ext *sides[2] = { c->old_side.fs, c->new_side.fs };
	uint64_t unit = sides[0]->fs->blocksize;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->params->nr_touched; i++) {
		const struct cow_segment *range = &c->params->touched[i];
		uint64_t first = range->offset_bytes / unit;

		ret = fs_runs_add(&c->touched, first,
				  (range->offset_bytes + range->len_bytes - 1) / unit + 1 - first);
	}
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0;
		     !ret && sides[k]->journal && i < sides[k]->journal->log.nr_blocks; i++)
			ret = fs_runs_add(&c->touched, sides[k]->journal->log.blocks[i].block, 1);
	fs_runs_sort(&c->touched);
	return ret ? fs_changes_no_memory(c) : 0;
}

static int compare(struct fs_compare *c)
{
	int ret = refuse_other(c);

	if (!ret)
		ret = fill_touched(c);
	if (!ret)
		ret = fs_changes_find_inodes(c);
	if (!ret)
		ret = fs_changes_find_names(c);
	if (!ret)
		ret = find_renames(c);
	if (!ret)
		ret = find_replaced(c);
	if (!ret)
		ret = find_rest(c);
	if (!ret)
		ret = judge_changed(c);
	if (!ret)
		ret = fs_changes_find_others(c);
	if (!ret)
		ret = say_changed(c);
	return ret ? ret : give_lines(c);
}

static void compare_free(struct fs_compare *c)
{
	for (size_t i = 0; i < c->nr_lines; i++) {
		free(c->lines[i].path);
		free(c->lines[i].old_path);
	}
	free(c->lines);
	free(c->changed);
	free(c->touched.runs);
	fs_names_free(&c->found);
	fs_names_free(&c->old_side.names);
	fs_names_free(&c->new_side.names);
	fs_parents_free(&c->old_side.parents);
	fs_parents_free(&c->new_side.parents);
	fs_file_free(c->old_side.file);
	fs_file_free(c->new_side.file);
	free(c->bufs[0]);
	free(c->bufs[1]);
}

int fs_changes(const struct fs_changes_params *params, struct cow_err *err)
{
	struct cow_err own = COW_ERR_INIT;
	struct fs_compare c = { .params = params, .err = err ? err : &own };
	int ret = 0;

	c.old_side.fs = params->old_fs;
	c.new_side.fs = params->new_fs;
	c.old_side.file = calloc(1, sizeof(*c.old_side.file));
	c.new_side.file = calloc(1, sizeof(*c.new_side.file));
	c.bufs[0] = malloc(FS_COMPARE_BYTES);
	c.bufs[1] = malloc(FS_COMPARE_BYTES);
	if (c.old_side.file && c.new_side.file && c.bufs[0] && c.bufs[1])
		ret = compare(&c);
	else
		ret = fs_changes_no_memory(&c);
	compare_free(&c);
	return ret;
}
