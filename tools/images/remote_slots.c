/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_slots.c - requests to a server that are under way, and their memory. */
#include "tools/images/remote_slots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/images/remote_pump.h"

/* Of the clock: requests and reads. */
#define OLD_TICKS 512

/* -------------------------------------------------------------- failures */

static int broken(struct cow_err *err)
{
	return cli_refuse(err, -EIO, "io", NULL,
			  "the connection to the server was lost, or a write to it has failed: "
			  "nothing more is read or written");
}

/* One lost connection of several may have taken writes with it. */
static bool is_any_dead(const struct remote_slots *slots)
{
	for (size_t i = 0; i < slots->nr_nbds; i++)
		if (slots->lib->nbd_aio_is_dead(slots->nbds[i]) != 0)
			return true;
	return false;
}

static struct nbd_handle *next_connection(struct remote_slots *slots)
{
	return slots->nbds[slots->nr_requests++ % slots->nr_nbds];
}

int remote_slots_failed(struct remote_slots *slots, const char *what, uint64_t offset_bytes,
			struct cow_err *err)
{
	int code = slots->lib->nbd_get_errno(), ret;
	bool is_dead = is_any_dead(slots);

	if (is_dead)
		ret = cli_refuse(err, -EIO, "io", NULL,
				 "%s at byte %" PRIu64 ": the connection to the server was lost",
				 what, offset_bytes);
	else
		ret = cli_refuse(err, code == ENOSPC ? -ENOSPC : -EIO,
				 code == ENOSPC ? "no-space" : "io", NULL,
				 "%s at byte %" PRIu64 ": the server says: %s", what, offset_bytes,
				 strerror(code ? code : EIO));
	err->offset_bytes = offset_bytes;
	slots->is_broken |= is_dead;
	return ret;
}

/* ----------------------------------------------------------------- slots */

static bool is_busy(const struct remote_slot *slot)
{
	return slot->state == SLOT_READING || slot->state == SLOT_WRITING;
}

int remote_slots_wait(struct remote_slots *slots, struct remote_slot *slot, struct cow_err *err)
{
	bool is_write = slot->state == SLOT_WRITING;
	int ret = 0;

	while (is_busy(slot) && !ret) {
		ret = slots->lib->nbd_aio_command_completed(slot->nbd, (uint64_t)slot->cookie);
		if (ret > 0) {
			slot->state = is_write ? SLOT_FREE : SLOT_READ;
			return 0;
		}
		if (!ret &&
		    (slots->lib->nbd_aio_is_dead(slot->nbd) != 0 || remote_pump(slots->lib, -1)))
			ret = -1;
	}
	if (!ret)
		return 0;
	slot->state = SLOT_FREE;
	slots->is_broken |= is_write;
	return remote_slots_failed(slots, is_write ? "writing" : "reading", slot->offset_bytes,
				   err);
}

/* The same for one that is needed for something else: a read that nobody waits for
 * may fail. */
static int slot_clear(struct remote_slots *slots, struct remote_slot *slot, struct cow_err *err)
{
	bool is_write = slot->state == SLOT_WRITING;
	int ret = remote_slots_wait(slots, slot, err);

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
	int ret = slots->is_broken ? broken(err) : 0;

	for (size_t i = 0; i < REMOTE_NR_SLOTS && !ret; i++) {
		struct remote_slot *slot = &slots->slots[i];

		if (!is_touched(slot, offset_bytes, len_bytes) ||
		    (!will_write && slot->state != SLOT_WRITING))
			continue;
		if (is_busy(slot))
			ret = slot_clear(slots, slot, err);
		slot->state = SLOT_FREE;
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

	if (is_busy(best))
		ret = slot_clear(slots, best, err);
	if (ret)
		return ret;
	best->state = SLOT_FREE;
	if (!best->buf)
		best->buf = malloc(REMOTE_PIECE_BYTES);
	if (!best->buf)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a buffer");
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
	slot->nbd = next_connection(slots);
	slot->cookie = slots->lib->nbd_aio_pread(slot->nbd, slot->buf, slot->len_bytes,
						 offset_bytes, NBD_NULL_COMPLETION, 0);
	if (slot->cookie < 0)
		return remote_slots_failed(slots, "reading", offset_bytes, err);
	slot->state = SLOT_READING;
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
	slot->nbd = next_connection(slots);
	slot->cookie = slots->lib->nbd_aio_pwrite(slot->nbd, slot->buf, slot->len_bytes,
						  offset_bytes, NBD_NULL_COMPLETION, 0);
	slots->is_broken |= slot->cookie < 0;
	if (slot->cookie < 0)
		return remote_slots_failed(slots, "writing", offset_bytes, err);
	slot->state = SLOT_WRITING;
	*ret_len_bytes = slot->len_bytes;
	return 0;
}

int remote_slots_wait_writes(struct remote_slots *slots, struct cow_err *err)
{
	int ret = slots->is_broken ? broken(err) : 0;

	for (size_t i = 0; i < REMOTE_NR_SLOTS && !ret; i++)
		if (slots->slots[i].state == SLOT_WRITING)
			ret = remote_slots_wait(slots, &slots->slots[i], err);
	return ret;
}

void remote_slots_end(struct remote_slots *slots)
{
	struct cow_err err = COW_ERR_INIT;

	for (size_t i = 0; i < REMOTE_NR_SLOTS; i++) {
		if (is_busy(&slots->slots[i]))
			(void)remote_slots_wait(slots, &slots->slots[i], &err);
		free(slots->slots[i].buf);
	}
}
