/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_thin.c - pools that a real kernel made or judged: what each device shows, how
 * many blocks it maps and where it ends are the kernel's, and of damaged metadata the
 * verdict is what the kernel did. Needs openssl, and the folders that
 * COW_FIXTURES and COW_UNPACKED name.
 */
#include <dirent.h>
#include <inttypes.h>

#include "libcow/core/report.h"
#include "libcow/store/thin/thin_problems.h"
#include "libcow/store/thin/thin_store.h"
#include "tests/aids/sha256.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_fixture.h"

/* Of a pool with hundreds of devices so many views are compared. */
#define VIEWS_MAX 2

/* ---------------------------------------------------------------- one check */

struct checked {
	struct cow_verdict verdict;
	struct cow_report *report;
	struct cow_snapshot devices[300];
	size_t nr_devices;
};

static void take_device(void *user, const struct cow_snapshot *device)
{
	struct checked *checked = user;

	CHECK(checked->nr_devices < 300);
	CHECK(!checked->nr_devices || checked->devices[checked->nr_devices - 1].id < device->id);
	checked->devices[checked->nr_devices++] = *device;
}

static void check_run(struct checked *checked, const struct cow_store_args *args)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;

	*checked = (struct checked){ .verdict = COW_VERDICT_INIT };
	callbacks.user = checked;
	params.callbacks = &callbacks;
	params.snapshot = take_device;
	OK(cow_report_new(NULL, 0, &checked->report, err));
	OK(cow_check(args, &params, checked->report, &checked->verdict, err));
}

static const struct cow_snapshot *device_of(const struct checked *checked, uint64_t id)
{
	for (size_t i = 0; i < checked->nr_devices; i++)
		if (checked->devices[i].id == id)
			return &checked->devices[i];
	return NULL;
}

/* ---------------------------------------------------------------- sound pools */

struct pool_test {
	const char *name;
	struct thin_pair pair;
	struct checked checked;
	uint64_t block_sectors;
	int nr_devices, nr_views;
};

/* "thin ID SECTORS ext|- SHA256 MAPPED HIGHEST", as dmsetup status has them. */
static void device_agrees(struct pool_test *t, const char *line)
{
	uint64_t id, sectors, mapped;
	const struct cow_snapshot *device;
	char ext[8], sha256[65], high[32], found[65];
	struct cow_store *store;

	CHECK(sscanf(line, "thin %" SCNu64 " %" SCNu64 " %7s %64s %" SCNu64 " %31s", &id, &sectors,
		     ext, sha256, &mapped, high) == 6);
	t->nr_devices++;
	device = device_of(&t->checked, id);
	CHECK(device);
	CHECK_EQ(device->nr_mapped * t->block_sectors, mapped);
	CHECK_EQ(device->end_bytes / 512, strcmp(high, "-") ? strtoull(high, NULL, 10) + 1 : 0);
	CHECK(!device->is_damaged && device->nr_exclusive <= device->nr_mapped);
	if (t->nr_views++ >= VIEWS_MAX)
		return;
	thin_pair_ask(&t->pair, id, sectors, ext[0] == 'e');
	t->pair.args.flags = COW_STORE_STRICT;
	OK(cow_store_open(&t->pair.args, &store, err));
	sha256_view(store, found);
	if (strcmp(found, sha256))
		fprintf(stderr, "%s: device %" PRIu64 " shows something else\n", t->name, id);
	CHECK(!strcmp(found, sha256));
	cow_store_close(store);
}

/* "... TRANSACTION METADATA_USED/TOTAL DATA_USED/TOTAL HELD ...": the kernel counts its
 * reserve of metadata blocks as used. */
static void status_agrees(struct pool_test *t, const char *line)
{
	const struct cow_store_info *info = &t->checked.verdict.info;
	uint64_t transaction, metadata, metadata_total, data, data_total, reserve;

	CHECK(sscanf(line,
		     "status 0 %*u thin-pool %" SCNu64 " %" SCNu64 "/%" SCNu64 " %" SCNu64
		     "/%" SCNu64,
		     &transaction, &metadata, &metadata_total, &data, &data_total) == 5);
	reserve = metadata_total / 10 < 4096 ? metadata_total / 10 : 4096;
	/* one that has used its reserve up cannot count it twice */
	CHECK(info->metadata_sectors / 8 + reserve == metadata || metadata == metadata_total);
	CHECK_EQ(info->allocated_sectors, data * t->block_sectors);
	CHECK_EQ(info->total_sectors, data_total * t->block_sectors);
	CHECK_EQ(info->chunk_bytes, t->block_sectors * 512);
}

