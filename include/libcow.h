/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * libcow.h - block-level snapshots without a kernel: images, exception
 * stores, views, and the jobs done with them.
 *
 * Conventions, true for every function below unless it says otherwise:
 *  - It returns 0 or a negative errno, never anything else. Where the last
 *    parameter is a struct cow_err (NULL allowed) the reason is in there as a
 *    finished sentence. An out-parameter ret_* is written on success only.
 *  - Offsets and lengths are in bytes. "sector" is 512 bytes, whatever the
 *    device's logical block size is.
 *  - One handle is used by one thread at a time; different handles are
 *    independent, except that images of one imageset count as one handle,
 *    together with the stores, views and outputs that stand on them. Two
 *    threads with a set each may read the same files at the same time.
 *  - The library never prints, never exits, installs no signal handler and
 *    has no global state.
 *  - A structure of parameters starts with its own size, set by the matching
 *    COW_*_INIT macro, so that it can grow. Unknown flags are -EINVAL.
 * Since 0.1.0, all of it.
 *
 * Not promised: the wording of messages, the order of findings at one offset,
 * byte identity of created stores between versions.
 */
#ifndef LIBCOW_H
#define LIBCOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COW_VERSION_MAJOR 0
#define COW_VERSION_MINOR 1
#define COW_VERSION_PATCH 0

#define COW_EXPORT __attribute__((visibility("default")))

/* Reads the version of the library that is in use, "0.1.0". Never fails. */
COW_EXPORT const char *cow_version(void);

/* ---------------------------------------------------------------- errors */

#define COW_ERR_MESSAGE_BYTES 1024
#define COW_ERR_IMAGE_BYTES 512
#define COW_ERR_ID_BYTES 32
/* "no place": struct cow_err.offset_bytes and struct cow_finding.offset_bytes. */
#define COW_OFFSET_NONE UINT64_MAX

/*
 * Why something failed. Plain memory of the caller's; zero it with
 * COW_ERR_INIT, no clean-up needed.
 *
 * Fixed meaning of codes: -EINVAL caller's mistake; -ENOMEM; -EIO the device
 * failed; -ENOSPC no room; -EBADMSG bytes contradict the format;
 * -EMEDIUMTYPE not this format at all; -EOPNOTSUPP known but not supported;
 * -ERANGE outside the image; -EROFS not writable; -EBUSY in use;
 * -EPERM refused for safety (id says why); -ECANCELED a callback said stop;
 * any other errno is the system's own answer to open(2) and the like.
 */
struct cow_err {
	int code;			     /* negative errno, 0: no failure */
	char id[COW_ERR_ID_BYTES];	     /* stable word, e.g. "overlap" */
	char force[COW_ERR_ID_BYTES];	     /* id that would force it, or "" */
	char image[COW_ERR_IMAGE_BYTES];     /* name of the image, or "" */
	uint64_t offset_bytes;		     /* on that image, or COW_OFFSET_NONE */
	char message[COW_ERR_MESSAGE_BYTES]; /* lower case, no full stop */
};
#define COW_ERR_INIT                                                                               \
	{                                                                                          \
		.code = 0, .offset_bytes = COW_OFFSET_NONE                                         \
	}

/* ------------------------------------------------------ progress, cancel */

/* How far a job is. total_bytes is 0 while it is unknown. */
struct cow_progress {
	size_t size;
	const char *phase;    /* "load", "preserve", "move", ...; static */
	uint64_t done_bytes;  /* of this phase */
	uint64_t total_bytes; /* of this phase */
};

struct cow_finding;

/*
 * What a job tells while it runs. Every member may be NULL. The functions are
 * called from the caller's own thread; they must not use the job's handles.
 */
struct cow_callbacks {
	size_t size;
	void *user;
	/* Called at least once a megabyte of work. Non-zero: stop at the next
	 * safe point; the job then returns -ECANCELED. */
	int (*progress)(void *user, const struct cow_progress *progress);
	/* Called for each finding (at most max_findings of one id, see report). */
	void (*finding)(void *user, const struct cow_finding *finding);
};
#define COW_CALLBACKS_INIT                                                                         \
	{                                                                                          \
		.size = sizeof(struct cow_callbacks)                                               \
	}

/* ---------------------------------------------------------------- images */

/* Bytes at offsets: a file, a device, a window of one, memory, a view. */
struct cow_image;

/*
 * The images of one job. It opens every underlying file once, locks it once,
 * shares that handle between windows, and refuses ranges that overlap.
 */
struct cow_imageset;

/* Creates an empty set. Errors: -ENOMEM. */
COW_EXPORT int cow_imageset_new(struct cow_imageset **ret_set, struct cow_err *err);

/* Closes the files of the set and frees it; NULL is allowed. Every image that
 * was opened through the set must have been closed before. */
COW_EXPORT void cow_imageset_free(struct cow_imageset *set);

/* Flags of cow_imageset_open. */
#define COW_OPEN_WRITE (1u << 0)   /* exclusive lock, O_EXCL on a device */
#define COW_OPEN_LITERAL (1u << 1) /* spec is a path; '@' means nothing */
#define COW_OPEN_BUSY (1u << 2)	   /* reading: mounted, held or locked is fine */
/* Opened for reading, but refused where COW_OPEN_WRITE would be because somebody
 * else uses it: a dry run, which works without permission to write. */
#define COW_OPEN_REHEARSE (1u << 3)
/* With COW_OPEN_WRITE or COW_OPEN_REHEARSE, for the origin of a merge alone: a raid1 of LVM
 * may be written, all its legs alike. Only for a job that writes the same bytes again when
 * it is repeated after a cut, which may fall between two legs. */
#define COW_OPEN_COPIES (1u << 4)

/*
 * Opens an image by its specification:
 *  PATH, file:PATH (of which nothing is parsed), PATH@OFFSET[+LENGTH],
 *  PATH@OFF+LEN,OFF+LEN,..., zero:SIZE;
 *  concat:IMAGE,... images one after the other;
 *  window:SEGMENTS:IMAGE pieces of any image, SEGMENTS as behind '@';
 *  part:IMAGE:N a partition of a disk, as the kernel counts;
 *  lvm:IMAGE,...:VG/LV a logical volume: of a snapshot its COW store, of an
 *  origin the bare origin.
 * image:NAME what cow_imageset_define() was told.
 * Sizes as cow_size_parse() reads them. A prefix counts at the very start only.
 * A list is split at single commas, ",," in it is a comma of one image. Images
 * may be nested 8 deep. The size of an image is floored to 512 bytes.
 *
 * For writing, the image is first flushed and (block device) its cached
 * blocks are dropped (I12); metadata of a regular file is dropped from the
 * cache later, piece by piece, by the store that reads it.
 *
 * The file stays open and locked (flock and OFD lock, for reading or writing)
 * until the last image on it is closed. A file that was opened for reading can
 * be opened for writing by a later call; its lock is then taken anew, so open
 * what is to be written first. What cannot be found out (no /proc, no /sys, no
 * permission, a file system without locks) is no reason to refuse.
 *
 * ret_image: the caller's, to be closed with cow_image_close() before the set.
 * Errors:
 *  -EINVAL     malformed specification, segments that overlap, a name that is
 *              not defined (id "usage")
 *  -EPERM      not an image: directory, FIFO, character device (id
 *              "not-an-image"); a file of the literal name exists too (id
 *              "ambiguous-name"); overlap with an image of this set (id
 *              "overlap"); the operand is itself a device-mapper snapshot,
 *              snapshot-origin or snapshot-merge (id "dm-snapshot")
 *  -EBUSY      locked by somebody else (id "locked"), mounted or swap (id
 *              "mounted"), held by device-mapper, md, ... (id "held"), behind
 *              a loop device (id "loop"); force "busy" where COW_OPEN_BUSY
 *              would help
 *  -ERANGE     the window lies outside the file, or the file is shorter than
 *              a sector (id "bounds")
 *  -EROFS      read-only, but COW_OPEN_WRITE (id "read-only")
 *  -EOPNOTSUPP a form that is reserved: thin:; a URI without
 *              cow_imageset_set_opener() (id "unsupported")
 *  -ENOENT, -EACCES, ... as open(2); -EIO; -ENOMEM
 */
COW_EXPORT int cow_imageset_open(struct cow_imageset *set, const char *spec, uint32_t flags,
				 struct cow_image **ret_image, struct cow_err *err);

/*
 * Gives a specification a name: from now on "image:NAME" in what is opened of this
 * set stands for it. name consists of letters, digits, '_', '-', '.' and '+'. spec may
 * use names that were defined before. Errors: -EINVAL a name of other characters, one
 * that is defined already, or a malformed specification (id "usage"); -EPERM (id
 * "ambiguous-name"); -ENOMEM.
 */
COW_EXPORT int cow_imageset_define(struct cow_imageset *set, const char *name, const char *spec,
				   struct cow_err *err);

/*
 * Lets a program open what the library cannot: "nbd://..." and "nbd+unix://..." in a
 * specification, alone or inside another one. open() gets the URI and flags of
 * cow_imageset_open(), and returns an image that becomes the set's, which is closed
 * with the last image on it; or a negative errno, with a sentence in err. With
 * COW_OPEN_WRITE it must be one that can be written; with COW_OPEN_BUSY the same URI
 * may be open already. NULL: such specifications are refused, as before.
 */
COW_EXPORT void cow_imageset_set_opener(struct cow_imageset *set,
					int (*open)(void *user, const char *uri, uint32_t flags,
						    struct cow_image **ret_image,
						    struct cow_err *err),
					void *user);

/* How fast the images of a set may be read and written. */
struct cow_rate_params {
	size_t size;
	/* Bytes to be read in a second, and as many to be written. 0: no limit. */
	uint64_t bytes_per_second;
	/* Nanoseconds of a clock that never goes back. NULL: CLOCK_MONOTONIC. */
	uint64_t (*now)(void *user);
	/* Sleeps; may return early, after a signal that ends the job. NULL: nanosleep(2),
	 * all of it. Both may be called by several threads if the images are. */
	void (*wait)(void *user, uint64_t nanoseconds);
	void *user;
};
#define COW_RATE_PARAMS_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_rate_params)                                             \
	}

/*
 * Limits how fast the files, devices and servers of a set are read and written, also those
 * that are open already and the outputs that are opened with it. In any t seconds at most
 * bytes_per_second * (t + 0.01) bytes are read, and one read more, which may be as large as
 * what one call of cow_image_pread() asks for; likewise for writes. What becomes a hole of a
 * file, is shared (cow_image_clone_range()) or discarded does not count; zeros that a device
 * writes do. Errors: -EINVAL size not set.
 */
COW_EXPORT int cow_imageset_set_rate(struct cow_imageset *set, const struct cow_rate_params *params,
				     struct cow_err *err);

/* Calls call for each URI ("nbd://...") in a specification, in its order; opens
 * nothing. A text that is no specification has none. Errors: what call returns, if that
 * is negative, is returned as it is; -ENOMEM. */
COW_EXPORT int cow_spec_uris(const char *spec, int (*call)(void *user, const char *uri), void *user,
			     struct cow_err *err);

/* Closes an image; NULL is allowed. Nothing is flushed: who wrote calls
 * cow_image_flush() and looks at its answer first. */
COW_EXPORT void cow_image_close(struct cow_image *image);

/* Creates an image of size_bytes zeros; writing gives -EROFS. Errors:
 * -ENOMEM. */
