/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_roles.h - fresh metadata of a store that consists of several images.
 */
#ifndef TOOLS_CREATE_ROLES_H
#define TOOLS_CREATE_ROLES_H

#include "tools/snapcreate/target.h"

/* Makes the metadata that an operand names; path and set of params are filled in
 * here. Returns the exit status. */
int create_roles(const char *operand, const char *type, struct target_params params);

#endif
