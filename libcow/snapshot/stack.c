/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * stack.c - an origin, stores in layers above it, and the view through all of them,
 * opened from specifications in one call: what a tool does with its operands, and
 * what a plugin of another program needs. What a person has to decide is a question
 * to the caller; what a person should know is a note.
 *
 * Each layer stands on the view of those below. What lies inside the topmost view, a
 * partition and a volume, stands on it. All is closed in the opposite order.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/image/image.h"
#include "libcow/image/pieces.h"
#include "libcow/volume/volume.h"

#define FLAGS_KNOWN (COW_STACK_VIEW | COW_STACK_SKIP | COW_STACK_SKIP_ZERO | COW_STACK_WRITE)
#define FLAGS_SKIP (COW_STACK_SKIP | COW_STACK_SKIP_ZERO)

struct stack_layer {
	struct cow_image *file;	 /* as it was opened */
	struct cow_image *above; /* what the caller put above it, or NULL */
	struct cow_store *store;
	struct cow_image *view; /* NULL: not asked for */
	struct cow_image *skip; /* NULL: not asked for */
};

struct cow_stack {
	struct cow_imageset *set, *own_set;
	struct cow_image *origin, *origin_above, *origin_skip;
	struct stack_layer *layers;
	size_t nr_layers;
	struct cow_image *partition, *volume; /* inside the view; NULL: not asked for */
	struct cow_image *view;		      /* the topmost of all; belongs to one of them */
	bool is_doubtful;
	struct cow_err doubt;
};

COW_DEFINE_AUTO(stack, struct cow_stack *, cow_stack_close);
COW_DEFINE_AUTO(lvm, struct cow_lvm *, cow_lvm_close);

__attribute__((format(printf, 2, 3))) static void note(const struct cow_stack_params *params,
						       const char *format, ...)
{
	char sentence[COW_ERR_MESSAGE_BYTES];
	va_list args;

	if (!params->note)
		return;
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	params->note(params->user, sentence);
}

static int image_open(struct cow_stack *stack, const struct cow_stack_params *params,
		      const char *spec, uint32_t flags, struct cow_image **ret_image,
		      struct cow_err *err)
{
	const char *unchecked;
	int ret = cow_imageset_open(stack->set, spec, flags, ret_image, err);

	if (ret)
		return ret;
	unchecked = (*ret_image)->is_writable ? cow_image_unchecked(*ret_image) : NULL;
	if (unchecked)
		note(params, "%s: could not be checked: %s", (*ret_image)->name, unchecked);
	return 0;
}

/* The topmost layer takes the writes. */
static bool is_written(const struct cow_stack *stack, const struct cow_stack_params *params,
		       size_t layer)
{
	return params->flags & COW_STACK_WRITE && layer + 1 == stack->nr_layers;
}

static bool is_store(struct cow_image *image)
{
	const char *kind;

	return !cow_store_probe(image, &kind, NULL);
}

static int check_order(const struct cow_stack *stack, struct cow_err *err)
{
	struct cow_image *origin = stack->origin, *cow;

	if (!origin || !stack->nr_layers)
		return 0;
	cow = stack->layers[0].file;
	if (!is_store(origin) || is_store(cow))
		return 0;
	return cow_refuse(err, -EPERM, "swapped", NULL,
			  "%s is a COW image and %s is not: looks swapped", origin->name,
			  cow->name);
}

static int images_open(struct cow_stack *stack, const struct cow_stack_params *params,
		       struct cow_err *err)
{
	uint32_t flags = params->open_flags & ~COW_OPEN_COPIES;
	int ret = 0;

	if (params->origin)
		ret = image_open(stack, params, params->origin, params->open_flags, &stack->origin,
				 err);
	for (size_t i = 0; i < stack->nr_layers && !ret; i++) {
		if (is_written(stack, params, i))
			flags = (flags & ~COW_OPEN_BUSY) | COW_OPEN_WRITE;
		ret = image_open(stack, params, params->cows[i], flags, &stack->layers[i].file,
				 err);
	}
	if (!ret)
		ret = check_order(stack, err);
	if (!ret && stack->nr_layers > 1)
		note(params,
		     "%zu COW images are taken as layers, %s lowest; siblings of one origin would "
		     "be wrong here",
		     stack->nr_layers, params->cows[0]);
	return ret;
}

/* What the caller puts above the images; and the origin without its bad sectors. */
static int above_open(struct cow_stack *stack, const struct cow_stack_params *params,
		      struct cow_err *err)
{
	int ret = 0;

