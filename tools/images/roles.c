/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * roles.c - opens the images of a store that consists of several.
 */
#include "tools/images/roles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/cli.h"
#include "tools/images/operands.h"
#include "tools/images/volumes.h"

static const struct cow_store_spec *images_of(const struct roles *roles)
{
	return roles->spec ? roles->spec : roles->table;
}

const char *roles_kind(const struct roles *roles)
{
	return images_of(roles) ? images_of(roles)->kind : NULL;
}

static int check_words(const struct roles *roles, const char *operand, const char *type,
		       struct cow_err *err)
{
	const char *kind = roles_kind(roles);

	if (type && kind && strcmp(type, kind) != 0)
		return cli_refuse(err, -EINVAL, "usage", NULL,
				  "--type=%s, but it is a %s that is named", type, kind);
	if (!roles->table)
		return 0;
	if (operand && (!roles->spec || !kind || strcmp(kind, roles->table->kind) != 0))
		return cli_refuse(err, -EINVAL, "usage", NULL,
				  "--table is about a %s: name its images, %s:..., or nothing but "
				  "this line",
				  roles->table->kind, roles->table->kind);
	return 0;
}

/* A volume may be a thin one, and the parts of a pool volumes of LVM. */
static int volume_ask(struct roles *roles, struct cow_imageset *set, const char *operand,
		      struct cow_err *err)
{
	struct cow_store_spec *spec = NULL;
	int ret = cow_store_spec_volume(set, operand, &spec, err);

	if (ret || !spec)
		return ret;
	cow_store_spec_free(roles->spec);
	roles->spec = spec;
	return 0;
}

int roles_read(struct roles *roles, struct cow_imageset *set, const char *operand, const char *line,
	       const char *type, struct cow_err *err)
{
	int ret = 0;

	memset(roles, 0, sizeof(*roles));
	if (line)
		ret = cow_store_spec_table(line, &roles->table, err);
	if (!ret && operand)
		ret = cow_store_spec_parse(set, operand, &roles->spec, err);
	if (!ret && operand && (roles->spec || volumes_is_lv(operand)))
		ret = volume_ask(roles, set, operand, err);
	if (!ret)
		ret = check_words(roles, operand, type, err);
	if (!ret && asprintf(&roles->name, "%s%s", operand || !line ? "" : "--table=",
			     operand ? operand
			     : line  ? line
				     : "") < 0) {
		roles->name = NULL;
		ret = cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for a name");
	}
	if (ret)
		roles_close(roles);
	return ret;
}

static void images_close(struct roles *roles)
{
	for (size_t i = roles->nr_images; i-- > 0;) {
		if (roles->overlays)
			cow_image_close(roles->overlays[i]);
		cow_image_close(roles->opened[i]);
	}
	free(roles->overlays);
	free(roles->opened);
	free(roles->images);
	roles->overlays = roles->opened = NULL;
	roles->images = NULL;
	roles->nr_images = 0;
}

int roles_open(struct roles *roles, struct cow_imageset *set, uint32_t flags, struct cow_err *err)
{
	const struct cow_store_spec *spec = images_of(roles);
	int ret = 0;

	/* bounded: by the command line */
	roles->images = calloc(spec->nr_images, sizeof(*roles->images));
	/* bounded: the same */
	roles->opened = calloc(spec->nr_images, sizeof(struct cow_image *));
	if (!roles->images || !roles->opened)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu images",
				  spec->nr_images);
	for (size_t i = 0; !ret && i < spec->nr_images; i++) {
		const struct cow_role_spec *from = &spec->images[i];
		struct cow_role_image *to = &roles->images[roles->nr_images];
		bool is_read = from->role == COW_ROLE_ORIGIN ||
			       (from->role == COW_ROLE_SOURCE && !roles->writes_source);

		if (from->role == roles->is_made)
			continue;
		*to = (struct cow_role_image){ .role = from->role, .index = from->index };
		ret = cow_imageset_open(set, from->spec, is_read ? flags & COW_OPEN_BUSY : flags,
					&to->image, err);
		if (ret)
			break;
		roles->opened[roles->nr_images++] = to->image;
		operands_note_unchecked(to->image);
	}
	if (ret)
		images_close(roles);
	return ret;
}

enum held { HELD, NOT_HELD, UNREADABLE };

static enum held holds(struct cow_image *image, const char *kind)
{
	const char *found;
	int ret = cow_store_probe(image, &found, NULL);

	if (!ret)
		return strcmp(found, kind) ? NOT_HELD : HELD;
	return ret == -EMEDIUMTYPE ? NOT_HELD : UNREADABLE;
}

int roles_check_order(const struct roles *roles, struct cow_err *err)
{
	struct cow_image *metadata = roles_image(roles, COW_ROLE_METADATA);
	const char *kind = roles_kind(roles);

	if (!metadata || !kind || holds(metadata, kind) != NOT_HELD)
		return 0;
	for (size_t i = 0; i < roles->nr_images; i++)
		if (roles->images[i].image != metadata &&
		    holds(roles->images[i].image, kind) == HELD)
			return cli_refuse(err, -EPERM, "swapped", NULL,
					  "%s is the metadata of a %s and %s is not: looks swapped",
					  cow_image_name(roles->images[i].image), kind,
					  cow_image_name(metadata));
	return 0;
}

