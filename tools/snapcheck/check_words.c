/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_words.c - prints findings and the verdict, as text and as JSON.
 */
#include "tools/snapcheck/check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tools/common/size_text.h"
#include "tools/common/text.h"
#include "tools/snapcheck/check_pool.h"

static const char *const class_names[] = { "info", "note", "damage", "lost" };
#define NR_CLASSES 4

const char *check_name(const struct check *check)
{
	if (check->made)
		return check->made;
	return roles_are_given(&check->roles) ? roles_name(&check->roles)
					      : cow_image_name(check->cow);
}

static void put_place(struct json_object *at, const char *key, uint64_t value)
{
	if (value == COW_OFFSET_NONE)
		json_put_null(at, key);
	else
		json_put_u64(at, key, value);
}

static void print_finding(FILE *text, const struct cow_finding *finding)
{
	char *sentence = text_escape(finding->sentence);

	fprintf(text, "%s: %s", class_names[finding->problem->klass], finding->problem->id);
	if (finding->offset_bytes != COW_OFFSET_NONE)
		fprintf(text, ", byte %" PRIu64, finding->offset_bytes);
	if (finding->chunk != COW_OFFSET_NONE)
		fprintf(text, " (chunk %" PRIu64 ")", finding->chunk);
	fprintf(text, ": %s\n", sentence ? sentence : finding->sentence);
	if (finding->problem->klass > COW_CLASS_INFO) {
		fprintf(text, "  kernel: %s\n", finding->problem->kernel);
		fprintf(text, "  next: %s\n", finding->problem->fix);
	}
	free(sentence);
}

void check_on_finding(void *user, const struct cow_finding *finding)
{
	struct check *check = user;
	struct json_object *at = json_put_object(check->findings, NULL);

	json_put_text(at, "id", finding->problem->id);
	json_put_text(at, "class", class_names[finding->problem->klass]);
	json_put_text(at, "path", finding->image);
	put_place(at, "offset", finding->offset_bytes);
	put_place(at, "length", finding->len_bytes);
	put_place(at, "chunk", finding->chunk);
	json_put_text(at, "sentence", finding->sentence);
	json_put_text(at, "kernel", finding->problem->kernel);
	json_put_text(at, "fix", finding->problem->fix);
	print_finding(check->text, finding);
}

static bool is_full(const struct cow_store_info *info)
{
	return info->allocated_sectors + info->chunk_bytes / 512 > info->total_sectors;
}

/* Of a store that knows the length of its view: each chunk is in it or not. */
static void print_chunks(FILE *text, const char *name, const struct cow_store_info *info)
{
	uint64_t nr = info->view_bytes / info->chunk_bytes;
	char size[SIZE_TEXT_BYTES];

	nr += info->view_bytes % info->chunk_bytes != 0;
	fprintf(text, "%s: %s of %" PRIu64 " bytes, %s of %s, %" PRIu64 " of %" PRIu64 " %s\n",
		name, info->kind, info->view_bytes, info->units,
		size_round(info->chunk_bytes, size), info->nr_exceptions, nr, info->held);
	if (info->metadata_sectors == info->allocated_sectors)
		fprintf(text, "%s: used/total metadata in sectors: %" PRIu64 "/%" PRIu64 "\n", name,
			info->allocated_sectors, info->total_sectors);
	else
		fprintf(text,
			"%s: used/total in sectors: %" PRIu64 "/%" PRIu64
			", metadata of it: %" PRIu64 "\n",
			name, info->allocated_sectors, info->total_sectors, info->metadata_sectors);
}

