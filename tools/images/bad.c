/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * bad.c - combines an image with the map of its bad blocks, and says what was
 * skipped.
 */
#include "tools/images/bad.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/images/mapfile.h"
#include "tools/common/size_text.h"
#include "tools/common/text.h"
#include "tools/images/images_json.h"

/* So many are said in words; the JSON object has all. */
#define SAID_MAX 10

int bad_check_usage(const struct bad_options *options, int nr_cows)
{
	if (options->fill && !options->skips)
		return cli_usage("--fill goes with --skip-unreadable");
	if (options->maps.nr_words && options->maps.nr_words != (size_t)nr_cows)
		return cli_usage("--bad-blocks: one MAPFILE for each COW image, in their order");
	return CLI_DONE;
}

static int map_check(const struct mapfile *map, const char *path, const struct cow_image *cow,
		     struct cow_err *err)
{
	const struct cow_segment *last = map->nr_good ? &map->good[map->nr_good - 1] : NULL;
	uint64_t size = cow_image_size(cow);

	/* The size of an image is floored to whole sectors. */
	if (!last || last->offset_bytes + last->len_bytes < size + 512)
		return 0;
	return cli_refuse(err, -EPERM, "bad-blocks", NULL,
			  "%s is about an image of %" PRIu64 " bytes or more, but %s has %" PRIu64
			  ": its positions are those of another image (of the whole disk, perhaps)",
			  path, last->offset_bytes + last->len_bytes, cow_image_name(cow), size);
}

int bad_image_open(struct cow_image *cow, const char *path, struct cow_image **ret_image,
		   struct cow_err *err)
{
	struct cow_segment *ranges = NULL;
	struct mapfile map = { 0 };
	size_t nr_ranges = 0;
	int ret;

	images_json_add_path("bad-blocks", path);
	ret = mapfile_load(&map, path, err);
	if (!ret)
		ret = map_check(&map, path, cow, err);
	if (!ret)
		ret = mapfile_bad(&map, cow_image_size(cow), &ranges, &nr_ranges, err);
	if (!ret)
		ret = cow_image_bad_new(cow, ranges, nr_ranges, 0, ret_image, err);
	free(ranges);
	mapfile_clear(&map);
	return ret;
}

static uint64_t skipped_of(const struct cow_image *image)
{
	uint64_t at = 0, bytes = 0;
	struct cow_segment range;

	for (; image && cow_image_skip_next(image, at, &range);
	     at = range.offset_bytes + range.len_bytes)
		bytes += range.len_bytes;
	return bytes;
}

uint64_t bad_skipped_bytes(const struct operands *operands)
{
	uint64_t bytes = skipped_of(operands->origin);

	for (size_t i = 0; i < operands->nr_layers; i++)
		bytes += skipped_of(operands->layers[i].skip);
	return bytes;
}

/* ----------------------------------------------------------------- words */

struct bad_words bad_words_begin(void)
{
	return (struct bad_words){ json_put_array(json_root(), "skipped"), 0 };
}

void bad_words_say(struct bad_words *words, const struct bad_range *range, const char *instead)
{
	struct json_object *at = json_put_object(words->list, NULL);

	json_put_text(at, "path", range->image);
	json_put_u64(at, "offset_bytes", range->image_bytes);
	json_put_u64(at, "length_bytes", range->shown.len_bytes);
	json_put_u64(at, "shown_at_bytes", range->shown.offset_bytes);
	if (words->nr_ranges < SAID_MAX)
		cli_warn("%s: %" PRIu64 " bytes at byte %" PRIu64 " cannot be read; byte %" PRIu64
			 " %s",
			 range->image, range->shown.len_bytes, range->image_bytes,
			 range->shown.offset_bytes, instead);
	if (words->nr_ranges == SAID_MAX)
		cli_warn("there are more, which are not listed here");
	words->nr_ranges++;
}

struct bad_range bad_range_cut(const struct cow_stack_layer *layer, const char *below,
			       struct cow_segment *range)
{
	struct bad_range found = { below, range->offset_bytes, *range };
	struct cow_extent extent;

