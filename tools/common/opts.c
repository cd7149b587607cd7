/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * opts.c - parses options and prints --help from one table per tool.
 */
#include "tools/common/opts.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/units.h"
#include "tools/common/analyzer.h"

#define MAX_OPTIONS 64
/* getopt's answer for row i of the table is LONG_BASE + i. */
#define LONG_BASE 1000
#define HELP_COLUMN 30
#define EXIT_COLUMN 6
#define HELP_WIDTH 80
#define NAME_MAX_LETTERS 40
/* Images are read in pieces of up to 1 MiB: below this limit one piece would take minutes. */
#define RATE_BYTES_MIN 4096

static bool is_optional(const struct opt *opt)
{
	return opt->argument && opt->argument[0] == '[';
}

static int argument_kind(const struct opt *opt)
{
	if (!opt->argument)
		return no_argument;
	return is_optional(opt) ? optional_argument : required_argument;
}

static size_t build_tables(const struct opt *options, char *ret_short, struct option *ret_long)
{
	size_t nr = 0;

	*ret_short++ = ':'; /* tells a missing argument from an unknown option */
	for (; nr < MAX_OPTIONS && options[nr].long_name; nr++) {
		ret_long[nr] = (struct option){ options[nr].long_name, argument_kind(&options[nr]),
						NULL, LONG_BASE + (int)nr };
		if (!options[nr].short_name)
			continue;
		*ret_short++ = (char)options[nr].short_name;
		if (options[nr].argument)
			*ret_short++ = ':';
	}
	*ret_short = '\0';
	memset(&ret_long[nr], 0, sizeof(ret_long[nr]));
	return nr;
}

static bool is_choice(const char *choices, const char *value)
{
	size_t len = strlen(value);

	for (const char *word = choices; word; word = strchr(word, '|')) {
		word += *word == '|';
		if (len && !strncmp(word, value, len) && (word[len] == '|' || !word[len]))
			return true;
	}
	return false;
}

static int store_count(const struct opt *opt, const char *value)
{
	char *end;

	errno = 0;
	*(uint64_t *)opt->target = strtoull(value, &end, 10);
	if (errno || *end || *value < '0' || *value > '9')
		return cli_usage("--%s=%s: not a number", opt->long_name, value);
	return CLI_DONE;
}

static int store_size(const struct opt *opt, const char *value)
{
	struct cow_err err = COW_ERR_INIT;

	if (cow_size_parse(value, opt->target, &err))
		return cli_usage("--%s=%s: %s", opt->long_name, value, err.message);
	return CLI_DONE;
}

static int store_rate(const struct opt *opt, const char *value)
{
	int status = store_size(opt, value);

	if (status == CLI_DONE && *(uint64_t *)opt->target < RATE_BYTES_MIN)
		return cli_usage("--%s=%s: the smallest limit is 4 KiB per second", opt->long_name,
				 value);
	return status;
}

/* What is kept is in the table's list, which lives as long as the process. */
ANALYZER_KEPT_BEGIN
static int store_list(const struct opt *opt, const char *value)
{
	struct opt_list *list = opt->target;
	/* bounded: by argc */
	const char **words = reallocarray(list->words, list->nr_words + 1, sizeof(*words));

	if (!words)
		return cli_no_memory("the options");
	words[list->nr_words] = value;
	*list = (struct opt_list){ words, list->nr_words + 1 };
	/* cppcheck-suppress memleak ; kept, see above */
	return CLI_DONE;
}
ANALYZER_KEPT_END

static int store_join(const struct opt *opt, const char *value)
{
	const char **target = opt->target;
	char *joined;

	if (!*target) {
		*target = value;
		return CLI_DONE;
	}
	/* Lives as long as the process, like argv. */
	if (asprintf(&joined, "%s,%s", *target, value) < 0)
		return cli_no_memory("the options");
	*target = joined;
	return CLI_DONE;
}

static int store(const struct opt *opt, const char *value)
{
	assert(opt); /* getopt_long() answers with rows of the table only */
	if (is_optional(opt) && !value)
		value = opt->without;
	switch (opt->type) {
	case OPT_FLAG:
		*(bool *)opt->target = true;
		return CLI_DONE;
	case OPT_CHOICE:
		if (!is_choice(opt->argument, value))
			return cli_usage("--%s=%s: not one of %s", opt->long_name, value,
					 opt->argument);
		*(const char **)opt->target = value;
		return CLI_DONE;
	case OPT_TEXT:
		if (!*value)
			return cli_usage("--%s: the argument is empty", opt->long_name);
		*(const char **)opt->target = value;
		return CLI_DONE;
	case OPT_SIZE:
		return store_size(opt, value);
	case OPT_RATE:
		return store_rate(opt, value);
	case OPT_COUNT:
		return store_count(opt, value);
	case OPT_LIST:
		return store_list(opt, value);
	case OPT_JOIN:
		return store_join(opt, value);
	}
	return CLI_USAGE;
}

