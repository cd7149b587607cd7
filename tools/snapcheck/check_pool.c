/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_pool.c - a store that holds many snapshots: its numbers, and for each snapshot
 * how many blocks it maps, and how many of them would be free without it.
 */
#include "tools/snapcheck/check_pool.h"

#include <inttypes.h>

#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/common/size_text.h"

void check_pool_take(void *user, const struct cow_snapshot *snapshot)
{
	struct check *check = user;
	struct cow_snapshot *larger = cow_array_grow(check->snapshots, check->nr_snapshots,
						     &check->snapshots_capacity, sizeof(*larger));

	if (!larger) {
		cli_warn("no memory for device %" PRIu64 ": it is missing from the list",
			 snapshot->id);
		return;
	}
	check->snapshots = larger;
	larger[check->nr_snapshots++] = *snapshot;
}

bool check_pool_is(const struct cow_verdict *verdict)
{
	return verdict->known && verdict->info.units && !verdict->info.view_bytes;
}

void check_pool_print(FILE *text, const char *name, const struct cow_store_info *info)
{
	char size[SIZE_TEXT_BYTES];

	fprintf(text,
		"%s: %s pool, %s of %s, %" PRIu64 " device%s, %" PRIu64 " mapping%s (each counted "
		"once)\n",
		name, info->kind, info->units, size_round(info->chunk_bytes, size),
		info->nr_snapshots, info->nr_snapshots == 1 ? "" : "s", info->nr_exceptions,
		info->nr_exceptions == 1 ? "" : "s");
	fprintf(text,
		"%s: used/total data in sectors: %" PRIu64 "/%" PRIu64 ", used metadata: %" PRIu64
		"\n",
		name, info->allocated_sectors, info->total_sectors, info->metadata_sectors);
}

/* The end of the line of a device. */
static void print_damage(const struct cow_snapshot *s, uint64_t block_bytes, FILE *text)
{
	char size[SIZE_TEXT_BYTES];

	if (s->nr_lost)
		fprintf(text, "  damaged: %s of it cannot be read",
			size_round(s->nr_lost * block_bytes, size));
	else if (s->is_damaged)
		fputs("  damaged: some of it was not read", text);
	fputc('\n', text);
}

static void print_device(const struct cow_snapshot *s, uint64_t block_bytes, FILE *text)
{
	fprintf(text,
		"%10" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %11" PRIu64
		" %11" PRIu64,
		s->id, s->nr_mapped, s->nr_exclusive, s->nr_mapped - s->nr_exclusive, s->created,
		s->snapshotted, s->transaction_id);
	print_damage(s, block_bytes, text);
}

static bool is_damaged(const struct cow_snapshot *s)
{
	return s->is_damaged || s->nr_lost;
}

static size_t nr_damaged(const struct check *check)
{
	size_t nr = 0;

	for (size_t i = 0; i < check->nr_snapshots; i++)
		nr += is_damaged(&check->snapshots[i]);
	return nr;
}

/* What the list leaves out. */
static void print_rest(const struct check *check, size_t nr_shown, FILE *text)
{
	size_t nr = nr_damaged(check);

	if (nr_shown == check->nr_snapshots)
		return;
	fprintf(text, "%s%zu %sdevice%s", nr_shown ? "  and " : "", check->nr_snapshots - nr_shown,
		nr_shown ? "more " : "", check->nr_snapshots - nr_shown == 1 ? "" : "s");
	if (nr > nr_shown)
		fprintf(text, ", %zu of them damaged", nr - nr_shown);
	fputs(" (-v lists each)\n", text);
}

/* All in the order of their ids where they fit; else those that are damaged come first. */
void check_pool_print_devices(const struct check *check, uint64_t nr_lines, FILE *text)
{
	bool is_cut = check->nr_snapshots + 1 > nr_lines;
	size_t nr_shown = 0, room = check->nr_snapshots;

	if (!check_pool_is(&check->verdict) || !check->nr_snapshots)
		return;
	if (is_cut) /* the head, and the line of what is left out */
		room = nr_lines > 2 ? (size_t)nr_lines - 2 : 0;
	if (room)
		fprintf(text, "%10s %12s %12s %12s %10s %11s %11s\n", "device", "mapped",
			"exclusive", "shared", "created", "snapshotted", "transaction");
	for (int wants_damaged = 1; wants_damaged >= 0; wants_damaged--) {
		for (size_t i = 0; i < check->nr_snapshots && nr_shown < room; i++) {
			if (is_cut ? is_damaged(&check->snapshots[i]) != wants_damaged
				   : !wants_damaged)
				continue;
			print_device(&check->snapshots[i], check->verdict.info.chunk_bytes, text);
			nr_shown++;
		}
	}
	print_rest(check, nr_shown, text);
}

void check_pool_put(const struct check *check, struct json_object *at)
{
	struct json_object *list = json_put_array(at, "devices");
	uint64_t block_bytes = check->verdict.info.chunk_bytes;

	json_put_u64(at, "snapshots", check->verdict.info.nr_snapshots);
	for (size_t i = 0; i < check->nr_snapshots; i++) {
		const struct cow_snapshot *s = &check->snapshots[i];
		struct json_object *item = json_put_object(list, NULL);

		json_put_u64(item, "id", s->id);
		json_put_u64(item, "mapped_bytes", s->nr_mapped * block_bytes);
		json_put_u64(item, "exclusive_bytes", s->nr_exclusive * block_bytes);
		json_put_u64(item, "shared_bytes", (s->nr_mapped - s->nr_exclusive) * block_bytes);
		json_put_u64(item, "mapped_blocks", s->nr_mapped);
		json_put_u64(item, "exclusive_blocks", s->nr_exclusive);
		json_put_u64(item, "shared_blocks", s->nr_mapped - s->nr_exclusive);
		json_put_u64(item, "end_bytes", s->end_bytes);
		json_put_u64(item, "transaction", s->transaction_id);
		json_put_u64(item, "created", s->created);
		json_put_u64(item, "snapshotted", s->snapshotted);
		json_put_bool(item, "damaged", s->is_damaged);
		json_put_u64(item, "lost_blocks", s->nr_lost);
	}
}
