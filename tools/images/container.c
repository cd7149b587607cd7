/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * container.c - refuses a virtual disk's file, or a compressed image, in the place
 * of the disk. Volumes that hold such a file as it is exist, and snapshots of
 * them too: --force=content says so.
 */
#include "tools/images/container.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/common/text.h"

#define HEAD_BYTES 512

/* What the snapshot shows in place of the header; NULL: it holds none. */
static const char *content_above(struct cow_image *origin, struct cow_store *store)
{
	struct cow_extent extent;
	struct cow_image *view = NULL;
	const char *name = NULL;

	if (!cow_store_next_extent(store, 0, &extent) || extent.old_bytes >= HEAD_BYTES)
		return NULL;
	if (!cow_view_new(origin, store, &view, NULL))
		name = cow_image_container(view);
	cow_image_close(view);
	return name;
}

const char *container_doubt(struct cow_image *origin, struct cow_store *store)
{
	const char *name = cow_image_container(origin);
	const char *above = name && store ? content_above(origin, store) : NULL;

	return !name || cli_forced("content") || (above && !strcmp(above, name)) ? NULL : name;
}

/* What to do; the first that the name begins with. */
static const struct {
	const char *begins, *sentence;
} advice[] = {
	{ "something compressed", "its bytes are not those of the disk in it; unpack it first" },
	{ "an Android", "its bytes are not those of the disk in it; make a raw image of it first "
			"(simg2img)" },
	{ "the metadata", "no disk is in it; name the device that it belongs to" },
	{ "", "its bytes are not those of the disk in it; make a raw image of it first (qemu-img "
	      "convert -O raw), or export it (qemu-nbd)" },
};

const char *container_advice(const char *name)
{
	size_t i = 0;

	while (strncmp(name, advice[i].begins, strlen(advice[i].begins)))
		i++;
	return advice[i].sentence;
}

/* As qemu-nbd calls the formats. */
static const struct {
	const char *content, *format;
} formats[] = {
	{ "a qcow2 image", "qcow2" }, { "a QED image", "qed" }, { "a VMDK image", "vmdk" },
	{ "a VHDX image", "vhdx" },   { "a VHD image", "vpc" }, { "a VDI image", "vdi" },
};

char *container_command(const char *content, const char *path)
{
	/* qemu-nbd would take "a:b" for a protocol, and "-a" for an option */
	bool is_odd = *path == '-' || (*path != '/' && strchr(path, ':'));
	char *command = NULL, *quoted = NULL, *name = NULL;
	size_t i = 0;

	while (i < sizeof(formats) / sizeof(formats[0]) && strcmp(formats[i].content, content))
		i++;
	if (i == sizeof(formats) / sizeof(formats[0]))
		return NULL;
	if (asprintf(&name, "%s%s", is_odd ? "./" : "", path) < 0)
		return NULL;
	quoted = text_quote_words((const char *const[]){ name, NULL });
	free(name);
	if (quoted && asprintf(&command,
			       "qemu-nbd --fork --persistent -r -f %s -k \"$PWD/nbd.sock\" "
			       "--pid-file=\"$PWD/nbd.pid\" %s && snapcheck --list "
			       "\"nbd+unix:///?socket=$PWD/nbd.sock\"",
			       formats[i].format, quoted) < 0)
		command = NULL;
	free(quoted);
	return command;
}

static int refuse(const struct cow_image *image, const char *name, struct cow_err *err)
{
	return cli_refuse(err, -EPERM, "content", "content", "%s looks like %s: %s",
			  cow_image_name(image), name, container_advice(name));
}

int container_check(struct cow_image *origin, struct cow_store *store, struct cow_err *err)
{
	const char *name = container_doubt(origin, store);

	return name ? refuse(origin, name, err) : 0;
}

int container_check_pair(struct cow_image *one, struct cow_image *other, struct cow_err *err)
{
	const char *a = container_doubt(one, NULL), *b = container_doubt(other, NULL);

	if (a && b && !strcmp(a, b))
		return 0;
	return a ? refuse(one, a, err) : b ? refuse(other, b, err) : 0;
}
