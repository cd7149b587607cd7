/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sound.h - what a test made is looked at by the check of its kind: no finding of any
 * class, the kernel loads it, view and merge are right.
 */
#ifndef TESTS_AIDS_SOUND_H
#define TESTS_AIDS_SOUND_H

#include "libcow.h"

void sound_check(const struct cow_store_args *args);

#endif
