/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * json_read.c - a streaming reader of JSON that keeps one word at a time.
 */
#include "tools/formats/json_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/common/cli.h"

/* How deep what is passed over may be nested. */
#define SKIP_DEPTH_MAX 32
/* Blanks between two words. */
#define SPACE_BYTES_MAX 65536

void json_reader_init(struct json_reader *reader, const struct byte_source *source)
{
	reader->source = *source;
	reader->offset_bytes = 0;
	reader->at = 0;
	reader->used = 0;
	reader->word = JSON_END;
	reader->number = 0;
	reader->text[0] = '\0';
}

int json_bad(const struct json_reader *reader, struct cow_err *err, const char *format, ...)
{
	char what[COW_ERR_MESSAGE_BYTES / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return cli_refuse(err, -EBADMSG, "manifest", NULL, "%s: byte %" PRIu64 ": %s",
			  reader->source.name, reader->offset_bytes, what);
}

/* The next byte without taking it; -1: there is none. */
static int peek(struct json_reader *reader, int *ret_byte, struct cow_err *err)
{
	if (reader->at == reader->used) {
		int ret = reader->source.read(reader->source.user, reader->buf, sizeof(reader->buf),
					      &reader->used, err);

		reader->at = 0;
		if (ret) {
			reader->used = 0;
			return ret;
		}
	}
	*ret_byte = reader->at < reader->used ? (unsigned char)reader->buf[reader->at] : -1;
	return 0;
}

static void take(struct json_reader *reader)
{
	reader->at++;
	reader->offset_bytes++;
}

static int read_string(struct json_reader *reader, struct cow_err *err)
{
	size_t len = 0;
	int byte, ret;

	take(reader);
	for (;;) {
		ret = peek(reader, &byte, err);
		if (ret)
			return ret;
		if (byte < 0)
			return json_bad(reader, err, "ends inside a string");
		if (byte < 0x20 || byte == '\\')
			return json_bad(reader, err, "a string with byte 0x%02x in it",
					(unsigned int)byte);
		take(reader);
		if (byte == '"')
			break;
		if (len == sizeof(reader->text) - 1)
			return json_bad(reader, err, "a string of more than %d bytes",
					JSON_TEXT_BYTES - 1);
		reader->text[len++] = (char)byte;
	}
	reader->text[len] = '\0';
	return 0;
}

static int read_number(struct json_reader *reader, struct cow_err *err)
{
	uint64_t value = 0;
	int byte, ret;

	for (;;) {
		ret = peek(reader, &byte, err);
		if (ret)
			return ret;
		if (byte < '0' || byte > '9')
			break;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(byte - '0'), &value))
			return json_bad(reader, err, "a number over 2^64");
		take(reader);
	}
	if (byte == '.' || byte == 'e' || byte == 'E')
		return json_bad(reader, err, "a number that is not whole");
	reader->number = value;
	return 0;
}

static int read_literal(struct json_reader *reader, const char *literal, struct cow_err *err)
{
	for (; *literal; literal++) {
		int byte, ret = peek(reader, &byte, err);

		if (ret)
			return ret;
		if (byte != *literal)
			return json_bad(reader, err, "neither true, false nor null");
		take(reader);
	}
	return 0;
}

static int skip_space(struct json_reader *reader, int *ret_byte, struct cow_err *err)
{
	for (unsigned int nr = 0;; nr++) {
		int ret = peek(reader, ret_byte, err);

		if (!ret && nr > SPACE_BYTES_MAX)
			return json_bad(reader, err, "more than %d blanks", SPACE_BYTES_MAX);
		if (ret || *ret_byte < 0 || !strchr(" \t\r\n", *ret_byte) || !*ret_byte)
			return ret;
		take(reader);
	}
}

static int read_mark(struct json_reader *reader, int byte, struct cow_err *err)
{
	static const char marks[] = "{}[],:";
	static const enum json_word words[] = { JSON_OBJECT,	JSON_OBJECT_END, JSON_ARRAY,
						JSON_ARRAY_END, JSON_COMMA,	 JSON_COLON };
	const char *mark = byte ? strchr(marks, byte) : NULL;

	if (!mark)
		return json_bad(reader, err, "byte 0x%02x begins nothing in JSON",
				(unsigned int)byte);
	take(reader);
	reader->word = words[mark - marks];
	return 0;
}

