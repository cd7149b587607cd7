/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_check.c - what is wrong with the logs, by the geometry that was given. Where
 * a part of it was not, every geometry that is left is tried, and the logs are
 * judged only if one alone makes sense of them. Never writes (I10).
 *
 * The verdict says "right" only if every bit names data that the driver could have
 * put there. Lost bits cannot be told from bits that were never set, unless data
 * blocks behind theirs are in use (a hole).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/store/snaplog/snaplog_guess.h"
#include "libcow/store/snaplog/snaplog_store.h"

#define CANDIDATES_MAX 8

/* One impossible entry in so many makes the geometry doubtful. */
#define ENTRIES_PER_DOUBT 4
#define DOUBTS_MIN 4

struct check {
	const struct cow_check_params *params;
	struct cow_report *report;
	struct snaplog_logs logs;
	bool is_damaged, is_doubtful;
	bool is_guessed; /* the geometry, or a part of it */
	uint64_t nr_entries, nr_impossible, nr_beyond;
};

static void found(struct check *check, enum snaplog_problem problem,
		  const struct finding_place *place, const char *sentence)
{
	const struct cow_problem *row = &cow_snaplog_problem_row(problem)->problem;

	if (problem == SNAPLOG_EARLIER_LOG_NOT_FULL)
		check->is_doubtful = true;
	else if (row->klass >= COW_CLASS_DAMAGE)
		check->is_damaged = true;
	cow_report_add(check->report, row, place, "%s", sentence);
}

static void found_nowhere(struct check *check, enum snaplog_problem problem, const char *sentence)
{
	const struct finding_place place = {
		.image = check->logs.logs[0].image,
		.offset_bytes = COW_OFFSET_NONE,
	};

	found(check, problem, &place, sentence);
}

/* ---------------------------------------------------------------- faults */

struct finding_place cow_snaplog_fault_place(const struct snaplog_logs *logs,
					     const struct snaplog_fault *fault)
{
	const struct snaplog_geometry *geometry = &logs->geometry;
	struct finding_place place = {
		.image = logs->logs[fault->log].image,
		.offset_bytes = COW_OFFSET_NONE,
		.chunk_bytes = geometry->block_bytes,
	};
	bool is_of_value = fault->problem == SNAPLOG_VALUE_OUT_OF_RANGE ||
			   fault->problem == SNAPLOG_VALUE_TWICE;
	uint8_t mask;

	if (fault->problem == SNAPLOG_EARLIER_LOG_NOT_FULL || fault->problem == SNAPLOG_LOG_SHORT ||
	    fault->problem == SNAPLOG_LOG_SMALL) {
		place.chunk_bytes = 0;
		return place;
	}
	if (fault->problem == SNAPLOG_HOLE) {
		place.offset_bytes = fault->value * geometry->block_bytes;
		place.len_bytes = fault->nr * geometry->block_bytes;
		return place;
	}
	place.len_bytes = geometry->word_bytes;
	if (is_of_value && cow_snaplog_entry_place(geometry, fault->key, &place.offset_bytes))
		return place;
	place.len_bytes = 1;
	cow_snaplog_bit_place(geometry, fault->key, &place.offset_bytes, &mask);
	return place;
}

static int fault_report(void *user, const struct snaplog_fault *fault, struct cow_err *err)
{
	struct check *check = (struct check *)user;
	const struct finding_place place = cow_snaplog_fault_place(&check->logs, fault);
	char sentence[COW_ERR_MESSAGE_BYTES];

	(void)err;
	if (fault->problem == SNAPLOG_KEY_BEYOND_SOURCE)
		check->nr_beyond++;
	cow_snaplog_fault_say(&check->logs, fault, sentence, sizeof(sentence));
	found(check, fault->problem, &place, sentence);
	return 0;
}

bool cow_snaplog_is_doubted(uint64_t nr_impossible, uint64_t nr_entries)
{
	return nr_impossible >= DOUBTS_MIN &&
	       nr_impossible > (nr_entries + nr_impossible) / ENTRIES_PER_DOUBT;
}

