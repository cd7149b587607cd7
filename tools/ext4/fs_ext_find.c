/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_find.c - one file by its path. Symbolic links on the way and at the end
 * are followed as in a chroot: an absolute one begins at the root of this file
 * system, and ".." of the root is the root. No recursion: the text of a link is put
 * before what is left of the path. It ends because links are counted, and a text
 * has a limit.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/ext4/fs_ext_priv.h"

#define LINKS_MAX 40 /* as the kernel; source: MAXSYMLINKS in include/linux/namei.h */
#define REST_BYTES_MAX 65536

/* A component of the path so far. */
struct place {
	char *name;
	ext2_ino_t ino;
};

struct find {
	struct fs_ext *fs;
	const struct fs_ext_find_params *params;
	struct cow_err *err;
	struct fs_file *file; /* what was looked at last */
	struct place *places; /* below the root; the last may be no directory */
	size_t nr_places, room;
	char *rest; /* components that are left */
	unsigned int nr_links;
};

static int refuse(struct find *f, const char *why)
{
	return cli_refuse(f->err, -EPERM, "no-path", NULL, "%s=%s: %s", f->params->option,
			  f->params->path, why);
}

static int refuse_kind(struct find *f, const char *what)
{
	return cli_refuse(f->err, -EPERM, "not-a-file", NULL, "%s=%s: %s", f->params->option,
			  f->params->path, what);
}

static int no_memory(struct find *f)
{
	return cli_refuse(f->err, -ENOMEM, "no-memory", NULL, "no memory for %s", f->params->path);
}

static void dir_problem(void *user, const char *sentence)
{
	struct find *f = user;

	f->params->problem(f->params->user, true, sentence);
}

static void drop_last(struct find *f)
{
	if (f->nr_places)
		free(f->places[--f->nr_places].name);
}

/* Reads the inode at the end of the path so far. */
static int read_last(struct find *f)
{
	ext2_ino_t ino = f->nr_places ? f->places[f->nr_places - 1].ino : EXT2_ROOT_INO;
	int ret;

	fs_file_clear(f->file);
	ret = fs_inode_read(f->fs, ino, &f->file->inode, f->err);
	return ret ? ret : fs_xattrs_load(f->fs, &f->file->inode, &f->file->xattrs, f->err);
}

/* What is kept is freed by drop_last(). */
ANALYZER_KEPT_BEGIN
/* Finds name in the directory that was read, and goes there. */
static int enter(struct find *f, const char *name)
{
	uint64_t blocks_left = f->fs->blocks_left;
	const struct fs_dir_entry *entry;
	struct fs_dir dir = { 0 };
	struct place *grown;
	int ret;

	if (!LINUX_S_ISDIR(f->file->inode.raw.i_mode))
		return refuse(f, "a part of it is no directory");
	ret = fs_dir_load(f->fs, &f->file->inode, &f->file->xattrs, dir_problem, f, &dir, f->err);
	/* It may come again. */
	f->fs->blocks_left = blocks_left;
	entry = ret ? NULL : fs_dir_find(&dir, name);
	if (!ret && !entry)
		ret = refuse(f, "no such file in this file system");
	grown = entry ? cow_array_grow(f->places, f->nr_places, &f->room, sizeof(*grown)) : NULL;
	if (grown) {
		f->places = grown;
		grown[f->nr_places] = (struct place){ strdup(name), entry->ino };
		if (!grown[f->nr_places++].name)
			ret = no_memory(f);
	} else if (entry) {
		ret = no_memory(f);
	}
	fs_dir_free(&dir);
	return ret;
}
ANALYZER_KEPT_END

/* Puts the text of the link before what is left; it begins where the link lies. */
static int follow(struct find *f, const char *left)
{
	size_t left_bytes = strlen(left), text_bytes;
	char *joined;
	int ret;

	if (++f->nr_links > LINKS_MAX)
		return refuse(f, "more than 40 symbolic links on the way");
	ret = fs_file_describe(f->fs, f->file, f->err);
	if (ret || !f->file->link)
		return ret ? ret : refuse(f, "an encrypted symbolic link on the way");
	text_bytes = strlen(f->file->link);
	if (text_bytes + left_bytes > REST_BYTES_MAX)
		return refuse(f, "a path too long");
	/* bounded: REST_BYTES_MAX */
	joined = malloc(text_bytes + left_bytes + 2);
	if (!joined)
		return no_memory(f);
	memcpy(joined, f->file->link, text_bytes);
	joined[text_bytes] = '/';
	memcpy(joined + text_bytes + 1, left, left_bytes + 1);
	drop_last(f);
	while (*joined == '/' && f->nr_places)
		drop_last(f);
	free(f->rest);
	f->rest = joined;
	return 0;
}

/* One component. */
static int step(struct find *f)
{
	char *name = f->rest, *end, *left;
	int ret;

	while (*name == '/')
		name++;
	end = name + strcspn(name, "/");
	left = *end ? end + 1 : end;
	*end = '\0';
	if (!strcmp(name, ".."))
		drop_last(f);
	else if (*name && strcmp(name, ".")) {
		ret = enter(f, name);
		if (!ret)
			ret = read_last(f);
		if (ret)
			return ret;
		if (LINUX_S_ISLNK(f->file->inode.raw.i_mode)) {
			ret = follow(f, left);
			return ret ? ret : read_last(f);
		}
	}
	memmove(f->rest, left, strlen(left) + 1);
	return read_last(f);
}

static char *join_places(const struct find *f)
{
	size_t bytes = 1;
	char *path, *to;

	for (size_t i = 0; i < f->nr_places; i++)
		bytes += strlen(f->places[i].name) + 1;
	/* bounded: the names are in memory */
	path = to = calloc(1, bytes);
	for (size_t i = 0; path && i < f->nr_places; i++)
		to = stpcpy(stpcpy(to, i ? "/" : ""), f->places[i].name);
	return path;
}

static int give(struct find *f)
{
	const struct ext2_inode *raw = &f->file->inode.raw;
	char *path;
	int ret;

	if (LINUX_S_ISDIR(raw->i_mode))
		return refuse_kind(f, "a directory (--ls --path lists it)");
	if (!LINUX_S_ISREG(raw->i_mode))
		return refuse_kind(f, "no regular file");
	if (raw->i_flags & EXT4_ENCRYPT_FL)
		return fs_ext_damage(f->err, "%s=%s: encrypted (inode %u)", f->params->option,
				     f->params->path, f->file->inode.ino);
	ret = fs_file_load(f->fs, f->file, f->err);
	if (ret)
		return ret;
	path = join_places(f);
	if (!path)
		return no_memory(f);
	f->file->entry.path = path;
	ret = f->params->entry(f->params->user, &f->file->entry, f->err);
	free(path);
	return ret;
}

int fs_ext_find(struct fs_ext *fs, const struct fs_ext_find_params *params, struct cow_err *err)
{
	struct find f = { .fs = fs, .params = params, .err = err };
	int ret;

	f.file = calloc(1, sizeof(*f.file));
	f.rest = strdup(params->path);
	ret = f.file && f.rest ? read_last(&f) : no_memory(&f);
	if (!ret)
		fs_ext_say_state(fs, params->problem, params->user);
	while (!ret && *f.rest)
		ret = step(&f);
	if (!ret)
		ret = give(&f);
	while (f.nr_places)
		drop_last(&f);
	free(f.places);
	free(f.rest);
	fs_file_free(f.file);
	return ret;
}
