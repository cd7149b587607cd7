/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* New files appear whole or not at all. Works in a directory of its own. */
#include "tests/aids/test.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcow/image/fill.h"
#include "tests/aids/image_model.h"
#include "tests/aids/temp_dir.h"

static struct cow_imageset *set;

static unsigned int nr_files(void)
{
	DIR *dir = opendir(".");
	unsigned int nr = 0;

	CHECK(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 2;
}

static char first_byte(const char *path)
{
	FILE *file = fopen(path, "r");
	int c;

	CHECK(file);
	c = fgetc(file);
	fclose(file);
	return (char)c;
}

static struct cow_output *opened(const char *path, uint32_t flags)
{
	struct cow_output *output = NULL;

	OK(cow_output_open(set, path, 8192, flags, &output, err));
	OK(cow_image_pwrite(cow_output_image(output), "n", 1, 0, err));
	return output;
}

static void refused(const char *path, uint32_t flags, int code, const char *id, const char *force)
{
	struct cow_output *output = NULL;
	struct cow_err why = COW_ERR_INIT;
	int ret = cow_output_open(set, path, 8192, flags, &output, &why);

	if (ret != code || strcmp(why.id, id) || strcmp(why.force, force) ||
	    strcmp(why.image, path)) {
		fprintf(stderr, "%s: %s: %d, %s: %s\n", test_name, path, ret, why.id, why.message);
		exit(1);
	}
	CHECK(!output);
}

static void a_file_appears_whole_when_published(void)
{
	struct cow_output *output = opened("a", 0);
	struct stat st;

	CHECK(access("a", F_OK));
	OK(cow_output_publish(output, err));
	CHECK(!stat("a", &st) && st.st_size == 8192 && first_byte("a") == 'n');
	CHECK(st.st_nlink == 1 && nr_files() == 1);
	FAILS(-EINVAL, cow_output_publish(output, err));
	cow_output_close(output);
	CHECK(nr_files() == 1 && !unlink("a"));
}

static void a_stream_of_unknown_length_is_a_file_too(void)
{
	struct cow_output *output = NULL;
	struct stat st;

	OK(cow_output_open(set, "s", 0, 0, &output, err));
	CHECK_EQ(write(cow_output_fd(output), "three", 5), 5);
	CHECK(access("s", F_OK));
	OK(cow_output_publish(output, err));
	cow_output_close(output);
	CHECK(!stat("s", &st) && st.st_size == 5 && first_byte("s") == 't' && !unlink("s"));
}

static void a_name_can_be_taken_back(void)
{
	struct cow_output *output = opened("new.img", 0);

	cow_output_withdraw(output); /* has none */
	OK(cow_output_publish(output, err));
	cow_output_withdraw(output);
	CHECK(access("new.img", F_OK));
	cow_output_close(output);
	/* Not from a file that took another's place, nor from somebody else's. */
	output = opened("old.img", 0);
	OK(cow_output_publish(output, err));
	CHECK(!rename("old.img", "moved.img"));
	fclose(fopen("old.img", "w"));
	cow_output_withdraw(output);
	cow_output_close(output);
	output = opened("old.img", COW_OUTPUT_OVERWRITE);
	OK(cow_output_publish(output, err));
	cow_output_withdraw(output);
	cow_output_close(output);
	CHECK(!access("old.img", F_OK) && !unlink("old.img") && !unlink("moved.img"));
	CHECK(!nr_files());
}

static void an_output_is_enlarged_before_it_is_written(void)
{
	struct cow_output *output = NULL;
	struct stat st;

	OK(cow_output_open(set, "g", 512, 0, &output, err));
	FAILS(-EINVAL, cow_output_grow(output, 513, err));
	FAILS(-EINVAL, cow_output_grow(output, 0, err));
	OK(cow_output_grow(output, 16384, err));
	CHECK_EQ(cow_image_size(cow_output_image(output)), 16384);
	OK(cow_image_pwrite(cow_output_image(output), "z", 1, 16383, err));
	OK(cow_output_publish(output, err));
	CHECK(!stat("g", &st) && st.st_size == 16384 && first_byte("g") == 0);
	cow_output_close(output);
	CHECK(!unlink("g"));
	OK(cow_output_open(set, "g", 512, COW_OUTPUT_REHEARSE, &output, err));
	OK(cow_output_grow(output, 16384, err));
	CHECK_EQ(cow_image_size(cow_output_image(output)), 16384);
	cow_output_close(output);
}

static void what_is_not_published_leaves_nothing(void)
{
	cow_output_close(opened("a", 0));
	cow_output_close(opened("a", COW_OUTPUT_OVERWRITE));
	cow_output_close(NULL);
	CHECK_EQ(nr_files(), 0);
}

static void an_existing_file_needs_overwrite(void)
{
	struct cow_output *output;

	temp_file("b", 512);
	CHECK(!symlink("b", "b-link") && !symlink("nowhere", "dangling"));
	refused("b", 0, -EEXIST, "exists", "overwrite");
	refused("b-link", 0, -EEXIST, "exists", "overwrite");
	refused("dangling", 0, -EEXIST, "exists", "overwrite");
	output = opened("b", COW_OUTPUT_OVERWRITE);
	CHECK(first_byte("b") == 0);
	OK(cow_output_publish(output, err));
	cow_output_close(output);
	CHECK(first_byte("b") == 'n' && nr_files() == 3);
}

static void a_link_is_replaced_not_followed(void)
{
	struct cow_output *output = opened("b-link", COW_OUTPUT_OVERWRITE);
	struct stat st;

	OK(cow_image_pwrite(cow_output_image(output), "x", 1, 0, err));
	OK(cow_output_publish(output, err));
	cow_output_close(output);
	CHECK(!lstat("b-link", &st) && S_ISREG(st.st_mode));
	CHECK(first_byte("b-link") == 'x' && first_byte("b") == 'n');
	output = opened("dangling", COW_OUTPUT_OVERWRITE);
	OK(cow_output_publish(output, err));
	cow_output_close(output);
	CHECK(first_byte("dangling") == 'n' && access("nowhere", F_OK));
}

static void a_file_that_came_meanwhile_is_not_replaced(void)
{
	struct cow_output *output = opened("c", 0);
	struct cow_err why = COW_ERR_INIT;

	temp_file("c", 512);
	CHECK(cow_output_publish(output, &why) == -EEXIST);
	CHECK(!strcmp(why.force, "overwrite") && !strcmp(why.image, "c"));
	cow_output_close(output);
	CHECK(first_byte("c") == 0 && nr_files() == 4);
	/* Nor with "overwrite" what took the place of that which was to be overwritten. */
	output = opened("c", COW_OUTPUT_OVERWRITE);
	CHECK(!rename("b", "c"));
	CHECK(cow_output_publish(output, &why) == -EEXIST);
	cow_output_close(output);
	CHECK(first_byte("c") == 'n' && nr_files() == 3);
	output = opened("c", COW_OUTPUT_OVERWRITE);
	CHECK(!unlink("c"));
	OK(cow_output_publish(output, err));
	cow_output_close(output);
	CHECK(first_byte("c") == 'n' && nr_files() == 3 && !rename("c", "b"));
	temp_file("c", 512);
}

static void what_cannot_be_named_leaves_nothing(void)
{
	unsigned int nr = nr_files();
	struct cow_output *output = opened("z", COW_OUTPUT_OVERWRITE);

	/* There was nothing to replace. */
	CHECK(!mkdir("z", 0700));
	FAILS(-EEXIST, cow_output_publish(output, err));
	cow_output_close(output);
	CHECK(!rmdir("z") && nr_files() == nr);
}

static void an_image_of_the_set_is_no_target(void)
{
	struct cow_image *image;

	OK(cow_imageset_open(set, "b@0+512", 0, &image, err));
	CHECK(!link("b", "b-hardlink"));
	refused("b", COW_OUTPUT_OVERWRITE, -EPERM, "overlap", "");
	refused("./b-hardlink", 0, -EPERM, "overlap", "");
	cow_image_close(image);
}

static void impossible_targets_are_refused(void)
{
	struct cow_output *output;

	CHECK(!mkdir("directory", 0700) && !mkfifo("fifo", 0600));
	refused("directory", COW_OUTPUT_OVERWRITE, -EPERM, "not-an-image", "");
	refused("fifo", COW_OUTPUT_OVERWRITE, -EPERM, "not-an-image", "");
	refused("nothing/x", 0, -ENOENT, "not-found", "");
	refused("b/x", 0, -ENOTDIR, "system", "");
	refused("new/", 0, -EINVAL, "usage", "");
	refused("", 0, -EINVAL, "usage", "");
	FAILS(-EINVAL, cow_output_open(set, "new", 513, 0, &output, err));
	FAILS(-EINVAL, cow_output_open(set, "new", 512, 8, &output, err));
	CHECK(access("new", F_OK));
	output = opened("directory/y", 0);
	OK(cow_output_publish(output, err));
	cow_output_close(output);
	CHECK(first_byte("directory/y") == 'n');
}

static void a_new_device_reads_as_zeros_and_is_written_in_full(void)
{
	struct cow_image *lower, *image;
	struct cow_image_stats stats = COW_IMAGE_STATS_INIT;
	uint8_t dirt[MODEL_BYTES], bytes[MODEL_BYTES];

	memset(dirt, 0xff, sizeof(dirt));
	OK(cow_image_memory_new(MODEL_BYTES, &lower, err));
	OK(cow_image_pwrite(lower, dirt, sizeof(dirt), 0, err));
	OK(cow_image_fill_new(lower, &image, err));
	OK(cow_image_pread(image, bytes, sizeof(bytes), 0, err));
	CHECK(bytes[0] == 0 && !memcmp(bytes, bytes + 1, sizeof(bytes) - 1));
	OK(cow_image_pwrite(image, "abc", 3, 1024, err));
	OK(cow_image_pwrite(image, "def", 3, 4096, err));
	OK(cow_image_fill_finish(image, err));
	CHECK_EQ(cow_image_get_stats(lower, &stats), 0);
	CHECK_EQ(stats.zeroed_bytes, MODEL_BYTES - 6);
	memset(dirt, 0, sizeof(dirt));
	memcpy(dirt + 1024, "abc", 3);
	memcpy(dirt + 4096, "def", 3);
	OK(cow_image_pread(lower, bytes, sizeof(bytes), 0, err));
	CHECK(!memcmp(bytes, dirt, sizeof(dirt)));
	cow_image_close(image);
}

static void a_new_device_behaves_like_bytes(void)
{
	struct cow_image *lower, *image;

	OK(cow_image_memory_new(MODEL_BYTES, &lower, err));
	fill_random(lower, 3);
	OK(cow_image_fill_new(lower, &image, err));
	model_run(image, 1000);
	cow_image_close(image);
}

int main(void)
{
	temp_dir_enter();
	OK(cow_imageset_new(&set, err));
	RUN(a_file_appears_whole_when_published);
	RUN(a_name_can_be_taken_back);
	RUN(a_stream_of_unknown_length_is_a_file_too);
	RUN(an_output_is_enlarged_before_it_is_written);
	RUN(what_is_not_published_leaves_nothing);
	RUN(an_existing_file_needs_overwrite);
	RUN(a_link_is_replaced_not_followed);
	RUN(a_file_that_came_meanwhile_is_not_replaced);
	RUN(what_cannot_be_named_leaves_nothing);
	RUN(an_image_of_the_set_is_no_target);
	RUN(impossible_targets_are_refused);
	RUN(a_new_device_reads_as_zeros_and_is_written_in_full);
	RUN(a_new_device_behaves_like_bytes);
	cow_imageset_free(set);
	return test_end();
}
