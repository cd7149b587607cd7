/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_slots.h - the requests that are under way to one export, and what was read
 * of it last, each piece of it in a slot. No two requests for the same bytes are under
 * way when one of them writes: servers may answer in any order.
 */
#ifndef TOOLS_REMOTE_SLOTS_H
#define TOOLS_REMOTE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/images/remote_image.h"

#define REMOTE_NR_SLOTS 64
/* What a slot holds at most. */
#define REMOTE_PIECE_BYTES ((size_t)256 << 10)

enum remote_slot_state { SLOT_FREE, SLOT_READING, SLOT_READ, SLOT_WRITING };

struct remote_slot {
	enum remote_slot_state state;
	uint64_t offset_bytes;
	size_t len_bytes;
	struct nbd_handle *nbd; /* the request's */
	int64_t cookie;
	uint64_t used_at;  /* of the clock; 0: will not be used again */
	bool is_announced; /* asked for by one who will read all of it, and has not yet */
	uint8_t *buf;
};

struct remote_slots {
	const struct remote_lib *lib;
	struct nbd_handle *nbds[REMOTE_PER_EXPORT];
	size_t nr_nbds;
	uint64_t nr_requests; /* they take the connections in turns */
	size_t piece_bytes;   /* the largest request */
	bool is_broken;	      /* nothing more is read or written (I8) */
	uint64_t clock;
	struct remote_slot slots[REMOTE_NR_SLOTS];
};

/* The sentence for a request that libnbd says has failed. */
int remote_slots_failed(struct remote_slots *slots, const char *what, uint64_t offset_bytes,
			struct cow_err *err);
/* Waits for the answer. What could not be written is never tried again. */
int remote_slots_wait(struct remote_slots *slots, struct remote_slot *slot, struct cow_err *err);
/* Waits for all writes; the first step of a flush. */
int remote_slots_wait_writes(struct remote_slots *slots, struct cow_err *err);
/* Before a range is read: what is being written there. Before it is written: that,
 * and what was read of it. */
int remote_slots_settle(struct remote_slots *slots, uint64_t offset_bytes, uint64_t len_bytes,
			bool will_write, struct cow_err *err);
/* What was read, or asked for, with a byte in it; NULL: nothing. */
struct remote_slot *remote_slots_find(struct remote_slots *slots, uint64_t offset_bytes);
/* How many pieces were announced and not read yet. */
size_t remote_slots_announced(struct remote_slots *slots);
/* Sends a request for up to a piece. */
int remote_slots_read(struct remote_slots *slots, uint64_t offset_bytes, uint64_t len_bytes,
		      struct remote_slot **ret_slot, struct cow_err *err);
/* Sends up to a piece of what is in buf; ret_len_bytes: so much of it. */
int remote_slots_write(struct remote_slots *slots, const uint8_t *buf, uint64_t offset_bytes,
		       size_t len_bytes, size_t *ret_len_bytes, struct cow_err *err);
/* What is under way writes into our memory, or reads from it: waits for all of it, and
 * frees the memory. */
void remote_slots_end(struct remote_slots *slots);

#endif
