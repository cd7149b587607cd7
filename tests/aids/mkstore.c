/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
#include "tests/aids/mkstore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 6
#define IMAGE_BYTES_MAX (UINT64_C(1) << 60)

struct maker {
	struct cow_image *image; /* larger than the store: it may grow */
	uint64_t size_bytes;
	uint64_t chunk_bytes;
	uint64_t index; /* next place of the list */
	uint64_t next_chunk;
	unsigned int line;
	char *words[WORDS_MAX];
	unsigned int nr_words;
	struct cow_err *err;
};

static int bad(struct maker *maker, const char *what)
{
	struct cow_err *err = maker->err;

	if (err) {
		err->code = -EINVAL;
		snprintf(err->message, sizeof(err->message), "line %u: %s", maker->line, what);
	}
	return -EINVAL;
}

uint8_t mkstore_byte(uint64_t chunk, uint64_t i)
{
	return (uint8_t)(chunk * 37 + i / 512 * 11 + i % 251 + 1);
}

static bool number(const char *word, uint64_t *ret_value)
{
	char *end;

	errno = 0;
	*ret_value = strtoull(word, &end, 0);
	return !errno && end != word && !*end;
}

static bool size(char *word, uint64_t *ret_bytes)
{
	static const char units[] = "sKMGT";
	static const uint64_t factors[] = { 512, 1 << 10, 1 << 20, 1 << 30, UINT64_C(1) << 40 };
	size_t last = strlen(word) - 1;
	const char *unit = strchr(units, word[last]);
	bool has_unit = word[last] && unit;

	if (has_unit)
		word[last] = '\0';
	if (!number(word, ret_bytes))
		return false;
	if (has_unit)
		*ret_bytes *= factors[unit - units];
	return *ret_bytes <= IMAGE_BYTES_MAX;
}

static void put(uint8_t *raw, unsigned int nr_bytes, uint64_t value)
{
	for (unsigned int i = 0; i < nr_bytes; i++)
		raw[i] = (uint8_t)(value >> (8 * i));
}

static int write_at(struct maker *maker, const void *buf, size_t len, uint64_t offset)
{
	return cow_image_pwrite(maker->image, buf, len, offset, maker->err);
}

static int do_header(struct maker *maker)
{
	static const char *const fields[] = { "magic=", "valid=", "version=", "chunk=" };
	uint64_t values[] = { 0x70416e53, 1, 1, maker->chunk_bytes / 512 };
	uint8_t raw[16];

	for (unsigned int i = 1; i < maker->nr_words; i++) {
		unsigned int f = 0;

		while (f < 4 && strncmp(maker->words[i], fields[f], strlen(fields[f])))
			f++;
		if (f == 4 || !number(maker->words[i] + strlen(fields[f]), &values[f]))
			return bad(maker, "a header has magic=, valid=, version=, chunk=");
	}
	for (unsigned int f = 0; f < 4; f++)
		put(raw + 4 * f, 4, values[f]);
	return write_at(maker, raw, sizeof(raw), 0);
}

static int record_put(struct maker *maker, uint64_t old_chunk, uint64_t new_chunk)
{
	uint64_t per_area = maker->chunk_bytes / 16;
	uint64_t area = maker->index / per_area, within = maker->index % per_area;
	uint8_t raw[16];

	put(raw, 8, old_chunk);
	put(raw + 8, 8, new_chunk);
	maker->index++;
	return write_at(maker, raw, sizeof(raw),
			(1 + area * (per_area + 1)) * maker->chunk_bytes + within * 16);
}

static int do_records(struct maker *maker)
{
	uint64_t old_chunk, new_chunk, nr = 1;
	int ret = 0;

	if (maker->nr_words < 3 || !number(maker->words[1], &old_chunk) ||
	    !number(maker->words[2], &new_chunk) ||
	    (maker->nr_words > 3 && !number(maker->words[3], &nr)))
		return bad(maker, "record OLD NEW [NUMBER]");
	for (uint64_t i = 0; !ret && i < nr; i++)
		ret = record_put(maker, old_chunk + i, new_chunk + i);
	return ret;
}

static int do_auto(struct maker *maker)
{
	uint64_t stride = maker->chunk_bytes / 16 + 1, old_chunk, nr;
	int ret = 0;

	if (maker->nr_words < 3 || !number(maker->words[1], &old_chunk) ||
	    !number(maker->words[2], &nr))
		return bad(maker, "auto OLD NUMBER");
	for (uint64_t i = 0; !ret && i < nr; i++) {
		if (maker->next_chunk % stride == 1)
			maker->next_chunk++;
		ret = record_put(maker, old_chunk + i, maker->next_chunk++);
	}
	return ret;
}

static int do_zero(struct maker *maker)
{
	uint64_t nr;
	int ret = 0;

	if (maker->nr_words < 2 || !number(maker->words[1], &nr))
		return bad(maker, "zero NUMBER");
	for (uint64_t i = 0; !ret && i < nr; i++)
		ret = record_put(maker, 0, 0);
	return ret;
}

