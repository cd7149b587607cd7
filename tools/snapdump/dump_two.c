/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_two.c - opens two states of one file system.
 *
 * Of the origin and a view of it, and of two views of one origin, only what the layers
 * hold is compared. Of a part of a disk (the layers are those of the disk) and of two other
 * views the images are compared first.
 */
#include "tools/snapdump/dump_two.h"

#include <errno.h>
#include <stdlib.h>

#include "tools/common/cli.h"
#include "libcow/base/array.h"

static void on_problem(void *user, bool is_damage, const char *sentence)
{
	struct dump_two *two = user;

	dump_fs_problem(&two->now, is_damage, sentence);
}

static int on_change(void *user, const struct fs_change *change, struct cow_err *err)
{
	struct dump_two *two = user;

	return two->change(two->user, change, err);
}

/* dump_range_fn. */
static int add_touched(void *user, const struct cow_segment *range, struct cow_err *err)
{
	struct dump_two *two = user;
	struct cow_segment *grown =
		cow_array_grow(two->touched, two->nr_touched, &two->room, sizeof(*grown));

	if (!grown)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu ranges",
				  two->nr_touched);
	two->touched = grown;
	grown[two->nr_touched++] = *range;
	return 0;
}

struct difference {
	struct dump_two *two;
	struct cow_err *err;
};

static int on_difference(void *user, uint64_t offset_bytes, uint64_t len_bytes, bool is_zero)
{
	const struct cow_segment range = { offset_bytes, len_bytes };
	struct difference *difference = user;

	(void)is_zero;
	return add_touched(difference->two, &range, difference->err);
}

static int compare_images(struct dump_two *two, struct dump *dump, struct cow_image *before,
			  struct cow_err *err)
{
	struct cow_image *view = dump->operands.view;
	struct cow_diff_params params = COW_DIFF_PARAMS_INIT;
	struct cow_segment all = { 0, cow_image_size(view) };
	struct difference difference = { two, err };

	params.callbacks = &dump->callbacks;
	params.user = &difference;
	params.range = on_difference;
	if (cow_image_size(before) == all.len_bytes)
		return cow_diff(before, view, &params, err);
	/* One that has grown. */
	if (cow_image_size(before) > all.len_bytes)
		all.len_bytes = cow_image_size(before);
	return add_touched(two, &all, err);
}

static struct cow_image *before_of(const struct dump *dump)
{
	return dump->other.view ? dump->other.view : dump_origin(dump);
}

static int find_touched(struct dump_two *two, struct dump *dump, struct cow_err *err)
{
	int ret;

	if (dump->part || (dump->other.view && !dump->has_same_origin))
		return compare_images(two, dump, before_of(dump), err);
	ret = dump_each_range(&dump->operands, add_touched, two, err);
	return ret || !dump->other.view ? ret
					: dump_each_range(&dump->other, add_touched, two, err);
}

int dump_two_open(struct dump_two *two, struct dump *dump, struct cow_err *err)
{
	unsigned int flags = FS_EXT_EXACT | (dump->ignores_journal ? FS_EXT_IGNORE_JOURNAL : 0);
	int ret = dump_fs_open(&two->now, dump, FS_EXT_EXACT, err);

	if (!ret)
		ret = fs_ext_open(before_of(dump), flags, &two->before, err);
	if (!ret)
		ret = find_touched(two, dump, err);
	two->old_fs = dump->is_reverse ? two->now.fs : two->before;
	two->new_fs = dump->is_reverse ? two->before : two->now.fs;
	return ret;
}

void dump_two_close(struct dump_two *two)
{
	free(two->touched);
	fs_ext_close(two->before);
	dump_fs_close(&two->now);
}

int dump_two_compare(struct dump_two *two, struct cow_err *err)
{
	const struct fs_changes_params params = {
		.old_fs = two->old_fs,
		.new_fs = two->new_fs,
		.touched = two->touched,
		.nr_touched = two->nr_touched,
		.user = two,
		.change = on_change,
		.problem = on_problem,
	};

	fs_ext_say_state(params.old_fs, on_problem, two);
	fs_ext_say_state(params.new_fs, on_problem, two);
	return fs_changes(&params, err);
}
