/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_disk.c - encodes and decodes header and records, and does the
 * arithmetic of areas.
 */
#include "libcow/store/persistent/snap_disk.h"

#include "libcow/base/bytes.h"

void cow_snap_header_decode(const uint8_t raw[SNAP_HEADER_BYTES], struct snap_header *ret_header)
{
	ret_header->magic = get_le32(raw);
	ret_header->valid = get_le32(raw + 4);
	ret_header->version = get_le32(raw + 8);
	ret_header->chunk_sectors = get_le32(raw + 12);
}

void cow_snap_header_encode(const struct snap_header *header, uint8_t raw[SNAP_HEADER_BYTES])
{
	put_le32(raw, header->magic);
	put_le32(raw + 4, header->valid);
	put_le32(raw + 8, header->version);
	put_le32(raw + 12, header->chunk_sectors);
}

void cow_snap_record_encode(const struct snap_record *record, uint8_t raw[SNAP_RECORD_BYTES])
{
	put_le64(raw, record->old_chunk);
	put_le64(raw + 8, record->new_chunk);
}

bool cow_snap_chunk_sectors_ok(uint64_t chunk_sectors)
{
	return is_pow2(chunk_sectors) && chunk_sectors <= SNAP_CHUNK_SECTORS_MAX;
}

static uint64_t stride(const struct snap_layout *layout)
{
	return layout->records_per_area + 1;
}

bool cow_snap_header_rest_ok(const struct snap_header *header)
{
	return header->version == SNAP_VERSION && header->valid <= 1 &&
	       cow_snap_chunk_sectors_ok(header->chunk_sectors);
}

void cow_snap_layout_init(struct snap_layout *layout, uint64_t chunk_bytes, uint64_t image_bytes)
{
	layout->chunk_bytes = chunk_bytes;
	layout->chunk_shift = log2_exact(chunk_bytes);
	layout->records_per_area = chunk_bytes / SNAP_RECORD_BYTES;
	layout->nr_chunks = image_bytes >> layout->chunk_shift;
	layout->nr_areas = layout->nr_chunks < 2 ? 0 : (layout->nr_chunks - 2) / stride(layout) + 1;
}

uint64_t cow_snap_area_chunk(const struct snap_layout *layout, uint64_t area)
{
	return 1 + area * stride(layout);
}

bool cow_snap_is_area(const struct snap_layout *layout, uint64_t chunk)
{
	return chunk % stride(layout) == 1;
}

uint64_t cow_snap_record_offset(const struct snap_layout *layout, uint64_t index)
{
	uint64_t area = index / layout->records_per_area;
	uint64_t within = index % layout->records_per_area;

	return (cow_snap_area_chunk(layout, area) << layout->chunk_shift) +
	       within * SNAP_RECORD_BYTES;
}

uint64_t cow_snap_skip_area(const struct snap_layout *layout, uint64_t chunk)
{
	return cow_snap_is_area(layout, chunk) ? chunk + 1 : chunk;
}

/* Areas among the chunks 0..chunk-1. */
static uint64_t areas_before(const struct snap_layout *layout, uint64_t chunk)
{
	return chunk < 2 ? 0 : (chunk - 2) / stride(layout) + 1;
}

uint64_t cow_snap_area_behind(const struct snap_layout *layout, uint64_t chunk)
{
	return cow_snap_area_chunk(layout, areas_before(layout, chunk + 1));
}

uint64_t cow_snap_data_chunks_from(const struct snap_layout *layout, uint64_t chunk)
{
	if (chunk >= layout->nr_chunks)
		return 0;
	return layout->nr_chunks - chunk - (layout->nr_areas - areas_before(layout, chunk));
}