	if (params->above && stack->origin)
		ret = params->above(params->user, 0, stack->origin, &stack->origin_above, err);
	for (size_t i = 0; params->above && i < stack->nr_layers && !ret; i++)
		ret = params->above(params->user, i + 1, stack->layers[i].file,
				    &stack->layers[i].above, err);
	if (ret)
		return ret < 0 ? ret : -EIO;
	stack->view = stack->origin_above ? stack->origin_above : stack->origin;
	if (!(params->flags & COW_STACK_SKIP_ZERO) || !stack->view)
		return 0;
	ret = cow_image_skip_new(stack->view, NULL, params->callbacks, &stack->origin_skip, err);
	if (!ret)
		stack->view = stack->origin_skip;
	return ret;
}

/* What lets a store be read that was refused for this; 0: nothing. */
static uint32_t flag_of(const char *force)
{
	if (!strcmp(force, "damaged"))
		return COW_STORE_DAMAGED;
	if (!strcmp(force, "invalid"))
		return COW_STORE_INVALID;
	return strcmp(force, "doubtful") ? 0 : COW_STORE_STRICT;
}

/* Is a store read in spite of this? Each question is asked once. */
static bool is_forced(struct cow_stack *stack, const struct cow_stack_params *params,
		      struct cow_store_args *args, const struct cow_err *refusal)
{
	uint32_t flag = flag_of(refusal->force);
	uint32_t flags = flag == COW_STORE_STRICT ? args->flags & ~flag : args->flags | flag;

	if (flags == args->flags || params->flags & COW_STACK_WRITE || !params->question ||
	    !params->question(params->user, refusal))
		return false;
	args->flags = flags;
	if (!stack->is_doubtful)
		stack->doubt = *refusal;
	stack->is_doubtful = true;
	return true;
}

/* First as it should be; after that as the answers to questions allow. */
static int store_open(struct cow_stack *stack, const struct cow_stack_params *params,
		      struct cow_store_args *args, struct cow_store **ret_store,
		      struct cow_err *err)
{
	struct cow_err refusal = COW_ERR_INIT;
	int ret;

	args->flags = COW_STORE_STRICT;
	do {
		refusal = (struct cow_err)COW_ERR_INIT;
		ret = cow_store_open(args, ret_store, &refusal);
	} while (ret && is_forced(stack, params, args, &refusal));
	if (ret && err)
		*err = refusal;
	return ret;
}

/* Stacked on the view so far. */
static int view_open(struct cow_stack *stack, const struct cow_stack_params *params,
		     struct stack_layer *layer, struct cow_err *err)
{
	struct cow_image *fill = params->flags & COW_STACK_SKIP_ZERO ? NULL : stack->view;
	bool writes = is_written(stack, params, (size_t)(layer - stack->layers));
	int ret = writes ? cow_view_new_writable(stack->view, layer->store, &layer->view, err)
			 : cow_view_new(stack->view, layer->store, &layer->view, err);

	if (!ret && params->flags & FLAGS_SKIP)
		ret = cow_image_skip_new(layer->view, fill, params->callbacks, &layer->skip, err);
	if (!ret)
		stack->view = layer->skip ? layer->skip : layer->view;
	return ret;
}

static int layer_open(struct cow_stack *stack, const struct cow_stack_params *params,
		      struct stack_layer *layer, struct cow_err *err)
{
	struct cow_image *cow = layer->above ? layer->above : layer->file;
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	int ret;

	args.kind = params->kind;
	cow_store_args_pair(&args, roles, cow, stack->view);
	ret = store_open(stack, params, &args, &layer->store, err);
	if (ret || !(params->flags & COW_STACK_VIEW))
		return ret;
	return view_open(stack, params, layer, err);
}

static int volume_open(struct cow_image *disk, const struct cow_stack_params *params,
		       struct cow_image **ret_image, struct cow_err *err)
{
	AUTO_HANDLE(lvm) struct cow_lvm *lvm = NULL;
	const struct cow_lv *lv;
	int ret = cow_lvm_open(&disk, 1, &lvm, err);

	if (ret)
		return ret;
	for (size_t i = 0; cow_lvm_note(lvm, i); i++)
		note(params, "%s", cow_lvm_note(lvm, i));
	ret = cow_lvm_find(lvm, params->volume, &lv, err);
	return ret ? ret
		   : cow_lv_open(lv, params->flags & COW_STACK_WRITE ? COW_LV_WRITE : 0, ret_image,
				 err);
}

/* What is inside the view: the partition first, a volume in it. */
static int inside_open(struct cow_stack *stack, const struct cow_stack_params *params,
		       struct cow_err *err)
{
	int ret = 0;

	if (params->partition)
		ret = cow_volume_open_partition(stack->view, params->partition, &stack->partition,
						err);
	if (ret)
		return ret;
	if (stack->partition)
		stack->view = stack->partition;
	if (params->volume)
		ret = volume_open(stack->view, params, &stack->volume, err);
	if (!ret && stack->volume)
		stack->view = stack->volume;
	return ret;
}

static int stack_fill(struct cow_stack *stack, const struct cow_stack_params *params,
		      struct cow_err *err)
{
	int ret = params->set ? 0 : cow_imageset_new(&stack->own_set, err);

