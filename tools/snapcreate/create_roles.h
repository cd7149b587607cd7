/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_roles.h - fresh metadata of a store that consists of several images.
 */
#ifndef TOOLS_CREATE_ROLES_H
#define TOOLS_CREATE_ROLES_H

#include "tools/snapcreate/target.h"

/* Makes the metadata that an operand names, or a line of `dmsetup table` (either may be
 * NULL); path and set of params are filled in here, and what the line says. Returns the
 * exit status. */
int create_roles(const char *operand, const char *table, const char *type,
		 struct target_params params);

#endif
