/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * test_snaplog.c - the log devices of 2001. No kernel can judge them: logs that
 * an independent program made, with the views and faults that it knows, and a naive
 * reader in this test. What a power cut leaves is in tests/crash/crash_snaplog.c.
 * Needs openssl, and the folders that COW_FIXTURES and COW_UNPACKED name.
 */
#include <dirent.h>
#include <unistd.h>

#include "libcow/base/bytes.h"
#include "libcow/core/report.h"
#include "libcow/store/snaplog/snaplog_guess.h"
#include "libcow/store/snaplog/snaplog_store.h"
#include "tests/aids/crash.h"
#include "tests/aids/sha256.h"
#include "tests/aids/snaplog_build.h"
#include "tests/aids/test.h"

static char folder[] = "/dev/shm/cow-snaplog-XXXXXX";
static const char *fixtures;

/* ---------------------------------------------------------------- fixtures */

struct fixture {
	char name[64];
	char text[7][80]; /* values of the geometry */
	struct cow_geometry geometry[7];
	unsigned int nr_logs;
	struct cow_image *images[1 + SNAPLOG_BUILD_LOGS]; /* the source, then the logs */
	uint8_t *bytes[1 + SNAPLOG_BUILD_LOGS];
	struct cow_role_image roles[1 + SNAPLOG_BUILD_LOGS];
	struct cow_store_args args;
};

static void fact(const char *name, const char *key, char ret_value[80])
{
	char path[512], line[512];
	size_t len = strlen(key);
	FILE *from;

	snprintf(path, sizeof(path), "%s/snaplog/%s/meta.txt", fixtures, name);
	from = fopen(path, "r");
	CHECK(from);
	while (fgets(line, sizeof(line), from))
		if (!strncmp(line, key, len) && line[len] == ' ') {
			snprintf(ret_value, 80, "%.*s", (int)strcspn(line + len + 1, "\n"),
				 line + len + 1);
			fclose(from);
			return;
		}
	fprintf(stderr, "%s: no %s\n", name, key);
	exit(1);
}

static uint64_t number(const char *name, const char *key)
{
	char value[80];

	fact(name, key, value);
	return strtoull(value, NULL, 10);
}

static void sha256(const void *bytes, uint64_t nr, char ret_sha256[SHA256_HEX_BYTES])
{
	struct sha256 sum;

	sha256_begin(&sum);
	sha256_add(&sum, bytes, nr);
	sha256_end(&sum, ret_sha256);
}

static uint8_t *unpack(const char *name, const char *file, uint64_t nr)
{
	uint8_t *bytes = malloc(nr + 1);
	char path[700];
	FILE *from;

	snprintf(path, sizeof(path), "%s/snaplog/%s/%s.img", getenv("COW_UNPACKED"), name, file);
	from = fopen(path, "r");
	CHECK(bytes && from);
	CHECK_EQ(fread(bytes, 1, nr + 1, from), nr);
	fclose(from);
	return bytes;
}

static void image_unpack(struct fixture *f, unsigned int i, const char *file, uint64_t nr)
{
	char key[32], wanted[80], found[65];

	f->bytes[i] = unpack(f->name, file, nr);
	snprintf(key, sizeof(key), "%s_sha256", file);
	fact(f->name, key, wanted);
	sha256(f->bytes[i], nr, found);
	CHECK(!strcmp(wanted, found));
	OK(crash_flat_new(f->bytes[i], nr, file, &f->images[i], err));
	f->roles[i].role = i ? COW_ROLE_LOG : COW_ROLE_SOURCE;
	f->roles[i].index = i ? i - 1 : 0;
	f->roles[i].image = f->images[i];
}

static void fixture_open(struct fixture *f, const char *name)
{
	static const char *const keys[7][2] = {
		{ "block", "block_size" }, { "word", "word_size" }, { "endian", "endian" },
		{ "key", "key" },	   { "bitmap", "bitmap" },  { "map", "map" },
		{ "count", "count" },
	};
	char value[80], key[32], file[32];

	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "%s", name);
	for (int i = 0; i < 7; i++) {
		fact(name, keys[i][1], value);
		snprintf(f->text[i], sizeof(f->text[i]), "%s", value);
		f->geometry[i] = (struct cow_geometry){ keys[i][0], f->text[i] };
	}
	f->nr_logs = (unsigned int)number(name, "logs");
	CHECK(f->nr_logs <= SNAPLOG_BUILD_LOGS);
	image_unpack(f, 0, "source", 512 * number(name, "source_sectors"));
	for (unsigned int i = 0; i < f->nr_logs; i++) {
		snprintf(key, sizeof(key), "log%u_bytes", i);
		snprintf(file, sizeof(file), "log%u", i);
		image_unpack(f, 1 + i, file, number(name, key));
	}
	f->args = (struct cow_store_args)COW_STORE_ARGS_INIT;
	f->args.kind = "snaplog";
	f->args.images = f->roles;
	f->args.nr_images = 1 + f->nr_logs;
	f->args.geometry = f->geometry;
	f->args.nr_geometry = 7;
}

