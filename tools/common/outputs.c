/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * outputs.c - remembers the outputs that are open, so that a signal or an
 * error removes their temporary names.
 */
#include "tools/common/outputs.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

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

bool outputs_is_stdout(const char *path)
{
	return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/fd/1") ||
	       !strcmp(path, "/proc/self/fd/1");
}

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static int refuse_stream(const char *path, struct cow_err *err)
{
	return cli_refuse(err, -EPERM, "not-an-image", NULL,
			  "%s: a stream cannot hold this, which is written out of order; name a "
			  "file or a block device, or send snapdump --raw -o %s",
			  path, path);
}

int outputs_open(struct cow_imageset *set, const char *path, uint64_t size_bytes, uint32_t flags,
		 struct cow_output **ret_output, struct cow_err *err)
{
	int ret;

	if (!strncmp(path, "nbd://", 6) || !strncmp(path, "nbd+unix://", 11))
		return cli_refuse(err, -EOPNOTSUPP, "unsupported", NULL,
				  "%s: an output is a file or a block device, not an export of a "
				  "server; write it to a file and send that with nbdcopy",
				  path);
	if (outputs_is_stdout(path))
		return refuse_stream(path, err);
	if (cli_is_dry_run())
		flags |= COW_OUTPUT_REHEARSE;
	ret = cow_output_open(set, path, size_bytes, flags, ret_output, err);
	if (!ret)
		replace(NULL, *ret_output);
	else if (!strcmp(err->id, "not-an-image") && !is_directory(path))
		ret = refuse_stream(path, err);
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

/* What a name promises by its end. What no tool writes comes first. */
static const struct {
	const char *suffix, *promise;
	bool may_be_tar;
} promises[] = {
	{ ".qcow2", "a qcow2 image", false },  { ".qcow", "a qcow image", false },
	{ ".vmdk", "a VMDK image", false },    { ".vdi", "a VDI image", false },
	{ ".vhd", "a VHD image", false },      { ".vhdx", "a VHDX image", false },
	{ ".zip", "a zip archive", false },    { ".7z", "a 7z archive", false },
	{ ".rar", "a rar archive", false },    { ".tar", "a tar", true },
	{ ".tgz", "a compressed tar", true },  { ".gz", "a compressed file", true },
	{ ".xz", "a compressed file", true },  { ".zst", "a compressed file", true },
	{ ".bz2", "a compressed file", true }, { ".lz4", "a compressed file", true },
};

void outputs_note_name(const char *path, enum outputs_form form)
{
	static const char *const written[] = {
		[OUTPUTS_RAW] = "a raw image",
		[OUTPUTS_STORE] = "a snapshot store",
		[OUTPUTS_TAR] = "a tar",
	};
	const char *suffix = path ? strrchr(path, '.') : NULL;

	for (size_t i = 0; suffix && i < sizeof(promises) / sizeof(promises[0]); i++)
		if (!strcasecmp(suffix, promises[i].suffix) &&
		    !(form == OUTPUTS_TAR && promises[i].may_be_tar))
			cli_note("%s: its name says %s, but %s is what is written", path,
				 promises[i].promise, written[form]);
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
