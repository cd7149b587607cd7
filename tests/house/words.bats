#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Plain English: sentences that had to be decoded were replaced, and do not come back.
# README and other documents, pages, --help, messages, comments.
bats_require_minimum_version 1.8.0
load ../common

# Anywhere, comments too. One a line; a regular expression.
everywhere() {
	cat <<-'END'
		is (its|the) view trustworthy
		siblings: none named
		any other snapshot of this origin
		is a mixture until this
		findings: [0-9]+ lost
		takes it for the length of a run and maps
		look and see
		findings mended
		says what is wrong with (one|it), in words
		the evidence stays
		ends in a verdict
		memory out of proportion
		as little a record
		overwritten, by nothing
		will the kernel load this store
		would a merge be right
		somebody else writes
		is not what it was (a moment ago|when)
		snapcheck tells more
		to go on all the same
		is short for more than one
		holds what a repair has saved
		goes on with the repair
		is judged without it
		not judged with
		of it data
		applies where the old state is
		is no good size
		would lie in memory
		shares no extents
	END
}

# In what people read.
in_documents() {
	cat <<-'END'
		\bof which\b
		\bnobody('s|\b.* (knows|has to|else|can))
		\bsomebody else\b
		\ball the same\b
		a moment ago
		becomes? wrong
		by nothing
	END
}

@test "sentences that had to be decoded are gone" {
	cd "$COW_SOURCE"
	everywhere >"$BATS_TEST_TMPDIR/everywhere"
	run grep -rnEif "$BATS_TEST_TMPDIR/everywhere" README.md NEWS.md SECURITY.md HACKING.md man tools libcow \
		include completions debian/control
	[ "$status" -eq 1 ] || { echo "$output"; return 1; }
	in_documents >"$BATS_TEST_TMPDIR/documents"
	run grep -nEif "$BATS_TEST_TMPDIR/documents" README.md NEWS.md SECURITY.md man/*.[1-8]
	[ "$status" -eq 1 ] || { echo "$output"; return 1; }
	for tool in snapcreate snapcheck snapmerge snapdump; do
		"$tool" --help >"$BATS_TEST_TMPDIR/help"
		run grep -nEif "$BATS_TEST_TMPDIR/everywhere" -f "$BATS_TEST_TMPDIR/documents" "$BATS_TEST_TMPDIR/help"
		[ "$status" -eq 1 ] || { echo "$tool: $output"; return 1; }
	done
}
