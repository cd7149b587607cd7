/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snap_repair.c - mends what the check found. In rounds: check, ask,
 * plan, write; until a check finds nothing more that may be mended, because a
 * hole that is closed can show what was behind it. Nothing is written before
 * the plan of a round is complete (I7). The list comes first, the header, as
 * one sector (I9), last: with it the store is what it says.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/array.h"
#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/store/persistent/check/snap_check.h"
#include "libcow/store/persistent/repair/snap_repair.h"

/* A round mends so many findings of each kind; the next goes on. */
#define ROUND_FINDINGS_MAX 65536
#define ROUNDS_MAX 1000

struct repair {
	const struct cow_store_args *args;
	const struct cow_repair_params *params;
	struct cow_repair_result *result;
	struct cow_image *cow, *origin;
	bool is_declined[SNAP_NR_PROBLEMS];
	uint8_t found[SNAP_HEADER_BYTES];  /* the header, when this round began */
	uint8_t header[SNAP_HEADER_BYTES]; /* as it will be */
	bool is_header_changed;
	bool doubts_origin;
	bool was_wiped;	    /* the header was lost, and perhaps more */
	bool may_have_lost; /* as the verdict has it */
	bool is_doubtful;
	struct snap_losses losses;
	struct cow_err *err;
};

/* -------------------------------------------------------------- findings */

struct collector {
	struct snap_mends mends;
	bool has_failed;
};

static void collect(void *user, const struct cow_finding *finding)
{
	struct collector *collector = user;
	struct snap_mends *mends = &collector->mends;
	struct snap_mend *rows =
		cow_array_grow(mends->rows, mends->nr, &mends->capacity, sizeof(*rows));

	if (!rows) {
		collector->has_failed = true;
		return;
	}
	mends->rows = rows;
	mends->rows[mends->nr++] = (struct snap_mend){
		.problem = cow_snap_problem_of(finding->problem),
		.offset_bytes = finding->offset_bytes,
		.len_bytes = finding->len_bytes,
		.chunk = finding->chunk,
		.sentence = strdup(finding->sentence),
	};
}

static void mends_free(struct snap_mends *mends)
{
	for (size_t i = 0; i < mends->nr; i++)
		free(mends->rows[i].sentence);
	free(mends->rows);
	memset(mends, 0, sizeof(*mends));
}

/* The args with another image in the place of the COW image. */
static struct cow_store_args args_over(const struct repair *repair, struct cow_image *cow,
				       struct cow_role_image roles[2])
{
	struct cow_store_args args = *repair->args;

	roles[0] = (struct cow_role_image){ .role = COW_ROLE_COW, .image = cow };
	roles[1] = (struct cow_role_image){ .role = COW_ROLE_ORIGIN, .image = repair->origin };
	args.images = roles;
	args.nr_images = repair->origin ? 2 : 1;
	if (cow != repair->cow)
		args.chunk_bytes = 0; /* the new header has it */
	return args;
}

static int look(const struct repair *repair, struct cow_image *cow, struct snap_mends *ret_mends,
		struct cow_verdict *verdict)
{
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	AUTO_HANDLE(report) struct cow_report *report = NULL;
	struct collector collector = { 0 };
	struct cow_role_image roles[2];
	struct cow_store_args args = args_over(repair, cow, roles);
	int ret;

	params.callbacks = repair->params->callbacks;
	callbacks.user = &collector;
	callbacks.finding = collect;
	ret = cow_report_new(&callbacks, ROUND_FINDINGS_MAX, &report, repair->err);
	if (!ret)
		ret = cow_snap_check(&args, &params, report, verdict, repair->err);
	if (!ret && collector.has_failed)
		ret = cow_fail(repair->err, -ENOMEM, "no memory for the findings");
	*ret_mends = collector.mends;
	return ret;
}

/* ------------------------------------------------------------- what to do */

/* The bytes are there, or may be, but not on this image or this origin. */
static bool is_lost(const struct repair *repair, const struct snap_problem_row *row)
{
	return row->loses == SNAP_LOSES_ALWAYS ||
	       (row->loses == SNAP_LOSES_OF_KNOWN_ORIGIN && repair->origin);
}

