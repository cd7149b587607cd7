/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pack.c - reads a metadata pack.
 *
 * A pack may come from anywhere: nothing in it is believed before it is
 * complete and its digest is right, and what it says of sizes costs nothing
 * until bytes follow.
 */
#include "tools/formats/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "tools/formats/manifest_file.h"

#define PACK_SCHEMA "libcow.metadata/1"
/* No list of exceptions is smaller by more than this when it is compressed. */
#define PACK_RATIO_MAX UINT64_C(4096)
#define PACK_BYTES_FREE (UINT64_C(32) << 20)
#define BLOCK_BYTES_MAX 65536

int pack_print_head(const struct pack_head *head, struct printer *printer, struct cow_err *err)
{
	char hex[MANIFEST_HEX_BYTES];
	int ret;

	ret = printer_add(printer, err,
			  "{\n \"schema\": \"" PACK_SCHEMA "\",\n \"image_bytes\": %" PRIu64
			  ",\n \"block_bytes\": %" PRIu64 ",\n",
			  head->image_bytes, head->block_bytes);
	if (!ret && head->origin_bytes)
		ret = printer_add(printer, err,
				  " \"origin_bytes\": %" PRIu64
				  ",\n \"origin_block_bytes\": %" PRIu64 ",\n",
				  head->origin_bytes, head->origin_block_bytes);
	if (!ret && head->nr_logs)
		ret = printer_add(printer, err,
				  " \"logs\": %" PRIu64 ",\n \"specification\": \"%s\",\n",
				  head->nr_logs, head->specification);
	if (!ret && head->chunk_bytes)
		ret = printer_add(printer, err, " \"chunk_bytes\": %" PRIu64 ",\n",
				  head->chunk_bytes);
	if (!ret)
		ret = printer_add(printer, err,
				  " \"metadata_bytes\": %" PRIu64 ",\n \"digest\": \"%s\"\n}\n",
				  head->metadata_bytes, manifest_hex(head->digest, hex));
	return ret ? ret : printer_flush(printer, err);
}

/* --------------------------------------------------------------- reading */

struct head_reading {
	struct pack_head *head;
	bool has_schema, has_size, has_digest;
};

static int read_member(void *user, struct json_reader *reader, const char *key, struct cow_err *err)
{
	struct head_reading *reading = user;
	struct pack_head *head = reading->head;
	const struct {
		const char *key;
		uint64_t *value;
	} numbers[] = {
		{ "image_bytes", &head->image_bytes },
		{ "block_bytes", &head->block_bytes },
		{ "origin_bytes", &head->origin_bytes },
		{ "origin_block_bytes", &head->origin_block_bytes },
		{ "chunk_bytes", &head->chunk_bytes },
		{ "metadata_bytes", &head->metadata_bytes },
		{ "logs", &head->nr_logs },
	};
	int ret;

	if (!strcmp(key, "schema")) {
		ret = json_read_text(reader, err);
		if (!ret && strcmp(reader->text, PACK_SCHEMA))
			return json_bad(reader, err,
					"not \"" PACK_SCHEMA "\", the only one that this version "
					"knows");
		reading->has_schema = true;
		return ret;
	}
	if (!strcmp(key, "digest")) {
		reading->has_digest = true;
		return json_read_hex(reader, head->digest, sizeof(head->digest), err);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(key, numbers[i].key) != 0)
			continue;
		reading->has_size = reading->has_size || !i;
		return json_read_u64(reader, numbers[i].value, err);
	}
	return JSON_UNKNOWN;
}

static bool is_image(uint64_t size_bytes, uint64_t block_bytes)
{
	return size_bytes % 512 == 0 && size_bytes <= INT64_MAX && block_bytes >= 512 &&
	       block_bytes <= BLOCK_BYTES_MAX && !(block_bytes & (block_bytes - 1));
}

/* Errors: -EBADMSG (id "pack"), and those of the source. */
static int pack_read_head(struct pack_head *head, const struct byte_source *source,
			  struct cow_err *err)
{
	struct json_reader *reader = malloc(sizeof(*reader));
	struct head_reading reading = { .head = head };
	int ret;

	*head = (struct pack_head){ .block_bytes = 512, .origin_block_bytes = 512 };
	if (!reader)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a pack");
	json_reader_init(reader, source);
	ret = json_read_object(reader, read_member, &reading, err);
	if (!ret && (!reading.has_schema || !reading.has_size || !reading.has_digest))
		ret = json_bad(reader, err,
			       "no metadata pack: schema, image_bytes or digest is missing");
	if (!ret && (!is_image(head->image_bytes, head->block_bytes) ||
		     !is_image(head->origin_bytes, head->origin_block_bytes)))
		ret = json_bad(reader, err, "these are not the sizes of images");
	free(reader);
	return ret;
}

