/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Stacks of images from specifications: what they show, what they ask and say, what
 * callers put above their images, and that a failure leaves nothing open. */
#include "tests/aids/test.h"

#include <dirent.h>
#include <errno.h>

#include "tests/aids/mkstore.h"
#include "tests/aids/temp_dir.h"

/* What the callbacks have heard. */
static struct heard {
	char notes[2000], questions[200], images[200];
	const char *yes; /* these ids are answered with yes */
	bool closes_eyes;
} heard;

static void on_note(void *user, const char *sentence)
{
	struct heard *at = user;

	strcat(strcat(at->notes, sentence), "\n");
}

static int on_question(void *user, const struct cow_err *refusal)
{
	struct heard *at = user;

	CHECK(refusal->code && refusal->message[0]);
	strcat(strcat(at->questions, refusal->force), " ");
	return at->yes && strstr(at->yes, refusal->force);
}

/* With its eyes closed: the first sector of the origin is one that nobody can read. */
static int on_image(void *user, size_t index, struct cow_image *image, struct cow_image **ret_above,
		    struct cow_err *err)
{
	const struct cow_segment first = { 0, 512 };
	struct heard *at = user;
	char text[100];

	snprintf(text, sizeof(text), "%zu:%s ", index, cow_image_name(image));
	strcat(at->images, text);
	if (index || !at->closes_eyes)
		return 0;
	return cow_image_bad_new(image, &first, 1, 0, ret_above, err);
}

static struct cow_stack_params params_of(const char *origin, const char *const *cows, size_t nr)
{
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;

	heard = (struct heard){ .yes = NULL };
	params.origin = origin;
	params.cows = cows;
	params.nr_cows = nr;
	params.user = &heard;
	params.note = on_note;
	params.question = on_question;
	params.above = on_image;
	return params;
}

static void file_write(const char *name, struct cow_image *image)
{
	struct cow_copy_params params = COW_COPY_PARAMS_INIT;
	struct cow_copy_result result = COW_COPY_RESULT_INIT;
	struct cow_imageset *set;
	struct cow_image *file;

	temp_file(name, (off_t)cow_image_size(image));
	OK(cow_imageset_new(&set, err));
	OK(cow_imageset_open(set, name, COW_OPEN_WRITE, &file, err));
	OK(cow_copy(image, file, &params, &result, err));
	cow_image_close(file);
	cow_imageset_free(set);
}

static void store_file(const char *name, const char *text)
{
	struct cow_image *image;

	OK(mkstore(text, &image, err));
	file_write(name, image);
	cow_image_close(image);
}

/* A file of sectors that begin with their number plus first. */
static void origin_file(const char *name, uint64_t size_bytes, uint8_t first)
{
	struct cow_image *image;

	OK(cow_image_memory_new(size_bytes, &image, err));
	for (uint64_t at = 0; at < size_bytes; at += 512) {
		uint8_t byte = (uint8_t)(first + at / 512);

		OK(cow_image_pwrite(image, &byte, 1, at, err));
	}
	file_write(name, image);
	cow_image_close(image);
}