	stack->set = params->set ? params->set : stack->own_set;
	if (!ret)
		ret = images_open(stack, params, err);
	if (!ret)
		ret = above_open(stack, params, err);
	for (size_t i = 0; i < stack->nr_layers && !ret; i++)
		ret = layer_open(stack, params, &stack->layers[i], err);
	if (!ret && params->flags & COW_STACK_VIEW)
		ret = inside_open(stack, params, err);
	return ret;
}

static int params_check(const struct cow_stack_params *params, struct cow_err *err)
{
	int ret = cow_params_check(params->size, sizeof(*params), params->flags, FLAGS_KNOWN,
				   "struct cow_stack_params", err);

	if (ret)
		return ret;
	if (!params->origin && !params->nr_cows)
		return cow_fail(err, -EINVAL, "no image is named");
	if (!(params->flags & COW_STACK_VIEW) &&
	    (params->partition || params->volume || params->flags & FLAGS_SKIP))
		return cow_fail(err, -EINVAL,
				"partitions, volumes and skipping need a view: COW_STACK_VIEW is "
				"missing");
	if (!(params->flags & COW_STACK_WRITE))
		return 0;
	if (!(params->flags & COW_STACK_VIEW) || params->flags & FLAGS_SKIP || !params->nr_cows)
		return cow_fail(err, -EINVAL,
				"COW_STACK_WRITE needs a COW image and a view, without skipping");
	return 0;
}

int cow_stack_open(const struct cow_stack_params *params, struct cow_stack **ret_stack,
		   struct cow_err *err)
{
	AUTO_HANDLE(stack) struct cow_stack *stack = NULL;
	int ret = params_check(params, err);

	if (ret)
		return ret;
	stack = (struct cow_stack *)calloc(1, sizeof(*stack));
	if (stack)
		/* bounded: the caller has nr_cows pointers to texts */
		stack->layers =
			(struct stack_layer *)calloc(params->nr_cows + 1, sizeof(*stack->layers));
	if (!stack || !stack->layers)
		return cow_fail(err, -ENOMEM, "no memory for %zu images", params->nr_cows);
	stack->nr_layers = params->nr_cows;
	ret = stack_fill(stack, params, err);
	if (!ret)
		*ret_stack = take_ptr(stack);
	return ret;
}

void cow_stack_close(struct cow_stack *stack)
{
	if (!stack)
		return;
	cow_image_close(stack->volume);
	cow_image_close(stack->partition);
	for (size_t i = stack->nr_layers; i-- > 0;) {
		struct stack_layer *layer = &stack->layers[i];

		cow_image_close(layer->skip);
		cow_image_close(layer->view);
		cow_store_close(layer->store);
		cow_image_close(layer->above);
		cow_image_close(layer->file);
	}
	free(stack->layers);
	cow_image_close(stack->origin_skip);
	cow_image_close(stack->origin_above);
	cow_image_close(stack->origin);
	cow_imageset_free(stack->own_set);
	free(stack);
}

struct cow_image *cow_stack_view(const struct cow_stack *stack)
{
	return stack->view;
}

/* What the partition, or the volume, was looked for in. */
static const struct cow_image *whole_of(const struct cow_stack *stack)
{
	const struct stack_layer *top =
		stack->nr_layers ? &stack->layers[stack->nr_layers - 1] : NULL;

	if (top && top->view)
		return top->skip ? top->skip : top->view;
	return cow_stack_origin(stack);
}

bool cow_stack_locate(const struct cow_stack *stack, uint64_t offset_bytes,
		      struct cow_segment *ret_place)
{
	ret_place->len_bytes = stack->view->size_bytes - offset_bytes;
	return cow_pieces_find(stack->view, whole_of(stack), offset_bytes, &ret_place->len_bytes,
			       &ret_place->offset_bytes);
}

struct cow_imageset *cow_stack_set(const struct cow_stack *stack)
{
	return stack->set;
}

struct cow_image *cow_stack_origin(const struct cow_stack *stack)
{
	if (stack->origin_skip)
		return stack->origin_skip;
	return stack->origin_above ? stack->origin_above : stack->origin;
}

bool cow_stack_layer(const struct cow_stack *stack, size_t index, struct cow_stack_layer *ret_layer)
{
	const struct stack_layer *layer;

	if (index >= stack->nr_layers || ret_layer->size != sizeof(*ret_layer))
		return false;
	layer = &stack->layers[index];
	ret_layer->cow = layer->above ? layer->above : layer->file;
	ret_layer->store = layer->store;
	ret_layer->view = layer->view;
	ret_layer->skip = layer->skip;
	return true;
}

const struct cow_err *cow_stack_doubt(const struct cow_stack *stack)
{
	return stack->is_doubtful ? &stack->doubt : NULL;
}
