/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_check.c - what is wrong with a persistent store, and what the
 * kernel would do with it. Works on stores that cannot be opened; never
 * writes (I10). The order of the header's rules is the kernel's:
 * source: drivers/md/dm-snap-persistent.c, read_header() and
 * persistent_read_metadata(), Linux 6.1.
 */
#include "libcow/store/persistent/check/snap_check.h"

#include <inttypes.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"

/* ------------------------------------------------------------------ header */

/* Magic 0 is a new store to the kernel: it loads, and wipes what was there. */
static void magic_check(struct snap_check *check)
{
	uint32_t magic = check->header.magic;

	if (magic == SNAP_MAGIC)
		return;
	if (!magic) {
		check->kernel_wipes = true;
		cow_snap_check_add(check, SNAP_HEADER_MAGIC_ZERO, 0, 4,
				   "the header begins with zeros at byte 0, where \"SnAp\" "
				   "(53 6e 41 70) belongs");
		return;
	}
	check->kernel_refuses = true;
	cow_snap_check_add(check, SNAP_HEADER_MAGIC, 0, 4,
			   "the header begins with %02x %02x %02x %02x at byte 0, where \"SnAp\" "
			   "(53 6e 41 70) belongs",
			   magic & 255, magic >> 8 & 255, magic >> 16 & 255, magic >> 24);
}

/* Where the magic is lost, nobody knows what the rest was. */
static void fields_check(struct snap_check *check)
{
	const struct snap_header *header = &check->header;

	if (header->magic != SNAP_MAGIC)
		return;
	if (!cow_snap_chunk_sectors_ok(header->chunk_sectors)) {
		check->kernel_refuses = true;
		cow_snap_check_add(check, SNAP_CHUNK_SIZE_IMPOSSIBLE, 12, 4,
				   "a chunk size of %" PRIu32
				   " sectors at byte 12 is not a power of two from 1 to %" PRIu32,
				   header->chunk_sectors, SNAP_CHUNK_SECTORS_MAX);
	}
	if (header->version != SNAP_VERSION) {
		check->kernel_refuses = true;
		cow_snap_check_add(check, SNAP_HEADER_VERSION, 8, 4,
				   "version %" PRIu32 " at byte 8, there is only version 1",
				   header->version);
	}
	if (!header->valid) {
		check->kernel_refuses = check->is_invalid = true;
		cow_snap_check_add(check, SNAP_INVALID, 4, 4,
				   "the store is marked invalid at byte 4");
	}
}

static void label_check(struct snap_check *check, const uint8_t raw[SNAP_HEADER_BYTES])
{
	struct cow_label label, current;

	if (is_all_zero(raw + SNAP_LABEL_OFFSET, LABEL_BYTES))
		return;
	if (!cow_label_decode(raw + SNAP_LABEL_OFFSET, &label)) {
		cow_snap_check_add(check, SNAP_HEADER_TRAILING, SNAP_LABEL_OFFSET, LABEL_BYTES,
				   "the %d bytes behind the header are neither zeros nor a label",
				   LABEL_BYTES);
		return;
	}
	/* An unreadable list is the business of others. */
	if (check->layout.chunk_bytes &&
	    cow_snap_label_find(check->cow, &check->layout, raw + SNAP_LABEL_OFFSET, &current,
				NULL) == 0)
		label = current;
	check->is_merging = cow_label_is_mixture(&label);
	check->was_merged = cow_label_is_finished(&label);
	if (label.job == LABEL_JOB_MERGE && label.phase != LABEL_PHASE_DONE)
		cow_snap_check_add(check, SNAP_MERGE_IN_PROGRESS, SNAP_LABEL_OFFSET, LABEL_BYTES,
				   "a merge of %" PRIu64 " exceptions into an origin of %" PRIu64
				   " bytes was begun and has not finished",
				   label.nr_chunks, label.target_bytes);
}

/* The kernel wants whole logical blocks of both devices. The store is sound. */
static void blocks_check(struct snap_check *check, uint64_t chunk_bytes)
{
	const struct cow_image *images[] = { check->cow, check->origin };

	for (size_t i = 0; i < 2; i++) {
		if (!images[i] || chunk_bytes % images[i]->logical_block_bytes == 0)
			continue;
		check->is_below_blocks = true;
		cow_snap_check_add(check, SNAP_CHUNK_BELOW_BLOCK, 12, 4,
				   "chunks of %" PRIu64
				   " bytes are no multiple of the logical blocks of %s, which "
				   "have %" PRIu32 " bytes",
				   chunk_bytes, images[i]->name, images[i]->logical_block_bytes);
	}
}

