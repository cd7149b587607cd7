/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_repair_edits.c - changes of records, and in which order they can
 * be made while a crash may come between any two.
 */
#include <errno.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/repair/snap_repair.h"

/* Source: DM_CHUNK_CONSECUTIVE_BITS, dm-exception-store.h. */
#define GROUP_SHIFT 8

int cow_snap_edits_add(struct snap_edits *edits, uint64_t index, const struct snap_record *record,
		       struct cow_err *err)
{
	struct snap_edit *rows =
		cow_array_grow(edits->rows, edits->nr, &edits->capacity, sizeof(*rows));

	if (!rows)
		return cow_fail(err, -ENOMEM, "no memory for more than %zu changes", edits->nr);
	edits->rows = rows;
	edits->rows[edits->nr++] = (struct snap_edit){
		.index = index,
		.record = record ? *record : (struct snap_record){ 0, 0 },
	};
	return 0;
}

static int compare_edits(const void *a, const void *b)
{
	const struct snap_edit *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

void cow_snap_edits_sort(struct snap_edits *edits)
{
	size_t nr = 0;

	if (edits->nr)
		qsort(edits->rows, edits->nr, sizeof(*edits->rows), compare_edits);
	for (size_t i = 0; i < edits->nr; i++)
		if (!nr || edits->rows[nr - 1].index != edits->rows[i].index)
			edits->rows[nr++] = edits->rows[i];
	edits->nr = nr;
}

const struct snap_edit *cow_snap_edits_find(const struct snap_edits *edits, uint64_t index)
{
	const struct snap_edit key = { .index = index };

	if (!edits->nr)
		return NULL;
	return bsearch(&key, edits->rows, edits->nr, sizeof(key), compare_edits);
}

static int compare_groups(const void *a, const void *b)
{
	const struct snap_edit *x = a, *y = b;
	uint64_t gx = x->record.old_chunk >> GROUP_SHIFT, gy = y->record.old_chunk >> GROUP_SHIFT;

	if (gx != gy)
		return gx < gy ? -1 : 1;
	if (x->record.old_chunk != y->record.old_chunk)
		return x->record.old_chunk > y->record.old_chunk ? -1 : 1;
	return compare_edits(a, b);
}

static int compare_waves(const void *a, const void *b)
{
	const struct snap_edit *x = a, *y = b;

	if (x->wave != y->wave)
		return x->wave < y->wave ? -1 : 1;
	return compare_edits(a, b);
}

void cow_snap_edits_waves(struct snap_edits *edits)
{
	if (!edits->nr)
		return;
	qsort(edits->rows, edits->nr, sizeof(*edits->rows), compare_groups);
	for (size_t i = 1; i < edits->nr; i++) {
		uint64_t old_chunk = edits->rows[i].record.old_chunk;
		uint64_t before = edits->rows[i - 1].record.old_chunk;

		if (old_chunk >> GROUP_SHIFT == before >> GROUP_SHIFT)
			edits->rows[i].wave = edits->rows[i - 1].wave + (old_chunk != before);
	}
	qsort(edits->rows, edits->nr, sizeof(*edits->rows), compare_waves);
}
