/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_repair.c - decides where a repair writes, asks, runs it, and gives the
 * result its name.
 */
#include "tools/snapcheck/check_repair.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/ask.h"
#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/common/outputs.h"
#include "tools/common/volatile.h"
#include "tools/images/images_json.h"

#define UNDO_CHUNK_BYTES 4096
/* So many digests of cow_repair_undo_end() fit a sector; there is at most one for a chunk. */
#define DIGESTS_PER_SECTOR 16
/* Size of an output while its real size is not known. */
#define SIZE_BYTES_MIN 512

bool check_repair_is_due(const struct check_repair *repair, const struct cow_report *report,
			 const struct cow_verdict *verdict)
{
	const struct cow_problem *problem;

	if (repair->revalidates && verdict->can_revalidate)
		return true;
	for (size_t i = 0; (problem = cow_problem_get(i)); i++) {
		bool is_mended = problem->flags & COW_PROBLEM_FIXABLE;

		if (repair->is_safe_only)
			is_mended = problem->flags & COW_PROBLEM_SAFE;
		if (is_mended && cow_report_count_id(report, problem->id))
			return true;
	}
	return false;
}

/* Its size is known only after the check: check_repair_output(). */
static int prepare_output(struct check_repair *repair, struct cow_imageset *set,
			  struct cow_err *err)
{
	uint32_t flags = cli_forced("overwrite") ? COW_OUTPUT_OVERWRITE : 0;
	int ret;

	outputs_note_name(repair->output, OUTPUTS_STORE);
	ret = outputs_open(set, "output", repair->output, SIZE_BYTES_MIN, flags, &repair->out, err);
	return ret ? ret : blkid_device_open(&repair->device, repair->out, repair->output, err);
}

int check_repair_output(struct check_repair *repair, uint64_t size, struct cow_err *err)
{
	int ret = blkid_device_check(&repair->device, repair->output, err);

	if (!ret)
		ret = cow_output_grow(repair->out, size, err);
	if (ret || repair->is_dry_run)
		return ret;
	repair->target = cow_output_image(repair->out);
	if (cow_image_is_block_device(repair->target))
		cli_wrote();
	return 0;
}

static int open_output(struct check_repair *repair, struct cow_image *cow, struct cow_err *err)
{
	struct cow_copy_params params = COW_COPY_PARAMS_INIT;
	struct cow_copy_result result = COW_COPY_RESULT_INIT;
	uint64_t size = cow_image_size(cow);
	int ret;

	size = repair->needed_bytes > size ? repair->needed_bytes : size;
	ret = check_repair_output(repair, size, err);
	if (ret || repair->is_dry_run)
		return ret;
	if (!cow_image_is_block_device(repair->target))
		params.flags = COW_COPY_HOLES;
	params.callbacks = repair->callbacks;
	return cow_copy(cow, repair->target, &params, &result, err);
}

static int open_undo_store(struct check_repair *repair, struct cow_image *cow,
			   struct cow_image *undo, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;

	cow_store_args_pair(&args, roles, undo, cow);
	return cow_store_open(&args, &repair->undo_store, err);
}

static void close_undo(struct check_repair *repair)
{
	cow_image_close(repair->guard);
	cow_store_close(repair->undo_store);
	cow_image_close(repair->old_undo);
	repair->guard = repair->old_undo = NULL;
	repair->undo_store = NULL;
}

/* A store that has the name already is in the way: it may hold all that is left
 * of something. -ENOENT: there is none. */
static int open_existing(struct check_repair *repair, struct cow_imageset *set,
			 struct cow_image *cow, struct cow_err *err)
{
	struct cow_err why = COW_ERR_INIT;
	uint32_t flags = repair->is_dry_run ? COW_OPEN_REHEARSE : COW_OPEN_WRITE;
	int ret = cow_imageset_open(set, repair->save_undo, COW_OPEN_LITERAL | flags,
				    &repair->old_undo, err);

	if (ret)
		return ret == -ERANGE ? -ENOENT : ret; /* too short for anything */
	images_json_add("undo", repair->old_undo);
	ret = open_undo_store(repair, cow, repair->old_undo, &why);
	if (!ret)
		return 0;
	if (ret == -EMEDIUMTYPE)
		return -ENOENT;
	return cli_refuse(err, -EPERM, "undo-exists", NULL,
			  "%s holds a store that is not an undo file of %s: %s; name another file",
			  repair->save_undo, cow_image_name(cow), why.message);
}

