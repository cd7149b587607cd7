/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * read_view ORIGIN COW OFFSET LENGTH: bytes of what the snapshot device would
 * show, to standard output; nothing is mounted and nothing written.
 *
 * Shows: a stack of images, its view, and what the library wants a person to
 * know. Several COW images would be layers.
 */
#include <libcow.h>
#include <stdio.h>
#include <stdlib.h>

static char buf[65536];

static int view_print(struct cow_image *view, uint64_t offset, uint64_t end, struct cow_err *err)
{
	while (offset < end) {
		size_t len = end - offset < sizeof(buf) ? (size_t)(end - offset) : sizeof(buf);
		int ret = cow_image_pread(view, buf, len, offset, err);

		if (ret)
			return ret;
		fwrite(buf, 1, len, stdout);
		offset += len;
	}
	return 0;
}

/* Nobody is asked here: a store that is damaged, or may be, is refused. */
static void note_print(void *user, const char *sentence)
{
	(void)user;
	fprintf(stderr, "read_view: %s\n", sentence);
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;
	struct cow_stack *stack = NULL;
	uint64_t offset, len;
	const char *cow;
	int ret;

	if (argc != 5)
		return 16;
	cow = argv[2];
	params.origin = argv[1];
	params.cows = &cow;
	params.nr_cows = 1;
	params.note = note_print;
	/* || keeps the first error; err then holds a finished sentence. */
	ret = cow_size_parse(argv[3], &offset, &err) || cow_size_parse(argv[4], &len, &err) ||
	      cow_stack_open(&params, &stack, &err) ||
	      view_print(cow_stack_view(stack), offset, offset + len, &err);
	if (ret)
		fprintf(stderr, "read_view: %s\n", err.message);
	cow_stack_close(stack);
	return ret || fflush(stdout) ? 8 : 0;
}
