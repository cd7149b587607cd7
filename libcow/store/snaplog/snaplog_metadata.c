/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_metadata.c - copies bitmaps and maps for a report, and no data: each set
 * bit, and of the map only the entries of set bits, because the driver never
 * initialised the others. An entry that names no data block may be anything: it gives
 * way to the nearest number that breaks the same rule.
 *
 * In a wrong geometry data lies where bits are looked for. So nothing is copied if
 * so many entries are impossible that a check would doubt the geometry.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/store/snaplog/snaplog_store.h"

struct metadata_copy {
	const struct cow_callbacks *callbacks;
	struct snaplog_logs logs;
	struct cow_image *target;
	uint64_t start_bytes; /* of this log on the target */
	uint64_t nr_done;
};

/* ---------------------------------------------------------------- the geometry */

static int fault_ignore(void *user, const struct snaplog_fault *fault, struct cow_err *err)
{
	(void)user;
	(void)fault;
	(void)err;
	return 0;
}

static int geometry_judge(struct snaplog_logs *logs, struct cow_err *err)
{
	const struct snaplog_judge judge = { .fault = fault_ignore };
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	uint64_t nr_entries = 0, nr_impossible = 0;
	int ret = cow_exmap_new(&map, err);

	if (!ret)
		ret = cow_snaplog_load(logs, &judge, map, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < logs->nr_logs; i++) {
		nr_entries += logs->logs[i].nr_entries;
		nr_impossible += logs->logs[i].nr_impossible;
	}
	if (!cow_snaplog_is_doubted(nr_impossible, nr_entries))
		return 0;
	return cow_refuse(err, -EBADMSG, "geometry", NULL,
			  "%" PRIu64 " of %" PRIu64
			  " entries are impossible in this geometry: what "
			  "would be copied may be data",
			  nr_impossible, nr_impossible + nr_entries);
}

static int geometry_open(struct snaplog_logs *logs, const struct cow_store_args *args,
			 struct cow_err *err)
{
	struct snaplog_geometry *geometry = &logs->geometry;
	uint32_t given;
	int ret = cow_snaplog_geometry_read(args, geometry, &given, err);

	if (!ret)
		ret = cow_snaplog_keys_refuse(cow_snaplog_keys_missing(geometry, given), err);
	if (!ret && !geometry->count)
		geometry->count = cow_snaplog_geometry_keys(geometry, logs->source_bytes);
	if (!ret)
		ret = cow_snaplog_geometry_lay_out(geometry, logs->source_bytes, err);
	if (ret)
		return ret;
	cow_snaplog_logs_measure(logs);
	return geometry_judge(logs, err);
}

/* ---------------------------------------------------------------- copying */

static int entry_copy(struct metadata_copy *copy, const struct snaplog_entry *entry, size_t log,
		      struct cow_err *err)
{
	const struct snaplog_geometry *geometry = &copy->logs.geometry;
	uint8_t bits = geometry->has_byte_bitmap && entry->raw != 1 ? 3 : entry->raw;
	uint64_t value = entry->value, offset;
	uint8_t raw[sizeof(value)];
	int ret = cow_image_pwrite(copy->target, &bits, 1, copy->start_bytes + entry->offset_bytes,
				   err);

	if (ret || !cow_snaplog_entry_place(geometry, entry->key, &offset))
		return ret;
	if (value < geometry->data_base)
		value = 0;
	value = min_u64(value, copy->logs.logs[log].nr_blocks);
	cow_snaplog_entry_encode(geometry, value, raw);
	return cow_image_pwrite(copy->target, raw, geometry->word_bytes, copy->start_bytes + offset,
				err);
}

static int log_copy(struct metadata_copy *copy, size_t log, struct cow_err *err)
{
	const struct snaplog_log *from = &copy->logs.logs[log];
	struct snaplog_cursor cursor;
	struct snaplog_entry entry;
	bool found = true;
	int ret;

	if (from->nr_blocks < copy->logs.geometry.data_base)
		return 0;
	ret = cow_snaplog_cursor_init(&cursor, from->image, &copy->logs.geometry, err);
	while (!ret && found) {
		ret = cow_snaplog_cursor_next(&cursor, &entry, &found, err);
		if (!ret && found)
			ret = entry_copy(copy, &entry, log, err);
		if (!ret && found && ++copy->nr_done % 4096 == 0)
			ret = cow_callbacks_progress(copy->callbacks, "copy", copy->start_bytes,
						     copy->target->size_bytes, err);
	}
	cow_snaplog_cursor_destroy(&cursor);
	return ret;
}

int cow_snaplog_metadata_copy(const struct cow_store_args *args,
			      const struct cow_callbacks *callbacks, struct cow_image *target,
			      struct cow_err *err)
{
	const struct cow_image *source = cow_store_args_image(args, COW_ROLE_SOURCE, 0);
	struct metadata_copy copy = { .callbacks = callbacks, .target = target };
	int ret;

	if (!source)
		return cow_fail(err, -EINVAL, "a snaplog store needs its source");
	copy.logs.source_bytes = source->size_bytes;
	ret = cow_snaplog_logs_init(&copy.logs, args, err);
	if (!ret)
		ret = geometry_open(&copy.logs, args, err);
	for (size_t i = 0; !ret && i < copy.logs.nr_logs; i++) {
		ret = log_copy(&copy, i, err);
		copy.start_bytes += copy.logs.logs[i].image->size_bytes;
	}
	free(copy.logs.logs);
	return ret;
}
