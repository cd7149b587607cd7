/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_roles.c - a store that consists of several images: all of them are opened
 * for reading, as nothing of it is repaired in place.
 */
#include <errno.h>

#include "tools/common/cli.h"
#include "tools/snapcheck/check.h"

int check_roles_open(struct check *check, bool is_wrong, struct cow_err *err)
{
	uint32_t busy = cli_forced("busy") ? COW_OPEN_BUSY : 0;
	int ret;

	if (is_wrong)
		return cli_refuse(err, -EINVAL, "usage", NULL,
				  "%s names all images of a %s: no ORIGIN, --save-undo, "
				  "--revalidate, --skip-unreadable or --bad-blocks with it",
				  check->roles.name, roles_kind(&check->roles));
	ret = roles_open(&check->roles, check->set, busy, err);
	if (!ret)
		check->cow = roles_image(&check->roles, COW_ROLE_METADATA);
	return ret ? ret : roles_check_order(&check->roles, err);
}
