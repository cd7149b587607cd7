/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_metadata.c - copies what a check reads, and no data: for a store
 * that is shown to a person who may see the findings but not the disk.
 *
 * In a damaged store data may stand where metadata belongs. So nothing is
 * copied because of its place alone: where most records of a sector of the
 * list are not valid, placeholders replace them, for which a check says the
 * same, and behind the end of the list only what could be records is copied.
 * What remains of such bytes is printed by a report, too: single bad records
 * between good ones, and the highest chunk number.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/store/persistent/snap_end.h"

/* Where the kernel sees a run length, of one. */
#define TOP_BYTE (UINT64_C(1) << SNAP_RUN_SHIFT)
/* No origin has this chunk, so no other record can have it. */
#define NO_OLD_CHUNK (UINT64_MAX / 2)

struct metadata_copy {
	const struct cow_callbacks *callbacks;
	struct cow_image *from, *to;
	struct snap_layout layout;
	struct snap_bounds bounds;
	uint64_t nr_records;	 /* of the list so far */
	uint64_t highest_new;	 /* of the whole list so far */
	uint64_t highest_offset; /* of a record that a placeholder stands for; or COW_OFFSET_NONE */
	bool has_end;
};

/* ------------------------------------------------------------------ header */

/* Of a header that is none, what a check looks at remains. */
static void header_sanitise(uint8_t raw[SNAP_HEADER_BYTES])
{
	struct snap_header header;
	struct cow_label label;

	cow_snap_header_decode(raw, &header);
	if (header.magic != SNAP_MAGIC) {
		header.valid = min_u64(header.valid, 2);
		if (header.version != SNAP_VERSION)
			header.version = 0;
		if (!cow_snap_chunk_sectors_ok(header.chunk_sectors))
			header.chunk_sectors = 0;
		cow_snap_header_encode(&header, raw);
	}
	if (is_all_zero(raw + SNAP_LABEL_OFFSET, LABEL_BYTES) ||
	    cow_label_decode(raw + SNAP_LABEL_OFFSET, &label))
		return;
	memset(raw + SNAP_LABEL_OFFSET, 0, LABEL_BYTES);
	raw[SNAP_LABEL_OFFSET] = 0xff;
}

/* ----------------------------------------------------------------- records */

/*
 * Replaces both numbers by the smallest that give the same finding; the highest of
 * all stays the highest.
 */
static void record_replace(const struct metadata_copy *copy, struct snap_record *record,
			   uint64_t index)
{
	const struct snap_bounds *bounds = &copy->bounds;
	enum snap_problem problem = cow_snap_record_problem(bounds, record);
	bool is_plausible = cow_snap_is_plausible(cow_image_size(copy->from), record);
	uint64_t old = record->old_chunk < bounds->nr_origin_chunks ? 0 : bounds->nr_origin_chunks;
	uint64_t far = cow_snap_position_chunk(&copy->layout, index) + SNAP_NEAR_CHUNKS;
	struct snap_record plain = *record;

	if (!problem)
		return;
	plain.new_chunk &= SNAP_NEW_CHUNK_MASK;
	if (problem == SNAP_NEW_CHUNK_TOP_BYTE) {
		if (!cow_snap_record_problem(bounds, &plain))
			return; /* what a repair goes by */
		record->new_chunk = TOP_BYTE | 1;
	} else if (problem == SNAP_NEW_CHUNK_BEYOND_END) {
		if (cow_snap_is_record(bounds, record, index))
			return; /* what speaks for a list, although the image was cut */
		record->new_chunk =
			max_u64(copy->layout.nr_chunks, record->new_chunk < far ? 0 : far);
	}
	record->old_chunk = is_plausible ? old : NO_OLD_CHUNK;
}

/* index: of the first record in the list. */
static void live_replace(struct metadata_copy *copy, uint8_t *sector, uint64_t index,
			 unsigned int nr)
{
	uint64_t offset_bytes = cow_snap_record_offset(&copy->layout, index);
	struct snap_record record;

	for (unsigned int i = 0; i < nr; i++, sector += SNAP_RECORD_BYTES) {
		uint64_t new_chunk;

		cow_snap_record_decode(sector, &record);
		new_chunk = record.new_chunk;
		record_replace(copy, &record, index + i);
		cow_snap_record_encode(&record, sector);
		if (new_chunk > copy->highest_new)
			copy->highest_offset = record.new_chunk == new_chunk
						       ? COW_OFFSET_NONE
						       : offset_bytes + i * SNAP_RECORD_BYTES;
		copy->highest_new = max_u64(copy->highest_new, new_chunk);
	}
}

