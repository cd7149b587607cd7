#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The house itself: what must agree with each other.
bats_require_minimum_version 1.8.0

@test "each source file names its licence" {
	cd "$COW_SOURCE"
	find . \( -name .git -o -name 'build*' \) -prune -o -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.bash' \
		-o -name '*.bats' -o -name '*.py' -o -name Makefile -o -name rules \) -print >"$BATS_TEST_TMPDIR/files"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/files")" -gt 200 ]
	run xargs grep -L SPDX-License-Identifier .ci/run <"$BATS_TEST_TMPDIR/files"
	[ -z "$output" ]
}

@test "table, --help and manual page have the same options, with the same arguments" {
	cd "$BATS_TEST_TMPDIR"
	for tool in snapcreate snapcheck snapmerge snapdump; do
		"$tool" --long-options | awk -F'\t' '{ print tolower($1) "\t" $2 }' | sort >table
		"$COW_SOURCE/tests/pages.py" options "$COW_SOURCE/man/$tool.8" | sort | diff table -
		"$tool" --help | sed -n 's/^  \(-.\|  \)[, ] \(--[^ ]*\).*/\2\t\1/p' | sed 's/\t  $/\t-/' |
			awk -F'\t' '{ print tolower($1) "\t" $2 }' | sort | diff table -
	done
}

@test "each --force id of a tool is on its page" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		ids=$("$tool" --long-options | sed -n 's/^--force=.*\tlist \([^\t]*\).*/\1/p' | tr '|' ' ')
		[ -n "$ids" ]
		for id in $ids; do
			grep -qE "^\.(Fl.*)?Cm.*\b$id\b" "$COW_SOURCE/man/$tool.8" || { echo "$tool: $id"; return 1; }
		done
	done
}

@test "each finding that the library knows is on the page of snapcheck" {
	for id in $(sed -n 's/^\t\t\.id = "\(.*\)",$/\1/p' "$COW_SOURCE"/libcow/core/problem*.c); do
		grep -q "^\.It Li $id Pq" "$COW_SOURCE/man/snapcheck.8"
	done
}
