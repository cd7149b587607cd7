/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_found.c - collects findings and joins neighbours, so that a sector of noise
 * is one finding and not 32. The screen shows each kind once: where, what the kernel
 * does, what a repair does. How many places are listed depends on how many kinds there
 * are, so that all of it fits a terminal of 25 lines; -v and JSON have each finding.
 */
#include "tools/snapcheck/check_found.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/array.h"
#include "tools/common/size_text.h"
#include "tools/common/text.h"

/* Kinds whose details are shown where there are more of them. */
#define DETAILED_KINDS 3
#define PLACE_BYTES 160

const char *const check_class_names[] = { "info", "note", "damage", "lost" };

/* How many of each kind -v and JSON list. */
static uint64_t found_limit(const struct check_found *found)
{
	return found->max_shown ? found->max_shown : CHECK_FOUND_KEPT;
}

static struct found_kind *kind_of(struct check_found *found, const struct cow_problem *problem)
{
	struct found_kind *grown;

	for (size_t i = 0; i < found->nr_kinds; i++)
		if (found->kinds[i].problem == problem)
			return &found->kinds[i];
	grown = cow_array_grow(found->kinds, found->nr_kinds, &found->room, sizeof(*grown));
	if (!grown)
		return NULL;
	found->kinds = grown;
	grown[found->nr_kinds] = (struct found_kind){ .problem = problem };
	return &grown[found->nr_kinds++];
}

/* Does a finding come right behind a run? */
static bool continues(const struct found_run *run, const struct cow_finding *finding)
{
	if (!run->image || strcmp(run->image, finding->image))
		return false;
	if (run->unit && finding->unit)
		return run->unit == finding->unit && run->whole == finding->whole &&
		       run->whole_number == finding->whole_number &&
		       run->first_unit + run->nr == finding->unit_number;
	return run->len_bytes && run->offset_bytes != COW_OFFSET_NONE &&
	       run->offset_bytes + run->len_bytes == finding->offset_bytes;
}

static bool run_add(struct found_kind *kind, const struct cow_finding *finding)
{
	struct found_run *grown =
		cow_array_grow(kind->runs, kind->nr_kept, &kind->room, sizeof(*grown));

	if (!grown)
		return false;
	kind->runs = grown;
	grown[kind->nr_kept++] = (struct found_run){
		.image = strdup(finding->image),
		.sentence = strdup(finding->sentence),
		.nr = 1,
		.offset_bytes = finding->offset_bytes,
		.len_bytes = finding->len_bytes,
		.chunk = finding->chunk,
		.unit = finding->unit,
		.whole = finding->whole,
		.first_unit = finding->unit_number,
		.whole_number = finding->whole_number,
	};
	return true;
}

/* "byte 4096 (chunk 1)": the sentence of a single finding says the rest. */
static void byte_place(const struct found_run *run, char *buf, size_t size)
{
	int len = 0;

	*buf = '\0';
	if (run->offset_bytes != COW_OFFSET_NONE)
		len = snprintf(buf, size, "byte %" PRIu64, run->offset_bytes);
	if (run->chunk != COW_OFFSET_NONE)
		snprintf(buf + len, size - (size_t)len, " (chunk %" PRIu64 ")", run->chunk);
}

/* One finding on a line, as -v shows it. */
static char *each_line(const struct cow_finding *finding)
{
	const struct found_run run = { .offset_bytes = finding->offset_bytes,
				       .chunk = finding->chunk };
	char place[PLACE_BYTES], *line, *escaped;

	byte_place(&run, place, sizeof(place));
	if (asprintf(&line, "%s: %s%s%s: %s", check_class_names[finding->problem->klass],
		     finding->problem->id, *place ? ", " : "", place, finding->sentence) < 0)
		return NULL;
	escaped = text_escape(line);
	free(line);
	return escaped;
}

static bool each_add(struct found_kind *kind, const struct cow_finding *finding)
{
	char **grown = cow_array_grow(kind->each, kind->nr_each, &kind->room_each, sizeof(*grown));

	if (!grown)
		return false;
	kind->each = grown;
	grown[kind->nr_each] = each_line(finding);
	return grown[kind->nr_each++];
}