/* Opens the undo file of a repair of cow that was cut off. -ENOENT: it is none,
 * and holds so many exceptions. */
static int open_old_undo(struct check_repair *repair, struct cow_imageset *set,
			 struct cow_image *cow, uint64_t *ret_nr_exceptions, struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	int ret = open_existing(repair, set, cow, err);

	*ret_nr_exceptions = 0;
	if (!ret) {
		ret = cow_repair_undo_new(cow, repair->undo_store, COW_REPAIR_UNDO_CONTINUE,
					  &repair->guard, err);
		cow_store_get_info(repair->undo_store, &info);
		*ret_nr_exceptions = info.nr_exceptions;
	}
	if (ret)
		close_undo(repair);
	return ret;
}

static struct cow_create_params undo_params(const struct cow_image *cow)
{
	struct cow_create_params create = COW_CREATE_PARAMS_INIT;
	uint64_t block_bytes = cow_image_logical_block_size(cow);

	create.origin_bytes = cow_image_size(cow);
	create.chunk_bytes = block_bytes > UNDO_CHUNK_BYTES ? block_bytes : UNDO_CHUNK_BYTES;
	return create;
}

/* Opens a new undo file, or a device. */
static int open_new_undo(struct check_repair *repair, struct cow_imageset *set,
			 struct cow_image *cow, struct cow_err *err)
{
	uint32_t flags = cli_forced("overwrite") ? COW_OUTPUT_OVERWRITE : 0;
	struct cow_create_params create = undo_params(cow);
	uint64_t size = 0;
	int ret = volatile_check(repair->save_undo, err);

	if (!ret)
		ret = cow_create_size(&create, &size, err);
	/* for the digests of what the repair leaves */
	size += (create.origin_bytes / create.chunk_bytes / DIGESTS_PER_SECTOR + 1) * 512;
	if (!ret)
		ret = outputs_open(set, "undo", repair->save_undo, size, flags, &repair->undo, err);
	return ret ? ret : blkid_device_open(&repair->device, repair->undo, repair->save_undo, err);
}

/* Opens the undo file of a repair that was cut off, or else a new one. */
static int prepare_undo(struct check_repair *repair, struct cow_imageset *set,
			struct cow_image *cow, struct cow_err *err)
{
	uint64_t nr_exceptions;
	int ret = open_old_undo(repair, set, cow, &nr_exceptions, err);

	repair->is_undo_full = ret == -ENOENT && nr_exceptions;
	repair->is_continued = !ret;
	if (ret != -ENOENT)
		return ret;
	*err = (struct cow_err)COW_ERR_INIT;
	return nr_exceptions ? 0 : open_new_undo(repair, set, cow, err);
}

int check_repair_prepare(struct check_repair *repair, struct cow_imageset *set,
			 struct cow_image *cow, struct cow_err *err)
{
	if (repair->output)
		return prepare_output(repair, set, err);
	/* Without an image it is a metadata pack, which is never written to. */
	if (repair->save_undo && cow)
		(void)prepare_undo(repair, set, cow, &repair->undo_error);
	return 0;
}

/* Makes the undo file and publishes it: from now on a crash must not lose what is saved. */
static int create_undo(struct check_repair *repair, struct cow_image *cow, struct cow_err *err)
{
	struct cow_create_params create = undo_params(cow);
	int ret = blkid_device_check(&repair->device, repair->save_undo, err);

	if (ret || repair->is_dry_run)
		return ret;
	ret = cow_create(cow_output_image(repair->undo), &create, err);
	if (!ret)
		ret = open_undo_store(repair, cow, cow_output_image(repair->undo), err);
	if (!ret)
		ret = cow_repair_undo_new(cow, repair->undo_store, 0, &repair->guard, err);
	return ret ? ret : outputs_publish(repair->undo, err);
}

/* The undo file is a snapshot of the COW image, whose origin that image is. Never
 * overwrite what a repair that has ended saved there, whatever --force says. */
static int open_undo(struct check_repair *repair, struct cow_image *cow, struct cow_err *err)
{
	int ret = 0;

	if (repair->undo_error.code) {
		*err = repair->undo_error;
		return err->code;
	}
	if (repair->is_undo_full) {
		cli_next("snapmerge", cow_image_name(cow), repair->save_undo, NULL);
		return cli_refuse(err, -EPERM, "undo-exists", NULL,
				  "%s is the undo file of an earlier repair: take that repair back "
				  "with snapmerge, or name another file",
				  repair->save_undo);
	}
	if (repair->is_continued)
		cli_note("continuing the repair that was cut off; %s holds the old content of %s",
			 repair->save_undo, cow_image_name(cow));
	else
		ret = create_undo(repair, cow, err);
	if (!repair->is_dry_run)
		repair->target = repair->guard;
	return ret;
}

