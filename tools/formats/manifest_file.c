/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * manifest_file.c - makes a manifest from an image, compares two, prints one as
 * JSON.
 */
#include "tools/formats/manifest_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "libcow/base/array.h"
#include "tools/common/sink.h"

#define MANIFEST_SCHEMA "libcow.manifest/1"
#define MANIFEST_ALGORITHM "xxh3-128"

void manifest_clear(struct manifest *manifest)
{
	free(manifest->ranges);
	memset(manifest, 0, sizeof(*manifest));
}

int manifest_add(struct manifest *manifest, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES])
{
	struct cow_manifest_range *range, *grown;

	grown = cow_array_grow(manifest->ranges, manifest->nr_ranges, &manifest->room,
			       sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	manifest->ranges = grown;
	range = &manifest->ranges[manifest->nr_ranges++];
	range->index = index;
	memcpy(range->digest, digest, COW_DIGEST_BYTES);
	return 0;
}

/* The place of the first range at or behind index. */
static size_t lower_bound(const struct manifest *manifest, uint64_t index)
{
	size_t low = 0, high = manifest->nr_ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (manifest->ranges[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Finds the entry of a range, or NULL: zeros. */
static const struct cow_manifest_range *range_find(const struct manifest *manifest, uint64_t index)
{
	size_t at = lower_bound(manifest, index);

	if (at == manifest->nr_ranges || manifest->ranges[at].index != index)
		return NULL;
	return &manifest->ranges[at];
}

bool manifest_next_change(const struct manifest *old, const struct manifest *now,
			  uint64_t from_index, uint64_t *ret_index)
{
	size_t a = lower_bound(old, from_index), b = lower_bound(now, from_index);

	for (; a < old->nr_ranges && b < now->nr_ranges; a++, b++)
		if (memcmp(&old->ranges[a], &now->ranges[b], sizeof(old->ranges[a])))
			break;
	if (a == old->nr_ranges && b == now->nr_ranges)
		return false;
	*ret_index = UINT64_MAX;
	if (a < old->nr_ranges)
		*ret_index = old->ranges[a].index;
	if (b < now->nr_ranges && now->ranges[b].index < *ret_index)
		*ret_index = now->ranges[b].index;
	return true;
}

/* ---------------------------------------------------------------- making */

struct scanning {
	struct manifest *manifest;
	const struct manifest_scan *scan;
};

static int on_range(void *user, uint64_t index, const uint8_t digest[COW_DIGEST_BYTES])
{
	struct scanning *scanning = user;

	return manifest_add(scanning->manifest, index, digest);
}

static int on_extent(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct scanning *scanning = user;

	return scanning->scan->extent(scanning->scan->user, offset_bytes, len_bytes);
}

static int on_known(void *user, uint64_t index, uint8_t ret_digest[COW_DIGEST_BYTES])
{
	const struct scanning *scanning = user;
	const struct manifest_scan *scan = scanning->scan;
	const struct cow_manifest_range *range;

	if (scan->changed(scan->user, index))
		return COW_MANIFEST_UNKNOWN;
	range = range_find(scan->known, index);
	if (!range)
		return COW_MANIFEST_ZERO;
	memcpy(ret_digest, range->digest, COW_DIGEST_BYTES);
	return COW_MANIFEST_KNOWN;
}

int manifest_scan(struct manifest *manifest, struct cow_image *image,
		  const struct manifest_scan *scan, struct cow_err *err)
{
	struct cow_manifest_params params = COW_MANIFEST_PARAMS_INIT;
	struct scanning scanning = { manifest, scan };
	int ret;

	params.callbacks = scan->callbacks;
	params.user = &scanning;
	params.range = on_range;
	params.extent = scan->extent ? on_extent : NULL;
	params.known = scan->known ? on_known : NULL;
	manifest_clear(manifest);
	manifest->view_bytes = cow_image_size(image);
	ret = cow_manifest(image, &params, manifest->digest, err);
	if (ret)
		manifest_clear(manifest);
	return ret;
}

/* --------------------------------------------------------------- writing */

const char *manifest_hex(const uint8_t digest[COW_DIGEST_BYTES], char buf[MANIFEST_HEX_BYTES])
{
	for (size_t i = 0; i < COW_DIGEST_BYTES; i++)
		sprintf(buf + 2 * i, "%02x", digest[i]);
	return buf;
}

const char *manifest_direction(bool is_reverse)
{
	return is_reverse ? "reverse" : "forward";
}

int manifest_print(const struct manifest *manifest, struct printer *printer, struct cow_err *err)
{
	char hex[MANIFEST_HEX_BYTES];
	int ret;

	ret = printer_add(printer, err,
			  "{\n \"schema\": \"" MANIFEST_SCHEMA "\",\n \"view_bytes\": %" PRIu64
			  ",\n \"range_bytes\": %" PRIu64 ",\n \"algorithm\": \"" MANIFEST_ALGORITHM
			  "\",\n \"digest\": \"%s\",\n",
			  manifest->view_bytes, COW_MANIFEST_RANGE_BYTES,
			  manifest_hex(manifest->digest, hex));
	if (!ret && manifest->has_parent)
		ret = printer_add(printer, err, " \"direction\": \"%s\",\n \"parent\": \"%s\",\n",
				  manifest_direction(manifest->is_reverse),
				  manifest_hex(manifest->parent, hex));
	if (!ret)
		ret = printer_add(printer, err, "%s \"ranges\": [",
				  manifest->is_doubtful ? " \"doubtful\": true,\n" : "");
	for (size_t i = 0; !ret && i < manifest->nr_ranges; i++)
		ret = printer_add(printer, err, "%s\n  [%" PRIu64 ", \"%s\"]", i ? "," : "",
				  manifest->ranges[i].index,
				  manifest_hex(manifest->ranges[i].digest, hex));
	if (!ret)
		ret = printer_add(printer, err, "%s],\n \"complete\": true\n}\n",
				  manifest->nr_ranges ? "\n " : "");
	return ret ? ret : printer_flush(printer, err);
}

int manifest_save(const struct manifest *manifest, struct sink *sink, struct cow_err *err)
{
	struct printer printer = { .write = sink_write, .user = sink };
	int ret = manifest_print(manifest, &printer, err);

	return ret ? ret : sink_publish(sink, err);
}
