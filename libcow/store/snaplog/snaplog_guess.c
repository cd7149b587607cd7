/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_guess.c - tries geometries. A reading is given up as soon as it has more
 * impossible entries than damage would explain. Two readings in which the same
 * bits name the same data for the same blocks are one: then nothing depends on the
 * difference.
 */
#include "libcow/store/snaplog/snaplog_guess.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/digest.h"
#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/report.h"

/* One impossible entry in so many is damage; more is a wrong geometry. */
#define ENTRIES_PER_FAULT 16
/* So many are looked at before a reading is given up. */
#define FAULTS_MIN 16
/* Holes of a roll back that was cut off are few. */
#define MISSING_PER_ENTRY 4

struct trial {
	struct snaplog_logs *logs;
	struct snaplog_reading reading;
	struct cow_digest *digest;
	bool is_hopeless;
};

static bool has_too_many(const struct snaplog_reading *reading)
{
	return reading->nr_impossible > reading->nr_entries / ENTRIES_PER_FAULT;
}

/* ---------------------------------------------------------------- one reading */

static int trial_fault(void *user, const struct snaplog_fault *fault, struct cow_err *err)
{
	struct trial *trial = (struct trial *)user;
	struct snaplog_reading *reading = &trial->reading;

	(void)err;
	switch (fault->problem) {
	case SNAPLOG_LOG_SHORT:
	case SNAPLOG_LOG_SMALL: /* the driver refuses to use it */
		trial->is_hopeless = true;
		break;
	case SNAPLOG_HOLE:
		reading->nr_missing += fault->nr;
		break;
	case SNAPLOG_EARLIER_LOG_NOT_FULL:
		reading->nr_orders++;
		break;
	case SNAPLOG_ON_TWO_LOGS:
		break;
	default:
		reading->nr_impossible++;
		trial->is_hopeless = reading->nr_impossible > FAULTS_MIN && has_too_many(reading);
	}
	return trial->is_hopeless ? -ECANCELED : 0;
}

static int trial_entry(void *user, size_t log, const struct snaplog_entry *entry,
		       struct cow_err *err)
{
	struct trial *trial = (struct trial *)user;
	const struct snaplog_geometry *geometry = &trial->logs->geometry;
	uint64_t offset;
	uint8_t raw[33];

	(void)err;
	trial->reading.nr_entries++;
	put_le64(raw, log);
	put_le64(raw + 8, entry->key / geometry->keys_per_block * geometry->block_bytes);
	put_le64(raw + 16, entry->value * geometry->block_bytes);
	cow_snaplog_bit_place(geometry, entry->key, &offset, &raw[32]);
	put_le64(raw + 24, offset);
	cow_digest_update(trial->digest, raw, sizeof(raw));
	return 0;
}

static int trial_run(struct trial *trial, struct cow_err *err)
{
	const struct snaplog_judge judge = {
		.user = trial,
		.fault = trial_fault,
		.entry = trial_entry,
	};
	AUTO_HANDLE(exmap) struct cow_exmap *map = NULL;
	uint8_t block_bytes[8];
	int ret = cow_digest_new(&trial->digest, err);

	if (ret)
		return ret;
	put_le64(block_bytes, trial->logs->geometry.block_bytes);
	cow_digest_update(trial->digest, block_bytes, sizeof(block_bytes));
	cow_snaplog_logs_measure(trial->logs);
	ret = cow_exmap_new(&map, err);
	if (!ret)
		ret = cow_snaplog_load(trial->logs, &judge, map, err);
	cow_digest_final(trial->digest, trial->reading.digest);
	cow_digest_free(trial->digest);
	return trial->is_hopeless ? 0 : ret;
}

/* ---------------------------------------------------------------- all of them */

static bool makes_sense(const struct trial *trial)
{
	const struct snaplog_reading *reading = &trial->reading;

	return !trial->is_hopeless && reading->nr_entries && !has_too_many(reading) &&
	       reading->nr_missing / MISSING_PER_ENTRY <= reading->nr_entries;
}

/* How far from what the driver writes. */
static uint64_t distance(const struct snaplog_reading *reading)
{
	return reading->nr_impossible + reading->nr_missing + reading->nr_orders;
}

static int reading_keep(struct snaplog_readings *readings, const struct snaplog_reading *reading,
			struct cow_err *err)
{
	struct snaplog_reading *larger;
	size_t at;

	for (size_t i = 0; i < readings->nr; i++) {
		struct snaplog_reading *other = &readings->readings[i];

		if (memcmp(other->digest, reading->digest, sizeof(other->digest)) != 0)
			continue;
		if (distance(reading) < distance(other))
			*other = *reading;
		return 0;
	}
	larger = (struct snaplog_reading *)cow_array_grow(readings->readings, readings->nr,
							  &readings->capacity, sizeof(*larger));
	if (!larger)
		return cow_fail(err, -ENOMEM, "no memory for a reading of the logs");
	readings->readings = larger;
	for (at = readings->nr++; at && distance(reading) < distance(&larger[at - 1]); at--)
		larger[at] = larger[at - 1];
	larger[at] = *reading;
	return 0;
}

