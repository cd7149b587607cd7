/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_siblings.c - a merge that keeps two siblings true and saves an undo,
 * cut off anywhere; then the take-back of it, cut off anywhere. At every state
 * the view of the pair is the whole view and each sibling shows what it showed
 * (I4). The run after that may leave siblings and undo out as soon as the
 * label says that all of it is preserved; before, it is refused and writes
 * nothing. At the end the siblings are true and the origin can be taken back
 * bit for bit.
 * usage: crash_siblings [number of states [DIRECTORY NUMBER]]
 * With a directory, NUMBER states of each kind are kept in there.
 */
#include <errno.h>

#include "tests/aids/crash.h"
#include "tests/aids/sample.h"
#include "tests/aids/sides.h"
#include "tests/aids/test.h"

static uint64_t writes_of(struct cow_image **images)
{
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	uint64_t nr = 0;

	for (int i = 0; i < NR_IMAGES; i++) {
		CHECK(!cow_image_get_stats(images[i], &stats));
		nr += stats.nr_writes;
	}
	return nr;
}

/* Fails if the image does. */
static int phase_read(struct cow_image *image, uint32_t *ret_phase, struct cow_err *err)
{
	uint8_t sector[512];
	int ret = cow_image_pread(image, sector, sizeof(sector), 0, err);

	if (!ret)
		*ret_phase = side_phase_of(sector);
	return ret;
}

/* The image was meant to fail: nothing follows from that. */
static bool is_planned(const struct cow_err *why)
{
	return strstr(why->message, "planned fault");
}

/* ----------------------------------------------------------------- merge */

static int merge_run(void *user, struct cow_image **images, struct crash_run *run,
		     struct cow_err *err)
{
	struct side_job *job = (struct side_job *)user;
	uint64_t writes = writes_of(images);
	struct cow_err why = COW_ERR_INIT;
	uint32_t phase;
	int ret = phase_read(images[COW], &phase, err);

	(void)run;
	if (ret)
		return ret;
	if (phase && phase != LABEL_PHASE_DONE && test_random(&job->random) % 2) {
		ret = side_merge(job, images, false, false, 0, &why);
		if (phase == LABEL_PHASE_MOVE) {
			*err = why;
			return ret;
		}
		if (is_planned(&why))
			return ret;
		CHECK(ret == -EPERM && !strcmp(why.id, "siblings"));
		CHECK_EQ(writes_of(images), writes);
	}
	why = (struct cow_err)COW_ERR_INIT;
	ret = side_merge(job, images, true, false, 0, &why);
	if (!ret || is_planned(&why))
		return ret;
	/* Once the origin is a mixture the undo file is complete. */
	CHECK(phase != LABEL_PHASE_MOVE);
	CHECK_EQ(writes_of(images), writes);
	return side_merge(job, images, true, true, 0, err);
}

/* For the real kernel. cow: the store that is being merged, view: into what. */
static void state_keep(const struct side_job *job, struct cow_image **images, const char *what,
		       int cow, const uint8_t *view)
{
	static const char *const phases[] = { "before", "preserve", "move", "done" };
	const char *phase = side_count(images[cow]) ? phases[side_phase(images[cow])] : "merged";
	char kind[40], path[256], name[16];

	snprintf(kind, sizeof(kind), "%s-%s-%s", what, phase,
		 pair_is_torn(images[cow]) ? "torn" : "whole");
	if (!sample_wants(job->sample, kind, path))
		return;
	sample_image(path, "origin", images[ORIGIN]);
	sample_image(path, "cow", images[cow]);
	sample_bytes(path, "view", view, job->rs.origin_bytes);
	for (int i = 0; i < NR_SIBLINGS; i++) {
		snprintf(name, sizeof(name), "sibling%d", i);
		sample_image(path, name, images[SIBLING + i]);
		snprintf(name, sizeof(name), "shown%d", i);
		sample_bytes(path, name, job->shown[i], job->rs.origin_bytes);
	}
	if (cow != UNDO)
		sample_image(path, "undo", images[UNDO]);
	sample_bytes(path, "before", job->before, job->rs.origin_bytes);
}