/* The records of a sector that belong to the list. */
static void live_sanitise(struct metadata_copy *copy, uint8_t *sector, uint64_t index,
			  unsigned int nr)
{
	struct snap_record record;

	if (cow_snap_is_rubbish(&copy->bounds, sector, index, nr))
		live_replace(copy, sector, index, nr);
	for (unsigned int i = 0; i < nr; i++) {
		cow_snap_record_decode(sector + i * SNAP_RECORD_BYTES, &record);
		if (record.new_chunk > copy->highest_new) {
			copy->highest_new = record.new_chunk;
			copy->highest_offset = COW_OFFSET_NONE;
		}
	}
}

/* What stands behind the end of the list, in its sector. */
static void stale_sanitise(const struct metadata_copy *copy, uint8_t *records, uint64_t index,
			   unsigned int nr)
{
	bool has_replaced = false;
	struct snap_record record;

	for (unsigned int i = 0; i < nr; i++, records += SNAP_RECORD_BYTES) {
		if (is_all_zero(records, SNAP_RECORD_BYTES))
			continue;
		cow_snap_record_decode(records, &record);
		if (!record.new_chunk) {
			record = (struct snap_record){ !has_replaced, 0 };
			has_replaced = true;
		}
		if (record.new_chunk)
			record_replace(copy, &record, index + i);
		cow_snap_record_encode(&record, records);
	}
}

/* What was replaced gives way to what another chunk size has found good, and
 * to what the one before, which matters more, has replaced. */
static int sector_put(struct metadata_copy *copy, const uint8_t *sector, bool is_replaced,
		      uint64_t offset_bytes, struct cow_err *err)
{
	uint8_t there[COW_SECTOR_BYTES];
	int ret;

	if (is_all_zero(sector, COW_SECTOR_BYTES))
		return 0;
	if (is_replaced) {
		ret = cow_image_pread(copy->to, there, sizeof(there), offset_bytes, err);
		if (ret)
			return ret;
		if (!is_all_zero(there, sizeof(there))) {
			if (floor_to(copy->highest_offset, COW_SECTOR_BYTES) == offset_bytes)
				copy->highest_offset = COW_OFFSET_NONE;
			return 0;
		}
	}
	return cow_image_pwrite(copy->to, sector, COW_SECTOR_BYTES, offset_bytes, err);
}

static int sector_copy(struct metadata_copy *copy, const uint8_t *from, uint64_t index,
		       struct cow_err *err)
{
	uint64_t offset_bytes = cow_snap_record_offset(&copy->layout, index);
	uint8_t sector[COW_SECTOR_BYTES];
	unsigned int nr = 0;

	if (is_all_zero(from, COW_SECTOR_BYTES)) {
		copy->has_end = true;
		return 0;
	}
	memcpy(sector, from, sizeof(sector));
	while (!copy->has_end && nr < SNAP_RECORDS_PER_SECTOR) {
		copy->has_end = !get_le64(sector + nr * SNAP_RECORD_BYTES + 8);
		nr += !copy->has_end;
	}
	if (nr)
		copy->nr_records = index + nr;
	live_sanitise(copy, sector, index, nr);
	if (copy->has_end)
		stale_sanitise(copy, sector + nr * SNAP_RECORD_BYTES, index + nr,
			       SNAP_RECORDS_PER_SECTOR - nr);
	return sector_put(copy, sector, memcmp(sector, from, sizeof(sector)), offset_bytes, err);
}

/* Puts back the number that the kernel counts by. */
static int highest_put(const struct metadata_copy *copy, struct cow_err *err)
{
	uint8_t raw[8];

	if (copy->highest_offset == COW_OFFSET_NONE)
		return 0;
	put_le64(raw, copy->highest_new);
	return cow_image_pwrite(copy->to, raw, sizeof(raw), copy->highest_offset + 8, err);
}

/* What a check says of a list depends on the first records behind it. *ret_is_end:
 * they end in this sector. */
