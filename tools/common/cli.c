/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * cli.c - lines on stderr, exit status, and the end of a run.
 */
#include "tools/common/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcow/base/limit.h"
#include "tools/common/analyzer.h"
#include "tools/common/json.h"
#include "tools/common/opts.h"
#include "tools/common/outputs.h"
#include "tools/common/sandbox.h"
#include "tools/common/signals.h"
#include "tools/common/text.h"

static struct {
	const struct opts_spec *spec;
	int argc, first_operand;
	char **argv;
	char **operands; /* used instead of those in argv; NULL: use argv */
	int nr_operands;
	bool is_finished;  /* cli_finish() was called: an exit from here on is expected */
	bool has_written;  /* see cli_wrote() */
	bool line_is_open; /* the terminal shows a status line */
} cli;

const char *cli_tool(void)
{
	return cli.spec->tool;
}

bool cli_stderr_is_terminal(void)
{
	return isatty(STDERR_FILENO);
}

void cli_status_line(const char *text)
{
	if (!text && !cli.line_is_open)
		return;
	fprintf(stderr, "\r%s\033[K", text ? text : "");
	(void)fflush(stderr);
	cli.line_is_open = text;
}

__attribute__((format(printf, 1, 0))) static void print_line(const char *format, va_list args)
{
	char *line, *escaped = NULL, brief[COW_ERR_MESSAGE_BYTES + COW_ERR_IMAGE_BYTES];
	va_list again;

	cli_status_line(NULL);
	va_copy(again, args);
	if (vasprintf(&line, format, args) < 0)
		line = NULL;
	if (line)
		escaped = text_escape(line);
	/* Without memory: print what fits, with control bytes replaced. */
	if (!escaped) {
		vsnprintf(brief, sizeof(brief), format, again);
		for (char *at = brief; *at; at++)
			if (*at < ' ' || *at > '~')
				*at = '?';
	}
	va_end(again);
	fprintf(stderr, "%s: %s\n", cli.spec->tool, escaped ? escaped : brief);
	free(escaped);
	free(line);
}

void cli_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(format, args);
	va_end(args);
}

void cli_note(const char *format, ...)
{
	va_list args;

	if (cli.spec->common->quiet)
		return;
	va_start(args, format);
	print_line(format, args);
	va_end(args);
}

void cli_detail(const char *format, ...)
{
	va_list args;

	if (!cli.spec->common->verbose)
		return;
	va_start(args, format);
	print_line(format, args);
	va_end(args);
}

static int refused(void)
{
	return cli.has_written ? CLI_FAILED : CLI_REFUSED;
}

static int exit_bit(const struct cow_err *err)
{
	switch (err->code) {
	case -ECANCELED:
		return CLI_INTERRUPTED;
	case -EINVAL:
		return strcmp(err->id, "usage") ? refused() : CLI_USAGE;
	case -EPERM:
	case -EBUSY:
	case -EBADMSG:
	case -EMEDIUMTYPE:
	case -ERANGE:
	case -EROFS:
	case -EEXIST:
	case -EOPNOTSUPP:
		return refused();
	default:
		return CLI_FAILED;
	}
}

/* Is id in a comma-separated list? */
static bool is_in_list(const char *list, const char *id)
{
	size_t len = strlen(id);

	for (const char *word = list; word && len; word = strchr(word, ',')) {
		word += *word == ',';
		if (!strncmp(word, id, len) && (!word[len] || word[len] == ','))
			return true;
	}
	return false;
}

/* Could --force=id change the answer of this tool? */
static bool can_force(const char *id)
{
	return is_in_list(cli.spec->force_ids, id);
}

