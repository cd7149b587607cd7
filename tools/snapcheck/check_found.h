/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_found.h - what a check has found: findings by kind, and of each kind the
 * runs of neighbours that are told, and asked about, as one.
 */
#ifndef TOOLS_CHECK_FOUND_H
#define TOOLS_CHECK_FOUND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "libcow.h"

/* So many places of each kind are kept, and listed with -v and in JSON; all findings
 * are counted. */
#define CHECK_FOUND_KEPT 1000

enum found_answer {
	FOUND_UNASKED,
	FOUND_YES,
	FOUND_NO,
};

/* Neighbours with the same finding. */
struct found_run {
	char *image, *sentence; /* of the first one; NULL: no memory */
	uint64_t nr;
	uint64_t offset_bytes, len_bytes, chunk;
	const char *unit, *whole; /* of struct cow_finding */
	uint64_t first_unit, whole_number;
	enum found_answer answer;
};

struct found_kind {
	const struct cow_problem *problem;
	uint64_t nr, nr_runs, view_bytes;
	struct found_run *runs; /* the first ones */
	size_t nr_kept, room;
	char **each; /* with -v: a line for each finding */
	size_t nr_each, room_each;
};

struct check_found {
	struct found_kind *kinds; /* as they came */
	size_t nr_kinds, room;
	bool keeps_each;    /* -v */
	uint64_t max_shown; /* --max-findings; 0: what fits */
	bool is_incomplete; /* no memory for all of it */
};

/* Takes one finding; true: it is to be in the JSON object, too. */
bool check_found_add(struct check_found *found, const struct cow_finding *finding);
/* The run that a finding of a later look lies in; NULL: it was not there, or not kept. */
struct found_run *check_found_run(struct check_found *found, const struct cow_finding *finding);
/* The worst kind, or NULL: nothing was found. */
const struct found_kind *check_found_worst(const struct check_found *found);
/* "record 5 of area 0, byte 4176", "bytes 0-4095"; empty: nowhere. */
void check_found_place(const struct found_run *run, char *buf, size_t size);
/* How much of it: a report of a repair has two lists, which together fit a terminal. */
enum found_form {
	FOUND_ALONE,  /* the only list */
	FOUND_FEW,    /* one of two short ones */
	FOUND_BEFORE, /* what was repaired: a line for each kind */
	FOUND_AFTER,  /* what is left of many kinds */
};
/* Prints all kinds, the worst first. */
void check_found_print(const struct check_found *found, enum found_form form, FILE *text);
void check_found_free(struct check_found *found);

extern const char *const check_class_names[];

#endif
