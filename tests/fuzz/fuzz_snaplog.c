/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The first bytes of the input choose a geometry and the sizes of source and logs;
 * the rest is the logs. With and without that geometry they are checked; they are
 * opened in both ways, read, repaired and rolled back. What has no damage can be
 * rolled back, and nothing is stored then. What a repair leaves is not what it
 * mends.
 */
#include <errno.h>

#include "libcow/store/store.h"
#include "tests/fuzz/fuzz.h"

#define HEAD_BYTES 8
#define SOURCE_SECTORS_MAX 512
#define LOGS_MAX 3

struct world {
	struct cow_geometry geometry[7];
	char count[16];
	struct cow_role_image roles[1 + LOGS_MAX];
	struct cow_store_args args;
};

static void geometry_read(struct world *world, const uint8_t *head)
{
	static const char *const blocks[] = { "512", "1024", "2048", "4096" };

	snprintf(world->count, sizeof(world->count), "%d", 1 + (head[1] | (head[2] & 15) << 8));
	world->geometry[0] = (struct cow_geometry){ "block", blocks[head[0] & 3] };
	world->geometry[1] = (struct cow_geometry){ "word", head[0] & 4 ? "8" : "4" };
	world->geometry[2] = (struct cow_geometry){ "endian", head[0] & 8 ? "big" : "little" };
	world->geometry[3] = (struct cow_geometry){ "key", head[0] & 16 ? "sector" : "block" };
	world->geometry[4] = (struct cow_geometry){ "bitmap", head[0] & 32 ? "bytes" : "packed" };
	world->geometry[5] = (struct cow_geometry){ "map", head[0] & 64 ? "full" : "half" };
	world->geometry[6] = (struct cow_geometry){ "count", world->count };
	world->args.geometry = world->geometry;
	world->args.nr_geometry = 7;
}

/* The rest of the input, cut into logs. */
static void images_make(struct world *world, const uint8_t *head, const uint8_t *data, size_t size)
{
	unsigned int nr = 1 + head[3] % LOGS_MAX;
	size_t each = size / nr;
	uint64_t sectors = 1 + (head[4] | (uint64_t)head[5] << 8) % SOURCE_SECTORS_MAX;

	world->roles[0] = (struct cow_role_image){ .role = COW_ROLE_SOURCE };
	fuzz_must(!cow_image_memory_new(sectors * 512, &world->roles[0].image, NULL));
	for (unsigned int i = 0; i < nr; i++)
		world->roles[1 + i] = (struct cow_role_image){
			.role = COW_ROLE_LOG,
			.index = i,
			.image = fuzz_image(data + i * each, each),
		};
	world->args.kind = "snaplog";
	world->args.images = world->roles;
	world->args.nr_images = 1 + nr;
}

/* Findings of damage or worse, without those that only cast doubt; *ret_nr_doubts:
 * these; *ret_nr: blocks that are stored. */
static uint64_t check(const struct cow_store_args *args, uint64_t *ret_nr, uint64_t *ret_nr_doubts)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;
	uint64_t nr;

	fuzz_must(!cow_report_new(NULL, 0, &report, NULL));
	fuzz_must(!cow_check(args, &params, report, &verdict, NULL));
	nr = cow_report_count(report, COW_CLASS_DAMAGE) + cow_report_count(report, COW_CLASS_LOST);
	fuzz_must(!verdict.view_right == !!nr);
	*ret_nr_doubts = cow_report_count_id(report, "snaplog.earlier-log-not-full");
	fuzz_must(verdict.is_doubtful == !!*ret_nr_doubts);
	*ret_nr = verdict.info.nr_exceptions;
	cow_report_free(report);
	return nr - *ret_nr_doubts;
}

