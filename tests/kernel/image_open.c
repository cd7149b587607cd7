/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_open - opens images in one set, for tests in the shell. Arguments, in
 * order: r SPEC (read), w SPEC (write), b SPEC (read, busy or not), o PATH SIZE
 * (output); then, for the image opened last: put OFFSET TEXT, zero OFFSET LEN,
 * discard OFFSET LEN, drop, flush, publish. One line for each: "ok ..." or
 * "ERRNO ID FORCE: SENTENCE"; ends with 1 if any failed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/image/image.h"

#define IMAGES_MAX 16

static struct cow_imageset *set;
static struct cow_image *images[IMAGES_MAX], *last;
static size_t nr_images;
static struct cow_output *output;

static uint64_t number(const char *text)
{
	uint64_t value = 0;

	if (cow_size_parse(text, &value, NULL))
		abort();
	return value;
}

static int open_one(const char *spec, uint32_t flags, struct cow_err *err)
{
	int ret = cow_imageset_open(set, spec, flags, &last, err);

	if (!ret)
		images[nr_images++] = last;
	return ret;
}

static int open_output(char **args, struct cow_err *err)
{
	int ret = cow_output_open(set, args[1], number(args[2]), 0, &output, err);

	if (!ret)
		last = cow_output_image(output);
	return ret;
}

/* *ret_nr: how many arguments it took. */
static int run(char **args, int *ret_nr, struct cow_err *err)
{
	const char *verb = args[0];

	*ret_nr = 2;
	if (!strcmp(verb, "r") && nr_images < IMAGES_MAX)
		return open_one(args[1], 0, err);
	if (!strcmp(verb, "w") && nr_images < IMAGES_MAX)
		return open_one(args[1], COW_OPEN_WRITE, err);
	if (!strcmp(verb, "b") && nr_images < IMAGES_MAX)
		return open_one(args[1], COW_OPEN_BUSY, err);
	*ret_nr = 3;
	if (!strcmp(verb, "o"))
		return open_output(args, err);
	if (!strcmp(verb, "put"))
		return cow_image_pwrite(last, args[2], strlen(args[2]), number(args[1]), err);
	if (!strcmp(verb, "zero"))
		return cow_image_write_zeroes(last, number(args[1]), number(args[2]), err);
	if (!strcmp(verb, "discard"))
		return cow_image_discard(last, number(args[1]), number(args[2]), err);
	*ret_nr = 1;
	if (!strcmp(verb, "drop"))
		return cow_image_drop_cache(last, 0, cow_image_size(last), err);
	if (!strcmp(verb, "flush"))
		return cow_image_flush(last, err);
	if (!strcmp(verb, "publish"))
		return cow_output_publish(output, err);
	abort();
}

int main(int argc, char **argv)
{
	int status = 0, nr;

	if (cow_imageset_new(&set, NULL))
		return 2;
	for (int i = 1; i < argc; i += nr) {
		struct cow_err err = COW_ERR_INIT;
		int ret = run(argv + i, &nr, &err);

		if (ret)
			printf("%s %s %s: %s\n", strerrorname_np(-ret), err.id,
			       *err.force ? err.force : "-", err.message);
		else
			printf("ok %" PRIu64 " %" PRIu32 "%s\n", cow_image_size(last),
			       cow_image_logical_block_size(last),
			       cow_image_is_block_device(last) ? " device" : "");
		status |= ret != 0;
	}
	cow_output_close(output);
	while (nr_images)
		cow_image_close(images[--nr_images]);
	cow_imageset_free(set);
	return status;
}