static void put_error(const struct cow_err *err)
{
	struct json_object *at = json_put_object(json_root(), "error");

	json_put_text(at, "id", err->id);
	json_put_text(at, "message", err->message);
	json_put_text(at, "path", *err->image ? err->image : NULL);
	if (err->offset_bytes == COW_OFFSET_NONE)
		json_put_null(at, "offset_bytes");
	else
		json_put_u64(at, "offset_bytes", err->offset_bytes);
	json_put_text(at, "force", can_force(err->force) ? err->force : NULL);
}

/* Does the sentence begin with the name, as a word? Anywhere else a short name
 * may stand by chance ("dir" in "directory"), or mean another image. */
static bool begins_with_name(const struct cow_err *err)
{
	const char *text = err->message + (*err->message == '"');
	size_t len = strlen(err->image);

	return !strncmp(text, err->image, len) && text[len] && strchr(" \":,", text[len]);
}

/* A question that was not answered with yes: its sentence says how to go on. */
static bool is_unanswered(const struct cow_err *err)
{
	return !strcmp(err->id, "unanswered") || !strcmp(err->id, "declined");
}

/* A path that does not exist or has the wrong type: forcing makes no sense, so the sentence does
 * not mention it. */
static bool is_plain(const struct cow_err *err)
{
	return is_in_list("no-path,not-a-file,not-an-image", err->id);
}

int cli_fail(const struct cow_err *err)
{
	/* Lower layers do not always know the name; say it once. */
	bool says_name = !*err->image || begins_with_name(err);
	const char *name = says_name ? "" : err->image, *colon = says_name ? "" : ": ";
	int bit = exit_bit(err);

	put_error(err);
	if (err->code == -EPIPE)
		return bit; /* the reader knows */
	/* Some sentences of the library already say how to go on. */
	if (bit != CLI_REFUSED || is_unanswered(err) || is_plain(err) ||
	    strstr(err->message, "--force=") || strstr(err->message, "(cannot be forced)"))
		cli_warn("%s%s%s", name, colon, err->message);
	else if (can_force(err->force))
		cli_warn("%s%s%s; to do it anyway: --force=%s", name, colon, err->message,
			 err->force);
	else
		cli_warn("%s%s%s (cannot be forced)", name, colon, err->message);
	return bit;
}

#undef cli_refuse /* the function behind the macro */
int cli_refuse(struct cow_err *err, int code, const char *id, const char *force, const char *format,
	       ...)
{
	va_list args;

	*err = (struct cow_err)COW_ERR_INIT;
	err->code = code;
	snprintf(err->id, sizeof(err->id), "%s", id);
	snprintf(err->force, sizeof(err->force), "%s", force ? force : "");
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	cow_limit_name(err);
	return code;
}

int cli_no_memory(const char *what)
{
	struct cow_err err;

	(void)!cli_refuse(&err, -ENOMEM, "no-memory", NULL, "no memory for %s", what);
	return cli_fail(&err);
}

int cli_usage(const char *format, ...)
{
	struct cow_err err = COW_ERR_INIT;
	va_list args;

	err.code = -EINVAL;
	strcpy(err.id, "usage");
	va_start(args, format);
	vsnprintf(err.message, sizeof(err.message), format, args);
	va_end(args);
	put_error(&err);
	cli_warn("%s (see %s --help)", err.message, cli.spec->tool);
	return CLI_USAGE;
}

/* Where the JSON object goes; NULL: nowhere. A wrong call writes one too, so this looks for the
 * option before the options are parsed. */
static const char *find_json(void)
{
	for (int i = 1; i < cli.argc && strcmp(cli.argv[i], "--"); i++) {
		if (!strcmp(cli.argv[i], "--json"))
			return "-";
		if (!strncmp(cli.argv[i], "--json=", 7) && cli.argv[i][7])
			return cli.argv[i] + 7;
	}
	return NULL;
}

