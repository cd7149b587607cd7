/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_check.c - what is wrong with a pool, and what the kernel would do with it.
 * Works on metadata that cannot be opened; never writes (I10). The order of the
 * superblock's rules is the kernel's: source: drivers/md/dm-thin-metadata.c,
 * __superblock_all_zeroes(), sb_check(), __open_metadata(), Linux 6.1.
 *
 * The verdict says that views are right only where every block that a view depends on
 * was read and is sound.
 */
#include "libcow/store/thin/check/thin_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"

/* ---------------------------------------------------------------- findings */

static void finding_add(struct thin_check *check, enum thin_problem number,
			const struct finding_place *place, const char *sentence)
{
	const struct thin_problem_row *row = cow_thin_problem_row(number);

	check->found[number] = true;
	if (row->problem.klass >= COW_CLASS_DAMAGE)
		check->is_damaged = true;
	if (row->kernel > check->kernel)
		check->kernel = row->kernel;
	check->writes = check->writes > cow_thin_problem_writes(number)
				? check->writes
				: cow_thin_problem_writes(number);
	cow_report_add(check->report, &row->problem, place, "%s", sentence);
}

void cow_thin_check_add(struct thin_check *check, enum thin_problem number, uint64_t block,
			const char *format, ...)
{
	struct finding_place place = { .image = check->metadata, .offset_bytes = COW_OFFSET_NONE };
	char sentence[COW_ERR_MESSAGE_BYTES];
	va_list args;

	if (block < check->metadata->size_bytes / PDATA_BLOCK_BYTES) {
		place.offset_bytes = block * PDATA_BLOCK_BYTES;
		place.len_bytes = PDATA_BLOCK_BYTES;
		place.chunk_bytes = PDATA_BLOCK_BYTES;
	}
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	finding_add(check, number, &place, sentence);
}

void cow_thin_check_add_data(struct thin_check *check, enum thin_problem number, uint64_t block,
			     const char *format, ...)
{
	uint64_t block_bytes = sectors_to_bytes(check->super.block_sectors), offset_bytes;
	struct finding_place place = { .image = check->data, .offset_bytes = COW_OFFSET_NONE };
	char sentence[COW_ERR_MESSAGE_BYTES];
	va_list args;

	if (check->data && !mul_overflows(block, block_bytes, &offset_bytes) &&
	    range_fits(offset_bytes, block_bytes, check->data->size_bytes)) {
		place.offset_bytes = offset_bytes;
		place.len_bytes = block_bytes;
		place.chunk_bytes = block_bytes;
	}
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	finding_add(check, number, &place, sentence);
}

/* ---------------------------------------------------------------- superblock */

static void features_check(struct thin_check *check)
{
	const struct thin_super *super = &check->super;

	if (super->incompat_flags)
		cow_thin_check_add(check, THIN_SUPERBLOCK_FEATURES, 0, "incompat flags %#" PRIx32,
				   super->incompat_flags);
	if (super->compat_ro_flags)
		cow_thin_check_add(check, THIN_SUPERBLOCK_READ_ONLY, 0, "compat_ro flags %#" PRIx32,
				   super->compat_ro_flags);
	if (!super->version || super->version > THIN_VERSION_MAX || super->compat_flags ||
	    super->flags & ~THIN_FLAG_NEEDS_CHECK || super->metadata_block_sectors != 8)
		cow_thin_check_add(check, THIN_SUPERBLOCK_UNUSED, 0,
				   "version %" PRIu32 ", flags %#" PRIx32 ", compat flags %#" PRIx32
				   ", metadata blocks of %" PRIu32 " sectors",
				   super->version, super->flags, super->compat_flags,
				   super->metadata_block_sectors);
	if (super->flags & THIN_FLAG_NEEDS_CHECK)
		cow_thin_check_add(
			check, THIN_NEEDS_CHECK, 0,
			"the flag needs_check is set: something failed while the pool was "
			"in use");
}

