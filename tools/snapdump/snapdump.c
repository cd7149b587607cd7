/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * snapdump.c - main() of snapdump: options, the view, and one mode.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/common/outputs.h"
#include "tools/images/remote.h"
#include "tools/images/bad.h"
#include "tools/common/cli.h"
#include "tools/snapdump/dump.h"
#include "tools/common/json.h"
#include "tools/common/opts.h"
#include "tools/common/size_text.h"
#include "tools/images/volumes.h"
#include "tools/tar/tar.h"

static struct options {
	struct cli_common common;
	bool tar, raw, delta, files, metadata;
	uint64_t chunk_bytes, partition;
	const char *table, *map, *volume, *output, *compress, *mtime, *path, *against;
	struct opt_list excludes;
	struct bad_options bad;
} options;

static const struct opt option_table[] = {
	{ 0, "tar", NULL, "the view as one sparse member of a pax tar, then a manifest", OPT_FLAG,
	  &options.tar, NULL },
	{ 0, "raw", NULL, "the view as it is: a sparse file, a device or a stream", OPT_FLAG,
	  &options.raw, NULL },
	{ 0, "delta", NULL, "what changed, as a pax tar that snapcreate --import reads", OPT_FLAG,
	  &options.delta, NULL },
	{ 0, "against", "MANIFEST",
	  "with --delta: what changed since the export with this manifest, not since ORIGIN",
	  OPT_TEXT, &options.against, NULL },
	{ 0, "map", "[=ddrescue]",
	  "the ranges that the COW images hold, as text; =ddrescue: what of COW is worth rescuing",
	  OPT_TEXT, &options.map, "text" },
	{ 0, "files", NULL, "the files of the ext2/3/4 file system in the view, as a pax tar",
	  OPT_FLAG, &options.files, NULL },
	{ 0, "metadata", NULL, "the store of COW without its data, for snapcheck and bug reports",
	  OPT_FLAG, &options.metadata, NULL },
	{ 'c', "chunk-size", "SIZE", "with --metadata: what it is, where the header is lost",
	  OPT_SIZE, &options.chunk_bytes, NULL },
	OPT_TABLE(&options.table),
	{ 0, "path", "DIR", "with --files: only DIR and what is below it", OPT_TEXT, &options.path,
	  NULL },
	{ 0, "exclude", "GLOB", "with --files: leave out what matches, repeatable", OPT_LIST,
	  &options.excludes, NULL },
	{ 0, "partition", "N", "partition N of the view of a whole disk", OPT_COUNT,
	  &options.partition, NULL },
	{ 0, "volume", "VG/LV", "logical volume VG/LV of that disk or partition", OPT_TEXT,
	  &options.volume, NULL },
	OPT_SKIP_UNREADABLE(&options.bad),
	{ 0, "fill", "origin|zero",
	  "what stands in for such sectors (default: origin; zero: also for those of ORIGIN)",
	  OPT_CHOICE, &options.bad.fill, NULL },
	OPT_BAD_BLOCKS(&options.bad),
	{ 'o', "output", "FILE",
	  "where to (default: stdout); a file appears complete or not at all", OPT_TEXT,
	  &options.output, NULL },
	{ 0, "compress", "none|gzip|xz|zstd|lz4[:LEVEL]",
	  "how to compress a tar (default: by the suffix of FILE)", OPT_TEXT, &options.compress,
	  NULL },
	{ 0, "mtime", "TIME",
	  "time of the members of a tar: seconds since 1970 or YYYY-MM-DDTHH:MM:SSZ (default: "
	  "SOURCE_DATE_EPOCH, else 0)",
	  OPT_TEXT, &options.mtime, NULL },
	OPTS_COMMON(&options.common),
};

static const struct opts_spec spec = {
	.tool = "snapdump",
	.operands = "ORIGIN [COW]...",
	.summary = "Exports what a snapshot device would show: ORIGIN through the layers COW,\n"
		   "lowest first. Without COW, the ORIGIN itself.",
	.notes = "One of --tar, --raw, --delta, --map, --files and --metadata; without: --tar if\n"
		 "FILE is named .tar or .tar.SUFFIX. --files says what it leaves out (exit\n"
		 "status 4 if by damage); to restore everything:\n"
		 "tar --xattrs --xattrs-include='*' --acls -xpf.\n"
		 "--force=invalid, damaged or doubtful reads such a store without mending it:\n"
		 "exit status 4. To restore: tar -xO view.img | dd of=DEVICE bs=4M conv=fsync",
	.force_ids = "overwrite,invalid,damaged,doubtful,busy,origin,content",
	.options = option_table,
	.common = &options.common,
	.min_operands = 0, /* --table names a store, too */
	.connect = remote_connect_all,
};

