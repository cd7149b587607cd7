/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_header.c - reads and writes the header sector of a persistent store.
 *
 * invalidate	header sector, FLUSH		valid or not
 * label	header sector, FLUSH		old label or new: one sector (I9)
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/bytes.h"
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

static int header_write(struct snap_store *p, const uint8_t raw[SNAP_HEADER_BYTES],
			struct cow_err *err)
{
	int ret;

	ret = cow_image_pwrite(p->store.metadata, raw, SNAP_HEADER_BYTES, 0, err);
	if (!ret)
		ret = cow_image_flush(p->store.metadata, err);
	if (!ret)
		memcpy(p->header, raw, SNAP_HEADER_BYTES);
	return ret;
}

int cow_snap_invalidate(struct cow_store *store, struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	uint8_t raw[SNAP_HEADER_BYTES];
	int ret;

	memcpy(raw, p->header, sizeof(raw));
	put_le32(raw + 4, 0);
	ret = header_write(p, raw, err);
	if (!ret)
		p->is_valid = false;
	return ret;
}

int cow_snap_label_read(struct cow_store *store, uint8_t ret_raw[LABEL_BYTES], struct cow_err *err)
{
	const struct snap_store *p = snap_store_of(store);

	(void)err;
	memcpy(ret_raw, p->header + SNAP_LABEL_OFFSET, LABEL_BYTES);
	return 0;
}

int cow_snap_label_write(struct cow_store *store, const uint8_t raw[LABEL_BYTES],
			 struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	uint8_t header[SNAP_HEADER_BYTES];

	memcpy(header, p->header, SNAP_LABEL_OFFSET);
	memcpy(header + SNAP_LABEL_OFFSET, raw, LABEL_BYTES);
	return header_write(p, header, err);
}