/* Of the logs without their data a check says the same. */
static void pack(const struct world *world, uint64_t nr_damage, uint64_t nr_stored,
		 uint64_t nr_doubts)
{
	struct cow_store_args args = world->args;
	struct cow_role_image roles[1 + LOGS_MAX];
	struct cow_image *target, *logs[1 + LOGS_MAX] = { NULL };
	struct cow_segment where = { 0, 0 };
	uint64_t size = 0, nr, doubts;

	memcpy(roles, world->roles, sizeof(roles));
	for (size_t i = 0; i < args.nr_images; i++)
		size += roles[i].role == COW_ROLE_LOG ? cow_image_size(roles[i].image) : 0;
	fuzz_must(!cow_image_memory_new(size, &target, NULL));
	if (!cow_metadata_copy(&args, NULL, target, NULL)) {
		for (size_t i = 0; i < args.nr_images; i++) {
			if (roles[i].role != COW_ROLE_LOG)
				continue;
			where.offset_bytes += where.len_bytes;
			where.len_bytes = cow_image_size(roles[i].image);
			fuzz_must(!cow_image_window_new(target, &where, 1, &logs[i], NULL));
			roles[i].image = logs[i];
		}
		args.images = roles;
		fuzz_must(check(&args, &nr, &doubts) == nr_damage);
		fuzz_must(nr == nr_stored && doubts == nr_doubts);
	}
	for (size_t i = 0; i < args.nr_images; i++)
		cow_image_close(logs[i]);
	cow_image_close(target);
}

static void read_some(struct cow_store *store)
{
	struct cow_image *view;
	uint8_t buf[512];

	fuzz_must(!cow_view_new(store->origin, store, &view, NULL));
	for (uint64_t at = 0; at < cow_image_size(view); at += 512)
		fuzz_must(!cow_image_pread(view, buf, 512, at, NULL));
	cow_image_close(view);
}

static void roll_back(struct cow_store *store, const struct cow_store_args *args,
		      uint64_t nr_damage)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	uint64_t nr, doubts;
	int ret;

	params.epoch_bytes = 8192;
	ret = cow_merge(store, &params, &result, NULL);
	fuzz_must(!ret == !nr_damage);
	fuzz_must(ret || (!check(args, &nr, &doubts) && !doubts && !nr));
}

static void open_and_use(struct world *world, uint32_t flags, uint64_t nr_damage)
{
	struct cow_store *store;
	int ret;

	world->args.flags = flags;
	ret = cow_store_open(&world->args, &store, NULL);
	fuzz_must(ret != -EBADMSG || nr_damage);
	if (ret)
		return;
	read_some(store);
	if (!flags)
		roll_back(store, &world->args, nr_damage);
	cow_store_close(store);
}

/* What is mended is gone, and nothing else comes up. */
static void mend(struct world *world)
{
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	uint64_t nr, doubts;

	params.flags = COW_REPAIR_LOST | COW_REPAIR_ORIGIN;
	fuzz_must(!cow_repair(&world->args, &params, &result, NULL));
	fuzz_must(check(&world->args, &nr, &doubts) + doubts == result.nr_left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world world = { .args = COW_STORE_ARGS_INIT };
	uint64_t nr_damage, nr, doubts;

	if (size < HEAD_BYTES + LOGS_MAX * 512 || size > FUZZ_IMAGE_BYTES_MAX)
		return 0;
	fuzz_begin();
	geometry_read(&world, data);
	images_make(&world, data, data + HEAD_BYTES, size - HEAD_BYTES);
	nr_damage = check(&world.args, &nr, &doubts);
	pack(&world, nr_damage, nr, doubts);
	if (data[6] & 1) {
		world.args.nr_geometry = 0;
		check(&world.args, &nr, &doubts);
		world.args.nr_geometry = 7;
	}
	open_and_use(&world, COW_STORE_DAMAGED, nr_damage);
	if (data[6] & 2)
		mend(&world);
	nr_damage = check(&world.args, &nr, &doubts);
	open_and_use(&world, 0, nr_damage);
	for (size_t i = 0; i < world.args.nr_images; i++)
		cow_image_close(world.roles[i].image);
	fuzz_end(size);
	return 0;
}
