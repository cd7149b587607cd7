/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_problems.h - the findings about a persistent store, and what a repair
 * does about each. Everything else names a finding by its number here: the id
 * is written in the table alone.
 */
#ifndef COW_STORE_SNAP_PROBLEMS_H
#define COW_STORE_SNAP_PROBLEMS_H

#include "libcow/core/problem.h"

/* In the order of the ids. */
enum snap_problem {
	SNAP_SOUND, /* no finding */
	SNAP_AREA_COPIED,
	SNAP_AREA_GARBAGE,
	SNAP_CHUNK_BELOW_BLOCK,
	SNAP_CHUNK_SIZE_CANDIDATE,
	SNAP_CHUNK_SIZE_CONTRADICTED,
	SNAP_CHUNK_SIZE_DOUBTFUL,
	SNAP_CHUNK_SIZE_IMPOSSIBLE,
	SNAP_CHUNK_SIZE_UNKNOWN,
	SNAP_DATA_BEHIND,
	SNAP_DATA_UNREADABLE,
	SNAP_DUPLICATE_NEW_CHUNK,
	SNAP_DUPLICATE_OLD_CHUNK,
	SNAP_DUPLICATE_RECORD,
	SNAP_HEADER_MAGIC,
	SNAP_HEADER_MAGIC_ZERO,
	SNAP_HEADER_TRAILING,
	SNAP_HEADER_UNREADABLE,
	SNAP_HEADER_VERSION,
	SNAP_HOLE,
	SNAP_IMAGE_CUT_DATA,
	SNAP_IMAGE_CUT_METADATA,
	SNAP_IMAGE_CUT_NEXT_AREA,
	SNAP_INVALID,
	SNAP_LAST_AREA_ROOM,
	SNAP_LEAKED_CHUNKS,
	SNAP_LIST_CUT,
	SNAP_LIST_DOUBTFUL,
	SNAP_LIST_END_DOUBTFUL,
	SNAP_LIST_WITHOUT_END,
	SNAP_MERGE_IN_PROGRESS,
	SNAP_METADATA_UNREADABLE,
	SNAP_NEW_CHUNK_BEYOND_END,
	SNAP_NEW_CHUNK_HEADER,
	SNAP_NEW_CHUNK_METADATA,
	SNAP_NEW_CHUNK_TOP_BYTE,
	SNAP_OLD_CHUNK_BEYOND_ORIGIN,
	SNAP_OLDER_RECORDS,
	SNAP_OTHER_CHUNK_SIZE,
	SNAP_OUT_OF_ORDER,
	SNAP_RECORD_COPIED,
	SNAP_RECORDS_BEHIND_EMPTY,
	SNAP_STALE_RECORDS,
	SNAP_TORN_COMMIT,
	SNAP_NR_PROBLEMS
};

/* What a repair does about a finding that it was allowed to mend. */
enum snap_action {
	SNAP_DO_NOTHING,
	/* to the header */
	SNAP_DO_CHUNK_SIZE,	 /* write the chunk size that was found */
	SNAP_DO_CHUNK_SIZE_BEST, /* find a better one first */
	SNAP_DO_MAGIC,
	SNAP_DO_VALID,
	SNAP_DO_VERSION,
	/* to the list */
	SNAP_DO_DROP,		  /* the record */
	SNAP_DO_DROP_MISDIRECTED, /* the same, where the record does not say where the data is */
	SNAP_DO_DROP_PLACES,	  /* each record of the range */
	SNAP_DO_DROP_BEYOND,	  /* all records whose data lies beyond the end */
	SNAP_DO_CLEAR_TOP_BYTE,
	SNAP_DO_OLD_TWICE,
	SNAP_DO_NEW_TWICE,
	SNAP_DO_GARBAGE, /* end the list in front of it */
	SNAP_DO_HOLE,	 /* close it */
	SNAP_DO_STALE,	 /* zero what stands behind the list */
	SNAP_DO_COPIED,	 /* drop all records of the area */
	SNAP_DO_SALVAGE, /* put what stands behind a gap of the list behind its end */
};

/* When mending it gives up data that is there, or may be, but not on this image
 * or this origin: only with COW_REPAIR_LOST. */
enum snap_loses {
	SNAP_LOSES_NEVER,
	SNAP_LOSES_ALWAYS,
	SNAP_LOSES_OF_KNOWN_ORIGIN, /* if the origin was given */
};

struct snap_problem_row {
	struct cow_problem problem; /* first */
	enum snap_action action;
	bool is_in_header; /* mended by writing the header */
	enum snap_loses loses;
};

const struct snap_problem_row *cow_snap_problem_row(enum snap_problem problem);
/* The other way; problem is of this table. */
enum snap_problem cow_snap_problem_of(const struct cow_problem *problem);

#endif
