/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_store.c - the persistent exception store of the Linux device-mapper
 * snapshot target ("SnAp"): probe, open, facts. Opening reads only (I10).
 * The rest is in the other files of this folder.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_rules.h"

/* A store whose magic was lost is still one: to be checked, and to be refused
 * in words that help. */
static int snap_probe(struct cow_image *image, struct cow_err *err)
{
	uint8_t raw[SNAP_HEADER_BYTES];
	bool is_lost = false;
	int ret;

	if (image->size_bytes < SNAP_HEADER_BYTES)
		return cow_fail(err, -EMEDIUMTYPE, "%s is too short for a store", image->name);
	ret = cow_image_pread(image, raw, sizeof(raw), 0, err);
	if (ret)
		return ret;
	if (get_le32(raw) != SNAP_MAGIC)
		ret = cow_snap_is_lost_store(image, NULL, &is_lost, err);
	if (ret)
		return ret;
	if (get_le32(raw) != SNAP_MAGIC && !is_lost)
		return cow_fail(err, -EMEDIUMTYPE,
				"%s does not begin with \"SnAp\" (found %08" PRIx32
				" as a little-endian number)",
				image->name, get_le32(raw));
	return 0;
}

/* ---------------------------------------------------------------- opening */

static int header_refuse(struct cow_err *err, const struct cow_image *image, int code,
			 const char *id, const char *what, uint64_t found, const char *allowed)
{
	int ret = cow_refuse(err, code, id, NULL, "the header of %s has %s %" PRIu64 ", %s",
			     image->name, what, found, allowed);

	cow_err_place(err, image->name, 0);
	return ret;
}

/* To the kernel, magic 0 is a store that is to be made: it shows the origin. */
static int magic_check(const struct snap_header *header, struct cow_image *image, uint32_t flags,
		       struct cow_err *err)
{
	bool is_lost = false;
	int ret;

	if (header->magic == SNAP_MAGIC)
		return 0;
	ret = cow_snap_is_lost_store(image, NULL, &is_lost, err);
	if (ret)
		return ret;
	if (!is_lost)
		return header_refuse(err, image, -EMEDIUMTYPE, "not-a-store", "magic",
				     header->magic, "a store begins with \"SnAp\"");
	if (header->magic)
		return header_refuse(
			err, image, -EBADMSG, "damaged", "magic", header->magic,
			"where \"SnAp\" belongs, but a store behind it; run snapcheck for details");
	if (flags & COW_STORE_DAMAGED)
		return 0;
	ret = cow_refuse(err, -EBADMSG, "damaged", "damaged",
			 "the header of %s begins with zeros, but a store is behind it: the kernel "
			 "would make a new one of it; run snapcheck for details",
			 image->name);
	cow_err_place(err, image->name, 0);
	return ret;
}

/* In the order of the kernel (dm-snap-persistent.c, read_header and
 * persistent_read_metadata). */
static int header_check(const struct snap_header *header, struct cow_image *image, uint32_t flags,
			struct cow_err *err)
{
	int ret = magic_check(header, image, flags, err);

	if (ret)
		return ret;
	if (!cow_snap_chunk_sectors_ok(header->chunk_sectors))
		return header_refuse(
			err, image, -EBADMSG, "damaged", "a chunk size in sectors of",
			header->chunk_sectors,
			"a power of two from 1 to 2097152 is allowed; run snapcheck for details");
	if (header->version != SNAP_VERSION)
		return header_refuse(err, image, -EOPNOTSUPP, "unsupported", "version",
				     header->version, "only version 1 is known");
	return 0;
}

/* The kernel refuses a chunk that is no multiple of a logical block (dm-
 * exception-store.c, dm_exception_store_set_chunk_size). To read it is no
 * harm; what is written must remain something that the kernel can take over. */
static int chunk_size_check(const struct snap_store *p, const struct cow_store_args *args,
			    struct cow_err *err)
{
	const struct cow_image *images[] = { p->store.metadata, p->store.origin };
	uint64_t chunk_bytes = p->store.chunk_bytes;

	assert(images[0]); /* the header was read from it */
	if (args->chunk_bytes && args->chunk_bytes != chunk_bytes)
		return cow_refuse(err, -EINVAL, "chunk-size", NULL,
				  "the header of %s says chunks of %" PRIu64
				  " bytes, the option says %" PRIu64,
				  images[0]->name, chunk_bytes, args->chunk_bytes);
	for (size_t i = 0; i < 2; i++)
		if (images[i] && images[i]->is_writable &&
		    chunk_bytes % images[i]->logical_block_bytes)
			return cow_refuse(err, -EINVAL, "chunk-size", NULL,
					  "chunks of %" PRIu64 " bytes are no multiple of the "
					  "logical blocks of %s, which have %" PRIu32 " bytes",
					  chunk_bytes, images[i]->name,
					  images[i]->logical_block_bytes);
	if (!p->layout.nr_areas)
		return cow_refuse(err, -EBADMSG, "damaged", NULL,
				  "%s has %" PRIu64 " bytes, a store with chunks of %" PRIu64
				  " bytes has two chunks at least: the image was cut",
				  images[0]->name, images[0]->size_bytes, chunk_bytes);
	return 0;
}

static int snap_read_header(struct snap_store *p, const struct cow_store_args *args,
			    struct cow_err *err)
{
	struct cow_image *cow = p->store.metadata;
	struct snap_header header;
	int ret;

