/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * create_fill.c - fills a new store: from an image, a view or exports.
 */
#include "tools/snapcreate/create_fill.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/formats/manifest_file.h"
#include "tools/images/container.h"
#include "tools/common/sandbox.h"
#include "tools/common/size_text.h"
#include "tools/images/images_json.h"

/* The image that the view is to equal; NULL: no difference is asked for. */
static int open_source(struct create *create, struct cow_image **ret_source, struct cow_err *err)
{
	uint32_t flags = cli_forced("busy") ? COW_OPEN_BUSY : 0;
	uint64_t origin_bytes = cow_image_size(create->operands.origin);
	int ret;

	*ret_source = create->has_view ? create->operands.view : NULL;
	if (!create->from)
		return 0;
	ret = cow_imageset_open(create->operands.set, create->from, flags, &create->image, err);
	if (ret)
		return ret;
	operands_note_tail(create->image);
	images_json_add("from", create->image);
	*ret_source = create->image;
	ret = container_check_pair(create->operands.origin, create->image, err);
	if (ret || cow_image_size(create->image) == origin_bytes)
		return ret;
	return cli_refuse(err, -EPERM, "size", NULL,
			  "%s has %" PRIu64 " bytes, but %s has %" PRIu64
			  ": a store records differences between images of one size",
			  create->from, cow_image_size(create->image),
			  cow_image_name(create->operands.origin), origin_bytes);
}

/* I7: does it fit? Asked only where it may not: that costs a pass. */
static int measure(struct create *create, struct cow_image *source, struct cow_err *err)
{
	struct cow_callbacks callbacks = progress_callbacks(&create->progress);
	const struct target *target = &create->target;
	int ret;

	if (!source || (!create->params.is_dry_run && target->size_bytes >= target->full_bytes))
		return 0;
	ret = cow_diff_measure(create->operands.origin, source, &create->params.create, &callbacks,
			       &create->need, err);
	if (ret)
		return ret;
	create->is_measured = true;
	if (create->need.required_bytes <= target->size_bytes)
		return 0;
	return cli_refuse(err, -EPERM, "size", NULL,
			  "%s has room for %" PRIu64 " bytes, but the difference needs a COW image "
			  "of %" PRIu64,
			  create->params.path, target->size_bytes, create->need.required_bytes);
}

static int save_manifest(struct create *create, struct manifest *manifest, struct cow_err *err)
{
	manifest->is_doubtful = create->is_doubtful;
	return manifest_save(manifest, &create->manifest_sink, err);
}

static int fill_from_image(struct create *create, struct cow_store *store, struct cow_image *source,
			   struct cow_err *err)
{
	struct cow_callbacks callbacks = progress_callbacks(&create->progress);
	const struct manifest_scan scan = { .callbacks = &callbacks };
	struct manifest manifest = { 0 };
	struct cow_image *view = NULL;
	int ret;

	ret = cow_diff_fill(store, create->operands.origin, source, &callbacks, &create->stats,
			    err);
	if (ret || !create->manifest)
		return ret;
	ret = cow_view_new(create->operands.origin, store, &view, err);
	if (!ret)
		ret = manifest_scan(&manifest, view, &scan, err);
	if (!ret)
		ret = save_manifest(create, &manifest, err);
	cow_image_close(view);
	manifest_clear(&manifest);
	return ret;
}

static int fill_from_exports(struct create *create, struct cow_store *store, struct cow_err *err)
{
	struct cow_callbacks callbacks = progress_callbacks(&create->progress);
	struct import import = {
		.origin = create->operands.origin,
		.store = store,
		.chunk_bytes = create->params.create.chunk_bytes,
		.callbacks = &callbacks,
	};
	int ret = import_run(&import, &create->import_files, err);

	create->is_doubtful |= import.is_doubtful;
	create->stats.data_bytes = import.data_bytes;
	if (!store) {
		create->need.nr_chunks = import.nr_chunks;
		create->need.data_bytes = import.data_bytes;
	}
	if (!ret && store && create->manifest) {
		import.now.has_parent = false;
		ret = save_manifest(create, &import.now, err);
	}
	import_clear(&import);
	return ret;
}

static int fill_store(struct create *create, struct cow_image *source, struct cow_err *err)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store = NULL;
	int ret;

	args.kind = create->params.create.kind;
	cow_store_args_pair(&args, roles, create->target.image, create->operands.origin);
	ret = cow_store_open(&args, &store, err);
	if (!ret)
		ret = source ? fill_from_image(create, store, source, err)
			     : fill_from_exports(create, store, err);
	if (!ret)
		ret = cow_store_get_info(store, &info);
	create->stats.nr_chunks = info.nr_exceptions;
	cow_store_close(store);
	return ret;
}

static int make(struct create *create, struct cow_image *source, struct cow_err *err)
{
	int ret = target_make(&create->target, err);

	if (!ret && (source || create->imports.nr_words))
		ret = fill_store(create, source, err);
	if (!ret)
		ret = target_publish(&create->target, err);
	if (ret)
		sink_withdraw(&create->manifest_sink);
	return ret;
}

/* What the lines after a dry run are about. */
static int rehearse(struct create *create, struct cow_err *err)
{
	struct cow_create_params params = create->params.create;
	int ret;

	if (!create->imports.nr_words)
		return 0;
	ret = fill_from_exports(create, NULL, err);
	if (ret)
		return ret;
	create->is_measured = true;
	params.origin_bytes =
		(create->need.nr_chunks ? create->need.nr_chunks : 1) * params.chunk_bytes;
	return cow_create_size(&params, &create->need.required_bytes, err);
}

static int open_all(struct create *create, struct cow_image **ret_source, struct cow_err *err)
{
	const struct opt_list *imports = &create->imports;
	int ret = open_source(create, ret_source, err);

	for (size_t i = 0; i < imports->nr_words; i++)
		images_json_add_path("import", imports->words[i]);
	if (!ret)
		ret = target_open(&create->target, &create->params, err);
	if (!ret && create->manifest)
		ret = sink_open(&create->manifest_sink, create->operands.set, "manifest",
				create->manifest, err);
	if (!ret)
		ret = import_files_open(&create->import_files, imports->words, imports->nr_words,
					err);
	return ret;
}

int create_run(struct create *create, struct cow_err *err)
{
	struct cow_image *source;
	int ret;

	create->manifest_sink = (struct sink)SINK_INIT;
	create->need = (struct cow_diff_size)COW_DIFF_SIZE_INIT;
	create->stats = (struct cow_patch_stats)COW_PATCH_STATS_INIT;
	create->is_doubtful = create->operands.is_doubtful;
	create->params.set = create->operands.set;
	ret = open_all(create, &source, err);
	if (!ret) {
		sandbox_enter();
		ret = target_check(&create->target, err);
	}
	if (!ret)
		ret = measure(create, source, err);
	if (!ret)
		ret = create->params.is_dry_run ? rehearse(create, err) : make(create, source, err);
	return ret;
}

void create_close(struct create *create)
{
	import_files_close(&create->import_files);
	sink_close(&create->manifest_sink);
	target_close(&create->target);
	cow_image_close(create->image);
	operands_close(&create->operands);
}
