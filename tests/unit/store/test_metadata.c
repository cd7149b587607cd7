/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * What cow_metadata_copy() takes of a store: of random damage a check says the
 * same as of the image, and of the data there is nothing in it, wherever in
 * the store the data stands.
 * usage: test_metadata [number of stores]
 */
#include <errno.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "tests/aids/crash.h"
#include "tests/aids/damage.h"
#include "tests/aids/mkstore.h"
#include "tests/aids/test.h"

#define SECRET "SECRETS!"

struct told {
	char places[20000]; /* ids and places of the findings */
	char words[20000];  /* their sentences */
	bool is_store;
	struct cow_verdict verdict;
};

static void keep(void *user, const struct cow_finding *finding)
{
	struct told *told = user;
	size_t used = strlen(told->places);

	snprintf(told->places + used, sizeof(told->places) - used,
		 "%s %" PRIu64 "+%" PRIu64 " (%" PRIu64 ")\n", finding->problem->id,
		 finding->offset_bytes, finding->len_bytes, finding->chunk);
	used = strlen(told->words);
	snprintf(told->words + used, sizeof(told->words) - used, "%s\n", finding->sentence);
}

static struct cow_store_args args_make(struct cow_role_image roles[2], struct cow_image *cow,
				       struct cow_image *origin)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	roles[0] = (struct cow_role_image){ COW_ROLE_COW, 0, cow };
	roles[1] = (struct cow_role_image){ COW_ROLE_ORIGIN, 0, origin };
	args.images = roles;
	args.nr_images = origin ? 2 : 1;
	args.kind = "persistent";
	return args;
}

static void check(struct cow_image *cow, struct cow_image *origin, struct told *told)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_role_image roles[2];
	struct cow_store_args args = args_make(roles, cow, origin);
	struct cow_report *report;

	told->places[0] = told->words[0] = '\0';
	told->verdict = (struct cow_verdict)COW_VERDICT_INIT;
	callbacks.user = told;
	callbacks.finding = keep;
	OK(cow_report_new(&callbacks, 0, &report, err));
	told->is_store = !cow_check(&args, &params, report, &told->verdict, NULL);
	cow_report_free(report);
}

static struct cow_image *copy_of(struct cow_image *cow)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = args_make(roles, cow, NULL);
	struct cow_image *copy;

	OK(cow_image_standin_new("copy", cow_image_size(cow), 512, &copy, err));
	OK(cow_metadata_copy(&args, NULL, copy, err));
	return copy;
}

static bool verdicts_equal(const struct cow_verdict *a, const struct cow_verdict *b)
{
	return a->kernel_loads == b->kernel_loads && a->view_right == b->view_right &&
	       a->merge_right == b->merge_right && a->valid == b->valid && a->known == b->known &&
	       a->needed_bytes == b->needed_bytes && a->info.chunk_bytes == b->info.chunk_bytes &&
	       a->info.nr_exceptions == b->info.nr_exceptions &&
	       a->info.allocated_sectors == b->info.allocated_sectors &&
	       a->info.metadata_sectors == b->info.metadata_sectors;
}

static void must(bool is_so, const char *what, const struct damage *damage, uint64_t nr,
		 const struct told *image, const struct told *copy)
{
	if (is_so)
		return;
	fprintf(stderr,
		"store %" PRIu64 ", chunks of %" PRIu64
		",%s: %s\nof the image:\n%s%s\nof the copy:\n%s%s\n",
		nr, damage->chunk_bytes, damage->story, what, image->places, image->words,
		copy->places, copy->words);
	exit(1);
}

/* How often the secret stands there. */
static unsigned int count_secrets(struct cow_image *image)
{
	uint64_t len = cow_image_size(image);
	uint8_t *bytes = malloc(len);
	unsigned int nr = 0;

	CHECK(bytes != NULL);
	OK(cow_image_pread(image, bytes, len, 0, err));
	for (uint64_t at = 0; at + 8 <= len; at++)
		nr += !memcmp(bytes + at, SECRET, 8);
	free(bytes);
	return nr;
}

/* All data, and some sectors of metadata, become the secret. */
static void fill_secrets(struct damage *damage, uint64_t *random)
{
	uint64_t stride = damage->chunk_bytes / 16 + 1;

	if (test_random(random) % 4 == 0)
		for (uint64_t i = test_random(random) % 32; i < 512; i++)
			damage->cow[i] = (uint8_t)SECRET[i % 8];
	for (uint64_t at = 512; at < damage->cow_bytes; at += 512) {
		uint64_t chunk = at / damage->chunk_bytes;
		bool is_metadata = !chunk || chunk % stride == 1;

		if (is_metadata && test_random(random) % 8)
			continue;
		for (uint64_t i = 0; i < 512; i += 8)
			memcpy(damage->cow + at + i, SECRET, 8);
	}
}

