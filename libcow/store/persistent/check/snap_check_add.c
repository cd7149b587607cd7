/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_check_add.c - notes a finding of a check, and where it is.
 */
#include <stdarg.h>
#include <stdio.h>

#include "libcow/store/persistent/check/snap_check.h"

/* Which record it is: an exception, on which a chunk of the view depends. */
static void place_record(const struct snap_check *check, struct finding_place *place)
{
	const struct snap_layout *layout = &check->layout;
	uint64_t chunk;

	if (place->len_bytes != SNAP_RECORD_BYTES || !layout->chunk_bytes)
		return;
	chunk = place->offset_bytes >> layout->chunk_shift;
	if (!cow_snap_is_area(layout, chunk))
		return;
	place->unit = "record";
	place->unit_number = (place->offset_bytes & (layout->chunk_bytes - 1)) / SNAP_RECORD_BYTES;
	place->whole = "area";
	place->whole_number = chunk / (layout->records_per_area + 1);
	place->view_bytes = layout->chunk_bytes;
}

void cow_snap_check_add(struct snap_check *check, enum snap_problem number, uint64_t offset_bytes,
			uint64_t len_bytes, const char *format, ...)
{
	struct finding_place place = {
		.image = check->cow,
		.offset_bytes = offset_bytes,
		.len_bytes = len_bytes,
		.chunk_bytes = check->layout.chunk_bytes,
	};
	const struct cow_problem *problem = &cow_snap_problem_row(number)->problem;
	char sentence[COW_ERR_MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (problem->klass >= COW_CLASS_DAMAGE)
		check->is_damaged = true;
	place_record(check, &place);
	cow_report_add(check->report, problem, &place, "%s", sentence);
}