COW_EXPORT int cow_image_zero_new(uint64_t size_bytes, struct cow_image **ret_image,
				  struct cow_err *err);

/* Creates an image in memory, zeros at first, pages allocated on demand.
 * Errors: -ENOMEM. */
COW_EXPORT int cow_image_memory_new(uint64_t size_bytes, struct cow_image **ret_image,
				    struct cow_err *err);

/* The same for one that stands in for another, of which it has the name and the
 * logical blocks. Errors: -ENOMEM, -EINVAL no power of two from 512 on. */
COW_EXPORT int cow_image_standin_new(const char *name, uint64_t size_bytes,
				     uint32_t logical_block_bytes, struct cow_image **ret_image,
				     struct cow_err *err);

/* Creates an image that shows lower and keeps what is written in memory.
 * lower stays the caller's, must outlive the overlay and is never written.
 * Flush does nothing. Errors: -ENOMEM. */
COW_EXPORT int cow_image_overlay_new(struct cow_image *lower, struct cow_image **ret_image,
				     struct cow_err *err);

/*
 * Creates an image that shows lower, but keeps what is written to its first
 * logical block in memory until cow_image_withhold_release(): what is made in
 * place appears complete or not at all, if it is nothing without that block.
 * On lower the block is zeroed, durably, at once. lower stays the caller's and
 * must outlive the image. Errors: -ENOMEM, and those of cow_image_pwrite() and
 * cow_image_flush().
 */
COW_EXPORT int cow_image_withhold_new(struct cow_image *lower, struct cow_image **ret_image,
				      struct cow_err *err);
/* Makes everything else durable, then the first block. Once. Errors: -EINVAL,
 * and those of cow_image_pwrite() and cow_image_flush(). */
COW_EXPORT int cow_image_withhold_release(struct cow_image *image, struct cow_err *err);

/* One piece of another image. */
struct cow_segment {
	uint64_t offset_bytes;
	uint64_t len_bytes;
};

/* Creates an image out of nr_segments pieces of base, one after the other.
 * base stays the caller's and must outlive it. Errors: -EINVAL none, empty or
 * overlapping segments, -ERANGE outside base, -ENOMEM. */
COW_EXPORT int cow_image_window_new(struct cow_image *base, const struct cow_segment *segments,
				    size_t nr_segments, struct cow_image **ret_image,
				    struct cow_err *err);

/*
 * Creates an image out of nr_images others, one after the other. They stay the
 * caller's and must outlive it; the array is copied. It can be written if all of
 * them can, and a flush flushes each; after a failure the others may not have
 * been flushed. Errors: -EINVAL none, an empty one, or one that is named twice;
 * -ERANGE larger than the largest image; -ENOMEM.
 */
COW_EXPORT int cow_image_concat_new(struct cow_image *const *images, size_t nr_images,
				    struct cow_image **ret_image, struct cow_err *err);

/*
 * Creates an image whose units of unit_bytes take turns on nr_images others, as
 * the device-mapper's striped target and raid0 do: unit u is unit u / nr_images
 * of images[u mod nr_images]. unit_bytes is a multiple of 512, the images are of
 * one size, a multiple of it. Costs no memory for each unit. Otherwise as
 * cow_image_concat_new().
 */
COW_EXPORT int cow_image_stripe_new(struct cow_image *const *images, size_t nr_images,
				    uint64_t unit_bytes, struct cow_image **ret_image,
				    struct cow_err *err);

/*
 * The functions of an image that a program supplies. user is what was given to
 * cow_image_custom_new(). Each returns 0 or a negative errno; err is never NULL,
 * and a function that fails may write code and message into it; without a
 * message the library writes one. Ranges lie within the image and are not empty.
 * They are called by the thread that uses the image and must not use the image
 * itself.
 */
struct cow_custom_ops {
	size_t size;
	/* Reads all of a range. */
	int (*pread)(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
		     struct cow_err *err);
	/* Writes all of a range; need not be durable before flush. NULL: the image
	 * can only be read. */
	int (*pwrite)(void *user, const void *buf, size_t len_bytes, uint64_t offset_bytes,
		      struct cow_err *err);
	/* Makes a range read as zeros. NULL: zeros are written through pwrite. */
	int (*write_zeroes)(void *user, uint64_t offset_bytes, uint64_t len_bytes,
			    struct cow_err *err);
	/* As cow_image_discard(). NULL: -EOPNOTSUPP. */
	int (*discard)(void *user, uint64_t offset_bytes, uint64_t len_bytes, struct cow_err *err);
	/* As cow_image_next_data(). NULL: everything may be data. */
	int (*next_data)(void *user, uint64_t offset_bytes, uint64_t *ret_offset_bytes,
			 uint64_t *ret_len_bytes, struct cow_err *err);
	/* Makes durable what was written. NULL: it is already. */
	int (*flush)(void *user, struct cow_err *err);
	/* A range will be read soon. NULL: nothing to be gained. */
	void (*read_ahead)(void *user, uint64_t offset_bytes, uint64_t len_bytes);
	/* The image is closed; user is not used any more. NULL: nothing to do. */
	void (*close)(void *user);
};
#define COW_CUSTOM_OPS_INIT                                                                        \
	{                                                                                          \
		.size = sizeof(struct cow_custom_ops)                                              \
	}

/* What a program says of its image. */
struct cow_custom_args {
	size_t size;
	const char *name;	      /* copied; stands in messages */
	uint64_t size_bytes;	      /* a multiple of 512 */
	uint32_t logical_block_bytes; /* a power of two, 512 or more */
	bool is_writable;	      /* needs pwrite */
};
#define COW_CUSTOM_ARGS_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_custom_args), .logical_block_bytes = 512                 \
	}

/* Creates an image whose bytes come from the functions of ops (copied), which
 * are called with user. After a failure user stays the caller's: close is not
 * called. Errors: -EINVAL a structure without its size, no name, no pread, a
 * size or block that is not allowed, writable without pwrite; -ERANGE; -ENOMEM. */
COW_EXPORT int cow_image_custom_new(const struct cow_custom_args *args,
				    const struct cow_custom_ops *ops, void *user,
				    struct cow_image **ret_image, struct cow_err *err);

#define COW_BAD_PATCHED (1u << 0) /* something else stands in for them */

/*
 * Creates an image that shows lower, but of which these ranges, rounded to
 * whole sectors, count as unreadable: reading them gives -EIO. With
 * COW_BAD_PATCHED they can be read, but jobs know that it is not what was there,
 * until a sector is written as a whole. What lies beyond the end is ignored.
 * lower stays the caller's and must outlive it; the ranges are copied. Errors:
 * -ENOMEM, -EINVAL flags.
 */
COW_EXPORT int cow_image_bad_new(struct cow_image *lower, const struct cow_segment *ranges,
				 size_t nr_ranges, uint32_t flags, struct cow_image **ret_image,
				 struct cow_err *err);

/*
 * Creates an image for reading that goes on where lower cannot be read: a
 * sector that fails with -EIO is shown as it is in fill, or as zeros (fill
 * NULL), and not tried again. What fill cannot read is -EIO. lower and fill
 * stay the caller's and must outlive it, callbacks (NULL allowed) too: their
 * progress is called for every failure, phase "skip". Errors: -ENOMEM, -EINVAL
 * fill is smaller than lower.
 */
COW_EXPORT int cow_image_skip_new(struct cow_image *lower, struct cow_image *fill,
				  const struct cow_callbacks *callbacks,
				  struct cow_image **ret_image, struct cow_err *err);
/* Finds the first range at or behind offset_bytes that is known to be unreadable,
 * or was, by any of the images above; nothing is read. false: none. Cannot fail. */
COW_EXPORT bool cow_image_next_bad(struct cow_image *image, uint64_t offset_bytes,
				   struct cow_segment *ret_range);
/* Finds the first range at or behind offset_bytes of such an image that was
 * found unreadable so far, clipped to begin there; false: none, or another
 * kind of image. Cannot fail. */
COW_EXPORT bool cow_image_skip_next(const struct cow_image *image, uint64_t offset_bytes,
				    struct cow_segment *ret_range);

/* Reads: the name it was opened by ("base.img@1M"); never NULL. */
COW_EXPORT const char *cow_image_name(const struct cow_image *image);
/* Reads the size in bytes, a multiple of 512. */
COW_EXPORT uint64_t cow_image_size(const struct cow_image *image);
/* Reads the smallest unit the device writes, in bytes; 512 for files. */
COW_EXPORT uint32_t cow_image_logical_block_size(const struct cow_image *image);
/* Tells whether writing was asked for and is possible. */
COW_EXPORT bool cow_image_is_writable(const struct cow_image *image);
/* Tells whether the bytes lie on a block device. */
COW_EXPORT bool cow_image_is_block_device(const struct cow_image *image);

/* Tells how many copies of its bytes are written: the legs of a raid1 that was opened with
 * COW_OPEN_COPIES (the most that one byte has); else 1. */
COW_EXPORT uint32_t cow_image_nr_copies(const struct cow_image *image);

/* Names what could not be found out when it was opened: whether a loop device
 * stands on it; the text is static. NULL: everything was looked at. */
COW_EXPORT const char *cow_image_unchecked(struct cow_image *image);

/* Names what an image seems to hold, by a magic number ("an XFS file system"),
 * for a sentence; NULL: nothing known, or it cannot be read. */
COW_EXPORT const char *cow_image_content(struct cow_image *image);

/* Names the format of an image that holds a disk without being its bytes ("a
 * qcow2 image", something compressed); NULL: none known, or it cannot be read. */
COW_EXPORT const char *cow_image_container(struct cow_image *image);

/* Where a byte of an image lies in the end: below windows, partitions, volumes. */
struct cow_image_place {
	size_t size;
	const char *name;    /* of the lowest image, a file or a device; lives as long */
	uint64_t size_bytes; /* of it */
	uint64_t offset_bytes;
	uint64_t len_bytes; /* so many bytes follow each other there */
};
#define COW_IMAGE_PLACE_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_image_place)                                             \
	}
/* Tells what is below the image that a range of it will be read soon. No promise: a
 * hint may be passed over. What lies past the end is ignored. Cannot fail. */
COW_EXPORT void cow_image_will_read(struct cow_image *image, uint64_t offset_bytes,
				    uint64_t len_bytes);
/* Finds the place of the byte at offset_bytes. Errors: -EINVAL size not set,
 * -ERANGE outside the image. */
COW_EXPORT int cow_image_get_place(struct cow_image *image, uint64_t offset_bytes,
				   struct cow_image_place *ret_place);

/*
 * Reads len_bytes at offset_bytes, all of them or none. Errors: -ERANGE
 * outside the image, -EIO (err names image and offset; also where the file
 * ends before it should), -ENOMEM.
 */
COW_EXPORT int cow_image_pread(struct cow_image *image, void *buf, size_t len_bytes,
			       uint64_t offset_bytes, struct cow_err *err);
/*
 * Writes len_bytes at offset_bytes; not durable before cow_image_flush().
 * After a failure any part may have been written. Errors: -ERANGE, -EROFS,
 * -EIO, -ENOSPC, -EFBIG; -EIO at once after a flush of this image has failed.
 */
COW_EXPORT int cow_image_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
				uint64_t offset_bytes, struct cow_err *err);
/* Makes a range read as zeros, as holes where the file system can. Errors as
 * cow_image_pwrite(). */
