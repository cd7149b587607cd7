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
 * Of a partition or a volume inside the view it lists what of that is held, in bytes of the
 * part. In a store that holds several snapshots a line ends with " shared" where another one
 * of them has the same block now. Of two snapshots of one store the ranges are those in
 * which the second one differs from the first.
 */
#include "tools/snapdump/dump.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/printer.h"
#include "tools/common/sandbox.h"
#include "tools/common/sink.h"

/* A range that some layer holds. */
struct map_range {
	uint64_t offset_bytes, len_bytes;
	bool is_shared; /* with another snapshot of the store */
};

/* In front of end_bytes. */
static bool layer_next(const struct cow_stack_layer *layer, uint64_t at, uint64_t end_bytes,
		       struct map_range *ret_range)
{
	struct cow_extent extent;

	if (at >= end_bytes || !cow_store_next_extent(layer->store, at, &extent) ||
	    extent.old_bytes >= end_bytes)
		return false;
	*ret_range = (struct map_range){ extent.old_bytes, extent.len_bytes, extent.has_others };
	/* The last chunk may be short (I11). */
	if (ret_range->len_bytes > end_bytes - extent.old_bytes)
		ret_range->len_bytes = end_bytes - extent.old_bytes;
	return true;
}

/* Finds the first range at or behind "at", over all layers. */
static bool piece_next(const struct operands *operands, uint64_t at, uint64_t end_bytes,
		       struct map_range *ret_range)
{
	struct map_range range, found = { UINT64_MAX, 0, false };

	for (size_t i = 0; i < operands->nr_layers; i++)
		if (layer_next(&operands->layers[i], at, end_bytes, &range) &&
		    range.offset_bytes < found.offset_bytes)
			found = range;
	*ret_range = found;
	return found.len_bytes;
}

/* The same, with the neighbours of which the same is true. */
static bool next_range(const struct operands *operands, uint64_t at, uint64_t end_bytes,
		       struct map_range *ret_range)
{
	struct map_range found, range;

	if (!piece_next(operands, at, end_bytes, &found))
		return false;
	while (piece_next(operands, found.offset_bytes + found.len_bytes, end_bytes, &range) &&
	       range.offset_bytes == found.offset_bytes + found.len_bytes &&
	       range.is_shared == found.is_shared)
		found.len_bytes += range.len_bytes;
	*ret_range = found;
	return true;
}

/* Of two snapshots of a store: what their maps have apart. */
struct clipped {
	uint64_t size_bytes; /* of the view */
	int (*call)(void *user, const struct map_range *range);
	void *user;
};

static int on_difference(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	const struct clipped *clipped = user;
	struct map_range range = { offset_bytes, len_bytes, false };

	if (offset_bytes >= clipped->size_bytes)
		return 0;
	if (len_bytes > clipped->size_bytes - offset_bytes)
		range.len_bytes = clipped->size_bytes - offset_bytes;
	return clipped->call(clipped->user, &range);
}

static int each_map_range(const struct operands *operands,
			  int (*call)(void *user, const struct map_range *range), void *user,
			  struct cow_err *err)
{
	struct clipped clipped = { cow_image_size(operands->view), call, user };
	struct map_range range;
	uint64_t at = 0;
	int ret = 0;

	if (operands->pair)
		return cow_store_difference(operands_pair_store(operands->pair),
					    operands->layers[0].store, on_difference, &clipped,
					    err);
	for (; !ret && next_range(operands, at, clipped.size_bytes, &range);
	     at = range.offset_bytes + range.len_bytes)
		ret = call(user, &range);
	return ret;
}

/* Ranges that follow one another become one before they are given away. */
struct joined {
	struct map_range range;
	int (*call)(void *user, const struct map_range *range);
	void *user;
};

static int joined_put(struct joined *joined, const struct map_range *range)
{
	struct map_range *last = &joined->range;
	int ret = 0;

	if (last->len_bytes && range->len_bytes && last->is_shared == range->is_shared &&
	    last->offset_bytes + last->len_bytes == range->offset_bytes) {
		last->len_bytes += range->len_bytes;
		return 0;
	}
	if (last->len_bytes)
		ret = joined->call(joined->user, last);
	*last = *range;
	return ret;
}

