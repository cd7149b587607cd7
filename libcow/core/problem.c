/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * problem.c - walks a table of findings, and the table of those that any image
 * can have. Each kind of store has its own.
 */
#include "libcow/core/problem.h"

#include <string.h>

static const struct cow_problem image_rows[] = {
	[IMAGE_DIGEST_MISMATCH] = {
		.id = "image.digest-mismatch",
		.klass = COW_CLASS_LOST,
		.summary = "a range of the view is not what the manifest says",
		.kernel = "does not know digests; it reads what is there",
		.fix = "restore the range from a copy that fits the manifest",
	},
	[IMAGE_UNREADABLE] = {
		.id = "image.unreadable",
		.klass = COW_CLASS_LOST,
		.summary = "a range of the image cannot be read",
		.kernel = "answers with an I/O error; a merge stops there for good",
		.fix = "copy the image with ddrescue and work on the copy",
	},
};

const struct problem_table cow_image_problems = {
	.rows = image_rows,
	.nr = sizeof(image_rows) / sizeof(image_rows[0]),
	.row_bytes = sizeof(image_rows[0]),
};

const struct cow_problem *cow_image_problem(enum image_problem problem)
{
	return &image_rows[problem];
}

/* Row @index of @table, which must be less than @table->nr. */
static const struct cow_problem *row_at(const struct problem_table *table, size_t index)
{
	const char *rows = table->rows;

	return (const struct cow_problem *)(const void *)(rows + index * table->row_bytes);
}

const struct cow_problem *cow_problem_table_get(const struct problem_table *table, size_t index)
{
	return index < table->nr ? row_at(table, index) : NULL;
}

const struct cow_problem *cow_problem_table_find(const struct problem_table *table, const char *id)
{
	size_t low = 0, high = table->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct cow_problem *problem = row_at(table, middle);
		int order = strcmp(id, problem->id);

		if (!order)
			return problem;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
