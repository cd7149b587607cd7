/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * floor.c - how fast could a merge be? The floor reads and writes the same
 * chunks with plain pread and pwrite, one each, in the order of the origin,
 * and flushes as often as a merge does: nothing else, and not crash-safe. The
 * ideal has memory for everything: it reads the COW image from end to end,
 * then writes in the order of the origin.
 * usage: floor make ORIGIN COW [origin MiB [number of chunks]]
 *        floor floor ORIGIN COW	does that, prints seconds; COW stays full
 *        floor ideal ORIGIN COW	the same for the ideal
 *        floor merge ORIGIN COW	cow_merge(), prints seconds; COW gets empty
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define CHUNK 4096

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* From the disk, for both candidates. */
static void forget(const char *path)
{
	int fd = open(path, O_RDWR);

	CHECK(fd >= 0);
	CHECK(!fdatasync(fd));
	CHECK(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	close(fd);
}

struct pair {
	struct cow_imageset *set;
	struct cow_image *origin, *cow;
	struct cow_store *store;
};

static void pair_open(struct pair *pair, const char *origin, const char *cow)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_role_image images[2];

	OK(cow_imageset_new(&pair->set, err));
	OK(cow_imageset_open(pair->set, origin, COW_OPEN_WRITE, &pair->origin, err));
	OK(cow_imageset_open(pair->set, cow, COW_OPEN_WRITE, &pair->cow, err));
	images[0] = (struct cow_role_image){ .role = COW_ROLE_COW, .image = pair->cow };
	images[1] = (struct cow_role_image){ .role = COW_ROLE_ORIGIN, .image = pair->origin };
	args.images = images;
	args.nr_images = 2;
	OK(cow_store_open(&args, &pair->store, err));
}

static void pair_close(struct pair *pair)
{
	cow_store_close(pair->store);
	cow_image_close(pair->cow);
	cow_image_close(pair->origin);
	cow_imageset_free(pair->set);
}

static int make_file(const char *path, uint64_t size_bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	CHECK(!ftruncate(fd, (off_t)size_bytes));
	return fd;
}

static void scribble(uint8_t *buf, uint64_t len_bytes, uint64_t *random)
{
	for (uint64_t at = 0; at + 8 <= len_bytes; at += 8) {
		uint64_t word = test_random(random);

		memcpy(buf + at, &word, 8);
	}
}

/* An origin that is all data, and random chunks of it, in random order. */
static void make(const char *origin, const char *cow, uint64_t origin_bytes, uint64_t nr_chunks)
{
	struct cow_create_params params = COW_CREATE_PARAMS_INIT;
	uint64_t random = test_seed(), size;
	static uint8_t buf[1 << 20];
	int fd = make_file(origin, origin_bytes);
	struct pair pair;

	for (uint64_t at = 0; at < origin_bytes; at += sizeof(buf)) {
		scribble(buf, sizeof(buf), &random);
		CHECK(pwrite(fd, buf, sizeof(buf), (off_t)at) == sizeof(buf));
	}
	close(fd);
	params.origin_bytes = nr_chunks * CHUNK;
	OK(cow_create_size(&params, &size, err));
	close(make_file(cow, size));
	OK(cow_imageset_new(&pair.set, err));
	OK(cow_imageset_open(pair.set, cow, COW_OPEN_WRITE, &pair.cow, err));
	OK(cow_create(pair.cow, &params, err));
	cow_image_close(pair.cow);
	cow_imageset_free(pair.set);
	pair_open(&pair, origin, cow);
	for (uint64_t n = 0; n < nr_chunks;) {
		uint64_t chunk = test_random(&random) % (origin_bytes / CHUNK);
		int ret;

		scribble(buf, CHUNK, &random);
		ret = cow_store_append(pair.store, chunk * CHUNK, buf, CHUNK, NULL);
		CHECK(!ret || ret == -EEXIST);
		n += !ret;
	}
	OK(cow_store_publish(pair.store, err));
	pair_close(&pair);
}

static uint8_t *read_all(int fd, uint64_t len_bytes)
{
	uint8_t *all = (uint8_t *)malloc(len_bytes);
	ssize_t nr;

	CHECK(all != NULL);
	for (uint64_t at = 0; at < len_bytes; at += (uint64_t)nr) {
		nr = pread(fd, all + at, len_bytes - at < 1 << 20 ? len_bytes - at : 1 << 20,
			   (off_t)at);
		CHECK(nr > 0);
	}
	return all;
}

static void run_floor(const char *origin, const char *cow, bool is_ideal)
{
	uint8_t one[CHUNK], *all = NULL;
	struct cow_extent extent;
	struct pair pair;
	uint64_t nr = 0;
	double start;
	int to, from;

	pair_open(&pair, origin, cow);
	to = open(origin, O_WRONLY);
	from = open(cow, O_RDWR);
	CHECK(to >= 0 && from >= 0);
	start = now();
	if (is_ideal)
		all = read_all(from, cow_image_size(pair.cow));
	for (uint64_t at = 0; cow_store_next_extent(pair.store, at, &extent); at += CHUNK) {
		const uint8_t *data = is_ideal ? all + extent.new_bytes : one;

		at = extent.old_bytes;
		if (!is_ideal)
			CHECK(pread(from, one, CHUNK, (off_t)extent.new_bytes) == CHUNK);
		CHECK(pwrite(to, data, CHUNK, (off_t)at) == CHUNK);
		nr++;
	}
	CHECK(!fdatasync(to));
	CHECK(!fdatasync(from));
	printf("%s %" PRIu64 " chunks %.3f s\n", is_ideal ? "ideal" : "floor", nr, now() - start);
	free(all);
	close(to);
	close(from);
	pair_close(&pair);
}

static void run_merge(const char *origin, const char *cow)
{
	struct cow_merge_params params = COW_MERGE_PARAMS_INIT;
	struct cow_merge_result result = COW_MERGE_RESULT_INIT;
	struct pair pair;
	double start;

	pair_open(&pair, origin, cow);
	start = now();
	OK(cow_merge(pair.store, &params, &result, err));
	printf("merge %" PRIu64 " chunks %.3f s, %" PRIu64 " runs, %" PRIu64 " epochs, %" PRIu64
	       " flushes\n",
	       result.nr_chunks, now() - start, result.nr_runs, result.nr_epochs,
	       result.nr_flushes);
	pair_close(&pair);
}

int main(int argc, char **argv)
{
	CHECK(argc >= 4);
	if (!strcmp(argv[1], "make")) {
		make(argv[2], argv[3], (argc > 4 ? strtoull(argv[4], NULL, 0) : 4096) << 20,
		     argc > 5 ? strtoull(argv[5], NULL, 0) : 131072);
		return 0;
	}
	forget(argv[2]);
	forget(argv[3]);
	if (!strcmp(argv[1], "merge"))
		run_merge(argv[2], argv[3]);
	else
		run_floor(argv[2], argv[3], !strcmp(argv[1], "ideal"));
	return 0;
}
