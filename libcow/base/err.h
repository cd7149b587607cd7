/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * err.h - the only writers of struct cow_err. Whoever notices a fact writes
 * the sentence: what, where, found, allowed; lower case, no full stop.
 */
#ifndef COW_BASE_ERR_H
#define COW_BASE_ERR_H

#include <errno.h>

#include "libcow.h"

/* Fills err (NULL allowed) and returns code, a negative errno; the id is the
 * usual one of that code, nothing forces it. */
__attribute__((format(printf, 3, 4), warn_unused_result, cold)) int
cow_fail(struct cow_err *err, int code, const char *format, ...);

/* The same for a refusal: id is its stable word, force the --force id that
 * would go on, or NULL. */
__attribute__((format(printf, 5, 6), warn_unused_result, cold)) int
cow_refuse(struct cow_err *err, int code, const char *id, const char *force, const char *format,
	   ...);

/* A failure is never 0: every caller can see it by this, and so can a compiler
 * or an analyzer that looks at one file only. */
__attribute__((warn_unused_result)) static inline int cow_failed(int code)
{
	return code < 0 ? code : -EIO;
}
#define cow_fail(...) cow_failed((cow_fail)(__VA_ARGS__))
#define cow_refuse(...) cow_failed((cow_refuse)(__VA_ARGS__))

/* Puts "prefix: " in front of the sentence; for layer borders only. */
__attribute__((format(printf, 2, 3))) void cow_err_prefix(struct cow_err *err, const char *format,
							  ...);

/* Says where: the name of the image and the offset on it (or
 * COW_OFFSET_NONE). Keeps what a lower layer has said already. */
void cow_err_place(struct cow_err *err, const char *image, uint64_t offset_bytes);

#endif
