/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_files.c - --files: the files of a view.
 *
 * The files of the ext2/3/4 file system in the view, as a pax tar. One pass,
 * nothing is kept but what fs_ext.h says. What is left out or doubtful is told
 * at once and counted: such an archive is complete but gives exit status 4.
 */
#include <errno.h>

#include "tools/snapdump/dump_fs.h"

#include "tools/common/sandbox.h"
#include "tools/common/sink.h"
#include "tools/tar/tar.h"

static int step(const struct dump_giver *giver, struct cow_err *err)
{
	struct dump *dump = giver->fs->dump;

	return dump_step(dump, giver->tar ? "files" : "count", dump->data_bytes, giver->total_bytes,
			 err);
}

static int read_file(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err)
{
	struct dump_giver *giver = user;
	int ret = step(giver, err);

	if (ret)
		return ret;
	giver->fs->dump->data_bytes += len_bytes;
	return giver->entry->read(giver->entry->source, buf, len_bytes, offset_bytes, err);
}

static int on_entry(void *user, const struct file_entry *entry, struct cow_err *err)
{
	struct dump_giver *giver = user;
	struct file_entry counted = *entry;
	int ret = step(giver, err);

	giver->nr_files++;
	if (ret)
		return ret;
	if (giver->tar) {
		counted.read = read_file;
		counted.source = giver;
		giver->entry = entry;
		return tar_add(giver->tar, &counted, err);
	}
	for (size_t i = 0; i < entry->nr_ranges; i++)
		giver->fs->dump->data_bytes += entry->ranges[i].len_bytes;
	return 0;
}

static void on_problem(void *user, bool is_damage, const char *sentence)
{
	struct dump_giver *giver = user;

	dump_fs_problem(giver->fs, is_damage, sentence);
}

static enum fs_ext_choice on_choice(void *user, const char *path)
{
	struct dump_giver *giver = user;

	return giver->choose ? giver->choose(giver->user, path) : FS_EXT_GIVE_ALL;
}

static int give(struct dump_giver *giver, bool tells, struct cow_err *err)
{
	const struct dump *dump = giver->fs->dump;
	const struct fs_ext_walk_params params = {
		.path = dump->path,
		.excludes = dump->excludes,
		.nr_excludes = dump->nr_excludes,
		.knows_state = giver->knows_state,
		.user = giver,
		.choose = on_choice,
		.entry = on_entry,
		.problem = tells ? on_problem : NULL,
	};

	return fs_ext_walk(giver->from, &params, err);
}

/* How much data there is, for the progress alone: directories and inodes are read once
 * more, and no data. */
static int count(struct dump_giver *giver, struct cow_err *err)
{
	struct dump_giver counting = *giver;
	struct dump *dump = giver->fs->dump;
	int ret;

	if (!giver->tar || !dump->progress.is_shown)
		return 0;
	counting.tar = NULL;
	ret = give(&counting, false, err);
	giver->total_bytes = dump->data_bytes;
	dump->data_bytes = 0;
	return ret;
}

int dump_files_give(struct dump_giver *giver, struct cow_err *err)
{
	int ret = count(giver, err);

	return ret ? ret : give(giver, true, err);
}

static int walk(struct dump_giver *giver, struct cow_err *err)
{
	struct dump *dump = giver->fs->dump;
	int ret = dump_files_give(giver, err);

	dump_fs_say_problems(giver->fs, giver->nr_files);
	return ret ? ret : dump_step(dump, "files", dump->data_bytes, dump->data_bytes, err);
}

static int write_files(void *user, struct tar *tar, struct cow_err *err)
{
	struct dump_giver *giver = user;

	giver->tar = tar;
	return walk(giver, err);
}

static int on_first(void *user, const struct file_entry *entry, struct cow_err *err)
{
	(void)entry;
	*(bool *)user = true;
	return cli_refuse(err, -ECANCELED, "interrupted", NULL, "the first file is enough");
}

/* Looks for the path before the first byte of the archive is written. */
static int check_path(struct fs_ext *fs, const struct dump *dump, struct cow_err *err)
{
	bool is_there = false;
	const struct fs_ext_walk_params params = {
		.path = dump->path,
		.lists = true,
		.knows_state = true,
		.user = &is_there,
		.entry = on_first,
	};
	int ret = dump->path ? fs_ext_walk(fs, &params, err) : 0;

	if (!is_there)
		return ret;
	*err = (struct cow_err)COW_ERR_INIT;
	return 0;
}

int dump_files(struct dump *dump, struct cow_err *err)
{
	struct dump_fs fs = { .dump = dump };
	struct dump_giver giver = { .fs = &fs };
	struct sink sink = SINK_INIT;
	int ret;

	ret = sink_open(&sink, dump->operands.set, "output", dump->output, err);
	sandbox_enter();
	if (!ret)
		ret = dump_fs_open(&fs, dump, 0, err);
	giver.from = fs.fs;
	if (!ret)
		ret = check_path(fs.fs, dump, err);
	if (!ret)
		ret = dump->is_dry_run
			      ? walk(&giver, err)
			      : dump_archive(dump, &sink, dump->compress, write_files, &giver, err);
	dump->nr_ranges = giver.nr_files;
	dump_fs_close(&fs);
	sink_close(&sink);
	return ret;
}
