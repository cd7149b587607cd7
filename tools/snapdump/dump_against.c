/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_against.c - --against=IMAGE[,COW]... of --changes and --only-changed: the view
 * that stands in the place of ORIGIN. Its images are opened for themselves: they may be
 * those of the other view.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "tools/snapdump/dump.h"
#include "tools/images/images_json.h"

struct words {
	char **words;
	size_t nr, room;
};

/* One word, up to a single comma: two of them are one of its own. *text: what is behind
 * the comma; NULL: it was the last word. */
static char *next_word(const char **text)
{
	const char *from = *text;
	char *word = strdup(from), *to = word;

	*text = NULL;
	for (; word && *from; from++) {
		if (*from == ',' && from[1] != ',') {
			*text = from + 1;
			break;
		}
		from += *from == ',';
		*to++ = *from;
	}
	if (word)
		*to = '\0';
	return word;
}

ANALYZER_KEPT_BEGIN
static int split(struct words *words, const char *text, struct cow_err *err)
{
	do {
		char **grown =
			cow_array_grow(words->words, words->nr, &words->room, sizeof(*grown));
		char *word = grown ? next_word(&text) : NULL;

		if (grown)
			words->words = grown;
		if (!word)
			return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
		grown[words->nr++] = word;
		if (!*word)
			return cli_refuse(err, -EINVAL, "usage", NULL,
					  "--against=IMAGE[,COW]...: an image is missing");
	} while (text);
	return 0;
}
ANALYZER_KEPT_END

int dump_against_open(struct dump *dump, const struct operands_params *like, struct cow_err *err)
{
	struct operands_params params = {
		.wants_view = true,
		.kind = like->kind,
		.partition = like->partition,
		.volume = like->volume,
		.callbacks = like->callbacks,
	};
	struct words words = { 0 };
	int ret = split(&words, dump->against, err);

	params.specs = words.words;
	params.nr_specs = words.nr;
	if (!ret)
		ret = operands_open(&dump->other, &params, err);
	for (size_t i = 0; i < words.nr; i++)
		images_json_add_path("against", words.words[i]);
	dump->has_same_origin = !ret && dump->other.stack && dump->operands.stack &&
				!like->partition && !like->volume &&
				!strcmp(words.words[0], like->specs[0]);
	for (size_t i = 0; i < words.nr; i++)
		free(words.words[i]);
	free(words.words);
	return ret;
}
