/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_fs.c - opens the file system in a view; tells and counts its problems.
 */
#include "tools/snapdump/dump_fs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"

/* Problems beyond this are counted, not printed. */
#define SHOWN_MAX 1000

/* The partition must be taken from the view, not from the origin: the layers belong to the whole
 * disk. */
static int say_whole_disk(const struct dump *dump, struct cow_err *err)
{
	const char *content = cow_image_content(dump->operands.view);
	struct cow_err why = *err;

	if (!content || strcmp(content, "a disk with a partition table"))
		return why.code;
	return cli_refuse(err, -EMEDIUMTYPE, why.id, NULL,
			  "%s; name the partition: --partition=N (snapcheck --list shows them)",
			  why.message);
}

int dump_fs_open(struct dump_fs *fs, struct dump *dump, unsigned int flags, struct cow_err *err)
{
	int ret;

	fs->dump = dump;
	fs->list = json_put_array(json_root(), "problems");
	if (dump->ignores_journal)
		flags |= FS_EXT_IGNORE_JOURNAL;
	ret = fs_ext_open(dump->operands.view, flags, &fs->fs, err);
	return ret == -EMEDIUMTYPE ? say_whole_disk(dump, err) : ret;
}

void dump_fs_close(struct dump_fs *fs)
{
	fs_ext_close(fs->fs);
}

void dump_fs_problem(struct dump_fs *fs, bool is_damage, const char *sentence)
{
	struct json_object *item;

	fs->nr_problems++;
	if (is_damage)
		fs->dump->nr_damaged++;
	if (fs->nr_problems > SHOWN_MAX)
		return;
	item = json_put_object(fs->list, NULL);
	json_put_bool(item, "damage", is_damage);
	json_put_text(item, "message", sentence);
	if (is_damage)
		cli_warn("%s", sentence);
	else
		cli_note("%s", sentence);
}

void dump_fs_say_problems(const struct dump_fs *fs, uint64_t nr_files)
{
	if (fs->nr_problems > SHOWN_MAX)
		cli_warn("%" PRIu64 " more files with problems", fs->nr_problems - SHOWN_MAX);
	json_put_u64(json_root(), "files", nr_files);
	json_put_u64(json_root(), "files_damaged", fs->dump->nr_damaged);
}
