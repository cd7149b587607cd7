/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_list.c - reads header and list of the persistent store from the
 * image, in bounded pieces, without a judgement on what they say.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_store.h"

int cow_snap_header_read(struct cow_image *image, uint8_t raw[SNAP_HEADER_BYTES],
			 struct cow_err *err)
{
	int ret;

	if (image->size_bytes < SNAP_HEADER_BYTES)
		return cow_refuse(err, -EBADMSG, "damaged", NULL,
				  "%s has %" PRIu64 " bytes, a store has a header of 512 at least",
				  image->name, image->size_bytes);
	if (image->is_writable) {
		ret = cow_image_drop_cache(image, 0, SNAP_HEADER_BYTES, err);
		if (ret)
			return ret;
	}
	return cow_image_pread(image, raw, SNAP_HEADER_BYTES, 0, err);
}

int cow_snap_header_unchanged(struct cow_image *image, const uint8_t found[SNAP_HEADER_BYTES],
			      struct cow_err *err)
{
	uint8_t now[SNAP_HEADER_BYTES];
	int ret = cow_snap_header_read(image, now, err);

	if (ret || !memcmp(now, found, sizeof(now)))
		return ret;
	ret = cow_refuse(err, -EBUSY, "changed", NULL,
			 "the header of %s is not what it was a moment ago: somebody else writes "
			 "to it",
			 image->name);
	cow_err_place(err, image->name, 0);
	return ret;
}

int cow_snap_reader_init(struct snap_reader *reader, struct cow_image *image,
			 const struct snap_layout *layout, struct cow_err *err)
{
	reader->image = image;
	reader->layout = layout;
	reader->next_index = 0;
	reader->buf_bytes = min_u64(layout->chunk_bytes, COW_PIECE_BYTES);
	reader->buf = malloc(reader->buf_bytes);
	if (!reader->buf)
		return cow_fail(err, -ENOMEM, "no memory for a piece of a metadata area");
	return 0;
}

void cow_snap_reader_close(struct snap_reader *reader)
{
	free(reader->buf);
	reader->buf = NULL;
}

int cow_snap_reader_next(struct snap_reader *reader, const uint8_t **ret_raw, uint64_t *ret_index,
			 uint64_t *ret_nr, struct cow_err *err)
{
	const struct snap_layout *layout = reader->layout;
	uint64_t index = reader->next_index;
	uint64_t within = index % layout->records_per_area;
	uint64_t nr =
		min_u64(reader->buf_bytes / SNAP_RECORD_BYTES, layout->records_per_area - within);
	uint64_t offset;
	int ret;

	*ret_raw = reader->buf;
	*ret_index = index;
	*ret_nr = 0;
	if (index / layout->records_per_area >= layout->nr_areas)
		return 0;
	offset = cow_snap_record_offset(layout, index);
	if (reader->image->is_writable) {
		ret = cow_image_drop_cache(reader->image, offset, nr * SNAP_RECORD_BYTES, err);
		if (ret)
			return ret;
	}
	ret = cow_image_pread(reader->image, reader->buf, nr * SNAP_RECORD_BYTES, offset, err);
	if (ret)
		return ret;
	reader->next_index = index + nr;
	*ret_nr = nr;
	return 0;
}
