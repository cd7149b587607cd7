/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * json.h - the one JSON object of a run (--json), over json-c. It is built in
 * memory and written whole at the end; without --json every call is a no-op on
 * NULL, so that callers need not ask.
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;
struct cow_err;

/* Begins the object; target "-" is stdout, else a file, which must not exist,
 * be empty or a report of an earlier run. Returns 0 or a negative errno: -EEXIST
 * something else is there. */
int json_start(const char *target, const char *tool);
/* The object itself, or NULL without --json. */
struct json_object *json_root(void);
/* Is stdout taken by the object? */
bool json_is_on_stdout(void);
/* Writes it. Returns 0 or a negative errno; the sentence names the file. */
int json_write(struct cow_err *err);

/* Members of an object, or (key NULL) items of an array. Bytes that are no
 * UTF-8 become \xNN in the text, so that the result is always JSON. */
void json_put_text(struct json_object *at, const char *key, const char *text); /* NULL: null */
void json_put_u64(struct json_object *at, const char *key, uint64_t value);
/* Rounded down; null of nothing. */
void json_put_percent(struct json_object *at, const char *key, uint64_t part, uint64_t whole);
void json_put_bool(struct json_object *at, const char *key, bool value);
void json_put_null(struct json_object *at, const char *key);
/* Has the object itself a member of this name? */
bool json_has(const char *key);
/* The array of this name in the object itself; made if it is not there. */
struct json_object *json_list(const char *key);
/* A new object or array inside, owned by the one above it. */
struct json_object *json_put_object(struct json_object *at, const char *key);
struct json_object *json_put_array(struct json_object *at, const char *key);

#endif