COW_EXPORT int cow_image_write_zeroes(struct cow_image *image, uint64_t offset_bytes,
				      uint64_t len_bytes, struct cow_err *err);
/*
 * Shares the extents of a range of source with image instead of copying.
 * Errors: -EOPNOTSUPP the two cannot share here (different file systems, a
 * device, unaligned): copy instead; else as cow_image_pwrite().
 */
COW_EXPORT int cow_image_clone_range(struct cow_image *image, uint64_t offset_bytes,
				     struct cow_image *source, uint64_t source_offset_bytes,
				     uint64_t len_bytes, struct cow_err *err);
/*
 * Finds the first range at or after offset_bytes that may hold something else
 * than zeros. *ret_len_bytes is 0 where there is none up to the end (then
 * *ret_offset_bytes is the image's size). Errors: -ERANGE, -EIO.
 */
COW_EXPORT int cow_image_next_data(struct cow_image *image, uint64_t offset_bytes,
				   uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
				   struct cow_err *err);
/* Tells the device that a range is no longer needed; what it reads afterwards
 * is undefined. Errors: -EOPNOTSUPP, else as cow_image_pwrite(). */
COW_EXPORT int cow_image_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
				 struct cow_err *err);
/*
 * Makes an image larger, with zeros: a regular file that was opened whole, or an
 * overlay before its first write. Durable after cow_image_flush(). Errors:
 * -EOPNOTSUPP a device, a window, another kind; -EINVAL smaller, or no whole
 * sectors; and those of cow_image_pwrite().
 */
COW_EXPORT int cow_image_grow(struct cow_image *image, uint64_t size_bytes, struct cow_err *err);
/* Makes everything written durable. A failure is final (I8): the image
 * refuses writes and flushes from then on. Errors: -EIO. */
COW_EXPORT int cow_image_flush(struct cow_image *image, struct cow_err *err);

/* Something that was found in an image, valid during the call. */
struct cow_volume {
	size_t size;
	unsigned int depth; /* 1 and more: inside the last one with less */
	const char *kind;   /* "disk", "partition", "pv", "vg", "lv", "note" */
	const char *spec;   /* the specification that opens it; "" of a VG */
	const char *name;   /* number of a partition, name of a VG or LV, VG of a PV */
	const char *type;   /* "mbr", "gpt"; "8e", a GUID; UUID of a PV or VG; "linear", ... */
	uint64_t size_bytes;
	const char *state;  /* a sentence, or "" */
	bool is_damaged;    /* state says why */
	const char *origin; /* of a snapshot: the LV it was taken of; else NULL */
	/* To look at what it holds: reading, closed behind the call. NULL: it holds
	 * what follows in the list, or it cannot be opened. */
	struct cow_image *image;
};

/*
 * Lists what is in images: partitions, LVM's physical volumes, volume groups and
 * logical volumes (without those that LVM hides), and then notes: sentences on
 * damaged copies, missing PVs, exported groups. specs: how each image is named in
 * the specifications. Damage is no error. call returns 0 or a negative errno,
 * which ends the list. Errors: -EIO, -ENOMEM, or what call returned.
 */
COW_EXPORT int cow_volume_list(struct cow_image *const *images, const char *const *specs,
			       size_t nr_images,
			       int (*call)(void *user, const struct cow_volume *volume), void *user,
			       struct cow_err *err);

/* One snapshot of an LV; valid during the call. */
struct cow_volume_snapshot {
	size_t size;
	const char *spec, *origin_spec; /* what opens the COW store, and the origin */
	const char *id, *origin_id;	/* which no other LV has */
	uint64_t view_bytes;		/* the origin's length when it was taken */
	bool is_this;			/* spec names this snapshot, not its origin */
	bool is_merging;		/* LVM merges it at the next activation */
};

/*
 * Lists all snapshots of the origin that spec names, or of the origin of the
 * snapshot that it names; nothing, and 0, where spec is no "lvm:". Opens for
 * reading, without a lock. call returns 0 or a negative errno, which ends the
 * list. Errors: as cow_imageset_open(), or what call returned.
 */
COW_EXPORT int cow_volume_snapshots(struct cow_imageset *set, const char *spec,
				    int (*call)(void *user,
						const struct cow_volume_snapshot *snapshot),
				    void *user, struct cow_err *err);

/* What was done to an image since it was opened. */
struct cow_image_stats {
	size_t size;
	uint64_t read_bytes, written_bytes, zeroed_bytes, cloned_bytes;
	uint64_t nr_reads, nr_writes, nr_clones, nr_flushes;
};
#define COW_IMAGE_STATS_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_image_stats)                                             \
	}
/* Reads the statistics of an image. Errors: -EINVAL size not set. */
COW_EXPORT int cow_image_get_stats(const struct cow_image *image,
				   struct cow_image_stats *ret_stats);

/*
 * Reads a size as all four tools do: bytes; "s" sectors of 512; k K m M g G t
 * T p P and KiB MiB ... powers of 1024; a fraction as in "1.00m", if it is a
 * whole number of bytes. Errors: -EINVAL (also "MB", with the hint to say
 * MiB, and "1.33g"), -ERANGE over 2^63-512.
 */
COW_EXPORT int cow_size_parse(const char *text, uint64_t *ret_bytes, struct cow_err *err);

/* ---------------------------------------------------------------- output */

/* A new file that appears complete under its name or not at all; or a block
 * device, of which then every byte is written. */
struct cow_output;

/* The file that is there at the time is replaced, and no other that has taken its name since. */
#define COW_OUTPUT_OVERWRITE (1u << 0)
/* A dry run: refused as without it, but nothing is opened for writing. What is
 * written stays in memory, and publishing it makes nothing. */
#define COW_OUTPUT_REHEARSE (1u << 1)

/*
 * Opens path for a new image of size_bytes. A regular file is made without a
 * name in the same directory (O_TMPFILE, or a temporary name) and is
 * published later; a block device is opened O_EXCL and must be large enough.
 * size_bytes 0 is for a stream written to cow_output_fd(), to a file only.
 * Errors: -EEXIST (id "exists", force "overwrite"), -ENOSPC device too small,
 * -EPERM a stream to a block device (id "block-device"), else as
 * cow_imageset_open().
 */
COW_EXPORT int cow_output_open(struct cow_imageset *set, const char *path, uint64_t size_bytes,
			       uint32_t flags, struct cow_output **ret_output, struct cow_err *err);
/*
 * Makes an output larger that nothing was written to: its size is known only after a
 * look, and a program may want to give up the right to open anything before that.
 * Errors: -ENOSPC device too small; -EPERM (id "overlap") the bytes behind it on a
 * device belong to an image of the set; -EINVAL smaller, or no whole sectors; and
 * those of cow_image_grow().
 */
COW_EXPORT int cow_output_grow(struct cow_output *output, uint64_t size_bytes, struct cow_err *err);
/* The image to write to; belongs to the output. */
COW_EXPORT struct cow_image *cow_output_image(struct cow_output *output);
/*
 * Reads the file descriptor behind an output, for bytes whose number is not
 * known beforehand (size_bytes 0 then) and for fallocate(2): its position is 0
 * until the caller moves it. It belongs to the output. -1 for a block device.
 */
COW_EXPORT int cow_output_fd(const struct cow_output *output);
/* Flushes, gives the file its name, makes the directory durable. The output
 * is still to be closed. After a failure a new file does not have the name.
 * Errors: -EIO, -ENOSPC, -EEXIST. */
COW_EXPORT int cow_output_publish(struct cow_output *output, struct cow_err *err);
/* Takes the name away again from a new file, because what belongs to it failed;
 * nothing happens to a file that replaced another, or to a device. */
COW_EXPORT void cow_output_withdraw(struct cow_output *output);
/* Frees; what was not published disappears. NULL is allowed. */
COW_EXPORT void cow_output_close(struct cow_output *output);

/* -------------------------------------------------------------- findings */

/* How bad a finding is, ascending. */
#define COW_CLASS_INFO 0   /* worth knowing */
#define COW_CLASS_NOTE 1   /* could be tidier, or will hurt later */
#define COW_CLASS_DAMAGE 2 /* the kernel refuses, misreads or fails to merge */
#define COW_CLASS_LOST 3   /* data that cannot be brought back */

#define COW_PROBLEM_FIXABLE (1u << 0) /* repair can mend it */
#define COW_PROBLEM_SAFE (1u << 1)    /* -p mends it without asking */

/* One kind of finding, from the table that the manual page lists. */
struct cow_problem {
	const char *id;	      /* "persistent.duplicate-old-chunk" */
	int klass;	      /* COW_CLASS_* */
	uint32_t flags;	      /* COW_PROBLEM_* */
	const char *summary;  /* what it is, one sentence */
	const char *kernel;   /* what the kernel does with it */
	const char *fix;      /* how it is mended, or what to do instead */
	const char *question; /* asked before mending; NULL: not fixable */
};

/* Looks up one row of the table, sorted by id; NULL behind the last. */
COW_EXPORT const struct cow_problem *cow_problem_get(size_t index);
/* Finds a row by id, or NULL. */
COW_EXPORT const struct cow_problem *cow_problem_find(const char *id);

/* One thing that was found. Valid during the callback only. */
struct cow_finding {
	size_t size;
	const struct cow_problem *problem;
	const char *image;     /* name of the image */
	uint64_t offset_bytes; /* on that image, or COW_OFFSET_NONE */
	uint64_t len_bytes;    /* 0: a place, not a range */
	uint64_t chunk;	       /* offset in chunks, or COW_OFFSET_NONE */
	const char *sentence;  /* what, where, found, allowed */
	/* What stands there: unit 5 of whole 0 ("record", "area"), so that findings of
	 * one id in neighbouring places can be told as one. NULL: it has no number. */
	const char *unit, *whole;
	uint64_t unit_number, whole_number;
	uint64_t view_bytes; /* so much of the view depends on it; 0: not known */
};

/* Collects findings: counts all, passes on the first max_findings of an id. */
struct cow_report;

/* Creates a report. callbacks may be NULL and must outlive it;
 * max_findings 0 means 1000. Errors: -ENOMEM. */
COW_EXPORT int cow_report_new(const struct cow_callbacks *callbacks, uint64_t max_findings,
			      struct cow_report **ret_report, struct cow_err *err);
COW_EXPORT void cow_report_free(struct cow_report *report);
/* Counts the findings of one class (COW_CLASS_*). */
COW_EXPORT uint64_t cow_report_count(const struct cow_report *report, int klass);
/* Counts the findings of one id; 0 for an id that is not in the table. */
COW_EXPORT uint64_t cow_report_count_id(const struct cow_report *report, const char *id);

/* ---------------------------------------------------------------- stores */

/* What an image is to a store. A kind of store says which it needs. */
#define COW_ROLE_ORIGIN 1      /* what the snapshot was taken of */
#define COW_ROLE_COW 2	       /* the image that holds an exception store */
#define COW_ROLE_METADATA 3    /* metadata on an image of its own */
#define COW_ROLE_SOURCE 4      /* clone: read-only source */
#define COW_ROLE_DESTINATION 5 /* clone: where regions go */
#define COW_ROLE_LOG 6	       /* log devices, in order (index 0, 1, ...) */
#define COW_ROLE_DATA 7	       /* thin: the data device of a pool */

