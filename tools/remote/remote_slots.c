/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_slots.c - requests to a server that are under way, and their memory. */
#include "tools/remote/remote_slots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/err.h"

/* Of the clock: requests and reads. */
#define OLD_TICKS 512

/* -------------------------------------------------------------- failures */

int remote_slots_failed(struct remote_slots *slots, const char *what, uint64_t offset_bytes,
			int code, struct cow_err *err)
{
	int ret;

	if (slots->is_lost)
		ret = cow_refuse(err, -EIO, "io", NULL,
				 "%s at byte %" PRIu64 ": the connection to the server was lost",
				 what, offset_bytes);
	else
		ret = cow_refuse(err, code == ENOSPC ? -ENOSPC : -EIO,
				 code == ENOSPC ? "no-space" : "io", NULL,
				 "%s at byte %" PRIu64 ": the server says: %s", what, offset_bytes,
				 strerror(code ? code : EIO));
	if (err)
		err->offset_bytes = offset_bytes;
	slots->is_broken |= slots->is_lost;
	return ret;
}

static int broken(struct remote_slots *slots, struct cow_err *err)
{
	if (slots->write_code)
		return remote_slots_failed(slots, "writing", slots->write_bytes, slots->write_code,
					   err);
	return cow_refuse(err, -EIO, "io", NULL,
			  "the connection to the server was lost, or a write to it has failed: "
			  "nothing more is read or written");
}

/* --------------------------------------------------------------- messages */

static bool is_busy(const struct remote_slot *slot)
{
	return slot->state == SLOT_READING || slot->state == SLOT_WRITING;
}

/* What is said of a request that was not made counts for nothing. */
static void answer_take(struct remote_slots *slots, const struct remote_answer *answer)
{
	struct remote_slot *slot;

	/* one lost connection of several may have taken writes with it */
	slots->is_lost |= answer->is_lost;
	if (answer->tag == REMOTE_TAG_CALL) {
		slots->called = *answer;
		slots->is_called = true;
		return;
	}
	if (answer->tag >= REMOTE_NR_SLOTS)
		return;
	slot = &slots->slots[answer->tag];
	if (!is_busy(slot))
		return;
	slot->code = answer->code < 0 || answer->code > 4095 ? EIO : answer->code;
	if (slot->code && slot->state == SLOT_WRITING) {
		slots->is_broken = true;
		slots->write_code = slot->code;
		slots->write_bytes = slot->offset_bytes;
	}
	slot->state = slot->state == SLOT_READING ? SLOT_READ : SLOT_FREE;
}

/* Takes the answers that are there. */
static void answers_take(struct remote_slots *slots)
{
	struct remote_answer answer;
	int ret = 1;

	while (ret > 0 && !slots->is_lost) {
		ret = remote_courier_receive(slots->courier, &answer);
		if (ret > 0)
			answer_take(slots, &answer);
		slots->is_lost |= ret < 0;
	}
}

/* Waits for answers, without the lock. */
static void answers_wait(struct remote_slots *slots)
{
	if (slots->is_receiving) {
		pthread_cond_wait(&slots->came, &slots->lock);
		return;
	}
	slots->is_receiving = true;
	pthread_mutex_unlock(&slots->lock);
	remote_courier_wait(slots->courier);
	pthread_mutex_lock(&slots->lock);
	slots->is_receiving = false;
	answers_take(slots);
	pthread_cond_broadcast(&slots->came);
}

int remote_slots_call(struct remote_slots *slots, enum remote_kind kind, uint64_t offset_bytes,
		      uint64_t len_bytes, size_t *ret_nr_extents)
{
	const struct remote_request request = { kind, REMOTE_TAG_CALL, offset_bytes, len_bytes };

	int code = ENOTCONN;

	/* the one who calls wakes us */
	while (slots->is_calling)
		pthread_cond_wait(&slots->came, &slots->lock);
	if (slots->is_lost)
		return ENOTCONN;
	slots->is_calling = true;
	slots->is_called = false;
	if (!remote_courier_send(slots->courier, &request))
		slots->is_lost = true;
	while (!slots->is_called && !slots->is_lost)
		answers_wait(slots);
	/* the lock is held until what came with it is copied */
	slots->is_calling = false;
	pthread_cond_broadcast(&slots->came);
	if (slots->is_called)
		code = slots->called.code;
	if (ret_nr_extents)
		*ret_nr_extents = slots->is_called ? slots->called.nr_extents : 0;
	return code;
}