static void merge_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct side_job *job = (const struct side_job *)user;

	(void)mark;
	pair_check_view(images[ORIGIN], images[COW], job->rs.view);
	side_check_siblings(job, images);
	/* A run that is cut off while it completes siblings leaves a word. */
	for (int i = 0; i < NR_SIBLINGS; i++)
		if (side_count(images[COW]) && side_count(images[SIBLING + i]) > job->nr_own[i])
			CHECK(side_phase(images[COW]));
	/* From here on somebody may want it all back. */
	if (side_phase(images[COW]) == LABEL_PHASE_MOVE)
		pair_check_view(images[ORIGIN], images[UNDO], job->before);
	else if (side_phase(images[COW]) == LABEL_PHASE_PRESERVE)
		side_check_origin(job, images[ORIGIN], job->before);
	state_keep(job, images, "sides", COW, job->rs.view);
}

static void merge_check_done(void *user, struct cow_image **images)
{
	struct side_job *job = (struct side_job *)user;
	struct cow_image *over[NR_IMAGES];

	side_check_origin(job, images[ORIGIN], job->rs.view);
	pair_check_empty(images[COW], job->rs.chunk_bytes);
	side_check_siblings(job, images);
	for (int i = 0; i < NR_IMAGES; i++)
		OK(cow_image_overlay_new(images[i], &over[i], err));
	job->is_take_back = true;
	OK(side_take_back(job, over, true, err));
	job->is_take_back = false;
	side_check_origin(job, over[ORIGIN], job->before);
	side_check_siblings(job, over);
	for (int i = 0; i < NR_IMAGES; i++)
		cow_image_close(over[i]);
}

/* ------------------------------------------------------------- take-back */

static int take_back_run(void *user, struct cow_image **images, struct crash_run *run,
			 struct cow_err *err)
{
	struct side_job *job = (struct side_job *)user;
	uint64_t writes = writes_of(images);
	struct cow_err why = COW_ERR_INIT;
	uint32_t phase;
	int ret = phase_read(images[UNDO], &phase, err);

	(void)run;
	if (ret)
		return ret;
	if (phase == LABEL_PHASE_TAKEN) { /* finished: there is nothing to be done */
		ret = side_take_back(job, images, true, &why);
		CHECK(!ret || is_planned(&why));
		return ret;
	}
	if (phase != LABEL_PHASE_DONE && test_random(&job->random) % 2) {
		ret = side_take_back(job, images, false, &why);
		if (phase == LABEL_PHASE_MOVE) {
			*err = why;
			return ret;
		}
		if (is_planned(&why))
			return ret;
		CHECK(ret == -EPERM && !strcmp(why.id, "siblings"));
		CHECK_EQ(writes_of(images), writes);
	}
	return side_take_back(job, images, true, err);
}

static void take_back_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct side_job *job = (const struct side_job *)user;

	(void)mark;
	pair_check_view(images[ORIGIN], images[UNDO], job->before);
	side_check_siblings(job, images);
	state_keep(job, images, "back", UNDO, job->before);
}

static void take_back_check_done(void *user, struct cow_image **images)
{
	const struct side_job *job = (const struct side_job *)user;

	side_check_origin(job, images[ORIGIN], job->before);
	side_check_siblings(job, images);
	CHECK_EQ(side_count(images[UNDO]), 0);
	CHECK_EQ(side_phase(images[UNDO]), LABEL_PHASE_TAKEN);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 }, back_counts = { 0 };
	uint64_t random = test_seed();
	struct sample sample = { .directory = argc > 3 ? argv[2] : NULL,
				 .nr_per_kind = argc > 3 ? (unsigned int)atoi(argv[3]) : 0 };

	test_name = "siblings";
	while (counts.nr_states + back_counts.nr_states < wanted) {
		static struct side_job job;
		const struct crash_job merge = {
			.name = "merge with siblings and undo",
			.nr_images = NR_IMAGES,
			.user = &job,
			.may_fail = true,
			.run = merge_run,
			.check_state = merge_check_state,
			.check_done = merge_check_done,
		};
		const struct crash_job take_back = {
			.name = "take-back",
			.nr_images = NR_IMAGES,
			.user = &job,
			.may_fail = true,
			.run = take_back_run,
			.check_state = take_back_check_state,
			.check_done = take_back_check_done,
		};

		side_make(&job, &random);
		job.sample = &sample;
		crash_explore(&merge, job.bytes, job.sizes, &limits, test_random(&random), &counts);
		side_merge_all(&job);
		job.is_take_back = true;
		crash_explore(&take_back, job.bytes, job.sizes, &limits, test_random(&random),
			      &back_counts);
		side_free(&job);
	}
	crash_print("merge with siblings and undo", &counts);
	crash_print("take-back", &back_counts);
	sample_print(&sample);
	return 0;
}
