/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_clone.c - clones that a real kernel made or judged: the view, the hydrated
 * regions and the numbers of the status line are the kernel's, and of damaged
 * metadata the verdict is what the kernel did. Needs openssl, and the
 * folders that COW_FIXTURES and COW_UNPACKED name.
 */
#include <dirent.h>

#include "libcow/core/report.h"
#include "libcow/store/clone/clone_store.h"
#include "tests/aids/clone_fixture.h"
#include "tests/aids/sha256.h"
#include "tests/aids/test.h"

/* hydrated.txt: first region and number of each run. */
static void hydrated_agrees(struct cow_store *store, const char *name, uint64_t nr_hydrated)
{
	uint64_t from = 0, first, nr, sum = 0;
	struct exmap_run found;
	char path[512];
	FILE *list;

	snprintf(path, sizeof(path), "%s/clone/%s/hydrated.txt", clone_fixtures, name);
	list = fopen(path, "r");
	CHECK(list);
	while (fgets(path, sizeof(path), list)) {
		if (path[0] == '#')
			continue;
		CHECK(sscanf(path, "%" SCNu64 " %" SCNu64, &first, &nr) == 2);
		CHECK(cow_store_map_next(store, from, &found));
		CHECK_EQ(found.old_chunk, first);
		CHECK_EQ(found.new_chunk, first);
		CHECK_EQ(found.nr_chunks, nr);
		from = first + nr;
		sum += nr;
	}
	CHECK(!cow_store_map_next(store, from, &found));
	CHECK_EQ(sum, nr_hydrated);
	fclose(list);
}

/* "0 LEN clone 8 USED/TOTAL REGION HYDRATED/REGIONS ..." */
static void status_agrees(struct cow_store *store, const char *status)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	uint64_t len, used, total, region, hydrated, regions;

	CHECK(sscanf(status,
		     "0 %" SCNu64 " clone 8 %" SCNu64 "/%" SCNu64 " %" SCNu64 " %" SCNu64
		     "/%" SCNu64,
		     &len, &used, &total, &region, &hydrated, &regions) == 6);
	CHECK(!cow_store_get_info(store, &info));
	CHECK_EQ(info.view_bytes, len * 512);
	CHECK_EQ(info.allocated_sectors, used * 8);
	CHECK_EQ(info.total_sectors, total * 8);
	CHECK_EQ(info.chunk_bytes, region * 512);
	CHECK_EQ(info.nr_exceptions, hydrated);
	CHECK_EQ((info.view_bytes + info.chunk_bytes - 1) / info.chunk_bytes, regions);
}

/* A table that was replaced while in use, and a device that was formatted twice: trees
 * of other commits have regions that the newest one lacks. */
static bool has_doubt(const char *name)
{
	return !strcmp(name, "handover-lost") || !strcmp(name, "reused-metadata");
}

static void check_says_doubt(const struct cow_report *report, const struct cow_verdict *verdict)
{
	CHECK_EQ(cow_report_count_id(report, "clone.regions-in-doubt"), 1);
	CHECK_EQ(cow_report_count(report, COW_CLASS_DAMAGE), 1);
	CHECK(verdict->known && verdict->kernel_loads && verdict->is_doubtful);
	CHECK(!verdict->view_right && !verdict->merge_right);
}

static void check_says_sound(const struct clone_trio *trio, const char *name)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;

	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_store_clone_ops.check(&trio->args, &params, report, &verdict, err));
	if (has_doubt(name)) {
		check_says_doubt(report, &verdict);
		cow_report_free(report);
		return;
	}
	if (cow_report_count(report, COW_CLASS_DAMAGE) || cow_report_count(report, COW_CLASS_NOTE))
		fprintf(stderr, "%s: findings\n", name);
	CHECK_EQ(cow_report_count(report, COW_CLASS_DAMAGE), 0);
	CHECK_EQ(cow_report_count(report, COW_CLASS_NOTE), 0);
	CHECK(verdict.known && verdict.kernel_loads && verdict.view_right && verdict.merge_right);
	CHECK(!verdict.kernel_dies);
	cow_report_free(report);
}

static void clone_agrees(const char *name)
{
	struct cow_store *store;
	struct clone_trio trio;
	char value[400], sha256[65];

	if (!clone_trio_open(&trio, name, "meta", "source", "dest", 0)) {
		CHECK(!strcmp(name, "two-level"));
		return;
	}
	OK(cow_store_clone_ops.open(&trio.args, &store, err));
	CHECK(clone_fact(name, "meta.txt", "hydrated", value));
	hydrated_agrees(store, name, strtoull(value, NULL, 10));
	CHECK(clone_fact(name, "meta.txt", "kernel_status", value));
	status_agrees(store, value);
	CHECK(clone_fact(name, "meta.txt", "kernel_view_sha256", value));
	sha256_view(store, sha256);
	if (strcmp(sha256, value))
		fprintf(stderr, "%s: another view\n", name);
	CHECK(!strcmp(sha256, value));
	cow_store_close(store);
	check_says_sound(&trio, name);
	clone_trio_close(&trio);
}

