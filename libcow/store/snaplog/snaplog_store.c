/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_store.c - a snapshot device of 2001 without its driver: open, facts, the
 * map. Opening reads only (I10): bitmap and map of every log. The format has no
 * header: an image is never taken for a log by its look, and the geometry must be
 * given as a whole. A wrong one is noticed by the rules that entries break.
 *
 * Source: the driver's posting of May 2001 (version 0.5.0-take6), as it was meant;
 * cow-snaplog(5) says where it does something else.
 */
#include "libcow/store/snaplog/snaplog_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/digest.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"

/* ---------------------------------------------------------------- geometry */

uint32_t cow_snaplog_keys_missing(const struct snaplog_geometry *geometry, uint32_t given)
{
	uint32_t missing = SNAPLOG_ALL_KEYS & ~given;

	return geometry->has_sector_keys ? missing : missing & ~(1u << SNAPLOG_KEY_COUNT);
}

int cow_snaplog_keys_refuse(uint32_t missing, struct cow_err *err)
{
	char names[SNAPLOG_TEXT_BYTES] = "";
	size_t at = 0;

	if (!missing)
		return 0;
	for (enum snaplog_key key = 0; key < SNAPLOG_NR_KEYS; key++)
		if (missing & 1u << key)
			at += (size_t)snprintf(names + at, sizeof(names) - at,
					       "%s%s=", at ? ", " : "", cow_snaplog_key_name(key));
	return cow_refuse(err, -EINVAL, "geometry", NULL,
			  "the logs do not record their geometry, and %s was not given; snapcheck "
			  "finds out what the images tell",
			  names);
}

static int geometry_open(struct snaplog_store *p, const struct cow_store_args *args,
			 struct cow_err *err)
{
	struct snaplog_geometry *geometry = &p->logs.geometry;
	uint64_t source_bytes = p->store.origin->size_bytes;
	uint32_t given;
	int ret = cow_snaplog_geometry_read(args, geometry, &given, err);

	if (!ret)
		ret = cow_snaplog_keys_refuse(cow_snaplog_keys_missing(geometry, given), err);
	if (ret)
		return ret;
	if (!geometry->count)
		geometry->count = cow_snaplog_geometry_keys(geometry, source_bytes);
	ret = cow_snaplog_geometry_lay_out(geometry, source_bytes, err);
	if (ret || !args->chunk_bytes || args->chunk_bytes == geometry->block_bytes)
		return ret;
	return cow_refuse(err, -EINVAL, "chunk-size", NULL,
			  "the geometry says blocks of %" PRIu64 " bytes, the option says %" PRIu64,
			  geometry->block_bytes, args->chunk_bytes);
}

/* ---------------------------------------------------------------- the logs as one image */

/* Chunk numbers go on from log to log, so each counts with its whole blocks. */
static int part_open(struct snaplog_store *p, size_t log, struct cow_image **ret_image,
		     struct cow_err *err)
{
	struct cow_image *image = p->logs.logs[log].image;
	const struct cow_segment whole = { 0, p->logs.logs[log].nr_blocks * p->store.chunk_bytes };
	int ret = 0;

	*ret_image = image;
	if (whole.len_bytes == image->size_bytes || p->logs.nr_logs == 1)
		return 0;
	ret = cow_image_window_new(image, &whole, 1, &p->parts[log], err);
	if (!ret)
		*ret_image = p->parts[log];
	return ret;
}

static int data_open(struct snaplog_store *p, struct cow_err *err)
{
	size_t nr = p->logs.nr_logs;
	/* bounded: by the logs of the caller */
	AUTO_FREE struct cow_image **images =
		(struct cow_image **)calloc(nr, sizeof(struct cow_image *));
	int ret = 0;

	p->parts = (struct cow_image **)calloc(nr, sizeof(struct cow_image *));
	p->values = (struct cow_exmap **)calloc(nr, sizeof(struct cow_exmap *));
	if (!images || !p->parts || !p->values)
		return cow_fail(err, -ENOMEM, "no memory for %zu logs", nr);
	for (size_t i = 0; !ret && i < nr; i++)
		ret = part_open(p, i, &images[i], err);
	if (!ret && nr > 1)
		ret = cow_image_concat_new(images, nr, &p->joined, err);
	p->store.data = p->joined ? p->joined : images[0];
	p->store.metadata = p->store.data;
	return ret;
}