static int behind_copy(struct metadata_copy *copy, const uint8_t *from, uint64_t index,
		       bool *ret_is_end, struct cow_err *err)
{
	uint64_t offset_bytes = cow_snap_record_offset(&copy->layout, index);
	uint8_t sector[COW_SECTOR_BYTES] = { 0 };
	struct snap_record record;
	bool has_any = false;

	for (uint64_t at = 0; at < sizeof(sector) && !*ret_is_end; at += SNAP_RECORD_BYTES) {
		cow_snap_record_decode(from + at, &record);
		*ret_is_end = has_any && !record.new_chunk;
		has_any = has_any || record.new_chunk;
		if (!record.new_chunk)
			continue;
		record_replace(copy, &record, index + at / SNAP_RECORD_BYTES);
		cow_snap_record_encode(&record, sector + at);
	}
	return sector_put(copy, sector, memcmp(sector, from, sizeof(sector)), offset_bytes, err);
}

/* From the area behind the one in which the list ends, to the end of what stands
 * there first. */
static int behind_list_copy(struct metadata_copy *copy, uint64_t from, struct cow_err *err)
{
	bool is_end = false, has_begun = false;
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	int ret = cow_snap_list_open(&list, copy->from, &copy->layout, from, err);

	list.callbacks = copy->callbacks;
	list.phase = "copy";
	while (!ret && !is_end && cow_snap_list_next(&list, &record, &index)) {
		bool is_zero = is_all_zero(cow_snap_list_sector(&list), COW_SECTOR_BYTES);

		if (has_begun && !record.new_chunk)
			break;
		has_begun = has_begun || !is_zero;
		if (!is_zero)
			ret = behind_copy(copy, cow_snap_list_sector(&list), index, &is_end, err);
		cow_snap_list_skip_sector(&list);
	}
	return cow_snap_list_close(&list, ret);
}

/* The list as this chunk size has it, to the end of the area in which it ends. */
static int list_copy(struct metadata_copy *copy, uint64_t chunk_bytes, struct cow_err *err)
{
	struct snap_record record;
	struct snap_list list;
	uint64_t index;
	int ret;

	cow_snap_layout_init(&copy->layout, chunk_bytes, cow_image_size(copy->from));
	cow_snap_bounds_init(&copy->bounds, &copy->layout, NULL);
	copy->nr_records = 0;
	copy->highest_new = SNAP_FIRST_DATA_CHUNK - 1;
	copy->highest_offset = COW_OFFSET_NONE;
	copy->has_end = false;
	ret = cow_snap_list_open(&list, copy->from, &copy->layout, 0, err);
	list.callbacks = copy->callbacks;
	list.phase = "copy";
	while (!ret && !(copy->has_end && list.index % copy->layout.records_per_area == 0) &&
	       cow_snap_list_next(&list, &record, &index)) {
		ret = sector_copy(copy, cow_snap_list_sector(&list), index, err);
		cow_snap_list_skip_sector(&list);
	}
	index = list.index;
	ret = cow_snap_list_close(&list, ret);
	if (!ret)
		ret = highest_put(copy, err);
	return ret || !copy->has_end ? ret : behind_list_copy(copy, index, err);
}

/* The chunk size that a check goes by; 0: it does not get so far. */
static int own_chunk_bytes(const struct metadata_copy *copy, const struct snap_header *header,
			   uint64_t wanted_bytes, uint64_t *ret_bytes, struct cow_err *err)
{
	bool is_store;
	uint64_t nr;
	int ret;

	*ret_bytes = wanted_bytes;
	if (wanted_bytes)
		return 0;
	ret = cow_snap_header_chunk_bytes(copy->from, NULL, header, &is_store, ret_bytes, err);
	if (ret || *ret_bytes)
		return ret;
	return cow_snap_evidence_best(copy->from, NULL, 0, ret_bytes, &nr, err);
}

/* Where the smallest of the candidates must have zeros, it has no others. */
static int rival_put(struct metadata_copy *copy, uint64_t not_bytes, struct cow_err *err)
{
	static const struct snap_record plausible = { 0, SNAP_FIRST_DATA_CHUNK };
	struct snap_candidates from = { .rival_bytes = 0 }, to = { .rival_bytes = 0 };
	uint8_t sector[COW_SECTOR_BYTES] = { 0 };
	int ret;

	ret = cow_snap_candidates(copy->from, NULL, not_bytes, &from, err);
	if (!ret)
		ret = cow_snap_candidates(copy->to, NULL, not_bytes, &to, err);
	if (ret || !from.rival_bytes || to.rival_bytes)
		return ret;
	for (unsigned int i = 0; i < SNAP_RIVAL_RECORDS; i++)
		cow_snap_record_encode(&plausible, sector + i * SNAP_RECORD_BYTES);
	return cow_image_pwrite(copy->to, sector, sizeof(sector), from.rival_bytes, err);
}