static void clones_show_what_the_kernel_shows(void)
{
	char path[512];
	struct dirent *entry;
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/clone", clone_fixtures);
	dir = opendir(path);
	CHECK(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "damaged"))
			continue;
		clone_agrees(entry->d_name);
		nr++;
	}
	closedir(dir);
	CHECK(nr >= 33);
}

/* 8 million regions, a tree with two levels: only the metadata is kept. */
static void a_tree_with_two_levels_is_read(void)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image roles[3];
	struct cow_image *metadata, *zeros;
	struct cow_imageset *set;
	struct cow_store *store;
	char path[256], value[400];
	struct clone_trio trio = { .args = COW_STORE_ARGS_INIT };

	snprintf(path, sizeof(path), "%s/clone/two-level/meta.img", getenv("COW_UNPACKED"));
	OK(cow_imageset_new(&set, err));
	OK(cow_imageset_open(set, path, COW_OPEN_LITERAL, &metadata, err));
	OK(cow_image_zero_new(UINT64_C(65697224) * 512, &zeros, err));
	roles[0] = (struct cow_role_image){ .role = COW_ROLE_METADATA, .image = metadata };
	roles[1] = (struct cow_role_image){ .role = COW_ROLE_SOURCE, .image = zeros };
	roles[2] = (struct cow_role_image){ .role = COW_ROLE_DESTINATION, .image = zeros };
	args.images = roles;
	args.nr_images = 3;
	OK(cow_store_clone_ops.open(&args, &store, err));
	CHECK(clone_fact("two-level", "meta.txt", "kernel_status", value));
	status_agrees(store, value);
	hydrated_agrees(store, "two-level", 8000003);
	cow_store_close(store);
	trio.args = args;
	check_says_sound(&trio, "two-level");
	cow_image_close(metadata);
	cow_image_close(zeros);
	cow_imageset_free(set);
}

/* ---------------------------------------------------------------- damaged */

static int nr_listed; /* images with a list of trees */

struct row {
	char *fields[19];
};

static bool row_read(FILE *table, char *line, size_t size, struct row *ret_row)
{
	char *at = line;
	int nr = 0;

	if (!fgets(line, (int)size, table))
		return false;
	line[strcspn(line, "\n")] = 0;
	for (; at && nr < 19; nr++)
		ret_row->fields[nr] = strsep(&at, "\t");
	CHECK_EQ(nr, 19);
	return true;
}

enum { NAME, BASE, REGION, TARGET, META, LOAD, ERRNO, STATUS, VIEW, VIEW_IS, WROTE, WRITE };

static bool is_sound(const char *name)
{
	return !strcmp(name, "00-clean") || !strcmp(name, "s15-flags-uuid");
}

/* No block of it is damaged: only the trees of other commits tell. */
static bool is_seen_by_trees(const char *name)
{
	return !strcmp(name, "s12-previous") || !strcmp(name, "b15-children-swapped");
}

static void verdict_agrees(const struct row *row, const struct cow_verdict *verdict,
			   const struct cow_report *report)
{
	const char *name = row->fields[NAME], *load = row->fields[LOAD];
	bool has_written =
		!strncmp(row->fields[WRITE], "ok", 2) && !strstr(row->fields[WRITE], "EIO");

	CHECK_EQ(verdict->kernel_loads, !strcmp(load, "yes"));
	CHECK_EQ(verdict->kernel_dies == COW_KERNEL_DIES_LOADING, !strcmp(load, "KERNEL_DIED"));
	CHECK_EQ(verdict->kernel_dies == COW_KERNEL_DIES_WRITING,
		 !strcmp(row->fields[WRITE], "KERNEL_DIED"));
	if (verdict->view_right)
		CHECK(!strcmp(row->fields[VIEW_IS], "right"));
	CHECK(!is_seen_by_trees(name) || cow_report_count_id(report, "clone.regions-in-doubt"));
	if (verdict->merge_right)
		CHECK(has_written);
	CHECK_EQ(verdict->wiped, !strcmp(name, "s14-zero"));
	CHECK_EQ(!cow_report_count(report, COW_CLASS_DAMAGE) &&
			 !cow_report_count(report, COW_CLASS_NOTE),
		 is_sound(name));
}

