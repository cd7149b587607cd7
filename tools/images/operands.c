/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * operands.c - opens origin, COW images and views from the command line, and
 * says what looks wrong about them.
 */
#include "tools/images/operands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/images/bad.h"
#include "tools/images/window_check.h"
#include "tools/images/container.h"
#include "tools/common/cli.h"
#include "tools/common/text.h"

static bool is_store(struct cow_image *image)
{
	const char *kind;

	return !cow_store_probe(image, &kind, NULL);
}

int operands_check_order(struct cow_image *origin, struct cow_image *cow, struct cow_err *err)
{
	char *line;
	int ret;

	if (!is_store(origin) || is_store(cow))
		return 0;
	line = cli_line_swapped(cow_image_name(origin), cow_image_name(cow));
	ret = cli_refuse(err, -EPERM, "swapped", NULL,
			 "%s is a COW image and %s is not: looks swapped; try: %s",
			 cow_image_name(origin), cow_image_name(cow), line ? line : "");
	free(line);
	return ret;
}

void operands_note_tail(const struct cow_image *image)
{
	uint64_t size = cow_image_size(image), tail;
	struct stat st;

	if (stat(cow_image_name(image), &st) || !S_ISREG(st.st_mode))
		return;
	tail = (uint64_t)st.st_size % 512;
	if (tail && (uint64_t)st.st_size - tail == size)
		cli_note("%s has %jd bytes: the last %" PRIu64
			 " are no whole sector, and are left out",
			 cow_image_name(image), (intmax_t)st.st_size, tail);
}

void operands_note_unchecked(struct cow_image *image)
{
	const char *what = cow_image_is_writable(image) ? cow_image_unchecked(image) : NULL;

	if (what)
		cli_note("%s: could not be checked: %s", cow_image_name(image), what);
}

static int open_images(struct operands *operands, const struct operands_params *params,
		       struct cow_err *err)
{
	uint32_t flags = params->is_writable  ? COW_OPEN_WRITE
			 : params->rehearses  ? COW_OPEN_REHEARSE
			 : cli_forced("busy") ? COW_OPEN_BUSY
					      : 0;
	int ret;

	ret = cow_imageset_open(operands->set, params->specs[0], flags, &operands->origin, err);
	if (ret)
		return ret;
	operands_note_tail(operands->origin);
	operands_note_unchecked(operands->origin);
	for (size_t i = 0; i < operands->nr_layers; i++) {
		ret = cow_imageset_open(operands->set, params->specs[i + 1], flags,
					&operands->layers[i].cow, err);
		if (ret)
			return ret;
		operands_note_unchecked(operands->layers[i].cow);
	}
	return 0;
}

/* From here on everything sees the bad blocks. */
static int apply_maps(struct operands *operands, const struct operands_params *params,
		      struct cow_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < params->nr_bad_maps; i++) {
		struct layer *layer = &operands->layers[i];

		layer->file = layer->cow;
		layer->cow = NULL;
		ret = bad_image_open(layer->file, params->bad_maps[i], &layer->cow, err);
	}
	return ret;
}

/* What the layers stand on, where its bad sectors are to be zeros. */
static int skip_origin(struct operands *operands, const struct operands_params *params,
		       struct cow_err *err)
{
	if (!params->skips || !params->fills_zero)
		return 0;
	operands->origin_file = operands->origin;
	operands->origin = NULL;
	return cow_image_skip_new(operands->origin_file, NULL, params->callbacks, &operands->origin,
				  err);
}

static uint32_t forced_flags(void)
{
	return (cli_forced("invalid") ? COW_STORE_INVALID : 0) |
	       (cli_forced("damaged") ? COW_STORE_DAMAGED : 0) |
	       (cli_forced("doubtful") ? 0 : COW_STORE_STRICT);
}

/* First as it should be; only then as --force allows, and that is remembered. */
static int open_store(struct operands *operands, struct layer *layer, struct cow_store_args *args,
		      struct cow_err *err)
{
	int ret;

