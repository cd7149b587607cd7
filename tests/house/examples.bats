#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The programs of tests/examples, as somebody else would build them: against an
# installed tree, with what pkg-config says, and nothing of ours besides.
# bats file_tags=limit
bats_require_minimum_version 1.8.0
load ../common

setup_file() {
	root=$BATS_FILE_TMPDIR/root
	make -s --no-print-directory -C "$COW_SOURCE" install prefix="$root"
	export PKG_CONFIG_PATH=$root/lib/pkgconfig LD_LIBRARY_PATH=$root/lib
	export PATH=$BATS_FILE_TMPDIR/bin:$PATH
	mkdir "$BATS_FILE_TMPDIR/bin"
	for example in read_view list_exceptions check_store merge_some; do
		cc -std=c11 -Wall -Wextra -Werror -o "$BATS_FILE_TMPDIR/bin/$example" \
			"$COW_SOURCE/tests/examples/$example.c" $(pkg-config --cflags --libs libcow)
	done
	c++ -std=c++20 -Wall -Werror -x c++ -o "$BATS_FILE_TMPDIR/bin/list_plus" \
		"$COW_SOURCE/tests/examples/list_exceptions.c" $(pkg-config --cflags --libs libcow)
}

setup() {
	cd "$BATS_TEST_TMPDIR"
}

@test "a program reads a view: the bytes that the kernel read" {
	pair multiarea-c8
	[ "$(read_view origin.img cow.img 0 16M | sha256sum | cut -d' ' -f1)" = "$(fact multiarea-c8 kernel_view_sha256)" ]
	read_view origin.img cow.img 0 16M >view
	cmp <(read_view origin.img cow.img 12345 1M) <(tail -c +12346 view | head -c 1M)
	run -8 --separate-stderr read_view origin.img cow.img 16M 1
	[[ $stderr == "read_view: "*"end of the image"* ]]
	run -8 --separate-stderr read_view origin.img origin.img 0 1
	[ -n "$stderr" ]
}

@test "a program lists exceptions: those that another reader found; in C++, too" {
	pair multiarea-c8
	list_exceptions cow.img >list
	tail -n 1 list | grep -qx 'persistent store, 900 exceptions, chunks of 4096 bytes'
	# Runs to single chunks.
	head -n -1 list | awk '{ for (i = 0; i < $3; i += 4096) print ($1 + i) / 4096, ($2 + i) / 4096 }' >chunks
	grep -v '^#' "$COW_FIXTURES/multiarea-c8/exceptions.tsv" | awk '{ print $1, $2 }' | sort -n | diff - chunks
	list_plus cow.img | diff list -
}

@test "a program checks a store: findings, what the kernel does, a verdict" {
	"$COW_BUILD/tests/examples/mkstore" cow.img <"$COW_SOURCE/tests/cases/persistent-twice-old/store.txt"
	run -4 check_store cow.img
	[[ $output == *"damage persistent.duplicate-old-chunk at "*"the kernel: "*"merge right: 0"* ]]
	truncate -s 1M origin.img
	snapcreate -q origin.img good.img
	run -0 check_store good.img
	[ "${lines[-1]}" = "kernel loads it: 1, view right: 1, merge right: 1" ]
	run -8 check_store origin.img
}

# bats test_tags=long
@test "a program merges, stops when it likes, and goes on; so does the tool" {
	pair multiarea-c8
	run -32 --separate-stderr merge_some origin.img cow.img 1M
	[[ $stderr == *"move: "*"merge_some: "* ]]
	[[ $output =~ ^([0-9]+)" chunks merged, "([0-9]+)" left" ]]
	[ "${BASH_REMATCH[1]}" -ge 128 ]
	[ "$((BASH_REMATCH[1] + BASH_REMATCH[2]))" = 900 ]
	left=${BASH_REMATCH[2]}
	# Half-way, the pair still shows the whole view.
	[ "$(read_view origin.img cow.img 0 16M | sha256sum | cut -d' ' -f1)" = "$(fact multiarea-c8 kernel_view_sha256)" ]
	cp origin.img o2.img
	cp cow.img c2.img
	run -0 --separate-stderr merge_some origin.img cow.img 1G
	[[ $output == "$left chunks merged, 0 left,"* ]]
	snapmerge -y -q o2.img c2.img
	for merged in origin.img o2.img; do
		[ "$(sum "$merged")" = "$(fact multiarea-c8 merged_origin_sha256)" ]
	done
}