/* Where the newest tree cannot be reached, all whole trees are listed. */
static void trees_agree(const struct row *row, const struct cow_report *report)
{
	char value[400];
	uint64_t nr = cow_report_count_id(report, "clone.tree-candidate");

	CHECK(clone_fact("damaged", "RECOVERY.tsv", row->fields[NAME], value));
	CHECK(!nr || nr == strtoull(value, NULL, 10));
	if (row->fields[NAME][0] == 's' && strcmp(row->fields[LOAD], "yes") &&
	    strstr(row->fields[ERRNO], "EILSEQ"))
		CHECK(nr);
	nr_listed += nr != 0;
	CHECK_EQ(cow_report_count_id(report, "clone.two-lives"), 0);
}

/* What opens shows what the kernel showed; where only the space map keeps the
 * kernel from loading it, what it showed before. */
static void damaged_view_agrees(const struct clone_trio *trio, const struct row *row)
{
	struct cow_store_args args = trio->args;
	struct cow_store *store;
	char sha256[65], base_view[400];

	CHECK(clone_fact("damaged", "meta.txt", "base a view_sha256", base_view));
	for (int round = 0; round < 2; round++) {
		args.flags = round ? COW_STORE_DAMAGED : 0;
		if (cow_store_clone_ops.open(&args, &store, NULL))
			continue;
		CHECK(!strcmp(row->fields[LOAD], "yes") || row->fields[NAME][0] == 'm');
		if (row->fields[BASE][0] == 'a') {
			sha256_view(store, sha256);
			CHECK(!strcmp(sha256,
				      row->fields[VIEW][0] == '-' ? base_view : row->fields[VIEW]));
		}
		cow_store_close(store);
	}
}

static void damaged_agrees(const struct row *row)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	const char *base = row->fields[BASE];
	struct cow_store_args args;
	struct cow_report *report;
	char files[3][64];
	struct clone_trio trio;

	snprintf(files[0], 64, "%s.meta", row->fields[NAME]);
	/* Of the large base nothing is read but the metadata. */
	snprintf(files[1], 64, "source-%s", "a");
	snprintf(files[2], 64, "dest-%s", "a");
	if (!clone_trio_open(&trio, "damaged", files[0], files[1], files[2], 0))
		exit(1);
	for (int i = 1; base[0] == 'b' && i < 3; i++) {
		cow_image_close(trio.images[i]);
		OK(cow_image_zero_new(UINT64_C(526016) * 512, &trio.images[i], err));
		trio.roles[i].image = trio.images[i];
	}
	trio.geometry[0] = (struct cow_geometry){ CLONE_KEY_REGION, row->fields[REGION] };
	trio.geometry[1] = (struct cow_geometry){ CLONE_KEY_TARGET, row->fields[TARGET] };
	trio.args.geometry = trio.geometry;
	trio.args.nr_geometry = 2;
	OK(cow_report_new(NULL, 0, &report, err));
	/* Zeros on both would prove that no region is in doubt. */
	args = trio.args;
	args.nr_images = base[0] == 'b' ? 1 : args.nr_images;
	OK(cow_store_clone_ops.check(&args, &params, report, &verdict, err));
	test_name = row->fields[NAME];
	verdict_agrees(row, &verdict, report);
	trees_agree(row, report);
	damaged_view_agrees(&trio, row);
	cow_report_free(report);
	clone_trio_close(&trio);
}

static void damaged_clones_are_judged_as_the_kernel_did(void)
{
	char path[512], *line = malloc(65536);
	struct row row;
	FILE *table;
	int nr = 0;

	snprintf(path, sizeof(path), "%s/clone/damaged/KERNEL-VERDICTS.tsv", clone_fixtures);
	table = fopen(path, "r");
	CHECK(table && line);
	CHECK(row_read(table, line, 65536, &row));
	while (row_read(table, line, 65536, &row)) {
		/* images of other sizes: made in a test of their own */
		if (row.fields[NAME][0] == 'z')
			continue;
		damaged_agrees(&row);
		nr++;
	}
	CHECK(nr >= 45 && nr_listed >= 12);
	fclose(table);
	free(line);
}

/* Metadata whose superblock is lost: what the trees on it say. */
static uint64_t lives_of(const char *name, uint64_t *ret_nr_trees)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image role = { .role = COW_ROLE_METADATA };
	struct cow_report *report;
	struct clone_trio trio;
	uint64_t nr;

	CHECK(clone_trio_open(&trio, name, "meta", "source", "dest", 0));
	OK(cow_image_overlay_new(trio.images[0], &role.image, err));
	OK(cow_image_write_zeroes(role.image, 0, 4096, err));
	args.kind = "clone";
	args.images = &role;
	args.nr_images = 1;
	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(&args, &params, report, &verdict, err));
	CHECK(verdict.wiped && !verdict.view_right);
	nr = cow_report_count_id(report, "clone.two-lives");
	*ret_nr_trees = cow_report_count_id(report, "clone.tree-candidate");
	cow_report_free(report);
	cow_image_close(role.image);
	clone_trio_close(&trio);
	return nr;
}

