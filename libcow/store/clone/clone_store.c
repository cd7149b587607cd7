/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_store.c - a dm-clone device without a kernel: probe, open, facts, the
 * map. Opening reads only (I10): the superblock, then the whole bitset, with
 * every rule of its trees. The space map is not looked at: no view depends on
 * it; cow_check() does, and so does every job that writes.
 */
#include "libcow/store/clone/clone_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/pdata/pdata_copy.h"
#include "libcow/store/clone/clone_format.h"

static int args_sectors(const struct cow_store_args *args, const char *key, uint64_t *ret_sectors,
			struct cow_err *err)
{
	const char *text = cow_store_args_value(args, key);
	uint64_t sectors = 0;

	*ret_sectors = 0;
	if (!text)
		return 0;
	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9' || mul_overflows(sectors, 10, &sectors) ||
		    add_overflows(sectors, (uint64_t)(*at - '0'), &sectors))
			return cow_fail(err, -EINVAL,
					"\"%s\" is not a number of sectors for \"%s\"", text, key);
	}
	if (!sectors)
		return cow_fail(err, -EINVAL, "\"%s\" is not a number of sectors for \"%s\"", text,
				key);
	*ret_sectors = sectors;
	return 0;
}

int cow_clone_args_table(const struct cow_store_args *args, uint64_t *ret_region_sectors,
			 uint64_t *ret_target_sectors, struct cow_err *err)
{
	static const char *const keys[] = { CLONE_KEY_REGION, CLONE_KEY_TARGET, NULL };
	int ret = cow_store_args_check_keys(args, keys, err);

	if (!ret)
		ret = args_sectors(args, CLONE_KEY_REGION, ret_region_sectors, err);
	return ret ? ret : args_sectors(args, CLONE_KEY_TARGET, ret_target_sectors, err);
}

struct cow_image *cow_clone_args_metadata(const struct cow_store_args *args)
{
	struct cow_image *metadata = cow_store_args_image(args, COW_ROLE_METADATA, 0);

	return metadata ? metadata : cow_store_args_image(args, COW_ROLE_COW, 0);
}

int cow_clone_super_read(struct cow_image *metadata, uint8_t raw[PDATA_BLOCK_BYTES],
			 struct cow_err *err)
{
	int ret = 0;

	if (metadata->size_bytes < PDATA_BLOCK_BYTES)
		return cow_fail(err, -ERANGE,
				"%s has %" PRIu64 " bytes, the metadata of a clone begins with a "
				"superblock of 4096",
				metadata->name, metadata->size_bytes);
	if (metadata->is_writable)
		ret = cow_image_drop_cache(metadata, 0, PDATA_BLOCK_BYTES, err);
	return ret ? ret : cow_image_pread(metadata, raw, PDATA_BLOCK_BYTES, 0, err);
}

/* The magic number, or a checksum that fits: either is a superblock, maybe a
 * damaged one. */
static int clone_probe(struct cow_image *image, struct cow_err *err)
{
	uint8_t raw[PDATA_BLOCK_BYTES];
	struct pdata_fault fault;
	int ret;

	if (image->size_bytes < PDATA_BLOCK_BYTES)
		return cow_fail(err, -EMEDIUMTYPE, "%s is too short for a clone's metadata",
				image->name);
	ret = cow_image_pread(image, raw, sizeof(raw), 0, err);
	if (ret)
		return ret;
	cow_pdata_block_check(&cow_clone_super_type, 0, raw, &fault);
	if (get_le64(raw + 32) == CLONE_MAGIC || fault.what != PDATA_BLOCK_CHECKSUM)
		return 0;
	return cow_fail(err, -EMEDIUMTYPE, "%s does not begin with a superblock of dm-clone",
			image->name);
}

/* ---------------------------------------------------------------- opening */

static int super_refuse(const struct clone_store *c, const char *what, struct cow_err *err)
{
	const struct cow_image *metadata = c->store.metadata;
	int ret = cow_refuse(err, -EBADMSG, "damaged", NULL,
			     "the superblock of %s %s; run snapcheck for details", metadata->name,
			     what);

	cow_err_place(err, metadata->name, 0);
	return ret;
}