struct cow_role_image {
	int role;	/* COW_ROLE_* */
	uint32_t index; /* for COW_ROLE_LOG, else 0 */
	struct cow_image *image;
};

/* A fact that a format does not record, e.g. {"word-bytes", "4"}. */
struct cow_geometry {
	const char *key;
	const char *value;
};

#define COW_STORE_DAMAGED (1u << 0) /* read as the kernel would, mend nothing */
#define COW_STORE_INVALID (1u << 1) /* read a store that is marked invalid */
#define COW_STORE_STRICT (1u << 2)  /* refuse a list that may be cut short */
/* Of a store that holds several snapshots: its blocks are not listed, so that opening
 * takes no time. For its facts and cow_store_difference(): it has no extents and no view. */
#define COW_STORE_NO_MAP (1u << 3)

struct cow_store;

/* Which store to open, check, repair or create. Images stay the caller's and
 * must outlive the store. */
struct cow_store_args {
	size_t size;
	const char *kind; /* "persistent", ...; NULL: probe */
	const struct cow_role_image *images;
	size_t nr_images;
	uint64_t snapshot_id; /* of a store that holds several; else 0 */
	const struct cow_geometry *geometry;
	size_t nr_geometry;
	uint64_t chunk_bytes; /* open: 0, or must match; create: wanted size */
	uint32_t flags;	      /* COW_STORE_* */
	/* Opening one more snapshot of a store that holds several: any handle on
	 * it that is open. All of them share what is in memory, and what one of
	 * them makes durable is durable for all. Else NULL. */
	struct cow_store *sibling;
};
#define COW_STORE_ARGS_INIT                                                                        \
	{                                                                                          \
		.size = sizeof(struct cow_store_args)                                              \
	}

/* One image of a store, and the specification that opens it. */
struct cow_role_spec {
	int role;	/* COW_ROLE_* */
	uint32_t index; /* as in struct cow_role_image */
	const char *spec;
};

/* What a text says of a store that consists of several images. */
struct cow_store_spec {
	const char *kind; /* static */
	struct cow_role_spec *images;
	size_t nr_images;
	struct cow_geometry *geometry;
	size_t nr_geometry;
};

/*
 * Reads a specification of such a store, "clone:metadata=M,source=S,destination=D",
 * with the names that the set has. Opens nothing. *ret_spec: for cow_store_spec_free(); NULL, and
 * 0, where the text is a specification of another form. Errors: -EINVAL, -EPERM (id
 * "ambiguous-name"), -EOPNOTSUPP a kind that this version does not have, -ENOMEM.
 */
COW_EXPORT int cow_store_spec_parse(const struct cow_imageset *set, const char *text,
				    struct cow_store_spec **ret_spec, struct cow_err *err);
/* Do two specifications show the same bytes of the same files, whatever they call them?
 * Opens both for reading, without a lock, and closes them again. What lies elsewhere than
 * in files is the same only by its text. Errors: as cow_imageset_open(). */
COW_EXPORT int cow_spec_is_same(struct cow_imageset *set, const char *a, const char *b,
				bool *ret_is_same, struct cow_err *err);
/*
 * Reads a line of `dmsetup table`, "[NAME: ]START LENGTH clone M D S REGION...": the
 * images as it names them (MAJOR:MINOR: by that number), the numbers as geometry.
 * Errors: -EINVAL it is no such line, or its target is of another kind; -ENOMEM.
 */
COW_EXPORT int cow_store_spec_table(const char *line, struct cow_store_spec **ret_spec,
				    struct cow_err *err);
/*
 * Makes such a specification of a logical volume that is a thin device, or a pool of
 * them: the images that the volume group names, and what it says of size, external
 * origin and ids. Where text names a pool by its parts, and its metadata are a logical
 * volume, *ret_spec is the same with what the volume group says of that pool. Opens the
 * images of text for reading and closes them again. *ret_spec: as cow_store_spec_parse();
 * NULL where the volume is no such thing, or text no volume. Errors: as cow_imageset_open().
 */
COW_EXPORT int cow_store_spec_volume(struct cow_imageset *set, const char *text,
				     struct cow_store_spec **ret_spec, struct cow_err *err);
COW_EXPORT void cow_store_spec_free(struct cow_store_spec *spec);

/* Names a kind of store, by index; NULL behind the last. */
COW_EXPORT const char *cow_store_kind(size_t index);

/*
 * Tells which kind of store an image holds, by looking at it the way a kind
 * with that image in its main role does. ret_kind: static. Errors:
 * -EMEDIUMTYPE none (the sentence names what it is instead, where that is
 * known), -EIO, -ENOMEM.
 */
COW_EXPORT int cow_store_probe(struct cow_image *image, const char **ret_kind, struct cow_err *err);

/* An exception store, open. */
struct cow_store;

/*
 * Fills in args for a store on one COW image, with its origin (NULL: none), so that
 * nobody writes out roles. roles must outlive args. Everything else in args keeps its
 * value. Cannot fail.
 */
COW_EXPORT void cow_store_args_pair(struct cow_store_args *args, struct cow_role_image roles[2],
				    struct cow_image *cow, struct cow_image *origin);

/*
 * Opens a store and loads its exceptions. Never writes (I10). A writable COW
 * image is believed only as read from the disk (I12).
 * ret_store: the caller's, to be closed with cow_store_close().
 * Errors: -EMEDIUMTYPE no kind knows these bytes (id "not-a-store"; the
 * sentence names what it is instead, where that is known);
 * -EBADMSG damaged (id "damaged", force "damaged") or marked invalid (id
 * "invalid", force "invalid"); -EOPNOTSUPP another version; -EINVAL
 * chunk_bytes contradicts the header (id "chunk-size"), a role is missing, or the
 * format does not record its geometry and args lack a part of it (id "geometry");
 * -ERANGE an exception lies beyond the origin (id "bounds", force "damaged");
 * -EIO, -ENOMEM.
 */
COW_EXPORT int cow_store_open(const struct cow_store_args *args, struct cow_store **ret_store,
			      struct cow_err *err);
/* Closes a store; NULL is allowed. Its images stay open. */
COW_EXPORT void cow_store_close(struct cow_store *store);

/* Facts of a store. */
struct cow_store_info {
	size_t size;
	const char *kind;
	bool valid;		/* false: marked invalid */
	uint64_t chunk_bytes;	/* unit of mapping */
	uint64_t view_bytes;	/* length of the view, where the store says it; else 0 */
	uint64_t nr_exceptions; /* records that are live; hydrated regions */
	/* What dmsetup status prints, in sectors: allocated/total metadata
	 * (source: drivers/md/dm-snap-persistent.c, persistent_usage and
	 * persistent_status; Linux 3.2 and later). */
	uint64_t allocated_sectors, total_sectors, metadata_sectors;
	/* Words for people, of a store that knows the length of its view: what its
	 * chunks are ("regions"), and those of nr_exceptions ("hydrated"); static. */
	const char *units, *held;
	/* Of a thin device: nobody said how long it is, so view_bytes is where its
	 * highest mapping ends; the device itself may be longer. */
	bool is_size_guessed;
	/* Of a store that holds several snapshots, as cow_check() finds it: how many;
	 * else 0. allocated_sectors is of the data then. */
	uint64_t nr_snapshots;
	const char *title; /* what it is, for people: "snapshot store"; static */
};
#define COW_STORE_INFO_INIT                                                                        \
	{                                                                                          \
		.size = sizeof(struct cow_store_info)                                              \
	}
/* Reads them. Errors: -EINVAL size not set. */
COW_EXPORT int cow_store_get_info(const struct cow_store *store, struct cow_store_info *ret_info);

/* Tells what a person should know who reads a store that is open: a finished
 * sentence; NULL behind the last one. Cannot fail. */
COW_EXPORT const char *cow_store_note(const struct cow_store *store, size_t index);

/* A run of neighbours: len_bytes of the origin at old_bytes are found on the
 * COW image at new_bytes. */
struct cow_extent {
	uint64_t old_bytes;
	uint64_t new_bytes; /* COW_OFFSET_NONE: of a damaged store, nowhere */
	uint64_t len_bytes; /* not clipped at the end of the origin */
	bool is_shared;	    /* with another snapshot, to the kernel: a write copies it first */
	bool has_others;    /* another snapshot has it now; after cow_store_find_owners() */
};
/* Finds the run at or behind origin offset old_bytes, clipped to begin there;
 * false: no exception from there on. Cannot fail. */
COW_EXPORT bool cow_store_next_extent(const struct cow_store *store, uint64_t old_bytes,
				      struct cow_extent *ret_extent);

/*
 * Finds out which blocks of this snapshot others of the same store have, too, by a walk
 * over all of them: extents tell it from then on. Nothing to do where a store holds one
 * snapshot. Errors: -EBADMSG some snapshot is damaged, so that nobody can tell (id
 * "damaged"); -ECANCELED, -EIO, -ENOMEM.
 */
COW_EXPORT int cow_store_find_owners(struct cow_store *store, const struct cow_callbacks *callbacks,
				     struct cow_err *err);
/*
 * Calls range for each range in which one of two snapshots of a store has other data than
 * the other, or has data alone; ascending, neighbours joined, in whole blocks, not clipped
 * at the end of a view. By the metadata alone, of which what both have in common is not
 * read. A range that returns a negative errno ends the job with it. Errors: -EINVAL they
 * are of two stores; -EOPNOTSUPP; -EBADMSG, -EIO, -ENOMEM.
 */
COW_EXPORT int cow_store_difference(struct cow_store *a, struct cow_store *b,
				    int (*range)(void *user, uint64_t offset_bytes,
						 uint64_t len_bytes),
				    void *user, struct cow_err *err);

/*
 * Lists the ranges of the COW image that matter: header, metadata areas in use,
 * chunks that exceptions name; ascending, neighbours joined. A range that
 * returns a negative errno ends the job with it. Errors: -ENOMEM.
 */
COW_EXPORT int cow_store_used(const struct cow_store *store,
			      int (*range)(void *user, uint64_t offset_bytes, uint64_t len_bytes),
			      void *user, struct cow_err *err);

/* Marks a store invalid, durably. Errors: -EROFS, -EIO, -EOPNOTSUPP. */
COW_EXPORT int cow_store_invalidate(struct cow_store *store, struct cow_err *err);

/*
 * Adds exceptions, in the durable order of the kernel (I3, I5):
 * cow_store_reserve() says whether nr_chunks more fit;
 * cow_store_append() writes len_bytes of data that belong to origin offset
 * old_bytes: whole chunks (or pieces of one chunk, ascending, one after the
 * other; the origin's short last chunk may stay short); none of them may be in
 * the store already. buf NULL: zeros, as a hole. Nothing is visible yet;
 * cow_store_publish() makes all of it visible and durable, or none.
 * Errors: -ENOSPC (err says how many chunks are missing), -EEXIST the chunk
 * has an exception, -EINVAL alignment or an unfinished chunk, -EROFS, -EIO,
 * -ENOMEM. What append could not write gets no exception: its chunks are given back
 * (but not one that was given in pieces: then nothing more can be added). After an
 * error of publish the store is to be closed.
 */
COW_EXPORT int cow_store_reserve(struct cow_store *store, uint64_t nr_chunks, struct cow_err *err);
COW_EXPORT int cow_store_append(struct cow_store *store, uint64_t old_bytes, const void *buf,
				size_t len_bytes, struct cow_err *err);
