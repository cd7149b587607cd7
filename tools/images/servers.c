/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* servers.c - finds the exports of NBD servers that a command line names. */
#include "tools/images/servers.h"

#include <string.h>

#include "tools/common/cli.h"
#include "tools/remote/remote.h"

/* What follows "--option=" or "NAME=" in a word; NULL: nothing does. */
static const char *value_of(const char *word)
{
	size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_.+-");

	return word[len] == '=' ? word + len + 1 : NULL;
}

/* "SPEC", "--option=SPEC", "NAME=SPEC", "--image=NAME=SPEC". */
static int word_connect(const char *word, struct cow_err *err)
{
	int ret = 0;

	for (const char *spec = word; spec && !ret; spec = value_of(spec))
		ret = remote_connect(spec, err);
	return ret;
}

int servers_connect(int argc, char *const *argv, struct cow_err *err)
{
	int ret = 0;

	for (int i = 1; remote_connect && i < argc && !ret; i++)
		ret = word_connect(argv[i], err);
	return ret;
}

bool servers_are_named(void)
{
	return remote_has_servers && remote_has_servers();
}

static int servers_open(void *user, const char *uri, uint32_t flags, struct cow_image **ret_image,
			struct cow_err *err)
{
	int ret = remote_open(user, uri, flags, ret_image, err);

	if (!ret && flags & COW_OPEN_WRITE)
		cli_note("%s: %s", uri, REMOTE_WRITE_NOTE);
	return ret;
}

void servers_let(struct cow_imageset *set)
{
	if (remote_open)
		cow_imageset_set_opener(set, servers_open, NULL);
}
