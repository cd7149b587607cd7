/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * scatter COW NR [ORIGIN_CHUNKS] - a store of NR exceptions of 4 KiB, each
 * old chunk another one of the first ORIGIN_CHUNKS (a power of two, default:
 * four times NR, rounded up), in an order as good as random; their data are
 * holes.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcow/store/persistent/snap_disk.h"

#define CHUNK 4096
#define PER_AREA (CHUNK / SNAP_RECORD_BYTES)

static void put(int fd, const void *buf, size_t len, uint64_t offset)
{
	if (pwrite(fd, buf, len, (off_t)offset) != (ssize_t)len)
		err(1, "write");
}

/* A permutation of the numbers of so many bits: each step can be undone. */
static uint64_t shuffle(uint64_t i, unsigned int bits)
{
	uint64_t mask = (UINT64_C(1) << bits) - 1;

	for (int round = 0; round < 3; round++) {
		i = (i * UINT64_C(0x9e3779b97f4a7c15) + 0x1234567) & mask;
		i ^= i >> (bits / 2 + 1);
	}
	return i;
}

int main(int argc, char **argv)
{
	const struct snap_header header = { SNAP_MAGIC, 1, SNAP_VERSION, CHUNK / 512 };
	uint64_t nr = argc > 2 ? strtoull(argv[2], NULL, 0) : 0, range, nr_areas;
	uint8_t raw[CHUNK] = { 0 };
	unsigned int bits = 1;
	int fd;

	if (argc < 3 || argc > 4)
		errx(2, "usage: scatter COW NR [ORIGIN_CHUNKS]");
	range = argc > 3 ? strtoull(argv[3], NULL, 0) : 4 * nr;
	while (UINT64_C(1) << bits < range)
		bits++;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	nr_areas = nr / PER_AREA + 1;
	if (fd < 0 || ftruncate(fd, (off_t)((1 + nr_areas * (PER_AREA + 1)) * CHUNK)))
		err(1, "%s", argv[1]);
	cow_snap_header_encode(&header, raw);
	put(fd, raw, sizeof(raw), 0);
	for (uint64_t area = 0; area < nr_areas; area++) {
		uint64_t at = 1 + area * (PER_AREA + 1), first = area * PER_AREA;

		memset(raw, 0, sizeof(raw));
		for (uint64_t i = 0; i < PER_AREA && first + i < nr; i++) {
			const struct snap_record record = { shuffle(first + i, bits), at + 1 + i };

			cow_snap_record_encode(&record, raw + i * SNAP_RECORD_BYTES);
		}
		put(fd, raw, sizeof(raw), at * CHUNK);
	}
	if (close(fd))
		err(1, "%s", argv[1]);
	return 0;
}