static void fixture_close(struct fixture *f)
{
	for (unsigned int i = 0; i <= f->nr_logs; i++) {
		cow_image_close(f->images[i]);
		free(f->bytes[i]);
	}
}

static void each_fixture(void (*call)(struct fixture *f))
{
	struct dirent *entry;
	char path[512];
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/snaplog", fixtures);
	dir = opendir(path);
	CHECK(dir);
	while ((entry = readdir(dir))) {
		struct fixture f;

		if (entry->d_name[0] == '.')
			continue;
		fixture_open(&f, entry->d_name);
		call(&f);
		fixture_close(&f);
		nr++;
	}
	closedir(dir);
	CHECK_EQ(nr, 23);
}

static uint8_t *view_read(struct cow_store *store, uint64_t *ret_bytes)
{
	struct cow_image *view;
	uint8_t *bytes;

	OK(cow_view_new(store->origin, store, &view, err));
	*ret_bytes = cow_image_size(view);
	bytes = malloc(*ret_bytes);
	CHECK(bytes);
	OK(cow_image_pread(view, bytes, *ret_bytes, 0, err));
	cow_image_close(view);
	return bytes;
}

static void view_agrees(struct fixture *f, uint32_t flags)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	char wanted[80], found[65];
	struct cow_store *store;
	uint64_t nr;
	uint8_t *view;

	f->args.flags = flags;
	OK(cow_store_open(&f->args, &store, err));
	view = view_read(store, &nr);
	sha256(view, nr, found);
	fact(f->name, "view_sha256", wanted);
	if (strcmp(wanted, found) != 0)
		fprintf(stderr, "%s: another view\n", f->name);
	CHECK(!strcmp(wanted, found));
	CHECK(!cow_store_get_info(store, &info));
	CHECK_EQ(info.nr_exceptions, number(f->name, "stored_blocks"));
	CHECK_EQ(info.view_bytes, nr);
	free(view);
	cow_store_close(store);
}

/* A fault as problems.txt has it. */
static int fault_print(void *user, const struct snaplog_fault *fault, struct cow_err *err)
{
	const char *id = cow_snaplog_problem_row(fault->problem)->problem.id + strlen("snaplog.");
	FILE *to = (FILE *)user;

	(void)err;
	if (fault->problem == SNAPLOG_EARLIER_LOG_NOT_FULL)
		fprintf(to, "%s %zu\n", id, fault->log);
	else if (fault->problem == SNAPLOG_ON_TWO_LOGS)
		fprintf(to, "%s %" PRIu64 " %zu %zu\n", id, fault->key, fault->other_log,
			fault->log);
	else if (fault->problem == SNAPLOG_HOLE)
		for (uint64_t i = 0; i < fault->nr; i++)
			fprintf(to, "%s %zu %" PRIu64 "\n", id, fault->log, fault->value + i);
	else if (fault->problem == SNAPLOG_VALUE_TWICE)
		fprintf(to, "%s %zu %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", id, fault->log,
			fault->key, fault->other_key, fault->value);
	else if (fault->problem == SNAPLOG_VALUE_OUT_OF_RANGE)
		fprintf(to, "%s %zu %" PRIu64 " %" PRIu64 "\n", id, fault->log, fault->key,
			fault->value);
	else
		fprintf(to, "%s %zu %" PRIu64 "\n", id, fault->log, fault->key);
	return 0;
}