static void print_numbers(FILE *text, const char *name, const struct cow_verdict *verdict)
{
	const struct cow_store_info *info = &verdict->info;
	char size[SIZE_TEXT_BYTES];

	if (info->view_bytes) {
		print_chunks(text, name, info);
		return;
	}
	if (info->units) {
		check_pool_print(text, name, info);
		return;
	}
	fprintf(text, "%s: %s store, chunks of %s, %" PRIu64 " exceptions\n", name, info->kind,
		size_round(info->chunk_bytes, size), info->nr_exceptions);
	fprintf(text, "%s: used/total metadata in sectors: %" PRIu64 "/%" PRIu64 " %" PRIu64 "\n",
		name, info->allocated_sectors, info->total_sectors, info->metadata_sectors);
	/* advice for a store that works; what is damaged has other needs */
	if (is_full(info) && verdict->merge_right)
		fprintf(text,
			"%s: full: the next write that needs a chunk invalidates it; merge it, or "
			"make the image larger (truncate -s +SIZE, lvextend) first\n",
			name);
}

/* Nobody counted anything. */
static void print_header(FILE *text, const char *name, const struct cow_store_info *info)
{
	char size[SIZE_TEXT_BYTES];

	fprintf(text, "%s: %s store, chunks of %s; its exceptions were not looked at\n", name,
		info->kind, size_round(info->chunk_bytes, size));
}

static const char *yes_no(bool is_so)
{
	return is_so ? "yes" : "no";
}

static bool has_damage(const struct check *check)
{
	return cow_report_count(check->report, COW_CLASS_DAMAGE) ||
	       cow_report_count(check->report, COW_CLASS_LOST);
}

/* The header is sound, and nobody asked for more. */
static bool is_unknown(const struct check *check)
{
	return check->verdict.header_only && !has_damage(check);
}

static const char *loads(const struct check *check)
{
	const struct cow_verdict *verdict = &check->verdict;

	if (is_unknown(check) && verdict->kernel_loads)
		return "not looked at, but for the header";
	if (verdict->wiped)
		return "only as a new one: what is in it is wiped";
	if ((verdict->known || verdict->header_only) && !verdict->valid)
		return "only as invalid: every read fails";
	if (verdict->no_kernel)
		return "no: no kernel has a driver for it";
	if (verdict->kernel_dies == COW_KERNEL_DIES_LOADING)
		return "no: Linux 6.1 crashes";
	if (verdict->kernel_dies == COW_KERNEL_DIES_WRITING)
		return "yes, but Linux 6.1 crashes at the first write";
	return yes_no(verdict->kernel_loads);
}

/* Of view and merge. */
static const char *is_right(const struct check *check, bool is_so)
{
	if (is_unknown(check))
		return "not looked at";
	if (is_so && (check->verdict.may_have_lost || check->is_short))
		return "yes, unless the note is about this snapshot";
	return yes_no(is_so);
}

void check_print_summary(const struct check *check)
{
	const struct cow_verdict *verdict = &check->verdict;
	char *name = text_escape(check_name(check));

	fprintf(check->text, "findings:");
	for (int klass = NR_CLASSES - 1; klass >= 0; klass--)
		fprintf(check->text, " %" PRIu64 " %s%s", cow_report_count(check->report, klass),
			class_names[klass], klass ? "," : "\n");
	if (verdict->known)
		print_numbers(check->text, name ? name : "COW", verdict);
	else if (verdict->header_only && verdict->info.chunk_bytes)
		print_header(check->text, name ? name : "COW", &verdict->info);
	fprintf(check->text, "will the kernel load this store: %s\n", loads(check));
	fprintf(check->text, "is its view trustworthy: %s\n", is_right(check, verdict->view_right));
	if (!check_pool_is(verdict))
		fprintf(check->text, "would a merge be right: %s\n",
			is_right(check, verdict->merge_right));
	check_pool_print_devices(check);
	free(name);
}

/* One word for a monitor, the worst first; NULL: not looked at. */
static const char *state(const struct check *check)
{
	const struct cow_verdict *verdict = &check->verdict;

	if (cow_report_count(check->report, COW_CLASS_LOST) || check->repaired.nr_lost)
		return "lost";
	if (check->repaired.nr_doubtful)
		return "doubtful";
	/* with one finding of this class, the doubt is all there is */
	if (verdict->is_doubtful && cow_report_count(check->report, COW_CLASS_DAMAGE) == 1)
		return "doubtful";
	if (cow_report_count(check->report, COW_CLASS_DAMAGE))
		return "damaged";
	if (is_unknown(check))
		return NULL;
	if (!verdict->view_right)
		return "damaged";
	return verdict->has_older ? "older-store-behind" : "sound";
}

