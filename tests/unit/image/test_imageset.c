/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Names, overlaps, locks and kinds of files. Works in a directory of its own. */
#include "tests/aids/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcow/image/image.h"
#include "tests/aids/temp_dir.h"

static struct cow_imageset *set;

static struct cow_image *opened(const char *spec, uint32_t flags)
{
	struct cow_image *image = NULL;

	OK(cow_imageset_open(set, spec, flags, &image, err));
	return image;
}

static struct cow_err refused(const char *spec, uint32_t flags, int code, const char *id)
{
	struct cow_image *image = NULL;
	struct cow_err why = COW_ERR_INIT;
	int ret = cow_imageset_open(set, spec, flags, &image, &why);

	if (ret != code || image || strcmp(why.id, id) || strcmp(why.image, spec)) {
		fprintf(stderr, "%s: %s: %d, id \"%s\", image \"%s\": %s; expected %d, \"%s\"\n",
			test_name, spec, ret, why.id, why.image, why.message, code, id);
		exit(1);
	}
	return why;
}

static void size_is(const char *spec, uint64_t size_bytes)
{
	struct cow_image *image = opened(spec, 0);

	CHECK_EQ(cow_image_size(image), size_bytes);
	CHECK(!strcmp(cow_image_name(image), spec));
	CHECK(!cow_image_is_writable(image) && !cow_image_is_block_device(image));
	CHECK_EQ(cow_image_logical_block_size(image), 512);
	cow_image_close(image);
}

static void specifications_are_read_as_documented(void)
{
	temp_file("a", 10000);
	temp_file("b@home.img", 4096);
	temp_file("c@1MB", 4096);
	temp_file("d@", 4096);
	temp_file("@1k", 4096);
	temp_file("-", 4096);
	size_is("a", 9728);
	size_is("file:a", 9728);
	size_is("a@1k", 9728 - 1024);
	size_is("a@8s+2k", 2048);
	size_is("a@4096+512,0+1024,2k+1k", 2560);
	size_is("a@0+9728", 9728);
	size_is("zero:16T", UINT64_C(16) << 40);
	size_is("b@home.img", 4096);
	size_is("b@home.img@1k", 3072);
	size_is("c@1MB", 4096);
	size_is("d@", 4096);
	size_is("@1k", 4096);
	size_is("./-", 4096);
	size_is("file:-", 4096);
}

static void malformed_specifications_are_refused(void)
{
	static const char *const bad[] = {
		"",	    "-",	 "file:",     "zero:",	      "zero:1MB",
		"zero:511", "lvm:x:y",	 "a@1MB",     "a@1k,2k+1k",   "a@1k+0",
		"a@0+1k,",  "a@0+1k,1k", "a@0+1k+1k", "a@0+2k,1k+1k", "a@1.3",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(bad[i], 0, -EINVAL, "usage");
	refused("a@9728", 0, -ERANGE, "bounds");
	refused("a@20k", 0, -ERANGE, "bounds");
	refused("a@1k+9k", 0, -ERANGE, "bounds");
	refused("a@9223372036854775296+9223372036854775296", 0, -ERANGE, "bounds");
	refused("a@9223372036854775807", 0, -ERANGE, "bounds");
	refused("nothing@x", 0, -ENOENT, "not-found");
	refused("nothing@1k", 0, -ENOENT, "not-found");
	refused("zero:1M", COW_OPEN_WRITE, -EROFS, "read-only");
	FAILS(-EINVAL, cow_imageset_open(set, "a", 1u << 31, NULL, err));
}

static void a_name_that_means_two_things_is_refused(void)
{
	struct cow_err why;

	temp_file("f", 8192);
	temp_file("f@1k", 4096);
	temp_file("zero:1M", 4096);
	why = refused("f@1k", 0, -EPERM, "ambiguous-name");
	CHECK(strstr(why.message, "file:f@1k") && strstr(why.message, "f@01k"));
	size_is("file:f@1k", 4096);
	size_is("f@01k", 7168);
	cow_image_close(opened("f@1k", COW_OPEN_LITERAL));
	why = refused("zero:1M", 0, -EPERM, "ambiguous-name");
	CHECK(strstr(why.message, "file:zero:1M") && strstr(why.message, "zero:01M"));
	size_is("file:zero:1M", 4096);
	size_is("zero:01M", 1 << 20);
}

static void what_is_no_file_is_refused_without_hanging(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct cow_err why;

	CHECK(!mkfifo("fifo", 0600) && !mkdir("directory", 0700));
	CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&name, sizeof(name)));
	alarm(20);
	for (uint32_t flags = 0; flags <= COW_OPEN_WRITE; flags++) {
		why = refused("fifo", flags, -EPERM, "not-an-image");
		CHECK(strstr(why.message, "FIFO"));
		why = refused("directory", flags, -EPERM, "not-an-image");
		CHECK(strstr(why.message, "directory"));
		why = refused("socket", flags, -EPERM, "not-an-image");
		CHECK(strstr(why.message, "socket"));
		why = refused("/dev/null", flags, -EPERM, "not-an-image");
		CHECK(strstr(why.message, "character device"));
	}
	alarm(0);
	close(fd);
	temp_file("empty", 0);
	temp_file("short", 511);
	refused("empty", 0, -ERANGE, "bounds");
	refused("short", COW_OPEN_WRITE, -ERANGE, "bounds");
}