static const struct opt *find(const struct opts_spec *spec, int answer)
{
	if (answer >= LONG_BASE)
		return &spec->options[answer - LONG_BASE];
	for (const struct opt *opt = spec->options; opt->long_name; opt++)
		if (opt->short_name == answer)
			return opt;
	return NULL;
}

/* The edit distance of two words: letters added, removed, changed or swapped with their
 * neighbour. Any number above limit means "more than limit". */
static size_t distance(const char *from, const char *to, size_t limit)
{
	size_t from_len = strlen(from), to_len = strlen(to);
	size_t rows[3][NAME_MAX_LETTERS + 1], *before = rows[0], *above = rows[1], *row = rows[2];

	if (from_len > NAME_MAX_LETTERS || to_len > NAME_MAX_LETTERS)
		return limit + 1;
	for (size_t j = 0; j <= to_len; j++)
		above[j] = before[j] = j;
	for (size_t i = 1; i <= from_len; i++) {
		size_t *next = before;

		row[0] = i;
		for (size_t j = 1; j <= to_len; j++) {
			row[j] = min_u64(min_u64(above[j], row[j - 1]) + 1,
					 above[j - 1] + (from[i - 1] != to[j - 1]));
			if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
				row[j] = min_u64(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = next;
	}
	return above[to_len];
}

/* The option that was probably meant by name; NULL: no option is similar. */
static const struct opt *nearest(const struct opts_spec *spec, const char *name)
{
	const struct opt *best = NULL;
	/* A third of its letters may be wrong, and at most 3. */
	size_t limit = min_u64((strlen(name) + 2) / 3, 3), found;

	for (const struct opt *opt = spec->options; opt->long_name; opt++) {
		if (!opt->help)
			continue;
		found = distance(name, opt->long_name, limit);
		if (found > limit)
			continue;
		best = opt;
		limit = found - !!found;
	}
	return best;
}

/* --NAME or --NAME=VALUE, which getopt_long() does not know. */
static int refuse_long(const struct opts_spec *spec, const char *word)
{
	char name[NAME_MAX_LETTERS + 1], names[HELP_WIDTH] = "";
	size_t len = strcspn(word + 2, "="), used = 0;
	const struct opt *meant;

	if (len > NAME_MAX_LETTERS)
		return cli_usage("unknown option %s", word);
	memcpy(name, word + 2, len);
	name[len] = '\0';
	for (const struct opt *opt = spec->options; opt->long_name; opt++)
		if (opt->help && !strncmp(opt->long_name, name, len) && used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s--%s",
						 used ? ", " : "", opt->long_name);
	if (used)
		return cli_usage("option --%s is ambiguous: %s", name, names);
	meant = nearest(spec, name);
	if (meant)
		return cli_usage("unknown option --%s; did you mean --%s?", name, meant->long_name);
	return cli_usage("unknown option --%s", name);
}

static int refuse_option(const struct opts_spec *spec, int answer, char **argv)
{
	const struct opt *opt = optopt ? find(spec, optopt) : NULL;

	if (answer == ':' && opt)
		return cli_usage("option --%s needs an argument", opt->long_name);
	if (opt && !opt->argument)
		return cli_usage("option --%s takes no argument", opt->long_name);
	if (optopt)
		return cli_usage("unknown option -%c", optopt);
	return refuse_long(spec, argv[optind - 1]);
}

static int check_operands(const struct opts_spec *spec, int argc, int first, char **argv)
{
	int nr = argc - first;

	if (nr < spec->min_operands)
		return cli_usage("%s expected, %d given", spec->operands, nr);
	if (spec->max_operands && nr > spec->max_operands)
		return cli_usage("one operand too many: %s", argv[first + spec->max_operands]);
	return CLI_DONE;
}

int opts_parse(const struct opts_spec *spec, int argc, char **argv, int *ret_first)
{
	struct option long_table[MAX_OPTIONS + 1];
	char short_table[2 * MAX_OPTIONS + 2];
	int answer, status = CLI_DONE;

	build_tables(spec->options, short_table, long_table);
	opterr = 0;
	while (status == CLI_DONE) {
		answer = getopt_long(argc, argv, short_table, long_table, NULL);
		if (answer == -1)
			break;
		if (answer == '?' || answer == ':')
			status = refuse_option(spec, answer, argv);
		else
			status = store(find(spec, answer), optarg);
	}
	*ret_first = optind;
	if (status != CLI_DONE)
		return status;
	if (spec->common->help || spec->common->version || spec->common->long_options ||
	    spec->common->short_options)
		return CLI_DONE;
	return check_operands(spec, argc, optind, argv);
}

/* Prints words from column first on, broken before HELP_WIDTH. */
static void print_wrapped(const char *text, int first)
{
	int column = first;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (column + 1 + len > HELP_WIDTH) {
			printf("\n%*s", first, "");
			column = first;
		}
		column += printf("%s%.*s", column > first ? " " : "", len, text);
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_option(const struct opt *opt)
{
	char left[128];
	int used;

	used = snprintf(left, sizeof(left), opt->short_name ? "  -%c, " : "      ",
			opt->short_name);
	used += snprintf(left + used, sizeof(left) - (size_t)used, "--%s%s%s", opt->long_name,
			 opt->argument && !is_optional(opt) ? "=" : "",
			 opt->argument ? opt->argument : "");
	if (used > HELP_COLUMN - 2)
		printf("%s\n%*s", left, HELP_COLUMN, "");
	else
		printf("%-*s", HELP_COLUMN, left);
	print_wrapped(opt->help, HELP_COLUMN);
}

void opts_print_help(const struct opts_spec *spec)
{
	printf("usage: %s [OPTION]... %s\n\n%s\n\noptions:\n", spec->tool, spec->operands,
	       spec->summary);
	for (const struct opt *opt = spec->options; opt->long_name; opt++)
		if (opt->help)
			print_option(opt);
	if (spec->notes)
		printf("\n%s\n", spec->notes);
	printf("\nexit status (bits add up; 64 and 16 come alone):\n");
	for (const struct exit_bits_row *row = exit_bits_table(); row->meaning; row++) {
		printf("  %-4d", row->bit);
		print_wrapped(row->meaning, EXIT_COLUMN);
	}
}

/* Placeholders of arguments that name a file; a completion has no proposal for any other. */
static const char *const file_arguments[] = { "FILE",	"NEW",	"IMAGE",    "TAR",
					      "ORIGIN", "COW2", "MANIFEST", "MAPFILE" };

static void print_kinds(void)
{
	const char *kind;

	for (size_t i = 0; (kind = cow_store_kind(i)); i++)
		printf("%s%s", i ? "|" : "words ", kind);
}

/* What may stand in the place of an argument: "none", "any", "file", "files"
 * (with commas), "words a|b|c", "list a|b|c" (with commas). */
static void print_offer(const struct opts_spec *spec, const struct opt *opt)
{
	const char *argument = opt->argument;

	if (!argument) {
		printf("none");
		return;
	}
	if (is_optional(opt))
		argument += 2;
	if (*argument >= 'a' && *argument <= 'z') {
		printf("words %.*s", (int)strcspn(argument, "[]"), argument);
		return;
	}
	if (!strcmp(argument, "KIND")) {
		print_kinds();
		return;
	}
	if (!strcmp(argument, "ID[,ID]")) {
		printf("list ");
		for (const char *id = spec->force_ids; *id; id++)
			putchar(*id == ',' ? '|' : *id);
		return;
	}
	for (size_t i = 0; i < sizeof(file_arguments) / sizeof(file_arguments[0]); i++) {
		if (strlen(file_arguments[i]) == strcspn(argument, "]") &&
		    !strncmp(argument, file_arguments[i], strlen(file_arguments[i]))) {
			printf("file");
			return;
		}
	}
	printf("%s", strstr(argument, "[,COW]") ? "files" : "any");
}

void opts_print_long(const struct opts_spec *spec)
{
	for (const struct opt *opt = spec->options; opt->long_name; opt++) {
		if (!opt->help)
			continue;
		printf("--%s%s%s\t", opt->long_name, opt->argument && !is_optional(opt) ? "=" : "",
		       opt->argument ? opt->argument : "");
		printf(opt->short_name ? "-%c\t" : "-\t", opt->short_name);
		print_offer(spec, opt);
		printf("\t%s\t%s\n",
		       opt->type == OPT_LIST || opt->type == OPT_JOIN ? "many" : "once", opt->help);
	}
}

void opts_print_short(const struct opts_spec *spec)
{
	for (const struct opt *opt = spec->options; opt->long_name; opt++)
		if (opt->help && opt->short_name)
			printf("-%c\n", opt->short_name);
}
