/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_repair.c - clears the bits that mean nothing: of entries that are
 * impossible, whose data is lost, and of second copies. Where entries share a data
 * block one of them is wrong, and nothing says which: all of them are given up, and
 * only if that was asked for (COW_REPAIR_LOST). Everything is collected and asked
 * for first (I7). Then the bits of one log after the other are cleared,
 * and each log is flushed. Any of these bits may be left by a crash, and the same
 * call clears it (I6): no bit depends on another. Nothing else is ever written.
 *
 * NOTE: one exception. A crash may leave one of two bits that shared a data block,
 * if they are not in one sector; that one then looks sound, and may be the wrong
 * one. No order of writes avoids it. The question names both before a byte is written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"
#include "libcow/store/snaplog/snaplog_bits.h"
#include "libcow/store/snaplog/snaplog_store.h"

struct repair {
	const struct cow_repair_params *params;
	struct cow_repair_result *result;
	struct snaplog_logs logs;
	struct snaplog_fault *faults;
	size_t nr_faults, capacity;
	bool is_doubted;
};

static int fault_collect(void *user, const struct snaplog_fault *fault, struct cow_err *err)
{
	struct repair *repair = (struct repair *)user;
	struct snaplog_fault *faults;

	if (cow_snaplog_problem_row(fault->problem)->problem.klass < COW_CLASS_DAMAGE &&
	    !cow_snaplog_problem_row(fault->problem)->clears_bit)
		return 0;
	faults = (struct snaplog_fault *)cow_array_grow(repair->faults, repair->nr_faults,
							&repair->capacity, sizeof(*faults));
	if (!faults)
		return cow_fail(err, -ENOMEM, "no memory for the findings");
	repair->faults = faults;
	faults[repair->nr_faults++] = *fault;
	return 0;
}

/* ---------------------------------------------------------------- what to do */

static bool is_allowed(const struct repair *repair, const struct snaplog_problem_row *row,
		       enum snaplog_problem problem)
{
	uint32_t flags = repair->params->flags;

	if (!row->clears_bit ||
	    (flags & COW_REPAIR_SAFE && !(row->problem.flags & COW_PROBLEM_SAFE)))
		return false;
	/* in a wrong geometry good bits look like these; and the source may be cut */
	if (repair->is_doubted && !(flags & COW_REPAIR_ORIGIN))
		return false;
	return (problem != SNAPLOG_KEY_BEYOND_SOURCE && problem != SNAPLOG_VALUE_TWICE) ||
	       flags & COW_REPAIR_LOST;
}

/* Without its last block a log that others follow would look as if bits were lost:
 * there a second copy stays, and does no harm. */
static bool ends_log(const struct repair *repair, const struct snaplog_fault *fault)
{
	const struct snaplog_logs *logs = &repair->logs;

	if (fault->problem != SNAPLOG_ON_TWO_LOGS ||
	    fault->value + 1 != logs->logs[fault->log].nr_blocks)
		return false;
	return fault->log + 1 < logs->nr_logs && logs->logs[fault->log + 1].nr_entries;
}

static bool ask(const struct repair *repair, const struct snaplog_fault *fault)
{
	const struct snaplog_problem_row *row = cow_snaplog_problem_row(fault->problem);
	struct finding_place place = cow_snaplog_fault_place(&repair->logs, fault);
	char sentence[COW_ERR_MESSAGE_BYTES];
	struct cow_finding finding = {
		.size = sizeof(finding),
		.problem = &row->problem,
		.image = cow_image_name(place.image),
		.offset_bytes = place.offset_bytes,
		.len_bytes = place.len_bytes,
		.chunk = place.offset_bytes == COW_OFFSET_NONE
				 ? COW_OFFSET_NONE
				 : place.offset_bytes / place.chunk_bytes,
		.sentence = sentence,
	};

	if (!is_allowed(repair, row, fault->problem) || ends_log(repair, fault))
		return false;
	cow_snaplog_fault_say(&repair->logs, fault, sentence, sizeof(sentence));
	return !repair->params->approve || repair->params->approve(repair->params->user, &finding);
}

/* Keeps those that will be mended. */
static void ask_all(struct repair *repair)
{
	size_t nr = 0;

	for (size_t i = 0; i < repair->nr_faults; i++) {
		const struct snaplog_fault *fault = &repair->faults[i];

		if (ask(repair, fault))
			repair->faults[nr++] = *fault;
	}
	repair->nr_faults = nr;
	repair->result->nr_mended = nr;
}

/* ---------------------------------------------------------------- shared data blocks */

