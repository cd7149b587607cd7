/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_files.c - --files: the files of a view.
 *
 * The files of the ext2/3/4 file system in the view, as a pax tar. One pass,
 * nothing is kept but what fs_ext.h says. What is left out or doubtful is told
 * at once and counted: such an archive is complete but gives exit status 4.
 */
#include "tools/snapdump/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/ext4/fs_ext.h"
#include "tools/common/json.h"
#include "tools/tar/pax.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"
#include "tools/tar/tar.h"

/* Problems beyond this are counted, not printed. */
#define SHOWN_MAX 1000

struct files {
	struct dump *dump;
	struct tar *tar; /* NULL: a dry run */
	struct pax_writer *pax;
	struct json_object *list;
	uint64_t nr_files, nr_problems;
	bool is_cut; /* the end of a stream that failed */
};

static int step(const struct files *files, struct cow_err *err)
{
	return dump_step(files->dump, "files", files->dump->data_bytes,
			 cow_image_size(files->dump->operands.view), err);
}

static int to_tar(void *user, const void *buf, size_t len_bytes, struct cow_err *err)
{
	struct files *files = user;
	int ret = files->is_cut ? 0 : step(files, err);

	if (ret)
		return ret;
	files->dump->data_bytes += len_bytes;
	return tar_data(files->tar, buf, len_bytes, err);
}

static int on_entry(void *user, const struct file_entry *entry, struct cow_err *err)
{
	struct files *files = user;

	files->nr_files++;
	if (files->tar)
		return pax_add(files->pax, entry, err);
	for (size_t i = 0; i < entry->nr_ranges; i++)
		files->dump->data_bytes += entry->ranges[i].len_bytes;
	return step(files, err);
}

static void on_problem(void *user, bool is_damage, const char *sentence)
{
	struct files *files = user;
	struct json_object *item;

	files->nr_problems++;
	if (is_damage)
		files->dump->nr_damaged++;
	if (files->nr_problems > SHOWN_MAX)
		return;
	item = json_put_object(files->list, NULL);
	json_put_bool(item, "damage", is_damage);
	json_put_text(item, "message", sentence);
	if (is_damage)
		cli_warn("%s", sentence);
	else
		cli_note("%s", sentence);
}

static int walk(struct files *files, struct fs_ext *fs, struct cow_err *err)
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
	int ret = fs_ext_walk(fs, &params, err);

	if (files->nr_problems > SHOWN_MAX)
		cli_warn("%" PRIu64 " more files with problems", files->nr_problems - SHOWN_MAX);
	json_put_u64(json_root(), "files", files->nr_files);
	json_put_u64(json_root(), "files_damaged", dump->nr_damaged);
	return ret;
}

static int write_files(struct files *files, struct fs_ext *fs, struct sink *sink,
		       struct cow_err *err)
{
	const struct tar_params params = {
		.write = sink_write,
		.user = sink,
		.compress = files->dump->compress,
		.file_name = files->dump->output,
		.is_stream = true,
	};
	struct cow_err ignored = COW_ERR_INIT;
	int ret;

	ret = tar_open(&params, &files->tar, err);
	if (!ret)
		ret = pax_new(to_tar, files, &files->pax, err);
	if (!ret)
		ret = walk(files, fs, err);
	if (!ret) {
		ret = pax_finish(files->pax, err);
	} else if (files->pax && ret != -EPIPE) {
		files->is_cut = true;
		(void)pax_cut(files->pax, &ignored);
	}
	if (!ret)
		ret = tar_end(files->tar, err);
	pax_free(files->pax);
	tar_free(files->tar);
	return ret ? ret : sink_publish(sink, err);
}

/* A window of the origin is no way out where a layer is above it: the layer is
 * that of the whole, and so the part is taken of the view. */
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

int dump_files(struct dump *dump, struct cow_err *err)
{
	struct files files = { .dump = dump };
	struct sink sink = SINK_INIT;
	struct fs_ext *fs = NULL;
	int ret;

	files.list = json_put_array(json_root(), "problems");
	ret = sink_open(&sink, dump->operands.set, dump->output, err);
	sandbox_enter();
	if (!ret)
		ret = fs_ext_open(dump->operands.view, &fs, err);
	if (ret == -EMEDIUMTYPE)
		ret = say_whole_disk(dump, err);
	if (!ret)
		ret = dump->is_dry_run ? walk(&files, fs, err)
				       : write_files(&files, fs, &sink, err);
	dump->nr_ranges = files.nr_files;
	fs_ext_close(fs);
	sink_close(&sink);
	return ret;
}