/* ---------------------------------------------------------------- opening */

void cow_snaplog_fault_say(const struct snaplog_logs *logs, const struct snaplog_fault *fault,
			   char *text, size_t text_bytes)
{
	const struct snaplog_geometry *geometry = &logs->geometry;
	const struct snaplog_log *log = &logs->logs[fault->log];
	const char *unit = geometry->has_sector_keys ? "sector" : "block";

	switch (fault->problem) {
	case SNAPLOG_BITMAP_BYTE:
		snprintf(text, text_bytes, "the byte of %s %" PRIu64 " is %#x, it is 0 or 1", unit,
			 fault->key, fault->raw);
		break;
	case SNAPLOG_EARLIER_LOG_NOT_FULL:
		snprintf(text, text_bytes,
			 "log %zu holds %" PRIu64 " blocks although log %zu has room for %" PRIu64
			 " more",
			 fault->log, log->nr_entries, fault->other_log, fault->nr);
		break;
	case SNAPLOG_HOLE:
		snprintf(text, text_bytes,
			 "nothing refers to %" PRIu64 " data blocks of log %zu from %" PRIu64
			 " on, those behind them are in use",
			 fault->nr, fault->log, fault->value);
		break;
	case SNAPLOG_KEY_BEYOND_SOURCE:
		snprintf(text, text_bytes,
			 "the bit of %s %" PRIu64
			 " is set on log %zu, the source ends with %" PRIu64,
			 unit, fault->key, fault->log, geometry->keys_end - 1);
		break;
	case SNAPLOG_KEY_MISALIGNED:
		snprintf(text, text_bytes,
			 "the bit of sector %" PRIu64 " is set on log %zu, a block begins every "
			 "%" PRIu64 " sectors",
			 fault->key, fault->log, geometry->keys_per_block);
		break;
	case SNAPLOG_LOG_SHORT:
	case SNAPLOG_LOG_SMALL:
		snprintf(text, text_bytes,
			 "log %zu has %" PRIu64 " blocks, bitmap and map take %" PRIu64, fault->log,
			 log->nr_blocks, geometry->data_base);
		break;
	case SNAPLOG_ON_TWO_LOGS:
		snprintf(text, text_bytes,
			 "%s %" PRIu64 " is on log %zu and on log %zu: that on log %zu counts",
			 unit, fault->key, fault->other_log, fault->log, fault->other_log);
		break;
	case SNAPLOG_VALUE_OUT_OF_RANGE:
		snprintf(text, text_bytes,
			 "the entry of %s %" PRIu64 " on log %zu is %" PRIu64
			 ", data blocks are %" PRIu64 " to %" PRIu64,
			 unit, fault->key, fault->log, fault->value, geometry->data_base,
			 log->nr_blocks - 1);
		break;
	default:
		snprintf(text, text_bytes,
			 "the entries of %s %" PRIu64 " and %s %" PRIu64
			 " on log %zu are both %" PRIu64,
			 unit, fault->key, unit, fault->other_key, fault->log, fault->value);
	}
}

struct opening {
	struct snaplog_store *p;
	uint32_t flags;
};

static int fault_refuse(const struct snaplog_store *p, const struct snaplog_fault *fault,
			const char *id, struct cow_err *err)
{
	char sentence[COW_ERR_MESSAGE_BYTES / 2];
	int ret;

	cow_snaplog_fault_say(&p->logs, fault, sentence, sizeof(sentence));
	ret = cow_refuse(err, -EBADMSG, id, id, "%s; run snapcheck for details", sentence);
	cow_err_place(err, p->logs.logs[fault->log].image->name, COW_OFFSET_NONE);
	return ret;
}

