/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_load.c - the rules of cow-snaplog(5), one log after the other: each bit
 * is of a block of the source, each entry names a data block of its log that no
 * other entry names, the data blocks in use have no gap, no block of the source
 * is on two logs, and a log is used only when the one before it is full.
 */
#include "libcow/store/snaplog/snaplog_load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/store/store.h"

struct loader {
	struct snaplog_logs *logs;
	const struct snaplog_judge *judge;
	size_t log;
	struct cow_exmap *map;	  /* of all logs; NULL: not wanted */
	struct cow_exmap *values; /* of this log: value -> key */
	struct cow_err *err;
};

int cow_snaplog_logs_init(struct snaplog_logs *logs, const struct cow_store_args *args,
			  struct cow_err *err)
{
	uint32_t nr = 0;

	while (nr < args->nr_images && cow_store_args_image(args, COW_ROLE_LOG, nr))
		nr++;
	if (!nr)
		return cow_fail(err, -EINVAL, "a snaplog store needs at least one log");
	/* bounded: the caller has so many images */
	logs->logs = (struct snaplog_log *)calloc(nr, sizeof(*logs->logs));
	if (!logs->logs)
		return cow_fail(err, -ENOMEM, "no memory for %" PRIu32 " logs", nr);
	logs->nr_logs = nr;
	for (uint32_t i = 0; i < nr; i++)
		logs->logs[i].image = cow_store_args_image(args, COW_ROLE_LOG, i);
	return 0;
}

void cow_snaplog_logs_measure(struct snaplog_logs *logs)
{
	uint64_t first = 0;

	for (size_t i = 0; i < logs->nr_logs; i++) {
		struct snaplog_log *log = &logs->logs[i];

		log->nr_blocks = log->image->size_bytes / logs->geometry.block_bytes;
		log->first_chunk = first;
		log->nr_entries = log->nr_impossible = log->end = 0;
		first += log->nr_blocks;
	}
}

static int fault(struct loader *loader, const struct snaplog_fault *what)
{
	struct snaplog_log *log = &loader->logs->logs[what->log];

	if (cow_snaplog_problem_row(what->problem)->is_impossible)
		log->nr_impossible++;
	return loader->judge->fault(loader->judge->user, what, loader->err);
}

/* ---------------------------------------------------------------- entries */

static bool is_in_range(const struct loader *loader, uint64_t value)
{
	return value >= loader->logs->geometry.data_base &&
	       value < loader->logs->logs[loader->log].nr_blocks;
}

/* What is wrong with the entry itself; BITMAP_BYTE is no reason not to use it. */
static int entry_judge(struct loader *loader, const struct snaplog_entry *entry, bool *ret_is_sound)
{
	const struct snaplog_geometry *geometry = &loader->logs->geometry;
	struct snaplog_fault what = {
		.log = loader->log,
		.key = entry->key,
		.value = entry->value,
		.raw = entry->raw,
	};
	int ret = 0;

	*ret_is_sound = false;
	if (geometry->has_byte_bitmap && entry->raw != 1) {
		what.problem = SNAPLOG_BITMAP_BYTE;
		ret = fault(loader, &what);
	}
	what.problem = SNAPLOG_NR_PROBLEMS;
	if (entry->key >= geometry->keys_end)
		what.problem = SNAPLOG_KEY_BEYOND_SOURCE;
	else if (entry->key % geometry->keys_per_block)
		what.problem = SNAPLOG_KEY_MISALIGNED;
	else if (!is_in_range(loader, entry->value))
		what.problem = SNAPLOG_VALUE_OUT_OF_RANGE;
	else
		*ret_is_sound = true;
	return ret || *ret_is_sound ? ret : fault(loader, &what);
}

static int entry_take(struct loader *loader, const struct snaplog_entry *entry)
{
	struct snaplog_log *log = &loader->logs->logs[loader->log];
	const struct exmap_run value = { entry->value, entry->key, 1 };
	const struct exmap_run block = {
		.old_chunk = entry->key / loader->logs->geometry.keys_per_block,
		.new_chunk = log->first_chunk + entry->value,
		.nr_chunks = 1,
	};
	bool is_sound;
	int ret = entry_judge(loader, entry, &is_sound);

	/* also of a bit that should not be set: its block is in use */
	if (!ret && is_in_range(loader, entry->value))
		ret = cow_exmap_add(loader->values, &value, loader->err);
	if (ret || !is_sound)
		return ret;
	log->nr_entries++;
	if (loader->map)
		ret = cow_exmap_add(loader->map, &block, loader->err);
	if (!ret && loader->judge->entry)
		ret = loader->judge->entry(loader->judge->user, loader->log, entry, loader->err);
	return ret;
}

/* ---------------------------------------------------------------- one log */

static int value_twice(void *user, const struct exmap_duplicate *duplicate)
{
	const struct snaplog_fault what = {
		.problem = SNAPLOG_VALUE_TWICE,
		.log = ((struct loader *)user)->log,
		.key = duplicate->kept_new_chunk,
		.other_key = duplicate->dropped_new_chunk,
		.value = duplicate->old_chunk,
	};

	return fault((struct loader *)user, &what);
}

