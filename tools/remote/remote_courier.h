/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_courier.h - a courier is a process that speaks with one NBD server: libnbd,
 * which reads the server's bytes, runs in it and nowhere else. It has the sockets of
 * that server, memory that it shares with us, and a socket to us. It is in its sandbox
 * before the first byte of the server is read (remote_jail.c), and ends when we do.
 *
 * Requests go to the courier, and answers come back in any order; data lies in the
 * shared memory. What is in there, and what it answers, may change or be wrong at any
 * time: it is copied and checked as if the server had sent it.
 */
#ifndef TOOLS_REMOTE_COURIER_H
#define TOOLS_REMOTE_COURIER_H

#include <stdbool.h>
#include <stddef.h>

#include "libcow.h"

/* Connections that one export may have. */
#define REMOTE_PER_EXPORT 4
/* Requests under way; a tag is below it. */
#define REMOTE_NR_SLOTS 64
/* One request more: what is waited for at once. */
#define REMOTE_TAG_CALL REMOTE_NR_SLOTS
#define REMOTE_NR_TAGS (REMOTE_NR_SLOTS + 1)
/* What the first message is about. */
#define REMOTE_TAG_EXPORT REMOTE_NR_TAGS
/* What a request reads or writes at most. */
#define REMOTE_PIECE_BYTES ((size_t)256 << 10)
#define REMOTE_NR_EXTENTS 1024

struct remote_lib;

enum remote_kind {
	REMOTE_READ,
	REMOTE_WRITE,
	REMOTE_ZERO,
	REMOTE_TRIM,
	REMOTE_FLUSH,
	REMOTE_STATUS
};

struct remote_request {
	uint32_t kind, tag;
	uint64_t offset_bytes, len_bytes;
};

struct remote_answer {
	uint32_t tag;
	int32_t code;	  /* 0, or an errno */
	uint32_t is_lost; /* a connection */
	uint32_t nr_extents;
};

/* What the server says of the export. */
struct remote_export {
	int64_t size_bytes, block_min_bytes, block_max_bytes;
	uint32_t is_read_only, can_flush, can_trim, can_zero, has_status;
	int32_t code; /* 0; else it does not give it: */
	char why[400];
};

struct remote_extent {
	uint32_t len_bytes, flags;
};

/* The memory that both have. */
struct remote_shared {
	struct remote_export export;
	struct remote_extent extents[REMOTE_NR_EXTENTS];
	uint8_t pieces[REMOTE_NR_SLOTS][REMOTE_PIECE_BYTES];
};

struct remote_courier;

/* Starts a courier, whose the sockets are then, after a failure too. They are connected,
 * or about to be; the server may take one client at a time. Errors: -EAGAIN, -ENOMEM, ... as
 * fork(2). */
int remote_courier_start(const struct remote_lib *lib, const char *export, const int *fds,
			 size_t nr_fds, struct remote_courier **ret_courier, struct cow_err *err);
/* Waits for the server's greeting. Errors: -EIO (id "connection"). */
int remote_courier_export(struct remote_courier *courier, struct remote_export *ret_export,
			  struct cow_err *err);
uint8_t *remote_courier_piece(const struct remote_courier *courier, uint32_t tag);
/* The courier's own words: bounds are the caller's to check. */
const struct remote_extent *remote_courier_extents(const struct remote_courier *courier);
/* false: the courier is gone. */
bool remote_courier_send(const struct remote_courier *courier,
			 const struct remote_request *request);
/* Waits until there is an answer, the courier is gone, or a signal came. */
void remote_courier_wait(const struct remote_courier *courier);
/* Gives an answer and 1; 0: there is none; -1: the courier is gone. */
int remote_courier_receive(const struct remote_courier *courier, struct remote_answer *ret_answer);

/* remote_child.c: what a courier does until we are gone. */
struct remote_child {
	const struct remote_lib *lib;
	const char *export;
	struct remote_shared *shared;
	int control_fd; /* to us */
	int fds[REMOTE_PER_EXPORT];
	size_t nr_fds;
};
__attribute__((noreturn)) void remote_child_run(const struct remote_child *child);

/* remote_jail.c: leaves a process nothing but what it has open: bytes come and go on
 * these sockets. COW_SANDBOX=off in the environment leaves it out. */
void remote_jail_enter(const int *fds, size_t nr_fds);

#endif
