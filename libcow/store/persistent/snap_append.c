/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_append.c - adds exceptions to a persistent store.
 *
 *	loaded ---> pending ---> published
 *	  ^ reserve	append	   publish |
 *	  +--------------------------------+
 *	failed		a write failed: nothing more is taken or published; the
 *			store is opened anew (I8)
 *
 * A kill leaves what was published; pending chunks are free space then.
 *
 * reserve	nothing is written
 * append	data chunks, at numbers that no record names: out of reach. One that
 *		cannot be written gets no record either, and its number goes to the
 *		next (a full file system is not the end of the store)
 * publish	FLUSH				the data is durable (I3)
 *		zeros behind the end of the list, FLUSH, if they are not (I5)
 *		the label of a merge that has finished, FLUSH: it said that the
 *		store is empty
 *		every area above the lowest that is touched, the last one with
 *		zeros behind its records, FLUSH
 *						out of reach: the lowest area is
 *						not full yet
 *		the sectors of the lowest area, one write, FLUSH
 *						any of its sectors may be there:
 *						what is visible is a prefix of
 *						the new records, all of them
 *						with durable data (I9)
 *		One write, so that a process that is killed leaves no record behind
 *		the end within its area: the kernel would go on at the end, and
 *		bring that record to life. Only a power cut can tear the write.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/store/persistent/snap_store.h"

/* How many more exceptions fit. The list must keep room for its end: with all
 * areas full it has none (formats: "end-of-device accident"). */
static uint64_t room(const struct snap_store *p)
{
	const struct snap_layout *layout = &p->layout;
	uint64_t max_records = layout->nr_areas * layout->records_per_area - 1;
	uint64_t used = p->nr_records + p->nr_pending;

	if (used >= max_records)
		return 0;
	return min_u64(max_records - used, cow_snap_data_chunks_from(layout, p->next_free));
}

int cow_snap_reserve(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err)
{
	const struct snap_store *p = snap_store_of(store);
	uint64_t free_chunks = room(p);

	if (nr_chunks <= free_chunks)
		return 0;
	return cow_fail(err, -ENOSPC,
			"%s has room for %" PRIu64 " more chunks of %" PRIu64 " bytes, %" PRIu64
			" are needed: %" PRIu64 " are missing",
			store->metadata->name, free_chunks, p->layout.chunk_bytes, nr_chunks,
			nr_chunks - free_chunks);
}

/* ----------------------------------------------------------------- append */

/* Makes room for their records; nothing is pending yet. */
static int pending_prepare(struct snap_store *p, const struct exmap_run *run, struct cow_err *err)
{
	struct exmap_run found;
	size_t wanted;

	/* a run may be more chunks than 32 bits count */
	if (__builtin_add_overflow(p->nr_pending, run->nr_chunks, &wanted))
		return cow_fail(err, -ENOMEM, "no memory for %" PRIu64 " more records",
				run->nr_chunks);
	if (cow_exmap_next(p->store.map, run->old_chunk, &found) &&
	    found.old_chunk < run->old_chunk + run->nr_chunks)
		return cow_fail(err, -EEXIST,
				"chunk %" PRIu64 " of the origin has an exception already",
				found.old_chunk);
	if (wanted > p->capacity) {
		size_t capacity = wanted + wanted / 2 + 64;
		struct snap_record *records = reallocarray(p->records, capacity, sizeof(*records));

		if (!records)
			return cow_fail(err, -ENOMEM, "no memory for %zu records", capacity);
		p->records = records;
		p->capacity = capacity;
	}
	return 0;
}

static int pending_add(struct snap_store *p, const struct exmap_run *run, struct cow_err *err)
{
	int ret = cow_exmap_insert(p->pending, run, err);

	if (ret)
		return ret;
	for (uint64_t i = 0; i < run->nr_chunks; i++)
		p->records[p->nr_pending++] =
			(struct snap_record){ run->old_chunk + i, run->new_chunk + i };
	return 0;
}

static int data_write(struct snap_store *p, uint64_t offset, const uint8_t *buf, uint64_t len,
		      struct cow_err *err)
{
	return buf ? cow_image_pwrite(p->store.data, buf, len, offset, err)
		   : cow_image_write_zeroes(p->store.data, offset, len, err);
}

