/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * spec_print.c - writes a tree as the shortest specification that reads back as the
 * same tree: numbers with the unit that makes them short, "file:" only in front of a
 * path that would be read as something else. A tree is COW_SPEC_DEPTH_MAX deep at
 * most, and so are the calls.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/image/spec_tree.h"

/* A leading zero changes a text and not its meaning. */
static void number_print(FILE *out, uint64_t bytes, bool is_explicit)
{
	static const struct {
		char unit;
		unsigned int shift;
	} units[] = { { 'k', 10 }, { 'M', 20 }, { 'G', 30 }, { 'T', 40 }, { 'P', 50 }, { 's', 9 } };
	char best[32], text[32];

	snprintf(best, sizeof(best), "%" PRIu64, bytes);
	for (size_t i = 0; bytes && i < sizeof(units) / sizeof(units[0]); i++) {
		if (bytes & ((UINT64_C(1) << units[i].shift) - 1))
			continue;
		snprintf(text, sizeof(text), "%" PRIu64 "%c", bytes >> units[i].shift,
			 units[i].unit);
		if (strlen(text) < strlen(best))
			memcpy(best, text, sizeof(best));
	}
	fprintf(out, "%s%s", is_explicit ? "0" : "", best);
}

static void segments_print(FILE *out, const struct cow_spec *spec, bool is_explicit)
{
	for (size_t i = 0; i < spec->nr_segments; i++) {
		fputs(i ? "," : "", out);
		number_print(out, spec->segments[i].offset_bytes, is_explicit && !i);
		if (spec->is_open_ended)
			continue;
		fputc('+', out);
		number_print(out, spec->segments[i].len_bytes, false);
	}
}

/* Is a path read as that path? */
static bool is_plain_path(const char *path)
{
	const char *at = strrchr(path, '@');

	return !cow_spec_has_prefix(path) && strcmp(path, "-") != 0 &&
	       (!at || at == path || at[1] < '0' || at[1] > '9');
}

static void plain_print(FILE *out, const struct cow_spec *spec, bool is_explicit)
{
	if (!spec->path) {
		fputs("zero:", out);
		number_print(out, spec->zero_bytes, is_explicit);
	} else if (!spec->nr_segments) {
		fputs(is_explicit || !is_plain_path(spec->path) ? "file:" : "", out);
		fputs(spec->path, out);
	} else if (cow_spec_has_prefix(spec->path)) {
		fputs("window:", out);
		segments_print(out, spec, is_explicit);
		fprintf(out, ":file:%s", spec->path);
	} else {
		fprintf(out, "%s@", spec->path);
		segments_print(out, spec, is_explicit);
	}
}

/* As a part of a list: a comma of its own is doubled. */
static void part_print(FILE *out, const char *text)
{
	for (; *text; text++) {
		fputc(*text, out);
		if (*text == ',')
			fputc(',', out);
	}
}

/* A part that begins with a comma, which behind a separating one would be read
 * with that: "file:" for a whole file, a window for a part of one. */
static char *comma_print(const struct cow_spec_tree *image, const char *text)
{
	char *result = NULL;
	size_t len;
	FILE *out;

	if (!image->plain.nr_segments)
		return asprintf(&result, "file:%s", text) < 0 ? NULL : result;
	out = open_memstream(&result, &len);
	if (!out)
		return NULL;
	fputs("window:", out);
	segments_print(out, &image->plain, false);
	fprintf(out, ":file:%s", image->plain.path);
	if (!fclose(out))
		return result;
	free(result);
	return NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): COW_SPEC_DEPTH_MAX deep */
static bool image_print(FILE *out, const struct cow_spec_tree *image, bool is_first,
			bool is_explicit)
{
	AUTO_FREE char *text = cow_spec_tree_print(image, is_explicit);

	if (text && *text == ',' && !is_first) {
		char *other = comma_print(image, text);

		free(text);
		text = other;
	}
	if (text)
		part_print(out, text);
	return text;
}

/* NOLINTNEXTLINE(misc-no-recursion): COW_SPEC_DEPTH_MAX deep */
static bool list_print(FILE *out, const struct cow_spec_tree *tree, bool is_explicit)
{
	for (size_t i = 0; i < tree->nr_parts; i++) {
		const struct cow_spec_part *part = &tree->parts[i];

		fputs(i ? "," : "", out);
		if (part->key)
			fprintf(out, "%s=", part->key);
		if (part->value)
			part_print(out, part->value);
		else if (!image_print(out, part->image, !i || part->key, is_explicit))
			return false;
	}
	return true;
}

/* What is no list: the image inside as it stands. */
/* NOLINTNEXTLINE(misc-no-recursion): COW_SPEC_DEPTH_MAX deep */
static bool inner_print(FILE *out, const struct cow_spec_tree *tree, bool is_explicit)
{
	AUTO_FREE char *text = cow_spec_tree_print(tree->parts[0].image, is_explicit);

	if (text)
		fputs(text, out);
	return text;
}

/* NOLINTNEXTLINE(misc-no-recursion): COW_SPEC_DEPTH_MAX deep */
static bool form_print(FILE *out, const struct cow_spec_tree *tree, bool is_explicit)
{
	fputs(tree->form == COW_SPEC_NBD ? "" : cow_spec_prefix(tree), out);
	switch (tree->form) {
	case COW_SPEC_PLAIN:
		plain_print(out, &tree->plain, is_explicit);
		return true;
	case COW_SPEC_PART:
		if (!inner_print(out, tree, false))
			return false;
		fprintf(out, ":%s%" PRIu64, is_explicit ? "0" : "", tree->number);
		return true;
	case COW_SPEC_WINDOW:
		segments_print(out, &tree->plain, is_explicit);
		fputc(':', out);
		return inner_print(out, tree, false);
	case COW_SPEC_LVM:
		if (!list_print(out, tree, is_explicit))
			return false;
		fprintf(out, ":%s", tree->text);
		return true;
	case COW_SPEC_NAME:
	case COW_SPEC_NBD:
		fputs(tree->text, out);
		return true;
	default:
		return list_print(out, tree, is_explicit);
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): COW_SPEC_DEPTH_MAX deep */
char *cow_spec_tree_print(const struct cow_spec_tree *tree, bool is_explicit)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	bool is_whole;

	if (!out)
		return NULL;
	is_whole = form_print(out, tree, is_explicit);
	if (!fclose(out) && is_whole)
		return text;
	free(text);
	return NULL;
}
