#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# No library reads a foreign byte before the sandbox, in no mode of no tool.
bats_require_minimum_version 1.8.0
load ../../common
load modes

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	mkdir work
	cd work || return 1
}

teardown() {
	[ -z "${loop:-}" ] || losetup -d "$loop"
}

# spied COMMAND...: calls of libraries go to ../calls; one outside of the sandbox fails.
spied() {
	LD_PRELOAD="$COW_BUILD/tests/sandbox/spy.so" "$@" </dev/null >../out 2>&1 9>>../calls || true
	! grep -q 'ERROR: ld.so' ../out || { cat ../out; return 1; }
	! grep ' outside$' ../calls || { echo "in: $*"; return 1; }
}

# called NAME COMMAND...: the same, and that function is called.
called() {
	: >../calls
	spied "${@:2}"
	grep -qx "$1 inside" ../calls || { echo "no $1 in: ${*:2}"; cat ../out; return 1; }
}

@test "the spy knows all functions of libarchive, libblkid and libext2fs that a tool calls, and no tool parses JSON by json-c" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		nm -D --undefined-only "$COW_BUILD/$tool"
	done | awk '{ sub(/@.*/, "", $2); print $2 }' | sort -u >../imported
	grep -E '^(archive|blkid|ext2fs)_' ../imported >../called
	sed -n 's/^SPY(\(.*\))$/\1/p' "$COW_SOURCE/tests/sandbox/spy.c" | sort -u | diff - ../called
	# json-c makes the report; what is read goes through a reader of our own.
	! grep -E '^json_(tokener|object_from|util)' ../imported || false
}

# bats test_tags=limit,slow
@test "no library is called before the sandbox: each command with each option, as it is and dry" {
	mode_images
	more_mode_images
	cp -a --sparse=always . ../fresh
	: >../calls
	while read -r command; do
		eval "set -- $command"
		spied "$1" -n "${@:2}"
		[[ $command == *\ -[yp]* ]] || set -- "$1" -y "${@:2}"
		spied "$@"
		rm -rf ./*
		cp -a --sparse=always ../fresh/. .
	done < <(commands; more_commands; refused)
	for function in archive_read_next_header2 archive_write_header blkid_do_probe ext2fs_open2; do
		grep -qx "$function inside" ../calls || { echo "$function"; return 1; }
	done
}

# bats test_tags=limit,slow
@test "no library is called before the sandbox: whatever is asked of a pack, a tar that is compared with, a device" {
	mode_images
	tar -xf view.tar manifest.json
	snapdump -q --metadata -o cow.pack origin.img cow.img
	snapdump -q --metadata -o bad.pack.zst origin.img bad.img
	zstd -q view.tar
	for options in '' -n -p -y --header-only --is-empty '-n -o new' '-y -o new' '-p -o new' '-y --save-undo=undo' \
		'-n -y --save-undo=undo' '-n -p --save-undo=exists' '-y --revalidate -o new' '-n --revalidate --save-undo=undo -y' \
		'--skip-unreadable' '--skip-unreadable -o new' '-n --max-findings=1' '-c 16K -o new' --list; do
		for images in 'origin.img cow.pack' cow.pack 'origin.img bad.pack.zst' '--verify=view.tar origin.img cow.img' \
			'--verify=view.tar.zst origin.img bad.img' '--verify=manifest.json origin.img bad.img' \
			'--verify=view.tar origin.img bad.pack.zst'; do
			# shellcheck disable=SC2086
			spied snapcheck --force=volatile $options $images
			rm -f new undo
		done
	done
	called archive_read_next_header2 snapcheck -n -o new origin.img cow.pack
	called archive_read_next_header2 snapcheck -y -o new --verify=view.tar origin.img cow.img
	called archive_read_next_header2 snapcheck -y --force=volatile --save-undo=undo origin.img cow.pack
	# A device that an output replaces is looked at by libblkid.
	truncate -s 16M device.img
	mke2fs -q -F device.img
	loop=$(losetup -f --show device.img)
	for command in "snapcheck -y -o $loop origin.img bad.img" "snapcheck -n -y -o $loop origin.img bad.pack.zst" \
		"snapcheck -y --save-undo=$loop origin.img bad.img" "snapmerge -o $loop origin.img cow.img" \
		"snapmerge -n -o $loop origin.img cow.img" "snapdump --raw -o $loop origin.img cow.img" \
		"snapcreate -y origin.img $loop" "snapcreate -y --import=view.tar origin.img $loop"; do
		# shellcheck disable=SC2086
		called blkid_do_probe $command
		grep -q 'holds something already: ext' ../out || { echo "$command"; cat ../out; return 1; }
	done
}
