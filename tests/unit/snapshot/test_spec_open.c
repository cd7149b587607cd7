/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* Images that are made of others by their specification: their bytes, whose they
 * are, and that everything is closed again. */
#include "tests/aids/test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "libcow/image/image.h"
#include "tests/aids/image_model.h"
#include "tests/aids/temp_dir.h"

static struct cow_imageset *set;

static struct cow_image *opened(const char *spec, uint32_t flags)
{
	struct cow_image *image = NULL;

	OK(cow_imageset_open(set, spec, flags, &image, err));
	CHECK(!strcmp(cow_image_name(image), spec));
	return image;
}

static void refused(const char *spec, uint32_t flags, int code, const char *id, const char *because)
{
	struct cow_image *image = NULL;
	struct cow_err why = COW_ERR_INIT;
	int ret = cow_imageset_open(set, spec, flags, &image, &why);

	if (ret != code || strcmp(why.id, id) || !strstr(why.message, because)) {
		fprintf(stderr, "%s: \"%s\": %d %s (%s)\n", test_name, spec, ret, why.id,
			why.message);
		exit(1);
	}
}

static char first_byte(struct cow_image *image, uint64_t offset_bytes)
{
	char byte = 0;

	OK(cow_image_pread(image, &byte, 1, offset_bytes, err));
	return byte;
}

/* Each sector of a file begins with the letter of its name, and then the next ones. */
static void lettered_file(const char *name, uint64_t nr_sectors)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	for (uint64_t i = 0; i < nr_sectors; i++) {
		char sector[512] = { (char)(*name + (char)i) };

		CHECK(write(fd, sector, sizeof(sector)) == sizeof(sector));
	}
	close(fd);
}

