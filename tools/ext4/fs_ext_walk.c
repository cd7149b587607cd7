/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_walk.c - all files, a directory before its content, names in byte
 * order. No recursion: the directories on the way down are a list of ours. It
 * ends because a directory is entered once and a path has a limit.
 */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/ext4/fs_ext_priv.h"
#include "libcow/base/array.h"

/* A directory on the way down. */
struct frame {
	struct fs_dir dir;
	struct fs_path *node;
	size_t path_len;
	bool gives_all; /* choose() is not asked for what is below */
};

struct walk {
	struct fs_ext *fs;
	const struct fs_ext_walk_params *params;
	struct cow_err *err;
	struct frame *frames;
	size_t nr_frames, room;
	uint8_t *seen; /* a bit for each inode */
	struct fs_links links;
	struct fs_file *file;
	enum fs_ext_choice choice; /* of the path */
	size_t path_len;	   /* of the directory at the top */
	char path[FS_PATH_BYTES_MAX + 1];
};

__attribute__((format(printf, 3, 4))) static void tell(struct walk *w, bool is_damage,
						       const char *format, ...)
{
	char *sentence = NULL;
	va_list args;
	int len;

	if (!w->params->problem)
		return;
	va_start(args, format);
	len = vasprintf(&sentence, format, args);
	va_end(args);
	w->params->problem(w->params->user, is_damage, len < 0 ? "no memory" : sentence);
	if (len >= 0)
		free(sentence);
}

/* Damage of one file is told and ends here; everything else ends the walk. */
static int left_out(struct walk *w, int ret, const char *consequence)
{
	if (ret != -EBADMSG)
		return ret;
	tell(w, true, "/%s: %s; %s", w->path, w->err->message, consequence);
	*w->err = (struct cow_err)COW_ERR_INIT;
	return 0;
}

static void dir_problem(void *user, const char *sentence)
{
	struct walk *w = user;

	tell(w, true, "/%s: %s", w->path, sentence);
}

static bool was_seen(struct walk *w, ext2_ino_t ino)
{
	uint8_t bit = (uint8_t)(1 << (ino & 7));
	bool seen = w->seen[ino >> 3] & bit;

	w->seen[ino >> 3] |= bit;
	return seen;
}

static bool matches(const char *pattern, const char *path)
{
	const char *at;

	if (*pattern == '/')
		return !fnmatch(pattern + 1, path, 0);
	for (at = path; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (!fnmatch(pattern, at, 0))
			return true;
	}
	return false;
}

static bool is_excluded(const struct walk *w)
{
	size_t i;

	for (i = 0; i < w->params->nr_excludes; i++)
		if (matches(w->params->excludes[i], w->path))
			return true;
	return false;
}

static int no_memory(struct walk *w)
{
	return cli_refuse(w->err, -ENOMEM, "no-memory", NULL, "no memory for /%s", w->path);
}

static struct frame *top(struct walk *w)
{
	return w->nr_frames ? &w->frames[w->nr_frames - 1] : NULL;
}

static const char *give_path(const struct walk *w)
{
	return *w->path ? w->path : ".";
}

/* Goes down into the directory that w->file holds. */
static int push(struct walk *w, const char *name)
{
	struct frame *grown, *frame;
	int ret;

	grown = cow_array_grow(w->frames, w->nr_frames, &w->room, sizeof(*grown));
	if (!grown)
		return no_memory(w);
	w->frames = grown;
	frame = &w->frames[w->nr_frames];
	*frame = (struct frame){ .path_len = w->path_len,
				 .gives_all = w->choice == FS_EXT_GIVE_ALL };
	frame->node = fs_path_new(top(w) ? top(w)->node : NULL, name);
	if (!frame->node)
		return no_memory(w);
	w->nr_frames++;
	w->path_len = strlen(w->path);
	ret = fs_dir_load(w->fs, &w->file->inode, &w->file->xattrs, dir_problem, w, &frame->dir,
			  w->err);
	return left_out(w, ret, "its content is left out");
}

static void pop(struct walk *w)
{
	struct frame *frame = top(w);

	w->path_len = frame->path_len;
	fs_dir_free(&frame->dir);
	fs_path_put(frame->node);
	w->nr_frames--;
}

