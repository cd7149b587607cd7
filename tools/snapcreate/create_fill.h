/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* create_fill.h - what snapcreate puts into a new store: nothing, the
 * difference to an image or a view, or exports. */
#ifndef TOOLS_CREATE_FILL_H
#define TOOLS_CREATE_FILL_H

#include "tools/snapcreate/import.h"
#include "tools/common/opts.h"
#include "tools/images/operands.h"
#include "tools/common/progress.h"
#include "tools/common/sink.h"
#include "tools/snapcreate/target.h"

struct create {
	struct operands operands; /* the origin, and the layers of --from-view */
	struct progress progress;
	struct target_params params;
	struct target target;
	struct cow_image *image; /* of --from */
	const char *from;	 /* --from; NULL: none */
	bool has_view;		 /* --from-view */
	struct opt_list imports;
	const char *manifest; /* --manifest; NULL: none */
	/* Open before anything foreign is read. */
	struct import_files import_files;
	struct sink manifest_sink;
	/* Filled in. */
	bool is_measured;
	struct cow_diff_size need;
	struct cow_patch_stats stats;
	bool is_doubtful;
};

/* Checks, makes and fills the store; operands are open. */
int create_run(struct create *create, struct cow_err *err);
/* Closes what the two opened. */
void create_close(struct create *create);

#endif
