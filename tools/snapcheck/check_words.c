/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_words.c - the report in words. First one line with the verdict,
 * then what the store is and what follows for kernel, data and merge, then what a
 * repair did, then the findings (check_found.c).
 */
#include "tools/snapcheck/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/size_text.h"
#include "tools/common/text.h"
#include "tools/snapcheck/check_pool.h"

const char *check_name(const struct check *check)
{
	if (check->judged)
		return check->judged;
	return roles_are_given(&check->roles) ? roles_name(&check->roles)
					      : cow_image_name(check->cow);
}

bool check_has_damage(const struct check *check)
{
	return cow_report_count(check->report, COW_CLASS_DAMAGE) ||
	       cow_report_count(check->report, COW_CLASS_LOST);
}

bool check_is_unknown(const struct check *check)
{
	return check->verdict.header_only && !check_has_damage(check);
}

/* Of a terminal, without those that follow the report: what the repair could not tell, "next". */
#define SCREEN_LINES 23
/* So many kinds before and after a repair fit a terminal with all that is known of them. */
#define FEW_KINDS 3

/* ---------------------------------------------------------------- verdict */

enum state {
	STATE_UNKNOWN,
	STATE_SOUND,
	STATE_OLDER,
	STATE_DOUBTFUL,
	STATE_DAMAGED,
	STATE_LOST,
};

/* One word for a monitor, the worst first. */
static const char *const state_names[] = {
	[STATE_UNKNOWN] = NULL,
	[STATE_SOUND] = "sound",
	[STATE_OLDER] = "older-store-behind",
	[STATE_DOUBTFUL] = "doubtful",
	[STATE_DAMAGED] = "damaged",
	[STATE_LOST] = "lost",
};

static enum state state(const struct check *check)
{
	const struct cow_verdict *verdict = &check->verdict;

	if (cow_report_count(check->report, COW_CLASS_LOST) || check->repaired.nr_lost)
		return STATE_LOST;
	if (check->repaired.nr_doubtful)
		return STATE_DOUBTFUL;
	/* with one finding of this class, the doubt is all there is */
	if (verdict->is_doubtful && cow_report_count(check->report, COW_CLASS_DAMAGE) == 1)
		return STATE_DOUBTFUL;
	if (cow_report_count(check->report, COW_CLASS_DAMAGE))
		return STATE_DAMAGED;
	if (check_is_unknown(check))
		return STATE_UNKNOWN;
	if (!verdict->view_right)
		return STATE_DAMAGED;
	return verdict->has_older ? STATE_OLDER : STATE_SOUND;
}

const char *check_state(const struct check *check)
{
	return state_names[state(check)];
}

static uint64_t nr_problems(const struct check *check)
{
	return cow_report_count(check->report, COW_CLASS_DAMAGE) +
	       cow_report_count(check->report, COW_CLASS_LOST);
}

/* The worst of what is there now. */
static void print_cause(const struct check *check, FILE *text)
{
	const struct found_kind *worst =
		check_found_worst(check->has_repair ? &check->left : &check->found);
	uint64_t nr_others;

	if (!worst || worst->problem->klass < COW_CLASS_DAMAGE)
		return;
	nr_others = nr_problems(check) - worst->nr;
	fprintf(text, ": %s", worst->problem->summary);
	if (worst->nr > 1)
		fprintf(text, " (%" PRIu64 " times)", worst->nr);
	if (nr_others)
		fprintf(text, "; %" PRIu64 " other %s", nr_others,
			nr_others == 1 ? "problem" : "problems");
}

/* With what is lost without a known place. */
static uint64_t bytes_lost(const struct check *check)
{
	return check->repaired.lost_bytes +
	       check->repaired.nr_unknown * check->verdict.info.chunk_bytes;
}