static int fault_at_open(void *user, const struct snaplog_fault *fault, struct cow_err *err)
{
	const struct opening *opening = (const struct opening *)user;
	struct snaplog_store *p = opening->p;

	/* a doubt: what is there can be read, and more may be missing */
	if (fault->problem == SNAPLOG_EARLIER_LOG_NOT_FULL)
		return opening->flags & COW_STORE_STRICT ? fault_refuse(p, fault, "doubtful", err)
							 : 0;
	if (cow_snaplog_problem_row(fault->problem)->problem.klass < COW_CLASS_DAMAGE)
		return 0;
	p->store.is_damaged = true;
	if (opening->flags & COW_STORE_DAMAGED && fault->problem != SNAPLOG_LOG_SHORT)
		return 0;
	if (fault->problem == SNAPLOG_LOG_SHORT)
		return cow_refuse(err, -ERANGE, "bounds", NULL,
				  "%s has %" PRIu64 " bytes, bitmap and map of this geometry alone "
				  "take %" PRIu64,
				  p->logs.logs[fault->log].image->name,
				  p->logs.logs[fault->log].image->size_bytes,
				  p->logs.geometry.data_base * p->logs.geometry.block_bytes);
	return fault_refuse(p, fault, "damaged", err);
}

static int bitmap_digest(const struct snaplog_logs *logs, size_t log, struct cow_digest *digest,
			 struct cow_err *err)
{
	uint64_t left = logs->geometry.bitmap_blocks * logs->geometry.block_bytes;
	AUTO_FREE uint8_t *buf = (uint8_t *)malloc(65536);
	int ret = buf ? 0 : cow_fail(err, -ENOMEM, "no memory for a piece of a bitmap");

	left = min_u64(left, logs->logs[log].image->size_bytes);
	for (uint64_t at = 0, len; !ret && at < left; at += len) {
		len = min_u64(left - at, 65536);
		ret = cow_image_pread(logs->logs[log].image, buf, len, at, err);
		if (!ret)
			cow_digest_update(digest, buf, len);
	}
	return ret;
}

/* The bytes of all bitmaps. */
static int bitmaps_digest(const struct snaplog_logs *logs, uint8_t ret_digest[COW_DIGEST_BYTES],
			  struct cow_err *err)
{
	struct cow_digest *digest;
	int ret = cow_digest_new(&digest, err);

	if (ret)
		return ret;
	for (size_t i = 0; !ret && i < logs->nr_logs; i++)
		ret = bitmap_digest(logs, i, digest, err);
	cow_digest_final(digest, ret_digest);
	cow_digest_free(digest);
	return ret;
}

static int logs_load(struct snaplog_store *p, uint32_t flags, struct cow_err *err)
{
	struct opening opening = { .p = p, .flags = flags };
	const struct snaplog_judge judge = { .user = &opening, .fault = fault_at_open };
	int ret = cow_exmap_new(&p->store.map, err);

	if (!ret)
		ret = cow_snaplog_load(&p->logs, &judge, p->store.map, err);
	if (!ret)
		ret = bitmaps_digest(&p->logs, p->digest, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < p->logs.nr_logs; i++) {
		const struct snaplog_log *log = &p->logs.logs[i];

		p->nr_entries += log->nr_entries;
		p->given_chunk = p->settled_chunk = log->first_chunk + log->nr_blocks;
	}
	p->nr_blocks = cow_exmap_nr_chunks(p->store.map);
	return 0;
}

static int store_load(struct snaplog_store *p, const struct cow_store_args *args,
		      struct cow_err *err)
{
	int ret = cow_snaplog_logs_init(&p->logs, args, err);

	if (!ret && !p->store.origin)
		ret = cow_fail(err, -EINVAL, "a snaplog store needs its source");
	if (!ret)
		ret = geometry_open(p, args, err);
	if (ret)
		return ret;
	p->store.chunk_bytes = p->logs.geometry.block_bytes;
	p->store.view_bytes = p->logs.source_bytes = p->store.origin->size_bytes;
	cow_snaplog_logs_measure(&p->logs);
	ret = logs_load(p, args->flags, err);
	return ret ? ret : data_open(p, err);
}

static int snaplog_open(const struct cow_store_args *args, struct cow_store **ret_store,
			struct cow_err *err)
{
	struct snaplog_store *p = (struct snaplog_store *)calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return cow_fail(err, -ENOMEM, "no memory for a store");
	p->store.ops = &cow_store_snaplog_ops;
	p->store.origin = cow_store_args_image(args, COW_ROLE_SOURCE, 0);
	p->store.target = p->store.origin;
	ret = store_load(p, args, err);
	if (ret) {
		cow_store_close(&p->store);
		return ret;
	}
	*ret_store = &p->store;
	return 0;
}

