/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * exit_bits.c - what each bit of the exit status means.
 */
#include "tools/common/exit_bits.h"

#include <stddef.h>

const struct exit_bits_row *exit_bits_table(void)
{
	static const struct exit_bits_row rows[] = {
		{ CLI_DONE, "done; nothing wrong (also: nothing to do)" },
		{ CLI_REPAIRED, "damage was repaired (alone: all of it, nothing lost)" },
		{ CLI_DAMAGE,
		  "damage is left, or data is lost, or what was given out or judged may be "
		  "doubtful, or the answer of --is-empty or --verify is no" },
		{ CLI_FAILED, "tried and failed: I/O error, no space, no memory" },
		{ CLI_USAGE, "wrong call" },
		{ CLI_INTERRUPTED, "interrupted" },
		{ CLI_REFUSED, "refused or busy; nothing was written" },
		{ 0, NULL },
	};

	return rows;
}

int exit_bits_alone(int bits)
{
	if (bits & CLI_USAGE)
		return CLI_USAGE;
	return bits & CLI_REFUSED ? CLI_REFUSED : bits;
}
