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
#include "tools/common/json.h"

/* More outputs than any command line can name. */
#define OUTPUTS_MAX 16

static struct {
	struct cow_output *output;
	struct json_object *json; /* what --json says of it */
} outputs[OUTPUTS_MAX];

/* Replaces old by new; if old is not in the table, nothing is remembered. */
static void replace(const struct cow_output *old, struct cow_output *new, struct json_object *json)
{
	for (size_t i = 0; i < OUTPUTS_MAX; i++) {
		if (outputs[i].output != old)
			continue;
		outputs[i].output = new;
		outputs[i].json = json;
		return;
	}
}

struct json_object *outputs_json_add(const char *role, const char *path)
{
	struct json_object *item = json_put_object(json_list("outputs"), NULL);

	json_put_text(item, "role", role);
	json_put_text(item, "path", path);
	json_put_null(item, "size_bytes");
	json_put_bool(item, "complete", false);
	return item;
}

void outputs_json_end(struct json_object *item, uint64_t size_bytes)
{
	json_put_u64(item, "size_bytes", size_bytes);
	json_put_bool(item, "complete", true);
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
			  "%s: this is not written from beginning to end, so it cannot go to a "
			  "stream; name a file or a block device, or use snapdump --raw -o %s",
			  path, path);
}

int outputs_open(struct cow_imageset *set, const char *role, const char *path, uint64_t size_bytes,
		 uint32_t flags, struct cow_output **ret_output, struct cow_err *err)
{
	struct json_object *json = outputs_json_add(role, path);
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
		replace(NULL, *ret_output, json);
	else if (!strcmp(err->id, "not-an-image") && !is_directory(path))
		ret = refuse_stream(path, err);
	return ret;
}

int outputs_open_report(struct cow_imageset *set, const char *path, uint32_t flags,
			struct cow_output **ret_output, struct cow_err *err)
{
	int ret = cow_output_open(set, path, 0, flags, ret_output, err);

	if (!ret)
		replace(NULL, *ret_output, NULL);
	return ret;
}

/* Which format a suffix promises. Formats that no tool writes come first. */
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

/* A stream has no image that knows its size. */
static uint64_t size_of(struct cow_output *output)
{
	int fd = cow_output_fd(output);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && st.st_size > 0)
		return (uint64_t)st.st_size;
	return cow_image_size(cow_output_image(output));
}

int outputs_publish(struct cow_output *output, struct cow_err *err)
{
	uint64_t size = size_of(output);
	int ret = cow_output_publish(output, err);

	if (ret)
		return ret;
	cli_wrote();
	for (size_t i = 0; i < OUTPUTS_MAX; i++)
		if (outputs[i].output == output)
			outputs_json_end(outputs[i].json, size);
	return 0;
}

void outputs_close(struct cow_output *output)
{
	if (output)
		replace(output, NULL, NULL);
	cow_output_close(output);
}

void outputs_abandon(void)
{
	for (size_t i = 0; i < OUTPUTS_MAX; i++)
		outputs_close(outputs[i].output);
}
