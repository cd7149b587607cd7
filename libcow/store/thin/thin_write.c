/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_write.c - a transaction of a pool. Order (I14):
 *	1 the data device is flushed, if it was written to
 *	2 the new metadata blocks are written, where neither the committed space map nor
 *	  the check that was made at first knows of anything; flush
 *	3 block 0, one write, of which the first sector alone changes; flush
 * So a crash leaves the pool as it was before or as it is after.
 * Source: drivers/md/dm-thin-metadata.c, __commit_transaction(), Linux 6.1.
 */
#include "libcow/store/thin/thin_write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/store/thin/check/thin_check.h"
#include "libcow/store/thin/thin_problems.h"

#define UUID_OFFSET 16
#define UUID_BYTES 16

/* ---------------------------------------------------------------- begin */

static bool is_named(const char *id, const enum thin_problem *problems, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(cow_thin_problem_row(problems[i])->problem.id, id))
			return true;
	return false;
}

/* Leaks, and what says nothing about the trees and the maps: the entries of bitmaps are
 * made anew from the counts, with what they hide. */
static bool may_be_written(const char *id)
{
	static const enum thin_problem harmless[] = {
		THIN_BLOCK_LEAKED,	THIN_DATA_LEAKED, THIN_HELD,
		THIN_MAP_HIDDEN,	THIN_MAP_SIZE,	  THIN_METADATA_FULL,
		THIN_SUPERBLOCK_UNUSED,
	};

	return is_named(id, harmless, sizeof(harmless) / sizeof(harmless[0]));
}

/* The first finding that keeps the pool from being written to. */
struct objection {
	bool is_there;
	char text[300];
};

static void finding_take(void *user, const struct cow_finding *finding)
{
	struct objection *objection = (struct objection *)user;

	if (objection->is_there || may_be_written(finding->problem->id))
		return;
	objection->is_there = true;
	if (finding->offset_bytes == COW_OFFSET_NONE)
		snprintf(objection->text, sizeof(objection->text), "%s: %s", finding->problem->id,
			 finding->sentence);
	else
		snprintf(objection->text, sizeof(objection->text), "%s at byte %" PRIu64 ": %s",
			 finding->problem->id, finding->offset_bytes, finding->sentence);
}

static int pool_check(struct thin_pool *pool, struct thin_counts *counts, struct cow_err *err)
{
	const struct cow_role_image images[] = {
		{ .role = COW_ROLE_METADATA, .image = pool->metadata },
		{ .role = COW_ROLE_DATA, .image = pool->data },
	};
	struct objection objection = { .is_there = false };
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_report *report = NULL;
	int ret;

	callbacks.user = &objection;
	callbacks.finding = finding_take;
	args.kind = cow_store_thin_ops.name;
	args.images = images;
	args.nr_images = 2;
	args.snapshot_id = STORE_SNAPSHOT_NONE;
	ret = cow_report_new(&callbacks, 0, &report, err);
	if (!ret)
		ret = cow_thin_check_counts(&args, report, counts, err);
	cow_report_free(report);
	if (ret || !objection.is_there)
		return ret;
	return cow_refuse(
		err, -EBADMSG, "damaged", NULL,
		"%s is not sound, so nothing is written to it: %s; run snapcheck for details",
		pool->metadata->name, objection.text);
}

static int begin(struct thin_pool *pool, struct cow_err *err)
{
	struct thin_counts counts = { .metadata = NULL };
	int ret = pool_check(pool, &counts, err);

	if (!ret)
		ret = cow_pdata_transaction_new(pool->blocks, &pool->super.metadata_map,
						take_ptr(counts.metadata), &pool->txn, err);
	if (!ret)
		ret = cow_pdata_disk_map_new(pool->txn, &pool->super.data_map,
					     take_ptr(counts.data), &pool->data_map, err);
	cow_pdata_counts_free(counts.metadata);
	cow_pdata_counts_free(counts.data);
	return ret;
}

int cow_thin_write_begin(struct thin_pool *pool, bool keeps_reserve, struct cow_err *err)
{
	uint64_t nr_blocks = pool->super.metadata_map.nr_blocks;
	int ret = 0;

	if (pool->has_failed)
		return cow_fail(err, -EIO, "an earlier change of %s failed: open it anew",
				pool->metadata->name);
	if (!pool->txn)
		ret = begin(pool, err);
	pool->has_failed = ret;
	if (!ret)
		cow_pdata_transaction_keep_back(
			pool->txn, keeps_reserve ? thin_metadata_reserve(nr_blocks) : 0);
	return ret;
}

/* ---------------------------------------------------------------- values */

static int mapping_count(void *user, const uint8_t *value, bool is_more, struct cow_err *err)
{
	struct thin_pool *pool = (struct thin_pool *)user;

	return cow_pdata_disk_map_count(pool->data_map, thin_mapping_block(get_le64(value)),
					is_more, err);
}

static int root_count(void *user, const uint8_t *value, bool is_more, struct cow_err *err)
{
	struct thin_pool *pool = (struct thin_pool *)user;

	return is_more ? cow_pdata_block_more(pool->txn, get_le64(value), err)
		       : cow_pdata_block_less(pool->txn, get_le64(value), err);
}

struct pdata_values cow_thin_mapping_values(struct thin_pool *pool)
{
	return (struct pdata_values){ .value_size = 8, .user = pool, .count = mapping_count };
}

struct pdata_values cow_thin_root_values(struct thin_pool *pool)
{
	return (struct pdata_values){ .value_size = 8, .user = pool, .count = root_count };
}

struct pdata_values cow_thin_details_values(void)
{
	return (struct pdata_values){ .value_size = THIN_DETAILS_BYTES };
}

/* ---------------------------------------------------------------- commit */

/* What is not ours to say stays: the uuid, and everything behind the fields. */
static void super_fill(void *user, const struct pdata_map_root *map, uint8_t *sector)
{
	struct thin_pool *pool = (struct thin_pool *)user;
	uint8_t raw[PDATA_BLOCK_BYTES];

	pool->super.metadata_map = *map;
	cow_thin_super_encode(&pool->super, 0, raw);
	memcpy(raw + UUID_OFFSET, sector + UUID_OFFSET, UUID_BYTES);
	memcpy(sector, raw, THIN_SUPER_BYTES);
}

static int write_prepare(struct thin_pool *pool, struct cow_err *err)
{
	int ret = cow_pdata_disk_map_write(pool->data_map, &pool->super.data_map, err);

	return ret ? ret : cow_pdata_transaction_prepare(pool->txn, err);
}

int cow_thin_write_commit(struct thin_pool *pool, bool has_data, struct cow_err *err)
{
	int ret = write_prepare(pool, err);

	if (pool->shared.is_rehearsal)
		return ret;
	pool->has_failed = true;
	if (!ret && has_data)
		ret = cow_image_flush(pool->data, err);
	if (!ret)
		ret = cow_pdata_transaction_commit(pool->txn, &cow_thin_super_type, super_fill,
						   pool, err);
	if (!ret)
		ret = cow_thin_super_read(pool->metadata, pool->raw, err);
	if (ret)
		return ret;
	cow_pdata_disk_map_committed(pool->data_map);
	pool->has_failed = false;
	return 0;
}
