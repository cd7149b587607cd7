/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * Random damage, judged by a naive model of the kernel: check and model agree
 * on what is legal, a repair keeps every exception that the kernel can read,
 * and a second one finds nothing to do.
 * usage: test_repair [number of stores]
 */
#include "libcow/core/report.h"
#include "crash.h"
#include "damage.h"
#include "kernel_model.h"
#include "mkstore.h"
#include "test.h"

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

static void one_store(uint64_t nr, uint64_t *random)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT, again = COW_VERDICT_INIT;
	struct kernel_model before, after;
	struct seen seen, left;
	struct cow_image *cow;
	struct damage damage;
	uint8_t *copy;
	uint64_t writes, lost;

	damage_make(&damage, random);
	for (uint64_t i = test_random(random) % 4; i; i--)
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
	must(before.is_legal == !seen.has_damage,
	     before.is_legal ? "the model says legal" : "the model says damaged", &damage, &seen,
	     nr);
	OK(damage_repair(cow, COW_REPAIR_LOST, &result, err));
	CHECK(!check(cow, &left, &again));
	must(!strstr(left.ids, "duplicate-new") || is_full(&again.info), "there was room", &damage,
	     &left, nr);
	must(!left.has_left || !verdict.known, "not all was mended", &damage, &left, nr);
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
	damage_free(&damage);
	free(copy);
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
	return 0;
}