/* Blocks are handed out one after the other. */
static int values_judge(struct loader *loader)
{
	struct snaplog_log *log = &loader->logs->logs[loader->log];
	struct exmap_run run;
	int ret = 0;

	log->end = loader->logs->geometry.data_base;
	while (!ret && cow_exmap_next(loader->values, log->end, &run)) {
		const struct snaplog_fault what = {
			.problem = SNAPLOG_HOLE,
			.log = loader->log,
			.value = log->end,
			.nr = run.old_chunk - log->end,
		};

		if (what.nr)
			ret = fault(loader, &what);
		log->end = run.old_chunk + run.nr_chunks;
	}
	return ret;
}

static int entries_read(struct loader *loader)
{
	AUTO_HANDLE(exmap) struct cow_exmap *values = NULL;
	struct snaplog_cursor cursor;
	struct snaplog_entry entry;
	bool found = true;
	int ret = cow_exmap_new(&values, loader->err);

	if (ret)
		return ret;
	loader->values = values;
	ret = cow_snaplog_cursor_init(&cursor, loader->logs->logs[loader->log].image,
				      &loader->logs->geometry, loader->err);
	while (!ret && found) {
		ret = cow_snaplog_cursor_next(&cursor, &entry, &found, loader->err);
		if (!ret && found)
			ret = entry_take(loader, &entry);
	}
	cow_snaplog_cursor_destroy(&cursor);
	if (!ret)
		ret = cow_exmap_seal(values, value_twice, loader, loader->err);
	if (!ret)
		ret = values_judge(loader);
	loader->values = ret ? NULL : take_ptr(values);
	return ret;
}

/* What the log is too short for is not read. */
static int log_read(struct loader *loader, bool *ret_is_read)
{
	const struct snaplog_log *log = &loader->logs->logs[loader->log];
	uint64_t data_base = loader->logs->geometry.data_base;
	struct snaplog_fault what = { .log = loader->log, .nr = log->nr_blocks };
	int ret = 0;

	*ret_is_read = log->nr_blocks >= data_base;
	what.problem = *ret_is_read ? SNAPLOG_LOG_SMALL : SNAPLOG_LOG_SHORT;
	if (log->nr_blocks < 2 * data_base)
		ret = fault(loader, &what);
	return ret || !*ret_is_read ? ret : entries_read(loader);
}

int cow_snaplog_load_values(struct snaplog_logs *logs, size_t log,
			    const struct snaplog_judge *judge, struct cow_exmap *map,
			    struct cow_exmap **ret_values, struct cow_err *err)
{
	struct loader loader = {
		.logs = logs,
		.judge = judge,
		.log = log,
		.map = map,
		.err = err,
	};
	bool is_read;
	int ret;

	logs->logs[log].nr_entries = logs->logs[log].nr_impossible = 0;
	ret = log_read(&loader, &is_read);
	if (!ret && !is_read)
		ret = cow_exmap_new(&loader.values, err);
	if (!ret && !is_read)
		ret = cow_exmap_seal(loader.values, NULL, NULL, err);
	if (ret)
		cow_exmap_free(loader.values);
	else
		*ret_values = loader.values;
	return ret;
}

/* ---------------------------------------------------------------- all of them */

static size_t log_of(const struct snaplog_logs *logs, uint64_t chunk)
{
	size_t log = 0;

	while (log + 1 < logs->nr_logs && logs->logs[log + 1].first_chunk <= chunk)
		log++;
	return log;
}

static int on_two_logs(void *user, const struct exmap_duplicate *duplicate)
{
	struct loader *loader = (struct loader *)user;
	const struct snaplog_logs *logs = loader->logs;
	struct snaplog_fault what = {
		.problem = SNAPLOG_ON_TWO_LOGS,
		.log = log_of(logs, duplicate->dropped_new_chunk),
		.other_log = log_of(logs, duplicate->kept_new_chunk),
		.key = duplicate->old_chunk * logs->geometry.keys_per_block,
	};

	what.value = duplicate->dropped_new_chunk - logs->logs[what.log].first_chunk;
	return fault(loader, &what);
}

/* One after the other. */
static int order_judge(struct loader *loader)
{
	const struct snaplog_logs *logs = loader->logs;
	int ret = 0;

	for (size_t i = 1; !ret && i < logs->nr_logs; i++) {
		const struct snaplog_log *before = &logs->logs[i - 1];
		const struct snaplog_fault what = {
			.problem = SNAPLOG_EARLIER_LOG_NOT_FULL,
			.log = i,
			.other_log = i - 1,
			.nr = before->nr_blocks - min_u64(before->end, before->nr_blocks),
		};

		if (logs->logs[i].nr_entries && what.nr)
			ret = fault(loader, &what);
	}
	return ret;
}

int cow_snaplog_load(struct snaplog_logs *logs, const struct snaplog_judge *judge,
		     struct cow_exmap *map, struct cow_err *err)
{
	struct loader loader = { .logs = logs, .judge = judge, .map = map, .err = err };
	int ret = 0;

	for (size_t i = 0; !ret && i < logs->nr_logs; i++) {
		struct cow_exmap *values = NULL;

		ret = cow_snaplog_load_values(logs, i, judge, map, &values, err);
		cow_exmap_free(values);
	}
	if (!ret)
		ret = cow_exmap_seal(map, on_two_logs, &loader, err);
	return ret ? ret : order_judge(&loader);
}
