#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The house itself: what is installed, and that it works from there.
bats_require_minimum_version 1.8.0

@test "a program builds against the library through pkg-config, static archive and shared object" {
	cat >"$BATS_TEST_TMPDIR/p.c" <<-END
		#include <libcow.h>
		#include <stdio.h>
		int main(void) { return puts(cow_version()) < 0; }
	END
	for lib in "$COW_BUILD/libcow.a" "$COW_BUILD/libcow.so"; do
		cc $COW_CFLAGS -I"$COW_SOURCE/include" -o "$BATS_TEST_TMPDIR/p" "$BATS_TEST_TMPDIR/p.c" "$lib" -lxxhash
		run -0 "$BATS_TEST_TMPDIR/p"
		[ "$output" = 0.1.0 ]
	done
}

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
