/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * manifest_read.c - reads a manifest.
 *
 * Reads a manifest that may come from anywhere. Nothing of it is believed
 * before the last brace: it says of itself that it is complete, and its digest
 * of the whole follows from the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "tools/formats/manifest_file.h"

struct reading {
	struct manifest *manifest;
	bool has_schema, has_size, has_digest, has_ranges, is_complete;
};

static int read_word(struct json_reader *reader, const char *wanted, struct cow_err *err)
{
	int ret = json_read_text(reader, err);

	if (ret || !strcmp(reader->text, wanted))
		return ret;
	return json_bad(reader, err, "not \"%s\", the only one that this version knows", wanted);
}

int manifest_read_direction(struct json_reader *reader, bool *ret_is_reverse, struct cow_err *err)
{
	int ret = json_read_text(reader, err);

	if (ret)
		return ret;
	*ret_is_reverse = !strcmp(reader->text, manifest_direction(true));
	if (*ret_is_reverse || !strcmp(reader->text, manifest_direction(false)))
		return 0;
	return json_bad(reader, err, "the direction is neither \"%s\" nor \"%s\"",
			manifest_direction(false), manifest_direction(true));
}

static int read_range_size(struct json_reader *reader, struct cow_err *err)
{
	uint64_t bytes;
	int ret = json_read_u64(reader, &bytes, err);

	if (ret || bytes == COW_MANIFEST_RANGE_BYTES)
		return ret;
	return json_bad(reader, err, "ranges of %" PRIu64 " bytes; this version knows %" PRIu64,
			bytes, COW_MANIFEST_RANGE_BYTES);
}

static int read_range(struct manifest *manifest, struct json_reader *reader, struct cow_err *err)
{
	uint8_t digest[COW_DIGEST_BYTES];
	uint64_t index;
	int ret = json_read_u64(reader, &index, err);

	if (!ret)
		ret = json_expect(reader, JSON_COMMA, err);
	if (!ret)
		ret = json_read_hex(reader, digest, sizeof(digest), err);
	if (!ret)
		ret = json_expect(reader, JSON_ARRAY_END, err);
	if (ret)
		return ret;
	if (manifest->nr_ranges && index <= manifest->ranges[manifest->nr_ranges - 1].index)
		return json_bad(reader, err, "range %" PRIu64 " does not ascend", index);
	if (manifest_add(manifest, index, digest))
		return cli_refuse(err, -ENOMEM, "no-memory", NULL,
				  "%s: no memory for a manifest of more than %zu ranges",
				  reader->source.name, manifest->nr_ranges);
	return 0;
}

static int read_ranges(struct manifest *manifest, struct json_reader *reader, struct cow_err *err)
{
	int ret = json_expect(reader, JSON_ARRAY, err);

	if (!ret)
		ret = json_next(reader, err);
	while (!ret && reader->word == JSON_ARRAY) {
		ret = read_range(manifest, reader, err);
		if (!ret)
			ret = json_next(reader, err);
		if (ret || reader->word != JSON_COMMA)
			break;
		ret = json_expect(reader, JSON_ARRAY, err);
	}
	if (!ret && reader->word != JSON_ARRAY_END)
		return json_bad(reader, err,
				"the list of ranges goes on with neither \",\" nor "
				"\"]\"");
	return ret;
}

/* A key may come once. */
static int first_time(struct json_reader *reader, bool *has, const char *key, struct cow_err *err)
{
	if (*has)
		return json_bad(reader, err, "\"%s\" comes twice", key);
	*has = true;
	return 0;
}

