/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_load.c - fills the exception map from the list on disk.
 *
 * Normally every record must be sound: the kernel checks none of this, but it
 * also misreads, and fails to merge, what is not. With COW_STORE_DAMAGED the
 * map is what the kernel's reads would use, whatever it is worth:
 * snap_kernel.c resolves the cases where that is not obvious.
 */
#include <errno.h>
#include <inttypes.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/core/chunkset.h"
#include "libcow/store/persistent/snap_end.h"
#include "libcow/store/persistent/snap_kernel.h"

struct load {
	struct snap_store *p;
	struct snap_odd *odd; /* NULL: a record must be sound */
	struct snap_bounds bounds;
	uint64_t highest_new;
	bool has_same;	   /* a record that stands twice */
	bool is_ascending; /* new chunks: then none occurs twice */
	struct cow_err *err;
};

static int record_refuse(const struct load *load, uint64_t index, const char *what, uint64_t found,
			 const char *allowed, uint64_t bound)
{
	const struct snap_store *p = load->p;
	uint64_t offset = cow_snap_record_offset(&p->layout, index);
	int ret;

	ret = cow_refuse(load->err, -EBADMSG, "damaged", "damaged",
			 "record %" PRIu64 " of area %" PRIu64 " (byte %" PRIu64 "): %s %" PRIu64
			 ", %s %" PRIu64 "; run snapcheck for details",
			 index % p->layout.records_per_area, index / p->layout.records_per_area,
			 offset, what, found, allowed, bound);
	cow_err_place(load->err, p->store.metadata->name, offset);
	return ret;
}

/* Where the origin is not known: beyond the largest there can be. */
static int bounds_refuse(const struct load *load, const struct snap_record *record, uint64_t index)
{
	bool is_known = load->bounds.is_origin_known;
	char sentence[SNAP_SENTENCE_BYTES];
	int ret;

	cow_snap_record_sentence(&load->bounds, record, index, SNAP_OLD_CHUNK_BEYOND_ORIGIN,
				 sentence);
	ret = cow_refuse(load->err, is_known ? -ERANGE : -EBADMSG, is_known ? "bounds" : "damaged",
			 "damaged", "%s", sentence);
	cow_err_place(load->err, load->p->store.metadata->name,
		      cow_snap_record_offset(&load->p->layout, index));
	return ret;
}

/* Rules of a sound record; the caller knows that new_chunk is not 0. */
static int record_check(const struct load *load, const struct snap_record *record, uint64_t index)
{
	const struct snap_layout *layout = &load->p->layout;

	if (record->new_chunk >= layout->nr_chunks)
		return record_refuse(load, index, "new chunk", record->new_chunk,
				     "the image has chunks below", layout->nr_chunks);
	if (record->new_chunk < SNAP_FIRST_DATA_CHUNK)
		return record_refuse(load, index, "new chunk", record->new_chunk,
				     "data begins at chunk", SNAP_FIRST_DATA_CHUNK);
	if (cow_snap_is_area(layout, record->new_chunk))
		return record_refuse(load, index, "new chunk", record->new_chunk,
				     "which is the place of metadata area",
				     (record->new_chunk - 1) / (layout->records_per_area + 1));
	if (record->old_chunk >= load->bounds.nr_origin_chunks)
		return bounds_refuse(load, record, index);
	return 0;
}

static int load_record(struct load *load, const struct snap_record *record, uint64_t index)
{
	struct exmap_run run = { record->old_chunk, record->new_chunk, 1 };
	int ret;

	if (record->new_chunk <= load->highest_new)
		load->is_ascending = false;
	else
		load->highest_new = record->new_chunk;
	if (load->odd) {
		ret = cow_snap_odd_filter(load->odd, record, load->bounds.nr_origin_chunks, &run,
					  load->err);
		if (ret || !run.nr_chunks)
			return ret;
	} else {
		ret = record_check(load, record, index);
		if (ret)
			return ret;
	}
	return cow_exmap_add(load->p->store.map, &run, load->err);
}

/* The kernel ends the list at an empty record, and so loses what is behind. */
static int load_end(const struct load *load, const uint8_t *sector)
{
	const struct snap_store *p = load->p;
	uint64_t index = p->nr_records, nr, first = 0;

	nr = cow_snap_hole_count(&load->bounds, sector, index, &first);
	if (!nr || load->odd)
		return 0;
	return record_refuse(load, index,
			     "the list ends at an empty record, but live ones follow:", nr,
			     "the first is record", first);
}

