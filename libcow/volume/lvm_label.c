/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * lvm_label.c - the label of a PV and its metadata areas. The label lies in one
 * of the first four sectors; an area is a header of 512 bytes and a ring of text
 * behind it. A checksum stands over each of the three.
 *
 * Source: lvm2 lib/label/label.h, lib/format_text/layout.h.
 */
#include "libcow/volume/lvm_label.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/base/overflow.h"
#include "libcow/base/units.h"
#include "libcow/volume/volume_crc32.h"
#include "libcow/volume/lvm_text.h"

#define SECTOR 512
#define LABEL_SECTORS 4
#define PV_HEADER_BYTES 40 /* UUID, size; the lists follow */
#define LIST_ITEM_BYTES 16
#define AREA_HEADER_BYTES UINT64_C(512)
#define LOCN_IGNORED 1u

static const uint8_t area_magic[16] = { 0x20, 0x4c, 0x56, 0x4d, 0x32, 0x20, 0x78, 0x5b,
					0x35, 0x41, 0x25, 0x72, 0x30, 0x4e, 0x2a, 0x3e };

void cow_lvm_uuid_dashes(const char *uuid, char *text)
{
	for (int i = 0; i < 32 && uuid[i]; i++) {
		if (i == 6 || i == 10 || i == 14 || i == 18 || i == 22 || i == 26)
			*text++ = '-';
		*text++ = uuid[i];
	}
	*text = '\0';
}

static bool is_uuid_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '!' || c == '#';
}

bool cow_lvm_uuid_plain(const char *text, char *uuid)
{
	int len = 0;

	for (; *text; text++) {
		if (*text == '-')
			continue;
		if (len == 32 || !is_uuid_char(*text))
			return false;
		uuid[len++] = *text;
	}
	uuid[len] = '\0';
	return len == 32;
}

/* One list of {offset, size}, ended by an offset of 0; -1: it does not end. */
static int list_read(const uint8_t *raw, size_t *at, struct cow_segment *items, size_t room)
{
	int nr = 0;

	for (; *at + LIST_ITEM_BYTES <= SECTOR; *at += LIST_ITEM_BYTES) {
		struct cow_segment item = { get_le64(raw + *at), get_le64(raw + *at + 8) };

		if (!item.offset_bytes) {
			*at += LIST_ITEM_BYTES;
			return nr;
		}
		if ((size_t)nr < room)
			items[nr] = item;
		nr++;
	}
	return -1;
}

/* What is wrong with a sector that begins like a label; NULL: nothing. */
static const char *label_decode(const uint8_t *raw, uint64_t sector, struct lvm_label *label)
{
	uint64_t header = get_le32(raw + 20);
	struct cow_segment data;
	size_t at;
	int nr;

	if (get_le64(raw + 8) != sector)
		return "it says that it lies in another sector";
	if (cow_volume_crc32_add(COW_CRC32_LVM, raw + 20, SECTOR - 20) != get_le32(raw + 16))
		return "its checksum is wrong";
	if (memcmp(raw + 24, "LVM2 001", 8))
		return "it is of a version that is not known";
	if (header < 32 || header > SECTOR - PV_HEADER_BYTES - 2 * LIST_ITEM_BYTES)
		return "its header lies outside of the sector";
	for (int i = 0; i < 32; i++)
		if (!is_uuid_char((char)raw[header + (size_t)i]))
			return "its UUID is none";
	at = header + PV_HEADER_BYTES;
	if (list_read(raw, &at, &data, 1) != 1)
		return "it does not have exactly one data area";
	nr = list_read(raw, &at, label->areas, LVM_AREAS_MAX);
	if (nr < 0 || nr > LVM_AREAS_MAX)
		return "its list of metadata areas does not end";
	memcpy(label->uuid, raw + header, 32);
	label->uuid[32] = '\0';
	label->device_bytes = get_le64(raw + header + 32);
	label->nr_areas = (size_t)nr;
	label->label_sector = sector;
	return NULL;
}

int cow_lvm_label_read(struct cow_image *pv, struct lvm_label *ret_label, struct cow_err *err)
{
	uint8_t raw[LABEL_SECTORS * SECTOR];
	uint64_t nr_sectors = min_u64(LABEL_SECTORS, pv->size_bytes / SECTOR);
	bool is_found = false;
	int ret = cow_image_pread(pv, raw, nr_sectors * SECTOR, 0, err);

	if (ret)
		return ret;
	memset(ret_label, 0, sizeof(*ret_label));
	for (uint64_t sector = 0; sector < nr_sectors; sector++) {
		const uint8_t *at = raw + sector * SECTOR;
		struct lvm_label label = { .nr_areas = 0 };
		const char *fault;

		if (memcmp(at, "LABELONE", 8))
			continue;
		fault = is_found ? "there is one before it" : label_decode(at, sector, &label);
		if (fault) {
			snprintf(ret_label->note, sizeof(ret_label->note),
				 "the LVM label in sector %" PRIu64 " is not used: %s", sector,
				 fault);
			continue;
		}
		memcpy(label.note, ret_label->note, sizeof(label.note));
		*ret_label = label;
		is_found = true;
	}
	if (!is_found)
		return cow_fail(err, -EMEDIUMTYPE, "%s",
				ret_label->note[0] ? ret_label->note
						   : "there is no LVM label in the first sectors");
	return 0;
}

