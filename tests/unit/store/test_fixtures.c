/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * Stores that a real kernel made, or judged: what we load, show and say of
 * them is what the kernel loaded, showed and did. Needs openssl, and the
 * folders that COW_FIXTURES and COW_UNPACKED name.
 */
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "libcow/core/report.h"
#include "libcow/store/store.h"
#include "tests/aids/sha256.h"
#include "tests/aids/test.h"

static char folder[] = "/dev/shm/cow-fixtures-XXXXXX";
static const char *fixtures;

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

struct pair {
	struct cow_imageset *set;
	struct cow_image *origin, *cow;
	struct cow_role_image roles[2];
	struct cow_store_args args;
};

static bool fact(const char *name, const char *file, const char *key, char ret_value[200]);

static bool unpack(const char *name, const char *file)
{
	return !run("cp '%s/%s/%s.img' '%s/%s' 2>/dev/null", getenv("COW_UNPACKED"), name, file,
		    folder, file);
}

static bool pair_open(struct pair *pair, const char *name, const char *origin_name)
{
	char path[256], bytes[200];

	*pair = (struct pair){ .args = COW_STORE_ARGS_INIT };
	if (!unpack(name, "cow") || !unpack(origin_name, "origin"))
		return false;
	OK(cow_imageset_new(&pair->set, err));
	snprintf(path, sizeof(path), "%s/origin", folder);
	OK(cow_imageset_open(pair->set, path, COW_OPEN_LITERAL, &pair->origin, err));
	/* an origin of terabytes is zeros, and not kept as an image */
	if (fact(name, "meta.txt", "table: 0 ", bytes) &&
	    strtoull(bytes, NULL, 10) * 512 > cow_image_size(pair->origin)) {
		cow_image_close(pair->origin);
		OK(cow_image_zero_new(strtoull(bytes, NULL, 10) * 512, &pair->origin, err));
	}
	snprintf(path, sizeof(path), "%s/cow", folder);
	OK(cow_imageset_open(pair->set, path, COW_OPEN_LITERAL, &pair->cow, err));
	pair->roles[0] = (struct cow_role_image){ COW_ROLE_ORIGIN, 0, pair->origin };
	pair->roles[1] = (struct cow_role_image){ COW_ROLE_COW, 0, pair->cow };
	pair->args.images = pair->roles;
	pair->args.nr_images = 2;
	return true;
}

static void pair_close(struct pair *pair)
{
	cow_image_close(pair->origin);
	cow_image_close(pair->cow);
	cow_imageset_free(pair->set);
}

/* The view's digest as the kernel's reader saw it: 4 KiB at a time, what
 * cannot be read as zeros. */
static void view_sha256(struct cow_image *view, char ret_hex[65], unsigned int *ret_nr_errors)
{
	uint64_t size = cow_image_size(view), offset;
	static uint8_t buf[1 << 20];
	struct sha256 sum;

	sha256_begin(&sum);
	*ret_nr_errors = 0;
	for (offset = 0; offset < size;) {
		uint64_t len = size - offset < sizeof(buf) ? size - offset : sizeof(buf);

		if (cow_image_pread(view, buf, len, offset, NULL))
			for (uint64_t at = 0; at < len; at += 4096) {
				if (!cow_image_pread(view, buf + at,
						     len - at < 4096 ? len - at : 4096, offset + at,
						     NULL))
					continue;
				memset(buf + at, 0, 4096);
				(*ret_nr_errors)++;
			}
		sha256_add(&sum, buf, len);
		offset += len;
	}
	sha256_end(&sum, ret_hex);
}

/* A line "key value" of a text file of a fixture. */
static bool fact(const char *name, const char *file, const char *key, char ret_value[200])
{
	char path[600], line[400];
	bool found = false;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s/%s", fixtures, name, file);
	in = fopen(path, "r");
	if (!in)
		return false;
	while (!found && fgets(line, sizeof(line), in))
		if (!strncmp(line, key, strlen(key))) {
			snprintf(ret_value, 200, "%s", line + strlen(key));
			ret_value[strcspn(ret_value, "\n")] = '\0';
			found = true;
		}
	fclose(in);
	return found;
}