static void faults_agree(struct fixture *f)
{
	struct snaplog_logs logs = { .source_bytes = f->images[0]->size_bytes };
	char command[1400];
	struct snaplog_judge judge = { .fault = fault_print };
	struct cow_exmap *map;
	uint32_t given;
	FILE *to;

	snprintf(command, sizeof(command),
		 "sort >%s/found; grep -v '^#' '%s/snaplog/%s/problems.txt' | sort | "
		 "diff - %s/found",
		 folder, fixtures, f->name, folder);
	to = popen(command, "w");
	CHECK(to);
	judge.user = to;
	OK(cow_snaplog_logs_init(&logs, &f->args, err));
	OK(cow_snaplog_geometry_read(&f->args, &logs.geometry, &given, err));
	CHECK_EQ(given, SNAPLOG_ALL_KEYS);
	OK(cow_snaplog_geometry_lay_out(&logs.geometry, logs.source_bytes, err));
	CHECK_EQ(logs.geometry.bitmap_blocks, number(f->name, "bitmap_blocks"));
	CHECK_EQ(logs.geometry.map_blocks, number(f->name, "map_blocks"));
	CHECK_EQ(logs.geometry.data_base, number(f->name, "data_base"));
	cow_snaplog_logs_measure(&logs);
	OK(cow_exmap_new(&map, err));
	OK(cow_snaplog_load(&logs, &judge, map, err));
	cow_exmap_free(map);
	free(logs.logs);
	CHECK(!pclose(to));
}

static void verdict_of(const struct cow_store_args *args, struct cow_report **ret_report,
		       struct cow_verdict *verdict)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;

	params.flags = COW_CHECK_EMPTY;
	*verdict = (struct cow_verdict)COW_VERDICT_INIT;
	OK(cow_report_new(NULL, 0, ret_report, err));
	OK(cow_check(args, &params, *ret_report, verdict, err));
}

/* The report has each fault, and the verdict follows. */
static void check_agrees(struct fixture *f)
{
	uint64_t nr_problems = number(f->name, "problems"), nr = 0;
	struct cow_verdict verdict;
	struct cow_report *report;
	char value[80];

	verdict_of(&f->args, &report, &verdict);
	for (int klass = 0; klass < 4; klass++)
		nr += cow_report_count(report, klass);
	CHECK_EQ(nr, nr_problems);
	CHECK(verdict.known && verdict.valid && !verdict.kernel_loads);
	CHECK_EQ(verdict.info.nr_exceptions, number(f->name, "stored_blocks"));
	fact(f->name, "view_is_the_old_source", value);
	if (!nr_problems)
		CHECK(verdict.view_right && verdict.merge_right);
	/* what is said to be right is what the source was, unless a bit was lost */
	if (verdict.view_right && strcmp(f->name, "d-hole") != 0)
		CHECK(!strcmp(value, "yes"));
	CHECK_EQ(verdict.is_doubtful, !strcmp(f->name, "d-gap-between-logs"));
	CHECK_EQ(verdict.empty, strcmp(f->name, "empty") == 0 ? COW_EMPTY_YES
				: verdict.is_doubtful	      ? COW_EMPTY_HOLDS
				: cow_report_count(report, COW_CLASS_DAMAGE) ||
						cow_report_count(report, COW_CLASS_LOST)
					? COW_EMPTY_DAMAGED
					: COW_EMPTY_HOLDS);
	cow_report_free(report);
}

static void fixture_agrees(struct fixture *f)
{
	view_agrees(f, COW_STORE_DAMAGED);
	faults_agree(f);
	check_agrees(f);
}

static void fixtures_show_what_their_maker_says(void)
{
	each_fixture(fixture_agrees);
}

/* Damage is refused, a doubt where it was asked for. */
static void fixture_refused(struct fixture *f)
{
	struct cow_verdict verdict;
	struct cow_report *report;
	struct cow_store *store;

	verdict_of(&f->args, &report, &verdict);
	f->args.flags = COW_STORE_STRICT;
	if (verdict.is_doubtful) {
		FAILS(-EBADMSG, cow_store_open(&f->args, &store, err));
		f->args.flags = 0;
		OK(cow_store_open(&f->args, &store, err));
		cow_store_close(store);
	} else if (cow_report_count(report, COW_CLASS_DAMAGE) ||
		   cow_report_count(report, COW_CLASS_LOST)) {
		FAILS(-EBADMSG, cow_store_open(&f->args, &store, err));
	} else {
		view_agrees(f, COW_STORE_STRICT);
	}
	cow_report_free(report);
}

static void what_is_damaged_is_refused(void)
{
	each_fixture(fixture_refused);
}