static void put_answer(struct json_object *at, const char *key, bool is_unlooked, bool is_so)
{
	if (is_unlooked)
		json_put_null(at, key);
	else
		json_put_bool(at, key, is_so);
}

void check_put_verdict(const struct check *check)
{
	struct json_object *counts = json_put_object(json_root(), "counts");
	struct json_object *at = json_put_object(json_root(), "verdict");
	const struct cow_verdict *verdict = &check->verdict;
	static const char *const dies[] = { "never", "loading", "writing" };

	for (int klass = 0; klass < NR_CLASSES; klass++)
		json_put_u64(counts, class_names[klass], cow_report_count(check->report, klass));
	put_answer(at, "kernel_loads", is_unknown(check) && verdict->kernel_loads,
		   verdict->kernel_loads);
	put_answer(at, "view_trustworthy", is_unknown(check), verdict->view_right);
	put_answer(at, "merge_right", is_unknown(check), verdict->merge_right);
	json_put_bool(at, "valid", verdict->valid);
	json_put_bool(at, "may_have_lost", verdict->may_have_lost || check->is_short);
	json_put_bool(at, "origin_in_doubt", verdict->doubts_origin);
	json_put_text(at, "kernel_dies", dies[verdict->kernel_dies]);
	json_put_text(at, "state", state(check));
	if (*verdict->geometry)
		json_put_text(at, "geometry", verdict->geometry);
	at = verdict->known ? json_put_object(json_root(), "store") : NULL;
	json_put_text(at, "kind", verdict->info.kind);
	json_put_u64(at, "chunk_bytes", verdict->info.chunk_bytes);
	json_put_u64(at, "view_bytes", verdict->info.view_bytes);
	json_put_u64(at, "exceptions", verdict->info.nr_exceptions);
	json_put_u64(at, "allocated_sectors", verdict->info.allocated_sectors);
	json_put_u64(at, "total_sectors", verdict->info.total_sectors);
	json_put_u64(at, "metadata_sectors", verdict->info.metadata_sectors);
	if (check_pool_is(verdict))
		check_pool_put(check, at);
}

void check_put_repair(const struct check *check, const char *where, bool is_dry_run,
		      bool revalidates)
{
	const struct cow_repair_result *result = &check->repaired;
	struct json_object *at = json_put_object(json_root(), "repair");

	json_put_text(at, "target", where);
	json_put_bool(at, "written", !is_dry_run);
	json_put_u64(at, "mended", result->nr_mended);
	json_put_u64(at, "left", result->nr_left);
	json_put_u64(at, "records_dropped", result->nr_dropped);
	json_put_u64(at, "chunks_copied", result->nr_copied);
	json_put_bool(at, "data_lost", result->nr_lost != 0);
	json_put_u64(at, "lost_bytes", result->lost_bytes);
	json_put_u64(at, "lost_elsewhere", result->nr_unknown);
	json_put_u64(at, "regions_in_doubt", result->nr_doubtful);
	json_put_u64(at, "bytes_in_doubt", result->doubtful_bytes);
	json_put_u64(at, "appended_in_doubt", result->nr_appended);
	json_put_u64(at, "guessed", result->nr_guessed);
	fprintf(check->text,
		"%s: %" PRIu64 " findings mended, %" PRIu64 " left, %" PRIu64
		" records dropped, %" PRIu64 " chunks copied\n",
		is_dry_run ? "repair, in memory only" : "repair", result->nr_mended,
		result->nr_left, result->nr_dropped, result->nr_copied);
	check_lost_print(&check->lost, result, where, check->text);
	check_lost_print_doubtful(&check->doubtful, result, check->text);
	if (revalidates && result->nr_mended)
		fprintf(check->text,
			"the store is taken as valid: every write to the origin since it was "
			"invalidated is missing from it, and nobody can tell how many\n");
}
