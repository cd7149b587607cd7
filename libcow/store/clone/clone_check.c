/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_check.c - what is wrong with the metadata of a clone, and what the
 * kernel would do with it. Works on metadata that cannot be opened; never
 * writes (I10). The order of the superblock's rules is the kernel's: source:
 * drivers/md/dm-clone-metadata.c, __superblock_all_zeroes(), sb_check(),
 * __open_metadata(), Linux 6.1.
 *
 * The verdict says "right" only where every block that the view depends on was
 * read and is sound.
 */
#include "libcow/store/clone/clone_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/clone/clone_format.h"
#include "libcow/store/clone/clone_lost.h"

void cow_clone_check_kernel(struct clone_check *check, enum clone_kernel kernel)
{
	if (kernel > check->kernel)
		check->kernel = kernel;
}

void cow_clone_check_add(struct clone_check *check, enum clone_problem number, uint64_t block,
			 const char *format, ...)
{
	const struct clone_problem_row *row = cow_clone_problem_row(number);
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
	if (row->problem.klass >= COW_CLASS_DAMAGE)
		check->is_damaged = true;
	cow_clone_check_kernel(check, row->kernel);
	cow_report_add(check->report, &row->problem, &place, "%s", sentence);
}

/* ---------------------------------------------------------------- superblock */

static void unused_check(struct clone_check *check, const uint8_t *raw)
{
	if (!check->super.flags && is_all_zero(check->super.uuid, sizeof(check->super.uuid)) &&
	    is_all_zero(raw + CLONE_SUPER_BYTES, PDATA_BLOCK_BYTES - CLONE_SUPER_BYTES))
		return;
	cow_clone_check_add(check, CLONE_SUPERBLOCK_UNUSED, 0,
			    "flags, uuid or the bytes behind the superblock are not zero");
}

static void geometry_check(struct clone_check *check)
{
	const struct clone_super *super = &check->super;

	check->nr_regions = cow_clone_nr_regions(super->region_sectors, super->target_sectors);
	if (!check->nr_regions)
		cow_clone_check_add(check, CLONE_GEOMETRY, 0,
				    "regions of %" PRIu64 " sectors and a target of %" PRIu64
				    ": a region has a power of two from 8 to 2097152, and a clone "
				    "1 to 2^31 regions",
				    super->region_sectors, super->target_sectors);
}

/* false: nothing in it can be believed. */
static bool super_check(struct clone_check *check, const uint8_t *raw)
{
	struct pdata_fault fault;

	cow_pdata_block_check(&cow_clone_super_type, 0, raw, &fault);
	if (check->super.magic != CLONE_MAGIC)
		cow_clone_check_add(check, CLONE_SUPERBLOCK_MAGIC, 0,
				    "%#" PRIx64 " at byte 32, the magic number is %#" PRIx64,
				    check->super.magic, CLONE_MAGIC);
	if (fault.what == PDATA_BLOCK_CHECKSUM) {
		cow_clone_check_add(check, CLONE_SUPERBLOCK_CHECKSUM, 0,
				    "checksum %#" PRIx64 " at byte 0, the bytes give %#" PRIx64,
				    fault.found, fault.allowed);
		return false;
	}
	if (fault.what == PDATA_BLOCK_NUMBER)
		cow_clone_check_add(check, CLONE_SUPERBLOCK_NUMBER, 0,
				    "block number %" PRIu64 " at byte 8, it must be 0",
				    fault.found);
	if (check->super.version != CLONE_VERSION)
		cow_clone_check_add(check, CLONE_SUPERBLOCK_VERSION, 0,
				    "version %" PRIu32 " at byte 40, there is only version 1",
				    check->super.version);
	geometry_check(check);
	unused_check(check, raw);
	return check->nr_regions;
}

/* ---------------------------------------------------------------- table and images */

static int table_check(struct clone_check *check, struct cow_err *err)
{
	uint64_t region, target;
	int ret = cow_clone_args_table(check->args, &region, &target, err);

	if (ret)
		return ret;
	if (region && region != check->super.region_sectors)
		cow_clone_check_add(check, CLONE_TABLE_MISMATCH, 0,
				    "the superblock says regions of %" PRIu64
				    " sectors, the table says %" PRIu64,
				    check->super.region_sectors, region);
	if (target && target != check->super.target_sectors)
		cow_clone_check_add(check, CLONE_TABLE_MISMATCH, 0,
				    "the superblock says a target of %" PRIu64
				    " sectors, the table says %" PRIu64,
				    check->super.target_sectors, target);
	return 0;
}

