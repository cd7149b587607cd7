/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_problems.h - the findings about log devices. Everything else names a
 * finding by its number here: the id is written in the table alone.
 */
#ifndef COW_STORE_SNAPLOG_PROBLEMS_H
#define COW_STORE_SNAPLOG_PROBLEMS_H

#include "libcow/core/problem.h"

/* In the order of the ids. */
enum snaplog_problem {
	SNAPLOG_BITMAP_BYTE,
	SNAPLOG_EARLIER_LOG_NOT_FULL,
	SNAPLOG_GEOMETRY_CANDIDATE,
	SNAPLOG_GEOMETRY_DOUBTED,
	SNAPLOG_GEOMETRY_GUESSED,
	SNAPLOG_GEOMETRY_UNKNOWN,
	SNAPLOG_HOLE,
	SNAPLOG_KEY_BEYOND_SOURCE,
	SNAPLOG_KEY_MISALIGNED,
	SNAPLOG_LOG_SHORT,
	SNAPLOG_LOG_SMALL,
	SNAPLOG_ON_TWO_LOGS,
	SNAPLOG_VALUE_OUT_OF_RANGE,
	SNAPLOG_VALUE_TWICE,
	SNAPLOG_NR_PROBLEMS
};

struct snaplog_problem_row {
	struct cow_problem problem; /* first */
	bool is_impossible;	    /* an entry that a driver with this geometry cannot write */
	/* Mended by clearing the bit; loses_data: what it named is out of reach then. */
	bool clears_bit, loses_data;
};

const struct snaplog_problem_row *cow_snaplog_problem_row(enum snaplog_problem problem);

#endif
