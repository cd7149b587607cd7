/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * verify.c - compares an image with what a manifest says of it. Only this finds
 * damage that leaves a legal store, or that lies in the data. One pass over the
 * image; neighbouring ranges that differ are one finding.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/core/problem.h"
#include "libcow/core/report.h"
#include "libcow/image/image.h"
#include "libcow/store/store.h"

struct verify {
	const struct cow_verify_params *params;
	struct cow_image *image;
	struct cow_report *report;
	size_t cursor;	    /* entries of the manifest, ascending */
	uint64_t first, nr; /* a run of ranges that differ */
	uint64_t nr_differ; /* ranges in all */
};

/* Says where the bytes come from: that is where to look for the fault. */
static const char *source_of(const struct verify *verify, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct cow_extent extent;

	if (!verify->params->store)
		return "";
	if (!cow_store_next_extent(verify->params->store, offset_bytes, &extent) ||
	    extent.old_bytes >= offset_bytes + len_bytes)
		return "; no exception lies there, all of it is the origin's";
	if (extent.old_bytes == offset_bytes && extent.len_bytes >= len_bytes)
		return "; all of it is on the COW image";
	return "; exceptions lie there";
}

static void run_end(struct verify *verify)
{
	uint64_t offset_bytes = verify->first * COW_MANIFEST_RANGE_BYTES;
	uint64_t len_bytes = verify->nr * COW_MANIFEST_RANGE_BYTES;
	struct finding_place place = { .image = verify->image, .offset_bytes = offset_bytes };

	if (!verify->nr)
		return;
	len_bytes = min_u64(len_bytes, verify->image->size_bytes - offset_bytes);
	place.len_bytes = len_bytes;
	cow_report_add(verify->report, cow_image_problem(IMAGE_DIGEST_MISMATCH), &place,
		       "%" PRIu64 " bytes of the view from byte %" PRIu64
		       " on are not what the manifest says%s",
		       len_bytes, offset_bytes, source_of(verify, offset_bytes, len_bytes));
	verify->nr = 0;
}

static void range_differs(struct verify *verify, uint64_t index)
{
	verify->nr_differ++;
	if (verify->nr && index != verify->first + verify->nr)
		run_end(verify);
	if (!verify->nr)
		verify->first = index;
	verify->nr++;
}

/* Entries in front of index: the image has zeros there. */
static void skip_to(struct verify *verify, uint64_t index)
{
	const struct cow_verify_params *params = verify->params;

	while (verify->cursor < params->nr_ranges && params->ranges[verify->cursor].index < index)
		range_differs(verify, params->ranges[verify->cursor++].index);
}

static int on_range(void *user, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES])
{
	struct verify *verify = user;
	const struct cow_manifest_range *said;

	skip_to(verify, index);
	said = &verify->params->ranges[verify->cursor];
	if (verify->cursor == verify->params->nr_ranges || said->index != index ||
	    memcmp(said->digest, digest, COW_DIGEST_BYTES) != 0)
		range_differs(verify, index);
	if (verify->cursor < verify->params->nr_ranges && said->index == index)
		verify->cursor++;
	return 0;
}

int cow_verify(struct cow_image *image, const struct cow_verify_params *params,
	       struct cow_report *report, uint64_t *ret_nr_differ, struct cow_err *err)
{
	struct cow_manifest_params manifest = COW_MANIFEST_PARAMS_INIT;
	struct verify verify = { .params = params, .image = image, .report = report };
	uint8_t digest[COW_DIGEST_BYTES];
	int ret;

	ret = cow_params_check(params->size, sizeof(*params), 0, 0, "struct cow_verify_params",
			       err);
	if (ret)
		return ret;
	if (params->image_bytes != image->size_bytes)
		return cow_refuse(err, -EPERM, "size", NULL,
				  "the manifest is of %" PRIu64 " bytes, %s has %" PRIu64
				  ": it belongs to another image",
				  params->image_bytes, image->name, image->size_bytes);
	for (size_t i = 1; i < params->nr_ranges; i++)
		if (params->ranges[i].index <= params->ranges[i - 1].index)
			return cow_fail(err, -EINVAL, "the ranges of a manifest must ascend");
	manifest.callbacks = params->callbacks;
	manifest.user = &verify;
	manifest.range = on_range;
	ret = cow_manifest(image, &manifest, digest, err);
	if (ret)
		return ret;
	skip_to(&verify, UINT64_MAX);
	run_end(&verify);
	*ret_nr_differ = verify.nr_differ;
	return 0;
}