	ret = cow_snap_header_read(cow, p->header, err);
	if (ret)
		return ret;
	cow_snap_header_decode(p->header, &header);
	ret = header_check(&header, cow, args->flags, err);
	if (ret)
		return ret;
	p->is_valid = header.valid;
	p->store.is_damaged = header.magic != SNAP_MAGIC;
	p->store.chunk_bytes = sectors_to_bytes(header.chunk_sectors);
	cow_snap_layout_init(&p->layout, p->store.chunk_bytes, cow->size_bytes);
	ret = chunk_size_check(p, args, err);
	if (ret)
		return ret;
	if (!p->is_valid && !(args->flags & COW_STORE_INVALID))
		return cow_refuse(err, -EBADMSG, "invalid", "invalid",
				  "%s is marked invalid: it overflowed or a write to it failed, "
				  "and what the origin lost since then is in no snapshot",
				  cow->name);
	return 0;
}

static int empty_load(struct snap_store *p, struct cow_err *err)
{
	p->next_free = p->shown_free = SNAP_FIRST_DATA_CHUNK;
	return cow_exmap_seal(p->store.map, NULL, NULL, err);
}

static int snap_open(const struct cow_store_args *args, struct cow_store **ret_store,
		     struct cow_err *err)
{
	struct cow_image *cow = cow_store_args_image(args, COW_ROLE_COW, 0);
	struct snap_store *p;
	int ret;

	if (!cow)
		return cow_fail(err, -EINVAL, "a persistent store needs a COW image");
	p = calloc(1, sizeof(*p));
	if (!p)
		return cow_fail(err, -ENOMEM, "no memory for a store");
	p->store.ops = &cow_store_persistent_ops;
	p->store.origin = cow_store_args_image(args, COW_ROLE_ORIGIN, 0);
	p->store.target = p->store.origin;
	p->store.data = cow;
	p->store.metadata = cow;
	ret = snap_read_header(p, args, err);
	if (!ret)
		ret = cow_exmap_new(&p->store.map, err);
	if (!ret && p->store.is_damaged)
		ret = empty_load(p, err);
	else if (!ret)
		ret = cow_snap_load(p, args->flags, err);
	if (ret) {
		cow_store_close(&p->store);
		return ret;
	}
	*ret_store = &p->store;
	return 0;
}

static void snap_close(struct cow_store *store)
{
	struct snap_store *p = snap_store_of(store);

	cow_exmap_free(p->pending);
	free(p->records);
	cow_snap_list_close(&p->list, 0);
}

/* Source: dm-snap-persistent.c, persistent_usage. */
static void snap_info(const struct cow_store *store, struct cow_store_info *ret_info)
{
	const struct snap_store *p = (const struct snap_store *)store;
	uint64_t chunk_sectors = bytes_to_sectors(p->layout.chunk_bytes);
	uint64_t current_area = p->nr_records / p->layout.records_per_area;

	ret_info->kind = store->ops->name;
	ret_info->title = SNAP_TITLE;
	ret_info->valid = p->is_valid;
	ret_info->chunk_bytes = store->chunk_bytes;
	ret_info->nr_exceptions = p->nr_records;
	ret_info->allocated_sectors = p->shown_free * chunk_sectors;
	ret_info->total_sectors = bytes_to_sectors(store->metadata->size_bytes);
	ret_info->metadata_sectors = (current_area + 2) * chunk_sectors;
}

static int snap_unchanged(struct cow_store *store, struct cow_err *err)
{
	return cow_snap_header_unchanged(store->metadata, snap_store_of(store)->header, err);
}

/* Of the header chunk only the beginning says something; 4 KiB, because disks
 * do not read less. The list ends in the last of the areas. */
#define HEADER_BYTES 4096

static bool snap_metadata_range(const struct cow_store *store, uint64_t index,
				struct cow_segment *ret_range)
{
	const struct snap_store *p = (const struct snap_store *)store;
	uint64_t area = index - 1;

	if (!index) {
		*ret_range = (struct cow_segment){ 0, min_u64(store->chunk_bytes, HEADER_BYTES) };
		return true;
	}
	if (area >= p->layout.nr_areas || area > p->nr_records / p->layout.records_per_area)
		return false;
	*ret_range = (struct cow_segment){ cow_snap_area_chunk(&p->layout, area)
						   << p->layout.chunk_shift,
					   store->chunk_bytes };
	return true;
}

const struct store_ops cow_store_persistent_ops = {
	.name = "persistent",
	.summary = "device-mapper snapshot, persistent exception store (\"SnAp\")",
	.probe_role = COW_ROLE_COW,
	.jobs = STORE_JOBS_ALL,
	.probe = snap_probe,
	.open = snap_open,
	.close = snap_close,
	.info = snap_info,
	.check = cow_snap_check,
	.repair = cow_snap_repair,
	.metadata_copy = cow_snap_metadata_copy,
	.next_moves = cow_snap_next_moves,
	.settle = cow_snap_settle,
	.rewind = cow_snap_rewind,
	.keep = cow_snap_keep,
	.tidy = cow_snap_tidy,
	.unused_from = cow_snap_unused_from,
	.metadata_range = snap_metadata_range,
	.reserve = cow_snap_reserve,
	.append = cow_snap_append,
	.publish = cow_snap_publish,
	.pending_next = cow_snap_pending_next,
	.create_size = cow_snap_create_size,
	.create_fit = cow_snap_create_fit,
	.create = cow_snap_create,
	.invalidate = cow_snap_invalidate,
	.label_read = cow_snap_label_read,
	.label_write = cow_snap_label_write,
	.doubt = cow_snap_doubt,
	.unchanged = snap_unchanged,
};