/* What the header of an area says of the committed text. */
struct area_text {
	uint64_t offset_bytes, len_bytes; /* from the beginning of the area */
	uint32_t crc;
};

static int area_header_read(struct cow_image *pv, const struct cow_segment *area,
			    struct area_text *ret_text, struct cow_err *err)
{
	uint8_t raw[AREA_HEADER_BYTES];
	int ret;

	if (!range_fits(area->offset_bytes, area->len_bytes, pv->size_bytes) ||
	    area->len_bytes <= AREA_HEADER_BYTES)
		return cow_fail(err, -ERANGE, "it lies beyond the end of the disk");
	ret = cow_image_pread(pv, raw, sizeof(raw), area->offset_bytes, err);
	if (ret)
		return ret;
	if (cow_volume_crc32_add(COW_CRC32_LVM, raw + 4, sizeof(raw) - 4) != get_le32(raw))
		return cow_fail(err, -EBADMSG, "the checksum of its header is wrong");
	if (memcmp(raw + 4, area_magic, sizeof(area_magic)) || get_le32(raw + 20) != 1)
		return cow_fail(err, -EBADMSG, "its header is none");
	if (get_le64(raw + 24) != area->offset_bytes || get_le64(raw + 32) != area->len_bytes)
		return cow_fail(err, -EBADMSG, "its header names another place or size");
	*ret_text =
		(struct area_text){ get_le64(raw + 40), get_le64(raw + 48), get_le32(raw + 56) };
	if (!ret_text->offset_bytes)
		return cow_fail(err, -ENOENT, "it is empty");
	if (get_le32(raw + 60) & LOCN_IGNORED)
		return cow_fail(err, -ENOENT, "it is marked as not used");
	return 0;
}

/* The ring begins behind the header. */
static int ring_read(struct cow_image *pv, const struct cow_segment *area,
		     const struct area_text *text, char *buf, struct cow_err *err)
{
	uint64_t first = min_u64(text->len_bytes, area->len_bytes - text->offset_bytes);
	int ret = cow_image_pread(pv, buf, first, area->offset_bytes + text->offset_bytes, err);

	if (!ret)
		ret = cow_image_pread(pv, buf + first, text->len_bytes - first,
				      area->offset_bytes + AREA_HEADER_BYTES, err);
	if (!ret && cow_volume_crc32_add(COW_CRC32_LVM, buf, text->len_bytes) != text->crc)
		return cow_fail(err, -EBADMSG,
				"the checksum of its text at byte %" PRIu64 " is wrong",
				area->offset_bytes + text->offset_bytes);
	return ret;
}

int cow_lvm_area_read(struct cow_image *pv, const struct cow_segment *area, char **ret_text,
		      size_t *ret_len_bytes, struct cow_err *err)
{
	AUTO_FREE char *buf = NULL;
	struct area_text text;
	int ret = area_header_read(pv, area, &text, err);

	if (ret)
		return ret;
	if (text.offset_bytes < AREA_HEADER_BYTES || text.offset_bytes >= area->len_bytes ||
	    !text.len_bytes || text.len_bytes > area->len_bytes - AREA_HEADER_BYTES)
		return cow_fail(err, -EBADMSG,
				"its text of %" PRIu64 " bytes at byte %" PRIu64
				" does not fit into the area, %" PRIu64 " bytes",
				text.len_bytes, text.offset_bytes, area->len_bytes);
	if (text.len_bytes > LVM_TEXT_BYTES_MAX)
		return cow_fail(err, -EOPNOTSUPP, "its text of %" PRIu64 " bytes is too long",
				text.len_bytes);
	/* bounded: LVM_TEXT_BYTES_MAX */
	buf = (char *)malloc(text.len_bytes + 1);
	if (!buf)
		return cow_fail(err, -ENOMEM, "no memory for the metadata of a volume group");
	ret = ring_read(pv, area, &text, buf, err);
	if (ret)
		/* cppcheck-suppress memleak ; AUTO_FREE */
		return ret;
	buf[text.len_bytes] = '\0';
	*ret_text = take_ptr(buf);
	*ret_len_bytes = text.len_bytes;
	return 0;
}
