/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snaplog_problems.c - the findings about log devices: one row for each, sorted
 * by id. An id never changes its meaning; the manual page lists them. The
 * column "kernel" is about the driver of 2001, which no released kernel has.
 */
#include "libcow/store/snaplog/snaplog_problems.h"

#include "libcow/store/store.h"

#define MENDED_SAFELY (COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE)

static const struct snaplog_problem_row rows[SNAPLOG_NR_PROBLEMS] = {
	[SNAPLOG_BITMAP_BYTE] = {
		.problem = {
			.id = "snaplog.bitmap-byte",
			.klass = COW_CLASS_NOTE,
			.summary = "a byte of the bitmap has other bits than bit 0",
			.kernel = "looks at bit 0 alone",
			.fix = "make sure that the bitmap is one of bytes, and not packed",
		},
	},
	[SNAPLOG_EARLIER_LOG_NOT_FULL] = {
		.problem = {
			.id = "snaplog.earlier-log-not-full",
			.klass = COW_CLASS_DAMAGE,
			.summary = "a log holds blocks although the log before it is not full",
			.kernel = "fills one log after the other, and never leaves room in one",
			.fix = "give the logs in the order of the setup; if that is their order, bits were lost",
		},
	},
	[SNAPLOG_GEOMETRY_CANDIDATE] = {
		.problem = {
			.id = "snaplog.geometry-candidate",
			.klass = COW_CLASS_INFO,
			.summary = "a geometry in which the logs make sense",
			.kernel = "has it from the machine that it runs on",
			.fix = "nothing to do",
		},
	},
	[SNAPLOG_GEOMETRY_DOUBTED] = {
		.problem = {
			.id = "snaplog.geometry-doubted",
			.klass = COW_CLASS_NOTE,
			.summary = "many entries of the map are impossible: the geometry is more likely wrong than the logs are damaged",
			.kernel = "has it from the machine that it runs on",
			.fix = "leave out what is not certain: snapcheck then tries every geometry",
		},
	},
	[SNAPLOG_GEOMETRY_GUESSED] = {
		.problem = {
			.id = "snaplog.geometry-guessed",
			.klass = COW_CLASS_INFO,
			.summary = "one geometry alone makes sense: the logs were checked with it",
			.kernel = "has it from the machine that it runs on",
			.fix = "give this geometry to look into the snapshot",
		},
	},
	[SNAPLOG_GEOMETRY_UNKNOWN] = {
		.problem = {
			.id = "snaplog.geometry-unknown",
			.klass = COW_CLASS_DAMAGE,
			.summary = "no single geometry makes sense of the logs",
			.kernel = "has it from the machine that it runs on",
			.fix = "find out block size, word size and byte order of the machine, and give them",
		},
	},
	[SNAPLOG_HOLE] = {
		.problem = {
			.id = "snaplog.hole",
			.klass = COW_CLASS_NOTE,
			.summary = "nothing refers to a data block in front of others that are in use: a bit was lost, or a roll back was cut off",
			.kernel = "hands out data blocks one after the other, without a gap",
			.fix = "if a roll back was cut off, run it again",
		},
	},
	[SNAPLOG_KEY_BEYOND_SOURCE] = {
		.problem = {
			.id = "snaplog.key-beyond-source",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "a bit is set for a block behind the end of the source",
			.kernel = "never sets it",
			.fix = "the bit is cleared; the source keeps its length",
			.question = "clear the bit",
		},
		.is_impossible = true,
		.clears_bit = true,
	},
	[SNAPLOG_KEY_MISALIGNED] = {
		.problem = {
			.id = "snaplog.key-misaligned",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "a bit is set for a sector in the middle of a block",
			.kernel = "never sets it: it saves whole blocks",
			.fix = "the bit is cleared; the block of data that it named is lost",
			.question = "clear the bit",
		},
		.is_impossible = true,
		.clears_bit = true,
		.loses_data = true,
	},
	[SNAPLOG_LOG_SHORT] = {
		.problem = {
			.id = "snaplog.log-short",
			.klass = COW_CLASS_DAMAGE,
			.summary = "a log ends before its data begins",
			.kernel = "refuses to use it",
			.fix = "the log was cut, or the geometry is another one",
		},
	},
	[SNAPLOG_LOG_SMALL] = {
		.problem = {
			.id = "snaplog.log-small",
			.klass = COW_CLASS_NOTE,
			.summary = "a log has less than twice the blocks that its bitmap and map take",
			.kernel = "refuses to use it",
			.fix = "the log was cut, or the geometry is another one",
		},
	},
	[SNAPLOG_ON_TWO_LOGS] = {
		.problem = {
			.id = "snaplog.on-two-logs",
			.klass = COW_CLASS_NOTE,
			.flags = MENDED_SAFELY,
			.summary = "a block is stored on two logs; the copy on the earlier log is the older one, and counts",
			.kernel = "reads the copy on the later log, which is not what the snapshot showed",
			.fix = "the bit on the later log is cleared",
			.question = "clear the bit on the later log",
		},
		.clears_bit = true,
	},
	[SNAPLOG_VALUE_OUT_OF_RANGE] = {
		.problem = {
			.id = "snaplog.value-out-of-range",
			.klass = COW_CLASS_LOST,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "an entry of the map names no data block: what was saved cannot be found, and the source is shown instead",
			.kernel = "reads whatever is there",
			.fix = "the bit is cleared; the old content of the block is lost",
			.question = "clear the bit, and give up the old content of the block",
		},
		.is_impossible = true,
		.clears_bit = true,
		.loses_data = true,
	},
	[SNAPLOG_VALUE_TWICE] = {
		.problem = {
			.id = "snaplog.value-twice",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "two entries of the map name one data block: one of the two blocks shows the data of the other",
			.kernel = "reads the same block for both",
			.fix = "which of the two is wrong cannot be told: export what the snapshot shows and compare both; with --force=lost both bits are cleared, and the old content of both blocks is lost",
			.question = "clear both bits, and give up the old content of both blocks",
		},
		.is_impossible = true,
		.clears_bit = true,
		.loses_data = true,
	},
};

const struct problem_table cow_snaplog_problems = {
	.rows = rows,
	.nr = SNAPLOG_NR_PROBLEMS,
	.row_bytes = sizeof(rows[0]),
};

const struct snaplog_problem_row *cow_snaplog_problem_row(enum snaplog_problem problem)
{
	return &rows[problem];
}
