/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_delta.c - --delta: what differs from the origin or from a manifest; with --reverse
 * what the origin has and the view has not.
 *
 * A delta is a pax tar of four members (libcow-delta(5)): delta.json, ranges.txt,
 * delta.img (sparse: exactly the changed data), manifest.json. What changed and
 * all digests are found in a first pass, so that whoever reads the stream knows
 * what is coming, and whether it fits, before the data.
 *
 * Away from the exceptions of the layers the view is the origin: there it is
 * neither compared nor digested twice.
 */
#include "tools/snapdump/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/formats/delta.h"
#include "tools/formats/manifest_file.h"
#include "tools/common/printer.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"
#include "tools/tar/tar.h"
#include "tools/images/images_json.h"

struct delta_dump {
	struct dump *dump;
	struct cow_image *base, *result; /* the delta leads from one to the other */
	struct delta delta;
	struct manifest manifest; /* of the result */
	struct manifest parent;
	/* For --against: the view's extents, before they are cut to the ranges
	 * that changed. */
	struct delta extents;
	size_t cursor; /* ranges come to changed() in order */
};

static int on_difference(void *user, uint64_t offset_bytes, uint64_t len_bytes, bool is_zero)
{
	struct delta_dump *job = user;

	return delta_add(&job->delta, offset_bytes, len_bytes, is_zero);
}

/* Does a range of the manifest hold a difference? Asked in ascending order. */
static bool is_changed(void *user, uint64_t index)
{
	struct delta_dump *job = user;
	const struct delta *delta = &job->delta;
	uint64_t start = index * COW_MANIFEST_RANGE_BYTES;

	while (job->cursor < delta->nr_ranges &&
	       delta->ranges[job->cursor].offset_bytes + delta->ranges[job->cursor].len_bytes <=
		       start)
		job->cursor++;
	return job->cursor < delta->nr_ranges &&
	       delta->ranges[job->cursor].offset_bytes < start + COW_MANIFEST_RANGE_BYTES;
}

/* From the origin to the view, or back. */
static void choose_images(struct delta_dump *job)
{
	struct dump *dump = job->dump;
	struct cow_image *view = dump->operands.view, *origin = dump_origin(dump);

	job->base = dump->is_reverse ? view : origin;
	job->result = dump->is_reverse ? origin : view;
}

/* The difference between the two images. */
static int scan_difference(struct delta_dump *job, const struct cow_callbacks *callbacks,
			   struct cow_err *err)
{
	struct manifest_scan scan = { .callbacks = callbacks };
	struct cow_diff_params params = COW_DIFF_PARAMS_INIT;
	int ret;

	params.callbacks = callbacks;
	params.user = job;
	params.range = on_difference;
	ret = cow_diff(job->base, job->result, &params, err);
	dump_first_pass(job->dump);
	if (!ret)
		ret = manifest_scan(&job->parent, job->base, &scan, err);
	if (ret)
		return ret;
	scan.known = &job->parent;
	scan.changed = is_changed;
	scan.user = job;
	return manifest_scan(&job->manifest, job->result, &scan, err);
}

static int on_extent(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct delta_dump *job = user;

	return delta_add(&job->extents, offset_bytes, len_bytes, false);
}

/* Adds a range that changed: data where the view has extents, else zeros. */
static int add_changed(struct delta_dump *job, uint64_t start, uint64_t end)
{
	const struct delta *extents = &job->extents;
	int ret = 0;

	while (!ret && start < end) {
		uint64_t data = end, stop = end;

		while (job->cursor < extents->nr_ranges &&
		       extents->ranges[job->cursor].offset_bytes +
				       extents->ranges[job->cursor].len_bytes <=
			       start)
			job->cursor++;
		if (job->cursor < extents->nr_ranges) {
			const struct delta_range *extent = &extents->ranges[job->cursor];

			data = extent->offset_bytes > start ? extent->offset_bytes : start;
			data = data < end ? data : end;
			if (extent->offset_bytes + extent->len_bytes < end)
				stop = extent->offset_bytes + extent->len_bytes;
		}
		if (data > start)
			ret = delta_add(&job->delta, start, data - start, true);
		if (!ret && data < end)
			ret = delta_add(&job->delta, data, stop - data, false);
		start = data < end ? stop : end;
	}
	return ret;
}

/* The difference to what a manifest says: in whole ranges of it. */
static int scan_against(struct delta_dump *job, const struct cow_callbacks *callbacks,
			struct cow_err *err)
{
	struct cow_image *view = job->dump->operands.view;
	struct manifest_scan scan = { .callbacks = callbacks, .extent = on_extent, .user = job };
	uint64_t index = 0, size = cow_image_size(view);
	int ret;