static int start_json(const char *target)
{
	struct cow_err err;
	int code;

	if (!target || json_root())
		return CLI_DONE;
	code = json_start(target, cli.spec->tool);
	if (!code)
		return CLI_DONE;
	(void)!(code == -EEXIST
			? cli_refuse(&err, code, "exists", NULL,
				     "--json: %s exists and is no report of an earlier run: remove "
				     "it first, or name another file",
				     target)
			: cli_refuse(&err, code, "system", NULL, "--json: %s: cannot be made: %s",
				     target, strerror(-code)));
	return cli_fail(&err);
}

static int check_force_ids(const char *ids)
{
	static const char *const known[] = { "overwrite", "content",  "origin",	  "uuid",
					     "invalid",	  "damaged",  "doubtful", "changed",
					     "volatile",  "bad-cow",  "busy",	  "lost",
					     "grow",	  "no-space", "lvm",	  "legs",
					     "siblings" };
	size_t i;

	for (const char *word = ids; word && *word;) {
		size_t len = strcspn(word, ",");

		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (strlen(known[i]) == len && !strncmp(known[i], word, len))
				break;
		if (i == sizeof(known) / sizeof(known[0]))
			return cli_usage("--force=%.*s: no such id; a refusal names its id",
					 (int)len, word);
		word += len + (word[len] == ',');
	}
	return CLI_DONE;
}

/* If stdin, stdout or stderr is closed, an image could be opened under that number and messages
 * would be written into it. Fills these numbers with descriptors that fail. */
static void fill_standard_files(void)
{
	static const int flags[] = { O_WRONLY, O_RDONLY, O_RDONLY };

	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags[fd]) != fd)
			_exit(CLI_FAILED);
}

/* After "--", "-x" is an operand. Written as "./-x" it is one in every command that is printed,
 * too. */
static int mend_operands(void)
{
	for (int i = cli.first_operand; i < cli.argc; i++) {
		char *word = cli.argv[i];

		if (word[0] != '-' || !word[1])
			continue;
		if (asprintf(&word, "./%s", cli.argv[i]) < 0)
			return cli_no_memory("an operand");
		cli.argv[i] = word;
	}
	return CLI_DONE;
}

/* libarchive ends the program, with a status of its own, when it has no memory. */
static void on_exit_early(void)
{
	struct cow_err err;
	int status;

	if (cli.is_finished)
		return;
	(void)!cli_refuse(&err, -ENOMEM, "no-memory", NULL,
			  "no memory: a library has ended the program; what was not complete "
			  "was removed");
	status = cli_fail(&err);
	status = cli_finish(status);
	outputs_abandon();
	_exit(status);
}

static int connect_servers(void)
{
	struct cow_err err = COW_ERR_INIT;

	if (!cli.spec->connect || !cli.spec->connect(cli.argc, cli.argv, &err))
		return CLI_DONE;
	return cli_fail(&err);
}

int cli_start(const struct opts_spec *spec, int argc, char **argv, bool *ret_ended)
{
	const struct cli_common *common = spec->common;
	int status;

	fill_standard_files();
	cli.spec = spec;
	(void)atexit(on_exit_early);
	cli.argc = argc;
	cli.argv = argv;
	setlocale(LC_ALL, "C");
	signals_install();
	status = start_json(find_json());
	if (status == CLI_DONE)
		status = opts_parse(spec, argc, argv, &cli.first_operand);
	if (status == CLI_DONE) /* it may have been abbreviated */
		status = start_json(common->json);
	if (status == CLI_DONE)
		status = check_force_ids(common->force);
	if (status == CLI_DONE)
		status = mend_operands();
	*ret_ended = true;
	if (status != CLI_DONE)
		return status;
	if (common->help)
		opts_print_help(spec);
	else if (common->version)
		printf("%s %s\n", spec->tool, cow_version());
	else if (common->long_options)
		opts_print_long(spec);
	else if (common->short_options)
		opts_print_short(spec);
	else
		*ret_ended = false;
	if (*ret_ended)
		return CLI_DONE;
	status = connect_servers();
	*ret_ended = status != CLI_DONE;
	if (status == CLI_DONE)
		sandbox_begin();
	return status;
}

