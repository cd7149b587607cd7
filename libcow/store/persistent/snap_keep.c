/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_keep.c - leaves some exceptions of a list whose others are merged:
 * k records are kept, and must be the first k.
 *
 * mark		taken out of the label, where there is one; FLUSH (snap_header.c)
 * keep		each kept record that stands behind place k is copied to a
 *		place below it whose own record is not kept; FLUSH
 *		the list is cut after k records; FLUSH (snap_merge.c)
 *	A record that is kept is never overwritten, so which sectors a crash
 *	leaves old does not matter (I9, I13): until the cut each kept record is
 *	in the list, perhaps twice, and one that is overwritten was merged. Run
 *	again, the same places are found; of two copies the first one stays.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_store.h"

struct keep {
	struct snap_store *p;
	const uint64_t *old_chunks; /* ascending */
	uint64_t nr_chunks;
	bool *is_seen;		     /* for each of them */
	uint64_t *places;	     /* in front, of records that go */
	struct snap_record *records; /* from behind, that stay */
	uint64_t nr_places, nr_records;
};

static int keep_changed(const struct keep *keep, struct cow_err *err)
{
	return cow_refuse(err, -EBUSY, "changed", NULL,
			  "the list of %s has just changed: another program writes to it",
			  keep->p->store.metadata->name);
}

static bool find(const struct keep *keep, uint64_t old_chunk, uint64_t *ret_at)
{
	uint64_t low = 0, high = keep->nr_chunks;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (keep->old_chunks[middle] < old_chunk)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_at = low;
	return low < keep->nr_chunks && keep->old_chunks[low] == old_chunk;
}

static int keep_record(struct keep *keep, const struct snap_record *record, uint64_t index,
		       struct cow_err *err)
{
	struct exmap_run run;
	uint64_t at;

	if (!cow_exmap_lookup(keep->p->store.map, record->old_chunk, &run) ||
	    run.new_chunk != record->new_chunk)
		return keep_changed(keep, err);
	if (!find(keep, record->old_chunk, &at) || keep->is_seen[at]) {
		if (index < keep->nr_chunks)
			keep->places[keep->nr_places++] = index;
		return 0;
	}
	keep->is_seen[at] = true;
	if (index >= keep->nr_chunks)
		keep->records[keep->nr_records++] = *record;
	return 0;
}

/* Finds what goes where. */
static int keep_scan(struct keep *keep, struct cow_err *err)
{
	struct snap_store *p = keep->p;
	struct snap_record record;
	struct snap_list list;
	uint64_t index, nr = 0;
	int ret;

	ret = cow_snap_list_open(&list, p->store.metadata, &p->layout, 0, err);
	while (!ret && nr < p->nr_records && cow_snap_list_next(&list, &record, &index)) {
		nr++;
		ret = keep_record(keep, &record, index, err);
	}
	ret = cow_snap_list_close(&list, ret);
	if (ret)
		return ret;
	/* every kept record was met once, or the list is another one */
	return nr == p->nr_records && keep->nr_places == keep->nr_records ? 0
									  : keep_changed(keep, err);
}

static int keep_copy(const struct keep *keep, struct cow_err *err)
{
	const struct snap_store *p = keep->p;
	const struct snap_rows rows = {
		.records = keep->records,
		.places = keep->places,
		.nr = keep->nr_places,
	};
	int ret = cow_snap_list_put(p->store.metadata, &p->layout, &rows, false, err);

	if (!ret && keep->nr_places)
		ret = cow_image_flush(p->store.metadata, err);
	return ret;
}

int cow_snap_keep(struct cow_store *store, const uint64_t *old_chunks, size_t nr_chunks,
		  struct cow_err *err)
{
	AUTO_FREE bool *is_seen = calloc(nr_chunks, sizeof(*is_seen));
	AUTO_FREE uint64_t *places = calloc(nr_chunks, sizeof(*places));
	AUTO_FREE struct snap_record *records = calloc(nr_chunks, sizeof(*records));
	struct keep keep = { .p = snap_store_of(store),
			     .old_chunks = old_chunks,
			     .nr_chunks = nr_chunks,
			     .is_seen = is_seen,
			     .places = places,
			     .records = records };
	int ret;

	if (!is_seen || !places || !records)
		return cow_fail(err, -ENOMEM, "no memory for %zu records", nr_chunks);
	ret = keep_scan(&keep, err);
	if (!ret)
		ret = cow_snap_mark_forget(store->metadata, snap_store_of(store)->header, err);
	if (!ret)
		ret = keep_copy(&keep, err);
	return ret ? ret : cow_snap_settle(store, nr_chunks, err);
}