/* What layers hold of one piece of the view, which is the part from part_bytes on. */
static int each_in_place(const struct operands *operands, const struct cow_segment *place,
			 uint64_t part_bytes, struct joined *joined)
{
	uint64_t at = place->offset_bytes, end_bytes = at + place->len_bytes;
	struct map_range range;
	int ret = 0;

	while (!ret && next_range(operands, at, end_bytes, &range)) {
		at = range.offset_bytes + range.len_bytes;
		range.offset_bytes = part_bytes + (range.offset_bytes - place->offset_bytes);
		ret = joined_put(joined, &range);
	}
	return ret;
}

/* The same for a part of the view, in bytes of that. */
static int each_part_range(const struct operands *operands,
			   int (*call)(void *user, const struct map_range *range), void *user)
{
	const struct map_range none = { 0, 0, false };
	struct joined joined = { none, call, user };
	struct cow_segment place;
	uint64_t size_bytes = cow_image_size(operands->view);
	int ret = 0;

	for (uint64_t at = 0; at < size_bytes && !ret; at += place.len_bytes)
		if (cow_stack_locate(operands->stack, at, &place))
			ret = each_in_place(operands, &place, at, &joined);
	return ret ? ret : joined_put(&joined, &none);
}

/* A callback with the sentence of its own error. */
struct ranged {
	dump_range_fn *call;
	void *user;
	struct cow_err *err;
};

static int on_range(void *user, const struct map_range *range)
{
	const struct ranged *ranged = user;
	const struct cow_segment segment = { range->offset_bytes, range->len_bytes };

	return ranged->call(ranged->user, &segment, ranged->err);
}

int dump_each_range(const struct operands *operands, dump_range_fn *call, void *user,
		    struct cow_err *err)
{
	struct cow_err said = COW_ERR_INIT;
	struct ranged ranged = { call, user, &said };
	int ret = each_map_range(operands, on_range, &ranged, err);

	if (ret && said.code)
		*err = said;
	return ret;
}

struct map_writer {
	struct dump *dump;
	struct printer *text;
	struct json_object *list;
	struct cow_err err; /* of the last range */
};

static int put_range(void *user, const struct map_range *range)
{
	struct map_writer *writer = user;
	struct json_object *item = json_put_object(writer->list, NULL);

	json_put_u64(item, "offset_bytes", range->offset_bytes);
	json_put_u64(item, "length_bytes", range->len_bytes);
	if (range->is_shared)
		json_put_bool(item, "shared", true);
	writer->dump->nr_ranges++;
	writer->dump->data_bytes += range->len_bytes;
	return printer_add(writer->text, &writer->err, "%" PRIu64 " %" PRIu64 "%s\n",
			   range->offset_bytes, range->len_bytes,
			   range->is_shared ? " shared" : "");
}

/* Who shares what is found out first: by the owners, not by the times. */
static int find_owners(struct dump *dump, struct cow_err *err)
{
	struct operands *operands = &dump->operands;
	int ret = 0;

	for (size_t i = 0; !ret && !operands->pair && i < operands->nr_layers; i++)
		ret = cow_store_find_owners(operands->layers[i].store, &dump->callbacks, err);
	if (!ret || strcmp(err->force, "damaged") != 0 || !cli_forced("damaged"))
		return ret;
	cli_warn("%s", err->message);
	operands->is_doubtful = true;
	operands->doubt = *err;
	return 0;
}

static int write_map(struct dump *dump, struct printer *text, struct cow_err *err)
{
	struct map_writer writer = { .dump = dump, .text = text, .err = COW_ERR_INIT };
	int ret = find_owners(dump, err);

	writer.list = json_put_array(json_root(), "ranges");
	if (!ret)
		ret = printer_add(text, err, "# libcow map 1\n# view %" PRIu64 "\n",
				  cow_image_size(dump->operands.view));
	if (ret)
		return ret;
	if (dump->partition || dump->volume)
		ret = each_part_range(&dump->operands, put_range, &writer);
	else
		ret = each_map_range(&dump->operands, put_range, &writer, err);
	if (ret && writer.err.code)
		*err = writer.err;
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
		ret = sink_open(&sink, dump->operands.set, "output", dump->output, err);
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
