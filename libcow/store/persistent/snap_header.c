/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_header.c - reads and writes the header sector of a persistent store.
 *
 * invalidate	header sector, FLUSH		valid or not
 * label	header sector, FLUSH		old label or new: one sector (I9)
 * mark		header sector, FLUSH		taken out of a label before a repair, or a
 *						merge that leaves exceptions, lets another
 *						record be the first
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
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
			 "the header of %s has just changed: another program writes to it",
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

/* ------------------------------------------------------------------ mark */

/* The mark of the first record as it is on the disk; 0: there is none. */
static int mark_read(struct cow_image *cow, const struct snap_layout *layout, uint64_t *ret_mark,
		     struct cow_err *err)
{
	uint8_t raw[SNAP_RECORD_BYTES], sum[COW_DIGEST_BYTES];
	struct snap_record record;
	int ret = cow_snap_record_read(cow, layout, 0, &record, err);

	*ret_mark = 0;
	if (ret || !record.new_chunk)
		return ret;
	cow_snap_record_encode(&record, raw);
	cow_digest_of(raw, sizeof(raw), sum);
	*ret_mark = get_le64(sum) | 1; /* never 0 */
	return 0;
}

int cow_snap_label_find(struct cow_image *cow, const struct snap_layout *layout,
			const uint8_t raw[LABEL_BYTES], struct cow_label *ret_label,
			struct cow_err *err)
{
	struct cow_label label = { 0 };
	uint64_t mark;
	int ret = 0;

	if (cow_label_decode(raw, &label) && label.job == LABEL_JOB_MERGE &&
	    label.phase != LABEL_PHASE_DONE && label.first_mark) {
		ret = mark_read(cow, layout, &mark, err);
		if (!ret && mark && mark != label.first_mark)
			memset(&label, 0, sizeof(label));
	}
	if (!ret)
		*ret_label = label;
	return ret;
}

int cow_snap_mark_forget(struct cow_image *cow, uint8_t header[SNAP_HEADER_BYTES],
			 struct cow_err *err)
{
	struct cow_label label;
	int ret;

	if (!cow_label_decode(header + SNAP_LABEL_OFFSET, &label) || !label.first_mark)
		return 0;
	label.first_mark = 0;
	cow_label_encode(&label, header + SNAP_LABEL_OFFSET);
	ret = cow_image_pwrite(cow, header, SNAP_HEADER_BYTES, 0, err);
	return ret ? ret : cow_image_flush(cow, err);
}

int cow_snap_label_read(struct cow_store *store, uint8_t ret_raw[LABEL_BYTES], struct cow_err *err)
{
	const struct snap_store *p = snap_store_of(store);
	struct cow_label label;
	int ret = cow_snap_label_find(store->metadata, &p->layout, p->header + SNAP_LABEL_OFFSET,
				      &label, err);

	if (ret)
		return ret;
	if (label.job)
		memcpy(ret_raw, p->header + SNAP_LABEL_OFFSET, LABEL_BYTES);
	else
		memset(ret_raw, 0, LABEL_BYTES);
	return 0;
}

/* A job that goes on keeps the mark of its beginning. One that is done needs none. */
static int mark_set(struct snap_store *p, struct cow_label *label, struct cow_err *err)
{
	struct cow_label before;

	label->first_mark = 0;
	if (label->job != LABEL_JOB_MERGE || label->phase == LABEL_PHASE_DONE)
		return 0;
	if (!cow_label_decode(p->header + SNAP_LABEL_OFFSET, &before) || !before.first_mark ||
	    memcmp(before.job_id, label->job_id, sizeof(before.job_id)) != 0)
		return mark_read(p->store.metadata, &p->layout, &label->first_mark, err);
	label->first_mark = before.first_mark;
	return 0;
}

int cow_snap_label_write(struct cow_store *store, const uint8_t raw[LABEL_BYTES],
			 struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	uint8_t header[SNAP_HEADER_BYTES];
	struct cow_label label;
	int ret = 0;

	memcpy(header, p->header, SNAP_LABEL_OFFSET);
	memcpy(header + SNAP_LABEL_OFFSET, raw, LABEL_BYTES);
	if (cow_label_decode(raw, &label)) {
		ret = mark_set(p, &label, err);
		cow_label_encode(&label, header + SNAP_LABEL_OFFSET);
	}
	return ret ? ret : header_write(p, header, err);
}
