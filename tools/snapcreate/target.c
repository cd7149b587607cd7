/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * target.c - opens, makes and publishes the COW image. A crash leaves the old
 * content, no store, or the whole new store.
 */
#include "tools/snapcreate/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/images/blkid.h"
#include "tools/images/operands.h"
#include "tools/common/cli.h"
#include "tools/common/outputs.h"
#include "tools/common/size_text.h"

#define FILL_BYTES ((size_t)1024 * 1024)

static int choose_size(struct target *target, struct cow_err *err)
{
	char wanted[SIZE_TEXT_BYTES], size[SIZE_TEXT_BYTES];
	const struct target_params *params = &target->params;
	int ret;

	ret = cow_create_size(&params->create, &target->full_bytes, err);
	if (ret)
		return ret;
	target->size_bytes = target->full_bytes;
	if (!params->wanted_bytes)
		return 0;
	ret = cow_create_fit(&params->create, params->wanted_bytes, &target->size_bytes, err);
	if (!ret && target->size_bytes != params->wanted_bytes)
		cli_note("with %s the kernel would invalidate the store before it is full; using "
			 "%s, which holds as many chunks",
			 size_text(params->wanted_bytes, wanted),
			 size_text(target->size_bytes, size));
	return ret;
}

static int fill(struct cow_image *image, struct cow_err *err)
{
	uint64_t size = cow_image_size(image);
	void *zeros = calloc(1, FILL_BYTES);
	int ret = 0;

	if (!zeros)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a buffer");
	for (uint64_t at = 0; !ret && at < size; at += FILL_BYTES) {
		size_t piece = size - at < FILL_BYTES ? size - at : FILL_BYTES;

		ret = cli_interrupted()
			      ? cli_refuse(err, -ECANCELED, "interrupted", NULL, "interrupted")
			      : cow_image_pwrite(image, zeros, piece, at, err);
	}
	free(zeros);
	return ret;
}

static int preallocate(const struct target *target, struct cow_err *err)
{
	const char *mode = target->params.preallocate;
	int code;

	if (!mode || !strcmp(mode, "off"))
		return 0;
	if (!strcmp(mode, "full"))
		return fill(target->image, err);
	if (!fallocate(cow_output_fd(target->output), 0, 0, (off_t)target->size_bytes))
		return 0;
	code = errno;
	return cli_refuse(err, -code, code == ENOSPC ? "no-space" : "preallocate", NULL,
			  "%s: cannot reserve %" PRIu64 " bytes: %s", target->params.path,
			  target->size_bytes, strerror(code));
}

static int open_new(struct target *target, const char *path, uint32_t flags, struct cow_err *err)
{
	int ret;

	outputs_note_name(path, OUTPUTS_STORE);
	ret = outputs_open(target->params.set, target->params.role, path, target->size_bytes, flags,
			   &target->output, err);
	if (!ret)
		target->image = cow_output_image(target->output);
	return ret;
}

/* May this be overwritten? */
static int check_contents(struct cow_image *cow, struct cow_err *err)
{
	char name[BLKID_NAME_BYTES];
	const char *kind;
	int ret;

	if (cli_forced("overwrite"))
		return 0;
	ret = blkid_find(cow, name, err);
	if (ret)
		return ret;
	/* libblkid knows neither a clone nor a pool */
	if (!*name && !cow_store_probe(cow, &kind, NULL))
		snprintf(name, sizeof(name), "a store of kind %s", kind);
	if (*name)
		return cli_refuse(err, -EEXIST, "signature", "overwrite",
				  "%s holds something already: %s", cow_image_name(cow), name);
	if (cow_image_is_block_device(cow))
		return 0;
	return cli_refuse(err, -EEXIST, "exists", "overwrite", "%s exists already",
			  cow_image_name(cow));
}

static int check_size(struct target *target, struct cow_err *err)
{
	char size[SIZE_TEXT_BYTES], full[SIZE_TEXT_BYTES];
	const struct target_params *params = &target->params;
	uint64_t good_bytes, chunk_bytes = params->create.chunk_bytes;
	int ret;

	target->size_bytes = cow_image_size(target->lower);
	if (params->wanted_bytes && params->wanted_bytes != target->size_bytes)
		return cli_refuse(err, -EPERM, "size", NULL,
				  "%s exists and has %" PRIu64 " bytes, not the %" PRIu64
				  " of --size; remove it first or leave --size out",
				  params->path, target->size_bytes, params->wanted_bytes);
	ret = cow_create_fit(&params->create, target->size_bytes, &good_bytes, err);
	if (ret)
		return ret;
	if (target->size_bytes / chunk_bytes > good_bytes / chunk_bytes)
		cli_warn("%s has a size at which the kernel invalidates the store before it is "
			 "full; %s would be better",
			 params->path, size_text(good_bytes, size));
	if (target->size_bytes < target->full_bytes)
		cli_note("%s has %s; a wholly rewritten origin would need %s", params->path,
			 size_text(target->size_bytes, size), size_text(target->full_bytes, full));
	return 0;
}

