/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * thin_problems.c - the findings about a pool: one row for each, sorted by id. An id
 * never changes its meaning; the manual page lists them. What the kernel does was seen
 * on Linux 6.1.
 */
#include "libcow/store/thin/thin_problems.h"

#include "libcow/store/store.h"

/* What to do, where several findings ask for the same. */
/* ... and what a repair does. */
#define COUNTS "both space maps are made anew from the trees; the devices stay as they are"
#define REST                                                                                       \
	"each device keeps what can be read of it, also below a lost node; what cannot be is "     \
	"listed, and shows zeros or the external origin"
#define TREES                                                                                      \
	"the trees of the last commit are looked for; --chunk-size or --table says the block size"
#define NOTHING "nothing to do"

/* What may be mended: all of it, and by -p, what costs nothing. */
#define NO 0
#define FIX COW_PROBLEM_FIXABLE
#define SAFE (COW_PROBLEM_FIXABLE | COW_PROBLEM_SAFE)

/* NOLINTBEGIN(bugprone-macro-parentheses): strings, joined and put into members */
#define ROW(id_, klass_, flags_, summary_, kernel_words, fix_, kernel_)                            \
	{                                                                                          \
		.problem = { .id = "thin." id_,                                                    \
			     .klass = COW_CLASS_##klass_,                                          \
			     .flags = flags_,                                                      \
			     .summary = summary_,                                                  \
			     .kernel = kernel_words,                                               \
			     .fix = fix_,                                                          \
			     .question = (flags_) != NO ? "make new metadata" : NULL },            \
		.kernel = THIN_KERNEL_##kernel_,                                                   \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct thin_problem_row rows[THIN_NR_PROBLEMS] = {
	[THIN_BLOCK_COUNTED_HIGH] = ROW("block-counted-high", DAMAGE, SAFE,
					"a metadata block is counted more often than it is used",
					"loses the block when it is replaced", COUNTS, WORKS),
	[THIN_BLOCK_COUNTED_LOW] = ROW(
		"block-counted-low", DAMAGE, SAFE,
		"a metadata block is used more often than it is counted",
		"frees it while it is in use, and writes something else there", COUNTS, MISREADS),
	[THIN_BLOCK_FREE] = ROW(
		"block-free", DAMAGE, SAFE, "a metadata block in use is counted as free",
		"fails at a write and stops writing, or overwrites the block", COUNTS, WRITES_FAIL),
	[THIN_BLOCK_LEAKED] =
		ROW("block-leaked", NOTE, SAFE,
		    "metadata blocks are counted as used and nothing uses them",
		    "does not notice; they stay unusable", "they are free in new metadata", WORKS),
	[THIN_COUNT_ENTRY] = ROW("count-entry", DAMAGE, SAFE,
				 "a tree of reference counts contradicts its bitmaps",
				 "believes the bitmaps", COUNTS, CORRUPTS),
	[THIN_COUNT_WITHOUT_ENTRY] =
		ROW("count-without-entry", DAMAGE, SAFE,
		    "a block is counted as 3 or more, and the tree of counts does not list it",
		    "fails or crashes when it changes the count", COUNTS, WRITES_FAIL),
	[THIN_DATA_COUNTED_HIGH] = ROW("data-counted-high", NOTE, SAFE,
				       "a data block is counted more often than it is mapped",
				       "does not notice; the block is never freed", COUNTS, WORKS),
	[THIN_DATA_COUNTED_LOW] = ROW(
		"data-counted-low", DAMAGE, FIX,
		"a data block belongs to more mappings than are counted: two devices own one block",
		"shows the bytes of one device in the other; frees the block while it is in use",
		"the counts are made anew, and a write copies the block first; owners that may "
		"show foreign bytes are listed",
		CORRUPTS),
	[THIN_DATA_FREE] =
		ROW("data-free", DAMAGE, FIX, "a data block that a device maps is counted as free",
		    "gives it to the next write of any device, which overwrites it",
		    "the block is counted; where it may be the wrong one its owners are listed",
		    MISREADS),
	[THIN_DATA_LEAKED] =
		ROW("data-leaked", NOTE, SAFE,
		    "data blocks are counted as used and no device maps them",
		    "leaves such blocks behind itself after a power cut; they stay unusable",
		    "they are free in new metadata", WORKS),
	[THIN_DATA_SHORT] =
		ROW("data-short", DAMAGE, NO, "the data device is shorter than the pool",
		    "refuses to load the pool",
		    "find the right data device; nothing is written to this one", REFUSES),
	[THIN_DETAILS] = ROW("details", DAMAGE, FIX,
			     "a node of the tree of details is damaged or cannot be read",
			     "cannot open the devices whose details it holds",
			     "details that are lost are made up, so that every write copies first",
			     MISREADS),
	[THIN_DETAILS_TIME] = ROW("details-time", NOTE, NO,
				  "the details of a device name a time that is still to come",
				  "copies blocks that it would not have to copy",
				  "the times stay as they are: they do no harm", WORKS),
	[THIN_DEVICE_ID] = ROW(
		"device-id", DAMAGE, FIX, "a device has an id of more than 24 bits",
		"cannot open it",
		"it gets an id of 24 bits, the low ones of this one where they are free", MISREADS),
	[THIN_DEVICE_MISSING] =
		ROW("device-missing", DAMAGE, NO, "the pool has no device of the wanted id",
		    "cannot open it", "snapcheck lists the devices that there are", WORKS),
	[THIN_DEVICE_UNLISTED] =
		ROW("device-unlisted", NOTE, NO, "the pool has a device that LVM does not know",
		    "keeps its blocks; LVM may give its id, and its data, to a new volume",
		    "snapdump shows what it holds", WORKS),
	[THIN_DEVICE_WITHOUT_DETAILS] =
		ROW("device-without-details", DAMAGE, FIX, "a device has mappings and no details",
		    "cannot open it", "details are made up, so that every write to it copies first",
		    MISREADS),
	[THIN_DEVICE_WITHOUT_MAPPINGS] =
		ROW("device-without-mappings", DAMAGE, FIX, "a device has details and no mappings",
		    "shows zeros without an error, and lets them be written to",
		    "it stays, and maps nothing", MISREADS),
	[THIN_HELD] = ROW("held", INFO, NO, "the pool holds a metadata snapshot",
			  "keeps its trees as they were",
			  "dmsetup message POOL 0 release_metadata_snap", WORKS),
	[THIN_HELD_ROOT] = ROW("held-root", DAMAGE, SAFE, "the metadata snapshot cannot be read",
			       "does not look at it before it is released",
			       "new metadata hold no metadata snapshot", WORKS),
	[THIN_HELD_UNCOUNTED] = ROW(
		"held-uncounted", DAMAGE, SAFE,
		"the trees of the metadata snapshot are not counted, as after a power cut while it "
		"was taken or released",
		"frees them while the snapshot names them",
		"new metadata hold no metadata snapshot, and are counted anew", WORKS),
	[THIN_MAP_BITMAP] = ROW(
		"map-bitmap", DAMAGE, SAFE, "a bitmap of a space map is damaged or cannot be read",
		"loads the pool; the first write fails, and it stops writing", COUNTS, WRITES_FAIL),
	[THIN_MAP_COUNTS] =
		ROW("map-counts", DAMAGE, SAFE,
		    "a node of a tree of reference counts is damaged or cannot be read",
		    "loads the pool; fails when it changes such a count", COUNTS, WRITES_FAIL),
	[THIN_MAP_FIRST_FREE] =
		ROW("map-first-free", DAMAGE, SAFE,
		    "the index of a space map says that no block is free where one is",
		    "finds no free block although there are some", COUNTS, WRITES_FAIL),
	[THIN_MAP_HIDDEN] =
		ROW("map-hidden", INFO, NO,
		    "the index of a space map leaves out one free block, as thin_repair writes it",
		    "finds the other free blocks", NOTHING, WORKS),
	[THIN_MAP_INDEX] = ROW(
		"map-index", DAMAGE, SAFE, "the index of a space map is damaged or cannot be read",
		"refuses to load the pool, or fails at the first write", COUNTS, WRITES_FAIL),
	[THIN_MAP_INDEX_REFUSED] =
		ROW("map-index-refused", DAMAGE, SAFE,
		    "the index block of the metadata space map is damaged or cannot be read",
		    "refuses to load the pool", COUNTS, REFUSES),
	[THIN_MAP_NR_ALLOCATED] = ROW("map-nr-allocated", NOTE, SAFE,
				      "a space map states a wrong number of blocks in use",
				      "shows it in its status line", COUNTS, WORKS),
	[THIN_MAP_NR_FREE] = ROW("map-nr-free", DAMAGE, SAFE,
				 "the index of a space map states a wrong number of free blocks",
				 "finds no free block although there are some, or looks in vain",
				 COUNTS, WRITES_FAIL),
	[THIN_MAP_SIZE] = ROW("map-size", INFO, NO, "the pool uses less of a device than there is",
			      "grows the pool when it loads it", NOTHING, WORKS),
	[THIN_MAPPED_BLOCKS] =
		ROW("mapped-blocks", NOTE, SAFE,
		    "the details of a device state a wrong number of mappings",
		    "shows it in its status line", "the mappings are counted anew", WORKS),
	[THIN_MAPPING_BEYOND] = ROW("mapping-beyond", DAMAGE, FIX,
				    "a device maps a block behind the end of the pool",
				    "fails to read and to write that block", REST, MISREADS),
	[THIN_MAPPING_LOST] =
		ROW("mapping-lost", DAMAGE, FIX,
		    "a device has other mappings than its details count, and data blocks are "
		    "counted that nothing maps",
		    "shows zeros, or the bytes of another device, without an error",
		    "the device keeps what it has; nothing tells which of its blocks are gone",
		    MISREADS),
	[THIN_MESSAGE_PENDING] = ROW("message-pending", INFO, NO,
				     "LVM has done a step that the pool does not know of yet",
				     "gets a message when LVM activates the pool", NOTHING, WORKS),
	[THIN_METADATA_FULL] =
		ROW("metadata-full", NOTE, NO,
		    "the metadata have no room beyond the reserve of the kernel",
		    "comes up read-only, or stops writing soon",
		    "make the metadata device larger before the pool is used", WRITES_FAIL),
	[THIN_METADATA_SHORT] =
		ROW("metadata-short", DAMAGE, NO,
		    "the metadata device is shorter than the pool says", "refuses to load the pool",
		    "find the right metadata device; nothing is written to this one", REFUSES),
	[THIN_NEEDS_CHECK] = ROW(
		"needs-check", NOTE, SAFE, "the pool is marked as one that needs a check",
		"comes up read-only: a write that needs a new block fails with EIO, and no "
		"snapshot "
		"is taken, until the mark is cleared",
		"new metadata do not have the mark: everything in them was checked", WRITES_FAIL),
	[THIN_NODE] = ROW("node", DAMAGE, FIX,
			  "a node of a tree of mappings is damaged or cannot be read",
			  "fails to read what lies below it", REST, MISREADS),
	[THIN_NODE_HEADER] =
		ROW("node-header", DAMAGE, FIX,
		    "a node of a tree of mappings states sizes that such a node does not have",
		    "reads wrong blocks without an error, or fails", REST, MISREADS),
	[THIN_NODE_KEYS] = ROW("node-keys", DAMAGE, FIX,
			       "keys in a tree of mappings are out of order or out of place",
			       "shows wrong bytes without an error", REST, MISREADS),
	[THIN_NODE_LOOP] =
		ROW("node-loop", DAMAGE, FIX,
		    "a node of a tree of mappings is at the wrong height, below itself or in two "
		    "places",
		    "shows wrong bytes, or loops for ever: do not read the device through a kernel",
		    REST, MISREADS),
	[THIN_SNAPSHOT_TIME_LOW] =
		ROW("snapshot-time-low", DAMAGE, FIX,
		    "a block is shared, and the times say that it belongs to one device alone",
		    "writes into it in place: the other devices change without an error",
		    "the last snapshot of these devices is raised above the block: a write copies "
		    "it first",
		    MISREADS),
	[THIN_SUPERBLOCK_BLOCK_SIZE] = ROW(
		"superblock-block-size", DAMAGE, FIX,
		"the superblock states a block size that no pool has", "refuses to load the pool",
		"the superblock is written anew, with the size that --chunk-size or --table says",
		REFUSES),
	[THIN_SUPERBLOCK_CHECKSUM] =
		ROW("superblock-checksum", DAMAGE, FIX, "the superblock has a wrong checksum",
		    "refuses to load the pool", TREES, REFUSES),
	[THIN_SUPERBLOCK_FEATURES] =
		ROW("superblock-features", DAMAGE, NO,
		    "the superblock asks for features that are not known",
		    "refuses to load the pool", "use a kernel that knows them", REFUSES),
	[THIN_SUPERBLOCK_MAGIC] =
		ROW("superblock-magic", DAMAGE, FIX, "the superblock has a wrong magic number",
		    "refuses to load the pool", "the superblock is written anew", REFUSES),
	[THIN_SUPERBLOCK_NUMBER] =
		ROW("superblock-number", DAMAGE, FIX,
		    "the superblock states another block number than 0", "refuses to load the pool",
		    "the superblock is written anew", REFUSES),
	[THIN_SUPERBLOCK_READ_ONLY] =
		ROW("superblock-read-only", DAMAGE, NO,
		    "the superblock asks for features without which a pool is only read",
		    "refuses to load the pool, unless the metadata device is read-only",
		    "use a kernel that knows them", REFUSES),
	[THIN_SUPERBLOCK_UNREADABLE] =
		ROW("superblock-unreadable", LOST, FIX, "the superblock cannot be read",
		    "refuses to load the pool", TREES, REFUSES),
	[THIN_SUPERBLOCK_UNUSED] =
		ROW("superblock-unused", INFO, NO,
		    "the superblock states a version, flags or sizes that have no effect",
		    "does not look at them", NOTHING, WORKS),
	[THIN_SUPERBLOCK_ZERO] =
		ROW("superblock-zero", LOST, FIX, "the superblock is all zeros",
		    "formats the device: every device of the pool is lost", TREES, WIPES),
	[THIN_TABLE_MISMATCH] = ROW("table-mismatch", DAMAGE, NO,
				    "the table has another block size than the superblock",
				    "refuses to load the pool",
				    "use the table that the pool was made with", REFUSES),
	[THIN_TIME_FUTURE] = ROW(
		"time-future", DAMAGE, FIX,
		"a mapping is younger than the pool: the next snapshot would not protect it",
		"would write into the block in place after a snapshot was taken, and change "
		"the snapshot",
		"the mapping, or the pool where all devices say so, gets the right time", WORKS),
	[THIN_TOP_NODE] = ROW(
		"top-node", DAMAGE, FIX,
		"a node of the tree of devices is damaged or cannot be read",
		"fails to read every device that it leads to",
		"the trees of the devices are looked for; a device whose tree is not found stays, "
		"and maps nothing; what is gone is listed",
		MISREADS),
	[THIN_TRANSACTION] =
		ROW("transaction", DAMAGE, NO, "the pool has another transaction id than LVM",
		    "loads the pool; LVM refuses to activate it",
		    "vgcfgrestore of the metadata that belong to the pool; nothing is written here",
		    WORKS),
	[THIN_TREE_CANDIDATE] = ROW("tree-candidate", INFO, NO,
				    "nodes of trees are on a device whose superblock is lost",
				    "does not look for them",
				    "keep a copy of the metadata before anything else", WORKS),
};

const struct problem_table cow_thin_problems = {
	.rows = rows,
	.nr = THIN_NR_PROBLEMS,
	.row_bytes = sizeof(rows[0]),
};

const struct thin_problem_row *cow_thin_problem_row(enum thin_problem problem)
{
	return &rows[problem];
}

int cow_thin_problem_writes(enum thin_problem problem)
{
	switch (problem) {
	case THIN_NEEDS_CHECK:
	case THIN_METADATA_FULL:
		return COW_KERNEL_WRITES_READ_ONLY;
	case THIN_BLOCK_COUNTED_LOW:
	case THIN_DATA_FREE:
	case THIN_HELD_UNCOUNTED:
	case THIN_SNAPSHOT_TIME_LOW:
		return COW_KERNEL_WRITES_HARM;
	default:
		break;
	}
	if (rows[problem].kernel == THIN_KERNEL_CORRUPTS)
		return COW_KERNEL_WRITES_HARM;
	return rows[problem].kernel == THIN_KERNEL_WRITES_FAIL ? COW_KERNEL_WRITES_FAIL
							       : COW_KERNEL_WRITES_WORK;
}