static int logs_check(struct check *check, struct cow_verdict *verdict, struct cow_err *err)
{
	const struct snaplog_judge judge = { .user = check, .fault = fault_report };
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	struct cow_store_info *info = &verdict->info;
	uint64_t block_sectors = bytes_to_sectors(check->logs.geometry.block_bytes), nr_blocks = 0;
	char sentence[COW_ERR_MESSAGE_BYTES];
	int ret;

	cow_snaplog_logs_measure(&check->logs);
	ret = cow_exmap_new(&map, err);
	if (!ret)
		ret = cow_snaplog_load(&check->logs, &judge, map, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < check->logs.nr_logs; i++) {
		check->nr_entries += check->logs.logs[i].nr_entries;
		check->nr_impossible += check->logs.logs[i].nr_impossible;
		nr_blocks += check->logs.logs[i].nr_blocks;
	}
	snprintf(sentence, sizeof(sentence),
		 "%" PRIu64 " of %" PRIu64 " entries are impossible in this geometry",
		 check->nr_impossible, check->nr_impossible + check->nr_entries);
	if (cow_snaplog_is_doubted(check->nr_impossible, check->nr_entries))
		found_nowhere(check, SNAPLOG_GEOMETRY_DOUBTED, sentence);
	verdict->known = true;
	info->kind = cow_store_snaplog_ops.name;
	info->valid = true;
	info->chunk_bytes = check->logs.geometry.block_bytes;
	info->view_bytes = check->logs.source_bytes;
	info->nr_exceptions = cow_exmap_nr_chunks(map);
	info->metadata_sectors =
		check->logs.nr_logs * check->logs.geometry.data_base * block_sectors;
	info->allocated_sectors = info->metadata_sectors + check->nr_entries * block_sectors;
	info->total_sectors = nr_blocks * block_sectors;
	info->units = SNAPLOG_UNITS;
	info->held = SNAPLOG_HELD;
	info->title = SNAPLOG_TITLE;
	return 0;
}

/* ---------------------------------------------------------------- the geometry */

static void candidates_say(struct check *check, const struct snaplog_readings *readings)
{
	char text[SNAPLOG_TEXT_BYTES], sentence[COW_ERR_MESSAGE_BYTES];

	for (size_t i = 0; i < readings->nr && i < CANDIDATES_MAX; i++) {
		const struct snaplog_reading *reading = &readings->readings[i];

		cow_snaplog_geometry_print(&reading->geometry, text);
		snprintf(sentence, sizeof(sentence),
			 "%s: %" PRIu64 " blocks stored, %" PRIu64 " entries impossible, %" PRIu64
			 " data blocks missing",
			 text, reading->nr_entries, reading->nr_impossible, reading->nr_missing);
		found_nowhere(check, SNAPLOG_GEOMETRY_CANDIDATE, sentence);
	}
}

static void guess_say(struct check *check, const struct snaplog_readings *readings,
		      const struct snaplog_reading *best)
{
	char text[SNAPLOG_TEXT_BYTES], sentence[COW_ERR_MESSAGE_BYTES];

	if (best) {
		cow_snaplog_geometry_print(&best->geometry, text);
		snprintf(sentence, sizeof(sentence),
			 "of %" PRIu64
			 " geometries %s is the one that fits, or another with the same "
			 "result: %" PRIu64 " blocks are stored",
			 readings->nr_tried, text, best->nr_entries);
		found_nowhere(check, SNAPLOG_GEOMETRY_GUESSED, sentence);
		return;
	}
	if (readings->nr == 1)
		snprintf(sentence, sizeof(sentence),
			 "of %" PRIu64 " geometries one makes sense, but %" PRIu64
			 " entries are too few to tell",
			 readings->nr_tried, readings->readings[0].nr_entries);
	else
		snprintf(sentence, sizeof(sentence), "of %" PRIu64 " geometries %zu make sense",
			 readings->nr_tried, readings->nr);
	found_nowhere(check, SNAPLOG_GEOMETRY_UNKNOWN, sentence);
}

