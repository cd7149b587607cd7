/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * check_list.c - snapcheck --list: partitions, LVM volumes, stores and file
 * systems in some images, each with the specification to type. It looks at labels,
 * texts, headers and lists of exceptions, and says of nothing that it is sound.
 */
#include "tools/snapcheck/check_list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/cleanup.h"
#include "tools/common/cli.h"
#include "tools/common/json.h"
#include "libcow/base/array.h"
#include "tools/common/sandbox.h"
#include "tools/common/size_text.h"
#include "tools/common/text.h"
#include "tools/images/container.h"
#include "tools/images/operands.h"
#include "tools/snapcheck/check_pool.h"
#include "tools/images/images_json.h"

enum { COLUMN_SPEC, COLUMN_TYPE, COLUMN_SIZE, COLUMN_USED, COLUMN_STATE, COLUMNS };

struct row {
	unsigned int depth;
	char *cells[COLUMNS];
};

struct list {
	size_t nr_images;
	struct cow_imageset *set;
	struct cow_image **images;
	const char **specs;
	struct row *rows;
	size_t nr_rows, capacity;
	struct json_object *json;
	struct check pool; /* its snapshots, if the last volume is the metadata of one */
	bool is_damaged, is_unreadable;
};

/* What a volume holds, for the columns. */
struct content {
	char type[200], used[100], state[COW_ERR_MESSAGE_BYTES + 100];
	bool is_damaged;
};

/* What a store says of itself; where the length of the view is in it, that too. */
static void facts_put(struct content *content, const char *kind, const struct cow_store_info *info,
		      struct json_object *at)
{
	snprintf(content->used, sizeof(content->used), "%" PRIu64 "/%" PRIu64 " sectors",
		 info->allocated_sectors, info->total_sectors);
	json_put_text(at, "store", kind);
	json_put_bool(at, "valid", info->valid);
	json_put_u64(at, "chunk_bytes", info->chunk_bytes);
	if (info->view_bytes)
		json_put_u64(at, "view_bytes", info->view_bytes);
	json_put_u64(at, "exceptions", info->nr_exceptions);
	json_put_u64(at, "allocated_bytes", info->allocated_sectors * 512);
	json_put_u64(at, "total_bytes", info->total_sectors * 512);
	json_put_percent(at, "used_percent", info->allocated_sectors, info->total_sectors);
	json_put_u64(at, "allocated_sectors", info->allocated_sectors);
	json_put_u64(at, "total_sectors", info->total_sectors);
}

/* How full it is: of a pool, or of a store that is one view. */
static void metadata_state(struct content *content, const struct cow_store_info *info)
{
	char chunk[SIZE_TEXT_BYTES];
	uint64_t nr;

	if (!info->view_bytes || !info->chunk_bytes) {
		snprintf(content->state, sizeof(content->state),
			 "pool of %" PRIu64 " devices, %s of %s", info->nr_snapshots, info->units,
			 size_round(info->chunk_bytes, chunk));
		return;
	}
	nr = info->view_bytes / info->chunk_bytes;
	nr += info->view_bytes % info->chunk_bytes != 0;
	snprintf(content->state, sizeof(content->state), "%" PRIu64 " of %" PRIu64 " %s %s",
		 info->nr_exceptions, nr, info->units, info->held);
}

/* A store that consists of several images, of which this one is the metadata; false:
 * it is none. */
static bool metadata_look(struct list *list, struct content *content,
			  const struct cow_store_args *args, const char *kind,
			  struct json_object *at)
{
	struct cow_check_params params = COW_CHECK_PARAMS_INIT;
	struct cow_callbacks callbacks = COW_CALLBACKS_INIT;
	struct cow_verdict *verdict = &list->pool.verdict;
	struct cow_report *report = NULL;

	callbacks.user = &list->pool;
	params.callbacks = &callbacks;
	params.snapshot = check_pool_take;
	*verdict = (struct cow_verdict)COW_VERDICT_INIT;
	if (cow_report_new(NULL, 0, &report, NULL) ||
	    cow_check(args, &params, report, verdict, NULL) || !verdict->info.units) {
		cow_report_free(report);
		return false;
	}
	content->is_damaged = cow_report_count(report, COW_CLASS_DAMAGE) ||
			      cow_report_count(report, COW_CLASS_LOST);
	cow_report_free(report);
	snprintf(content->type, sizeof(content->type), "metadata of a %s%s", kind,
		 verdict->info.view_bytes ? "" : " pool");
	if (content->is_damaged)
		snprintf(content->state, sizeof(content->state), "damaged: run snapcheck on it");
	else
		metadata_state(content, &verdict->info);
	facts_put(content, kind, &verdict->info, at);
	if (check_pool_is(verdict))
		check_pool_put(&list->pool, at);
	return true;
}