/* Is the geometry found, or is it said that it cannot be told? */
static void fixture_guessed(struct fixture *f)
{
	struct snaplog_logs logs = { .source_bytes = f->images[0]->size_bytes };
	const struct snaplog_reading *best;
	struct snaplog_readings readings;
	struct snaplog_geometry geometry;
	struct cow_verdict verdict;
	struct cow_report *report;
	uint32_t given;
	bool is_found;

	f->args.nr_geometry = 0;
	OK(cow_snaplog_logs_init(&logs, &f->args, err));
	OK(cow_snaplog_geometry_read(&f->args, &geometry, &given, err));
	OK(cow_snaplog_guess(&logs, &geometry, given, NULL, &readings, err));
	best = cow_snaplog_guess_best(&readings);
	is_found = best;
	CHECK_EQ(readings.is_empty, !strcmp(f->name, "empty"));
	if (!best)
		CHECK(!strcmp(f->name, "empty"));
	verdict_of(&f->args, &report, &verdict);
	CHECK_EQ(cow_report_count_id(report, "snaplog.geometry-guessed"), is_found);
	CHECK_EQ(cow_report_count_id(report, "snaplog.geometry-candidate"), readings.nr);
	CHECK_EQ(cow_report_count_id(report, "snaplog.geometry-unknown"),
		 !is_found && !readings.is_empty);
	CHECK_EQ(verdict.info.nr_exceptions, number(f->name, "stored_blocks"));
	if (best) {
		char values[3][24];

		snprintf(values[0], 24, "%" PRIu64, best->geometry.block_bytes);
		snprintf(values[1], 24, "%" PRIu64, best->geometry.word_bytes);
		snprintf(values[2], 24, "%" PRIu64, best->geometry.count);
		f->geometry[0].value = values[0];
		f->geometry[1].value = values[1];
		f->geometry[2].value = best->geometry.is_big_endian ? "big" : "little";
		f->geometry[3].value = best->geometry.has_sector_keys ? "sector" : "block";
		f->geometry[4].value = best->geometry.has_byte_bitmap ? "bytes" : "packed";
		f->geometry[5].value = best->geometry.has_full_maps ? "full" : "half";
		f->geometry[6].value = values[2];
		f->args.nr_geometry = 7;
		view_agrees(f, COW_STORE_DAMAGED);
	}
	cow_report_free(report);
	free(readings.readings);
	free(logs.logs);
}

static void the_geometry_is_found(void)
{
	each_fixture(fixture_guessed);
}

/* ---------------------------------------------------------------- rolling back */

static void merge(struct cow_store *store, uint64_t batch, uint64_t epoch, uint64_t *ret_nr_flushes)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;

	params.batch_bytes = batch;
	params.epoch_bytes = epoch;
	OK(cow_merge(store, &params, &result, err));
	CHECK_EQ(result.nr_left, 0);
	*ret_nr_flushes = result.nr_flushes;
}

static uint64_t flushes_of(const struct fixture *f)
{
	uint64_t nr = 0;

	for (unsigned int i = 0; i <= f->nr_logs; i++) {
		struct cow_image_stats stats = COW_IMAGE_STATS_INIT;

		cow_image_get_stats(f->images[i], &stats);
		nr += stats.nr_flushes;
	}
	return nr;
}

/* Only bits of the bitmap are cleared. */
static void log_untouched(const struct fixture *f, unsigned int i, const uint8_t *before)
{
	uint64_t bitmap = number(f->name, "bitmap_blocks") * number(f->name, "block_size");

	CHECK(is_all_zero(f->bytes[i], bitmap));
	CHECK(!memcmp(f->bytes[i] + bitmap, before + bitmap, f->images[i]->size_bytes - bitmap));
}

