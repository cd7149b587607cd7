/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * undo.c - makes and completes the undo store of a merge. The outcome (digests
 * of what the merge leaves) is written and flushed before the label says that
 * it is there.
 *
 *	empty ----> saving ----> done ----> mixture ----> taken
 *
 * saving	preserve.c copies into it; no label, so it is no undo file yet
 * done		cow_undo_finish(): outcome, FLUSH, label DONE
 * mixture	cow_take_back() (take_back.c): cow_undo_verify() has found the outcome on the
 *		origin, cow_merge_with_job() writes label MOVE and merges; a kill
 *		leaves this state, and the same command goes on without verifying
 * taken	the store is empty, label TAKEN: run again, it is said to be done
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/engine/job.h"
#include "libcow/engine/undo_outcome.h"
#include "libcow/snapshot/copyout.h"

static void entry_encode(const struct entry *entry, uint8_t raw[ENTRY_BYTES])
{
	put_le64(raw, entry->offset_bytes);
	put_le64(raw + 8, entry->len_bytes);
	memcpy(raw + 16, entry->digest, COW_DIGEST_BYTES);
}

/* The ranges of the outcome: the runs of the undo's map, cut to pieces. */
static bool range_next(const struct cow_store *undo, uint64_t from_bytes, struct entry *ret_entry)
{
	uint64_t size = undo->target->size_bytes;
	struct cow_extent extent;

	if (from_bytes >= size || !cow_store_next_extent(undo, from_bytes, &extent) ||
	    extent.old_bytes >= size)
		return false;
	ret_entry->offset_bytes = extent.old_bytes;
	ret_entry->len_bytes =
		min_u64(min_u64(extent.len_bytes, RANGE_BYTES), size - extent.old_bytes);
	return true;
}

static uint64_t ranges_count(const struct cow_store *undo)
{
	struct entry entry;
	uint64_t nr = 0;

	for (uint64_t from = 0; range_next(undo, from, &entry);
	     from = entry.offset_bytes + entry.len_bytes)
		nr++;
	return nr;
}

int cow_undo_size(struct cow_store *store, uint64_t *ret_bytes, struct cow_err *err)
{
	const struct copyout_ranges ranges = { cow_copyout_next_target, store };
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	uint64_t nr_chunks = 0, nr_entries = 0, bytes, offset, len;
	int ret;

	if (!store->target)
		return cow_fail(err, -EINVAL, "the store was opened without its origin");
	/* The outcome's ranges are those of the store, cut at its own areas too:
	 * one more entry for each area, and one for each piece. */
	for (uint64_t from = 0; ranges.next(ranges.user, from, &offset, &len);
	     from = offset + len) {
		nr_chunks += div_ceil(len, store->chunk_bytes);
		nr_entries += 2 + len / RANGE_BYTES + len / store->chunk_bytes / 16;
	}
	create.origin_bytes = chunk_to_bytes(nr_chunks, store->chunk_bytes);
	create.chunk_bytes = store->chunk_bytes;
	ret = cow_create_size(&create, &bytes, err);
	if (ret)
		return ret;
	bytes += div_ceil(nr_entries * ENTRY_BYTES, COW_SECTOR_BYTES) * COW_SECTOR_BYTES;
	*ret_bytes = bytes;
	return 0;
}

/* ---------------------------------------------------------------- writing */

struct outcome {
	struct cow_store *undo;
	struct cow_image *view;
	struct cow_digest *digest; /* of the entries */
	uint8_t *data, *entries;
	size_t nr_entries; /* in the buffer */
	uint64_t offset_bytes;
	uint64_t done_bytes, total_bytes;
	const struct cow_callbacks *callbacks;
};

static int entries_write(struct outcome *outcome, struct cow_err *err)
{
	uint64_t len = outcome->nr_entries * ENTRY_BYTES;
	uint64_t padded = ceil_to(len, COW_SECTOR_BYTES);
	int ret;

	if (!len)
		return 0;
	memset(outcome->entries + len, 0, padded - len);
	ret = cow_image_pwrite(outcome->undo->data, outcome->entries, padded, outcome->offset_bytes,
			       err);
	outcome->offset_bytes += len;
	outcome->nr_entries = 0;
	return ret;
}

