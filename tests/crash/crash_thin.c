/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_thin.c - devices of a pool are made, snapshotted, exchanged and deleted, and the
 * power goes at any instant. At every state the pool is sound with all counts, and has the devices
 * of some step, not older than the last one that had returned (I14): never less, never
 * half of one. The same steps, run again, go on from there (I6).
 *
 * A pool is formatted over another one, and a damaged one is repaired into a new image:
 * at every state there is the old pool, none, or the whole new one.
 * usage: crash_thin [number of states]
 */
#include "libcow/core/report.h"
#include "libcow/store/thin/thin_store.h"
#include "tests/aids/crash.h"
#include "tests/aids/sound.h"
#include "tests/aids/test.h"
#include "tests/aids/thin_build.h"

#define STEPS_MAX 6
#define DEVICES_MAX (4 + STEPS_MAX)

struct device {
	uint64_t id;
	struct thin_details details;
};

/* What the pool has after so many steps. */
struct moment {
	struct device devices[DEVICES_MAX];
	size_t nr;
	uint32_t time;
};

struct step {
	bool is_delete, is_swap;
	uint64_t id, parent; /* of an exchange: the other one */
};

struct thin_job {
	struct step steps[STEPS_MAX];
	size_t nr_steps;
	struct moment moments[STEPS_MAX + 1];
};

/* A pool that is open; its data is not looked at. */
struct opened {
	struct cow_image *data;
	struct cow_role_image roles[2];
	struct cow_store_args args;
	struct cow_store *store;
};

static void opened_args(struct opened *opened, struct cow_image *metadata)
{
	*opened = (struct opened){ .args = COW_STORE_ARGS_INIT };
	OK(cow_image_zero_new(THIN_BUILD_DATA * UINT64_C(65536), &opened->data, err));
	opened->roles[0] = (struct cow_role_image){ COW_ROLE_METADATA, 0, metadata };
	opened->roles[1] = (struct cow_role_image){ COW_ROLE_DATA, 0, opened->data };
	opened->args.kind = "thin";
	opened->args.images = opened->roles;
	opened->args.nr_images = 2;
	opened->args.snapshot_id = STORE_SNAPSHOT_NONE;
}

static void opened_close(struct opened *opened)
{
	cow_store_close(opened->store);
	cow_image_close(opened->data);
}

/* Is it what the pool has after so many steps? */
static int moment_is(struct cow_store *store, const struct moment *moment, bool *ret_is,
		     struct cow_err *err)
{
	struct thin_pool *pool = thin_pool_of(store);
	uint64_t id = 0;
	size_t nr = 0;
	int ret = 0;

	*ret_is = pool->super.time == moment->time;
	for (; !ret; id++, nr++) {
		struct thin_details details;
		uint64_t root;
		size_t i = 0;

		ret = cow_store_snapshot_next(store, id, &id, err);
		if (ret || id == STORE_SNAPSHOT_NONE)
			break;
		while (i < moment->nr && moment->devices[i].id != id)
			i++;
		ret = cow_thin_device_find(pool, &pool->super, id, &root, &details, err);
		*ret_is &= !ret && i < moment->nr &&
			   !memcmp(&details, &moment->devices[i].details, sizeof(details));
	}
	*ret_is &= nr == moment->nr;
	return ret;
}

static int step_find(const struct thin_job *job, struct cow_store *store, size_t *ret_nr,
		     struct cow_err *err)
{
	bool is_it = false;
	int ret = 0;

	for (size_t i = 0; !ret && i <= job->nr_steps; i++) {
		ret = moment_is(store, &job->moments[i], &is_it, err);
		*ret_nr = i;
		if (is_it)
			return ret;
	}
	CHECK(ret); /* it is what it was at no step */
	return ret;
}