/* Another name of a file that was given out. *ret_done false: it is not. */
static int give_link(struct walk *w, bool seen, bool *ret_done)
{
	struct file_entry entry = { .type = FILE_HARD_LINK, .path = w->path };
	char *first = NULL;
	int ret;

	*ret_done = false;
	ret = fs_links_take(&w->links, w->file->inode.ino, &first, w->err);
	if (ret)
		return ret;
	if (!first && seen)
		tell(w, true,
		     "/%s: inode %u has more names than its link count says; given out once more",
		     w->path, w->file->inode.ino);
	if (!first)
		return 0;
	fs_inode_describe(&w->file->inode, &entry);
	entry.link = first;
	ret = w->params->entry(w->params->user, &entry, w->err);
	free(first);
	*ret_done = true;
	return ret;
}

static int give_directory(struct walk *w, const char *name)
{
	int ret = w->params->entry(w->params->user, &w->file->entry, w->err);

	if (!ret && w->file->inode.raw.i_flags & EXT4_ENCRYPT_FL) {
		tell(w, true, "/%s: encrypted (inode %u), what is in it is left out", w->path,
		     w->file->inode.ino);
		return 0;
	}
	return ret ? ret : push(w, name);
}

static int give(struct walk *w, const char *name)
{
	struct fs_file *file = w->file;
	int ret;

	ret = fs_xattrs_load(w->fs, &file->inode, &file->xattrs, w->err);
	if (ret && !(file->inode.raw.i_flags & EXT4_INLINE_DATA_FL))
		ret = left_out(w, ret, "they are left out");
	if (!ret && w->params->lists)
		ret = fs_file_describe(w->fs, file, w->err);
	else if (!ret)
		ret = fs_file_load(w->fs, file, w->err);
	if (ret)
		return left_out(w, ret, "left out");
	if (file->xattrs.nr_skipped && !w->params->lists)
		tell(w, false, "/%s: %zu attributes that no archive can carry are left out",
		     w->path, file->xattrs.nr_skipped);
	file->entry.path = give_path(w);
	if (file->entry.type == FILE_DIRECTORY)
		return give_directory(w, name);
	ret = w->params->entry(w->params->user, &file->entry, w->err);
	if (!ret && file->inode.raw.i_links_count > 1 && !w->params->lists)
		ret = fs_links_add(&w->links, file->inode.ino, file->inode.raw.i_links_count - 1u,
				   top(w) ? top(w)->node : NULL, name, w->err);
	return ret;
}

/* What no archive can hold. */
static bool is_left_out(struct walk *w)
{
	const struct ext2_inode *raw = &w->file->inode.raw;

	if (w->params->lists)
		return false;
	if (LINUX_S_ISSOCK(raw->i_mode)) {
		tell(w, false, "/%s: socket, left out", w->path);
		return true;
	}
	if (raw->i_flags & EXT4_ENCRYPT_FL) {
		tell(w, true, "/%s: encrypted (inode %u), left out", w->path, w->file->inode.ino);
		return true;
	}
	return false;
}

/* The file at w->path. */
static int visit(struct walk *w, ext2_ino_t ino, const char *name)
{
	bool seen, done;
	int ret;

	ret = fs_inode_read(w->fs, ino, &w->file->inode, w->err);
	if (ret)
		return left_out(w, ret, "left out");
	seen = was_seen(w, ino);
	if (is_left_out(w))
		return 0;
	if (!LINUX_S_ISDIR(w->file->inode.raw.i_mode) && !w->params->lists) {
		ret = give_link(w, seen, &done);
		if (ret || done)
			return ret;
	} else if (seen && LINUX_S_ISDIR(w->file->inode.raw.i_mode)) {
		tell(w, true, "/%s: directory inode %u has come before; left out", w->path, ino);
		return 0;
	}
	ret = give(w, name);
	fs_file_clear(w->file);
	return ret;
}

/* Appends name to the path of the directory at the top. */
static bool set_path(struct walk *w, const char *name)
{
	size_t len = w->path_len, name_len = strlen(name);

	if (len + 1 + name_len > FS_PATH_BYTES_MAX)
		return false;
	if (len)
		w->path[len++] = '/';
	memcpy(w->path + len, name, name_len + 1);
	return true;
}

static enum fs_ext_choice choose(const struct walk *w, bool gives_all)
{
	if (gives_all || !w->params->choose)
		return FS_EXT_GIVE_ALL;
	return w->params->choose(w->params->user, give_path(w));
}

