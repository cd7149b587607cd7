/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_create.c - creates and tidies a persistent store. The order of writes
 * and flushes, with what a crash in between leaves:
 *
 * create	sector 0 zeroed, FLUSH		no store (the old one is gone)
 *		rest of chunk 0 and area 0 zeroed, FLUSH
 *						no store
 *		header sector, FLUSH		the new, empty store
 *	The kernel writes header and area without a flush in between, so that
 *	its own window leaves a header in front of rubbish.
 * tidy		zeros behind the end of the list (I5); of a list that a merge
 *		has emptied, over the first sector of area 1, too; FLUSH
 *						they were out of reach before
 * Header: snap_header.c. Appending and merging: snap_append.c, snap_merge.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_store.h"

/* ----------------------------------------------------------------- create */

static int create_check_args(const struct cow_store_args *args, struct cow_err *err)
{
	static const char *const no_keys[] = { NULL };
	uint64_t chunk_bytes = args->chunk_bytes;
	int ret = cow_store_args_check_keys(args, no_keys, err);

	if (ret)
		return ret;
	if (chunk_bytes % COW_SECTOR_BYTES == 0 &&
	    cow_snap_chunk_sectors_ok(bytes_to_sectors(chunk_bytes)))
		return 0;
	return cow_refuse(
		err, -EINVAL, "chunk-size", NULL,
		"a chunk size of %" PRIu64
		" bytes is not possible: a power of two from 512 to 1073741824 is allowed",
		chunk_bytes);
}

int cow_snap_create_size(const struct cow_store_args *args, uint64_t origin_bytes,
			 uint64_t *ret_bytes, struct cow_err *err)
{
	uint64_t chunk_bytes = args->chunk_bytes;
	uint64_t nr_chunks, bytes;
	int ret;

	ret = create_check_args(args, err);
	if (ret)
		return ret;
	/* Header, data, and every area that the list reaches: when n records
	 * fill their area, the next one must be there too. This is never a
	 * size at which an area would be the last chunk's successor. */
	nr_chunks = div_ceil(origin_bytes, chunk_bytes);
	if (add_overflows(nr_chunks, 2 + nr_chunks / (chunk_bytes / SNAP_RECORD_BYTES),
			  &nr_chunks) ||
	    mul_overflows(nr_chunks, chunk_bytes, &bytes) || bytes > COW_IMAGE_BYTES_MAX)
		return cow_fail(err, -ERANGE,
				"a COW image for an origin of %" PRIu64
				" bytes would be larger than an image can be",
				origin_bytes);
	*ret_bytes = max_u64(bytes, 3 * chunk_bytes);
	return 0;
}

int cow_snap_create_fit(const struct cow_store_args *args, uint64_t wanted_bytes,
			uint64_t *ret_bytes, struct cow_err *err)
{
	uint64_t chunk_bytes = args->chunk_bytes;
	struct snap_layout layout;
	uint64_t nr_chunks;
	int ret;

	ret = create_check_args(args, err);
	if (ret)
		return ret;
	cow_snap_layout_init(&layout, chunk_bytes, wanted_bytes);
	nr_chunks = layout.nr_chunks;
	/* A device that ends where the next area would begin: the record that
	 * fills the last area makes the kernel invalidate the store. */
	if (nr_chunks > 2 && cow_snap_is_area(&layout, nr_chunks))
		nr_chunks--;
	if (nr_chunks < 3)
		return cow_refuse(err, -ERANGE, "size", NULL,
				  "%" PRIu64
				  " bytes are too few for a store with chunks of %" PRIu64
				  " bytes: it has three chunks at least, %" PRIu64 " bytes",
				  wanted_bytes, chunk_bytes, 3 * chunk_bytes);
	*ret_bytes = nr_chunks * chunk_bytes;
	return 0;
}

static int create_check(const struct cow_image *cow, const struct cow_store_args *args,
			struct cow_err *err)
{
	uint64_t chunk_bytes = args->chunk_bytes;
	int ret = create_check_args(args, err);

	if (ret)
		return ret;
	if (!cow)
		return cow_fail(err, -EINVAL, "a persistent store needs a COW image");
	if (chunk_bytes % cow->logical_block_bytes)
		return cow_refuse(err, -EINVAL, "chunk-size", NULL,
				  "a chunk size of %" PRIu64
				  " bytes is no multiple of the logical blocks of %s, which have "
				  "%" PRIu32 " bytes",
				  chunk_bytes, cow->name, cow->logical_block_bytes);
	if (cow->size_bytes / chunk_bytes < 3)
		return cow_refuse(err, -ERANGE, "size", NULL,
				  "%s has %" PRIu64 " bytes, a store with chunks of %" PRIu64
				  " bytes has three chunks at least, %" PRIu64 " bytes",
				  cow->name, cow->size_bytes, chunk_bytes, 3 * chunk_bytes);
	return 0;
}

int cow_snap_create(const struct cow_store_args *args, struct cow_err *err)
{
	struct cow_image *cow = cow_store_args_image(args, COW_ROLE_COW, 0);
	uint64_t chunk_bytes = args->chunk_bytes;
	const struct snap_header header = { SNAP_MAGIC, 1, SNAP_VERSION,
					    (uint32_t)bytes_to_sectors(chunk_bytes) };
	uint8_t raw[SNAP_HEADER_BYTES] = { 0 };
	uint64_t rest = min_u64(chunk_bytes, COW_PIECE_BYTES) - sizeof(raw);
	int ret;

	ret = create_check(cow, args, err);
	if (!ret)
		ret = cow_image_pwrite(cow, raw, sizeof(raw), 0, err);
	if (!ret)
		ret = cow_image_flush(cow, err);
	if (!ret && rest)
		ret = cow_image_write_zeroes(cow, sizeof(raw), rest, err);
	if (!ret)
		ret = cow_image_write_zeroes(cow, chunk_bytes, chunk_bytes, err);
	if (!ret)
		ret = cow_image_flush(cow, err);
	if (ret)
		return ret;
	cow_snap_header_encode(&header, raw);
	ret = cow_image_pwrite(cow, raw, sizeof(raw), 0, err);
	return ret ? ret : cow_image_flush(cow, err);
}

/* ------------------------------------------------------------------- tidy */

int cow_snap_tidy(struct cow_store *store, struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	uint64_t per_area = p->layout.records_per_area, nr = p->nr_records;
	uint64_t area_end = (nr / per_area + 1) * per_area;
	bool wrote = false;
	int ret;

	if (p->tail_is_clean || nr / per_area >= p->layout.nr_areas)
		return 0;
	ret = cow_snap_list_tidy(store->metadata, &p->layout, nr, area_end, &wrote, err);
	/* Behind a list that was emptied: together with area 0 this shows that
	 * nothing was appended since (snap_check_empty.c). */
	if (!ret && p->was_emptied && !nr && p->layout.nr_areas > 1)
		ret = cow_snap_list_tidy(store->metadata, &p->layout, per_area,
					 per_area + SNAP_RECORDS_PER_SECTOR, &wrote, err);
	if (!ret && wrote)
		ret = cow_image_flush(store->metadata, err);
	if (!ret)
		p->tail_is_clean = true;
	return ret;
}
