/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * fs_ext_io.c - an io_manager of libext2fs over struct cow_image: reading only,
 * any block size, with a cache of pieces for metadata (inode tables,
 * directories, extent blocks); data of files never comes this way. A piece may hold
 * blocks of files besides what was asked for; not so in an exact one, where it is one
 * block.
 *
 * A block outside the image is damage of who points there; a failure of the
 * image itself is kept, so that it is not mistaken for damage.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/analyzer.h"
#include "tools/common/cli.h"
#include "tools/ext4/fs_ext_priv.h"

#define PIECE_BYTES_MAX (UINT64_C(16) << 10)
#define SUPER_BYTES UINT64_C(1024)
#define NR_SETS 128
#define NR_WAYS 4 /* 8 MiB in all */

struct piece {
	uint64_t number; /* offset / piece_bytes, + 1; 0: empty */
	uint64_t used;	 /* clock of the last use */
	uint8_t *bytes;
};

struct fs_io {
	struct cow_image *image;
	struct cow_err failure;
	bool is_exact;
	size_t piece_bytes;
	uint64_t clock;
	struct piece pieces[NR_SETS][NR_WAYS];
};

static struct piece *piece_choose(struct piece *set, uint64_t number)
{
	struct piece *oldest = set;
	size_t i;

	for (i = 0; i < NR_WAYS; i++) {
		if (set[i].number == number)
			return &set[i];
		if (set[i].used < oldest->used)
			oldest = &set[i];
	}
	return oldest;
}

/* What is kept is freed by fs_io_free(). */
ANALYZER_KEPT_BEGIN
/* The piece with this number, read if need be; NULL: failure is set. */
static struct piece *piece_get(struct fs_io *io, uint64_t index)
{
	uint64_t offset = index * io->piece_bytes, size = cow_image_size(io->image);
	size_t len = size - offset < io->piece_bytes ? (size_t)(size - offset) : io->piece_bytes;
	struct piece *piece = piece_choose(io->pieces[index % NR_SETS], index + 1);

	piece->used = ++io->clock;
	if (piece->number == index + 1)
		return piece;
	piece->number = 0;
	if (!piece->bytes)
		piece->bytes = malloc(PIECE_BYTES_MAX);
	if (!piece->bytes) {
		(void)!cli_refuse(&io->failure, -ENOMEM, "no-memory", NULL,
				  "no memory for a cache");
		return NULL;
	}
	if (cow_image_pread(io->image, piece->bytes, len, offset, &io->failure))
		return NULL;
	piece->number = index + 1;
	return piece;
}
ANALYZER_KEPT_END

static errcode_t cached_read(struct fs_io *io, uint8_t *to, uint64_t offset, size_t len)
{
	struct piece *piece;
	size_t at, part;

	while (len) {
		piece = piece_get(io, offset / io->piece_bytes);
		if (!piece)
			return EIO;
		at = offset % io->piece_bytes;
		part = len < io->piece_bytes - at ? len : io->piece_bytes - at;
		memcpy(to, piece->bytes + at, part);
		to += part;
		offset += part;
		len -= part;
	}
	return 0;
}

static errcode_t io_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	struct fs_io *io = channel->private_data;
	uint64_t size = cow_image_size(io->image), block_size = (uint64_t)channel->block_size;
	uint64_t len = count < 0 ? -(uint64_t)count : (uint64_t)count * block_size;

	if (block > size / block_size || len > size - block * block_size)
		return EXT2_ET_SHORT_READ;
	if (len <= PIECE_BYTES_MAX * 4)
		return cached_read(io, data, block * block_size, len);
	return cow_image_pread(io->image, data, len, block * block_size, &io->failure) ? EIO : 0;
}

static errcode_t io_read(io_channel channel, unsigned long block, int count, void *data)
{
	return io_read64(channel, block, count, data);
}

static errcode_t io_write64(io_channel channel, unsigned long long block, int count,
			    const void *data)
{
	(void)channel, (void)block, (void)count, (void)data;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t io_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return io_write64(channel, block, count, data);
}

static errcode_t io_flush(io_channel channel)
{
	(void)channel;
	return 0;
}

static errcode_t io_set_blksize(io_channel channel, int block_size)
{
	struct fs_io *io = channel->private_data;
	size_t piece = block_size < (int)PIECE_BYTES_MAX ? (size_t)block_size : PIECE_BYTES_MAX;

	channel->block_size = block_size;
	if (!io->is_exact || piece == io->piece_bytes)
		return 0;
	io->piece_bytes = piece;
	for (size_t i = 0; i < NR_SETS; i++)
		for (size_t k = 0; k < NR_WAYS; k++)
			io->pieces[i][k].number = 0;
	return 0;
}

static errcode_t io_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	ext2fs_free_mem(&channel->name);
	ext2fs_free_mem(&channel);
	return 0;
}

static errcode_t io_open(const char *name, int flags, io_channel *ret_channel);

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "libcow image",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read,
	.write_blk = io_write,
	.flush = io_flush,
	.read_blk64 = io_read64,
	.write_blk64 = io_write64,
};
struct struct_io_manager *const fs_io_manager = &manager;

/* libext2fs hands nothing but a name through to here: it is the address. */
void fs_io_name(const struct fs_io *io, char name[FS_IO_NAME_BYTES])
{
	snprintf(name, FS_IO_NAME_BYTES, "cow:%" PRIxPTR, (uintptr_t)io);
}

static errcode_t io_open(const char *name, int flags, io_channel *ret_channel)
{
	size_t name_bytes = strlen(name) + 1;
	io_channel channel = NULL;
	uintptr_t address;
	errcode_t code;

	if (sscanf(name, "cow:%" SCNxPTR, &address) != 1)
		return EXT2_ET_BAD_DEVICE_NAME;
	if (flags & IO_FLAG_RW)
		return EXT2_ET_RO_FILSYS;
	code = ext2fs_get_memzero(sizeof(*channel), &channel);
	if (!code)
		code = ext2fs_get_mem(name_bytes, &channel->name);
	if (code) {
		ext2fs_free_mem(&channel);
		return code;
	}
	memcpy(channel->name, name, name_bytes);
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = &manager;
	channel->block_size = 1024;
	channel->refcount = 1;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): printed by fs_io_name() */
	channel->private_data = (void *)address;
	*ret_channel = channel;
	return 0;
}

int fs_io_new(struct cow_image *image, bool is_exact, struct fs_io **ret_io, struct cow_err *err)
{
	struct fs_io *io = calloc(1, sizeof(*io));

	if (!io)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a cache");
	io->image = image;
	io->is_exact = is_exact;
	io->piece_bytes = is_exact ? SUPER_BYTES : PIECE_BYTES_MAX;
	*ret_io = io;
	return 0;
}

void fs_io_free(struct fs_io *io)
{
	size_t i, k;

	if (!io)
		return;
	for (i = 0; i < NR_SETS; i++)
		for (k = 0; k < NR_WAYS; k++)
			free(io->pieces[i][k].bytes);
	free(io);
}

const struct cow_err *fs_io_error(const struct fs_io *io)
{
	return io->failure.code ? &io->failure : NULL;
}
