/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * version.c - the version of the library, from the macros of libcow.h.
 */
#include "libcow.h"

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)

const char *cow_version(void)
{
	return NUMBER(COW_VERSION_MAJOR) "." NUMBER(COW_VERSION_MINOR) "." NUMBER(
		COW_VERSION_PATCH);
}
