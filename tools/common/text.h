/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* text.h - words made safe: for a terminal, for a shell. The results are the
 * caller's to free; NULL: no memory. */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

/* Control bytes (C0, DEL, and C1 in UTF-8) become \xNN. */
char *text_escape(const char *text);
/* Several words up to NULL, with spaces between, each in single quotes if a
 * shell would see more than a word. */
char *text_quote_words(const char *const *words);

#endif