static bool will_grow(const struct check_repair *repair)
{
	if (!repair->needed_bytes || repair->is_safe_only)
		return false;
	return repair->output ? repair->is_dry_run : cli_forced("grow");
}

/* Refused where the repair itself would be, before it writes; then what it would
 * do is done in memory. */
static int rehearse(struct check_repair *repair, struct cow_image *cow, struct cow_err *err)
{
	int ret = 0;

	if (repair->output)
		ret = open_output(repair, cow, err);
	else if (repair->save_undo && !will_grow(repair))
		ret = open_undo(repair, cow, err);
	close_undo(repair);
	if (!ret)
		ret = cow_image_overlay_new(cow, &repair->preview, err);
	repair->target = repair->preview;
	return ret;
}

int check_repair_settle(struct check_repair *repair, const struct cow_image *cow,
			struct cow_err *err)
{
	int ret;

	/* Nothing was repaired, so a file that is no undo file does no harm. */
	if (!repair->is_continued)
		return 0;
	ret = cow_repair_undo_end(repair->undo_store, err);
	if (!ret)
		cli_note("the repair that was cut off had finished; %s holds the old content of %s",
			 repair->save_undo, cow_image_name(cow));
	return ret;
}

/* A list without an end gets room for one. What is enlarged stays so, whatever
 * comes after: the added zeros are that end. */
static int grow(struct check_repair *repair, struct cow_err *err)
{
	bool is_in_place = !repair->output && !repair->is_dry_run;
	int ret;

	if (!will_grow(repair))
		return 0;
	if (repair->save_undo)
		return cli_refuse(err, -EPERM, "grow", NULL,
				  "%s must be enlarged to %" PRIu64
				  " bytes, which --save-undo cannot take back: give -o NEW instead",
				  cow_image_name(repair->target), repair->needed_bytes);
	ret = cow_image_grow(repair->target, repair->needed_bytes, err);
	if (!ret && is_in_place) {
		cli_wrote();
		ret = cow_image_flush(repair->target, err);
	}
	repair->is_grown = !ret;
	return ret;
}

/* Unreadable ranges are zeros in the copy; the repair must not take these zeros for data. */
static int open_patched(struct check_repair *repair, struct cow_image *cow, struct cow_err *err)
{
	struct cow_segment *ranges = NULL, range;
	size_t nr = 0, room = 0;
	int ret;

	for (uint64_t at = 0; cow_image_next_bad(cow, at, &range);
	     at = range.offset_bytes + range.len_bytes) {
		struct cow_segment *grown = cow_array_grow(ranges, nr, &room, sizeof(*grown));

		if (!grown) {
			free(ranges);
			return cli_refuse(err, -ENOMEM, "no-memory", NULL,
					  "no memory for more than %zu bad ranges", nr);
		}
		ranges = grown;
		ranges[nr++] = range;
	}
	if (!nr)
		return 0;
	ret = cow_image_bad_new(repair->target, ranges, nr, COW_BAD_PATCHED, &repair->patched, err);
	free(ranges);
	return ret;
}

int check_repair_open(struct check_repair *repair, struct cow_image *cow, struct cow_err *err)
{
	int ret = 0;

	repair->target = cow;
	if (repair->is_dry_run) {
		ret = rehearse(repair, cow, err);
	} else if (repair->output) {
		repair->is_grown = repair->needed_bytes > cow_image_size(cow);
		ret = open_output(repair, cow, err);
	} else if (repair->save_undo && !will_grow(repair)) {
		ret = open_undo(repair, cow, err);
	}
	if (!ret)
		ret = grow(repair, err);
	if (!ret)
		ret = open_patched(repair, cow, err);
	return ret;
}

static bool is_gap(const struct check_repair *repair, const char *word)
{
	return repair->gap && !strcmp(repair->gap, word);
}

/* Printed once, before the first question. */
static void explain_letters(struct check_repair *repair)
{
	if (!repair->has_asked)
		cli_warn("answer y (yes), n (no), a (yes to all of this kind) or q (ask no more); "
			 "nothing is written before the last answer");
	repair->has_asked = true;
}

