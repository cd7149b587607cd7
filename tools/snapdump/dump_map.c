/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_map.c - --map: which layer holds what.
 *
 * The map, as text: a line for each range of the view that some layer holds,
 * "offset length" in bytes, decimal, ascending, neighbours joined. Lines that
 * begin with # are comments; the last one says that the map is complete:
 *
 *   # libcow map 1
 *   # view 8388608
 *   0 16384
 *   65536 32768
 *   # complete: 2 ranges, 49152 bytes
 */
#include "tools/snapdump/dump.h"

#include <inttypes.h>
#include <unistd.h>

#include "tools/common/json.h"
#include "tools/common/printer.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"

static bool layer_next(const struct dump *dump, const struct cow_stack_layer *layer, uint64_t at,
		       struct cow_segment *ret_range)
{
	uint64_t size = cow_image_size(dump->operands.view);
	struct cow_extent extent;

	if (at >= size || !cow_store_next_extent(layer->store, at, &extent) ||
	    extent.old_bytes >= size)
		return false;
	*ret_range = (struct cow_segment){ extent.old_bytes, extent.len_bytes };
	/* The last chunk may be short (I11). */
	if (ret_range->len_bytes > size - extent.old_bytes)
		ret_range->len_bytes = size - extent.old_bytes;
	return true;
}

/* Finds the first range at or behind "at", over all layers. */
static bool next_range(const struct dump *dump, uint64_t at, struct cow_segment *ret_range)
{
	const struct operands *operands = &dump->operands;
	struct cow_segment range, found = { UINT64_MAX, 0 };
	bool grows = true;

	for (size_t i = 0; i < operands->nr_layers; i++)
		if (layer_next(dump, &operands->layers[i], at, &range) &&
		    range.offset_bytes < found.offset_bytes)
			found = range;
	if (!found.len_bytes)
		return false;
	while (grows) {
		uint64_t end = found.offset_bytes + found.len_bytes;

		grows = false;
		for (size_t i = 0; i < operands->nr_layers; i++) {
			if (!layer_next(dump, &operands->layers[i], end, &range) ||
			    range.offset_bytes != end)
				continue;
			found.len_bytes += range.len_bytes;
			end += range.len_bytes;
			grows = true;
		}
	}
	*ret_range = found;
	return true;
}

static int write_map(struct dump *dump, struct printer *text, struct cow_err *err)
{
	struct json_object *list = json_put_array(json_root(), "ranges");
	struct cow_segment range;
	uint64_t at = 0;
	int ret;

	ret = printer_add(text, err, "# libcow map 1\n# view %" PRIu64 "\n",
			  cow_image_size(dump->operands.view));
	while (!ret && next_range(dump, at, &range)) {
		struct json_object *item = json_put_object(list, NULL);

		json_put_u64(item, "offset", range.offset_bytes);
		json_put_u64(item, "length", range.len_bytes);
		ret = printer_add(text, err, "%" PRIu64 " %" PRIu64 "\n", range.offset_bytes,
				  range.len_bytes);
		dump->nr_ranges++;
		dump->data_bytes += range.len_bytes;
		at = range.offset_bytes + range.len_bytes;
	}
	if (!ret)
		ret = printer_add(text, err, "# complete: %" PRIu64 " ranges, %" PRIu64 " bytes\n",
				  dump->nr_ranges, dump->data_bytes);
	return ret ? ret : printer_flush(text, err);
}

int dump_text(struct dump *dump, dump_text_writer *write, struct cow_err *err)
{
	bool is_in_json = json_is_on_stdout() && !dump->output;
	struct sink sink = SINK_INIT;
	struct printer text = { .user = &sink };
	int ret = 0;

	/* A map is text: unlike data it may go to a terminal. */
	if (!dump->output && !is_in_json)
		sink = (struct sink){ .fd = STDOUT_FILENO, .name = "stdout" };
	else if (!is_in_json)
		ret = sink_open(&sink, dump->operands.set, dump->output, err);
	sandbox_enter();
	if (!is_in_json && !dump->is_dry_run)
		text.write = sink_write;
	if (!ret)
		ret = write(dump, &text, err);
	if (!ret && !dump->is_dry_run)
		ret = sink_publish(&sink, err);
	sink_close(&sink);
	return ret;
}

int dump_map(struct dump *dump, struct cow_err *err)
{
	return dump_text(dump, write_map, err);
}
