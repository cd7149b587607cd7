/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * dump_say.c - what snapdump says after it has done its job: the line about the
 * file that was written, and the facts in the object of --json.
 */
#include "tools/snapdump/dump.h"

#include <inttypes.h>

#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "tools/common/size_text.h"
#include "tools/images/bad.h"

/* What --json has of each view, and what is said at the end. */
static void say_facts(const struct dump *dump)
{
	json_put_u64(json_root(), "view_bytes", cow_image_size(dump->operands.view));
	json_put_u64(json_root(), "data_bytes", dump->data_bytes);
	json_put_u64(json_root(), "layers", dump->operands.nr_layers);
	json_put_bool(json_root(), "doubtful", dump_is_doubtful(dump));
}

static void say_doubts(const struct dump *dump)
{
	if (dump->skips)
		bad_say_skipped(&dump->operands);
	if (dump->operands.is_doubtful)
		cli_warn("doubtful: %s", dump->operands.doubt.message);
	if (dump->other.is_doubtful)
		cli_warn("doubtful: %s", dump->other.doubt.message);
}

static void say_dry(const struct dump *dump)
{
	char size[SIZE_TEXT_BYTES];

	cli_note("would write a view of %s; nothing was written",
		 size_text(cow_image_size(dump->operands.view), size));
}

void dump_say_view(const struct dump *dump)
{
	char size[SIZE_TEXT_BYTES], data[SIZE_TEXT_BYTES];

	say_facts(dump);
	if (dump->is_dry_run)
		say_dry(dump);
	else if (dump->output)
		cli_note("%s written: a view of %s, with %s of data", dump->output,
			 size_text(cow_image_size(dump->operands.view), size),
			 size_round(dump->data_bytes, data));
	say_doubts(dump);
}

/* A forward delta is a part of the view, so doubts about the view apply to it. */
void dump_say_delta(const struct dump *dump)
{
	const char *origin = cow_image_name(dump_origin(dump));
	char data[SIZE_TEXT_BYTES];

	json_put_text(json_root(), "direction", manifest_direction(dump->is_reverse));
	if (!dump->is_reverse) {
		dump_say_view(dump);
		return;
	}
	say_facts(dump);
	size_round(dump->data_bytes, data);
	if (dump->is_dry_run)
		cli_note("would write a reverse delta from the view to %s, %s of data; nothing was "
			 "written",
			 origin, data);
	else if (dump->output)
		cli_note("%s written: a reverse delta from the view to %s, %s of data; apply it to "
			 "a copy of the old state",
			 dump->output, origin, data);
	say_doubts(dump);
}

void dump_say_files(const struct dump *dump)
{
	char data[SIZE_TEXT_BYTES];

	say_facts(dump);
	if (dump->is_dry_run)
		say_dry(dump);
	else if (dump->output)
		cli_note("%s written: %" PRIu64 " files, %s in the tar", dump->output,
			 dump->nr_ranges, size_round(dump->data_bytes, data));
	say_doubts(dump);
}

void dump_say_only_changed(const struct dump *dump)
{
	char data[SIZE_TEXT_BYTES];

	say_facts(dump);
	if (dump->is_dry_run)
		cli_note("would write %" PRIu64 " files, %s, and the names of %" PRIu64
			 " that are gone; nothing was written",
			 dump->nr_ranges, size_round(dump->data_bytes, data), dump->nr_gone);
	else if (dump->output)
		cli_note("%s written: %" PRIu64 " files, %s in the tar, and the names of %" PRIu64
			 " that are gone",
			 dump->output, dump->nr_ranges, size_round(dump->data_bytes, data),
			 dump->nr_gone);
	say_doubts(dump);
}

void dump_say_cat(const struct dump *dump)
{
	char size[SIZE_TEXT_BYTES], data[SIZE_TEXT_BYTES];

	say_facts(dump);
	size_text(dump->file_bytes, size);
	if (dump->is_dry_run)
		cli_note("would write a file of %s; nothing was written", size);
	else if (dump->output)
		cli_note("%s written: %s, with %s of data", dump->output, size,
			 size_round(dump->data_bytes, data));
	say_doubts(dump);
}

void dump_say_changes(const struct dump *dump)
{
	say_facts(dump);
	if (dump->output && !dump->is_dry_run)
		cli_note("%s written: %" PRIu64 " changes", dump->output, dump->nr_ranges);
	else if (!dump->nr_ranges)
		cli_note("no file differs");
	say_doubts(dump);
}

void dump_say_text(const struct dump *dump)
{
	say_facts(dump);
	if (dump->output && !dump->is_dry_run)
		cli_note("%s written: %" PRIu64 " files", dump->output, dump->nr_ranges);
	say_doubts(dump);
}

void dump_say_metadata(const struct dump *dump)
{
	char size[SIZE_TEXT_BYTES], data[SIZE_TEXT_BYTES];
	uint64_t image_bytes = dump->image_bytes;

	json_put_u64(json_root(), "image_bytes", image_bytes);
	json_put_u64(json_root(), "metadata_bytes", dump->data_bytes);
	size_text(image_bytes, size);
	size_text(dump->data_bytes, data);
	if (dump->is_dry_run)
		cli_note("would pack %s of metadata of an image of %s; nothing was written", data,
			 size);
	else if (dump->output)
		cli_note("%s written: %s of metadata of an image of %s, before compression; read "
			 "it with snapcheck%s",
			 dump->output, data, size,
			 roles_have_logs(&dump->operands.roles) ? ", after tar has extracted it"
								: "");
}
