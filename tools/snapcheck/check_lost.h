/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_lost.h - which parts of a snapshot a repair had to give up: all ranges
 * as JSON, how much and the first few in words.
 */
#ifndef TOOLS_CHECK_LOST_H
#define TOOLS_CHECK_LOST_H

#include <stdint.h>
#include <stdio.h>

#include "libcow.h"

#define CHECK_LOST_SHOWN 3

struct json_object;

struct check_lost {
	struct json_object *ranges; /* the array; NULL without --json */
	struct cow_segment first[CHECK_LOST_SHOWN];
	uint64_t nr_ranges;
	/* Of a store with several snapshots, a line for each, and how far it is. */
	char *devices;
	size_t devices_len;
	FILE *text;
	uint64_t id, nr_of_id, nr_ids;
};

/* For cow_repair_params.lost and .doubtful. */
void check_lost_add(struct check_lost *lost, uint64_t offset_bytes, uint64_t len_bytes);
/* The same of one of several snapshots; len_bytes 0: to its end. Ascending by id. */
void check_lost_add_device(struct check_lost *lost, uint64_t id, uint64_t offset_bytes,
			   uint64_t len_bytes);
/* For cow_repair_params.snapshot_found: nr blocks of a device; ascending by id. */
void check_lost_add_found(struct check_lost *found, uint64_t id, uint64_t nr, uint64_t nr_missing);
/* Prints it; nothing where nothing was found. */
void check_lost_print_found(struct check_lost *found, const struct cow_repair_result *result,
			    FILE *text);
/* Prints what was added of devices, behind what: "lost"; consequence ends a line. */
void check_lost_print_devices(struct check_lost *lost, const char *what, const char *consequence,
			      bool are_two, FILE *text);
void check_lost_free(struct check_lost *lost);
/* Prints them; nothing where nothing is lost. image: what was repaired. */
void check_lost_print(const struct check_lost *lost, const struct cow_repair_result *result,
		      const char *image, FILE *text);
/* The ranges that a rebuilt store may show wrongly; nothing where there are none. */
void check_lost_print_doubtful(const struct check_lost *doubtful,
			       const struct cow_repair_result *result, FILE *text);
/* Is the result a sound store, but not what the snapshot was, or perhaps not? */
bool check_lost_is_doubtful(const struct cow_repair_result *result);
/* The last line of a report: a later check cannot find this out. */
void check_lost_print_end(const struct cow_repair_result *result, const char *image, FILE *text);

#endif
