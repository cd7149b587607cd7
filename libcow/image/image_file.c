/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_file.c - a regular file or a block device behind an open descriptor:
 * loops over short transfers and EINTR, zeros and discards as the system does
 * them best, holes, and the cache. Opening and locking is imageset.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"
#include "libcow/image/file.h"

/* What one system call is asked to do; Linux stops at 2 GiB less a page. */
#define CALL_BYTES (UINT64_C(1) << 30)
#define IOV_PER_CALL 64
/* Folios of the page cache are at most that large, and aligned; one that
 * sticks out of the range is not dropped. */
#define FOLIO_BYTES (UINT64_C(2) << 20)
#define PAGE_BYTES 4096
/* Linux reads no more for one hint than it reads ahead by itself: 128 KiB, if
 * the administrator has not set another value. */
#define READ_AHEAD_BYTES (UINT64_C(128) << 10)
/* Of one question whether pages are cached: 1 MiB, wherever it begins. */
#define MINCORE_PAGES ((size_t)257)

struct image_file {
	struct cow_image image;
	int fd;
	bool has_failed; /* a device, to read */
};

static int file_fd(const struct cow_image *image)
{
	return ((const struct image_file *)image)->fd;
}

/* The codes of libcow.h; everything that has none of its own is -EIO. */
static int file_error(const char *what, uint64_t offset_bytes, int error, struct cow_err *err)
{
	int code = -EIO;

	if (error == ENOSPC || error == EDQUOT)
		code = -ENOSPC;
	else if (error == EFBIG || error == ENOMEM || error == EROFS)
		code = -error;
	return cow_fail(err, code, "%s failed at byte %" PRIu64 ": %s", what, offset_bytes,
			strerrordesc_np(error));
}

/* The system cannot do this here; do it another way, or say so. */
static bool is_unsupported(int error)
{
	return error == EOPNOTSUPP || error == EINVAL || error == ENOTTY || error == ENOSYS ||
	       error == EXDEV || error == ENODEV || error == EPERM || error == EACCES ||
	       error == EBADF || error == ETXTBSY;
}

static int file_cut(const struct cow_image *image, uint64_t end_bytes, struct cow_err *err)
{
	return cow_fail(err, -EIO,
			"the file ends before it should, at byte %" PRIu64 "; it had %" PRIu64
			" bytes when it was opened",
			end_bytes, image->size_bytes);
}

static int file_pread_cached(struct cow_image *image, void *buf, size_t len_bytes,
			     uint64_t offset_bytes, struct cow_err *err)
{
	uint8_t *to = (uint8_t *)buf;

	while (len_bytes) {
		size_t piece = min_u64(len_bytes, CALL_BYTES);
		ssize_t got = pread(file_fd(image), to, piece, (off_t)offset_bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return file_error("read", offset_bytes, errno, err);
		if (!got)
			return file_cut(image, offset_bytes, err);
		to += got;
		offset_bytes += (uint64_t)got;
		len_bytes -= (size_t)got;
	}
	return 0;
}

/* Less than a page of a device with bad sectors is read past the cache: the cache
 * would read the whole page, and the caller wants to know which sector is bad. */
static int file_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err)
{
	struct image_file *file = (struct image_file *)image;
	int error = EINVAL, ret;

	if (__atomic_load_n(&file->has_failed, __ATOMIC_RELAXED) && len_bytes < PAGE_BYTES)
		error = cow_file_pread_direct(file->fd, buf, len_bytes, offset_bytes,
					      image->logical_block_bytes);
	if (!error)
		return 0;
	if (error != EINVAL)
		return file_error("read", offset_bytes, error, err);
	ret = file_pread_cached(image, buf, len_bytes, offset_bytes, err);
	if (ret == -EIO && image->is_block_device)
		__atomic_store_n(&file->has_failed, true, __ATOMIC_RELAXED);
	return ret;
}

