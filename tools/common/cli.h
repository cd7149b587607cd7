/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * cli.h - how a tool talks and ends: lines on stderr that begin with its name,
 * one table of exit bits, one way out that notices a full or closed stdout.
 * Names that came from outside are printed with control bytes escaped.
 */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcow.h"

#include "tools/common/exit_bits.h"

/* The arguments of an option that may be there several times. */
struct opt_list {
	const char **words;
	size_t nr_words;
};

/* Options that all four tools have; see OPTS_COMMON in opts.h. */
struct cli_common {
	bool help, version, quiet, verbose, dry_run, yes;
	bool long_options, short_options;
	const char *type;	   /* kind of store; NULL: probe */
	const char *progress;	   /* "auto", "always", "never" */
	uint64_t rate_limit_bytes; /* per second; 0: none */
	const char *json;	   /* NULL: none, "-": stdout, else a file */
	const char *force;	   /* ids, separated by commas */
	struct opt_list images;	   /* NAME=IMAGE */
};

struct opts_spec;

/*
 * Begins a tool: locale, signals, options. Returns CLI_DONE when the tool is to
 * go on; otherwise *ret_ended is true and what is returned goes to cli_finish().
 */
int cli_start(const struct opts_spec *spec, int argc, char **argv, bool *ret_ended);
/* Ends it: JSON object, stdout flushed and closed; returns the exit status. */
int cli_finish(int status);

/* The words after the options. */
int cli_nr_operands(void);
char *const *cli_operands(void);
/* Replaces the operands, for example by the images that a volume name stands for. Copies the
 * words. Errors: -ENOMEM. */
int cli_replace_operands(const char *const *words, int nr_words, struct cow_err *err);

/* What --image defined, NAME=IMAGE each. */
const struct opt_list *cli_images(void);

/* --rate-limit, bytes per second; 0: none. */
uint64_t cli_rate_limit_bytes(void);

/* -n: nothing is opened for writing. */
bool cli_is_dry_run(void);

/* Something was written or a file was published. From now on a problem is a failure, not a
 * refusal: a refusal promises that nothing was written. */
void cli_wrote(void);

/* Is this --force id given, and does it mean something to this tool? */
bool cli_forced(const char *id);

/* A line on stderr, "tool: ...". cli_note() is silenced by -q, cli_detail()
 * needs -v. */
__attribute__((format(printf, 1, 2), cold)) void cli_warn(const char *format, ...);
__attribute__((format(printf, 1, 2))) void cli_note(const char *format, ...);
__attribute__((format(printf, 1, 2))) void cli_detail(const char *format, ...);

/* No memory for what; returns the exit bit. */
int cli_no_memory(const char *what);
/* A wrong call: the sentence and where to look. Returns CLI_USAGE. */
__attribute__((format(printf, 1, 2), cold)) int cli_usage(const char *format, ...);
/* Says why something failed, as a line and in the JSON object; a refusal ends
 * with what would force it. Returns the exit bit. */
int cli_fail(const struct cow_err *err);
/* Fills err for facts that the tool itself notices; returns code. */
__attribute__((format(printf, 5, 6), cold, warn_unused_result)) int
cli_refuse(struct cow_err *err, int code, const char *id, const char *force, const char *format,
	   ...);

/* A failure is never 0: every caller can see it by this, and so can a compiler
 * or an analyzer that looks at one file only. */
__attribute__((warn_unused_result)) static inline int cli_refused(int code)
{
	return code < 0 ? code : -EIO;
}
#define cli_refuse(...) cli_refused((cli_refuse)(__VA_ARGS__))

/* Says what to type next: words up to NULL, quoted for a shell, with the --image
 * options that "image:NAME" in them needs. The line is printed by cli_finish(), after
 * everything else. */
void cli_next(const char *word, ...) __attribute__((sentinel));
/* The same command again. */
void cli_next_again(void);
/* Says it, on stderr and in the JSON object; for cli_finish(). */
void cli_next_say(void);

/* The command as it was typed, but with the words a and b in each other's
 * place, quoted for a shell; NULL: no memory. */
char *cli_line_swapped(const char *a, const char *b);
/* The command line as it was given, and where its operands begin. */
char *const *cli_words(int *ret_nr_words, int *ret_first_operand);

/* The progress bar: one line that is overwritten, or cleared (NULL). */
void cli_status_line(const char *text);
bool cli_stderr_is_terminal(void);

/* SIGINT or SIGTERM has come: stop at the next safe point. */
bool cli_interrupted(void);
/* SIGUSR1 has come since the last call. */
bool cli_wants_line(void);

const char *cli_tool(void);

#endif
