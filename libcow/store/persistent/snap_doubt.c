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

static int refuse(const struct snap_store *p, uint64_t index, const char *what, struct cow_err *err)
{
	struct cow_image *cow = p->store.metadata;
	int ret = cow_refuse(err, -EBADMSG, "doubtful", "doubtful",
			     "the list of %s may be cut short: %s; snapcheck tells more", cow->name,
			     what);

	cow_err_place(err, cow->name, cow_snap_record_offset(&p->layout, index));
	return ret;
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

	if (cow_label_decode(p->header + SNAP_LABEL_OFFSET, &label) && cow_label_is_mixture(&label))
		return 0;
	/* Where the list does not reach the other area, its records were moved. */
	if (p->copy_index != UINT64_MAX && p->nr_records > p->copy_of * p->layout.records_per_area)
		return refuse(p, p->copy_index, "a metadata area holds a copy of another one", err);
	if (p->nr_records % SNAP_RECORDS_PER_SECTOR)
		return 0;
	cow_snap_bounds_init(&bounds, &p->layout, store->origin);
	ret = cow_snap_end_judge(store->metadata, store->origin, &bounds, p->nr_records, NULL, &end,
				 err);
	if (ret || (end.outcome != SNAP_END_CUT && end.outcome != SNAP_END_DOUBTFUL))
		return ret;
	return refuse(p, end.behind_index, end.why, err);
}