static bool is_sound_key(const struct snaplog_geometry *geometry, uint64_t key)
{
	return key < geometry->keys_end && key % geometry->keys_per_block == 0;
}

/* Ends with those of shared data blocks, by block and key. */
static int fault_compare(const void *a, const void *b)
{
	const struct snaplog_fault *left = (const struct snaplog_fault *)a;
	const struct snaplog_fault *right = (const struct snaplog_fault *)b;
	const uint64_t lefts[] = { left->problem == SNAPLOG_VALUE_TWICE, left->log, left->value,
				   left->key };
	const uint64_t rights[] = { right->problem == SNAPLOG_VALUE_TWICE, right->log, right->value,
				    right->key };

	for (size_t i = 0; i < sizeof(lefts) / sizeof(lefts[0]); i++)
		if (lefts[i] != rights[i])
			return lefts[i] < rights[i] ? -1 : 1;
	return 0;
}

/* A fault for each of the two keys. */
static int twice_unfold(struct repair *repair, struct cow_err *err)
{
	size_t nr = repair->nr_faults;
	/* bounded: a fault for each, in memory already */
	struct snaplog_fault *faults =
		(struct snaplog_fault *)reallocarray(repair->faults, 2 * nr + 1, sizeof(*faults));

	if (!faults)
		return cow_fail(err, -ENOMEM, "no memory for the findings");
	repair->faults = faults;
	repair->capacity = 2 * nr + 1;
	for (size_t i = 0; i < nr; i++) {
		if (faults[i].problem != SNAPLOG_VALUE_TWICE)
			continue;
		faults[repair->nr_faults] = faults[i];
		faults[repair->nr_faults++].key = faults[i].other_key;
	}
	qsort(faults, repair->nr_faults, sizeof(*faults), fault_compare);
	return 0;
}

static bool shares_block(const struct snaplog_fault *a, const struct snaplog_fault *b)
{
	return b->problem == SNAPLOG_VALUE_TWICE && a->log == b->log && a->value == b->value;
}

/* Clears all entries of a shared block, each once. One that should not be there is a
 * finding of its own: without it, the only other one is right. */
static int twice_sort(struct repair *repair, struct cow_err *err)
{
	struct snaplog_fault *faults;
	size_t nr = 0, end;
	int ret = twice_unfold(repair, err);

	faults = repair->faults;
	for (size_t i = 0; !ret && i < repair->nr_faults; i = end) {
		size_t first = nr;

		end = i + 1;
		if (faults[i].problem != SNAPLOG_VALUE_TWICE) {
			faults[nr++] = faults[i];
			continue;
		}
		while (end < repair->nr_faults && shares_block(&faults[i], &faults[end]))
			end++;
		for (size_t k = i; k < end; k++)
			if (is_sound_key(&repair->logs.geometry, faults[k].key) &&
			    (nr == first || faults[nr - 1].key != faults[k].key))
				faults[nr++] = faults[k];
		if (nr < first + 2)
			nr = first;
	}
	repair->nr_faults = ret ? repair->nr_faults : nr;
	return ret;
}

/* ---------------------------------------------------------------- doing it */

static int u64_compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/* A second copy may share its data block, too. */
static size_t keys_unique(uint64_t *keys, size_t nr_keys)
{
	size_t nr = 0;

	if (nr_keys)
		qsort(keys, nr_keys, sizeof(*keys), u64_compare);
	for (size_t i = 0; i < nr_keys; i++)
		if (!nr || keys[nr - 1] != keys[i])
			keys[nr++] = keys[i];
	return nr;
}

static int log_mend(struct repair *repair, size_t log, struct cow_err *err)
{
	/* bounded: a fault for each, in memory already */
	AUTO_FREE uint64_t *keys =
		(uint64_t *)reallocarray(NULL, repair->nr_faults + 1, sizeof(*keys));
	size_t nr = 0;
	int ret;

	if (!keys)
		return cow_fail(err, -ENOMEM, "no memory for the keys of a log");
	for (size_t i = 0; i < repair->nr_faults; i++)
		if (repair->faults[i].log == log)
			keys[nr++] = repair->faults[i].key;
	nr = keys_unique(keys, nr);
	ret = cow_snaplog_bits_clear(&repair->logs, log, keys, nr, err);
	if (!ret)
		repair->result->nr_dropped += nr;
	return ret;
}

static int key_compare(const void *a, const void *b)
{
	const struct snaplog_fault *left = (const struct snaplog_fault *)a;
	const struct snaplog_fault *right = (const struct snaplog_fault *)b;

	return left->key < right->key ? -1 : left->key > right->key;
}