static void two_lives_of_a_device_are_told_apart(void)
{
	uint64_t nr_trees;

	CHECK_EQ(lives_of("writes-before-r8", &nr_trees), 0);
	CHECK(nr_trees > 3);
	CHECK_EQ(lives_of("handover-lost", &nr_trees), 1);
	CHECK(nr_trees > 1);
}

static void a_device_of_zeros_is_no_clone(void)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image role = { .role = COW_ROLE_METADATA };

	args.kind = "clone";
	args.images = &role;
	args.nr_images = 1;
	OK(cow_image_zero_new(1 << 20, &role.image, err));
	FAILS(-EMEDIUMTYPE, cow_check(&args, &params, NULL, &verdict, err));
	cow_image_close(role.image);
}

static void a_table_of_other_sizes_is_refused(void)
{
	struct cow_store *store = NULL;
	struct cow_err why = COW_ERR_INIT;
	struct clone_trio trio;

	CHECK(clone_trio_open(&trio, "half-r8", "meta", "source", "dest", 0));
	trio.args.geometry = trio.geometry;
	trio.args.nr_geometry = 1;
	trio.geometry[0] = (struct cow_geometry){ "region", "8" };
	OK(cow_store_open(&trio.args, &store, err));
	cow_store_close(store);
	trio.geometry[0] = (struct cow_geometry){ "region", "16" };
	CHECK(cow_store_open(&trio.args, &store, &why) == -EINVAL);
	CHECK(!strcmp(why.id, "table"));
	clone_trio_close(&trio);
}

static void images_that_are_too_small_are_refused(void)
{
	struct cow_store *store = NULL;
	struct cow_err why = COW_ERR_INIT;
	struct cow_segment half = { 0, 0 };
	struct cow_image *whole, *cut;
	struct clone_trio trio;

	CHECK(clone_trio_open(&trio, "half-r8", "meta", "source", "dest", 0));
	for (size_t i = 0; i < 3; i++) {
		if (trio.roles[i].role == COW_ROLE_METADATA)
			continue;
		whole = trio.roles[i].image;
		half.len_bytes = cow_image_size(whole) / 2;
		OK(cow_image_window_new(whole, &half, 1, &cut, err));
		trio.roles[i].image = cut;
		CHECK(cow_store_open(&trio.args, &store, &why) == -ERANGE);
		CHECK(!strcmp(why.id, "bounds"));
		trio.roles[i].image = whole;
		cow_image_close(cut);
	}
	clone_trio_close(&trio);
}

/* Its checksum is right. */
static void a_superblock_with_no_regions_is_refused(void)
{
	struct cow_store *store = NULL;
	uint8_t raw[PDATA_BLOCK_BYTES];
	struct clone_super super;
	struct cow_image *overlay;
	struct clone_trio trio;

	CHECK(clone_trio_open(&trio, "half-r8", "meta", "source", "dest", 0));
	OK(cow_image_overlay_new(trio.images[0], &overlay, err));
	OK(cow_image_pread(overlay, raw, sizeof(raw), 0, err));
	for (uint64_t sectors = 0; sectors < 8; sectors += 3) {
		cow_clone_super_decode(raw, &super);
		super.region_sectors = sectors;
		cow_clone_super_encode(&super, raw);
		OK(cow_image_pwrite(overlay, raw, sizeof(raw), 0, err));
		for (size_t i = 0; i < 3; i++)
			if (trio.roles[i].role == COW_ROLE_METADATA)
				trio.roles[i].image = overlay;
		FAILS(-EBADMSG, cow_store_open(&trio.args, &store, err));
	}
	cow_image_close(overlay);
	clone_trio_close(&trio);
}

int main(void)
{
	clone_fixture_begin();
	RUN(clones_show_what_the_kernel_shows);
	RUN(a_tree_with_two_levels_is_read);
	RUN(damaged_clones_are_judged_as_the_kernel_did);
	RUN(two_lives_of_a_device_are_told_apart);
	RUN(a_device_of_zeros_is_no_clone);
	RUN(a_table_of_other_sizes_is_refused);
	RUN(images_that_are_too_small_are_refused);
	RUN(a_superblock_with_no_regions_is_refused);
	clone_fixture_end();
	return test_end();
}
