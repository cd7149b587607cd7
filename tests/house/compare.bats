#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the README's table says of other tools: shown, so that it stays true.
bats_require_minimum_version 1.8.0

setup() {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 1M base.img
	head -c 1M /dev/urandom >changed.img
	snapcreate -q base.img cow.img --from changed.img
}

@test "qemu-img takes a store for raw bytes, and cannot check it" {
	qemu-img info --output=json cow.img >info
	[ "$(python3 -c 'import json; print(json.load(open("info"))["format"])')" = raw ]
	run -63 qemu-img check cow.img
	[[ $output == *"does not support checks"* ]]
}

@test "thin_check does not know a store" {
	run -1 thin_check cow.img
	[[ $output == *"superblock is corrupt"* ]]
}

# bats test_tags=long
@test "without root our tools do their work, and dmsetup and lvconvert do not" {
	home=$(mktemp -d "${TMPDIR:-/tmp}/nobody.XXXXXX")
	cp "$COW_BUILD"/snap{create,check,merge,dump} base.img changed.img cow.img "$home"
	chmod 755 "$home"
	chown -R 65534 "$home"
	cd "$home"
	nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
	run -0 nobody ./snapcheck -q base.img cow.img
	run -0 nobody ./snapdump --tar -o view.tar base.img cow.img
	# Logical volumes of a disk, too.
	cp "$COW_UNPACKED/lvm/mbr/disk0.img" disk.img
	chmod 444 disk.img
	run -0 nobody ./snapcheck --list disk.img
	[[ $output == *"lvm:disk.img:vg0/snap "* ]]
	run -0 nobody ./snapcheck -q lvm:disk.img:vg0/snap
	nobody ./snapdump -q --raw -o view.img lvm:disk.img:vg0/snap
	[ "$(sha256sum <view.img | cut -d' ' -f1)" = "$(awk '$1 == "vg0/snap" { print $2 }' "$COW_FIXTURES/lvm/mbr/kernel.txt")" ]
	run -0 nobody ./snapmerge -q -y base.img cow.img
	cmp base.img changed.img
	run -0 nobody ./snapcreate -q base.img new.img
	run -0 nobody qemu-img info new.img
	run -1 nobody thin_check new.img
	[[ $output == *"superblock is corrupt"* ]]
	run ! nobody dmsetup create x --table "0 2048 snapshot /dev/loop0 /dev/loop1 P 8"
	run ! nobody lvconvert --merge vg/snap
	cd /
	rm -r "$home"
}

@test "lvconvert has no way to take a merge back" {
	run lvconvert --help
	[[ $output == *"--merge"* ]]
	[[ $output != *undo* && $output != *take-back* ]]
}
