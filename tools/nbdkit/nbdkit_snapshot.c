/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * nbdkit_snapshot.c - a plugin for nbdkit: serves what a snapshot shows as a network
 * block device. So it can be mounted, searched and copied by whatever speaks NBD.
 *
 * Everything is opened once, before nbdkit goes to the background and changes its
 * directory, and is the same for all connections.
 *
 * mode=ro	Nothing changes afterwards: requests of all connections are served in
 *		parallel, without a lock.
 * mode=rw	What is written goes to the topmost COW image. Requests that read share
 *		a lock, the others have it alone; so a flush of one connection covers
 *		what all have written (multi-conn). What was written is flushed without
 *		being asked when it is 5 s old, and at the end; the library does so
 *		after 64 MiB.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nbdkit/plugin.h"
#include "tools/remote/remote.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

struct plugin plugin;

/* The name of the image in front of the sentence, unless it is in it. */
void plugin_error(const struct cow_err *err)
{
	bool has_name = *err->image && !strstr(err->message, err->image);

	nbdkit_error("%s%s%s%s%s", has_name ? err->image : "", has_name ? ": " : "", err->message,
		     *err->force ? "; to serve it anyway: force=" : "", err->force);
}

static void snapshot_note(void *user, const char *sentence)
{
	(void)user;
	fprintf(stderr, "nbdkit: snapshot: note: %s\n", sentence);
}

/* cow_imageset_set_opener(). */
static int server_open(void *user, const char *uri, uint32_t flags, struct cow_image **ret_image,
		       struct cow_err *err)
{
	int ret = remote_open(user, uri, flags, ret_image, err);

	if (!ret && flags & COW_OPEN_WRITE)
		fprintf(stderr, "nbdkit: snapshot: note: %s: %s\n", uri, REMOTE_WRITE_NOTE);
	return ret;
}

static int set_begin(struct cow_err *err)
{
	int ret = plugin.set ? 0 : cow_imageset_new(&plugin.set, err);

	if (!ret && remote_open)
		cow_imageset_set_opener(plugin.set, server_open, NULL);
	return ret;
}

/* What speaks with an NBD server is a process of its own, which is started while nbdkit
 * has one thread. */
static int servers_connect(const char *spec)
{
	struct cow_err err = COW_ERR_INIT;

	if (!remote_connect || !remote_connect(spec, &err))
		return 0;
	plugin_error(&err);
	return -1;
}

static int cow_add(const char *value)
{
	/* bounded: by the number of parameters */
	const char **cows = reallocarray(plugin.cows, plugin.nr_cows + 1, sizeof(*cows));

	if (!cows) {
		nbdkit_error("no memory for the name of an image");
		return -1;
	}
	plugin.cows = cows;
	cows[plugin.nr_cows++] = value;
	return servers_connect(value);
}

/* NAME=IMAGE. */
static int image_define(const char *value)
{
	struct cow_err err = COW_ERR_INIT;
	const char *equals = strchr(value, '=');
	char *name = equals ? strndup(value, (size_t)(equals - value)) : NULL;
	int ret = 0;

	if (!equals) {
		nbdkit_error("image=%s: \"=IMAGE\" is missing", value);
		return -1;
	}
	ret = set_begin(&err);
	if (!ret && name)
		ret = cow_imageset_define(plugin.set, name, equals + 1, &err);
	if (ret)
		plugin_error(&err);
	else if (!name)
		nbdkit_error("no memory for the name of an image");
	ret = ret || !name ? -1 : servers_connect(equals + 1);
	free(name);
	return ret;
}

static int text_set(const char **text, const char *key, const char *value)
{
	if (*text) {
		nbdkit_error("%s= is there twice", key);
		return -1;
	}
	*text = value;
	return 0;
}

static int partition_set(const char *value)
{
	uint32_t number;

	if (nbdkit_parse_uint32_t("partition", value, &number))
		return -1;
	if (!number) {
		nbdkit_error("partitions are counted from 1");
		return -1;
	}
	plugin.partition = number;
	return 0;
}

