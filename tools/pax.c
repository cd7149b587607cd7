/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * pax.c - pax archives. A member is [extended header 'x' with its records]
 * header, data, zeros up to a multiple of 512. Records are written only for
 * what the 1988 header cannot say, except atime and ctime, which it never can.
 * source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended
 * Header"; GNU tar manual, "PAX Format, Version 1.0" of sparse files.
 */
#include "tools/pax.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

#define BLOCK 512
#define RECORD 10240 /* an archive ends on a multiple of this, as tar's do */
#define BUFFER_BYTES (1u << 20)
#define NAME_MAX_USTAR 100
#define OCTAL11_MAX 077777777777ull
#define OCTAL7_MAX 07777777u

/* Text that grows: records of an extended header, the map of a sparse file. */
struct text {
	char *bytes;
	size_t len, room;
	bool failed; /* no memory: looked at once, at the end */
};

struct pax_writer {
	pax_write_fn *write;
	void *user;
	uint8_t *buf;
	size_t used;
	uint64_t total_bytes;	/* of the archive, in the buffer or out */
	uint64_t written_bytes; /* out */
	struct text records, map, acl;
};

static char *text_grow(struct text *t, size_t len)
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

static void text_add(struct text *t, const void *bytes, size_t len)
{
	char *at = text_grow(t, len);

	if (at && len)
		memcpy(at, bytes, len);
}

__attribute__((format(printf, 2, 3))) static void text_print(struct text *t, const char *format,
							     ...)
{
	char line[96];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_add(t, line, (size_t)len);
}

static void text_clear(struct text *t)
{
	t->len = 0;
	t->failed = false;
}

/* "%zu key=value\n"; the number counts itself. */
static void record_add(struct text *t, const char *key, size_t key_len, const void *value,
		       size_t value_len)
{
	size_t total = 1 + key_len + 1 + value_len + 1;
	size_t limit = 10;

	/* One digit more for each power of ten that the sum reaches. */
	for (total++; total >= limit; limit *= 10)
		total++;
	text_print(t, "%zu ", total);
	text_add(t, key, key_len);
	text_add(t, "=", 1);
	text_add(t, value, value_len);
	text_add(t, "\n", 1);
}

static void record_text(struct text *t, const char *key, const char *value)
{
	record_add(t, key, strlen(key), value, strlen(value));
}

static void record_u64(struct text *t, const char *key, uint64_t value)
{
	char number[24];

	snprintf(number, sizeof(number), "%" PRIu64, value);
	record_text(t, key, number);
}

/* Seconds with a fraction, without trailing zeros: "-1.5" is half a second
 * before -1, so a negative time borrows. */
static void record_time(struct text *t, const char *key, const struct file_time *time)
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

/* Well-formed UTF-8 without surrogates and overlong forms. */
static bool is_utf8(const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	uint32_t code, least;
	int more;

	while (*s) {
		more = *s < 0x80       ? 0
		       : *s >> 5 == 6  ? 1
		       : *s >> 4 == 14 ? 2
		       : *s >> 3 == 30 ? 3
				       : -1;
		if (more < 0)
			return false;
		code = more ? *s & (0x3f >> more) : *s;
		least = more == 1 ? 0x80 : more == 2 ? 0x800 : more == 3 ? 0x10000 : 0;
		for (s++; more; more--, s++) {
			if (*s >> 6 != 2)
				return false;
			code = code << 6 | (*s & 0x3f);
		}
		if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return false;
	}
	return true;
}

/* The keyword of an attribute may not contain '=': GNU tar writes %3D for it
 * and %25 for '%', and reads that back. */
