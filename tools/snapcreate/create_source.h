/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_source.h - the image that a new device of a pool is to show, and what the
 * device would show without it.
 */
#ifndef TOOLS_CREATE_SOURCE_H
#define TOOLS_CREATE_SOURCE_H

#include "tools/common/progress.h"
#include "tools/images/roles.h"

struct create_source {
	struct cow_image *image; /* NULL: none was asked for */
	struct cow_store *parent;
	struct cow_image *view; /* of the parent; NULL: an empty device */
	struct cow_patch_stats stats;
	struct progress progress;
};

/* Opens IMAGE, before the sandbox. size_bytes: of the device; 0: that of IMAGE. Errors:
 * those of the image; -EPERM the sizes differ (id "size"). */
int create_source_open(struct create_source *source, struct cow_imageset *set, const char *from,
		       uint64_t size_bytes, struct cow_err *err);
/* Makes the device; parent may be COW_SNAPSHOT_NONE. args and params as for
 * cow_snapshot_fill(); below is the external origin, or NULL. */
int create_source_fill(struct create_source *source, const struct cow_store_args *args,
		       const struct cow_snapshot_params *params, struct cow_image *below,
		       uint64_t *ret_id, struct cow_err *err);
/* What became of it, or would: the lines for a person, for a script with -n, the JSON. */
void create_source_say(const struct create_source *source, const char *pool, uint64_t id,
		       uint64_t parent, bool is_dry_run);
void create_source_close(struct create_source *source);

#endif