static void image_check(struct clone_check *check, const struct cow_image *image,
			enum clone_problem problem)
{
	uint64_t target_bytes = sectors_to_bytes(check->super.target_sectors);

	if (!image || image->size_bytes >= target_bytes)
		return;
	cow_clone_check_add(check, problem, COW_OFFSET_NONE,
			    "%s has %" PRIu64 " bytes, the clone %" PRIu64, image->name,
			    image->size_bytes, target_bytes);
}

/* ---------------------------------------------------------------- all of it */

/* A commit that sets bits of one array block takes four blocks, and one more for
 * each further level of the tree. */
static void room_check(struct clone_check *check)
{
	uint64_t needed = 4 + check->height;

	if (check->has_bitset_fault || check->nr_hydrated == check->nr_regions ||
	    check->nr_free >= needed)
		return;
	if (check->super.map.nr_blocks == 8)
		cow_clone_check_add(check, CLONE_METADATA_EIGHT_BLOCKS, COW_OFFSET_NONE,
				    "%" PRIu64 " of 8 blocks are free, a commit needs %" PRIu64,
				    check->nr_free, needed);
	else
		cow_clone_check_add(check, CLONE_METADATA_FULL, COW_OFFSET_NONE,
				    "%" PRIu64 " of %" PRIu64
				    " blocks are free, a commit needs %" PRIu64,
				    check->nr_free, check->super.map.nr_blocks, needed);
}

static int trees_check(struct clone_check *check, struct cow_err *err)
{
	int ret = cow_pdata_blocks_new(check->metadata, 0, &check->blocks, err);

	if (!ret)
		ret = cow_pdata_counts_new(cow_pdata_blocks_nr(check->blocks), &check->counts, err);
	if (!ret)
		ret = cow_pdata_counts_add(check->counts, 0, 1, err);
	if (!ret)
		ret = cow_clone_check_bitset(check, err);
	if (!ret)
		ret = cow_clone_check_map(check, err);
	if (!ret)
		room_check(check);
	return ret;
}

/* Where the superblock or its tree is lost: what else is on the device.
 * *ret_nr: whole trees. */
static int lost_check(struct clone_check *check, size_t *ret_nr, struct cow_err *err)
{
	struct clone_lost lost = { .nr_regions = check->nr_regions };
	const struct clone_tree *largest;
	bool is_one_life = true;
	int ret = 0;

	if (!check->blocks)
		ret = cow_pdata_blocks_new(check->metadata, 0, &check->blocks, err);
	lost.blocks = check->blocks;
	if (!ret)
		ret = cow_clone_lost_find(&lost, err);
	for (size_t i = 0; !ret && i < lost.nr_trees; i++)
		cow_clone_check_add(check, CLONE_TREE_CANDIDATE, lost.trees[i].root,
				    "a complete tree with its root in block %" PRIu64 ": %" PRIu64
				    " words, %" PRIu64 " regions hydrated",
				    lost.trees[i].root, lost.trees[i].nr_words,
				    lost.trees[i].nr_hydrated);
	if (!ret)
		ret = cow_clone_lost_lives(&lost, &is_one_life, &largest, err);
	if (!ret && !is_one_life)
		cow_clone_check_add(check, CLONE_TWO_LIVES, COW_OFFSET_NONE,
				    "of %zu complete trees some have regions that larger ones "
				    "lack",
				    lost.nr_trees);
	*ret_nr = lost.nr_trees;
	cow_clone_lost_destroy(&lost);
	return ret;
}

/* A device that nobody has formatted is no clone. */
static int zero_check(struct clone_check *check, bool header_only, struct cow_err *err)
{
	size_t nr_trees = 0;
	int ret = lost_check(check, &nr_trees, err);

	if (ret)
		return ret;
	if (!nr_trees && !header_only)
		return cow_fail(err, -EMEDIUMTYPE,
				"%s begins with a block of zeros, and no tree of a clone is on "
				"it: the kernel would format it",
				check->metadata->name);
	cow_clone_check_add(check, CLONE_SUPERBLOCK_ZERO, 0,
			    "block 0 of the metadata is all zeros");
	return 0;
}