static void record_xattr(struct text *t, struct text *key, const struct file_xattr *xattr)
{
	const char *s;

	text_clear(key);
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
static void record_acl(struct text *t, struct text *acl_text, const char *key,
		       const struct file_acl *acl)
{
	const struct file_acl_entry *e;
	size_t i;

	if (!acl->nr_entries)
		return;
	text_clear(acl_text);
	for (i = 0; i < acl->nr_entries; i++) {
		e = &acl->entries[i];
		text_print(acl_text, "%s%s:", i ? "," : "", acl_tag_name(e->tag));
		if (e->tag == FILE_ACL_USER || e->tag == FILE_ACL_GROUP)
			text_print(acl_text, "%" PRIu32, e->id);
		text_print(acl_text, ":%c%c%c", e->perm & 4 ? 'r' : '-', e->perm & 2 ? 'w' : '-',
			   e->perm & 1 ? 'x' : '-');
	}
	if (acl_text->failed)
		t->failed = true;
	else
		record_add(t, key, strlen(key), acl_text->bytes, acl_text->len);
}

/* ---- bytes out */

static int flush(struct pax_writer *w, struct cow_err *err)
{
	int ret = 0;

	if (w->used)
		ret = w->write(w->user, w->buf, w->used, err);
	if (!ret)
		w->written_bytes += w->used;
	w->used = 0;
	return ret;
}

/* Room for at least one byte in the buffer. */
static int room(struct pax_writer *w, size_t *ret_bytes, struct cow_err *err)
{
	int ret = 0;

	if (w->used == BUFFER_BYTES)
		ret = flush(w, err);
	if (!ret)
		*ret_bytes = BUFFER_BYTES - w->used;
	return ret;
}

static void advance(struct pax_writer *w, size_t len)
{
	w->used += len;
	w->total_bytes += len;
}

static int put(struct pax_writer *w, const void *bytes, size_t len, struct cow_err *err)
{
	const uint8_t *from = bytes;
	size_t piece;
	int ret;

	while (len) {
		ret = room(w, &piece, err);
		if (ret)
			return ret;
		if (piece > len)
			piece = len;
		if (from)
			memcpy(w->buf + w->used, from, piece);
		else
			memset(w->buf + w->used, 0, piece);
		advance(w, piece);
		from = from ? from + piece : NULL;
		len -= piece;
	}
	return 0;
}

/* Zeros up to the next multiple of unit. */
static int pad(struct pax_writer *w, size_t unit, struct cow_err *err)
{
	size_t over = w->total_bytes % unit;

	return over ? put(w, NULL, unit - over, err) : 0;
}

/* ---- headers */

static void octal(uint8_t *field, size_t width, uint64_t value)
{
	field[--width] = 0;
	while (width) {
		field[--width] = '0' + (value & 7);
		value >>= 3;
	}
}

static void copy_name(uint8_t *field, const char *name)
{
	memcpy(field, name, strnlen(name, NAME_MAX_USTAR));
}

static uint8_t type_flag(enum file_type type)
{
	switch (type) {
	case FILE_HARD_LINK:
		return '1';
	case FILE_SYMLINK:
		return '2';
	case FILE_CHAR_DEVICE:
		return '3';
	case FILE_BLOCK_DEVICE:
		return '4';
	case FILE_DIRECTORY:
		return '5';
	case FILE_FIFO:
		return '6';
	default:
		return '0';
	}
}

/* Numbers that do not fit are clipped: their record says the truth. */
static void header_fill(uint8_t h[BLOCK], const struct file_entry *e, const char *name,
			uint64_t size_bytes, uint8_t flag)
{
	uint64_t mtime = e->mtime.seconds < 0 ? 0 : (uint64_t)e->mtime.seconds;
	uint32_t sum = 0;
	size_t i;

	memset(h, 0, BLOCK);
	copy_name(h, name);
	octal(h + 100, 8, e->mode & 07777);
	octal(h + 108, 8, e->uid > OCTAL7_MAX ? OCTAL7_MAX : e->uid);
	octal(h + 116, 8, e->gid > OCTAL7_MAX ? OCTAL7_MAX : e->gid);
	octal(h + 124, 12, size_bytes > OCTAL11_MAX ? OCTAL11_MAX : size_bytes);
	octal(h + 136, 12, mtime > OCTAL11_MAX ? OCTAL11_MAX : mtime);
	h[156] = flag;
	if (e->link && flag != 'x')
		copy_name(h + 157, e->link);
	memcpy(h + 257, "ustar\00000", 8);
	octal(h + 329, 8, e->major);
	octal(h + 337, 8, e->minor);
	memset(h + 148, ' ', 8);
	for (i = 0; i < BLOCK; i++)
		sum += h[i];
	octal(h + 148, 7, sum);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What bsdtar needs to be told about names that are no UTF-8. GNU tar does not
 * know the keyword and says so, hence only where a record cannot be avoided. */
static void record_name(struct text *t, const char *key, const char *name)
{
	bool fits = strlen(name) <= NAME_MAX_USTAR;

	if (fits && (is_ascii(name) || !is_utf8(name)))
		return;
	record_text(t, key, name);
}

static bool needs_binary(const struct file_entry *e, const char *name, bool sparse)
{
	if ((sparse || strlen(name) > NAME_MAX_USTAR) && !is_utf8(name))
		return true;
	return e->link && strlen(e->link) > NAME_MAX_USTAR && !is_utf8(e->link);
}

static void records_fill(struct pax_writer *w, const struct file_entry *e, const char *name,
			 bool sparse, uint64_t size_bytes)
{
	struct text *t = &w->records;
	size_t i;

	text_clear(t);
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
	if (size_bytes > OCTAL11_MAX)
		record_u64(t, "size", size_bytes);
	if (e->uid > OCTAL7_MAX)
		record_u64(t, "uid", e->uid);
	if (e->gid > OCTAL7_MAX)
		record_u64(t, "gid", e->gid);
	if (e->mtime.nanoseconds || e->mtime.seconds < 0 ||
	    (uint64_t)e->mtime.seconds > OCTAL11_MAX)
		record_time(t, "mtime", &e->mtime);
	if (e->type == FILE_HARD_LINK)
		return;
	record_time(t, "atime", &e->atime);
	record_time(t, "ctime", &e->ctime);
	record_acl(t, &w->acl, "SCHILY.acl.access", &e->acl_access);
	record_acl(t, &w->acl, "SCHILY.acl.default", &e->acl_default);
	for (i = 0; i < e->nr_xattrs; i++)
		record_xattr(t, &w->acl, &e->xattrs[i]);
}

static int put_headers(struct pax_writer *w, const struct file_entry *e, const char *name,
		       uint64_t size_bytes, struct cow_err *err)
{
	char helper[NAME_MAX_USTAR + 1];
	uint8_t header[BLOCK];
	int ret;

	if (w->records.failed)
		return cli_refuse(err, -ENOMEM, "memory", NULL, "no memory for a header");
	if (w->records.len) {
		snprintf(helper, sizeof(helper), "PaxHeaders/%.80s", base_name(e->path));
		header_fill(header, e, helper, w->records.len, 'x');
		ret = put(w, header, BLOCK, err);
		if (!ret)
			ret = put(w, w->records.bytes, w->records.len, err);
		if (!ret)
			ret = pad(w, BLOCK, err);
		if (ret)
			return ret;
	}
	header_fill(header, e, name, size_bytes, type_flag(e->type));
	return put(w, header, BLOCK, err);
}

/* ---- data */

static uint64_t data_bytes(const struct file_entry *e)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < e->nr_ranges; i++)
		sum += e->ranges[i].len_bytes;
	return sum;
}

