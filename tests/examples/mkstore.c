/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* mkstore NEW < TEXT: the language of tests/aids/mkstore.h, to a sparse file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../aids/mkstore.h"

static char text[1 << 20];
static uint8_t buf[65536];

static int fail(const char *what)
{
	fprintf(stderr, "mkstore: %s\n", what);
	return 1;
}

/* Holes stay holes. */
static int image_save(struct cow_image *image, int fd, struct cow_err *err)
{
	uint64_t offset = 0, len;
	int ret;

	if (ftruncate(fd, (off_t)cow_image_size(image)))
		return fail("cannot set the size of the file");
	while (offset < cow_image_size(image)) {
		ret = cow_image_next_data(image, offset, &offset, &len, err);
		if (ret || !len)
			return ret ? fail(err->message) : 0;
		len = len < sizeof(buf) ? len : sizeof(buf);
		ret = cow_image_pread(image, buf, len, offset, err);
		if (ret)
			return fail(err->message);
		if (pwrite(fd, buf, len, (off_t)offset) != (ssize_t)len)
			return fail("cannot write");
		offset += len;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct cow_err err = COW_ERR_INIT;
	struct cow_image *image;
	int fd, ret;

	if (argc != 2)
		return fail("usage: mkstore NEW < TEXT");
	text[fread(text, 1, sizeof(text) - 1, stdin)] = '\0';
	if (mkstore(text, &image, &err))
		return fail(err.message);
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	ret = fd < 0 ? fail("cannot open the new file") : image_save(image, fd, &err);
	cow_image_close(image);
	return ret;
}
