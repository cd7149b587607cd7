/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_empty.c - the answer of --is-empty: may the store be removed? Asked by
 * people and scripts just before they remove it, so every doubt is a no.
 */
#include "tools/snapcheck/check_empty.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/common/cli.h"
#include "tools/common/text.h"

static const char *const why[] = {
	[COW_EMPTY_UNKNOWN] = "unknown",       [COW_EMPTY_YES] = "empty",
	[COW_EMPTY_HOLDS] = "holds-chunks",    [COW_EMPTY_DAMAGED] = "damaged",
	[COW_EMPTY_BEHIND] = "records-behind",
};

static const char *behind(const struct check *check)
{
	if (!check->verdict.nr_behind)
		return ", where another chunk size would put them";
	return check->origin ? " name data that the origin does not hold"
			     : "; with ORIGIN their data are compared";
}

static void print_answer(const struct check *check, const char *name)
{
	const struct cow_verdict *verdict = &check->verdict;

	switch (verdict->empty) {
	case COW_EMPTY_YES:
		printf("%s is empty: nothing is lost with it\n", name);
		break;
	case COW_EMPTY_HOLDS:
		printf("%s is not empty: it holds %" PRIu64 " chunks\n", name,
		       verdict->info.nr_exceptions);
		break;
	case COW_EMPTY_BEHIND:
		printf("%s may not be empty: records behind an empty list%s\n", name,
		       behind(check));
		break;
	case COW_EMPTY_DAMAGED:
		printf("%s is damaged: what it holds cannot be told\n", name);
		break;
	default:
		printf("%s: this kind of store cannot tell whether it is empty\n", name);
	}
}

int check_empty_conclude(const struct check *check, bool is_quiet)
{
	const struct cow_verdict *verdict = &check->verdict;
	bool is_empty = verdict->empty == COW_EMPTY_YES;
	char *name = text_escape(check_name(check));

	json_put_bool(json_root(), "is_empty", is_empty);
	json_put_text(json_root(), "empty_state", why[verdict->empty]);
	json_put_u64(json_root(), "records_behind", verdict->nr_behind);
	check_put_verdict(check);
	if (!json_is_on_stdout() && !(is_empty && is_quiet))
		print_answer(check, name ? name : "COW");
	free(name);
	return is_empty ? CLI_DONE : CLI_DAMAGE;
}
