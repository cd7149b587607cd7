/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snapcreate.c - main() of snapcreate: options, sizes, the new store.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/images/images_json.h"
#include "tools/images/servers.h"
#include "tools/images/roles.h"
#include "tools/common/cli.h"
#include "tools/snapcreate/create_device.h"
#include "tools/snapcreate/create_fill.h"
#include "tools/snapcreate/create_roles.h"
#include "tools/common/json.h"
#include "tools/common/opts.h"
#include "tools/common/size_text.h"

static struct options {
	struct cli_common common;
	uint64_t chunk_bytes, size_bytes;
	const char *preallocate, *from, *from_view, *manifest, *table, *snapshot_of;
	bool is_thin, is_delete;
	struct opt_list imports;
} options;

#define NOT_GIVEN UINT64_MAX

static const struct opt option_table[] = {
	{ 'c', "chunk-size", "SIZE",
	  "unit of copying, a power of two, 512 to 1G (default: 4K; of a pool: 64K)", OPT_SIZE,
	  &options.chunk_bytes, NULL },
	{ 's', "size", "SIZE",
	  "of COW (default: what a wholly rewritten ORIGIN needs); of a pool: of its data",
	  OPT_SIZE, &options.size_bytes, NULL },
	{ 0, "from", "IMAGE", "store the difference, so that the view equals IMAGE", OPT_TEXT,
	  &options.from, NULL },
	{ 0, "from-view", "COW[,COW]",
	  "store the view of ORIGIN and these layers again, lowest first", OPT_TEXT,
	  &options.from_view, NULL },
	{ 0, "import", "TAR",
	  "store what snapdump --tar or --delta wrote (\"-\": standard input); again for a "
	  "further delta",
	  OPT_LIST, &options.imports, NULL },
	{ 0, "manifest", "FILE", "write the digests of what was stored to FILE", OPT_TEXT,
	  &options.manifest, NULL },
	OPT_TABLE(&options.table),
	{ 0, "thin", NULL, "make DEVICE in its pool, empty or with what --from has", OPT_FLAG,
	  &options.is_thin, NULL },
	{ 0, "snapshot-of", "N", "make DEVICE a snapshot of this device of its pool", OPT_TEXT,
	  &options.snapshot_of, NULL },
	{ 0, "delete", NULL, "delete DEVICE from its pool", OPT_FLAG, &options.is_delete, NULL },
	{ 0, "preallocate", "off|falloc|full", "how to reserve the space of COW (default: off)",
	  OPT_CHOICE, &options.preallocate, NULL },
	OPTS_COMMON(&options.common),
};

static const struct opts_spec spec = {
	.tool = "snapcreate",
	.operands = "ORIGIN COW | CLONE | POOL | DEVICE",
	.summary =
		"Makes COW a snapshot of ORIGIN, empty or with what another image, a view or an\n"
		"export has that ORIGIN has not. COW is a new file, or (--force=overwrite) an\n"
		"existing one, or a block device. ORIGIN may be zero:SIZE: no origin.",
	.notes = "With -n the size that is needed is printed, and nothing is written. CLONE is\n"
		 "clone:metadata=M,source=S,destination=D: M becomes its metadata, as the kernel\n"
		 "makes it, with no region hydrated; --table names a clone, too. POOL is\n"
		 "thin:metadata=M,data=D: M becomes the metadata of an empty thin pool. DEVICE\n"
		 "is thin:metadata=M,data=D,id=N; without id=N a new device gets the next free\n"
		 "id. A pool that LVM manages is changed with --force=lvm only.",
	.force_ids = "overwrite,busy,invalid,damaged,doubtful,origin,content,lvm",
	.options = option_table,
	.common = &options.common,
	.min_operands = 0, /* --table names a clone, too */
	.max_operands = 2,
	.connect = servers_connect,
};

