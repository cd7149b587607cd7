/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_repair.c - new metadata of a pool from damaged ones, on an image of their own.
 * The old ones are only read. Nothing is decided by the space maps: they follow from the
 * trees, so leaks are freed and counts are right. A device of which something cannot be
 * read keeps the rest, and what is gone is told. Everything is read and decided before
 * the first write (I7).
 */
#include "libcow/store/thin/repair/thin_repair_orphans.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"

/* ---------------------------------------------------------------- findings */

static int findings_read(struct thin_repair *repair, struct cow_err *err)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	int ret;

	callbacks.user = &repair->consent;
	callbacks.finding = cow_consent_finding;
	ret = cow_report_new(&callbacks, UINT64_MAX, &repair->report, err);
	params.callbacks = repair->params->callbacks;
	return ret ? ret : cow_thin_check(repair->args, &params, repair->report, &verdict, err);
}

/* ---------------------------------------------------------------- the superblock */

static int damage_refuse(const struct thin_repair *repair, const char *why, struct cow_err *err)
{
	return cow_refuse(err, -EBADMSG, "damaged", NULL, "%s: %s", repair->metadata->name, why);
}

static bool super_is_lost(const uint8_t *raw)
{
	struct pdata_fault fault;

	cow_pdata_block_check(&cow_thin_super_type, 0, raw, &fault);
	return fault.what == PDATA_BLOCK_CHECKSUM || is_all_zero(raw, PDATA_BLOCK_BYTES);
}

static int block_size_find(struct thin_repair *repair, struct cow_err *err)
{
	uint64_t given = repair->wanted.block_sectors;

	if (!given && repair->args->chunk_bytes)
		given = bytes_to_sectors(repair->args->chunk_bytes);
	if (cow_thin_block_ok(repair->super.block_sectors) &&
	    (!given || given == repair->super.block_sectors))
		return 0;
	if (!cow_thin_block_ok(given))
		return cow_refuse(
			err, -EBADMSG, "table", NULL,
			"the block size of the pool is lost: --chunk-size or --table must "
			"say it");
	if (cow_thin_block_ok(repair->super.block_sectors))
		return cow_refuse(err, -EBADMSG, "table", NULL,
				  "the superblock says blocks of %" PRIu32
				  " sectors, the caller says %" PRIu64,
				  repair->super.block_sectors, given);
	repair->super.block_sectors = (uint32_t)given;
	return 0;
}

static uint64_t data_blocks(const struct thin_repair *repair)
{
	uint64_t block_bytes = sectors_to_bytes(repair->super.block_sectors);

	/* super_find() has seen to that */
	return block_bytes ? repair->data->size_bytes / block_bytes : 0;
}

/* No mapping is given up because of a size that is stated wrongly. */
static int data_size_find(struct thin_repair *repair, struct cow_err *err)
{
	struct pdata_map_root *map = &repair->super.data_map;

	if (repair->data)
		map->nr_blocks = max_u64(map->nr_blocks, data_blocks(repair));
	if (map->nr_blocks && map->nr_blocks <= THIN_DATA_BLOCKS_MAX)
		return 0;
	return damage_refuse(repair, "the superblock states a size that no data device has", err);
}

/* The pool ends with the data device, if nothing is mapped behind that. */
static void data_size_settle(struct thin_repair *repair)
{
	struct pdata_map_root *map = &repair->super.data_map;
	uint64_t block;

	if (!repair->data || map->nr_blocks <= data_blocks(repair) || !data_blocks(repair) ||
	    cow_pdata_counts_next(repair->data_counts, data_blocks(repair), &block))
		return;
	map->nr_blocks = data_blocks(repair);
	repair->result->nr_mended++;
	repair->result->nr_left--;
}

