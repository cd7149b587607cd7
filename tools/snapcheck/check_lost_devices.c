/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_lost_devices.c - lists what a repair of a pool gave up, or doubts, of each
 * device: a line for each, with its first ranges; JSON has all of them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/json.h"
#include "tools/snapcheck/check_lost.h"

/* So many devices are listed, of one list; of two, so that both fit one screen. */
#define DEVICES_SHOWN 6
#define DEVICES_SHOWN_OF_TWO 3

static void json_add(const struct check_lost *lost, uint64_t id, uint64_t offset_bytes,
		     uint64_t len_bytes)
{
	struct json_object *at = json_put_object(lost->ranges, NULL);

	json_put_u64(at, "device", id);
	json_put_u64(at, "offset_bytes", offset_bytes);
	if (len_bytes)
		json_put_u64(at, "length_bytes", len_bytes);
	else
		json_put_null(at, "length_bytes");
}

static void line_begin(struct check_lost *lost, uint64_t id)
{
	if (!lost->text)
		lost->text = open_memstream(&lost->devices, &lost->devices_len);
	lost->id = id;
	lost->nr_of_id = 0;
	lost->nr_ids++;
	if (lost->text && lost->nr_ids <= DEVICES_SHOWN)
		fprintf(lost->text, "%sdevice %" PRIu64 ": bytes ",
			lost->nr_ids > 1 ? "\n  " : "  ", id);
}

void check_lost_add_device(struct check_lost *lost, uint64_t id, uint64_t offset_bytes,
			   uint64_t len_bytes)
{
	json_add(lost, id, offset_bytes, len_bytes);
	if (!lost->nr_ranges++ || lost->id != id)
		line_begin(lost, id);
	if (!lost->text || lost->nr_ids > DEVICES_SHOWN)
		return;
	if (++lost->nr_of_id > CHECK_LOST_SHOWN) {
		if (lost->nr_of_id == CHECK_LOST_SHOWN + 1)
			fputs(", ... (--json lists all)", lost->text);
		return;
	}
	fprintf(lost->text, "%s%" PRIu64 "-", lost->nr_of_id > 1 ? ", " : "", offset_bytes);
	if (len_bytes)
		fprintf(lost->text, "%" PRIu64, offset_bytes + len_bytes - 1);
	else
		fputs("end", lost->text);
}

/* Length in bytes of the first nr_lines lines. */
static size_t lines_len(const char *text, uint64_t nr_lines)
{
	const char *end = text;

	while (*end && nr_lines) {
		end += strcspn(end, "\n");
		nr_lines--;
		end += *end && nr_lines;
	}
	return (size_t)(end - text);
}

void check_lost_print_devices(struct check_lost *lost, const char *what, const char *consequence,
			      bool are_two, FILE *text)
{
	uint64_t nr = are_two ? DEVICES_SHOWN_OF_TWO : DEVICES_SHOWN;

	if (!lost->text || fflush(lost->text))
		return;
	fprintf(text, "%s, and %s:\n%.*s\n", what, consequence, (int)lines_len(lost->devices, nr),
		lost->devices);
	if (lost->nr_ids > nr)
		fprintf(text, "  and %" PRIu64 " more devices (--json lists all)\n",
			lost->nr_ids - nr);
}

void check_lost_add_found(struct check_lost *found, uint64_t id, uint64_t nr, uint64_t nr_missing)
{
	struct json_object *at;

	if (!found->ranges)
		found->ranges = json_put_array(json_root(), "found");
	at = json_put_object(found->ranges, NULL);
	json_put_u64(at, "device", id);
	json_put_u64(at, "blocks", nr);
	json_put_u64(at, "blocks_missing", nr_missing);
	if (!found->text)
		found->text = open_memstream(&found->devices, &found->devices_len);
	if (!found->text || ++found->nr_ids > DEVICES_SHOWN)
		return;
	fprintf(found->text, "%sdevice %" PRIu64 ": %" PRIu64 " blocks",
		found->nr_ids > 1 ? "\n  " : "  ", id, nr);
	if (nr_missing)
		fprintf(found->text, "; %" PRIu64 " are still missing", nr_missing);
}

void check_lost_print_found(struct check_lost *found, const struct cow_repair_result *result,
			    FILE *text)
{
	if (!found->text || fflush(found->text))
		return;
	fprintf(text,
		"found although the nodes above it are lost, of transaction %" PRIu64
		" and time %" PRIu32 ":\n%s\n",
		result->found_transaction, result->found_time, found->devices);
	if (found->nr_ids > DEVICES_SHOWN)
		fprintf(text, "  and %" PRIu64 " more devices (--json lists all)\n",
			found->nr_ids - DEVICES_SHOWN);
}

void check_lost_free(struct check_lost *lost)
{
	if (lost->text)
		(void)fclose(lost->text);
	free(lost->devices);
	lost->text = NULL;
	lost->devices = NULL;
}