static void overlap_is_noticed_under_every_name(void)
{
	struct cow_image *first, *window;

	temp_file("g", 8192);
	CHECK(!symlink("g", "g-symlink") && !link("g", "g-hardlink"));
	first = opened("g@2k+2k", 0);
	refused("g", 0, -EPERM, "overlap");
	refused("g-symlink@3k", COW_OPEN_WRITE, -EPERM, "overlap");
	refused("./g-hardlink@0+2049", 0, -EPERM, "overlap");
	refused("file:g", COW_OPEN_WRITE, -EPERM, "overlap");
	refused("g@0+1k,5k+1k,3k+512", 0, -EPERM, "overlap");
	window = opened("g-hardlink@0+2k,4k+4k", COW_OPEN_WRITE);
	refused("g@7k", 0, -EPERM, "overlap");
	cow_image_close(first);
	first = opened("g@2k+2k", COW_OPEN_WRITE);
	cow_image_close(window);
	cow_image_close(first);
	size_is("g", 8192);
}

static void windows_read_and_write_their_part_of_one_file(void)
{
	struct cow_image *low, *high;
	char buf[4];

	temp_file("h", 8192);
	low = opened("h@0+1k", 0);
	high = opened("h@1k+1k,4k+1k", COW_OPEN_WRITE);
	CHECK(!cow_image_is_writable(low) && cow_image_is_writable(high));
	FAILS(-EROFS, cow_image_pwrite(low, "abcd", 4, 0, err));
	OK(cow_image_pwrite(high, "abcd", 4, 1022, err));
	OK(cow_image_flush(high, err));
	OK(cow_image_pread(high, buf, 4, 1022, err));
	CHECK(!memcmp(buf, "abcd", 4));
	cow_image_close(low);
	cow_image_close(high);
	high = opened("h@4k", 0);
	OK(cow_image_pread(high, buf, 2, 0, err));
	CHECK(!memcmp(buf, "cd", 2));
	cow_image_close(high);
}

