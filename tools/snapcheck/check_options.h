/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* check_options.h - what the command line of snapcheck asks for, and what follows from it. */
#ifndef TOOLS_CHECK_OPTIONS_H
#define TOOLS_CHECK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/common/cli.h"
#include "tools/images/bad.h"

struct check_options {
	struct cli_common common;
	const char *origin;
	uint64_t chunk_bytes, max_findings;
	bool header_only, is_empty, is_list, preen, revalidate;
	const char *output, *save_undo, *verify, *table, *gap;
	struct bad_options bad;
};

bool check_has_bad_options(const struct check_options *options);
/* Is each repair asked about, on a terminal? */
bool check_is_asking(const struct check_options *options);
bool check_wants_repair(const struct check_options *options);

#endif