/* Sends what a slot says. */
static int slot_send(struct remote_slots *slots, struct remote_slot *slot, enum remote_kind kind,
		     struct cow_err *err)
{
	const struct remote_request request = { kind, (uint32_t)(slot - slots->slots),
						slot->offset_bytes, slot->len_bytes };

	slot->code = 0;
	slot->state = kind == REMOTE_READ ? SLOT_READING : SLOT_WRITING;
	if (remote_courier_send(slots->courier, &request))
		return 0;
	slot->state = SLOT_FREE;
	slots->is_lost = true;
	return remote_slots_failed(slots, kind == REMOTE_READ ? "reading" : "writing",
				   slot->offset_bytes, ENOTCONN, err);
}

/* ----------------------------------------------------------------- slots */

int remote_slots_wait(struct remote_slots *slots, struct remote_slot *slot, struct cow_err *err)
{
	bool is_write = slot->state == SLOT_WRITING;
	uint64_t serial = slot->serial;
	int code;

	while (slot->serial == serial && is_busy(slot) && !slots->is_lost)
		answers_wait(slots);
	if (slot->serial != serial)
		return 0;
	code = is_busy(slot) ? ENOTCONN : slot->code;
	if (!code)
		return 0;
	slot->state = SLOT_FREE;
	slots->is_broken |= is_write;
	return remote_slots_failed(slots, is_write ? "writing" : "reading", slot->offset_bytes,
				   code, err);
}

/* The same for one that is needed for something else: a read that nobody waits for
 * may fail. */
static int slot_clear(struct remote_slots *slots, struct remote_slot *slot, struct cow_err *err)
{
	bool is_write = slot->state == SLOT_WRITING;
	uint64_t serial = slot->serial;
	int ret = remote_slots_wait(slots, slot, err);

	if (slot->serial == serial)
		slot->state = SLOT_FREE;
	return ret && !is_write && !slots->is_broken ? 0 : ret;
}

static bool is_touched(const struct remote_slot *slot, uint64_t offset_bytes, uint64_t len_bytes)
{
	return slot->state != SLOT_FREE && slot->offset_bytes < offset_bytes + len_bytes &&
	       offset_bytes < slot->offset_bytes + slot->len_bytes;
}

int remote_slots_settle(struct remote_slots *slots, uint64_t offset_bytes, uint64_t len_bytes,
			bool will_write, struct cow_err *err)
{
	int ret = slots->is_broken ? broken(slots, err) : 0;

	for (size_t i = 0; i < REMOTE_NR_SLOTS && !ret; i++) {
		struct remote_slot *slot = &slots->slots[i];

		if (!is_touched(slot, offset_bytes, len_bytes) ||
		    (!will_write && slot->state != SLOT_WRITING))
			continue;
		if (!is_busy(slot)) {
			slot->state = SLOT_FREE;
			continue;
		}
		/* others had the lock: from the beginning */
		ret = slot_clear(slots, slot, err);
		i = SIZE_MAX;
	}
	return ret;
}

/* Is it better to take this one? Free ones first, then what was read, then what was not
 * yet; of the same, the one that was not used for the longest time. */
static bool is_better(const struct remote_slot *slot, const struct remote_slot *best)
{
	if (best->state == SLOT_FREE || slot->state == SLOT_FREE)
		return best->state != SLOT_FREE;
	if (is_busy(best) != is_busy(slot))
		return is_busy(best);
	if (best->is_announced != slot->is_announced)
		return best->is_announced;
	return slot->used_at < best->used_at;
}

static size_t slot_choose(const struct remote_slots *slots)
{
	size_t best = 0;

	for (size_t i = 1; i < REMOTE_NR_SLOTS; i++)
		if (is_better(&slots->slots[i], &slots->slots[best]))
			best = i;
	return best;
}

