/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * An export from anywhere. The first byte says what the rest is: 't' a tar as
 * it is; else the parts of a delta, which are put into a tar here, because the
 * checksums of a tar keep a fuzzer out: a number of blocks (each offset and
 * length in sectors, and what it is full of), then the text of the ranges.
 * Nothing may crash, and a store that came out opens and has a view.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/formats/delta.h"
#include "tools/snapcreate/import.h"
#include "tools/tar/tar.h"

#define VIEW_BYTES (UINT64_C(256) << 10)
#define BLOCKS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct stream {
	uint8_t *data;
	size_t size;
};

static void check(bool condition)
{
	if (!condition)
		abort();
}

static int stream_write(void *user, const void *buf, size_t len_bytes, struct cow_err *err)
{
	struct stream *stream = user;

	(void)err;
	stream->data = realloc(stream->data, stream->size + len_bytes);
	check(stream->data);
	memcpy(stream->data + stream->size, buf, len_bytes);
	stream->size += len_bytes;
	return 0;
}

/* An origin with data in its second quarter. */
static struct cow_image *make_origin(void)
{
	static uint8_t buf[VIEW_BYTES / 4];
	struct cow_err err = COW_ERR_INIT;
	struct cow_image *origin;

	memset(buf, 'o', sizeof(buf));
	check(!cow_image_memory_new(VIEW_BYTES, &origin, &err));
	check(!cow_image_pwrite(origin, buf, sizeof(buf), sizeof(buf), &err));
	return origin;
}

static int from_memory(void *source, void *buf, size_t len_bytes, uint64_t offset_bytes,
		       struct cow_err *err)
{
	(void)err;
	memcpy(buf, (const uint8_t *)source + offset_bytes, len_bytes);
	return 0;
}

static void put_member(struct tar *tar, const char *name, const void *buf, size_t size)
{
	struct cow_segment all = { 0, size };
	struct file_entry entry = tar_own_entry(name, size, 0);
	struct cow_err err = COW_ERR_INIT;

	entry.ranges = &all;
	entry.nr_ranges = size ? 1 : 0;
	entry.read = from_memory;
	entry.source = (void *)(uintptr_t)buf;
	check(!tar_add(tar, &entry, &err));
}

static int print_head(const void *user, struct printer *printer, struct cow_err *err)
{
	return delta_print_head(user, printer, err);
}

static void put_head(struct tar *tar, struct cow_image *origin)
{
	struct manifest_scan scan = { .callbacks = NULL };
	struct cow_err err = COW_ERR_INIT;
	struct manifest manifest = { 0 };
	struct delta delta = { .view_bytes = VIEW_BYTES };

	check(!manifest_scan(&manifest, origin, &scan, &err));
	memcpy(delta.parent, manifest.digest, sizeof(delta.parent));
	check(!tar_put_text(tar, DELTA_HEAD_MEMBER, 0, print_head, &delta, &err));
	manifest_clear(&manifest);
}

/* The data member: what each block is full of stands in the input. */
struct blocks {
	struct cow_segment at[BLOCKS_MAX];
	size_t nr;
	const uint8_t *data;
};

static int from_blocks(void *source, void *buf, size_t len_bytes, uint64_t offset_bytes,
		       struct cow_err *err)
{
	const struct blocks *blocks = source;
	size_t i = 0;

	(void)err;
	while (blocks->at[i].offset_bytes + blocks->at[i].len_bytes <= offset_bytes)
		i++;
	check(i < blocks->nr);
	memset(buf, blocks->data[1 + 3 * i + 2], len_bytes);
	return 0;
}

