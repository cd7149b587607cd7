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

#include "tools/images/images_json.h"
#include "tools/common/outputs.h"
#include "tools/images/servers.h"
#include "tools/images/bad.h"
#include "tools/common/cli.h"
#include "tools/snapdump/dump.h"
#include "tools/common/json.h"
#include "tools/common/opts.h"
#include "tools/images/volumes.h"
#include "tools/tar/tar.h"

static struct options {
	struct cli_common common;
	bool tar, raw, delta, files, only_changed, ls, changes, reverse, metadata;
	uint64_t chunk_bytes, partition;
	const char *table, *map, *volume, *output, *compress, *mtime, *path, *against, *cat,
		*journal, *sparse;
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
	{ 0, "against", "MANIFEST|IMAGE[,COW]",
	  "not against ORIGIN: --delta since the export with this manifest; --changes, "
	  "--only-changed against this view",
	  OPT_TEXT, &options.against, NULL },
	{ 0, "map", "[=ddrescue[:N]]",
	  "the ranges that the COW images hold, as text; =ddrescue: what of COW (:N: of log N) is "
	  "worth rescuing",
	  OPT_TEXT, &options.map, "text" },
	{ 0, "files", NULL, "the files of the ext2/3/4 file system in the view, as a pax tar",
	  OPT_FLAG, &options.files, NULL },
	{ 0, "only-changed", NULL,
	  "with --files: only what differs from ORIGIN, and a list of what is gone", OPT_FLAG,
	  &options.only_changed, NULL },
	{ 0, "ls", NULL, "what files there are, as ls -l prints them; no file is read", OPT_FLAG,
	  &options.ls, NULL },
	{ 0, "cat", "PATH", "one of these files as it is", OPT_TEXT, &options.cat, NULL },
	{ 0, "changes", NULL, "which files differ from those of ORIGIN: + - M R T and the path",
	  OPT_FLAG, &options.changes, NULL },
	{ 0, "reverse", NULL,
	  "with --delta, --changes and --only-changed: from the view to ORIGIN, so what was "
	  "written to ORIGIN since",
	  OPT_FLAG, &options.reverse, NULL },
	{ 0, "journal", "replay|ignore",
	  "with --files, --ls, --cat and --changes, of a journal that needs recovery (default: "
	  "replay, in "
	  "memory)",
	  OPT_CHOICE, &options.journal, NULL },
	{ 0, "metadata", NULL, "the store of COW without its data, for snapcheck and bug reports",
	  OPT_FLAG, &options.metadata, NULL },
	{ 'c', "chunk-size", "SIZE", "with --metadata: what it is, where the header is lost",
	  OPT_SIZE, &options.chunk_bytes, NULL },
	OPT_TABLE(&options.table),
	{ 0, "path", "DIR", "with --files, --ls: only DIR and what is below it", OPT_TEXT,
	  &options.path, NULL },
	{ 0, "exclude", "GLOB", "with --files, --ls: leave out what matches, repeatable", OPT_LIST,
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
	{ 0, "sparse", "yes|no",
	  "no: a tar without sparse members, for readers that know none (default: yes)", OPT_CHOICE,
	  &options.sparse, NULL },
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
	.notes = "One of --tar, --raw, --delta, --map, --files, --ls, --cat, --changes and\n"
		 "--metadata; without: --tar if FILE is named .tar or .tar.SUFFIX. --files says\n"
		 "what it leaves out (exit status 4 if by damage); to restore everything:\n"
		 "tar --xattrs --xattrs-include='*' --acls -xpf.\n"
		 "--force=invalid, damaged or doubtful reads such a store without repairing it:\n"
		 "exit status 4. To restore: tar -xO view.img | dd of=DEVICE bs=4M conv=fsync",
	.force_ids = "overwrite,invalid,damaged,doubtful,busy,origin,content",
	.options = option_table,
	.common = &options.common,
	.min_operands = 0, /* --table names a store, too */
	.connect = servers_connect,
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

/* What a mode is, for the options that go with some modes only. */
#define MODE_IS_TAR (1u << 0)	    /* --compress */
#define MODE_IS_TEXT (1u << 1)	    /* the JSON object holds it too */
#define MODE_OF_FILES (1u << 2)	    /* --path and --exclude */
#define MODE_OF_VIEW (1u << 3)	    /* --partition and --volume */
#define MODE_READS_DATA (1u << 4)   /* --skip-unreadable */
#define MODE_OF_ONE_STORE (1u << 5) /* opens the operands itself, sound or not */
#define MODE_IS_A_FORM (1u << 6)    /* of the mode above, so not in lists */
#define MODE_OF_FS (1u << 7)	    /* looks into a file system: --journal */
#define MODE_HAS_HOLES (1u << 9)    /* in members of the tar: --sparse */
#define MODE_OF_TWO (1u << 8)	    /* compares two file systems: --against=IMAGE */

struct dump_mode {
	const char *name;
	unsigned int flags;
	/* Asked for by a flag, or by the text of an option. */
	const bool *flag;
	const char *const *text;
	const char *word; /* that the text must be */
	int (*run)(struct dump *dump, struct cow_err *err);
	void (*say)(const struct dump *dump); /* after it was done */
	/* Why it cannot be done without a COW image; NULL: it can. */
	const char *needs_layer;
};

static int run_metadata(struct dump *dump, struct cow_err *err);

#define NO_DIFFERENCE "--delta needs a COW image, or --against: ORIGIN does not differ from itself"
#define NO_WAY_BACK "--delta --reverse needs a COW image: ORIGIN does not differ from itself"
#define NO_CHANGES "--changes needs a COW image, or --against: ORIGIN does not differ from itself"
#define NO_CHANGED                                                                                 \
	"--only-changed needs a COW image, or --against: ORIGIN does not differ from itself"
#define NO_MAP "--map needs a COW image"

static const struct dump_mode modes[] = {
	{ .name = "--tar",
	  .flags = MODE_IS_TAR | MODE_HAS_HOLES | MODE_OF_VIEW | MODE_READS_DATA,
	  .flag = &options.tar,
	  .run = dump_tar,
	  .say = dump_say_view },
	{ .name = "--raw",
	  .flags = MODE_OF_VIEW | MODE_READS_DATA,
	  .flag = &options.raw,
	  .run = dump_raw,
	  .say = dump_say_view },
	{ .name = "--delta",
	  .flags = MODE_IS_TAR | MODE_OF_VIEW | MODE_READS_DATA,
	  .flag = &options.delta,
	  .run = dump_delta,
	  .say = dump_say_delta,
	  .needs_layer = NO_DIFFERENCE },
	{ .name = "--map",
	  .flags = MODE_IS_TEXT | MODE_OF_VIEW,
	  .text = &options.map,
	  .word = "text",
	  .run = dump_map,
	  .say = dump_say_view,
	  .needs_layer = NO_MAP },
	{ .name = "--map=ddrescue",
	  .flags = MODE_IS_TEXT | MODE_IS_A_FORM,
	  .text = &options.map,
	  .word = "ddrescue",
	  .run = dump_rescue,
	  .say = dump_say_view,
	  .needs_layer = NO_MAP },
	{ .name = "--files",
	  .flags = MODE_IS_TAR | MODE_HAS_HOLES | MODE_OF_VIEW | MODE_READS_DATA | MODE_OF_FS |
		   MODE_OF_FILES,
	  .flag = &options.files,
	  .run = dump_files,
	  .say = dump_say_files },
	{ .name = "--only-changed",
	  .flags = MODE_IS_TAR | MODE_HAS_HOLES | MODE_OF_VIEW | MODE_READS_DATA | MODE_OF_FS |
		   MODE_OF_FILES | MODE_IS_A_FORM | MODE_OF_TWO,
	  .flag = &options.only_changed,
	  .run = dump_only_changed,
	  .say = dump_say_only_changed,
	  .needs_layer = NO_CHANGED },
	{ .name = "--ls",
	  .flags = MODE_IS_TEXT | MODE_OF_VIEW | MODE_READS_DATA | MODE_OF_FS | MODE_OF_FILES,
	  .flag = &options.ls,
	  .run = dump_ls,
	  .say = dump_say_text },
	{ .name = "--cat",
	  .flags = MODE_OF_VIEW | MODE_READS_DATA | MODE_OF_FS,
	  .text = &options.cat,
	  .run = dump_cat,
	  .say = dump_say_cat },
	{ .name = "--changes",
	  .flags = MODE_IS_TEXT | MODE_OF_VIEW | MODE_READS_DATA | MODE_OF_FS | MODE_OF_TWO,
	  .flag = &options.changes,
	  .run = dump_changes,
	  .say = dump_say_changes,
	  .needs_layer = NO_CHANGES },
	{ .name = "--metadata",
	  .flags = MODE_IS_TAR | MODE_READS_DATA | MODE_OF_ONE_STORE,
	  .flag = &options.metadata,
	  .run = run_metadata,
	  .say = dump_say_metadata },
};
#define NR_MODES (sizeof(modes) / sizeof(modes[0]))

/* Is a text the word of a mode, or, of a map for rescue, the word and ":N"? */
static bool is_word(const char *text, const char *word)
{
	size_t len = strlen(word), nr_digits;

	if (strncmp(text, word, len) != 0)
		return false;
	if (!text[len] || strcmp(word, "ddrescue") != 0)
		return !text[len];
	nr_digits = strspn(text + len + 1, "0123456789");
	return text[len] == ':' && nr_digits && nr_digits < 10 && !text[len + 1 + nr_digits];
}

static bool is_given(const struct dump_mode *mode)
{
	if (mode->run == dump_files && options.only_changed)
		return false;
	if (mode->flag)
		return *mode->flag;
	return *mode->text && (!mode->word || is_word(*mode->text, mode->word));
}

/* The modes with all these flags: "--tar, --raw and --delta". */
#define LIST_BYTES 160
static const char *list_modes(unsigned int flags, char list[LIST_BYTES])
{
	const struct dump_mode *last = NULL;
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < NR_MODES; i++)
		if ((modes[i].flags & flags) == flags && !(modes[i].flags & MODE_IS_A_FORM))
			last = &modes[i];
	for (size_t i = 0; last && i < NR_MODES && used < LIST_BYTES; i++)
		if ((modes[i].flags & flags) == flags && !(modes[i].flags & MODE_IS_A_FORM))
			used += (size_t)snprintf(list + used, LIST_BYTES - used, "%s%s",
						 !used		     ? ""
						 : &modes[i] == last ? " and "
								     : ", ",
						 modes[i].name);
	return list;
}

/* The one mode; NULL after the sentence about it. */
static const struct dump_mode *choose_mode(void)
{
	const struct dump_mode *mode = NULL;
	char list[LIST_BYTES];
	size_t nr_given = 0;

	for (size_t i = 0; i < NR_MODES; i++) {
		if (!is_given(&modes[i]))
			continue;
		mode = &modes[i];
		nr_given++;
	}
	list_modes(0, list);
	if (options.cat && !*options.cat) {
		(void)cli_usage("--cat=PATH: no path given");
		return NULL;
	}
	if (options.map && !is_word(options.map, "text") && !is_word(options.map, "ddrescue")) {
		(void)cli_usage("--map=%s: --map, --map=ddrescue or --map=ddrescue:N", options.map);
		return NULL;
	}
	if (nr_given > 1)
		(void)cli_usage("%s: only one of them", list);
	else if (!mode && options.output && tar_is_name(options.output))
		mode = &modes[0];
	else if (!mode)
		(void)cli_usage("one of %s is needed", list);
	return nr_given > 1 ? NULL : mode;
}

static bool is_part(void)
{
	return options.partition || options.volume;
}

static int check_part(const struct dump_mode *mode)
{
	if (!is_part())
		return CLI_DONE;
	if (!(mode->flags & MODE_OF_VIEW))
		return cli_usage("--partition and --volume are of the view: not with "
				 "--map=ddrescue and --metadata, which look at the COW images");
	if (options.bad.skips)
		return cli_usage(
			"--skip-unreadable: what it skips is counted in the whole view; not "
			"with --partition or --volume");
	return CLI_DONE;
}

static int check_stdout(const struct dump_mode *mode)
{
	bool is_to_stdout = !options.output || !strcmp(options.output, "-") ||
			    outputs_is_stdout(options.output);

	if (json_is_on_stdout() && is_to_stdout && !(mode->flags & MODE_IS_TEXT))
		return cli_usage("--json and the data cannot both go to stdout: give --json=FILE");
	if (json_is_on_stdout() && options.output && is_to_stdout)
		return cli_usage("--json and -o - cannot both go to stdout: give --json=FILE");
	return CLI_DONE;
}

static int check_reverse(const struct dump_mode *mode)
{
	if (!options.reverse)
		return CLI_DONE;
	if (mode->run != dump_delta && !(mode->flags & MODE_OF_TWO))
		return cli_usage("--reverse goes with --delta, --changes and --only-changed");
	if (mode->run == dump_delta && options.against)
		return cli_usage("--delta --reverse leads to ORIGIN: not with --against, a "
				 "manifest has no data");
	if (mode->run == dump_delta && options.bad.skips)
		return cli_usage("--delta --reverse applies to what the view holds: not with "
				 "--skip-unreadable");
	return CLI_DONE;
}

static int check_options(const struct dump_mode *mode, struct dump *dump)
{
	char list[LIST_BYTES];
	int status;

	if (options.chunk_bytes && !(mode->flags & MODE_OF_ONE_STORE))
		return cli_usage("--chunk-size goes with --metadata");
	if (mode->flags & MODE_OF_ONE_STORE && cli_nr_operands() > 2)
		return cli_usage("--metadata is of one store: [ORIGIN] COW");
	if (options.compress && !(mode->flags & MODE_IS_TAR))
		return cli_usage("--compress goes with %s", list_modes(MODE_IS_TAR, list));
	if ((options.path || options.excludes.nr_words) && !(mode->flags & MODE_OF_FILES))
		return cli_usage("--path and --exclude go with %s",
				 list_modes(MODE_OF_FILES, list));
	if (options.sparse && !(mode->flags & MODE_HAS_HOLES))
		return cli_usage("--sparse goes with %s", list_modes(MODE_HAS_HOLES, list));
	if (options.journal && !(mode->flags & MODE_OF_FS))
		return cli_usage("--journal goes with %s", list_modes(MODE_OF_FS, list));
	if (mode->run == dump_only_changed && !options.files)
		return cli_usage("--only-changed goes with --files");
	status = check_reverse(mode);
	if (status != CLI_DONE)
		return status;
	if (options.against && mode->run != dump_delta && !(mode->flags & MODE_OF_TWO))
		return cli_usage("--against goes with --delta, --changes and --only-changed");
	if (mode->run == dump_rescue && cli_nr_operands() > 2)
		return cli_usage("--map=ddrescue: one COW image at a time");
	if (options.bad.skips && !(mode->flags & MODE_READS_DATA))
		return cli_usage("--skip-unreadable: --map reads no data");
	status = check_part(mode);
	if (status == CLI_DONE)
		status = check_stdout(mode);
	if (status != CLI_DONE)
		return status;
	return bad_check_usage(&options.bad, cli_nr_operands() - 1) | parse_mtime(&dump->mtime);
}

static int run_metadata(struct dump *dump, struct cow_err *err)
{
	const struct dump_metadata_params params = {
		.specs = cli_operands(),
		.nr_specs = (size_t)cli_nr_operands(),
		.kind = options.common.type,
		.chunk_bytes = options.chunk_bytes,
		.table = options.table,
	};

	return dump_metadata(dump, &params, err);
}

/* --map=ddrescue[:N]: of a COW image, or of a log. */
static int check_rescue(struct dump *dump)
{
	const char *colon = strchr(options.map, ':');
	const struct roles *roles = &dump->operands.roles;

	if (!roles_have_logs(roles) && (colon || roles_are_given(roles)))
		return cli_usage(colon ? "--map=%s: only logs are numbered"
				       : "--map=%s is of a COW image, or of a log",
				 options.map);
	dump->log = colon ? strtoull(colon + 1, NULL, 10) : 0;
	if (roles_have_logs(roles) && !colon && roles_log(roles, 1))
		return cli_usage("--map=ddrescue: there are several logs: --map=ddrescue:0 is the "
				 "domain of the first");
	if (roles_have_logs(roles) && !roles_log(roles, dump->log))
		return cli_usage("--map=%s: there is no such log", options.map);
	return CLI_DONE;
}

/* A clone is one operand, and has a layer. */
static int check_layers(const struct dump_mode *mode, struct dump *dump)
{
	if (mode->run == dump_rescue && check_rescue(dump) != CLI_DONE)
		return CLI_USAGE;
	if (!dump->operands.nr_layers && mode->needs_layer && !options.against)
		return cli_usage("%s", mode->run == dump_delta && options.reverse
					       ? NO_WAY_BACK
					       : mode->needs_layer);
	return CLI_DONE;
}

static int open_view(const struct dump_mode *mode, struct dump *dump, struct cow_err *err)
{
	const struct operands_params params = {
		.specs = cli_operands(),
		.nr_specs = (size_t)cli_nr_operands(),
		.wants_view = true,
		.wants_maps = mode->run == dump_map,
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
	int ret;

	dump->partition = options.partition;
	dump->volume = options.volume;
	ret = operands_open(&dump->operands, &params, err);
	if (!ret)
		images_json_put(&dump->operands);
	if (!ret && options.against && mode->flags & MODE_OF_TWO)
		ret = dump_against_open(dump, &params, err);
	return ret;
}

static int run_on_view(const struct dump_mode *mode, struct dump *dump, struct cow_err *err)
{
	int ret = 0;

	if ((mode->run == dump_delta && !options.against) || mode->flags & MODE_OF_TWO)
		ret = dump_part_open(dump, cli_operands()[0], err);
	return ret ? ret : mode->run(dump, err);
}

static int run(const struct dump_mode *mode, struct dump *dump)
{
	struct cow_err err = COW_ERR_INIT;
	int ret = 0, status = CLI_DONE;

	progress_start(&dump->progress, options.common.progress, options.common.quiet);
	dump->callbacks = progress_callbacks(&dump->progress);
	dump->output = options.output;
	dump->compress = options.compress;
	dump->against = options.against;
	dump->is_plain = options.sparse && !strcmp(options.sparse, "no");
	dump->is_dry_run = options.common.dry_run;
	dump->skips = options.bad.skips;
	dump->path = options.path;
	dump->cat = options.cat;
	dump->is_reverse = options.reverse;
	dump->ignores_journal = options.journal && !strcmp(options.journal, "ignore");
	dump->excludes = options.excludes.words;
	dump->nr_excludes = options.excludes.nr_words;
	if (!(mode->flags & MODE_IS_TEXT) && mode->run != dump_cat)
		outputs_note_name(options.output,
				  mode->flags & MODE_IS_TAR ? OUTPUTS_TAR : OUTPUTS_RAW);
	if (!(mode->flags & MODE_OF_ONE_STORE)) {
		ret = open_view(mode, dump, &err);
		status = ret ? status : check_layers(mode, dump);
	}
	if (!ret && status == CLI_DONE)
		ret = run_on_view(mode, dump, &err);
	if (ret)
		status = cli_fail(&err);
	else if (status == CLI_DONE)
		mode->say(dump);
	if (status == CLI_DONE && (dump_is_doubtful(dump) || dump->nr_damaged))
		status = CLI_DAMAGE;
	dump_part_close(dump);
	operands_close(&dump->other);
	operands_close(&dump->operands);
	return status;
}

int main(int argc, char **argv)
{
	const struct dump_mode *mode;
	struct dump dump = { 0 };
	struct cow_err err = COW_ERR_INIT;
	bool is_ended;
	int status;

	status = cli_start(&spec, argc, argv, &is_ended);
	if (is_ended)
		return cli_finish(status);
	if (volumes_complete(NULL, options.metadata ? VOLUMES_ALONE : VOLUMES_SHOWS, &err))
		return cli_finish(cli_fail(&err));
	if (!cli_nr_operands() && !options.table)
		return cli_finish(cli_usage("%s expected, 0 given", spec.operands));
	mode = choose_mode();
	status = mode ? check_options(mode, &dump) : CLI_USAGE;
	if (status == CLI_DONE)
		status = run(mode, &dump);
	return cli_finish(status);
}
