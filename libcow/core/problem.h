/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * problem.h - a table of findings. Each kind of store has one of its own, whose
 * rows begin with a struct cow_problem and go on with the kind's columns. All
 * tables together are what cow_problem_get() lists (store/registry.c).
 */
#ifndef COW_CORE_PROBLEM_H
#define COW_CORE_PROBLEM_H

#include "libcow.h"

struct problem_table {
	const void *rows; /* sorted by id */
	size_t nr, row_bytes;
};

/* A row by index, NULL behind the last; by id, or NULL. */
const struct cow_problem *cow_problem_table_get(const struct problem_table *table, size_t index);
const struct cow_problem *cow_problem_table_find(const struct problem_table *table, const char *id);

/* What is found on any image, whatever store it holds; in the order of the ids. */
enum image_problem {
	IMAGE_DIGEST_MISMATCH,
	IMAGE_UNREADABLE,
};

extern const struct problem_table cow_image_problems;

const struct cow_problem *cow_image_problem(enum image_problem problem);

#endif
