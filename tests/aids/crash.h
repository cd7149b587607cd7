/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * crash.h - the crash-state explorer. A job runs once on recording images;
 * then every kind of state that a power cut could have left is rebuilt and
 * judged, and the job is run again on it.
 *
 * What can be on an image at a crash: everything that was written before its
 * last flush, and of each later write any subset of its sectors of 512 bytes
 * (I9), independently on every image. Each prefix of the log is a state; at
 * the end of each window between two flushes come the subsets, all of them
 * where they are few, else random ones. A sample of the second runs is cut
 * off in the same way, and in another sample an operation of the second run
 * fails. A run that goes through has flushed every image that it wrote to.
 *
 * A job is any number of images, a way to run it and what must hold; see
 * tests/crash/.
 */
#ifndef TESTS_AIDS_CRASH_H
#define TESTS_AIDS_CRASH_H

#include "libcow.h"

#define CRASH_IMAGES_MAX 8

/* A run that is being recorded, or not. */
struct crash_run;

/* Says that from here on "value" things are durable; values ascend. */
void crash_mark(struct crash_run *run, uint64_t value);

struct crash_job {
	const char *name;
	size_t nr_images;
	void *user;
	/* A run whose image fails answers with that error, and what the highest
	 * mark says stays true: a run after a crash may meet one. */
	bool may_fail;
	/* Does the job, from the beginning or after a crash. */
	int (*run)(void *user, struct cow_image **images, struct crash_run *run,
		   struct cow_err *err);
	/* Ends the program if a state is wrong; must not write (I10, checked).
	 * mark: the highest one that was reached. */
	void (*check_state)(void *user, struct cow_image **images, uint64_t mark);
	/* The same after the job has gone through. */
	void (*check_done)(void *user, struct cow_image **images);
};

struct crash_limits {
	unsigned int exhaustive_bits; /* all subsets of up to so many sectors */
	unsigned int nr_subsets;      /* random ones where there are more */
	unsigned int second_one_in;   /* how often a second run is cut off too */
	unsigned int nr_second;	      /* states of such a second run */
	unsigned int failing_one_in;  /* how often the run after a state meets an I/O error */
};
#define CRASH_LIMITS_INIT                                                                          \
	{                                                                                          \
		.exhaustive_bits = 6, .nr_subsets = 12, .second_one_in = 6, .nr_second = 4,        \
		.failing_one_in = 8                                                                \
	}

struct crash_counts {
	uint64_t nr_jobs, nr_windows, nr_exhaustive;
	uint64_t nr_states, nr_second; /* nr_second is part of nr_states */
	uint64_t nr_failing;	       /* runs after a crash that met an I/O error */
};

/* images: one buffer each, the state at the beginning; stays as it is. */
void crash_explore(const struct crash_job *job, uint8_t *const *images, const uint64_t *sizes,
		   const struct crash_limits *limits, uint64_t seed, struct crash_counts *counts);

void crash_print(const char *name, const struct crash_counts *counts);

/* An image over a buffer of the caller's. */
int crash_flat_new(uint8_t *bytes, uint64_t size_bytes, const char *name,
		   struct cow_image **ret_image, struct cow_err *err);

#endif