/* The list has no end: every area that fits is full. The kernel's load fails
 * with EIO (dm-snap-persistent.c, read_exceptions). */
static int load_no_end(struct load *load)
{
	const struct snap_store *p = load->p;

	if (load->odd)
		return 0;
	return cow_refuse(
		load->err, -EBADMSG, "damaged", "damaged",
		"all %" PRIu64 " metadata areas that fit on %s are full, and there is no "
		"room for the next, which would end the list: the image may have been cut",
		p->layout.nr_areas, p->store.metadata->name);
}

static void load_unreadable(const struct load *load, uint64_t area)
{
	cow_err_prefix(load->err,
		       "metadata area %" PRIu64 " cannot be read, and what of the list lies in it "
		       "and behind it is not known: copy the image with ddrescue, and repair the "
		       "copy with snapcheck -o",
		       area);
}

static int note_copy(struct load *load, const uint8_t *sector, uint64_t index)
{
	struct snap_store *p = load->p;
	bool is_copy;
	uint64_t of_area;
	int ret;

	if (load->odd || index % p->layout.records_per_area || p->copy_index != UINT64_MAX)
		return 0;
	ret = cow_snap_end_is_copy(p->store.metadata, &p->layout,
				   index / p->layout.records_per_area, sector, &of_area, &is_copy,
				   load->err);
	if (!ret && is_copy) {
		p->copy_index = index;
		p->copy_of = of_area;
	}
	return ret;
}

static int load_list(struct load *load)
{
	struct snap_store *p = load->p;
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	bool has_end = false;
	int ret;

	p->nr_records = 0;
	ret = cow_snap_list_open(&list, p->store.metadata, &p->layout, 0, load->err);
	while (!ret && !has_end && cow_snap_list_next(&list, &record, &index)) {
		ret = note_copy(load, cow_snap_list_sector(&list), index);
		if (ret)
			break;
		has_end = !record.new_chunk;
		if (has_end) {
			ret = load_end(load, cow_snap_list_sector(&list));
		} else {
			ret = load_record(load, &record, index);
			p->nr_records++;
		}
	}
	if (list.error == -EIO)
		load_unreadable(load, list.index / p->layout.records_per_area);
	ret = cow_snap_list_close(&list, ret);
	if (!ret && !has_end)
		ret = load_no_end(load);
	return ret;
}

static int refuse_duplicate(void *user, const struct exmap_duplicate *duplicate)
{
	struct load *load = user;

	/* A record that was being moved stands twice: legal (I13). */
	if (duplicate->kept_new_chunk == duplicate->dropped_new_chunk) {
		load->has_same = true;
		return 0;
	}
	return cow_refuse(load->err, -EBADMSG, "damaged", "damaged",
			  "two records map chunk %" PRIu64 " of the origin: to chunk %" PRIu64
			  " and to chunk %" PRIu64 " of %s; run snapcheck for details",
			  duplicate->old_chunk, duplicate->kept_new_chunk,
			  duplicate->dropped_new_chunk, load->p->store.metadata->name);
}

/* Is the area that begins here a copy as a whole? The list is doubtful then. */
static int skip_copied_area(const struct load *load, const struct snap_list *list, uint64_t index,
			    uint64_t *skip_end)
{
	const struct snap_layout *layout = &load->p->layout;
	uint64_t of_area, per_area = layout->records_per_area;
	bool is_copy;
	int ret;

	if (index % per_area)
		return 0;
	ret = cow_snap_end_is_copy(load->p->store.metadata, layout, index / per_area,
				   cow_snap_list_sector(list), &of_area, &is_copy, load->err);
	if (!ret && is_copy)
		*skip_end = index + per_area;
	return ret;
}