static int file_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
		       uint64_t offset_bytes, struct cow_err *err)
{
	const uint8_t *from = (const uint8_t *)buf;

	while (len_bytes) {
		size_t piece = min_u64(len_bytes, CALL_BYTES);
		ssize_t put = pwrite(file_fd(image), from, piece, (off_t)offset_bytes);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return file_error("write", offset_bytes, put ? errno : EIO, err);
		from += put;
		offset_bytes += (uint64_t)put;
		len_bytes -= (size_t)put;
	}
	return 0;
}

/* One call with up to IOV_PER_CALL buffers; what a short transfer has left of
 * the buffer it ended in is written plainly. *nr_iov: how many are done. */
static int file_pwritev_some(struct cow_image *image, const struct iovec *iov, size_t *nr_iov,
			     uint64_t *offset_bytes, struct cow_err *err)
{
	size_t nr = *nr_iov < IOV_PER_CALL ? *nr_iov : IOV_PER_CALL, i = 0;
	ssize_t put;
	uint64_t left;
	int ret;

	do
		put = pwritev(file_fd(image), iov, (int)nr, (off_t)*offset_bytes);
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return file_error("write", *offset_bytes, errno, err);
	*offset_bytes += (uint64_t)put;
	for (left = (uint64_t)put; i < nr && left >= iov[i].iov_len; i++)
		left -= iov[i].iov_len;
	*nr_iov = i;
	if (i == nr)
		return 0;
	ret = file_pwrite(image, (const uint8_t *)iov[i].iov_base + left, iov[i].iov_len - left,
			  *offset_bytes, err);
	*offset_bytes += iov[i].iov_len - left;
	*nr_iov = i + 1;
	return ret;
}

static int file_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
			uint64_t offset_bytes, struct cow_err *err)
{
	int ret = 0;

	while (nr_iov && !ret) {
		size_t done = nr_iov;

		ret = file_pwritev_some(image, iov, &done, &offset_bytes, err);
		iov += done;
		nr_iov -= done;
	}
	return ret;
}

/* 0 or the errno. */
static int try_fallocate(int fd, int mode, uint64_t offset_bytes, uint64_t len_bytes)
{
	int ret;

	do
		ret = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes,
				(off_t)len_bytes);
	while (ret && errno == EINTR);
	return ret ? errno : 0;
}

static int try_block_ioctl(int fd, unsigned long request, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t range[2] = { offset_bytes, len_bytes };

	return ioctl(fd, request, range) ? errno : 0;
}

/* The part of a range that consists of whole logical blocks. */
static void whole_blocks(const struct cow_image *image, uint64_t *offset_bytes, uint64_t *len_bytes)
{
	uint64_t block = image->logical_block_bytes, end = *offset_bytes + *len_bytes;
	uint64_t first = div_ceil(*offset_bytes, block) * block;

	end = floor_to(end, block);
	*offset_bytes = first;
	*len_bytes = end > first ? end - first : 0;
}

static int device_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err)
{
	uint64_t first = offset_bytes, len = len_bytes, end = offset_bytes + len_bytes;
	int error, ret;

	whole_blocks(image, &first, &len);
	error = len ? try_block_ioctl(file_fd(image), BLKZEROOUT, first, len) : EINVAL;
	if (error && is_unsupported(error))
		return cow_image_write_zero_bytes(image, offset_bytes, len_bytes, err);
	if (error)
		return file_error("write of zeros", first, error, err);
	/* Many devices write them as they write anything else. */
	cow_rate_take(image->rate, COW_RATE_WRITE, len);
	ret = cow_image_write_zero_bytes(image, offset_bytes, first - offset_bytes, err);
	if (!ret)
		ret = cow_image_write_zero_bytes(image, first + len, end - first - len, err);
	return ret;
}