/* *ret_is_known false: there is nothing to check the logs by. */
static int geometry_guess(struct check *check, uint32_t given, bool *ret_is_known,
			  struct cow_err *err)
{
	const struct snaplog_geometry geometry = check->logs.geometry;
	struct snaplog_readings readings;
	const struct snaplog_reading *best;
	int ret = cow_snaplog_guess(&check->logs, &geometry, given, check->params->callbacks,
				    &readings, err);

	if (ret)
		return ret;
	best = cow_snaplog_guess_best(&readings);
	*ret_is_known = best || readings.is_empty;
	check->is_guessed = best;
	check->logs.geometry = best ? best->geometry : geometry;
	if (!readings.is_empty) {
		candidates_say(check, &readings);
		guess_say(check, &readings, best);
	}
	free(readings.readings);
	return 0;
}

static int geometry_find(struct check *check, const struct cow_store_args *args, bool *ret_is_known,
			 struct cow_err *err)
{
	struct snaplog_geometry *geometry = &check->logs.geometry;
	uint32_t given;
	int ret = cow_snaplog_geometry_read(args, geometry, &given, err);

	*ret_is_known = true;
	if (!ret && cow_snaplog_keys_missing(geometry, given))
		ret = geometry_guess(check, given, ret_is_known, err);
	if (!ret && !geometry->count)
		geometry->count = cow_snaplog_geometry_keys(geometry, check->logs.source_bytes);
	return ret ? ret : cow_snaplog_geometry_lay_out(geometry, check->logs.source_bytes, err);
}

/* ---------------------------------------------------------------- all of it */

static void verdict_draw(const struct check *check, struct cow_verdict *verdict)
{
	verdict->valid = true;
	verdict->no_kernel = true;
	if (check->is_guessed)
		cow_snaplog_geometry_print(&check->logs.geometry, verdict->geometry);
	verdict->view_right = verdict->known && !check->is_damaged && !check->is_doubtful;
	verdict->merge_right = verdict->view_right;
	verdict->is_doubtful = check->is_doubtful;
	/* if most of what is wrong is behind the end, the source may be cut */
	verdict->doubts_origin =
		check->nr_beyond >= DOUBTS_MIN && check->nr_beyond * 2 > check->nr_impossible;
	if (!(check->params->flags & COW_CHECK_EMPTY))
		return;
	verdict->empty = COW_EMPTY_YES;
	if (check->nr_entries)
		verdict->empty = COW_EMPTY_HOLDS;
	if (!verdict->known || check->is_damaged)
		verdict->empty = COW_EMPTY_DAMAGED;
}

static int check_run(struct check *check, const struct cow_store_args *args,
		     struct cow_verdict *verdict, struct cow_err *err)
{
	const struct cow_image *source = cow_store_args_image(args, COW_ROLE_SOURCE, 0);
	bool is_known;
	int ret;

	if (!source)
		return cow_fail(err, -EINVAL, "a snaplog store needs its source");
	check->logs.source_bytes = source->size_bytes;
	ret = cow_snaplog_logs_init(&check->logs, args, err);
	if (!ret)
		ret = geometry_find(check, args, &is_known, err);
	if (!ret && is_known)
		ret = logs_check(check, verdict, err);
	if (!ret)
		verdict_draw(check, verdict);
	return ret;
}

int cow_snaplog_check(const struct cow_store_args *args, const struct cow_check_params *params,
		      struct cow_report *report, struct cow_verdict *verdict, struct cow_err *err)
{
	struct check check = { .params = params, .report = report };
	int ret;

	if (params->flags & COW_CHECK_HEADER_ONLY)
		return cow_fail(err, -EOPNOTSUPP, "a log of the driver of 2001 has no header");
	ret = check_run(&check, args, verdict, err);
	free(check.logs.logs);
	return ret;
}