/* A repair gave something up; or it would. */
static void print_given_up(const struct check *check, FILE *text)
{
	const char *what = check->lost.text ? "pool's devices" : "snapshot";
	uint64_t nr_left = nr_problems(check);
	char size[SIZE_TEXT_BYTES];

	fprintf(text, "%s, but ", check->is_rehearsal ? "can be repaired" : "repaired");
	if (bytes_lost(check))
		fprintf(text, "%s%s of the %s %s lost",
			check->repaired.nr_unknown ? "at least " : "",
			size_round(bytes_lost(check), size), what,
			check->is_rehearsal ? "would be" : "are");
	else
		fprintf(text, "part of the %s %s lost", what,
			check->repaired.nr_lost ? "is" : "may be");
	if (nr_left)
		fprintf(text, "; %" PRIu64 " %s left", nr_left,
			nr_left == 1 ? "problem is" : "problems are");
}

/* A repair took what may not belong there; or it would. */
static void print_doubt(const struct check *check, FILE *text)
{
	const struct cow_repair_result *result = &check->repaired;
	const char *are = check->is_rehearsal ? "would be" : "are";
	char size[SIZE_TEXT_BYTES];

	fprintf(text, "%s, but ", check->is_rehearsal ? "can be repaired" : "repaired");
	if (result->nr_doubtful)
		fprintf(text, "%s of it %s in doubt", size_round(result->doubtful_bytes, size),
			are);
	else
		fprintf(text, "%" PRIu64 " of its exceptions %s in doubt",
			result->nr_appended + result->nr_guessed + result->nr_resized, are);
}

/* The origin is not what the snapshot was taken of, and that is all there is. */
static bool is_foreign(const struct check *check)
{
	uint64_t nr_kinds = 0;
	const struct check_found *found = check->has_repair ? &check->left : &check->found;

	for (size_t i = 0; i < found->nr_kinds; i++)
		nr_kinds += found->kinds[i].problem->klass >= COW_CLASS_DAMAGE;
	return check->origin && check->verdict.doubts_origin &&
	       nr_kinds <= (check->container || check->is_foreign ? 0 : 1);
}

static void print_sound(const struct check *check, FILE *text)
{
	uint64_t nr_notes = cow_report_count(check->report, COW_CLASS_NOTE);

	if (check->has_repaired)
		fprintf(text, "%s: no problems left",
			check->is_rehearsal ? "can be repaired" : "repaired");
	else if (check->verdict.may_have_lost || check->is_short)
		fputs("sound, unless the note below is about this snapshot", text);
	else if (check->verdict.has_older)
		fputs("sound; records of an older store stand behind the list", text);
	else if (nr_notes)
		fprintf(text, "sound, with %" PRIu64 " %s", nr_notes,
			nr_notes == 1 ? "note" : "notes");
	else
		fputs("sound: no problems found", text);
}

static void print_verdict(const struct check *check, const char *name, FILE *text)
{
	enum state now = state(check);

	fprintf(text, "%s: ", name);
	if (check->repaired.nr_lost || check->has_grown) {
		print_given_up(check, text);
	} else if (check_lost_is_doubtful(&check->repaired)) {
		print_doubt(check, text);
	} else if (is_foreign(check)) {
		fprintf(text, "not checked against %s, which does not seem to be its origin",
			cow_image_name(check->origin));
	} else if (now == STATE_UNKNOWN) {
		fputs("the header is sound; the rest was not checked", text);
	} else if (now <= STATE_OLDER) {
		print_sound(check, text);
	} else {
		fputs(now == STATE_LOST ? "data is lost" : state_names[now], text);
		print_cause(check, text);
	}
	fputc('\n', text);
}

/* ---------------------------------------------------------------- what it is */

static bool is_full(const struct cow_store_info *info)
{
	return info->allocated_sectors + info->chunk_bytes / 512 > info->total_sectors;
}

