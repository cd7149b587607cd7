#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is no snapshot, or no file system of ours, is called by its name: images
# that other programs made.
# bats file_tags=slow
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# named IMAGE WORDS: in the refusals of two tools.
named() {
	run -64 --separate-stderr snapcheck --header-only "$1"
	[[ $stderr == *"$2"* ]] || { echo "$1: $stderr"; return 1; }
	run -64 --separate-stderr snapdump --files "$1"
	[[ $stderr == *"$2"* ]] || { echo "$1: $stderr"; return 1; }
}

@test "file systems, volumes, image formats and archives are named in the refusal" {
	truncate -s 320M xfs.img
	mkfs.xfs -q xfs.img
	named xfs.img "an XFS file system"
	truncate -s 128M btrfs.img
	mkfs.btrfs -q btrfs.img
	named btrfs.img "a Btrfs file system"
	truncate -s 1M swap.img
	chmod 600 swap.img
	mkswap -q swap.img >/dev/null
	named swap.img "swap space"
	qemu-img create -q -f qcow2 d.qcow2 16M
	named d.qcow2 "a qcow2 image"
	qemu-img create -q -f vmdk d.vmdk 16M
	named d.vmdk "a VMDK image"
	qemu-img create -q -f vhdx d.vhdx 16M
	named d.vhdx "a VHDX image"
	truncate -s 4M disk.img
	poke disk.img 510 '\125\252'
	named disk.img "a disk with a partition table"
	poke disk.img 510 '\0\0EFI PART'
	named disk.img "a disk with a partition table"
	head -c 1M /dev/urandom >data
	tar -cf d.tar data
	named d.tar "a tar archive"
	for packer in gzip zstd xz; do
		$packer -q -k data
		named data.* "compressed with $packer"
		rm data.*
	done
}