static void store_look(struct list *list, struct content *content, struct cow_image *image,
		       const char *kind, struct json_object *at)
{
	struct cow_role_image roles[2];
	struct cow_store_args args = COW_STORE_ARGS_INIT;
	struct cow_store_info info = COW_STORE_INFO_INIT;
	struct cow_store *store = NULL;
	struct cow_err err = COW_ERR_INIT;
	char chunk[SIZE_TEXT_BYTES];

	snprintf(content->type, sizeof(content->type), "%s exception store", kind);
	cow_store_args_pair(&args, roles, image, NULL);
	if (metadata_look(list, content, &args, kind, at))
		return;
	args.flags = COW_STORE_INVALID;
	if (cow_store_open(&args, &store, &err) || cow_store_get_info(store, &info)) {
		snprintf(content->state, sizeof(content->state), "cannot be opened: %s",
			 err.message);
		content->is_damaged = true;
		cow_store_close(store);
		return;
	}
	if (info.valid)
		snprintf(content->state, sizeof(content->state),
			 "%" PRIu64 " exceptions in chunks of %s", info.nr_exceptions,
			 size_round(info.chunk_bytes, chunk));
	else
		snprintf(content->state, sizeof(content->state),
			 "store marked invalid: it overflowed");
	content->is_damaged = !info.valid;
	facts_put(content, kind, &info, at);
	cow_store_close(store);
}

/* A file that holds a disk in a format of its own: how to look into it. A command that is
 * too long is better left out than cut. */
static void container_look(struct content *content, const struct cow_volume *volume,
			   const char *name, struct json_object *at)
{
	const char *path = cow_image_name(volume->image);
	char *command = NULL;

	if (!volume->depth && !strcmp(volume->spec, path))
		command = container_command(name, path);
	if (command && strlen(command) + sizeof("look into it: ") <= sizeof(content->state)) {
		snprintf(content->state, sizeof(content->state), "look into it: %s", command);
		json_put_text(at, "command", command);
	}
	free(command);
}

static void content_look(struct list *list, struct content *content,
			 const struct cow_volume *volume, struct json_object *at)
{
	const char *kind = NULL, *name;

	if (!volume->image)
		return;
	if (!cow_store_probe(volume->image, &kind, NULL)) {
		store_look(list, content, volume->image, kind, at);
		return;
	}
	if (volume->origin) {
		snprintf(content->state, sizeof(content->state), "holds no exception store");
		content->is_damaged = true;
		return;
	}
	name = cow_image_content(volume->image);
	json_put_text(at, "content", name);
	if (!name)
		return;
	if (!cow_image_container(volume->image))
		check_fs_list(volume->image, at, content->state, sizeof(content->state));
	snprintf(content->type, sizeof(content->type), "%s", name);
	container_look(content, volume, name, at);
}

static const struct {
	const char *kind, *words;
} kinds[] = {
	{ "disk", "disk" }, { "partition", "partition" }, { "pv", "LVM PV" }, { "vg", "LVM VG" },
	{ "lv", "LV" },
};

static const char *kind_words(const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].kind, kind))
			return kinds[i].words;
	return kind;
}

/* The kind of store that an operand names the images of, or NULL. */
static const char *store_kind(const struct list *list, const struct cow_volume *volume)
{
	struct cow_store_spec *spec = NULL;
	const char *kind = NULL;

	if (!volume->depth && !cow_store_spec_parse(list->set, volume->spec, &spec, NULL) && spec)
		kind = spec->kind;
	cow_store_spec_free(spec);
	return kind;
}

