#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Refusals and errors by their id, as programs see them: those that no other test
# names. tests/cases/README lists all ids with their tests.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	pair both-c32
}

teardown() {
	[ -z "${loop:-}" ] || losetup -d "$loop"
}

# gives ID STATUS COMMAND...: what --json says.
gives() {
	local id=$1 wanted=$2
	shift 2
	rm -f j
	run "$1" --json=j "${@:2}" </dev/null
	[ "$status" = "$wanted" ] || { echo "$*: $status, not $wanted: $output"; return 1; }
	[ "$(member j 'j["error"]["id"]')" = "$id" ] || { echo "$*: $(member j 'j["error"]["id"]'), not $id"; return 1; }
}

attach() { # FILE
	loop=$(losetup -f --show "$1")
}

@test "questions and the terminal: declined, terminal" {
	run -64 "$COW_SOURCE/tests/aids/prompt.py" '[y/N] ' n -- snapmerge --json=j origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = declined ]
	run -64 script -qec "snapdump --json=k --raw origin.img cow.img" /dev/null
	[ "$(member k 'j["error"]["id"]')" = terminal ]
}

@test "devices: loop, held, signature, block-device" {
	attach origin.img
	gives loop 64 snapmerge -y origin.img cow.img
	losetup -d "$loop"
	loop=
	truncate -s 16M disk
	attach disk
	gives block-device 64 snapdump --tar -o "$loop" origin.img cow.img
	mke2fs -q -F disk
	blockdev --flushbufs "$loop"
	gives signature 64 snapcreate origin.img "$loop"
	python3 -c 'import os, sys, time; os.open(sys.argv[1], os.O_RDWR | os.O_EXCL); print(flush=True); time.sleep(100)' "$loop" >held &
	until [ -s held ]; do sleep 0.05; done
	gives held 64 snapmerge -y origin.img "$loop"
	kill $!
	wait $! || true
}

@test "stores and sizes: not-a-store, chunk-size, size, unsupported" {
	truncate -s 1M nothing
	gives not-a-store 64 snapcheck nothing
	gives chunk-size 64 snapcheck -c 8K cow.img
	truncate -s 4M there
	gives size 64 snapcreate --force=overwrite -s 1M origin.img there
	poke cow.img 8 '\002'
	gives unsupported 64 snapmerge -y origin.img cow.img
}

@test "files in the view: not-ext, no-path" {
	gives not-ext 64 snapdump --files -o out origin.img cow.img
	truncate -s 4M ext.img
	mke2fs -q -F ext.img
	snapcreate -q ext.img empty.img
	gives no-path 64 snapdump --files --path=/nothing -o out ext.img empty.img
}

@test "exports: not-an-export, tar, delta, manifest, parent" {
	snapdump -q --delta -o d.tar origin.img cow.img
	echo text >some
	tar -cf other.tar some
	gives not-an-export 64 snapcreate --import=other.tar origin.img new
	head -c 300000 d.tar >cut.tar
	gives tar 8 snapcreate --import=cut.tar origin.img new
	mkdir x
	tar -xf d.tar -C x
	poke x/delta.img 100 'changed'
	(cd x && tar -cSf ../changed.tar delta.json ranges.txt delta.img manifest.json)
	gives delta 64 snapcreate --import=changed.tar origin.img new
	gives manifest 64 snapcheck --verify=some origin.img cow.img
	gives parent 64 snapcreate --import=d.tar zero:8M new
}

@test "names: no-directory, interrupted" {
	gives no-directory 8 snapmerge -y --save-undo=no/such/undo origin.img cow.img
	run -32 strace -qq -o /dev/null -e inject=pwritev:signal=SIGINT:when=1 snapmerge -y --json=k --batch=1M origin.img cow.img
	[ "$(member k 'j["error"]["id"]')" = interrupted ]
}

@test "tests/cases/README has a row for each id, and the test it names mentions the id" {
	"$COW_SOURCE/tests/aids/refusal_ids.py" "$COW_SOURCE" --table
	# The search finds what it is for.
	mkdir -p tree/libcow/base tree/tools/x tree/tests/cases
	echo '{ -EIO, "io" }, err->id, "wrong-x"' >tree/libcow/base/err.c
	printf '| `io` | tests/t.bats: one |\n| `gone` | none: never |\n' >tree/tests/cases/README
	printf '@test "one" {\n\ttrue\n}\n' >tree/tests/t.bats
	run -1 "$COW_SOURCE/tests/aids/refusal_ids.py" tree --table
	[[ $output == *"system: no row"*"wrong-x: no row"*"gone: a row, but no such id"*"io: 'one' does not mention it"* ]]
}
