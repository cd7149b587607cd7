/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * opts.h - one table per tool says everything about its options: getopt_long's
 * arrays, --help and the lists that completions ask for are made from it.
 */
#ifndef TOOLS_OPTS_H
#define TOOLS_OPTS_H

#include <stddef.h>
#include <stdint.h>

#include "tools/common/cli.h"

enum opt_type {
	OPT_FLAG,   /* bool: true */
	OPT_TEXT,   /* const char * */
	OPT_CHOICE, /* const char *, one of the words in argument, "a|b|c" */
	OPT_SIZE,   /* uint64_t, as cow_size_parse() */
	OPT_RATE,   /* the same, bytes in a second, 4 KiB at least */
	OPT_COUNT,  /* uint64_t, a plain number */
	OPT_LIST,   /* struct opt_list, repeatable */
	OPT_JOIN,   /* const char *, repeatable: joined by commas */
};

struct opt {
	int short_name;	       /* 0: none */
	const char *long_name; /* NULL ends the table */
	/* NULL: none; "[=FILE]": optional. Small letters are typed as they are
	 * ("a|b"), large ones stand for something, see opts_print_long(). */
	const char *argument;
	const char *help; /* NULL: hidden */
	enum opt_type type;
	void *target;
	const char *without; /* optional argument left out: this value */
};

struct opts_spec {
	const char *tool;
	const char *operands;  /* "ORIGIN COW" */
	const char *summary;   /* what it does, 80 columns, may have lines */
	const char *notes;     /* below the options */
	const char *force_ids; /* --force ids that mean something here, by commas */
	const struct opt *options;
	struct cli_common *common;
	int min_operands, max_operands; /* max 0: no limit */
	/* Connects to the servers that the command line names, before the sandbox
	 * begins. NULL: there are none. */
	int (*connect)(int argc, char *const *argv, struct cow_err *err);
};

/* Rows of the options that all four tools have. */
#define OPTS_COMMON(c)                                                                                  \
	{ 0,	    "image",	  "NAME=IMAGE", "image:NAME stands for IMAGE in this command",          \
	  OPT_LIST, &(c)->images, NULL },                                                               \
		{ 'n', "dry-run", NULL, "do everything but write", OPT_FLAG, &(c)->dry_run, NULL },     \
		{ 'y', "yes", NULL, "do not ask", OPT_FLAG, &(c)->yes, NULL },                          \
		{ 't', "type", "KIND", "kind of store (default: detect)", OPT_TEXT, &(c)->type, NULL }, \
		{ 0,	    "force",	 "ID[,ID]", "go on where a refusal named this id",              \
		  OPT_JOIN, &(c)->force, NULL },                                                        \
		{ 0,	     "json",                                                                    \
		  "[=FILE]", "one JSON object about the run, on stdout or in FILE",                     \
		  OPT_TEXT,  &(c)->json,                                                                \
		  "-" },                                                                                \
		{ 0,                                                                                    \
		  "progress",                                                                           \
		  "auto|always|never",                                                                  \
		  "when to show progress (default: auto)",                                              \
		  OPT_CHOICE,                                                                           \
		  &(c)->progress,                                                                       \
		  NULL },                                                                               \
		{ 0,	    "rate-limit",                                                               \
		  "SIZE",   "read, and write, at most SIZE per second (default: no limit)",             \
		  OPT_RATE, &(c)->rate_limit_bytes,                                                     \
		  NULL },                                                                               \
		{ 'q', "quiet", NULL, "only errors", OPT_FLAG, &(c)->quiet, NULL },                     \
		{ 'v', "verbose", NULL, "more about what is done", OPT_FLAG, &(c)->verbose, NULL },     \
		{ 'h', "help", NULL, "print this and exit", OPT_FLAG, &(c)->help, NULL },               \
		{ 'V', "version", NULL, "print the version and exit", OPT_FLAG, &(c)->version, NULL },  \
		{ 0, "long-options", NULL, NULL, OPT_FLAG, &(c)->long_options, NULL },                  \
		{ 0, "short-options", NULL, NULL, OPT_FLAG, &(c)->short_options, NULL },                \
	{                                                                                               \
		0, NULL, NULL, NULL, OPT_FLAG, NULL, NULL                                               \
	}

/* Parses; moves the operands behind the options. *ret_first is the index of the
 * first operand. Returns CLI_DONE, or CLI_USAGE after having said why. */
int opts_parse(const struct opts_spec *spec, int argc, char **argv, int *ret_first);
/* Print to stdout. */
void opts_print_help(const struct opts_spec *spec);
/* One line an option, for completions and tests; columns divided by tabs:
 * --name[=ARGUMENT]; -x, or - alone; what the argument may be; "once" or
 * "many" times; the help line. */
void opts_print_long(const struct opts_spec *spec);
void opts_print_short(const struct opts_spec *spec);

#endif