static int step_do(struct cow_store *store, const struct step *step, struct cow_err *err)
{
	uint64_t id = step->id;

	if (step->is_swap)
		return cow_store_swap(store, id, step->parent, true, err);
	return step->is_delete ? cow_store_snapshot_delete(store, id, err)
			       : cow_store_snapshot_create(store, step->parent, 0, &id, err);
}

static int thin_run(void *user, struct cow_image **images, struct crash_run *run,
		    struct cow_err *err)
{
	const struct thin_job *job = (const struct thin_job *)user;
	struct opened opened;
	size_t at = 0;
	int ret;

	opened_args(&opened, images[0]);
	ret = cow_store_open_shared(&opened.args, &opened.store, err);
	if (!ret)
		ret = step_find(job, opened.store, &at, err);
	for (; !ret && at < job->nr_steps; at++) {
		ret = step_do(opened.store, &job->steps[at], err);
		if (!ret)
			crash_mark(run, at + 1);
	}
	opened_close(&opened);
	return ret;
}

static void thin_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct thin_job *job = (const struct thin_job *)user;
	struct opened opened;
	size_t at = 0;

	opened_args(&opened, images[0]);
	OK(cow_store_open_shared(&opened.args, &opened.store, err));
	OK(step_find(job, opened.store, &at, err));
	CHECK(at >= mark);
	sound_check(&opened.args);
	opened_close(&opened);
}

static void thin_check_done(void *user, struct cow_image **images)
{
	thin_check_state(user, images, ((const struct thin_job *)user)->nr_steps);
}

/* ---------------------------------------------------------------- jobs */

/* Whatever the order. */
static bool moments_equal(const struct moment *a, const struct moment *b)
{
	size_t nr_equal = 0;

	for (size_t i = 0; i < a->nr; i++)
		for (size_t k = 0; k < b->nr; k++)
			nr_equal += !memcmp(&a->devices[i], &b->devices[k], sizeof(*a->devices));
	return a->nr == b->nr && a->time == b->time && nr_equal == a->nr;
}

/* No moment comes twice: then nobody could say which one a state is. */
static bool moments_have(const struct thin_job *job, const struct moment *moment)
{
	for (size_t i = 0; i < job->nr_steps; i++)
		if (moments_equal(&job->moments[i], moment))
			return true;
	return false;
}

static bool delete_make(struct thin_job *job, struct step *step, struct moment *moment,
			struct device *which)
{
	struct device kept = *which;

	*which = moment->devices[--moment->nr];
	*step = (struct step){ .is_delete = true, .id = kept.id };
	if (!moments_have(job, moment))
		return true;
	*step = (struct step){ .parent = STORE_SNAPSHOT_NONE };
	*which = kept;
	moment->nr++;
	return false;
}

/* Two devices whose details differ, so that one can see it. */
static bool swap_make(struct thin_job *job, struct step *step, struct moment *moment,
		      uint64_t *random)
{
	struct device *a, *b;
	struct thin_details kept;

	if (moment->nr < 2 || test_random(random) % 2)
		return false;
	a = &moment->devices[test_random(random) % moment->nr];
	b = &moment->devices[test_random(random) % moment->nr];
	kept = a->details;
	a->details = b->details;
	b->details = kept;
	if (a != b && memcmp(&a->details, &b->details, sizeof(kept)) &&
	    !moments_have(job, moment)) {
		*step = (struct step){ .is_swap = true, .id = a->id, .parent = b->id };
		return true;
	}
	b->details = a->details;
	a->details = kept;
	return false;
}

