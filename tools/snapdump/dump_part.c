/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_part.c - a partition or a volume inside the view, and the same one of the
 * origin alone, which --delta compares it with. The layers are those of the whole
 * disk: they are applied to that first, then the part is taken.
 */
#include "tools/snapdump/dump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/common/cli.h"

/* An image in a list: its commas are doubled. */
static void put_listed(FILE *out, const char *spec)
{
	for (; *spec; spec++)
		fprintf(out, *spec == ',' ? ",," : "%c", *spec);
}

/* The specification of the part. The caller's; NULL: no memory. */
static char *part_spec(const struct dump *dump, const char *origin)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	if (dump->volume)
		fputs("lvm:", out);
	if (dump->partition)
		fputs("part:", out);
	if (dump->volume)
		put_listed(out, origin);
	else
		fputs(origin, out);
	if (dump->partition)
		fprintf(out, ":%llu", (unsigned long long)dump->partition);
	if (dump->volume)
		fprintf(out, ":%s", dump->volume);
	if (ferror(out) | fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

int dump_part_open(struct dump *dump, const char *origin, struct cow_err *err)
{
	uint64_t view_bytes = cow_image_size(dump->operands.view);
	char *spec;
	int ret;

	if ((!dump->partition && !dump->volume) || dump->other.view)
		return 0;
	spec = part_spec(dump, origin);
	ret = spec ? operands_set_new(&dump->part_set, err)
		   : cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	/* It is open already, by the set of the operands. */
	if (!ret)
		ret = cow_imageset_open(dump->part_set, spec, COW_OPEN_BUSY, &dump->part, err);
	if (!ret && cow_image_size(dump->part) != view_bytes)
		ret = cli_refuse(err, -EPERM, "size", NULL,
				 "the part has another size in the view than in %s: there is no "
				 "difference between the two that could be applied",
				 origin);
	free(spec);
	return ret;
}

struct cow_image *dump_origin(const struct dump *dump)
{
	return dump->part ? dump->part : dump->operands.origin;
}

void dump_part_close(struct dump *dump)
{
	cow_image_close(dump->part);
	cow_imageset_free(dump->part_set);
}
