/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_cat.c - --cat: one file of a view as it is. Holes stay holes in a file.
 */
#include "tools/snapdump/dump_fs.h"

#include <errno.h>
#include <stdlib.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"

struct cat {
	struct dump_fs fs;
	struct sink sink;
	uint8_t *buf;
	uint64_t done_bytes, total_bytes; /* without holes */
};

static int copy_range(struct cat *cat, const struct file_entry *e, const struct cow_segment *range,
		      struct cow_err *err)
{
	uint64_t at = range->offset_bytes, end = at + range->len_bytes;

	while (at < end) {
		size_t piece = end - at < DUMP_PIECE_BYTES ? end - at : DUMP_PIECE_BYTES;
		int ret = e->read(e->source, cat->buf, piece, at, err);

		if (!ret)
			ret = sink_write(&cat->sink, cat->buf, piece, err);
		cat->done_bytes += piece;
		if (!ret)
			ret = dump_step(cat->fs.dump, "write", cat->done_bytes, cat->total_bytes,
					err);
		if (ret)
			return ret;
		at += piece;
	}
	return 0;
}

static int on_entry(void *user, const struct file_entry *e, struct cow_err *err)
{
	struct cat *cat = user;
	struct dump *dump = cat->fs.dump;
	uint64_t at = 0;
	int ret = 0;

	json_put_text(json_root(), "path", e->path);
	json_put_u64(json_root(), "size_bytes", e->size_bytes);
	dump->nr_ranges = 1;
	for (size_t i = 0; i < e->nr_ranges; i++)
		cat->total_bytes += e->ranges[i].len_bytes;
	for (size_t i = 0; !ret && i < e->nr_ranges; i++) {
		const struct cow_segment *range = &e->ranges[i];

		dump->data_bytes += range->len_bytes;
		if (dump->is_dry_run)
			continue;
		ret = sink_hole(&cat->sink, range->offset_bytes - at, err);
		if (!ret)
			ret = copy_range(cat, e, range, err);
		at = range->offset_bytes + range->len_bytes;
	}
	dump->file_bytes = e->size_bytes;
	if (ret || dump->is_dry_run)
		return ret;
	return sink_hole(&cat->sink, e->size_bytes - at, err);
}

static void on_problem(void *user, bool is_damage, const char *sentence)
{
	struct cat *cat = user;

	dump_fs_problem(&cat->fs, is_damage, sentence);
}

static int write_file(struct cat *cat, struct cow_err *err)
{
	struct dump *dump = cat->fs.dump;
	const struct fs_ext_find_params params = {
		.option = "--cat",
		.path = dump->cat,
		.user = cat,
		.entry = on_entry,
		.problem = on_problem,
	};
	int ret;

	cat->buf = aligned_alloc(DUMP_BUFFER_ALIGN, DUMP_PIECE_BYTES);
	if (!cat->buf)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a buffer");
	ret = fs_ext_find(cat->fs.fs, &params, err);
	dump_fs_say_problems(&cat->fs, dump->nr_ranges);
	if (!ret && !dump->is_dry_run)
		ret = sink_publish(&cat->sink, err);
	free(cat->buf);
	return ret;
}

int dump_cat(struct dump *dump, struct cow_err *err)
{
	struct cat cat = { .sink = SINK_INIT };
	int ret = sink_open(&cat.sink, dump->operands.set, "output", dump->output, err);

	sandbox_enter();
	if (!ret)
		ret = dump_fs_open(&cat.fs, dump, FS_EXT_EXACT, err);
	if (!ret)
		ret = write_file(&cat, err);
	dump_fs_close(&cat.fs);
	sink_close(&cat.sink);
	return ret;
}