/* ------------------------------------------------------------- sound stores */

static void exceptions_are_those_of_the_list(const char *name, const struct cow_store *store)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	uint64_t old_chunk, new_chunk, area, index, nr = 0;
	char path[600], line[200];
	struct exmap_run run;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s/exceptions.tsv", fixtures, name);
	in = fopen(path, "r");
	CHECK(in);
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%" SCNu64 "\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64, &old_chunk,
			   &new_chunk, &area, &index) != 4)
			continue;
		CHECK(cow_exmap_lookup(store->map, old_chunk, &run));
		CHECK_EQ(run.new_chunk, new_chunk);
		nr++;
	}
	fclose(in);
	OK(cow_store_get_info(store, &info));
	CHECK_EQ(info.nr_exceptions, nr);
	CHECK_EQ(cow_exmap_nr_chunks(store->map), nr);
}

static void usage_is_that_of_dmsetup(const char *name, const struct cow_store *store)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	uint64_t allocated, total, metadata;
	char status[200];

	if (!fact(name, "meta.txt", "status: ", status) ||
	    sscanf(status, "%*u %*u snapshot %" SCNu64 "/%" SCNu64 " %" SCNu64, &allocated, &total,
		   &metadata) != 3)
		return;
	OK(cow_store_get_info(store, &info));
	CHECK_EQ(info.allocated_sectors, allocated);
	CHECK_EQ(info.total_sectors, total);
	CHECK_EQ(info.metadata_sectors, metadata);
}

static void a_sound_store_reads_as_the_kernel_reads_it(const char *name)
{
	struct cow_store *store = NULL;
	struct cow_image *view = NULL;
	unsigned int nr_errors;
	char wanted[200], hex[65];
	struct pair pair;

	test_name = name;
	if (!pair_open(&pair, name, name))
		return;
	if (fact(name, "meta.txt", "status: ", wanted) && strstr(wanted, "Invalid")) {
		FAILS(-EBADMSG, cow_store_open(&pair.args, &store, err));
		pair.args.flags = COW_STORE_INVALID;
	}
	OK(cow_store_open(&pair.args, &store, err));
	exceptions_are_those_of_the_list(name, store);
	usage_is_that_of_dmsetup(name, store);
	if (cow_image_size(pair.origin) <= 1 << 26 &&
	    fact(name, "meta.txt", "kernel_view_sha256 ", wanted)) {
		OK(cow_view_new(pair.origin, store, &view, err));
		view_sha256(view, hex, &nr_errors);
		if (!pair.args.flags) {
			CHECK_EQ(nr_errors, 0);
			CHECK(!strcmp(hex, wanted));
		}
		cow_image_close(view);
	}
	cow_store_close(store);
	pair_close(&pair);
	test_nr++;
}

static void sound_stores(void)
{
	char command[700], name[200];
	FILE *list;

	snprintf(command, sizeof(command), "cd '%s' && ls -d */meta.txt 2>/dev/null", fixtures);
	list = popen(command, "r");
	CHECK(list);
	while (fscanf(list, "%199s", name) == 1) {
		name[strcspn(name, "/")] = '\0';
		a_sound_store_reads_as_the_kernel_reads_it(name);
	}
	pclose(list);
}

/* ----------------------------------------------------------- damaged stores */

static void print_finding(void *user, const struct cow_finding *finding)
{
	if (getenv("VERBOSE"))
		printf("%s\t%d %s @%" PRIu64 ": %s\n", (const char *)user, finding->problem->klass,
		       finding->problem->id, finding->offset_bytes, finding->sentence);
}

/* Bytes that are a legal store: nothing is said against them, though somebody
 * meant harm. */
static bool is_legal(const char *name)
{
	return !strcmp(name, "m36-area-zero") || !strcmp(name, "m56-torn-area-tail");
}

struct kernel_verdict {
	char name[64];
	bool loads, merge_is_view, is_origin_right;
	char view[20];
};

