/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_pool.c - opens the metadata of a pool, by the rules of the kernel and in its
 * order. Source: drivers/md/dm-thin-metadata.c, sb_check(), __check_incompat_features(),
 * __open_metadata(); dm-thin.c, maybe_resize_data_dev(); Linux 6.1.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/thin/thin_write.h"

int cow_thin_super_read(struct cow_image *metadata, uint8_t raw[PDATA_BLOCK_BYTES],
			struct cow_err *err)
{
	int ret = 0;

	if (metadata->size_bytes < PDATA_BLOCK_BYTES)
		return cow_fail(err, -ERANGE,
				"%s has %" PRIu64 " bytes, the metadata of a pool begins with a "
				"superblock of 4096",
				metadata->name, metadata->size_bytes);
	if (metadata->is_writable)
		ret = cow_image_drop_cache(metadata, 0, PDATA_BLOCK_BYTES, err);
	return ret ? ret : cow_image_pread(metadata, raw, PDATA_BLOCK_BYTES, 0, err);
}

static int super_refuse(const struct thin_pool *pool, const char *what, struct cow_err *err)
{
	int ret = cow_refuse(err, -EBADMSG, "damaged", NULL,
			     "the superblock of %s %s; run snapcheck for details",
			     pool->metadata->name, what);

	cow_err_place(err, pool->metadata->name, 0);
	return ret;
}

static int block_check(const struct thin_pool *pool, const struct thin_args *args,
		       struct cow_err *err)
{
	uint64_t sectors = pool->super.block_sectors;

	if (!cow_thin_block_ok(sectors))
		return super_refuse(pool, "has a block size that no pool has", err);
	if (!args->block_sectors || args->block_sectors == sectors)
		return 0;
	return cow_refuse(err, -EINVAL, "table", NULL,
			  "the superblock says blocks of %" PRIu64
			  " sectors, the table says %" PRIu64 ": the kernel refuses that",
			  sectors, args->block_sectors);
}

/* In the order of the kernel. */
static int super_check(struct thin_pool *pool, const struct thin_args *args, struct cow_err *err)
{
	struct pdata_fault fault;

	if (is_all_zero(pool->raw, sizeof(pool->raw)))
		return cow_refuse(
			err, -EMEDIUMTYPE, "not-a-store", NULL,
			"%s begins with a block of zeros: the kernel would format it, and "
			"everything in the pool would be lost",
			pool->metadata->name);
	cow_pdata_block_check(&cow_thin_super_type, 0, pool->raw, &fault);
	if (pool->super.magic != THIN_MAGIC && fault.what == PDATA_BLOCK_CHECKSUM)
		return cow_refuse(err, -EMEDIUMTYPE, "not-a-store", NULL,
				  "%s does not begin with a superblock of dm-thin",
				  pool->metadata->name);
	if (fault.what == PDATA_BLOCK_NUMBER)
		return super_refuse(pool, "says that it is another block", err);
	if (pool->super.magic != THIN_MAGIC)
		return super_refuse(pool, "has a wrong magic number", err);
	if (fault.what)
		return super_refuse(pool, "has a wrong checksum", err);
	if (pool->super.incompat_flags)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "%s has features (incompat flags %#" PRIx32
				  ") that this version does not know",
				  pool->metadata->name, pool->super.incompat_flags);
	return block_check(pool, args, err);
}

int cow_thin_pool_held(struct thin_pool *pool, struct cow_err *err)
{
	uint64_t block = pool->super.held_root;
	const uint8_t *raw = NULL;
	int ret;

	if (!block)
		return cow_refuse(err, -ENOENT, "no-metadata-snapshot", NULL,
				  "%s holds no metadata snapshot", pool->metadata->name);
	ret = cow_pdata_block_read(pool->blocks, &cow_thin_super_type, block, &raw, NULL, err);
	if (ret)
		return ret;
	cow_thin_super_decode(raw, &pool->held);
	return 0;
}

static int pool_read(struct thin_pool *pool, const struct thin_args *args, struct cow_err *err)
{
	int ret = cow_thin_super_read(pool->metadata, pool->raw, err);

	if (ret == -ERANGE)
		return cow_refuse(err, -EMEDIUMTYPE, "not-a-store", NULL,
				  "%s is too short for the metadata of a pool",
				  pool->metadata->name);
	if (ret)
		return ret;
	cow_thin_super_decode(pool->raw, &pool->super);
	ret = super_check(pool, args, err);
	if (!ret)
		ret = cow_pdata_blocks_new(pool->metadata, 0, &pool->blocks, err);
	pool->block_bytes = sectors_to_bytes(pool->super.block_sectors);
	return ret;
}

int cow_thin_pool_open(struct cow_image *metadata, struct cow_image *data,
		       const struct thin_args *args, struct thin_pool **ret_pool,
		       struct cow_err *err)
{
	struct thin_pool *pool = calloc(1, sizeof(*pool));
	int ret;

	if (!pool)
		return cow_fail(err, -ENOMEM, "no memory for a pool");
	pool->metadata = metadata;
	pool->data = data;
	ret = pool_read(pool, args, err);
	if (ret)
		cow_thin_pool_free(pool);
	else
		*ret_pool = pool;
	return ret;
}

void cow_thin_pool_free(struct thin_pool *pool)
{
	if (!pool)
		return;
	cow_pdata_disk_map_free(pool->data_map);
	cow_pdata_transaction_free(pool->txn);
	cow_pdata_blocks_free(pool->blocks);
	free(pool);
}