static int put_range(struct pax_writer *w, const struct file_entry *e,
		     const struct file_range *range, struct cow_err *err)
{
	uint64_t done = 0;
	size_t piece;
	int ret;

	while (done < range->len_bytes) {
		ret = room(w, &piece, err);
		if (ret)
			return ret;
		if (piece > range->len_bytes - done)
			piece = range->len_bytes - done;
		ret = e->read(e->source, w->buf + w->used, piece, range->offset_bytes + done, err);
		if (ret)
			return ret;
		advance(w, piece);
		done += piece;
	}
	return 0;
}

/* The map of a sparse member: decimal numbers, one a line, filled with zeros
 * up to a multiple of 512. An empty range marks the end behind a last hole. */
static int map_fill(struct text *map, const struct file_entry *e, struct cow_err *err)
{
	const struct file_range *last = e->nr_ranges ? &e->ranges[e->nr_ranges - 1] : NULL;
	bool ends_in_hole = !last || last->offset_bytes + last->len_bytes < e->size_bytes;
	size_t i, over;
	char *at;

	text_clear(map);
	text_print(map, "%zu\n", e->nr_ranges + ends_in_hole);
	for (i = 0; i < e->nr_ranges; i++)
		text_print(map, "%" PRIu64 "\n%" PRIu64 "\n", e->ranges[i].offset_bytes,
			   e->ranges[i].len_bytes);
	if (ends_in_hole)
		text_print(map, "%" PRIu64 "\n0\n", e->size_bytes);
	over = map->len % BLOCK;
	if (over) {
		at = text_grow(map, BLOCK - over);
		if (at)
			memset(at, 0, BLOCK - over);
	}
	if (map->failed)
		return cli_refuse(err, -ENOMEM, "memory", NULL, "no memory for a sparse map");
	return 0;
}

