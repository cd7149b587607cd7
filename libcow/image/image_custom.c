/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * image_custom.c - an image that a program supplies by a table of functions:
 * an export of a server, a container format, anything that has bytes at
 * offsets. Its answers are checked: a function of the program must not be able
 * to make the library read a gap where there is data.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/image/image.h"

struct image_custom {
	struct cow_image image;
	struct cow_custom_ops ops;
	void *user;
};

/* What a function of the program has answered: with a sentence, even if it has
 * left none. */
static int custom_answer(const char *what, int ret, const struct cow_err *said, struct cow_err *err)
{
	if (!ret)
		return 0;
	if (ret > 0)
		ret = -EIO;
	if (!said->message[0])
		return cow_fail(err, ret, "%s failed: %s", what, strerrordesc_np(-ret));
	if (err)
		*err = *said;
	if (err)
		err->code = ret;
	return ret;
}

#define CUSTOM_CALL(what, operation, ...)                                                          \
	({                                                                                         \
		struct image_custom *custom = (struct image_custom *)image;                        \
		struct cow_err said = COW_ERR_INIT;                                                \
		int answer = custom->ops.operation(custom->user, __VA_ARGS__, &said);              \
		custom_answer(what, answer, &said, err);                                           \
	})

static int custom_pread(struct cow_image *image, void *buf, size_t len_bytes, uint64_t offset_bytes,
			struct cow_err *err)
{
	return CUSTOM_CALL("reading", pread, buf, len_bytes, offset_bytes);
}

static int custom_pwrite(struct cow_image *image, const void *buf, size_t len_bytes,
			 uint64_t offset_bytes, struct cow_err *err)
{
	return CUSTOM_CALL("writing", pwrite, buf, len_bytes, offset_bytes);
}

static int custom_write_zeroes(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			       struct cow_err *err)
{
	if (!((struct image_custom *)image)->ops.write_zeroes)
		return cow_image_write_zero_bytes(image, offset_bytes, len_bytes, err);
	return CUSTOM_CALL("writing zeros", write_zeroes, offset_bytes, len_bytes);
}

static int custom_discard(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes,
			  struct cow_err *err)
{
	if (!((struct image_custom *)image)->ops.discard)
		return cow_fail(err, -EOPNOTSUPP, "this image cannot discard");
	return CUSTOM_CALL("discarding", discard, offset_bytes, len_bytes);
}

static int custom_next_data(struct cow_image *image, uint64_t offset_bytes,
			    uint64_t *ret_offset_bytes, uint64_t *ret_len_bytes,
			    struct cow_err *err)
{
	uint64_t at = offset_bytes, len = image->size_bytes - offset_bytes;
	int ret = 0;

	if (((struct image_custom *)image)->ops.next_data)
		ret = CUSTOM_CALL("looking for data", next_data, offset_bytes, &at, &len);
	if (!ret && at < offset_bytes)
		return cow_fail(err, -EIO,
				"data was looked for from byte %" PRIu64
				" on, and the answer was byte %" PRIu64,
				offset_bytes, at);
	if (ret)
		return ret;
	*ret_offset_bytes = at;
	*ret_len_bytes = len;
	return 0;
}

static int custom_flush(struct cow_image *image, struct cow_err *err)
{
	struct image_custom *custom = (struct image_custom *)image;
	struct cow_err said = COW_ERR_INIT;

	if (!custom->ops.flush)
		return 0;
	return custom_answer("flushing", custom->ops.flush(custom->user, &said), &said, err);
}

static void custom_read_ahead(struct cow_image *image, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct image_custom *custom = (struct image_custom *)image;

	if (custom->ops.read_ahead)
		custom->ops.read_ahead(custom->user, offset_bytes, len_bytes);
}

static void custom_close(struct cow_image *image)
{
	struct image_custom *custom = (struct image_custom *)image;

	if (custom->ops.close)
		custom->ops.close(custom->user);
}

static const struct image_ops custom_image_ops = {
	.name = "custom",
	.pread = custom_pread,
	.pwrite = custom_pwrite,
	.write_zeroes = custom_write_zeroes,
	.next_data = custom_next_data,
	.discard = custom_discard,
	.flush = custom_flush,
	.read_ahead = custom_read_ahead,
	.close = custom_close,
};

static int custom_check(const struct cow_custom_args *args, const struct cow_custom_ops *ops,
			struct cow_err *err)
{
	if (args->size != sizeof(*args) || ops->size != sizeof(*ops))
		return cow_fail(err, -EINVAL, "the size of a structure is not set, or another one");
	if (!args->name || !ops->pread)
		return cow_fail(err, -EINVAL, "an image needs a name and a function that reads");
	if (args->size_bytes % COW_SECTOR_BYTES)
		return cow_fail(err, -EINVAL,
				"an image of %" PRIu64 " bytes: not a multiple of 512 bytes",
				args->size_bytes);
	if (args->logical_block_bytes < COW_SECTOR_BYTES || !is_pow2(args->logical_block_bytes))
		return cow_fail(err, -EINVAL,
				"blocks of %" PRIu32
				" bytes: not a power of two of at least 512 bytes",
				args->logical_block_bytes);
	if (args->is_writable && !ops->pwrite)
		return cow_fail(err, -EINVAL, "a writable image needs a function that writes");
	return 0;
}

int cow_image_custom_new(const struct cow_custom_args *args, const struct cow_custom_ops *ops,
			 void *user, struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_FREE struct image_custom *custom = NULL;
	int ret = custom_check(args, ops, err);

	if (ret)
		return ret;
	custom = (struct image_custom *)calloc(1, sizeof(*custom));
	if (!custom)
		return cow_fail(err, -ENOMEM, "no memory for an image");
	ret = cow_image_init(&custom->image, &custom_image_ops, args->name, args->size_bytes, err);
	if (ret)
		return ret;
	custom->ops = *ops;
	custom->user = user;
	custom->image.logical_block_bytes = args->logical_block_bytes;
	custom->image.is_writable = args->is_writable;
	*ret_image = &take_ptr(custom)->image;
	return 0;
}
