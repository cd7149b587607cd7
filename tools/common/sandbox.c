/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sandbox.c - enters the sandbox: no new files, no new programs, few system calls.
 */
#include "tools/common/sandbox.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "tools/common/cli.h"
#include "tools/common/sandbox_filter.h"
#include "tools/common/sandbox_landlock.h"

static struct sandbox {
	bool is_off, has_begun, has_entered;
} sandbox;

static bool is_wanted(void)
{
	const char *word = secure_getenv("COW_SANDBOX");

#ifdef COW_NO_SANDBOX
	/* Sanitizers and gcov open files when the program ends. */
	cli_detail("sandbox: left out of this build");
	return false;
#endif
	if (!word || strcmp(word, "off"))
		return true;
	cli_detail("sandbox: off, as COW_SANDBOX says");
	return false;
}

static void say_without(const char *what, int code)
{
	cli_detail("sandbox: continuing without %s: %s", what, strerror(-code));
}

void sandbox_begin(void)
{
	int ret;

	if (sandbox.has_begun)
		return;
	sandbox.has_begun = true;
	sandbox.is_off = !is_wanted();
	if (sandbox.is_off)
		return;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		say_without("everything", -errno);
		sandbox.is_off = true;
		return;
	}
	ret = sandbox_filter_begin();
	if (ret)
		say_without("seccomp", ret);
}

void sandbox_enter(void)
{
	int ret;

	if (sandbox.is_off || sandbox.has_entered)
		return;
	sandbox.has_entered = true;
	ret = sandbox_landlock_enter();
	if (ret)
		say_without("Landlock", ret);
	ret = sandbox_filter_enter();
	if (ret)
		say_without("seccomp", ret);
}