/* What the caller says the chunk size is, against the header. */
static int wanted_check(const struct snap_check *check, struct cow_err *err)
{
	uint64_t wanted = check->args->chunk_bytes, in_header = 0;

	if (cow_snap_chunk_sectors_ok(check->header.chunk_sectors))
		in_header = sectors_to_bytes(check->header.chunk_sectors);
	if (wanted % COW_SECTOR_BYTES || !cow_snap_chunk_sectors_ok(bytes_to_sectors(wanted)))
		return cow_refuse(err, -EINVAL, "chunk-size", NULL,
				  "a chunk size of %" PRIu64
				  " bytes is not a power of two from 512 to 1073741824",
				  wanted);
	if (in_header && wanted != in_header && check->header.magic == SNAP_MAGIC)
		return cow_refuse(err, -EINVAL, "chunk-size", NULL,
				  "the header of %s says chunks of %" PRIu64
				  " bytes, the option says %" PRIu64,
				  check->cow->name, in_header, wanted);
	return 0;
}

/* Header and first areas are zeros, and an area behind them is not. */
static int beginning_guess(struct snap_check *check, uint64_t *ret_chunk_bytes, struct cow_err *err)
{
	struct snap_beginning beginning;
	struct snap_layout layout;
	uint64_t at;
	int ret = cow_snap_beginning(check->cow, check->origin, &beginning, err);

	*ret_chunk_bytes = beginning.chunk_bytes;
	if (ret || !beginning.chunk_bytes)
		return ret;
	cow_snap_layout_init(&layout, beginning.chunk_bytes, cow_image_size(check->cow));
	at = cow_snap_record_offset(&layout, beginning.index);
	cow_snap_check_add(check, SNAP_CHUNK_SIZE_CANDIDATE, at, beginning.chunk_bytes,
			   "with chunks of %" PRIu64 " bytes there are records at byte %" PRIu64
			   ", where area %" PRIu64 " of a list would be, each just where it was "
			   "allocated; all areas in front are zeros",
			   beginning.chunk_bytes, at, beginning.index / layout.records_per_area);
	return 0;
}

/* What the layout says, where the header does not. */
static int chunk_bytes_guess(struct snap_check *check, bool is_store, uint64_t *ret_chunk_bytes,
			     struct cow_err *err)
{
	const struct snap_candidate *guess;
	struct snap_candidates candidates;
	char sentence[SNAP_SENTENCE_BYTES];
	int ret = cow_snap_candidates(check->cow, check->origin, 0, &candidates, err);

	if (!ret && !candidates.nr && is_store)
		ret = beginning_guess(check, ret_chunk_bytes, err);
	if (ret || *ret_chunk_bytes)
		return ret;
	if (!candidates.nr && !is_store)
		return cow_fail(err, -EMEDIUMTYPE,
				"nothing on %s looks like a persistent store: no \"SnAp\" at "
				"byte 0, and no list of exceptions where any chunk size would "
				"put it",
				check->cow->name);
	guess = cow_snap_candidates_guess(&candidates);
	*ret_chunk_bytes = guess ? guess->chunk_bytes : 0;
	for (size_t i = 0; i < candidates.nr; i++) {
		cow_snap_candidate_sentence(&candidates.rows[i], sentence);
		cow_snap_check_add(check, SNAP_CHUNK_SIZE_CANDIDATE, candidates.rows[i].chunk_bytes,
				   candidates.rows[i].chunk_bytes, "%s", sentence);
	}
	if (!guess)
		cow_snap_check_add(check, SNAP_CHUNK_SIZE_UNKNOWN, 12, 4,
				   "the chunk size cannot be told: %zu of the 22 that there can be "
				   "have something that looks like a list, and none stands out",
				   candidates.nr);
	return 0;
}

/* Which chunk size to go on with; 0: none that could be told. */
static int chunk_bytes_choose(struct snap_check *check, uint64_t *ret_chunk_bytes,
			      struct cow_err *err)
{
	bool is_store;
	int ret;

	*ret_chunk_bytes = check->args->chunk_bytes;
	if (*ret_chunk_bytes)
		return wanted_check(check, err);
	ret = cow_snap_header_chunk_bytes(check->cow, check->origin, &check->header, &is_store,
					  ret_chunk_bytes, err);
	if (ret || *ret_chunk_bytes)
		return ret;
	return chunk_bytes_guess(check, is_store, ret_chunk_bytes, err);
}

/* ----------------------------------------------------------------- layout */

/* Who names a chunk size may be wrong: the list is empty where that puts it, and the
 * rest of one stands where another would put it. */
