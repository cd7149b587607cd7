/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * import.h - fills a new store from what snapdump --tar and --delta wrote, one
 * after the other, from streams. After each the view is digested (what a delta
 * did not touch: once) and must be what the export's manifest says.
 */
#ifndef TOOLS_IMPORT_H
#define TOOLS_IMPORT_H

#include "tools/formats/manifest_file.h"
#include "tools/tar/tar_read.h"

struct import {
	struct cow_image *origin;
	struct cow_store *store; /* new, empty; NULL: a dry run */
	uint64_t chunk_bytes;
	const struct cow_callbacks *callbacks;
	/* Filled in. */
	struct manifest now; /* of the view, after what was imported */
	bool has_now;
	bool is_doubtful;    /* one of the exports says so of itself */
	uint64_t nr_chunks;  /* a dry run: that are needed at most */
	uint64_t data_bytes; /* that were taken from the exports */
};

/* The files that are to be imported (or "-"), open. */
struct import_files {
	const char *const *paths;
	int *fds;
	size_t nr_files; /* open */
};

/* Opens them without a look into them; close is to be called in any case.
 * Errors: as open(2), -ENOMEM. */
int import_files_open(struct import_files *files, const char *const *paths, size_t nr_paths,
		      struct cow_err *err);
void import_files_close(struct import_files *files);

/* Imports the files (or "-"), in order. Errors: -EMEDIUMTYPE not an export (id
 * "not-an-export"); -EPERM wrong size (id "size"), wrong origin ("parent"), a
 * gap in the chain ("gap"); -EIO damaged or cut (id "tar", "digest"); -EBADMSG;
 * and those of cow_patch_write(). */
int import_run(struct import *import, struct import_files *files, struct cow_err *err);
/* One of them, from a tar that is open; before: the name of the one before it,
 * or NULL. */
int import_stream(struct import *import, struct tar_reader *tar, const char *before,
		  struct cow_err *err);
void import_clear(struct import *import);

#endif
