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
#include <time.h>

#include "tools/images/bad.h"
#include "tools/images/servers.h"
#include "tools/images/window_check.h"
#include "tools/images/container.h"
#include "tools/images/fit.h"
#include "tools/common/cli.h"
#include "tools/common/text.h"

/* So often a long pause looks whether a signal has come. */
#define SLICE_NS UINT64_C(200000000)

/* After a signal the job goes on to its next safe point without a pause. */
static void rate_wait(void *user, uint64_t nanoseconds)
{
	uint64_t slice;
	struct timespec time;

	(void)user;
	for (; nanoseconds && !cli_interrupted(); nanoseconds -= slice) {
		slice = nanoseconds < SLICE_NS ? nanoseconds : SLICE_NS;
		time = (struct timespec){ .tv_nsec = (long)slice };
		(void)nanosleep(&time, NULL);
	}
}

static int set_rate(struct cow_imageset *set, struct cow_err *err)
{
	struct cow_rate_params params = COW_RATE_PARAMS_INIT;

	params.bytes_per_second = cli_rate_limit_bytes();
	params.wait = rate_wait;
	return cow_imageset_set_rate(set, &params, err);
}

int operands_set_new(struct cow_imageset **ret_set, struct cow_err *err)
{
	const struct opt_list *names = cli_images();
	struct cow_imageset *set;
	int ret = cow_imageset_new(&set, err);

	if (ret)
		return ret;
	servers_let(set);
	ret = set_rate(set, err);
	for (size_t i = 0; i < names->nr_words && !ret; i++) {
		const char *equals = strchr(names->words[i], '=');
		char *name = equals ? strndup(names->words[i], (size_t)(equals - names->words[i]))
				    : NULL;

		if (!equals)
			ret = cli_refuse(err, -EINVAL, "usage", NULL,
					 "--image=%s: \"=IMAGE\" is missing", names->words[i]);
		else if (!name)
			ret = cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
		else
			ret = cow_imageset_define(set, name, equals + 1, err);
		free(name);
	}
	if (ret)
		cow_imageset_free(set);
	else
		*ret_set = set;
	return ret;
}

static bool is_store(struct cow_image *image)
{
	const char *kind;

	return !cow_store_probe(image, &kind, NULL);
}

static int refuse_swapped(const char *origin, const char *cow, struct cow_err *err)
{
	char *line = cli_line_swapped(origin, cow);
	int ret = cli_refuse(err, -EPERM, "swapped", NULL,
			     "%s is a COW image and %s is not: looks swapped; try: %s", origin, cow,
			     line ? line : "");

	free(line);
	return ret;
}