COW_EXPORT int cow_store_publish(struct cow_store *store, struct cow_err *err);

/* ----------------------------------------------------------------- views */

/*
 * Creates the image that a snapshot device would show: the store's chunk
 * where there is an exception, else the origin; clipped to the origin's size
 * (I11), or as long as a store says that knows its length: then the origin may
 * be shorter (zeros behind its end), or NULL (zeros). Reading only. It is an
 * image, so views stack. origin and store stay the caller's and must outlive
 * it. Errors: -ENOMEM, -ERANGE, -EINVAL no origin and no length.
 */
COW_EXPORT int cow_view_new(struct cow_image *origin, struct cow_store *store,
			    struct cow_image **ret_view, struct cow_err *err);

/*
 * Creates the same image for writing: what is written goes to the store, as it does
 * on the kernel's snapshot device. Where there is an exception it is written in place;
 * else the chunk is filled up from below to a whole one and becomes an exception, which
 * others see after cow_image_flush(). A crash loses what was not flushed and nothing
 * else: the store is valid at each instant. As on a disk, nothing is promised about the
 * order of writes between two flushes.
 *
 * Of the functions for images: cow_image_pwrite() and cow_image_write_zeroes() write;
 * cow_image_discard() makes a hole where there is an exception and the store lies in a
 * file, and does nothing elsewhere: what is discarded reads as zeros or as before;
 * cow_image_flush() makes all of it durable. After 64 MiB of new chunks a write does
 * so, too. A store that is full, or without room below it, answers a write with
 * -ENOSPC and stays usable; after a failed flush, or a record that could not be written,
 * nothing is written any more (-EIO), and reading goes on.
 *
 * Nothing else uses the store while the image is there. Several threads may read
 * it together, but while one writes, discards or flushes no other thread may use it.
 * origin and store stay the caller's and must outlive it; closing it flushes nothing.
 * Errors: as cow_view_new(); -EROFS the image of the store is not open for writing;
 * -EOPNOTSUPP a kind that is read-only for now, or chunks of over 64 MiB (id "unsupported");
 * -EPERM it belongs to a job that has not finished, or is an undo file (id
 * "other-job"); -EBUSY somebody else has changed it (id "changed"); -EBADMSG the store
 * is damaged.
 */
COW_EXPORT int cow_view_new_writable(struct cow_image *origin, struct cow_store *store,
				     struct cow_image **ret_view, struct cow_err *err);
/* Can all bytes of a range be written in place? view: such an image, or a window of one;
 * of another image, or outside of it, the answer is false. Cannot fail. */
COW_EXPORT bool cow_view_is_in_place(struct cow_image *view, uint64_t offset_bytes,
				     uint64_t len_bytes);

/* ---------------------------------------------------------------- stacks */

/* An origin, COW images in layers above it, their stores, and the view through all
 * of them. */
struct cow_stack;

#define COW_STACK_VIEW (1u << 0)      /* with views; else images and stores only */
#define COW_STACK_SKIP (1u << 1)      /* views go on past sectors that cannot be read */
#define COW_STACK_SKIP_ZERO (1u << 2) /* the same, with zeros, of the origin too */
#define COW_STACK_WRITE (1u << 3)     /* the topmost view is cow_view_new_writable() */

struct cow_stack_params {
	size_t size;
	uint32_t flags;		  /* COW_STACK_* */
	uint32_t open_flags;	  /* COW_OPEN_*, for each image */
	struct cow_imageset *set; /* the caller's, outlives the stack; NULL: a new one */
	const char *origin;	  /* specification; NULL: stores that need none */
	const char *const *cows;  /* specifications, lowest layer first */
	size_t nr_cows;		  /* 0: the view is the origin */
	const char *kind;	  /* of the stores; NULL: detect */
	uint64_t partition;	  /* show this partition of the view; 0: all of it */
	const char *volume;	  /* show this LVM volume, "VG/LV", of what is left; NULL */
	const struct cow_callbacks *callbacks; /* hear of skipped sectors; outlive it */
	void *user;
	/* Asked about a store that is refused, but can be read by force
	 * (refusal->force is "damaged", "invalid" or "doubtful"): not 0 reads it
	 * as it is. Asked once for each of these. NULL: no. */
	int (*question)(void *user, const struct cow_err *refusal);
	/* What a person should know, a finished sentence. NULL: nobody listens. */
	void (*note)(void *user, const char *sentence);
	/* Puts an image above one that was opened: index 0 is the origin, 1 the
	 * lowest COW image. *ret_above is the stack's from then on, or NULL. Returns 0
	 * or a negative errno, with a sentence in err. NULL: nothing. */
	int (*above)(void *user, size_t index, struct cow_image *image,
		     struct cow_image **ret_above, struct cow_err *err);
};
#define COW_STACK_PARAMS_INIT                                                                      \
	{                                                                                          \
		.size = sizeof(struct cow_stack_params), .flags = COW_STACK_VIEW                   \
	}

/*
 * Opens all of it; params is not used any more afterwards. Nothing is written. A
 * store whose list may be cut short is refused (COW_STORE_STRICT) as long as no
 * question is answered with yes. With COW_STACK_WRITE the topmost COW image is opened for
 * writing, the others as without; there is no question then, and no skipping.
 * Errors: those of cow_imageset_open(), cow_store_open(), cow_view_new() and
 * cow_image_skip_new(); -EPERM the origin is a COW image and the COW image is none
 * (id "swapped"); -EINVAL no image, or the size or a flag; of a partition or a volume
 * -EMEDIUMTYPE there is no table (id "no-table") or no physical volume (id "no-pv"),
 * -ENOENT, -EBADMSG, -EOPNOTSUPP.
 */
COW_EXPORT int cow_stack_open(const struct cow_stack_params *params, struct cow_stack **ret_stack,
			      struct cow_err *err);
/* Closes everything but a set that the caller brought; NULL is allowed. Nothing is
 * flushed. */
COW_EXPORT void cow_stack_close(struct cow_stack *stack);

/*
 * The topmost view, or what was asked for in it; without COW_STACK_VIEW the origin.
 * It belongs to the stack, as all that follows. While nothing else is done with the
 * stack, several threads may read the view at the same time, with
 * cow_image_pread(), cow_image_next_data() and cow_image_size(): the one exception
 * to the thread rule. Images of a program (cow_image_custom_new()) below it must be
 * ready for that. Cannot fail.
 */
COW_EXPORT struct cow_image *cow_stack_view(const struct cow_stack *stack);
/*
 * Finds where in the view of all layers a byte of cow_stack_view() lies, which is below
 * its size: elsewhere only inside a partition or a volume of the view. ret_place begins
 * there, and is as long as what follows in one piece. false: nowhere (zeros of a volume);
 * its length is set all the same. Cannot fail.
 */
COW_EXPORT bool cow_stack_locate(const struct cow_stack *stack, uint64_t offset_bytes,
				 struct cow_segment *ret_place);
/* The set of images. */
COW_EXPORT struct cow_imageset *cow_stack_set(const struct cow_stack *stack);
/* What the layers stand on: with what params.above put there, and with
 * COW_STACK_SKIP_ZERO without its bad sectors. NULL: none was named. */
COW_EXPORT struct cow_image *cow_stack_origin(const struct cow_stack *stack);

/* One layer of a stack. */
struct cow_stack_layer {
	size_t size;
	struct cow_image *cow; /* what the store lies on */
	struct cow_store *store;
	struct cow_image *view; /* through this layer, without skipping; NULL: not asked for */
	struct cow_image *skip; /* the same with skipping; NULL: not asked for */
};
#define COW_STACK_LAYER_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_stack_layer)                                             \
	}
/* Tells of a layer, 0 the lowest; false: there is none of that index. */
COW_EXPORT bool cow_stack_layer(const struct cow_stack *stack, size_t index,
				struct cow_stack_layer *ret_layer);
/* Why the view may not be what it was: the first refusal that a question was asked
 * about and answered with yes. NULL: there was none. */
COW_EXPORT const struct cow_err *cow_stack_doubt(const struct cow_stack *stack);

/*
 * Writes to an origin after saving what is overwritten into every one of its
 * stores that lacks it: the kernel's snapshot-origin. Saved data and records
 * are durable before the origin is touched (I4); the write itself is durable
 * after cow_image_flush(). Room in all stores is checked first. The chunk
 * sizes of the stores may differ. Errors: -ENOSPC (nothing was written),
 * -ERANGE, -EROFS, -EIO, -ENOMEM.
 */
COW_EXPORT int cow_copyout_write(struct cow_image *origin, struct cow_store *const *stores,
				 size_t nr_stores, const void *buf, size_t len_bytes,
				 uint64_t offset_bytes, struct cow_err *err);

/*
 * Creates an image that shows origin and writes to it as cow_copyout_write()
 * does, so that any job on it can be taken back. origin and stores stay the
 * caller's and must outlive it. Errors: -ENOMEM.
 */
COW_EXPORT int cow_copyout_image_new(struct cow_image *origin, struct cow_store *const *stores,
				     size_t nr_stores, struct cow_image **ret_image,
				     struct cow_err *err);

/* ------------------------------------------------------------------ jobs */

struct cow_create_params {
	size_t size;
	uint64_t origin_bytes; /* size of the origin, for cow_create_size() */
	uint64_t chunk_bytes;  /* 512 .. 1 GiB, power of two; 0: 4096 */
	const char *kind;      /* NULL: "persistent" */
	/* Further images in their roles, for a kind that needs several. */
	const struct cow_role_image *images;
	size_t nr_images;
	/* What that kind of store can be told, as key and value. */
	const struct cow_geometry *geometry;
	size_t nr_geometry;
};
#define COW_CREATE_PARAMS_INIT                                                                     \
	{                                                                                          \
		.size = sizeof(struct cow_create_params)                                           \
	}

/* Computes the bytes a COW image needs so that the whole origin can be
 * rewritten: n + 2 + floor(n/E) chunks. Errors: -EINVAL chunk size, -ERANGE. */
COW_EXPORT int cow_create_size(const struct cow_create_params *params, uint64_t *ret_bytes,
			       struct cow_err *err);
/*
 * Computes the largest size up to wanted_bytes that is good for a COW image:
 * whole chunks, and not one at which the kernel invalidates the store before it
 * is full (persistent: a metadata area would be the last chunk; it holds as
 * many exceptions without that chunk). params.origin_bytes is not looked at.
 * Errors: -EINVAL chunk size, -ERANGE fewer than three chunks (id "size").
 */
COW_EXPORT int cow_create_fit(const struct cow_create_params *params, uint64_t wanted_bytes,
			      uint64_t *ret_bytes, struct cow_err *err);
/*
 * Makes cow an empty, valid store, durably. cow is the image that the kind is
 * known by; NULL: it is among params.images. Persistent, over an old store: sector 0
 * zeroed, flush; area 0 zeroed, flush; header, flush; so that a crash leaves
 * the old store, none, or the new one.
 * Errors: -EINVAL chunk size not a power of two, out of range or no multiple
 * of the logical block sizes (id "chunk-size"), a role is missing, a key of geometry
 * means nothing to the kind; -ERANGE fewer than three
 * chunks (id "size"); -EROFS, -EIO.
 */
COW_EXPORT int cow_create(struct cow_image *cow, const struct cow_create_params *params,
			  struct cow_err *err);