static int super_find(struct thin_repair *repair, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	int ret = cow_thin_super_read(repair->metadata, raw, err);

	if (ret == -EIO || (!ret && super_is_lost(raw)))
		return cow_thin_repair_super(repair, ret ? NULL : raw, err);
	if (ret)
		return ret;
	cow_thin_super_decode(raw, &repair->super);
	if (repair->super.incompat_flags || repair->super.compat_ro_flags)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "the superblock of %s asks for features that are not known",
				  repair->metadata->name);
	ret = block_size_find(repair, err);
	return ret ? ret : data_size_find(repair, err);
}

/* ---------------------------------------------------------------- all of it */

/* A mapping that is younger than the pool says that the time of the pool is lost, if a
 * device took part in a snapshot after it, too. Else it is the mapping that is wrong. */
static void time_find(struct thin_repair *repair)
{
	uint32_t time = repair->super.time;

	for (size_t i = 0; i < repair->list.nr_devices; i++) {
		const struct thin_details *details = &repair->list.devices[i].details;

		if (repair->list.devices[i].has_details && details->snapshotted_time > time &&
		    details->snapshotted_time <= THIN_TIME_MAX)
			time = details->snapshotted_time;
	}
	if (thin_repair_count(repair, THIN_TIME_FUTURE))
		repair->super.time = time;
	if (repair->super.time > THIN_TIME_MAX)
		repair->super.time = THIN_TIME_MAX;
}

static int list_make(struct thin_repair *repair, struct cow_err *err)
{
	struct thin_check *list = &repair->list;
	uint64_t nr_blocks;
	int ret;

	list->args = repair->args;
	list->metadata = repair->metadata;
	list->super = repair->super;
	ret = cow_pdata_blocks_new(repair->metadata, 0, &list->blocks, err);
	if (ret)
		return ret;
	nr_blocks = cow_pdata_blocks_nr(list->blocks);
	ret = cow_pdata_counts_new(nr_blocks, &list->counts, err);
	if (!ret)
		ret = cow_thin_check_held(list, err);
	return ret ? ret : cow_thin_check_devices(list, err);
}

static int trees_salvage(struct thin_repair *repair, struct cow_err *err)
{
	const struct thin_check *list = &repair->list;
	int ret = cow_thin_salvage_new(repair->patched ? repair->patched : repair->metadata,
				       repair->super.data_map.nr_blocks, repair->super.time,
				       &repair->salvage, err);

	for (uint64_t block = 0; !ret && cow_pdata_counts_next(list->counts, block, &block);
	     block++)
		cow_thin_salvage_exclude(repair->salvage, block);
	for (size_t i = 0; !ret && i < list->nr_devices; i++)
		if (list->devices[i].has_root)
			ret = cow_thin_salvage_tree(repair->salvage, list->devices[i].root, err);
	return ret;
}

static int orphans_take(struct thin_repair *repair, bool *ret_has_adopted, struct cow_err *err)
{
	struct orphans orphans = { .repair = repair };
	int ret = cow_thin_orphans_find(&orphans, err);

	if (!ret)
		ret = cow_thin_orphans_adopt(&orphans, err);
	*ret_has_adopted = orphans.has_adopted;
	repair->patched = orphans.patched;
	cow_thin_orphans_free(&orphans);
	return ret;
}

/* Something of a device is gone: perhaps only the node that leads there. */
static int lost_find(struct thin_repair *repair, struct cow_err *err)
{
	struct thin_check *list = &repair->list;
	bool has_lost = false;
	int ret;

	for (size_t i = 0; i < list->nr_devices; i++) {
		struct thin_device *device = &list->devices[i];

		device->is_damaged = !cow_thin_repair_is_whole(repair, device);
		if (device->has_root)
			device->nr_mapped =
				cow_thin_salvage_info(repair->salvage, device->root)->nr;
		has_lost |= device->is_damaged;
	}
	/* What the metadata snapshot counts must be known, too. */
	if (!has_lost || (repair->super.held_root && !list->has_held))
		return 0;
	ret = orphans_take(repair, &has_lost, err);
	if (ret || !has_lost)
		return ret;
	cow_thin_salvage_free(take_ptr(repair->salvage));
	return trees_salvage(repair, err);
}

