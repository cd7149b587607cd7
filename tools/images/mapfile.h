/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * mapfile.h - the mapfile of GNU ddrescue: which blocks of an image could be
 * read. Comments begin with #; the first line that is none is the state of
 * ddrescue (position, status, and a pass that may be missing); each further
 * one is a block, "position size status", one behind the other without gaps.
 * Numbers are decimal, 0x... or 0... (octal). Of the status, "+" says that the
 * block was read; "?", "*", "/" and "-" that it was not, or not yet.
 */
#ifndef TOOLS_MAPFILE_H
#define TOOLS_MAPFILE_H

#include "tools/formats/json_read.h"
#include "tools/common/printer.h"

struct mapfile {
	struct cow_segment *good; /* what was read; ascending, neighbours joined */
	size_t nr_good, room;
	uint64_t end_bytes; /* of the last block */
};

void mapfile_clear(struct mapfile *map);

/* Reads it all; stricter than ddrescue: nothing may follow the status. Errors:
 * -EBADMSG with the number of the line (id "mapfile"), those of the source,
 * -ENOMEM. */
int mapfile_read(struct mapfile *map, const struct byte_source *source, struct cow_err *err);
/* The same from a file. Errors: also -ENOENT and so on (id "mapfile"). */
int mapfile_load(struct mapfile *map, const char *path, struct cow_err *err);

/* What of an image of size_bytes is not known to be readable, ascending; the
 * caller's to free. Errors: -ENOMEM. */
int mapfile_bad(const struct mapfile *map, uint64_t size_bytes, struct cow_segment **ret_ranges,
		size_t *ret_nr_ranges, struct cow_err *err);

/* Writes one: begin, then ranges of "+", ascending, not overlapping; what is
 * between them, and behind them up to the end, is "?". The printer is flushed
 * by end. */
struct mapfile_writer {
	struct printer *printer;
	uint64_t at_bytes;
};
int mapfile_begin(struct mapfile_writer *writer, struct printer *printer, struct cow_err *err);
int mapfile_add(struct mapfile_writer *writer, uint64_t offset_bytes, uint64_t len_bytes,
		struct cow_err *err);
int mapfile_end(struct mapfile_writer *writer, uint64_t size_bytes, struct cow_err *err);

#endif