static size_t nr_open_files(void)
{
	size_t nr = 0;

	for (int fd = 0; fd < 64; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static void parts_follow_each_other(void)
{
	struct cow_image *image = opened("concat:a,m@1s+1s,,3s+1s,zero:1s", 0);

	CHECK_EQ(cow_image_size(image), 7 * 512);
	CHECK(first_byte(image, 3 * 512) == 'd' && first_byte(image, 4 * 512) == 'n');
	CHECK(first_byte(image, 5 * 512) == 'p' && first_byte(image, 6 * 512) == 0);
	CHECK(!cow_image_is_writable(image));
	cow_image_close(image);
	image = opened("window:2s+1s,5s+1s:concat:a,m", 0);
	CHECK(first_byte(image, 0) == 'c' && first_byte(image, 512) == 'n');
	cow_image_close(image);
	image = opened("window:3s:concat:a,concat:m,,zero:1s", 0);
	CHECK_EQ(cow_image_size(image), 6 * 512);
	CHECK(first_byte(image, 512) == 'm');
	cow_image_close(image);
}

static void what_is_written_goes_through(void)
{
	struct cow_image *image;

	temp_file("w1", 8192);
	temp_file("w2", 8192);
	image = opened("concat:w1,w2", COW_OPEN_WRITE);
	CHECK(cow_image_is_writable(image));
	model_run(image, 200);
	OK(cow_image_pwrite(image, "xy", 2, 8191, err));
	OK(cow_image_flush(image, err));
	cow_image_close(image);
	image = opened("w2", 0);
	CHECK(first_byte(image, 0) == 'y');
	cow_image_close(image);
	refused("concat:w1,zero:1M", COW_OPEN_WRITE, -EROFS, "read-only", "zeros");
}

static void bytes_belong_to_one_image(void)
{
	struct cow_image *image = opened("concat:a@0+2s,m", COW_OPEN_WRITE), *other;

	other = opened("a@2s", COW_OPEN_WRITE);
	refused("window:2s+1s:concat:zero:1s,a", 0, -EPERM, "overlap", "concat:a@0+2s,m");
	refused("./m@1s+1s", 0, -EPERM, "overlap", "concat:a@0+2s,m");
	cow_image_close(image);
	cow_image_close(opened("m@1s+1s", 0));
	cow_image_close(other);
	refused("concat:a,a", 0, -EPERM, "overlap", "twice");
	refused("concat:a@0+2s,./a@1s", 0, -EPERM, "overlap", "twice");
}

static void failures_close_everything(void)
{
	size_t nr = nr_open_files();

	refused("concat:a,nothing", 0, -ENOENT, "not-found", "opened");
	refused("window:9s+1s:concat:a,m", 0, -ERANGE, "bounds", "");
	refused("window:9s:concat:a,m", 0, -ERANGE, "bounds", "");
	refused("concat:a,part:m", 0, -EINVAL, "usage", "partition");
	CHECK_EQ(nr_open_files(), nr);
}

static void forms_that_are_not_there_are_refused_by_name(void)
{
	refused("image:x", 0, -EINVAL, "usage", "\"image:x\" is not defined");
	refused("nbd://localhost/a", 0, -EOPNOTSUPP, "unsupported", "\"nbd://\"");
	refused("concat:a,thin:metadata=a,,data=m,,id=1", 0, -EMEDIUMTYPE, "not-a-store", "pool");
	refused("concat:a,snaplog:source=a,,log=m", 0, -EINVAL, "geometry", "block=, word=");
}

/* A program that opens URIs: images in memory, of a letter each. */
static struct remote {
	size_t nr_opened, nr_closed;
	char uris[200];
	int fails;
	bool is_mute, is_read_only;
} remote;

static int remote_pread(void *user, void *buf, size_t len_bytes, uint64_t offset_bytes,
			struct cow_err *err)
{
	(void)offset_bytes, (void)err;
	memset(buf, *(const char *)user, len_bytes);
	return 0;
}

static int remote_pwrite(void *user, const void *buf, size_t len_bytes, uint64_t offset_bytes,
			 struct cow_err *err)
{
	(void)buf, (void)len_bytes, (void)offset_bytes, (void)err;
	*(char *)user = 'w';
	return 0;
}

static void remote_close(void *user)
{
	free(user);
	remote.nr_closed++;
}

static int remote_open(void *user, const char *uri, uint32_t flags, struct cow_image **ret_image,
		       struct cow_err *err)
{
	struct cow_custom_args args = COW_CUSTOM_ARGS_INIT;
	struct cow_custom_ops ops = COW_CUSTOM_OPS_INIT;
	char *letter;

	CHECK(user == &remote);
	if (remote.fails && !remote.is_mute)
		snprintf(err->message, sizeof(err->message), "nobody is there");
	if (remote.fails)
		return remote.fails;
	letter = malloc(1);
	CHECK(letter);
	*letter = uri[strlen(uri) - 1];
	args.name = uri;
	args.size_bytes = 1024;
	args.is_writable = flags & COW_OPEN_WRITE && !remote.is_read_only;
	ops.pread = remote_pread;
	ops.pwrite = remote_pwrite;
	ops.close = remote_close;
	remote.nr_opened++;
	return cow_image_custom_new(&args, &ops, letter, ret_image, err);
}

static void uris_are_opened_by_the_program(void)
{
	struct cow_image *image;

	remote = (struct remote){ 0 };
	cow_imageset_set_opener(set, remote_open, &remote);
	image = opened("concat:nbd://h/a,nbd+unix:///?socket=b", 0);
	CHECK_EQ(cow_image_size(image), 2048);
	CHECK(first_byte(image, 1023) == 'a' && first_byte(image, 1024) == 'b');
	cow_image_close(image);
	CHECK(remote.nr_opened == 2 && remote.nr_closed == 2);
	image = opened("window:512:nbd://h/c", COW_OPEN_WRITE);
	OK(cow_image_pwrite(image, "x", 1, 0, err));
	CHECK(first_byte(image, 0) == 'w');
	cow_image_close(image);
	remote.is_read_only = true;
	refused("nbd://h/a", COW_OPEN_WRITE, -EROFS, "read-only", "cannot be written");
	CHECK(remote.nr_opened == 4 && remote.nr_closed == 4);
	remote.fails = -ECONNREFUSED;
	refused("part:nbd://h/a:1", 0, -ECONNREFUSED, "", "nobody is there");
	remote.is_mute = true;
	refused("nbd://h/a", 0, -ECONNREFUSED, "system", "Connection refused");
	cow_imageset_set_opener(set, NULL, NULL);
	refused("nbd://h/a", 0, -EOPNOTSUPP, "unsupported", "\"nbd://\"");
}

static int on_uri(void *user, const char *uri)
{
	CHECK(user == &remote);
	strcat(strcat(remote.uris, uri), " ");
	return remote.fails;
}

static void uris_of_a_specification_are_named(void)
{
	remote = (struct remote){ 0 };
	OK(cow_spec_uris("part:concat:nbd://h/a,,b,file:c,window:1k:nbd+unix:///?socket=x:2",
			 on_uri, &remote, err));
	CHECK(!strcmp(remote.uris, "nbd://h/a,b nbd+unix:///?socket=x "));
	OK(cow_spec_uris("file:nbd://h/a", on_uri, &remote, err));
	OK(cow_spec_uris("part:nbd://h/a", on_uri, &remote, err)); /* no specification */
	CHECK(strlen(remote.uris) == strlen("nbd://h/a,b nbd+unix:///?socket=x "));
	remote.fails = -EPERM;
	CHECK(cow_spec_uris("concat:nbd://1,nbd://2", on_uri, &remote, NULL) == -EPERM);
	CHECK(!strstr(remote.uris, "nbd://2"));
}

int main(void)
{
	temp_dir_enter();
	lettered_file("a", 4);
	lettered_file("m", 4);
	OK(cow_imageset_new(&set, err));
	RUN(parts_follow_each_other);
	RUN(what_is_written_goes_through);
	RUN(bytes_belong_to_one_image);
	RUN(failures_close_everything);
	RUN(forms_that_are_not_there_are_refused_by_name);
	RUN(uris_are_opened_by_the_program);
	RUN(uris_of_a_specification_are_named);
	cow_imageset_free(set);
	return test_end();
}