	if (cow_store_next_extent(layer->store, range->offset_bytes, &extent)) {
		if (extent.old_bytes > range->offset_bytes) {
			extent.len_bytes = extent.old_bytes - range->offset_bytes;
		} else {
			found.image = cow_image_name(layer->cow);
			found.image_bytes = extent.new_bytes;
		}
		if (extent.len_bytes < found.shown.len_bytes)
			found.shown.len_bytes = extent.len_bytes;
	}
	range->offset_bytes += found.shown.len_bytes;
	range->len_bytes -= found.shown.len_bytes;
	return found;
}

static void say_layer(struct bad_words *words, const struct operands *operands,
		      const struct cow_stack_layer *layer)
{
	const char *instead = operands->fills_zero ? "of the view is shown as zeros"
						   : "of the view is shown as the origin has it";
	const char *below = cow_image_name(operands->origin);
	struct cow_segment range;
	uint64_t at = 0;

	while (layer->skip && cow_image_skip_next(layer->skip, at, &range)) {
		at = range.offset_bytes + range.len_bytes;
		while (range.len_bytes) {
			const struct bad_range bad = bad_range_cut(layer, below, &range);

			bad_words_say(words, &bad, instead);
		}
	}
}

uint64_t bad_say_skipped(const struct operands *operands)
{
	uint64_t bytes = bad_skipped_bytes(operands), at;
	struct bad_words words = bad_words_begin();
	char size[SIZE_TEXT_BYTES];
	struct cow_segment range;

	json_put_u64(json_root(), "skipped_bytes", bytes);
	for (at = 0; cow_image_skip_next(operands->origin, at, &range);
	     at = range.offset_bytes + range.len_bytes) {
		const struct bad_range bad = { cow_image_name(operands->origin), range.offset_bytes,
					       range };

		bad_words_say(&words, &bad, "of it is shown as zeros");
	}
	for (size_t i = 0; i < operands->nr_layers; i++)
		say_layer(&words, operands, &operands->layers[i]);
	if (bytes)
		cli_warn("doubtful: %s could not be read, %s", size_text(bytes, size),
			 operands->fills_zero ? "zeros stand in for it"
					      : "the origin stands in for it");
	return bytes;
}

/* ------------------------------------------------------------------ list */

int bad_list_open(struct bad_list *list, const char *path, const struct operands *operands,
		  struct cow_err *err)
{
	char *cow = text_escape(cow_image_name(operands->layers[0].cow));
	char *origin = text_escape(cow_image_name(operands->origin));
	int ret;

	*list = (struct bad_list){ .sink = SINK_INIT, .operands = operands };
	list->printer.write = sink_write;
	list->printer.user = &list->sink;
	ret = sink_open(&list->sink, operands->set, "bad-list", path, err);
	if (!ret)
		ret = printer_add(&list->printer, err,
				  "# libcow bad list 1\n# cow %.400s\n# origin %.400s\n"
				  "# cow_offset origin_offset length\n",
				  cow ? cow : "", origin ? origin : "");
	free(cow);
	free(origin);
	return ret;
}

int bad_list_add(struct bad_list *list, const struct cow_segment *range, struct cow_err *err)
{
	struct cow_segment left = *range;
	int ret = 0;

	while (!ret && left.len_bytes) {
		const struct bad_range bad = bad_range_cut(&list->operands->layers[0], NULL, &left);

		list->nr_ranges++;
		list->bytes += bad.shown.len_bytes;
		ret = printer_add(&list->printer, err, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
				  bad.image_bytes, bad.shown.offset_bytes, bad.shown.len_bytes);
	}
	return ret;
}

int bad_list_publish(struct bad_list *list, struct cow_err *err)
{
	int ret = printer_add(&list->printer, err,
			      "# complete: %" PRIu64 " ranges, %" PRIu64 " bytes\n",
			      list->nr_ranges, list->bytes);

	if (!ret)
		ret = printer_flush(&list->printer, err);
	return ret ? ret : sink_publish(&list->sink, err);
}

void bad_list_close(struct bad_list *list)
{
	if (list->operands) /* opened */
		sink_close(&list->sink);
}
