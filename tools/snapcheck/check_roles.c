/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_roles.c - a store that consists of several images: opens them, and says
 * what comes next. Logs are repaired in place, all of them together; nothing else
 * of it is written to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/common/cli.h"
#include "tools/snapcheck/check.h"

/* What has no sense with it, by its name. */
static int refuse_options(const struct check *check, const struct check_roles_wish *wish,
			  struct cow_err *err)
{
	if (wish->is_wrong)
		return cli_refuse(err, -EINVAL, "usage", NULL,
				  "%s names all images of a %s: no ORIGIN, --save-undo, "
				  "--revalidate, --skip-unreadable or --bad-blocks with it",
				  check->roles.name, roles_kind(&check->roles));
	if (wish->has_output && roles_have_logs(&check->roles))
		return cli_refuse(
			err, -EINVAL, "usage", NULL,
			"-o writes one image, and a %s has several: copy them, and repair "
			"the copies in place",
			roles_kind(&check->roles));
	return 0;
}

int check_roles_open(struct check *check, const struct check_roles_wish *wish, struct cow_err *err)
{
	uint32_t busy = cli_forced("busy") ? COW_OPEN_BUSY : 0, flags = busy;
	int ret = refuse_options(check, wish, err);

	if (ret)
		return ret;
	if (wish->repairs && roles_have_logs(&check->roles))
		flags = wish->is_dry_run ? COW_OPEN_REHEARSE : COW_OPEN_WRITE;
	ret = roles_open(&check->roles, check->set, flags, err);
	/* without permission to write, check without repairing */
	check->only_looks = ret && flags == COW_OPEN_WRITE && wish->asks;
	if (check->only_looks)
		ret = roles_open(&check->roles, check->set, busy, err);
	if (!ret)
		check->cow = roles_main(&check->roles);
	return ret ? ret : roles_check_order(&check->roles, err);
}

/* Metadata on an image of their own: repaired into a new one, then looked at there. */
static void metadata_next(const struct check *check, const struct check_next *next, bool is_damaged)
{
	char *text;

	if (check->judged) {
		text = roles_text_metadata(&check->roles, check->judged);
		if (text)
			cli_next("snapcheck", text, NULL);
		free(text);
	} else if (is_damaged && !next->repairs && !next->header_only &&
		   check_is_repairable(check)) {
		text = NULL;
		if (next->table && asprintf(&text, "--table=%s", next->table) < 0)
			return;
		cli_next("snapcheck", "-y", "-o", "repaired.img", text ? text : check->roles.name,
			 text ? check->roles.name : NULL, NULL);
		free(text);
	}
}

void check_roles_next(const struct check *check, const struct check_next *next, bool is_damaged)
{
	const struct cow_verdict *verdict = &check->verdict;
	const char *geometry = verdict->geometry;
	char *text;

	if (verdict->needs_target)
		metadata_next(check, next, is_damaged);
	if (!roles_have_logs(&check->roles) || !verdict->known || is_damaged)
		return;
	text = *geometry ? roles_text(&check->roles, geometry) : NULL;
	if (text)
		cli_next("snapcheck", text, NULL);
	else if (!*geometry && verdict->info.nr_exceptions)
		cli_next("snapmerge", "--dry-run", check->roles.name, NULL);
	free(text);
}