static bool is_allowed(const struct repair *repair, enum snap_problem problem)
{
	const struct snap_problem_row *row = cow_snap_problem_row(problem);
	uint32_t flags = repair->params->flags;

	/* what looks like an older store may be what is left of this one; and a
	 * record that stands twice may stand in the place of another */
	if (repair->is_doubtful && (flags & COW_REPAIR_SAFE || (problem == SNAP_DUPLICATE_RECORD &&
								!(flags & COW_REPAIR_LOST))))
		return false;
	if (problem == SNAP_RECORDS_BEHIND_EMPTY && !repair->was_wiped)
		return false;
	/* with a header it would pass for an empty store */
	if (problem == SNAP_HEADER_MAGIC_ZERO && repair->may_have_lost &&
	    !(flags & COW_REPAIR_LOST))
		return false;
	if (row->action == SNAP_DO_SALVAGE && flags & COW_REPAIR_LEAVE)
		return false;
	if (problem == SNAP_LIST_DOUBTFUL && !(flags & COW_REPAIR_APPEND))
		return false;
	if (problem == SNAP_INVALID)
		return flags & COW_REPAIR_REVALIDATE;
	/* who names the chunk size decides */
	if (repair->args->chunk_bytes && problem == SNAP_CHUNK_SIZE_CONTRADICTED)
		return false;
	if (!(row->problem.flags & COW_PROBLEM_FIXABLE) ||
	    ((flags & COW_REPAIR_SAFE) && !(row->problem.flags & COW_PROBLEM_SAFE)))
		return false;
	/* the origin may be what is wrong */
	if (problem == SNAP_OLD_CHUNK_BEYOND_ORIGIN && repair->doubts_origin &&
	    !(flags & COW_REPAIR_ORIGIN))
		return false;
	return !is_lost(repair, row) || (flags & COW_REPAIR_LOST);
}

static bool ask(struct repair *repair, const struct snap_mend *mend, bool was_declined)
{
	const struct cow_problem *problem = &cow_snap_problem_row(mend->problem)->problem;
	struct cow_finding finding = {
		.size = sizeof(finding),
		.problem = problem,
		.image = cow_image_name(repair->cow),
		.offset_bytes = mend->offset_bytes,
		.len_bytes = mend->len_bytes,
		.chunk = mend->chunk,
		.sentence = mend->sentence ? mend->sentence : problem->summary,
	};

	if (!is_allowed(repair, mend->problem) || was_declined)
		return false;
	if (!repair->params->approve || repair->params->approve(repair->params->user, &finding))
		return true;
	repair->is_declined[mend->problem] = true;
	return false;
}

/* A kind of finding that was declined in an earlier round is not asked again:
 * places move. */
static void ask_all(struct repair *repair, struct snap_mends *mends, bool about_header)
{
	bool was_declined[SNAP_NR_PROBLEMS];

	memcpy(was_declined, repair->is_declined, sizeof(was_declined));
	for (size_t i = 0; i < mends->nr; i++) {
		enum snap_problem problem = mends->rows[i].problem;

		if (cow_snap_problem_row(problem)->is_in_header == about_header)
			mends->rows[i].is_wanted =
				ask(repair, &mends->rows[i], was_declined[problem]);
	}
}

/* ----------------------------------------------------------------- header */

static int chunk_bytes_mend(struct repair *repair, const struct cow_verdict *verdict,
			    bool wants_best, struct snap_header *header)
{
	uint64_t chunk_bytes = verdict->info.chunk_bytes, nr;
	int ret = 0;

	if (wants_best)
		ret = cow_snap_evidence_best(repair->cow, repair->origin, chunk_bytes, &chunk_bytes,
					     &nr, repair->err);
	if (!ret && chunk_bytes)
		header->chunk_sectors = (uint32_t)bytes_to_sectors(chunk_bytes);
	return ret;
}

static int magic_mend(struct repair *repair, const struct cow_verdict *verdict,
		      struct snap_header *header)
{
	struct cow_label label;

	/* an invalid store stays one, if that can be told */
	if (!cow_snap_header_rest_ok(header))
		header->valid = 1;
	header->magic = SNAP_MAGIC;
	header->version = SNAP_VERSION;
	if (!cow_label_decode(repair->header + SNAP_LABEL_OFFSET, &label))
		memset(repair->header + SNAP_LABEL_OFFSET, 0, LABEL_BYTES);
	return chunk_bytes_mend(repair, verdict, false, header);
}

static int header_mend_one(struct repair *repair, const struct cow_verdict *verdict,
			   enum snap_problem problem, struct snap_header *header)
{
	switch (cow_snap_problem_row(problem)->action) {
	case SNAP_DO_VALID:
		header->valid = 1;
		return 0;
	case SNAP_DO_VERSION:
		header->version = SNAP_VERSION;
		return 0;
	case SNAP_DO_MAGIC:
		return magic_mend(repair, verdict, header);
	case SNAP_DO_CHUNK_SIZE:
		return chunk_bytes_mend(repair, verdict, false, header);
	case SNAP_DO_CHUNK_SIZE_BEST:
		return chunk_bytes_mend(repair, verdict, true, header);
	default:
		return 0; /* of the list */
	}
}