int operands_check_order(struct cow_image *origin, struct cow_image *cow, struct cow_err *err)
{
	if (!is_store(origin) || is_store(cow))
		return 0;
	return refuse_swapped(cow_image_name(origin), cow_image_name(cow), err);
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

/* What --force says; the sentence of the refusal becomes a warning. */
static int on_question(void *user, const struct cow_err *refusal)
{
	(void)user;
	if (!cli_forced(refusal->force))
		return 0;
	cli_warn("%s; reading it anyway", refusal->message);
	return 1;
}

static void on_note(void *user, const char *sentence)
{
	(void)user;
	cli_note("%s", sentence);
}

/* From here on everything sees the bad blocks. */
static int on_image(void *user, size_t index, struct cow_image *image, struct cow_image **ret_above,
		    struct cow_err *err)
{
	const struct operands_params *params = user;

	if (!index)
		operands_note_tail(image);
	if (!index || index > params->nr_bad_maps)
		return 0;
	return bad_image_open(image, params->bad_maps[index - 1], ret_above, err);
}

static uint32_t stack_flags(const struct operands_params *params)
{
	return (params->wants_view ? COW_STACK_VIEW : 0) |
	       (!params->skips	     ? 0
		: params->fills_zero ? COW_STACK_SKIP_ZERO
				     : COW_STACK_SKIP);
}

/* A store that does not fit may belong to the whole of which origin is a part. */
static int refuse_unfit(const struct operands_params *params, struct cow_err *err)
{
	struct cow_image *origin = NULL, *cow = NULL;
	struct cow_err why = COW_ERR_INIT;
	struct cow_imageset *set = NULL;
	int ret = operands_set_new(&set, &why);

	if (!ret)
		ret = cow_imageset_open(set, params->specs[0], COW_OPEN_BUSY, &origin, &why);
	if (!ret)
		ret = cow_imageset_open(set, params->specs[1], COW_OPEN_BUSY, &cow, &why);
	if (!ret)
		ret = window_check(origin, cow, NULL, &why);
	if (ret && !strcmp(why.id, "origin"))
		*err = why;
	cow_image_close(cow);
	cow_image_close(origin);
	cow_imageset_free(set);
	return err->code;
}

static uint32_t open_flags(const struct operands_params *params)
{
	return params->is_writable  ? COW_OPEN_WRITE
	       : params->rehearses  ? COW_OPEN_REHEARSE
	       : cli_forced("busy") ? COW_OPEN_BUSY
				    : 0;
}

/* What a merge writes it writes again in its next run, so an origin may be a raid1. */
static uint32_t stack_open_flags(const struct operands_params *params)
{
	uint32_t flags = open_flags(params);

	return flags & (COW_OPEN_WRITE | COW_OPEN_REHEARSE) ? flags | COW_OPEN_COPIES : flags;
}

static int open_stack(struct operands *operands, const struct operands_params *params,
		      struct cow_err *err)
{
	struct cow_stack_params stack = COW_STACK_PARAMS_INIT;
	int ret;

	stack.flags = stack_flags(params);
	stack.open_flags = stack_open_flags(params);
	stack.set = operands->set;
	stack.origin = params->specs[0];
	stack.cows = (const char *const *)params->specs + 1;
	stack.nr_cows = params->nr_specs - 1;
	stack.kind = params->kind;
	stack.partition = params->partition;
	stack.volume = params->volume;
	stack.callbacks = params->callbacks;
	stack.user = (void *)params;
	stack.question = on_question;
	stack.note = on_note;
	stack.above = on_image;
	ret = cow_stack_open(&stack, &operands->stack, err);
	if (ret && !strcmp(err->id, "swapped"))
		return refuse_swapped(params->specs[0], params->specs[1], err);
	if (ret && params->nr_specs > 1 &&
	    (!strcmp(err->id, "bounds") || !strcmp(err->id, "damaged")))
		return refuse_unfit(params, err);
	return ret;
}

static void take_layers(struct operands *operands)
{
	const struct cow_err *doubt = cow_stack_doubt(operands->stack);
	size_t nr = 0;

	operands->origin = cow_stack_origin(operands->stack);
	operands->view = cow_stack_view(operands->stack);
	while (cow_stack_layer(operands->stack, nr, &operands->layers[nr]))
		operands->layers[++nr] = (struct cow_stack_layer)COW_STACK_LAYER_INIT;
	operands->nr_layers = nr;
	operands->is_doubtful = doubt;
	if (doubt)
		operands->doubt = *doubt;
}

/* ------------------------------------------------- a store of several images */

/* First as it should be; only then as --force allows. */
static int open_roles_store(struct operands *operands, bool wants_maps, struct cow_err *err)
{
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_store **store = &operands->layers[0].store;
	int ret;

	roles_fill(&operands->roles, &args);
	args.flags = COW_STORE_STRICT | (wants_maps ? COW_STORE_NO_MAP : 0);
	ret = cow_store_open(&args, store, err);
	if (!ret || !*err->force || !on_question(NULL, err))
		return ret;
	operands->doubt = *err;
	operands->is_doubtful = true;
	args.flags = (cli_forced("damaged") ? COW_STORE_DAMAGED : 0) |
		     (wants_maps ? COW_STORE_NO_MAP : 0) |
		     (cli_forced("doubtful") ? 0 : COW_STORE_STRICT);
	return cow_store_open(&args, store, err);
}

/* What stands on nothing shows zeros where it holds nothing itself. */
static int open_zeros(struct operands *operands, struct cow_image **ret_image, struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;
	int ret;

	cow_store_get_info(operands->layers[0].store, &info);
	ret = cow_image_zero_new(info.view_bytes, &operands->zeros, err);
	*ret_image = operands->zeros;
	return ret;
}

static int open_roles_view(struct operands *operands, const struct operands_params *params,
			   struct cow_err *err)
{
	struct cow_stack_layer *layer = &operands->layers[0];
	/* a pair has an origin that is not below the view */
	struct cow_image *below = roles_below(&operands->roles);
	int ret = cow_view_new(below ? below : operands->zeros, layer->store, &layer->view, err);

	if (!ret && params->skips)
		ret = cow_image_skip_new(layer->view, params->fills_zero ? NULL : operands->origin,
					 params->callbacks, &layer->skip, err);
	operands->view = layer->skip ? layer->skip : layer->view;
	return ret;
}

static int open_roles(struct operands *operands, const struct operands_params *params,
		      struct cow_err *err)
{
	bool wants_maps;
	int ret = 0;

	/* what is rolled back is written to */
	operands->roles.writes_source = roles_have_logs(&operands->roles);
	if (params->nr_specs > 2 || params->nr_bad_maps || params->partition || params->volume)
		ret = cli_refuse(err, -EINVAL, "usage", NULL,
				 "--table, --bad-blocks, --partition and --volume: not with this");
	if (!ret)
		ret = roles_open(&operands->roles, operands->set, open_flags(params), err);
	if (!ret)
		ret = roles_check_order(&operands->roles, err);
	if (ret)
		return ret;
	operands->nr_layers = 1;
	operands->origin = roles_below(&operands->roles);
	operands->layers[0].cow = roles_main(&operands->roles);
	wants_maps = params->wants_maps && params->nr_specs == 2;
	ret = open_roles_store(operands, wants_maps, err);
	for (size_t i = 0; !ret && cow_store_note(operands->layers[0].store, i); i++)
		cli_note("%s", cow_store_note(operands->layers[0].store, i));
	if (!ret && params->nr_specs == 2)
		ret = operands_pair_open(operands, params->specs[0], wants_maps, err);
	if (!ret && !operands->origin)
		ret = open_zeros(operands, &operands->origin, err);
	if (!ret && wants_maps)
		ret = open_zeros(operands, &operands->view, err);
	return ret || wants_maps || !params->wants_view ? ret
							: open_roles_view(operands, params, err);
}

static void close_roles(struct operands *operands)
{
	struct cow_stack_layer *layer = &operands->layers[0];

	cow_image_close(layer->skip);
	cow_image_close(layer->view);
	operands_pair_close(operands->pair);
	cow_store_close(layer->store);
	cow_image_close(operands->zeros);
	roles_close(&operands->roles);
}

/* Is there one operand, or none but --table, and is it such a store? */
static int read_roles(struct operands *operands, const struct operands_params *params,
		      struct cow_err *err)
{
	const char *first = params->nr_specs ? params->specs[0] : NULL;

	/* What is inside the view is looked for in it as in any image. */
	if ((params->nr_specs > 1 || params->partition || params->volume || params->is_image) &&
	    !params->table)
		return 0;
	return roles_read(&operands->roles, operands->set, first, params->table, params->kind, err);
}

/* Are there two, and is the second one a snapshot of a store that holds several? The
 * images of such a store are no COW images. */
static int read_pair(struct operands *operands, const struct operands_params *params,
		     struct cow_err *err)
{
	int ret;

	if (params->nr_specs != 2 || params->partition || params->volume || params->is_image ||
	    params->is_writable || params->rehearses || params->table)
		return 0;
	ret = roles_read(&operands->roles, operands->set, params->specs[1], NULL, params->kind,
			 err);
	if (!ret && !roles_spec(&operands->roles, COW_ROLE_DATA))
		roles_close(&operands->roles);
	return ret;
}

int operands_check_size(const struct operands *operands, struct cow_err *err)
{
	struct cow_store_info info = COW_STORE_INFO_INIT;

	if (!roles_are_given(&operands->roles) ||
	    cow_store_get_info(operands->layers[0].store, &info) || !info.is_size_guessed)
		return 0;
	return cli_refuse(
		err, -EPERM, "size", NULL,
		"the length of this device is not in its metadata: add size=N, at least %" PRIu64
		" (the end of its highest mapping)",
		info.view_bytes);
}

/* Each layer is asked whether it belongs to what it stands on: to ORIGIN, or to the view
 * through the layers below. */
static int fit_check_layers(const struct operands *operands, bool wants_volume, struct cow_err *err)
{
	struct cow_image *below = operands->origin;
	int ret = 0;

	for (size_t i = 0; i < operands->nr_layers && below && !ret; i++) {
		const struct cow_stack_layer *layer = &operands->layers[i];

		/* who names a volume in it knows what ORIGIN is */
		ret = fit_check(below, layer->store, i || wants_volume, err);
		below = layer->skip ? layer->skip : layer->view;
	}
	return ret;
}

/* ---------------------------------------------------------------- all of it */

static int open_all(struct operands *operands, const struct operands_params *params,
		    struct cow_err *err)
{
	int ret = operands_set_new(&operands->set, err);

	if (!ret)
		ret = read_roles(operands, params, err);
	if (!ret && !roles_are_given(&operands->roles))
		ret = read_pair(operands, params, err);
	if (!ret && roles_are_given(&operands->roles))
		return open_roles(operands, params, err);
	if (!ret)
		ret = open_stack(operands, params, err);
	if (ret)
		return ret;
	take_layers(operands);
	if (!operands->nr_layers)
		return 0;
	if (!params->may_be_mixture)
		ret = container_check(operands->origin, operands->layers[0].store, err);
	if (!ret)
		ret = window_check(operands->origin, operands->layers[0].cow,
				   operands->layers[0].store, err);
	if (!ret && !params->may_be_mixture)
		ret = fit_check_layers(operands, params->volume, err);
	return ret;
}

int operands_open(struct operands *operands, const struct operands_params *params,
		  struct cow_err *err)
{
	int ret;

	memset(operands, 0, sizeof(*operands));
	operands->fills_zero = params->fills_zero;
	/* bounded: by argc */
	operands->layers = calloc(params->nr_specs + 1, sizeof(*operands->layers));
	if (!operands->layers)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu images",
				  params->nr_specs);
	operands->layers[0] = (struct cow_stack_layer)COW_STACK_LAYER_INIT;
	ret = open_all(operands, params, err);
	if (ret)
		operands_close(operands);
	return ret;
}

void operands_close(struct operands *operands)
{
	if (roles_are_given(&operands->roles)) {
		close_roles(operands);
	} else if (!operands->stack && operands->layers) {
		cow_image_close(operands->layers[0].cow);
		cow_image_close(operands->origin);
	}
	cow_stack_close(operands->stack);
	free(operands->layers);
	cow_imageset_free(operands->set);
	memset(operands, 0, sizeof(*operands));
}
