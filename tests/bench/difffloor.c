/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * difffloor BASE IMAGE OUT - the least that a program can do to store the
 * difference of two images: read the data extents of both, compare chunks of
 * 4 KiB, write those that differ one after the other, make them durable. No
 * format, no checks; what snapcreate --from is measured against.
 */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1 << 20)
#define CHUNK 4096

struct input {
	int fd;
	off_t data, end; /* the extent that ends behind the place we are at */
	char *buf;
};

static char zeros[CHUNK];

static void open_input(struct input *input, const char *path)
{
	input->fd = open(path, O_RDONLY | O_CLOEXEC);
	input->buf = aligned_alloc(CHUNK, PIECE);
	if (input->fd < 0 || !input->buf)
		err(1, "%s", path);
}

static void advance(struct input *input, off_t at, off_t size)
{
	if (input->end > at)
		return;
	input->data = lseek(input->fd, at, SEEK_DATA);
	if (input->data < 0) {
		input->data = size;
		input->end = size + 1;
		return;
	}
	input->end = lseek(input->fd, input->data, SEEK_HOLE);
}

/* Where the data that begins before end stops, in whole chunks. */
static off_t data_end(const struct input *a, const struct input *b, off_t at, off_t end)
{
	off_t stop = at;

	if (a->data < end && a->end > stop)
		stop = a->end;
	if (b->data < end && b->end > stop)
		stop = b->end;
	stop = (stop + CHUNK - 1) / CHUNK * CHUNK;
	return stop < end ? stop : end;
}

static void fill(struct input *input, off_t at, size_t len)
{
	if (input->data >= at + (off_t)len)
		memset(input->buf, 0, len);
	else if (pread(input->fd, input->buf, len, at) != (ssize_t)len)
		err(1, "read");
}

static void put(int out, const char *buf, size_t len, off_t *to)
{
	if (len && pwrite(out, buf, len, *to) != (ssize_t)len)
		err(1, "write");
	*to += (off_t)len;
}

static void compare(int out, const char *a, const char *b, size_t len, off_t *to)
{
	size_t start = 0, at;

	for (at = 0; at < len; at += CHUNK) {
		size_t step = len - at < CHUNK ? len - at : CHUNK;
		bool is_zero = false, is_same = !memcmp(a + at, b + at, step);

		if (!is_same)
			is_zero = !memcmp(b + at, zeros, step);
		if (!is_same && !is_zero)
			continue;
		put(out, b + start, at - start, to);
		start = at + step;
		if (is_zero)
			*to += CHUNK;
	}
	if (start < len)
		put(out, b + start, len - start, to);
}

int main(int argc, char **argv)
{
	struct input base = { .fd = -1 }, image = { .fd = -1 };
	off_t at = 0, to = 0;
	struct stat st;
	int out;

	if (argc != 4)
		errx(2, "usage: difffloor BASE IMAGE OUT");
	open_input(&base, argv[1]);
	open_input(&image, argv[2]);
	out = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (out < 0 || fstat(image.fd, &st))
		err(1, "%s", argv[3]);
	while (at < st.st_size) {
		size_t len = PIECE;
		off_t next;

		advance(&base, at, st.st_size);
		advance(&image, at, st.st_size);
		next = base.data < image.data ? base.data : image.data;
		if (next > at)
			at = next / CHUNK * CHUNK;
		if (at >= st.st_size)
			break;
		if (st.st_size - at < PIECE)
			len = (size_t)(st.st_size - at);
		len = (size_t)(data_end(&base, &image, at, at + (off_t)len) - at);
		fill(&base, at, len);
		fill(&image, at, len);
		compare(out, base.buf, image.buf, len, &to);
		at += (off_t)len;
	}
	if (ftruncate(out, to) || fdatasync(out) || close(out))
		err(1, "%s", argv[3]);
	return 0;
}
