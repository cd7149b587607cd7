/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_problems.c - the findings about a persistent store: one row for each,
 * sorted by id. An id never changes its meaning; the manual page lists them.
 * Facts about the kernel: drivers/md/dm-snap.c and dm-snap-persistent.c,
 * Linux 6.1.
 */
#include "libcow/store/persistent/snap_problems.h"

#include "libcow/store/store.h"

#define FIXABLE COW_PROBLEM_FIXABLE
#define SAFE COW_PROBLEM_SAFE

static const struct snap_problem_row rows[SNAP_NR_PROBLEMS] = {
	[SNAP_AREA_COPIED] = {
		.problem = {
			.id = "persistent.area-copied",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "a metadata area holds a copy of another area",
			.kernel = "reads wrong data for the exceptions that the area held before",
			.fix = "do not activate and do not merge it; with -o the exceptions that are left are saved to a new store",
			.question = "drop the copy from the list",
		},
		.action = SNAP_DO_COPIED,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_AREA_GARBAGE] = {
		.problem = {
			.id = "persistent.area-garbage",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "a metadata area holds bytes that are no exception records",
			.kernel = "takes them for records; a merge fails or copies rubbish",
			.fix = "the list ends in front of the area",
			.question = "end the list of exceptions in front of this area",
		},
		.action = SNAP_DO_GARBAGE,
	},
	[SNAP_CHUNK_BELOW_BLOCK] = {
		.problem = {
			.id = "persistent.chunk-below-block",
			.klass = COW_CLASS_NOTE,
			.summary = "the chunks are no multiple of the logical blocks of a device",
			.kernel = "refuses to load the store beside these devices",
			.fix = "read it with snapdump, or merge it with snapmerge -o NEW; to load it, "
			       "copy both images to files or to disks with smaller blocks",
		},
	},
	[SNAP_CHUNK_SIZE_CANDIDATE] = {
		.problem = {
			.id = "persistent.chunk-size-candidate",
			.klass = COW_CLASS_INFO,
			.summary = "where a chunk size puts it there is something that looks like a list "
				   "of exceptions",
			.kernel = "does not guess",
			.fix = "--chunk-size decides, where the header is lost",
		},
	},
	[SNAP_CHUNK_SIZE_CONTRADICTED] = {
		.problem = {
			.id = "persistent.chunk-size-contradicted",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "the chunk size in the header does not fit the layout",
			.kernel = "looks for the exceptions in the wrong place",
			.fix = "the chunk size that fits is written to the header",
			.question = "write the chunk size that fits to the header",
		},
		.action = SNAP_DO_CHUNK_SIZE_BEST,
		.is_in_header = true,
	},
	[SNAP_CHUNK_SIZE_DOUBTFUL] = {
		.problem = {
			.id = "persistent.chunk-size-doubtful",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "with a chunk size that LVM never uses the list is empty, with a larger one there are exceptions",
			.kernel = "shows the origin",
			.fix = "if the header was altered, -o writes the larger chunk size to a new store; if the store is new and lies over an older one, nothing: --force=doubtful uses it",
			.question = "write the larger chunk size to the header",
		},
		.action = SNAP_DO_CHUNK_SIZE_BEST,
		.is_in_header = true,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_CHUNK_SIZE_IMPOSSIBLE] = {
		.problem = {
			.id = "persistent.chunk-size-impossible",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "the chunk size in the header is not a power of two up to 2^21 sectors",
			.kernel = "refuses to load the store",
			.fix = "the chunk size that fits the layout is written to the header",
			.question = "write the chunk size that fits to the header",
		},
		.action = SNAP_DO_CHUNK_SIZE,
		.is_in_header = true,
	},
	[SNAP_CHUNK_SIZE_UNKNOWN] = {
		.problem = {
			.id = "persistent.chunk-size-unknown",
			.klass = COW_CLASS_DAMAGE,
			.summary = "the header is lost, and the layout does not tell the chunk size",
			.kernel = "refuses to load the store, or takes it for a new one and wipes it",
			.fix = "--chunk-size decides; the candidates are listed",
		},
	},
	[SNAP_DATA_BEHIND] = {
		.problem = {
			.id = "persistent.data-behind",
			.klass = COW_CLASS_NOTE,
			.summary = "the list ends at the end of a sector, as one in 32 does by chance, and the chunks that would be used next are not zeros, or cannot be read",
			.kernel = "shows the origin for exceptions that are missing, if any are",
			.fix = "nothing, if the device was in use before the store was made, as further data behind suggests; else a merge or a write was cut off, or the end of the list was lost: keep a copy",
		},
	},
	[SNAP_DATA_UNREADABLE] = {
		.problem = {
			.id = "persistent.data-unreadable",
			.klass = COW_CLASS_LOST,
			.flags = FIXABLE,
			.summary = "data of an exception cannot be read",
			.kernel = "answers with an I/O error; a merge stops there for good",
			.fix = "with -o the exception is dropped; snapmerge --skip-unreadable keeps what "
			       "can be read",
			.question = "drop the exception",
		},
		.action = SNAP_DO_DROP,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_DUPLICATE_NEW_CHUNK] = {
		.problem = {
			.id = "persistent.duplicate-new-chunk",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "two exceptions share one chunk of the COW image",
			.kernel = "reads the same data for both; a write to one changes the other",
			.fix = "the later record is given a copy of the chunk of its own",
			.question = "give the later exception a copy of its own",
		},
		.action = SNAP_DO_NEW_TWICE,
	},
	[SNAP_DUPLICATE_OLD_CHUNK] = {
		.problem = {
			.id = "persistent.duplicate-old-chunk",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "two exceptions belong to one chunk of the origin",
			.kernel = "reads one of them, usually the earlier; a merge ends with the earlier",
			.fix = "the record that the kernel reads is kept",
			.question = "keep the exception that the kernel reads",
		},
		.action = SNAP_DO_OLD_TWICE,
	},
	[SNAP_DUPLICATE_RECORD] = {
		.problem = {
			.id = "persistent.duplicate-record",
			.klass = COW_CLASS_NOTE,
			.flags = FIXABLE,
			.summary = "an exception is recorded twice, as a move of it that was cut off "
				   "leaves it",
			.kernel = "does not mind: both records say the same",
			.fix = "the last record is put in the place of one of the two",
			.question = "drop the second of two equal records",
		},
		.action = SNAP_DO_DROP,
	},
	[SNAP_HEADER_MAGIC] = {
		.problem = {
			.id = "persistent.header-magic",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "the header does not begin with \"SnAp\"",
			.kernel = "refuses to load the store",
			.fix = "the header is written anew with the chunk size that fits the layout",
			.question = "write a new header",
		},
		.action = SNAP_DO_MAGIC,
		.is_in_header = true,
	},
	[SNAP_HEADER_MAGIC_ZERO] = {
		.problem = {
			.id = "persistent.header-magic-zero",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "the header begins with zeros, but a store is behind it",
			.kernel = "takes it for a new store and wipes the exceptions",
			.fix = "the header is written anew with the chunk size that fits the layout",
			.question = "write a new header",
		},
		.action = SNAP_DO_MAGIC,
		.is_in_header = true,
	},
	[SNAP_HEADER_TRAILING] = {
		.problem = {
			.id = "persistent.header-trailing",
			.klass = COW_CLASS_INFO,
			.summary = "the bytes behind the header are neither zeros nor a label",
			.kernel = "ignores them",
			.fix = "nothing needs to be done",
		},
	},
	[SNAP_HEADER_UNREADABLE] = {
		.problem = {
			.id = "persistent.header-unreadable",
			.klass = COW_CLASS_LOST,
			.summary = "the header cannot be read",
			.kernel = "refuses to load the store",
			.fix = "snapcheck -o writes a new one to a copy, with the chunk size that fits",
		},
	},
	[SNAP_HEADER_VERSION] = {
		.problem = {
			.id = "persistent.header-version",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "the version in the header is not 1",
			.kernel = "refuses to load the store",
			.fix = "version 1 is written, the only one there has ever been",
			.question = "write version 1 to the header",
		},
		.action = SNAP_DO_VERSION,
		.is_in_header = true,
	},
	[SNAP_HOLE] = {
		.problem = {
			.id = "persistent.hole",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "live exceptions stand behind an empty record",
			.kernel = "stops at the empty record and does not see them",
			.fix = "the records behind the hole are moved forward to close it",
			.question = "close the hole",
		},
		.action = SNAP_DO_HOLE,
	},
	[SNAP_IMAGE_CUT_DATA] = {
		.problem = {
			.id = "persistent.image-cut-data",
			.klass = COW_CLASS_LOST,
			.flags = FIXABLE,
			.summary = "the COW image ends before the data of its exceptions",
			.kernel = "answers reads of these chunks with I/O errors; a merge fails",
			.fix = "the image is restored to its full size, or the exceptions are dropped",
			.question = "drop the exceptions whose data is cut off",
		},
		.action = SNAP_DO_DROP_BEYOND,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_IMAGE_CUT_METADATA] = {
		.problem = {
			.id = "persistent.image-cut-metadata",
			.klass = COW_CLASS_LOST,
			.summary = "the COW image ends before its first metadata area",
			.kernel = "refuses to load the store",
			.fix = "restore the image to its full size",
		},
	},
	[SNAP_IMAGE_CUT_NEXT_AREA] = {
		.problem = {
			.id = "persistent.image-cut-next-area",
			.klass = COW_CLASS_LOST,
			.flags = FIXABLE,
			.summary = "the COW image ends before the metadata area behind a full one",
			.kernel = "refuses to load the store",
			.fix = "the image is enlarged; exceptions behind its old end are lost",
			.question = "enlarge the image and end the list there",
		},
		.action = SNAP_DO_DROP_BEYOND,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_INVALID] = {
		.problem = {
			.id = "persistent.invalid",
			.klass = COW_CLASS_DAMAGE,
			.summary = "the store is marked invalid: it ran full or failed",
			.kernel = "loads it, but fails every access; a merge does nothing",
			.fix = "snapcheck --revalidate; what was written to the origin since is missing",
		},
		.action = SNAP_DO_VALID,
		.is_in_header = true,
	},
	[SNAP_LAST_AREA_ROOM] = {
		.problem = {
			.id = "persistent.last-area-room",
			.klass = COW_CLASS_NOTE,
			.summary = "the COW image has a size at which filling it invalidates the store",
			.kernel = "invalidates the store with the last exception that fits",
			.fix = "make the image one chunk larger or smaller",
		},
	},
	[SNAP_LEAKED_CHUNKS] = {
		.problem = {
			.id = "persistent.leaked-chunks",
			.klass = COW_CLASS_INFO,
			.summary = "chunks that were handed out belong to no exception",
			.kernel = "never uses them again; kernels before 3.14 left such behind",
			.fix = "nothing needs to be done",
		},
	},
	[SNAP_LIST_CUT] = {
		.problem = {
			.id = "persistent.list-cut",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "part of the list is zeros, and exceptions stand behind the gap",
			.kernel = "shows the origin for the missing exceptions and for those behind the gap",
			.fix = "do not activate and do not merge it; with -o the exceptions behind the gap are saved to a new store",
			.question = "append the exceptions behind the gap to the list",
		},
		.action = SNAP_DO_SALVAGE,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_LIST_DOUBTFUL] = {
		.problem = {
			.id = "persistent.list-doubtful",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "the list ends where zeros may have cut it, and records stand behind it",
			.kernel = "shows the origin for what may be missing",
			.fix = "give the origin too: its data may decide; -o saves the exceptions behind the gap to a new store, --gap=leave without them; --force=doubtful uses the list as it is",
			.question = "append the exceptions behind the gap to the list",
		},
		.action = SNAP_DO_SALVAGE,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_LIST_END_DOUBTFUL] = {
		.problem = {
			.id = "persistent.list-end-doubtful",
			.klass = COW_CLASS_DAMAGE,
			.summary = "the list ends at the end of a sector, and data that it does not name follows on a device that was blank",
			.kernel = "shows the origin for exceptions that are missing, if any are",
			.fix = "give the origin too: if it holds that data, a merge or a write was cut off, and nothing is missing; else keep a copy of the COW image: no record tells where the data belongs; --force=doubtful uses the list as it is",
		},
	},
	[SNAP_LIST_WITHOUT_END] = {
		.problem = {
			.id = "persistent.list-without-end",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "the last metadata area that fits is full: the list has no end",
			.kernel = "refuses to load the store",
			.fix = "the image is enlarged by the missing metadata area",
			.question = "enlarge the image by a metadata area",
		},
	},
	[SNAP_MERGE_IN_PROGRESS] = {
		.problem = {
			.id = "persistent.merge-in-progress",
			.klass = COW_CLASS_INFO,
			.summary = "a merge of this store was begun and has not finished",
			.kernel = "continues it as snapshot-merge",
			.fix = "run the same snapmerge command again",
		},
	},
	[SNAP_METADATA_UNREADABLE] = {
		.problem = {
			.id = "persistent.metadata-unreadable",
			.klass = COW_CLASS_LOST,
			.flags = FIXABLE,
			.summary = "part of a metadata area in use cannot be read",
			.kernel = "refuses to load the store",
			.fix = "with -o the copy has a list of the exceptions that are left",
			.question = "leave out the exceptions that cannot be read",
		},
		.action = SNAP_DO_DROP_PLACES,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_NEW_CHUNK_BEYOND_END] = {
		.problem = {
			.id = "persistent.new-chunk-beyond-end",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "an exception names a chunk beyond the end of the COW image",
			.kernel = "answers reads of it with I/O errors; a merge fails",
			.fix = "the exception is dropped; the origin shows there",
			.question = "drop the exception",
		},
		.action = SNAP_DO_DROP_MISDIRECTED,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_NEW_CHUNK_HEADER] = {
		.problem = {
			.id = "persistent.new-chunk-header",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "an exception names the header as its data",
			.kernel = "reads the header as data",
			.fix = "the exception is dropped; the origin shows there",
			.question = "drop the exception",
		},
		.action = SNAP_DO_DROP_MISDIRECTED,
	},
	[SNAP_NEW_CHUNK_METADATA] = {
		.problem = {
			.id = "persistent.new-chunk-metadata",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "an exception names a metadata area as its data",
			.kernel = "reads records as data; a write to it destroys the store",
			.fix = "the exception is dropped; the origin shows there",
			.question = "drop the exception",
		},
		.action = SNAP_DO_DROP_MISDIRECTED,
	},
	[SNAP_NEW_CHUNK_TOP_BYTE] = {
		.problem = {
			.id = "persistent.new-chunk-top-byte",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "the top byte of a chunk number on the COW image is not zero",
			.kernel = "would read wrong data: it takes the byte for the length of a run",
			.fix = "the top byte is cleared, if the rest is plausible",
			.question = "clear the top byte",
		},
		.action = SNAP_DO_CLEAR_TOP_BYTE,
	},
	[SNAP_OLD_CHUNK_BEYOND_ORIGIN] = {
		.problem = {
			.id = "persistent.old-chunk-beyond-origin",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "an exception belongs to a chunk beyond the end of the origin",
			.kernel = "never reads it; a merge fails there",
			.fix = "the exception is dropped, if the origin is the right one; where it "
			       "seems too short, only with --force=lost",
			.question = "drop the exception",
		},
		.action = SNAP_DO_DROP,
		.loses = SNAP_LOSES_OF_KNOWN_ORIGIN,
	},
	[SNAP_OLDER_RECORDS] = {
		.problem = {
			.id = "persistent.older-records",
			.klass = COW_CLASS_NOTE,
			.summary = "records of an older store, or merged ones, stand behind the end of the list",
			.kernel = "ignores them, and zeroes an area before it uses it",
			.fix = "nothing needs to be done",
		},
	},
	[SNAP_OTHER_CHUNK_SIZE] = {
		.problem = {
			.id = "persistent.other-chunk-size",
			.klass = COW_CLASS_NOTE,
			.summary = "the list is empty, but another chunk size would find exceptions",
			.kernel = "shows the origin",
			.fix = "nothing, unless the header was altered: try --chunk-size",
		},
	},
	[SNAP_OUT_OF_ORDER] = {
		.problem = {
			.id = "persistent.out-of-order",
			.klass = COW_CLASS_INFO,
			.summary = "exceptions were committed in another order than allocated",
			.kernel = "does not mind; kernels before 3.14 left such behind",
			.fix = "nothing needs to be done",
		},
	},
	[SNAP_RECORD_COPIED] = {
		.problem = {
			.id = "persistent.record-copied",
			.klass = COW_CLASS_DAMAGE,
			.flags = FIXABLE,
			.summary = "a record is a copy of an earlier one, in the place of another one",
			.kernel = "does not mind; what stood there is missing",
			.fix = "the last record is put in the place of the copy; what stood there is lost",
			.question = "drop the copy of an earlier record",
		},
		.action = SNAP_DO_DROP,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_RECORDS_BEHIND_EMPTY] = {
		.problem = {
			.id = "persistent.records-behind-empty",
			.klass = COW_CLASS_NOTE,
			.flags = FIXABLE,
			.summary = "the list is empty, and records stand behind it",
			.kernel = "shows the origin",
			.fix = "nothing, if this snapshot is new or was merged; if it held data, its first area was lost: keep a copy",
			.question = "append the exceptions behind the gap to the list",
		},
		.action = SNAP_DO_SALVAGE,
		.loses = SNAP_LOSES_ALWAYS,
	},
	[SNAP_STALE_RECORDS] = {
		.problem = {
			.id = "persistent.stale-records",
			.klass = COW_CLASS_NOTE,
			.flags = FIXABLE,
			.summary = "bytes that are not zero stand behind the end of the list",
			.kernel = "ignores them, until one more exception makes the next one live",
			.fix = "they are zeroed",
			.question = "zero the rest of the area",
		},
		.action = SNAP_DO_STALE,
	},
	[SNAP_TORN_COMMIT] = {
		.problem = {
			.id = "persistent.torn-commit",
			.klass = COW_CLASS_NOTE,
			.flags = FIXABLE | SAFE,
			.summary = "a commit or a merge was cut off: some of its records stand behind the end of the list",
			.kernel = "ignores them, until one more exception makes the next one live",
			.fix = "they are zeroed",
			.question = "zero the rest of the area",
		},
		.action = SNAP_DO_STALE,
	},
};

const struct problem_table cow_snap_problems = {
	.rows = &rows[SNAP_SOUND + 1],
	.nr = SNAP_NR_PROBLEMS - (SNAP_SOUND + 1),
	.row_bytes = sizeof(rows[0]),
};

const struct snap_problem_row *cow_snap_problem_row(enum snap_problem problem)
{
	return &rows[problem];
}

enum snap_problem cow_snap_problem_of(const struct cow_problem *problem)
{
	/* a row begins with what is public */
	return (enum snap_problem)((const struct snap_problem_row *)problem - rows);
}
