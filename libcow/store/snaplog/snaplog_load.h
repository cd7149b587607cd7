/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_load.h - reads the logs of a store and holds every entry against the
 * rules. The one reader: opening, checking, guessing and rolling back differ in
 * what they do about a fault.
 */
#ifndef COW_STORE_SNAPLOG_LOAD_H
#define COW_STORE_SNAPLOG_LOAD_H

#include "libcow/core/exmap.h"
#include "libcow/store/snaplog/snaplog_cursor.h"
#include "libcow/store/snaplog/snaplog_problems.h"

/* One log. The data of all is numbered through: block value of a log is chunk
 * first_chunk + value. */
struct snaplog_log {
	struct cow_image *image;
	uint64_t nr_blocks; /* whole ones */
	uint64_t first_chunk;

	/* Found by cow_snaplog_load(). */
	uint64_t nr_entries;	/* sound ones: in range, of the source */
	uint64_t nr_impossible; /* the others */
	uint64_t end;		/* behind the last data block that is referred to */
};

struct snaplog_logs {
	struct snaplog_geometry geometry;
	uint64_t source_bytes;
	size_t nr_logs;
	struct snaplog_log *logs; /* in the order of the setup */
};

/* A rule that is broken. Numbers that a problem does not have are 0. */
struct snaplog_fault {
	enum snaplog_problem problem;
	size_t log;
	size_t other_log; /* ON_TWO_LOGS: the earlier one, which counts */
	uint64_t key, other_key;
	uint64_t value; /* UINT64_MAX: the map has no room for the key */
	uint64_t nr;	/* HOLE: blocks from value on; EARLIER_...: blocks that are free */
	uint8_t raw;	/* BITMAP_BYTE */
};

/* What is done about faults, and with sound entries. A function that returns
 * something else than 0 ends the reading with it. */
struct snaplog_judge {
	void *user;
	int (*fault)(void *user, const struct snaplog_fault *fault, struct cow_err *err);
	/* NULL: nothing. */
	int (*entry)(void *user, size_t log, const struct snaplog_entry *entry,
		     struct cow_err *err);
};

/* Fills in the images of args and, by the geometry, what each holds. The array is
 * the caller's, free(). Errors: -EINVAL no log, -ENOMEM. */
int cow_snaplog_logs_init(struct snaplog_logs *logs, const struct cow_store_args *args,
			  struct cow_err *err);
void cow_snaplog_logs_measure(struct snaplog_logs *logs);

/* map: empty; afterwards sealed, block of the source -> chunk, where a block is on
 * several logs that of the earliest. Errors: -EIO, -ENOMEM, or what judge returned. */
int cow_snaplog_load(struct snaplog_logs *logs, const struct snaplog_judge *judge,
		     struct cow_exmap *map, struct cow_err *err);

/* Reads one log: value -> key of what is in range, sealed. The caller's. Errors: as
 * cow_snaplog_load(). */
int cow_snaplog_load_values(struct snaplog_logs *logs, size_t log,
			    const struct snaplog_judge *judge, struct cow_exmap *map,
			    struct cow_exmap **ret_values, struct cow_err *err);

#endif