/* 100 only if nothing is left, 0 only if there is nothing. */
static const char *percent(uint64_t part, uint64_t whole, char buf[SIZE_TEXT_BYTES])
{
	unsigned int value = whole ? (unsigned int)((double)part / (double)whole * 100) : 100;

	if (part && !value)
		snprintf(buf, SIZE_TEXT_BYTES, "under 1 %%");
	else
		snprintf(buf, SIZE_TEXT_BYTES, "%u %%", value > 100 ? 100 : value);
	return buf;
}

/* Of a store that knows the length of its view: each chunk is in it or not. */
static void print_chunks(const char *name, const struct cow_store_info *info, FILE *text)
{
	uint64_t nr = info->view_bytes / info->chunk_bytes;
	char size[SIZE_TEXT_BYTES], unit[SIZE_TEXT_BYTES], part[SIZE_TEXT_BYTES];

	nr += info->view_bytes % info->chunk_bytes != 0;
	fprintf(text, "%s: %s of %s, %s of %s, %" PRIu64 " of %" PRIu64 " %s (%s)\n", name,
		info->title, size_round(info->view_bytes, size), info->units,
		size_round(info->chunk_bytes, unit), info->nr_exceptions, nr, info->held,
		percent(info->nr_exceptions, nr, part));
}

static void print_store(const char *name, const struct cow_verdict *verdict, FILE *text)
{
	const struct cow_store_info *info = &verdict->info;
	uint64_t used = info->allocated_sectors * 512, total = info->total_sectors * 512;
	char unit[SIZE_TEXT_BYTES], part[SIZE_TEXT_BYTES], a[SIZE_TEXT_BYTES], b[SIZE_TEXT_BYTES];

	fprintf(text, "%s: %s, chunks of %s, %s full (%s of %s), %" PRIu64 " %s changed\n", name,
		info->title, size_round(info->chunk_bytes, unit), percent(used, total, part),
		size_round(used, a), size_round(total, b), info->nr_exceptions,
		info->nr_exceptions == 1 ? "chunk" : "chunks");
	/* advice for a store that works; what is damaged has other needs */
	if (is_full(info) && verdict->merge_right)
		fprintf(text,
			"%s: full: the next write that needs a chunk invalidates it; merge it, or "
			"make the image larger (truncate -s +SIZE, lvextend) first\n",
			name);
}

/* The numbers as dmsetup(8) prints them. */
static void print_numbers(const struct cow_store_info *info, FILE *text)
{
	fprintf(text, "dmsetup status: %" PRIu64 "/%" PRIu64, info->allocated_sectors,
		info->total_sectors);
	if (info->view_bytes && info->metadata_sectors == info->allocated_sectors)
		fputs(" sectors of metadata\n", text);
	else if (info->view_bytes)
		fprintf(text, " sectors, %" PRIu64 " of them metadata\n", info->metadata_sectors);
	else
		fprintf(text, " %" PRIu64 " (sectors: used/all, metadata)\n",
			info->metadata_sectors);
}

static void print_what(const struct check *check, const char *name, FILE *text)
{
	const struct cow_verdict *verdict = &check->verdict;
	const struct cow_store_info *info = &verdict->info;
	char size[SIZE_TEXT_BYTES];

	if (check_pool_is(verdict))
		check_pool_print(text, name, info);
	else if (verdict->known && info->view_bytes)
		print_chunks(name, info, text);
	else if (verdict->known)
		print_store(name, verdict, text);
	else if (verdict->header_only && info->chunk_bytes)
		fprintf(text, "%s: %s, chunks of %s; the exceptions were not counted\n", name,
			info->title, size_round(info->chunk_bytes, size));
	if (verdict->known && check->is_verbose && !check_pool_is(verdict))
		print_numbers(info, text);
}

/* ---------------------------------------------------------------- what follows */