static int header_plan(struct repair *repair, struct snap_mends *mends,
		       const struct cow_verdict *verdict)
{
	uint8_t before[SNAP_HEADER_BYTES];
	struct snap_header header;
	int ret;

	ret = cow_snap_header_read(repair->cow, repair->header, repair->err);
	if (ret)
		return ret;
	memcpy(before, repair->header, sizeof(before));
	cow_snap_header_decode(repair->header, &header);
	if (verdict->known)
		ask_all(repair, mends, true);
	for (size_t i = 0; i < mends->nr && !ret; i++)
		if (mends->rows[i].is_wanted)
			ret = header_mend_one(repair, verdict, mends->rows[i].problem, &header);
	cow_snap_header_encode(&header, repair->header);
	repair->is_header_changed = memcmp(before, repair->header, sizeof(before));
	return ret;
}

/* ------------------------------------------------------------------ rounds */

static uint64_t count_wanted(const struct snap_mends *mends)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < mends->nr; i++)
		nr += mends->rows[i].is_wanted;
	return nr;
}

static bool is_wanted(const struct snap_mends *mends, enum snap_problem problem)
{
	for (size_t i = 0; i < mends->nr; i++)
		if (mends->rows[i].problem == problem && mends->rows[i].is_wanted)
			return true;
	return false;
}

static uint64_t count_left(const struct snap_mends *mends)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < mends->nr; i++)
		nr += cow_snap_problem_row(mends->rows[i].problem)->problem.klass >=
		      COW_CLASS_DAMAGE;
	return nr;
}

/* Will the list begin with another record? */
static bool changes_first(const struct snap_plan *plan)
{
	for (size_t i = 0; i < plan->sets.nr; i++)
		if (!plan->sets.rows[i].index)
			return true;
	return cow_snap_edits_find(&plan->drops, 0);
}

/* In the header that is there, and in the one that will be. The mark of a first record
 * that stays is kept: it may tell that the label is of an older list. */
static int mark_forget(struct repair *repair, const struct snap_plan *plan)
{
	int ret;

	if (!changes_first(plan))
		return 0;
	ret = cow_snap_mark_forget(repair->cow, repair->found, repair->err);
	if (!ret && !is_all_zero(repair->header + SNAP_LABEL_OFFSET, LABEL_BYTES))
		memcpy(repair->header + SNAP_LABEL_OFFSET, repair->found + SNAP_LABEL_OFFSET,
		       LABEL_BYTES);
	return ret;
}

/* over: the COW image with the header that it will have. */
static int list_mend(struct repair *repair, struct cow_image *over, struct snap_mends *mends,
		     const struct cow_verdict *verdict, bool *ret_changed)
{
	struct snap_plan plan = { .cow = repair->cow,
				  .callbacks = repair->params->callbacks,
				  .fills_gap = repair->params->flags & COW_REPAIR_FILL };
	AUTO_HANDLE(store) struct cow_store *kernel = NULL;
	struct cow_role_image roles[2];
	struct cow_store_args args = args_over(repair, over, roles);
	int ret;

	repair->doubts_origin = verdict->doubts_origin;
	ask_all(repair, mends, false);
	if (!verdict->known)
		return 0;
	ret = cow_snap_kernel_open(&args, &kernel, repair->err);
	if (ret)
		return ret;
	plan.kernel = kernel;
	plan.nr_records = verdict->info.nr_exceptions;
	cow_snap_layout_init(&plan.layout, verdict->info.chunk_bytes, cow_image_size(repair->cow));
	cow_snap_bounds_init(&plan.bounds, &plan.layout, repair->origin);
	ret = cow_snap_plan_make(&plan, mends, repair->err);
	if (!ret && !cow_snap_plan_is_empty(&plan)) {
		/* a question may have taken its time */
		ret = cow_snap_header_unchanged(repair->cow, repair->found, repair->err);
		if (!ret)
			ret = cow_snap_losses_note(&repair->losses, &plan, repair->err);
		if (!ret)
			ret = mark_forget(repair, &plan);
		if (!ret)
			ret = cow_snap_plan_apply(&plan, repair->err);
		*ret_changed = true;
	}
	if (!ret) {
		repair->result->nr_dropped += plan.drops.nr;
		repair->result->nr_copied += plan.copies.nr;
		repair->result->nr_lossy += plan.nr_lossy;
		repair->result->nr_appended += plan.nr_appended;
		repair->result->nr_guessed += plan.nr_guessed;
	}
	cow_snap_plan_free(&plan);
	return ret;
}

static int header_write(const struct repair *repair, struct cow_image *to)
{
	int ret = cow_image_pwrite(to, repair->header, sizeof(repair->header), 0, repair->err);

	return ret ? ret : cow_image_flush(to, repair->err);
}

