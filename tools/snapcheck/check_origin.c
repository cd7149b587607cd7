/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_origin.c - says of an origin what snapmerge would say of it.
 */
#include "tools/snapcheck/check_origin.h"

#include <errno.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/images/fit.h"
#include "tools/images/uuid_check.h"

/* Half of a merge is in the origin. */
static bool is_mixture(const struct cow_store_args *args)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_verdict verdict = COW_VERDICT_INIT;

	params.flags = COW_CHECK_HEADER_ONLY;
	return !cow_check(args, &params, NULL, &verdict, NULL) && verdict.merge_begun;
}

static void print_fit(const struct check *check, const struct fit *fit)
{
	struct json_object *at = json_put_object(json_root(), "origin_fit");

	json_put_text(at, "content", fit->fs_name);
	json_put_u64(at, "places_right", fit->nr_right);
	json_put_u64(at, "places_wrong", fit->nr_wrong);
	if (!fit->fs_name || fit->is_refused)
		return;
	if (fit->nr_right)
		fprintf(check->text,
			"origin: fits %s in the snapshot; %u of %u copies of its superblock that "
			"the origin adds are right\n",
			fit->fs_name, fit->nr_right, fit->nr_right + fit->nr_wrong);
	else
		fprintf(check->text,
			"origin: fits %s in the snapshot by its size; whether it is the right one "
			"cannot be checked\n",
			fit->fs_name);
}

static void doubt(struct check *check, const char *sentence, const char *force)
{
	check->is_foreign = true;
	cli_warn("%s; %s is checked without it (--force=%s if it is the right one)", sentence,
		 cow_image_name(check->cow), force);
}

static int store_look(struct check *check, struct cow_store *store, struct cow_err *err)
{
	struct fit fit;
	int ret;

	fit_look(check->origin, store, &fit);
	if (fit.is_refused && !cli_forced("origin"))
		doubt(check, fit.sentence, "origin");
	else if (*fit.sentence)
		cli_note("%s", fit.sentence);
	check->is_short = fit.is_short;
	print_fit(check, &fit);
	if (check->is_foreign)
		return 0;
	ret = uuid_check(check->origin, check->cow, store, true, err);
	if (ret != -EPERM || strcmp(err->id, "uuid"))
		return ret;
	doubt(check, err->message, "uuid");
	*err = (struct cow_err)COW_ERR_INIT;
	return 0;
}

int check_origin_look(struct check *check, const struct cow_store_args *args, struct cow_err *err)
{
	struct cow_store_args open_args = *args;
	struct cow_store *store = NULL;
	int ret = 0;

	open_args.flags = COW_STORE_DAMAGED | COW_STORE_INVALID;
	if (!cow_store_open(&open_args, &store, NULL)) {
		if (!check->options->is_empty)
			check_fs_look(check, check->origin, store);
		if (!is_mixture(args))
			ret = store_look(check, store, err);
	}
	cow_store_close(store);
	return ret;
}

void check_origin_warn(const struct check *check)
{
	/* else it was said before the look */
	if (check->verdict.doubts_origin && !check->container && !check->is_foreign)
		cli_warn("%s is too short for this snapshot, or is not its origin; no exception is "
			 "dropped because of that",
			 cow_image_name(check->origin));
}
