/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* undo_verify.c - is an undo file still true? */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libcow/base/bytes.h"
#include "libcow/base/err.h"
#include "libcow/core/report.h"
#include "libcow/engine/undo_outcome.h"

static void entry_decode(const uint8_t raw[ENTRY_BYTES], struct entry *ret_entry)
{
	ret_entry->offset_bytes = get_le64(raw);
	ret_entry->len_bytes = get_le64(raw + 8);
	memcpy(ret_entry->digest, raw + 16, COW_DIGEST_BYTES);
}

/* Is the range as it was before the merge, in what the undo file saved? */
static int is_old(const struct cow_store *undo, const struct entry *entry, const uint8_t *found,
		  uint8_t *buf, bool *ret_is_old, struct cow_err *err)
{
	struct cow_extent extent;
	int ret;

	*ret_is_old = false;
	if (!cow_store_next_extent(undo, entry->offset_bytes, &extent) ||
	    extent.old_bytes != entry->offset_bytes || extent.len_bytes < entry->len_bytes)
		return 0;
	ret = cow_image_pread(undo->data, buf, entry->len_bytes, extent.new_bytes, err);
	if (!ret)
		*ret_is_old = !memcmp(buf, found, entry->len_bytes);
	return ret;
}

/* One look at a whole undo file. */
struct verify {
	struct cow_store *undo;
	const char *job;	/* "merge" or "repair" */
	struct cow_image *view; /* what the merge will leave; NULL: it is done */
	bool is_repeated;	/* it is done, and will be done again */
	uint8_t *data, *buf;
	const struct cow_callbacks *callbacks;
};

/* Does image hold what the entry says? Its bytes stay in data. */
static int entry_matches(const struct verify *verify, struct cow_image *image,
			 const struct entry *entry, bool *ret_matches, struct cow_err *err)
{
	uint8_t digest[COW_DIGEST_BYTES];
	int ret;

	ret = cow_image_pread(image, verify->data, entry->len_bytes, entry->offset_bytes, err);
	if (ret)
		return ret;
	cow_digest_of(verify->data, entry->len_bytes, digest);
	*ret_matches = !memcmp(digest, entry->digest, sizeof(digest));
	return 0;
}

static int refuse_changed(const struct verify *verify, const struct entry *entry,
			  struct cow_err *err)
{
	const char *name = verify->undo->target->name;
	uint64_t last = entry->offset_bytes + entry->len_bytes - 1;
	int ret;

	if (verify->view)
		ret = cow_refuse(err, -EPERM, "other-job", NULL,
				 "%s was made by an earlier run, and bytes %" PRIu64 " to %" PRIu64
				 " of %s have changed since: name a new file",
				 verify->undo->data->name, entry->offset_bytes, last, name);
	else
		ret = cow_refuse(err, -EPERM, "changed", "changed",
				 "%s was changed after the %s: bytes %" PRIu64 " to %" PRIu64
				 " are neither what the %s left nor what was there before; a %s "
				 "that was interrupted is to be finished first",
				 name, verify->job, entry->offset_bytes, last, verify->job,
				 verify->job);
	cow_err_place(err, name, entry->offset_bytes);
	return ret;
}

static const char *job_name(const struct cow_label *label)
{
	return label->job == LABEL_JOB_REPAIR ? "repair" : "merge";
}

/* After the merge a range is new, or old where it never got to. Before it,
 * the range is old, and new in the view; before it is repeated, new in both. */
static int entry_verify(const struct verify *verify, const struct entry *entry, struct cow_err *err)
{
	struct cow_store *undo = verify->undo;
	bool is_new = false, was_there;
	int ret;

	if (!entry->len_bytes || entry->len_bytes > RANGE_BYTES ||
	    !range_fits(entry->offset_bytes, entry->len_bytes, undo->target->size_bytes))
		return cow_fail(err, -EBADMSG,
				"the undo file %s names an empty range, or one outside of %s",
				undo->data->name, undo->target->name);
	if (verify->view) {
		ret = entry_matches(verify, verify->view, entry, &is_new, err);
		if (!ret && !is_new)
			ret = refuse_changed(verify, entry, err);
		if (ret)
			return ret;
	}
	ret = entry_matches(verify, undo->target, entry, &is_new, err);
	if (ret || (is_new && (!verify->view || verify->is_repeated)))
		return ret;
	if (verify->is_repeated)
		return refuse_changed(verify, entry, err);
	ret = is_old(undo, entry, verify->data, verify->buf, &was_there, err);
	return ret || was_there ? ret : refuse_changed(verify, entry, err);
}