bool check_found_add(struct check_found *found, const struct cow_finding *finding)
{
	struct found_kind *kind = kind_of(found, finding->problem);
	struct found_run *last;
	bool is_kept = true;

	if (!kind) {
		found->is_incomplete = true;
		return true;
	}
	kind->nr++;
	kind->view_bytes += finding->view_bytes;
	last = kind->nr_kept && kind->nr_kept == kind->nr_runs ? &kind->runs[kind->nr_kept - 1]
							       : NULL;
	if (last && continues(last, finding)) {
		last->nr++;
		last->len_bytes = finding->offset_bytes + finding->len_bytes - last->offset_bytes;
	} else {
		if (kind->nr_runs++ < found_limit(found))
			is_kept = run_add(kind, finding);
	}
	if (found->keeps_each && kind->nr_each < found_limit(found))
		is_kept &= each_add(kind, finding);
	found->is_incomplete |= !is_kept;
	return kind->nr <= found_limit(found);
}

static bool is_in(const struct found_run *run, const struct cow_finding *finding)
{
	if (run->offset_bytes == COW_OFFSET_NONE || !run->len_bytes)
		return run->offset_bytes == finding->offset_bytes;
	return finding->offset_bytes >= run->offset_bytes &&
	       finding->offset_bytes - run->offset_bytes < run->len_bytes;
}

struct found_run *check_found_run(struct check_found *found, const struct cow_finding *finding)
{
	for (size_t i = 0; i < found->nr_kinds; i++) {
		struct found_kind *kind = &found->kinds[i];

		if (kind->problem != finding->problem)
			continue;
		for (size_t j = 0; j < kind->nr_kept; j++)
			if (is_in(&kind->runs[j], finding))
				return &kind->runs[j];
	}
	return NULL;
}

const struct found_kind *check_found_worst(const struct check_found *found)
{
	const struct found_kind *worst = NULL;

	for (size_t i = 0; i < found->nr_kinds; i++)
		if (!worst || found->kinds[i].problem->klass > worst->problem->klass)
			worst = &found->kinds[i];
	return worst;
}

void check_found_place(const struct found_run *run, char *buf, size_t size)
{
	uint64_t last = run->first_unit + run->nr - 1;
	int len = 0;

	*buf = '\0';
	if (run->unit && run->nr == 1)
		len = snprintf(buf, size, "%s %" PRIu64 " of %s %" PRIu64, run->unit,
			       run->first_unit, run->whole, run->whole_number);
	else if (run->unit)
		len = snprintf(buf, size, "%ss %" PRIu64 "-%" PRIu64 " of %s %" PRIu64, run->unit,
			       run->first_unit, last, run->whole, run->whole_number);
	if (run->offset_bytes == COW_OFFSET_NONE)
		return;
	buf += len;
	size -= (size_t)len;
	if (run->len_bytes)
		snprintf(buf, size, "%sbytes %" PRIu64 "-%" PRIu64, len ? ", " : "",
			 run->offset_bytes, run->offset_bytes + run->len_bytes - 1);
	else
		snprintf(buf, size, "%sbyte %" PRIu64, len ? ", " : "", run->offset_bytes);
}

/* ---------------------------------------------------------------- the screen */

/* How many places of a kind fit, if there are so many kinds. */
static uint64_t nr_places(const struct check_found *found, enum found_form form)
{
	static const uint64_t fits[] = { 10, 10, 4, 2 };

	if (found->max_shown)
		return found->max_shown;
	if (form != FOUND_ALONE)
		return form == FOUND_FEW ? 2 : 1;
	return found->nr_kinds < sizeof(fits) / sizeof(fits[0]) ? fits[found->nr_kinds] : 1;
}

/* "64 records, 256 KiB of the snapshot": of a kind that was found several times. */
static void print_amount(const struct found_kind *kind, const struct found_run *run, FILE *text)
{
	uint64_t view_bytes = kind->view_bytes / kind->nr * run->nr;
	char size[SIZE_TEXT_BYTES];

	if (run->nr == 1)
		return;
	if (run->unit)
		fprintf(text, " (%" PRIu64 " %ss", run->nr, run->unit);
	else
		fprintf(text, " (%" PRIu64 " times", run->nr);
	if (view_bytes)
		fprintf(text, ", %s of the snapshot", size_round(view_bytes, size));
	fputc(')', text);
}

static void print_run(const struct found_kind *kind, const struct found_run *run, FILE *text)
{
	const struct cow_problem *problem = kind->problem;
	char place[PLACE_BYTES], *escaped = NULL;

	if (run->nr == 1) {
		byte_place(run, place, sizeof(place));
		escaped = run->sentence ? text_escape(run->sentence) : NULL;
	} else {
		check_found_place(run, place, sizeof(place));
	}
	fprintf(text, "%s: %s%s%s: %s", check_class_names[problem->klass], problem->id,
		*place ? ", " : "", place, escaped ? escaped : problem->summary);
	print_amount(kind, run, text);
	free(escaped);
}