	args->flags = COW_STORE_STRICT;
	ret = cow_store_open(args, &layer->store, err);
	if (!ret || !*err->force || !cli_forced(err->force))
		return ret;
	args->flags = forced_flags();
	if (!operands->is_doubtful)
		operands->doubt = *err;
	operands->is_doubtful = true;
	cli_warn("%s; read all the same", err->message);
	return cow_store_open(args, &layer->store, err);
}

/* Stacked on the view so far. */
static int open_view(struct operands *operands, struct layer *layer,
		     const struct operands_params *params, struct cow_err *err)
{
	int ret = cow_view_new(operands->view, layer->store, &layer->view, err);

	if (!ret && params->skips)
		ret = cow_image_skip_new(layer->view, params->fills_zero ? NULL : operands->view,
					 params->callbacks, &layer->skip, err);
	if (!ret)
		operands->view = layer->skip ? layer->skip : layer->view;
	return ret;
}

static int open_layers(struct operands *operands, const struct operands_params *params,
		       struct cow_err *err)
{
	int ret;

	operands->view = operands->origin;
	for (size_t i = 0; i < operands->nr_layers; i++) {
		struct layer *layer = &operands->layers[i];
		const struct cow_role_image roles[] = {
			{ .role = COW_ROLE_ORIGIN, .image = operands->view },
			{ .role = COW_ROLE_COW, .image = layer->cow },
		};
		struct cow_store_args args = COW_STORE_ARGS_INIT;

		args.kind = params->kind;
		args.images = roles;
		args.nr_images = 2;
		ret = open_store(operands, layer, &args, err);
		if (ret)
			return ret;
		if (!params->wants_view)
			continue;
		ret = open_view(operands, layer, params, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int open_all(struct operands *operands, const struct operands_params *params,
		    struct cow_err *err)
{
	int ret;

	ret = open_images(operands, params, err);
	if (ret)
		return ret;
	if (operands->nr_layers) {
		ret = operands_check_order(operands->origin, operands->layers[0].cow, err);
		if (ret)
			return ret;
	}
	if (operands->nr_layers > 1)
		cli_note("%zu COW images are taken as layers, %s lowest; siblings of one origin "
			 "would be wrong here",
			 operands->nr_layers, params->specs[1]);
	ret = apply_maps(operands, params, err);
	if (!ret)
		ret = skip_origin(operands, params, err);
	if (!ret)
		ret = open_layers(operands, params, err);
	if (!ret && operands->nr_layers && !params->may_be_mixture)
		ret = container_check(operands->origin, operands->layers[0].store, err);
	if (!ret && operands->nr_layers)
		ret = window_check(params->specs[0], operands->origin, operands->layers[0].cow,
				   operands->layers[0].store, err);
	return ret;
}

int operands_open(struct operands *operands, const struct operands_params *params,
		  struct cow_err *err)
{
	int ret;

	memset(operands, 0, sizeof(*operands));
	operands->nr_layers = params->nr_specs - 1;
	operands->fills_zero = params->fills_zero;
	/* bounded: by argc */
	operands->layers = calloc(operands->nr_layers + 1, sizeof(*operands->layers));
	if (!operands->layers)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu images",
				  params->nr_specs);
	ret = cow_imageset_new(&operands->set, err);
	if (!ret)
		ret = open_all(operands, params, err);
	if (ret)
		operands_close(operands);
	return ret;
}

void operands_close(struct operands *operands)
{
	for (size_t i = operands->layers ? operands->nr_layers : 0; i-- > 0;) {
		struct layer *layer = &operands->layers[i];

		cow_image_close(layer->skip);
		cow_image_close(layer->view);
		cow_store_close(layer->store);
		cow_image_close(layer->cow);
		cow_image_close(layer->file);
	}
	free(operands->layers);
	cow_image_close(operands->origin);
	cow_image_close(operands->origin_file);
	cow_imageset_free(operands->set);
	memset(operands, 0, sizeof(*operands));
}
