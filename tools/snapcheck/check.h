/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* check.h - one run of snapcheck, and how it is told. */
#ifndef TOOLS_CHECK_H
#define TOOLS_CHECK_H

#include <stdio.h>

#include "libcow.h"
#include "tools/images/bad.h"
#include "tools/images/roles.h"
#include "tools/common/json.h"
#include "tools/formats/manifest_file.h"
#include "tools/common/progress.h"
#include "tools/snapcheck/check_lost.h"

struct check {
	struct cow_imageset *set;
	struct cow_image *origin;     /* NULL: not given */
	struct roles roles;	      /* of a store of several images; cow is its metadata */
	const char *container;	      /* the format of the origin, which therefore is none */
	bool is_short;		      /* the origin was cut, but before the snapshot */
	bool is_foreign;	      /* the origin is one of another snapshot */
	struct cow_image *cow;	      /* what is looked at: through these, if there are any */
	struct cow_image *file, *map; /* without skipping, and without --bad-blocks */
	struct cow_report *report;
	struct cow_verdict verdict;
	struct cow_snapshot *snapshots; /* of a pool */
	size_t nr_snapshots, snapshots_capacity;
	struct progress progress;
	struct cow_callbacks callbacks; /* of the progress, alone */
	struct manifest *verify;	/* what the view must be; NULL: not asked for */
	int verify_fd;
	const char *verify_path; /* --verify */
	FILE *text;		 /* the report, printed as a whole */
	struct json_object *findings;
	struct cow_repair_result repaired;
	struct check_lost lost, doubtful;
	const char *made; /* new metadata, that were looked at last; NULL: none */
	bool only_looks, has_repaired;
	bool has_grown;	  /* by the metadata area that ends the list */
	bool may_be_pack; /* pack_fd is open; cow may be NULL, and cow_error says why */
	struct cow_err cow_error;
	int pack_fd;
	uint64_t pack_max_bytes;
	bool is_pack; /* cow stands in for an image that is elsewhere */
};

/* check_bad.c: puts the map and the skipping above cow. callbacks outlive it. */
int check_bad_open(struct check *check, const struct bad_options *options,
		   const struct cow_callbacks *callbacks, struct cow_err *err);
void check_bad_close(struct check *check);

/* What is asked of a store of several images. */
struct check_roles_wish {
	bool is_wrong; /* an option was given that has no meaning for it */
	bool repairs, has_output, is_dry_run, asks;
};

/* check_roles.c: opens the images. Errors: -EINVAL, -EPERM (id "swapped"), those of
 * opening. */
int check_roles_open(struct check *check, const struct check_roles_wish *wish, struct cow_err *err);
/* Callback of a check: one finding, in words and as JSON. */
void check_on_finding(void *user, const struct cow_finding *finding);
/* What it is called that is looked at. */
const char *check_name(const struct check *check);
/* The verdict in words, and as JSON. */
void check_print_summary(const struct check *check);
void check_put_verdict(const struct check *check);
/* What a repair of where has done, in words and as JSON. */
void check_put_repair(const struct check *check, const char *where, bool is_dry_run,
		      bool revalidates);

/* check_pack.c. Weak: not in every snapcheck. Opens what may be a metadata pack;
 * reads it, if it is one, into images that take the place of cow and, where none
 * was given, of origin. writes: refuse it. */
__attribute__((weak)) bool check_pack_open(struct check *check, const char *path);
__attribute__((weak)) int check_unpack(struct check *check, const char *path, bool writes,
				       struct cow_err *err);

/* check_next.c: what the next step depends on, besides what was found. */
struct check_next {
	const char *output;  /* -o */
	const char *bad_map; /* the first --bad-blocks */
	const char *table;   /* --table, where it is not all that was named */
	bool header_only;
	bool has_bad_options; /* the image itself is left alone then */
	bool repairs;
	bool is_dry_run;
};

/* check_roles.c: of a store of several images. */
void check_roles_next(const struct check *check, const struct check_next *next, bool is_damaged);
/* Names the next safe step (cli_next()); nothing that writes to what was checked. */
void check_next_choose(const struct check *check, const struct check_next *next, bool is_damaged);

#endif
