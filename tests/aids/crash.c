/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/crash.h"

#include <errno.h>
#include <malloc.h>

#include "libcow/base/units.h"
#include "libcow/image/image.h"
#include "tests/aids/image_fault.h"
#include "tests/aids/image_record.h"
#include "tests/aids/test.h"

struct mark {
	size_t nr_entries; /* of the log when it was set */
	uint64_t value;
};

struct crash_run {
	struct record_log log;
	struct mark *marks;
	size_t nr_marks;
};

/* The bytes of all images. */
struct world {
	uint8_t *bytes[CRASH_IMAGES_MAX];
};

/* One sector of a write that was not flushed before the crash. */
struct sector {
	size_t entry;
	uint64_t offset_bytes; /* within the entry */
	bool is_there;
};

struct explorer {
	const struct crash_job *job;
	const uint64_t *sizes;
	const struct crash_limits *limits;
	struct crash_counts *counts;
	uint64_t random;
	unsigned int level; /* 1: a run is cut off, 2: the second run too */
};

/* One run under the knife. */
struct cut {
	struct explorer *x;
	const struct crash_run *run;
	struct world durable; /* what is flushed at the present point */
	size_t *flushed;      /* per image: entries before that index are */
	struct sector *sectors;
	size_t nr_sectors;
	size_t nr_windows; /* ends of windows in the whole run */
	size_t point;
	uint64_t mark;
};

/* ------------------------------------------------------- what went wrong */

/* A failed CHECK ends the program; say then which state it was. */
static char where[CRASH_IMAGES_MAX * 256];

static void where_print(void)
{
	if (where[0])
		fputs(where, stderr);
}

static void where_set(const struct cut *cut)
{
	size_t lost = 0, used;

	for (size_t i = 0; i < cut->nr_sectors; i++)
		lost += !cut->sectors[i].is_there;
	used = (size_t)snprintf(where, sizeof(where),
				"crash state of level %u: %s, cut before operation %zu of %zu, "
				"%zu of %zu unflushed sectors lost:",
				cut->x->level, cut->x->job->name, cut->point,
				cut->run->log.nr_entries, lost, cut->nr_sectors);
	for (size_t i = 0; i < cut->nr_sectors && used < sizeof(where) - 80; i++) {
		const struct sector *s = &cut->sectors[i];
		const struct record_entry *e = &cut->run->log.entries[s->entry];

		if (!s->is_there)
			used += (size_t)snprintf(where + used, sizeof(where) - used,
						 " %zu(image %u byte %" PRIu64 ")", s->entry,
						 e->image, e->offset_bytes + s->offset_bytes);
	}
	snprintf(where + used, sizeof(where) - used, "\n");
}

/* ------------------------------------------------------------ the images */

static void *must(void *p)
{
	CHECK(p != NULL);
	return p;
}

struct image_flat {
	struct cow_image image; /* first */
	uint8_t *bytes;
};

static int flat_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err)
{
	(void)err;
	memcpy(buf, ((struct image_flat *)image)->bytes + offset_bytes, len_bytes);
	return 0;
}

static int flat_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		       uint64_t offset_bytes, struct cow_err *err)
{
	(void)err;
	memcpy(((struct image_flat *)image)->bytes + offset_bytes, buf, len_bytes);
	return 0;
}

static const struct image_ops flat_ops = {
	.name = "flat",
	.pread = flat_pread,
	.pwrite = flat_pwrite,
};

int crash_flat_new(uint8_t *bytes, uint64_t size_bytes, const char *name,
		   struct cow_image **ret_image, struct cow_err *err)
{
	struct image_flat *flat = (struct image_flat *)must(calloc(1, sizeof(*flat)));
	int ret = cow_image_init(&flat->image, &flat_ops, name, size_bytes, err);

	CHECK(!ret);
	flat->image.is_writable = true;
	flat->bytes = bytes;
	*ret_image = &flat->image;
	return 0;
}

static void world_copy(const struct explorer *x, struct world *to, uint8_t *const *from)
{
	for (size_t i = 0; i < x->job->nr_images; i++) {
		to->bytes[i] = (uint8_t *)must(malloc(x->sizes[i]));
		memcpy(to->bytes[i], from[i], x->sizes[i]);
	}
}

static void world_free(const struct explorer *x, struct world *world)
{
	for (size_t i = 0; i < x->job->nr_images; i++)
		free(world->bytes[i]);
}

static void images_open(const struct explorer *x, struct world *world, struct cow_image **images)
{
	char name[32];

	for (size_t i = 0; i < x->job->nr_images; i++) {
		snprintf(name, sizeof(name), "image %zu", i);
		OK(crash_flat_new(world->bytes[i], x->sizes[i], name, &images[i], err));
	}
}

