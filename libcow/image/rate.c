/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * rate.c - a limit in bytes per second for the files and servers below the images of a set.
 * The wrappers of image.c ask here before they move bytes of a lowest image, so that a byte
 * counts once, however many images are above it.
 *
 * Each transfer moves the time at which the next one may begin. In any t seconds at most
 * limit * (t + WAIT_NS_MIN) bytes are moved, and one transfer more. A pause gives no credit.
 */
#include "libcow/image/rate.h"

#include <time.h>

#include "libcow/base/err.h"
#include "libcow/base/units.h"

#define NS_PER_SECOND 1000000000
/* Below this the system sleeps longer than it was asked to. */
#define WAIT_NS_MIN UINT64_C(10000000)
/* No transfer costs more than a year. */
#define COST_SECONDS_MAX 31536000.0

static uint64_t clock_now(void *user)
{
	struct timespec now = { 0 };

	(void)user;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static void clock_wait(void *user, uint64_t nanoseconds)
{
	struct timespec left = { .tv_sec = (time_t)(nanoseconds / NS_PER_SECOND),
				 .tv_nsec = (long)(nanoseconds % NS_PER_SECOND) };

	(void)user;
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static uint64_t cost_of(const struct cow_rate *rate, uint64_t len_bytes)
{
	double seconds = (double)len_bytes / (double)rate->bytes_per_second;

	return (uint64_t)((seconds < COST_SECONDS_MAX ? seconds : COST_SECONDS_MAX) *
			  NS_PER_SECOND);
}

void cow_rate_take(struct cow_rate *rate, enum cow_rate_way way, uint64_t len_bytes)
{
	uint64_t now, cost, start, before;

	if (!rate || !rate->bytes_per_second)
		return;
	now = rate->now(rate->user);
	cost = cost_of(rate, len_bytes);
	before = __atomic_load_n(&rate->paid_at[way], __ATOMIC_RELAXED);
	do
		start = max_u64(before, now);
	while (!__atomic_compare_exchange_n(&rate->paid_at[way], &before, start + cost, true,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	if (start - now >= WAIT_NS_MIN)
		rate->wait(rate->user, start - now);
}

int cow_rate_init(struct cow_rate *rate, const struct cow_rate_params *params, struct cow_err *err)
{
	if (params->size != sizeof(*params))
		return cow_fail(
			err, -EINVAL,
			"struct cow_rate_params: a structure of %zu bytes, this library knows "
			"%zu",
			params->size, sizeof(*params));
	*rate = (struct cow_rate){
		.bytes_per_second = params->bytes_per_second,
		.now = params->now ? params->now : clock_now,
		.wait = params->wait ? params->wait : clock_wait,
		.user = params->user,
	};
	return 0;
}