static int parse_mtime(int64_t *ret_seconds)
{
	const char *from_environment = getenv("SOURCE_DATE_EPOCH");
	const char *text = options.mtime ? options.mtime : from_environment;
	struct tm tm = { 0 };
	char *end;

	*ret_seconds = 0;
	if (!text || !*text)
		return CLI_DONE;
	errno = 0;
	*ret_seconds = strtoll(text, &end, 10);
	if (!errno && !*end && *ret_seconds >= 0)
		return CLI_DONE;
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!end || *end)
		return cli_usage("%s=%s: neither seconds since 1970 nor YYYY-MM-DDTHH:MM:SSZ",
				 options.mtime ? "--mtime" : "SOURCE_DATE_EPOCH", text);
	*ret_seconds = timegm(&tm);
	return CLI_DONE;
}

#define MODES "--tar, --raw, --delta, --map, --files and --metadata"

static bool is_part(void)
{
	return options.partition || options.volume;
}

static int check_options(struct dump *dump)
{
	bool is_to_stdout = !options.output || !strcmp(options.output, "-");

	int nr_modes = options.tar + options.raw + options.delta + !!options.map + options.files +
		       options.metadata;

	if (!cli_nr_operands() && !options.table)
		return cli_usage("%s expected, 0 given", spec.operands);
	if (nr_modes > 1)
		return cli_usage(MODES ": only one of them");
	if (!nr_modes)
		options.tar = options.output && tar_is_name(options.output);
	if (!nr_modes && !options.tar)
		return cli_usage("one of " MODES " is needed");
	if (options.chunk_bytes && !options.metadata)
		return cli_usage("--chunk-size goes with --metadata");
	if (options.metadata && cli_nr_operands() > 2)
		return cli_usage("--metadata is of one store: [ORIGIN] COW");
	if (options.compress && (options.raw || options.map))
		return cli_usage("--compress goes with --tar, --delta, --files and --metadata");
	if ((options.path || options.excludes.nr_words) && !options.files)
		return cli_usage("--path and --exclude go with --files");
	if (options.against && !options.delta)
		return cli_usage("--against goes with --delta");
	if (options.map && strcmp(options.map, "text") && strcmp(options.map, "ddrescue"))
		return cli_usage("--map=%s: --map or --map=ddrescue", options.map);
	if (options.map && !strcmp(options.map, "ddrescue") && cli_nr_operands() > 2)
		return cli_usage("--map=ddrescue: one COW image at a time");
	if (is_part() && (options.map || options.metadata))
		return cli_usage("--partition and --volume are of the view: not with --map and "
				 "--metadata, which look at the COW images");
	if (is_part() && options.bad.skips)
		return cli_usage(
			"--skip-unreadable: what it skips is counted in the whole view; not "
			"with --partition or --volume");
	if (options.bad.skips && options.map)
		return cli_usage("--skip-unreadable: --map reads no data");
	if (json_is_on_stdout() && is_to_stdout && !options.map)
		return cli_usage("--json and the data cannot both go to stdout: give --json=FILE");
	if (json_is_on_stdout() && options.output && is_to_stdout)
		return cli_usage("--json and -o - cannot both go to stdout: give --json=FILE");
	return bad_check_usage(&options.bad, cli_nr_operands() - 1) | parse_mtime(&dump->mtime);
}

static void say_result(const struct dump *dump)
{
	char size[SIZE_TEXT_BYTES], data[SIZE_TEXT_BYTES];
	uint64_t view_bytes = cow_image_size(dump->operands.view);

	json_put_u64(json_root(), "view_bytes", view_bytes);
	json_put_u64(json_root(), "data_bytes", dump->data_bytes);
	json_put_u64(json_root(), "layers", dump->operands.nr_layers);
	json_put_bool(json_root(), "doubtful", dump_is_doubtful(dump));
	if (options.common.dry_run)
		cli_note("would write a view of %s; nothing was written",
			 size_text(view_bytes, size));
	else if (options.output && options.files)
		cli_note("%s written: %" PRIu64 " files, %s in the tar", options.output,
			 dump->nr_ranges, size_round(dump->data_bytes, data));
	else if (options.output)
		cli_note("%s written: view of %s, %s of it data", options.output,
			 size_text(view_bytes, size), size_round(dump->data_bytes, data));
	if (options.bad.skips)
		bad_say_skipped(&dump->operands);
	if (dump->operands.is_doubtful)
		cli_warn("doubtful: %s", dump->operands.doubt.message);
}

