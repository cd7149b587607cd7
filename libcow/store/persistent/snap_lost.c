/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_lost.c - is it a store, though its header does not say so? Where the
 * magic is lost, the rest of the header and the list behind it still tell.
 */
#include "libcow/store/persistent/snap_rules.h"
#include "libcow/store/persistent/snap_store.h"

/* "SnAp" as a machine of the other byte order would write it. */
#define SNAP_MAGIC_SWAPPED UINT32_C(0x536e4170)

int cow_snap_is_lost_store(struct cow_image *cow, const struct cow_image *origin, bool *ret_is_lost,
			   struct cow_err *err)
{
	struct snap_beginning beginning;
	uint8_t raw[SNAP_HEADER_BYTES];
	struct snap_header header;
	uint64_t nr = 0;
	int ret;

	ret = cow_snap_header_read(cow, raw, err);
	if (ret)
		return ret;
	cow_snap_header_decode(raw, &header);
	*ret_is_lost = header.magic == SNAP_MAGIC_SWAPPED;
	if (!*ret_is_lost && is_all_zero(raw, sizeof(raw))) {
		ret = cow_snap_beginning(cow, origin, &beginning, err);
		*ret_is_lost = beginning.chunk_bytes;
	}
	if (ret || *ret_is_lost || !cow_snap_header_rest_ok(&header))
		return ret;
	ret = cow_snap_evidence(cow, origin, sectors_to_bytes(header.chunk_sectors), &nr, err);
	if (!ret)
		*ret_is_lost = nr;
	return ret;
}

int cow_snap_header_chunk_bytes(struct cow_image *cow, const struct cow_image *origin,
				const struct snap_header *header, bool *ret_is_store,
				uint64_t *ret_bytes, struct cow_err *err)
{
	int ret = 0;

	*ret_bytes = 0;
	*ret_is_store = header->magic == SNAP_MAGIC;
	if (!*ret_is_store)
		ret = cow_snap_is_lost_store(cow, origin, ret_is_store, err);
	if (!ret && cow_snap_chunk_sectors_ok(header->chunk_sectors) &&
	    (*ret_is_store || cow_snap_header_rest_ok(header)))
		*ret_bytes = sectors_to_bytes(header->chunk_sectors);
	return ret;
}