/* In the order of the kernel (dm-clone-metadata.c, sb_check). */
static int super_check(struct clone_store *c, struct cow_err *err)
{
	const struct clone_super *super = &c->super;
	struct pdata_fault fault;

	if (is_all_zero(c->raw, sizeof(c->raw)))
		return cow_refuse(err, -EMEDIUMTYPE, "not-a-store", NULL,
				  "%s begins with a block of zeros: the kernel would format it and "
				  "show the source",
				  c->store.metadata->name);
	cow_pdata_block_check(&cow_clone_super_type, 0, c->raw, &fault);
	if (super->magic != CLONE_MAGIC && fault.what == PDATA_BLOCK_CHECKSUM)
		return cow_refuse(err, -EMEDIUMTYPE, "not-a-store", NULL,
				  "%s does not begin with a superblock of dm-clone",
				  c->store.metadata->name);
	if (fault.what == PDATA_BLOCK_NUMBER)
		return super_refuse(c, "says that it is another block", err);
	if (super->magic != CLONE_MAGIC)
		return super_refuse(c, "has a wrong magic number", err);
	if (fault.what)
		return super_refuse(c, "has a wrong checksum", err);
	if (super->version != CLONE_VERSION)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "%s has version %" PRIu32 " of the metadata, only version 1 is "
				  "known",
				  c->store.metadata->name, super->version);
	if (!cow_clone_nr_regions(super->region_sectors, super->target_sectors))
		return super_refuse(c, "has a region size or target size that no clone has", err);
	return 0;
}

static int table_refuse(const char *what, uint64_t found, uint64_t wanted, struct cow_err *err)
{
	return cow_refuse(err, -EINVAL, "table", NULL,
			  "the superblock says a %s of %" PRIu64 " sectors, the table says %" PRIu64
			  ": the kernel refuses that",
			  what, found, wanted);
}

/* What the caller says of it. */
static int geometry_check(const struct clone_store *c, const struct cow_store_args *args,
			  struct cow_err *err)
{
	uint64_t region, target;
	int ret = cow_clone_args_table(args, &region, &target, err);

	if (ret)
		return ret;
	if (region && region != c->super.region_sectors)
		return table_refuse("region size", c->super.region_sectors, region, err);
	if (target && target != c->super.target_sectors)
		return table_refuse("length", c->super.target_sectors, target, err);
	if (!args->chunk_bytes || args->chunk_bytes == c->store.chunk_bytes)
		return 0;
	return cow_refuse(err, -EINVAL, "chunk-size", NULL,
			  "the superblock says regions of %" PRIu64 " bytes, the option says "
			  "%" PRIu64,
			  c->store.chunk_bytes, args->chunk_bytes);
}

static int size_check(const struct clone_store *c, const struct cow_image *image, const char *what,
		      struct cow_err *err)
{
	if (image->size_bytes >= c->store.view_bytes)
		return 0;
	return cow_refuse(err, -ERANGE, "bounds", NULL,
			  "the clone has %" PRIu64 " bytes, its %s %s only %" PRIu64
			  ": it is the wrong one, or was cut short",
			  c->store.view_bytes, what, image->name, image->size_bytes);
}

static int take_words(void *user, uint64_t first, const uint8_t *values, uint32_t nr,
		      uint64_t block, struct cow_err *err)
{
	(void)block;
	(void)err;
	cow_clone_bits_take(&((struct clone_store *)user)->bits, first, values, nr);
	return 0;
}

/* As the kernel takes it, which does not look at everything. */
static int bits_read_as_kernel(struct clone_store *c, struct cow_err *err)
{
	const struct pdata_array array = clone_array(c->blocks, &c->super);
	enum pdata_kernel answer;
	struct pdata_fault fault;
	int ret = cow_pdata_array_as_kernel(&array, take_words, c, &answer, &fault, err);

	if (ret)
		return ret;
	c->store.is_damaged = true;
	if (answer == PDATA_KERNEL_READS)
		return 0;
	return cow_refuse(err, -EBADMSG, "damaged", NULL,
			  "the kernel itself cannot read which regions of %s are hydrated; run "
			  "snapcheck for details",
			  c->store.metadata->name);
}

/* The same words, with what would force it. */
static int damage_refuse(const struct cow_err *why, struct cow_err *err)
{
	int ret = cow_refuse(err, -EBADMSG, "damaged", "damaged", "%s", why->message);

	cow_err_place(err, why->image, why->offset_bytes);
	return ret;
}

/* A forged number of regions must not cost memory that no bitset here can fill. */
static int regions_check(const struct clone_store *c, struct cow_err *err)
{
	const struct pdata_array array = clone_array(c->blocks, &c->super);
	uint64_t nr_arrays = div_ceil(array.nr_values, PDATA_WORDS_PER_BLOCK);

	if (nr_arrays <= cow_pdata_blocks_nr(c->blocks))
		return 0;
	return super_refuse(c, "has more regions than the metadata device can hold bits of", err);
}

struct bits_reading {
	struct pdata_blocks *blocks;
	struct clone_bits *bits;
};

static int take_bits(void *user, uint64_t first, const uint8_t *values, uint32_t nr, uint64_t block,
		     struct cow_err *err)
{
	(void)block;
	(void)err;
	cow_clone_bits_take(((const struct bits_reading *)user)->bits, first, values, nr);
	return 0;
}