static void step_make(struct thin_job *job, uint64_t *random)
{
	struct moment *moment = &job->moments[job->nr_steps + 1];
	struct step *step = &job->steps[job->nr_steps];
	struct device *made, *parent;

	*moment = job->moments[job->nr_steps];
	made = &moment->devices[moment->nr];
	*step = (struct step){ .parent = STORE_SNAPSHOT_NONE };
	parent = moment->nr ? &moment->devices[test_random(random) % moment->nr] : NULL;
	job->nr_steps++;
	if (parent && test_random(random) % 2 && delete_make(job, step, moment, parent))
		return;
	if (swap_make(job, step, moment, random))
		return;
	/* an id is used once, so that each step has devices of its own */
	step->id = 10 * job->nr_steps + test_random(random) % 10;
	*made = (struct device){ .id = step->id };
	if (parent && test_random(random) % 3) {
		step->parent = parent->id;
		parent->details.snapshotted_time = ++moment->time;
		made->details.mapped_blocks = parent->details.mapped_blocks;
	}
	made->details.creation_time = made->details.snapshotted_time = moment->time;
	moment->nr++;
}

static void begin_read(struct thin_job *job, struct cow_image *metadata)
{
	struct moment *moment = &job->moments[0];
	struct opened opened;
	uint64_t id = 0, root;

	opened_args(&opened, metadata);
	OK(cow_store_open_shared(&opened.args, &opened.store, err));
	moment->time = thin_pool_of(opened.store)->super.time;
	for (;; id++) {
		struct device *device = &moment->devices[moment->nr];

		OK(cow_store_snapshot_next(opened.store, id, &id, err));
		if (id == STORE_SNAPSHOT_NONE)
			break;
		device->id = id;
		OK(cow_thin_device_find(thin_pool_of(opened.store),
					&thin_pool_of(opened.store)->super, id, &root,
					&device->details, err));
		moment->nr++;
	}
	opened_close(&opened);
}

/* ---------------------------------------------------------------- whole images */

/* An image of a pool that is wholly written. */
struct whole {
	struct thin_job old; /* its first moment: what the pool has that was there */
	uint8_t *damaged;    /* of the pool to be repaired */
	uint64_t size;
	bool is_lossy; /* the last repair met a node that could not be read, and said so */
};

/* Is there a pool, and then one of these two: the old one, or an empty one? */
static void whole_check(struct cow_image *metadata, const struct moment *old, bool may_be_empty,
			bool must_be)
{
	static const struct moment empty = { .nr = 0 };
	struct cow_err why = COW_ERR_INIT;
	bool is_old = false, is_empty = false;
	struct opened opened;
	int ret;

	opened_args(&opened, metadata);
	ret = cow_store_open_shared(&opened.args, &opened.store, &why);
	CHECK(!ret || (!must_be && (ret == -EMEDIUMTYPE || ret == -EBADMSG)));
	if (!ret) {
		OK(moment_is(opened.store, old, &is_old, err));
		OK(moment_is(opened.store, &empty, &is_empty, err));
		CHECK(may_be_empty ? is_empty || (is_old && !must_be) : is_old);
		sound_check(&opened.args);
	}
	opened_close(&opened);
}

static int format_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	int ret = cow_thin_format(images[0], 128, THIN_BUILD_DATA, err);

	(void)user;
	if (!ret)
		crash_mark(run, 1);
	return ret;
}

static void format_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	(void)mark; /* a run after a whole one begins anew */
	whole_check(images[0], &((const struct whole *)user)->old.moments[0], true, false);
}

static void format_check_done(void *user, struct cow_image **images)
{
	whole_check(images[0], &((const struct whole *)user)->old.moments[0], true, true);
}

enum { NEW, OLD, NR_REPAIR_IMAGES };

static int repair_run(void *user, struct cow_image **images, struct crash_run *run,
		      struct cow_err *err)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;
	struct cow_repair_result result = COW_REPAIR_RESULT_INIT;
	struct whole *whole = (struct whole *)user;
	struct opened opened;
	int ret;

	opened_args(&opened, images[OLD]);
	params.target = images[NEW];
	ret = cow_repair(&opened.args, &params, &result, err);
	whole->is_lossy = !ret && result.nr_lost;
	CHECK(ret || (!result.nr_doubtful && result.nr_mended));
	if (!ret && !whole->is_lossy)
		crash_mark(run, 1);
	opened_close(&opened);
	return ret;
}