/* false: nothing in it can be believed. */
static bool super_check(struct thin_check *check, const uint8_t *raw)
{
	struct pdata_fault fault;

	cow_pdata_block_check(&cow_thin_super_type, 0, raw, &fault);
	if (check->super.magic != THIN_MAGIC)
		cow_thin_check_add(check, THIN_SUPERBLOCK_MAGIC, 0,
				   "%#" PRIx64 " at byte 32, the magic number is %#" PRIx64,
				   check->super.magic, THIN_MAGIC);
	if (fault.what == PDATA_BLOCK_CHECKSUM) {
		cow_thin_check_add(check, THIN_SUPERBLOCK_CHECKSUM, 0,
				   "checksum %#" PRIx64 " at byte 0, the bytes give %#" PRIx64,
				   fault.found, fault.allowed);
		return false;
	}
	if (fault.what == PDATA_BLOCK_NUMBER)
		cow_thin_check_add(check, THIN_SUPERBLOCK_NUMBER, 0,
				   "block number %" PRIu64 " at byte 8, it must be 0", fault.found);
	if (!cow_thin_block_ok(check->super.block_sectors))
		cow_thin_check_add(check, THIN_SUPERBLOCK_BLOCK_SIZE, 0,
				   "blocks of %" PRIu32
				   " sectors: allowed are multiples of 128 up to 2097152",
				   check->super.block_sectors);
	features_check(check);
	return cow_thin_block_ok(check->super.block_sectors);
}

/* ---------------------------------------------------------------- table and images */

static void wanted_check(struct thin_check *check)
{
	const struct thin_args *wanted = &check->wanted;

	if (wanted->block_sectors && wanted->block_sectors != check->super.block_sectors)
		cow_thin_check_add(check, THIN_TABLE_MISMATCH, 0,
				   "the superblock says blocks of %" PRIu32
				   " sectors, the table says %" PRIu64,
				   check->super.block_sectors, wanted->block_sectors);
	if (thin_is_behind(wanted, &check->super))
		cow_thin_check_add(check, THIN_MESSAGE_PENDING, 0,
				   "transaction %" PRIu64 " in the pool, %" PRIu64
				   " in LVM, which will tell the pool",
				   check->super.transaction_id, wanted->transaction_id);
	else if (wanted->has_transaction && wanted->transaction_id != check->super.transaction_id)
		cow_thin_check_add(check, THIN_TRANSACTION, 0,
				   "transaction %" PRIu64 " in the pool, %" PRIu64 " in LVM",
				   check->super.transaction_id, wanted->transaction_id);
}

/* A device that is larger is grown by the kernel, one that is smaller refused. */
static void size_check(struct thin_check *check, const struct cow_image *image, uint64_t unit_bytes,
		       uint64_t nr_blocks, enum thin_problem too_short)
{
	uint64_t nr = image->size_bytes / unit_bytes;

	if (nr < nr_blocks)
		cow_thin_check_add(check, too_short, COW_OFFSET_NONE,
				   "%s has %" PRIu64 " blocks of %" PRIu64
				   " bytes, the pool has %" PRIu64,
				   image->name, nr, unit_bytes, nr_blocks);
	else if (nr > nr_blocks && (too_short == THIN_DATA_SHORT || nr_blocks < PDATA_BLOCKS_MAX))
		cow_thin_check_add(check, THIN_MAP_SIZE, COW_OFFSET_NONE,
				   "%s has %" PRIu64 " blocks of %" PRIu64
				   " bytes, the pool uses %" PRIu64 " of them",
				   image->name, nr, unit_bytes, nr_blocks);
}

static void sizes_check(struct thin_check *check)
{
	size_check(check, check->metadata, PDATA_BLOCK_BYTES, check->super.metadata_map.nr_blocks,
		   THIN_METADATA_SHORT);
	if (check->data)
		size_check(check, check->data, sectors_to_bytes(check->super.block_sectors),
			   check->super.data_map.nr_blocks, THIN_DATA_SHORT);
}

/* ---------------------------------------------------------------- all of it */

int cow_thin_check_held(struct thin_check *check, struct cow_err *err)
{
	uint64_t block = check->super.held_root;
	struct pdata_fault fault;
	const uint8_t *raw = NULL;
	char text[PDATA_FAULT_TEXT_BYTES];
	int ret;

	if (!block)
		return 0;
	ret = cow_pdata_block_read(check->blocks, &cow_thin_super_type, block, &raw, &fault, err);
	if (ret)
		return ret;
	if (fault.what) {
		cow_pdata_fault_text(&fault, "superblock of the metadata snapshot, block", text);
		cow_thin_check_add(check, THIN_HELD_ROOT, block, "%s", text);
		check->has_hidden = true;
		return 0;
	}
	cow_thin_super_decode(raw, &check->held);
	check->has_held = true;
	cow_thin_check_add(check, THIN_HELD, block,
			   "a metadata snapshot, its superblock in block %" PRIu64, block);
	return cow_pdata_counts_add(check->counts, block, 1, err);
}

