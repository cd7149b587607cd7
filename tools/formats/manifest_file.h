/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * manifest_file.h - what an image held, by digests: made from an image, written and
 * read as JSON. It depends on the content alone. In memory: 24 bytes for each
 * megabyte that is not all zeros.
 */
#ifndef TOOLS_MANIFEST_FILE_H
#define TOOLS_MANIFEST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/formats/json_read.h"
#include "tools/common/printer.h"

struct sink;

struct manifest {
	uint64_t view_bytes;
	uint8_t digest[COW_DIGEST_BYTES]; /* of the whole */
	bool is_doubtful;		  /* read from a store that is damaged */
	bool has_parent;		  /* a delta: what it is to be applied to */
	uint8_t parent[COW_DIGEST_BYTES];
	bool is_reverse;		   /* a delta: from a view to its origin */
	struct cow_manifest_range *ranges; /* ascending */
	size_t nr_ranges, room;
};

void manifest_clear(struct manifest *manifest);

/* Adds a range behind the others. Errors: -ENOMEM. */
int manifest_add(struct manifest *manifest, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES]);

/* What else manifest_scan() can do. */
struct manifest_scan {
	const struct cow_callbacks *callbacks;
	/* Ranges that are known to be as in this manifest (not looked at if
	 * NULL): those that changed(user, index) denies. */
	const struct manifest *known;
	bool (*changed)(void *user, uint64_t index);
	/* As in struct cow_manifest_params; not called for known ranges. */
	int (*extent)(void *user, uint64_t offset_bytes, uint64_t len_bytes);
	void *user;
};

/* Digests an image. Errors: as cow_manifest(). */
int manifest_scan(struct manifest *manifest, struct cow_image *image,
		  const struct manifest_scan *scan, struct cow_err *err);

/* The JSON; the printer is flushed. */
int manifest_print(const struct manifest *manifest, struct printer *printer, struct cow_err *err);
/* Prints to a sink, published. */
int manifest_save(const struct manifest *manifest, struct sink *sink, struct cow_err *err);

/* Reads the JSON, all of it. Errors: -EBADMSG not a manifest, not complete, or
 * it contradicts itself (id "manifest"). */
int manifest_read(struct manifest *manifest, const struct byte_source *source, struct cow_err *err);
/* The same from a file, which may be "-". */
int manifest_load(struct manifest *manifest, const char *path, struct cow_err *err);
/* The same of what byte_source_open() opened. */
int manifest_load_fd(struct manifest *manifest, int fd, const char *name, struct cow_err *err);

/* Finds the first range in which the two differ; false: none. */
bool manifest_next_change(const struct manifest *old, const struct manifest *now,
			  uint64_t from_index, uint64_t *ret_index);

/* The direction of a delta: "forward" or "reverse". Errors: -EBADMSG another word. */
const char *manifest_direction(bool is_reverse);
int manifest_read_direction(struct json_reader *reader, bool *ret_is_reverse, struct cow_err *err);

#define MANIFEST_HEX_BYTES (2 * COW_DIGEST_BYTES + 1)
const char *manifest_hex(const uint8_t digest[COW_DIGEST_BYTES], char buf[MANIFEST_HEX_BYTES]);

#endif
