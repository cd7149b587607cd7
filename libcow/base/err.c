/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * err.c - fills struct cow_err: code, id and one sentence. An id that the
 * caller does not give follows from the code.
 */
#include "libcow/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/limit.h"

/* The functions behind the macros. */
#undef cow_fail
#undef cow_refuse

static const struct {
	int code;
	const char *id;
} usual_ids[] = {
	{ -EINVAL, "usage" },
	{ -ENOMEM, "no-memory" },
	{ -EIO, "io" },
	{ -ENOSPC, "no-space" },
	{ -EFBIG, "limit" },
	{ -EDQUOT, "no-space" },
	{ -EBADMSG, "damaged" },
	{ -EMEDIUMTYPE, "not-a-store" },
	{ -EOPNOTSUPP, "unsupported" },
	{ -ERANGE, "bounds" },
	{ -EROFS, "read-only" },
	{ -EBUSY, "busy" },
	{ -EPERM, "refused" },
	{ -ECANCELED, "interrupted" },
	{ -EEXIST, "exists" },
	{ -ENOENT, "not-found" },
	{ -EACCES, "permission" },
	{ -EMFILE, "limit" },
	{ -ENFILE, "limit" },
};

static const char *usual_id(int code)
{
	for (size_t i = 0; i < sizeof(usual_ids) / sizeof(usual_ids[0]); i++)
		if (usual_ids[i].code == code)
			return usual_ids[i].id;
	return "system";
}

__attribute__((format(printf, 5, 0))) static void err_fill(struct cow_err *err, int code,
							   const char *id, const char *force,
							   const char *format, va_list args)
{
	assert(code < 0);
	if (!err)
		return;
	memset(err, 0, sizeof(*err));
	err->code = code;
	err->offset_bytes = COW_OFFSET_NONE;
	snprintf(err->id, sizeof(err->id), "%s", id);
	snprintf(err->force, sizeof(err->force), "%s", force ? force : "");
	vsnprintf(err->message, sizeof(err->message), format, args);
	cow_limit_name(err);
}

int cow_fail(struct cow_err *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	err_fill(err, code, usual_id(code), NULL, format, args);
	va_end(args);
	return code;
}

int cow_refuse(struct cow_err *err, int code, const char *id, const char *force, const char *format,
	       ...)
{
	va_list args;

	va_start(args, format);
	err_fill(err, code, id, force, format, args);
	va_end(args);
	return code;
}

void cow_err_prefix(struct cow_err *err, const char *format, ...)
{
	char prefix[COW_ERR_IMAGE_BYTES];
	size_t used, kept;
	va_list args;

	if (!err)
		return;
	va_start(args, format);
	vsnprintf(prefix, sizeof(prefix) - 2, format, args);
	va_end(args);
	used = strlen(prefix);
	memcpy(prefix + used, ": ", sizeof(": "));
	used += strlen(": ");
	kept = strnlen(err->message, sizeof(err->message) - used - 1);
	memmove(err->message + used, err->message, kept);
	err->message[used + kept] = '\0';
	memcpy(err->message, prefix, used);
}

void cow_err_place(struct cow_err *err, const char *image, uint64_t offset_bytes)
{
	if (!err)
		return;
	if (!err->image[0])
		snprintf(err->image, sizeof(err->image), "%s", image);
	if (err->offset_bytes == COW_OFFSET_NONE)
		err->offset_bytes = offset_bytes;
}
