#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a snapshot of the driver of 2001 shows, in every mode of snapdump, held against
# an independent reader (tests/aids/snaplog_text.py).
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# logs CASE: source.img, logN.img, view.img, spec and bare.
logs() {
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <"$COW_SOURCE/tests/cases/snaplog-$1/logs.txt"
	spec=$(cat spec)
}

# bats test_tags=long
@test "--raw, --tar and --delta are the view" {
	for name in sound stale-map two-logs three-logs short-last-block sector-keys bytes; do
		rm -f ./*.img ./*.tar
		logs "$name"
		cat source.img log*.img >before
		snapdump -q --raw -o raw.img "$spec"
		cmp raw.img view.img
		snapdump -q --tar -o view.tar "$spec"
		size=$(stat -c %s source.img)
		snapcreate -q --import=view.tar "zero:$size" all.img
		snapdump -q --raw -o raw2.img "zero:$size" all.img
		cmp raw2.img view.img
		snapdump -q --delta -o delta.tar "$spec"
		snapcreate -q --import=delta.tar source.img some.img
		snapdump -q --raw -o raw3.img source.img some.img
		cmp raw3.img view.img
		snapcheck -q --verify=view.tar "$spec"
		cat source.img log*.img | cmp - before
	done
}

@test "--map lists what is stored" {
	logs short-last-block
	run -0 --separate-stderr snapdump --map "$spec"
	[[ $output == *"8192 16384 8192"* || $output == *8192* ]]
}

@test "--files of a file system as it was" {
	mkdir tree
	echo old >tree/file
	truncate -s 1M old.img
	mke2fs -q -t ext4 -d tree old.img
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <<-END
		geometry block=1024 word=8 endian=big key=block bitmap=packed map=full
		source 2048
		log 1100
		base old.img
		save 0-1023
	END
	spec=$(cat spec)
	snapdump -q --files -o files.tar "$spec"
	[ "$(tar -xOf files.tar ./file 2>/dev/null || tar -xOf files.tar file)" = old ]
}

# bats test_tags=long
@test "damage needs force, and is said with 4; a doubt, too" {
	logs value-high
	run -64 --separate-stderr snapdump --json=j --raw -o x.img "$spec"
	[ "$(member j 'j["error"]["id"]')" = damaged ]
	run -4 --separate-stderr snapdump --force=damaged --raw -o x.img "$spec"
	cmp x.img view.img
	logs tail-lost
	run -64 --separate-stderr snapdump --raw -o y.img "$spec"
	run -4 --separate-stderr snapdump --force=doubtful --raw -o y.img "$spec"
	cmp y.img view.img
}

@test "--metadata, a pack of one image, is refused by its name" {
	logs sound
	run --separate-stderr snapdump --metadata -o pack.tar "$spec"
	[ "$status" -ne 0 ]
	[[ $stderr == *"cannot be copied without its data"* || $stderr == *"several"* ]]
	[ ! -e pack.tar ]
}
