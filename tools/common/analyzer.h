/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * analyzer.h - what "make analyze" is told about functions that it cannot see
 * through.
 */
#ifndef TOOLS_ANALYZER_H
#define TOOLS_ANALYZER_H

/* Around a function that stores what it allocates in an element whose index, or
 * behind a pointer whose target, it cannot know: gcc 12 -fanalyzer forgets such a
 * place with the next write behind an unknown pointer, and then speaks of a leak.
 * The owner's function that frees is named where this is used. */
#if defined(__GNUC__) && !defined(__clang__)
#define ANALYZER_SAYS(words) _Pragma(#words)
#define ANALYZER_KEPT_BEGIN                                                                        \
	ANALYZER_SAYS(GCC diagnostic push)                                                         \
	ANALYZER_SAYS(GCC diagnostic ignored "-Wanalyzer-malloc-leak")
#define ANALYZER_KEPT_END ANALYZER_SAYS(GCC diagnostic pop)
#else
#define ANALYZER_KEPT_BEGIN
#define ANALYZER_KEPT_END
#endif

#endif
