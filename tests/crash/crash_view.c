/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash_view.c - sessions of writes, zeros, trims and flushes to a writable view, cut off
 * anywhere. At every state the store is sound, and each sector of its view is what the
 * last flush that returned has made durable, or what something after it wrote there. A
 * second run does the session again, on whatever is there. Sessions are drawn, and those
 * of tests/crash/sessions/, which programs made over NBD, are repeated.
 * usage: crash_view [number of states]
 */
#include <inttypes.h>

#include "libcow/base/bytes.h"
#include "libcow/base/units.h"
#include "tests/aids/crash.h"
#include "tests/aids/randstore.h"
#include "tests/aids/test.h"

#define STEPS_MAX 1000
#define DRAWN_MAX 24
#define SECTOR 512

enum step_kind { STEP_WRITE, STEP_ZERO, STEP_TRIM, STEP_FLUSH };

struct step {
	enum step_kind kind;
	uint64_t offset_bytes, len_bytes;
};

struct session {
	const struct randstore *rs;
	struct step steps[STEPS_MAX];
	uint32_t nr_steps;
	uint32_t nr_runs; /* so far; each writes bytes of its own */
};

/* A mark says which run made how many steps durable. */
#define MARKS UINT64_C(10000)

/* Which step of which run wrote a sector. */
static void sector_stamp(uint8_t sector[SECTOR], uint32_t run, uint32_t step)
{
	memset(sector, (int)(run * 31 + step + 1) & 255, SECTOR);
	put_le32(sector, run);
	put_le32(sector + 4, step);
}

static int step_run(struct cow_image *view, const struct step *step, uint32_t run, uint32_t nr,
		    struct cow_err *err)
{
	uint8_t *buf;
	int ret;

	switch (step->kind) {
	case STEP_ZERO:
		return cow_image_write_zeroes(view, step->offset_bytes, step->len_bytes, err);
	case STEP_TRIM:
		return cow_image_discard(view, step->offset_bytes, step->len_bytes, err);
	case STEP_FLUSH:
		return cow_image_flush(view, err);
	default:
		buf = (uint8_t *)malloc(step->len_bytes);
		CHECK(buf);
		for (uint64_t at = 0; at < step->len_bytes; at += SECTOR)
			sector_stamp(buf + at, run, nr);
		ret = cow_image_pwrite(view, buf, step->len_bytes, step->offset_bytes, err);
		free(buf);
		return ret;
	}
}

static int session_run(void *user, struct cow_image **images, struct crash_run *run,
		       struct cow_err *err)
{
	struct session *session = (struct session *)user;
	struct cow_image *origin = NULL, *view = NULL;
	struct cow_store *store = NULL;
	int ret = crash_flat_new(session->rs->origin, session->rs->origin_bytes, "origin", &origin,
				 err);

	if (!ret)
		ret = pair_open(origin, images[0], &store, err);
	if (!ret)
		ret = cow_view_new_writable(origin, store, &view, err);
	session->nr_runs++;
	for (uint32_t i = 0; !ret && i < session->nr_steps; i++) {
		ret = step_run(view, &session->steps[i], session->nr_runs, i, err);
		if (!ret && session->steps[i].kind == STEP_FLUSH)
			crash_mark(run, session->nr_runs * MARKS + i + 1);
	}
	cow_image_close(view);
	cow_store_close(store);
	cow_image_close(origin);
	return ret;
}

static bool covers(const struct step *step, uint64_t at)
{
	return step->kind != STEP_FLUSH && at >= step->offset_bytes &&
	       at < step->offset_bytes + step->len_bytes;
}

/* What must be durable: steps below "step" of the run of that number; runs before it
 * have done what they have. */
struct durable {
	uint32_t run, step;
};

/* May a sector hold what a step of a run wrote? */
static bool is_possible_write(const struct session *session, uint64_t at, uint32_t run,
			      uint32_t step, struct durable durable)
{
	if (run > durable.run || (run == durable.run && step >= durable.step))
		return true;
	for (uint32_t i = durable.step; i-- > 0;)
		if (covers(&session->steps[i], at) && session->steps[i].kind != STEP_TRIM)
			return run == durable.run && step == i;
	return run < durable.run;
}

/* Zeros: by one of the steps that count, or by a trim. */
static bool is_possible_zero(const struct session *session, uint64_t at, struct durable durable)
{
	for (uint32_t i = durable.step; i < session->nr_steps; i++)
		if (covers(&session->steps[i], at) && session->steps[i].kind != STEP_WRITE)
			return true;
	for (uint32_t i = durable.step; i-- > 0;)
		if (covers(&session->steps[i], at))
			return session->steps[i].kind != STEP_WRITE ||
			       /* a run that began after it */
			       session->nr_runs > durable.run;
	return false;
}

static bool is_possible(const struct session *session, uint64_t at, const uint8_t *found,
			struct durable durable)
{
	uint8_t stamped[SECTOR];
	uint32_t run = get_le32(found), step = get_le32(found + 4);

	if (run && run <= session->nr_runs && step < session->nr_steps) {
		sector_stamp(stamped, run, step);
		if (!memcmp(found, stamped, SECTOR))
			return covers(&session->steps[step], at) &&
			       session->steps[step].kind == STEP_WRITE &&
			       is_possible_write(session, at, run, step, durable);
	}
	if (is_all_zero(found, SECTOR) && is_possible_zero(session, at, durable))
		return true;
	for (uint32_t i = 0; i < durable.step; i++)
		if (covers(&session->steps[i], at) && session->steps[i].kind != STEP_TRIM)
			return false;
	return !memcmp(found, session->rs->view + at, SECTOR);
}