char *const *cli_words(int *ret_nr_words, int *ret_first_operand)
{
	*ret_nr_words = cli.argc;
	*ret_first_operand = cli.first_operand;
	return cli.argv;
}

int cli_nr_operands(void)
{
	return cli.operands ? cli.nr_operands : cli.argc - cli.first_operand;
}

char *const *cli_operands(void)
{
	return cli.operands ? cli.operands : cli.argv + cli.first_operand;
}

static void operands_free(char **operands, int nr_operands)
{
	for (int i = 0; i < nr_operands; i++)
		free(operands[i]);
	free(operands);
}

/* The list owns the copies. */
ANALYZER_KEPT_BEGIN
static bool operands_copy(char **copies, const char *const *words, int nr_words)
{
	for (int i = 0; i < nr_words; i++) {
		copies[i] = strdup(words[i]);
		if (!copies[i])
			return false;
	}
	return true;
}
ANALYZER_KEPT_END

int cli_replace_operands(const char *const *words, int nr_words, struct cow_err *err)
{
	/* bounded: by argc */
	char **copies = calloc((size_t)nr_words + 1, sizeof(*copies));

	if (!copies || !operands_copy(copies, words, nr_words)) {
		operands_free(copies, copies ? nr_words : 0);
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the operands");
	}
	operands_free(cli.operands, cli.nr_operands);
	cli.operands = copies;
	cli.nr_operands = nr_words;
	return 0;
}

const struct opt_list *cli_images(void)
{
	return &cli.spec->common->images;
}

uint64_t cli_rate_limit_bytes(void)
{
	return cli.spec->common->rate_limit_bytes;
}

bool cli_is_dry_run(void)
{
	return cli.spec->common->dry_run;
}

void cli_wrote(void)
{
	cli.has_written = true;
}

bool cli_forced(const char *id)
{
	return can_force(id) && is_in_list(cli.spec->common->force, id);
}

/* Turns a failure of stdout into the exit status; prints nothing for EPIPE. */
static int close_stdout(int status, int code)
{
	if (close(STDOUT_FILENO) && !code)
		code = errno;
	if (!code && !ferror(stdout))
		return status;
	if (code != EPIPE)
		cli_warn("stdout: %s", code ? strerror(code) : "write failed");
	return status | CLI_FAILED;
}

/* Where no image was opened: what the command line names. */
static void put_operands(void)
{
	struct json_object *item;

	if (json_has("images") || !cli.first_operand)
		return;
	(void)json_list("images");
	for (int i = 0; i < cli_nr_operands(); i++) {
		item = json_put_object(json_list("images"), NULL);
		json_put_null(item, "role");
		json_put_text(item, "path", cli_operands()[i]);
		json_put_null(item, "size_bytes");
	}
}

int cli_finish(int status)
{
	struct cow_err err = COW_ERR_INIT;
	int stdout_code, code;

	cli.is_finished = true;
	cli_status_line(NULL);
	/* flush the report first, so that it precedes "next" also where both go to one pipe */
	stdout_code = fflush(stdout) ? errno : 0;
	cli_next_say();
	if (stdout_code)
		status |= CLI_FAILED;
	status = exit_bits_alone(status);
	json_put_u64(json_root(), "exit", (uint64_t)status);
	json_put_bool(json_root(), "done",
		      !(status & (CLI_FAILED | CLI_USAGE | CLI_INTERRUPTED | CLI_REFUSED)));
	put_operands();
	operands_free(cli.operands, cli.nr_operands);
	cli.operands = NULL;
	cli.nr_operands = 0;
	code = json_write(&err);
	if (code && code != -EPIPE)
		cli_warn("--json: %s", err.message);
	if (code)
		status |= CLI_FAILED;
	return exit_bits_alone(close_stdout(status, stdout_code));
}
