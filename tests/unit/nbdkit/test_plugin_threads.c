/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * The plugin for nbdkit, called as nbdkit calls it, but by threads of this program: "make
 * check-threads" runs it under TSan, which nbdkit cannot. The functions of nbdkit that the
 * plugin needs are here. Read-only: threads read the same bytes at the same time, of files
 * and of a server, from which they are asked for by all threads over one process. mode=rw:
 * each thread has a part of the view, and writes, zeroes, trims, flushes and reads there,
 * while the plugin's own thread flushes what is old.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "tests/aids/temp_dir.h"
#include "tests/aids/test.h"

#define NR_THREADS 4
#define NR_ROUNDS 1500
#define VIEW_BYTES UINT64_C(2097152)
#define PART_BYTES (VIEW_BYTES / NR_THREADS)

/* The plugin's macro defines it. */
extern struct nbdkit_plugin *plugin_init(void);
static struct nbdkit_plugin *served;
static uint8_t wanted[VIEW_BYTES];
static pthread_barrier_t start;

/* ---------------------------------------------------------------- nbdkit */

struct nbdkit_extents {
	uint64_t end_bytes; /* of what was told */
	bool is_wrong;
};

__attribute__((format(printf, 1, 2))) void nbdkit_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void nbdkit_set_error(int code)
{
	errno = code;
}

int nbdkit_parse_uint32_t(const char *what, const char *text, uint32_t *ret_number)
{
	(void)what;
	*ret_number = (uint32_t)strtoul(text, NULL, 10);
	return 0;
}

/* Ascending, without a gap; what is told to be zeros is. */
int nbdkit_add_extent(struct nbdkit_extents *extents, uint64_t offset, uint64_t length,
		      uint32_t type)
{
	extents->is_wrong |= offset != extents->end_bytes || !length;
	for (uint64_t at = offset; type & NBDKIT_EXTENT_ZERO && at < offset + length; at++)
		extents->is_wrong |= wanted[at] != 0;
	extents->end_bytes = offset + length;
	return 0;
}

/* ---------------------------------------------------------------- images */

static void images_make(void)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	struct cow_patch_stats stats = COW_PATCH_STATS_INIT;
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_image *origin, *cow, *after;
	struct cow_imageset *set;
	struct cow_store *store;
	uint64_t state = 3;

	temp_file("origin", VIEW_BYTES);
	temp_file("cow", 2 * VIEW_BYTES);
	OK(cow_imageset_new(&set, err));
	OK(cow_imageset_open(set, "origin", COW_OPEN_WRITE, &origin, err));
	OK(cow_imageset_open(set, "cow", COW_OPEN_WRITE, &cow, err));
	for (uint64_t at = 0; at < VIEW_BYTES; at += 4096)
		memset(wanted + at, (int)(test_random(&state) % 3), 4096);
	OK(cow_image_pwrite(origin, wanted, VIEW_BYTES, 0, err));
	create.chunk_bytes = 8192;
	create.origin_bytes = VIEW_BYTES;
	const struct cow_role_image roles[] = { { .role = COW_ROLE_COW, .image = cow },
						{ .role = COW_ROLE_ORIGIN, .image = origin } };
	OK(cow_create(cow, &create, err));
	OK(cow_image_memory_new(VIEW_BYTES, &after, err));
	for (int i = 0; i < 80; i++)
		memset(wanted + test_random(&state) % (VIEW_BYTES / 4096) * 4096,
		       (int)(test_random(&state) % 4), 4096);
	OK(cow_image_pwrite(after, wanted, VIEW_BYTES, 0, err));
	args.images = roles;
	args.nr_images = 2;
	OK(cow_store_open(&args, &store, err));
	OK(cow_diff_fill(store, origin, after, NULL, &stats, err));
	cow_store_close(store);
	cow_image_close(after);
	cow_image_close(cow);
	cow_image_close(origin);
	cow_imageset_free(set);
}

/* ---------------------------------------------------------------- requests */