/* Several bad records may be most of a sector, which is then taken for data. */
static bool is_mostly_bad(const struct told *told)
{
	const char *first = strstr(told->places, "-chunk-");

	return strstr(told->places, "garbage") || strstr(told->places, "image-cut") ||
	       (first && strstr(first + 1, "-chunk-"));
}

static uint64_t counts[3]; /* stores, no stores, those of which data decides */

static void one_store(uint64_t nr, uint64_t *random)
{
	bool has_secrets = nr % 3 == 0, has_rubbish;
	static struct told image, copied;
	struct cow_image *cow, *copy, *origin;
	struct damage damage;

	damage_make(&damage, random);
	for (uint64_t i = test_random(random) % 4; i; i--)
		damage_mutate(&damage, random);
	if (has_secrets)
		fill_secrets(&damage, random);
	/* data may stand where metadata belongs: its numbers are not copied */
	has_rubbish = has_secrets || strstr(damage.story, "rubbish") ||
		      strstr(damage.story, "swapped") || strstr(damage.story, "header");
	OK(crash_flat_new(damage.cow, damage.cow_bytes, "cow", &cow, err));
	OK(cow_image_zero_new(DAMAGE_OLD_CHUNKS * 512, &origin, err));
	copy = copy_of(cow);
	for (int with = 0; with < 2; with++) {
		check(cow, with ? origin : NULL, &image);
		check(copy, with ? origin : NULL, &copied);
		/* by the data, which the copy does not have */
		if (strstr(image.words, "(the origin ")) {
			counts[2]++;
			continue;
		}
		must(image.is_store == copied.is_store, "a store or none", &damage, nr, &image,
		     &copied);
		must(!strcmp(image.places, copied.places), "findings", &damage, nr, &image,
		     &copied);
		must(has_rubbish || is_mostly_bad(&image) || !strcmp(image.words, copied.words),
		     "words", &damage, nr, &image, &copied);
		must(verdicts_equal(&image.verdict, &copied.verdict), "verdict", &damage, nr,
		     &image, &copied);
	}
	if (has_secrets)
		/* the highest number of a list, and there may be two or three */
		must(count_secrets(copy) <= 3, "a secret", &damage, nr, &image, &copied);
	counts[!image.is_store]++;
	cow_image_close(cow);
	cow_image_close(copy);
	cow_image_close(origin);
	damage_free(&damage);
}

static void a_target_of_another_size_is_refused(void)
{
	struct cow_role_image roles[2];
	struct cow_store_args args;
	struct cow_image *cow, *copy;

	OK(mkstore("header\nauto 100 20", &cow, err));
	OK(cow_image_memory_new(512, &copy, err));
	args = args_make(roles, cow, NULL);
	FAILS(-EINVAL, cow_metadata_copy(&args, NULL, copy, err));
	args.kind = "transient"; /* a test aid, no kind */
	FAILS(-EINVAL, cow_metadata_copy(&args, NULL, copy, err));
	cow_image_close(copy);
	FAILS(-EINVAL, cow_image_standin_new("x", 512, 1000, &copy, err));
	cow_image_close(cow);
}

/* Of the first ten records: what the kernel counts the used sectors by. */
static uint64_t highest_of(struct cow_image *cow)
{
	uint8_t records[10 * 16];
	uint64_t highest = 0;

	OK(cow_image_pread(cow, records, sizeof(records), 4096, err));
	for (size_t i = 0; i < sizeof(records); i += 16)
		highest = max_u64(highest, get_le64(records + i + 8));
	return highest;
}

static void the_highest_number_of_the_list_stays(void)
{
	/* A sector of rubbish, whose numbers are replaced: the highest is one, or none. */
	static const char *const lists[] = {
		"record 77777 99999\nrecord 88888 5000000\nrecord 3 70000000000\n"
		"record 99999 88888",
		"record 70000000 70000000000\nrecord 88888 5000000\nrecord 3 7000\n"
		"record 99999 2",
		"record 10 4\nrecord 11 2\nrecord 12 3",
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct cow_image *cow, *copy;
		char text[200];

		snprintf(text, sizeof(text), "size 2M\nheader\n%s", lists[i]);
		OK(mkstore(text, &cow, err));
		copy = copy_of(cow);
		CHECK_EQ(highest_of(copy), highest_of(cow));
		cow_image_close(copy);
		cow_image_close(cow);
	}
}

int main(int argc, char **argv)
{
	uint64_t nr = argc > 1 ? strtoull(argv[1], NULL, 0) : 3000;
	uint64_t seed = test_seed();

	RUN(a_target_of_another_size_is_refused);
	RUN(the_highest_number_of_the_list_stays);
	test_name = "random damage";
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t random = seed * 1000003 + i;

		one_store(i, &random);
	}
	printf("%" PRIu64 " stores and their metadata: %" PRIu64 " say the same, %" PRIu64
	       " are no stores, %" PRIu64 " are judged by the origin's data\n",
	       nr, counts[0], counts[1], counts[2]);
	CHECK(counts[2] <= nr / 100);
	return test_end();
}
