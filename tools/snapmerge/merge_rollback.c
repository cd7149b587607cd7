/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_rollback.c - a snapshot whose old blocks lie on logs: the source is rolled
 * back to it. No label of a job under way can stand on the logs, so nothing that
 * needs one can be asked, and a rerun must be told the same again.
 */
#include <errno.h>

#include "tools/snapmerge/snapmerge.h"

bool merge_rolls_back(const struct merge_job *job)
{
	return roles_have_logs(&job->operands.roles);
}

int merge_rollback_options(const struct merge_options *options, struct cow_err *err)
{
	const char *name = options->save_undo	? "--save-undo"
			   : options->take_back ? "--take-back"
			   : options->discard	? "--discard"
			   : options->scrub	? "--scrub"
			   : options->bad.skips ? "--skip-unreadable"
						: NULL;

	return name ? cli_refuse(err, -EINVAL, "usage", NULL,
				 "%s: not with logs; the source is rolled back, or what the "
				 "snapshot shows is written to -o NEW",
				 name)
		    : 0;
}

void merge_rollback_say_plan(const struct merge_job *job)
{
	cli_note("the logs cannot record that a job is under way: if it is cut off, give the same "
		 "command again%s",
		 job->kept.nr_stores ? ", with the same --sibling" : "");
}