static int open_in_place(struct target *target, bool is_device, struct cow_err *err)
{
	const struct target_params *params = &target->params;
	/* Reading is enough to learn that nothing may be written. */
	uint32_t flags = 0;
	int ret;

	if (is_device || cli_forced("overwrite"))
		flags = params->is_dry_run ? COW_OPEN_REHEARSE : COW_OPEN_WRITE;
	target->is_in_place = true;
	target->json = outputs_json_add(params->role, params->path);
	if (params->preallocate && strcmp(params->preallocate, "off"))
		return cli_refuse(err, -EINVAL, "usage", NULL,
				  "--preallocate is for a new file; %s exists", params->path);
	ret = cow_imageset_open(params->set, params->path, flags, &target->lower, err);
	if (!ret)
		operands_note_unchecked(target->lower);
	return ret;
}

int target_check_blocks(const struct cow_image *image, uint64_t chunk_bytes, struct cow_err *err)
{
	uint32_t block_bytes = cow_image_logical_block_size(image);

	if (chunk_bytes % block_bytes == 0)
		return 0;
	return cli_refuse(err, -EPERM, "chunk-size", NULL,
			  "%s: chunks of %" PRIu64
			  " bytes are no multiple of its logical blocks of "
			  "%" PRIu32,
			  cow_image_name(image), chunk_bytes, block_bytes);
}

int target_check(struct target *target, struct cow_err *err)
{
	int ret;

	if (!target->is_in_place)
		return 0;
	ret = check_contents(target->lower, err);
	if (!ret)
		ret = target_check_blocks(target->lower, target->params.create.chunk_bytes, err);
	return ret ? ret : check_size(target, err);
}

/* What begins so is never the name of a new file: it is an image that is there, or
 * none, and the library has the sentence. */
static bool is_no_path(const char *path)
{
	static const char *const prefixes[] = { "concat:", "part:",	  "lvm:",
						"image:",  "window:",	  "nbd://",
						"nbds://", "nbd+unix://", "nbds+unix://" };
	struct cow_store_spec *spec = NULL;
	const char *kind;

	for (size_t i = 0; (kind = cow_store_kind(i)); i++)
		if (!strncmp(path, kind, strlen(kind)) && path[strlen(kind)] == ':' &&
		    (cow_store_spec_parse(NULL, path, &spec, NULL) || spec)) {
			cow_store_spec_free(spec);
			return true;
		}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(path, prefixes[i], strlen(prefixes[i])))
			return true;
	return !strcmp(path, "-");
}

int target_open(struct target *target, const struct target_params *params, struct cow_err *err)
{
	bool is_literal = !strncmp(params->path, "file:", 5);
	const char *path = params->path + (is_literal ? 5 : 0);
	bool is_plain = is_literal || !strchr(path, '@'), exists;
	struct stat st;
	int ret;

	memset(target, 0, sizeof(*target));
	target->params = *params;
	ret = choose_size(target, err);
	if (ret)
		return ret;
	if (!strncmp(params->path, "zero:", 5))
		return cow_imageset_open(params->set, path, COW_OPEN_REHEARSE, &target->lower, err);
	if (!is_literal && is_no_path(path))
		return open_in_place(target, false, err);
	exists = !lstat(path, &st) || errno != ENOENT;
	if (!exists && is_plain)
		return open_new(target, path, 0, err);
	if (stat(path, &st))
		st.st_mode = 0;
	if (params->replaces && S_ISREG(st.st_mode) && cli_forced("overwrite"))
		return open_new(target, path, COW_OUTPUT_OVERWRITE, err);
	return open_in_place(target, S_ISBLK(st.st_mode), err);
}

int target_make(struct target *target, struct cow_err *err)
{
	int ret = 0;

	if (target->output) {
		ret = preallocate(target, err);
	} else {
		ret = cow_image_withhold_new(target->lower, &target->withhold, err);
		target->image = target->withhold;
		cli_wrote();
	}
	return ret ? ret : cow_create(target->image, &target->params.create, err);
}

int target_publish(struct target *target, struct cow_err *err)
{
	int ret;

	if (target->output)
		return outputs_publish(target->output, err);
	ret = cow_image_withhold_release(target->withhold, err);
	if (!ret)
		outputs_json_end(target->json, cow_image_size(target->lower));
	return ret;
}

void target_close(struct target *target)
{
	cow_image_close(target->withhold);
	cow_image_close(target->lower);
	outputs_close(target->output);
	memset(target, 0, sizeof(*target));
}