/* What is not listed: how much it is. */
static void print_more(const struct found_kind *kind, uint64_t nr_shown, uint64_t nr_runs_shown,
		       FILE *text)
{
	uint64_t nr_runs = kind->nr_runs - nr_runs_shown;
	char size[SIZE_TEXT_BYTES];

	fprintf(text, "; and %" PRIu64 " more in %" PRIu64 " %s", kind->nr - nr_shown, nr_runs,
		nr_runs == 1 ? "place" : "places");
	if (kind->view_bytes)
		fprintf(text, ", in all %s of the snapshot", size_round(kind->view_bytes, size));
	fputs(" (-v lists each)", text);
}

static void print_runs(const struct found_kind *kind, uint64_t nr, FILE *text)
{
	uint64_t nr_shown = 0;

	if (nr > kind->nr_kept)
		nr = kind->nr_kept;
	for (size_t i = 0; i < nr; i++) {
		print_run(kind, &kind->runs[i], text);
		nr_shown += kind->runs[i].nr;
		if (i + 1 == nr && nr < kind->nr_runs)
			print_more(kind, nr_shown, nr, text);
		fputc('\n', text);
	}
}

static void print_each(const struct found_kind *kind, FILE *text)
{
	for (size_t i = 0; i < kind->nr_each; i++)
		fprintf(text, "%s\n", kind->each[i] ? kind->each[i] : "");
	if (kind->nr > kind->nr_each)
		fprintf(text, "  and %" PRIu64 " more (--max-findings=N lists so many)\n",
			kind->nr - kind->nr_each);
}

static void print_details(const struct found_kind *kind, FILE *text)
{
	fprintf(text, "  kernel: %s\n", kind->problem->kernel);
	fprintf(text, "  %s: %s\n",
		kind->problem->flags & COW_PROBLEM_FIXABLE ? "repair" : "what to do",
		kind->problem->fix);
}

/* Of how many kinds the screen has room for what the kernel and a repair do. */
static size_t nr_detailed(const struct check_found *found, enum found_form form)
{
	if (found->keeps_each || form == FOUND_FEW)
		return found->nr_kinds;
	if (form != FOUND_ALONE)
		return form == FOUND_AFTER;
	return found->nr_kinds <= DETAILED_KINDS + 1 ? found->nr_kinds : DETAILED_KINDS;
}

/* The kinds of one class; *nr_left: how many more can have details. Returns how many had none. */
static size_t print_class(const struct check_found *found, enum found_form form, int klass,
			  size_t *nr_left, FILE *text)
{
	size_t nr_bare = 0;

	for (size_t i = 0; i < found->nr_kinds; i++) {
		const struct found_kind *kind = &found->kinds[i];

		if (kind->problem->klass != klass)
			continue;
		if (found->keeps_each)
			print_each(kind, text);
		else
			print_runs(kind, nr_places(found, form), text);
		if (klass == COW_CLASS_INFO)
			continue;
		if (*nr_left)
			print_details(kind, text);
		else
			nr_bare++;
		*nr_left -= *nr_left > 0;
	}
	return nr_bare;
}

void check_found_print(const struct check_found *found, enum found_form form, FILE *text)
{
	size_t nr_left = nr_detailed(found, form), nr_bare = 0;

	for (int klass = COW_CLASS_LOST; klass >= COW_CLASS_INFO; klass--)
		nr_bare += print_class(found, form, klass, &nr_left, text);
	if (nr_bare && form == FOUND_BEFORE)
		fprintf(text, "what the kernel does with these: -v\n");
	else if (nr_bare)
		fprintf(text, "what the kernel does with the last %zu of these: -v\n", nr_bare);
	if (found->is_incomplete)
		fprintf(text, "the memory did not suffice to list all of it\n");
}

static void kind_free(struct found_kind *kind)
{
	for (size_t i = 0; i < kind->nr_kept; i++) {
		free(kind->runs[i].image);
		free(kind->runs[i].sentence);
	}
	for (size_t i = 0; i < kind->nr_each; i++)
		free(kind->each[i]);
	free(kind->runs);
	free((void *)kind->each);
}

void check_found_free(struct check_found *found)
{
	for (size_t i = 0; i < found->nr_kinds; i++)
		kind_free(&found->kinds[i]);
	free(found->kinds);
	found->kinds = NULL;
	found->nr_kinds = found->room = 0;
	found->is_incomplete = false;
}