/* Array blocks behind the last one say nothing about any region. */
static int take_fault(void *user, enum pdata_array_part part, const struct pdata_fault *fault,
		      uint64_t first, uint64_t nr, struct cow_err *err)
{
	(void)first;
	(void)nr;
	if (fault->what == PDATA_ARRAY_EXTRA)
		return 0;
	return cow_pdata_fail(((const struct bits_reading *)user)->blocks, fault,
			      pdata_array_part_name(part), err);
}

int cow_clone_bits_read(struct pdata_blocks *blocks, const struct clone_super *super,
			struct clone_bits *bits, struct cow_err *err)
{
	const struct pdata_array array = clone_array(blocks, super);
	struct bits_reading reading = { blocks, bits };
	const struct pdata_array_walk walk = { .user = &reading,
					       .values = take_bits,
					       .fault = take_fault };

	return cow_pdata_array_walk(&array, &walk, err);
}

static int bits_read(struct clone_store *c, uint32_t flags, struct cow_err *err)
{
	struct cow_err mine = COW_ERR_INIT;
	int ret = cow_clone_bits_init(
		&c->bits, cow_clone_nr_regions(c->super.region_sectors, c->super.target_sectors),
		&mine);

	if (!ret)
		ret = cow_clone_bits_read(c->blocks, &c->super, &c->bits, &mine);
	if (ret == -EBADMSG && (flags & COW_STORE_DAMAGED))
		ret = bits_read_as_kernel(c, err);
	else if (ret == -EBADMSG)
		ret = damage_refuse(&mine, err);
	else if (ret && err)
		*err = mine;
	if (ret)
		return ret;
	c->nr_hydrated = cow_clone_bits_count(&c->bits);
	return 0;
}

static int doubt_check(const struct clone_store *c, struct cow_err *err)
{
	uint64_t nr = 0;
	int ret = c->store.is_damaged ? 0 : cow_clone_doubt_count(c, NULL, &nr, err);

	if (ret || !nr)
		return ret;
	ret = cow_refuse(
		err, -EBADMSG, "doubtful", "doubtful",
		"%" PRIu64
		" regions are hydrated in another complete tree on %s, and not in that of "
		"the superblock: which is the newest cannot be told; run snapcheck for details",
		nr, c->store.metadata->name);
	cow_err_place(err, c->store.metadata->name, 0);
	return ret;
}

static int clone_load(struct clone_store *c, const struct cow_store_args *args, struct cow_err *err)
{
	int ret = cow_clone_super_read(c->store.metadata, c->raw, err);

	if (ret == -ERANGE)
		return cow_refuse(err, -EMEDIUMTYPE, "not-a-store", NULL,
				  "%s is too short for a clone's metadata",
				  c->store.metadata->name);
	if (ret)
		return ret;
	cow_clone_super_decode(c->raw, &c->super);
	ret = super_check(c, err);
	if (ret)
		return ret;
	c->store.chunk_bytes = sectors_to_bytes(c->super.region_sectors);
	c->store.view_bytes = sectors_to_bytes(c->super.target_sectors);
	ret = geometry_check(c, args, err);
	if (!ret)
		ret = size_check(c, c->store.origin, "source", err);
	if (!ret)
		ret = size_check(c, c->store.data, "destination", err);
	if (!ret)
		ret = cow_pdata_blocks_new(c->store.metadata, 0, &c->blocks, err);
	if (!ret)
		ret = regions_check(c, err);
	if (!ret)
		ret = bits_read(c, args->flags, err);
	return ret || !(args->flags & COW_STORE_STRICT) ? ret : doubt_check(c, err);
}

static int clone_open(const struct cow_store_args *args, struct cow_store **ret_store,
		      struct cow_err *err)
{
	struct clone_store *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return cow_fail(err, -ENOMEM, "no memory for a clone");
	c->store.ops = &cow_store_clone_ops;
	c->store.metadata = cow_store_args_image(args, COW_ROLE_METADATA, 0);
	c->store.origin = cow_store_args_image(args, COW_ROLE_SOURCE, 0);
	c->store.data = cow_store_args_image(args, COW_ROLE_DESTINATION, 0);
	c->store.target = c->store.data;
	if (c->store.metadata && c->store.origin && c->store.data)
		ret = clone_load(c, args, err);
	else
		ret = cow_fail(err, -EINVAL,
			       "a clone consists of metadata, source and destination: one of them "
			       "was not given");
	if (ret) {
		cow_store_close(&c->store);
		return ret;
	}
	*ret_store = &c->store;
	return 0;
}

static void clone_close(struct cow_store *store)
{
	struct clone_store *c = clone_store_of(store);

	cow_pdata_transaction_free(c->txn);
	cow_pdata_blocks_free(c->blocks);
	cow_clone_bits_destroy(&c->bits);
}

/* ---------------------------------------------------------------- facts */

