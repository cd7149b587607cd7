/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * roles.h - a store that consists of several images, as the command line names
 * it: clone:metadata=M,source=S,destination=D, snaplog:source=S,log=L,..., or a line
 * of `dmsetup table`.
 */
#ifndef TOOLS_ROLES_H
#define TOOLS_ROLES_H

#include <stdbool.h>

#include "libcow.h"

/* The row of --table. */
#define OPT_TABLE(line)                                                                            \
	{                                                                                          \
		0, "table", "LINE",                                                                \
			"a line of \"dmsetup table\": the images of a clone, and its numbers",     \
			OPT_TEXT, line, NULL                                                       \
	}

struct roles {
	struct cow_store_spec *spec;   /* of the images; NULL: it is an image like others */
	struct cow_store_spec *table;  /* of the numbers; NULL: no --table */
	struct cow_role_image *images; /* what a job is given */
	struct cow_image **opened;
	struct cow_image **overlays; /* of each, or NULL */
	size_t nr_images;
	bool writes_source; /* opened with the flags of the others */
	int is_made;	    /* the role of what is not there yet, and not opened; 0: none */
	char *name;	    /* of all of it: the operand, or "--table=LINE" */
};

/* Reads an operand (NULL: there is none), a line (NULL: not given) and --type; opens
 * nothing. A line goes with a store of its kind, or alone. Errors: -EINVAL, and those
 * of cow_store_spec_parse(). */
int roles_read(struct roles *roles, struct cow_imageset *set, const char *operand, const char *line,
	       const char *type, struct cow_err *err);
/* Opens the images. flags are those of what a job may write to; the source and an
 * external origin are only read. After a failure none is open. */
int roles_open(struct roles *roles, struct cow_imageset *set, uint32_t flags, struct cow_err *err);
/* Refuses metadata in another role. Errors: -EPERM (id "swapped"). */
int roles_check_order(const struct roles *roles, struct cow_err *err);
void roles_close(struct roles *roles);

/* Is it a store of several images? */
bool roles_are_given(const struct roles *roles);
/* The specification of a role, or NULL. */
const char *roles_spec(const struct roles *roles, int role);
/* Its kind, or NULL. */
const char *roles_kind(const struct roles *roles);
/* NULL: not open. */
struct cow_image *roles_image(const struct roles *roles, int role);
/* Log number n; NULL: there is none. */
struct cow_image *roles_log(const struct roles *roles, uint64_t n);
/* What lies below the view: the source, or the external origin; NULL: nothing. */
struct cow_image *roles_below(const struct roles *roles);
/* The image that a check looks at first: the metadata, or the first log. */
struct cow_image *roles_main(const struct roles *roles);
/* Does it consist of logs? They are repaired in place, all of them together. */
bool roles_have_logs(const struct roles *roles);
/* What it is called: by its metadata, or by all of its images. */
const char *roles_name(const struct roles *roles);
/* Puts memory above the logs: what is written to them is forgotten. */
int roles_overlay(struct roles *roles, struct cow_err *err);
/* A specification of the same source and logs, with another geometry. The caller's,
 * free(); NULL: no memory. */
char *roles_text(const struct roles *roles, const char *geometry);
/* A specification of the same images and device, with other metadata. As above. */
char *roles_text_metadata(const struct roles *roles, const char *metadata);
/* Lets another image stand in for that of a role; it stays the caller's. */
void roles_put(struct roles *roles, int role, struct cow_image *image);
/* Kind, images and geometry. */
void roles_fill(const struct roles *roles, struct cow_store_args *args);

#endif