static int outcome_add(struct outcome *outcome, struct entry *entry, struct cow_err *err)
{
	uint8_t *raw = outcome->entries + outcome->nr_entries * ENTRY_BYTES;
	int ret;

	ret = cow_image_pread(outcome->view, outcome->data, entry->len_bytes, entry->offset_bytes,
			      err);
	if (ret)
		return ret;
	cow_digest_of(outcome->data, entry->len_bytes, entry->digest);
	entry_encode(entry, raw);
	cow_digest_update(outcome->digest, raw, ENTRY_BYTES);
	outcome->done_bytes += entry->len_bytes;
	if (++outcome->nr_entries == ENTRIES_PER_PIECE)
		ret = entries_write(outcome, err);
	if (!ret)
		ret = cow_callbacks_progress(outcome->callbacks, "digest", outcome->done_bytes,
					     outcome->total_bytes, err);
	return ret;
}

static int outcome_write(struct outcome *outcome, struct cow_err *err)
{
	struct entry entry;
	uint64_t from = 0;
	int ret;

	for (; range_next(outcome->undo, from, &entry);
	     from = entry.offset_bytes + entry.len_bytes) {
		ret = outcome_add(outcome, &entry, err);
		if (ret)
			return ret;
	}
	return entries_write(outcome, err);
}

/* Behind the chunks in use; the image was made large enough for it. */
static int outcome_place(const struct cow_store *undo, struct cow_label *label, struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	uint64_t need;
	int ret;

	ret = cow_store_get_info(undo, &info);
	if (ret)
		return cow_fail(err, ret, "the facts of the undo file cannot be read");
	label->outcome_bytes =
		sectors_to_bytes(max_u64(info.allocated_sectors, info.metadata_sectors));
	label->outcome_len_bytes = ranges_count(undo) * ENTRY_BYTES;
	need = div_ceil(label->outcome_len_bytes, COW_SECTOR_BYTES) * COW_SECTOR_BYTES;
	if (range_fits(label->outcome_bytes, need, undo->data->size_bytes))
		return 0;
	return cow_fail(err, -ENOSPC,
			"%s has %" PRIu64 " bytes, saving what is overwritten needs %" PRIu64,
			undo->data->name, undo->data->size_bytes, label->outcome_bytes + need);
}

int cow_undo_outcome_write(struct cow_store *undo, struct cow_image *left, struct cow_label *label,
			   const struct cow_callbacks *callbacks, struct cow_err *err)
{
	AUTO_HANDLE(digest) struct cow_digest *digest = NULL;
	AUTO_FREE uint8_t *data = aligned_alloc(COW_BUFFER_ALIGN, RANGE_BYTES);
	AUTO_FREE uint8_t *entries = malloc(COW_PIECE_BYTES);
	struct store_left saved;
	int ret;

	if (!data || !entries)
		return cow_fail(err, -ENOMEM, "no memory for the digests of the undo file");
	cow_store_moves_left(undo, &saved);
	ret = outcome_place(undo, label, err);
	if (!ret)
		ret = cow_digest_new(&digest, err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	struct outcome outcome = {
		.undo = undo,
		.view = left,
		.digest = digest,
		.data = data,
		.entries = entries,
		.offset_bytes = label->outcome_bytes,
		.total_bytes = saved.bytes,
		.callbacks = callbacks,
	};
	ret = outcome_write(&outcome, err);
	if (!ret)
		ret = cow_image_flush(undo->data, err);
	if (!ret)
		cow_digest_final(digest, label->outcome_digest);
	return ret;
}

int cow_undo_finish(struct cow_store *undo, struct cow_store *store, const struct cow_label *job,
		    const struct cow_callbacks *callbacks, struct cow_err *err)
{
	AUTO_HANDLE(image) struct cow_image *view = NULL;
	struct cow_label label = *job;
	int ret;

	label.job = LABEL_JOB_UNDO;
	label.phase = LABEL_PHASE_DONE;
	ret = cow_view_new(store->origin, store, &view, err);
	if (!ret)
		ret = cow_undo_outcome_write(undo, view, &label, callbacks, err);
	return ret ? ret : cow_job_label_write(undo, &label, err);
}
