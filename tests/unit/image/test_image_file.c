/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Images over real files. Works in a directory of its own. */
#include "tests/aids/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "libcow/base/bytes.h"
#include "libcow/image/file.h"
#include "libcow/image/image.h"
#include "tests/aids/image_model.h"
#include "tests/aids/temp_dir.h"

static struct cow_imageset *set;

static struct cow_image *opened(const char *spec, uint32_t flags)
{
	struct cow_image *image = NULL;

	OK(cow_imageset_open(set, spec, flags, &image, err));
	return image;
}

static void a_file_behaves_like_bytes(void)
{
	struct cow_image *image;

	temp_file("a", MODEL_BYTES);
	image = opened("a", COW_OPEN_WRITE);
	model_run(image, 500);
	cow_image_close(image);
}

static void segments_of_a_file_behave_like_bytes(void)
{
	struct cow_image *image;

	temp_file("b", 100000);
	image = opened("b@50000+30000,0+4096,90000+512,4097+20000", COW_OPEN_WRITE);
	model_run(image, 500);
	cow_image_close(image);
}

static void zeroes_become_holes_where_the_file_system_can(void)
{
	struct cow_image *image;
	char buf[65536];
	struct stat before, after;

	memset(buf, 'x', sizeof(buf));
	temp_file("c", 1 << 20);
	image = opened("c", COW_OPEN_WRITE);
	for (uint64_t at = 0; at < 1 << 20; at += sizeof(buf))
		OK(cow_image_pwrite(image, buf, sizeof(buf), at, err));
	OK(cow_image_flush(image, err));
	CHECK(!stat("c", &before));
	OK(cow_image_write_zeroes(image, 100, (1 << 20) - 200, err));
	OK(cow_image_flush(image, err));
	CHECK(!stat("c", &after) && after.st_size == 1 << 20);
	OK(cow_image_pread(image, buf, sizeof(buf), 100, err));
	CHECK(is_all_zero(buf, sizeof(buf)));
	OK(cow_image_pread(image, buf, 200, (1 << 20) - 200, err));
	CHECK(buf[99] == 0 && buf[100] == 'x');
	CHECK(after.st_blocks < before.st_blocks / 4);
	cow_image_close(image);
}

static void many_buffers_are_written_as_one_range(void)
{
	enum { NR = 1000 };
	static uint8_t out[NR * 7], in[NR * 7];
	static struct iovec iov[NR];
	struct cow_image *image;
	uint64_t random = test_seed();

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)test_random(&random);
	for (size_t i = 0; i < NR; i++)
		iov[i] = (struct iovec){ out + 7 * i, 7 };
	temp_file("d", 16384);
	image = opened("d", COW_OPEN_WRITE);
	OK(cow_image_pwritev(image, iov, NR, 333, err));
	OK(cow_image_pread(image, in, sizeof(in), 333, err));
	CHECK(!memcmp(in, out, sizeof(in)));
	cow_image_close(image);
}

static size_t cached_pages(const char *path, size_t len_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), nr = 0;
	unsigned char resident[1024];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *map = mmap(NULL, len_bytes, PROT_NONE, MAP_SHARED, fd, 0);

	CHECK(fd >= 0 && map != MAP_FAILED && len_bytes / page <= sizeof(resident));
	CHECK(!mincore(map, len_bytes, resident));
	for (size_t i = 0; i < len_bytes / page; i++)
		nr += resident[i] & 1;
	munmap(map, len_bytes);
	close(fd);
	return nr;
}

/* I12; a file system in memory keeps everything, of course. */
static void dropped_bytes_leave_the_cache(void)
{
	struct cow_image *image;
	struct statfs fs;
	char buf[65536];

	memset(buf, 'x', sizeof(buf));
	temp_file("e", 1 << 20);
	image = opened("e", COW_OPEN_WRITE);
	for (uint64_t at = 0; at < 1 << 20; at += sizeof(buf))
		OK(cow_image_pwrite(image, buf, sizeof(buf), at, err));
	OK(cow_image_flush(image, err));
	CHECK(cached_pages("e", 1 << 20) > 200);
	OK(cow_image_drop_cache(image, 4096 + 17, (1 << 20) - 8192, err));
	CHECK(!statfs(".", &fs));
	if (fs.f_type == 0x01021994 || fs.f_type == 0x794c7630)
		printf("skipped: %s needs a file system with a disk\n", test_name);
	else
		CHECK_EQ(cached_pages("e", 1 << 20), 0);
	OK(cow_image_pread(image, buf, 1, 5000, err));
	CHECK(buf[0] == 'x');
	cow_image_close(image);
}

