/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * clone_fixture.c - copies clones that a kernel made, for tests in C.
 */
#include "tests/aids/clone_fixture.h"

#include <stdarg.h>
#include <unistd.h>

#include "tests/aids/test.h"

char clone_folder[] = "/dev/shm/cow-clone-XXXXXX";
const char *clone_fixtures;

/* Runs a command of the shell. */
__attribute__((format(printf, 1, 2))) static int command_run(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

/* The rest of the line of a file that begins with key. */
bool clone_fact(const char *name, const char *file, const char *key, char ret_value[400])
{
	char path[512], line[4096];
	bool found = false;
	FILE *from;

	snprintf(path, sizeof(path), "%s/clone/%s/%s", clone_fixtures, name, file);
	from = fopen(path, "r");
	CHECK(from);
	while (!found && fgets(line, sizeof(line), from)) {
		found = !strncmp(line, key, strlen(key)) && strchr(" \t", line[strlen(key)]);
		if (found)
			snprintf(ret_value, 400, "%.*s", (int)strcspn(line + strlen(key) + 1, "\n"),
				 line + strlen(key) + 1);
	}
	fclose(from);
	return found;
}

void clone_trio_close(struct clone_trio *trio)
{
	for (int i = 0; i < 3; i++)
		cow_image_close(trio->images[i]);
	cow_imageset_free(trio->set);
}

/* What lies in the folder as it was unpacked: not unpacked again for reading. */
static char unpacked[3][128];

static bool unpack(const char *name, const char *file, int number, bool will_write)
{
	char what[128];

	snprintf(what, sizeof(what), "%s/%s", name, file);
	if (!strcmp(unpacked[number], what) && !will_write)
		return true;
	snprintf(unpacked[number], sizeof(unpacked[number]), "%s", will_write ? "" : what);
	return !command_run("cp '%s/clone/%s.img' '%s/%d' 2>/dev/null", getenv("COW_UNPACKED"),
			    what, clone_folder, number);
}

bool clone_trio_open(struct clone_trio *trio, const char *name, const char *metadata,
		     const char *source, const char *destination, uint32_t flags)
{
	const char *const files[] = { metadata, source, destination };
	const int roles[] = { COW_ROLE_METADATA, COW_ROLE_SOURCE, COW_ROLE_DESTINATION };
	char path[256];

	*trio = (struct clone_trio){ .args = COW_STORE_ARGS_INIT };
	OK(cow_imageset_new(&trio->set, err));
	for (int i = 0; i < 3; i++) {
		if (!unpack(name, files[i], i, flags & COW_OPEN_WRITE)) {
			clone_trio_close(trio);
			return false;
		}
		snprintf(path, sizeof(path), "%s/%d", clone_folder, i);
		OK(cow_imageset_open(trio->set, path, COW_OPEN_LITERAL | flags, &trio->images[i],
				     err));
		trio->roles[i].role = roles[i];
		trio->roles[i].image = trio->images[i];
	}
	trio->args.kind = "clone";
	trio->args.images = trio->roles;
	trio->args.nr_images = 3;
	return true;
}

void clone_fixture_begin(void)
{
	clone_fixtures = getenv("COW_FIXTURES");
	if (!clone_fixtures) {
		fprintf(stderr, "COW_FIXTURES is not set\n");
		exit(1);
	}
	CHECK(mkdtemp(clone_folder));
}

void clone_fixture_end(void)
{
	command_run("rm -r '%s'", clone_folder);
}