static int target_check(const struct thin_repair *repair, struct cow_err *err)
{
	const struct cow_image *target = repair->params->target;

	if (target->size_bytes >= floor_to(repair->metadata->size_bytes, PDATA_BLOCK_BYTES))
		return 0;
	return cow_refuse(err, -ERANGE, "size", NULL,
			  "%s has %" PRIu64 " bytes, the metadata %" PRIu64, target->name,
			  target->size_bytes, repair->metadata->size_bytes);
}

static int rebuild(struct thin_repair *repair, struct cow_err *err)
{
	int ret = list_make(repair, err);

	if (!ret) {
		time_find(repair);
		ret = trees_salvage(repair, err);
	}
	if (!ret)
		ret = lost_find(repair, err);
	if (!ret)
		ret = cow_thin_repair_devices(repair, err);
	if (!ret)
		ret = cow_thin_repair_times(repair, err);
	if (ret)
		return ret;
	repair->old_data_map = repair->super.data_map;
	data_size_settle(repair);
	ret = cow_thin_repair_doubt(repair, err);
	if (ret)
		return ret;
	repair->rebuild.source = repair->salvage->overlay;
	repair->rebuild.target = repair->params->target;
	repair->rebuild.callbacks = repair->params->callbacks;
	repair->rebuild.super = repair->super;
	repair->rebuild.super.flags = 0;
	repair->rebuild.super.magic = THIN_MAGIC;
	repair->rebuild.super.version = THIN_VERSION_MAX;
	repair->rebuild.super.metadata_block_sectors = PDATA_BLOCK_BYTES / COW_SECTOR_BYTES;
	ret = cow_thin_rebuild(&repair->rebuild, err);
	if (!ret)
		ret = cow_thin_repair_tell(repair, err);
	if (!ret)
		cow_thin_repair_doubt_tell(repair);
	return ret;
}

static void repair_free(struct thin_repair *repair)
{
	cow_thin_salvage_free(repair->salvage);
	cow_image_close(repair->patched);
	free(repair->doubts);
	cow_pdata_counts_free(repair->data_counts);
	cow_pdata_counts_free(repair->list.counts);
	cow_pdata_blocks_free(repair->list.blocks);
	free(repair->list.devices);
	free(repair->list.held_roots);
	free(repair->rebuild.devices);
	cow_report_free(repair->report);
}

static int repair_run(struct thin_repair *repair, struct cow_err *err)
{
	int ret = cow_thin_args_read(repair->args, &repair->wanted, err);

	if (!ret)
		ret = target_check(repair, err);
	if (!ret)
		ret = findings_read(repair, err);
	if (!ret)
		ret = cow_consent_check(&repair->consent, err);
	if (!ret)
		ret = super_find(repair, err);
	return ret ? ret : rebuild(repair, err);
}

int cow_thin_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
		    struct cow_repair_result *result, struct cow_err *err)
{
	struct thin_repair repair = {
		.args = args,
		.params = params,
		.result = result,
		.consent = { .params = params, .result = result },
		.metadata = cow_thin_args_metadata(args),
		.data = cow_store_args_image(args, COW_ROLE_DATA, 0),
	};
	int ret;

	if (!params->target)
		return cow_fail(err, -EINVAL,
				"the metadata of a pool are repaired into an image of their own: "
				"none was given");
	if (!repair.metadata)
		return cow_fail(err, -EINVAL, "a pool needs its metadata");
	ret = repair_run(&repair, err);
	if (ret) {
		result->nr_left += result->nr_mended;
		result->nr_mended = 0;
	}
	if (result->nr_lost || result->nr_doubtful)
		result->nr_lossy = result->nr_mended;
	repair_free(&repair);
	return ret;
}