static int failed_check(const struct snap_store *p, struct cow_err *err)
{
	if (!p->has_failed)
		return 0;
	return cow_fail(err, -EIO, "adding to %s has failed before; it must be opened anew",
			p->store.metadata->name);
}

/* How much of its last chunk data up to old_bytes fills, 0: all of it. The
 * origin's short last chunk is full where the origin ends (I11). */
static uint64_t unfinished_at(const struct snap_store *p, uint64_t old_bytes)
{
	if (p->store.origin && old_bytes == p->store.origin->size_bytes)
		return 0;
	return old_bytes & (p->layout.chunk_bytes - 1);
}

/* Goes on with the chunk that the last call left unfinished. */
static int append_rest(struct snap_store *p, uint64_t old_bytes, const uint8_t *buf, uint64_t len,
		       uint64_t *ret_taken, struct cow_err *err)
{
	const struct snap_record *last = &p->records[p->nr_pending - 1];
	uint64_t within = p->unfinished_bytes;
	uint64_t taken = min_u64(len, p->layout.chunk_bytes - within);
	int ret;

	if (old_bytes != (last->old_chunk << p->layout.chunk_shift) + within)
		return cow_fail(err, -EINVAL,
				"chunk %" PRIu64 " was given %" PRIu64
				" bytes; what comes next must go on there, not at byte %" PRIu64,
				last->old_chunk, within, old_bytes);
	ret = data_write(p, (last->new_chunk << p->layout.chunk_shift) + within, buf, taken, err);
	if (ret) {
		/* the chunk is pending, and must never get a record (I3) */
		p->has_failed = true;
		return ret;
	}
	p->unfinished_bytes = unfinished_at(p, old_bytes + taken);
	*ret_taken = taken;
	return 0;
}

/* Hands out neighbours for as much of the data as lies in front of the next
 * area: one write. */
static int append_run(struct snap_store *p, uint64_t old_bytes, const uint8_t *buf, uint64_t len,
		      uint64_t *ret_taken, struct cow_err *err)
{
	const struct snap_layout *layout = &p->layout;
	uint64_t stride = layout->records_per_area + 1;
	uint64_t until_area = stride - (p->next_free - 1) % stride;
	struct exmap_run run = { old_bytes >> layout->chunk_shift, p->next_free,
				 min_u64(div_ceil(len, layout->chunk_bytes), until_area) };
	uint64_t taken = min_u64(len, run.nr_chunks << layout->chunk_shift);
	int ret;

	if (old_bytes & (layout->chunk_bytes - 1))
		return cow_fail(err, -EINVAL,
				"byte %" PRIu64 " is not the beginning of a chunk of %" PRIu64
				" bytes",
				old_bytes, layout->chunk_bytes);
	ret = cow_snap_reserve(&p->store, run.nr_chunks, err);
	if (!ret)
		ret = pending_prepare(p, &run, err);
	if (!ret)
		ret = data_write(p, run.new_chunk << layout->chunk_shift, buf, taken, err);
	if (!ret)
		ret = pending_add(p, &run, err);
	if (ret)
		return ret;
	p->next_free = cow_snap_skip_area(layout, p->next_free + run.nr_chunks);
	p->unfinished_bytes = unfinished_at(p, old_bytes + taken);
	*ret_taken = taken;
	return 0;
}

static int pending_begin(struct snap_store *p, struct cow_err *err)
{
	int ret;

	if (p->pending)
		return 0;
	ret = cow_exmap_new(&p->pending, err);
	return ret ? ret : cow_exmap_seal(p->pending, NULL, NULL, err);
}

int cow_snap_append(struct cow_store *store, uint64_t old_bytes, const void *buf, size_t len_bytes,
		    struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	const uint8_t *from = buf;
	uint64_t len = len_bytes, taken = 0;
	int ret;

	ret = failed_check(p, err);
	if (!ret)
		ret = pending_begin(p, err);
	while (!ret && len) {
		if (p->unfinished_bytes)
			ret = append_rest(p, old_bytes, from, len, &taken, err);
		else
			ret = append_run(p, old_bytes, from, len, &taken, err);
		if (ret)
			break;
		old_bytes += taken;
		len -= taken;
		from = from ? from + taken : NULL;
	}
	return ret;
}

