/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * outputs.h - the outputs of this run, remembered while they are open, so that their temporary
 * names are removed however the program ends.
 */
#ifndef TOOLS_OUTPUTS_H
#define TOOLS_OUTPUTS_H

#include "libcow.h"

struct json_object;

/* As cow_output_open(); in a dry run with COW_OUTPUT_REHEARSE. The member "outputs" of the
 * JSON object names it, with its role. */
int outputs_open(struct cow_imageset *set, const char *role, const char *path, uint64_t size_bytes,
		 uint32_t flags, struct cow_output **ret_output, struct cow_err *err);
/* Also in a dry run: what reports on it. */
int outputs_open_report(struct cow_imageset *set, const char *path, uint32_t flags,
			struct cow_output **ret_output, struct cow_err *err);
enum outputs_form { OUTPUTS_RAW, OUTPUTS_STORE, OUTPUTS_TAR };
/* Notes a name that promises another format than the one that is written, such as disk.qcow2 for
 * a raw image. Not an error: users choose their names. */
void outputs_note_name(const char *path, enum outputs_form form);
/* One more of the member "outputs", which is not complete yet; NULL without --json. */
struct json_object *outputs_json_add(const char *role, const char *path);
/* It is complete, and so long. */
void outputs_json_end(struct json_object *item, uint64_t size_bytes);
/* As cow_output_publish(): the file has its name. */
int outputs_publish(struct cow_output *output, struct cow_err *err);
/* As cow_output_close(). */
void outputs_close(struct cow_output *output);
/* Closes the outputs that are open, so that their temporary names disappear. */
void outputs_abandon(void);

/* Does path name the standard output of this process ("/dev/stdout", ...)? */
bool outputs_is_stdout(const char *path);

#endif
