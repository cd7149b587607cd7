/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * Random damage, judged by a naive model of the kernel: check and model agree
 * on what is legal, a repair keeps every exception that the kernel can read,
 * and a second one finds nothing to do.
 * usage: test_repair [number of stores]
 */
#include "libcow/core/report.h"
#include "tests/aids/crash.h"
#include "tests/aids/damage.h"
#include "tests/aids/kernel_model.h"
#include "tests/aids/mkstore.h"
#include "tests/aids/test.h"

struct seen {
	bool has_garbage, has_damage, has_left;
	char ids[600];
};

static void keep(void *user, const struct cow_finding *finding)
{
	static const char *const not_ours[] = { "persistent.image-cut-metadata",
						"persistent.list-without-end", "persistent.invalid",
						"persistent.duplicate-new-chunk" };
	struct seen *seen = user;
	size_t used = strlen(seen->ids);

	if (finding->problem->klass < COW_CLASS_DAMAGE)
		return;
	seen->has_damage = true;
	if (!strcmp(finding->problem->id, "persistent.area-garbage"))
		seen->has_garbage = true;
	snprintf(seen->ids + used, sizeof(seen->ids) - used, " %s", finding->problem->id);
	for (size_t i = 0; i < 4; i++)
		if (!strcmp(finding->problem->id, not_ours[i]))
			return;
	seen->has_left = true;
}

static int check(struct cow_image *cow, struct seen *seen, struct cow_verdict *verdict)
{
	struct cow_role_image role = { COW_ROLE_COW, 0, cow };
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_report *report;
	int ret;

	memset(seen, 0, sizeof(*seen));
	callbacks.user = seen;
	callbacks.finding = keep;
	args.images = &role;
	args.nr_images = 1;
	args.kind = "persistent";
	OK(cow_report_new(&callbacks, 0, &report, err));
	ret = cow_check(&args, &params, report, verdict, NULL);
	cow_report_free(report);
	return ret;
}

static uint64_t nr_writes(const struct cow_image *image)
{
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;

	OK(cow_image_get_stats(image, &stats));
	return stats.nr_writes + stats.nr_flushes;
}

static void must(bool is_so, const char *what, const struct damage *damage, const struct seen *seen,
		 uint64_t nr)
{
	if (is_so)
		return;
	fprintf(stderr, "store %" PRIu64 ", chunks of %" PRIu64 ",%s: %s; found:%s\n", nr,
		damage->chunk_bytes, damage->story, what, seen->ids);
	exit(1);
}

/* No chunk to give to the second of two records that share one. */
static bool is_full(const struct cow_store_info *info)
{
	return info->allocated_sectors + info->chunk_bytes / 512 > info->total_sectors;
}

static uint64_t counts[4]; /* legal, mended, left, not a store */
/* Legal, and what they show is the same as before, or another thing. */
static uint64_t nr_harmless, nr_only_by_manifest;

/* What the kernel would show of an origin of zeros; of a legal store. */
static uint8_t *view_bytes(const struct kernel_model *model, uint64_t chunk_bytes)
{
	uint8_t *bytes = calloc(DAMAGE_OLD_CHUNKS, chunk_bytes);

	CHECK(bytes != NULL);
	for (uint64_t i = 0; i < model->nr_records; i++)
		if (model->records[i].old_chunk < DAMAGE_OLD_CHUNKS)
			memcpy(bytes + model->records[i].old_chunk * chunk_bytes,
			       model->cow + model->records[i].new_chunk * chunk_bytes, chunk_bytes);
	return bytes;
}

struct ranges {
	struct cow_manifest_range rows[8];
	size_t nr;
};

static int range_keep(void *user, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES])
{
	struct ranges *ranges = user;

	CHECK(ranges->nr < 8);
	ranges->rows[ranges->nr].index = index;
	memcpy(ranges->rows[ranges->nr++].digest, digest, COW_DIGEST_BYTES);
	return 0;
}

/* How many ranges of the view of a store differ from the manifest of these bytes. */
static uint64_t verify(struct cow_image *cow, const uint8_t *bytes, uint64_t len_bytes)
{
	struct cow_role_image roles[] = { { COW_ROLE_COW, 0, cow }, { COW_ROLE_ORIGIN, 0, NULL } };
	struct cow_manifest_params manifest = COW_MANIFEST_PARAMS_INIT;
	struct cow_verify_params params = COW_VERIFY_PARAMS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	uint8_t digest[COW_DIGEST_BYTES];
	struct ranges ranges = { .nr = 0 };
	struct cow_image *good, *view;
	struct cow_report *report;
	struct cow_store *store;
	uint64_t nr_differ;

	OK(cow_image_memory_new(len_bytes, &good, err));
	OK(cow_image_pwrite(good, bytes, len_bytes, 0, err));
	manifest.user = &ranges;
	manifest.range = range_keep;
	OK(cow_manifest(good, &manifest, digest, err));
	cow_image_close(good);
	OK(cow_image_zero_new(len_bytes, &roles[1].image, err));
	args.images = roles;
	args.nr_images = 2;
	args.flags = COW_STORE_DAMAGED; /* chunks beyond this origin */
	OK(cow_store_open(&args, &store, err));
	OK(cow_view_new(roles[1].image, store, &view, err));
	OK(cow_report_new(NULL, 0, &report, err));
	params.image_bytes = len_bytes;
	params.ranges = ranges.rows;
	params.nr_ranges = ranges.nr;
	params.store = store;
	OK(cow_verify(view, &params, report, &nr_differ, err));
	CHECK_EQ(cow_report_count_id(report, "image.digest-mismatch"), nr_differ != 0);
	cow_report_free(report);
	cow_image_close(view);
	cow_store_close(store);
	cow_image_close(roles[1].image);
	return nr_differ;
}