/* A leak, a mark or a held tree is a note; nothing is damage. */
static void findings_agree(const struct pool_test *t)
{
	const struct cow_report *report = t->checked.report;
	uint64_t nr_notes = cow_report_count_id(report, "thin.data-leaked") +
			    cow_report_count_id(report, "thin.needs-check") +
			    cow_report_count_id(report, "thin.metadata-full");

	if (cow_report_count(report, COW_CLASS_DAMAGE))
		fprintf(stderr, "%s: damage\n", t->name);
	CHECK_EQ(cow_report_count(report, COW_CLASS_DAMAGE), 0);
	CHECK_EQ(cow_report_count(report, COW_CLASS_LOST), 0);
	CHECK_EQ(cow_report_count(report, COW_CLASS_NOTE), nr_notes);
	CHECK_EQ(cow_report_count_id(report, "thin.data-leaked"),
		 !strcmp(t->name, "crash-leak-64k"));
	CHECK_EQ(cow_report_count_id(report, "thin.held"), !strncmp(t->name, "held-", 5));
	CHECK(t->checked.verdict.kernel_loads && t->checked.verdict.view_right);
}

static void pool_agrees(const char *name)
{
	struct pool_test t = { .name = name };
	char path[512], line[400], files[3][128];
	FILE *facts;

	snprintf(path, sizeof(path), "%s/thin/%s/facts.txt", thin_fixtures, name);
	facts = fopen(path, "r");
	CHECK(facts);
	snprintf(files[0], sizeof(files[0]), "%s/meta", name);
	snprintf(files[1], sizeof(files[1]), "%s/data", name);
	snprintf(files[2], sizeof(files[2]), "%s/ext", name);
	thin_pair_open(&t.pair, files[0], files[1], strncmp(name, "ext-", 4) ? NULL : files[2]);
	check_run(&t.checked, &t.pair.args);
	while (fgets(line, sizeof(line), facts)) {
		if (!strncmp(line, "block ", 6))
			t.block_sectors = strtoull(line + 6, NULL, 10);
		else if (!strncmp(line, "status ", 7))
			status_agrees(&t, line);
		else
			device_agrees(&t, line);
	}
	CHECK_EQ((uint64_t)t.nr_devices, t.checked.nr_devices);
	CHECK_EQ(t.checked.verdict.info.nr_snapshots, t.checked.nr_devices);
	findings_agree(&t);
	cow_report_free(t.checked.report);
	thin_pair_close(&t.pair);
	fclose(facts);
}

static void pools_show_what_the_kernel_shows(void)
{
	char path[512];
	struct dirent *entry;
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/thin", thin_fixtures);
	dir = opendir(path);
	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "damaged") ||
		    !strcmp(entry->d_name, "lvm-pool"))
			continue;
		pool_agrees(entry->d_name);
		nr++;
	}
	closedir(dir);
	CHECK(nr >= 27);
}

/* ---------------------------------------------------------------- damaged pools */

/* All findings, in the order of the table: "thin.node thin.node-keys". */
static void findings_text(const struct cow_report *report, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (int i = 0; i < THIN_NR_PROBLEMS; i++) {
		const char *id = cow_thin_problem_row((enum thin_problem)i)->problem.id;

		if (cow_report_count_id(report, id))
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? " " : "",
						id + strlen("thin."));
	}
}

/* What follows from the kernel's answers: a case that it loads and reads right may be
 * called right; one that it reads wrong may not. */
static void verdict_agrees(const char *name, const char *load, const char *views,
			   const struct cow_verdict *verdict)
{
	bool is_right = !strcmp(views, "=");

	if (verdict->kernel_loads != !!strcmp(load, "refused") ||
	    verdict->wiped != !strcmp(load, "formats") || (verdict->view_right && !is_right))
		fprintf(stderr, "%s: another verdict than the kernel's\n", name);
	CHECK(verdict->kernel_loads == !!strcmp(load, "refused"));
	CHECK(verdict->wiped == !strcmp(load, "formats"));
	CHECK(!verdict->view_right || is_right);
}

/* CASE, kernel's load, views, our word on the views, our findings. */
static void case_agrees(char *line)
{
	char *name = strtok(line, "\t"), *load = strtok(NULL, "\t"), *views = strtok(NULL, "\t");
	char *word = strtok(NULL, "\t"), *findings = strtok(NULL, "\n");
	char found[400], file[128];
	struct cow_image *shorter = NULL;
	struct thin_pair pair;
	struct checked checked;

	CHECK(name && load && views && word && findings);
	snprintf(file, sizeof(file), "damaged/%s.meta", name);
	thin_pair_open(&pair, file, "damaged/data", NULL);
	if (!strcmp(name, "table-short")) {
		const struct cow_segment segment = { 0, 374 * 65536 };

		OK(cow_image_window_new(pair.images[1], &segment, 1, &shorter, err));
		pair.roles[1].image = shorter;
	}
	check_run(&checked, &pair.args);
	findings_text(checked.report, found, sizeof(found));
	if (strcmp(found, strcmp(findings, "-") ? findings : ""))
		fprintf(stderr, "%s: \"%s\", the table has \"%s\"\n", name, found, findings);
	CHECK(!strcmp(found, strcmp(findings, "-") ? findings : ""));
	CHECK(checked.verdict.view_right == !strcmp(word, "yes"));
	verdict_agrees(name, load, views, &checked.verdict);
	cow_report_free(checked.report);
	cow_image_close(shorter);
	thin_pair_close(&pair);
}