static int wanted_doubt(struct snap_check *check, struct cow_err *err)
{
	uint64_t chunk_bytes = check->layout.chunk_bytes;
	struct snap_beginning other;
	int ret;

	if (!check->args->chunk_bytes || check->nr_records)
		return 0;
	ret = cow_snap_beginning(check->cow, check->origin, &other, err);
	if (ret || !other.chunk_bytes || other.chunk_bytes == chunk_bytes)
		return ret;
	cow_snap_check_add(check, SNAP_CHUNK_SIZE_CONTRADICTED, 12, 4,
			   "with chunks of %" PRIu64 " bytes the list is empty, with chunks of "
			   "%" PRIu64 " bytes the rest of a list stands behind zeros",
			   chunk_bytes, other.chunk_bytes);
	return 0;
}

static enum snap_problem other_size_problem(const struct snap_check *check, uint64_t other_bytes)
{
	if (check->nr_records)
		return SNAP_CHUNK_SIZE_CONTRADICTED;
	return !check->args->chunk_bytes &&
			       cow_snap_size_is_doubtful(check->layout.chunk_bytes, other_bytes)
		       ? SNAP_CHUNK_SIZE_DOUBTFUL
		       : SNAP_OTHER_CHUNK_SIZE;
}

/* An empty or nonsensical list, but a good one elsewhere. */
static int other_size_check(struct snap_check *check, struct cow_err *err)
{
	uint64_t chunk_bytes, nr;
	enum snap_problem problem;
	int ret;

	if (check->nr_records && check->garbage_index != 0 && check->nr_bad < check->nr_records)
		return 0;
	ret = cow_snap_evidence_best(check->cow, check->origin, check->layout.chunk_bytes,
				     &chunk_bytes, &nr, err);
	if (ret || !chunk_bytes)
		return ret;
	check->has_other_size = true;
	problem = other_size_problem(check, chunk_bytes);
	check->is_doubtful |= problem == SNAP_CHUNK_SIZE_DOUBTFUL;
	check->may_have_lost |= problem == SNAP_OTHER_CHUNK_SIZE;
	cow_snap_check_add(check, problem, 12, 4,
			   "with chunks of %" PRIu64 " bytes %s, with chunks of %" PRIu64
			   " bytes there are %" PRIu64 "%s that look right at byte %" PRIu64,
			   check->layout.chunk_bytes,
			   check->nr_records ? "the records make no sense" : "the list is empty",
			   chunk_bytes, nr, nr >= 65536 ? " or more" : "", chunk_bytes);
	return 0;
}

static void order_check(struct snap_check *check)
{
	const struct snap_layout *layout = &check->layout;
	uint64_t next = check->highest_new + 1, used, nr;

	if (check->is_list_damaged)
		return;
	if (!check->is_ascending)
		cow_snap_check_add(check, SNAP_OUT_OF_ORDER, COW_OFFSET_NONE, 0,
				   "the chunks of the COW image do not ascend from record to "
				   "record, as they do since Linux 3.14");
	used = cow_snap_data_chunks_from(layout, SNAP_FIRST_DATA_CHUNK) -
	       cow_snap_data_chunks_from(layout, next);
	nr = cow_chunkset_nr_distinct(check->olds);
	if (used > nr)
		cow_snap_check_add(check, SNAP_LEAKED_CHUNKS, COW_OFFSET_NONE, 0,
				   "%" PRIu64 " of %" PRIu64 " data chunks below chunk %" PRIu64
				   " belong to no exception",
				   used - nr, used, next);
}

static void size_check(struct snap_check *check)
{
	const struct snap_layout *layout = &check->layout;

	if (check->has_end && layout->nr_chunks > 2 && cow_snap_is_area(layout, layout->nr_chunks))
		cow_snap_check_add(check, SNAP_LAST_AREA_ROOM, COW_OFFSET_NONE, 0,
				   "the image has %" PRIu64 " chunks, so that area %" PRIu64
				   " would begin right behind it: the exception that fills the "
				   "area in front invalidates the store",
				   layout->nr_chunks, layout->nr_areas);
}

/* source: persistent_usage(). Records that name chunks beyond the end count in none
 * of the numbers: the kernel's own would mean nothing then. */
static void verdict_fill(const struct snap_check *check, struct cow_verdict *verdict)
{
	const struct snap_layout *layout = &check->layout;
	uint64_t sectors = bytes_to_sectors(layout->chunk_bytes);
	struct cow_store_info *info = &verdict->info;

	verdict->known = true;
	if (!check->has_end && !check->nr_beyond_end)
		verdict->needed_bytes = (cow_snap_area_chunk(layout, layout->nr_areas) + 1)
					<< layout->chunk_shift;
	info->valid = verdict->valid;
	info->nr_exceptions = check->nr_records;
	info->allocated_sectors = cow_snap_skip_area(layout, check->highest_new + 1) * sectors;
	info->total_sectors = bytes_to_sectors(cow_image_size(check->cow));
	info->metadata_sectors = (check->nr_records / layout->records_per_area + 2) * sectors;
}