static int step(struct walk *w)
{
	struct frame *frame = top(w);
	const struct fs_dir_entry *entry;

	if (frame->dir.next == frame->dir.nr) {
		pop(w);
		return 0;
	}
	entry = &frame->dir.entries[frame->dir.next++];
	if (!set_path(w, entry->name)) {
		w->path[w->path_len] = 0;
		tell(w, true, "/%s: inode %u below it has a path longer than %u bytes; left out",
		     w->path, entry->ino, FS_PATH_BYTES_MAX);
		return 0;
	}
	w->choice = is_excluded(w) ? FS_EXT_LEAVE : choose(w, frame->gives_all);
	return w->choice == FS_EXT_LEAVE ? 0 : visit(w, entry->ino, entry->name);
}

/* ---- where to begin */

static int refuse_path(struct walk *w, const char *why)
{
	return cli_refuse(w->err, -EPERM, "no-path", NULL, "--path=%s: %s in this file system",
			  w->params->path, why);
}

/* One component: from directory *ino to what it names. */
static int descend(struct walk *w, ext2_ino_t *ino, const char *name)
{
	const struct fs_dir_entry *entry;
	struct fs_dir dir = { 0 };
	int ret;

	ret = fs_inode_read(w->fs, *ino, &w->file->inode, w->err);
	if (!ret && !LINUX_S_ISDIR(w->file->inode.raw.i_mode))
		return refuse_path(w, "a part of it is no directory");
	if (!ret)
		ret = fs_xattrs_load(w->fs, &w->file->inode, &w->file->xattrs, w->err);
	if (!ret)
		ret = fs_dir_load(w->fs, &w->file->inode, &w->file->xattrs, dir_problem, w, &dir,
				  w->err);
	fs_file_clear(w->file);
	entry = ret ? NULL : fs_dir_find(&dir, name);
	if (entry)
		*ino = entry->ino;
	else if (!ret)
		ret = refuse_path(w, "no such file");
	fs_dir_free(&dir);
	return ret;
}

/* Finds the beginning; w->path is the path of its directory afterwards. */
static int resolve(struct walk *w, char *parts, ext2_ino_t *ino, const char **ret_name)
{
	char *part, *rest = NULL, *name = NULL;
	uint64_t blocks_left = w->fs->blocks_left;
	int ret;

	for (part = strtok_r(parts, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
		if (!strcmp(part, "."))
			continue;
		if (name && !set_path(w, name))
			return refuse_path(w, "a path too long");
		w->path_len = strlen(w->path);
		name = part;
		ret = descend(w, ino, name);
		if (ret)
			return ret;
	}
	/* These directories come again. */
	w->fs->blocks_left = blocks_left;
	*ret_name = name ? name : "";
	return 0;
}

static int begin(struct walk *w)
{
	char *parts = strdup(w->params->path ? w->params->path : "");
	ext2_ino_t ino = EXT2_ROOT_INO;
	const char *name = "";
	int ret;

	if (!parts)
		return no_memory(w);
	ret = resolve(w, parts, &ino, &name);
	/* What is above the beginning is a part of its name. */
	if (!ret && *name && !set_path(w, name))
		ret = refuse_path(w, "a path too long");
	if (!ret)
		w->choice = choose(w, false);
	if (!ret && w->choice != FS_EXT_LEAVE)
		ret = visit(w, ino, w->path);
	free(parts);
	return ret;
}

static void walk_free(struct walk *w)
{
	if (!w)
		return;
	while (w->nr_frames)
		pop(w);
	free(w->frames);
	free(w->seen);
	fs_links_free(&w->links);
	fs_file_free(w->file);
	free(w);
}

int fs_ext_walk(struct fs_ext *fs, const struct fs_ext_walk_params *params, struct cow_err *err)
{
	struct walk *w = calloc(1, sizeof(*w));
	uint64_t blocks_left = fs->blocks_left;
	int ret;

	if (w) {
		w->file = calloc(1, sizeof(*w->file));
		/* bounded: 32 bits; pages that are not touched cost nothing */
		w->seen = calloc(1, fs->fs->super->s_inodes_count / 8 + 1);
	}
	if (!w || !w->file || !w->seen) {
		walk_free(w);
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the files");
	}
	w->fs = fs;
	w->params = params;
	w->err = err;
	if (!params->knows_state && params->problem)
		fs_ext_say_state(fs, params->problem, params->user);
	ret = begin(w);
	while (!ret && w->nr_frames)
		ret = step(w);
	/* What is listed, or only counted, may come again. */
	if (params->lists || !params->problem)
		fs->blocks_left = blocks_left;
	walk_free(w);
	return ret;
}