static int add_regular(struct pax_writer *w, const struct file_entry *e, struct cow_err *err)
{
	uint64_t size_bytes = data_bytes(e);
	bool sparse = size_bytes < e->size_bytes;
	char name[NAME_MAX_USTAR + 1];
	size_t i;
	int ret = 0;

	if (sparse) {
		ret = map_fill(&w->map, e, err);
		if (ret)
			return ret;
		size_bytes += w->map.len;
		snprintf(name, sizeof(name), "GNUSparseFile.0/%.80s", base_name(e->path));
	}
	records_fill(w, e, e->path, sparse, size_bytes);
	ret = put_headers(w, e, sparse ? name : e->path, size_bytes, err);
	if (!ret && sparse)
		ret = put(w, w->map.bytes, w->map.len, err);
	for (i = 0; !ret && i < e->nr_ranges; i++)
		ret = put_range(w, e, &e->ranges[i], err);
	return ret ? ret : pad(w, BLOCK, err);
}

static int add_directory(struct pax_writer *w, const struct file_entry *e, struct cow_err *err)
{
	size_t len = strlen(e->path);
	char *name = malloc(len + 2);
	int ret;

	if (!name)
		return cli_refuse(err, -ENOMEM, "memory", NULL, "no memory for a name");
	memcpy(name, e->path, len);
	memcpy(name + len, "/", 2);
	records_fill(w, e, name, false, 0);
	ret = put_headers(w, e, name, 0, err);
	free(name);
	return ret;
}

int pax_add(struct pax_writer *w, const struct file_entry *e, struct cow_err *err)
{
	if (e->type == FILE_REGULAR)
		return add_regular(w, e, err);
	if (e->type == FILE_DIRECTORY)
		return add_directory(w, e, err);
	records_fill(w, e, e->path, false, 0);
	return put_headers(w, e, e->path, 0, err);
}

int pax_finish(struct pax_writer *w, struct cow_err *err)
{
	int ret = put(w, NULL, (size_t)2 * BLOCK, err);

	if (!ret)
		ret = pad(w, RECORD, err);
	return ret ? ret : flush(w, err);
}

int pax_cut(struct pax_writer *w, struct cow_err *err)
{
	static const struct file_entry cut = { .type = FILE_REGULAR, .path = "INCOMPLETE" };
	uint8_t header[BLOCK];
	int ret = flush(w, err);

	/* Elsewhere a cut is inside a header or a file, and seen as it is. */
	if (ret || w->written_bytes % BLOCK)
		return ret;
	header_fill(header, &cut, cut.path, OCTAL11_MAX, '0');
	return w->write(w->user, header, BLOCK, err);
}

int pax_new(pax_write_fn *write, void *user, struct pax_writer **ret_writer, struct cow_err *err)
{
	struct pax_writer *w = calloc(1, sizeof(*w));

	if (w)
		w->buf = malloc(BUFFER_BYTES);
	if (!w || !w->buf) {
		pax_free(w);
		return cli_refuse(err, -ENOMEM, "memory", NULL, "no memory for an archive");
	}
	w->write = write;
	w->user = user;
	*ret_writer = w;
	return 0;
}

void pax_free(struct pax_writer *w)
{
	if (!w)
		return;
	free(w->records.bytes);
	free(w->map.bytes);
	free(w->acl.bytes);
	free(w->buf);
	free(w);
}
