/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sides.h - a small merge that keeps two siblings true and fills an undo file,
 * in plain buffers: drawn at random, done, taken back, and what must hold.
 */
#ifndef TESTS_AIDS_SIDES_H
#define TESTS_AIDS_SIDES_H

#include "libcow/core/label.h"
#include "tests/aids/randstore.h"

enum { ORIGIN, COW, UNDO, SIBLING, NR_SIBLINGS = 2, NR_IMAGES = SIBLING + NR_SIBLINGS };

struct sample;

struct side_job {
	struct randstore rs;
	uint8_t *before;	     /* the origin before the merge */
	uint8_t *shown[NR_SIBLINGS]; /* what the siblings show */
	uint8_t *bytes[NR_IMAGES];
	uint64_t sizes[NR_IMAGES];
	uint64_t nr_own[NR_SIBLINGS]; /* exceptions the siblings had before */
	uint64_t batch_bytes, epoch_bytes;
	uint64_t random;
	bool is_take_back;
	struct sample *sample;
};

/* Draws a merge; siblings have exceptions of their own. */
void side_make(struct side_job *job, uint64_t *random);
void side_free(struct side_job *job);

/* What the label of a store says, enum label_phase; 0: there is none. */
uint32_t side_phase(struct cow_image *image);
/* The same of its first sector. */
uint32_t side_phase_of(const uint8_t sector[512]);
/* Exceptions of a valid store. */
uint64_t side_count(struct cow_image *image);

/* One run of the merge over these images, with or without siblings and undo. An
 * undo file that is not complete has no name: undo_is_new makes another one. */
int side_merge(const struct side_job *job, struct cow_image **images, bool with, bool undo_is_new,
	       uint32_t flags, struct cow_err *err);
/* Merges the job's own buffers, so that there is something to take back. */
void side_merge_all(struct side_job *job);
/* The take-back; job->is_take_back is set. */
int side_take_back(const struct side_job *job, struct cow_image **images, bool with,
		   struct cow_err *err);

/* They end the program unless the siblings show what they did, and the origin
 * is as wanted. */
void side_check_siblings(const struct side_job *job, struct cow_image **images);
void side_check_origin(const struct side_job *job, struct cow_image *image, const uint8_t *wanted);

#endif
