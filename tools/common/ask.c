/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * ask.c - asks on the terminal. Lines that were typed or pasted before the
 * question was there are no answer to it: they are thrown away first.
 */
#include "tools/common/ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define QUESTION_BYTES (COW_ERR_IMAGE_BYTES + 64)

bool ask_is_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* Reads the whole line; the rest of it would be taken for the answer to the next question. */
static bool read_line(char *ret_answer, size_t size)
{
	size_t len = 0;
	int c;

	while ((c = getchar()) != EOF && c != '\n')
		if (len + 1 < size)
			ret_answer[len++] = (char)c;
	ret_answer[len] = '\0';
	if (c == EOF)
		fputc('\n', stderr);
	return c != EOF;
}

bool ask_line(char *ret_answer, size_t size, const char *format, ...)
{
	va_list args;

	cli_status_line(NULL);
	__fpurge(stdin);
	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	(void)fflush(stderr);
	return read_line(ret_answer, size);
}

int ask_confirm(const struct cli_common *common, struct cow_err *err, const char *format, ...)
{
	char question[QUESTION_BYTES], answer[16];
	va_list args;

	if (common->yes)
		return 0;
	va_start(args, format);
	vsnprintf(question, sizeof(question), format, args);
	va_end(args);
	if (!ask_is_possible())
		return cli_refuse(err, -EPERM, "unanswered", NULL,
				  "%s? There is no terminal to ask on, and nothing was written; to "
				  "go on, add -y",
				  question);
	if (ask_line(answer, sizeof(answer), "%s: %s? [y/N] ", cli_tool(), question) &&
	    (!strcmp(answer, "y") || !strcmp(answer, "yes")))
		return 0;
	if (cli_interrupted())
		return cli_refuse(err, -ECANCELED, "interrupted", NULL,
				  "interrupted; nothing was written");
	return cli_refuse(err, -EPERM, "declined", NULL, "the answer was no; nothing was written");
}
