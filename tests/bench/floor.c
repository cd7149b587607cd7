/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * floor ORIGIN COW LIST CHUNK_BYTES NR_FLUSHES - how fast could a merge be?
 * Copies the chunks of LIST with plain pread and pwrite, one each, in its
 * order, and flushes the origin so many times on the way: no checks, nothing
 * to resume from, not crash-safe. What snapmerge is measured against.
 * LIST: pairs of byte offsets, on the origin and on the COW image, as 64-bit
 * numbers of this machine, in the order of the origin.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct pair {
	uint64_t origin_bytes, cow_bytes;
};

static const struct pair *map_list(const char *path, size_t *ret_nr)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *list;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	list = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (list == MAP_FAILED)
		err(1, "%s", path);
	close(fd);
	*ret_nr = (size_t)st.st_size / sizeof(struct pair);
	return list;
}

int main(int argc, char **argv)
{
	size_t chunk, nr, nr_flushes, flushed = 0;
	const struct pair *list;
	int origin, cow;
	char *buf;

	if (argc != 6)
		errx(2, "usage: floor ORIGIN COW LIST CHUNK_BYTES NR_FLUSHES");
	origin = open(argv[1], O_WRONLY | O_CLOEXEC);
	cow = open(argv[2], O_RDONLY | O_CLOEXEC);
	list = map_list(argv[3], &nr);
	chunk = strtoul(argv[4], NULL, 0);
	nr_flushes = strtoul(argv[5], NULL, 0);
	buf = malloc(chunk);
	if (origin < 0 || cow < 0 || !buf || !nr_flushes)
		err(1, "%s, %s", argv[1], argv[2]);
	for (size_t i = 0; i < nr; i++) {
		if (pread(cow, buf, chunk, (off_t)list[i].cow_bytes) != (ssize_t)chunk)
			err(1, "read");
		if (pwrite(origin, buf, chunk, (off_t)list[i].origin_bytes) != (ssize_t)chunk)
			err(1, "write");
		if (i + 1 < nr * (flushed + 1) / nr_flushes)
			continue;
		if (fdatasync(origin))
			err(1, "flush");
		flushed++;
	}
	free(buf);
	return 0;
}