	if (job->parent.view_bytes != size)
		return cli_refuse(err, -EPERM, "size", NULL,
				  "%s is about %" PRIu64 " bytes, but the view has %" PRIu64
				  ": only views of one size have a difference",
				  job->dump->against, job->parent.view_bytes, size);
	ret = manifest_scan(&job->manifest, view, &scan, err);
	dump_first_pass(job->dump);
	for (; !ret && manifest_next_change(&job->parent, &job->manifest, index, &index); index++) {
		uint64_t start = index * COW_MANIFEST_RANGE_BYTES;
		uint64_t len = size - start < COW_MANIFEST_RANGE_BYTES ? size - start
								       : COW_MANIFEST_RANGE_BYTES;

		if (add_changed(job, start, start + len))
			ret = cli_refuse(err, -ENOMEM, "no-memory", NULL,
					 "no memory for more than %zu ranges",
					 job->delta.nr_ranges);
	}
	delta_clear(&job->extents);
	return ret;
}

static int scan(struct delta_dump *job, struct cow_err *err)
{
	struct cow_callbacks callbacks = progress_callbacks(&job->dump->progress);
	int ret;

	ret = job->dump->against ? scan_against(job, &callbacks, err)
				 : scan_difference(job, &callbacks, err);
	if (ret)
		return ret;
	job->manifest.is_doubtful = dump_is_doubtful(job->dump);
	job->manifest.has_parent = true;
	job->manifest.is_reverse = job->delta.is_reverse = job->dump->is_reverse;
	memcpy(job->manifest.parent, job->parent.digest, COW_DIGEST_BYTES);
	job->delta.view_bytes = job->manifest.view_bytes;
	memcpy(job->delta.parent, job->parent.digest, COW_DIGEST_BYTES);
	memcpy(job->delta.digest, job->manifest.digest, COW_DIGEST_BYTES);
	job->dump->nr_ranges = job->delta.nr_ranges;
	job->dump->data_bytes = job->delta.data_bytes;
	manifest_clear(&job->parent);
	return 0;
}

/* --------------------------------------------------------------- writing */

struct result_source {
	struct delta_dump *job;
	uint64_t done_bytes;
};

static int read_result(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
		       struct cow_err *err)
{
	struct result_source *source = user;
	struct dump *dump = source->job->dump;
	int ret = cow_image_pread(source->job->result, buf, len_bytes, offset_bytes, err);

	source->done_bytes += len_bytes;
	return ret ? ret
		   : dump_step(dump, "write", source->done_bytes, source->job->delta.data_bytes,
			       err);
}

static int put_data(struct tar *tar, struct delta_dump *job, struct cow_err *err)
{
	const struct delta *delta = &job->delta;
	struct result_source source = { .job = job };
	struct file_entry entry =
		tar_own_entry(DELTA_DATA_MEMBER, delta->view_bytes, job->dump->mtime);
	/* bounded: so many are in memory */
	struct cow_segment *extents = calloc(delta->nr_ranges + 1, sizeof(*extents));
	int ret;

	if (!extents)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu ranges",
				  delta->nr_ranges);
	for (size_t i = 0; i < delta->nr_ranges; i++)
		if (!delta->ranges[i].is_zero)
			extents[entry.nr_ranges++] =
				(struct cow_segment){ delta->ranges[i].offset_bytes,
						      delta->ranges[i].len_bytes };
	entry.ranges = extents;
	entry.read = read_result;
	entry.source = &source;
	ret = tar_add(tar, &entry, err);
	free(extents);
	return ret;
}

static int print_head(const void *user, struct printer *printer, struct cow_err *err)
{
	return delta_print_head(user, printer, err);
}

static int print_ranges(const void *user, struct printer *printer, struct cow_err *err)
{
	return delta_print_ranges(user, printer, err);
}

static int print_manifest(const void *user, struct printer *printer, struct cow_err *err)
{
	return manifest_print(user, printer, err);
}

static int write_delta(void *user, struct tar *tar, struct cow_err *err)
{
	struct delta_dump *job = user;
	int64_t mtime = job->dump->mtime;
	int ret;

	ret = tar_put_text(tar, DELTA_HEAD_MEMBER, mtime, print_head, &job->delta, err);
	if (!ret)
		ret = tar_put_text(tar, DELTA_RANGES_MEMBER, mtime, print_ranges, &job->delta, err);
	if (!ret)
		ret = put_data(tar, job, err);
	if (!ret)
		ret = dump_second_pass(job->dump, err);
	return ret ? ret
		   : tar_put_text(tar, MANIFEST_MEMBER, mtime, print_manifest, &job->manifest, err);
}

int dump_delta(struct dump *dump, struct cow_err *err)
{
	struct delta_dump job = { .dump = dump };
	struct sink sink = SINK_INIT;
	int ret;

	choose_images(&job);
	ret = sink_open(&sink, dump->operands.set, "output", dump->output, err);
	if (dump->against)
		images_json_add_path("manifest", dump->against);
	if (!ret && dump->against)
		ret = manifest_load(&job.parent, dump->against, err);
	sandbox_enter();
	if (!ret)
		ret = scan(&job, err);
	if (!ret && !dump->is_dry_run)
		ret = dump_archive(dump, &sink, dump->compress, write_delta, &job, err);
	manifest_clear(&job.parent);
	manifest_clear(&job.manifest);
	delta_clear(&job.delta);
	delta_clear(&job.extents);
	sink_close(&sink);
	return ret;
}
