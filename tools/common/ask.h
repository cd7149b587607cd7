/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * ask.h - questions to the person at the terminal. Where there is no terminal
 * the answer is no; -y answers yes.
 */
#ifndef TOOLS_ASK_H
#define TOOLS_ASK_H

#include "tools/common/cli.h"

/* Are standard input and standard error both terminals? */
bool ask_is_possible(void);

/*
 * Throws away what was typed ahead, prints the prompt, and reads one line into
 * ret_answer, without its end, cut to size bytes. false: the input has ended.
 */
__attribute__((format(printf, 3, 4))) bool ask_line(char *ret_answer, size_t size,
						    const char *format, ...);

/*
 * Asks "question? [y/N]". Only "y" and "yes" are yes. Returns 0 for yes and with
 * -y; otherwise -EPERM: nobody could be asked (id "unanswered"), or the answer
 * was no (id "declined"); -ECANCELED: a signal came. The caller has written nothing and ends.
 */
__attribute__((format(printf, 3, 4), warn_unused_result)) int
ask_confirm(const struct cli_common *common, struct cow_err *err, const char *format, ...);

#endif
