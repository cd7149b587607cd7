/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * json_read.h - JSON, word for word, from a stream that need not be ours:
 * nothing is kept but the present word, so a manifest of any length is read in
 * a few kilobytes. Knows what our own files need: strings of at most
 * JSON_TEXT_BYTES without escapes, numbers that are whole and not negative.
 */
#ifndef TOOLS_JSON_READ_H
#define TOOLS_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcow.h"
#include "tools/common/byte_source.h"

#define JSON_TEXT_BYTES 256

enum json_word {
	JSON_END, /* of the stream */
	JSON_OBJECT,
	JSON_OBJECT_END,
	JSON_ARRAY,
	JSON_ARRAY_END,
	JSON_COMMA,
	JSON_COLON,
	JSON_TEXT,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

struct json_reader {
	struct byte_source source;
	uint64_t offset_bytes; /* of the byte that comes next */
	size_t at, used;
	enum json_word word;	    /* the present one */
	char text[JSON_TEXT_BYTES]; /* of JSON_TEXT */
	uint64_t number;	    /* of JSON_NUMBER */
	char buf[16 * 1024];
};

void json_reader_init(struct json_reader *reader, const struct byte_source *source);
/* Goes on to the next word. Errors: -EBADMSG, and those of the source. */
int json_next(struct json_reader *reader, struct cow_err *err);
/* The same, and it must be this one. */
int json_expect(struct json_reader *reader, enum json_word word, struct cow_err *err);
/* Fills err with a sentence that names the source and the place. */
__attribute__((format(printf, 3, 4), cold, warn_unused_result)) int
json_bad(const struct json_reader *reader, struct cow_err *err, const char *format, ...);

/*
 * Reads an object, member for member: called with the key in reader->text, the
 * function reads the value up to its last word, or answers that it does not
 * know the key (JSON_UNKNOWN), and the value is passed over. Nothing may follow
 * the object. Errors: as json_next(), or what the function returned.
 */
#define JSON_UNKNOWN 1
int json_read_object(struct json_reader *reader,
		     int (*member)(void *user, struct json_reader *reader, const char *key,
				   struct cow_err *err),
		     void *user, struct cow_err *err);

/* The next word, as a value. */
int json_read_text(struct json_reader *reader, struct cow_err *err); /* in reader->text */
int json_read_u64(struct json_reader *reader, uint64_t *ret_value, struct cow_err *err);
int json_read_bool(struct json_reader *reader, bool *ret_value, struct cow_err *err);
/* A string of 2 * len_bytes hexadecimal digits, in lower case. */
int json_read_hex(struct json_reader *reader, uint8_t *ret_bytes, size_t len_bytes,
		  struct cow_err *err);

#endif