static void fixture_rolled_back(struct fixture *f)
{
	uint8_t *before[1 + SNAPLOG_BUILD_LOGS] = { NULL };
	struct cow_store *store;
	char wanted[80], found[65];
	uint64_t nr, nr_flushes;

	f->args.flags = 0;
	if (cow_store_open(&f->args, &store, NULL))
		return; /* damaged */
	for (unsigned int i = 0; i <= f->nr_logs; i++) {
		before[i] = malloc(f->images[i]->size_bytes);
		CHECK(before[i]);
		memcpy(before[i], f->bytes[i], f->images[i]->size_bytes);
	}
	nr_flushes = flushes_of(f);
	merge(store, 1 << 20, 37 * store->chunk_bytes, &nr);
	CHECK_EQ(nr, flushes_of(f) - nr_flushes);
	cow_store_close(store);
	fact(f->name, "view_sha256", wanted);
	sha256(f->bytes[0], f->images[0]->size_bytes, found);
	CHECK(!strcmp(wanted, found));
	for (unsigned int i = 1; i <= f->nr_logs; i++)
		log_untouched(f, i, before[i]);
	for (unsigned int i = 0; i <= f->nr_logs; i++)
		free(before[i]);
	OK(cow_store_open(&f->args, &store, err));
	merge(store, 0, 0, &nr);
	cow_store_close(store);
}

static void rolled_back_the_source_is_the_snapshot(void)
{
	each_fixture(fixture_rolled_back);
}

/* ---------------------------------------------------------------- a naive model */

struct model {
	struct snaplog_build build;
	struct cow_image *images[1 + SNAPLOG_BUILD_LOGS];
	struct cow_role_image roles[1 + SNAPLOG_BUILD_LOGS];
	struct cow_store_args args;
};

static void model_images(struct model *m)
{
	for (unsigned int i = 0; i <= m->build.nr_logs; i++) {
		char name[16];

		snprintf(name, sizeof(name), i ? "log%u" : "source", i - 1);
		OK(crash_flat_new(i ? m->build.logs[i - 1] : m->build.source,
				  i ? m->build.log_bytes[i - 1] : m->build.source_bytes, name,
				  &m->images[i], err));
		m->roles[i].role = i ? COW_ROLE_LOG : COW_ROLE_SOURCE;
		m->roles[i].index = i ? i - 1 : 0;
		m->roles[i].image = m->images[i];
	}
	m->args = (struct cow_store_args)COW_STORE_ARGS_INIT;
	m->args.kind = "snaplog";
	m->args.images = m->roles;
	m->args.nr_images = 1 + m->build.nr_logs;
	m->args.geometry = m->build.geometry;
	m->args.nr_geometry = 7;
}

static void model_new(struct model *m, uint64_t *random)
{
	memset(m, 0, sizeof(*m));
	snaplog_build_draw(&m->build, 2 + test_random(random) % 300, random);
	snaplog_build_fill(&m->build, test_random(random) % 400, random);
	model_images(m);
}

static void model_free(struct model *m)
{
	for (unsigned int i = 0; i <= m->build.nr_logs; i++)
		cow_image_close(m->images[i]);
	snaplog_build_free(&m->build);
}

/* View and map, block by block. */
static void model_agrees(struct model *m, struct cow_store *store)
{
	uint8_t *wanted = malloc(m->build.source_bytes), *found;
	uint64_t nr, nr_stored = 0, first[SNAPLOG_BUILD_LOGS] = { 0 };

	CHECK(wanted);
	snaplog_build_view(&m->build, wanted);
	found = view_read(store, &nr);
	CHECK_EQ(nr, m->build.source_bytes);
	CHECK(!memcmp(found, wanted, nr));
	for (unsigned int i = 1; i < m->build.nr_logs; i++)
		first[i] = first[i - 1] + m->build.log_bytes[i - 1] / m->build.block;
	for (uint64_t block = 0; block < m->build.nr_blocks; block++) {
		struct exmap_run run;
		unsigned int log;
		uint64_t value;
		bool is_stored = snaplog_build_find(&m->build, block, &log, &value);

		CHECK_EQ(cow_exmap_lookup(store->map, block, &run), is_stored);
		if (is_stored)
			CHECK_EQ(run.new_chunk, first[log] + value);
		nr_stored += is_stored;
	}
	CHECK_EQ(cow_exmap_nr_chunks(store->map), nr_stored);
	free(found);
	free(wanted);
}

/* A second copy of something on a later log, as the driver's faults leave it. */
static bool second_copy_add(struct snaplog_build *build, uint64_t *random)
{
	uint64_t block = test_random(random) % build->nr_blocks, value;
	unsigned int before;
	uint64_t offset;
	uint8_t mask;

	if (!snaplog_build_find(build, block, &before, &value) || build->log <= before ||
	    build->log >= build->nr_logs ||
	    build->next >= build->log_bytes[build->log] / build->block)
		return false;
	CHECK(snaplog_build_bit(build, block * build->keys_per_block, &offset, &mask));
	if (build->logs[build->log][offset] & mask)
		return false;
	build->logs[build->log][build->next * build->block] ^= 0x55;
	snaplog_build_set(build, build->log, block * build->keys_per_block, build->next++);
	return true;
}