/* "LV linear: an ext4 file system". */
static char *type_text(const struct list *list, const struct cow_volume *volume,
		       const struct content *content)
{
	const char *kind = store_kind(list, volume);
	bool is_id = !strcmp(volume->kind, "pv") || !strcmp(volume->kind, "vg");
	const char *type = is_id ? "" : volume->type;
	char *text, *safe;

	if (!strcmp(volume->kind, "pv"))
		type = volume->name;
	if (asprintf(&text, "%s%s%s%s%s", kind ? kind : kind_words(volume->kind),
		     is_id && *type ? " of "
		     : *type	    ? " "
				    : "",
		     type, content->type[0] ? ": " : "", content->type) < 0)
		return NULL;
	safe = text_escape(text);
	free(text);
	return safe;
}

static char *state_text(const struct cow_volume *volume, const struct content *content)
{
	char *text, *safe;

	if (asprintf(&text, "%s%s%s", volume->state,
		     *volume->state && content->state[0] ? "; " : "", content->state) < 0)
		return NULL;
	safe = text_escape(text);
	free(text);
	return safe;
}

static int row_add(struct list *list, const struct cow_volume *volume,
		   const struct content *content)
{
	const char *const words[] = { *volume->spec ? volume->spec : volume->name, NULL };
	struct row *rows =
		cow_array_grow(list->rows, list->nr_rows, &list->capacity, sizeof(*rows));
	char size[SIZE_TEXT_BYTES];
	struct row row;

	if (!rows)
		return -ENOMEM;
	list->rows = rows;
	row = (struct row){
		.depth = volume->depth,
		.cells = { text_quote_words(words), type_text(list, volume, content),
			   strdup(size_round(volume->size_bytes, size)), strdup(content->used),
			   state_text(volume, content) },
	};
	rows[list->nr_rows++] = row;
	for (int i = 0; i < COLUMNS; i++)
		if (!row.cells[i])
			return -ENOMEM;
	return 0;
}

/* What to type for a device. Where its data lie is not in the metadata: DATA stands for
 * them. A comma in a name is written twice. The caller's; NULL: no memory. */
static char *device_spec(const struct list *list, const struct cow_volume *metadata, uint64_t id)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	fprintf(to, "%s:metadata=", list->pool.verdict.info.kind);
	for (const char *at = metadata->spec; *at; at++)
		fprintf(to, *at == ',' ? ",," : "%c", *at);
	fprintf(to, ",data=DATA,id=%" PRIu64, id);
	if (ferror(to) | fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

static int device_add(struct list *list, const struct cow_volume *metadata,
		      const struct cow_snapshot *snapshot)
{
	struct cow_volume volume = { .depth = metadata->depth + 1,
				     .kind = "device",
				     .type = "",
				     .name = "",
				     .state = "",
				     .size_bytes = snapshot->end_bytes };
	struct content content = { .is_damaged = snapshot->is_damaged };
	char *spec = device_spec(list, metadata, snapshot->id);
	int ret;

	volume.spec = spec;
	snprintf(content.used, sizeof(content.used), "%" PRIu64 " blocks", snapshot->nr_mapped);
	snprintf(content.state, sizeof(content.state),
		 "%s%" PRIu64 " exclusive, %" PRIu64 " shared",
		 snapshot->is_damaged ? "damaged; " : "", snapshot->nr_exclusive,
		 snapshot->nr_mapped - snapshot->nr_exclusive);
	ret = spec ? row_add(list, &volume, &content) : -ENOMEM;
	free(spec);
	return ret;
}

static int devices_add(struct list *list, const struct cow_volume *metadata)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < list->pool.nr_snapshots; i++)
		ret = device_add(list, metadata, &list->pool.snapshots[i]);
	return ret;
}

static void put_volume(struct json_object *at, const struct cow_volume *volume)
{
	json_put_u64(at, "depth", volume->depth);
	json_put_text(at, "kind", volume->kind);
	json_put_text(at, "spec", *volume->spec ? volume->spec : NULL);
	json_put_text(at, "name", volume->name);
	json_put_text(at, "type", volume->type);
	json_put_u64(at, "size_bytes", volume->size_bytes);
	json_put_text(at, "origin", volume->origin);
}

static int on_volume(void *user, const struct cow_volume *volume)
{
	struct list *list = user;
	struct content content = { .is_damaged = false };
	struct json_object *at;
	char *state;

	if (!strcmp(volume->kind, "note")) {
		list->is_damaged |= volume->is_damaged;
		if (volume->is_damaged)
			cli_warn("%s", volume->state);
		else
			cli_note("%s", volume->state);
		return 0;
	}
	at = json_put_object(list->json, NULL);
	put_volume(at, volume);
	list->pool.nr_snapshots = 0;
	content_look(list, &content, volume, at);
	state = state_text(volume, &content);
	json_put_text(at, "state", state);
	json_put_bool(at, "damaged", volume->is_damaged || content.is_damaged);
	free(state);
	list->is_damaged |= volume->is_damaged || content.is_damaged;
	return row_add(list, volume, &content) || devices_add(list, volume) ? -ENOMEM : 0;
}

