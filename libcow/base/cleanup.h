/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * cleanup.h - what lives and dies in one function is released by the compiler.
 * A variable with AUTO_ is initialised in its declaration, always, and handed
 * out with take_ptr() or take_fd(). Never for a file that was written: its
 * last flush has an answer that somebody must read.
 */
#ifndef COW_BASE_CLEANUP_H
#define COW_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))

/* COW_DEFINE_AUTO(store, struct cow_store *, cow_store_close) makes
 * AUTO_HANDLE(store) usable; the destructor must accept NULL. */
#define COW_DEFINE_AUTO(name, type, destroy)                                                       \
	static inline void cleanup_handle_##name(type *p) /* NOLINT: a type has no parentheses */  \
	{                                                                                          \
		int saved = errno;                                                                 \
		destroy(*p);                                                                       \
		errno = saved;                                                                     \
	}                                                                                          \
	struct cleanup_handle_##name##_semicolon
#define AUTO_HANDLE(name) __attribute__((cleanup(cleanup_handle_##name)))

#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