void roles_close(struct roles *roles)
{
	images_close(roles);
	cow_store_spec_free(roles->spec);
	cow_store_spec_free(roles->table);
	free(roles->name);
	memset(roles, 0, sizeof(*roles));
}

bool roles_are_given(const struct roles *roles)
{
	return images_of(roles);
}

const char *roles_spec(const struct roles *roles, int role)
{
	const struct cow_store_spec *spec = images_of(roles);

	for (size_t i = 0; spec && i < spec->nr_images; i++)
		if (spec->images[i].role == role)
			return spec->images[i].spec;
	return NULL;
}

struct cow_image *roles_image(const struct roles *roles, int role)
{
	for (size_t i = 0; i < roles->nr_images; i++)
		if (roles->images[i].role == role)
			return roles->images[i].image;
	return NULL;
}

struct cow_image *roles_log(const struct roles *roles, uint64_t n)
{
	for (size_t i = 0; i < roles->nr_images; i++)
		if (roles->images[i].role == COW_ROLE_LOG && roles->images[i].index == n)
			return roles->images[i].image;
	return NULL;
}

struct cow_image *roles_below(const struct roles *roles)
{
	struct cow_image *source = roles_image(roles, COW_ROLE_SOURCE);

	return source ? source : roles_image(roles, COW_ROLE_ORIGIN);
}

bool roles_have_logs(const struct roles *roles)
{
	const struct cow_store_spec *spec = images_of(roles);

	for (size_t i = 0; spec && i < spec->nr_images; i++)
		if (spec->images[i].role == COW_ROLE_LOG)
			return true;
	return false;
}

struct cow_image *roles_main(const struct roles *roles)
{
	return roles_image(roles, roles_have_logs(roles) ? COW_ROLE_LOG : COW_ROLE_METADATA);
}

const char *roles_name(const struct roles *roles)
{
	return roles_have_logs(roles) || !roles_main(roles) ? roles->name
							    : cow_image_name(roles_main(roles));
}

int roles_overlay(struct roles *roles, struct cow_err *err)
{
	int ret = 0;

	/* bounded: by the command line */
	roles->overlays = calloc(roles->nr_images, sizeof(struct cow_image *));
	if (!roles->overlays)
		return cli_refuse(err, -ENOMEM, "no-memory", NULL, "no memory for %zu images",
				  roles->nr_images);
	for (size_t i = 0; !ret && i < roles->nr_images; i++) {
		if (roles->images[i].role != COW_ROLE_LOG)
			continue;
		ret = cow_image_overlay_new(roles->opened[i], &roles->overlays[i], err);
		if (!ret)
			roles->images[i].image = roles->overlays[i];
	}
	return ret;
}

/* A part of a list: a comma in it is written twice. */
static void part_write(FILE *to, const char *text)
{
	for (; *text; text++) {
		fputc(*text, to);
		if (*text == ',')
			fputc(',', to);
	}
}

char *roles_text(const struct roles *roles, const char *geometry)
{
	const struct cow_store_spec *spec = images_of(roles);
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	fprintf(to, "%s:", spec->kind);
	for (size_t i = 0; i < spec->nr_images; i++) {
		fputs(spec->images[i].role == COW_ROLE_LOG ? "log=" : "source=", to);
		part_write(to, spec->images[i].spec);
		fputc(',', to);
	}
	fputs(geometry, to);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

/* What a specification may say besides its images; LVM's text says more. */
static bool is_of_device(const char *key)
{
	return !strcmp(key, "id") || !strcmp(key, "size");
}

char *roles_text_metadata(const struct roles *roles, const char *metadata)
{
	static const char *const keys[] = {
		[COW_ROLE_ORIGIN] = "origin", [COW_ROLE_METADATA] = "metadata",
		[COW_ROLE_SOURCE] = "source", [COW_ROLE_DESTINATION] = "destination",
		[COW_ROLE_DATA] = "data",
	};
	const struct cow_store_spec *spec = images_of(roles);
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	fprintf(to, "%s:", spec->kind);
	for (size_t i = 0; i < spec->nr_images; i++) {
		int role = spec->images[i].role;

		fprintf(to, "%s%s=", i ? "," : "", keys[role]);
		part_write(to, role == COW_ROLE_METADATA ? metadata : spec->images[i].spec);
	}
	for (size_t i = 0; i < spec->nr_geometry; i++)
		if (is_of_device(spec->geometry[i].key))
			fprintf(to, ",%s=%s", spec->geometry[i].key, spec->geometry[i].value);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

void roles_put(struct roles *roles, int role, struct cow_image *image)
{
	for (size_t i = 0; i < roles->nr_images; i++)
		if (roles->images[i].role == role)
			roles->images[i].image = image;
}

void roles_fill(const struct roles *roles, struct cow_store_args *args)
{
	const struct cow_store_spec *numbers = roles->table ? roles->table : roles->spec;

	args->kind = numbers->kind;
	args->images = roles->images;
	args->nr_images = roles->nr_images;
	args->geometry = numbers->geometry;
	args->nr_geometry = numbers->nr_geometry;
	args->snapshot_id = UINT64_MAX; /* the geometry has it */
}
