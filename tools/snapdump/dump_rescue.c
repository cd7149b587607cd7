/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_rescue.c - --map=ddrescue: what ddrescue should read.
 *
 * The ranges of a COW image that are worth rescuing, as a domain for ddrescue:
 * header, metadata areas in use and the chunks that exceptions name are "+",
 * all else "?". Of a store of several logs it is the domain of one of them.
 */
#include "tools/snapdump/dump.h"

#include "tools/common/json.h"
#include "tools/images/mapfile.h"

struct rescue {
	struct dump *dump;
	uint64_t start_bytes, len_bytes; /* of the image in what the store calls its data */
	struct mapfile_writer writer;
	struct json_object *list;
	struct cow_err *err;
};

static int on_range(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct rescue *rescue = user;
	uint64_t end_bytes = offset_bytes + len_bytes, last = rescue->start_bytes;
	struct json_object *item;

	last += rescue->len_bytes;
	offset_bytes = offset_bytes > rescue->start_bytes ? offset_bytes : rescue->start_bytes;
	end_bytes = end_bytes < last ? end_bytes : last;
	if (offset_bytes >= end_bytes)
		return 0;
	offset_bytes -= rescue->start_bytes;
	len_bytes = end_bytes - rescue->start_bytes - offset_bytes;
	item = json_put_object(rescue->list, NULL);
	json_put_u64(item, "offset_bytes", offset_bytes);
	json_put_u64(item, "length_bytes", len_bytes);
	rescue->dump->nr_ranges++;
	rescue->dump->data_bytes += len_bytes;
	return mapfile_add(&rescue->writer, offset_bytes, len_bytes, rescue->err);
}

/* The logs lie one after the other, each with its whole blocks. */
static struct cow_image *place_find(struct rescue *rescue, const struct dump *dump)
{
	const struct cow_stack_layer *layer = &dump->operands.layers[0];
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_image *image = layer->cow;

	rescue->len_bytes = cow_image_size(image);
	if (!roles_have_logs(&dump->operands.roles))
		return image;
	cow_store_get_info(layer->store, &info);
	for (uint64_t log = 0; log <= dump->log; log++) {
		rescue->start_bytes += log ? rescue->len_bytes : 0;
		image = roles_log(&dump->operands.roles, log);
		rescue->len_bytes = cow_image_size(image) / info.chunk_bytes * info.chunk_bytes;
	}
	return image;
}

static int write_map(struct dump *dump, struct printer *text, struct cow_err *err)
{
	const struct cow_stack_layer *layer = &dump->operands.layers[0];
	struct cow_err why = COW_ERR_INIT;
	struct rescue rescue = { .dump = dump, .err = err };
	struct cow_image *image = place_find(&rescue, dump);
	int ret;

	rescue.list = json_put_array(json_root(), "ranges");
	ret = mapfile_begin(&rescue.writer, text, err);
	if (ret)
		return ret;
	ret = cow_store_used(layer->store, on_range, &rescue, &why);
	if (ret && !err->code) /* an error of the walk, not of the writer, whose sentence stays */
		*err = why;
	return ret ? ret : mapfile_end(&rescue.writer, cow_image_size(image), err);
}

int dump_rescue(struct dump *dump, struct cow_err *err)
{
	return dump_text(dump, write_map, err);
}
