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

struct files {
	struct dump *dump;
	struct tar *tar; /* NULL: a dry run */
	struct dump_fs fs;
	uint64_t nr_files;
	const struct file_entry *entry; /* whose data is read */
};

static int step(const struct files *files, struct cow_err *err)
{
	return dump_step(files->dump, "files", files->dump->data_bytes,
			 cow_image_size(files->dump->operands.view), err);
}

static int read_file(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err)
{
	struct files *files = user;
	int ret = step(files, err);

	if (ret)
		return ret;
	files->dump->data_bytes += len_bytes;
	return files->entry->read(files->entry->source, buf, len_bytes, offset_bytes, err);
}

static int on_entry(void *user, const struct file_entry *entry, struct cow_err *err)
{
	struct files *files = user;
	struct file_entry counted = *entry;
	int ret = step(files, err);

	files->nr_files++;
	if (ret)
		return ret;
	if (files->tar) {
		counted.read = read_file;
		counted.source = files;
		files->entry = entry;
		return tar_add(files->tar, &counted, err);
	}
	for (size_t i = 0; i < entry->nr_ranges; i++)
		files->dump->data_bytes += entry->ranges[i].len_bytes;
	return 0;
}

static void on_problem(void *user, bool is_damage, const char *sentence)
{
	struct files *files = user;

	dump_fs_problem(&files->fs, is_damage, sentence);
}

static int walk(struct files *files, struct cow_err *err)
{
	const struct dump *dump = files->dump;
	const struct fs_ext_walk_params params = {
		.path = dump->path,
		.excludes = dump->excludes,
		.nr_excludes = dump->nr_excludes,
		.user = files,
		.entry = on_entry,
		.problem = on_problem,
	};
	int ret = fs_ext_walk(files->fs.fs, &params, err);

	dump_fs_say_problems(&files->fs, files->nr_files);
	return ret;
}

static int write_files(void *user, struct tar *tar, struct cow_err *err)
{
	struct files *files = user;

	files->tar = tar;
	return walk(files, err);
}

int dump_files(struct dump *dump, struct cow_err *err)
{
	struct files files = { .dump = dump };
	struct sink sink = SINK_INIT;
	int ret;

	ret = sink_open(&sink, dump->operands.set, dump->output, err);
	sandbox_enter();
	if (!ret)
		ret = dump_fs_open(&files.fs, dump, 0, err);
	if (!ret)
		ret = dump->is_dry_run
			      ? walk(&files, err)
			      : dump_archive(dump, &sink, dump->compress, write_files, &files, err);
	dump->nr_ranges = files.nr_files;
	dump_fs_close(&files.fs);
	sink_close(&sink);
	return ret;
}
