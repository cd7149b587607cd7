/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * merge_finish.c - a clone: what can be asked of it, whether its images belong
 * together, and what is said. What is not hydrated is copied from the source to the
 * destination; then the destination alone is what the clone showed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/json.h"
#include "tools/common/size_text.h"
#include "tools/snapmerge/snapmerge.h"

/* Regions that are compared, and how much of each. */
#define SAMPLE_REGIONS 64
#define SAMPLE_BYTES 4096

bool merge_finishes(const struct merge_job *job)
{
	return roles_are_given(&job->operands.roles) && !merge_rolls_back(job);
}

bool merge_names_clone(const struct merge_options *options)
{
	if (options->table)
		return strstr(options->table, " clone ") != NULL;
	return cli_nr_operands() == 1 && !strncmp(cli_operands()[0], "clone:", strlen("clone:"));
}

int merge_finish_options(const struct merge_options *options, struct cow_err *err)
{
	const char *name = options->siblings.nr_words  ? "--sibling"
			   : options->dropped.nr_words ? "--drop-sibling"
			   : options->save_undo	       ? "--save-undo"
			   : options->take_back	       ? "--take-back"
			   : options->keep	       ? "--keep"
			   : options->discard	       ? "--discard"
			   : options->scrub	       ? "--scrub"
			   : options->bad.skips	       ? "--skip-unreadable"
						       : NULL;

	return name ? cli_refuse(err, -EINVAL, "usage", NULL,
				 "%s: not with a clone; it is finished, or written to -o NEW", name)
		    : 0;
}

/* ---------------------------------------------------------------- do they belong together */

struct sample {
	uint64_t nr_compared, nr_equal;
	uint8_t a[SAMPLE_BYTES], b[SAMPLE_BYTES];
};

/* One hydrated region. A region of zeros says nothing: every image has some. */
static int sample_region(struct sample *sample, const struct roles *roles, uint64_t at_bytes,
			 uint64_t len_bytes, struct cow_err *err)
{
	size_t len = len_bytes < SAMPLE_BYTES ? (size_t)len_bytes : SAMPLE_BYTES;
	int ret =
		cow_image_pread(roles_image(roles, COW_ROLE_SOURCE), sample->a, len, at_bytes, err);

	if (!ret)
		ret = cow_image_pread(roles_image(roles, COW_ROLE_DESTINATION), sample->b, len,
				      at_bytes, err);
	if (ret)
		return ret;
	if (sample->a[0] == 0 && !memcmp(sample->a, sample->a + 1, len - 1))
		return 0;
	sample->nr_compared++;
	sample->nr_equal += !memcmp(sample->a, sample->b, len);
	return 0;
}

/* Regions over all of the clone: from each of as many equal parts the first one. */
static int sample_take(struct sample *sample, const struct merge_job *job, struct cow_err *err)
{
	const struct cow_store *store = job->operands.layers[0].store;
	uint64_t view_bytes = job->info.view_bytes, chunk_bytes = job->info.chunk_bytes;
	uint64_t step = view_bytes / SAMPLE_REGIONS > chunk_bytes ? view_bytes / SAMPLE_REGIONS
								  : chunk_bytes;
	struct cow_extent extent;
	int ret = 0;

	for (uint64_t at = 0, next; !ret && at < view_bytes; at = next) {
		if (!cow_store_next_extent(store, at, &extent) || extent.old_bytes >= view_bytes)
			break;
		if (extent.len_bytes > view_bytes - extent.old_bytes)
			extent.len_bytes = view_bytes - extent.old_bytes;
		ret = sample_region(sample, &job->operands.roles, extent.old_bytes,
				    extent.len_bytes, err);
		next = extent.old_bytes - extent.old_bytes % step + step;
	}
	return ret;
}

/* Nothing on the disk ties source or destination to the metadata. */
int merge_finish_check(const struct merge_job *job, struct cow_err *err)
{
	const struct roles *roles = &job->operands.roles;
	struct sample *sample;
	uint64_t nr_compared;
	int ret;

	if (cli_forced("origin") || !job->planned.nr_left)
		return 0;
	sample = calloc(1, sizeof(*sample));
	if (!sample)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a sample");
	ret = sample_take(sample, job, err);
	nr_compared = sample->nr_compared;
	if (!ret && nr_compared && !sample->nr_equal)
		ret = cli_refuse(err, -EPERM, "origin", "origin",
				 "none of %" PRIu64
				 " hydrated regions is the same on %s and on %s: these images may "
				 "not belong to %s, or each of these regions was written to",
				 nr_compared, cow_image_name(roles_image(roles, COW_ROLE_SOURCE)),
				 merge_target_name(job),
				 cow_image_name(job->operands.layers[0].cow));
	free(sample);
	return ret;
}

/* ---------------------------------------------------------------- words */

void merge_finish_say_plan(const struct merge_job *job)
{
	const struct roles *roles = &job->operands.roles;
	struct json_object *at = json_put_object(json_root(), "plan");
	const char *source = cow_image_name(roles_image(roles, COW_ROLE_SOURCE));
	const char *metadata = cow_image_name(job->operands.layers[0].cow);
	uint64_t nr = job->info.view_bytes / job->info.chunk_bytes;
	char size[SIZE_TEXT_BYTES];

	nr += job->info.view_bytes % job->info.chunk_bytes != 0;
	json_put_text(at, "source", source);
	json_put_text(at, "destination", merge_target_name(job));
	json_put_text(at, "metadata", metadata);
	json_put_u64(at, "chunk_bytes", job->info.chunk_bytes);
	json_put_u64(at, "chunks", job->planned.nr_left);
	json_put_bool(at, "doubtful", job->operands.is_doubtful);
	if (!job->planned.nr_left)
		return;
	if (job->operands.is_doubtful)
		cli_warn("the tree of the superblock is used as the newest: the regions in doubt "
			 "are copied, and their data on %s is overwritten; if they were written "
			 "to, that was the only copy",
			 merge_target_name(job));
	cli_note("plan: copy %" PRIu64 " of %" PRIu64
		 " regions of %s from %s to %s, and record that in %s",
		 job->planned.nr_left, nr, size_round(job->info.chunk_bytes, size), source,
		 merge_target_name(job), metadata);
}

void merge_finish_say_success(const struct merge_job *job, const struct cow_merge_result *result)
{
	char size[SIZE_TEXT_BYTES];

	if (!result->nr_chunks) {
		cli_note("nothing to copy: every region is hydrated; %s alone is what the clone "
			 "shows",
			 merge_target_name(job));
		return;
	}
	cli_note("finished: %" PRIu64 " regions copied (%s of data); %s alone is what the clone "
		 "showed; source and metadata are not needed any more",
		 result->nr_chunks, size_round(result->bytes, size), merge_target_name(job));
}
