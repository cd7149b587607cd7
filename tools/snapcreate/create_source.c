/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_source.c - a new device of a pool that shows an image. It is compared with what
 * the device would show without it: the view of the parent, or the external origin.
 */
#include "tools/snapcreate/create_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/common/json.h"
#include "tools/common/size_text.h"
#include "tools/images/container.h"
#include "tools/images/images_json.h"
#include "tools/images/operands.h"

int create_source_open(struct create_source *source, struct cow_imageset *set, const char *from,
		       uint64_t size_bytes, struct cow_err *err)
{
	uint32_t flags = cli_forced("busy") ? COW_OPEN_BUSY : 0;
	int ret;

	source->stats = (struct cow_patch_stats)COW_PATCH_STATS_INIT;
	if (!from)
		return 0;
	ret = cow_imageset_open(set, from, flags, &source->image, err);
	if (ret)
		return ret;
	images_json_add("from", source->image);
	operands_note_tail(source->image);
	if (!size_bytes || size_bytes == cow_image_size(source->image))
		return 0;
	return cli_refuse(err, -EPERM, "size", NULL,
			  "%s has %" PRIu64 " bytes, and the device is to have %" PRIu64, from,
			  cow_image_size(source->image), size_bytes);
}

/* The parent as it is before, as long as whole blocks. args has no geometry of a device. */
static int view_open(struct create_source *source, const struct cow_store_args *args,
		     uint64_t parent, struct cow_image *below, struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store_args mine = *args;
	char size[32];
	/* bounded: by the command line */
	struct cow_geometry *geometry = calloc(args->nr_geometry + 1, sizeof(*geometry));
	int ret;

	if (!geometry)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu words",
				  args->nr_geometry);
	for (size_t i = 0; i < args->nr_geometry; i++)
		geometry[i] = args->geometry[i];
	geometry[args->nr_geometry] = (struct cow_geometry){ "size", size };
	mine.geometry = geometry;
	mine.nr_geometry = args->nr_geometry + 1;
	mine.snapshot_id = parent;
	snprintf(size, sizeof(size), "%" PRIu64, cow_image_size(source->image));
	ret = cow_store_open(&mine, &source->parent, err);
	if (!ret)
		ret = cow_store_get_info(source->parent, &info);
	if (!ret && cow_image_size(source->image) % info.chunk_bytes) {
		uint64_t blocks = cow_image_size(source->image) / info.chunk_bytes + 1;

		/* of the last block, what is behind the end comes from the parent, too */
		cow_store_close(source->parent);
		source->parent = NULL;
		snprintf(size, sizeof(size), "%" PRIu64, blocks * info.chunk_bytes);
		ret = cow_store_open(&mine, &source->parent, err);
	}
	free(geometry);
	return ret ? ret : cow_view_new(below, source->parent, &source->view, err);
}

int create_source_fill(struct create_source *source, const struct cow_store_args *args,
		       const struct cow_snapshot_params *params, struct cow_image *below,
		       uint64_t *ret_id, struct cow_err *err)
{
	struct cow_callbacks callbacks = progress_callbacks(&source->progress);
	struct cow_snapshot_source from = COW_SNAPSHOT_SOURCE_INIT;
	int ret = 0;

	if (params->parent_id != COW_SNAPSHOT_NONE)
		ret = view_open(source, args, params->parent_id, below, err);
	from.image = source->image;
	from.base = source->view ? source->view : below;
	from.callbacks = &callbacks;
	if (!ret && from.base)
		ret = container_check_pair(from.base, source->image, err);
	else if (!ret)
		ret = container_check(source->image, NULL, err);
	return ret ? ret : cow_snapshot_fill(args, params, &from, &source->stats, ret_id, err);
}

void create_source_say(const struct create_source *source, const char *pool, uint64_t id,
		       uint64_t parent, bool is_dry_run)
{
	const struct cow_patch_stats *stats = &source->stats;
	/* of whole blocks */
	uint64_t bytes = stats->data_bytes + stats->zero_bytes;
	const char *verb = is_dry_run ? "would be made" : "made";
	const char *end = is_dry_run ? "; nothing was written" : "";
	char of[60] = "", size[SIZE_TEXT_BYTES];

	json_put_u64(json_root(), "chunks", stats->nr_chunks);
	json_put_u64(json_root(), "required_bytes", bytes);
	if (is_dry_run && !json_is_on_stdout())
		printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", bytes,
		       cow_image_size(source->image));
	if (parent != COW_SNAPSHOT_NONE)
		snprintf(of, sizeof(of), "a snapshot of device %" PRIu64 " that", parent);
	cli_note("%s: device %" PRIu64 " %s: %s shows %s; blocks of its own: %" PRIu64 " (%s)%s",
		 pool, id, verb, *of ? of : "it", cow_image_name(source->image), stats->nr_chunks,
		 size_round(bytes, size), end);
}

void create_source_close(struct create_source *source)
{
	cow_image_close(source->view);
	cow_store_close(source->parent);
	cow_image_close(source->image);
}