static const char *kernel_does(const struct check *check)
{
	static const char *const writes_do[] = {
		[COW_KERNEL_WRITES_WORK] = "loads it",
		[COW_KERNEL_WRITES_FAIL] =
			("loads it; the first write that needs a new block fails (EIO or no "
			 "space)"),
		[COW_KERNEL_WRITES_READ_ONLY] =
			"loads it read-only: reads work, writes that need a new block fail (EIO)",
		[COW_KERNEL_WRITES_HARM] =
			"loads it; a write may change or destroy what other devices show",
	};
	const struct cow_verdict *verdict = &check->verdict;

	if (check_is_unknown(check) && verdict->kernel_loads)
		return "not checked, but for the header";
	if (verdict->wiped)
		return "takes it for a new store and wipes what is in it";
	if ((verdict->known || verdict->header_only) && !verdict->valid)
		return "loads it as invalid: every read fails";
	if (verdict->no_kernel)
		return "no kernel has a driver for it";
	if (verdict->kernel_dies == COW_KERNEL_DIES_LOADING)
		return "crashes when it loads it (Linux 6.1)";
	if (verdict->kernel_dies == COW_KERNEL_DIES_WRITING)
		return "loads it, and crashes at the first write (Linux 6.1)";
	return verdict->kernel_loads ? writes_do[verdict->kernel_writes] : "refuses to load it";
}

static const char *data_is(const struct check *check)
{
	if (check_is_unknown(check))
		return "not checked";
	if (!check->verdict.view_right)
		return "not complete, or not right";
	if (check->verdict.may_have_lost || check->is_short)
		return "complete, unless the note below is about this snapshot";
	return "complete, as far as the format can tell";
}

static const char *merge_is(const struct check *check)
{
	const struct cow_verdict *verdict = &check->verdict;

	if (check_is_unknown(check))
		return "not checked";
	if (!verdict->merge_right)
		return verdict->view_right && !verdict->info.view_bytes
			       ? "not in place, only with -o"
			       : "not safe";
	if (verdict->may_have_lost || check->is_short)
		return "safe, unless the note below is about this snapshot";
	return "safe";
}

static void print_verdict_line(const struct check *check, FILE *text)
{
	char *name = text_escape(check_name(check));

	print_verdict(check, name ? name : "COW", text);
	free(name);
}

/* ---------------------------------------------------------------- repair */

static void print_count(uint64_t nr, const char *one, const char *several, FILE *text)
{
	if (nr)
		fprintf(text, ", %" PRIu64 " %s", nr, nr == 1 ? one : several);
}

/* Of a pool, for each device. */
static void print_devices(struct check *check)
{
	bool are_two = check->lost.text && check->doubtful.text;

	check_lost_print_found(&check->regained, &check->repaired, check->text);
	check_lost_print_devices(&check->lost, "lost",
				 "now zeros, or the external origin, are there", are_two,
				 check->text);
	check_lost_print_devices(
		&check->doubtful, "in doubt",
		"the bytes there may be those of another device, or of an earlier commit", are_two,
		check->text);
}

void check_print_repair(struct check *check, const char *where, bool revalidates)
{
	const struct cow_repair_result *result = &check->repaired;
	FILE *text = check->text;
	char size[SIZE_TEXT_BYTES];

	fprintf(text, "repair%s: ", check->is_rehearsal ? ", in memory only" : "");
	fprintf(text, "%" PRIu64 " %s repaired", result->nr_mended,
		result->nr_mended == 1 ? "problem" : "problems");
	print_count(result->nr_dropped, "record dropped", "records dropped", text);
	if (result->lost_bytes)
		fprintf(text, " (%s of the %s lost)", size_round(result->lost_bytes, size),
			check->lost.text ? "pool's devices" : "snapshot");
	print_count(result->nr_copied, "chunk copied", "chunks copied", text);
	if (result->nr_left)
		fprintf(text, "; %" PRIu64 " %s left\n", result->nr_left,
			result->nr_left == 1 ? "problem" : "problems");
	else
		fputs("; no problems left\n", text);
	check_lost_print(&check->lost, result, where, text);
	check_lost_print_doubtful(&check->doubtful, result, text);
	print_devices(check);
	if (revalidates && result->nr_mended)
		fprintf(text, "the store is taken as valid: every write to the origin since it was "
			      "invalidated is missing from it, and it is not known how many\n");
}

