/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_repair_lost.c - what a repair takes out of the view. Before a round
 * writes, the chunks are noted that its list names. After the last round each
 * of them that the repaired list does not name shows the origin: its data is
 * lost. A record whose place cannot be known is counted.
 */
#include "libcow/store/persistent/repair/snap_repair.h"

#include <errno.h>

#include "libcow/base/err.h"

int cow_snap_losses_init(struct snap_losses *losses, struct cow_err *err)
{
	*losses = (struct snap_losses){ .named = NULL };
	return cow_exmap_new(&losses->named, err);
}

void cow_snap_losses_close(struct snap_losses *losses)
{
	cow_exmap_free(losses->named);
	losses->named = NULL;
}

static bool has_place(const struct snap_plan *plan, const struct snap_record *record)
{
	return record->old_chunk < min_u64(plan->bounds.nr_origin_chunks, EXMAP_CHUNK_LIMIT) &&
	       record->old_chunk < COW_IMAGE_BYTES_MAX / plan->layout.chunk_bytes;
}

/* What stands behind a hole and is dropped was in no view. */
static bool was_hidden(const struct snap_plan *plan, uint64_t index)
{
	return index >= plan->first_hole && cow_snap_edits_find(&plan->drops, index);
}

static int name_record(struct snap_losses *losses, const struct snap_plan *plan,
		       const struct snap_record *record, uint64_t index, struct cow_err *err)
{
	const struct exmap_run run = { record->old_chunk, record->old_chunk, 1 };

	if (!record->new_chunk || !has_place(plan, record) || was_hidden(plan, index))
		return 0;
	return cow_exmap_add(losses->named, &run, err);
}

static int dropped_count(struct snap_losses *losses, const struct snap_plan *plan,
			 struct cow_err *err)
{
	for (size_t i = 0; i < plan->drops.nr; i++) {
		struct snap_record record;
		int ret = cow_snap_record_read(plan->cow, &plan->layout, plan->drops.rows[i].index,
					       &record, err);

		if (ret)
			return ret;
		losses->nr_unknown += !record.new_chunk || !has_place(plan, &record);
	}
	return 0;
}

int cow_snap_losses_note(struct snap_losses *losses, const struct snap_plan *plan,
			 struct cow_err *err)
{
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	int ret;

	losses->nr_unknown += plan->nr_unknown;
	losses->layout = plan->layout;
	ret = cow_snap_list_open(&list, plan->cow, &plan->layout, 0, err);
	while (!ret && list.index < plan->nr_records && cow_snap_list_next(&list, &record, &index))
		ret = name_record(losses, plan, &record, index, err);
	ret = cow_snap_list_close(&list, ret);
	return ret ? ret : dropped_count(losses, plan, err);
}

/* A range of the view that shows the origin now. */
static void range_add(const struct snap_losses *losses, const struct cow_image *origin,
		      const struct cow_repair_params *params, struct cow_repair_result *result,
		      const struct exmap_run *run)
{
	uint64_t offset = run->old_chunk * losses->layout.chunk_bytes;
	uint64_t len = run->nr_chunks * losses->layout.chunk_bytes;

	if (origin) /* I11 */
		len = min_u64(len, origin->size_bytes - offset);
	result->nr_lost += run->nr_chunks;
	result->lost_bytes += len;
	if (params->lost)
		params->lost(params->user, offset, len);
}

int cow_snap_losses_report(struct snap_losses *losses, const struct cow_exmap *now,
			   const struct cow_image *origin, const struct cow_repair_params *params,
			   struct cow_repair_result *result, struct cow_err *err)
{
	struct exmap_run run, kept;
	uint64_t at = 0;
	int ret = cow_exmap_seal(losses->named, NULL, NULL, err);

	if (ret)
		return ret;
	result->nr_unknown = losses->nr_unknown;
	result->nr_lost += losses->nr_unknown;
	while (cow_exmap_next(losses->named, at, &run)) {
		if (!cow_exmap_next(now, run.old_chunk, &kept))
			kept = (struct exmap_run){ UINT64_MAX, 0, 1 };
		if (kept.old_chunk > run.old_chunk) {
			run.nr_chunks = min_u64(run.nr_chunks, kept.old_chunk - run.old_chunk);
			range_add(losses, origin, params, result, &run);
			at = run.old_chunk + run.nr_chunks;
		} else {
			at = run.old_chunk + min_u64(run.nr_chunks, kept.nr_chunks);
		}
	}
	return 0;
}
