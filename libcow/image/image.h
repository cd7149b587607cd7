/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image.h - bytes at offsets: the one interface, and what every kind of image
 * provides behind it. Callers use the wrappers of image.c (public ones in
 * libcow.h), which check ranges, know "all or fail", count, and put the name
 * of the image and the offset into the error. Same argument order everywhere:
 * image, buffer, length, offset, err.
 *
 * What holds for every kind:
 *  - A sentence says what and at which byte; the name of the image is in
 *    err.image, "may it be forced" in err.force, and neither in the sentence.
 *    The lowest image that knows its place says it: an error of a window
 *    names the file below and the byte there.
 *  - Images above others (window, overlay, view) call the wrappers of what is
 *    below them. So a failed flush (I8) is final for all windows of a file,
 *    and a write through a window counts in both statistics.
 *  - Flushing an image that is open for reading does nothing and works.
 *  - next_data may give less than the whole run of data, and may give zeros as
 *    data; it never passes over anything else.
 *  - An error of a write leaves any part of it written. Statistics count what
 *    succeeded.
 *  - A hole, zeros by write_zeroes, and discard may end in the same thing on
 *    the disk, but only the first two read as zeros.
 */
#ifndef COW_IMAGE_IMAGE_H
#define COW_IMAGE_IMAGE_H

#include <sys/types.h>
#include <sys/uio.h>

#include "libcow.h"
#include "libcow/base/cleanup.h"
#include "libcow/image/rate.h"

/* From here on sharing an extent is cheaper than copying it: it costs a system
 * call, a transaction and a record in the file system. tests/bench/RESULTS.md has figures. */
#define COW_CLONE_BYTES_MIN (UINT64_C(128) << 10)

/* Called with a range of a lowest image; what is not 0 ends the walk. */
typedef int cow_image_range_fn(void *user, struct cow_image *image, uint64_t offset_bytes,
			       uint64_t len_bytes, struct cow_err *err);

struct image_ops {
	const char *name; /* "file", "window", "view", ... */

	/* All of it or an error; the wrapper has checked the range. */
	int (*pread)(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err);
	/* NULL: a read-only kind. */
	int (*pwrite)(struct cow_image *image, const void *buf, size_t len_bytes,
		      uint64_t offset_bytes, struct cow_err *err);
	/* NULL: the wrapper calls pwrite for each piece. */
	int (*pwritev)(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
		       uint64_t offset_bytes, struct cow_err *err);
	/* NULL: the wrapper writes zeros, in pieces, through pwrite. */
	int (*write_zeroes)(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    struct cow_err *err);
	/* NULL: -EOPNOTSUPP. source has gone through resolve already. */
	int (*clone_range)(struct cow_image *image, uint64_t offset_bytes, struct cow_image *source,
			   uint64_t source_offset_bytes, uint64_t len_bytes, struct cow_err *err);
	/* Would it, before anything is written? source as above. NULL: nobody knows. */
	int (*clone_check)(struct cow_image *image, struct cow_image *source, struct cow_err *err);
	/* NULL: everything may be data. */
	int (*next_data)(struct cow_image *image, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			 uint64_t *ret_len_bytes, struct cow_err *err);
	/* NULL: -EOPNOTSUPP. */
	int (*discard)(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
		       struct cow_err *err);
	/* Makes the image larger, with zeros. NULL: -EOPNOTSUPP. The wrapper sets
	 * size_bytes. */
	int (*grow)(struct cow_image *image, uint64_t size_bytes, struct cow_err *err);
	/* NULL: nothing to flush. */
	int (*flush)(struct cow_image *image, struct cow_err *err);
	/* Forgets what the page cache holds of a range, so that the next read
	 * comes from the disk (I12). NULL: there is no cache. */
	int (*drop_cache)(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err);
	/* Lets the system begin to read a range that will be read soon: no
	 * promise, and no failure. NULL: nothing to be gained. */
	void (*read_ahead)(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes);
	/* Names the image below that holds the bytes at offset_bytes, as one
	 * piece of at most *len_bytes (shortened to what lies in one piece).
	 * NULL: this image is the lowest. */
	struct cow_image *(*resolve)(struct cow_image *image, uint64_t offset_bytes,
				     uint64_t *len_bytes, uint64_t *ret_offset_bytes);
	/* Names the ranges below that a range of this image lies on, if they are
	 * fewer than its pieces. NULL: piece by piece, by resolve. */
	int (*footprint)(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			 cow_image_range_fn *call, void *user, struct cow_err *err);
	/* Extents of what is read through this image must not be shared. */
	bool shares_nothing;
	/* Names the first range at or behind offset_bytes that is known to be
	 * unreadable, without reading; false: none is known. NULL: the same. */
	bool (*next_bad)(struct cow_image *image, uint64_t offset_bytes,
			 struct cow_segment *ret_range);
	/* Are all copies of a range alike? NULL: there is one. Errors: -EPERM (id "lv-legs",
	 * force "legs") they are not; -EIO, -ENOMEM. */
	int (*copies_check)(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			    struct cow_err *err);
	/* Releases what is behind the image; the wrapper frees the struct. */
	void (*close)(struct cow_image *image);
};