/* Damage that made another legal store of it: seen by the manifest alone. */
static void verify_legal(struct cow_image *cow, const struct kernel_model *model,
			 const struct kernel_model *good, const struct damage *damage,
			 const struct seen *seen, uint64_t nr)
{
	uint64_t chunk_bytes = good->chunk_bytes;
	uint8_t *was, *is;
	bool is_same;

	if (model->chunk_bytes != chunk_bytes || !good->is_legal)
		return;
	was = view_bytes(good, chunk_bytes);
	is = view_bytes(model, chunk_bytes);
	is_same = !memcmp(was, is, DAMAGE_OLD_CHUNKS * chunk_bytes);
	must(is_same == !verify(cow, was, DAMAGE_OLD_CHUNKS * chunk_bytes),
	     is_same ? "the manifest denies what is right" : "the manifest does not notice", damage,
	     seen, nr);
	nr_harmless += is_same;
	nr_only_by_manifest += !is_same;
	free(was);
	free(is);
}

static void one_store(uint64_t nr, uint64_t *random)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT, again = COW_VERDICT_INIT;
	struct kernel_model good, before, after;
	struct seen seen, left;
	struct cow_image *cow;
	struct damage damage;
	uint8_t *copy, *unharmed;
	uint64_t writes, lost, nr_harms;
	bool is_doubted;

	damage_make(&damage, random);
	unharmed = malloc(damage.cow_bytes);
	CHECK(unharmed != NULL);
	memcpy(unharmed, damage.cow, damage.cow_bytes);
	kernel_model_load(&good, unharmed, damage.cow_bytes, 0);
	nr_harms = test_random(random) % 4;
	for (uint64_t i = nr_harms; i; i--)
		damage_mutate(&damage, random);
	copy = malloc(damage.cow_bytes);
	CHECK(copy != NULL);
	memcpy(copy, damage.cow, damage.cow_bytes);
	kernel_model_load(&before, copy, damage.cow_bytes, 0);
	OK(crash_flat_new(damage.cow, damage.cow_bytes, "cow", &cow, err));
	if (check(cow, &seen, &verdict)) {
		must(!before.is_legal, "legal, but not taken for a store", &damage, &seen, nr);
		counts[3]++;
		goto done;
	}
	/* The kernel loads a list that was cut short; what it was is not in its rules. */
	is_doubted = verdict.is_doubtful && nr_harms;
	must(before.is_legal == !seen.has_damage || (before.is_legal && is_doubted),
	     before.is_legal ? "the model says legal" : "the model says damaged", &damage, &seen,
	     nr);
	if (before.is_legal && nr_harms)
		verify_legal(cow, &before, &good, &damage, &seen, nr);
	OK(damage_repair(cow, COW_REPAIR_LOST, &result, err));
	CHECK(!check(cow, &left, &again));
	must(!strstr(left.ids, "duplicate-new") || is_full(&again.info), "there was room", &damage,
	     &left, nr);
	/* A doubt stays, or rubbish was cut off and a record or two stand behind it. */
	must(!left.has_left || !verdict.known || (again.is_doubtful && nr_harms),
	     "not all was mended", &damage, &left, nr);
	must(seen.has_damage || !memcmp(copy, damage.cow, 8), "a good header was changed", &damage,
	     &left, nr);
	writes = nr_writes(cow);
	OK(damage_repair(cow, COW_REPAIR_LOST, &result, err));
	must(writes == nr_writes(cow), "repaired twice", &damage, &left, nr);
	kernel_model_load(&after, damage.cow, damage.cow_bytes, 0);
	must(left.has_damage || after.is_legal, "the model says damaged after", &damage, &seen, nr);
	if (before.loads && !seen.has_garbage && !before.has_top_byte && after.chunk_bytes)
		must(before.chunk_bytes != after.chunk_bytes ||
			     kernel_model_keeps(&before, &after, &lost),
		     "an exception was lost", &damage, &seen, nr);
	kernel_model_free(&after);
	counts[!seen.has_damage ? 0 : left.has_damage ? 2 : 1]++;
done:
	cow_image_close(cow);
	kernel_model_free(&before);
	kernel_model_free(&good);
	damage_free(&damage);
	free(copy);
	free(unharmed);
}

int main(int argc, char **argv)
{
	uint64_t nr = argc > 1 ? strtoull(argv[1], NULL, 0) : 2500;
	uint64_t seed = test_seed();

	test_name = "random damage";
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t random = seed * 1000003 + i;

		one_store(i, &random);
	}
	printf("%" PRIu64 " stores: %" PRIu64 " legal, %" PRIu64 " mended, %" PRIu64
	       " partly, %" PRIu64 " no stores\n",
	       nr, counts[0], counts[1], counts[2], counts[3]);
	printf("damaged, and still a legal store: %" PRIu64 " show what they did; %" PRIu64
	       " do not: undetectable without a manifest, all detected with one\n",
	       nr_harmless, nr_only_by_manifest);
	return 0;
}