static void view_is_the_kernels(const struct pair *pair, const char *name)
{
	struct cow_store_args args = pair->args;
	unsigned int nr_errors, nr_kernel_errors = 0;
	struct cow_store *store = NULL;
	struct cow_image *view = NULL;
	char fixture[100], wanted[200], hex[65];

	snprintf(fixture, sizeof(fixture), "damaged/%s", name);
	args.flags = COW_STORE_DAMAGED;
	OK(cow_store_open(&args, &store, err));
	OK(cow_view_new(pair->origin, store, &view, err));
	view_sha256(view, hex, &nr_errors);
	CHECK(fact(fixture, "kernel-verdict.txt", "kernel_view_sha256 ", wanted));
	if (strcmp(hex, wanted))
		printf("%s: view %.12s, the kernel's %.12s\n", name, hex, wanted);
	CHECK(!strcmp(hex, wanted));
	if (fact(fixture, "kernel-verdict.txt", "read_errors ", wanted))
		nr_kernel_errors = (unsigned int)strtoul(wanted, NULL, 10);
	CHECK_EQ(nr_errors, nr_kernel_errors);
	cow_image_close(view);
	cow_store_close(store);
}

static void a_damaged_store_is_judged_as_the_kernel_does(const struct kernel_verdict *kernel,
							 const char *clean_view)
{
	bool is_misread = kernel->loads && strncmp(kernel->view, clean_view, 12);
	bool is_bad = !kernel->loads || is_misread || !kernel->merge_is_view;
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report = NULL;
	struct cow_store *store = NULL;
	const struct store_ops *ops;
	struct pair pair;
	char fixture[100];
	bool is_damage;

	test_name = kernel->name;
	snprintf(fixture, sizeof(fixture), "damaged/%s", kernel->name);
	CHECK(pair_open(&pair, fixture, "damaged"));
	callbacks.finding = print_finding;
	callbacks.user = (void *)(uintptr_t)kernel->name;
	params.callbacks = &callbacks;
	OK(cow_report_new(&callbacks, 0, &report, err));
	OK(cow_store_find_ops(&pair.args, &ops, err));
	OK(ops->check(&pair.args, &params, report, &verdict, err));
	is_damage = cow_report_count(report, COW_CLASS_DAMAGE) ||
		    cow_report_count(report, COW_CLASS_LOST);
	CHECK_EQ(verdict.kernel_loads, kernel->loads);
	CHECK_EQ(is_damage, is_bad && !is_legal(kernel->name));
	CHECK_EQ(verdict.view_right, !is_damage);
	CHECK(!verdict.merge_right || kernel->merge_is_view);
	/* as for merging */
	pair.args.flags = COW_STORE_STRICT;
	CHECK_EQ(!cow_store_open(&pair.args, &store, NULL), !is_damage);
	cow_store_close(store);
	if (kernel->loads)
		view_is_the_kernels(&pair, kernel->name);
	cow_report_free(report);
	pair_close(&pair);
	test_nr++;
}

static void damaged_stores(void)
{
	char path[600], line[400], clean[20] = "";
	FILE *in;

	snprintf(path, sizeof(path), "%s/damaged/KERNEL-VERDICTS.tsv", fixtures);
	in = fopen(path, "r");
	CHECK(in);
	while (fgets(line, sizeof(line), in)) {
		struct kernel_verdict kernel = { .loads = strstr(line, "load=ok") };
		const char *view = strstr(line, "view=");

		snprintf(kernel.name, sizeof(kernel.name), "%.*s", (int)strcspn(line, "\t"), line);
		kernel.merge_is_view = strstr(line, "merged==view:yes");
		snprintf(kernel.view, sizeof(kernel.view), "%.12s", view + 5);
		if (!clean[0])
			memcpy(clean, kernel.view, sizeof(clean));
		a_damaged_store_is_judged_as_the_kernel_does(&kernel, clean);
	}
	fclose(in);
}

int main(void)
{
	fixtures = getenv("COW_FIXTURES");
	CHECK(fixtures);
	CHECK(mkdtemp(folder));
	damaged_stores();
	sound_stores();
	CHECK(test_nr >= 40);
	CHECK(!run("rm -r '%s'", folder));
	return test_end();
}