struct cow_image {
	const struct image_ops *ops;
	char *name;
	uint64_t size_bytes; /* a multiple of 512 */
	uint32_t logical_block_bytes;
	bool is_writable;
	bool is_block_device;
	bool has_failed_flush; /* I8: set once, never cleared */
	const char *unchecked; /* what could not be found out about its users; or NULL */
	uint32_t nr_copies;    /* of its bytes, where that is most; 0: one */
	bool is_patched;       /* next_bad names what can be read, but is not what it was */
	struct cow_rate *rate; /* of a lowest image: that of its set; or NULL */
	struct cow_image_stats stats;
};

/*
 * Initialises the common part of an image that a kind embeds as its first
 * member, so that cow_image_close() frees the whole. name is copied, the size
 * floored to 512. Afterwards the image is read-only, with blocks of 512 bytes
 * and no device: the kind sets what differs. After a failure the caller frees
 * the memory itself. Errors: -ENOMEM, -ERANGE over 2^63-512.
 */
int cow_image_init(struct cow_image *image, const struct image_ops *ops, const char *name,
		   uint64_t size_bytes, struct cow_err *err);

/* As cow_image_pwrite(), from several buffers to one contiguous range. */
int cow_image_pwritev(struct cow_image *image, const struct iovec *iov, size_t nr_iov,
		      uint64_t offset_bytes, struct cow_err *err);

/* For a kind whose write_zeroes has no better way: pwrite of zeros in pieces
 * of 1 MiB. The range has been checked. */
int cow_image_write_zero_bytes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err);

/* Can extents of source be shared with image? Asks about the first byte of each, and
 * only if image can be written. Errors: -EOPNOTSUPP. */
int cow_image_clone_check(struct cow_image *image, struct cow_image *source, struct cow_err *err);

/* Adds up what cow_image_next_data() finds, by the questions of a walk over all of it, each at
 * the end of the answer before. Reads nothing. Errors: as cow_image_next_data(). */
int cow_image_data_bytes(struct cow_image *image, uint64_t *ret_bytes, struct cow_err *err);

/* See image_ops.read_ahead; the range is one of the image. */
void cow_image_read_ahead(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes);

/* See image_ops.drop_cache. Errors: -EIO, -ERANGE. */
int cow_image_drop_cache(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			 struct cow_err *err);

/* Are all copies of a range alike, where there are several? Errors: as
 * image_ops.copies_check. */
int cow_image_copies_check(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			   struct cow_err *err);

/* Follows resolve down to an image of a kind; NULL: there is none. May shorten
 * *len_bytes. */
struct cow_image *cow_image_find_kind(struct cow_image *image, const struct image_ops *ops,
				      uint64_t offset_bytes, uint64_t *len_bytes,
				      uint64_t *ret_offset_bytes);
/* Follows resolve down to the lowest image. Never fails; may shorten
 * *len_bytes. */
struct cow_image *cow_image_resolve(struct cow_image *image, uint64_t offset_bytes,
				    uint64_t *len_bytes, uint64_t *ret_offset_bytes);

/* Names all ranges of the lowest images that a range of this image lies on, in
 * no order. Errors: what call returns. */
int cow_image_footprint(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			cow_image_range_fn *call, void *user, struct cow_err *err);

/* Images that stand on each other, the lowest first. */
struct cow_image_list {
	size_t nr_images, capacity;
	struct cow_image **images;
};

/* Errors: -ENOMEM, and the image is not in the list. */
int cow_image_list_add(struct cow_image_list *list, struct cow_image *image, struct cow_err *err);
/* Closes all of them, the last one first; the list is empty then. */
void cow_image_list_close(struct cow_image_list *list);

/* image_parity.c: who has the parity of a row, and where its data begins. The numbers are
 * those of the kernel: include/linux/raid/md_p.h, drivers/md/raid5.h. */
enum image_parity_layout {
	IMAGE_PARITY_LEFT_ASYMMETRIC,
	IMAGE_PARITY_RIGHT_ASYMMETRIC,
	IMAGE_PARITY_LEFT_SYMMETRIC,
	IMAGE_PARITY_RIGHT_SYMMETRIC,
	IMAGE_PARITY_FIRST, /* raid4 of the device-mapper */
	IMAGE_PARITY_LAST,
};
/* The data of a raid4 or raid5, in units of unit_bytes, to read. images: all its legs, of
 * one size; they must outlive it. Errors: -EINVAL, -ERANGE, -ENOMEM. */
int cow_image_parity_new(struct cow_image *const *images, size_t nr_images, uint64_t unit_bytes,
			 enum image_parity_layout layout, struct cow_image **ret_image,
			 struct cow_err *err);

/* image_mirror.c: images of one size that hold the same bytes: each is written, the first is
 * read. They must outlive it. Errors: -EINVAL, -ENOMEM. */
int cow_image_mirror_new(struct cow_image *const *images, size_t nr_images,
			 struct cow_image **ret_image, struct cow_err *err);

/*
 * Creates an image that shows top and owns what top is made of: what is in owned
 * (top is, if it is to be closed) is closed with it. owned is empty then; after a
 * failure it stays the caller's. name is copied; with is_read_only it cannot be
 * written. Errors: -ENOMEM.
 */
int cow_image_own_new(struct cow_image *top, const char *name, bool is_read_only,
		      struct cow_image_list *owned, struct cow_image **ret_image,
		      struct cow_err *err);

COW_DEFINE_AUTO(image, struct cow_image *, cow_image_close);

#endif
