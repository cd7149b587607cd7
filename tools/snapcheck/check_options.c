/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_options.c - what follows from the options of snapcheck taken together.
 */
#include "tools/snapcheck/check_options.h"

#include "tools/common/ask.h"

bool check_has_bad_options(const struct check_options *options)
{
	return options->bad.skips || options->bad.maps.nr_words;
}

bool check_is_asking(const struct check_options *options)
{
	return !options->common.yes && !options->preen && !options->common.dry_run &&
	       !options->is_empty && !options->output && !check_has_bad_options(options) &&
	       ask_is_possible();
}

bool check_wants_repair(const struct check_options *options)
{
	return options->common.yes || options->preen || options->output || check_is_asking(options);
}