static int read_member(void *user, struct json_reader *reader, const char *key, struct cow_err *err)
{
	struct reading *reading = user;
	struct manifest *manifest = reading->manifest;
	int ret;

	if (!strcmp(key, "schema")) {
		reading->has_schema = true;
		return read_word(reader, "libcow.manifest/1", err);
	}
	if (!strcmp(key, "algorithm"))
		return read_word(reader, "xxh3-128", err);
	if (!strcmp(key, "range_bytes"))
		return read_range_size(reader, err);
	if (!strcmp(key, "view_bytes")) {
		ret = first_time(reader, &reading->has_size, key, err);
		return ret ? ret : json_read_u64(reader, &manifest->view_bytes, err);
	}
	if (!strcmp(key, "digest")) {
		ret = first_time(reader, &reading->has_digest, key, err);
		return ret ? ret : json_read_hex(reader, manifest->digest, COW_DIGEST_BYTES, err);
	}
	if (!strcmp(key, "parent")) {
		ret = first_time(reader, &manifest->has_parent, key, err);
		return ret ? ret : json_read_hex(reader, manifest->parent, COW_DIGEST_BYTES, err);
	}
	if (!strcmp(key, "direction"))
		return manifest_read_direction(reader, &manifest->is_reverse, err);
	if (!strcmp(key, "ranges")) {
		ret = first_time(reader, &reading->has_ranges, key, err);
		return ret ? ret : read_ranges(manifest, reader, err);
	}
	if (!strcmp(key, "doubtful"))
		return json_read_bool(reader, &manifest->is_doubtful, err);
	if (!strcmp(key, "complete"))
		return json_read_bool(reader, &reading->is_complete, err);
	return JSON_UNKNOWN;
}

static int check_whole(const struct reading *reading, struct json_reader *reader,
		       struct cow_err *err)
{
	const struct manifest *manifest = reading->manifest;
	uint64_t nr_ranges = manifest->view_bytes / COW_MANIFEST_RANGE_BYTES +
			     (manifest->view_bytes % COW_MANIFEST_RANGE_BYTES != 0);
	uint8_t digest[COW_DIGEST_BYTES];
	int ret;

	if (!reading->has_schema || !reading->has_size || !reading->has_digest ||
	    !reading->has_ranges)
		return json_bad(reader, err,
				"no manifest: schema, view_bytes, digest or ranges is missing");
	if (!reading->is_complete)
		return json_bad(reader, err,
				"the manifest does not say that it is complete: the export failed");
	if (manifest->view_bytes % 512 || manifest->view_bytes > INT64_MAX)
		return json_bad(reader, err, "%" PRIu64 " bytes is not the size of an image",
				manifest->view_bytes);
	if (manifest->nr_ranges && manifest->ranges[manifest->nr_ranges - 1].index >= nr_ranges)
		return json_bad(reader, err, "range %" PRIu64 " lies behind the %" PRIu64 " bytes",
				manifest->ranges[manifest->nr_ranges - 1].index,
				manifest->view_bytes);
	ret = cow_manifest_digest(manifest->view_bytes, manifest->ranges, manifest->nr_ranges,
				  digest, err);
	if (ret || !memcmp(digest, manifest->digest, sizeof(digest)))
		return ret;
	return json_bad(reader, err,
			"the digest of the whole is not that of the ranges: the "
			"manifest was changed or is damaged");
}

int manifest_read(struct manifest *manifest, const struct byte_source *source, struct cow_err *err)
{
	struct json_reader *reader = malloc(sizeof(*reader));
	struct reading reading = { .manifest = manifest };
	int ret;

	memset(manifest, 0, sizeof(*manifest));
	if (!reader)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a manifest");
	json_reader_init(reader, source);
	ret = json_read_object(reader, read_member, &reading, err);
	if (!ret)
		ret = check_whole(&reading, reader, err);
	free(reader);
	if (ret)
		manifest_clear(manifest);
	return ret;
}

struct file {
	int fd;
	const char *name;
};

static int file_read(void *user, void *buf, size_t len_bytes, size_t *ret_len_bytes,
		     struct cow_err *err)
{
	const struct file *file = user;

	return byte_source_read_fd(file->fd, file->name, "io", buf, len_bytes, ret_len_bytes, err);
}

int manifest_load_fd(struct manifest *manifest, int fd, const char *name, struct cow_err *err)
{
	struct file file = { fd, name };
	struct byte_source source = { file_read, &file, name };

	return manifest_read(manifest, &source, err);
}

int manifest_load(struct manifest *manifest, const char *path, struct cow_err *err)
{
	int fd, ret = byte_source_open(path, &fd, err);

	if (ret)
		return ret;
	ret = manifest_load_fd(manifest, fd, strcmp(path, "-") ? path : "standard input", err);
	if (fd != STDIN_FILENO)
		close(fd);
	return ret;
}