/* Opens in a process of its own; -code, or 0. */
static int opened_elsewhere(const char *spec, uint32_t flags)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child) {
		struct cow_imageset *other;
		struct cow_image *image = NULL;
		int ret;

		if (cow_imageset_new(&other, NULL))
			_exit(255);
		ret = cow_imageset_open(other, spec, flags, &image, NULL);
		cow_image_close(image);
		cow_imageset_free(other);
		_exit(-ret);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void locks_hold_between_processes(void)
{
	struct cow_image *image;

	temp_file("i", 8192);
	image = opened("i@0+1k", 0);
	CHECK_EQ(opened_elsewhere("i", 0), 0);
	CHECK_EQ(opened_elsewhere("i", COW_OPEN_WRITE), EBUSY);
	cow_image_close(image);
	CHECK_EQ(opened_elsewhere("i", COW_OPEN_WRITE), 0);
	image = opened("i@0+1k", COW_OPEN_WRITE);
	CHECK_EQ(opened_elsewhere("i@2k", 0), EBUSY);
	CHECK_EQ(opened_elsewhere("i@2k", COW_OPEN_BUSY), 0);
	CHECK_EQ(opened_elsewhere("i@2k", COW_OPEN_WRITE | COW_OPEN_BUSY), EBUSY);
	cow_image_close(image);
	CHECK_EQ(opened_elsewhere("i", 0), 0);
}

static void a_lock_for_reading_becomes_one_for_writing(void)
{
	struct cow_image *reader, *writer;

	temp_file("j", 8192);
	reader = opened("j@0+1k", 0);
	writer = opened("j@1k+1k", COW_OPEN_WRITE);
	CHECK_EQ(opened_elsewhere("j", 0), EBUSY);
	cow_image_close(writer);
	CHECK_EQ(opened_elsewhere("j", 0), EBUSY);
	cow_image_close(reader);
	CHECK_EQ(opened_elsewhere("j", COW_OPEN_WRITE), 0);
}

static void a_reader_keeps_its_lock_where_a_writer_is_refused(void)
{
	int other = -1;
	struct cow_image *reader;

	temp_file("k", 8192);
	reader = opened("k@0+1k", 0);
	other = open("k", O_RDONLY | O_CLOEXEC);
	CHECK(other >= 0 && !flock(other, LOCK_SH));
	refused("k@2k", COW_OPEN_WRITE, -EBUSY, "locked");
	close(other);
	CHECK_EQ(opened_elsewhere("k", COW_OPEN_WRITE), EBUSY);
	CHECK_EQ(opened_elsewhere("k", 0), 0);
	cow_image_close(reader);
}

static void locks_of_other_programs_are_respected(void)
{
	/* What qemu holds: read locks on single bytes, 101 for a writer. */
	struct flock writer = { .l_type = F_RDLCK, .l_start = 101, .l_len = 1 };
	struct flock reader = { .l_type = F_RDLCK, .l_start = 100, .l_len = 1 };
	struct cow_err why;
	int fd;

	temp_file("l", 8192);
	fd = open("l", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && !flock(fd, LOCK_EX));
	refused("l", COW_OPEN_WRITE, -EBUSY, "locked");
	why = refused("l", 0, -EBUSY, "locked");
	CHECK(!strcmp(why.force, "busy"));
	CHECK(!flock(fd, LOCK_UN));
	CHECK(!fcntl(fd, F_OFD_SETLK, &reader));
	refused("l", COW_OPEN_WRITE, -EBUSY, "locked");
	size_is("l", 8192);
	CHECK(!fcntl(fd, F_OFD_SETLK, &writer));
	refused("l", 0, -EBUSY, "locked");
	cow_image_close(opened("l", COW_OPEN_BUSY));
	close(fd);
	cow_image_close(opened("l", COW_OPEN_WRITE));
}

static void a_file_that_is_cut_is_an_error_not_zeros(void)
{
	struct cow_image *image;
	uint64_t at, len;
	char buf[512];

	temp_file("m", 8192);
	image = opened("m", 0);
	CHECK(!truncate("m", 4096 + 100));
	OK(cow_image_pread(image, buf, 100, 4096, err));
	FAILS(-EIO, cow_image_pread(image, buf, 512, 4096, err));
	FAILS(-EIO, cow_image_pread(image, buf, 512, 7680, err));
	FAILS(-EIO, cow_image_next_data(image, 6144, &at, &len, err));
	cow_image_close(image);
}

int main(void)
{
	temp_dir_enter();
	OK(cow_imageset_new(&set, err));
	RUN(specifications_are_read_as_documented);
	RUN(malformed_specifications_are_refused);
	RUN(a_name_that_means_two_things_is_refused);
	RUN(what_is_no_file_is_refused_without_hanging);
	RUN(overlap_is_noticed_under_every_name);
	RUN(windows_read_and_write_their_part_of_one_file);
	RUN(locks_hold_between_processes);
	RUN(a_lock_for_reading_becomes_one_for_writing);
	RUN(a_reader_keeps_its_lock_where_a_writer_is_refused);
	RUN(locks_of_other_programs_are_respected);
	RUN(a_file_that_is_cut_is_an_error_not_zeros);
	cow_imageset_free(set);
	return test_end();
}