#define COW_SNAPSHOT_NONE UINT64_MAX	 /* no snapshot; any id */
#define COW_SNAPSHOT_REHEARSE (1u << 0)	 /* everything but the first write */
#define COW_SNAPSHOT_MANAGED (1u << 1)	 /* also where LVM has a list of the snapshots */
#define COW_SNAPSHOT_UNRELATED (1u << 2) /* swap: also where the two share nothing */

/* A new snapshot in a store that holds many. */
struct cow_snapshot_params {
	size_t size;
	uint64_t id;	     /* COW_SNAPSHOT_NONE: the next free one */
	uint64_t parent_id;  /* whose snapshot; COW_SNAPSHOT_NONE: an empty one */
	uint64_t view_bytes; /* length of an empty one, where the store records it */
	uint32_t flags;	     /* COW_SNAPSHOT_* */
};
#define COW_SNAPSHOT_PARAMS_INIT                                                                   \
	{                                                                                          \
		.size = sizeof(struct cow_snapshot_params), .id = COW_SNAPSHOT_NONE,               \
		.parent_id = COW_SNAPSHOT_NONE                                                     \
	}

/*
 * Makes a snapshot in a store that holds many (a device in a thin pool), durably, in one
 * transaction. args name the store; geometry has no id. The whole store is checked first:
 * one that is not sound is not written to, but for leaks. Errors: -EBADMSG (id "damaged");
 * -EEXIST (id "device-exists"); -ENOENT no such parent (id "no-device"); -ENOSPC (id
 * "metadata-space"); -EPERM LVM has a list of the snapshots (id "lvm"); -ERANGE the
 * store counts no further snapshot (id "time"); -EOPNOTSUPP; -EINVAL; -EIO, -ENOMEM.
 */
COW_EXPORT int cow_snapshot_create(const struct cow_store_args *args,
				   const struct cow_snapshot_params *params, uint64_t *ret_id,
				   struct cow_err *err);
/* Deletes one, likewise. Its blocks that no other snapshot has are free. Errors: as
 * above, but for those about its parent. */
COW_EXPORT int cow_snapshot_delete(const struct cow_store_args *args, uint64_t id, uint32_t flags,
				   struct cow_err *err);
/*
 * Exchanges two, likewise: a shows what b showed, and b what a showed. The same call takes
 * it back. Ids, the transaction id and the list that LVM has stay as they are. flags:
 * COW_SNAPSHOT_REHEARSE, COW_SNAPSHOT_UNRELATED. Errors: -EBADMSG (id "damaged"); -ENOENT
 * (id "no-device"); -ENOSPC (id "metadata-space"); -EPERM the two have no block in common
 * (id "origin"), or LVM is at another transaction or has a message for the pool (id "lvm");
 * -EINVAL the two are one; -EOPNOTSUPP; -EIO, -ENOMEM.
 */
COW_EXPORT int cow_snapshot_swap(const struct cow_store_args *args, uint64_t a_id, uint64_t b_id,
				 uint32_t flags, struct cow_err *err);

#define COW_CHECK_HEADER_ONLY (1u << 0)
#define COW_CHECK_EMPTY (1u << 1) /* and set cow_verdict.empty: reads all metadata areas */

/* One snapshot of a store that holds several: a thin device of a pool. Valid during
 * the callback only. */
struct cow_snapshot {
	size_t size;
	uint64_t id;
	uint64_t nr_mapped;	       /* blocks */
	uint64_t nr_exclusive;	       /* of them, those that no other snapshot uses */
	uint64_t end_bytes;	       /* where its highest block ends; 0: none */
	uint64_t transaction_id;       /* of the pool, when it was created */
	uint64_t created, snapshotted; /* times: how many snapshots there were then */
	bool is_damaged;	       /* some of it cannot be read: the numbers are too small */
	uint64_t nr_lost;	       /* blocks that it should map, and that were not found */
};

struct cow_check_params {
	size_t size;
	uint32_t flags; /* COW_CHECK_* */
	const struct cow_callbacks *callbacks;
	/* Called with the callbacks' user for each snapshot of a store that holds
	 * several, by ascending id, when everything has been looked at; may be NULL. */
	void (*snapshot)(void *user, const struct cow_snapshot *snapshot);
};
#define COW_CHECK_PARAMS_INIT                                                                      \
	{                                                                                          \
		.size = sizeof(struct cow_check_params)                                            \
	}

/* When a kernel crashes on a store (seen on Linux 6.1). */
#define COW_KERNEL_DIES_NEVER 0
#define COW_KERNEL_DIES_LOADING 1
#define COW_KERNEL_DIES_WRITING 2 /* at the first write to the snapshot */

/* What becomes of writes to a store that the kernel loads, the worst of it. */
#define COW_KERNEL_WRITES_WORK 0
#define COW_KERNEL_WRITES_FAIL 1      /* the first that needs a block fails; then read-only */
#define COW_KERNEL_WRITES_READ_ONLY 2 /* from the start: those that need a block fail */
#define COW_KERNEL_WRITES_HARM 3      /* they may change what others show */

/* What follows from the findings, for people and programs. */
/* Would anything be lost with the store? cow_verdict.empty. */
#define COW_EMPTY_UNKNOWN 0 /* not asked, or this kind of store cannot tell */
#define COW_EMPTY_YES 1	    /* nothing would */
#define COW_EMPTY_HOLDS 2   /* it holds exceptions */
#define COW_EMPTY_DAMAGED 3 /* nobody can tell */
#define COW_EMPTY_BEHIND 4  /* the list is empty, and records stand behind it */

struct cow_verdict {
	size_t size;
	bool kernel_loads; /* dmsetup create of a snapshot would succeed, active */
	bool view_right;   /* its reads return the data that was written */
	bool merge_right;  /* snapshot-merge would give that view */
	bool valid;	   /* not marked invalid */
	bool known;	   /* the numbers below were found */
	bool wiped;	   /* the kernel takes it for a new store and wipes it */
	int kernel_dies;   /* COW_KERNEL_DIES_* */
	/* No chunk size could be told: cow_store_args.chunk_bytes decides, and
	 * without it nothing can be repaired. */
	bool needs_chunk_bytes;
	bool can_revalidate; /* COW_REPAIR_REVALIDATE would make it valid */
	/* Exceptions lie beyond the end of the origin as if it were too short, or
	 * the wrong one, and not as if they were damaged. */
	bool doubts_origin;
	/* The list has no end because the image ends first: so large it must be
	 * made, with zeros. 0: large enough, or more is missing than that. */
	uint64_t needed_bytes;
	struct cow_store_info info;
	uint32_t empty;	    /* COW_EMPTY_*, with COW_CHECK_EMPTY */
	uint64_t nr_behind; /* records behind an empty list, harmless ones too */
	bool is_doubtful;   /* the list may be cut short, or go on in a copy of an area */
	bool has_older;	    /* records of an older store stand behind the list */
	/* The list is empty, as new ones and merged ones are. But records stand behind
	 * it, or where another chunk size would put them: a store that lost its
	 * beginning looks the same. */
	bool may_have_lost;
	bool merge_begun; /* and has not finished: the origin holds half of it */
	/* With COW_CHECK_HEADER_ONLY: kernel_loads says that the header is no
	 * obstacle; nobody looked at the list, and view_right and merge_right are
	 * false. */
	bool header_only;
	bool no_kernel; /* no kernel has a driver for it: kernel_loads is false */
	/* The geometry by which the store was judged, where it was not given and the
	 * images tell it: "key=value,..." as a specification has it; else "". */
	char geometry[160];
	/* It is repaired into an image of its own, cow_repair_params.target, which
	 * has target_bytes at least. */
	bool needs_target;
	uint64_t target_bytes;
	int kernel_writes; /* COW_KERNEL_WRITES_* */
};
#define COW_VERDICT_INIT                                                                           \
	{                                                                                          \
		.size = sizeof(struct cow_verdict), .info = COW_STORE_INFO_INIT                    \
	}

/*
 * Checks a store, also one that cannot be opened; never writes. Damage is not
 * an error: findings go to the report. Errors: -EIO, -ENOMEM, -ECANCELED,
 * -EMEDIUMTYPE nothing there looks like a store of the wanted kind.
 */
COW_EXPORT int cow_check(const struct cow_store_args *args, const struct cow_check_params *params,
			 struct cow_report *report, struct cow_verdict *ret_verdict,
			 struct cow_err *err);

/*
 * Copies to target what cow_check() reads of the store, and no data: header,
 * list of exceptions, what stands behind its end. Of target cow_check() says
 * the same, with the same chunk_bytes in args. Works on stores that cannot be
 * opened. Where data stands in the place of metadata, only what a report shows
 * of it is copied: libcow-metadata(5) has the promise. target: as large as the
 * COW image (the logs of a snaplog: all of them, one after the other), and all
 * zeros (cow_image_standin_new(): memory in proportion to the metadata). Errors: as
 * cow_check(), -EINVAL target has another size.
 */
COW_EXPORT int cow_metadata_copy(const struct cow_store_args *args,
				 const struct cow_callbacks *callbacks, struct cow_image *target,
				 struct cow_err *err);

/* Whether extents are shared instead of copied. */
#define COW_REFLINK_AUTO 0   /* where it is possible and faster */
#define COW_REFLINK_ALWAYS 1 /* wherever alignment allows; an error where not possible */
#define COW_REFLINK_NEVER 2

#define COW_REPAIR_SAFE (1u << 0)	/* only what is safe without asking */
#define COW_REPAIR_LOST (1u << 1)	/* drop exceptions beyond a truncated end, too */
#define COW_REPAIR_REVALIDATE (1u << 2) /* mark an invalid store valid */
#define COW_REPAIR_ORIGIN (1u << 3)	/* although the origin is in doubt */
#define COW_REPAIR_DOUBTFUL (1u << 4)	/* clone: although trees contradict each other */
#define COW_REPAIR_APPEND (1u << 5)	/* also where that may be an older store's */
#define COW_REPAIR_FILL (1u << 6)	/* guess what is missing in a gap of the list */
#define COW_REPAIR_LEAVE (1u << 7)	/* append nothing that stands behind a gap */

struct cow_repair_params {
	size_t size;
	uint32_t flags; /* COW_REPAIR_* */
	const struct cow_callbacks *callbacks;
	void *user;
	/* Asked for each finding that would be mended, before anything is
	 * written; false: leave it. NULL: mend all. */
	bool (*approve)(void *user, const struct cow_finding *finding);
	/* Called at the end for each range of the view whose exceptions were
	 * dropped: it shows the origin now, and the data is lost. Ascending.
	 * NULL: nobody wants to know. */
	void (*lost)(void *user, uint64_t offset_bytes, uint64_t len_bytes);
	/* Where a store that is not repaired in place is written as a whole
	 * (cow_verdict.needs_target); the images in args are only read then. NULL:
	 * in place. */
	struct cow_image *target;
	/* Called at the end for each range of the view of which it cannot be told
	 * on which image its newest data lies. Ascending. NULL: nobody wants to
	 * know. */
	void (*doubtful)(void *user, uint64_t offset_bytes, uint64_t len_bytes);
	/* Of a store that holds several snapshots, the same two for each of them, with
	 * its id: what is gone (it shows zeros now, or the external origin; len_bytes 0:
	 * to its end), and what may be the bytes of another one. NULL allowed. */
	void (*snapshot_lost)(void *user, uint64_t id, uint64_t offset_bytes, uint64_t len_bytes);
	void (*snapshot_doubtful)(void *user, uint64_t id, uint64_t offset_bytes,
				  uint64_t len_bytes);
	/* Called at the end, where the way to mappings was lost and nr of them were found
	 * again, for each snapshot that has them. nr_missing: as many as it had are gone.
	 * Of which commit: found_transaction of the result. NULL allowed. */
	void (*snapshot_found)(void *user, uint64_t id, uint64_t nr, uint64_t nr_missing);
};
#define COW_REPAIR_PARAMS_INIT                                                                     \
	{                                                                                          \
		.size = sizeof(struct cow_repair_params)                                           \
	}

