/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump.h - the ways in which snapdump gives out a view, one file each.
 */
#ifndef TOOLS_DUMP_H
#define TOOLS_DUMP_H

#include "tools/formats/manifest_file.h"
#include "tools/images/operands.h"
#include "tools/common/printer.h"
#include "tools/common/progress.h"
#include "tools/tar/tar.h"

/* Views are copied in pieces of this size. */
#define DUMP_PIECE_BYTES (UINT64_C(1) << 20)
/* For aligned_alloc(): the system copies to and from what begins on a page at
 * twice the speed. */
#define DUMP_BUFFER_ALIGN 4096

struct dump {
	struct operands operands;
	struct progress progress;
	const char *output;   /* -o; NULL: stdout */
	const char *compress; /* --compress; NULL: by name */
	int64_t mtime;
	bool ignores_journal, is_reverse; /* --journal=ignore, --reverse */
	bool is_plain;			  /* --sparse=no */
	bool is_dry_run, skips;		  /* --skip-unreadable */
	const char *path;		  /* --path; NULL: all files */
	const char *const *excludes;	  /* --exclude */
	const char *cat;		  /* --cat */
	size_t nr_excludes;
	uint64_t log;	       /* --map=ddrescue:N */
	const char *against;   /* --against; NULL: the origin */
	struct operands other; /* the view that it names; no view: a manifest, or none */
	bool has_same_origin; /* it differs from the other one only where a layer holds something */
	uint64_t partition;   /* --partition; 0: the whole view */
	const char *volume;   /* --volume; NULL: the whole, or the partition */
	struct cow_imageset *part_set; /* the same part of the origin, for --delta; else NULL */
	struct cow_image *part;
	struct cow_callbacks callbacks; /* of the progress */
	/* Filled in, for the last line and the JSON object. */
	uint64_t data_bytes;  /* not holes */
	uint64_t image_bytes; /* --metadata: of the COW image, or of all logs */
	uint64_t nr_ranges;
	uint64_t nr_gone;	/* files, with --only-changed */
	uint64_t file_bytes;	/* of the file that --cat gives out */
	uint64_t nr_damaged;	/* files left out or doubtful: exit status 4 */
	uint64_t skipped_bytes; /* unreadable in the first pass */
};

/* dump_part.c: opens that part of the origin. After a failure, close is to be called
 * too. Errors: -EPERM (id "size") it is no part of the same length; as
 * cow_imageset_open(). */
int dump_part_open(struct dump *dump, const char *origin, struct cow_err *err);
void dump_part_close(struct dump *dump);
/* What the view is compared with: the origin, or that part of it. */
struct cow_image *dump_origin(const struct dump *dump);

/* dump_against.c: opens the view that --against names. like: with what the operands were
 * opened. After a failure there is nothing to close. Errors: -EINVAL; those of
 * operands_open(). */
int dump_against_open(struct dump *dump, const struct operands_params *like, struct cow_err *err);

/* The view as bytes: stream, sparse file, or every byte of a block device. */
int dump_raw(struct dump *dump, struct cow_err *err);
/* A pax tar: view.img, sparse, then manifest.json. */
int dump_tar(struct dump *dump, struct cow_err *err);
/* What changed, as a pax tar: see libcow-delta(5). */
int dump_delta(struct dump *dump, struct cow_err *err);
/* The ranges that some layer holds, as text (or in the JSON object). */
int dump_map(struct dump *dump, struct cow_err *err);
/* Calls call for each of these ranges, ascending. Errors: what it returns. */
typedef int dump_range_fn(void *user, const struct cow_segment *range, struct cow_err *err);
int dump_each_range(const struct operands *operands, dump_range_fn *call, void *user,
		    struct cow_err *err);

/* Text that goes where the map goes: also to a terminal, and with --json on
 * stdout nowhere, because the object has it. */
typedef int dump_text_writer(struct dump *dump, struct printer *text, struct cow_err *err);
int dump_text(struct dump *dump, dump_text_writer *write, struct cow_err *err);
/* The ranges of the COW image, or of one of several logs, that are worth rescuing,
 * as a mapfile. */
int dump_rescue(struct dump *dump, struct cow_err *err);

/* The files of an ext2/3/4 file system in the view, as a pax tar. */
int dump_files(struct dump *dump, struct cow_err *err);
/* Those that differ from the origin's, and lists of what is gone. */
int dump_only_changed(struct dump *dump, struct cow_err *err);

/* What files there are, as lines of text (or in the JSON object). */
int dump_ls(struct dump *dump, struct cow_err *err);
/* Which files differ from those of the origin, likewise. */
int dump_changes(struct dump *dump, struct cow_err *err);
/* One of them as it is: a sparse file or a stream. */
int dump_cat(struct dump *dump, struct cow_err *err);

/* The store of one COW image without its data: see libcow-metadata(5). Opens
 * the operands itself, because the store need not be one that opens. */
struct dump_metadata_params {
	char *const *specs; /* [ORIGIN] COW */
	size_t nr_specs;
	const char *kind; /* NULL: probe */
	uint64_t chunk_bytes;
	const char *table; /* --table, or NULL */
};
int dump_metadata(struct dump *dump, const struct dump_metadata_params *params,
		  struct cow_err *err);

/* dump_archive.c: an archive by the name of compress, or by that of the output, to
 * which write() adds the members; then it gets its name. */
typedef int dump_archive_writer(void *user, struct tar *tar, struct cow_err *err);
struct sink;
int dump_archive(struct dump *dump, struct sink *sink, const char *compress,
		 dump_archive_writer *write, void *user, struct cow_err *err);

/* What an image holds besides zeros. Memory: 24 bytes for each megabyte, and
 * 16 for each extent. */
struct dump_contents {
	struct cow_segment *extents;
	size_t nr_extents, extents_room;
	struct manifest manifest;
};
void dump_contents_clear(struct dump_contents *contents);
int dump_contents_scan(struct dump *dump, struct cow_image *image, struct dump_contents *contents,
		       struct cow_err *err);
/* Writes it as a sparse member. */
int dump_contents_put(struct dump *dump, struct tar *tar, const char *name, struct cow_image *image,
		      const struct dump_contents *contents, struct cow_err *err);
/* Called between the two passes over the view and after the second one: refuses an image in
 * which more has become unreadable. Errors: -EIO. */
void dump_first_pass(struct dump *dump);
int dump_second_pass(const struct dump *dump, struct cow_err *err);
/* May the export differ from the snapshot? */
bool dump_is_doubtful(const struct dump *dump);

/* dump_say.c: after the job, one for each kind of result. */
void dump_say_view(const struct dump *dump);
void dump_say_delta(const struct dump *dump);
void dump_say_cat(const struct dump *dump);
void dump_say_files(const struct dump *dump);
void dump_say_only_changed(const struct dump *dump);
/* For text output: prints only doubts. */
void dump_say_changes(const struct dump *dump);
void dump_say_text(const struct dump *dump);
void dump_say_metadata(const struct dump *dump);

/* Tells how far it is; -ECANCELED after SIGINT. */
int dump_step(struct dump *dump, const char *phase, uint64_t done_bytes, uint64_t total_bytes,
	      struct cow_err *err);

#endif