static int reading_try(struct snaplog_logs *logs, const struct snaplog_geometry *geometry,
		       struct snaplog_readings *readings, struct cow_err *err)
{
	struct trial trial = { .logs = logs };
	int ret;

	logs->geometry = *geometry;
	ret = cow_snaplog_geometry_lay_out(&logs->geometry, logs->source_bytes, err);
	if (ret)
		return ret;
	trial.reading.geometry = logs->geometry;
	readings->nr_tried++;
	ret = trial_run(&trial, err);
	if (trial.reading.nr_entries || trial.reading.nr_impossible)
		readings->nr_with_bits++;
	else if (!trial.is_hopeless)
		readings->nr_empty++;
	return ret || !makes_sense(&trial) ? ret : reading_keep(readings, &trial.reading, err);
}

/* The counts that the driver may have had: all keys, blocks, or KiB (the literal
 * one). */
static int counts_try(struct snaplog_logs *logs, struct snaplog_geometry *geometry, uint32_t given,
		      struct snaplog_readings *readings, struct cow_err *err)
{
	const uint64_t counts[] = {
		cow_snaplog_geometry_keys(geometry, logs->source_bytes),
		div_ceil(logs->source_bytes, geometry->block_bytes),
		div_ceil(logs->source_bytes, 1024),
	};
	int ret = 0;

	if (given & 1u << SNAPLOG_KEY_COUNT)
		return reading_try(logs, geometry, readings, err);
	for (size_t i = 0; !ret && i < 3; i++) {
		if (i && (counts[i] == counts[0] || (i == 2 && counts[2] == counts[1])))
			continue;
		geometry->count = counts[i];
		ret = reading_try(logs, geometry, readings, err);
	}
	return ret;
}

/* One number for each combination of the keys that have two values. */
static bool combination_set(struct snaplog_geometry *geometry,
			    const struct snaplog_geometry *wanted, uint32_t given,
			    unsigned int number)
{
	bool is[5];

	for (int i = 0; i < 5; i++)
		is[i] = number >> i & 1;
	geometry->word_bytes = is[0] ? 8 : 4;
	geometry->is_big_endian = is[1];
	geometry->has_full_maps = is[2];
	geometry->has_sector_keys = is[3];
	geometry->has_byte_bitmap = is[4];
	return !((given & 1u << SNAPLOG_KEY_WORD && geometry->word_bytes != wanted->word_bytes) ||
		 (given & 1u << SNAPLOG_KEY_ENDIAN && is[1] != wanted->is_big_endian) ||
		 (given & 1u << SNAPLOG_KEY_MAP && is[2] != wanted->has_full_maps) ||
		 (given & 1u << SNAPLOG_KEY_UNIT && is[3] != wanted->has_sector_keys) ||
		 (given & 1u << SNAPLOG_KEY_BITMAP && is[4] != wanted->has_byte_bitmap));
}

int cow_snaplog_guess(struct snaplog_logs *logs, const struct snaplog_geometry *geometry,
		      uint32_t given, const struct cow_callbacks *callbacks,
		      struct snaplog_readings *ret_readings, struct cow_err *err)
{
	struct snaplog_readings readings = { .nr_tried = 0 };
	struct snaplog_geometry tried = *geometry;
	int ret = 0;

	for (uint64_t block = SNAPLOG_BLOCK_BYTES_MIN; !ret && block <= SNAPLOG_BLOCK_BYTES_MAX;
	     block *= 2) {
		if (given & 1u << SNAPLOG_KEY_BLOCK && block != geometry->block_bytes)
			continue;
		ret = cow_callbacks_progress(callbacks, "guess", readings.nr_tried, 0, err);
		tried.block_bytes = block;
		for (unsigned int number = 0; !ret && number < 32; number++)
			if (combination_set(&tried, geometry, given, number)) {
				tried.count = geometry->count;
				ret = counts_try(logs, &tried, given, &readings, err);
			}
	}
	readings.is_empty = readings.nr_empty && !readings.nr_with_bits;
	if (ret)
		free(readings.readings);
	else
		*ret_readings = readings;
	return ret;
}

/* Others are far off if nothing is wrong with the first, and something with each of
 * them that no driver writes. */
static bool is_clear(const struct snaplog_readings *readings)
{
	if (distance(&readings->readings[0]) ||
	    readings->readings[0].nr_entries < SNAPLOG_EVIDENCE_CLEAR)
		return false;
	for (size_t i = 1; i < readings->nr; i++)
		if (readings->readings[i].nr_impossible < 2)
			return false;
	return true;
}

const struct snaplog_reading *cow_snaplog_guess_best(const struct snaplog_readings *readings)
{
	if (!readings->nr || readings->readings[0].nr_entries < SNAPLOG_EVIDENCE_MIN)
		return NULL;
	return readings->nr == 1 || is_clear(readings) ? &readings->readings[0] : NULL;
}