struct cow_repair_result {
	size_t size;
	uint64_t nr_mended;  /* findings */
	uint64_t nr_left;    /* findings of damage or lost data that remain */
	uint64_t nr_dropped; /* records taken out of the list, second copies included */
	uint64_t nr_copied;  /* chunks that were given a copy of their own */
	uint64_t nr_lossy;   /* of the mended findings: those that cost data */
	uint64_t nr_lost;    /* exceptions that were dropped with their data, at least; the
			      * view shows the origin there. A later check cannot know it */
	uint64_t nr_unknown; /* of them: nobody knows which part of the view */
	uint64_t lost_bytes; /* of the view, of the others */
	/* Chunks, and bytes of the view, of which it cannot be told on which image
	 * their newest data lies. A later check cannot know it */
	uint64_t nr_doubtful, doubtful_bytes;
	uint64_t nr_appended; /* exceptions from behind a gap that may be an older store's */
	uint64_t nr_guessed;  /* exceptions that were made up, of a run that spans a gap */
	/* Exceptions that a larger chunk size finds than that of the header, which may be
	 * of a newer store, empty, over an older one */
	uint64_t nr_resized;
	/* Mappings of snapshots that were found again, and by which state of the store:
	 * its transaction id and time. */
	uint64_t nr_found, found_transaction;
	uint32_t found_time;
};
#define COW_REPAIR_RESULT_INIT                                                                     \
	{                                                                                          \
		.size = sizeof(struct cow_repair_result)                                           \
	}

/*
 * Mends a store, also one that cannot be opened; the COW image must be
 * writable (an overlay, for a preview). Of two exceptions of one chunk the one
 * that the kernel reads is kept. Exceptions beyond the end of the image are
 * dropped only with COW_REPAIR_LOST, and so are those beyond the end of a given
 * origin; where the origin is in doubt (cow_verdict.doubts_origin) they are
 * dropped only with COW_REPAIR_ORIGIN. What stands behind a gap in the list is
 * appended to it with COW_REPAIR_LOST; where it may be an older store's, with
 * COW_REPAIR_APPEND, too. With COW_REPAIR_FILL a gap that a run of chunks spans
 * exactly is filled as the run would: a guess. A
 * crash at any point leaves what the same call finishes; a second call writes
 * nothing. ret_result is written on failure too. Errors: -EROFS, -EIO,
 * -ENOMEM, -ECANCELED (nothing is half done), -EMEDIUMTYPE as cow_check(),
 * -EINVAL chunk_bytes contradicts the header (id "chunk-size"), -EBUSY the
 * header changed while it was asked what to do (id "changed").
 *
 * With a target, all is mended or nothing, and a crash leaves a target that holds
 * no store, or the new one. Errors before the target is written to, also: -EBADMSG
 * it cannot be decided what to write (id "table": the geometry must be given;
 * "doubtful": what is left contradicts itself; "damaged": too little is left),
 * -EPERM not all of it may be mended (id "declined"), -ERANGE the target is too
 * small (id "size"), -EOPNOTSUPP this kind is repaired in place, or an unknown
 * version.
 */
COW_EXPORT int cow_repair(const struct cow_store_args *args, const struct cow_repair_params *params,
			  struct cow_repair_result *ret_result, struct cow_err *err);

#define COW_REPAIR_UNDO_CONTINUE (1u << 0) /* a repair that was cut off */

/*
 * Creates an image over cow, for cow_repair() to work on: what is written is
 * first saved in undo, durably, as by cow_copyout_image_new(). undo: a store
 * opened with cow as its origin; empty and not used by anybody yet, or, with
 * COW_REPAIR_UNDO_CONTINUE, the one of a repair of cow that has not ended. That
 * it is of this image is looked at: 1 MiB, and 16 sectors in equal distances,
 * must be, seen through it, as they were. cow and undo stay the caller's and
 * must outlive *ret_guard. Errors: -EIO, -ENOMEM, -ERANGE; -ENOENT to be
 * continued, and undo is of no repair, or of one that has ended; -EPERM (id
 * "other-image") it is of another image, or cow was written to since.
 */
COW_EXPORT int cow_repair_undo_new(struct cow_image *cow, struct cow_store *undo, uint32_t flags,
				   struct cow_image **ret_guard, struct cow_err *err);

/*
 * Says in undo, durably, that the repair has ended: it is not continued, and
 * goes back by a merge of undo into cow. That merge first compares every range
 * that undo saved with what the repair left there, if the image of undo has room
 * for a digest of each behind its chunks: 32 bytes for each chunk of cow are
 * enough. Errors: -EIO, -ENOMEM, -EINVAL none has begun.
 */
COW_EXPORT int cow_repair_undo_end(struct cow_store *undo, struct cow_err *err);

#define COW_MERGE_DRY_RUN (1u << 0) /* everything up to the first write */
#define COW_MERGE_KEEP (1u << 1)    /* leave the exceptions in the store */
#define COW_MERGE_SPARSE (1u << 2)  /* zeros become holes of the origin, in units of 4 KiB */
/* In the end, durably, also where there was nothing to merge; not with KEEP.
 * What no record refers to is given back to the device, or overwritten. */
#define COW_MERGE_DISCARD (1u << 3)
#define COW_MERGE_SCRUB (1u << 4)
/* Goes on past sectors of the COW image that cannot be read: the origin keeps
 * its bytes there. The COW image is only read until everything readable is
 * durable on the origin: no label, no settlement before. In the end exactly the
 * exceptions stay in the store whose chunk could not be read as a whole. Not
 * with siblings, undo, DISCARD, SCRUB or COW_REFLINK_ALWAYS. */
#define COW_MERGE_SKIP_UNREADABLE (1u << 5)
/* The undo store was there before: it must be the one that an interrupted run of
 * this job completed, and an empty one is refused, whoever made it. */
#define COW_MERGE_UNDO_EXISTED (1u << 6)
/* Of the undo store of a repair: its target may have changed since the repair. */
#define COW_MERGE_CHANGED (1u << 7)
/* The copies of an origin that has several (cow_image_nr_copies()) need not be alike where
 * the merge does not write; they are not compared. Without it they are, before the first
 * write and in a dry run: what is not alike is refused (id "lv-legs", force "legs"). */
#define COW_MERGE_COPIES_MAY_DIFFER (1u << 8)

struct cow_merge_params {
	size_t size;
	uint32_t flags; /* COW_MERGE_* */
	/* Memory for a batch, which moves four times as much; 0: 64 MiB. A stop
	 * keeps what whole batches have done. */
	uint64_t batch_bytes;
	uint64_t epoch_bytes; /* work between two settlements; 0: 1 GiB */
	uint32_t epoch_ms;    /* or this much time; 0: 5000 */
	const struct cow_callbacks *callbacks;
	/* Other stores of the same origin, opened with it in its role and
	 * writable, whose views stay byte for byte what they were (I4). */
	struct cow_store *const *siblings;
	size_t nr_siblings;
	/* How many siblings of an earlier run the caller has marked invalid
	 * (cow_store_invalidate()) and gives up. */
	size_t nr_dropped;
	int reflink; /* COW_REFLINK_* */
	/* An empty store made for this job, of cow_undo_size() bytes at least
	 * and opened like a sibling, or the one that an interrupted run of this
	 * job completed, if the store has not grown since; NULL: none. */
	struct cow_store *undo;
	/* Called once, when siblings and undo are complete and durable and
	 * before the first write to the origin: the moment to give the undo file
	 * its name. An error ends the job. NULL: nothing to do. */
	void *user;
	int (*preserved)(void *user, struct cow_err *err);
	/* With COW_MERGE_SKIP_UNREADABLE, when everything else is durable: each
	 * range of the origin that was not written, ascending. An error ends the
	 * job before records are forgotten. NULL: nobody wants to know. */
	int (*skipped)(void *user, uint64_t offset_bytes, uint64_t len_bytes, struct cow_err *err);
};
#define COW_MERGE_PARAMS_INIT                                                                      \
	{                                                                                          \
		.size = sizeof(struct cow_merge_params)                                            \
	}

struct cow_merge_result {
	size_t size;
	uint64_t nr_chunks;	  /* settled by this run */
	uint64_t nr_left;	  /* still in the store */
	uint64_t nr_begun;	  /* in it when this job began to move; 0: it has not */
	uint64_t preserved_bytes; /* copied out to siblings and undo */
	uint64_t bytes;		  /* written to the origin */
	uint64_t cloned_bytes;	  /* of them shared, not copied */
	uint64_t zeroed_bytes;	  /* of them made holes (COW_MERGE_SPARSE) */
	uint64_t unused_bytes;	  /* discarded, scrubbed */
	uint64_t nr_runs;	  /* writes to the origin, after coalescing */
	uint64_t nr_epochs;
	uint64_t nr_flushes;	/* of origin and COW image together */
	uint64_t skipped_bytes; /* unreadable: not written (COW_MERGE_SKIP_UNREADABLE) */
	uint64_t nr_bad; /* exceptions that are not wholly readable; in a dry run: known to be */
};
#define COW_MERGE_RESULT_INIT                                                                      \
	{                                                                                          \
		.size = sizeof(struct cow_merge_result)                                            \
	}

/*
 * Writes the view into the origin and forgets the exceptions; at the end the
 * store is valid and empty. The store must have been opened with the origin
 * in its role, both images writable (unless COW_MERGE_DRY_RUN). A crash or an
 * error at any point leaves a pair whose view is still right; the same call
 * continues (I6). ret_result is written on failure too.
 * Errors: -EEXIST the undo store holds no undo of any merge (id "exists", with
 * COW_MERGE_UNDO_EXISTED); -EPERM a refusal (err.id: "siblings", "other-job", ...;
 * "bad-cow": data is known to be unreadable, and skipping was not asked for;
 * "other-image", "changed": store saved what the repair of an image overwrote, and
 * its target is not that image as the repair left it, see COW_MERGE_CHANGED);
 * -EINVAL opened without its origin; -EBUSY somebody changed the store since
 * it was opened (id "changed"); -EROFS; -ENOSPC (id "no-space") a sibling has
 * too little room, nothing was written, or the system's own; -ECANCELED at a
 * safe point, what was complete is settled; -EIO; -ENOMEM.
 */
COW_EXPORT int cow_merge(struct cow_store *store, const struct cow_merge_params *params,
			 struct cow_merge_result *ret_result, struct cow_err *err);

/* Computes the bytes of an undo store for merging store (opened with its
 * origin), chunks of the same size. Errors: -EINVAL, -ERANGE. */
COW_EXPORT int cow_undo_size(struct cow_store *store, uint64_t *ret_bytes, struct cow_err *err);

#define COW_TAKE_BACK_CHANGED (1u << 0) /* although the origin moved on */