static void repair_check(const struct whole *whole, struct cow_image **images, bool is_done)
{
	uint8_t *bytes = malloc(whole->size);

	CHECK(bytes);
	OK(cow_image_pread(images[OLD], bytes, whole->size, 0, err));
	CHECK(!memcmp(bytes, whole->damaged, whole->size));
	free(bytes);
	if (!whole->is_lossy)
		whole_check(images[NEW], &whole->old.moments[0], false, is_done);
	CHECK(!whole->is_lossy || !is_done);
}

static void repair_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	(void)mark;
	repair_check((const struct whole *)user, images, false);
}

static void repair_check_done(void *user, struct cow_image **images)
{
	repair_check((const struct whole *)user, images, true);
}

/* bytes: a sound pool, that of the first moment. */
static void whole_explore(const struct thin_job *old, const uint8_t *bytes, uint64_t size,
			  uint64_t seed, struct crash_counts *formats, struct crash_counts *repairs)
{
	struct whole whole = { .old = *old, .damaged = malloc(size), .size = size };
	uint8_t *images[NR_REPAIR_IMAGES] = { malloc(size), whole.damaged };
	const uint64_t sizes[NR_REPAIR_IMAGES] = { size, size };
	struct crash_limits limits = CRASH_LIMITS_INIT;
	const struct crash_job format = {
		.name = "thin-format",
		.nr_images = 1,
		.user = &whole,
		.may_fail = true,
		.run = format_run,
		.check_state = format_check_state,
		.check_done = format_check_done,
	};
	const struct crash_job repair = {
		.name = "thin-repair",
		.nr_images = NR_REPAIR_IMAGES,
		.user = &whole,
		.may_fail = true,
		.run = repair_run,
		.check_state = repair_check_state,
		.check_done = repair_check_done,
	};
	struct thin_super super;

	CHECK(whole.damaged && images[NEW]);
	memcpy(images[NEW], bytes, size);
	crash_explore(&format, images, sizes, &limits, seed, formats);
	memcpy(whole.damaged, bytes, size);
	cow_thin_super_decode(bytes, &super);
	whole.damaged[super.metadata_map.bitmap_root * 4096 + 100] ^= 1;
	for (uint64_t i = 0; i < size; i++) /* what was there before */
		images[NEW][i] = (uint8_t)test_random(&seed);
	crash_explore(&repair, images, sizes, &limits, seed, repairs);
	free(images[NEW]);
	free(whole.damaged);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 4000;
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct crash_counts counts = { 0 }, formats = { 0 }, repairs = { 0 };
	uint64_t random = test_seed();

	test_name = "thin";
	while (counts.nr_states < wanted) {
		uint32_t constants[THIN_BUILD_BLOCKS];
		uint64_t size = THIN_BUILD_BLOCKS * UINT64_C(4096);
		uint8_t *bytes = calloc(1, size);
		struct cow_image *metadata;
		struct thin_job thin = { .nr_steps = 0 };
		struct crash_job job = {
			.name = "thin",
			.nr_images = 1,
			.user = &thin,
			.may_fail = true,
			.run = thin_run,
			.check_state = thin_check_state,
			.check_done = thin_check_done,
		};

		CHECK(bytes);
		OK(crash_flat_new(bytes, size, "metadata", &metadata, err));
		thin_build(metadata, constants);
		begin_read(&thin, metadata);
		cow_image_close(metadata);
		while (thin.nr_steps < 1 + random % STEPS_MAX)
			step_make(&thin, &random);
		if (min_u64(formats.nr_states, repairs.nr_states) < wanted / 3 * 2)
			whole_explore(&thin, bytes, size, test_random(&random), &formats, &repairs);
		crash_explore(&job, &bytes, &size, &limits, test_random(&random), &counts);
		free(bytes);
	}
	crash_print("thin", &counts);
	crash_print("thin-format", &formats);
	crash_print("thin-repair", &repairs);
	return 0;
}