static int layout_check(struct snap_check *check, struct cow_verdict *verdict, struct cow_err *err)
{
	const struct snap_layout *layout = &check->layout;
	int ret;

	if (!layout->nr_areas) {
		check->kernel_refuses = true;
		cow_snap_check_add(check, SNAP_IMAGE_CUT_METADATA, layout->chunk_bytes, 0,
				   "the image has %" PRIu64 " bytes, the first metadata area ends "
				   "at byte %" PRIu64,
				   cow_image_size(check->cow), 2 * layout->chunk_bytes);
		return 0;
	}
	ret = cow_snap_check_list(check, err);
	if (!ret)
		ret = wanted_doubt(check, err);
	if (!ret)
		ret = other_size_check(check, err);
	if (ret)
		return ret;
	order_check(check);
	size_check(check);
	verdict_fill(check, verdict);
	verdict->doubts_origin =
		check->origin && check->nr_beyond_origin &&
		(check->is_near_origin || check->nr_beyond_origin > check->nr_records / 4);
	return 0;
}

static int check_run(struct snap_check *check, uint32_t flags, struct cow_verdict *verdict,
		     struct cow_err *err)
{
	uint8_t raw[SNAP_HEADER_BYTES];
	uint64_t chunk_bytes;
	int ret;

	ret = cow_snap_header_read(check->cow, raw, err);
	if (ret)
		return ret;
	cow_snap_header_decode(raw, &check->header);
	ret = chunk_bytes_choose(check, &chunk_bytes, err);
	if (ret)
		return ret;
	if (chunk_bytes) {
		cow_snap_layout_init(&check->layout, chunk_bytes, cow_image_size(check->cow));
		cow_snap_bounds_init(&check->bounds, &check->layout, check->origin);
	}
	if (!check->cow->is_patched && cow_snap_check_is_bad(check, 0, SNAP_HEADER_BYTES)) {
		cow_snap_check_header_bad(check);
	} else {
		magic_check(check);
		fields_check(check);
		label_check(check, raw);
	}
	/* of a header that is lost nobody knows it */
	verdict->valid = check->header.valid || (check->header.magic != SNAP_MAGIC &&
						 !cow_snap_header_rest_ok(&check->header));
	verdict->wiped = check->kernel_wipes;
	verdict->can_revalidate = check->is_invalid;
	verdict->needs_chunk_bytes = !chunk_bytes;
	if (flags & COW_CHECK_EMPTY)
		verdict->empty = COW_EMPTY_DAMAGED;
	if (!chunk_bytes)
		return 0;
	blocks_check(check, chunk_bytes);
	verdict->info.kind = cow_store_persistent_ops.name;
	verdict->info.title = SNAP_TITLE;
	verdict->info.chunk_bytes = chunk_bytes;
	if (flags & COW_CHECK_HEADER_ONLY)
		return 0;
	ret = layout_check(check, verdict, err);
	return ret || !(flags & COW_CHECK_EMPTY)
		       ? ret
		       : cow_snap_check_empty(check, raw + SNAP_LABEL_OFFSET, verdict, err);
}

int cow_snap_check(const struct cow_store_args *args, const struct cow_check_params *params,
		   struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err)
{
	struct snap_check check = {
		.args = args,
		.callbacks = params->callbacks,
		.cow = cow_store_args_image(args, COW_ROLE_COW, 0),
		.origin = cow_store_args_image(args, COW_ROLE_ORIGIN, 0),
		.report = report,
	};
	int ret;

	if (!check.cow)
		return cow_fail(err, -EINVAL, "a persistent store needs a COW image");
	if (cow_image_size(check.cow) < SNAP_HEADER_BYTES)
		return cow_fail(err, -EMEDIUMTYPE, "%s is empty", check.cow->name);
	ret = check_run(&check, params->flags, verdict, err);
	cow_chunkset_free(check.olds);
	if (ret)
		return ret;
	/* magic 0 loads: as a new store, which is not what was written */
	verdict->kernel_loads = !check.kernel_refuses && !check.is_below_blocks;
	verdict->header_only = params->flags & COW_CHECK_HEADER_ONLY;
	verdict->view_right = !check.kernel_refuses && !check.is_damaged && !verdict->header_only;
	verdict->merge_right = verdict->view_right && !check.is_below_blocks;
	verdict->is_doubtful = check.is_doubtful;
	verdict->has_older = check.has_older;
	verdict->may_have_lost = check.may_have_lost;
	verdict->merge_begun = check.is_merging;
	return 0;
}