/* ---------------------------------------------------------------- the whole */

/* What is left is shown where it says more than the verdict. */
static void print_findings(const struct check *check, FILE *text)
{
	bool are_two = check->has_repair && check->found.nr_kinds;
	bool are_few = check->found.nr_kinds + check->left.nr_kinds <= FEW_KINDS;

	if (!check->has_overview && are_two)
		fprintf(text, "before the repair:\n");
	if (!check->has_overview)
		check_found_print(&check->found,
				  !are_two  ? FOUND_ALONE
				  : are_few ? FOUND_FEW
					    : FOUND_BEFORE,
				  text);
	if (check->left.nr_kinds)
		fprintf(text, "after the repair:\n");
	check_found_print(&check->left, are_few ? FOUND_FEW : FOUND_AFTER, text);
}

static void print_body(const struct check *check, FILE *text)
{
	char *name = text_escape(check_name(check));

	print_verdict_line(check, text);
	print_what(check, name ? name : "COW", text);
	check_fs_print(check, text);
	free(name);
	fprintf(text, "kernel: %s\n", kernel_does(check));
	fprintf(text, "snapshot data: %s\n", data_is(check));
	if (!check_pool_is(&check->verdict))
		fprintf(text, "merge: %s\n", merge_is(check));
	if (!fflush(check->text) && check->notes_len > check->notes_shown)
		/* whether stdout took it is asked at the end */
		(void)!fwrite(check->notes + check->notes_shown, 1,
			      check->notes_len - check->notes_shown, text);
	print_findings(check, text);
}

/* The devices of a pool get what the rest leaves of the screen. */
static void print_report(const struct check *check, FILE *text)
{
	uint64_t nr_lines = check->is_verbose ? UINT64_MAX : SCREEN_LINES;
	char *body = NULL;
	size_t len = 0;
	FILE *to = check->is_verbose ? NULL : open_memstream(&body, &len);

	if (to)
		print_body(check, to);
	if (!to || fclose(to)) { /* also where there was no memory to count its lines */
		print_body(check, text);
	} else {
		fputs(body, text);
		for (const char *at = body; (at = strchr(at, '\n')); at++)
			nr_lines -= nr_lines > 0;
	}
	free(body);
	check_pool_print_devices(check, nr_lines, text);
	if (check->has_repair)
		check_lost_print_end(&check->repaired, check_name(check), text);
}

void check_show(const struct check *check, bool is_quiet, bool is_well)
{
	if (json_is_on_stdout())
		return;
	if (!is_quiet)
		print_report(check, stdout);
	else if (!is_well || check->verdict.may_have_lost || check->is_short)
		print_verdict_line(check, stdout);
}

void check_show_overview(struct check *check)
{
	if (json_is_on_stdout())
		return;
	cli_status_line(NULL);
	print_report(check, stdout);
	(void)fflush(stdout);
	check->notes_shown = check->notes_len;
	check->has_overview = true;
}

bool check_report_open(struct check *check, bool is_verbose, uint64_t max_findings)
{
	check->is_verbose = check->found.keeps_each = check->left.keeps_each = is_verbose;
	check->found.max_shown = check->left.max_shown = max_findings;
	check->text = open_memstream(&check->notes, &check->notes_len);
	return check->text;
}

void check_report_close(struct check *check)
{
	(void)fclose(check->text);
	free(check->notes);
	check_lost_free(&check->lost);
	check_lost_free(&check->doubtful);
	check_lost_free(&check->regained);
	check_found_free(&check->found);
	check_found_free(&check->left);
	cow_report_free(check->report);
	free(check->snapshots);
}