/* ORIGIN and the layers of --from-view, which are cut apart at the commas. */
static int open_operands(struct create *create, struct cow_err *err)
{
	char *list = options.from_view ? strdup(options.from_view) : NULL, *at = list, *save = NULL;
	size_t room = options.from_view ? strlen(options.from_view) + 2 : 1;
	char **specs = calloc(room, sizeof(*specs));
	struct operands_params params = {
		.specs = specs,
		.nr_specs = 1,
		.wants_view = true,
		.is_image = true,
		.kind = options.common.type,
	};
	int ret;

	if (!specs || (options.from_view && !list)) {
		ret = cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for the operands");
	} else {
		specs[0] = cli_operands()[0];
		for (char *word; list && (word = strtok_r(at, ",", &save)); at = NULL)
			specs[params.nr_specs++] = word;
		ret = operands_open(&create->operands, &params, err);
		if (!ret)
			images_json_put(&create->operands);
	}
	free(specs);
	free(list);
	return ret;
}

static void put_json(const struct create *create)
{
	json_put_u64(json_root(), "origin_bytes", create->params.create.origin_bytes);
	json_put_u64(json_root(), "cow_bytes", create->target.size_bytes);
	json_put_u64(json_root(), "full_bytes", create->target.full_bytes);
	json_put_u64(json_root(), "chunk_bytes", options.chunk_bytes);
	json_put_u64(json_root(), "chunks",
		     create->is_measured && options.common.dry_run ? create->need.nr_chunks
								   : create->stats.nr_chunks);
	if (create->is_measured)
		json_put_u64(json_root(), "required_bytes", create->need.required_bytes);
	json_put_bool(json_root(), "doubtful", create->is_doubtful);
}

/* Like qemu-img measure. */
static void say_need(const struct create *create)
{
	if (!create->is_measured || json_is_on_stdout())
		return;
	printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n",
	       create->need.required_bytes, create->target.full_bytes);
}

static void say_result(const struct create *create)
{
	char size[SIZE_TEXT_BYTES], chunk[SIZE_TEXT_BYTES], data[SIZE_TEXT_BYTES];
	const char *cow = create->params.path;
	bool is_dry_run = options.common.dry_run;

	put_json(create);
	if (is_dry_run)
		say_need(create);
	size_text(create->target.size_bytes, size);
	size_round(options.chunk_bytes, chunk);
	if (is_dry_run)
		cli_note("%s would be made: a snapshot, %s, chunks of %s; nothing was written", cow,
			 size, chunk);
	else if (create->stats.nr_chunks)
		cli_note("%s made: a snapshot with %" PRIu64 " chunks of %s, %s of data; %s", cow,
			 create->stats.nr_chunks, chunk, size_round(create->stats.data_bytes, data),
			 size);
	else
		cli_note("%s made: an empty snapshot, %s, chunks of %s", cow, size, chunk);
	if (!is_dry_run)
		cli_next("snapcheck", cli_operands()[0], cli_operands()[1], NULL);
	if (create->is_doubtful)
		cli_warn("doubtful: its data was read from a damaged store");
}

static struct target_params target_params(void)
{
	return (struct target_params){
		.role = cli_nr_operands() == 2 ? "cow" : "metadata",
		.create = { .size = sizeof(struct cow_create_params),
			    .chunk_bytes = options.chunk_bytes },
		.wanted_bytes = options.size_bytes,
		.preallocate = options.preallocate,
		.replaces = options.from || options.from_view || options.imports.nr_words,
		.is_dry_run = options.common.dry_run,
	};
}

static int run(void)
{
	struct create create = {
		.params = target_params(),
		.from = options.from,
		.has_view = options.from_view,
		.imports = options.imports,
		.manifest = options.manifest,
	};
	struct cow_err err = COW_ERR_INIT;
	int status;

	create.params.path = cli_operands()[1];
	if (open_operands(&create, &err))
		return cli_fail(&err);
	progress_start(&create.progress, options.common.progress, options.common.quiet);
	create.params.create.kind = options.common.type;
	create.params.create.origin_bytes = cow_image_size(create.operands.origin);
	if (target_check_blocks(create.operands.origin, options.chunk_bytes, &err) ||
	    create_run(&create, &err)) {
		status = cli_fail(&err);
	} else {
		say_result(&create);
		status = create.is_doubtful ? CLI_DAMAGE : CLI_DONE;
	}
	create_close(&create);
	return status;
}