static void random_logs_read_as_the_naive_reader_reads_them(void)
{
	uint64_t random = test_seed(), nr_twice = 0;

	for (int i = 0; i < 150; i++) {
		struct cow_verdict verdict;
		struct cow_report *report;
		struct cow_store *store;
		struct model m;
		uint64_t nr = 0;
		uint8_t *view;

		model_new(&m, &random);
		for (int j = 0; j < 4; j++)
			nr += second_copy_add(&m.build, &random);
		nr_twice += nr;
		verdict_of(&m.args, &report, &verdict);
		CHECK_EQ(cow_report_count(report, COW_CLASS_NOTE),
			 cow_report_count_id(report, "snaplog.on-two-logs"));
		CHECK(cow_report_count(report, COW_CLASS_NOTE) <= nr);
		CHECK(!cow_report_count(report, COW_CLASS_DAMAGE));
		CHECK(!cow_report_count(report, COW_CLASS_LOST));
		CHECK(verdict.view_right && verdict.merge_right);
		cow_report_free(report);
		OK(cow_store_open(&m.args, &store, err));
		model_agrees(&m, store);
		view = malloc(m.build.source_bytes);
		CHECK(view);
		snaplog_build_view(&m.build, view);
		merge(store, 4096 * (1 + test_random(&random) % 8),
		      m.build.block * (1 + test_random(&random) % 60), &nr);
		cow_store_close(store);
		CHECK(!memcmp(view, m.build.source, m.build.source_bytes));
		for (unsigned int log = 0; log < m.build.nr_logs; log++)
			CHECK(is_all_zero(m.build.logs[log],
					  m.build.bitmap_blocks * m.build.block));
		free(view);
		model_free(&m);
	}
	CHECK(nr_twice > 10);
}

/* ---------------------------------------------------------------- repair */

struct losses {
	uint64_t nr, last_bytes, len_bytes;
};

static void lost_note(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct losses *losses = (struct losses *)user;

	CHECK(!losses->nr || offset_bytes > losses->last_bytes);
	losses->nr++;
	losses->last_bytes = offset_bytes;
	losses->len_bytes += len_bytes;
}

static void repair(const struct cow_store_args *args, uint32_t flags,
		   struct cow_repair_result *result, struct losses *losses)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;

	*losses = (struct losses){ 0 };
	*result = (struct cow_repair_result)COW_REPAIR_RESULT_INIT;
	params.flags = flags;
	params.user = losses;
	params.lost = lost_note;
	OK(cow_repair(args, &params, result, err));
	CHECK_EQ(losses->nr, result->nr_lost - result->nr_unknown);
	CHECK_EQ(losses->len_bytes, result->lost_bytes);
}

/* What the repair can mend is gone, and a second one does nothing. */
static void fixture_repaired(struct fixture *f)
{
	struct cow_repair_result first, second;
	struct cow_verdict verdict;
	struct cow_report *report;
	struct losses losses;
	bool is_twice = !strcmp(f->name, "d-value-twice");
	bool is_left = !strcmp(f->name, "d-gap-between-logs");

	repair(&f->args, COW_REPAIR_LOST, &first, &losses);
	verdict_of(&f->args, &report, &verdict);
	CHECK_EQ(cow_report_count(report, COW_CLASS_DAMAGE), is_left);
	CHECK_EQ(cow_report_count(report, COW_CLASS_LOST), 0);
	CHECK_EQ(cow_report_count_id(report, "snaplog.on-two-logs"), 0);
	CHECK_EQ(first.nr_left, is_left);
	CHECK_EQ(first.nr_lost, is_twice			       ? 2
				: !strncmp(f->name, "d-value-", 8)     ? 1
				: !strcmp(f->name, "d-key-misaligned") ? 1
								       : 0);
	CHECK_EQ(first.nr_unknown, !strcmp(f->name, "d-key-misaligned"));
	CHECK_EQ(first.nr_mended, !strcmp(f->name, "d-two-logs") ||
					  !strcmp(f->name, "d-key-beyond") || first.nr_lost);
	CHECK_EQ(first.nr_dropped, first.nr_mended + is_twice);
	cow_report_free(report);
	if (!is_twice) /* snaplog_check.bats has it */
		view_agrees(f, COW_STORE_DAMAGED);
	repair(&f->args, COW_REPAIR_LOST, &second, &losses);
	CHECK_EQ(second.nr_mended, 0);
}