bool cow_snap_pending_next(const struct cow_store *store, uint64_t old_chunk,
			   struct exmap_run *ret_run)
{
	const struct snap_store *p = (const struct snap_store *)store;

	return p->pending && cow_exmap_next(p->pending, old_chunk, ret_run);
}

/* ---------------------------------------------------------------- publish */

/* Puts the pending records that belong to list indexes [begin, end), all of one
 * area. What stands in front of them in their sector stays; behind them nothing
 * does. */
static int records_write(struct snap_store *p, uint64_t begin, uint64_t end, struct cow_err *err)
{
	const struct snap_rows rows = {
		.records = p->records + (begin - p->nr_records),
		.first = begin,
		.nr = end - begin,
	};

	return cow_snap_list_put(p->store.metadata, &p->layout, &rows, true, err);
}

/* A whole area that is out of reach yet: records up to end, then zeros. */
static int upper_area_write(struct snap_store *p, uint64_t area, uint64_t end, struct cow_err *err)
{
	uint64_t begin = area * p->layout.records_per_area;
	uint64_t area_end = begin + p->layout.records_per_area;
	int ret;

	end = min_u64(end, area_end);
	ret = records_write(p, begin, end, err);
	return ret ? ret
		   : cow_snap_list_zero(p->store.metadata, &p->layout,
					ceil_to(end, SNAP_RECORDS_PER_SECTOR), area_end, err);
}

static int label_clear(struct snap_store *p, struct cow_err *err)
{
	const uint8_t none[LABEL_BYTES] = { 0 };
	struct cow_label label;

	if (!cow_label_decode(p->header + SNAP_LABEL_OFFSET, &label) ||
	    !cow_label_is_finished(&label))
		return 0;
	return cow_snap_label_write(&p->store, none, err);
}

static int publish_areas(struct snap_store *p, struct cow_err *err)
{
	uint64_t per_area = p->layout.records_per_area;
	uint64_t end = p->nr_records + p->nr_pending;
	uint64_t lowest = p->nr_records / per_area;
	uint64_t last = end / per_area; /* holds the end of the list */
	int ret;

	for (uint64_t area = last; area > lowest; area--) {
		ret = upper_area_write(p, area, end, err);
		if (ret)
			return ret;
	}
	if (last > lowest) {
		ret = cow_image_flush(p->store.metadata, err);
		if (ret)
			return ret;
	}
	ret = records_write(p, p->nr_records, min_u64(end, (lowest + 1) * per_area), err);
	return ret ? ret : cow_image_flush(p->store.metadata, err);
}

/* What is on disk now becomes what lookups find. */
static int publish_map(struct snap_store *p, struct cow_err *err)
{
	struct exmap_run run;
	uint64_t from = 0;
	int ret;

	for (; cow_exmap_next(p->pending, from, &run); from = run.old_chunk + run.nr_chunks) {
		ret = cow_exmap_insert(p->store.map, &run, err);
		if (ret)
			return ret;
	}
	p->nr_records += p->nr_pending;
	p->shown_free = p->next_free;
	p->nr_pending = 0;
	p->cursor = p->nr_records;
	cow_exmap_free(p->pending);
	p->pending = NULL;
	return 0;
}

int cow_snap_publish(struct cow_store *store, struct cow_err *err)
{
	struct snap_store *p = snap_store_of(store);
	int ret;

	ret = failed_check(p, err);
	if (ret || !p->nr_pending)
		return ret;
	/* Without an origin, the last may be the origin's short one (I11). */
	if (p->unfinished_bytes && store->origin)
		return cow_fail(err, -EINVAL,
				"chunk %" PRIu64 " was given only %" PRIu64 " of %" PRIu64 " bytes",
				p->records[p->nr_pending - 1].old_chunk, p->unfinished_bytes,
				p->layout.chunk_bytes);
	p->unfinished_bytes = 0;
	ret = cow_image_flush(store->data, err);
	if (!ret)
		ret = cow_snap_tidy(store, err);
	if (!ret)
		ret = label_clear(p, err);
	if (!ret)
		ret = publish_areas(p, err);
	if (!ret)
		ret = publish_map(p, err);
	p->has_failed = ret;
	return ret;
}