static void damage_is_told_as_the_kernel_would_meet_it(void)
{
	char path[512], line[1000];
	FILE *table;
	int nr = 0;

	snprintf(path, sizeof(path), "%s/thin/damaged/VERDICTS.tsv", thin_fixtures);
	table = fopen(path, "r");
	CHECK(table);
	while (fgets(line, sizeof(line), table)) {
		if (line[0] == '#')
			continue;
		case_agrees(line);
		nr++;
	}
	fclose(table);
	CHECK_EQ(nr, 61);
}

/* By force what can be read is read, and what cannot be is an error, never zeros. */
static void what_is_lost_is_not_zeros(void)
{
	uint64_t nr_right = 0, nr_failed = 0, nr_wrong = 0;
	struct cow_store *store, *sound;
	struct cow_image *view, *sound_view;
	static uint8_t a[65536], b[65536];
	struct cow_err refusal = COW_ERR_INIT;
	struct thin_pair pair, base;

	thin_pair_open(&base, "damaged/sound.meta", "damaged/data", NULL);
	thin_pair_ask(&base, 0, 36608, false);
	OK(cow_store_open(&base.args, &sound, err));
	OK(cow_view_new(NULL, sound, &sound_view, err));
	thin_pair_open(&pair, "damaged/leaf-zero.meta", "damaged/data", NULL);
	thin_pair_ask(&pair, 0, 36608, false);
	CHECK(cow_store_open(&pair.args, &store, &refusal) == -EBADMSG);
	CHECK(!strcmp(refusal.id, "damaged") && !strcmp(refusal.force, "damaged"));
	pair.args.flags = COW_STORE_DAMAGED;
	OK(cow_store_open(&pair.args, &store, err));
	OK(cow_view_new(NULL, store, &view, err));
	for (uint64_t at = 0; at < cow_image_size(view); at += sizeof(a)) {
		OK(cow_image_pread(sound_view, b, sizeof(b), at, err));
		if (cow_image_pread(view, a, sizeof(a), at, NULL))
			nr_failed += sizeof(a) / 512;
		else if (memcmp(a, b, sizeof(a)))
			nr_wrong++;
		else
			nr_right++;
	}
	/* The kernel failed to read as many sectors: VERDICTS.tsv, leaf-zero. */
	CHECK_EQ(nr_failed, 19456);
	CHECK_EQ(nr_wrong, 0);
	CHECK_EQ(nr_right, (36608 - 19456) / 128);
	cow_image_close(view);
	cow_image_close(sound_view);
	cow_store_close(store);
	cow_store_close(sound);
	thin_pair_close(&pair);
	thin_pair_close(&base);
}

/* ---------------------------------------------------------------- handles */

/* Handles on one pool share it; each shows its own device, and the map of any of them
 * can be asked through any other. */
static void handles_share_a_pool(void)
{
	struct cow_store *stores[2];
	struct thin_pair pair;
	uint64_t id = 0, nr = 0;

	thin_pair_open(&pair, "snaps-192k/meta", "snaps-192k/data", NULL);
	thin_pair_ask(&pair, 0, 24576, false);
	OK(cow_store_open(&pair.args, &stores[0], err));
	thin_pair_ask(&pair, 3, 24576, false);
	pair.args.sibling = stores[0];
	OK(cow_store_open(&pair.args, &stores[1], err));
	CHECK(stores[0]->shared == stores[1]->shared);
	CHECK_EQ(stores[0]->shared->nr_handles, 2);
	for (uint64_t at = 0, end; at < stores[1]->view_bytes; at = end) {
		struct cow_extent extent = { 0 };
		struct store_run run;
		bool found = cow_store_next_extent(stores[1], at, &extent);

		OK(cow_store_snapshot_map(stores[0], 3, at, &run, err));
		CHECK_EQ(run.len_bytes, found ? extent.len_bytes : 0);
		if (!found)
			break;
		CHECK_EQ(run.old_bytes, extent.old_bytes);
		CHECK_EQ(run.new_bytes, extent.new_bytes);
		CHECK(run.is_shared == extent.is_shared);
		end = extent.old_bytes + extent.len_bytes;
		nr++;
	}
	CHECK(nr > 10);
	cow_store_close(stores[0]);
	for (nr = 0;; id++, nr++) {
		OK(cow_store_snapshot_next(stores[1], id, &id, err));
		if (id == STORE_SNAPSHOT_NONE)
			break;
	}
	CHECK_EQ(nr, 5);
	cow_store_close(stores[1]);
	thin_pair_close(&pair);
}

