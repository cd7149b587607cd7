/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_disk.h - byte layout of the persistent exception store ("SnAp",
 * version 1) of the Linux device-mapper snapshot target. All numbers are
 * little-endian. Source: drivers/md/dm-snap-persistent.c (struct disk_header,
 * struct disk_exception, area_location, skip_metadata), Linux 6.1.
 *
 * chunk		content
 * 0			header, of which 16 bytes say something
 * 1 + k * (E + 1)	metadata area k: E = chunk bytes / 16 records
 * all others		data
 *
 * header	offset size
 *		 0	4	magic "SnAp"
 *		 4	4	valid: 0 invalidated, anything else valid
 *		 8	4	version: 1
 *		12	4	chunk size in sectors: power of two, 1..2^21
 *		16    496	label (core/label.h); zeros as the kernel writes it
 *
 * record	offset size
 *		 0	8	old chunk, on the origin
 *		 8	8	new chunk, on the COW image; 0 ends the list.
 *				Bits 56..63 must be zero: the kernel takes
 *				them for a run length (dm_consecutive_chunk_count)
 */
#ifndef COW_STORE_SNAP_DISK_H
#define COW_STORE_SNAP_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"

#define SNAP_MAGIC UINT32_C(0x70416e53)
#define SNAP_VERSION 1
#define SNAP_HEADER_BYTES 512 /* one sector: written whole or not at all */
#define SNAP_LABEL_OFFSET 16
#define SNAP_RECORD_BYTES UINT64_C(16)
#define SNAP_CHUNK_SECTORS_MAX (UINT32_C(1) << 21) /* INT_MAX >> 9, as a power of two */
#define SNAP_FIRST_DATA_CHUNK 2
#define SNAP_RUN_SHIFT 56 /* DM_CHUNK_NUMBER_BITS */
#define SNAP_RUN_MAX 255  /* further chunks, in the top byte */
#define SNAP_NEW_CHUNK_MASK ((UINT64_C(1) << SNAP_RUN_SHIFT) - 1)
#define SNAP_RECORDS_PER_SECTOR (512 / SNAP_RECORD_BYTES)

struct snap_header {
	uint32_t magic;
	uint32_t valid;
	uint32_t version;
	uint32_t chunk_sectors;
};

void cow_snap_header_decode(const uint8_t raw[SNAP_HEADER_BYTES], struct snap_header *ret_header);
/* Writes the first 16 bytes; the label stays as it is in raw. */
void cow_snap_header_encode(const struct snap_header *header, uint8_t raw[SNAP_HEADER_BYTES]);

struct snap_record {
	uint64_t old_chunk;
	uint64_t new_chunk; /* as on disk, top byte included */
};

/* Here because it is the inner loop of everything that reads a list. */
static inline void cow_snap_record_decode(const uint8_t raw[SNAP_RECORD_BYTES],
					  struct snap_record *ret_record)
{
	ret_record->old_chunk = get_le64(raw);
	ret_record->new_chunk = get_le64(raw + 8);
}

void cow_snap_record_encode(const struct snap_record *record, uint8_t raw[SNAP_RECORD_BYTES]);

/* The numbers that follow from chunk size and image size. */
struct snap_layout {
	uint64_t chunk_bytes;
	unsigned int chunk_shift;  /* of chunks that are sound; see store.h */
	uint64_t records_per_area; /* E */
	uint64_t nr_chunks;	   /* whole chunks on the image */
	uint64_t nr_areas;	   /* areas that fit */
};

/* Tells whether a chunk size is legal in a header. */
bool cow_snap_chunk_sectors_ok(uint64_t chunk_sectors);
/* Where the magic is lost: is the rest what a header has? */
bool cow_snap_header_rest_ok(const struct snap_header *header);
/* chunk_bytes must be legal. */
void cow_snap_layout_init(struct snap_layout *layout, uint64_t chunk_bytes, uint64_t image_bytes);
/* Which chunk holds area k; k < 2^50, so it cannot overflow. */
uint64_t cow_snap_area_chunk(const struct snap_layout *layout, uint64_t area);
bool cow_snap_is_area(const struct snap_layout *layout, uint64_t chunk);
/* The first place of an area behind chunk, which is on the image. */
uint64_t cow_snap_area_behind(const struct snap_layout *layout, uint64_t chunk);
/* Where record number index of the whole list lies on the image. */
uint64_t cow_snap_record_offset(const struct snap_layout *layout, uint64_t index);
/* Skips an area: the next chunk that can hold data (skip_metadata). */
uint64_t cow_snap_skip_area(const struct snap_layout *layout, uint64_t chunk);
/* How many data chunks there are from chunk to the end of the image. */
uint64_t cow_snap_data_chunks_from(const struct snap_layout *layout, uint64_t chunk);

#endif