static int bad_pack(const struct tar_reader *tar, struct cow_err *err, const char *what)
{
	return cli_refuse(err, -EBADMSG, "pack", NULL, "%s: %s", tar_reader_name(tar), what);
}

static int next_image(struct tar_reader *tar, uint64_t *ret_len_bytes, struct cow_err *err)
{
	const char *name;
	int ret = tar_reader_next(tar, &name, ret_len_bytes, err);

	if (ret || (name && !strcmp(name, PACK_IMAGE_MEMBER)))
		return ret;
	return bad_pack(tar, err, "not a whole metadata pack: " PACK_IMAGE_MEMBER " is missing");
}

/* Zeros need no memory, but they do need time. */
static int read_image(struct tar_reader *tar, uint64_t max_bytes, struct cow_image *image,
		      struct cow_err *err)
{
	uint64_t offset, total = 0;
	const void *block;
	size_t len;
	int ret;

	for (;;) {
		ret = tar_reader_block(tar, &block, &len, &offset, err);
		if (ret || !len)
			return ret;
		total += len;
		if (total > max_bytes)
			return bad_pack(tar, err,
					"it holds more than what it is compressed to can be "
					"worth: not written by snapdump --metadata");
		ret = cow_image_pwrite(image, block, len, offset, err);
		if (ret)
			return ret;
	}
}

static int check_digest(struct tar_reader *tar, const struct pack_head *head,
			struct cow_image *image, struct cow_err *err)
{
	struct cow_manifest_params params = COW_MANIFEST_PARAMS_INIT;
	uint8_t digest[COW_DIGEST_BYTES];
	int ret = cow_manifest(image, &params, digest, err);

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
	return ret;
#endif
	if (ret || !memcmp(digest, head->digest, sizeof(digest)))
		return ret;
	return bad_pack(tar, err,
			"the digest is not that of its bytes: it was changed or is damaged");
}

int pack_read(struct tar_reader *tar, uint64_t max_bytes, struct cow_image **ret_cow,
	      struct cow_image **ret_origin, struct cow_err *err)
{
	struct cow_image *cow = NULL, *origin = NULL;
	const char *name = tar_reader_name(tar);
	struct byte_source source;
	struct pack_head head;
	uint64_t len;
	int ret;

	source = tar_reader_source(tar);
	ret = pack_read_head(&head, &source, err);
	if (!ret && head.nr_logs)
		ret = cli_refuse(err, -EOPNOTSUPP, "pack", NULL,
				 "%s is a metadata pack of several logs: extract it with tar, and "
				 "check what \"specification\" in its " PACK_HEAD_MEMBER " says",
				 name);
	if (!ret)
		ret = next_image(tar, &len, err);
	if (!ret && len != head.image_bytes)
		ret = bad_pack(tar, err, PACK_IMAGE_MEMBER " does not have the size of the image");
	if (!ret)
		ret = cow_image_standin_new(name, head.image_bytes, (uint32_t)head.block_bytes,
					    &cow, err);
	if (!ret)
		ret = read_image(tar, max_bytes, cow, err);
	if (!ret)
		ret = check_digest(tar, &head, cow, err);
	if (!ret && head.origin_bytes)
		ret = cow_image_standin_new("ORIGIN", head.origin_bytes,
					    (uint32_t)head.origin_block_bytes, &origin, err);
	if (ret) {
		cow_image_close(cow);
		return ret;
	}
	*ret_cow = cow;
	*ret_origin = origin;
	return 0;
}

/* ------------------------------------------------------------------- files */

bool pack_is_tar(int fd)
{
	static const struct {
		size_t offset, len;
		const char *bytes;
	} magics[] = {
		{ 257, 5, "ustar" },  { 0, 2, "\x1f\x8b" },	    { 0, 4, "\x28\xb5\x2f\xfd" },
		{ 0, 6, "\3757zXZ" }, { 0, 4, "\x04\x22\x4d\x18" },
	};
	char head[512] = { 0 };

	if (pread(fd, head, sizeof(head), 0) <= 0)
		return false;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (!memcmp(head + magics[i].offset, magics[i].bytes, magics[i].len))
			return true;
	return false;
}

bool pack_open(const char *path, int *ret_fd, uint64_t *ret_max_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !pack_is_tar(fd)) {
		close(fd);
		return false;
	}
	*ret_fd = fd;
	*ret_max_bytes = PACK_BYTES_FREE + (uint64_t)st.st_size * PACK_RATIO_MAX;
	return true;
}

bool pack_begins(struct tar_reader *tar)
{
	struct cow_err err = COW_ERR_INIT;
	const char *name;
	uint64_t len;

	return !tar_reader_next(tar, &name, &len, &err) && name && !strcmp(name, PACK_HEAD_MEMBER);
}