static int mode_set(const char *value)
{
	plugin.is_writable = !strcmp(value, "rw");
	if (plugin.is_writable || !strcmp(value, "ro"))
		return 0;
	if (!strcmp(value, "origin"))
		nbdkit_error("mode=origin is not supported by this version: writes go to the "
			     "snapshot (mode=rw), or nowhere (mode=ro)");
	else
		nbdkit_error("mode=%s is not known; there are mode=ro and mode=rw", value);
	return -1;
}

static int snapshot_config(const char *key, const char *value)
{
	if (!strcmp(key, "cow"))
		return cow_add(value);
	if (!strcmp(key, "image"))
		return image_define(value);
	if (!strcmp(key, "origin"))
		return text_set(&plugin.origin, key, value) ? -1 : servers_connect(value);
	if (!strcmp(key, "partition"))
		return partition_set(value);
	if (!strcmp(key, "volume"))
		return text_set(&plugin.volume, key, value);
	if (!strcmp(key, "type"))
		return text_set(&plugin.kind, key, value);
	if (!strcmp(key, "force"))
		return text_set(&plugin.force, key, value);
	if (!strcmp(key, "mode"))
		return mode_set(value);
	nbdkit_error("there is no parameter \"%s\"", key);
	return -1;
}

static int snapshot_config_complete(void)
{
	if (!plugin.origin && !plugin.nr_cows)
		nbdkit_error("no image is named: origin=IMAGE cow=IMAGE");
	else if (plugin.is_writable && !plugin.nr_cows)
		nbdkit_error("mode=rw writes to a COW image, and none is named: cow=IMAGE (clones, "
			     "thin devices and logs are read-only for now)");
	else if (plugin.is_writable && plugin.force)
		nbdkit_error("force= is for reading: not with mode=rw");
	else
		return 0;
	return -1;
}

/* Is an id one of those of force=ID,ID? */
static bool is_forced(const char *id)
{
	size_t len = strlen(id);

	for (const char *word = plugin.force; word; word = strchr(word, ',')) {
		word += *word == ',';
		if (!strncmp(word, id, len) && (!word[len] || word[len] == ','))
			return true;
	}
	return false;
}

static int snapshot_question(void *user, const struct cow_err *refusal)
{
	(void)user;
	if (!is_forced(refusal->force))
		return 0;
	fprintf(stderr, "nbdkit: snapshot: warning: %s; serving it anyway\n", refusal->message);
	return 1;
}

/* Before the server goes to the background, so that a failure is seen and the names
 * of files mean what the user meant. */
static int snapshot_get_ready(void)
{
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;
	struct cow_err err = COW_ERR_INIT;

	if (set_begin(&err)) {
		plugin_error(&err);
		return -1;
	}
	params.set = plugin.set;
	params.origin = plugin.origin;
	params.cows = plugin.cows;
	params.nr_cows = plugin.nr_cows;
	params.kind = plugin.kind;
	params.partition = plugin.partition;
	params.volume = plugin.volume;
	params.open_flags = is_forced("busy") ? COW_OPEN_BUSY : 0;
	params.flags |= plugin.is_writable ? COW_STACK_WRITE : 0;
	params.question = snapshot_question;
	params.note = snapshot_note;
	if (cow_stack_open(&params, &plugin.stack, &err)) {
		plugin_error(&err);
		return -1;
	}
	plugin.view = cow_stack_view(plugin.stack);
	if (!plugin.is_writable || cow_image_is_writable(plugin.view))
		return 0;
	nbdkit_error("%s cannot be written to", cow_image_name(plugin.view));
	return -1;
}

static void snapshot_unload(void)
{
	cow_stack_close(plugin.stack);
	cow_imageset_free(plugin.set);
	free(plugin.cows);
}

/* ---------------------------------------------------------------- connections */

static void *snapshot_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t snapshot_get_size(void *handle)
{
	(void)handle;
	return (int64_t)cow_image_size(plugin.view);
}

static int snapshot_can_write(void *handle)
{
	(void)handle;
	return plugin.is_writable;
}

static int snapshot_can_fua(void *handle)
{
	(void)handle;
	return plugin.is_writable ? NBDKIT_FUA_NATIVE : NBDKIT_FUA_NONE;
}

