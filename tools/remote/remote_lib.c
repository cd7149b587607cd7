/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_lib.c - loads libnbd. Its header is needed to build this, the library only to
 * run it.
 */
#include "tools/remote/remote_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcow/base/err.h"

#define LIBNBD_NAME "libnbd.so.0"

int remote_lib_load(const struct remote_lib **ret_lib, struct cow_err *err)
{
	static struct remote_lib lib;
	static bool is_loaded;
	const char *missing = NULL;
	void *handle = is_loaded ? NULL : dlopen(LIBNBD_NAME, RTLD_NOW | RTLD_LOCAL);

	if (!is_loaded && !handle)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "an export of an NBD server needs libnbd, which is not installed "
				  "(%s; Debian: libnbd0)",
				  LIBNBD_NAME);
	if (!is_loaded) {
#define REMOTE_LIB_GET(name)                                                                       \
	lib.name = (__typeof__(lib.name))dlsym(handle, #name);                                     \
	missing = lib.name ? missing : #name;
		REMOTE_LIB_FUNCTIONS(REMOTE_LIB_GET)
#undef REMOTE_LIB_GET
	}
	if (missing)
		return cow_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "%s lacks %s: it is too old", LIBNBD_NAME, missing);
	is_loaded = true;
	*ret_lib = &lib;
	return 0;
}
