/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* check_list.h - snapcheck --list: what is in these images. */
#ifndef TOOLS_CHECK_LIST_H
#define TOOLS_CHECK_LIST_H

/* Opens the operands for reading, without a lock, and lists what is in them.
 * Returns an exit status. */
int check_list_run(void);

#endif