/* The same bytes for each connection, and a flush is one of all. */
static int snapshot_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

/* Reading brings it into the page cache. */
static int snapshot_can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_EMULATE;
}

/* A failure of the disk is one of the request; the server goes on. */
int plugin_answer(int ret, const struct cow_err *err)
{
	if (!ret)
		return 0;
	plugin_error(err);
	nbdkit_set_error(ret == -ENOMEM || ret == -EINVAL || ret == -ENOSPC ? -ret : EIO);
	return -1;
}

static int snapshot_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	(void)handle;
	(void)flags;
	plugin_lock_read();
	ret = cow_image_pread(plugin.view, buf, count, offset, &err);
	plugin_unlock();
	return plugin_answer(ret, &err);
}

/* ---------------------------------------------------------------- extents */

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int extent_add(struct nbdkit_extents *extents, uint64_t offset, uint64_t end, uint32_t type)
{
	return offset < end ? nbdkit_add_extent(extents, offset, end - offset, type) : 0;
}

static int extents_add(uint32_t count, uint64_t offset, uint32_t flags,
		       struct nbdkit_extents *extents)
{
	uint64_t end = offset + count;

	while (offset < end) {
		struct cow_err err = COW_ERR_INIT;
		uint64_t data, len;
		bool is_hole;

		if (plugin_answer(cow_image_next_data(plugin.view, offset, &data, &len, &err),
				  &err))
			return -1;
		data = len ? smaller(data, end) : end;
		is_hole = data > offset;
		if (extent_add(extents, offset, data, NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO))
			return -1;
		offset = data;
		if (is_hole && flags & NBDKIT_FLAG_REQ_ONE)
			return 0;
		data = smaller(end - offset, len) + offset;
		if (extent_add(extents, offset, data, 0))
			return -1;
		offset = data;
		if (flags & NBDKIT_FLAG_REQ_ONE)
			return 0;
	}
	return 0;
}

static int snapshot_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			    struct nbdkit_extents *extents)
{
	int ret;

	(void)handle;
	plugin_lock_read();
	ret = extents_add(count, offset, flags, extents);
	plugin_unlock();
	return ret;
}

static void snapshot_dump_plugin(void)
{
	printf("libcow_version=%s\n", cow_version());
	printf("snapshot_modes=ro,rw\n");
}

static struct nbdkit_plugin nbdkit_plugin = {
	.name = "snapshot",
	.longname = "block-level snapshots of libcow",
	.description = "what a device-mapper snapshot shows, without a kernel driver",
	.config = snapshot_config,
	.config_complete = snapshot_config_complete,
	.config_help =
		"image=NAME=IMAGE        image:NAME stands for IMAGE in what follows\n"
		"origin=IMAGE            what the snapshot was taken of\n"
		"cow=IMAGE               the COW image; several: layers, lowest first\n"
		"partition=N             serve this partition of the view\n"
		"volume=VG/LV            serve this LVM volume of the view\n"
		"type=KIND               kind of store (default: detect)\n"
		"mode=ro|rw              read-only, the default; or writes go to the COW image\n"
		"force=ID[,ID]           read a store that is refused otherwise",
	.get_ready = snapshot_get_ready,
	.after_fork = plugin_after_fork,
	.cleanup = plugin_cleanup,
	.unload = snapshot_unload,
	.open = snapshot_open,
	.get_size = snapshot_get_size,
	.can_write = snapshot_can_write,
	.can_flush = snapshot_can_write,
	.can_trim = snapshot_can_write,
	.can_fua = snapshot_can_fua,
	.can_zero = snapshot_can_write,
	.can_fast_zero = snapshot_can_write,
	.can_multi_conn = snapshot_can_multi_conn,
	.can_cache = snapshot_can_cache,
	.pread = snapshot_pread,
	.pwrite = plugin_pwrite,
	.flush = plugin_flush,
	.trim = plugin_trim,
	.zero = plugin_zero,
	.extents = snapshot_extents,
	.dump_plugin = snapshot_dump_plugin,
};

/* The macro defines it without having declared it. */
extern struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(nbdkit_plugin)
