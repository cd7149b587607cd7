/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * inuse_text.c - reads what /proc and /sys say in lines of text.
 */
#include <stdio.h>

#include "libcow/base/cleanup.h"
#include "libcow/image/file.h"

void cow_inuse_unescape(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		unsigned int c;

		if (text[0] == '\\' && sscanf(text + 1, "%3o", &c) == 1) {
			*to = (char)c;
			text += 3;
		} else {
			*to = *text;
		}
	}
	*to = '\0';
}

bool cow_inuse_any_line(const char *path, bool (*match)(char *line, void *user), void *user)
{
	FILE *file = fopen(path, "re");
	AUTO_FREE char *line = NULL;
	bool found = false;
	size_t size = 0;

	if (!file)
		return false;
	while (!found && getline(&line, &size, file) > 0)
		found = match(line, user);
	(void)fclose(file);
	return found;
}