static int loss_look(const struct metadata_copy *of, struct cow_image *image,
		     struct cow_segment *ret_where, enum snap_end_loss *ret_loss,
		     struct cow_err *err)
{
	return cow_snap_end_loss(image, NULL, &of->layout, of->nr_records, of->highest_new, NULL,
				 ret_where, ret_loss, err);
}

static int something_put(const struct metadata_copy *of, uint64_t offset_bytes, struct cow_err *err)
{
	static const uint8_t something = 0xff;

	return cow_image_pwrite(of->to, &something, 1, offset_bytes, err);
}

/* A check asks whether data stand where the next records of the list would have
 * named some, and whether zeros follow. One byte stands for each: of the latter the
 * last one of the image that is in no metadata area. */
static int next_data_put(const struct metadata_copy *of, struct cow_err *err)
{
	const struct snap_layout *layout = &of->layout;
	enum snap_end_loss loss = SNAP_LOSS_NONE, there;
	uint64_t last = layout->nr_chunks;
	struct cow_segment where;
	int ret = loss_look(of, of->from, &where, &loss, err);

	/* what cannot be read is something, too */
	if (ret == -EIO)
		loss = SNAP_LOSS_UNKNOWN;
	else if (ret || loss == SNAP_LOSS_NONE)
		return ret;
	ret = loss_look(of, of->to, &where, &there, err);
	if (!ret && there == SNAP_LOSS_NONE)
		ret = something_put(of, where.offset_bytes, err);
	if (!ret)
		ret = loss_look(of, of->to, &where, &there, err);
	if (ret || there == loss)
		return ret;
	last -= cow_snap_is_area(layout, last - 1);
	return something_put(of, (last << layout->chunk_shift) - 1, err);
}

/* Every list that a check may look at, in the order of what matters more. */
static int lists_copy(struct metadata_copy *copy, const uint8_t *header_raw, uint64_t wanted_bytes,
		      struct cow_err *err)
{
	struct snap_header header;
	struct metadata_copy own;
	uint64_t own_bytes, nr;
	int ret;

	cow_snap_header_decode(header_raw, &header);
	ret = own_chunk_bytes(copy, &header, wanted_bytes, &own_bytes, err);
	if (!ret && own_bytes)
		ret = list_copy(copy, own_bytes, err);
	own = *copy;
	for (uint64_t sectors = 1; !ret && sectors <= SNAP_CHUNK_SECTORS_MAX; sectors *= 2) {
		ret = cow_snap_evidence(copy->from, NULL, sectors_to_bytes(sectors), &nr, err);
		if (!ret && nr && own_bytes != sectors_to_bytes(sectors))
			ret = list_copy(copy, sectors_to_bytes(sectors), err);
	}
	if (!ret && cow_snap_chunk_sectors_ok(header.chunk_sectors) &&
	    own_bytes != sectors_to_bytes(header.chunk_sectors))
		ret = list_copy(copy, sectors_to_bytes(header.chunk_sectors), err);
	if (!ret)
		ret = rival_put(copy, 0, err);
	if (!ret && own_bytes)
		ret = rival_put(copy, own_bytes, err);
	if (!ret && own_bytes)
		ret = next_data_put(&own, err);
	return ret;
}

int cow_snap_metadata_copy(const struct cow_store_args *args, const struct cow_callbacks *callbacks,
			   struct cow_image *target, struct cow_err *err)
{
	struct metadata_copy copy = {
		.callbacks = callbacks,
		.from = cow_store_args_image(args, COW_ROLE_COW, 0),
		.to = target,
	};
	uint8_t raw[SNAP_HEADER_BYTES];
	int ret;

	if (!copy.from)
		return cow_fail(err, -EINVAL, "a persistent store needs a COW image");
	ret = cow_snap_header_read(copy.from, raw, err);
	if (!ret)
		ret = lists_copy(&copy, raw, args->chunk_bytes, err);
	if (ret)
		return ret;
	header_sanitise(raw);
	return cow_image_pwrite(target, raw, sizeof(raw), 0, err);
}