static void session_check_state(void *user, struct cow_image **images, uint64_t mark)
{
	const struct session *session = (const struct session *)user;
	const struct durable durable = { (uint32_t)(mark / MARKS), (uint32_t)(mark % MARKS) };
	struct cow_image *origin, *view;
	struct cow_store *store;
	uint8_t found[SECTOR];

	OK(crash_flat_new(session->rs->origin, session->rs->origin_bytes, "origin", &origin, err));
	OK(pair_open(origin, images[0], &store, err));
	OK(cow_view_new(origin, store, &view, err));
	for (uint64_t at = 0; at < session->rs->origin_bytes; at += SECTOR) {
		OK(cow_image_pread(view, found, SECTOR, at, err));
		CHECK(is_possible(session, at, found, durable));
	}
	cow_image_close(view);
	cow_store_close(store);
	/* One flush of more than 32 records writes several sectors of an area, which arrive in
	 * any order. A sector of zeros in front of them looks like a list that lost it: a check
	 * cannot know, and must doubt. What was flushed is there, see above. */
	pair_check_loads(origin, images[0]);
	cow_image_close(origin);
}

static void session_check_done(void *user, struct cow_image **images)
{
	const struct session *session = (const struct session *)user;

	session_check_state(user, images, session->nr_runs * MARKS + session->nr_steps);
}

static void session_draw(struct session *session, uint64_t *random)
{
	uint64_t sectors = session->rs->origin_bytes / SECTOR;

	session->nr_steps = 2 + (uint32_t)(test_random(random) % (DRAWN_MAX - 2));
	for (uint32_t i = 0; i < session->nr_steps; i++) {
		struct step *step = &session->steps[i];
		uint64_t kind = test_random(random) % 10, from = test_random(random) % sectors;
		uint64_t most = test_random(random) % 3 ? 5 : 40;

		step->kind = kind < 6	? STEP_WRITE
			     : kind < 7 ? STEP_ZERO
			     : kind < 8 ? STEP_TRIM
					: STEP_FLUSH;
		step->offset_bytes = from * SECTOR;
		step->len_bytes = SECTOR * min_u64(1 + test_random(random) % most, sectors - from);
	}
	session->steps[session->nr_steps - 1].kind = STEP_FLUSH;
}

static void session_explore(struct session *session, const struct crash_limits *limits,
			    uint64_t *random, struct crash_counts *counts)
{
	const struct crash_job job = {
		.name = "view",
		.nr_images = 1,
		.user = session,
		.may_fail = true,
		.run = session_run,
		.check_state = session_check_state,
		.check_done = session_check_done,
	};

	crash_explore(&job, (uint8_t *[]){ session->rs->cow },
		      (uint64_t[]){ session->rs->cow_bytes }, limits, test_random(random), counts);
}

static void explore_one(uint64_t *random, struct crash_counts *counts)
{
	struct crash_limits limits = CRASH_LIMITS_INIT;
	struct session session = { .nr_runs = 0 };
	struct randstore rs;

	randstore_make(&rs, random, 2 + test_random(random) % 60);
	session.rs = &rs;
	session_draw(&session, random);
	session_explore(&session, &limits, random, counts);
	randstore_free(&rs);
}

/* Lines: "size SECTORS", "write AT SECTORS", "zero ...", "trim ...", "flush". Gives the
 * size in sectors. */
static uint64_t session_read(struct session *session, const char *name)
{
	const char *source = getenv("COW_SOURCE");
	uint64_t at, nr, size = 0;
	char path[4096], line[200], word[8];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/crash/sessions/%s", source ? source : ".", name);
	file = fopen(path, "r");
	CHECK(file);
	while (fgets(line, sizeof(line), file)) {
		struct step *step = &session->steps[session->nr_steps];
		int nr_words = sscanf(line, "%7[a-z] %" SCNu64 " %" SCNu64, word, &at, &nr);

		if (nr_words < 1)
			continue;
		if (!strcmp(word, "size")) {
			size = at;
			continue;
		}
		CHECK(session->nr_steps < STEPS_MAX && (nr_words == 3 || !strcmp(word, "flush")));
		step->kind = !strcmp(word, "write")  ? STEP_WRITE
			     : !strcmp(word, "zero") ? STEP_ZERO
			     : !strcmp(word, "trim") ? STEP_TRIM
						     : STEP_FLUSH;
		step->offset_bytes = nr_words == 3 ? at * SECTOR : 0;
		step->len_bytes = nr_words == 3 ? nr * SECTOR : 0;
		CHECK(step->offset_bytes + step->len_bytes <= size * SECTOR);
		session->nr_steps++;
	}
	fclose(file);
	return size;
}

/* Much longer than those that are drawn: fewer kinds of states of each moment. */
static void explore_recorded(const char *name, uint64_t *random, struct crash_counts *counts)
{
	const struct crash_limits limits = { .exhaustive_bits = 2,
					     .nr_subsets = 2,
					     .second_one_in = 50,
					     .nr_second = 2,
					     .failing_one_in = 20 };
	struct session session = { .nr_runs = 0 };
	struct randstore rs;
	uint64_t size = session_read(&session, name);

	randstore_empty(&rs, random, UINT64_C(512) << test_random(random) % 5, size * SECTOR);
	session.rs = &rs;
	session_explore(&session, &limits, random, counts);
	randstore_free(&rs);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
	struct crash_counts counts = { 0 };
	uint64_t random = test_seed();

	test_name = "view";
	explore_recorded("fio.txt", &random, &counts);
	if (wanted > 20000)
		explore_recorded("ext4.txt", &random, &counts);
	crash_print("view, recorded", &counts);
	counts = (struct crash_counts){ 0 };
	while (counts.nr_states < wanted)
		explore_one(&random, &counts);
	crash_print("view", &counts);
	return 0;
}