static size_t width_of(const struct list *list, int column)
{
	size_t width = 0;

	for (size_t i = 0; i < list->nr_rows; i++) {
		size_t len = strlen(list->rows[i].cells[column]);

		if (column == COLUMN_SPEC)
			len += (size_t)list->rows[i].depth * 2;
		width = len > width ? len : width;
	}
	return width;
}

static void row_print(const struct row *row, const size_t widths[COLUMNS], FILE *out)
{
	int last = COLUMN_STATE, indent = (int)row->depth * 2;

	while (last && !row->cells[last][0])
		last--;
	fprintf(out, "%*s", indent, "");
	for (int i = 0; i <= last; i++) {
		int width = (int)widths[i] - (i == COLUMN_SPEC ? indent : 0);

		if (i == last)
			fprintf(out, "%s\n", row->cells[i]);
		else
			fprintf(out, i == COLUMN_SIZE ? "%*s  " : "%-*s  ", width, row->cells[i]);
	}
}

/* Whole, or not at all. */
static int list_print(const struct list *list)
{
	size_t widths[COLUMNS], len = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);
	int is_cut;

	if (!out)
		return -ENOMEM;
	for (int i = 0; i < COLUMNS; i++)
		widths[i] = width_of(list, i);
	for (size_t i = 0; i < list->nr_rows; i++)
		row_print(&list->rows[i], widths, out);
	is_cut = ferror(out);
	is_cut |= fclose(out) != 0;
	if (!is_cut && !json_is_on_stdout())
		fputs(text, stdout);
	free(text);
	return is_cut ? -ENOMEM : 0;
}

static int images_open(struct list *list)
{
	for (int i = 0; i < cli_nr_operands(); i++) {
		struct cow_err err = COW_ERR_INIT;
		struct cow_image *image = NULL;
		const char *spec = cli_operands()[i];

		if (cow_imageset_open(list->set, spec, COW_OPEN_BUSY, &image, &err)) {
			(void)cli_fail(&err);
			list->is_unreadable = true;
			images_json_add_path("image", spec);
			continue;
		}
		images_json_add("image", image);
		list->specs[list->nr_images] = spec;
		list->images[list->nr_images++] = image;
	}
	return list->nr_images ? 0 : -ENOENT;
}

static void list_free(struct list *list)
{
	for (size_t i = 0; i < list->nr_rows; i++)
		for (int k = 0; k < COLUMNS; k++)
			free(list->rows[i].cells[k]);
	for (size_t i = 0; i < list->nr_images; i++)
		cow_image_close(list->images[i]);
	cow_imageset_free(list->set);
	free(list->rows);
	free(list->pool.snapshots);
	free(list->images);
	free(list->specs);
}

static int status_of(const struct list *list)
{
	return (list->is_damaged ? CLI_DAMAGE : CLI_DONE) |
	       (list->is_unreadable ? CLI_FAILED : CLI_DONE);
}

static int list_run(struct list *list)
{
	struct cow_err err = COW_ERR_INIT;
	int ret;

	if (images_open(list))
		return CLI_FAILED;
	sandbox_enter();
	list->json = json_put_array(json_root(), "volumes");
	ret = cow_volume_list(list->images, list->specs, list->nr_images, on_volume, list, &err);
	if (ret)
		return cli_fail(&err);
	return list_print(list) ? cli_no_memory("the list") : status_of(list);
}

int check_list_run(void)
{
	struct list list = { .nr_images = 0 };
	struct cow_err err = COW_ERR_INIT;
	int status;

	list.images = calloc((size_t)cli_nr_operands(), sizeof(struct cow_image *));
	list.specs = calloc((size_t)cli_nr_operands(), sizeof(*list.specs));
	if (!list.images || !list.specs)
		status = cli_no_memory("the list");
	else if (operands_set_new(&list.set, &err))
		status = cli_fail(&err);
	else
		status = list_run(&list);
	list_free(&list);
	return status;
}
