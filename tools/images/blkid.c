/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * blkid.c - names the file system of an image, by libblkid.
 *
 * libblkid reads from a descriptor, and an image may be a window or a list of
 * segments: it gets a file in memory with the parts where signatures are.
 */
#include "tools/images/blkid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <blkid.h>

#include "tools/common/cli.h"

/* Farther from both ends there is no signature that libblkid knows. */
#define EDGE_BYTES (UINT64_C(2) << 20)

/* The file in memory cannot be made: no memory, or a limit; errno says which. */
static int no_copy(struct cow_err *err)
{
	int error = errno;

	return cli_refuse(err, -error, error == ENOMEM ? "no-memory" : "system", NULL,
			  "no copy in memory to look for signatures: %s", strerror(error));
}

static int copy_edge(struct cow_image *image, int fd, uint64_t start, uint64_t end, void *buf,
		     struct cow_err *err)
{
	ssize_t done;
	int ret = cow_image_pread(image, buf, (size_t)(end - start), start, err);

	if (ret)
		return ret;
	/* Not pwrite(2): who counts those means the images. */
	if (lseek(fd, (off_t)start, SEEK_SET) < 0)
		return no_copy(err);
	done = write(fd, buf, (size_t)(end - start));
	if (done == (ssize_t)(end - start))
		return 0;
	if (done >= 0)
		errno = ENOMEM;
	return no_copy(err);
}

static int copy_edges(struct cow_image *image, int fd, struct cow_err *err)
{
	uint64_t size = cow_image_size(image);
	uint64_t head = size < EDGE_BYTES ? size : EDGE_BYTES;
	uint64_t tail = size - head < EDGE_BYTES ? head : size - EDGE_BYTES;
	void *buf = malloc(EDGE_BYTES);
	int ret;

	if (!buf || ftruncate(fd, (off_t)size))
		ret = no_copy(err);
	else
		ret = copy_edge(image, fd, 0, head, buf, err);
	if (!ret && tail < size)
		ret = copy_edge(image, fd, tail, size, buf, err);
	free(buf);
	return ret;
}

static void put_value(blkid_probe probe, const char *key, char *ret_text, size_t capacity)
{
	const char *value = NULL;

	if (!blkid_probe_lookup_value(probe, key, &value, NULL) && value)
		snprintf(ret_text, capacity, "%s", value);
}

static void content_read(blkid_probe probe, struct blkid_content *content)
{
	char table[BLKID_NAME_BYTES] = "", usage[BLKID_NAME_BYTES] = "";

	put_value(probe, "UUID", content->uuid, sizeof(content->uuid));
	put_value(probe, "LABEL", content->label, sizeof(content->label));
	put_value(probe, "USAGE", usage, sizeof(usage));
	put_value(probe, "TYPE", content->type, sizeof(content->type));
	content->is_member = !strcmp(usage, "raid");
	if (*content->type)
		return;
	put_value(probe, "PTTYPE", table, sizeof(table));
	content->is_table = *table;
	if (*table)
		snprintf(content->type, sizeof(content->type), "%.40s partition table", table);
}

static int probe_fd(int fd, struct blkid_content *content, struct cow_err *err)
{
	blkid_probe probe = blkid_new_probe();
	int found = -1;

	if (probe && !blkid_probe_set_device(probe, fd, 0, 0)) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(
			probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
				       BLKID_SUBLKS_USAGE | BLKID_SUBLKS_BADCSUM);
		blkid_probe_enable_partitions(probe, 1);
		found = blkid_do_probe(probe);
	}
	if (!found)
		content_read(probe, content);
	blkid_free_probe(probe);
	if (found < 0)
		return cli_refuse(err, -EIO, "io", NULL, "cannot look for signatures");
	return 0;
}

int blkid_find(struct cow_image *image, char ret_name[BLKID_NAME_BYTES], struct cow_err *err)
{
	struct blkid_content content;
	int ret = blkid_look(image, &content, err);

	snprintf(ret_name, BLKID_NAME_BYTES, "%s", content.type);
	return ret;
}

int blkid_look(struct cow_image *image, struct blkid_content *ret_content, struct cow_err *err)
{
	int fd = memfd_create("signatures", MFD_CLOEXEC), ret;

	*ret_content = (struct blkid_content){ .is_member = false };
	if (fd < 0)
		return no_copy(err);
	ret = copy_edges(image, fd, err);
	if (!ret)
		ret = probe_fd(fd, ret_content, err);
	close(fd);
	return ret;
}

/* The output itself reads as the zeros that it would be filled with. */
int blkid_device_open(struct blkid_device *device, struct cow_output *output, const char *path,
		      struct cow_err *err)
{
	char *spec;
	int ret;

	*device = (struct blkid_device){ NULL, NULL };
	if (!cow_image_is_block_device(cow_output_image(output)) || cli_forced("overwrite"))
		return 0;
	ret = cow_imageset_new(&device->set, err);
	if (ret)
		return ret;
	if (asprintf(&spec, "file:%s", path) < 0)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	/* Busy, with the output itself. */
	ret = cow_imageset_open(device->set, spec, COW_OPEN_BUSY, &device->image, err);
	free(spec);
	return ret;
}

void blkid_device_close(struct blkid_device *device)
{
	cow_image_close(device->image);
	cow_imageset_free(device->set);
	*device = (struct blkid_device){ NULL, NULL };
}

int blkid_device_check(struct blkid_device *device, const char *path, struct cow_err *err)
{
	char name[BLKID_NAME_BYTES] = "";
	int ret = device->image ? blkid_find(device->image, name, err) : 0;

	blkid_device_close(device);
	if (ret || !*name)
		return ret;
	return cli_refuse(err, -EEXIST, "signature", "overwrite", "%s holds something already: %s",
			  path, name);
}