static void images_close(const struct explorer *x, struct cow_image **images)
{
	for (size_t i = 0; i < x->job->nr_images; i++)
		cow_image_close(images[i]);
}

/* --------------------------------------------------------------- running */

void crash_mark(struct crash_run *run, uint64_t value)
{
	run->marks =
		(struct mark *)must(realloc(run->marks, (run->nr_marks + 1) * sizeof(*run->marks)));
	run->marks[run->nr_marks++] =
		(struct mark){ .nr_entries = run->log.nr_entries, .value = value };
}

static void run_free(struct crash_run *run)
{
	record_clear(&run->log);
	free(run->marks);
}

/* Runs the job to its end on the world, which it changes. */
static void job_run(const struct explorer *x, struct world *world, struct crash_run *run)
{
	struct cow_image *flat[CRASH_IMAGES_MAX], *images[CRASH_IMAGES_MAX];

	images_open(x, world, flat);
	for (size_t i = 0; i < x->job->nr_images; i++)
		OK(record_new(flat[i], &run->log, (unsigned int)i, &images[i], err));
	OK(x->job->run(x->job->user, images, run, err));
	images_close(x, images);
	x->job->check_done(x->job->user, flat);
	images_close(x, flat);
}

static void explore(struct explorer *x, uint8_t *const *start, uint64_t mark);

/* Runs the job on images that fail as planned. Returns its answer and the
 * highest mark. */
static int job_run_failing(const struct explorer *x, struct world *world, struct fault_plan *plan,
			   uint64_t *ret_mark)
{
	struct cow_image *flat[CRASH_IMAGES_MAX], *images[CRASH_IMAGES_MAX];
	struct crash_run run = { .marks = NULL };
	struct cow_err why = COW_ERR_INIT;
	int ret;

	images_open(x, world, flat);
	for (size_t i = 0; i < x->job->nr_images; i++)
		OK(fault_new(flat[i], plan, &images[i], err));
	ret = x->job->run(x->job->user, images, &run, &why);
	images_close(x, images);
	images_close(x, flat);
	for (size_t i = 0; i < run.nr_marks; i++)
		*ret_mark = max_u64(*ret_mark, run.marks[i].value);
	run_free(&run);
	return ret;
}

/* The run that goes on after a crash meets an image that cannot be read or
 * written, once or from then on. What it leaves is a state like any other, and
 * the run after that finishes. */
static void recovery_fail(struct explorer *x, uint8_t *const *start, uint64_t mark)
{
	struct fault_plan plan = { .kinds = FAULT_ANY };
	struct cow_image *images[CRASH_IMAGES_MAX];
	struct crash_run run = { .marks = NULL };
	struct world world;
	uint64_t nr_ops, ignored = 0;

	world_copy(x, &world, start);
	CHECK(!job_run_failing(x, &world, &plan, &ignored));
	nr_ops = plan.nr_ops;
	world_free(x, &world);
	if (!nr_ops)
		return;
	world_copy(x, &world, start);
	plan = (struct fault_plan){
		.kinds = FAULT_ANY,
		.nth = 1 + test_random(&x->random) % nr_ops,
		.for_ever = test_random(&x->random) % 2,
		.error = test_random(&x->random) % 2 ? -EIO : -ENOSPC,
		.torn = (enum fault_torn)(test_random(&x->random) % (FAULT_TORN_ALL + 1)),
		.random = test_random(&x->random),
	};
	snprintf(where + strlen(where), sizeof(where) - strlen(where),
		 "then operation %" PRIu64 " of %" PRIu64 " of the next run fails\n", plan.nth,
		 nr_ops);
	job_run_failing(x, &world, &plan, &mark);
	/* The runs of some jobs are not all of one length. */
	x->counts->nr_failing += plan.nr_faults != 0;
	images_open(x, &world, images);
	x->job->check_state(x->job->user, images, mark);
	images_close(x, images);
	job_run(x, &world, &run);
	run_free(&run);
	world_free(x, &world);
}

/* Looks at one state, then has the job finished from there; that run is cut
 * off too now and then, more often where writes were torn apart. */
static void world_judge(struct explorer *x, struct world *world, uint64_t mark, bool is_torn)
{
	unsigned int one_in = x->limits->second_one_in * (is_torn ? 1 : 4);
	struct cow_image *images[CRASH_IMAGES_MAX];
	struct crash_run run = { .marks = NULL };
	struct world before;

	x->counts->nr_states++;
	x->counts->nr_second += x->level == 2;
	world_copy(x, &before, world->bytes);
	images_open(x, world, images);
	x->job->check_state(x->job->user, images, mark);
	images_close(x, images);
	for (size_t i = 0; i < x->job->nr_images; i++)
		CHECK(!memcmp(before.bytes[i], world->bytes[i], x->sizes[i]));
	if (x->job->may_fail && test_random(&x->random) % x->limits->failing_one_in == 0)
		recovery_fail(x, before.bytes, mark);
	if (x->level == 1 && test_random(&x->random) % one_in == 0) {
		x->level = 2;
		explore(x, before.bytes, mark);
		x->level = 1;
	} else {
		job_run(x, world, &run);
		run_free(&run);
	}
	world_free(x, &before);
}

