/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tools/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "libcow.h"

/* Changes when a member changes its meaning; new members do not count. */
#define JSON_SCHEMA "libcow.run/1"

static struct json_document {
	struct json_object *root;
	const char *target;
} document;

void json_start(const char *target, const char *tool)
{
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

/* Length of the well-formed UTF-8 sequence at text, 0: none. */
static size_t utf8_len(const unsigned char *text)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };

	for (size_t len = 1; len <= 4; len++) {
		uint32_t code;

		if ((text[0] & forms[len - 1].mask) != forms[len - 1].lead)
			continue;
		code = text[0] & (unsigned char)~forms[len - 1].mask;
		for (size_t i = 1; i < len; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (text[i] & 0x3f);
		}
		if (code < forms[len - 1].least || code > 0x10ffff ||
		    (code >= 0xd800 && code <= 0xdfff))
			return 0;
		return len;
	}
	return 0;
}

static char *clean_text(const char *text)
{
	char *clean = malloc(4 * strlen(text) + 1), *to = clean;

	if (!clean)
		return NULL;
	while (*text) {
		size_t len = utf8_len((const unsigned char *)text);

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

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t done = write(fd, text, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		text += done;
		len -= (size_t)done;
	}
	return 0;
}

/* Is it empty, or a report of an earlier run? */
static bool may_replace(const char *path)
{
	static const char beginning[] = "{\n  \"schema\":\"libcow.run/";
	char bytes[sizeof(beginning)];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof(beginning) - 1);

	if (fd >= 0)
		close(fd);
	return !len || (len == sizeof(beginning) - 1 && !memcmp(bytes, beginning, (size_t)len));
}

/*
 * I7 for the report: a slip of the hand (--json=COW) must not replace the only
 * copy of an image, be it an operand or not. *ret_is_special: not replaced, but
 * written to.
 */
static int check_target(const char *path, bool *ret_is_special)
{
	struct stat st;

	*ret_is_special = false;
	if (stat(path, &st))
		return errno == ENOENT || errno == ELOOP ? 0 : -errno;
	*ret_is_special = S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode);
	if (*ret_is_special)
		return 0;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) && may_replace(path) ? 0 : -EEXIST;
}

int json_check_target(const char *target)
{
	bool is_special;

	return strcmp(target, "-") ? check_target(target, &is_special) : 0;
}

/* A regular file is replaced as a whole; anything else is written to. */
static int write_file(const char *path, const char *text, size_t len)
{
	bool is_special;
	char *temporary = NULL;
	int fd, ret;

	/* Once more: -o may have made it meanwhile. */
	ret = check_target(path, &is_special);
	if (ret)
		return ret;
	if (!is_special && asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = is_special ? open(path, O_WRONLY | O_CLOEXEC) : mkstemp(temporary);
	if (fd < 0) {
		ret = -errno;
		free(temporary);
		return ret;
	}
	ret = write_all(fd, text, len);
	if (!ret && !is_special && fchmod(fd, 0644))
		ret = -errno;
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && !is_special && rename(temporary, path))
		ret = -errno;
	if (ret && !is_special)
		unlink(temporary);
	free(temporary);
	return ret;
}

int json_write(void)
{
	const char *text;
	char *line = NULL;
	int len, ret;

	if (!document.root)
		return 0;
	text = json_object_to_json_string_ext(
		document.root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	len = text ? asprintf(&line, "%s\n", text) : -1;
	if (len < 0)
		ret = -ENOMEM;
	else if (json_is_on_stdout())
		ret = write_all(STDOUT_FILENO, line, (size_t)len);
	else
		ret = write_file(document.target, line, (size_t)len);
	free(line);
	json_object_put(document.root);
	document.root = NULL;
	return ret;
}