/* What the view shows the source for from now on. */
static void losses_say(struct repair *repair)
{
	const struct snaplog_geometry *geometry = &repair->logs.geometry;
	struct cow_repair_result *result = repair->result;

	if (repair->nr_faults)
		qsort(repair->faults, repair->nr_faults, sizeof(*repair->faults), key_compare);
	for (size_t i = 0; i < repair->nr_faults; i++) {
		const struct snaplog_fault *fault = &repair->faults[i];
		uint64_t at = fault->key / geometry->keys_per_block * geometry->block_bytes;
		uint64_t len = min_u64(geometry->block_bytes, repair->logs.source_bytes - at);

		if (!cow_snaplog_problem_row(fault->problem)->loses_data ||
		    (i && fault->key == repair->faults[i - 1].key))
			continue;
		result->nr_lossy++;
		result->nr_lost++;
		if (fault->problem == SNAPLOG_KEY_MISALIGNED) {
			result->nr_unknown++;
			continue;
		}
		result->lost_bytes += len;
		if (repair->params->lost)
			repair->params->lost(repair->params->user, at, len);
	}
}

/* ---------------------------------------------------------------- reading */

static int geometry_read(struct repair *repair, const struct cow_store_args *args,
			 struct cow_err *err)
{
	struct snaplog_geometry *geometry = &repair->logs.geometry;
	uint32_t given;
	int ret = cow_snaplog_geometry_read(args, geometry, &given, err);

	if (!ret)
		ret = cow_snaplog_keys_refuse(cow_snaplog_keys_missing(geometry, given), err);
	if (!ret && !geometry->count)
		geometry->count = cow_snaplog_geometry_keys(geometry, repair->logs.source_bytes);
	return ret ? ret : cow_snaplog_geometry_lay_out(geometry, repair->logs.source_bytes, err);
}

static int faults_read(struct repair *repair, struct cow_err *err)
{
	const struct snaplog_judge judge = { .user = repair, .fault = fault_collect };
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	uint64_t nr_entries = 0, nr_impossible = 0;
	int ret;

	cow_snaplog_logs_measure(&repair->logs);
	ret = cow_exmap_new(&map, err);
	if (!ret)
		ret = cow_snaplog_load(&repair->logs, &judge, map, err);
	for (size_t i = 0; i < repair->logs.nr_logs; i++) {
		nr_entries += repair->logs.logs[i].nr_entries;
		nr_impossible += repair->logs.logs[i].nr_impossible;
	}
	repair->is_doubted = cow_snaplog_is_doubted(nr_impossible, nr_entries);
	return ret;
}

static int fault_count(void *user, const struct snaplog_fault *fault, struct cow_err *err)
{
	struct repair *repair = (struct repair *)user;

	(void)err;
	repair->result->nr_left +=
		cow_snaplog_problem_row(fault->problem)->problem.klass >= COW_CLASS_DAMAGE;
	return 0;
}

/* A fault of two entries goes with either of them. */
static int left_count(struct repair *repair, struct cow_err *err)
{
	const struct snaplog_judge judge = { .user = repair, .fault = fault_count };
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	int ret = cow_exmap_new(&map, err);

	cow_snaplog_logs_measure(&repair->logs);
	return ret ? ret : cow_snaplog_load(&repair->logs, &judge, map, err);
}

static int mend(struct repair *repair, struct cow_err *err)
{
	int ret;

	ask_all(repair);
	ret = twice_sort(repair, err);
	for (size_t log = repair->logs.nr_logs; !ret && log-- > 0;)
		ret = log_mend(repair, log, err);
	if (ret) {
		repair->result->nr_mended = 0;
		return ret;
	}
	losses_say(repair);
	return left_count(repair, err);
}

int cow_snaplog_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
		       struct cow_repair_result *result, struct cow_err *err)
{
	const struct cow_image *source = cow_store_args_image(args, COW_ROLE_SOURCE, 0);
	struct repair repair = { .params = params, .result = result };
	int ret;

	if (!source)
		return cow_fail(err, -EINVAL, "a snaplog store needs its source");
	repair.logs.source_bytes = source->size_bytes;
	ret = cow_snaplog_logs_init(&repair.logs, args, err);
	if (!ret)
		ret = geometry_read(&repair, args, err);
	if (!ret)
		ret = faults_read(&repair, err);
	if (!ret)
		ret = mend(&repair, err);
	free(repair.faults);
	free(repair.logs.logs);
	return ret;
}