/* ---------------------------------------------------------------- states */

static void sector_apply(const struct record_entry *entry, uint64_t offset_bytes, uint8_t *image)
{
	uint8_t *to = image + entry->offset_bytes + offset_bytes;

	if (entry->data)
		memcpy(to, entry->data + offset_bytes, COW_SECTOR_BYTES);
	else
		memset(to, 0, COW_SECTOR_BYTES);
}

/* Lists the sectors that a crash at the present point may lose. */
static void cut_list_sectors(struct cut *cut)
{
	const struct record_log *log = &cut->run->log;
	size_t nr = 0;

	cut->nr_sectors = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < cut->point; i++) {
			const struct record_entry *e = &log->entries[i];

			if (e->kind == RECORD_FLUSH || i < cut->flushed[e->image])
				continue;
			for (uint64_t at = 0; at < e->len_bytes; at += COW_SECTOR_BYTES) {
				if (pass)
					cut->sectors[cut->nr_sectors++] =
						(struct sector){ .entry = i, .offset_bytes = at };
				else
					nr++;
			}
		}
		if (!pass)
			cut->sectors = (struct sector *)must(
				realloc(cut->sectors, (nr + 1) * sizeof(*cut->sectors)));
	}
}

/* Rebuilds the state that the sectors describe, and judges it. */
static void cut_state(struct cut *cut)
{
	struct explorer *x = cut->x;
	size_t nr_there = 0;
	struct world world;

	world_copy(x, &world, cut->durable.bytes);
	for (size_t i = 0; i < cut->nr_sectors; i++) {
		const struct sector *s = &cut->sectors[i];
		const struct record_entry *e = &cut->run->log.entries[s->entry];

		nr_there += s->is_there;
		if (s->is_there)
			sector_apply(e, s->offset_bytes, world.bytes[e->image]);
	}
	where_set(cut);
	world_judge(x, &world, cut->mark, nr_there && nr_there < cut->nr_sectors);
	where[0] = '\0';
	world_free(x, &world);
}

static void cut_state_all(struct cut *cut, bool are_there)
{
	for (size_t i = 0; i < cut->nr_sectors; i++)
		cut->sectors[i].is_there = are_there;
	cut_state(cut);
}

/* Every subset but "all there", which the prefix was. */
static void cut_states_exhaustive(struct cut *cut)
{
	uint64_t nr = UINT64_C(1) << cut->nr_sectors;

	cut->x->counts->nr_exhaustive++;
	for (uint64_t bits = 0; bits + 1 < nr; bits++) {
		for (size_t i = 0; i < cut->nr_sectors; i++)
			cut->sectors[i].is_there = bits >> i & 1;
		cut_state(cut);
	}
}

/* A random subset, of several shapes: torn everywhere, whole writes lost,
 * one write alone lost, torn, or there. */
static void cut_state_random(struct cut *cut)
{
	uint64_t *random = &cut->x->random;
	uint64_t shape = test_random(random) % 6, salt = test_random(random);
	size_t chosen = cut->sectors[test_random(random) % cut->nr_sectors].entry;

	for (size_t i = 0; i < cut->nr_sectors; i++) {
		struct sector *s = &cut->sectors[i];
		uint64_t per_entry = salt + s->entry;

		if (shape == 0)
			s->is_there = test_random(random) % 2;
		else if (shape == 1)
			s->is_there = test_random(random) % 8 != 0;
		else if (shape == 2)
			s->is_there = test_random(&per_entry) % 2;
		else if (shape == 3)
			s->is_there = s->entry != chosen;
		else if (shape == 4)
			s->is_there = s->entry != chosen || test_random(random) % 2;
		else
			s->is_there = s->entry == chosen;
	}
	cut_state(cut);
}

static void cut_point_first(struct cut *cut, bool is_window_end)
{
	cut_state_all(cut, true);
	if (!is_window_end || !cut->nr_sectors)
		return;
	cut->x->counts->nr_windows++;
	if (cut->nr_sectors <= cut->x->limits->exhaustive_bits) {
		cut_states_exhaustive(cut);
		return;
	}
	cut_state_all(cut, false);
	for (unsigned int i = 0; i < cut->x->limits->nr_subsets; i++)
		cut_state_random(cut);
}

/* Of a second run, a few states at random places; most of them where a
 * window ends, because there more can be lost. */