static int file_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			     struct cow_err *err)
{
	int fd = file_fd(image), error;

	if (image->is_block_device)
		return device_write_zeroes(image, offset_bytes, len_bytes, err);
	error = try_fallocate(fd, FALLOC_FL_PUNCH_HOLE, offset_bytes, len_bytes);
	if (error && is_unsupported(error))
		error = try_fallocate(fd, FALLOC_FL_ZERO_RANGE, offset_bytes, len_bytes);
	if (!error)
		return 0;
	if (is_unsupported(error) || error == ENOSPC)
		return cow_image_write_zero_bytes(image, offset_bytes, len_bytes, err);
	return file_error("write of zeros", offset_bytes, error, err);
}

static int file_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			struct cow_err *err)
{
	int fd = file_fd(image), error;

	if (image->is_block_device) {
		whole_blocks(image, &offset_bytes, &len_bytes);
		error = len_bytes ? try_block_ioctl(fd, BLKDISCARD, offset_bytes, len_bytes) : 0;
	} else {
		error = try_fallocate(fd, FALLOC_FL_PUNCH_HOLE, offset_bytes, len_bytes);
	}
	if (error && is_unsupported(error))
		return cow_fail(err, -EOPNOTSUPP, "discard is not supported here: %s",
				strerrordesc_np(error));
	return error ? file_error("discard", offset_bytes, error, err) : 0;
}

/* A file that was cut under us would look like one that ends in a hole. */
static int file_no_data(struct cow_image *image, uint64_t offset_bytes, struct cow_err *err)
{
	struct stat st;

	if (fstat(file_fd(image), &st))
		return file_error("search for data", offset_bytes, errno, err);
	if ((uint64_t)st.st_size < image->size_bytes)
		return file_cut(image, (uint64_t)st.st_size, err);
	return 0;
}

static int file_next_data(struct cow_image *image, uint64_t offset_bytes,
			  uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes, struct cow_err *err)
{
	off_t data, hole;

	if (image->is_block_device)
		return 0;
	data = lseek(file_fd(image), (off_t)offset_bytes, SEEK_DATA);
	if (data < 0 && errno == ENXIO) {
		*ret_len_bytes = 0;
		return file_no_data(image, offset_bytes, err);
	}
	/* Everything may be data: what the wrapper has set. */
	if (data < 0 && is_unsupported(errno))
		return 0;
	if (data < 0)
		return file_error("search for data", offset_bytes, errno, err);
	hole = lseek(file_fd(image), data, SEEK_HOLE);
	*ret_offset_bytes = (uint64_t)data;
	*ret_len_bytes = (hole > data ? (uint64_t)hole : image->size_bytes) - (uint64_t)data;
	return 0;
}

/* What stands behind the last whole sector becomes zeros, too. */
static int file_grow(struct cow_image *image, uint64_t size_bytes, struct cow_err *err)
{
	static const uint8_t zeros[COW_SECTOR_BYTES];
	uint64_t old_bytes = image->size_bytes;
	struct stat st;

	if (image->is_block_device)
		return cow_fail(err, -EOPNOTSUPP, "a block device is enlarged by its own means");
	if (fstat(file_fd(image), &st))
		return file_error("enlarging", old_bytes, errno, err);
	if ((uint64_t)st.st_size > old_bytes &&
	    pwrite(file_fd(image), zeros, (size_t)st.st_size - old_bytes, (off_t)old_bytes) < 0)
		return file_error("enlarging", old_bytes, errno, err);
	if (ftruncate(file_fd(image), (off_t)size_bytes))
		return file_error("enlarging", old_bytes, errno, err);
	return 0;
}

static int file_flush(struct cow_image *image, struct cow_err *err)
{
	int ret;

	do
		ret = fdatasync(file_fd(image));
	while (ret && errno == EINTR);
	if (ret)
		return cow_fail(err, -EIO, "flush failed: %s", strerrordesc_np(errno));
	return 0;
}

/* Is nothing of whole pages in the cache? "No" also where the system would not
 * say: mincore() answers owners and those who may write. */
