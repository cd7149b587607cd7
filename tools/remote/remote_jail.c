/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_jail.c - the sandbox of a courier: its sockets, and memory. */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "tools/common/sandbox_filter.h"
#include "tools/common/sandbox_landlock.h"
#include "tools/remote/remote_courier.h"

void remote_jail_enter(const int *fds, size_t nr_fds)
{
#ifdef COW_NO_SANDBOX
	/* sanitizers look at files when a process ends */
	(void)fds, (void)nr_fds;
#else
	const char *word = secure_getenv("COW_SANDBOX");

	if ((word && !strcmp(word, "off")) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return;
	/* a kernel without one of them leaves the other */
	(void)sandbox_landlock_enter();
	(void)sandbox_filter_courier(fds, nr_fds);
#endif
}