/* Source: dm-clone-target.c, clone_status(). */
void cow_clone_info_fill(const struct clone_super *super, uint64_t nr_hydrated,
			 struct cow_store_info *ret_info)
{
	const uint64_t block_sectors = PDATA_BLOCK_BYTES / COW_SECTOR_BYTES;

	ret_info->kind = cow_store_clone_ops.name;
	ret_info->valid = true;
	ret_info->chunk_bytes = sectors_to_bytes(super->region_sectors);
	ret_info->view_bytes = sectors_to_bytes(super->target_sectors);
	ret_info->nr_exceptions = nr_hydrated;
	ret_info->allocated_sectors = super->map.nr_allocated * block_sectors;
	ret_info->total_sectors = super->map.nr_blocks * block_sectors;
	ret_info->metadata_sectors = ret_info->allocated_sectors;
	ret_info->units = "regions";
	ret_info->held = "hydrated";
	ret_info->title = "dm-clone device";
}

static void clone_info(const struct cow_store *store, struct cow_store_info *ret_info)
{
	const struct clone_store *c = (const struct clone_store *)store;

	cow_clone_info_fill(&c->super, c->nr_hydrated, ret_info);
}

static bool clone_map_next(const struct cow_store *store, uint64_t old_chunk,
			   struct exmap_run *ret_run)
{
	const struct clone_store *c = (const struct clone_store *)store;

	if (!cow_clone_bits_next(&c->bits, true, old_chunk, &ret_run->old_chunk,
				 &ret_run->nr_chunks))
		return false;
	ret_run->new_chunk = ret_run->old_chunk;
	return true;
}

static uint64_t region_bytes_clipped(const struct clone_store *c, uint64_t first, uint64_t nr)
{
	uint64_t begin = first * c->store.chunk_bytes;
	uint64_t end = (first + nr) * c->store.chunk_bytes;

	return min_u64(end, c->store.view_bytes) - begin;
}

static bool clone_target_next(const struct cow_store *store, uint64_t from_bytes,
			      struct cow_segment *ret_range)
{
	const struct clone_store *c = (const struct clone_store *)store;
	uint64_t first, nr, end;

	if (from_bytes >= store->view_bytes ||
	    !cow_clone_bits_next(&c->bits, false, chunk_of(from_bytes, store->chunk_bytes), &first,
				 &nr))
		return false;
	end = first * store->chunk_bytes + region_bytes_clipped(c, first, nr);
	ret_range->offset_bytes = max_u64(from_bytes, first * store->chunk_bytes);
	ret_range->len_bytes = end - ret_range->offset_bytes;
	return true;
}

static int clone_unchanged(struct cow_store *store, struct cow_err *err)
{
	struct clone_store *c = clone_store_of(store);
	uint8_t now[PDATA_BLOCK_BYTES];
	int ret = cow_clone_super_read(store->metadata, now, err);

	if (ret || !memcmp(now, c->raw, sizeof(now)))
		return ret;
	ret = cow_refuse(err, -EBUSY, "changed", NULL,
			 "the superblock of %s has just changed: another program writes to it",
			 store->metadata->name);
	cow_err_place(err, store->metadata->name, 0);
	return ret;
}

static int clone_metadata_copy(const struct cow_store_args *args,
			       const struct cow_callbacks *callbacks, struct cow_image *target,
			       struct cow_err *err)
{
	struct cow_image *metadata = cow_clone_args_metadata(args);

	if (!metadata)
		return cow_fail(err, -EINVAL, "a clone needs its metadata");
	return cow_pdata_copy(metadata, &cow_clone_super_type, callbacks, target, err);
}

/* Source: dm-clone-target.c, clone_ctr(). */
static const char *const clone_table[] = { CLONE_KEY_TARGET, "metadata",       "destination",
					   "source",	     CLONE_KEY_REGION, NULL };

const struct store_ops cow_store_clone_ops = {
	.name = "clone",
	.summary = "dm-clone: a destination that is filled from a source",
	.probe_role = COW_ROLE_METADATA,
	.is_target_data = true,
	.needs_target = true,
	.table = clone_table,
	.probe = clone_probe,
	.open = clone_open,
	.close = clone_close,
	.info = clone_info,
	.map_next = clone_map_next,
	.check = cow_clone_check,
	.repair = cow_clone_repair,
	.metadata_copy = clone_metadata_copy,
	.moves_left = cow_clone_moves_left,
	.target_next = clone_target_next,
	.next_moves = cow_clone_next_moves,
	.settle = cow_clone_settle,
	.ready = cow_clone_ready,
	.rewind = cow_clone_rewind,
	.create_size = cow_clone_create_size,
	.create_fit = cow_clone_create_fit,
	.create = cow_clone_create,
	.unchanged = clone_unchanged,
};
