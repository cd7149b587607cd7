/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * rate.h - how fast the images of a set are read and written.
 */
#ifndef COW_IMAGE_RATE_H
#define COW_IMAGE_RATE_H

#include <stdint.h>

#include "libcow.h"

/* Each way has the whole limit. */
enum cow_rate_way { COW_RATE_READ, COW_RATE_WRITE, COW_RATE_NR_WAYS };

struct cow_rate {
	uint64_t bytes_per_second; /* 0: no limit */
	uint64_t (*now)(void *user);
	void (*wait)(void *user, uint64_t nanoseconds);
	void *user;
	/* When what was moved so far is paid for, on the clock of now(). */
	uint64_t paid_at[COW_RATE_NR_WAYS];
};

/* Errors: -EINVAL size not set. */
int cow_rate_init(struct cow_rate *rate, const struct cow_rate_params *params, struct cow_err *err);
/* Waits until len_bytes more may be moved. rate may be NULL. Several threads may call it. */
void cow_rate_take(struct cow_rate *rate, enum cow_rate_way way, uint64_t len_bytes);

#endif