static size_t nr_open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t nr = 0;

	CHECK(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static uint8_t byte_of(const struct cow_stack *stack, uint64_t at)
{
	uint8_t byte;

	OK(cow_image_pread(cow_stack_view(stack), &byte, 1, at, err));
	return byte;
}

static void layers_stack_and_the_parts_can_be_had(void)
{
	static const char *const cows[] = { "low.cow", "high.cow" };
	struct cow_stack_params params = params_of("origin", cows, 2);
	struct cow_stack_layer low = COW_STACK_LAYER_INIT, high = COW_STACK_LAYER_INIT;
	size_t nr_files = nr_open_files();
	struct cow_stack *stack;

	OK(cow_stack_open(&params, &stack, err));
	CHECK(byte_of(stack, 0) == 1); /* origin */
	CHECK(byte_of(stack, 4096) == mkstore_byte(2, 0));
	CHECK(byte_of(stack, 8192) == mkstore_byte(5, 0)); /* of both */
	CHECK(cow_stack_layer(stack, 0, &low) && cow_stack_layer(stack, 1, &high));
	CHECK(!cow_stack_layer(stack, 2, &high));
	CHECK(!strcmp(cow_image_name(low.cow), "low.cow"));
	CHECK(!strcmp(cow_image_name(high.cow), "high.cow"));
	CHECK(low.store && high.store && low.view && high.view == cow_stack_view(stack));
	CHECK(!low.skip && !strcmp(cow_image_name(cow_stack_origin(stack)), "origin"));
	CHECK(cow_stack_set(stack) && !cow_stack_doubt(stack));
	CHECK(strstr(heard.notes, "2 COW images are taken as layers, low.cow lowest"));
	CHECK(!strcmp(heard.images, "0:origin 1:low.cow 2:high.cow "));
	CHECK(!*heard.questions);
	cow_stack_close(stack);
	CHECK_EQ(nr_open_files(), nr_files);
}

static void without_views_nothing_is_stacked(void)
{
	static const char *const cows[] = { "low.cow" };
	struct cow_stack_params params = params_of(NULL, cows, 1);
	struct cow_stack_layer layer = COW_STACK_LAYER_INIT;
	struct cow_stack *stack;

	params.flags = 0;
	OK(cow_stack_open(&params, &stack, err));
	CHECK(cow_stack_layer(stack, 0, &layer) && layer.store && !layer.view);
	CHECK(!cow_stack_view(stack) && !cow_stack_origin(stack));
	cow_stack_close(stack);
	params.flags = COW_STACK_VIEW;
	FAILS(-EINVAL, cow_stack_open(&params, &stack, err)); /* no length */
	params = params_of("origin", NULL, 0);
	OK(cow_stack_open(&params, &stack, err));
	CHECK(cow_stack_view(stack) == cow_stack_origin(stack) && byte_of(stack, 512) == 2);
	cow_stack_close(stack);
}

static void each_doubt_is_a_question(void)
{
	static const char *const cows[] = { "bad.cow" };
	struct cow_stack_params params = params_of("origin", cows, 1);
	size_t nr_files = nr_open_files();
	struct cow_stack *stack;

	FAILS(-EBADMSG, cow_stack_open(&params, &stack, err));
	CHECK(!strcmp(heard.questions, "invalid "));
	params = params_of("origin", cows, 1);
	heard.yes = "invalid";
	FAILS(-EBADMSG, cow_stack_open(&params, &stack, err));
	CHECK(!strcmp(heard.questions, "invalid damaged "));
	CHECK_EQ(nr_open_files(), nr_files);
	params = params_of("origin", cows, 1);
	heard.yes = "invalid damaged";
	OK(cow_stack_open(&params, &stack, err));
	CHECK(!strcmp(heard.questions, "invalid damaged "));
	CHECK(!strcmp(cow_stack_doubt(stack)->force, "invalid"));
	cow_stack_close(stack);
	params.question = NULL;
	FAILS(-EBADMSG, cow_stack_open(&params, &stack, err));
}

/* The second area was zeroed: records stand in the third. */
static void a_list_that_may_be_cut_short_is_asked_about(void)
{
	static const char *const cows[] = { "cut.cow" };
	struct cow_stack_params params = params_of("zero:32M", cows, 1);
	struct cow_stack *stack;

	FAILS(-EBADMSG, cow_stack_open(&params, &stack, err));
	CHECK(!strcmp(heard.questions, "doubtful "));
	heard.yes = "doubtful";
	OK(cow_stack_open(&params, &stack, err));
	CHECK(!strcmp(cow_stack_doubt(stack)->id, "doubtful"));
	cow_stack_close(stack);
}

static void wrong_ways_round_are_refused(void)
{
	static const char *const cows[] = { "origin" };
	struct cow_stack_params params = params_of("low.cow", cows, 1);
	struct cow_stack *stack;
	struct cow_err why = COW_ERR_INIT;

	CHECK(cow_stack_open(&params, &stack, &why) == -EPERM && !strcmp(why.id, "swapped"));
	params = params_of(NULL, NULL, 0);
	FAILS(-EINVAL, cow_stack_open(&params, &stack, err));
	params = params_of("origin", NULL, 0);
	params.flags = COW_STACK_SKIP;
	FAILS(-EINVAL, cow_stack_open(&params, &stack, err));
	params.flags = 1u << 20;
	FAILS(-EINVAL, cow_stack_open(&params, &stack, err));
	params = params_of("origin", NULL, 0);
	params.partition = 1;
	CHECK(cow_stack_open(&params, &stack, &why) == -EMEDIUMTYPE && !strcmp(why.id, "no-table"));
	params.partition = 0;
	params.volume = "vg/lv";
	CHECK(cow_stack_open(&params, &stack, &why) == -EMEDIUMTYPE && !strcmp(why.id, "no-pv"));
}

static void what_is_put_above_an_image_is_what_the_stack_sees(void)
{
	struct cow_stack_params params = params_of("origin", NULL, 0);
	struct cow_stack *stack;
	uint8_t byte = 9;

	heard.closes_eyes = true;
	OK(cow_stack_open(&params, &stack, err));
	FAILS(-EIO, cow_image_pread(cow_stack_view(stack), &byte, 1, 0, err));
	cow_stack_close(stack);
	params.flags |= COW_STACK_SKIP_ZERO;
	OK(cow_stack_open(&params, &stack, err));
	CHECK(!byte_of(stack, 0) && byte_of(stack, 512) == 2);
	cow_stack_close(stack);
}

static void a_partition_of_the_view(void)
{
	static const char *const cows[] = { "table.cow" };
	struct cow_stack_params params = params_of("origin", cows, 1);
	struct cow_stack *stack;

	params.partition = 1;
	OK(cow_stack_open(&params, &stack, err));
	CHECK_EQ(cow_image_size(cow_stack_view(stack)), 4096);
	CHECK(byte_of(stack, 512) == 10);
	cow_stack_close(stack);
}

static void a_set_of_the_caller_has_names_and_stays_open(void)
{
	static const char *const cows[] = { "image:snap" };
	struct cow_stack_params params = params_of("concat:image:half,image:half2", cows, 1);
	struct cow_stack *stack;
	struct cow_imageset *set;
	struct cow_image *image;

	OK(cow_imageset_new(&set, err));
	OK(cow_imageset_define(set, "half", "origin@0+32k", err));
	OK(cow_imageset_define(set, "half2", "window:32k:file:origin", err));
	OK(cow_imageset_define(set, "snap", "low.cow", err));
	OK(cow_imageset_define(set, "again", "image:snap", err));
	params.set = set;
	OK(cow_stack_open(&params, &stack, err));
	CHECK(cow_stack_set(stack) == set);
	CHECK(byte_of(stack, 0) == 1 && byte_of(stack, 32768) == 65);
	CHECK(byte_of(stack, 4096) == mkstore_byte(2, 0));
	/* the same file by another name */
	FAILS(-EPERM, cow_imageset_open(set, "image:again", 0, &image, err));
	cow_stack_close(stack);
	OK(cow_imageset_open(set, "image:again", 0, &image, err));
	CHECK(!strcmp(cow_image_name(image), "image:again"));
	cow_image_close(image);
	cow_imageset_free(set);
}

static void names_are_defined_once_and_before_they_are_used(void)
{
	struct cow_imageset *set;
	struct cow_image *image;
	char deep[200] = "origin";

	OK(cow_imageset_new(&set, err));
	FAILS(-EINVAL, cow_imageset_open(set, "image:a", 0, &image, err));
	FAILS(-EINVAL, cow_imageset_define(set, "a", "image:a", err));
	OK(cow_imageset_define(set, "a", "origin", err));
	FAILS(-EINVAL, cow_imageset_define(set, "a", "low.cow", err));
	FAILS(-EINVAL, cow_imageset_define(set, "a b", "low.cow", err));
	FAILS(-EINVAL, cow_imageset_define(set, "", "low.cow", err));
	FAILS(-EINVAL, cow_imageset_define(set, "b", "part:origin", err));
	/* No depth by the back door. */
	for (int i = 0; i < 7; i++) {
		char name[20], before[220];

		snprintf(name, sizeof(name), "deep%d", i);
		snprintf(before, sizeof(before), "concat:%s", deep);
		OK(cow_imageset_define(set, name, before, err));
		snprintf(deep, sizeof(deep), "image:%s", name);
	}
	OK(cow_imageset_open(set, "image:deep6", 0, &image, err));
	cow_image_close(image);
	FAILS(-EINVAL, cow_imageset_open(set, "concat:image:deep6", 0, &image, err));
	cow_imageset_free(set);
}

int main(void)
{
	temp_dir_enter();
	origin_file("origin", 65536, 1);
	store_file("low.cow", "size 1M\nheader\nrecord 1 2\nrecord 2 3\ndata 2 2\n");
	store_file("high.cow", "size 1M\nheader\nrecord 2 5\nat 0 1\nrecord 3 4\ndata 4 2\n");
	store_file("bad.cow", "size 1M\nheader valid=0\nrecord 5 2\nrecord 5 3\n");
	store_file(
		"cut.cow",
		"size 8M\nheader\nauto 0 256\nat 2 0\nrecord 512 516 3\ndata 2 256\ndata 516 3\n");
	/* A partition of type 0x83, 8 sectors from sector 8 on, in chunk 0. */
	store_file("table.cow", "size 1M\nheader\nrecord 0 2\npoke 8638 "
				"000000008300000008000000080000000000\npoke 8702 55aa\n");
	RUN(layers_stack_and_the_parts_can_be_had);
	RUN(without_views_nothing_is_stacked);
	RUN(each_doubt_is_a_question);
	RUN(a_list_that_may_be_cut_short_is_asked_about);
	RUN(wrong_ways_round_are_refused);
	RUN(what_is_put_above_an_image_is_what_the_stack_sees);
	RUN(a_partition_of_the_view);
	RUN(a_set_of_the_caller_has_names_and_stays_open);
	RUN(names_are_defined_once_and_before_they_are_used);
	return test_end();
}
