/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * nbdkit_snapshot.c - a plugin for nbdkit: serves what a snapshot shows, read-only,
 * as a network block device. So it can be mounted, searched and copied by whatever
 * speaks NBD.
 *
 * Everything is opened once, before nbdkit goes to the background and changes its
 * directory, and is the same for all connections. Nothing of it changes afterwards,
 * so requests of all connections are served in parallel, without a lock.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libcow.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* A plugin is loaded once: what its parameters said, and what is served. */
static struct {
	const char *origin, *volume, *kind, *force;
	const char **cows; /* lowest layer first */
	size_t nr_cows;
	uint64_t partition;
	struct cow_imageset *set;
	struct cow_stack *stack;
	struct cow_image *view;
} plugin;

/* The name of the image in front of the sentence, unless it is in it. */
static void error_print(const struct cow_err *err)
{
	bool has_name = *err->image && !strstr(err->message, err->image);

	nbdkit_error("%s%s%s%s%s", has_name ? err->image : "", has_name ? ": " : "", err->message,
		     *err->force ? "; to serve it all the same: force=" : "", err->force);
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
	return 0;
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
	if (!plugin.set)
		ret = cow_imageset_new(&plugin.set, &err);
	if (!ret && name)
		ret = cow_imageset_define(plugin.set, name, equals + 1, &err);
	if (ret)
		error_print(&err);
	else if (!name)
		nbdkit_error("no memory for the name of an image");
	ret = ret || !name ? -1 : 0;
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
	if (!strcmp(value, "ro"))
		return 0;
	if (!strcmp(value, "rw") || !strcmp(value, "origin"))
		nbdkit_error("mode=%s is not supported by this version: a snapshot is served "
			     "read-only (mode=ro)",
			     value);
	else
		nbdkit_error("mode=%s is not known; there is mode=ro", value);
	return -1;
}

static int snapshot_config(const char *key, const char *value)
{
	if (!strcmp(key, "cow"))
		return cow_add(value);
	if (!strcmp(key, "image"))
		return image_define(value);
	if (!strcmp(key, "origin"))
		return text_set(&plugin.origin, key, value);
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
	if (plugin.origin || plugin.nr_cows)
		return 0;
	nbdkit_error("no image is named: origin=IMAGE cow=IMAGE");
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

static void snapshot_note(void *user, const char *sentence)
{
	(void)user;
	fprintf(stderr, "nbdkit: snapshot: note: %s\n", sentence);
}

static int snapshot_question(void *user, const struct cow_err *refusal)
{
	(void)user;
	if (!is_forced(refusal->force))
		return 0;
	fprintf(stderr, "nbdkit: snapshot: warning: %s; served all the same\n", refusal->message);
	return 1;
}

/* Before the server goes to the background, so that a failure is seen and the names
 * of files mean what the user meant. */
static int snapshot_get_ready(void)
{
	struct cow_stack_params params = COW_STACK_PARAMS_INIT;
	struct cow_err err = COW_ERR_INIT;

	params.set = plugin.set;
	params.origin = plugin.origin;
	params.cows = plugin.cows;
	params.nr_cows = plugin.nr_cows;
	params.kind = plugin.kind;
	params.partition = plugin.partition;
	params.volume = plugin.volume;
	params.open_flags = is_forced("busy") ? COW_OPEN_BUSY : 0;
	params.question = snapshot_question;
	params.note = snapshot_note;
	if (cow_stack_open(&params, &plugin.stack, &err)) {
		error_print(&err);
		return -1;
	}
	plugin.view = cow_stack_view(plugin.stack);
	return 0;
}

static void snapshot_unload(void)
{
	cow_stack_close(plugin.stack);
	cow_imageset_free(plugin.set);
	free(plugin.cows);
}

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

/* The same bytes for each connection. */
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
static int answer(int ret, const struct cow_err *err)
{
	if (!ret)
		return 0;
	error_print(err);
	nbdkit_set_error(ret == -ENOMEM || ret == -EINVAL ? -ret : EIO);
	return -1;
}

static int snapshot_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct cow_err err = COW_ERR_INIT;

	(void)handle;
	(void)flags;
	return answer(cow_image_pread(plugin.view, buf, count, offset, &err), &err);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int extent_add(struct nbdkit_extents *extents, uint64_t offset, uint64_t end, uint32_t type)
{
	return offset < end ? nbdkit_add_extent(extents, offset, end - offset, type) : 0;
}

static int snapshot_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			    struct nbdkit_extents *extents)
{
	uint64_t end = offset + count;

	(void)handle;
	while (offset < end) {
		struct cow_err err = COW_ERR_INIT;
		uint64_t data, len;
		bool is_hole;

		if (answer(cow_image_next_data(plugin.view, offset, &data, &len, &err), &err))
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

static void snapshot_dump_plugin(void)
{
	printf("libcow_version=%s\n", cow_version());
	printf("snapshot_modes=ro\n");
}

static struct nbdkit_plugin nbdkit_plugin = {
	.name = "snapshot",
	.longname = "block-level snapshots of libcow",
	.description = "what a device-mapper snapshot shows, without a kernel driver",
	.config = snapshot_config,
	.config_complete = snapshot_config_complete,
	.config_help = "image=NAME=IMAGE        image:NAME stands for IMAGE in what follows\n"
		       "origin=IMAGE            what the snapshot was taken of\n"
		       "cow=IMAGE               the COW image; several: layers, lowest first\n"
		       "partition=N             serve this partition of the view\n"
		       "volume=VG/LV            serve this LVM volume of the view\n"
		       "type=KIND               kind of store (default: detect)\n"
		       "mode=ro                 read-only, the default\n"
		       "force=ID[,ID]           read a store that is refused otherwise",
	.get_ready = snapshot_get_ready,
	.unload = snapshot_unload,
	.open = snapshot_open,
	.get_size = snapshot_get_size,
	.can_multi_conn = snapshot_can_multi_conn,
	.can_cache = snapshot_can_cache,
	.pread = snapshot_pread,
	.extents = snapshot_extents,
	.dump_plugin = snapshot_dump_plugin,
};

/* The macro defines it without having declared it. */
extern struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(nbdkit_plugin)
