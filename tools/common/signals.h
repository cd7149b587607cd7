/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* signals.h - sets up what cli_interrupted() and cli_wants_line() tell. */
#ifndef TOOLS_SIGNALS_H
#define TOOLS_SIGNALS_H

void signals_install(void);

#endif
