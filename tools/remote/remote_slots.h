/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * remote_slots.h - the requests that are under way to one export, and what was read
 * of it last, each piece of it in a slot. No two requests for the same bytes are under
 * way when one of them writes: servers may answer in any order.
 */
#ifndef TOOLS_REMOTE_SLOTS_H
#define TOOLS_REMOTE_SLOTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "tools/remote/remote_courier.h"

enum remote_slot_state { SLOT_FREE, SLOT_READING, SLOT_READ, SLOT_WRITING };

struct remote_slot {
	enum remote_slot_state state;
	uint64_t serial; /* another one for each use of the slot */
	uint64_t offset_bytes;
	size_t len_bytes;
	int code;	   /* of the last answer */
	uint64_t used_at;  /* of the clock; 0: will not be used again */
	bool is_announced; /* asked for by one who will read all of it, and has not yet */
	uint8_t *buf;	   /* shared: copied, and then looked at */
};

struct remote_slots {
	struct remote_courier *courier;
	/* Of all below, and of the courier. Who waits for an answer lets go of it, and looks
	 * again afterwards: any slot may be another one's then. */
	pthread_mutex_t lock;
	pthread_cond_t came;  /* answers did */
	bool is_receiving;    /* one waits for the courier, the others for that one */
	size_t piece_bytes;   /* the largest request */
	bool is_lost;	      /* a connection, or the courier */
	bool is_broken;	      /* nothing more is read or written (I8) */
	int write_code;	      /* why, if a write was answered so */
	uint64_t write_bytes; /* where */
	uint64_t clock;
	/* What is waited for at once, one request at a time. */
	bool is_calling, is_called;
	struct remote_answer called;
	struct remote_slot slots[REMOTE_NR_SLOTS];
};

/* For a courier that has given the export. Errors: -ENOMEM. */
int remote_slots_new(struct remote_courier *courier, int64_t block_max_bytes,
		     struct remote_slots **ret_slots, struct cow_err *err);
/* The sentence for a request that was answered with an errno. */
int remote_slots_failed(struct remote_slots *slots, const char *what, uint64_t offset_bytes,
			int code, struct cow_err *err);
/* Sends a request without data, and waits for its answer: 0 or an errno. *ret_nr_extents:
 * how many the courier has. */
int remote_slots_call(struct remote_slots *slots, enum remote_kind kind, uint64_t offset_bytes,
		      uint64_t len_bytes, size_t *ret_nr_extents);
/* Waits for the answer, or until the slot is used for something else. What could not be
 * written is never tried again. */
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
#endif
