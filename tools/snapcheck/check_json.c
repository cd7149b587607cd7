/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_json.c - the report as members of the JSON object: libcow-json(5).
 */
#include "tools/snapcheck/check.h"
#include "tools/images/images_json.h"
#include "tools/snapcheck/check_pool.h"

#define NR_CLASSES 4

static void put_place(struct json_object *at, const char *key, uint64_t value)
{
	if (value == COW_OFFSET_NONE)
		json_put_null(at, key);
	else
		json_put_u64(at, key, value);
}

void check_on_finding(void *user, const struct cow_finding *finding)
{
	struct check *check = user;
	struct json_object *at;

	if (!check_found_add(check->has_repair ? &check->left : &check->found, finding))
		return;
	at = json_put_object(check->findings, NULL);
	json_put_text(at, "id", finding->problem->id);
	json_put_text(at, "class", check_class_names[finding->problem->klass]);
	json_put_text(at, "path", finding->image);
	put_place(at, "offset_bytes", finding->offset_bytes);
	put_place(at, "length_bytes", finding->len_bytes);
	put_place(at, "chunk", finding->chunk);
	json_put_text(at, "sentence", finding->sentence);
	json_put_text(at, "kernel", finding->problem->kernel);
	json_put_text(at, "fix", finding->problem->fix);
}

void check_put_images(const struct check *check)
{
	if (roles_are_given(&check->roles)) {
		images_json_add_roles(&check->roles);
		return;
	}
	images_json_add("origin", check->origin);
	images_json_add("cow", check->cow);
}

static void put_answer(struct json_object *at, const char *key, bool is_unlooked, bool is_so)
{
	if (is_unlooked)
		json_put_null(at, key);
	else
		json_put_bool(at, key, is_so);
}

static void put_store(const struct check *check)
{
	const struct cow_store_info *info = &check->verdict.info;
	struct json_object *at = json_put_object(json_root(), "store");
	uint64_t nr_chunks = info->view_bytes / info->chunk_bytes;

	nr_chunks += info->view_bytes % info->chunk_bytes != 0;
	json_put_text(at, "kind", info->kind);
	json_put_u64(at, "chunk_bytes", info->chunk_bytes);
	json_put_u64(at, "view_bytes", info->view_bytes);
	json_put_u64(at, "exceptions", info->nr_exceptions);
	json_put_percent(at, "exceptions_percent", info->nr_exceptions, nr_chunks);
	json_put_u64(at, "allocated_bytes", info->allocated_sectors * 512);
	json_put_u64(at, "total_bytes", info->total_sectors * 512);
	json_put_u64(at, "metadata_bytes", info->metadata_sectors * 512);
	json_put_percent(at, "used_percent", info->allocated_sectors, info->total_sectors);
	json_put_u64(at, "allocated_sectors", info->allocated_sectors);
	json_put_u64(at, "total_sectors", info->total_sectors);
	json_put_u64(at, "metadata_sectors", info->metadata_sectors);
	if (check_pool_is(&check->verdict))
		check_pool_put(check, at);
}

void check_put_verdict(const struct check *check)
{
	struct json_object *counts = json_put_object(json_root(), "counts");
	struct json_object *at = json_put_object(json_root(), "verdict");
	const struct cow_verdict *verdict = &check->verdict;
	bool is_unknown = check_is_unknown(check);
	static const char *const dies[] = { "never", "loading", "writing" };
	static const char *const writes[] = { "work", "fail", "read-only", "harm" };

	for (int klass = 0; klass < NR_CLASSES; klass++)
		json_put_u64(counts, check_class_names[klass],
			     cow_report_count(check->report, klass));
	put_answer(at, "kernel_loads", is_unknown && verdict->kernel_loads, verdict->kernel_loads);
	put_answer(at, "view_trustworthy", is_unknown, verdict->view_right);
	put_answer(at, "merge_right", is_unknown, verdict->merge_right);
	json_put_bool(at, "valid", verdict->valid);
	json_put_bool(at, "may_have_lost", verdict->may_have_lost || check->is_short);
	json_put_bool(at, "origin_in_doubt", verdict->doubts_origin);
	json_put_text(at, "kernel_dies", dies[verdict->kernel_dies]);
	json_put_text(at, "kernel_writes", writes[verdict->kernel_writes]);
	json_put_text(at, "state", check_state(check));
	check_fs_put(check);
	if (*verdict->geometry)
		json_put_text(at, "geometry", verdict->geometry);
	if (verdict->known)
		put_store(check);
}

void check_put_repair(const struct check *check, const char *where)
{
	const struct cow_repair_result *result = &check->repaired;
	struct json_object *at = json_put_object(json_root(), "repair");

	json_put_text(at, "target", where);
	json_put_bool(at, "written", !check->is_rehearsal);
	json_put_u64(at, "mended", result->nr_mended);
	json_put_u64(at, "left", result->nr_left);
	json_put_u64(at, "records_dropped", result->nr_dropped);
	json_put_u64(at, "chunks_copied", result->nr_copied);
	json_put_bool(at, "data_lost", result->nr_lost != 0);
	json_put_u64(at, "lost_bytes", result->lost_bytes);
	json_put_u64(at, "lost_elsewhere", result->nr_unknown);
	json_put_u64(at, "regions_in_doubt", result->nr_doubtful);
	json_put_u64(at, "in_doubt_bytes", result->doubtful_bytes);
	json_put_u64(at, "appended_in_doubt", result->nr_appended);
	json_put_u64(at, "resized_in_doubt", result->nr_resized);
	json_put_u64(at, "guessed", result->nr_guessed);
	if (result->nr_found) {
		json_put_u64(at, "found_blocks", result->nr_found);
		json_put_u64(at, "found_transaction", result->found_transaction);
		json_put_u64(at, "found_time", result->found_time);
	}
}