static void snaplog_close(struct cow_store *store)
{
	struct snaplog_store *p = snaplog_store_of(store);

	cow_image_close(p->joined);
	for (size_t i = 0; i < p->logs.nr_logs; i++) {
		if (p->parts)
			cow_image_close(p->parts[i]);
		if (p->values)
			cow_exmap_free(p->values[i]);
	}
	free(p->parts);
	free(p->values);
	free(p->logs.logs);
}

/* ---------------------------------------------------------------- facts */

static void snaplog_info(const struct cow_store *store, struct cow_store_info *ret_info)
{
	const struct snaplog_store *p = (const struct snaplog_store *)store;
	uint64_t block_sectors = bytes_to_sectors(store->chunk_bytes);

	ret_info->kind = store->ops->name;
	ret_info->valid = true;
	ret_info->chunk_bytes = store->chunk_bytes;
	ret_info->view_bytes = store->view_bytes;
	ret_info->nr_exceptions = p->nr_blocks;
	ret_info->metadata_sectors = p->logs.nr_logs * p->logs.geometry.data_base * block_sectors;
	ret_info->allocated_sectors =
		ret_info->metadata_sectors + (p->nr_entries - p->nr_settled) * block_sectors;
	ret_info->total_sectors = bytes_to_sectors(store->data->size_bytes);
	ret_info->units = SNAPLOG_UNITS;
	ret_info->held = SNAPLOG_HELD;
	ret_info->title = SNAPLOG_TITLE;
}

/* Second copies count: their bits are to be cleared. */
static void snaplog_moves_left(const struct cow_store *store, struct store_left *ret_left)
{
	const struct snaplog_store *p = (const struct snaplog_store *)store;
	uint64_t tail = chunk_within(store->view_bytes, store->chunk_bytes);
	struct exmap_run run;

	ret_left->nr_chunks = p->nr_entries - p->nr_settled;
	ret_left->bytes = p->nr_blocks * store->chunk_bytes;
	if (p->nr_blocks && tail && cow_exmap_prev(store->map, EXMAP_CHUNK_LIMIT, &run) &&
	    run.old_chunk + run.nr_chunks - 1 == chunk_of(store->view_bytes, store->chunk_bytes))
		ret_left->bytes -= store->chunk_bytes - tail;
}

/* Bitmap and map of each log. */
static bool snaplog_metadata_range(const struct cow_store *store, uint64_t index,
				   struct cow_segment *ret_range)
{
	const struct snaplog_store *p = (const struct snaplog_store *)store;

	if (index >= p->logs.nr_logs)
		return false;
	*ret_range = (struct cow_segment){
		p->logs.logs[index].first_chunk * store->chunk_bytes,
		p->logs.geometry.data_base * store->chunk_bytes,
	};
	return true;
}

static int snaplog_unchanged(struct cow_store *store, struct cow_err *err)
{
	struct snaplog_store *p = snaplog_store_of(store);
	uint8_t now[COW_DIGEST_BYTES];
	int ret = bitmaps_digest(&p->logs, now, err);

	if (ret || !memcmp(now, p->digest, sizeof(now)))
		return ret;
	return cow_refuse(err, -EBUSY, "changed", NULL,
			  "a bitmap has just changed: another program writes to the "
			  "logs");
}

const struct store_ops cow_store_snaplog_ops = {
	.name = "snaplog",
	.summary = "the log devices of the snapshot driver of 2001",
	.probe_role = COW_ROLE_LOG,
	.jobs = STORE_JOB_SIBLING | STORE_JOB_KEEP,
	.open = snaplog_open,
	.close = snaplog_close,
	.info = snaplog_info,
	.check = cow_snaplog_check,
	.repair = cow_snaplog_repair,
	.metadata_copy = cow_snaplog_metadata_copy,
	.moves_left = snaplog_moves_left,
	.next_moves = cow_snaplog_next_moves,
	.settle = cow_snaplog_settle,
	.rewind = cow_snaplog_rewind,
	.metadata_range = snaplog_metadata_range,
	.unchanged = snaplog_unchanged,
};
