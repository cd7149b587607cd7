/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * outputs.c - remembers the outputs that are open, so that a signal or an
 * error removes their temporary names.
 */
#include "tools/common/outputs.h"

#include <stddef.h>

#include "tools/common/cli.h"

/* More than any command line can name. */
#define OUTPUTS_MAX 16

static struct cow_output *outputs[OUTPUTS_MAX];

/* Puts new in the place of old; where there is none it is not remembered. */
static void replace(const struct cow_output *old, struct cow_output *new)
{
	for (size_t i = 0; i < OUTPUTS_MAX; i++) {
		if (outputs[i] != old)
			continue;
		outputs[i] = new;
		return;
	}
}

int outputs_open(struct cow_imageset *set, const char *path, uint64_t size_bytes, uint32_t flags,
		 struct cow_output **ret_output, struct cow_err *err)
{
	int ret;

	if (cli_is_dry_run())
		flags |= COW_OUTPUT_REHEARSE;
	ret = cow_output_open(set, path, size_bytes, flags, ret_output, err);
	if (!ret)
		replace(NULL, *ret_output);
	return ret;
}

int outputs_open_report(struct cow_imageset *set, const char *path, uint32_t flags,
			struct cow_output **ret_output, struct cow_err *err)
{
	int ret = cow_output_open(set, path, 0, flags, ret_output, err);

	if (!ret)
		replace(NULL, *ret_output);
	return ret;
}

int outputs_publish(struct cow_output *output, struct cow_err *err)
{
	int ret = cow_output_publish(output, err);

	if (!ret)
		cli_wrote();
	return ret;
}

void outputs_close(struct cow_output *output)
{
	if (output)
		replace(output, NULL);
	cow_output_close(output);
}

void outputs_abandon(void)
{
	for (size_t i = 0; i < OUTPUTS_MAX; i++)
		outputs_close(outputs[i]);
}
