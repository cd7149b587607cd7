/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* plugin.h - what the files of the plugin share. */
#ifndef NBDKIT_PLUGIN_SNAPSHOT_H
#define NBDKIT_PLUGIN_SNAPSHOT_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include <libcow.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

/* A plugin is loaded once: what its parameters said, and what is served. */
struct plugin {
	const char *origin, *volume, *kind, *force;
	const char **cows; /* lowest layer first */
	size_t nr_cows;
	uint64_t partition;
	struct cow_imageset *set;
	struct cow_stack *stack;
	struct cow_image *view;

	/* mode=rw */
	bool is_writable;
	pthread_rwlock_t lock; /* of the view */
	bool is_unflushed;     /* changed with the lock held alone */
	struct timespec since; /* when that began */
	/* The thread that flushes what has become old. */
	pthread_t flusher;
	pthread_mutex_t end_lock;
	pthread_cond_t end_cond;
	bool has_flusher, is_ended;
};
extern struct plugin plugin;

/* Prints it, with the name of the image in front of the sentence, unless it is in it. */
void plugin_error(const struct cow_err *err);
/* What a request is answered with: a failure of the disk is one of the request, and the
 * server goes on. */
int plugin_answer(int ret, const struct cow_err *err);

/* plugin_write.c: around what reads the view. */
void plugin_lock_read(void);
void plugin_unlock(void);
/* Contracts in nbdkit-plugin(3). */
int plugin_after_fork(void);
void plugin_cleanup(void);
int plugin_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags);
int plugin_flush(void *handle, uint32_t flags);
int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags);

#endif