/* Of what consists of several images the library knows which sizes there are. */
static int check_chunk(void)
{
	bool is_given = options.chunk_bytes != NOT_GIVEN;

	if (!is_given)
		options.chunk_bytes = cli_nr_operands() == 2 ? 4096 : 0;
	if ((!is_given && !options.chunk_bytes) ||
	    (options.chunk_bytes >= 512 && options.chunk_bytes <= UINT64_C(1) << 30 &&
	     (cli_nr_operands() < 2 || !(options.chunk_bytes & (options.chunk_bytes - 1)))))
		return CLI_DONE;
	return cli_usage("--chunk-size: %" PRIu64 " bytes is not a power of two from 512 to 1G",
			 options.chunk_bytes);
}

static bool is_about_device(void)
{
	return options.is_thin || options.is_delete || options.snapshot_of;
}

static int check_device_options(void)
{
	if (options.is_thin + options.is_delete + !!options.snapshot_of > 1)
		return cli_usage("--thin, --snapshot-of and --delete: only one of them");
	if (cli_nr_operands() != 1)
		return cli_usage("%s goes with one operand: thin:metadata=M,data=D,id=N",
				 options.is_thin     ? "--thin"
				 : options.is_delete ? "--delete"
						     : "--snapshot-of");
	if (options.from_view || options.imports.nr_words || options.manifest || options.table ||
	    options.preallocate || options.chunk_bytes != NOT_GIVEN)
		return cli_usage("--thin and --snapshot-of go with --from and --size alone");
	if (options.from && options.is_delete)
		return cli_usage("--from goes with --thin and --snapshot-of");
	if (options.size_bytes && !options.is_thin)
		return cli_usage("--size goes with --thin: a snapshot is as long as its origin");
	return CLI_DONE;
}

static int check_options(void)
{
	bool is_filled = options.from || options.from_view || options.imports.nr_words;

	if (!cli_nr_operands() && !options.table)
		return cli_usage("%s expected, 0 given", spec.operands);
	if (cli_nr_operands() == 2 && options.table)
		return cli_usage("--table names a clone: no ORIGIN and COW with it");
	if (options.chunk_bytes != NOT_GIVEN && options.table)
		return cli_usage("--table says the region size: no --chunk-size with it");
	if (check_chunk())
		return CLI_USAGE;
	if (!!options.from + !!options.from_view + !!options.imports.nr_words > 1)
		return cli_usage("--from, --from-view and --import: only one of them");
	if (cli_nr_operands() < 2 && (is_filled || options.manifest))
		return cli_usage("COW is missing; a single operand is a clone or a pool, which is "
				 "made empty");
	if (options.manifest && !is_filled)
		return cli_usage("--manifest goes with --from, --from-view and --import");
	if (options.manifest && !strcmp(options.manifest, cli_operands()[1]))
		return cli_usage("the manifest cannot have the name of COW, %s", options.manifest);
	if (options.manifest && json_is_on_stdout() && !strcmp(options.manifest, "-"))
		return cli_usage("--json and the manifest cannot both go to stdout: give "
				 "--json=FILE");
	if (options.from_view && !*options.from_view)
		return cli_usage("--from-view needs a COW image");
	return CLI_DONE;
}

static int change_pool(void)
{
	const struct create_device_params params = {
		.common = &options.common,
		.operand = cli_operands()[0],
		.parent = options.snapshot_of,
		.from = options.from,
		.is_delete = options.is_delete,
		.size_bytes = options.size_bytes,
	};

	return create_device(&params);
}

static int make_clone(void)
{
	const char *operand = cli_nr_operands() ? cli_operands()[0] : NULL;

	return create_roles(operand, options.table, options.common.type, target_params());
}

int main(int argc, char **argv)
{
	bool is_ended;
	int status;

	options.chunk_bytes = NOT_GIVEN;
	status = cli_start(&spec, argc, argv, &is_ended);
	if (is_ended)
		return cli_finish(status);
	status = is_about_device() ? check_device_options() : check_options();
	if (status == CLI_DONE && is_about_device())
		status = change_pool();
	else if (status == CLI_DONE)
		status = cli_nr_operands() < 2 ? make_clone() : run();
	return cli_finish(status);
}
