/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * target.h - the COW image that snapcreate makes: a new file, which gets its
 * name when it is complete; or, in place, an existing file, device or window,
 * whose first block is written last. Either way there is no store or a whole
 * one (or, where a file is replaced, still the old one).
 */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include <stdbool.h>

#include "libcow.h"

struct target_params {
	struct cow_imageset *set;
	const char *role; /* for outputs_open() */
	const char *path;
	struct cow_create_params create; /* origin_bytes is that of the origin */
	uint64_t wanted_bytes;		 /* --size; 0: not given */
	const char *preallocate;	 /* NULL: off */
	/* An existing regular file is replaced, not written in place: what goes
	 * in may fail half-way. */
	bool replaces;
	bool is_dry_run;
};

struct target {
	struct target_params params;
	uint64_t full_bytes; /* what a wholly rewritten origin needs */
	uint64_t size_bytes; /* of the COW image */
	struct cow_output *output;
	bool is_in_place;
	struct json_object *json; /* in place: what --json says of it */
	struct cow_image *lower;  /* in place */
	struct cow_image *withhold;
	struct cow_image *image; /* one of the above; NULL: a dry run */
};

/* Opens what is to be made; writes nothing yet, and reads nothing of it. */
int target_open(struct target *target, const struct target_params *params, struct cow_err *err);
/* The kernel wants whole logical blocks of the origin and of the COW device in a
 * chunk. Errors: -EPERM (id "chunk-size"). */
int target_check_blocks(const struct cow_image *image, uint64_t chunk_bytes, struct cow_err *err);
/* May what is there be overwritten? For after sandbox_enter(). Errors: -EEXIST (ids
 * "signature", "exists"), -EPERM (ids "size", "chunk-size"), -EIO, -ENOMEM. */
int target_check(struct target *target, struct cow_err *err);
/* Makes an empty store on target->image, not visible yet. From here on what an
 * existing image held is lost. */
int target_make(struct target *target, struct cow_err *err);
/* Makes it visible, durably. */
int target_publish(struct target *target, struct cow_err *err);
void target_close(struct target *target);

#endif