static void say_metadata(const struct dump *dump)
{
	char size[SIZE_TEXT_BYTES], data[SIZE_TEXT_BYTES];
	uint64_t image_bytes = cow_image_size(dump->operands.layers[0].cow);

	json_put_u64(json_root(), "image_bytes", image_bytes);
	json_put_u64(json_root(), "metadata_bytes", dump->data_bytes);
	size_text(image_bytes, size);
	size_text(dump->data_bytes, data);
	if (options.common.dry_run)
		cli_note("would pack %s of metadata of an image of %s; nothing was written", data,
			 size);
	else if (options.output)
		cli_note("%s written: %s of metadata of an image of %s, before compression; read "
			 "it with snapcheck",
			 options.output, data, size);
}

static int pack(struct dump *dump)
{
	const struct dump_metadata_params params = {
		.specs = cli_operands(),
		.nr_specs = (size_t)cli_nr_operands(),
		.kind = options.common.type,
		.chunk_bytes = options.chunk_bytes,
		.table = options.table,
	};
	struct cow_err err = COW_ERR_INIT;
	int status = CLI_DONE;

	if (dump_metadata(dump, &params, &err))
		status = cli_fail(&err);
	else
		say_metadata(dump);
	operands_close(&dump->operands);
	return status;
}

static int export(struct dump *dump, struct cow_err *err)
{
	if (options.tar)
		return dump_tar(dump, err);
	if (options.files)
		return dump_files(dump, err);
	if (options.delta)
		return dump_delta(dump, err);
	if (options.raw)
		return dump_raw(dump, err);
	return strcmp(options.map, "text") ? dump_rescue(dump, err) : dump_map(dump, err);
}

/* A clone is one operand, and has a layer. */
static int check_layers(const struct dump *dump)
{
	if (roles_are_given(&dump->operands.roles) && options.map && strcmp(options.map, "text"))
		return cli_usage("--map=ddrescue is of a COW image");
	if (dump->operands.nr_layers)
		return CLI_DONE;
	if (options.delta && !options.against)
		return cli_usage("--delta needs a COW image, or --against: ORIGIN does not differ "
				 "from itself");
	if (options.map)
		return cli_usage("--map needs a COW image");
	return CLI_DONE;
}

static int run(struct dump *dump)
{
	const struct operands_params params = {
		.specs = cli_operands(),
		.nr_specs = (size_t)cli_nr_operands(),
		.wants_view = true,
		.kind = options.common.type,
		.partition = options.partition,
		.volume = options.volume,
		.table = options.table,
		.bad_maps = options.bad.maps.words,
		.nr_bad_maps = options.bad.maps.nr_words,
		.skips = options.bad.skips,
		.fills_zero = options.bad.fill && !strcmp(options.bad.fill, "zero"),
		.callbacks = &dump->callbacks,
	};
	struct cow_err err = COW_ERR_INIT;
	int status;

	progress_start(&dump->progress, options.common.progress, options.common.quiet);
	dump->callbacks = progress_callbacks(&dump->progress);
	dump->output = options.output;
	dump->compress = options.compress;
	dump->against = options.against;
	dump->is_dry_run = options.common.dry_run;
	dump->path = options.path;
	dump->excludes = options.excludes.words;
	dump->nr_excludes = options.excludes.nr_words;
	if (!options.map)
		outputs_note_name(options.output, options.raw ? OUTPUTS_RAW : OUTPUTS_TAR);
	if (options.metadata)
		return pack(dump);
	if (operands_open(&dump->operands, &params, &err))
		return cli_fail(&err);
	dump->partition = options.partition;
	dump->volume = options.volume;
	if (check_layers(dump) != CLI_DONE) {
		operands_close(&dump->operands);
		return CLI_USAGE;
	}
	if ((options.delta && !options.against && dump_part_open(dump, cli_operands()[0], &err)) ||
	    export(dump, &err)) {
		status = cli_fail(&err);
	} else {
		say_result(dump);
		status = dump_is_doubtful(dump) || dump->nr_damaged ? CLI_DAMAGE : CLI_DONE;
	}
	dump_part_close(dump);
	operands_close(&dump->operands);
	return status;
}

int main(int argc, char **argv)
{
	struct dump dump = { 0 };
	struct cow_err err = COW_ERR_INIT;
	bool is_ended;
	int status;

	status = cli_start(&spec, argc, argv, &is_ended);
	if (is_ended)
		return cli_finish(status);
	if (volumes_complete(NULL, options.metadata ? VOLUMES_ALONE : VOLUMES_SHOWS, &err))
		return cli_finish(cli_fail(&err));
	status = check_options(&dump);
	if (status == CLI_DONE)
		status = run(&dump);
	return cli_finish(status);
}