/*
 * Takes a merge back: undo is the store that its cow_merge_params.undo filled,
 * opened with the origin, both writable. The origin is first compared with
 * what the merge left, then restored bit for bit by merging undo into it.
 * flags: COW_TAKE_BACK_*; params: as for cow_merge(), without undo; its flag
 * COW_MERGE_DRY_RUN compares only.
 * Errors: -EPERM not an undo file (id "no-undo"), of another origin (id
 * "other-origin"), the origin was changed since (id "changed", force
 * "changed"); else as cow_merge().
 */
COW_EXPORT int cow_take_back(struct cow_store *undo, uint32_t flags,
			     const struct cow_merge_params *params,
			     struct cow_merge_result *ret_result, struct cow_err *err);

#define COW_COPY_HOLES (1u << 0) /* target reads as zeros where nothing is written */

struct cow_copy_params {
	size_t size;
	uint32_t flags; /* COW_COPY_* */
	int reflink;	/* COW_REFLINK_* */
	const struct cow_callbacks *callbacks;
};
#define COW_COPY_PARAMS_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_copy_params)                                             \
	}

struct cow_copy_result {
	size_t size;
	uint64_t copied_bytes; /* read and written */
	uint64_t cloned_bytes; /* shared */
	uint64_t zero_bytes;   /* left as holes, or zeroed */
};
#define COW_COPY_RESULT_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_copy_result)                                             \
	}

/*
 * Copies an image (a view, say) to another of at least its size; holes, and
 * zeros in units of 4 KiB, stay holes with COW_COPY_HOLES and are zeroed
 * without. Nothing is flushed. Errors: -EINVAL target too small,
 * -EOPNOTSUPP COW_REFLINK_ALWAYS and no sharing here, -ECANCELED, -EIO,
 * -ENOSPC, -ENOMEM.
 */
COW_EXPORT int cow_copy(struct cow_image *source, struct cow_image *target,
			const struct cow_copy_params *params, struct cow_copy_result *ret_result,
			struct cow_err *err);

/* Size of the fixed ranges of a manifest, and of a digest (XXH3, 128 bits,
 * canonical big-endian form). */
#define COW_MANIFEST_RANGE_BYTES (UINT64_C(1) << 20)
#define COW_DIGEST_BYTES 16

/* One entry of a manifest. */
struct cow_manifest_range {
	uint64_t index; /* offset divided by COW_MANIFEST_RANGE_BYTES */
	uint8_t digest[COW_DIGEST_BYTES];
};

/* Answers of cow_manifest_params.known. */
#define COW_MANIFEST_UNKNOWN 0 /* read it */
#define COW_MANIFEST_KNOWN 1   /* its digest was filled in */
#define COW_MANIFEST_ZERO 2    /* it is all zeros */

struct cow_manifest_params {
	size_t size;
	const struct cow_callbacks *callbacks;
	void *user;
	/* Called for each range that holds anything but zeros, ascending; the
	 * last may be short. A negative errno ends the job with it. May be NULL. */
	int (*range)(void *user, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES]);
	/* Called for each extent that holds anything but zeros, ascending, in
	 * units of 4 KiB, neighbours joined. May be NULL. */
	int (*extent)(void *user, uint64_t offset_bytes, uint64_t len_bytes);
	/* Asked before a range is read, ascending: is its digest known, because
	 * nothing in it has changed since? Its extents are not reported then. A
	 * negative errno ends the job with it. May be NULL. */
	int (*known)(void *user, uint64_t index, uint8_t ret_digest[COW_DIGEST_BYTES]);
};
#define COW_MANIFEST_PARAMS_INIT                                                                   \
	{                                                                                          \
		.size = sizeof(struct cow_manifest_params)                                         \
	}

/*
 * Digests an image by its content alone: every COW_MANIFEST_RANGE_BYTES range
 * that is not all zeros, and the whole: XXH3-128 over the size (LE64) and, for
 * each such range, its index (LE64) and digest. Holes cost nothing. Errors:
 * -EIO, -ENOMEM, -ECANCELED, or what a callback returned.
 */
COW_EXPORT int cow_manifest(struct cow_image *image, const struct cow_manifest_params *params,
			    uint8_t ret_digest[COW_DIGEST_BYTES], struct cow_err *err);
/* Computes the digest of the whole from the entries, ascending. Errors:
 * -ENOMEM. */
COW_EXPORT int cow_manifest_digest(uint64_t size_bytes, const struct cow_manifest_range *ranges,
				   size_t nr_ranges, uint8_t ret_digest[COW_DIGEST_BYTES],
				   struct cow_err *err);

struct cow_verify_params {
	size_t size;
	uint64_t image_bytes; /* as the manifest has it */
	const struct cow_manifest_range *ranges;
	size_t nr_ranges;
	/* Of a view: the store, to say what a range is made of; or NULL. */
	const struct cow_store *store;
	const struct cow_callbacks *callbacks;
};
#define COW_VERIFY_PARAMS_INIT                                                                     \
	{                                                                                          \
		.size = sizeof(struct cow_verify_params)                                           \
	}

/*
 * Compares an image with a manifest: what differs is reported as findings
 * "image.digest-mismatch", neighbouring ranges in one. ret_nr_differ: ranges.
 * Errors: -EPERM the sizes differ (id "size"), -EINVAL ranges that do not
 * ascend, and those of cow_manifest().
 */
COW_EXPORT int cow_verify(struct cow_image *image, const struct cow_verify_params *params,
			  struct cow_report *report, uint64_t *ret_nr_differ, struct cow_err *err);

/* What cow_diff() compares at a time, if not told otherwise. */
#define COW_DIFF_GRANULE_BYTES UINT64_C(4096)

struct cow_diff_params {
	size_t size;
	uint64_t granule_bytes; /* power of two, 512 .. 1 MiB; 0: 4096 */
	const struct cow_callbacks *callbacks;
	void *user;
	/* Called for each range that differs, ascending, in granules, neighbours
	 * joined; is_zero: the second image holds zeros there. A negative errno
	 * ends the job with it. May be NULL. */
	int (*range)(void *user, uint64_t offset_bytes, uint64_t len_bytes, bool is_zero);
};
#define COW_DIFF_PARAMS_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_diff_params)                                             \
	}

/*
 * Finds where image differs from base. What is a hole in both is not looked
 * at, nor what both find in one place (a view and its origin). Errors: -EPERM
 * the sizes differ (id "size"); -EINVAL granule; -EIO, -ENOMEM, -ECANCELED, or
 * what the callback returned.
 */
COW_EXPORT int cow_diff(struct cow_image *base, struct cow_image *image,
			const struct cow_diff_params *params, struct cow_err *err);

/* What a store of the difference takes. */
struct cow_diff_size {
	size_t size;
	uint64_t nr_chunks;	 /* exceptions */
	uint64_t data_bytes;	 /* of them, to be written; the rest is holes */
	uint64_t required_bytes; /* smallest COW image that holds them */
};
#define COW_DIFF_SIZE_INIT                                                                         \
	{                                                                                          \
		.size = sizeof(struct cow_diff_size)                                               \
	}

/* Computes that, without writing: one pass over both images. params says which
 * store; its origin_bytes is not looked at. Errors: as cow_diff() and
 * cow_create_size(). */
COW_EXPORT int cow_diff_measure(struct cow_image *base, struct cow_image *image,
				const struct cow_create_params *params,
				const struct cow_callbacks *callbacks,
				struct cow_diff_size *ret_size, struct cow_err *err);

/* A way to write to the snapshot of origin and store, in ascending order. */
struct cow_patch;

struct cow_patch_stats {
	size_t size;
	uint64_t nr_chunks;	    /* exceptions that were added */
	uint64_t data_bytes;	    /* written for them */
	uint64_t zero_bytes;	    /* holes in them */
	uint64_t overwritten_bytes; /* in exceptions that were there */
};
#define COW_PATCH_STATS_INIT                                                                       \
	{                                                                                          \
		.size = sizeof(struct cow_patch_stats)                                             \
	}

/* Begins a patch. Both stay the caller's and must outlive it; store must be
 * writable. Errors: -ENOMEM. */
COW_EXPORT int cow_patch_new(struct cow_store *store, struct cow_image *origin,
			     struct cow_patch **ret_patch, struct cow_err *err);
/*
 * Writes len_bytes at offset_bytes of the view; buf NULL: zeros, as a hole.
 * Whole sectors, at or behind the end of the write before. A chunk without an
 * exception gets one, completed from the origin; a chunk that has one is
 * overwritten in place: not atomic, so not for a store that must stay right if
 * this is interrupted. Memory is bounded: records are published now and then.
 * Errors: -EINVAL, -ERANGE, and those of cow_store_append() and publish.
 */
COW_EXPORT int cow_patch_write(struct cow_patch *patch, uint64_t offset_bytes, const void *buf,
			       uint64_t len_bytes, struct cow_err *err);
/* Makes everything visible and durable. The patch may then be used again, from
 * offset 0. Errors: as cow_patch_write(). */
COW_EXPORT int cow_patch_finish(struct cow_patch *patch, struct cow_err *err);
/* Reads what was done so far. Errors: -EINVAL size not set. */
COW_EXPORT int cow_patch_get_stats(const struct cow_patch *patch,
				   struct cow_patch_stats *ret_stats);
/* Frees; NULL is allowed. What was not finished is lost. */
COW_EXPORT void cow_patch_free(struct cow_patch *patch);

/*
 * Fills an empty store so that its view over base equals image: only chunks
 * that differ, zero chunks as holes in the COW file. Durable when it returns;
 * a crash leaves a store with some of the exceptions, so the caller publishes
 * the file afterwards (cow_output_publish()). Errors: as cow_diff() and
 * cow_patch_write().
 */
COW_EXPORT int cow_diff_fill(struct cow_store *store, struct cow_image *base,
			     struct cow_image *image, const struct cow_callbacks *callbacks,
			     struct cow_patch_stats *ret_stats, struct cow_err *err);

/* What a new snapshot is to show. The images stay the caller's. */
struct cow_snapshot_source {
	size_t size;
	struct cow_image *image; /* as long as the snapshot is to be */
	/* What it shows without the image: the view of its parent, or what lies below
	 * an empty one. Behind its end, and without one, zeros; it may be longer. */
	struct cow_image *base;
	const struct cow_callbacks *callbacks; /* progress, phase "store"; may be NULL */
};
#define COW_SNAPSHOT_SOURCE_INIT                                                                   \
	{                                                                                          \
		.size = sizeof(struct cow_snapshot_source)                                         \
	}

/*
 * Makes a snapshot that shows an image, in one transaction: each block in which image and
 * base differ is stored, zeros too; the others are shared with the parent, or stay not
 * there. params as of cow_snapshot_create(), but view_bytes is the image's. A rehearsal
 * reads both, finds room for everything and writes nothing. Until all is durable the store
 * is as it was, also after a failure. Errors: as of cow_snapshot_create(); also -ENOSPC
 * (id "data-space"), -EPERM the parent has data behind the end of the image (id "size"),
 * -ECANCELED.
 */
COW_EXPORT int cow_snapshot_fill(const struct cow_store_args *args,
				 const struct cow_snapshot_params *params,
				 const struct cow_snapshot_source *source,
				 struct cow_patch_stats *ret_stats, uint64_t *ret_id,
				 struct cow_err *err);

#ifdef __cplusplus
}
#endif
#endif
