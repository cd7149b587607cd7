/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_problems.c - the findings about a clone: one row for each, sorted by id.
 * An id never changes its meaning; the manual page lists them. What the kernel
 * does was seen on Linux 6.1.
 */
#include "libcow/store/clone/clone_problems.h"

#include "libcow/store/store.h"

static const struct clone_problem_row rows[CLONE_NR_PROBLEMS] = {
	[CLONE_ARRAY_BLOCK] = {
		.problem = {
			.id = "clone.array-block",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "an array block of the bitset is damaged or cannot be read",
			.kernel = "refuses to load the clone",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_ARRAY_ENTRIES] = {
		.problem = {
			.id = "clone.array-entries",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "an array block of the bitset has another number of words than it must have",
			.kernel = "refuses to load the clone if they are too few; ignores more, or reads memory that is no metadata",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_ARRAY_EXTRA] = {
		.problem = {
			.id = "clone.array-extra",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the bitset has more array blocks than the target needs",
			.kernel = "ignores them",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
	},
	[CLONE_ARRAY_HEADER] = {
		.problem = {
			.id = "clone.array-header",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "an array block of the bitset states another size than words of 8 bytes have",
			.kernel = "reads it without a look at these numbers; since Linux 6.12 it refuses to load the clone",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_ARRAY_MISSING] = {
		.problem = {
			.id = "clone.array-missing",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "the tree of the bitset has no entry for an array block",
			.kernel = "takes the entries in their order; refuses to load the clone if words are missing",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_ARRAY_SHARED] = {
		.problem = {
			.id = "clone.array-shared",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "an array block is used more than once",
			.kernel = "shows the regions of one part for both; the first commit fails",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_BITS_BEYOND] = {
		.problem = {
			.id = "clone.bits-beyond",
			.klass = COW_CLASS_NOTE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "bits are set behind the last region",
			.kernel = "ignores them",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
	},
	[CLONE_BLOCK_COUNTED_HIGH] = {
		.problem = {
			.id = "clone.block-counted-high",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "a metadata block is counted more often than it is used",
			.kernel = "loses the block at its next commit",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
	},
	[CLONE_BLOCK_FREE] = {
		.problem = {
			.id = "clone.block-free",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "a metadata block in use is counted as free",
			.kernel = "fails at its first commit, or overwrites the block",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_COMMIT_FAILS,
	},
	[CLONE_BLOCK_LEAKED] = {
		.problem = {
			.id = "clone.block-leaked",
			.klass = COW_CLASS_NOTE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "metadata blocks are counted as used and nothing uses them",
			.kernel = "does not notice; they stay unusable",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
	},
	[CLONE_COUNT_ENTRY] = {
		.problem = {
			.id = "clone.count-entry",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the tree of reference counts contradicts the bitmaps",
			.kernel = "does not notice",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
	},
	[CLONE_COUNT_WITHOUT_ENTRY] = {
		.problem = {
			.id = "clone.count-without-entry",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "a metadata block is counted as 3 or more, and the tree of counts does not list it",
			.kernel = "crashes at the first write to the clone: do not load it",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_WRITE_DIES,
	},
	[CLONE_DESTINATION_SHORT] = {
		.problem = {
			.id = "clone.destination-short",
			.klass = COW_CLASS_DAMAGE,
			.summary = "the destination is shorter than the target",
			.kernel = "refuses to load the clone",
			.fix = "find the right destination; nothing is written to this one",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_GEOMETRY] = {
		.problem = {
			.id = "clone.geometry",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "region size or target size is not one that a clone can have",
			.kernel = "refuses to load the clone",
			.fix = "-o NEW makes new metadata with the numbers of --table",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_MAP_BITMAP] = {
		.problem = {
			.id = "clone.map-bitmap",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "a bitmap of the space map is damaged or cannot be read",
			.kernel = "loads the clone; the first write to it fails, and it becomes read-only",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_COMMIT_FAILS,
	},
	[CLONE_MAP_COUNTS] = {
		.problem = {
			.id = "clone.map-counts",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the tree of reference counts is damaged or cannot be read",
			.kernel = "does not notice",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
	},
	[CLONE_MAP_FIRST_FREE] = {
		.problem = {
			.id = "clone.map-first-free",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the space map says that no block is free where some are",
			.kernel = "fails the first write to the clone and makes it read-only",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_COMMIT_FAILS,
	},
	[CLONE_MAP_INDEX] = {
		.problem = {
			.id = "clone.map-index",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the index of the space map is damaged or cannot be read",
			.kernel = "refuses to load the clone",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_MAP_NR_ALLOCATED] = {
		.problem = {
			.id = "clone.map-nr-allocated",
			.klass = COW_CLASS_NOTE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the space map states a wrong number of used blocks",
			.kernel = "shows that number as used metadata blocks",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
	},
	[CLONE_MAP_NR_FREE] = {
		.problem = {
			.id = "clone.map-nr-free",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the space map states a wrong number of free blocks of a bitmap",
			.kernel = "does not notice as long as the number is not 0",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
	},
	[CLONE_MAP_SIZE] = {
		.problem = {
			.id = "clone.map-size",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the space map counts more blocks than the metadata device has",
			.kernel = "does not notice; a commit that takes a block behind the end fails",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_COMMIT_FAILS,
	},
	[CLONE_METADATA_EIGHT_BLOCKS] = {
		.problem = {
			.id = "clone.metadata-eight-blocks",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the metadata device has exactly 8 blocks, which is too few for a commit",
			.kernel = "crashes at the first write to the clone: do not load it",
			.fix = "-o NEW makes larger metadata with the same regions",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_WRITE_DIES,
	},
	[CLONE_METADATA_FULL] = {
		.problem = {
			.id = "clone.metadata-full",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the metadata device has too few free blocks for a commit",
			.kernel = "fails the first write to the clone and makes it read-only",
			.fix = "-o NEW makes metadata with room, with the same regions",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_COMMIT_FAILS,
	},
	[CLONE_NODE] = {
		.problem = {
			.id = "clone.node",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "a node of the bitset's tree is damaged or cannot be read",
			.kernel = "refuses to load the clone",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_NODE_EMPTY] = {
		.problem = {
			.id = "clone.node-empty",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "the root of the bitset's tree has no entry",
			.kernel = "crashes when the clone is loaded: do not load it",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_NODE_HEADER] = {
		.problem = {
			.id = "clone.node-header",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "a node of the bitset's tree states a wrong size of values or largest number of entries",
			.kernel = "uses these numbers: reads the right words, others, or refuses to load the clone",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_NODE_KEYS] = {
		.problem = {
			.id = "clone.node-keys",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "keys in the bitset's tree are out of order",
			.kernel = "reads entries in their order; the first commit behind a wrong key fails",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_NODE_LOOP] = {
		.problem = {
			.id = "clone.node-loop",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "the bitset's tree leads back into itself, or its leaves differ in height",
			.kernel = "crashes when the clone is loaded: do not load it",
			.fix = "load no table with it; -o NEW makes new metadata from what can be read and from the newest whole tree, and lists the regions in doubt",
			.question = "make new metadata",
		},
	},
	[CLONE_REGIONS_IN_DOUBT] = {
		.problem = {
			.id = "clone.regions-in-doubt",
			.klass = COW_CLASS_DAMAGE,
			.summary = "regions are hydrated in another complete tree on the device, and not in that of the superblock",
			.kernel = "shows the source for them, and copies it over the destination",
			.fix = "keep copies of metadata and destination; after a crash, writes that were not flushed may be in them; -o NEW --force=doubtful makes new metadata as the superblock's tree has it",
		},
	},
	[CLONE_ROOT_FREE] = {
		.problem = {
			.id = "clone.root-free",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the root of the bitset's tree is counted as free",
			.kernel = "crashes at the first write to the clone: do not load it",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_WRITE_DIES,
	},
	[CLONE_SOURCE_SHORT] = {
		.problem = {
			.id = "clone.source-short",
			.klass = COW_CLASS_DAMAGE,
			.summary = "the source is shorter than the target",
			.kernel = "refuses to load the clone",
			.fix = "find the right source",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_SUPERBLOCK_CHECKSUM] = {
		.problem = {
			.id = "clone.superblock-checksum",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "the checksum of the superblock is wrong",
			.kernel = "refuses to load the clone",
			.fix = "load no table with it; -o NEW makes new metadata from the trees that are whole, with the numbers of --table",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_SUPERBLOCK_FREE] = {
		.problem = {
			.id = "clone.superblock-free",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE,
			.summary = "the superblock is counted as free",
			.kernel = "overwrites it at its next commit: all of the metadata is lost",
			.fix = "-o NEW makes new metadata with the same regions and right counts",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_COMMIT_FAILS,
	},
	[CLONE_SUPERBLOCK_MAGIC] = {
		.problem = {
			.id = "clone.superblock-magic",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "the superblock does not hold the magic number of dm-clone",
			.kernel = "refuses to load the clone",
			.fix = "load no table with it; -o NEW makes new metadata from the trees that are whole, with the numbers of --table",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_SUPERBLOCK_NUMBER] = {
		.problem = {
			.id = "clone.superblock-number",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "the superblock states another block number than 0",
			.kernel = "refuses to load the clone",
			.fix = "load no table with it; -o NEW makes new metadata from the trees that are whole, with the numbers of --table",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_SUPERBLOCK_UNREADABLE] = {
		.problem = {
			.id = "clone.superblock-unreadable",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "the superblock cannot be read",
			.kernel = "refuses to load the clone",
			.fix = "load no table with it; -o NEW makes new metadata from the trees that are whole, with the numbers of --table",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_SUPERBLOCK_UNUSED] = {
		.problem = {
			.id = "clone.superblock-unused",
			.klass = COW_CLASS_INFO,
			.summary = "unused fields of the superblock are not zero",
			.kernel = "ignores them, and zeroes them at its next commit",
			.fix = "nothing to do",
		},
	},
	[CLONE_SUPERBLOCK_VERSION] = {
		.problem = {
			.id = "clone.superblock-version",
			.klass = COW_CLASS_DAMAGE,
			.summary = "the superblock states an unknown version",
			.kernel = "refuses to load the clone",
			.fix = "keep a copy of the metadata before anything else; load no table with it",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_SUPERBLOCK_ZERO] = {
		.problem = {
			.id = "clone.superblock-zero",
			.klass = COW_CLASS_DAMAGE,
			.flags = COW_PROBLEM_FIXABLE,
			.summary = "the superblock is all zeros, and trees of a clone are on the device",
			.kernel = "formats the device: every hydrated region is forgotten, and the clone shows the source",
			.fix = "load no table with it; -o NEW makes new metadata from the trees that are whole, with the numbers of --table",
			.question = "make new metadata",
		},
		.kernel = CLONE_KERNEL_WIPES,
	},
	[CLONE_TABLE_MISMATCH] = {
		.problem = {
			.id = "clone.table-mismatch",
			.klass = COW_CLASS_DAMAGE,
			.summary = "the table has another region size or length than the superblock",
			.kernel = "refuses to load the clone",
			.fix = "use the table that the clone was made with",
		},
		.kernel = CLONE_KERNEL_REFUSES,
	},
	[CLONE_TREE_CANDIDATE] = {
		.problem = {
			.id = "clone.tree-candidate",
			.klass = COW_CLASS_INFO,
			.summary = "a complete tree of a bitset is on the device",
			.kernel = "does not look for it",
			.fix = "nothing to do",
		},
	},
	[CLONE_TWO_LIVES] = {
		.problem = {
			.id = "clone.two-lives",
			.klass = COW_CLASS_INFO,
			.summary = "trees on the device contradict each other: it was formatted twice, or a table was replaced while in use",
			.kernel = "does not look for it",
			.fix = "the newest tree cannot be told by its bits alone",
		},
	},
};

const struct problem_table cow_clone_problems = {
	.rows = rows,
	.nr = CLONE_NR_PROBLEMS,
	.row_bytes = sizeof(rows[0]),
};

const struct clone_problem_row *cow_clone_problem_row(enum clone_problem problem)
{
	return &rows[problem];
}