static int slot_get(struct remote_slots *slots, struct remote_slot **ret_slot, struct cow_err *err)
{
	struct remote_slot *best = &slots->slots[slot_choose(slots)];
	int ret = 0;

	/* who waits for the courier takes the answers himself, or would wait for ever */
	if (is_busy(best) && !slots->is_receiving)
		answers_take(slots);
	for (best = &slots->slots[slot_choose(slots)]; !ret && is_busy(best);
	     best = &slots->slots[slot_choose(slots)])
		ret = slot_clear(slots, best, err);
	if (ret)
		return ret;
	best->serial++;
	best->state = SLOT_FREE;
	best->code = 0;
	best->used_at = ++slots->clock;
	best->is_announced = false;
	*ret_slot = best;
	return 0;
}

size_t remote_slots_announced(struct remote_slots *slots)
{
	size_t nr = 0;

	for (size_t i = 0; i < REMOTE_NR_SLOTS; i++) {
		struct remote_slot *slot = &slots->slots[i];

		/* what nobody came for does not keep others from being asked for */
		if (slots->clock - slot->used_at > OLD_TICKS)
			slot->is_announced = false;
		nr += slot->state != SLOT_FREE && slot->is_announced;
	}
	return nr;
}

struct remote_slot *remote_slots_find(struct remote_slots *slots, uint64_t offset_bytes)
{
	for (size_t i = 0; i < REMOTE_NR_SLOTS; i++) {
		struct remote_slot *slot = &slots->slots[i];

		if (slot->state != SLOT_WRITING && is_touched(slot, offset_bytes, 1))
			return slot;
	}
	return NULL;
}

/* --------------------------------------------------------------- requests */

int remote_slots_read(struct remote_slots *slots, uint64_t offset_bytes, uint64_t len_bytes,
		      struct remote_slot **ret_slot, struct cow_err *err)
{
	struct remote_slot *slot;
	int ret = slot_get(slots, &slot, err);

	if (ret)
		return ret;
	slot->offset_bytes = offset_bytes;
	slot->len_bytes = len_bytes < slots->piece_bytes ? (size_t)len_bytes : slots->piece_bytes;
	ret = slot_send(slots, slot, REMOTE_READ, err);
	if (ret)
		return ret;
	*ret_slot = slot;
	return 0;
}

int remote_slots_write(struct remote_slots *slots, const uint8_t *buf, uint64_t offset_bytes,
		       size_t len_bytes, size_t *ret_len_bytes, struct cow_err *err)
{
	struct remote_slot *slot;
	int ret = slot_get(slots, &slot, err);

	if (ret)
		return ret;
	slot->offset_bytes = offset_bytes;
	slot->len_bytes = len_bytes < slots->piece_bytes ? len_bytes : slots->piece_bytes;
	memcpy(slot->buf, buf, slot->len_bytes);
	ret = slot_send(slots, slot, REMOTE_WRITE, err);
	slots->is_broken |= ret;
	if (ret)
		return ret;
	*ret_len_bytes = slot->len_bytes;
	return 0;
}

int remote_slots_wait_writes(struct remote_slots *slots, struct cow_err *err)
{
	int ret = slots->is_broken ? broken(slots, err) : 0;

	for (size_t i = 0; i < REMOTE_NR_SLOTS && !ret; i++)
		if (slots->slots[i].state == SLOT_WRITING)
			ret = remote_slots_wait(slots, &slots->slots[i], err);
	/* the answer to another write may have come in the meantime */
	return !ret && slots->is_broken ? broken(slots, err) : ret;
}

int remote_slots_new(struct remote_courier *courier, int64_t block_max_bytes,
		     struct remote_slots **ret_slots, struct cow_err *err)
{
	struct remote_slots *slots = calloc(1, sizeof(*slots));

	if (!slots)
		return cow_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for an export");
	slots->courier = courier;
	pthread_mutex_init(&slots->lock, NULL);
	pthread_cond_init(&slots->came, NULL);
	slots->piece_bytes = block_max_bytes >= 512 && block_max_bytes < (int64_t)REMOTE_PIECE_BYTES
				     ? (size_t)block_max_bytes / 512 * 512
				     : REMOTE_PIECE_BYTES;
	for (uint32_t i = 0; i < REMOTE_NR_SLOTS; i++)
		slots->slots[i].buf = remote_courier_piece(courier, i);
	*ret_slots = slots;
	return 0;
}
