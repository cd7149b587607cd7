#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Partitions and logical volumes of disk images that a real kernel and LVM made.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# view_sha ORIGIN COW
view_sha() {
	snapdump -q --raw -o - "$1" "$2" | sha256sum | cut -d' ' -f1
}

@test "views of snapshots in disk images are what the kernel read" {
	local name d
	for name in mbr-logical gpt-4096 striped-origin interleave; do
		disks "$name"
		d=disk0.img
		[ ! -e disk1.img ] || d=disk0.img,disk1.img
		[ "$(view_sha "lvm:$d:vg0/base" "lvm:$d:vg0/snap")" = "$(kernel_sha "$name" vg0/snap)" ]
		rm -f disk*.img
	done
}

# bats test_tags=long
@test "--list names what can be typed, and each name works" {
	disks mbr-logical
	sha256sum disk0.img >sum
	run -0 --separate-stderr snapcheck --list --json=j disk0.img
	[ "${#lines[@]}" -eq 8 ]
	[[ ${lines[0]} == "disk0.img "*" disk mbr "*"40 MiB" ]]
	[[ ${lines[4]} == "    part:disk0.img:5 "*"LVM PV of vg0"* ]]
	[[ ${lines[6]} == "  lvm:disk0.img:vg0/base "*"LV linear: an ext2, ext3 or ext4"*"origin of 1 snapshot; ext4, UUID "* ]]
	[[ ${lines[7]} == "  lvm:disk0.img:vg0/snap "*"persistent exception store"*"728/6144 sectors"*"snapshot of base; 89 exceptions"* ]]
	[ "$(member j '[v["spec"] for v in j["volumes"] if v["kind"] == "lv"]')" = \
		"['lvm:disk0.img:vg0/base', 'lvm:disk0.img:vg0/snap']" ]
	[ "$(member j '[(v["origin"], v["exceptions"], v["damaged"]) for v in j["volumes"] if v.get("store")]')" = \
		"[('base', 89, False)]" ]
	snapcheck lvm:disk0.img:vg0/base lvm:disk0.img:vg0/snap
	snapcheck --list part:disk0.img:5
	sha256sum --quiet -c sum
}

@test "--list goes on where something is damaged, and says so with its status" {
	disks pv-missing
	run -4 --separate-stderr snapcheck --list disk0.img
	[[ $stderr == *"pv1 ("*" is not among the images"* ]]
	[[ $output == *"vg0/gone"*"not among the images"* ]]
	[[ $output == *"vg0/snap "*"snapshot of base; "*"exceptions"* ]]
	disks overflowed
	run -4 --separate-stderr snapcheck --list disk0.img
	[[ $output == *"vg0/snap "*"marked invalid"* ]]
	[[ $output == *"vg0/ok "*"exceptions in chunks"* ]]
	run -8 --separate-stderr snapcheck --list nothing.img disk1.img
	head -c 1M /dev/zero >empty.img
	run -0 --separate-stderr snapcheck --list empty.img
	[ "${#lines[@]}" -eq 1 ]
	run -12 --separate-stderr snapcheck --list nothing.img disk0.img
	run -16 snapcheck --list -y disk0.img
}

@test "a merge between volumes writes what the kernel would, and the text of LVM stays" {
	local before
	disks striped-origin
	before=$(head -c 1M disk0.img | sha256sum)
	run -0 --separate-stderr snapmerge -y lvm:disk0.img,disk1.img:vg0/base lvm:disk0.img,disk1.img:vg0/snap
	[[ $stderr == *"LVM knows no other snapshot of this origin"* ]]
	[[ $stderr == *"lvremove vg0/snap removes it"* ]]
	[ "$(head -c 1M disk0.img | sha256sum)" = "$before" ]
	snapdump -q --raw -o out.img window:0+10M:lvm:disk0.img,disk1.img:vg0/base
	[ "$(sha256sum <out.img | cut -d' ' -f1)" = "$(kernel_sha striped-origin vg0/snap)" ]
	snapcheck --is-empty lvm:disk0.img,disk1.img:vg0/snap
	disks merge-pending
	run -0 --separate-stderr snapmerge -y lvm:disk0.img:vg0/base lvm:disk0.img:vg0/snap
	[[ $stderr == *"LVM removes vg0/snap by itself"* ]]
}

# bats test_tags=long
@test "other snapshots of the origin are not ruined: each must be named" {
	disks three-chunk-sizes
	sha256sum disk0.img >sum
	local d=lvm:disk0.img:vg0 lv
	run -64 --separate-stderr snapmerge -y $d/base $d/snap1
	[[ $stderr == *"$d/snap2"* && $stderr == *"$d/snap3"* && $stderr == *"--sibling"* ]]
	run -64 --separate-stderr snapmerge -y --sibling $d/snap2 $d/base $d/snap1
	[[ $stderr == *"$d/snap3"* && $stderr != *"$d/snap2 "* ]]
	# A window of the store is no name that LVM knows.
	run -64 snapmerge -y disk0.img@1M+10M $d/snap1
	sha256sum --quiet -c sum
	# The same disk under another name.
	run -0 --separate-stderr snapmerge -y --sibling $d/snap2 --sibling lvm:./disk0.img:vg0/snap3 $d/base $d/snap1
	[[ $stderr == *"snapmerge: siblings: "* ]]
	for lv in snap1 snap2 snap3; do
		[ "$(view_sha $d/base $d/$lv)" = "$(kernel_sha three-chunk-sizes vg0/$lv)" ]
	done
}

# bats test_tags=long
@test "the origin of another snapshot is refused" {
	disks two-vgs
	sha256sum disk*.img >sums
	run -64 --separate-stderr snapmerge -y lvm:disk1.img,disk2.img:vg0b/base lvm:disk0.img,disk2.img:vg0a/snap
	one_sentence
	[[ $stderr == *"snapshot of lvm:disk0.img,disk2.img:vg0a/base, not of"*"--force=origin" ]]
	sha256sum --quiet -c sums
}

@test "what is not there is named, with what is" {
	disks whole
	run -8 --separate-stderr snapcheck lvm:disk0.img:vg1/base
	one_sentence
	[[ $stderr == *"no volume group \"vg1\""*"there is vg0"* ]]
	run -64 --separate-stderr snapcheck part:disk0.img:1
	[[ $stderr == *"no partition table"* ]]
	cp --sparse=always disk0.img copy.img
	run -64 --separate-stderr snapcheck lvm:disk0.img,copy.img:vg0/snap
	[[ $stderr == *"is there twice"* && $stderr == *disk0.img* && $stderr == *copy.img* ]]
}