/* Puts the question about a finding, or about the run that it begins. */
static bool put_question(const struct cow_finding *finding, const struct found_run *run,
			 char *ret_answer, size_t size)
{
	const char *question = finding->problem->question;
	char place[160];

	if (!question)
		question = "mark the store valid";
	if (!run || run->nr == 1)
		return ask_line(ret_answer, size, "%s: %s\n%s: %s? [y/n/a/q] ", cli_tool(),
				finding->sentence, cli_tool(), question);
	check_found_place(run, place, sizeof(place));
	return ask_line(ret_answer, size,
			"%s: %s: %s\n%s: %s, in each of these %" PRIu64 " %ss? [y/n/a/q] ",
			cli_tool(), place, finding->problem->summary, cli_tool(), question, run->nr,
			run->unit ? run->unit : "place");
}

/* y, n, a(ll of this id), q(uit). */
static bool ask(struct check_repair *repair, const struct cow_finding *finding,
		const struct found_run *run)
{
	char answer[16];

	explain_letters(repair);
	while (!repair->is_stopped) {
		if (!put_question(finding, run, answer, sizeof(answer)))
			strcpy(answer, "q");
		if (!strcmp(answer, "a") &&
		    repair->nr_all < sizeof(repair->all) / sizeof(repair->all[0]))
			repair->all[repair->nr_all++] = finding->problem;
		if (!strcmp(answer, "a") || !strcmp(answer, "y") || !strcmp(answer, "yes"))
			return true;
		if (!strcmp(answer, "n") || !strcmp(answer, "no"))
			return false;
		repair->is_stopped = !strcmp(answer, "q");
	}
	return false;
}

/* A run of findings that is shown as one is asked about once. */
static bool approve(void *user, const struct cow_finding *finding)
{
	struct check_repair *repair = user;
	struct found_run *run;

	if (!repair->asks)
		return true;
	for (size_t i = 0; i < repair->nr_all; i++)
		if (repair->all[i] == finding->problem)
			return true;
	/* with -v each was shown alone */
	run = repair->found->keeps_each ? NULL : check_found_run(repair->found, finding);
	if (run && run->answer != FOUND_UNASKED)
		return run->answer == FOUND_YES;
	if (!run)
		return ask(repair, finding, NULL);
	run->answer = ask(repair, finding, run) ? FOUND_YES : FOUND_NO;
	return run->answer == FOUND_YES;
}

static void lost_add(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	const struct check_repair *repair = user;

	check_lost_add(repair->lost, offset_bytes, len_bytes);
}

int check_repair_run(struct check_repair *repair, const struct cow_store_args *args,
		     struct cow_repair_result *ret_result, struct cow_err *err)
{
	struct cow_repair_params params = COW_REPAIR_PARAMS_INIT;

	if (repair->is_safe_only)
		params.flags |= COW_REPAIR_SAFE;
	if (repair->output || repair->save_undo || cli_forced("lost"))
		params.flags |= COW_REPAIR_LOST;
	if (cli_forced("lost"))
		params.flags |= COW_REPAIR_ORIGIN;
	if (repair->revalidates)
		params.flags |= COW_REPAIR_REVALIDATE;
	if (repair->output && !repair->is_safe_only)
		params.flags |= COW_REPAIR_APPEND;
	if (is_gap(repair, "leave"))
		params.flags |= COW_REPAIR_LEAVE;
	if (is_gap(repair, "fill"))
		params.flags |= COW_REPAIR_FILL;
	params.callbacks = repair->callbacks;
	params.user = repair;
	params.approve = approve;
	params.lost = lost_add;
	return cow_repair(args, &params, ret_result, err);
}

int check_repair_publish(struct check_repair *repair, struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;

	if (!repair->guard)
		return repair->out ? outputs_publish(repair->out, err) : 0;
	cow_store_get_info(repair->undo_store, &info);
	if (repair->undo && !info.nr_exceptions)
		cow_output_withdraw(repair->undo); /* nothing was written */
	return cow_repair_undo_end(repair->undo_store, err);
}

void check_repair_close(struct check_repair *repair)
{
	cow_image_close(repair->patched);
	blkid_device_close(&repair->device);
	close_undo(repair);
	outputs_close(repair->undo);
	outputs_close(repair->out);
	cow_image_close(repair->preview);
}