static void cut_point_second(struct cut *cut, bool is_window_end)
{
	uint64_t *random = &cut->x->random;
	size_t nr_points = is_window_end ? cut->nr_windows : cut->run->log.nr_entries;
	unsigned int wanted = is_window_end ? cut->x->limits->nr_second : 1;

	for (unsigned int i = 0; i < wanted; i++) {
		if (test_random(random) % nr_points)
			continue;
		if (cut->nr_sectors)
			cut_state_random(cut);
		else
			cut_state(cut);
	}
}

/* Goes over one operation of the log. */
static void cut_advance(struct cut *cut)
{
	const struct record_log *log = &cut->run->log;
	const struct record_entry *flush = &log->entries[cut->point++];

	if (flush->kind != RECORD_FLUSH)
		return;
	for (size_t i = cut->flushed[flush->image]; i < cut->point; i++) {
		const struct record_entry *e = &log->entries[i];

		if (e->image != flush->image)
			continue;
		for (uint64_t at = 0; at < e->len_bytes; at += COW_SECTOR_BYTES)
			sector_apply(e, at, cut->durable.bytes[e->image]);
	}
	cut->flushed[flush->image] = cut->point;
}

static void cut_points(struct cut *cut, uint64_t mark)
{
	const struct crash_run *run = cut->run;
	size_t nr = run->log.nr_entries;

	cut->mark = mark;
	cut->nr_windows = 1;
	for (size_t i = 0; i < nr; i++)
		cut->nr_windows += run->log.entries[i].kind == RECORD_FLUSH;
	for (;;) {
		bool is_window_end =
			cut->point == nr || run->log.entries[cut->point].kind == RECORD_FLUSH;

		for (size_t i = 0; i < run->nr_marks; i++)
			if (run->marks[i].nr_entries <= cut->point)
				cut->mark = max_u64(cut->mark, run->marks[i].value);
		cut_list_sectors(cut);
		if (cut->x->level == 1)
			cut_point_first(cut, is_window_end);
		else
			cut_point_second(cut, is_window_end);
		if (cut->point == nr)
			return;
		cut_advance(cut);
	}
}

/* Who says that it is done has flushed all that it wrote (I4). */
static void ends_flushed_check(const struct explorer *x, const struct record_log *log)
{
	bool is_flushed[CRASH_IMAGES_MAX];

	memset(is_flushed, true, sizeof(is_flushed));
	for (size_t i = 0; i < log->nr_entries; i++)
		is_flushed[log->entries[i].image] = log->entries[i].kind == RECORD_FLUSH;
	for (size_t i = 0; i < x->job->nr_images; i++) {
		if (!is_flushed[i])
			fprintf(stderr, "%s: image %zu is not flushed at the end\n", x->job->name,
				i);
		CHECK(is_flushed[i]);
	}
}

/* Records a run from this state on, then cuts it off everywhere. */
static void explore(struct explorer *x, uint8_t *const *start, uint64_t mark)
{
	size_t flushed[CRASH_IMAGES_MAX] = { 0 };
	struct crash_run run = { .marks = NULL };
	struct cut cut = { .x = x, .run = &run, .flushed = flushed };
	struct world world;

	world_copy(x, &world, start);
	job_run(x, &world, &run);
	ends_flushed_check(x, &run.log);
	world_free(x, &world);
	world_copy(x, &cut.durable, start);
	cut_points(&cut, mark);
	world_free(x, &cut.durable);
	free(cut.sectors);
	run_free(&run);
}

void crash_explore(const struct crash_job *job, uint8_t *const *images, const uint64_t *sizes,
		   const struct crash_limits *limits, uint64_t seed, struct crash_counts *counts)
{
	struct explorer x = { .job = job,
			      .sizes = sizes,
			      .limits = limits,
			      .counts = counts,
			      .random = seed,
			      .level = 1 };
	static bool is_registered;

	CHECK(job->nr_images <= CRASH_IMAGES_MAX);
	if (!is_registered) {
		atexit(where_print);
		/* States come and go: keep their memory. */
		mallopt(M_MMAP_THRESHOLD, 64 << 20);
		mallopt(M_TRIM_THRESHOLD, 64 << 20);
	}
	is_registered = true;
	counts->nr_jobs++;
	explore(&x, images, 0);
}

void crash_print(const char *name, const struct crash_counts *counts)
{
	printf("%s: %" PRIu64 " states of %" PRIu64 " runs (%" PRIu64
	       " of them of a second run; in %" PRIu64 " that failed), %" PRIu64
	       " windows (%" PRIu64 " exhaustive)\n",
	       name, counts->nr_states, counts->nr_jobs, counts->nr_second, counts->nr_failing,
	       counts->nr_windows, counts->nr_exhaustive);
}
