/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The one exception to the thread rule: several threads read the view of one stack at
 * the same time. "make check-threads" runs this under TSan, which sees what reading
 * changes in secret.
 */
#include <errno.h>
#include <pthread.h>

#include "tests/aids/temp_dir.h"
#include "tests/aids/test.h"

#define NR_THREADS 4
#define NR_ROUNDS 2000
#define ORIGIN_BYTES UINT64_C(1048576)

static pthread_barrier_t start;
static struct cow_image *view;
static uint8_t wanted[ORIGIN_BYTES];

/* A store over what is shown so far; some of it is rewritten, "wanted" with it. */
static void layer_make(struct cow_imageset *set, struct cow_image *below, const char *name,
		       uint64_t *state)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_image *cow, *after;
	struct cow_store *store;

	temp_file(name, 2 * ORIGIN_BYTES);
	OK(cow_imageset_open(set, name, COW_OPEN_WRITE, &cow, err));
	create.chunk_bytes = 4096;
	create.origin_bytes = ORIGIN_BYTES;
	const struct cow_role_image roles[] = { { .role = COW_ROLE_COW, .image = cow },
						{ .role = COW_ROLE_ORIGIN, .image = below } };
	OK(cow_create(cow, &create, err));
	OK(cow_image_memory_new(ORIGIN_BYTES, &after, err));
	for (int i = 0; i < 60; i++) {
		uint64_t at = test_random(state) % (ORIGIN_BYTES / 4096) * 4096;

		memset(wanted + at, (int)(test_random(state) % 3), 4096);
	}
	OK(cow_image_pwrite(after, wanted, ORIGIN_BYTES, 0, err));
	args.images = roles;
	args.nr_images = 2;
	OK(cow_store_open(&args, &store, err));
	OK(cow_diff_fill(store, below, after, NULL, &stats, err));
	cow_store_close(store);
	cow_image_close(after);
	cow_image_close(cow);
}

static void stack_make(void)
{
	uint64_t state = 7;
	struct cow_imageset *set;
	struct cow_image *origin, *below;
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;
	struct cow_stack *stack;
	const char *lowest = "cow1";

	temp_file("a", ORIGIN_BYTES / 2);
	temp_file("b", ORIGIN_BYTES / 2);
	OK(cow_imageset_new(&set, err));
	OK(cow_imageset_open(set, "concat:a,b", COW_OPEN_WRITE, &origin, err));
	for (uint64_t i = 0; i < ORIGIN_BYTES / 2; i++)
		wanted[i] = (uint8_t)(i >> 9);
	OK(cow_image_pwrite(origin, wanted, ORIGIN_BYTES / 2, 0, err));
	layer_make(set, origin, "cow1", &state);
	cow_image_close(origin);
	cow_imageset_free(set);
	params.origin = "concat:a,b";
	params.cows = &lowest;
	params.nr_cows = 1;
	OK(cow_stack_open(&params, &stack, err));
	OK(cow_imageset_new(&set, err));
	below = cow_stack_view(stack);
	layer_make(set, below, "cow2", &state);
	cow_imageset_free(set);
	cow_stack_close(stack);
}

static void *reader(void *user)
{
	uint64_t state = (uint64_t)(uintptr_t)user, data, len;
	uint8_t buf[16384];

	pthread_barrier_wait(&start);
	for (int i = 0; i < NR_ROUNDS; i++) {
		uint64_t size = test_random(&state) % sizeof(buf) + 1;
		uint64_t at = test_random(&state) % (ORIGIN_BYTES - size);

		OK(cow_image_pread(view, buf, size, at, err));
		CHECK(!memcmp(buf, wanted + at, size));
		OK(cow_image_next_data(view, at, &data, &len, err));
		CHECK(data >= at && data + len <= ORIGIN_BYTES);
		for (uint64_t hole = at; hole < data; hole++)
			CHECK(!wanted[hole]);
	}
	return NULL;
}

static void many_threads_read_one_view(void)
{
	static const char *const cows[] = { "cow1", "cow2" };
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	struct cow_stack *stack;
	pthread_t threads[NR_THREADS];

	params.origin = "concat:a,b";
	params.cows = cows;
	params.nr_cows = 2;
	OK(cow_stack_open(&params, &stack, err));
	view = cow_stack_view(stack);
	pthread_barrier_init(&start, NULL, NR_THREADS);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, reader, (void *)(i + 1)));
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	OK(cow_image_get_stats(view, &stats));
	CHECK_EQ(stats.nr_reads, NR_THREADS * NR_ROUNDS);
	cow_stack_close(stack);
}

static void reader_check_all(void)
{
	static uint8_t buf[ORIGIN_BYTES];

	OK(cow_image_pread(view, buf, ORIGIN_BYTES, 0, err));
	CHECK(!memcmp(buf, wanted, ORIGIN_BYTES));
}

/* A server that writes: those who read share a lock, who writes has it alone. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static void *locked_reader(void *user)
{
	uint64_t state = (uint64_t)(uintptr_t)user, data, len;
	uint8_t buf[16384];

	pthread_barrier_wait(&start);
	for (int i = 0; i < NR_ROUNDS / 4; i++) {
		uint64_t size = test_random(&state) % sizeof(buf) + 1;
		uint64_t at = test_random(&state) % (ORIGIN_BYTES - size);

		pthread_rwlock_rdlock(&lock);
		OK(cow_image_pread(view, buf, size, at, err));
		CHECK(!memcmp(buf, wanted + at, size));
		OK(cow_image_next_data(view, at, &data, &len, err));
		pthread_rwlock_unlock(&lock);
	}
	return NULL;
}

static void *locked_writer(void *user)
{
	uint64_t state = (uint64_t)(uintptr_t)user;

	pthread_barrier_wait(&start);
	for (int i = 0; i < NR_ROUNDS / 8; i++) {
		uint64_t size = test_random(&state) % 9000 + 1;
		uint64_t at = test_random(&state) % (ORIGIN_BYTES - size);

		pthread_rwlock_wrlock(&lock);
		memset(wanted + at, i, size);
		OK(cow_image_pwrite(view, wanted + at, size, at, err));
		if (i % 16 == 0)
			OK(cow_image_flush(view, err));
		pthread_rwlock_unlock(&lock);
	}
	return NULL;
}

static void readers_share_a_lock_with_writers(void)
{
	static const char *const cows[] = { "cow1", "cow2" };
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;
	struct cow_stack *stack;
	pthread_t threads[NR_THREADS];

	params.flags |= COW_STACK_WRITE;
	params.origin = "concat:a,b";
	params.cows = cows;
	params.nr_cows = 2;
	OK(cow_stack_open(&params, &stack, err));
	view = cow_stack_view(stack);
	CHECK(cow_image_is_writable(view));
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, i % 2 ? locked_writer : locked_reader,
				      (void *)(i + 1)));
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	OK(cow_image_flush(view, err));
	cow_stack_close(stack);
	params.flags &= ~COW_STACK_WRITE;
	OK(cow_stack_open(&params, &stack, err));
	view = cow_stack_view(stack);
	CHECK(!cow_image_is_writable(view));
	reader_check_all();
	cow_stack_close(stack);
}

int main(void)
{
	temp_dir_enter();
	stack_make();
	RUN(many_threads_read_one_view);
	RUN(readers_share_a_lock_with_writers);
	return test_end();
}