/* ---------------------------------------------------------------- the metadata snapshot */

/* It shows what the devices had when it was taken: a device that was made later is not
 * in it. */
static void the_metadata_snapshot_is_read(void)
{
	struct cow_geometry geometry[3] = { { "id", "0" },
					    { "size", "24576s" },
					    { "metadata-snapshot", "yes" } };
	struct cow_err refusal = COW_ERR_INIT;
	char live[65], held[65];
	struct cow_store *store;
	struct thin_pair pair;

	thin_pair_open(&pair, "held-128k/meta", "held-128k/data", NULL);
	pair.args.geometry = geometry;
	pair.args.nr_geometry = 2;
	OK(cow_store_open(&pair.args, &store, err));
	CHECK(strstr(cow_store_note(store, 0), "metadata-snapshot=yes"));
	sha256_view(store, live);
	cow_store_close(store);
	pair.args.nr_geometry = 3;
	OK(cow_store_open(&pair.args, &store, err));
	CHECK(!cow_store_note(store, 0));
	sha256_view(store, held);
	CHECK(strcmp(live, held));
	cow_store_close(store);
	geometry[0].value = "8"; /* made behind its back */
	CHECK(cow_store_open(&pair.args, &store, &refusal) == -ENOENT);
	CHECK(!strcmp(refusal.id, "no-device"));
	thin_pair_close(&pair);
	thin_pair_open(&pair, "snaps-128k/meta", "snaps-128k/data", NULL);
	pair.args.geometry = geometry;
	pair.args.nr_geometry = 3;
	CHECK(cow_store_open(&pair.args, &store, &refusal) == -ENOENT);
	CHECK(!strcmp(refusal.id, "no-metadata-snapshot"));
	thin_pair_close(&pair);
}

/* ---------------------------------------------------------------- bytes */

static void what_is_written_is_read_again(void)
{
	const struct thin_super super = { .flags = 1,
					  .magic = THIN_MAGIC,
					  .version = 2,
					  .time = 5,
					  .transaction_id = UINT64_MAX,
					  .held_root = 9,
					  .data_map = { 1, 2, 3, 4 },
					  .metadata_map = { 5, 6, 7, 8 },
					  .mapping_root = 10,
					  .details_root = 11,
					  .block_sectors = 384,
					  .metadata_block_sectors = 8,
					  .metadata_nr_blocks = 12,
					  .compat_flags = 13,
					  .compat_ro_flags = 14,
					  .incompat_flags = 15 };
	const struct thin_details details = { 1, UINT64_MAX, 3, 4 };
	struct thin_details again;
	struct thin_super read;
	struct pdata_fault fault;
	uint8_t raw[PDATA_BLOCK_BYTES], bytes[THIN_DETAILS_BYTES];

	cow_thin_super_encode(&super, 0, raw);
	cow_pdata_block_check(&cow_thin_super_type, 0, raw, &fault);
	CHECK(!fault.what);
	memset(&read, 0, sizeof(read));
	cow_thin_super_decode(raw, &read);
	CHECK(read.flags == 1 && read.magic == THIN_MAGIC && read.version == 2 && read.time == 5);
	CHECK(read.transaction_id == UINT64_MAX && read.held_root == 9);
	CHECK(!memcmp(&read.data_map, &super.data_map, sizeof(read.data_map)));
	CHECK(!memcmp(&read.metadata_map, &super.metadata_map, sizeof(read.metadata_map)));
	CHECK(read.mapping_root == 10 && read.details_root == 11 && read.block_sectors == 384);
	CHECK(read.metadata_block_sectors == 8 && read.metadata_nr_blocks == 12);
	CHECK(read.compat_flags == 13 && read.compat_ro_flags == 14 && read.incompat_flags == 15);
	cow_thin_details_encode(&details, bytes);
	cow_thin_details_decode(bytes, &again);
	CHECK(again.mapped_blocks == 1 && again.transaction_id == UINT64_MAX);
	CHECK(again.creation_time == 3 && again.snapshotted_time == 4);
}

int main(void)
{
	thin_fixture_begin();
	RUN(what_is_written_is_read_again);
	RUN(pools_show_what_the_kernel_shows);
	RUN(damage_is_told_as_the_kernel_would_meet_it);
	RUN(what_is_lost_is_not_zeros);
	RUN(handles_share_a_pool);
	RUN(the_metadata_snapshot_is_read);
	return test_end();
}