/* Blocks are counted that no mapping accounts for: there were other mappings. */
static bool has_stray_counts(const struct thin_check *check)
{
	return check->found[THIN_DATA_LEAKED] || check->found[THIN_DATA_COUNTED_HIGH];
}

static void mappings_check(struct thin_check *check)
{
	if (!check->found[THIN_MAPPED_BLOCKS] || !has_stray_counts(check))
		return;
	for (size_t i = 0; i < check->nr_devices; i++) {
		struct thin_device *device = &check->devices[i];

		if (device->is_damaged || device->details.mapped_blocks == device->nr_mapped)
			continue;
		device->is_damaged = true;
		cow_thin_check_add(check, THIN_MAPPING_LOST, COW_OFFSET_NONE,
				   "device %" PRIu64 " has %" PRIu64
				   " mappings and should have %" PRIu64
				   ", and data blocks are counted that nothing maps",
				   device->id, device->nr_mapped, device->details.mapped_blocks);
	}
}

static bool has_device(const struct thin_check *check, uint64_t id)
{
	size_t low = 0, high = check->nr_devices;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (check->devices[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < check->nr_devices && check->devices[low].id == id;
}

static void named_check(struct thin_check *check)
{
	const struct thin_args *wanted = &check->wanted;

	/* the list tells it, too */
	if (wanted->has_id && !wanted->volumes && !check->has_hidden &&
	    !has_device(check, wanted->id))
		cow_thin_check_add(check, THIN_DEVICE_MISSING, COW_OFFSET_NONE,
				   "device %" PRIu64 " is not in the pool, which has %zu devices",
				   wanted->id, check->nr_devices);
}

static bool is_listed(const struct thin_check *check, uint64_t id)
{
	const char *at = check->wanted.volumes;
	uint64_t listed;

	while (cow_thin_volumes_next(&at, &listed))
		if (listed == id)
			return true;
	return false;
}

/* The ids that LVM has, against those of the pool. */
static void volumes_check(struct thin_check *check)
{
	const char *at = check->wanted.volumes;
	uint64_t id;

	while (at && cow_thin_volumes_next(&at, &id))
		if (!has_device(check, id) && !check->has_hidden &&
		    !thin_is_behind(&check->wanted, &check->super))
			cow_thin_check_add(check, THIN_DEVICE_MISSING, COW_OFFSET_NONE,
					   "LVM has a volume with device %" PRIu64
					   ", which is not in the pool",
					   id);
	for (size_t i = 0; check->wanted.volumes && i < check->nr_devices; i++)
		if (!is_listed(check, check->devices[i].id))
			cow_thin_check_add(check, THIN_DEVICE_UNLISTED, COW_OFFSET_NONE,
					   "no volume of LVM has device %" PRIu64,
					   check->devices[i].id);
}

static void room_check(struct thin_check *check)
{
	uint64_t nr_blocks = check->super.metadata_map.nr_blocks;
	uint64_t reserve = thin_metadata_reserve(nr_blocks);

	if (check->has_hidden || nr_blocks - min_u64(check->nr_used, nr_blocks) > reserve)
		return;
	cow_thin_check_add(check, THIN_METADATA_FULL, COW_OFFSET_NONE,
			   "%" PRIu64 " of %" PRIu64
			   " blocks are in use, and the kernel keeps %" PRIu64 " of them back",
			   check->nr_used, nr_blocks, reserve);
}

static int trees_check(struct thin_check *check, struct cow_err *err)
{
	uint64_t nr_blocks = cow_pdata_blocks_nr(check->blocks);
	int ret = cow_pdata_counts_new(nr_blocks, &check->counts, err);

	cow_pages_init(&check->below, nr_blocks * 8);
	if (!ret)
		ret = cow_pdata_counts_new(
			min_u64(check->super.data_map.nr_blocks, THIN_DATA_BLOCKS_MAX),
			&check->data_counts, err);
	if (!ret)
		ret = cow_pdata_counts_add(check->counts, 0, 1, err);
	if (!ret)
		ret = cow_thin_check_held(check, err);
	if (!ret)
		ret = cow_thin_check_devices(check, err);
	if (!ret)
		ret = cow_thin_check_mappings(check, err);
	if (!ret)
		ret = cow_thin_check_mapped(check, err);
	if (!ret)
		ret = cow_thin_check_maps(check, err);
	if (!ret)
		ret = cow_thin_check_shared(check, err);
	if (ret)
		return ret;
	mappings_check(check);
	named_check(check);
	volumes_check(check);
	room_check(check);
	return 0;
}

struct nodes {
	uint64_t nr;
};

static int node_count(void *user, size_t index, const uint8_t *raw, const struct pdata_fault *fault,
		      struct cow_err *err)
{
	(void)index;
	(void)err;
	((struct nodes *)user)->nr += raw && !fault->what;
	return 0;
}

/* Where the superblock is lost: is anything of a pool on the device? */
static int lost_check(struct thin_check *check, uint64_t *ret_nr, struct cow_err *err)
{
	uint64_t nr_blocks = cow_pdata_blocks_nr(check->blocks);
	/* bounded: PDATA_BLOCKS_MAX */
	AUTO_FREE uint32_t *numbers = reallocarray(NULL, (size_t)nr_blocks, sizeof(*numbers));
	struct nodes nodes = { 0 };
	int ret;

	if (!numbers)
		return cow_fail(err, -ENOMEM, "no memory to look through the metadata");
	for (uint64_t i = 0; i < nr_blocks; i++)
		numbers[i] = (uint32_t)i;
	ret = cow_pdata_blocks_each(check->blocks, &cow_pdata_node_type, numbers, (size_t)nr_blocks,
				    node_count, &nodes, err);
	if (!ret && nodes.nr)
		cow_thin_check_add(check, THIN_TREE_CANDIDATE, COW_OFFSET_NONE,
				   "%" PRIu64 " nodes of trees are on the device", nodes.nr);
	*ret_nr = nodes.nr;
	return ret;
}

/* Without magic number, checksum and trees it is the metadata of nothing. */
static int garbage_check(struct thin_check *check, struct cow_err *err)
{
	uint64_t nr = 0;
	int ret = lost_check(check, &nr, err);

	if (ret || nr || check->super.magic == THIN_MAGIC)
		return ret;
	return cow_refuse(err, -EMEDIUMTYPE, "not-a-store", NULL,
			  "%s is not the metadata of a pool: no superblock is in block 0, and no "
			  "tree is on it",
			  check->metadata->name);
}

static int zero_check(struct thin_check *check, bool header_only, struct cow_err *err)
{
	uint64_t nr;

	cow_thin_check_add(check, THIN_SUPERBLOCK_ZERO, 0, "block 0 of the metadata is all zeros");
	return header_only ? 0 : lost_check(check, &nr, err);
}

static void info_fill(const struct thin_check *check, struct cow_store_info *info)
{
	uint64_t block_sectors = check->super.block_sectors;
	bool is_whole = !check->has_hidden;

	info->kind = cow_store_thin_ops.name;
	info->valid = true;
	info->chunk_bytes = sectors_to_bytes(block_sectors);
	info->nr_exceptions = check->nr_entries;
	info->nr_snapshots = check->nr_devices;
	info->allocated_sectors =
		(is_whole ? check->nr_data_used : check->super.data_map.nr_allocated) *
		block_sectors;
	info->total_sectors = check->super.data_map.nr_blocks * block_sectors;
	info->metadata_sectors =
		(is_whole ? check->nr_used : check->super.metadata_map.nr_allocated) *
		(PDATA_BLOCK_BYTES / COW_SECTOR_BYTES);
	info->units = "blocks";
	info->title = "thin device";
	info->held = "mapped";
}

static int check_run(struct thin_check *check, bool header_only, struct cow_verdict *verdict,
		     struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	uint64_t nr;
	int ret = cow_thin_super_read(check->metadata, raw, err);

	if (ret == -EIO) {
		cow_thin_check_add(check, THIN_SUPERBLOCK_UNREADABLE, 0,
				   "block 0 of the metadata cannot be read");
		return lost_check(check, &nr, err);
	}
	if (ret)
		return ret;
	if (is_all_zero(raw, sizeof(raw)))
		return zero_check(check, header_only, err);
	cow_thin_super_decode(raw, &check->super);
	if (!super_check(check, raw))
		return header_only ? 0 : garbage_check(check, err);
	wanted_check(check);
	if (header_only)
		return 0;
	sizes_check(check);
	ret = trees_check(check, err);
	if (ret)
		return ret;
	verdict->known = true;
	info_fill(check, &verdict->info);
	return 0;
}

static void verdict_draw(const struct thin_check *check, bool header_only,
			 struct cow_verdict *verdict)
{
	enum thin_kernel kernel = check->kernel;

	verdict->valid = true;
	verdict->header_only = header_only;
	verdict->needs_target = true;
	verdict->target_bytes = max_u64(floor_to(check->metadata->size_bytes, PDATA_BLOCK_BYTES),
					THIN_METADATA_BYTES_MIN);
	verdict->wiped = kernel == THIN_KERNEL_WIPES;
	verdict->kernel_loads = kernel != THIN_KERNEL_REFUSES;
	verdict->kernel_writes = verdict->kernel_loads ? check->writes : COW_KERNEL_WRITES_WORK;
	verdict->view_right = kernel < THIN_KERNEL_MISREADS && verdict->known && !header_only;
	/* a block is mapped once too often, and another one once too seldom */
	if (check->found[THIN_DATA_COUNTED_LOW] && has_stray_counts(check))
		verdict->view_right = false;
	verdict->merge_right = verdict->view_right && !check->is_damaged;
	if (header_only && check->super.block_sectors)
		verdict->info.chunk_bytes = sectors_to_bytes(check->super.block_sectors);
}

static void devices_tell(const struct thin_check *check, const struct cow_check_params *params)
{
	uint64_t block_bytes = sectors_to_bytes(check->super.block_sectors), key;
	bool found;

	for (size_t i = 0; params->snapshot && i < check->nr_devices; i++) {
		const struct thin_device *device = &check->devices[i];
		const struct pdata_tree tree = { check->blocks, device->root, 8 };
		struct cow_snapshot snapshot = {
			.size = sizeof(snapshot),
			.id = device->id,
			.nr_mapped = device->nr_mapped,
			.nr_exclusive = device->nr_exclusive,
			.transaction_id = device->details.transaction_id,
			.created = device->details.creation_time,
			.snapshotted = device->details.snapshotted_time,
			.is_damaged = device->is_damaged,
		};

		if (device->is_damaged && device->has_details &&
		    device->details.mapped_blocks > device->nr_mapped)
			snapshot.nr_lost = device->details.mapped_blocks - device->nr_mapped;
		if (device->has_root &&
		    !cow_pdata_tree_prev(&tree, UINT64_MAX, &key, NULL, &found, NULL) && found &&
		    !mul_overflows(key, block_bytes, &snapshot.end_bytes) &&
		    add_overflows(snapshot.end_bytes, block_bytes, &snapshot.end_bytes))
			snapshot.end_bytes = 0;
		params->snapshot(params->callbacks ? params->callbacks->user : NULL, &snapshot);
	}
}

static void check_free(struct thin_check *check)
{
	cow_pdata_counts_free(check->counts);
	cow_pdata_counts_free(check->data_counts);
	cow_pdata_counts_free(check->live_counts);
	cow_pdata_blocks_free(check->blocks);
	cow_pages_destroy(&check->below);
	free(check->devices);
	free(check->held_roots);
	free(check->leaves);
	free(check->runs);
}

static int all_check(const struct cow_store_args *args, const struct cow_check_params *params,
		     struct cow_report *report, struct cow_verdict *verdict,
		     struct thin_counts *counts, struct cow_err *err)
{
	struct thin_check check = {
		.args = args,
		.callbacks = params->callbacks,
		.metadata = cow_thin_args_metadata(args),
		.data = cow_store_args_image(args, COW_ROLE_DATA, 0),
		.report = report,
	};
	bool header_only = params->flags & COW_CHECK_HEADER_ONLY;
	int ret = cow_thin_args_read(args, &check.wanted, err);

	if (ret)
		return ret;
	if (!check.metadata)
		return cow_fail(err, -EINVAL, "a pool needs its metadata");
	if (check.metadata->size_bytes < PDATA_BLOCK_BYTES)
		return cow_fail(err, -EMEDIUMTYPE, "%s is too short for the metadata of a pool",
				check.metadata->name);
	/* Only a device that was named may be missing. */
	check.wanted.has_id = cow_store_args_value(args, THIN_KEY_ID);
	ret = cow_pdata_blocks_new(check.metadata, 0, &check.blocks, err);
	if (!ret)
		ret = check_run(&check, header_only, verdict, err);
	if (!ret)
		verdict_draw(&check, header_only, verdict);
	if (!ret)
		devices_tell(&check, params);
	if (!ret && counts) {
		counts->metadata = take_ptr(check.counts);
		counts->data = take_ptr(check.data_counts);
	}
	check_free(&check);
	return ret;
}

int cow_thin_check(const struct cow_store_args *args, const struct cow_check_params *params,
		   struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err)
{
	return all_check(args, params, report, verdict, NULL, err);
}

int cow_thin_check_counts(const struct cow_store_args *args, struct cow_report *report,
			  struct thin_counts *ret_counts, struct cow_err *err)
{
	const struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;

	return all_check(args, &params, report, &verdict, ret_counts, err);
}
