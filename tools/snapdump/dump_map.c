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
 *
 * In a store that holds several snapshots a line ends with " shared" where a write would
 * need a block of its own first. Of two snapshots of one store the ranges are those in
 * which the second one differs from the first.
 */
#include "tools/snapdump/dump.h"

#include <inttypes.h>
#include <unistd.h>

#include "tools/common/json.h"
#include "tools/common/printer.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"

/* A range that some layer holds. */
struct map_range {
	uint64_t offset_bytes, len_bytes;
	bool is_shared; /* with another snapshot of the store */
};

static bool layer_next(const struct dump *dump, const struct cow_stack_layer *layer, uint64_t at,
		       struct map_range *ret_range)
{
	uint64_t size = cow_image_size(dump->operands.view);
	struct cow_extent extent;

	if (at >= size || !cow_store_next_extent(layer->store, at, &extent) ||
	    extent.old_bytes >= size)
		return false;
	*ret_range = (struct map_range){ extent.old_bytes, extent.len_bytes, extent.is_shared };
	/* The last chunk may be short (I11). */
	if (ret_range->len_bytes > size - extent.old_bytes)
		ret_range->len_bytes = size - extent.old_bytes;
	return true;
}

/* Where one of two snapshots of a store has something else than the other, from "at"
 * on, by their maps alone: mapped elsewhere, or by one of them only. */
static bool pair_next(const struct dump *dump, uint64_t at, struct map_range *ret_range)
{
	const struct cow_store *stores[2] = { operands_pair_store(dump->operands.pair),
					      dump->operands.layers[0].store };
	uint64_t size = cow_image_size(dump->operands.view);

	for (uint64_t end; at < size; at = end) {
		struct cow_extent extents[2];
		bool is_mapped[2];

		end = size;
		for (int i = 0; i < 2; i++) {
			bool found = cow_store_next_extent(stores[i], at, &extents[i]);
			uint64_t stop = !found			     ? size
					: extents[i].old_bytes == at ? at + extents[i].len_bytes
								     : extents[i].old_bytes;

			is_mapped[i] = found && extents[i].old_bytes == at;
			end = stop < end ? stop : end;
		}
		if (is_mapped[0] == is_mapped[1] &&
		    (!is_mapped[0] || extents[0].new_bytes == extents[1].new_bytes))
			continue;
		*ret_range = (struct map_range){ at, end - at, false };
		return true;
	}
	return false;
}

/* Finds the first range at or behind "at", over all layers. */
static bool piece_next(const struct dump *dump, uint64_t at, struct map_range *ret_range)
{
	const struct operands *operands = &dump->operands;
	struct map_range range, found = { UINT64_MAX, 0, false };

	if (operands->pair)
		return pair_next(dump, at, ret_range);
	for (size_t i = 0; i < operands->nr_layers; i++)
		if (layer_next(dump, &operands->layers[i], at, &range) &&
		    range.offset_bytes < found.offset_bytes)
			found = range;
	*ret_range = found;
	return found.len_bytes;
}

/* The same, with the neighbours of which the same is true. */
static bool next_range(const struct dump *dump, uint64_t at, struct map_range *ret_range)
{
	struct map_range found, range;

	if (!piece_next(dump, at, &found))
		return false;
	while (piece_next(dump, found.offset_bytes + found.len_bytes, &range) &&
	       range.offset_bytes == found.offset_bytes + found.len_bytes &&
	       range.is_shared == found.is_shared)
		found.len_bytes += range.len_bytes;
	*ret_range = found;
	return true;
}

bool dump_next_range(const struct dump *dump, uint64_t at, struct cow_segment *ret_range)
{
	struct map_range range;

	if (!next_range(dump, at, &range))
		return false;
	*ret_range = (struct cow_segment){ range.offset_bytes, range.len_bytes };
	return true;
}

static int write_map(struct dump *dump, struct printer *text, struct cow_err *err)
{
	struct json_object *list = json_put_array(json_root(), "ranges");
	struct map_range range;
	uint64_t at = 0;
	int ret;

	ret = printer_add(text, err, "# libcow map 1\n# view %" PRIu64 "\n",
			  cow_image_size(dump->operands.view));
	while (!ret && next_range(dump, at, &range)) {
		struct json_object *item = json_put_object(list, NULL);

		json_put_u64(item, "offset", range.offset_bytes);
		json_put_u64(item, "length", range.len_bytes);
		if (range.is_shared)
			json_put_bool(item, "shared", true);
		ret = printer_add(text, err, "%" PRIu64 " %" PRIu64 "%s\n", range.offset_bytes,
				  range.len_bytes, range.is_shared ? " shared" : "");
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
