/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_doubt.c - refuses a store whose list may be cut short: it is asked when a
 * store is opened to be shown or merged, and before a sibling is appended to,
 * because the next record would be written into the gap.
 */
#include <errno.h>

#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_end.h"

static int refuse_at(const struct snap_store *p, uint64_t offset_bytes, const char *what,
		     struct cow_err *err)
{
	struct cow_image *cow = p->store.metadata;
	int ret = cow_refuse(err, -EBADMSG, "doubtful", "doubtful",
			     "the list of %s may be cut short: %s; run snapcheck for details",
			     cow->name, what);

	cow_err_place(err, cow->name, offset_bytes);
	return ret;
}

static int refuse(const struct snap_store *p, uint64_t index, const char *what, struct cow_err *err)
{
	return refuse_at(p, cow_snap_record_offset(&p->layout, index), what, err);
}

/* The list is empty: is there one for a chunk size that LVM makes, unlike this one? */
static int size_doubt(const struct snap_store *p, struct cow_err *err)
{
	uint64_t other_bytes, nr;
	int ret;

	if (p->nr_records || p->layout.chunk_bytes >= SNAP_LVM_CHUNK_BYTES_MIN)
		return 0;
	ret = cow_snap_evidence_best(p->store.metadata, p->store.origin, p->layout.chunk_bytes,
				     &other_bytes, &nr, err);
	if (ret || !cow_snap_size_is_doubtful(p->layout.chunk_bytes, other_bytes))
		return ret;
	return refuse_at(p, 12,
			 "the chunk size in its header finds an empty list, and a larger one "
			 "finds exceptions",
			 err);
}

/* Nothing stands behind the list: its end may be lost all the same. */
static int clean_doubt(const struct snap_store *p, struct cow_err *err)
{
	struct cow_image *cow = p->store.metadata;
	enum snap_end_loss loss;
	struct cow_segment where;
	int ret;

	ret = cow_snap_end_loss(cow, p->store.origin, &p->layout, p->nr_records, p->next_free - 1,
				NULL, &where, &loss, err);
	/* what cannot be read there the check reports */
	if (ret == -EIO) {
		if (err)
			*err = (struct cow_err)COW_ERR_INIT;
		return 0;
	}
	if (ret || loss != SNAP_LOSS_LIKELY)
		return ret;
	return refuse_at(p, where.offset_bytes,
			 "it ends with a sector, and data that it does not name follows", err);
}

/* What stands behind the list while a merge of ours runs was merged. Behind an end
 * within a sector nothing can be missing, and this is how most lists end. */
int cow_snap_doubt(struct cow_store *store, struct cow_err *err)
{
	const struct snap_store *p = snap_store_of(store);
	struct snap_bounds bounds;
	struct cow_label label;
	struct snap_end end;
	int ret;

	ret = cow_snap_label_find(store->metadata, &p->layout, p->header + SNAP_LABEL_OFFSET,
				  &label, err);
	if (ret || cow_label_is_mixture(&label))
		return ret;
	/* Where the list does not reach the other area, its records were moved. */
	if (p->copy_index != UINT64_MAX && p->nr_records > p->copy_of * p->layout.records_per_area)
		return refuse(p, p->copy_index, "a metadata area holds a copy of another one", err);
	if (p->nr_records % SNAP_RECORDS_PER_SECTOR)
		return 0;
	ret = size_doubt(p, err);
	cow_snap_bounds_init(&bounds, &p->layout, store->origin);
	if (!ret)
		ret = cow_snap_end_judge(store->metadata, store->origin, &bounds, p->nr_records,
					 NULL, &end, err);
	if (!ret && end.outcome == SNAP_END_CLEAN)
		return clean_doubt(p, err);
	if (ret || (end.outcome != SNAP_END_CUT && end.outcome != SNAP_END_DOUBTFUL))
		return ret;
	return refuse(p, end.behind_index, end.why, err);
}
