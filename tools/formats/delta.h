/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * delta.h - the two first members of a delta (libcow-delta(5)): what it is and
 * what it applies to, as JSON; then the ranges that it changes, as text. In
 * memory: 24 bytes for each range.
 */
#ifndef TOOLS_DELTA_H
#define TOOLS_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/formats/json_read.h"
#include "tools/common/printer.h"

#define DELTA_HEAD_MEMBER "delta.json"
#define DELTA_RANGES_MEMBER "ranges.txt"
#define DELTA_DATA_MEMBER "delta.img"
#define VIEW_MEMBER "view.img"
#define MANIFEST_MEMBER "manifest.json"

struct delta_range {
	uint64_t offset_bytes, len_bytes;
	bool is_zero; /* no data follows for it */
};

struct delta {
	uint64_t view_bytes;
	uint8_t parent[COW_DIGEST_BYTES]; /* of what it applies to */
	uint8_t digest[COW_DIGEST_BYTES]; /* of what comes out */
	bool is_reverse;		  /* from a view to its origin */
	struct delta_range *ranges;	  /* ascending, apart or of two kinds */
	size_t nr_ranges, room;
	uint64_t data_bytes; /* of the ranges that are data */
};

void delta_clear(struct delta *delta);
/* Adds a range behind the others, joining neighbours of a kind. Errors:
 * -ENOMEM. */
int delta_add(struct delta *delta, uint64_t offset_bytes, uint64_t len_bytes, bool is_zero);

int delta_print_head(const struct delta *delta, struct printer *printer, struct cow_err *err);
int delta_print_ranges(const struct delta *delta, struct printer *printer, struct cow_err *err);
/* Errors: -EBADMSG (id "delta"), -ENOMEM, and those of the source. */
int delta_read_head(struct delta *delta, const struct byte_source *source, struct cow_err *err);
int delta_read_ranges(struct delta *delta, const struct byte_source *source, struct cow_err *err);

#endif
