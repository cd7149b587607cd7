/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_tar.c - --tar: the view as a sparse member, and its manifest.
 *
 * Two passes: the first digests the view and finds its holes by content, the
 * second writes. So the archive depends on the view alone, not on how it is
 * spread over origin and COW images. Memory: 24 bytes per megabyte of data and
 * about 100 for each extent between two holes.
 */
#include "tools/snapdump/dump.h"

#include <errno.h>
#include <stdlib.h>

#include "tools/formats/delta.h"
#include "libcow/base/array.h"
#include "tools/formats/manifest_file.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"
#include "tools/tar/tar.h"

void dump_contents_clear(struct dump_contents *contents)
{
	free(contents->extents);
	manifest_clear(&contents->manifest);
}

static int on_extent(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct dump_contents *contents = user;
	struct cow_segment *grown = cow_array_grow(contents->extents, contents->nr_extents,
						   &contents->extents_room, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	contents->extents = grown;
	contents->extents[contents->nr_extents++] = (struct cow_segment){ offset_bytes, len_bytes };
	return 0;
}

int dump_contents_scan(struct dump *dump, struct cow_image *image, struct dump_contents *contents,
		       struct cow_err *err)
{
	struct cow_callbacks callbacks = progress_callbacks(&dump->progress);
	const struct manifest_scan scan = {
		.callbacks = &callbacks,
		.user = contents,
		.extent = on_extent,
	};

	return manifest_scan(&contents->manifest, image, &scan, err);
}

static int print_manifest(const void *user, struct printer *printer, struct cow_err *err)
{
	return manifest_print(user, printer, err);
}

/* A piece of the image, for the archive. */
struct image_source {
	struct dump *dump;
	struct cow_image *image;
	uint64_t done_bytes, total_bytes;
};

static int read_image(void *source, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err)
{
	struct image_source *from = source;
	int ret = cow_image_pread(from->image, buf, len_bytes, offset_bytes, err);

	if (ret)
		return ret;
	from->dump->data_bytes += len_bytes;
	from->done_bytes += len_bytes;
	return dump_step(from->dump, "write", from->done_bytes, from->total_bytes, err);
}

int dump_contents_put(struct dump *dump, struct tar *tar, const char *name, struct cow_image *image,
		      const struct dump_contents *contents, struct cow_err *err)
{
	struct image_source source = { .dump = dump, .image = image };
	struct file_entry entry = tar_own_entry(name, cow_image_size(image), dump->mtime);

	for (size_t i = 0; i < contents->nr_extents; i++)
		source.total_bytes += contents->extents[i].len_bytes;
	entry.ranges = contents->extents;
	entry.nr_ranges = contents->nr_extents;
	entry.read = read_image;
	entry.source = &source;
	return tar_add(tar, &entry, err);
}

struct view_archive {
	struct dump *dump;
	struct dump_contents contents;
};

static int write_view(void *user, struct tar *tar, struct cow_err *err)
{
	struct view_archive *job = user;
	struct dump *dump = job->dump;
	int ret;

	ret = dump_contents_put(dump, tar, VIEW_MEMBER, dump->operands.view, &job->contents, err);
	if (!ret)
		ret = dump_second_pass(dump, err);
	return ret ? ret
		   : tar_put_text(tar, MANIFEST_MEMBER, dump->mtime, print_manifest,
				  &job->contents.manifest, err);
}

int dump_tar(struct dump *dump, struct cow_err *err)
{
	struct view_archive job = { .dump = dump };
	struct sink sink = SINK_INIT;
	int ret;

	ret = sink_open(&sink, dump->operands.set, "output", dump->output, err);
	sandbox_enter();
	if (!ret)
		ret = dump_contents_scan(dump, dump->operands.view, &job.contents, err);
	dump_first_pass(dump);
	job.contents.manifest.is_doubtful = dump_is_doubtful(dump);
	dump->nr_ranges = job.contents.nr_extents;
	if (!ret && !dump->is_dry_run)
		ret = dump_archive(dump, &sink, dump->compress, write_view, &job, err);
	dump_contents_clear(&job.contents);
	sink_close(&sink);
	return ret;
}