static int round_over(struct repair *repair, struct snap_mends *mends, struct cow_verdict *verdict,
		      bool *ret_changed)
{
	AUTO_HANDLE(image) struct cow_image *over = NULL;
	bool is_resized = false;
	uint64_t nr_header = 0;
	int ret;

	ret = header_plan(repair, mends, verdict);
	if (ret)
		return ret;
	if (repair->is_header_changed) {
		nr_header = count_wanted(mends);
		is_resized = is_wanted(mends, SNAP_CHUNK_SIZE_DOUBTFUL);
		mends_free(mends);
		ret = cow_image_overlay_new(repair->cow, &over, repair->err);
		if (!ret)
			ret = header_write(repair, over);
		if (!ret)
			ret = look(repair, over, mends, verdict);
	}
	for (size_t i = 0; i < mends->nr; i++)
		mends->rows[i].is_wanted = false;
	if (!ret)
		ret = list_mend(repair, over ? over : repair->cow, mends, verdict, ret_changed);
	if (!ret && *ret_changed)
		repair->result->nr_mended += count_wanted(mends);
	if (ret || !repair->is_header_changed)
		return ret;
	*ret_changed = true;
	repair->result->nr_mended += nr_header;
	if (is_resized)
		repair->result->nr_resized = verdict->info.nr_exceptions;
	ret = cow_snap_header_unchanged(repair->cow, repair->found, repair->err);
	return ret ? ret : header_write(repair, repair->cow);
}

/* The header was written with a chunk size that somebody named, and the rest of a list
 * stands where another one would put it: that much is lost now. */
static void size_loss_note(struct repair *repair, bool is_contradicted)
{
	if (is_contradicted && repair->args->chunk_bytes && repair->is_header_changed)
		repair->losses.nr_unknown++;
}

static bool has_problem(const struct snap_mends *mends, enum snap_problem problem)
{
	for (size_t i = 0; i < mends->nr; i++)
		if (mends->rows[i].problem == problem)
			return true;
	return false;
}

static int repair_round(struct repair *repair, bool *ret_changed)
{
	struct cow_verdict verdict = COW_VERDICT_INIT;
	struct snap_mends mends = { 0 };
	bool is_contradicted;
	int ret;

	*ret_changed = false;
	ret = cow_snap_header_read(repair->cow, repair->found, repair->err);
	if (!ret)
		ret = look(repair, repair->cow, &mends, &verdict);
	if (!ret) {
		repair->result->nr_left = count_left(&mends);
		repair->was_wiped = repair->was_wiped || verdict.wiped;
		repair->is_doubtful = verdict.is_doubtful;
		repair->may_have_lost = verdict.may_have_lost;
		is_contradicted = has_problem(&mends, SNAP_CHUNK_SIZE_CONTRADICTED);
		ret = round_over(repair, &mends, &verdict, ret_changed);
		if (!ret)
			size_loss_note(repair, is_contradicted);
	}
	mends_free(&mends);
	return ret;
}

/* What cannot be loaded after it shows nothing at all. */
static int losses_tell(struct repair *repair)
{
	AUTO_HANDLE(store) struct cow_store *now = NULL;
	struct cow_role_image roles[2];
	struct cow_store_args args = args_over(repair, repair->cow, roles);
	struct cow_err why = COW_ERR_INIT;
	int ret;

	if (!repair->result->nr_dropped && !repair->losses.nr_unknown)
		return 0;
	args.chunk_bytes = 0;
	ret = cow_snap_kernel_open(&args, &now, &why);
	if (ret && repair->err)
		*repair->err = why;
	if (ret || !now)
		return ret;
	return cow_snap_losses_report(&repair->losses, now->map, repair->origin, repair->params,
				      repair->result, repair->err);
}

int cow_snap_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
		    struct cow_repair_result *result, struct cow_err *err)
{
	struct repair repair = {
		.args = args,
		.params = params,
		.result = result,
		.cow = cow_store_args_image(args, COW_ROLE_COW, 0),
		.origin = cow_store_args_image(args, COW_ROLE_ORIGIN, 0),
		.err = err,
	};
	bool is_changed = true;
	int ret = 0;

	if (!repair.cow)
		return cow_fail(err, -EINVAL, "a persistent store needs a COW image");
	ret = cow_snap_losses_init(&repair.losses, err);
	for (int i = 0; i < ROUNDS_MAX && !ret && is_changed; i++)
		ret = repair_round(&repair, &is_changed);
	if (!ret)
		ret = losses_tell(&repair);
	cow_snap_losses_close(&repair.losses);
	return ret;
}
