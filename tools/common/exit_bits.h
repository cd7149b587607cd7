/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * exit_bits.h - the exit status of all four tools: its bits, and what each of
 * them means. --help prints this table, and the pages repeat it; a test compares.
 */
#ifndef TOOLS_EXIT_BITS_H
#define TOOLS_EXIT_BITS_H

#define CLI_DONE 0
#define CLI_REPAIRED 1
#define CLI_DAMAGE 4
#define CLI_FAILED 8
#define CLI_USAGE 16
#define CLI_INTERRUPTED 32
#define CLI_REFUSED 64

struct exit_bits_row {
	int bit;
	const char *meaning; /* NULL: end of the table */
};

/* The table, in the order of the bits. */
const struct exit_bits_row *exit_bits_table(void);

/* The exit status for these bits: a wrong call and a refusal come alone. */
int exit_bits_alone(int bits);

#endif