static void clones_share_or_say_that_they_cannot(void)
{
	struct cow_image *from, *to, *memory;
	struct cow_err why = COW_ERR_INIT;
	char buf[3] = "";
	int ret;

	temp_file("f", 65536);
	temp_file("g", 65536);
	to = opened("g@4096", COW_OPEN_WRITE);
	from = opened("f", COW_OPEN_WRITE);
	OK(cow_image_pwrite(from, "abc", 3, 8192, err));
	ret = cow_image_clone_range(to, 0, from, 8192, 4096, &why);
	CHECK(ret == 0 || (ret == -EOPNOTSUPP && why.message[0]));
	if (ret) {
		printf("skipped: %s needs a file system that shares extents\n", test_name);
	} else {
		OK(cow_image_pread(to, buf, 3, 0, err));
		CHECK(!memcmp(buf, "abc", 3));
	}
	OK(cow_image_memory_new(65536, &memory, err));
	FAILS(-EOPNOTSUPP, cow_image_clone_range(to, 0, memory, 0, 4096, err));
	FAILS(-EOPNOTSUPP, cow_image_clone_range(memory, 0, from, 0, 4096, err));
	cow_image_close(memory);
	cow_image_close(from);
	cow_image_close(to);
}

static void a_discarded_hole_can_be_written_again(void)
{
	struct cow_image *image;
	struct cow_err why = COW_ERR_INIT;
	char buf[4];
	int ret;

	temp_file("h", 65536);
	image = opened("h@512", COW_OPEN_WRITE);
	OK(cow_image_pwrite(image, "abcd", 4, 0, err));
	ret = cow_image_discard(image, 0, 8192, &why);
	CHECK(ret == 0 || ret == -EOPNOTSUPP);
	OK(cow_image_pwrite(image, "efgh", 4, 0, err));
	OK(cow_image_pread(image, buf, 4, 0, err));
	CHECK(!memcmp(buf, "efgh", 4));
	cow_image_close(image);
}

/* On a disk with bad sectors: tests/kernel/bad_kernel.bats. */
static void a_read_past_the_cache_reads_the_same_or_says_that_it_cannot(void)
{
	int fd, flags, error;
	char buf[1024];

	temp_file("d", 65536);
	fd = open("d", O_RDWR);
	CHECK(fd >= 0 && pwrite(fd, "seen", 4, 4096) == 4);
	flags = fcntl(fd, F_GETFL);
	error = cow_file_pread_direct(fd, buf, 1024, 4096, 512);
	CHECK(error == EINVAL || (!error && !memcmp(buf, "seen", 4)));
	CHECK_EQ(cow_file_pread_direct(fd, buf, 100, 4096, 512), EINVAL);
	CHECK_EQ(cow_file_pread_direct(fd, buf, 512, 4097, 512), EINVAL);
	error = cow_file_pread_direct(fd, buf, 512, 65536, 512);
	CHECK(error == EINVAL || error == EIO); /* it ends there */
	CHECK_EQ(fcntl(fd, F_GETFL), flags);
	close(fd);
}

int main(void)
{
	temp_dir_enter();
	OK(cow_imageset_new(&set, err));
	RUN(a_file_behaves_like_bytes);
	RUN(segments_of_a_file_behave_like_bytes);
	RUN(zeroes_become_holes_where_the_file_system_can);
	RUN(many_buffers_are_written_as_one_range);
	RUN(dropped_bytes_leave_the_cache);
	RUN(clones_share_or_say_that_they_cannot);
	RUN(a_discarded_hole_can_be_written_again);
	RUN(a_read_past_the_cache_reads_the_same_or_says_that_it_cannot);
	cow_imageset_free(set);
	return test_end();
}
