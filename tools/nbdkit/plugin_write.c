/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * plugin_write.c - mode=rw: the requests that write, the lock around the view, and the
 * thread that flushes what nobody has asked to be flushed.
 *
 * A request is answered when the library has taken it; it is durable after a flush, of
 * any connection. Killed at any instant, the COW image holds what was flushed.
 */
#include <errno.h>
#include <string.h>

#include "tools/nbdkit/plugin.h"

/* How old something may be that was written and not flushed. */
#define FLUSH_SECONDS 5

/* ---------------------------------------------------------------- the lock */

static int lock_init(void)
{
	pthread_rwlockattr_t attr;
	pthread_condattr_t clock;
	int ret = pthread_rwlockattr_init(&attr);

	/* many readers must not keep a write waiting for ever */
	if (!ret)
		ret = pthread_rwlockattr_setkind_np(&attr,
						    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	if (!ret)
		ret = pthread_rwlock_init(&plugin.lock, &attr);
	if (!ret)
		ret = pthread_condattr_init(&clock);
	if (!ret)
		ret = pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	if (!ret)
		ret = pthread_cond_init(&plugin.end_cond, &clock);
	if (!ret)
		ret = pthread_mutex_init(&plugin.end_lock, NULL);
	return ret;
}

void plugin_lock_read(void)
{
	if (plugin.is_writable)
		pthread_rwlock_rdlock(&plugin.lock);
}

static void lock_write(void)
{
	pthread_rwlock_wrlock(&plugin.lock);
}

void plugin_unlock(void)
{
	if (plugin.is_writable)
		pthread_rwlock_unlock(&plugin.lock);
}

/* With the lock held alone: something is not flushed from now on. */
static void unflushed_note(void)
{
	if (!plugin.is_unflushed)
		clock_gettime(CLOCK_MONOTONIC, &plugin.since);
	plugin.is_unflushed = true;
}

/* The same; a failed one is final (the library refuses more). */
static int view_flush(struct cow_err *err)
{
	plugin.is_unflushed = false;
	return cow_image_flush(plugin.view, err);
}

/* Flushes what is older than a number of seconds. */
static void flush_old(time_t seconds)
{
	struct cow_err err = COW_ERR_INIT;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	lock_write();
	if (plugin.is_unflushed && now.tv_sec - plugin.since.tv_sec >= seconds && view_flush(&err))
		plugin_error(&err);
	plugin_unlock();
}

static void *flusher_run(void *unused)
{
	struct timespec until;

	(void)unused;
	pthread_mutex_lock(&plugin.end_lock);
	while (!plugin.is_ended) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&plugin.end_cond, &plugin.end_lock, &until);
		pthread_mutex_unlock(&plugin.end_lock);
		flush_old(FLUSH_SECONDS);
		pthread_mutex_lock(&plugin.end_lock);
	}
	pthread_mutex_unlock(&plugin.end_lock);
	return NULL;
}

/* Threads do not survive going to the background, so they begin here. */
int plugin_after_fork(void)
{
	int ret;

	if (!plugin.is_writable)
		return 0;
	ret = lock_init();
	if (!ret)
		ret = pthread_create(&plugin.flusher, NULL, flusher_run, NULL);
	plugin.has_flusher = !ret;
	if (ret)
		nbdkit_error("no thread for flushing: %s", strerror(ret));
	return ret ? -1 : 0;
}

/* All connections are closed, after SIGTERM too. */
void plugin_cleanup(void)
{
	if (!plugin.has_flusher)
		return;
	pthread_mutex_lock(&plugin.end_lock);
	plugin.is_ended = true;
	pthread_cond_signal(&plugin.end_cond);
	pthread_mutex_unlock(&plugin.end_lock);
	pthread_join(plugin.flusher, NULL);
	flush_old(0);
}

/* ---------------------------------------------------------------- writing */

int plugin_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	(void)handle;
	lock_write();
	unflushed_note();
	ret = cow_image_pwrite(plugin.view, buf, count, offset, &err);
	if (!ret && flags & NBDKIT_FLAG_FUA)
		ret = view_flush(&err);
	plugin_unlock();
	return plugin_answer(ret, &err);
}

int plugin_flush(void *handle, uint32_t flags)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	(void)handle;
	(void)flags;
	lock_write();
	ret = view_flush(&err);
	plugin_unlock();
	return plugin_answer(ret, &err);
}

int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	(void)handle;
	lock_write();
	unflushed_note();
	ret = cow_image_discard(plugin.view, offset, count, &err);
	if (!ret && flags & NBDKIT_FLAG_FUA)
		ret = view_flush(&err);
	plugin_unlock();
	return plugin_answer(ret, &err);
}

int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	(void)handle;
	lock_write();
	/* a chunk that has to be filled up takes as long as writing it */
	if (flags & NBDKIT_FLAG_FAST_ZERO && !cow_view_is_in_place(plugin.view, offset, count)) {
		plugin_unlock();
		nbdkit_set_error(EOPNOTSUPP);
		return -1;
	}
	unflushed_note();
	ret = cow_image_write_zeroes(plugin.view, offset, count, &err);
	if (!ret && flags & NBDKIT_FLAG_FUA)
		ret = view_flush(&err);
	plugin_unlock();
	return plugin_answer(ret, &err);
}
