/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check.h - the state of one run of snapcheck, and the functions that report it.
 */
#ifndef TOOLS_CHECK_H
#define TOOLS_CHECK_H

#include <stdio.h>

#include "libcow.h"
#include "tools/images/bad.h"
#include "tools/images/roles.h"
#include "tools/common/json.h"
#include "tools/formats/manifest_file.h"
#include "tools/common/progress.h"
#include "tools/snapcheck/check_found.h"
#include "tools/snapcheck/check_fs.h"
#include "tools/snapcheck/check_lost.h"
#include "tools/snapcheck/check_options.h"

struct check {
	const struct check_options *options;
	struct cow_imageset *set;
	struct cow_image *origin; /* NULL: not given */
	struct roles roles;	  /* of a store of several images; cow is its metadata */
	const char *container;	  /* format of the origin: a container, which is not used */
	bool is_short;	 /* the origin is short, but was so before the snapshot was taken */
	bool is_foreign; /* the origin is one of another snapshot */
	struct check_fs below_fs, view_fs;
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
	FILE *text;		 /* lines of the report between verdict and findings */
	char *notes;		 /* what was printed to it, */
	size_t notes_len;	 /* after a flush */
	size_t notes_shown;	 /* of it, in the overview before the first question */
	bool has_overview;
	struct check_found found, left; /* before and after a repair */
	struct json_object *findings;
	struct cow_repair_result repaired;
	struct check_lost lost, doubtful, regained;
	const char *judged; /* the name of what was repaired, or made; NULL: of the image */
	bool only_looks, has_repaired;
	bool has_repair;   /* a repair was run: what is found is what is left */
	bool is_rehearsal; /* in memory alone (-n) */
	bool is_verbose;
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
/* The name of what is checked, for messages. */
const char *check_name(const struct check *check);
bool check_has_damage(const struct check *check);
/* Only the header was checked (--header-only), and it is sound. */
bool check_is_unknown(const struct check *check);
/* One word for a monitor: libcow-json(5); NULL: not checked. */
const char *check_state(const struct check *check);
/* check_words.c: what the report consists of. false: no memory. */
bool check_report_open(struct check *check, bool is_verbose, uint64_t max_findings);
void check_report_close(struct check *check);
/* The report on stdout, if JSON is not there; of one that is quiet, a
 * line with the verdict if not all is well. */
void check_show(const struct check *check, bool is_quiet, bool is_well);
/* The same, before the first question. */
void check_show_overview(struct check *check);
/* What the repair did to where. */
void check_print_repair(struct check *check, const char *where, bool revalidates);

/* check_json.c. Callback of a check: one finding. */
void check_on_finding(void *user, const struct cow_finding *finding);
/* The images that were opened. */
void check_put_images(const struct check *check);
void check_put_verdict(const struct check *check);
void check_put_repair(const struct check *check, const char *where);

/* check_pack.c. Weak: not in every snapcheck. Opens what may be a metadata pack;
 * reads it, if it is one, into images that take the place of cow and, where none
 * was given, of origin. writes: refuse it. */
__attribute__((weak)) bool check_pack_open(struct check *check, const char *path);
__attribute__((weak)) int check_unpack(struct check *check, const char *path, bool writes,
				       struct cow_err *err);

/* check_next.c: what the next step depends on, besides what was found. */
struct check_next {
	const char *output;   /* -o */
	const char *bad_map;  /* the first --bad-blocks */
	const char *type;     /* -t; NULL: not given */
	uint64_t chunk_bytes; /* --chunk-size; 0: not given */
	const char *table;    /* --table, where it is not all that was named */
	bool header_only;
	bool has_bad_options; /* the image itself is left alone then */
	bool repairs;
	bool is_dry_run;
};

/* Would a repair do anything about what was found? */
bool check_is_repairable(const struct check *check);
/* Of what has no header: is there a list where some chunk size would put it? */
void check_next_kind(struct cow_store_args args, const struct cow_image *origin,
		     const struct cow_image *cow);
/* check_roles.c: of a store of several images. */
void check_roles_next(const struct check *check, const struct check_next *next, bool is_damaged);
/* Names the next safe step (cli_next()); nothing that writes to what was checked. */
void check_next_choose(const struct check *check, const struct check_next *next, bool is_damaged);

#endif
