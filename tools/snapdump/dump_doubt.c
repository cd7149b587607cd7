/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_doubt.c - exports of a damaged store: says so before the first byte,
 * and in the exit status.
 */
#include <errno.h>
#include <inttypes.h>

#include "tools/images/bad.h"
#include "tools/common/cli.h"
#include "tools/snapdump/dump.h"

bool dump_is_doubtful(const struct dump *dump)
{
	return dump->operands.is_doubtful || dump->other.is_doubtful ||
	       bad_skipped_bytes(&dump->operands);
}

void dump_first_pass(struct dump *dump)
{
	dump->skipped_bytes = bad_skipped_bytes(&dump->operands);
}

int dump_second_pass(const struct dump *dump, struct cow_err *err)
{
	uint64_t now = bad_skipped_bytes(&dump->operands);

	if (now == dump->skipped_bytes)
		return 0;
	return cli_refuse(err, -EIO, "dying", NULL,
			  "%" PRIu64 " bytes have become unreadable during this run: copy the "
			  "image with ddrescue and work on the copy",
			  now - dump->skipped_bytes);
}