int json_next(struct json_reader *reader, struct cow_err *err)
{
	int byte, ret = skip_space(reader, &byte, err);

	if (ret)
		return ret;
	reader->word = JSON_END;
	if (byte < 0)
		return 0;
	switch (byte) {
	case '"':
		reader->word = JSON_TEXT;
		return read_string(reader, err);
	case 't':
		reader->word = JSON_TRUE;
		return read_literal(reader, "true", err);
	case 'f':
		reader->word = JSON_FALSE;
		return read_literal(reader, "false", err);
	case 'n':
		reader->word = JSON_NULL;
		return read_literal(reader, "null", err);
	}
	if (byte < '0' || byte > '9')
		return read_mark(reader, byte, err);
	reader->word = JSON_NUMBER;
	return read_number(reader, err);
}

static const char *word_name(enum json_word word)
{
	static const char *const names[] = { "the end",	 "\"{\"",    "\"}\"",	  "\"[\"",
					     "\"]\"",	 "\",\"",    "\":\"",	  "a string",
					     "a number", "\"true\"", "\"false\"", "\"null\"" };

	return names[word];
}

static int is_word(const struct json_reader *reader, enum json_word word, struct cow_err *err)
{
	if (reader->word == word)
		return 0;
	return json_bad(reader, err, "%s, where %s should be", word_name(reader->word),
			word_name(word));
}

int json_expect(struct json_reader *reader, enum json_word word, struct cow_err *err)
{
	int ret = json_next(reader, err);

	return ret ? ret : is_word(reader, word, err);
}

/* Passes over a value of a key that is not known: newer versions may say more. */
static int skip_value(struct json_reader *reader, struct cow_err *err)
{
	unsigned int depth = 0;

	do {
		int ret = json_next(reader, err);

		if (ret)
			return ret;
		if (reader->word == JSON_END)
			return json_bad(reader, err, "ends inside a value");
		if (reader->word == JSON_OBJECT || reader->word == JSON_ARRAY)
			depth++;
		if (reader->word == JSON_OBJECT_END || reader->word == JSON_ARRAY_END) {
			if (!depth)
				return json_bad(reader, err, "a member without a value");
			depth--;
		}
		if (depth > SKIP_DEPTH_MAX)
			return json_bad(reader, err, "more than %d values inside each other",
					SKIP_DEPTH_MAX);
	} while (depth);
	return 0;
}

int json_read_object(struct json_reader *reader,
		     int (*member)(void *user, struct json_reader *reader, const char *key,
				   struct cow_err *err),
		     void *user, struct cow_err *err)
{
	char key[JSON_TEXT_BYTES];
	int ret = json_expect(reader, JSON_OBJECT, err);

	if (!ret)
		ret = json_next(reader, err);
	while (!ret && reader->word != JSON_OBJECT_END) {
		ret = is_word(reader, JSON_TEXT, err);
		if (ret)
			return ret;
		memcpy(key, reader->text, sizeof(key));
		ret = json_expect(reader, JSON_COLON, err);
		if (!ret)
			ret = member(user, reader, key, err);
		if (ret == JSON_UNKNOWN)
			ret = skip_value(reader, err);
		if (!ret)
			ret = json_next(reader, err);
		if (ret || reader->word == JSON_OBJECT_END)
			break;
		ret = is_word(reader, JSON_COMMA, err);
		if (!ret)
			ret = json_expect(reader, JSON_TEXT, err);
	}
	return ret ? ret : json_expect(reader, JSON_END, err);
}

int json_read_text(struct json_reader *reader, struct cow_err *err)
{
	return json_expect(reader, JSON_TEXT, err);
}

int json_read_u64(struct json_reader *reader, uint64_t *ret_value, struct cow_err *err)
{
	int ret = json_expect(reader, JSON_NUMBER, err);

	if (!ret)
		*ret_value = reader->number;
	return ret;
}

int json_read_bool(struct json_reader *reader, bool *ret_value, struct cow_err *err)
{
	int ret = json_next(reader, err);

	if (ret)
		return ret;
	if (reader->word != JSON_TRUE && reader->word != JSON_FALSE)
		return json_bad(reader, err, "%s, where \"true\" or \"false\" should be",
				word_name(reader->word));
	*ret_value = reader->word == JSON_TRUE;
	return 0;
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

int json_read_hex(struct json_reader *reader, uint8_t *ret_bytes, size_t len_bytes,
		  struct cow_err *err)
{
	int ret = json_expect(reader, JSON_TEXT, err);

	if (ret)
		return ret;
	if (strlen(reader->text) != 2 * len_bytes)
		return json_bad(reader, err, "%zu hexadecimal digits, where %zu should be",
				strlen(reader->text), 2 * len_bytes);
	for (size_t i = 0; i < len_bytes; i++) {
		int high = hex_digit(reader->text[2 * i]);
		int low = hex_digit(reader->text[2 * i + 1]);

		if (high < 0 || low < 0)
			return json_bad(reader, err, "\"%c%c\" is not hexadecimal",
					reader->text[2 * i], reader->text[2 * i + 1]);
		ret_bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}
