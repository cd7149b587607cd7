/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * cli_next.c - the command that is named at the end of a run, as what to do next.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/opts.h"
#include "tools/common/text.h"

#define NEXT_WORDS_MAX 32

static struct {
	char *words[NEXT_WORDS_MAX + 1]; /* copies: images are closed by then */
	size_t nr_words;
} next;

static void next_clear(void)
{
	while (next.nr_words)
		free(next.words[--next.nr_words]);
}

static void next_add(const char *word)
{
	if (next.nr_words < NEXT_WORDS_MAX)
		next.words[next.nr_words] = strdup(word);
	if (next.words[next.nr_words])
		next.words[++next.nr_words] = NULL;
}

/* "image:NAME" means something only with its definition. */
static void next_add_images(void)
{
	const struct opt_list *images = cli_images();
	char *option;

	for (size_t i = 0; i < images->nr_words; i++) {
		if (asprintf(&option, "--image=%s", images->words[i]) < 0)
			return;
		next_add(option);
		free(option);
	}
}

static bool uses_names(const char *word, va_list args)
{
	for (; word; word = va_arg(args, const char *))
		if (strstr(word, "image:"))
			return true;
	return false;
}

void cli_next(const char *word, ...)
{
	va_list args;
	bool has_names;

	next_clear();
	va_start(args, word);
	has_names = uses_names(word, args);
	va_end(args);
	va_start(args, word);
	for (bool is_first = true; word; word = va_arg(args, const char *), is_first = false) {
		next_add(word);
		if (is_first && has_names)
			next_add_images();
	}
	va_end(args);
}

void cli_next_again(void)
{
	int nr_words, first_operand;
	char *const *words = cli_words(&nr_words, &first_operand);

	next_clear();
	next_add(cli_tool());
	for (int i = 1; i < nr_words; i++)
		next_add(words[i]);
}

/* With --origin=ORIGIN there is only one operand, and no option matters. */
static const char *swapped_word(int i, const char *a, const char *b)
{
	int nr_words, first_operand;
	char *const *words = cli_words(&nr_words, &first_operand);
	const char *word;

	if (cli_nr_operands() < 2)
		return i == 1 ? b : i == 2 ? a : NULL;
	if (i < first_operand)
		return words[i];
	if (i - first_operand == cli_nr_operands())
		return NULL;
	word = cli_operands()[i - first_operand];
	if (!strcmp(word, a))
		return b;
	return strcmp(word, b) ? word : a;
}

char *cli_line_swapped(const char *a, const char *b)
{
	const char *words[NEXT_WORDS_MAX + 1] = { cli_tool() };
	int nr_words = 1;
	const char *word;

	do {
		word = swapped_word(nr_words, a, b);
		words[nr_words++] = word;
	} while (word && nr_words < NEXT_WORDS_MAX);
	return text_quote_words(words);
}

void cli_next_say(void)
{
	struct json_object *at;
	char *line;

	if (!next.nr_words)
		return;
	at = json_put_array(json_root(), "next");
	for (size_t i = 0; i < next.nr_words; i++)
		json_put_text(at, NULL, next.words[i]);
	line = text_quote_words((const char *const *)next.words);
	cli_note("next: %s", line ? line : "");
	free(line);
	next_clear();
}