static void what_can_be_mended_is(void)
{
	each_fixture(fixture_repaired);
}

/* -p keeps its hands off what costs anything; a cut source is no reason to clear. */
static void what_is_not_safe_is_left(void)
{
	struct cow_repair_result result;
	struct losses losses;
	struct fixture f;

	fixture_open(&f, "d-value-high");
	repair(&f.args, COW_REPAIR_SAFE | COW_REPAIR_LOST, &result, &losses);
	CHECK_EQ(result.nr_mended, 0);
	CHECK_EQ(result.nr_left, 1);
	fixture_close(&f);
	fixture_open(&f, "d-two-logs");
	repair(&f.args, COW_REPAIR_SAFE, &result, &losses);
	CHECK_EQ(result.nr_mended, 1);
	fixture_close(&f);
	fixture_open(&f, "d-key-beyond");
	repair(&f.args, 0, &result, &losses);
	CHECK_EQ(result.nr_mended, 0);
	CHECK_EQ(result.nr_left, 1);
	fixture_close(&f);
}

/* A wrong geometry makes good bits look impossible: none of them is cleared. */
static void a_wrong_geometry_is_not_repaired(void)
{
	struct cow_repair_result result;
	struct cow_verdict verdict;
	struct cow_report *report;
	struct losses losses;
	struct fixture f;

	fixture_open(&f, "one");
	f.geometry[2].value = "big";
	verdict_of(&f.args, &report, &verdict);
	CHECK_EQ(cow_report_count_id(report, "snaplog.geometry-doubted"), 1);
	CHECK(cow_report_count(report, COW_CLASS_LOST) > 100);
	CHECK(!verdict.view_right && !verdict.merge_right);
	cow_report_free(report);
	repair(&f.args, COW_REPAIR_LOST, &result, &losses);
	CHECK_EQ(result.nr_mended, 0);
	CHECK(result.nr_left > 100);
	f.geometry[2].value = "little";
	view_agrees(&f, 0);
	fixture_close(&f);
}

/* ---------------------------------------------------------------- refusals */

static void open_refused(struct fixture *f, int code, const char *id, const char *word)
{
	struct cow_err why = COW_ERR_INIT;
	struct cow_store *store;

	CHECK_EQ(cow_store_open(&f->args, &store, &why), code);
	if (strcmp(why.id, id) != 0 || !strstr(why.message, word))
		fprintf(stderr, "%s: %s\n", why.id, why.message);
	CHECK(!strcmp(why.id, id) && strstr(why.message, word));
}

static void what_is_not_said_is_refused(void)
{
	struct fixture f;

	fixture_open(&f, "sector-keys");
	f.args.nr_geometry = 6; /* without count */
	open_refused(&f, -EINVAL, "geometry", "count=");
	f.args.nr_geometry = 3;
	open_refused(&f, -EINVAL, "geometry", "key=, bitmap=, map=");
	f.args.nr_geometry = 7;
	f.geometry[6].value = "0";
	open_refused(&f, -EINVAL, "usage", "count=0");
	f.geometry[6].value = "99999999999999999999";
	open_refused(&f, -EINVAL, "usage", "count=");
	f.geometry[6].value = "9007199254740993";
	open_refused(&f, -EINVAL, "usage", "no log has room");
	f.geometry[6].value = "900719925474099";
	open_refused(&f, -ERANGE, "bounds", "bitmap and map");
	f.geometry[6].value = "4096";
	f.geometry[0].value = "1000";
	open_refused(&f, -EINVAL, "usage", "power of two");
	f.geometry[0].value = "1024";
	f.geometry[1].value = "5";
	open_refused(&f, -EINVAL, "usage", "word=5: it is 4 or 8");
	f.geometry[1].value = "4";
	f.args.chunk_bytes = 2048;
	open_refused(&f, -EINVAL, "chunk-size", "2048");
	f.args.chunk_bytes = 0;
	f.args.nr_images = 1;
	open_refused(&f, -EINVAL, "usage", "at least one log");
	fixture_close(&f);
	fixture_open(&f, "b4096-short-end");
	f.args.nr_geometry = 6; /* of blocks it follows from the source */
	view_agrees(&f, 0);
	fixture_close(&f);
}