static bool is_uncached(int fd, uint64_t first_bytes, size_t len_bytes)
{
	unsigned char present[MINCORE_PAGES];
	size_t nr = len_bytes / PAGE_BYTES;
	bool is_free;
	void *map;

	if (nr > MINCORE_PAGES || sysconf(_SC_PAGESIZE) != PAGE_BYTES)
		return false;
	map = mmap(NULL, len_bytes, PROT_READ, MAP_SHARED, fd, (off_t)first_bytes);
	if (map == MAP_FAILED)
		return false;
	is_free = !mincore(map, len_bytes, present);
	for (size_t i = 0; is_free && i < nr; i++)
		is_free = !(present[i] & 1);
	munmap(map, len_bytes);
	return is_free;
}

/* Drops the pages themselves and no others, so that data next to metadata stay
 * in the cache. false: they may be part of a larger folio. */
static bool pages_drop(int fd, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t first = floor_to(offset_bytes, PAGE_BYTES), end;

	if (!len_bytes || len_bytes > (MINCORE_PAGES - 1) * PAGE_BYTES ||
	    align_up_overflows(offset_bytes + len_bytes, PAGE_BYTES, &end) || end > INT64_MAX)
		return false;
	return !posix_fadvise(fd, (off_t)first, (off_t)(end - first), POSIX_FADV_DONTNEED) &&
	       is_uncached(fd, first, end - first);
}

static int file_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			   struct cow_err *err)
{
	uint64_t first = floor_to(offset_bytes, FOLIO_BYTES), end;
	int error;

	if (pages_drop(file_fd(image), offset_bytes, len_bytes))
		return 0;
	/* Outwards, so that no page at the rim stays; length 0: to the end. */
	if (align_up_overflows(offset_bytes + len_bytes, FOLIO_BYTES, &end) || end > INT64_MAX)
		end = first;
	error = posix_fadvise(file_fd(image), (off_t)first, (off_t)(end - first),
			      POSIX_FADV_DONTNEED);
	if (error)
		return file_error("drop of cached bytes", offset_bytes, error, err);
	return 0;
}

static void file_read_ahead(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t piece;

	for (; len_bytes; offset_bytes += piece, len_bytes -= piece) {
		piece = min_u64(len_bytes, READ_AHEAD_BYTES);
		(void)!posix_fadvise(file_fd(image), (off_t)offset_bytes, (off_t)piece,
				     POSIX_FADV_WILLNEED);
	}
}

static void file_close(struct cow_image *image)
{
	close(file_fd(image));
}

static int file_clone_range(struct cow_image *image, uint64_t offset_bytes,
			    struct cow_image *source, uint64_t source_offset_bytes,
			    uint64_t len_bytes, struct cow_err *err)
{
	struct file_clone_range range = {
		.src_offset = source_offset_bytes,
		.src_length = len_bytes,
		.dest_offset = offset_bytes,
	};

	if (source->ops->pread != file_pread || image->is_block_device || source->is_block_device)
		return cow_fail(err, -EOPNOTSUPP, "extents are shared between regular files only");
	range.src_fd = file_fd(source);
	if (!ioctl(file_fd(image), FICLONERANGE, &range))
		return 0;
	if (!is_unsupported(errno))
		return file_error("clone", offset_bytes, errno, err);
	return cow_fail(err, -EOPNOTSUPP, "extents cannot be shared here: %s",
			strerrordesc_np(errno));
}

/* Asks for a byte, which no file system shares: what can share blocks says EINVAL. */
static int clone_error(int fd, int source_fd)
{
	struct file_clone_range range = {
		.src_fd = source_fd,
		.src_offset = 1,
		.src_length = 1,
		.dest_offset = 1,
	};

	return ioctl(fd, FICLONERANGE, &range) && errno != EINVAL ? errno : 0;
}

