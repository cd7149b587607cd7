/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pax_records.c - the records of an extended header: "length key=value", only
 * for what the header itself cannot say, except atime and ctime, which it never
 * can. Always in the same order.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/utf8.h"
#include "tools/tar/pax_priv.h"

char *pax_text_grow(struct pax_text *t, size_t len)
{
	size_t room = t->room ? t->room : 4096;
	char *bytes;

	while (room - t->len < len)
		room *= 2;
	if (room != t->room) {
		bytes = realloc(t->bytes, room);
		if (!bytes) {
			t->failed = true;
			return NULL;
		}
		t->bytes = bytes;
		t->room = room;
	}
	t->len += len;
	return t->bytes + t->len - len;
}

static void text_add(struct pax_text *t, const void *bytes, size_t len)
{
	char *at = pax_text_grow(t, len);

	if (at && len)
		memcpy(at, bytes, len);
}

void pax_text_print(struct pax_text *t, const char *format, ...)
{
	char line[96];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_add(t, line, (size_t)len);
}

void pax_text_clear(struct pax_text *t)
{
	t->len = 0;
	t->failed = false;
}

/* "%zu key=value\n"; the number counts itself. */
static void record_add(struct pax_text *t, const char *key, size_t key_len, const void *value,
		       size_t value_len)
{
	size_t total = 1 + key_len + 1 + value_len + 1;
	size_t limit = 10;

	/* One digit more for each power of ten that the sum reaches. */
	for (total++; total >= limit; limit *= 10)
		total++;
	pax_text_print(t, "%zu ", total);
	text_add(t, key, key_len);
	text_add(t, "=", 1);
	text_add(t, value, value_len);
	text_add(t, "\n", 1);
}

static void record_text(struct pax_text *t, const char *key, const char *value)
{
	record_add(t, key, strlen(key), value, strlen(value));
}

static void record_u64(struct pax_text *t, const char *key, uint64_t value)
{
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, value);
	record_text(t, key, number);
}

/* Seconds with a fraction, without trailing zeros: "-1.5" is half a second
 * before -1, so a negative time borrows. */
static void record_time(struct pax_text *t, const char *key, const struct file_time *time)
{
	uint64_t seconds = time->seconds < 0 ? -(uint64_t)time->seconds : (uint64_t)time->seconds;
	uint32_t ns = time->nanoseconds;
	char number[40];
	int len;

	if (time->seconds < 0 && ns) {
		seconds--;
		ns = 1000000000 - ns;
	}
	len = snprintf(number, sizeof(number), "%s%" PRIu64 ".%09" PRIu32,
		       time->seconds < 0 ? "-" : "", seconds, ns);
	while (number[len - 1] == '0')
		number[--len] = 0;
	if (number[len - 1] == '.')
		number[--len] = 0;
	record_text(t, key, number);
}

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((uint8_t)*s >= 0x80)
			return false;
	return true;
}

static bool is_utf8(const char *text)
{
	size_t len = 1;

	for (; *text && len; text += len)
		len = utf8_len(text);
	return len;
}

/* The keyword of an attribute may not contain '=': GNU tar writes %3D for it
 * and %25 for '%', and reads that back. */
static void record_xattr(struct pax_text *t, struct pax_text *key, const struct file_xattr *xattr)
{
	const char *s;

	pax_text_clear(key);
	text_add(key, "SCHILY.xattr.", 13);
	for (s = xattr->name; *s; s++) {
		if (*s == '=')
			text_add(key, "%3D", 3);
		else if (*s == '%')
			text_add(key, "%25", 3);
		else
			text_add(key, s, 1);
	}
	if (key->failed)
		t->failed = true;
	else
		record_add(t, key->bytes, key->len, xattr->value, xattr->len_bytes);
}

static const char *acl_tag_name(uint16_t tag)
{
	switch (tag) {
	case FILE_ACL_USER_OBJ:
	case FILE_ACL_USER:
		return "user";
	case FILE_ACL_GROUP_OBJ:
	case FILE_ACL_GROUP:
		return "group";
	case FILE_ACL_MASK:
		return "mask";
	default:
		return "other";
	}
}

/* Long text form of acl(5), numeric ids, lines parted by commas: read by GNU
 * tar (acl_from_text), by bsdtar and by star. */
static void record_acl(struct pax_text *t, struct pax_text *acl_text, const char *key,
		       const struct file_acl *acl)
{
	const struct file_acl_entry *e;
	size_t i;

	if (!acl->nr_entries)
		return;
	pax_text_clear(acl_text);
	for (i = 0; i < acl->nr_entries; i++) {
		e = &acl->entries[i];
		pax_text_print(acl_text, "%s%s:", i ? "," : "", acl_tag_name(e->tag));
		if (e->tag == FILE_ACL_USER || e->tag == FILE_ACL_GROUP)
			pax_text_print(acl_text, "%" PRIu32, e->id);
		pax_text_print(acl_text, ":%c%c%c", e->perm & 4 ? 'r' : '-',
			       e->perm & 2 ? 'w' : '-', e->perm & 1 ? 'x' : '-');
	}
	if (acl_text->failed)
		t->failed = true;
	else
		record_add(t, key, strlen(key), acl_text->bytes, acl_text->len);
}

/* What bsdtar needs to be told about names that are no UTF-8. GNU tar does not
 * know the keyword and says so, hence only where a record cannot be avoided. */
static void record_name(struct pax_text *t, const char *key, const char *name)
{
	bool fits = strlen(name) <= PAX_NAME_BYTES;

	if (fits && (is_ascii(name) || !is_utf8(name)))
		return;
	record_text(t, key, name);
}

static bool needs_binary(const struct file_entry *e, const char *name, bool sparse)
{
	if ((sparse || strlen(name) > PAX_NAME_BYTES) && !is_utf8(name))
		return true;
	return e->link && strlen(e->link) > PAX_NAME_BYTES && !is_utf8(e->link);
}

void pax_records_fill(struct pax_text *t, struct pax_text *scratch, const struct file_entry *e,
		      const char *name, bool sparse, uint64_t size_bytes)
{
	size_t i;

	pax_text_clear(t);
	if (needs_binary(e, name, sparse))
		record_text(t, "hdrcharset", "BINARY");
	if (sparse) {
		record_u64(t, "GNU.sparse.major", 1);
		record_u64(t, "GNU.sparse.minor", 0);
		record_text(t, "GNU.sparse.name", name);
		record_u64(t, "GNU.sparse.realsize", e->size_bytes);
	} else {
		record_name(t, "path", name);
	}
	if (e->link)
		record_name(t, "linkpath", e->link);
	if (size_bytes > PAX_OCTAL11_MAX)
		record_u64(t, "size", size_bytes);
	if (e->uid > PAX_OCTAL7_MAX)
		record_u64(t, "uid", e->uid);
	if (e->gid > PAX_OCTAL7_MAX)
		record_u64(t, "gid", e->gid);
	if (e->mtime.nanoseconds || e->mtime.seconds < 0 ||
	    (uint64_t)e->mtime.seconds > PAX_OCTAL11_MAX)
		record_time(t, "mtime", &e->mtime);
	if (e->type == FILE_HARD_LINK)
		return;
	if (e->has_times) {
		record_time(t, "atime", &e->atime);
		record_time(t, "ctime", &e->ctime);
	}
	record_acl(t, scratch, "SCHILY.acl.access", &e->acl_access);
	record_acl(t, scratch, "SCHILY.acl.default", &e->acl_default);
	for (i = 0; i < e->nr_xattrs; i++)
		record_xattr(t, scratch, &e->xattrs[i]);
}
