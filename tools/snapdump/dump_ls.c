/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_ls.c - --ls: what files there are in a view, a line each, as ls -l prints
 * them, with their paths from the root. No data of a file is read.
 *
 *   -rw-r--r--+ 1 0 0 1234 2026-11-27T10:20:30Z etc/fstab
 *   lrwxrwxrwx 1 0 0 7 2026-11-27T10:20:30Z bin -> usr/bin
 *   brw-rw---- 1 0 6 8, 0 2026-11-27T10:20:30Z dev/sda
 */
#include "tools/snapdump/dump_fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/printer.h"
#include "tools/common/text.h"

struct ls {
	struct dump_fs fs;
	struct printer *text;
	struct json_object *list;
};

struct type_words {
	char letter;
	const char *word;
};

static const struct type_words types[] = {
	[FILE_REGULAR] = { '-', "file" },
	[FILE_DIRECTORY] = { 'd', "directory" },
	[FILE_SYMLINK] = { 'l', "symlink" },
	[FILE_CHAR_DEVICE] = { 'c', "char-device" },
	[FILE_BLOCK_DEVICE] = { 'b', "block-device" },
	[FILE_FIFO] = { 'p', "fifo" },
	[FILE_HARD_LINK] = { '-', "file" }, /* in no list */
	[FILE_SOCKET] = { 's', "socket" },
};

static void mode_text(const struct file_entry *e, char text[12])
{
	static const char bits[] = "rwxrwxrwx";
	static const char specials[3][2] = { { 'S', 's' }, { 'S', 's' }, { 'T', 't' } };
	static const uint32_t special_bits[3] = { 04000, 02000, 01000 };

	memcpy(text, "----------", 10);
	text[0] = types[e->type].letter;
	for (size_t i = 0; i < 9; i++)
		if (e->mode & 0400u >> i)
			text[1 + i] = bits[i];
	for (size_t i = 0; i < 3; i++)
		if (e->mode & special_bits[i])
			text[3 * (i + 1)] = specials[i][text[3 * (i + 1)] == 'x'];
	text[10] = e->acl_access.nr_entries || e->acl_default.nr_entries ? '+' : '\0';
	text[11] = '\0';
}

/* UTC, whole seconds. */
#define TIME_TEXT_BYTES 40
static const char *time_text(const struct file_time *when, char text[TIME_TEXT_BYTES])
{
	time_t seconds = (time_t)when->seconds;
	struct tm tm;

	if (seconds != when->seconds || !gmtime_r(&seconds, &tm) ||
	    !strftime(text, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, TIME_TEXT_BYTES, "%" PRId64, when->seconds);
	return text;
}

static bool is_device(const struct file_entry *e)
{
	return e->type == FILE_CHAR_DEVICE || e->type == FILE_BLOCK_DEVICE;
}

static void put_json(struct ls *ls, const struct file_entry *e)
{
	struct json_object *item = json_put_object(ls->list, NULL);
	char text[TIME_TEXT_BYTES];

	json_put_text(item, "path", e->path);
	json_put_text(item, "type", types[e->type].word);
	snprintf(text, sizeof(text), "%04o", e->mode);
	json_put_text(item, "mode", text);
	json_put_u64(item, "inode", e->inode);
	json_put_u64(item, "links", e->nr_links);
	json_put_u64(item, "uid", e->uid);
	json_put_u64(item, "gid", e->gid);
	json_put_u64(item, "size_bytes", e->size_bytes);
	json_put_text(item, "mtime", time_text(&e->mtime, text));
	json_put_u64(item, "mtime_nanoseconds", e->mtime.nanoseconds);
	json_put_text(item, "target", e->type == FILE_SYMLINK ? e->link : NULL);
	if (is_device(e)) {
		json_put_u64(item, "major", e->major);
		json_put_u64(item, "minor", e->minor);
	}
}

static int put_name(struct ls *ls, const char *before, const char *name, struct cow_err *err)
{
	char *escaped = text_escape(name);
	int ret;

	if (!escaped)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	ret = printer_put(ls->text, before, strlen(before), err);
	if (!ret)
		ret = printer_put(ls->text, escaped, strlen(escaped), err);
	free(escaped);
	return ret;
}

static int put_line(struct ls *ls, const struct file_entry *e, struct cow_err *err)
{
	char mode[12], size[40], when[TIME_TEXT_BYTES];
	int ret;

	mode_text(e, mode);
	if (is_device(e))
		snprintf(size, sizeof(size), "%u, %u", e->major, e->minor);
	else
		snprintf(size, sizeof(size), "%" PRIu64, e->size_bytes);
	ret = printer_add(ls->text, err, "%s %u %u %u %s %s", mode, e->nr_links, e->uid, e->gid,
			  size, time_text(&e->mtime, when));
	if (!ret)
		ret = put_name(ls, " ", e->path, err);
	if (!ret && e->type == FILE_SYMLINK && e->link)
		ret = put_name(ls, " -> ", e->link, err);
	return ret ? ret : printer_put(ls->text, "\n", 1, err);
}

static int on_entry(void *user, const struct file_entry *entry, struct cow_err *err)
{
	struct ls *ls = user;

	ls->fs.dump->nr_ranges++;
	if (ls->list)
		put_json(ls, entry);
	if (cli_interrupted())
		return cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted");
	return put_line(ls, entry, err);
}

static void on_problem(void *user, bool is_damage, const char *sentence)
{
	struct ls *ls = user;

	dump_fs_problem(&ls->fs, is_damage, sentence);
}

static int list(struct dump *dump, struct printer *text, struct cow_err *err)
{
	struct ls ls = { .text = text };
	const struct fs_ext_walk_params params = {
		.path = dump->path,
		.excludes = dump->excludes,
		.nr_excludes = dump->nr_excludes,
		.lists = true,
		.user = &ls,
		.entry = on_entry,
		.problem = on_problem,
	};
	int ret = dump_fs_open(&ls.fs, dump, FS_EXT_EXACT, err);

	ls.list = json_root() ? json_put_array(json_root(), "entries") : NULL;
	if (!ret)
		ret = fs_ext_walk(ls.fs.fs, &params, err);
	if (!ret)
		dump_fs_say_problems(&ls.fs, dump->nr_ranges);
	dump_fs_close(&ls.fs);
	return ret ? ret : printer_flush(text, err);
}

int dump_ls(struct dump *dump, struct cow_err *err)
{
	return dump_text(dump, list, err);
}