/*
 * The byte is the image's own, so that nothing changes whatever the answer is. Where
 * the other file seems to be on another file system, what the system says first is
 * asked for: on one of Btrfs only the numbers differ.
 */
static int file_clone_check(struct cow_image *image, struct cow_image *source, struct cow_err *err)
{
	struct stat to, from;
	int error;

	if (source->ops->pread != file_pread || image->is_block_device || source->is_block_device)
		return cow_fail(err, -EOPNOTSUPP, "extents are shared between regular files only");
	error = clone_error(file_fd(image), file_fd(image));
	if (!error && !fstat(file_fd(image), &to) && !fstat(file_fd(source), &from) &&
	    to.st_dev != from.st_dev)
		error = clone_error(file_fd(image), file_fd(source));
	if (!error)
		return 0;
	return cow_fail(err, -EOPNOTSUPP, "extents cannot be shared here: %s",
			strerrordesc_np(error));
}

static const struct image_ops file_ops = {
	.name = "file",
	.pread = file_pread,
	.pwrite = file_pwrite,
	.pwritev = file_pwritev,
	.write_zeroes = file_write_zeroes,
	.clone_range = file_clone_range,
	.clone_check = file_clone_check,
	.next_data = file_next_data,
	.discard = file_discard,
	.grow = file_grow,
	.flush = file_flush,
	.drop_cache = file_drop_cache,
	.read_ahead = file_read_ahead,
	.close = file_close,
};

static int file_measure(int fd, struct cow_image *image, struct cow_err *err)
{
	struct stat st;
	uint64_t size_bytes;
	int block_bytes;

	if (fstat(fd, &st))
		return file_error("fstat", 0, errno, err);
	if (!S_ISBLK(st.st_mode)) {
		image->size_bytes = floor_to((uint64_t)st.st_size, COW_SECTOR_BYTES);
		return 0;
	}
	if (ioctl(fd, BLKGETSIZE64, &size_bytes) || ioctl(fd, BLKSSZGET, &block_bytes))
		return file_error("asking for the size of the device", 0, errno, err);
	if (block_bytes < (int)COW_SECTOR_BYTES || !is_pow2((uint64_t)block_bytes) ||
	    size_bytes > COW_IMAGE_BYTES_MAX)
		return cow_fail(err, -EIO,
				"blocks of %d bytes, %" PRIu64 " bytes in all: cannot be",
				block_bytes, size_bytes);
	image->size_bytes = floor_to(size_bytes, COW_SECTOR_BYTES);
	image->logical_block_bytes = (uint32_t)block_bytes;
	image->is_block_device = true;
	return 0;
}

int cow_image_file_new(int fd, const char *name, bool is_writable, struct cow_image **ret_image,
		       struct cow_err *err)
{
	struct image_file *file = (struct image_file *)calloc(1, sizeof(*file));
	int ret = file ? cow_image_init(&file->image, &file_ops, name, 0, err)
		       : cow_fail(err, -ENOMEM, "no memory for a file");

	if (ret) {
		free(file);
		close(fd);
		return ret;
	}
	file->fd = fd;
	file->image.is_writable = is_writable;
	ret = file_measure(fd, &file->image, err);
	if (ret) {
		cow_err_place(err, name, COW_OFFSET_NONE);
		cow_image_close(&file->image);
		return ret;
	}
	*ret_image = &file->image;
	return 0;
}

int cow_image_file_upgrade(struct cow_image *image, int fd, struct cow_err *err)
{
	int ret;

	/* The same number goes on, so nothing that uses it notices; the old
	 * description and its locks go away. */
	do
		ret = dup3(fd, file_fd(image), O_CLOEXEC);
	while (ret < 0 && (errno == EINTR || errno == EBUSY));
	close(fd);
	if (ret < 0)
		return cow_fail(err, -EIO, "cannot be reopened for writing: %s",
				strerrordesc_np(errno));
	image->is_writable = true;
	return 0;
}