/* Without magic number, checksum and a tree it is the metadata of nothing. */
static int garbage_check(struct clone_check *check, struct cow_err *err)
{
	size_t nr_trees = 0;
	int ret = lost_check(check, &nr_trees, err);

	if (ret || nr_trees || check->super.magic == CLONE_MAGIC)
		return ret;
	return cow_refuse(err, -EMEDIUMTYPE, "not-a-store", NULL,
			  "%s is not the metadata of a clone: no superblock is in block 0, and no "
			  "tree is on it",
			  check->metadata->name);
}

static int check_run(struct clone_check *check, bool header_only, struct cow_verdict *verdict,
		     struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	bool is_usable;
	size_t nr_trees;
	int ret = cow_clone_super_read(check->metadata, raw, err);

	if (ret == -EIO) {
		cow_clone_check_add(check, CLONE_SUPERBLOCK_UNREADABLE, 0,
				    "block 0 of the metadata cannot be read");
		return lost_check(check, &nr_trees, err);
	}
	if (ret)
		return ret;
	if (is_all_zero(raw, sizeof(raw)))
		return zero_check(check, header_only, err);
	cow_clone_super_decode(raw, &check->super);
	is_usable = super_check(check, raw);
	if (!is_usable)
		return header_only ? 0 : garbage_check(check, err);
	ret = table_check(check, err);
	if (ret || header_only)
		return ret;
	image_check(check, check->source, CLONE_SOURCE_SHORT);
	image_check(check, check->destination, CLONE_DESTINATION_SHORT);
	ret = trees_check(check, err);
	if (!ret && check->has_bitset_fault)
		ret = lost_check(check, &nr_trees, err);
	else if (!ret)
		ret = cow_clone_check_doubt(check, err);
	if (ret)
		return ret;
	verdict->known = !check->has_bitset_fault;
	cow_clone_info_fill(&check->super, check->nr_hydrated, &verdict->info);
	return 0;
}

/* New metadata are as large as the old ones, if a commit has room there. */
static uint64_t target_size(const struct clone_check *check)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	uint64_t size = check->metadata->size_bytes, needed, large;

	if (!check->nr_regions)
		return size;
	args.chunk_bytes = sectors_to_bytes(check->super.region_sectors);
	needed = cow_clone_format_size(check->nr_regions, size / PDATA_BLOCK_BYTES);
	if (needed <= size ||
	    cow_clone_create_size(&args, sectors_to_bytes(check->super.target_sectors), &large,
				  NULL))
		return size;
	return large;
}

static void verdict_draw(const struct clone_check *check, bool header_only,
			 struct cow_verdict *verdict)
{
	enum clone_kernel kernel = check->kernel;

	verdict->needs_target = true;
	verdict->target_bytes = target_size(check);

	verdict->valid = true;
	verdict->header_only = header_only;
	verdict->wiped = kernel == CLONE_KERNEL_WIPES;
	verdict->kernel_loads = kernel < CLONE_KERNEL_REFUSES || kernel == CLONE_KERNEL_WIPES;
	if (kernel == CLONE_KERNEL_LOAD_DIES)
		verdict->kernel_dies = COW_KERNEL_DIES_LOADING;
	else if (kernel == CLONE_KERNEL_WRITE_DIES)
		verdict->kernel_dies = COW_KERNEL_DIES_WRITING;
	verdict->view_right = kernel < CLONE_KERNEL_REFUSES && !check->has_bitset_fault &&
			      check->nr_regions && !header_only && !check->is_doubtful;
	verdict->is_doubtful = check->is_doubtful;
	verdict->merge_right = verdict->view_right && !check->is_damaged;
}

int cow_clone_check(const struct cow_store_args *args, const struct cow_check_params *params,
		    struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err)
{
	struct clone_check check = {
		.args = args,
		.callbacks = params->callbacks,
		.metadata = cow_clone_args_metadata(args),
		.source = cow_store_args_image(args, COW_ROLE_SOURCE, 0),
		.destination = cow_store_args_image(args, COW_ROLE_DESTINATION, 0),
		.report = report,
	};
	bool header_only = params->flags & COW_CHECK_HEADER_ONLY;
	int ret;

	if (!check.metadata)
		return cow_fail(err, -EINVAL, "a clone needs its metadata");
	if (check.metadata->size_bytes < PDATA_BLOCK_BYTES)
		return cow_fail(err, -EMEDIUMTYPE, "%s is too short for a clone's metadata",
				check.metadata->name);
	ret = check_run(&check, header_only, verdict, err);
	cow_pdata_counts_free(check.counts);
	cow_pdata_blocks_free(check.blocks);
	if (ret)
		return ret;
	verdict_draw(&check, header_only, verdict);
	return 0;
}
