/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * json.c - builds the object of --json in memory, over json-c.
 */
#include "tools/common/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "libcow.h"
#include "libcow/base/utf8.h"
#include "tools/common/json_file.h"

/* Changes when a member changes its meaning; new members do not count. */
#define JSON_SCHEMA "libcow.run/1"

static struct json_document {
	struct json_object *root;
	const char *target;
} document;

int json_start(const char *target, const char *tool)
{
	int ret = json_file_open(target);

	if (ret)
		return ret;
	document.target = target;
	document.root = json_object_new_object();
	json_put_text(document.root, "schema", JSON_SCHEMA);
	json_put_text(document.root, "tool", tool);
	json_put_text(document.root, "version", cow_version());
	/* Filled in later; here for a fixed order of members. */
	json_put_null(document.root, "exit");
	json_put_bool(document.root, "done", false);
	json_put_null(document.root, "error");
	json_put_null(document.root, "next");
	return 0;
}

struct json_object *json_root(void)
{
	return document.root;
}

bool json_is_on_stdout(void)
{
	return document.root && !strcmp(document.target, "-");
}

static void put(struct json_object *at, const char *key, struct json_object *value)
{
	if (key)
		json_object_object_add(at, key, value);
	else
		json_object_array_add(at, value);
}

static char *clean_text(const char *text)
{
	/* bounded: a sentence, at most COW_ERR_MESSAGE_BYTES, or a name */
	char *clean = malloc(4 * strlen(text) + 1), *to = clean;

	if (!clean)
		return NULL;
	while (*text) {
		size_t len = utf8_len(text);

		if (!len) {
			to += sprintf(to, "\\x%02x", (unsigned char)*text++);
			continue;
		}
		memcpy(to, text, len);
		to += len;
		text += len;
	}
	*to = '\0';
	return clean;
}

void json_put_text(struct json_object *at, const char *key, const char *text)
{
	char *clean;

	if (!at)
		return;
	clean = text ? clean_text(text) : NULL;
	put(at, key, clean ? json_object_new_string(clean) : NULL);
	free(clean);
}

void json_put_u64(struct json_object *at, const char *key, uint64_t value)
{
	if (at)
		put(at, key, json_object_new_uint64(value));
}

void json_put_percent(struct json_object *at, const char *key, uint64_t part, uint64_t whole)
{
	if (whole)
		json_put_u64(at, key, (uint64_t)((double)part / (double)whole * 100));
	else
		json_put_null(at, key);
}

void json_put_bool(struct json_object *at, const char *key, bool value)
{
	if (at)
		put(at, key, json_object_new_boolean(value));
}

void json_put_null(struct json_object *at, const char *key)
{
	if (at)
		put(at, key, NULL);
}

static struct json_object *put_new(struct json_object *at, const char *key,
				   struct json_object *value)
{
	put(at, key, value);
	return value;
}

struct json_object *json_put_object(struct json_object *at, const char *key)
{
	return at ? put_new(at, key, json_object_new_object()) : NULL;
}

struct json_object *json_put_array(struct json_object *at, const char *key)
{
	return at ? put_new(at, key, json_object_new_array()) : NULL;
}

bool json_has(const char *key)
{
	return document.root && json_object_object_get_ex(document.root, key, NULL);
}

struct json_object *json_list(const char *key)
{
	return json_has(key) ? json_object_object_get(document.root, key)
			     : json_put_array(document.root, key);
}

int json_write(struct cow_err *err)
{
	const char *text;
	char *line = NULL;
	int len, ret;

	if (!document.root)
		return 0;
	text = json_object_to_json_string_ext(
		document.root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	len = text ? asprintf(&line, "%s\n", text) : -1;
	ret = json_file_write(len < 0 ? NULL : line, len < 0 ? 0 : (size_t)len, err);
	free(line);
	json_object_put(document.root);
	document.root = NULL;
	return ret;
}