struct client {
	void *handle;
	uint64_t random, from, len; /* the part of the view that is its own */
};

static void read_check(struct client *client, uint64_t from, uint64_t len)
{
	uint32_t count = (uint32_t)(test_random(&client->random) % 16384 + 1);
	uint64_t at = from + test_random(&client->random) % (len - count);
	struct nbdkit_extents extents = { .end_bytes = at };
	uint8_t buf[16384];

	CHECK(!served->pread(client->handle, buf, count, at, 0));
	CHECK(!memcmp(buf, wanted + at, count));
	CHECK(!served->extents(client->handle, count, at, 0, &extents));
	CHECK(!extents.is_wrong && extents.end_bytes >= at + count);
}

static void *reader(void *user)
{
	struct client *client = user;

	pthread_barrier_wait(&start);
	for (int i = 0; i < NR_ROUNDS; i++)
		read_check(client, 0, VIEW_BYTES);
	return NULL;
}

static void write_some(struct client *client, int round)
{
	uint32_t count = (uint32_t)(test_random(&client->random) % 9000 + 1);
	uint64_t at = client->from + test_random(&client->random) % (client->len - count);
	uint32_t flags = round % 16 ? 0 : NBDKIT_FLAG_FUA;

	if (round % 5 == 0) {
		memset(wanted + at, 0, count);
		CHECK(!served->zero(client->handle, count, at, flags));
		return;
	}
	memset(wanted + at, round & 127, count);
	CHECK(!served->pwrite(client->handle, wanted + at, count, at, flags));
}

static void *writer(void *user)
{
	struct client *client = user;

	pthread_barrier_wait(&start);
	for (int i = 0; i < NR_ROUNDS / 5; i++) {
		write_some(client, i);
		if (i % 20 == 0)
			CHECK(!served->flush(client->handle, 0));
		read_check(client, client->from, client->len);
	}
	return NULL;
}

/* ---------------------------------------------------------------- a server's life */

static void plugin_begin(const char *mode, const char *cow)
{
	served = plugin_init();
	CHECK(!served->config("origin", "origin") && !served->config("cow", cow));
	CHECK(!served->config("mode", mode) && !served->config_complete());
	CHECK(!served->get_ready() && !served->after_fork());
}

/* Processes, because a plugin is loaded once in a server's life. */
static void serve(const char *mode, const char *cow, void *(*run)(void *))
{
	struct client clients[NR_THREADS];
	pthread_t threads[NR_THREADS];
	uint8_t buf[4096];

	alarm(120); /* a thread that waits for ever is a failure */
	plugin_begin(mode, cow);
	pthread_barrier_init(&start, NULL, NR_THREADS);
	for (uint64_t i = 0; i < NR_THREADS; i++) {
		clients[i] = (struct client){ served->open(0), i + 1, i * PART_BYTES, PART_BYTES };
		CHECK(!pthread_create(&threads[i], NULL, run, &clients[i]));
	}
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t at = 0; at < VIEW_BYTES; at += sizeof(buf)) {
		CHECK(!served->pread(clients[0].handle, buf, sizeof(buf), at, 0));
		CHECK(!memcmp(buf, wanted + at, sizeof(buf)));
	}
	served->cleanup();
	served->unload();
}

static void in_process(const char *mode, const char *cow, void *(*run)(void *))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		serve(mode, cow, run);
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

static void threads_read_through_the_plugin(void)
{
	in_process("ro", "cow", reader);
}

static void threads_read_from_a_server(void)
{
	CHECK(!system("nbdkit -r -U server -P server.pid --filter=delay file cow rdelay=1ms"));
	in_process("ro", "nbd+unix:///?socket=server", reader);
	CHECK(!system("kill $(cat server.pid)"));
}

static void threads_write_through_the_plugin(void)
{
	in_process("rw", "cow", writer);
}

int main(void)
{
	temp_dir_enter();
	images_make();
	RUN(threads_read_through_the_plugin);
	RUN(threads_read_from_a_server);
	RUN(threads_write_through_the_plugin);
	return test_end();
}