static void put_blocks(struct tar *tar, const uint8_t *data, size_t size)
{
	struct blocks blocks = { .data = data };
	struct file_entry entry = tar_own_entry(DELTA_DATA_MEMBER, VIEW_BYTES, 0);
	size_t nr_given = size ? data[0] % (BLOCKS_MAX + 1) : 0, used = size ? 1 : 0;
	struct cow_err err = COW_ERR_INIT;
	uint64_t end = 0;

	for (; blocks.nr < nr_given && used + 3 <= size; used += 3, blocks.nr++) {
		uint64_t offset = end + (blocks.nr ? 1 : 0) + data[used] * UINT64_C(97);
		uint64_t len = 1 + data[used + 1] * UINT64_C(101);

		if (offset >= VIEW_BYTES || len > VIEW_BYTES - offset)
			break;
		blocks.at[blocks.nr] = (struct cow_segment){ offset, len };
		end = offset + len;
	}
	entry.ranges = blocks.at;
	entry.nr_ranges = blocks.nr;
	entry.read = from_blocks;
	entry.source = &blocks;
	check(!tar_add(tar, &entry, &err));
}

/* The data comes first in the input, but behind the ranges in the tar. */
static void build(const uint8_t *data, size_t size, struct cow_image *origin, struct stream *stream)
{
	const struct tar_params params = { .write = stream_write, .user = stream };
	static const char manifest[] = "{\"schema\": \"libcow.manifest/1\"}";
	size_t blocks = size ? 1 + 3 * (size_t)(data[0] % (BLOCKS_MAX + 1)) : 0;
	struct cow_err err = COW_ERR_INIT;
	struct tar *tar;

	blocks = blocks < size ? blocks : size;
	check(!tar_open(&params, &tar, &err));
	put_head(tar, origin);
	put_member(tar, DELTA_RANGES_MEMBER, data + blocks, size - blocks);
	put_blocks(tar, data, blocks);
	put_member(tar, MANIFEST_MEMBER, manifest, sizeof(manifest) - 1);
	check(!tar_end(tar, &err));
	tar_free(tar);
}

static struct cow_store *open_store(struct cow_image *origin, struct cow_image *cow)
{
	const struct cow_role_image roles[] = {
		{ .role = COW_ROLE_ORIGIN, .image = origin },
		{ .role = COW_ROLE_COW, .image = cow },
	};
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_err err = COW_ERR_INIT;
	struct cow_store *store;

	args.images = roles;
	args.nr_images = 2;
	check(!cow_store_open(&args, &store, &err));
	return store;
}

static void check_view(struct cow_image *origin, struct cow_image *cow)
{
	struct cow_store *store = open_store(origin, cow);
	struct cow_err err = COW_ERR_INIT;
	static uint8_t buf[VIEW_BYTES];
	struct cow_image *view;

	check(!cow_view_new(origin, store, &view, &err));
	check(!cow_image_pread(view, buf, sizeof(buf), 0, &err));
	cow_image_close(view);
	cow_store_close(store);
}

static void import_one(const struct stream *stream, struct cow_image *origin, uint64_t chunk_bytes)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	struct import import = { .origin = origin, .chunk_bytes = chunk_bytes };
	struct cow_err err = COW_ERR_INIT;
	struct tar_reader *tar = NULL;
	struct cow_image *cow;
	uint64_t cow_bytes;

	params.origin_bytes = VIEW_BYTES;
	params.chunk_bytes = chunk_bytes;
	check(!cow_create_size(&params, &cow_bytes, &err));
	check(!cow_image_memory_new(cow_bytes, &cow, &err));
	check(!cow_create(cow, &params, &err));
	import.store = open_store(origin, cow);
	if (tar_reader_open_memory(stream->data, stream->size, &tar, &err) ||
	    import_stream(&import, tar, NULL, &err))
		check(err.code && err.message[0]);
	tar_reader_close(tar);
	import_clear(&import);
	cow_store_close(import.store);
	check_view(origin, cow);
	cow_image_close(cow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cow_image *origin;
	struct stream stream = { 0 };

	if (size < 2)
		return 0;
	origin = make_origin();
	if (data[0] == 't')
		stream_write(&stream, data + 2, size - 2, NULL);
	else
		build(data + 2, size - 2, origin, &stream);
	if (stream.size)
		import_one(&stream, origin, UINT64_C(512) << data[1] % 10);
	free(stream.data);
	cow_image_close(origin);
	return 0;
}
