/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * direct.c - one small read past the page cache. The cache reads a disk in
 * pages: one bad sector takes seven good ones with it. This does not. The
 * descriptor is not opened again for it, because nothing can be opened in the
 * sandbox, and nobody else uses it meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcow/base/cleanup.h"
#include "libcow/base/units.h"
#include "libcow/image/file.h"

/* Memory must be aligned, too; a page always is enough. */
#define ALIGN_BYTES 4096

static int read_all(int fd, uint8_t *buf, size_t len_bytes, uint64_t offset_bytes)
{
	while (len_bytes) {
		ssize_t got = pread(fd, buf, len_bytes, (off_t)offset_bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? errno : EIO;
		buf += got;
		offset_bytes += (uint64_t)got;
		len_bytes -= (size_t)got;
	}
	return 0;
}

int cow_file_pread_direct(int fd, void *buf, size_t len_bytes, uint64_t offset_bytes,
			  uint32_t block_bytes)
{
	AUTO_FREE void *aligned = NULL;
	int flags, ret;

	if (offset_bytes % block_bytes || len_bytes % block_bytes)
		return EINVAL;
	if (posix_memalign(&aligned, ALIGN_BYTES, len_bytes))
		return ENOMEM;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT))
		return errno;
	ret = read_all(fd, (uint8_t *)aligned, len_bytes, offset_bytes);
	if (fcntl(fd, F_SETFL, flags) && !ret)
		ret = errno;
	if (!ret)
		memcpy(buf, aligned, len_bytes);
	return ret;
}
