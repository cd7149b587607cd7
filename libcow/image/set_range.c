/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * set_range.c - which bytes of which file belong to an image of a set, and that
 * no byte belongs to two of them.
 */
#include "libcow/image/set_range.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"

int cow_set_range_new(struct cow_imageset *set, struct cow_handle *file, const char *name,
		      size_t nr_segments, struct set_range **ret_range, struct cow_err *err)
{
	struct set_range *range = NULL;
	size_t bytes;

	if (!memory_overflows(nr_segments, sizeof(range->segments[0]), sizeof(*range), &bytes))
		range = (struct set_range *)calloc(1, bytes);
	if (range)
		range->name = strdup(name);
	if (!range || !range->name) {
		free(range);
		return cow_fail(err, -ENOMEM, "no memory for %zu segments", nr_segments);
	}
	range->set = set;
	range->file = file;
	range->nr_segments = nr_segments;
	*ret_range = range;
	return 0;
}

void cow_set_range_free(struct set_range *range)
{
	free(range->name);
	free(range);
}

void cow_set_range_add(struct cow_imageset *set, struct set_range *range)
{
	range->file->nr_images++;
	range->next = set->ranges;
	set->ranges = range;
}

void cow_set_file_put(struct cow_imageset *set, struct cow_handle *file)
{
	struct cow_handle **link = &set->files;

	if (file->nr_images)
		return;
	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
	cow_handle_close(file);
}

void cow_set_range_closed(void *owner)
{
	struct set_range *range = (struct set_range *)owner, *also, **link;

	for (; range; range = also) {
		also = range->also;
		for (link = &range->set->ranges; *link != range;)
			link = &(*link)->next;
		*link = range->next;
		range->file->nr_images--;
		cow_set_file_put(range->set, range->file);
		cow_set_range_free(range);
	}
}

static int refuse_overlap(const struct set_range *range, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err)
{
	return cow_refuse(err, -EPERM, "overlap", NULL,
			  "the %" PRIu64 " bytes at byte %" PRIu64
			  " overlap with \"%s\", which this job uses already",
			  len_bytes, offset_bytes, range->name);
}

static int check_with(const struct set_range *old, const struct set_range *new, struct cow_err *err)
{
	uint64_t old_base = old->file->ground.offset_bytes;
	uint64_t new_base = new->file->ground.offset_bytes;

	if (old->is_base || !cow_ground_is_same(&old->file->ground, &new->file->ground))
		return 0;
	for (size_t i = 0; i < new->nr_segments; i++)
		for (size_t k = 0; k < old->nr_segments; k++)
			if (ranges_overlap(old_base + old->segments[k].offset_bytes,
					   old->segments[k].len_bytes,
					   new_base + new->segments[i].offset_bytes,
					   new->segments[i].len_bytes))
				return refuse_overlap(old, new->segments[i].offset_bytes,
						      new->segments[i].len_bytes, err);
	return 0;
}

int cow_set_range_check(const struct cow_imageset *set, const struct set_range *new,
			struct cow_err *err)
{
	int ret = 0;

	for (const struct set_range *old = set->ranges; old && !ret; old = old->next)
		if (old != new)
			ret = check_with(old, new, err);
	return ret;
}

int cow_set_range_widen(struct set_range *range, uint64_t len_bytes, struct cow_err *err)
{
	struct cow_segment *segment = &range->segments[0];
	uint64_t old_len_bytes = segment->len_bytes;
	int ret;

	if (!range_fits(segment->offset_bytes, len_bytes, range->file->image->size_bytes))
		return cow_fail(err, -ERANGE,
				"%" PRIu64 " bytes at byte %" PRIu64 " go beyond the end, %" PRIu64
				" bytes",
				len_bytes, segment->offset_bytes, range->file->image->size_bytes);
	segment->len_bytes = len_bytes;
	ret = cow_set_range_check(range->set, range, err);
	if (ret)
		segment->len_bytes = old_len_bytes;
	return ret;
}
