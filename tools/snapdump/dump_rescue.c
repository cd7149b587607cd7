/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_rescue.c - --map=ddrescue: what ddrescue should read.
 *
 * The ranges of a COW image that are worth rescuing, as a domain for ddrescue:
 * header, metadata areas in use and the chunks that exceptions name are "+",
 * all else "?".
 */
#include "tools/snapdump/dump.h"

#include "tools/common/json.h"
#include "tools/images/mapfile.h"

struct rescue {
	struct dump *dump;
	struct mapfile_writer writer;
	struct json_object *list;
	struct cow_err *err;
};

static int on_range(void *user, uint64_t offset_bytes, uint64_t len_bytes)
{
	struct rescue *rescue = user;
	struct json_object *item = json_put_object(rescue->list, NULL);

	json_put_u64(item, "offset", offset_bytes);
	json_put_u64(item, "length", len_bytes);
	rescue->dump->nr_ranges++;
	rescue->dump->data_bytes += len_bytes;
	return mapfile_add(&rescue->writer, offset_bytes, len_bytes, rescue->err);
}

static int write_map(struct dump *dump, struct printer *text, struct cow_err *err)
{
	const struct cow_stack_layer *layer = &dump->operands.layers[0];
	struct cow_err why = COW_ERR_INIT;
	struct rescue rescue = { .dump = dump, .err = err };
	int ret;

	rescue.list = json_put_array(json_root(), "ranges");
	ret = mapfile_begin(&rescue.writer, text, err);
	if (ret)
		return ret;
	ret = cow_store_used(layer->store, on_range, &rescue, &why);
	if (ret && !err->code) /* not the writer's: it has said why */
		*err = why;
	return ret ? ret : mapfile_end(&rescue.writer, cow_image_size(layer->cow), err);
}

int dump_rescue(struct dump *dump, struct cow_err *err)
{
	return dump_text(dump, write_map, err);
}