static int do_at(struct maker *maker)
{
	uint64_t area, within;

	if (maker->nr_words < 3 || !number(maker->words[1], &area) ||
	    !number(maker->words[2], &within))
		return bad(maker, "at AREA RECORD");
	maker->index = area * (maker->chunk_bytes / 16) + within;
	return 0;
}

static int do_data(struct maker *maker)
{
	uint64_t chunk, nr;
	uint8_t sector[512];
	int ret = 0;

	if (maker->nr_words < 3 || !number(maker->words[1], &chunk) ||
	    !number(maker->words[2], &nr))
		return bad(maker, "data CHUNK NUMBER");
	for (uint64_t at = 0; !ret && at < nr * maker->chunk_bytes; at += sizeof(sector)) {
		uint64_t within = at % maker->chunk_bytes;

		for (uint64_t i = 0; i < sizeof(sector); i++)
			sector[i] = mkstore_byte(chunk + at / maker->chunk_bytes, within + i);
		ret = write_at(maker, sector, sizeof(sector), chunk * maker->chunk_bytes + at);
	}
	return ret;
}

static int do_poke(struct maker *maker)
{
	uint64_t offset;
	int ret = 0;

	if (maker->nr_words < 3 || !number(maker->words[1], &offset))
		return bad(maker, "poke OFFSET HEXADECIMAL");
	for (const char *hex = maker->words[2]; !ret && *hex; hex += 2, offset++) {
		unsigned int value;
		uint8_t byte;

		if (!hex[1] || sscanf(hex, "%2x", &value) != 1)
			return bad(maker, "poke wants pairs of hexadecimal digits");
		byte = (uint8_t)value;
		ret = write_at(maker, &byte, 1, offset);
	}
	return ret;
}

static int do_chunk(struct maker *maker)
{
	uint64_t sectors;

	if (maker->nr_words < 2 || !number(maker->words[1], &sectors) || !sectors ||
	    sectors > 1 << 21)
		return bad(maker, "chunk SECTORS");
	maker->chunk_bytes = sectors * 512;
	return 0;
}

static int do_size(struct maker *maker)
{
	if (maker->nr_words < 2 || !size(maker->words[1], &maker->size_bytes))
		return bad(maker, "size BYTES");
	return 0;
}

static const struct {
	const char *word;
	int (*run)(struct maker *maker);
} statements[] = {
	{ "size", do_size },	  { "chunk", do_chunk }, { "header", do_header },
	{ "record", do_records }, { "auto", do_auto },	 { "zero", do_zero },
	{ "at", do_at },	  { "data", do_data },	 { "poke", do_poke },
};

static int run_line(struct maker *maker, char *line)
{
	char *rest = NULL;

	line[strcspn(line, "#")] = '\0';
	maker->nr_words = 0;
	for (char *word = strtok_r(line, " \t\r", &rest); word;
	     word = strtok_r(NULL, " \t\r", &rest)) {
		if (maker->nr_words == WORDS_MAX)
			return bad(maker, "too many words");
		maker->words[maker->nr_words++] = word;
	}
	if (!maker->nr_words)
		return 0;
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		if (!strcmp(maker->words[0], statements[i].word))
			return statements[i].run(maker);
	return bad(maker, "unknown statement");
}

/* The image so far, at its final size. */
static int resize(struct maker *maker, struct cow_image **ret_image)
{
	uint64_t offset = 0, len, end;
	static uint8_t buf[65536];
	struct cow_image *image;
	int ret;

	ret = cow_image_memory_new(maker->size_bytes, &image, maker->err);
	if (ret)
		return ret;
	end = cow_image_size(image);
	while (!ret && offset < end) {
		ret = cow_image_next_data(maker->image, offset, &offset, &len, maker->err);
		if (ret || !len || offset >= end)
			break;
		len = len < sizeof(buf) ? len : sizeof(buf);
		len = len < end - offset ? len : end - offset;
		ret = cow_image_pread(maker->image, buf, len, offset, maker->err);
		if (!ret)
			ret = cow_image_pwrite(image, buf, len, offset, maker->err);
		offset += len;
	}
	if (ret) {
		cow_image_close(image);
		return ret;
	}
	*ret_image = image;
	return 0;
}

int mkstore(const char *text, struct cow_image **ret_image, struct cow_err *err)
{
	struct maker maker = {
		.size_bytes = 1 << 20, .chunk_bytes = 4096, .next_chunk = 2, .err = err
	};
	char *copy = strdup(text), *rest = copy;
	int ret;

	if (!copy)
		return -ENOMEM;
	ret = cow_image_memory_new(IMAGE_BYTES_MAX, &maker.image, err);
	while (!ret && rest) {
		char *line = strsep(&rest, "\n");

		maker.line++;
		ret = run_line(&maker, line);
	}
	if (!ret)
		ret = resize(&maker, ret_image);
	cow_image_close(maker.image);
	free(copy);
	return ret;
}