static int outcome_check_digest(struct cow_store *undo, const struct cow_label *label,
				uint8_t *entries, struct cow_err *err)
{
	AUTO_HANDLE(digest) struct cow_digest *digest = NULL;
	uint8_t found[COW_DIGEST_BYTES];
	uint64_t done, len;
	int ret;

	if (label->outcome_len_bytes % ENTRY_BYTES ||
	    !range_fits(label->outcome_bytes, label->outcome_len_bytes, undo->data->size_bytes))
		return cow_fail(err, -EBADMSG, "the label of the undo file %s is damaged",
				undo->data->name);
	ret = cow_digest_new(&digest, err);
	for (done = 0; !ret && done < label->outcome_len_bytes; done += len) {
		len = min_u64(COW_PIECE_BYTES, label->outcome_len_bytes - done);
		ret = cow_image_pread(undo->data, entries, len, label->outcome_bytes + done, err);
		if (!ret)
			cow_digest_update(digest, entries, len);
	}
	if (ret)
		return ret;
	cow_digest_final(digest, found);
	if (!memcmp(found, label->outcome_digest, sizeof(found)))
		return 0;
	return cow_refuse(
		err, -EBADMSG, "changed", "changed",
		"the digests in the undo file %s are damaged, so it cannot be said whether "
		"%s is still as the %s left it",
		undo->data->name, undo->target->name, job_name(label));
}

static int outcome_verify(struct verify *verify, const struct cow_label *label, struct cow_err *err)
{
	AUTO_FREE uint8_t *data = aligned_alloc(COW_BUFFER_ALIGN, RANGE_BYTES);
	AUTO_FREE uint8_t *buf = malloc(RANGE_BYTES);
	AUTO_FREE uint8_t *entries = malloc(COW_PIECE_BYTES);
	struct cow_store *undo = verify->undo;
	uint64_t done, len, done_bytes = 0;
	int ret;

	if (!data || !buf || !entries)
		return cow_fail(err, -ENOMEM, "no memory to verify the undo file");
	verify->job = job_name(label);
	verify->data = data;
	verify->buf = buf;
	ret = outcome_check_digest(undo, label, entries, err);
	for (done = 0; !ret && done < label->outcome_len_bytes; done += len) {
		len = min_u64(COW_PIECE_BYTES, label->outcome_len_bytes - done);
		ret = cow_image_pread(undo->data, entries, len, label->outcome_bytes + done, err);
		for (uint64_t i = 0; !ret && i < len; i += ENTRY_BYTES) {
			struct entry entry;

			entry_decode(entries + i, &entry);
			ret = entry_verify(verify, &entry, err);
			done_bytes += entry.len_bytes;
			if (!ret)
				ret = cow_callbacks_progress(verify->callbacks, "verify",
							     done_bytes, 0, err);
		}
	}
	verify->data = verify->buf = NULL;
	return ret;
}

int cow_undo_verify(struct cow_store *undo, const struct cow_label *label,
		    const struct cow_callbacks *callbacks, struct cow_err *err)
{
	struct verify verify = { .undo = undo, .callbacks = callbacks };

	return outcome_verify(&verify, label, err);
}

int cow_undo_check_fresh(struct cow_store *undo, const struct cow_label *label,
			 struct cow_store *store, bool is_repeated,
			 const struct cow_callbacks *callbacks, struct cow_err *err)
{
	struct verify verify = { .undo = undo, .is_repeated = is_repeated, .callbacks = callbacks };
	AUTO_HANDLE(image) struct cow_image *view = NULL;
	int ret = cow_view_new(store->origin, store, &view, err);

	verify.view = view;
	return ret ? ret : outcome_verify(&verify, label, err);
}
