/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_bad.c - a check of a COW image with bad sectors.
 */
#include "tools/snapcheck/check.h"

int check_bad_open(struct check *check, const struct bad_options *options,
		   const struct cow_callbacks *callbacks, struct cow_err *err)
{
	struct cow_image *image;
	int ret;

	check->file = check->cow;
	if (options->maps.nr_words) {
		ret = bad_image_open(check->cow, options->maps.words[0], &check->map, err);
		if (ret)
			return ret;
		check->cow = check->map;
	}
	if (!options->skips)
		return 0;
	ret = cow_image_skip_new(check->cow, NULL, callbacks, &image, err);
	if (!ret)
		check->cow = image;
	return ret;
}

void check_bad_close(struct check *check)
{
	if (check->cow != check->file && check->cow != check->map)
		cow_image_close(check->cow);
	cow_image_close(check->map);
	check->cow = check->file;
	check->map = check->file = NULL;
}