/* Some record stands twice: are those of a whole sector a copy? */
static int check_copies(const struct load *load)
{
	const struct snap_store *p = load->p;
	uint64_t index, of_index = 0, skip_end = 0;
	struct snap_record record;
	struct snap_list list;
	bool is_copy = false;
	int ret = cow_snap_list_open(&list, p->store.metadata, &p->layout, 0, load->err);

	while (!ret && list.index < p->nr_records && cow_snap_list_next(&list, &record, &index)) {
		const uint8_t *sector = cow_snap_list_sector(&list);

		ret = skip_copied_area(load, &list, index, &skip_end);
		cow_snap_list_skip_sector(&list);
		if (!ret && index >= skip_end && list.index <= p->nr_records)
			ret = cow_snap_end_is_sector_copy(p->store.metadata, &p->layout, index,
							  sector, &of_index, &is_copy, load->err);
		if (!ret && is_copy)
			ret = cow_refuse(load->err, -EBADMSG, "damaged", "damaged",
					 "records %" PRIu64 " to %" PRIu64
					 " of the list of %s are a copy of those from %" PRIu64
					 " on: what stood there is lost; run snapcheck for details",
					 index, list.index - 1, p->store.metadata->name, of_index);
	}
	return cow_snap_list_close(&list, ret);
}

/* Two records with one new chunk: only where the numbers do not ascend. */
static int check_new_chunks(struct load *load)
{
	const struct snap_store *p = load->p;
	AUTO_HANDLE(chunkset) struct cow_chunkset *set = NULL;
	struct exmap_run run;
	uint64_t from = 0, twice;
	int ret;

	if (load->is_ascending)
		return 0;
	ret = cow_chunkset_new(&set, load->err);
	if (ret)
		return ret;
	for (; cow_exmap_next(p->store.map, from, &run); from = run.old_chunk + run.nr_chunks)
		for (uint64_t i = 0; i < run.nr_chunks; i++) {
			ret = cow_chunkset_add(set, run.new_chunk + i, load->err);
			if (ret)
				return ret;
		}
	ret = cow_chunkset_seal(set, load->err);
	if (ret || !cow_chunkset_next_duplicate(set, 0, &twice))
		return ret;
	return cow_refuse(load->err, -EBADMSG, "damaged", "damaged",
			  "two records share chunk %" PRIu64
			  " of %s; one of them must be wrong; run snapcheck for details",
			  twice, p->store.metadata->name);
}

static void load_finish(struct load *load)
{
	struct snap_store *p = load->p;
	uint64_t next = max_u64(load->highest_new + 1, SNAP_FIRST_DATA_CHUNK);

	/* Source: dm-snap-persistent.c, persistent_read_metadata and
	 * skip_metadata. */
	p->next_free = cow_snap_skip_area(&p->layout, next);
	p->shown_free = p->next_free;
	p->cursor = p->nr_records;
}

int cow_snap_load(struct snap_store *p, uint32_t flags, struct cow_err *err)
{
	AUTO_HANDLE(snap_odd) struct snap_odd *odd = NULL;
	struct load load = {
		.p = p,
		.is_ascending = true,
		.err = err,
	};
	int ret;

	p->copy_index = UINT64_MAX;
	cow_snap_bounds_init(&load.bounds, &p->layout, p->store.origin);
	if (flags & COW_STORE_DAMAGED) {
		ret = cow_snap_odd_new(&p->layout, &odd, err);
		if (ret)
			return ret;
		load.odd = odd;
	}
	ret = load_list(&load);
	if (!ret)
		ret = cow_exmap_seal(p->store.map, odd ? cow_snap_odd_duplicate : refuse_duplicate,
				     odd ? (void *)odd : (void *)&load, err);
	if (!ret && odd && cow_snap_odd_is_needed(odd)) {
		/* Second pass: the odd groups as the kernel would hold them. */
		cow_exmap_free(p->store.map);
		p->store.map = NULL;
		ret = cow_exmap_new(&p->store.map, err);
		if (!ret)
			ret = load_list(&load);
		if (!ret)
			ret = cow_snap_odd_resolve(odd, p->store.map, err);
		if (!ret)
			ret = cow_exmap_seal(p->store.map, NULL, NULL, err);
	}
	if (!ret && !odd && load.has_same)
		ret = check_copies(&load);
	if (!ret && !odd)
		ret = check_new_chunks(&load);
	if (ret)
		return ret;
	load_finish(&load);
	if (flags & COW_STORE_STRICT)
		ret = cow_snap_doubt(&p->store, err);
	if (ret)
		return ret;
	p->store.is_damaged = odd && cow_snap_odd_is_damaged(odd);
	return 0;
}
