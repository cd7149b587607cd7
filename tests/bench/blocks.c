/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * blocks FILE: reads a file once and computes the checksum of each block of 4096
 * bytes: what a check of metadata cannot be faster than.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "libcow/pdata/pdata_crc.h"

int main(int argc, char **argv)
{
	static uint8_t piece[1 << 20];
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	uint32_t sum = 0;
	ssize_t got = 0;

	while (fd >= 0 && (got = read(fd, piece, sizeof(piece))) > 0)
		for (ssize_t at = 0; at + 4096 <= got; at += 4096)
			sum ^= cow_pdata_crc32c(UINT32_MAX, piece + at + 4, 4092);
	printf("%08x\n", (unsigned int)sum);
	return fd < 0 || got < 0;
}
