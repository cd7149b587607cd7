/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_snaplog.c - the roll back of a source from log devices, and a repair of
 * them, cut off anywhere. At every state the snapshot shows what it showed, by the
 * library and by the naive reader; of the logs nothing but bits of the bitmap has
 * changed, and these were only cleared; no log is touched before those behind it
 * are done; and what a check finds are holes and second copies, never damage. The
 * same job, run again, finishes (I6).
 * usage: crash_snaplog [number of states]
 */
#include "libcow/base/bytes.h"
#include "libcow/core/report.h"
#include "libcow/store/store.h"
#include "tests/aids/crash.h"
#include "tests/aids/snaplog_build.h"
#include "tests/aids/test.h"

struct snaplog_job {
	struct snaplog_build build;
	bool is_repair;
	uint64_t batch_bytes, epoch_bytes;
	uint64_t sizes[1 + SNAPLOG_BUILD_LOGS];
	uint8_t *bytes[1 + SNAPLOG_BUILD_LOGS]; /* the source, then the logs */
	uint8_t *view;
};

static void args_fill(const struct snaplog_job *job, struct cow_image **images,
		      struct cow_role_image roles[1 + SNAPLOG_BUILD_LOGS],
		      struct cow_store_args *args)
{
	*args = (struct cow_store_args)COW_STORE_ARGS_INIT;
	for (unsigned int i = 0; i <= job->build.nr_logs; i++)
		roles[i] = (struct cow_role_image){
			.role = i ? COW_ROLE_LOG : COW_ROLE_SOURCE,
			.index = i ? i - 1 : 0,
			.image = images[i],
		};
	args->kind = "snaplog";
	args->images = roles;
	args->nr_images = 1 + job->build.nr_logs;
	args->geometry = job->build.geometry;
	args->nr_geometry = 7;
}

static int roll_back(const struct snaplog_job *job, const struct cow_store_args *args,
		     struct cow_err *err)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct cow_store *store;
	int ret = cow_store_open(args, &store, err);

	if (ret)
		return ret;
	params.batch_bytes = job->batch_bytes;
	params.epoch_bytes = job->epoch_bytes;
	ret = cow_merge(store, &params, &result, err);
	cow_store_close(store);
	return ret;
}

static int snaplog_run(void *user, struct cow_image **images, struct crash_run *run,
		       struct cow_err *err)
{
	const struct snaplog_job *job = (const struct snaplog_job *)user;
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_role_image roles[1 + SNAPLOG_BUILD_LOGS];
	struct cow_store_args args;
	int ret;

	args_fill(job, images, roles, &args);
	ret = job->is_repair ? cow_repair(&args, &params, &result, err)
			     : roll_back(job, &args, err);
	if (!ret)
		crash_mark(run, 1);
	return ret;
}

/* ---------------------------------------------------------------- at every state */

static uint8_t *image_read(struct cow_image *image)
{
	uint8_t *bytes = malloc(cow_image_size(image));

	CHECK(bytes);
	OK(cow_image_pread(image, bytes, cow_image_size(image), 0, err));
	return bytes;
}

static void view_check(const struct snaplog_job *job, const struct cow_store_args *args,
		       const struct snaplog_build *now)
{
	uint8_t *naive = malloc(job->build.source_bytes), *shown;
	struct cow_store *store;
	struct cow_image *view;

	CHECK(naive);
	snaplog_build_view(now, naive);
	CHECK(!memcmp(naive, job->view, job->build.source_bytes));
	OK(cow_store_open(args, &store, err));
	OK(cow_view_new(store->origin, store, &view, err));
	shown = image_read(view);
	CHECK(!memcmp(shown, job->view, job->build.source_bytes));
	cow_image_close(view);
	cow_store_close(store);
	free(shown);
	free(naive);
}

/* Bits are cleared, and nothing else. *ret_is_begun: some are. */
static void log_check(const struct snaplog_job *job, unsigned int log, const uint8_t *now,
		      bool *ret_is_begun, bool *ret_is_done)
{
	uint64_t bitmap = job->build.bitmap_blocks * job->build.block;
	const uint8_t *before = job->bytes[1 + log];

	CHECK(!memcmp(before + bitmap, now + bitmap, job->sizes[1 + log] - bitmap));
	for (uint64_t i = 0; i < bitmap; i++)
		CHECK(!(now[i] & ~before[i]));
	*ret_is_begun = memcmp(before, now, bitmap) != 0;
	*ret_is_done = is_all_zero(now, bitmap);
}

