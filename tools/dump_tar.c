/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * Two passes: the first digests the view and finds its holes by content, the
 * second writes. So the archive depends on the view alone, not on how it is
 * spread over origin and COW images. Memory: 24 bytes per megabyte of data and
 * about 100 for each extent between two holes.
 */
#include "tools/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/printer.h"
#include "tools/sink.h"
#include "tools/tar.h"

#define VIEW_MEMBER "view.img"
#define MANIFEST_MEMBER "manifest.json"
#define MANIFEST_SCHEMA "libcow.manifest/1"

struct range_digest {
	uint64_t index;
	uint8_t digest[COW_DIGEST_BYTES];
};

struct contents {
	struct cow_segment *extents;
	size_t nr_extents, extents_room;
	struct range_digest *ranges;
	size_t nr_ranges, ranges_room;
	uint8_t digest[COW_DIGEST_BYTES]; /* of the whole */
};

static void contents_clear(struct contents *contents)
{
	free(contents->extents);
	free(contents->ranges);
}

/* Makes room for one more; NULL: no memory. */
static void *grow(void *items, size_t nr, size_t *room, size_t item_bytes)
{
	size_t wanted = *room ? *room * 2 : 64;
	void *grown;

	if (nr < *room)
		return items;
	grown = reallocarray(items, wanted, item_bytes);
	if (grown)
		*room = wanted;
	return grown;
}

static int on_extent(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct contents *contents = user;
	struct cow_segment *extents = grow(contents->extents, contents->nr_extents,
					   &contents->extents_room, sizeof(*extents));

	if (!extents)
		return -ENOMEM;
	contents->extents = extents;
	extents[contents->nr_extents++] = (struct cow_segment){ offset_bytes, len_bytes };
	return 0;
}

static int on_range(void *user, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES])
{
	struct contents *contents = user;
	struct range_digest *ranges = grow(contents->ranges, contents->nr_ranges,
					   &contents->ranges_room, sizeof(*ranges));

	if (!ranges)
		return -ENOMEM;
	contents->ranges = ranges;
	ranges[contents->nr_ranges].index = index;
	memcpy(ranges[contents->nr_ranges++].digest, digest, COW_DIGEST_BYTES);
	return 0;
}

static int scan(struct dump *dump, struct contents *contents, struct cow_err *err)
{
	struct cow_manifest_params params = COW_MANIFEST_PARAMS_INIT;
	struct cow_callbacks callbacks = progress_callbacks(&dump->progress);

	params.callbacks = &callbacks;
	params.user = contents;
	params.extent = on_extent;
	params.range = on_range;
	return cow_manifest(dump->operands.view, &params, contents->digest, err);
}

static const char *hex(const uint8_t digest[COW_DIGEST_BYTES], char buf[2 * COW_DIGEST_BYTES + 1])
{
	for (size_t i = 0; i < COW_DIGEST_BYTES; i++)
		sprintf(buf + 2 * i, "%02x", digest[i]);
	return buf;
}

static int to_tar(void *user, const void *buf, size_t len_bytes, struct cow_err *err)
{
	return tar_data(user, buf, len_bytes, err);
}

static int write_manifest(struct printer *text, const struct dump *dump,
			  const struct contents *contents, struct cow_err *err)
{
	char digest[2 * COW_DIGEST_BYTES + 1];
	int ret;

	ret = printer_add(text, err,
			  "{\n \"schema\": \"" MANIFEST_SCHEMA "\",\n \"view_bytes\": %" PRIu64
			  ",\n"
			  " \"range_bytes\": %" PRIu64 ",\n \"algorithm\": \"xxh3-128\",\n"
			  " \"digest\": \"%s\",\n%s \"ranges\": [",
			  cow_image_size(dump->operands.view), COW_MANIFEST_RANGE_BYTES,
			  hex(contents->digest, digest),
			  dump->operands.is_doubtful ? " \"doubtful\": true,\n" : "");
	for (size_t i = 0; !ret && i < contents->nr_ranges; i++)
		ret = printer_add(text, err, "%s\n  [%" PRIu64 ", \"%s\"]", i ? "," : "",
				  contents->ranges[i].index,
				  hex(contents->ranges[i].digest, digest));
	if (!ret)
		ret = printer_add(text, err, "%s],\n \"complete\": true\n}\n",
				  contents->nr_ranges ? "\n " : "");
	return ret ? ret : printer_flush(text, err);
}

