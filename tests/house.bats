#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The house itself: what must agree with each other.
bats_require_minimum_version 1.8.0

@test "each source file names its licence" {
	cd "$COW_SOURCE"
	run grep -L SPDX-License-Identifier $(git ls-files '*.c' '*.h' '*.sh' '*.bash' '*.bats' '*.py' Makefile .ci/run)
	[ -z "$output" ]
}

@test "each option of --help is on the manual page, and the other way round" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		"$tool" --long-options | sed 's/[= [].*//; s/^--//' | sort -u >"$BATS_TEST_TMPDIR/help"
		sed -n 's/^\.It .*Fl -\([a-z-]*\).*/\1/p' "$COW_SOURCE/man/$tool.8" | sort -u >"$BATS_TEST_TMPDIR/page"
		diff "$BATS_TEST_TMPDIR/help" "$BATS_TEST_TMPDIR/page"
	done
}

@test "each finding that the library knows is on the page of snapcheck" {
	for id in $(sed -n 's/^\t\t\.id = "\(.*\)",$/\1/p' "$COW_SOURCE"/libcow/core/problem*.c); do
		grep -q "^\.It Li $id Pq" "$COW_SOURCE/man/snapcheck.8"
	done
}