static void findings_check(const struct snaplog_job *job, const struct cow_store_args *args,
			   uint64_t mark)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct cow_report *report;

	OK(cow_report_new(NULL, 0, &report, err));
	OK(cow_check(args, &params, report, &verdict, err));
	CHECK(verdict.known && verdict.view_right && verdict.merge_right);
	CHECK(!cow_report_count(report, COW_CLASS_DAMAGE));
	CHECK(!cow_report_count(report, COW_CLASS_LOST));
	CHECK_EQ(cow_report_count(report, COW_CLASS_NOTE),
		 cow_report_count_id(report, "snaplog.hole") +
			 cow_report_count_id(report, "snaplog.on-two-logs"));
	if (mark && !job->is_repair)
		CHECK(!verdict.info.nr_exceptions);
	/* at most the last block of each log but the last */
	if (mark && job->is_repair)
		CHECK(cow_report_count_id(report, "snaplog.on-two-logs") < job->build.nr_logs);
	cow_report_free(report);
}

static void snaplog_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct snaplog_job *job = (const struct snaplog_job *)user;
	struct cow_role_image roles[1 + SNAPLOG_BUILD_LOGS];
	struct snaplog_build now = job->build;
	struct cow_store_args args;
	bool is_begun, is_done, all_done = true;

	args_fill(job, images, roles, &args);
	now.source = image_read(images[0]);
	for (unsigned int i = 0; i < job->build.nr_logs; i++)
		now.logs[i] = image_read(images[1 + i]);
	for (unsigned int i = job->build.nr_logs; i-- > 0;) {
		log_check(job, i, now.logs[i], &is_begun, &is_done);
		/* the newest first */
		CHECK(job->is_repair || !is_begun || all_done);
		all_done = all_done && is_done;
	}
	CHECK(job->is_repair || !mark || all_done);
	if (job->is_repair)
		CHECK(!memcmp(now.source, job->bytes[0], job->sizes[0]));
	view_check(job, &args, &now);
	findings_check(job, &args, mark);
	for (unsigned int i = 0; i < job->build.nr_logs; i++)
		free(now.logs[i]);
	free(now.source);
}

static void snaplog_check_done(void *user, struct cow_image **images)
{
	const struct snaplog_job *job = (const struct snaplog_job *)user;
	uint8_t *source = image_read(images[0]);

	snaplog_check_state(user, images, 1);
	if (!job->is_repair)
		CHECK(!memcmp(source, job->view, job->sizes[0]));
	free(source);
}

/* ---------------------------------------------------------------- jobs */

/* On the log in use, of a block that an earlier one holds: newer, and wrong. */
static void second_copy_add(struct snaplog_build *build, uint64_t *random)
{
	uint64_t block = test_random(random) % build->nr_blocks, value, offset;
	unsigned int before;
	uint8_t mask;

	if (!snaplog_build_find(build, block, &before, &value) || build->log <= before ||
	    build->log >= build->nr_logs ||
	    build->next >= build->log_bytes[build->log] / build->block)
		return;
	CHECK(snaplog_build_bit(build, block * build->keys_per_block, &offset, &mask));
	if (build->logs[build->log][offset] & mask)
		return;
	snaplog_build_set(build, build->log, block * build->keys_per_block, build->next++);
}

static void job_make(struct snaplog_job *job, uint64_t *random)
{
	struct snaplog_build *build = &job->build;

	snaplog_build_draw(build, 2 + test_random(random) % 40, random);
	for (int i = 0; i < 3; i++) {
		snaplog_build_fill(build, test_random(random) % 30, random);
		for (int j = 0; j < 3; j++)
			second_copy_add(build, random);
	}
	job->is_repair = test_random(random) % 4 == 0;
	job->view = malloc(build->source_bytes);
	CHECK(job->view);
	snaplog_build_view(build, job->view);
	job->bytes[0] = build->source;
	job->sizes[0] = build->source_bytes;
	for (unsigned int i = 0; i < build->nr_logs; i++) {
		job->bytes[1 + i] = build->logs[i];
		job->sizes[1 + i] = build->log_bytes[i];
	}
	job->batch_bytes = 4096 * (1 + test_random(random) % 4);
	job->epoch_bytes = build->block * (1 + test_random(random) % 20);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 2000;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();

	test_name = "snaplog";
	while (counts.nr_states < wanted) {
		struct snaplog_job snaplog = { .is_repair = false };
		struct crash_job job = {
			.name = "snaplog",
			.user = &snaplog,
			.may_fail = true,
			.run = snaplog_run,
			.check_state = snaplog_check_state,
			.check_done = snaplog_check_done,
		};

		job_make(&snaplog, &random);
		job.nr_images = 1 + snaplog.build.nr_logs;
		crash_explore(&job, snaplog.bytes, snaplog.sizes, &limits, test_random(&random),
			      &counts);
		free(snaplog.view);
		snaplog_build_free(&snaplog.build);
	}
	crash_print("snaplog", &counts);
	return 0;
}