static void jobs_without_sense_are_refused(void)
{
	static const uint32_t flags[] = { COW_MERGE_DISCARD, COW_MERGE_SCRUB,
					  COW_MERGE_SKIP_UNREADABLE };
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_store *store;
	struct fixture f;

	fixture_open(&f, "one");
	OK(cow_store_open(&f.args, &store, err));
	for (size_t i = 0; i < 3; i++) {
		params.flags = flags[i];
		FAILS(-EOPNOTSUPP, cow_merge(store, &params, &result, err));
	}
	params.flags = 0;
	params.undo = store;
	FAILS(-EOPNOTSUPP, cow_merge(store, &params, &result, err));
	FAILS(-EOPNOTSUPP, cow_store_invalidate(store, err));
	FAILS(-EOPNOTSUPP, cow_store_append(store, 0, "", 1, err));
	cow_store_close(store);
	fixture_close(&f);
}

/* Bits that disappear while a roll back is under way are not taken for settled. */
static void somebody_else_is_noticed(void)
{
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_store *store;
	struct fixture f;
	uint64_t at = 0;

	fixture_open(&f, "one");
	OK(cow_store_open(&f.args, &store, err));
	while (!f.bytes[1][at])
		at++;
	f.bytes[1][at] = 0;
	FAILS(-EBUSY, cow_merge(store, &params, &result, err));
	cow_store_close(store);
	fixture_close(&f);
}

/* ---------------------------------------------------------------- bytes */

static void entries_and_bits_go_both_ways(void)
{
	uint64_t random = test_seed();

	for (int i = 0; i < 2000; i++) {
		struct snaplog_geometry g = {
			.block_bytes = UINT64_C(512) << test_random(&random) % 8,
			.word_bytes = test_random(&random) % 2 ? 8 : 4,
			.is_big_endian = test_random(&random) % 2,
			.has_byte_bitmap = test_random(&random) % 2,
			.has_full_maps = test_random(&random) % 2,
			.count = 1 + test_random(&random) % 1000000,
		};
		uint64_t value = test_random(&random), key, offset, at;
		uint8_t raw[8], again[8], mask;

		if (g.word_bytes == 4)
			value = (uint32_t)value;
		OK(cow_snaplog_geometry_lay_out(&g, UINT64_C(1) << 40, err));
		cow_snaplog_entry_encode(&g, value, raw);
		CHECK_EQ(cow_snaplog_entry_decode(&g, raw), value);
		cow_snaplog_entry_encode(&g, cow_snaplog_entry_decode(&g, raw), again);
		CHECK(!memcmp(raw, again, g.word_bytes));
		key = test_random(&random) % g.count;
		if (g.has_byte_bitmap)
			key = key / (8 * g.block_bytes) * 8 * g.block_bytes + key % g.block_bytes;
		cow_snaplog_bit_place(&g, key, &offset, &mask);
		CHECK(offset < g.bitmap_blocks * g.block_bytes);
		CHECK_EQ(cow_snaplog_bit_key(&g, offset, (unsigned int)__builtin_ctz(mask)), key);
		if (key < g.count)
			CHECK(cow_snaplog_entry_place(&g, key, &at) &&
			      at + g.word_bytes <= g.data_base * g.block_bytes &&
			      at >= g.bitmap_blocks * g.block_bytes);
	}
}

int main(void)
{
	char command[64];

	fixtures = getenv("COW_FIXTURES");
	if (!fixtures) {
		fprintf(stderr, "COW_FIXTURES is not set\n");
		return 1;
	}
	CHECK(mkdtemp(folder));
	RUN(entries_and_bits_go_both_ways);
	RUN(fixtures_show_what_their_maker_says);
	RUN(what_is_damaged_is_refused);
	RUN(the_geometry_is_found);
	RUN(rolled_back_the_source_is_the_snapshot);
	RUN(random_logs_read_as_the_naive_reader_reads_them);
	RUN(what_can_be_mended_is);
	RUN(what_is_not_safe_is_left);
	RUN(a_wrong_geometry_is_not_repaired);
	RUN(what_is_not_said_is_refused);
	RUN(jobs_without_sense_are_refused);
	RUN(somebody_else_is_noticed);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	CHECK(!system(command));
	return test_end();
}