static int put_manifest(struct tar *tar, const struct dump *dump, const struct contents *contents,
			struct cow_err *err)
{
	struct printer *text = calloc(1, sizeof(*text));
	uint64_t len_bytes;
	int ret;

	if (!text)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the manifest");
	/* The length stands in front of the text: count first. */
	ret = write_manifest(text, dump, contents, err);
	len_bytes = text->len_bytes;
	*text = (struct printer){ .write = to_tar, .user = tar };
	if (!ret)
		ret = tar_begin(tar, MANIFEST_MEMBER, len_bytes, err);
	if (!ret)
		ret = write_manifest(text, dump, contents, err);
	free(text);
	return ret;
}

static int put_extent(struct tar *tar, struct dump *dump, const struct cow_segment *extent,
		      void *buf, struct cow_err *err)
{
	struct cow_image *view = dump->operands.view;
	uint64_t at = extent->offset_bytes, end = at + extent->len_bytes;

	while (at < end) {
		size_t piece = end - at < DUMP_PIECE_BYTES ? end - at : DUMP_PIECE_BYTES;
		int ret = dump_step(dump, "write", at, cow_image_size(view), err);

		if (!ret)
			ret = cow_image_pread(view, buf, piece, at, err);
		if (!ret)
			ret = tar_data(tar, buf, piece, err);
		if (ret)
			return ret;
		at += piece;
		dump->data_bytes += piece;
	}
	return 0;
}

static int put_view(struct tar *tar, struct dump *dump, const struct contents *contents,
		    struct cow_err *err)
{
	uint64_t at = 0, size = cow_image_size(dump->operands.view);
	void *buf = malloc(DUMP_PIECE_BYTES);
	int ret;

	if (!buf)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a buffer");
	ret = tar_begin_sparse(tar, VIEW_MEMBER, size, contents->extents, contents->nr_extents,
			       err);
	for (size_t i = 0; !ret && i < contents->nr_extents; i++) {
		const struct cow_segment *extent = &contents->extents[i];

		ret = tar_hole(tar, extent->offset_bytes - at, err);
		if (!ret)
			ret = put_extent(tar, dump, extent, buf, err);
		at = extent->offset_bytes + extent->len_bytes;
	}
	if (!ret)
		ret = tar_hole(tar, size - at, err);
	free(buf);
	return ret;
}

static int write_tar(struct dump *dump, struct sink *sink, const struct contents *contents,
		     struct cow_err *err)
{
	const struct tar_params params = {
		.write = sink_write,
		.user = sink,
		.compress = dump->compress,
		.file_name = dump->output,
		.mtime = dump->mtime,
	};
	struct tar *tar = NULL;
	int ret;

	ret = tar_open(&params, &tar, err);
	if (ret)
		return ret;
	ret = put_view(tar, dump, contents, err);
	if (!ret)
		ret = put_manifest(tar, dump, contents, err);
	if (!ret)
		ret = tar_end(tar, err);
	tar_free(tar);
	return ret ? ret : sink_publish(sink, err);
}

int dump_tar(struct dump *dump, struct cow_err *err)
{
	struct contents contents = { 0 };
	struct sink sink = SINK_INIT;
	int ret;

	ret = sink_open(&sink, dump->operands.set, dump->output, err);
	if (!ret)
		ret = scan(dump, &contents, err);
	dump->nr_ranges = contents.nr_extents;
	if (!ret && !dump->is_dry_run)
		ret = write_tar(dump, &sink, &contents, err);
	contents_clear(&contents);
	sink_close(&sink);
	return ret;
}
